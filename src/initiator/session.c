/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/session_priv.h"

#include "base/alloc_heap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* ---- commands ---- */

static void run_done(struct loop_work *w)
{
    struct ini_session *s = list_entry(w, struct ini_session, complete);
    struct list batch;
    list_init(&batch);
    list_splice_back(&batch, &s->over);
    while (!list_empty(&batch)) {
        struct ini_cmd *cmd = list_entry(list_pop_front(&batch), struct ini_cmd, node);
        cmd->done(cmd);
    }
}

void ini_session_finish(struct ini_session *s, struct ini_cmd *cmd, int err, const char *why)
{
    cmd->scsi.err = err;
    cmd->scsi.why = why;
    list_push_back(&s->over, &cmd->node);
    loop_work_queue(s->loop, &s->complete);
}

static void submit(struct ini_session *s, struct ini_cmd *cmd)
{
    int err = iscsi_isess_submit(s->core, &cmd->scsi);
    if (err)
        ini_session_finish(s, cmd, err, usan_strerror(err));
    else if (s->conn)
        loop_work_queue(s->loop, &s->flush);
}

void ini_session_submit(struct ini_session *s, struct ini_cmd *cmd)
{
    cmd->resent = 0;
    cmd->seen = false;
    cmd->scsi.sent = false;
    if (s->given_up || s->phase == INI_PHASE_ENDED)
        ini_session_finish(s, cmd, s->error_code ? s->error_code : USAN_ECLOSED,
                           "there is no session with the target");
    else
        submit(s, cmd);
}

void ini_session_sort_lost(struct ini_session *s)
{
    while (!list_empty(&s->lost)) {
        struct ini_cmd *cmd = list_entry(list_pop_front(&s->lost), struct ini_cmd, node);
        bool again = !cmd->scsi.sent || cmd->again != INI_AGAIN_NEVER;
        if (cmd->scsi.canceled) {
            ini_session_finish(s, cmd, USAN_ECANCELED, "canceled, and then the session was lost");
            continue;
        }
        if (!again || s->given_up || s->phase == INI_PHASE_ENDED || cmd->resent == INI_RESENDS_MAX)
            ini_session_finish(s, cmd, cmd->scsi.err, cmd->scsi.why);
        else
            list_push_back(&s->again, &cmd->node);
    }
}

/* Why cmd, which may have reached the target, is not done twice; NULL if it may be. */
static const char *not_again(const struct ini_session *s, const struct ini_cmd *cmd)
{
    if (!cmd->seen || cmd->again != INI_AGAIN_WRITE)
        return NULL;
    if (!ini_portal_same_addr(&s->addr, &s->last_addr))
        return "the session came back at another address: the write may be under way at the first "
               "one";
    if (s->ops && s->ops->write_again && !s->ops->write_again(s, s->user))
        return "the session was lost, and others write to the unit too: the write may or may not "
               "have been written";
    return NULL;
}

void ini_session_send_again(struct ini_session *s)
{
    const char *unsure = NULL;
    struct list batch;
    list_init(&batch);
    list_splice_back(&batch, &s->again);
    while (!list_empty(&batch)) {
        struct ini_cmd *cmd = list_entry(list_pop_front(&batch), struct ini_cmd, node);
        cmd->seen |= cmd->scsi.sent; /* it may not be sent before the next loss */
        const char *why = not_again(s, cmd);
        if (why) {
            unsure = why;
            s->stats.unsure++;
            ini_session_finish(s, cmd, USAN_EIO, why);
            continue;
        }
        cmd->resent++;
        cmd->scsi.sent = false;
        s->stats.resent++;
        submit(s, cmd);
    }
    if (unsure)
        ini_session_set_error(s, USAN_EIO, "%s", unsure);
}

void ini_session_fail_waiting(struct ini_session *s)
{
    static const char why[] = "the session was lost and did not come back in time";
    int err = s->phase == INI_PHASE_ENDED && s->error_code ? s->error_code : USAN_ETIMEOUT;
    while (!list_empty(&s->again))
        ini_session_finish(s, list_entry(list_pop_front(&s->again), struct ini_cmd, node), err,
                           why);
    /* They come back as events: nothing but these is pending while there is no connection. */
    iscsi_isess_fail_queued(s->core, err, why);
    struct iscsi_ievent ev;
    while (iscsi_isess_next(s->core, &ev)) {
        if (ev.type == ISCSI_IEV_DONE)
            ini_session_finish(s, list_entry(ev.cmd, struct ini_cmd, scsi), ev.cmd->err,
                               ev.cmd->why);
    }
}

