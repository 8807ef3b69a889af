/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/session_cmd.h"
#include "initiator/session_conn.h"
#include "initiator/session_late.h"
#include "initiator/session_login.h"
#include "initiator/session_more.h"
#include "initiator/session_recover.h"

#include "base/alloc_heap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* ---- events of the core ---- */

static void open_session(struct ini_session *s)
{
    ini_login_up(s);
    ini_more_adjust(s);
}

static void on_logged_in(struct ini_conn *c)
{
    struct ini_session *s = c->s;
    c->phase = INI_CONN_UP;
    if (!c->leading) {
        ini_recover_done(s, c->cid);
        ini_more_up(s);
        return;
    }
    sock_peer_addr(c->lfd.fd, s->peer, sizeof(s->peer));
    if (ini_login_done(s))
        s->ops->check(s, s->user);
    else
        open_session(s);
}

#define CHAP_A_MD5 5u /* RFC 7143 12.1.3 */

/* There are targets that take the first hash in the list and know MD5 only (tgt): what they then
 * say is that the initiator is at fault. Offered was MD5 before, so this gives nothing away. */
static bool try_md5(struct ini_session *s, uint16_t status)
{
    if (status != ISCSI_LOGIN_INITIATOR_ERROR || !*s->url.secret || s->url.chap_hashes ||
        s->md5_only)
        return false;
    s->md5_only = true;
    s->attempt.again = true;
    iscsi_isess_set_hashes(s->core, 1u << CHAP_A_MD5);
    return true;
}

static void on_close(struct ini_conn *c, const struct iscsi_ievent *ev)
{
    struct ini_session *s = c->s;
    c->got_close = true;
    if (c->leading)
        s->attempt.reached = c->phase != INI_CONN_CONNECTING;
    if (ev->status >> 8 == 1 || c->dropped) /* redirected, or by us: all is said */
        return;
    if (c->leading && try_md5(s, ev->status))
        return;
    if (ev->status)
        ini_session_set_error(s, ev->err ? ev->err : USAN_EIO, "%s",
                              iscsi_login_status_text(ev->status));
    else if (ev->err == USAN_ETIMEOUT && c->phase == INI_CONN_CONNECTING)
        ini_session_set_error(s, USAN_ETIMEOUT, "cannot connect: no answer within %.3g s",
                              (double)s->url.login_timeout_ns / (double)NS_PER_SEC);
    else if (ev->err && c->phase != INI_CONN_CONNECTING)
        ini_session_set_error(s, ev->err, "%s%s%s", ev->why, ev->key ? ": " : "",
                              ev->key ? ev->key : "");
}

static void tmf_done(struct iscsi_itmf *scsi)
{
    struct ini_tmf *tmf = list_entry(scsi, struct ini_tmf, scsi);
    tmf->done(tmf);
}

/* Those of no connection. */
static void on_session_event(struct ini_session *s, const struct iscsi_ievent *ev)
{
    if (ev->type == ISCSI_IEV_DONE) {
        (void)ini_cmd_done(s, ev->cmd);
    } else if (ev->type == ISCSI_IEV_TMF_DONE) {
        tmf_done(ev->tmf);
    } else if (ev->type == ISCSI_IEV_RECOVER) {
        ini_recover_begin(s, ev);
    } else if (ev->type == ISCSI_IEV_RECOVERED) {
        ini_recover_end(s, ev->cid);
        ini_more_adjust(s);
    } else if (ev->type == ISCSI_IEV_SESSION_DOWN) {
        s->time2wait = ev->time2wait;
        s->down = true;
    }
}

