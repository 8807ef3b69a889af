/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target_rig_parts.h"

#include "base/alloc_heap.h"
#include "io/clock.h"
#include "io/socket.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- logins ---- */

static struct iscsi_auth auth(const struct rig *rig, bool known)
{
    return (struct iscsi_auth){ .required = rig->user != NULL,
                                .user = known ? rig->user : NULL,
                                .secret = known ? rig->secret : NULL,
                                .target_user = rig->target_user,
                                .target_secret = rig->target_secret };
}

static void login_target(struct rig_conn *c, const struct iscsi_event *ev)
{
    struct rig_portal *p = c->portal;
    int to = atomic_load(&p->redirect_to), refuse = atomic_load(&p->refuse);
    struct iscsi_auth a = auth(c->rig, false);
    if (refuse) {
        iscsi_tconn_login_reject(c->core, (uint16_t)refuse);
    } else if (!ev->discovery && strcmp(ev->target_name, RIG_TARGET) != 0) {
        iscsi_tconn_login_reject(c->core, 0x0203);
    } else if (to >= 0 && !ev->discovery) {
        char address[64];
        snprintf(address, sizeof(address), "127.0.0.1:%u,1", c->rig->portals[to].port);
        const char *text = atomic_load(&p->redirect_text);
        iscsi_tconn_login_redirect(c->core, text ? text : address, p->permanent);
    } else {
        iscsi_tconn_login_accept(c->core, &a, NULL);
    }
}

static void send_targets(struct rig_conn *c)
{
    char a[64], b[64];
    snprintf(a, sizeof(a), "127.0.0.1:%u,1", c->rig->portals[0].port);
    snprintf(b, sizeof(b), "127.0.0.1:%u,2", c->rig->portals[1].port);
    const char *const both[] = { a, b, NULL }, *const one[] = { b, NULL };
    iscsi_tconn_target_record(c->core, RIG_TARGET, both);
    iscsi_tconn_target_record(c->core, RIG_TARGET "2", one);
    iscsi_tconn_targets_end(c->core);
}

/* ---- events and bytes ---- */

static void on_event(struct rig_conn *c, const struct iscsi_event *ev)
{
    struct iscsi_auth a;
    switch (ev->type) {
    case ISCSI_EV_LOGIN_TARGET:
        login_target(c, ev);
        break;
    case ISCSI_EV_LOGIN_USER:
        a = auth(c->rig, c->rig->user && strcmp(c->rig->user, ev->user) == 0);
        iscsi_tconn_login_secret(c->core, &a);
        break;
    case ISCSI_EV_LOGIN_BIND:
        rig_bind_session(c, ev);
        break;
    case ISCSI_EV_SEND_TARGETS:
        send_targets(c);
        break;
    case ISCSI_EV_COMMAND:
        rig_priv(ev->task)->iov.iov_base = malloc(DATA_MAX);
        assert(rig_priv(ev->task)->iov.iov_base);
        rig_command(c, ev->task);
        break;
    case ISCSI_EV_DATA:
        rig_carry_out(c->rig, ev->task);
        c->cut = c->cut || c->cut_on_data;
        break;
    case ISCSI_EV_TMF:
        rig_task_management(c, ev->task);
        break;
    case ISCSI_EV_SENT:
        free(rig_priv(ev->task)->iov.iov_base);
        rig_priv(ev->task)->iov.iov_base = NULL;
        break;
    case ISCSI_EV_TASK_LOST:
        rig_drop_task(ev->task);
        break;
    case ISCSI_EV_LOGGED_IN:
    case ISCSI_EV_LOGOUT_OTHER:
        break;
    case ISCSI_EV_CLOSE:
        c->closing = true;
        c->retained = ev->retained;
        break;
    }
}

static void pull(struct rig_conn *c)
{
    struct iscsi_event ev;
    while (iscsi_tconn_next(c->core, &ev))
        on_event(c, &ev);
}

void rig_send_all(struct rig_conn *c)
{
    struct iovec iov[64];
    int n;
    while ((n = iscsi_tconn_tx(c->core, iov, 64)) > 0) {
        struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)n };
        ssize_t sent = sendmsg(c->lfd.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            c->lfd.events = LOOP_IN | LOOP_OUT;
            loop_fd_update(&c->lfd);
            return;
        }
        if (sent < 0) {
            c->closing = true;
            return;
        }
        iscsi_tconn_tx_done(c->core, (size_t)sent, clock_now_ns());
        pull(c);
    }
    if (c->lfd.events & LOOP_OUT) {
        c->lfd.events = LOOP_IN;
        loop_fd_update(&c->lfd);
    }
}

