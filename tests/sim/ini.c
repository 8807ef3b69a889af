/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The owner of an initiator's core: one session of up to SIM_CONNS connections, which it makes
 * again when they are gone. What becomes of commands is in answer.c. */
#include "sim.h"

#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- sessions ---- */

static bool make_session(struct sim_ini *ini)
{
    struct sim *sim = ini->sim;
    const struct sim_options *o = &sim->opt;
    char name[64];
    /* The third one is another session of the first initiator. */
    (void)snprintf(name, sizeof(name), "iqn.2026-01.test:ini%u", ini->index % 2);
    struct iscsi_isess_config c = {
        .params = iscsi_iparams_default,
        .initiator_name = name,
        .target_name = "iqn.2026-01.test:disk",
        .isid = { 0x80, 0, 0, 0, 0, (uint8_t)ini->index },
        .queue_depth = SIM_DEPTH,
        .login_timeout_ns = 20 * NS_PER_SEC,
        .request_timeout_ns = 20 * NS_PER_SEC,
        .nop_interval_ns = o->nop_ns,
        .nop_timeout_ns = 5 * NS_PER_SEC,
    };
    for (size_t i = 0; i < sizeof(c.seed); i++)
        c.seed[i] = (uint8_t)sim_rand(sim, 256);
    if (sim_rand(sim, 3) == 0) /* CmdSN wraps soon */
        memset(c.seed, 0xff, 3);
    c.params.header_digest = c.params.header_digest_required = o->header_digest;
    c.params.data_digest = c.params.data_digest_required = o->data_digest;
    c.params.initial_r2t = o->initial_r2t;
    c.params.immediate_data = o->immediate_data;
    c.params.max_recv_data_segment = o->ini_segment;
    c.params.max_burst = o->max_burst;
    c.params.first_burst = o->first_burst;
    c.params.max_outstanding_r2t = (uint16_t)o->r2ts;
    c.params.max_connections = (uint16_t)o->conns;
    c.params.error_recovery_level = o->erl;
    c.params.time2wait = o->time2wait;
    c.params.time2retain = o->time2retain;
    return iscsi_isess_new(&c, &sim->ini_alloc.a, &ini->sess) == 0;
}

void sim_ini_count(struct sim_ini *ini)
{
    if (!ini->sess)
        return;
    const struct iscsi_isess_stats *from = iscsi_isess_stats(ini->sess);
    struct sim_stats *to = &ini->sim->stats;
    to->snacks += from->data_snacks + from->status_snacks + from->rdata_snacks;
    to->retries += from->retries;
    to->conns_lost += from->lost;
    to->reassigned += from->reassigned;
    to->continued += from->continued;
}

/* ---- connections ---- */

static void open_in(struct sim_path *path, uint64_t ns)
{
    if (!path->conn && !sim_event_set(&path->open))
        sim_event_in(path->ini->sim, &path->open, ns);
}

/* The core has closed it, or the world does. */
static void path_gone(struct sim_path *path)
{
    struct sim_ini *ini = path->ini;
    sim_event_cancel(&path->tx);
    sim_event_cancel(&path->timer);
    sim_event_cancel(&path->join);
    iscsi_iconn_free(path->conn);
    path->conn = NULL;
    path->up = false;
    if (path->link) {
        path->link->path = NULL;
        sim_link_close(path->link, false);
        path->link = NULL;
    }
    if (ini->state == SIM_INI_LOGIN) {
        ini->state = SIM_INI_DOWN;
        ini->login_failed = true;
    }
}

/* TCP has connected. */
static void connected(struct sim_event *ev)
{
    struct sim_path *path = list_entry(ev, struct sim_path, join);
    iscsi_iconn_connected(path->conn, path->ini->sim->now_ns);
    sim_ini_pump(path->ini);
}

static int path_open(struct sim_path *path)
{
    struct sim_ini *ini = path->ini;
    struct sim *sim = ini->sim;
    int err = iscsi_iconn_new(ini->sess, path->cid, sim->now_ns, &path->conn);
    if (err)
        return err;
    sim_trace(sim, "ini %u connects, cid %u", ini->index, path->cid);
    path->up = false;
    path->link = sim_link_new(sim, path);
    ini->link = path->link;
    sim_event_in(sim, &path->join, sim_rand64(sim, sim->opt.net_ns));
    sim_ini_pump(ini);
    return 0;
}

