/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/sync.h"

#include "initiator/status.h"
#include "io/clock.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SENSE_BYTES  252
#define RETRIES_MAX  64 /* unit attentions in a row: several conditions may be pending */
#define BUSY_NS      (10 * NS_PER_SEC)
#define BUSY_STEP_NS (50 * NS_PER_MS)

struct ini_sync {
    struct loop *loop;
    struct ini_session *session;
    struct ini_portal portal;
    bool failed;
    bool busy;                   /* a command is under way */
    struct ini_targets *targets; /* being collected */
    int targets_err;
};

/* ---- events ---- */

static void changed(struct ini_session *s, enum ini_change change, void *user)
{
    struct ini_sync *sync = user;
    (void)s;
    if (change == INI_FAILED)
        sync->failed = true;
    /* Of other changes commands that wait for them come back by themselves. */
    if (change == INI_FAILED || change == INI_LOGGED_IN)
        loop_stop(sync->loop);
}

static bool same_target(const struct ini_targets *t, const char *name)
{
    return t->count && strcmp(t->v[t->count - 1].name, name) == 0;
}

static int add_target(struct ini_targets *t, const char *name)
{
    if (t->count == INI_TARGETS_MAX)
        return USAN_ELIMIT;
    struct ini_target *v = reallocarray(t->v, t->count + 1, sizeof(*v));
    if (!v)
        return USAN_ENOMEM;
    t->v = v;
    t->v[t->count] = (struct ini_target){ .name = strdup(name) };
    if (!t->v[t->count].name)
        return USAN_ENOMEM;
    t->count++;
    return 0;
}

static int add_address(struct ini_target *t, const char *address)
{
    if (t->address_count == INI_ADDRESSES_MAX)
        return USAN_ELIMIT;
    char **v = reallocarray(t->addresses, t->address_count + 1, sizeof(*v));
    if (!v)
        return USAN_ENOMEM;
    t->addresses = v;
    v[t->address_count] = strdup(address);
    if (!v[t->address_count])
        return USAN_ENOMEM;
    ini_printable(v[t->address_count]); /* one that is an address stays as it is */
    t->address_count++;
    return 0;
}

static void target(struct ini_session *s, const char *name, const char *address, void *user)
{
    struct ini_sync *sync = user;
    struct ini_targets *t = sync->targets;
    if (!t || sync->targets_err)
        return;
    if (!same_target(t, name))
        sync->targets_err = add_target(t, name);
    if (!sync->targets_err)
        sync->targets_err =
            add_address(&t->v[t->count - 1], address ? address : ini_session_peer(s));
}

static void targets_done(struct ini_session *s, int err, void *user)
{
    struct ini_sync *sync = user;
    (void)s;
    if (!sync->targets_err)
        sync->targets_err = err;
    sync->targets = NULL;
    loop_stop(sync->loop);
}

static const struct ini_session_ops sync_ops = { .changed = changed,
                                                 .target = target,
                                                 .targets_done = targets_done };

/* ---- life ---- */

int ini_sync_open(const struct ini_url *url, struct ini_sync **ret_sync, struct err_text *e)
{
    struct ini_sync *sync = calloc(1, sizeof(*sync));
    if (!sync)
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    struct ini_session_config cfg = { .url = url,
                                      .portal = &sync->portal,
                                      .discovery = !*url->target,
                                      .ops = &sync_ops,
                                      .user = sync };
    /* epoll: a ring would be made for a few commands only */
    const struct loop_config lc = { .engine = LOOP_ENGINE_EPOLL,
                                    .poll = LOOP_POLL_NEVER,
                                    .cpu = -1 };
    int err = ini_portal_resolve(url->host, url->port, &sync->portal, e);
    if (!err)
        err = loop_new(&lc, &sync->loop, e);
    if (!err)
        err = ini_session_new(sync->loop, &cfg, &sync->session, e);
    if (!err) {
        while (!sync->failed && !ini_session_up(sync->session))
            loop_run(sync->loop);
        if (sync->failed)
            err = err_set(e, ini_session_error_code(sync->session), "%s",
                          ini_session_error(sync->session));
    }
    if (err) {
        ini_sync_close(sync);
        return err;
    }
    *ret_sync = sync;
    return 0;
}

void ini_sync_close(struct ini_sync *sync)
{
    if (!sync)
        return;
    ini_session_free(sync->session);
    loop_free(sync->loop);
    free(sync);
}

struct ini_session *ini_sync_session(struct ini_sync *sync)
{
    return sync->session;
}

const struct ini_portal *ini_sync_portal(const struct ini_sync *sync)
{
    return &sync->portal;
}