void rig_conn_cut(struct rig_conn *c)
{
    struct rig *rig = c->rig;
    loop_fd_del(&c->lfd);
    close(c->lfd.fd);
    iscsi_tconn_rx_eof(c->core);
    pull(c);
    if (c->sess && !c->retained)
        rig_drop_tasks(c->sess, c->core);
    iscsi_tconn_free(c->core);
    list_del(&c->node);
    if (c->sess && --c->sess->conns == 0 && !c->retained)
        rig_free_session(rig, c->sess);
    free(c);
    rig_look_after_sessions(rig);
}

/* What happens on one connection may make others of its session busy. */
static void look_after_others(struct rig_conn *c)
{
    struct iscsi_tconn *other;
    while (c->sess && (other = iscsi_tsess_take_kick(c->sess->core))) {
        list_for_each (&c->rig->conns, pos) {
            struct rig_conn *o = list_entry(pos, struct rig_conn, node);
            if (o->core != other || o == c)
                continue;
            pull(o);
            if (!o->cut)
                rig_send_all(o);
            if (o->closing)
                (void)shutdown(o->lfd.fd, SHUT_RDWR);
        }
    }
}

static bool ready(struct loop_fd *lfd, uint32_t events)
{
    struct rig_conn *c = list_entry(lfd, struct rig_conn, lfd);
    struct iovec iov[ISCSI_RX_IOV_MAX];
    (void)atomic_load(&c->rig->turn);
    if (c->frozen || atomic_load(&c->rig->freeze)) { /* it stays so, whatever comes */
        c->frozen = true;
        lfd->events = 0;
        loop_fd_update(lfd);
        return true;
    }
    if (events & (LOOP_IN | LOOP_HUP)) {
        int n = iscsi_tconn_rx_space(c->core, c->rx, RX_BYTES, iov);
        struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)n };
        ssize_t got = n ? recvmsg(lfd->fd, &msg, MSG_DONTWAIT) : 0;
        if (got < 0 && errno == EAGAIN)
            return false;
        if (got <= 0) {
            rig_conn_cut(c);
            return true;
        }
        iscsi_tconn_rx(c->core, (size_t)got, clock_now_ns());
        pull(c);
    }
    atomic_fetch_add(&c->rig->turn, 1); /* before it can be seen: rig_disk() */
    look_after_others(c);
    rig_look_after_sessions(c->rig);
    if (!c->cut)
        rig_send_all(c);
    if (c->closing || c->cut)
        rig_conn_cut(c);
    return true;
}

bool rig_accept(struct loop_fd *lfd, uint32_t events)
{
    struct rig_portal *p = list_entry(lfd, struct rig_portal, lfd);
    int fd;
    (void)events;
    if (sock_accept(lfd->fd, &fd))
        return false;
    struct rig_conn *c = calloc(1, sizeof(*c));
    assert(c);
    struct iscsi_tconn_config cfg = { .params = iscsi_params_default,
                                      .portal_group_tag = 1,
                                      .queue_depth = 64,
                                      .task_priv_bytes = sizeof(struct rig_task),
                                      .login_timeout_ns = 10 * NS_PER_SEC,
                                      .seed = { 1 },
                                      .address = "127.0.0.1:1" };
    cfg.params.time2wait = (uint16_t)atomic_load(&p->rig->time2wait);
    cfg.params.error_recovery_level = (uint8_t)atomic_load(&p->rig->recovery);
    if (cfg.params.error_recovery_level == 2)
        cfg.params.time2retain = (uint16_t)atomic_load(&p->rig->time2retain);
    else
        cfg.params.time2retain = 0;
    cfg.params.max_connections = (uint16_t)atomic_load(&p->rig->max_connections);
    cfg.params.header_digest = cfg.params.data_digest = true;
    atomic_fetch_add(&p->connections, 1);
    c->rig = p->rig;
    c->portal = p;
    c->core = iscsi_tconn_new(&cfg, &alloc_heap, clock_now_ns());
    c->lfd = (struct loop_fd){ .fd = fd, .events = LOOP_IN, .ready = ready };
    assert(c->core);
    int err = loop_fd_add(p->rig->loop, &c->lfd);
    assert(!err);
    (void)err;
    list_push_back(&p->rig->conns, &c->node);
    return true;
}