/* A further connection, or one again. */
static void open_fired(struct sim_event *ev)
{
    struct sim_path *path = list_entry(ev, struct sim_path, open);
    struct sim_ini *ini = path->ini;
    struct sim *sim = ini->sim;
    if (ini->state == SIM_INI_LOGIN) { /* the leading one, after Time2Wait */
        path->cid = ini->next_cid++;
        if (path_open(path)) {
            ini->state = SIM_INI_DOWN;
            ini->login_failed = true;
        }
        return;
    }
    if (ini->state != SIM_INI_UP || path->conn)
        return;
    if (sim_rand(sim, 2)) /* else the place of the lost one */
        path->cid = ini->next_cid++;
    int err = path_open(path);
    if (err == USAN_EEXIST)
        path->cid = ini->next_cid++;
    if (err && err != USAN_ELIMIT)
        open_in(path, 50 * NS_PER_MS);
}

void sim_ini_login(struct sim_ini *ini)
{
    struct sim *sim = ini->sim;
    ini->login_failed = ini->logged_out = false;
    if (!ini->sess && !make_session(ini)) {
        ini->login_failed = true;
        return;
    }
    sim_trace(sim, "ini %u logs in", ini->index);
    ini->state = SIM_INI_LOGIN;
    for (unsigned i = 0; i < SIM_CONNS; i++)
        sim_event_cancel(&ini->paths[i].open);
    uint64_t at = ini->not_before_ns > sim->now_ns ? ini->not_before_ns - sim->now_ns : 0;
    if (at)
        sim_event_in(sim, &ini->paths[0].open, at);
    else
        open_fired(&ini->paths[0].open);
}

/* ---- events ---- */

static void on_logged_in(struct sim_path *path)
{
    struct sim_ini *ini = path->ini;
    struct sim *sim = ini->sim;
    const struct iscsi_params *p = iscsi_iconn_params(path->conn);
    path->up = true;
    sim->stats.logins++;
    sim_trace(sim, "ini %u is logged in, cid %u, level %u", ini->index, path->cid,
              p->error_recovery_level);
    if (p->header_digest && p->data_digest)
        sim_link_arm(path->link);
    if (ini->state == SIM_INI_LOGIN) {
        ini->state = SIM_INI_UP;
        sim_ops_settle(ini);
    }
    for (unsigned i = 1; i < sim->opt.conns; i++)
        open_in(&ini->paths[i], sim_rand64(sim, 3 * NS_PER_MS));
}

static void on_close(struct sim_path *path, const struct iscsi_ievent *ev)
{
    struct sim *sim = path->ini->sim;
    bool bad = ev->err == USAN_EPROTO || ev->err == USAN_EDIGEST || ev->err == USAN_ETIMEOUT;
    sim_trace(sim, "ini %u closes cid %u: %s (%d) status %04x", path->ini->index, path->cid,
              ev->why, ev->err, ev->status);
    if (ev->status)
        path->ini->status = ev->status;
    /* One that is fine ends as well when another could not be recovered. */
    if (ev->err == USAN_EDIGEST && sim->stats.flips)
        bad = false;
    if (iscsi_isess_stats(path->ini->sess)->lost &&
        (ev->err == USAN_ETIMEOUT || strstr(ev->why, "the target does not ")))
        bad = false;
    if (bad && !ev->status && path->link && !sim_link_bad(path->link) && !sim->alloc.failed &&
        !sim->ini_alloc.failed)
        sim_violation(sim, "the initiator blames the target: %s", ev->why);
}

static void on_recover(struct sim_ini *ini, const struct iscsi_ievent *ev)
{
    struct sim *sim = ini->sim;
    sim_trace(sim, "ini %u: cid %u is lost%s", ini->index, ev->cid, ev->last ? ", the last" : "");
    for (unsigned i = 0; i < SIM_CONNS; i++) {
        struct sim_path *path = &ini->paths[i];
        if (path->cid == ev->cid && !path->conn && (ev->last || sim_rand(sim, 2)))
            open_in(path, ev->time2wait * NS_PER_SEC + sim_rand64(sim, 30 * NS_PER_MS));
    }
}

