/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/mpath_store.h"

#include "initiator/mpath.h"
#include "initiator/ranges.h"
#include "initiator/status.h"
#include "initiator/store_info.h"
#include "initiator/sync.h"
#include "store/opt.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* How long a busy unit is asked again. */
#define BUSY_TIMEOUT_NS (60 * NS_PER_SEC)

static const struct store_opt_desc options[] = {
    { "policy", "text", "service-time",
      "which path a command takes: service-time (done first), least-outstanding or round-robin" },
    INI_URL_OPTIONS,
    { .key = NULL },
};

struct path {
    struct ini_url url;
    struct ini_portal portal;
    char text[INI_URL_TEXT_MAX];
    /* of all channels together; under the lock */
    unsigned up;
    uint64_t losses;
    enum ini_path_state state; /* what a channel told last */
    bool told;                 /* the log knows of it */
    char why[200];
};

struct mpath_store {
    struct store store;
    struct ini_disk_info info;
    enum ini_policy policy;
    uint64_t settle_timeout_ns;
    unsigned count;
    struct path paths[INI_PATHS_MAX];
    struct ini_ranges *ranges;
    uint64_t gone[INI_PATHS_MAX][2]; /* commands, moved: of channels that are closed */
    pthread_mutex_t lock;
    char error[128]; /* why the last request failed that has no better code than EIO */
    struct list channels;
};

struct mpath_channel {
    struct store_channel ch;
    struct list node;
    struct mpath_store *store;
    struct ini_mpath *mpath;
    struct ini_disk *disk;
    enum ini_path_state states[INI_PATHS_MAX];
    void (*bad)(const struct bio *bio, const struct iscsi_icmd *cmd, void *user);
    void *bad_user;
};

/* ---- what happens to a channel ---- */

static void complete(struct bio *bio, int err, void *user)
{
    struct mpath_channel *c = user;
    store_complete(&c->ch, bio, err);
}

static void resized(uint64_t blocks, void *user)
{
    struct mpath_channel *c = user;
    struct mpath_store *m = c->store;
    uint64_t now = blocks * m->info.block_bytes;
    if (__atomic_exchange_n(&m->store.info.size_bytes, now, __ATOMIC_RELAXED) != now)
        store_tell(&m->store, STORE_NEWS_SIZE, NULL);
}

static void bad(const struct bio *bio, const struct iscsi_icmd *cmd, void *user)
{
    struct mpath_channel *c = user;
    int err = USAN_EIO;
    (void)ini_scsi_judge(cmd, false, &err);
    if (!cmd->err && err == USAN_EIO) { /* no other code says more */
        pthread_mutex_lock(&c->store->lock);
        ini_scsi_words(cmd, c->store->error, sizeof(c->store->error));
        pthread_mutex_unlock(&c->store->lock);
    }
    if (c->bad)
        c->bad(bio, cmd, c->bad_user);
}

static const struct ini_disk_ops disk_ops = { .complete = complete,
                                              .resized = resized,
                                              .bad = bad };

static void blocks_known(uint64_t blocks, void *user)
{
    struct mpath_channel *c = user;
    ini_disk_set_blocks(c->disk, blocks);
}

/* Told to the log once for each change, though every channel sees it. */
static void path_changed(unsigned i, enum ini_path_state state, const char *why, void *user)
{
    struct mpath_channel *c = user;
    struct mpath_store *m = c->store;
    struct path *p = &m->paths[i];
    char line[INI_URL_TEXT_MAX + 256];
    pthread_mutex_lock(&m->lock);
    p->up -= c->states[i] == INI_PATH_UP;
    p->up += state == INI_PATH_UP;
    p->losses += state == INI_PATH_DOWN && c->states[i] != INI_PATH_DOWN;
    c->states[i] = state;
    bool news =
        p->state != state || !p->told || (state == INI_PATH_CLOSED && strcmp(p->why, why) != 0);
    p->state = state;
    p->told = true;
    (void)snprintf(p->why, sizeof(p->why), "%s", why);
    (void)snprintf(line, sizeof(line), "multipath: %s is %s: %s", p->text,
                   ini_path_state_name(state), p->why);
    pthread_mutex_unlock(&m->lock);
    if (news)
        store_tell(&m->store, STORE_NEWS_TEXT, line);
}

static void reachable(bool yes, void *user)
{
    struct mpath_channel *c = user;
    if (yes)
        ini_disk_reachable(c->disk);
    else
        ini_disk_unreachable(c->disk, USAN_ETIMEOUT, "no path to the unit is left");
}

static const struct ini_mpath_ops mpath_ops = { .path = path_changed,
                                                .blocks = blocks_known,
                                                .reachable = reachable };

/* ---- what it is told to be ---- */

