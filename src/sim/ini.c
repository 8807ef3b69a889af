/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/ini.h"

#include <stdlib.h>
#include <string.h>

/* After the loss of a connection, and between attempts. */
enum { RETRY_MS = 100 };

void sim_ini_wake(struct sim_ini *ini)
{
    if (!sim_timer_set(&ini->wake))
        sim_timer_in(&ini->sim->clock, &ini->wake, 0);
}

static void pump(struct sim_ini *ini);

/* ---- connections ---- */

static void open_in(struct sim_path *path, uint64_t ns)
{
    struct sim_ini *ini = path->ini;
    if (!path->conn && !ini->logging_out && !sim_timer_set(&path->open))
        sim_timer_in(&ini->sim->clock, &path->open, ns);
}

static void path_gone(struct sim_path *path)
{
    struct sim *sim = path->ini->sim;
    sim_timer_cancel(&sim->clock, &path->clock);
    iscsi_iconn_free(path->conn);
    path->conn = NULL;
    path->up = false;
    if (path->sock)
        sim->world->close_sock(path->sock);
    path->sock = NULL;
    sim->result->closed++;
}

static void tx(struct sim_path *path)
{
    struct sim *sim = path->ini->sim;
    struct iovec iov[64];
    int n;
    while (path->conn && path->up && (n = iscsi_iconn_tx(path->conn, iov, 64)) > 0) {
        size_t sent = sim->world->send(path->sock, iov, n);
        if (!sent)
            return; /* writable follows */
        iscsi_iconn_tx_done(path->conn, sent, sim->clock.now_ns);
    }
}

static void up(void *ctx, struct sim_sock *sock)
{
    struct sim_path *path = ctx;
    (void)sock;
    path->up = true;
    iscsi_iconn_connected(path->conn, path->ini->sim->clock.now_ns);
    pump(path->ini);
}

static void readable(void *ctx, struct sim_sock *sock)
{
    struct sim_path *path = ctx;
    struct sim *sim = path->ini->sim;
    while (path->conn) {
        struct iovec iov[ISCSI_IRX_IOV_MAX], rest = { sim->rx, sizeof(sim->rx) };
        int n = iscsi_iconn_rx_space(path->conn, sim->rx, sizeof(sim->rx), iov);
        size_t got = sim->world->recv(sock, n ? iov : &rest, n ? n : 1);
        if (!got)
            break;
        if (n)
            iscsi_iconn_rx(path->conn, got, sim->clock.now_ns);
        pump(path->ini);
    }
}

static void writable(void *ctx, struct sim_sock *sock)
{
    struct sim_path *path = ctx;
    (void)sock;
    pump(path->ini);
}

static void down(void *ctx, struct sim_sock *sock, int err)
{
    struct sim_path *path = ctx;
    (void)sock;
    iscsi_iconn_lost(path->conn, err ? err : USAN_ECLOSED);
    pump(path->ini);
}

static const struct sim_sock_ops ops = { up, readable, writable, down };

static void open_fired(struct sim_timer *t)
{
    struct sim_path *path = list_entry(t, struct sim_path, open);
    struct sim_ini *ini = path->ini;
    struct sim *sim = ini->sim;
    if (path->conn)
        return;
    int err = iscsi_iconn_new(ini->sess, path->cid, sim->clock.now_ns, &path->conn);
    if (err == USAN_ENOMEM)
        sim_fail(sim, err, "out of memory");
    else if (err) /* it is not its turn: a leading login, a recovery is under way */
        open_in(path, RETRY_MS * NS_PER_MS);
    if (err)
        return;
    path->sock = sim->world->connect(sim->net, 1 + ini->index, &ops, path);
    if (!path->sock)
        sim_fail(sim, USAN_ENOMEM, "out of memory");
    pump(ini);
}

/* ---- events ---- */

static void open_others(struct sim_ini *ini)
{
    for (uint32_t i = 0; i < ini->sim->sc->initiator.connections; i++)
        open_in(&ini->paths[i], 0);
}