static void on_event(struct sim_ini *ini, struct sim_path *path, const struct iscsi_ievent *ev,
                     bool *ret_down)
{
    struct sim *sim = ini->sim;
    switch (ev->type) {
    case ISCSI_IEV_LOGGED_IN:
        on_logged_in(path);
        break;
    case ISCSI_IEV_DONE:
        sim_op_done(list_entry(ev->cmd, struct sim_op, cmd));
        break;
    case ISCSI_IEV_TMF_DONE:
        sim_tmf_done(list_entry(ev->tmf, struct sim_op, tmf));
        break;
    case ISCSI_IEV_CLOSE:
        on_close(path, ev);
        break;
    case ISCSI_IEV_SESSION_DOWN:
        sim_trace(sim, "ini %u is down: %s", ini->index, ev->why ? ev->why : "-");
        ini->state = SIM_INI_DOWN;
        ini->not_before_ns = ev->err ? sim->now_ns + ev->time2wait * NS_PER_SEC : 0;
        *ret_down = true;
        sim_logout_done(ini, ev->err);
        break;
    case ISCSI_IEV_RECOVER:
        on_recover(ini, ev);
        break;
    case ISCSI_IEV_RECOVERED:
        sim_trace(sim, "ini %u: cid %u is recovered, %u reassigned", ini->index, ev->cid,
                  ev->reassigned);
        break;
    case ISCSI_IEV_ASYNC:
        break;
    case ISCSI_IEV_REDIRECT:
    case ISCSI_IEV_TARGET:
    case ISCSI_IEV_TEXT_DONE:
        sim_violation(sim, "event %d was not asked for", (int)ev->type);
        break;
    }
}

static bool pull_path(struct sim_path *path, bool *ret_down)
{
    struct sim_ini *ini = path->ini;
    struct iscsi_ievent ev;
    bool any = false;
    while (path->conn && iscsi_iconn_next(path->conn, &ev)) {
        any = true;
        on_event(ini, path, &ev, ret_down);
        if (ev.type != ISCSI_IEV_CLOSE)
            continue;
        path_gone(path);
        if (ini->state == SIM_INI_UP && path->index < ini->sim->opt.conns)
            open_in(path, 20 * NS_PER_MS + sim_rand64(ini->sim, 300 * NS_PER_MS));
    }
    return any;
}

static void set_timer(struct sim *sim, struct sim_event *ev, uint64_t at)
{
    if (at == TIME_NEVER)
        sim_event_cancel(ev);
    else
        sim_event_in(sim, ev, at > sim->now_ns ? at - sim->now_ns : 0);
}

void sim_ini_pump(struct sim_ini *ini)
{
    struct sim *sim = ini->sim;
    bool down = false;
    if (ini->pulling || !ini->sess)
        return;
    ini->pulling = true;
    for (bool again = true; again && !sim->bad[0];) {
        struct iscsi_ievent ev;
        again = false;
        for (unsigned i = 0; i < SIM_CONNS; i++)
            again |= pull_path(&ini->paths[i], &down);
        while (iscsi_isess_next(ini->sess, &ev)) {
            again = true;
            on_event(ini, NULL, &ev, &down);
        }
    }
    ini->pulling = false;
    sim_ops_sort(ini, down);
    for (unsigned i = 0; i < SIM_CONNS; i++) {
        struct sim_path *path = &ini->paths[i];
        if (!path->conn)
            continue;
        sim_path_want_tx(path);
        set_timer(sim, &path->timer, iscsi_iconn_deadline(path->conn));
    }
    set_timer(sim, &ini->clock, iscsi_isess_deadline(ini->sess));
}

/* ---- bytes ---- */

void sim_path_rx(struct sim_path *path, const uint8_t *bytes, size_t len)
{
    struct sim *sim = path->ini->sim;
    while (len && path->conn && !sim->bad[0]) {
        struct iovec iov[ISCSI_IRX_IOV_MAX];
        size_t cap = 1 + sim_rand(sim, 4096), got = 0;
        uint8_t *buf = sim_get(sim, cap);
        int n = iscsi_iconn_rx_space(path->conn, buf, cap, iov);
        if (n == 0)
            len = 0;
        for (int i = 0; i < n && len; i++) {
            size_t k = iov[i].iov_len < len ? iov[i].iov_len : len;
            memcpy(iov[i].iov_base, bytes, k);
            bytes += k;
            len -= k;
            got += k;
        }
        sim->steps++;
        iscsi_iconn_rx(path->conn, got, sim->now_ns);
        sim_ini_pump(path->ini);
        sim_put(buf);
    }
}

void sim_path_want_tx(struct sim_path *path)
{
    if (path->conn && !sim_event_set(&path->tx) && iscsi_iconn_tx_pending(path->conn))
        sim_event_in(path->ini->sim, &path->tx, sim_rand64(path->ini->sim, 5 * NS_PER_US));
}