/* Another portal of the first one's target. */
static int parse_portal(const char *text, const struct ini_url *first, struct ini_url *ret,
                        struct err_text *e)
{
    char url[INI_URL_MAX + 16];
    struct ini_url portal;
    (void)snprintf(url, sizeof(url), "iscsi://%s", text);
    int err = ini_url_parse_address(url, &portal, e);
    if (err)
        return err;
    if (*portal.target || *portal.user)
        return err_set(e, USAN_EINVAL, "write a whole URL (iscsi://...), or only HOST:PORT");
    *ret = *first;
    memcpy(ret->host, portal.host, sizeof(ret->host));
    ret->port = portal.port;
    return 0;
}

static int parse_path(struct mpath_store *m, const char *text, struct err_text *e)
{
    if (m->count == INI_PATHS_MAX)
        return err_set(e, USAN_ELIMIT, "more than %d paths", INI_PATHS_MAX);
    struct ini_url *url = &m->paths[m->count].url;
    int err = m->count && !strstr(text, "://") ? parse_portal(text, &m->paths[0].url, url, e)
                                               : ini_url_parse_address(text, url, e);
    if (!err && (!*url->target || !url->has_lun))
        err = err_set(e, USAN_EINVAL, "the URL names no target and LUN: iscsi://HOST/TARGET/LUN");
    for (unsigned i = 0; !err && i < m->count; i++) {
        const struct ini_url *o = &m->paths[i].url;
        if (strcmp(o->host, url->host) == 0 && o->port == url->port && o->lun == url->lun &&
            strcmp(o->target, url->target) == 0)
            err = err_set(e, USAN_EEXIST, "this path is there already");
    }
    if (err) {
        err_prefix(e, "path %u", m->count + 1);
        return err;
    }
    ini_url_text(url, m->paths[m->count].text, sizeof(m->paths[0].text));
    m->count++;
    return 0;
}

static int parse_paths(struct mpath_store *m, const char *target, struct err_text *e)
{
    char *copy = strdup(target), *rest = copy;
    int err = copy ? 0 : err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    for (char *text; !err && (text = strsep(&rest, ","));)
        err = parse_path(m, text, e);
    if (copy)
        explicit_bzero(copy, strlen(target));
    free(copy);
    return err;
}

static int parse_option(struct mpath_store *m, const char *key, const char *value,
                        struct err_text *e)
{
    if (strcmp(key, "policy") == 0)
        return ini_policy_parse(value, &m->policy)
                   ? 0
                   : err_set(e, USAN_EINVAL,
                             "policy: '%.32s' is not one of service-time, least-outstanding, "
                             "round-robin",
                             value);
    int err = 0;
    for (unsigned i = 0; !err && i < m->count; i++)
        err = ini_url_set_option(&m->paths[i].url, key, value, e);
    return err;
}

static int parse(struct mpath_store *m, const struct store_open *how, struct err_text *e)
{
    m->policy = INI_POLICY_SERVICE_TIME;
    int err = parse_paths(m, how->target, e);
    for (size_t i = 0; !err && i < how->opt_count; i++)
        err = parse_option(m, how->opts[i].key, how->opts[i].value, e);
    for (unsigned i = 0; !err && i < m->count; i++)
        err = ini_url_check(&m->paths[i].url, e);
    m->settle_timeout_ns = m->paths[0].url.settle_timeout_ns;
    return err;
}

/* ---- opening ---- */

/* USAN_EINVAL: it may not be used; anything else: it is not there now. */
static int look_at(struct mpath_store *m, struct path *p, bool first, struct err_text *e)
{
    struct ini_sync *sync;
    struct ini_disk_info info;
    int err = ini_sync_open(&p->url, &sync, e);
    if (err)
        return USAN_EIO;
    err = ini_probe_disk(sync, p->url.lun, &info, e);
    ini_sync_close(sync);
    if (err) {
        err_prefix(e, "%s", p->text);
        return err == USAN_ENOTSUP ? USAN_EINVAL : USAN_EIO;
    }
    if (strncmp(info.id, "naa.", 4) != 0 && strncmp(info.id, "eui.", 4) != 0)
        return err_set(
            e, USAN_EINVAL,
            "%s: the unit has neither NAA nor EUI-64 designator, so that nobody can tell "
            "whether other paths lead to the same one",
            p->text);
    if (first) {
        m->info = info;
        return 0;
    }
    if (strcmp(info.id, m->info.id) != 0)
        return err_set(e, USAN_EINVAL, "%s: leads to another unit: %s instead of %s", p->text,
                       info.id, m->info.id);
    if (info.block_bytes != m->info.block_bytes)
        return err_set(e, USAN_EINVAL, "%s: has blocks of %u bytes instead of %u", p->text,
                       info.block_bytes, m->info.block_bytes);
    return 0;
}