/* ---- commands ---- */

static void sync_done(struct ini_cmd *cmd)
{
    struct ini_sync *sync = cmd->scsi.user;
    sync->busy = false;
    loop_stop(sync->loop);
}

void ini_sync_run(struct ini_sync *sync, struct ini_cmd *cmd)
{
    assert(!sync->busy);
    sync->busy = true;
    cmd->scsi.user = sync;
    cmd->done = sync_done;
    ini_session_submit(sync->session, cmd);
    while (sync->busy) /* other things stop the loop, too */
        loop_run(sync->loop);
}

/* Until it was carried out, or can not be. cmd->scsi has its "in" fields but for the sense data. */
static int carry_out(struct ini_sync *sync, uint16_t lun, struct ini_cmd *cmd, const char *what,
                     struct err_text *e)
{
    uint8_t sense[SENSE_BYTES];
    uint64_t end = clock_now_ns() + BUSY_NS;
    char words[128];
    int err = USAN_EIO;
    const struct ini_cmd fresh = *cmd;
    for (unsigned tries = 0;; tries++) {
        *cmd = fresh;
        cmd->scsi.sense = sense;
        cmd->scsi.sense_cap = sizeof(sense);
        ini_sync_run(sync, cmd);
        enum ini_verdict v = ini_scsi_judge(&cmd->scsi, cmd->again == INI_AGAIN, &err);
        if (v == INI_GOOD)
            return 0;
        bool late = clock_now_ns() >= end;
        if (v == INI_BAD || late || tries == RETRIES_MAX) {
            ini_scsi_words(&cmd->scsi, words, sizeof(words));
            return err_set(e, v == INI_BAD ? err : USAN_ETIMEOUT, "LUN %u: %s: %s", lun, what,
                           words);
        }
        if (v == INI_RETRY_LATER) {
            struct timespec step = { .tv_nsec = BUSY_STEP_NS };
            (void)nanosleep(&step, NULL);
        }
    }
}

int ini_sync_ask(struct ini_sync *sync, uint16_t lun, const uint8_t *cdb, uint16_t cdb_len,
                 void *in, uint32_t in_len, uint32_t *ret_got, const char *what, struct err_text *e)
{
    struct iovec iov = { .iov_base = in, .iov_len = in_len };
    struct ini_cmd cmd = { .scsi = { .lun = ini_lun_field(lun),
                                     .cdb = cdb,
                                     .cdb_len = cdb_len,
                                     .attr = 1,
                                     .in = in_len ? &iov : NULL,
                                     .in_cnt = in_len ? 1 : 0,
                                     .in_len = in_len },
                           .again = INI_AGAIN };
    int err = carry_out(sync, lun, &cmd, what, e);
    if (!err && ret_got)
        *ret_got = cmd.scsi.in_got;
    return err;
}

int ini_sync_tell(struct ini_sync *sync, uint16_t lun, const uint8_t *cdb, uint16_t cdb_len,
                  void *out, uint32_t out_len, const char *what, struct err_text *e)
{
    struct iovec iov = { .iov_base = out, .iov_len = out_len };
    struct ini_cmd cmd = { .scsi = { .lun = ini_lun_field(lun),
                                     .cdb = cdb,
                                     .cdb_len = cdb_len,
                                     .attr = 1,
                                     .out = out_len ? &iov : NULL,
                                     .out_cnt = out_len ? 1 : 0,
                                     .out_len = out_len },
                           .again = INI_AGAIN_NEVER };
    return carry_out(sync, lun, &cmd, what, e);
}

/* ---- discovery ---- */

int ini_sync_targets(struct ini_sync *sync, struct ini_targets *ret_targets, struct err_text *e)
{
    struct ini_targets t = { .count = 0 };
    sync->targets = &t;
    sync->targets_err = 0;
    int err = ini_session_send_targets(sync->session);
    while (!err && sync->targets && !sync->failed)
        loop_run(sync->loop);
    sync->targets = NULL;
    if (!err)
        err = sync->targets_err;
    if (err) {
        ini_targets_fini(&t);
        const char *why = ini_session_error(sync->session);
        return err_set(e, err, "%s", *why ? why : usan_strerror(err));
    }
    *ret_targets = t;
    return 0;
}

void ini_targets_fini(struct ini_targets *targets)
{
    for (size_t i = 0; i < targets->count; i++) {
        for (size_t j = 0; j < targets->v[i].address_count; j++)
            free(targets->v[i].addresses[j]);
        free(targets->v[i].addresses);
        free(targets->v[i].name);
    }
    free(targets->v);
    *targets = (struct ini_targets){ .count = 0 };
}
