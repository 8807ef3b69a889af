/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/isess.h"

#include "iscsi/ilogin_auth.h"
#include "iscsi/itask.h"
#include "iscsi/itask_tx.h"
#include "iscsi/names.h"
#include "iscsi/text.h"

#include <assert.h>

#include <openssl/crypto.h>

const struct iscsi_params_cfg iscsi_iparams_default = {
    .max_recv_data_segment = 262144,
    .max_burst = 1048576,
    .first_burst = 262144,
    .max_outstanding_r2t = 8,
    .max_connections = 8,
    .time2wait = 0,
    .time2retain = 20,
    .error_recovery_level = 0,
    .initial_r2t = false,
    .immediate_data = true,
    .data_pdu_in_order = true,
    .data_sequence_in_order = true,
};

/* ---- life ---- */

static size_t string_len(const char *s)
{
    return s ? strlen(s) + 1 : 0;
}

static const char *string_copy(char **p, const char *s)
{
    size_t len = string_len(s);
    if (!s)
        return NULL;
    char *copy = *p;
    memcpy(copy, s, len);
    *p += len;
    return copy;
}

/* The strings of cfg in memory of our own. */
static int copy_strings(struct iscsi_isess *sess)
{
    struct iscsi_isess_config *c = &sess->cfg;
    struct iscsi_iauth *auth = &c->auth;
    const char **const all[] = { &c->initiator_name,  &c->initiator_alias, &c->target_name,
                                 &auth->user,         &auth->secret,       &auth->target_user,
                                 &auth->target_secret };
    size_t len = 0;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        len += string_len(*all[i]);
    sess->strings = alloc_get(sess->a, len);
    if (!sess->strings)
        return USAN_ENOMEM;
    sess->strings_len = len;
    char *p = sess->strings;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        *all[i] = string_copy(&p, *all[i]);
    return 0;
}

static bool text_fits(const char *s)
{
    return !s || (s[0] && strlen(s) <= ISCSI_VALUE_MAX);
}

static int check_config(const struct iscsi_isess_config *cfg)
{
    const struct iscsi_iauth *auth = &cfg->auth;
    if (!cfg->initiator_name || !iscsi_name_valid(cfg->initiator_name) ||
        (cfg->target_name ? !iscsi_name_valid(cfg->target_name) : !cfg->discovery) ||
        cfg->queue_depth < 1 || cfg->queue_depth > ISCSI_QUEUE_DEPTH_MAX)
        return USAN_EINVAL;
    if (!text_fits(cfg->initiator_alias) || !text_fits(auth->user) || !text_fits(auth->target_user))
        return USAN_EINVAL;
    /* 12.1.3: one secret for both directions would let the target send our answer back. */
    if ((auth->secret && !auth->user) || (auth->target_secret && !auth->secret) ||
        (auth->target_secret && !strcmp(auth->secret, auth->target_secret)))
        return USAN_EINVAL;
    if (auth->secret && !ilogin_auth_possible(auth))
        return USAN_ENOTSUP;
    return cfg->params.error_recovery_level > 2 ? USAN_EINVAL : 0;
}

void isess_renumber(struct iscsi_isess *sess)
{
    sess->cmd_sn = be32_get(sess->cfg.seed) + (sess->logins << 16);
    sess->exp_cmd_sn = sess->cmd_sn;
    sess->max_cmd_sn = sess->cmd_sn - 1; /* closed until the target says otherwise */
    sess->promised = sess->fences = 0;
    sess->giving_up = false;
}