static int look_at_all(struct mpath_store *m, struct err_text *e)
{
    unsigned good = 0;
    struct err_text why = { "" };
    for (unsigned i = 0; i < m->count; i++) {
        struct path *p = &m->paths[i];
        int err = ini_portal_resolve(p->url.host, p->url.port, &p->portal, e);
        if (err)
            return err;
        err = look_at(m, p, good == 0, &why);
        good += !err;
        if (err == USAN_EINVAL || (err && !good && i + 1 == m->count))
            return err_set(e, err, "%s", why.text);
        (void)snprintf(p->why, sizeof(p->why), "%s", err ? why.text : "");
    }
    return 0;
}

static void mpath_close(struct store *s)
{
    struct mpath_store *m = list_entry(s, struct mpath_store, store);
    for (unsigned i = 0; i < INI_PATHS_MAX; i++)
        ini_url_wipe(&m->paths[i].url);
    pthread_mutex_destroy(&m->lock);
    ini_ranges_free(m->ranges);
    free(m);
}

static int mpath_new(const struct store_open *how, struct mpath_store **ret, struct err_text *e)
{
    struct mpath_store *m = calloc(1, sizeof(*m));
    if (!m || pthread_mutex_init(&m->lock, NULL)) {
        free(m);
        (void)err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
        return USAN_ENOMEM;
    }
    list_init(&m->channels);
    int err = parse(m, how, e);
    if (err)
        mpath_close(&m->store);
    else
        *ret = m;
    return err;
}

static int mpath_check(const struct store_open *how, struct err_text *e)
{
    struct mpath_store *m;
    int err = mpath_new(how, &m, e);
    if (!err)
        mpath_close(&m->store);
    return err;
}

static int mpath_open(const struct store_open *how, struct store **ret_store, struct err_text *e)
{
    struct mpath_store *m;
    int err = mpath_new(how, &m, e);
    if (err)
        return err;
    m->ranges = ini_ranges_new();
    err = m->ranges ? look_at_all(m, e) : err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    if (err) {
        mpath_close(&m->store);
        return err;
    }
    m->store.info = ini_store_info(&m->info, how->read_only);
    *ret_store = &m->store;
    return 0;
}

/* ---- channels ---- */

static void mpath_channel_close(struct store_channel *ch)
{
    struct mpath_channel *c = list_entry(ch, struct mpath_channel, ch);
    struct mpath_store *m = c->store;
    pthread_mutex_lock(&m->lock);
    list_del(&c->node);
    for (unsigned i = 0; c->mpath && i < m->count; i++) {
        struct ini_path_stats s;
        ini_mpath_stats(c->mpath, i, &s);
        m->gone[i][0] += s.commands;
        m->gone[i][1] += s.moved;
        m->paths[i].up -= c->states[i] == INI_PATH_UP;
    }
    pthread_mutex_unlock(&m->lock);
    if (c->mpath && c->disk)
        ini_disk_set_ghost_timeout(c->disk, m->settle_timeout_ns + ini_mpath_keep_ns(c->mpath));
    ini_mpath_free(c->mpath);
    ini_disk_free(c->disk);
    free(c);
}

static int start_channel(struct mpath_channel *c, struct loop *loop)
{
    struct mpath_store *m = c->store;
    struct ini_mpath_path paths[INI_PATHS_MAX];
    for (unsigned i = 0; i < m->count; i++)
        paths[i] = (struct ini_mpath_path){ &m->paths[i].url, &m->paths[i].portal };
    const struct ini_mpath_config mc = { .paths = paths,
                                         .count = m->count,
                                         .info = &m->info,
                                         .policy = m->policy,
                                         .busy_timeout_ns = BUSY_TIMEOUT_NS,
                                         .settle_timeout_ns = m->settle_timeout_ns,
                                         .ops = &mpath_ops,
                                         .user = c };
    int err = ini_mpath_new(loop, &mc, &c->mpath, NULL);
    if (err)
        return err;
    const struct ini_disk_config dc = { .way = &ini_mpath_way,
                                        .way_user = c->mpath,
                                        .ranges = m->ranges,
                                        .info = &m->info,
                                        .lun = m->paths[0].url.lun,
                                        .busy_timeout_ns = BUSY_TIMEOUT_NS,
                                        .ghost_timeout_ns = m->settle_timeout_ns,
                                        .ops = &disk_ops,
                                        .user = c };
    c->disk = ini_disk_new(loop, &dc);
    return c->disk ? 0 : USAN_ENOMEM;
}

/* Paths that were not there when the store was opened, once. */
static void tell_dead(struct mpath_store *m)
{
    for (unsigned i = 0; i < m->count; i++) {
        struct path *p = &m->paths[i];
        char line[INI_URL_TEXT_MAX + 256];
        pthread_mutex_lock(&m->lock);
        bool news = *p->why && !p->told && m->store.watcher;
        p->told |= news;
        (void)snprintf(line, sizeof(line), "multipath: %s is down: %s", p->text, p->why);
        pthread_mutex_unlock(&m->lock);
        if (news)
            store_tell(&m->store, STORE_NEWS_TEXT, line);
    }
}