static void on_event(struct ini_conn *c, const struct iscsi_ievent *ev)
{
    struct ini_session *s = c->s;
    switch (ev->type) {
    case ISCSI_IEV_LOGGED_IN:
        on_logged_in(c);
        break;
    case ISCSI_IEV_REDIRECT:
        if (c->leading)
            ini_login_redirected(s, ev->address, ev->permanent);
        break;
    case ISCSI_IEV_TARGET:
        if (s->ops && s->ops->target)
            s->ops->target(s, ev->target_name, ev->address, s->user);
        break;
    case ISCSI_IEV_TEXT_DONE:
        if (ev->err)
            ini_session_set_error(s, ev->err, "SendTargets: %s", ev->why);
        if (s->ops && s->ops->targets_done)
            s->ops->targets_done(s, ev->err, s->user);
        break;
    case ISCSI_IEV_CLOSE:
        on_close(c, ev);
        break;
    case ISCSI_IEV_ASYNC: /* the core has done what is to be done */
        break;
    case ISCSI_IEV_DONE:
    case ISCSI_IEV_TMF_DONE:
    case ISCSI_IEV_SESSION_DOWN:
    case ISCSI_IEV_RECOVER:
    case ISCSI_IEV_RECOVERED:
        on_session_event(s, ev);
        break;
    }
}

static void on_pulled(struct ini_conn *c)
{
    ini_cmds_alive(c->s);
    ini_recover_clock(c->s); /* a logout that was answered has another time to wait for */
    if (c->s->conn_count > 1)
        ini_more_look(c->s);
}

/* Nothing of it is left: what its commands were is sorted out, and it logs in anew. */
static void session_lost(struct ini_session *s)
{
    ini_late_stop(s);
    ini_more_stop(s);
    ini_recover_stop(s);
    s->down = s->abandon = false;
    if (s->ended) { /* as it should */
        s->phase = INI_PHASE_ENDED;
        if (!s->end_told)
            loop_work_queue(s->loop, &s->end_work);
        return;
    }
    if (s->phase == INI_PHASE_UP)
        ini_login_lost(s);
    else
        ini_login_failed(s);
    ini_cmds_take_back(s);
}

/* The last connection is gone. Does the session wait for another one (level 2)? */
static bool goes_on(struct ini_session *s)
{
    struct iscsi_ievent ev;
    if (s->abandon || s->one_of_many || s->ended || s->phase != INI_PHASE_UP)
        iscsi_isess_abandon(s->core, USAN_ECLOSED, "given up");
    while (iscsi_isess_next(s->core, &ev))
        on_session_event(s, &ev);
    return s->phase == INI_PHASE_UP && !s->down && s->lost_count;
}

static void on_gone(struct ini_conn *c)
{
    struct ini_session *s = c->s;
    bool up = s->phase == INI_PHASE_UP;
    if (s->conn_count == 0 && !goes_on(s)) {
        session_lost(s);
        return;
    }
    bool failing = iscsi_isess_failing(s->core);
    if (failing)
        ini_cmds_lost(s); /* the others end, too */
    else
        ini_cmds_alive(s); /* what a logout has ended goes by the others */
    if (!up || ini_recover_failed(s, c))
        return;
    if (c->leaving)
        ini_more_adjust(s);
    else if (c->phase != INI_CONN_UP || (!s->lost_count && !failing))
        ini_more_failed(s); /* not to be had; or the target wanted it back */
}

/* The core has said all, without a connection. */
static void on_clock(struct ini_session *s)
{
    if (s->down && s->conn_count == 0)
        session_lost(s);
    else
        ini_cmds_alive(s);
}

static const struct ini_conn_ops conn_ops = { .event = on_event,
                                              .pulled = on_pulled,
                                              .gone = on_gone };

/* ---- the owner's look at the unit ---- */

void ini_session_checked(struct ini_session *s, enum ini_checked result, const char *why)
{
    if (s->phase != INI_PHASE_CHECK || s->ended) /* lost in the meantime, or to be closed */
        return;
    if (result == INI_CHECK_GOOD) {
        open_session(s);
        return;
    }
    s->refused = result == INI_CHECK_OTHER;
    ini_session_set_error(s, s->refused ? USAN_EIO : USAN_EAGAIN, "%s", why);
    ini_conns_drop_all(s, USAN_ECANCELED);
}