int iscsi_isess_new(const struct iscsi_isess_config *cfg, const struct alloc *a,
                    struct iscsi_isess **ret_sess)
{
    int err = check_config(cfg);
    if (err)
        return err;
    struct iscsi_isess *sess = alloc_zero(a, sizeof *sess);
    if (!sess)
        return USAN_ENOMEM;
    sess->a = a;
    sess->cfg = *cfg;
    if (sess->cfg.params.max_outstanding_r2t > ISCSI_IR2T_MAX)
        sess->cfg.params.max_outstanding_r2t = ISCSI_IR2T_MAX;
    sess->state = ISCSI_SESS_FREE;
    /* 13.19: as recovery may go back to the last sequence only, there is only one */
    if (sess->cfg.params.error_recovery_level && sess->cfg.params.data_sequence_in_order)
        sess->cfg.params.max_outstanding_r2t = 1;
    list_init(&sess->conns);
    list_init(&sess->lost);
    list_init(&sess->reports);
    list_init(&sess->urgent);
    list_init(&sess->queue);
    list_init(&sess->done);
    list_init(&sess->tmfs_done);
    sess->generation = be32_get(cfg->seed + 4);
    isess_renumber(sess);
    err = copy_strings(sess);
    if (err) {
        iscsi_isess_free(sess);
        return err;
    }
    *ret_sess = sess;
    return 0;
}

static void free_lost(struct iscsi_isess *sess)
{
    struct list *node;
    while ((node = list_pop_front(&sess->lost)) != NULL) {
        struct ilost *lost = list_entry(node, struct ilost, node);
        list_del(&lost->report_node);
        alloc_put(sess->a, lost);
    }
    while ((node = list_pop_front(&sess->reports)) != NULL)
        alloc_put(sess->a, list_entry(node, struct ilost, report_node));
}

void iscsi_isess_free(struct iscsi_isess *sess)
{
    if (!sess)
        return;
    assert(list_empty(&sess->conns));
    free_lost(sess);
    itask_pool_free(sess);
    if (sess->strings)
        OPENSSL_cleanse(sess->strings, sess->strings_len);
    alloc_put(sess->a, sess->strings);
    alloc_put(sess->a, sess);
}

void iscsi_isess_set_hashes(struct iscsi_isess *sess, unsigned algs)
{
    sess->cfg.auth.algs = algs;
}

/* ---- the window ---- */

bool isess_window(struct iscsi_isess *sess, const uint8_t *bhs, uint64_t now_ns)
{
    uint32_t exp = bhs_exp_cmd_sn(bhs), max = bhs_max_cmd_sn(bhs);

    if (sn_lt(max, exp - 1)) /* both are to be ignored */
        return true;
    if (sn_lt(sess->cmd_sn, exp))
        return false;
    /* Older values come on other connections: neither goes back. */
    if (sn_lt(sess->exp_cmd_sn, exp)) {
        sess->exp_cmd_sn = exp;
        sess->unacked_ns = now_ns;
    }
    if (sn_lt(sess->max_cmd_sn, max))
        sess->max_cmd_sn = max;
    return true;
}

static bool window_open(const struct iscsi_isess *sess)
{
    return !sn_lt(sess->max_cmd_sn, sess->cmd_sn + sess->promised);
}

/* ---- starting commands ---- */

struct iscsi_iconn *isess_least_loaded(const struct iscsi_isess *sess)
{
    struct iscsi_iconn *best = NULL;
    list_for_each (&sess->conns, pos) {
        struct iscsi_iconn *conn = list_entry(pos, struct iscsi_iconn, node);
        if (iconn_accepts(conn) && (!best || conn->load < best->load))
            best = conn;
    }
    return best;
}

static void unqueue(struct iscsi_isess *sess, struct iscsi_icmd *cmd)
{
    list_del(&cmd->node);
    cmd->queued = false;
    sess->queued--;
}

/* False: no task can be had now. */
static bool start(struct iscsi_isess *sess, struct iscsi_icmd *cmd, struct iscsi_iconn *conn)
{
    struct itask *t = itask_get(conn, false);
    if (!t) {
        if (sess->active)
            return false; /* as soon as one is done */
        unqueue(sess, cmd);
        itask_report(sess, cmd, USAN_ENOMEM, "out of memory for a command");
        return true;
    }
    unqueue(sess, cmd);
    cmd->task = t;
    if (!cmd->immediate) {
        sess->promised++;
        sess->fences += itask_is_fence(cmd);
    }
    int err = itask_tx_start(t, cmd);
    if (err)
        itask_end(t, err, "out of memory for a command");
    return true;
}