void ini_session_changed(struct ini_session *s, enum ini_change change)
{
    if (s->ops && s->ops->changed)
        s->ops->changed(s, change, s->user);
}

int ini_session_send_targets(struct ini_session *s)
{
    if (s->phase != INI_PHASE_UP)
        return USAN_ECLOSED;
    int err = iscsi_iconn_send_targets(s->conn, "All", loop_now(s->loop));
    if (!err)
        loop_work_queue(s->loop, &s->flush);
    return err;
}

/* ---- life ---- */

static void use_digest(enum ini_digest digest, bool *ret_offer, bool *ret_require)
{
    *ret_offer = digest != INI_DIGEST_NONE;
    *ret_require = digest == INI_DIGEST_REQUIRED;
}

static int make_core(struct ini_session *s, struct err_text *e)
{
    const struct ini_url *u = &s->url;
    struct iscsi_isess_config c = {
        .params = iscsi_iparams_default,
        .initiator_name = u->initiator,
        .target_name = *u->target && !s->discovery ? u->target : NULL,
        .auth = { .algs = u->chap_hashes,
                  .user = *u->secret ? u->user : NULL,
                  .secret = *u->secret ? u->secret : NULL,
                  .target_user = *u->target_user ? u->target_user : NULL,
                  .target_secret = *u->target_secret ? u->target_secret : NULL },
        .discovery = s->discovery,
        .queue_depth = u->queue_depth,
        .login_timeout_ns = u->login_timeout_ns,
        .request_timeout_ns = u->login_timeout_ns,
        .nop_interval_ns = u->nop_interval_ns,
        .nop_timeout_ns = u->nop_timeout_ns,
    };
    /* A target that wants no credentials is as good, unless it has to prove who it is. */
    c.auth.optional = !c.auth.target_secret;
    c.params.max_connections = 1;
    use_digest(u->header_digest, &c.params.header_digest, &c.params.header_digest_required);
    use_digest(u->data_digest, &c.params.data_digest, &c.params.data_digest_required);
    int err = 0;
    if (u->has_isid)
        memcpy(c.isid, u->isid, sizeof(c.isid));
    else
        err = ini_make_isid(c.isid);
    if (!err && getrandom(c.seed, sizeof(c.seed), 0) != (ssize_t)sizeof(c.seed))
        err = USAN_EIO;
    if (!err)
        err = iscsi_isess_new(&c, &alloc_heap, &s->core);
    explicit_bzero(c.seed, sizeof(c.seed));
    return err ? err_set(e, err, "%s", usan_strerror(err)) : 0;
}

int ini_session_new(struct loop *loop, const struct ini_session_config *cfg,
                    struct ini_session **ret_session, struct err_text *e)
{
    struct ini_session *s = calloc(1, sizeof(*s));
    if (!s || !(s->rx_buf = malloc(INI_RX_BYTES))) {
        free(s);
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    }
    s->loop = loop;
    s->ops = cfg->ops;
    s->user = cfg->user;
    s->url = *cfg->url;
    s->home = *cfg->portal;
    s->discovery = cfg->discovery;
    s->retry_first = cfg->retry_first;
    if (!*s->url.initiator)
        ini_machine_name(s->url.initiator);
    list_init(&s->lost);
    list_init(&s->again);
    list_init(&s->over);
    loop_work_init(&s->complete, run_done);
    loop_timer_init(&s->retry, ini_login_timer_fired);
    ini_conn_init(s);
    int err = make_core(s, e);
    /* The first attempt begins from the loop, so that its failure is told from there. */
    if (!err && loop_timer_set(loop, &s->retry, 0))
        err = err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    if (err) {
        ini_session_free(s);
        return err;
    }
    *ret_session = s;
    return 0;
}

void ini_session_free(struct ini_session *s)
{
    if (!s)
        return;
    loop_timer_cancel(s->loop, &s->retry);
    loop_work_cancel(&s->complete);
    if (s->conn)
        ini_conn_shut(s);
    iscsi_isess_free(s->core);
    ini_url_wipe(&s->url);
    free(s->rx_buf);
    free(s);
}

/* ---- what it is like ---- */

bool ini_session_up(const struct ini_session *s)
{
    return s->phase == INI_PHASE_UP;
}

const char *ini_session_error(const struct ini_session *s)
{
    return s->error.text;
}

int ini_session_error_code(const struct ini_session *s)
{
    return s->error_code;
}

const char *ini_session_peer(const struct ini_session *s)
{
    return s->peer;
}

const struct iscsi_params *ini_session_params(const struct ini_session *s)
{
    return iscsi_isess_params(s->core);
}

const struct ini_session_stats *ini_session_stats(const struct ini_session *s)
{
    return &s->stats;
}
