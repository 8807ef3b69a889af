/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/iscsi_store.h"

#include "initiator/disk.h"
#include "initiator/probe.h"
#include "initiator/ranges.h"
#include "initiator/status.h"
#include "initiator/store_info.h"
#include "initiator/sync.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How long a busy unit is asked again. */
#define BUSY_TIMEOUT_NS (60 * NS_PER_SEC)

/* Of a session, and of all of a store: that of the one that is worst off. */
enum remote_state {
    REMOTE_UP, /* or not logged in as yet */
    REMOTE_LOST,
    REMOTE_GIVEN_UP, /* requests fail */
    REMOTE_STATES
};

struct remote_store {
    struct store store;
    struct ini_url url;
    struct ini_portal portal;
    struct ini_disk_info info;
    atomic_ullong logins, losses, time_outs, resizes, unsure;
    struct ini_ranges *ranges;        /* of all channels */
    pthread_mutex_t lock;             /* of what follows */
    struct list channels;             /* remote_channel.node */
    unsigned in_state[REMOTE_STATES]; /* channels */
    enum remote_state state;
    time_t down_since; /* unless it is up */
    struct err_text error;
};

struct remote_channel {
    struct store_channel ch;
    struct list node;
    struct remote_store *store;
    struct ini_session *session;
    struct ini_disk *disk;
    enum remote_state state;
    uint64_t unsure; /* of those the session counts, told */
    const struct iscsi_watch_ops *watch;
    void *watch_user;
};

/* ---- how many there are ---- */

static void channel_counted(struct remote_channel *c)
{
    struct remote_store *r = c->store;
    pthread_mutex_lock(&r->lock);
    list_push_back(&r->channels, &c->node);
    r->in_state[REMOTE_UP]++;
    pthread_mutex_unlock(&r->lock);
}

/* Inside the lock, when a channel has left or entered a state. True if the log should know. */
static bool state_settled(struct remote_store *r)
{
    enum remote_state before = r->state;
    r->state = r->in_state[REMOTE_GIVEN_UP] ? REMOTE_GIVEN_UP
               : r->in_state[REMOTE_LOST]   ? REMOTE_LOST
                                            : REMOTE_UP;
    if (before == REMOTE_UP && r->state != REMOTE_UP)
        r->down_since = time(NULL);
    return r->state != before && !(before == REMOTE_GIVEN_UP && r->state == REMOTE_LOST);
}

static void channel_gone(struct remote_channel *c)
{
    struct remote_store *r = c->store;
    pthread_mutex_lock(&r->lock);
    list_del(&c->node);
    r->in_state[c->state]--;
    (void)state_settled(r);
    pthread_mutex_unlock(&r->lock);
}

/* Told to the log once for each change, though every channel has a session that goes through it;
 * not to one who watches channels. why: with address and target in front. */
static void set_state(struct remote_channel *c, enum remote_state state, const char *why)
{
    static const char *const texts[REMOTE_STATES] = {
        [REMOTE_UP] = "is back",
        [REMOTE_LOST] = "is lost",
        [REMOTE_GIVEN_UP] = "is given up, requests fail",
    };
    struct remote_store *r = c->store;
    char line[sizeof(struct err_text) + 64];
    pthread_mutex_lock(&r->lock);
    r->in_state[c->state]--;
    r->in_state[state]++;
    c->state = state;
    bool news = state_settled(r);
    (void)snprintf(line, sizeof(line), "iscsi: the session %s: %s", texts[r->state], why);
    pthread_mutex_unlock(&r->lock);
    if (news && !c->watch)
        store_tell(&r->store, STORE_NEWS_TEXT, line);
}

/* ---- what happens to a channel ---- */

static void complete(struct bio *bio, int err, void *user)
{
    struct remote_channel *c = user;
    store_complete(&c->ch, bio, err);
}