static int mpath_channel_open(struct store *s, struct loop *loop, struct store_channel **ret_ch)
{
    struct mpath_store *m = list_entry(s, struct mpath_store, store);
    struct mpath_channel *c = calloc(1, sizeof(*c));
    if (!c)
        return USAN_ENOMEM;
    c->store = m;
    list_init(&c->node);
    int err = start_channel(c, loop);
    if (err) {
        mpath_channel_close(&c->ch);
        return err;
    }
    pthread_mutex_lock(&m->lock);
    list_push_back(&m->channels, &c->node);
    pthread_mutex_unlock(&m->lock);
    tell_dead(m);
    *ret_ch = &c->ch;
    return 0;
}

static void mpath_submit(struct store_channel *ch, struct bio *bio)
{
    struct mpath_channel *c = list_entry(ch, struct mpath_channel, ch);
    ini_disk_submit(c->disk, bio);
}

static int mpath_cancel(struct store_channel *ch, struct bio *bio)
{
    return ini_disk_cancel(list_entry(ch, struct mpath_channel, ch)->disk, bio);
}

static void mpath_stats(struct store *s, FILE *out)
{
    struct mpath_store *m = list_entry(s, struct mpath_store, store);
    fprintf(out, "multipath.unit %s\nmultipath.policy %s\n", m->info.id,
            ini_policy_name(m->policy));
    pthread_mutex_lock(&m->lock);
    for (unsigned i = 0; i < m->count; i++) {
        const struct path *p = &m->paths[i];
        struct ini_path_stats sum = { .commands = m->gone[i][0], .moved = m->gone[i][1] }, one;
        list_for_each (&m->channels, pos) {
            ini_mpath_stats(list_entry(pos, struct mpath_channel, node)->mpath, i, &one);
            sum.commands += one.commands;
            sum.moved += one.moved;
            sum.ghosts += one.ghosts;
        }
        fprintf(out, "multipath.path%u.url %s\n", i, p->text);
        fprintf(out, "multipath.path%u.state %s\n", i, ini_path_state_name(p->state));
        fprintf(out, "multipath.path%u.sessions %u\n", i, p->up);
        fprintf(out, "multipath.path%u.commands %llu\n", i, (unsigned long long)sum.commands);
        fprintf(out, "multipath.path%u.moved %llu\n", i, (unsigned long long)sum.moved);
        fprintf(out, "multipath.path%u.losses %llu\n", i, (unsigned long long)p->losses);
        fprintf(out, "multipath.path%u.ghosts %llu\n", i, (unsigned long long)sum.ghosts);
        if (*p->why)
            fprintf(out, "multipath.path%u.why %s\n", i, p->why);
    }
    if (*m->error)
        fprintf(out, "multipath.error %s\n", m->error);
    pthread_mutex_unlock(&m->lock);
}

/* ---- more than a store has ---- */

struct store *mpath_store_of(struct store *s)
{
    while (s && s->ops != &mpath_store_ops)
        s = s->lower;
    return s;
}

struct store_channel *mpath_channel_of(struct store_channel *ch)
{
    while (ch && ch->ops != &mpath_store_ops)
        ch = ch->lower;
    return ch;
}

const struct ini_disk_info *mpath_store_disk(const struct store *s)
{
    return &((const struct mpath_store *)s)->info;
}

struct ini_mpath *mpath_channel_paths(struct store_channel *ch)
{
    return list_entry(ch, struct mpath_channel, ch)->mpath;
}

void mpath_channel_end(struct store_channel *ch, void (*ended)(void *user), void *user)
{
    ini_mpath_end(list_entry(ch, struct mpath_channel, ch)->mpath, ended, user);
}

void mpath_channel_watch(struct store_channel *ch,
                         void (*bad_fn)(const struct bio *bio, const struct iscsi_icmd *cmd,
                                        void *user),
                         void *user)
{
    struct mpath_channel *c = list_entry(ch, struct mpath_channel, ch);
    c->bad = bad_fn;
    c->bad_user = user;
}

const struct store_ops mpath_store_ops = {
    .struct_bytes = sizeof(struct store_ops),
    .name = "multipath",
    .help = "one unit through several portals or targets; the target is a list of iSCSI URLs",
    .opts = options,
    .raw_target = true,
    .check = mpath_check,
    .open = mpath_open,
    .close = mpath_close,
    .channel_open = mpath_channel_open,
    .channel_close = mpath_channel_close,
    .submit = mpath_submit,
    .cancel = mpath_cancel,
    .stats = mpath_stats,
};