/* CmdSN is given when a command goes out, in the order of one connection and in any order of
 * several. One whose place matters (SAM-6 8.6) does not start beside others then. */
static bool out_of_order(const struct iscsi_isess *sess, const struct iscsi_icmd *cmd)
{
    return sess->conn_count > 1 && sess->promised > 0 &&
           (sess->fences > 0 || cmd->attr == IATTR_ORDERED);
}

void isess_start(struct iscsi_isess *sess)
{
    sess->fenced = false;
    while (!list_empty(&sess->urgent) || !list_empty(&sess->queue)) {
        struct iscsi_iconn *conn = isess_least_loaded(sess);
        struct list *from = !list_empty(&sess->urgent) ? &sess->urgent : &sess->queue;
        struct iscsi_icmd *cmd = list_entry(from->next, struct iscsi_icmd, node);
        if (from == &sess->queue) {
            sess->fenced = out_of_order(sess, cmd);
            if (sess->fenced || !window_open(sess))
                return;
        }
        if (!conn || !start(sess, cmd, conn))
            return;
    }
}

static size_t iov_bytes(const struct iovec *iov, int cnt)
{
    size_t n = 0;
    for (int i = 0; i < cnt; i++)
        n += iov[i].iov_len;
    return n;
}

static bool command_valid(const struct iscsi_icmd *cmd)
{
    return cmd->cdb && cmd->cdb_len >= 1 && cmd->cdb_len <= ISCSI_CDB_MAX && cmd->attr <= 4 &&
           cmd->priority <= 15 && cmd->in_len <= ISCSI_IDATA_MAX &&
           cmd->out_len <= ISCSI_IDATA_MAX && cmd->in_cnt >= 0 && cmd->out_cnt >= 0 &&
           cmd->in_cnt <= ISCSI_IV_MAX && cmd->out_cnt <= ISCSI_IV_MAX &&
           (!cmd->in_len || iov_bytes(cmd->in, cmd->in_cnt) >= cmd->in_len) &&
           (!cmd->out_len || iov_bytes(cmd->out, cmd->out_cnt) >= cmd->out_len);
}

int iscsi_isess_submit(struct iscsi_isess *sess, struct iscsi_icmd *cmd)
{
    if (!command_valid(cmd))
        return USAN_EINVAL;
    if (sess->cfg.discovery) /* 4.3: no SCSI there */
        return USAN_ENOTSUP;
    if (sess->closing)
        return USAN_ECLOSED;
    cmd->err = 0;
    cmd->why = NULL;
    cmd->task = NULL;
    cmd->sent = cmd->canceled = false;
    cmd->status = cmd->response = 0;
    cmd->status_qualifier = cmd->sense_len = 0;
    cmd->in_got = cmd->out_sent = cmd->residual = cmd->in_residual = 0;
    cmd->resid = cmd->in_resid = ISCSI_RESID_NONE;
    cmd->queued = true;
    cmd->place = sess->places++;
    sess->queued++;
    list_push_back(cmd->immediate ? &sess->urgent : &sess->queue, &cmd->node);
    isess_start(sess);
    return 0;
}

void iscsi_isess_fail_queued(struct iscsi_isess *sess, int err, const char *why)
{
    struct list *const lists[] = { &sess->urgent, &sess->queue };
    for (int i = 0; i < 2; i++) {
        while (!list_empty(lists[i])) {
            struct iscsi_icmd *cmd = list_entry(lists[i]->next, struct iscsi_icmd, node);
            unqueue(sess, cmd);
            itask_report(sess, cmd, err, why);
        }
    }
}

/* ---- connections ---- */

void isess_down(struct iscsi_isess *sess, int err, const char *why)
{
    sess->report_down = true;
    sess->down_err = err;
    sess->down_why = why;
    sess->promised = sess->fences = 0;
}