static void on_logged_in(struct sim_ini *ini)
{
    struct sim *sim = ini->sim;
    sim->result->logins++;
    if (!ini->opened && ini->index == 0)
        sim->result->params = *iscsi_isess_params(ini->sess);
    open_others(ini);
    if (!ini->opened)
        sim_load_probe(ini);
    ini->opened = true;
}

static void on_close(struct sim_path *path, const struct iscsi_ievent *ev)
{
    struct sim_ini *ini = path->ini;
    struct sim *sim = ini->sim;
    bool first = !ini->opened; /* there was never a session: there is no use in going on */
    path_gone(path);
    if (ini->logging_out)
        return;
    if (first)
        sim_fail(sim, USAN_EIO, "initiator %u can not log in: %s", ini->index + 1,
                 ev->status ? iscsi_login_status_text(ev->status) : ev->why);
    open_in(path, RETRY_MS * NS_PER_MS);
}

static void on_event(struct sim_ini *ini, const struct iscsi_ievent *ev)
{
    switch (ev->type) {
    case ISCSI_IEV_LOGGED_IN:
        on_logged_in(ini);
        break;
    case ISCSI_IEV_DONE:
        sim_load_done(ev->cmd->user);
        break;
    case ISCSI_IEV_SESSION_DOWN:
        if (ini->logging_out && !ini->finished) {
            ini->finished = true;
            sim_ini_finished(ini->sim);
        }
        break;
    case ISCSI_IEV_CLOSE:   /* of a connection: see pull */
    case ISCSI_IEV_RECOVER: /* the path with this cid connects again by itself */
    case ISCSI_IEV_RECOVERED:
    case ISCSI_IEV_ASYNC:
    case ISCSI_IEV_REDIRECT:
    case ISCSI_IEV_TMF_DONE:
    case ISCSI_IEV_TARGET:
    case ISCSI_IEV_TEXT_DONE:
        break;
    }
}

static bool pull(struct sim_ini *ini)
{
    struct iscsi_ievent ev;
    bool any = false;
    for (uint32_t i = 0; i < ini->sim->sc->initiator.connections; i++) {
        struct sim_path *path = &ini->paths[i];
        while (path->conn && iscsi_iconn_next(path->conn, &ev)) {
            if (ev.type == ISCSI_IEV_CLOSE)
                on_close(path, &ev);
            else
                on_event(ini, &ev);
            any = true;
        }
    }
    while (iscsi_isess_next(ini->sess, &ev)) {
        on_event(ini, &ev);
        any = true;
    }
    return any;
}

static void log_out(struct sim_ini *ini)
{
    if (!ini->ending || ini->active || ini->logging_out)
        return;
    ini->logging_out = true;
    for (uint32_t i = 0; i < ini->sim->sc->initiator.connections; i++)
        sim_timer_cancel(&ini->sim->clock, &ini->paths[i].open);
    if (iscsi_isess_logout(ini->sess, ini->sim->clock.now_ns) == 0)
        return;
    ini->finished = true; /* it has no connection at this time */
    sim_ini_finished(ini->sim);
}

static uint32_t who(void *ctx, const struct iscsi_step *step)
{
    (void)step;
    return ((struct sim_ini *)ctx)->index + 1;
}

static void pump(struct sim_ini *ini)
{
    struct sim *sim = ini->sim;
    uint32_t paths = sim->sc->initiator.connections;
    if (ini->pulling)
        return;
    ini->pulling = true;
    do {
        while (pull(ini))
            ;
        log_out(ini);
        for (uint32_t i = 0; i < paths; i++)
            tx(&ini->paths[i]);
    } while (pull(ini));
    ini->pulling = false;
    sim_steps_take(sim, &ini->steps, who, ini);
    for (uint32_t i = 0; i < paths; i++) {
        struct sim_path *path = &ini->paths[i];
        if (path->conn)
            sim_timer_at(&sim->clock, &path->clock, iscsi_iconn_deadline(path->conn));
    }
    sim_timer_at(&sim->clock, &ini->clock, iscsi_isess_deadline(ini->sess));
}

