/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/linger.h"

#include "base/list.h"
#include "io/clock.h"
#include "io/loop.h"
#include "target/reactor.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct tgt_linger {
    struct loop_fd lfd;
    struct loop_timer timer;
    struct tgt_reactor *reactor;
    size_t dropped;
    struct list node; /* in the reactor's list */
};

static void close_socket(struct tgt_reactor *r, int fd)
{
    close(fd);
    atomic_fetch_sub(&r->conn_count, 1);
}

static void finish(struct tgt_linger *l)
{
    loop_timer_cancel(l->reactor->loop, &l->timer);
    loop_fd_del(&l->lfd);
    list_del(&l->node);
    close_socket(l->reactor, l->lfd.fd);
    free(l);
}

enum { ROUNDS = 4 }; /* of receiving, before others have their turn */

/* Throw away what is there; true if more may come. */
static bool drop_input(int fd, size_t *dropped)
{
    for (int i = 0; i < ROUNDS && *dropped < TGT_LINGER_BYTES_MAX; i++) {
        /* On TCP, MSG_TRUNC takes bytes without putting them anywhere. */
        ssize_t n = recv(fd, NULL, TGT_LINGER_BYTES_MAX, MSG_DONTWAIT | MSG_TRUNC);
        if (n > 0)
            *dropped += (size_t)n;
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
            return false;
        else if (errno == EAGAIN)
            return true;
    }
    return *dropped < TGT_LINGER_BYTES_MAX;
}

static bool ready(struct loop_fd *lfd, uint32_t events)
{
    struct tgt_linger *l = list_entry(lfd, struct tgt_linger, lfd);
    size_t before = l->dropped;
    if (!drop_input(lfd->fd, &l->dropped) || events & LOOP_HUP) {
        finish(l);
        return true;
    }
    return l->dropped > before;
}

static void expired(struct loop_timer *t)
{
    finish(list_entry(t, struct tgt_linger, timer));
}

void tgt_linger_start(struct tgt_reactor *r, int fd)
{
    size_t dropped = 0;
    struct tgt_linger *l = NULL;
    if (shutdown(fd, SHUT_WR) == 0 && drop_input(fd, &dropped))
        l = calloc(1, sizeof(*l));
    if (!l) { /* the peer has ended it, or there is no memory to wait for that */
        close_socket(r, fd);
        return;
    }
    l->lfd = (struct loop_fd){ .fd = fd, .events = LOOP_IN, .ready = ready };
    l->reactor = r;
    l->dropped = dropped;
    loop_timer_init(&l->timer, expired);
    uint64_t wait = r->draining ? TGT_LINGER_STOP_NS : TGT_LINGER_NS;
    if (loop_fd_add(r->loop, &l->lfd)) {
        free(l);
        close_socket(r, fd);
        return;
    }
    list_push_back(&r->lingering, &l->node);
    if (loop_timer_set(r->loop, &l->timer, clock_now_ns() + wait))
        finish(l);
}

void tgt_linger_hurry(struct tgt_reactor *r)
{
    uint64_t end = clock_now_ns() + TGT_LINGER_STOP_NS;
    list_for_each_safe (&r->lingering, pos) {
        struct tgt_linger *l = list_entry(pos, struct tgt_linger, node);
        if (l->timer.deadline_ns > end && loop_timer_set(r->loop, &l->timer, end))
            finish(l);
    }
}