void ini_session_drop(struct ini_session *s, const char *why)
{
    ini_session_set_error(s, USAN_EIO, "%s", why);
    ini_conns_drop_all(s, USAN_ECANCELED);
}

bool ini_session_reinstated(const struct ini_session *s)
{
    return s->was_up && (s->phase == INI_PHASE_CHECK || s->phase == INI_PHASE_UP) &&
           ini_portal_same_addr(&s->addr, &s->last_addr);
}

unsigned ini_session_place(const struct ini_session *s)
{
    return s->place;
}

int ini_session_send_targets(struct ini_session *s)
{
    struct ini_conn *c = ini_conns_first(s);
    if (s->phase != INI_PHASE_UP)
        return USAN_ECLOSED;
    int err = iscsi_iconn_send_targets(c->core, "All", loop_now(s->loop));
    if (!err)
        ini_conns_kick(s);
    return err;
}

/* ---- the end ---- */

static void run_end(struct loop_work *w)
{
    struct ini_session *s = list_entry(w, struct ini_session, end_work);
    loop_timer_cancel(s->loop, &s->end_timer);
    s->end_told = true;
    s->ended(s->ended_user);
}

static void end_fired(struct loop_timer *t)
{
    struct ini_session *s = list_entry(t, struct ini_session, end_timer);
    loop_work_queue(s->loop, &s->end_work);
}

void ini_session_end(struct ini_session *s, void (*ended)(void *user), void *user)
{
    uint64_t now = loop_now(s->loop);
    bool up = s->phase == INI_PHASE_UP || s->phase == INI_PHASE_CHECK;
    s->ended = ended;
    s->ended_user = user;
    ini_login_fini(s); /* no more connections */
    ini_recover_fini(s);
    ini_more_fini(s);
    ini_late_fini(s);
    if (up && iscsi_isess_logout(s->core, now) == 0 &&
        loop_timer_set(s->loop, &s->end_timer, now + INI_LOGOUT_NS) == 0)
        ini_conns_wake(s);
    else
        loop_work_queue(s->loop, &s->end_work);
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
        .params = u->params,
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
    /* What is negotiated can not grow later; it is no promise to have as many. */
    c.params.error_recovery_level = s->discovery ? 0 : u->error_recovery;
    c.params.max_connections = s->discovery ? 1 : INI_CONNECTIONS_MAX;
    use_digest(u->header_digest, &c.params.header_digest, &c.params.header_digest_required);
    use_digest(u->data_digest, &c.params.data_digest, &c.params.data_digest_required);
    int err = ini_isid_take(u, &s->isid);
    if (!err)
        memcpy(c.isid, ini_isid_bytes(s->isid), sizeof(c.isid));
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
    s->one_of_many = cfg->one_of_many;
    s->retry_first = cfg->retry_first;
    if (!*s->url.initiator)
        ini_machine_name(s->url.initiator);
    loop_timer_init(&s->end_timer, end_fired);
    loop_work_init(&s->end_work, run_end);
    ini_cmds_init(s);
    ini_conns_init(s, &conn_ops);
    ini_late_init(s);
    ini_more_init(s);
    ini_recover_init(s, on_session_event, on_clock);
    int err = make_core(s, e);
    if (!err && ini_login_init(s))
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
    loop_timer_cancel(s->loop, &s->end_timer);
    loop_work_cancel(&s->end_work);
    ini_login_fini(s);
    ini_recover_fini(s);
    ini_more_fini(s);
    ini_late_fini(s);
    ini_cmds_fini(s);
    ini_conns_fini(s);
    iscsi_isess_free(s->core);
    ini_isid_give(s->isid);
    ini_url_wipe(&s->url);
    free(s->rx_buf);
    free(s);
}

/* ---- what it is like ---- */

bool ini_session_up(const struct ini_session *s)
{
    return s->phase == INI_PHASE_UP;
}

bool ini_session_checking(const struct ini_session *s)
{
    return s->phase == INI_PHASE_CHECK;
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