static void resized(uint64_t blocks, void *user)
{
    struct remote_channel *c = user;
    struct remote_store *r = list_entry(c->ch.store, struct remote_store, store);
    atomic_fetch_add(&r->resizes, 1);
    __atomic_store_n(&r->store.info.size_bytes, blocks * r->info.block_bytes, __ATOMIC_RELAXED);
    store_tell(&r->store, STORE_NEWS_SIZE, NULL);
}

static struct err_text placed(const struct remote_channel *c, const char *why)
{
    struct err_text e;
    (void)err_set(&e, USAN_EIO, "%s, %s: %s", ini_session_peer(c->session), c->store->url.target,
                  why);
    return e;
}

static void absent(const char *why, void *user)
{
    struct remote_channel *c = user;
    struct err_text e = placed(c, why);
    pthread_mutex_lock(&c->store->lock);
    c->store->error = e;
    pthread_mutex_unlock(&c->store->lock);
}

static void failed(const char *why, void *user)
{
    struct remote_channel *c = user;
    absent(why, user);
    set_state(c, REMOTE_GIVEN_UP, placed(c, why).text);
    if (c->watch)
        c->watch->failed(why, c->watch_user);
}

static void bad(const struct bio *bio, const struct iscsi_icmd *cmd, void *user)
{
    struct remote_channel *c = user;
    struct remote_store *r = list_entry(c->ch.store, struct remote_store, store);
    int err = USAN_EIO;
    (void)ini_scsi_judge(cmd, false, &err);
    if (!cmd->err && err == USAN_EIO) { /* no other code says more */
        pthread_mutex_lock(&r->lock);
        ini_scsi_words(cmd, r->error.text, sizeof(r->error.text));
        pthread_mutex_unlock(&r->lock);
    }
    if (c->watch)
        c->watch->bad(bio, cmd, c->watch_user);
}

static const struct ini_disk_ops disk_ops = {
    .complete = complete, .resized = resized, .failed = failed, .absent = absent, .bad = bad
};

static void gave_up(struct remote_channel *c)
{
    set_state(c, REMOTE_GIVEN_UP, ini_session_error(c->session));
    ini_disk_unreachable(c->disk, USAN_ETIMEOUT, "there is no session with the target");
}

static void changed(struct ini_session *s, enum ini_change change, void *user)
{
    struct remote_channel *c = user;
    struct remote_store *r = c->store;
    uint64_t unsure = ini_session_stats(s)->unsure - c->unsure;
    if (c->watch)
        c->watch->changed(change, ini_session_error(s), c->watch_user);
    switch (change) {
    case INI_LOGGED_IN:
        atomic_fetch_add(&r->logins, 1);
        ini_disk_reachable(c->disk);
        set_state(c, REMOTE_UP, placed(c, "logged in").text);
        if (unsure == 0)
            return;
        atomic_fetch_add(&r->unsure, unsure); /* the error says why */
        c->unsure += unsure;
        break;
    case INI_LOST:
        atomic_fetch_add(&r->losses, 1);
        set_state(c, REMOTE_LOST, ini_session_error(s));
        break;
    case INI_TIMED_OUT:
        atomic_fetch_add(&r->time_outs, 1);
        gave_up(c);
        break;
    case INI_FAILED: /* another unit, or no memory for a timer */
        gave_up(c);
        break;
    }
    pthread_mutex_lock(&r->lock);
    memcpy(r->error.text, ini_session_error(s), sizeof(r->error.text));
    pthread_mutex_unlock(&r->lock);
}

static void check(struct ini_session *s, void *user)
{
    const struct remote_channel *c = user;
    (void)s;
    ini_disk_check(c->disk);
}

static const struct ini_session_ops session_ops = { .changed = changed, .check = check };

/* ---- opening ---- */