static void path_clock(struct sim_timer *t)
{
    struct sim_path *path = list_entry(t, struct sim_path, clock);
    iscsi_iconn_tick(path->conn, path->ini->sim->clock.now_ns);
    pump(path->ini);
}

static void clock_fired(struct sim_timer *t)
{
    struct sim_ini *ini = list_entry(t, struct sim_ini, clock);
    iscsi_isess_tick(ini->sess, ini->sim->clock.now_ns);
    pump(ini);
}

static void wake(struct sim_timer *t)
{
    pump(list_entry(t, struct sim_ini, wake));
}

void sim_ini_end(struct sim_ini *ini)
{
    ini->ending = true;
    sim_ini_wake(ini);
}

void sim_ini_break(struct sim_ini *ini, uint32_t cid)
{
    for (uint32_t i = 0; i < ini->sim->sc->initiator.connections; i++) {
        if (ini->paths[i].conn && (cid == SIM_ALL || cid == i))
            iscsi_iconn_lost(ini->paths[i].conn, USAN_ECLOSED);
    }
    pump(ini);
}

/* ---- life ---- */

static int make_session(struct sim_ini *ini)
{
    const struct sim *sim = ini->sim;
    char name[64];
    (void)snprintf(name, sizeof(name), "iqn.2025-01.io.usan:host%u", ini->index + 1);
    struct iscsi_isess_config cfg = {
        .params = sim->sc->initiator.side.params,
        .initiator_name = name,
        .target_name = SIM_TARGET_NAME,
        .isid = { 0x80, 0, 0, 0, (uint8_t)(ini->index >> 8), (uint8_t)ini->index },
        .queue_depth = ISCSI_QUEUE_DEPTH_MAX,
        .login_timeout_ns = 15 * NS_PER_SEC,
        .request_timeout_ns = 15 * NS_PER_SEC,
        .nop_interval_ns = 5 * NS_PER_SEC,
        .nop_timeout_ns = 5 * NS_PER_SEC,
    };
    if (sim->timeline)
        cfg.steps = &ini->steps;
    sim_seed(sim, ini->index, cfg.seed);
    return iscsi_isess_new(&cfg, &alloc_heap, &ini->sess);
}

struct sim_ini *sim_ini_new(struct sim *sim, uint32_t index)
{
    uint32_t paths = sim->sc->initiator.connections;
    struct sim_ini *ini = calloc(1, sizeof(*ini) + paths * sizeof(ini->paths[0]));
    if (!ini)
        return NULL;
    ini->sim = sim;
    ini->index = index;
    sim_steps_init(sim, &ini->steps);
    sim_timer_init(&ini->clock, clock_fired);
    sim_timer_init(&ini->wake, wake);
    for (uint32_t i = 0; i < paths; i++) {
        struct sim_path *path = &ini->paths[i];
        path->ini = ini;
        path->cid = (uint16_t)i;
        sim_timer_init(&path->clock, path_clock);
        sim_timer_init(&path->open, open_fired);
    }
    if (make_session(ini) || sim_load_init(ini)) {
        sim_ini_free(ini);
        return NULL;
    }
    open_in(&ini->paths[0], 0);
    return ini;
}

void sim_ini_free(struct sim_ini *ini)
{
    if (!ini)
        return;
    struct sim *sim = ini->sim;
    for (uint32_t i = 0; i < sim->sc->initiator.connections; i++) {
        sim_timer_cancel(&sim->clock, &ini->paths[i].open);
        if (ini->paths[i].conn)
            path_gone(&ini->paths[i]);
    }
    sim_timer_cancel(&sim->clock, &ini->clock);
    sim_timer_cancel(&sim->clock, &ini->wake);
    sim_load_fini(ini);
    iscsi_isess_free(ini->sess);
    free(ini);
}