void isess_leave(struct iscsi_iconn *conn, bool kept)
{
    struct iscsi_isess *sess = conn->sess;

    list_del(&conn->node);
    conn->joined = false;
    sess->conn_count--;
    if (sess->state != ISCSI_SESS_LOGGED_IN)
        return;
    /* A logout of the session makes the target close all: these may end before the answer comes. */
    bool logged_out = sess->closing && !conn->logout_sent;
    if (conn->was_up && !conn->orderly && !kept && !logged_out) {
        /* Below recovery level 2 the session ends with the first of its connections that fails
         * (7.1.4.1). */
        sess->giving_up = true;
        list_for_each (&sess->conns, pos)
            iconn_fail(list_entry(pos, struct iscsi_iconn, node), USAN_ECLOSED,
                       "another connection of the session failed");
    }
    if (sess->conn_count > 0)
        return;
    isess_step(sess, conn->orderly ? ISCSI_SESS_EV_CLOSED : ISCSI_SESS_EV_CONNS_FAILED);
    if (kept)
        return;
    isess_down(sess, conn->err, conn->why);
    if (sess->closing)
        iscsi_isess_fail_queued(sess, USAN_ECANCELED, "the session was logged out");
    sess->closing = false;
}

struct iscsi_iconn *iscsi_isess_next_conn(struct iscsi_isess *sess, struct iscsi_iconn *prev)
{
    struct list *next = prev ? prev->node.next : sess->conns.next;
    return next == &sess->conns ? NULL : list_entry(next, struct iscsi_iconn, node);
}

/* ---- events and what the owner may look at ---- */

static void report_lost(struct iscsi_isess *sess, struct iscsi_ievent *ev)
{
    struct ilost *lost = list_entry(list_pop_front(&sess->reports), struct ilost, report_node);
    ev->cid = lost->cid;
    if (lost->reported) {
        ev->type = ISCSI_IEV_RECOVERED;
        ev->reassigned = lost->reassigned;
        alloc_put(sess->a, lost);
        return;
    }
    lost->reported = true;
    ev->type = ISCSI_IEV_RECOVER;
    ev->last = lost->last;
    ev->time2wait = lost->time2wait;
    ev->time2retain = lost->time2retain;
    ev->err = lost->err;
    ev->why = lost->why;
    if (lost->over) /* settled already */
        list_push_back(&sess->reports, &lost->report_node);
}

bool iscsi_isess_next(struct iscsi_isess *sess, struct iscsi_ievent *ev)
{
    struct list *node = list_pop_front(&sess->done);
    if (node) {
        ev->type = ISCSI_IEV_DONE;
        ev->cmd = list_entry(node, struct iscsi_icmd, node);
        return true;
    }
    node = list_pop_front(&sess->tmfs_done);
    if (node) {
        ev->type = ISCSI_IEV_TMF_DONE;
        ev->tmf = list_entry(node, struct iscsi_itmf, node);
        return true;
    }
    if (!list_empty(&sess->reports)) {
        report_lost(sess, ev);
        return true;
    }
    if (!sess->report_down)
        return false;
    sess->report_down = false;
    ev->type = ISCSI_IEV_SESSION_DOWN;
    ev->err = sess->down_err;
    ev->why = sess->down_why;
    ev->time2wait = sess->params.time2wait;
    ev->time2retain = sess->params.time2retain;
    return true;
}

const struct iscsi_isess_stats *iscsi_isess_stats(const struct iscsi_isess *sess)
{
    return &sess->stats;
}

const struct iscsi_params *iscsi_isess_params(const struct iscsi_isess *sess)
{
    return &sess->params;
}

uint16_t iscsi_isess_tsih(const struct iscsi_isess *sess)
{
    return sess->tsih;
}

const char *iscsi_isess_state(const struct iscsi_isess *sess)
{
    return iscsi_sess_state_name(sess->state);
}

unsigned iscsi_isess_active(const struct iscsi_isess *sess)
{
    return sess->active;
}

unsigned iscsi_isess_queued(const struct iscsi_isess *sess)
{
    return sess->queued;
}

bool iscsi_isess_failing(const struct iscsi_isess *sess)
{
    return sess->giving_up;
}