/* "//host/..." stands behind the scheme, or a whole URL behind the name of the back end. */
static int parse_target(const struct store_open *how, struct ini_url *ret_url, struct err_text *e)
{
    bool whole = strncmp(how->target, "iscsi:", 6) == 0;
    size_t len = strlen(how->target) + sizeof("iscsi:");
    char *text = malloc(len);
    if (!text)
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    (void)snprintf(text, len, "%s%s", whole ? "" : "iscsi:", how->target);
    int err = ini_url_parse_address(text, ret_url, e);
    explicit_bzero(text, len);
    free(text);
    for (size_t i = 0; !err && i < how->opt_count; i++)
        err = ini_url_set_option(ret_url, how->opts[i].key, how->opts[i].value, e);
    if (!err)
        err = ini_url_check(ret_url, e);
    if (!err && !*ret_url->target)
        err = err_set(e, USAN_EINVAL,
                      "the URL names no target (usan discover shows those there "
                      "are)");
    if (!err && !ret_url->has_lun)
        err = err_set(e, USAN_EINVAL, "the URL names no LUN: write /0 behind the target");
    return err;
}

static int remote_check(const struct store_open *how, struct err_text *e)
{
    struct ini_url *url = calloc(1, sizeof(*url));
    if (!url)
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    int err = parse_target(how, url, e);
    explicit_bzero(url, sizeof(*url));
    free(url);
    return err;
}

static int probe(struct remote_store *r, struct err_text *e)
{
    struct ini_sync *sync;
    int err = ini_sync_open(&r->url, &sync, e);
    if (err)
        return err;
    err = ini_probe_disk(sync, r->url.lun, &r->info, e);
    if (err)
        err_prefix(e, "%s, %s", ini_session_peer(ini_sync_session(sync)), r->url.target);
    r->portal = *ini_sync_portal(sync);
    ini_sync_close(sync);
    return err;
}

static void remote_close(struct store *s)
{
    struct remote_store *r = list_entry(s, struct remote_store, store);
    ini_url_wipe(&r->url);
    pthread_mutex_destroy(&r->lock);
    ini_ranges_free(r->ranges);
    free(r);
}

static int remote_open(const struct store_open *how, struct store **ret_store, struct err_text *e)
{
    struct remote_store *r = calloc(1, sizeof(*r));
    if (!r || pthread_mutex_init(&r->lock, NULL)) {
        free(r);
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    }
    list_init(&r->channels);
    int err = parse_target(how, &r->url, e);
    if (!err && !(r->ranges = ini_ranges_new()))
        err = err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    if (!err)
        err = probe(r, e);
    if (err) {
        remote_close(&r->store);
        return err;
    }
    r->store.info = ini_store_info(&r->info, how->read_only);
    *ret_store = &r->store;
    return 0;
}

/* ---- channels ---- */

static void channel_free(struct remote_channel *c)
{
    ini_session_free(c->session);
    ini_disk_free(c->disk);
    free(c);
}

static void remote_channel_close(struct store_channel *ch)
{
    struct remote_channel *c = list_entry(ch, struct remote_channel, ch);
    channel_gone(c);
    channel_free(c);
}

static int remote_channel_open(struct store *s, struct loop *loop, struct store_channel **ret_ch)
{
    struct remote_store *r = list_entry(s, struct remote_store, store);
    struct remote_channel *c = calloc(1, sizeof(*c));
    if (!c)
        return USAN_ENOMEM;
    c->store = r;
    const struct ini_session_config sc = {
        .url = &r->url, .portal = &r->portal, .retry_first = true, .ops = &session_ops, .user = c
    };
    int err = ini_session_new(loop, &sc, &c->session, NULL);
    const struct ini_disk_config dc = { .session = c->session,
                                        .ranges = r->ranges,
                                        .info = &r->info,
                                        .lun = r->url.lun,
                                        .busy_timeout_ns = BUSY_TIMEOUT_NS,
                                        .ghost_timeout_ns = r->url.settle_timeout_ns,
                                        .ops = &disk_ops,
                                        .user = c };
    if (!err && !(c->disk = ini_disk_new(loop, &dc)))
        err = USAN_ENOMEM;
    if (err) {
        channel_free(c);
        return err;
    }
    channel_counted(c);
    *ret_ch = &c->ch;
    return 0;
}