static void tx(struct sim_event *ev)
{
    struct sim_path *path = list_entry(ev, struct sim_path, tx);
    struct sim *sim = path->ini->sim;
    struct sim_pipe *p = &path->link->to_tgt;
    struct iovec iov[16];
    int n = iscsi_iconn_tx(path->conn, iov, 1 + (int)sim_rand(sim, 16));
    size_t total = 0, room = p->len < sim->opt.pipe_bytes ? sim->opt.pipe_bytes - p->len : 0;
    for (int i = 0; i < n; i++)
        total += iov[i].iov_len;
    if (total > room)
        total = room; /* the pipe calls when it has delivered */
    size_t left = total;
    for (int i = 0; i < n && left; i++) {
        size_t k = iov[i].iov_len < left ? iov[i].iov_len : left;
        sim_pipe_write(p, iov[i].iov_base, k);
        left -= k;
    }
    if (n == 0 && iscsi_iconn_tx_pending(path->conn)) /* no memory for it now */
        sim_event_in(sim, &path->tx, 100 * NS_PER_US);
    if (!total)
        return;
    iscsi_iconn_tx_done(path->conn, total, sim->now_ns);
    sim_ini_pump(path->ini);
}

static void timer(struct sim_event *ev)
{
    struct sim_path *path = list_entry(ev, struct sim_path, timer);
    iscsi_iconn_tick(path->conn, path->ini->sim->now_ns);
    sim_ini_pump(path->ini);
}

static void clock_fired(struct sim_event *ev)
{
    struct sim_ini *ini = list_entry(ev, struct sim_ini, clock);
    iscsi_isess_tick(ini->sess, ini->sim->now_ns);
    sim_ini_pump(ini);
}

void sim_path_down(struct sim_path *path)
{
    if (!path->conn)
        return;
    sim_trace(path->ini->sim, "ini %u: the stream of cid %u is over", path->ini->index, path->cid);
    sim_event_cancel(&path->join);
    iscsi_iconn_lost(path->conn, USAN_ECLOSED);
    sim_ini_pump(path->ini);
}

/* ---- life ---- */

bool sim_ini_ready(const struct sim_ini *ini)
{
    return ini->state == SIM_INI_UP && iscsi_isess_queued(ini->sess) < SIM_DEPTH / 2;
}

bool sim_ini_up(struct sim_ini *ini)
{
    if (ini->state == SIM_INI_DOWN)
        sim_ini_login(ini);
    while (ini->state == SIM_INI_LOGIN && sim_step(ini->sim))
        ;
    return ini->state == SIM_INI_UP;
}

void sim_ini_die(struct sim_ini *ini)
{
    if (!ini->sess)
        return;
    sim_trace(ini->sim, "ini %u dies", ini->index);
    ini->pulling = true;
    for (unsigned i = 0; i < SIM_CONNS; i++) {
        sim_event_cancel(&ini->paths[i].open);
        if (ini->paths[i].conn)
            path_gone(&ini->paths[i]);
    }
    sim_event_cancel(&ini->clock);
    sim_ini_count(ini);
    iscsi_isess_free(ini->sess);
    ini->pulling = false;
    ini->sess = NULL;
    ini->state = SIM_INI_DOWN;
    ini->not_before_ns = 0;
    while (!list_empty(&ini->open_ops)) { /* nobody remembers them */
        struct sim_op *op = list_entry(list_pop_front(&ini->open_ops), struct sim_op, queue);
        op->seen = true;
        if (op->kind == SIM_OP_TMF || op->kind == SIM_OP_LOGOUT) {
            op->done = op->lost = true;
            ini->open--;
        }
        list_push_back(&ini->lost_ops, &op->queue);
    }
    list_for_each (&ini->lost_ops, pos)
        list_entry(pos, struct sim_op, queue)->resent = SIM_RESENDS;
    list_splice_back(&ini->lost_ops, &ini->unsorted);
}

struct sim_ini *sim_ini_new(struct sim *sim, unsigned index)
{
    struct sim_ini *ini = calloc(1, sizeof(*ini));
    if (!ini)
        abort();
    ini->sim = sim;
    ini->index = index;
    list_init(&ini->ops);
    list_init(&ini->open_ops);
    list_init(&ini->unsorted);
    list_init(&ini->lost_ops);
    sim_event_init(&ini->clock, clock_fired);
    for (unsigned i = 0; i < SIM_CONNS; i++) {
        struct sim_path *path = &ini->paths[i];
        path->ini = ini;
        path->index = i;
        path->cid = ini->next_cid++;
        sim_event_init(&path->open, open_fired);
        sim_event_init(&path->tx, tx);
        sim_event_init(&path->timer, timer);
        sim_event_init(&path->join, connected);
    }
    return ini;
}

void sim_ini_free(struct sim_ini *ini)
{
    struct list *node;
    while ((node = list_pop_front(&ini->ops))) {
        struct sim_op *op = list_entry(node, struct sim_op, node);
        free(op->out);
        free(op->in);
        free(op);
    }
    free(ini);
}
