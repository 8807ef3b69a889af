/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target_rig_parts.h"

#include "io/clock.h"
#include "io/socket.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void listen_on(struct rig *rig, struct rig_portal *p)
{
    char address[32];
    int fd;
    snprintf(address, sizeof(address), "127.0.0.1:%u", p->port);
    int err = sock_listen(address, 16, &fd, NULL);
    assert(!err);
    p->port = sock_local_port(fd);
    p->lfd = (struct loop_fd){ .fd = fd, .events = LOOP_IN, .ready = rig_accept };
    err = loop_fd_add(rig->loop, &p->lfd);
    assert(!err);
    (void)err;
}

static void close_all(struct rig *rig)
{
    for (unsigned i = 0; i < RIG_PORTALS; i++) {
        if (rig->portals[i].lfd.fd < 0)
            continue;
        loop_fd_del(&rig->portals[i].lfd);
        close(rig->portals[i].lfd.fd);
        rig->portals[i].lfd.fd = -1;
    }
    while (!list_empty(&rig->conns))
        rig_conn_cut(list_entry(rig->conns.next, struct rig_conn, node));
    while (!list_empty(&rig->sessions))
        rig_free_session(rig, list_entry(rig->sessions.next, struct rig_sess, node));
    loop_timer_cancel(rig->loop, &rig->clock);
}

static void listen_all(struct rig *rig)
{
    for (unsigned i = 0; i < RIG_PORTALS; i++)
        listen_on(rig, &rig->portals[i]);
}

struct rig *rig_start(void)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert(rig);
    const struct loop_config lc = { .engine = LOOP_ENGINE_EPOLL,
                                    .poll = LOOP_POLL_NEVER,
                                    .cpu = -1 };
    list_init(&rig->conns);
    list_init(&rig->sessions);
    loop_timer_init(&rig->clock, rig_clock_fired);
    rig->medium = rig->disk;
    atomic_store(&rig->blocks, RIG_BLOCKS);
    atomic_store(&rig->block_bytes, 512);
    atomic_store(&rig->max_connections, 8);
    atomic_store(&rig->time2retain, 5);
    int err = loop_new(&lc, &rig->loop, NULL);
    assert(!err);
    for (unsigned i = 0; i < RIG_PORTALS; i++) {
        rig->portals[i].rig = rig;
        atomic_store(&rig->portals[i].redirect_to, -1);
    }
    listen_all(rig);
    err = thread_start_loop(&rig->thread, "rig", rig->loop, NULL);
    assert(!err);
    (void)err;
    return rig;
}

struct rig *rig_start_beside(struct rig *other)
{
    struct rig *rig = rig_start();
    rig->medium = other->medium;
    rig_touched(rig);
    return rig;
}

void rig_stop(struct rig *rig)
{
    loop_stop(rig->loop);
    thread_join(&rig->thread);
    close_all(rig);
    loop_free(rig->loop);
    free(rig);
}

struct call {
    struct loop_msg msg;
    struct rig *rig;
    void (*f)(struct rig *rig);
    atomic_bool over;
};

static void deliver(struct loop_msg *m)
{
    struct call *call = list_entry(m, struct call, msg);
    call->f(call->rig);
    atomic_store(&call->over, true);
}

void rig_call(struct rig *rig, void (*f)(struct rig *rig))
{
    struct call call = { .msg.deliver = deliver, .rig = rig, .f = f };
    loop_post(rig->loop, &call.msg);
    while (!atomic_load(&call.over))
        usleep(100);
}

void rig_ask_logout(struct rig *rig)
{
    list_for_each (&rig->conns, pos) {
        struct rig_conn *c = list_entry(pos, struct rig_conn, node);
        bool busy = false;
        for (struct iscsi_task *t = c->sess ? iscsi_tsess_next_task(c->sess->core, NULL) : NULL; t;
             t = iscsi_tsess_next_task(c->sess->core, t))
            busy |= iscsi_task_conn(t) == c->core;
        if (!busy)
            continue;
        iscsi_tconn_ask_logout(c->core, 1);
        rig_send_all(c);
    }
}

void rig_slow(struct rig *rig, unsigned ms)
{
    atomic_store(&rig->slow_ms, ms);
}

void rig_down(struct rig *rig)
{
    rig_call(rig, close_all);
}

void rig_up(struct rig *rig)
{
    rig_call(rig, listen_all);
}

uint8_t *rig_disk(struct rig *rig)
{
    (void)atomic_load(&rig->turn);
    return rig->disk;
}

void rig_touched(struct rig *rig)
{
    atomic_fetch_add(&rig->turn, 1);
}

void rig_url(const struct rig *rig, unsigned portal, const char *options, struct ini_url *ret_url)
{
    char text[512];
    struct err_text e = { "" };
    snprintf(text, sizeof(text), "iscsi://127.0.0.1:%u/" RIG_TARGET "/0%s",
             rig->portals[portal].port, options);
    int err = ini_url_parse(text, ret_url, &e);
    if (err)
        fprintf(stderr, "%s: %s\n", text, e.text);
    assert(!err);
}