static void remote_submit(struct store_channel *ch, struct bio *bio)
{
    struct remote_channel *c = list_entry(ch, struct remote_channel, ch);
    ini_disk_submit(c->disk, bio);
}

static int remote_cancel(struct store_channel *ch, struct bio *bio)
{
    return ini_disk_cancel(list_entry(ch, struct remote_channel, ch)->disk, bio);
}

static void remote_stats(struct store *s, FILE *out)
{
    struct remote_store *r = list_entry(s, struct remote_store, store);
    static const char *const states[REMOTE_STATES] = { "up", "lost", "given-up" };
    pthread_mutex_lock(&r->lock);
    fprintf(out, "iscsi.state %s\n", states[r->state]);
    if (r->state != REMOTE_UP)
        fprintf(out, "iscsi.down_since %lld\n", (long long)r->down_since);
    uint64_t ghosts = 0;
    list_for_each (&r->channels, pos)
        ghosts += ini_disk_ghosts(list_entry(pos, struct remote_channel, node)->disk);
    pthread_mutex_unlock(&r->lock);
    fprintf(out, "iscsi.logins %llu\n", atomic_load(&r->logins));
    fprintf(out, "iscsi.losses %llu\n", atomic_load(&r->losses));
    fprintf(out, "iscsi.timeouts %llu\n", atomic_load(&r->time_outs));
    fprintf(out, "iscsi.resizes %llu\n", atomic_load(&r->resizes));
    fprintf(out, "iscsi.unsure_writes %llu\n", atomic_load(&r->unsure));
    fprintf(out, "iscsi.ghosts %llu\n", (unsigned long long)ghosts);
    pthread_mutex_lock(&r->lock);
    if (*r->error.text)
        fprintf(out, "iscsi.error %s\n", r->error.text);
    pthread_mutex_unlock(&r->lock);
}

/* ---- more than a store has ---- */

struct store *iscsi_store_of(struct store *s)
{
    while (s && s->ops != &iscsi_store_ops)
        s = s->lower;
    return s;
}

struct store_channel *iscsi_channel_of(struct store_channel *ch)
{
    while (ch && ch->ops != &iscsi_store_ops)
        ch = ch->lower;
    return ch;
}

const struct ini_disk_info *iscsi_store_disk(const struct store *s)
{
    return &((const struct remote_store *)s)->info;
}

uint64_t iscsi_store_lun(const struct store *s)
{
    return ini_lun_field(((const struct remote_store *)s)->url.lun);
}

struct ini_session *iscsi_channel_session(struct store_channel *ch)
{
    return list_entry(ch, struct remote_channel, ch)->session;
}

void iscsi_channel_end(struct store_channel *ch, void (*ended)(void *user), void *user)
{
    ini_session_end(list_entry(ch, struct remote_channel, ch)->session, ended, user);
}

void iscsi_channel_watch(struct store_channel *ch, const struct iscsi_watch_ops *ops, void *user)
{
    struct remote_channel *c = list_entry(ch, struct remote_channel, ch);
    c->watch = ops;
    c->watch_user = user;
}

const struct store_ops iscsi_store_ops = {
    .struct_bytes = sizeof(struct store_ops),
    .name = "iscsi",
    .help = "a unit of an iSCSI target; the target is what follows iscsi: in its URL",
    .opts = ini_url_opts,
    .raw_target = true,
    .check = remote_check,
    .open = remote_open,
    .close = remote_close,
    .channel_open = remote_channel_open,
    .channel_close = remote_channel_close,
    .submit = remote_submit,
    .cancel = remote_cancel,
    .stats = remote_stats,
};
