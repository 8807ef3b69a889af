/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors of a loop, and the few of them that were active last ("hot"), which a spinning loop
 * asks directly: the receive call that says "nothing" costs no more than asking the engine, and the
 * one that brings data has saved it. When more descriptors are active than fit in the hot set,
 * asking them one by one does not pay and the engine is asked instead.
 */
#include "io/loop_priv.h"

#include <assert.h>

#define HOT_OFF_NS (1 * NS_PER_MS)
/* Without work for so long, one is left to the engine again: asking it in vain is not free, least
 * of all a listening socket (accept4 makes a whole socket before it looks whether anybody came). */
#define HOT_KEEP_NS (2 * NS_PER_MS)

/* ---- the hot set ---- */

static void hot_drop(struct loop *loop, struct loop_fd *lfd)
{
    for (unsigned i = 0; i < loop->hot_count; i++) {
        if (loop->hot[i] == lfd) {
            loop->hot[i] = loop->hot[--loop->hot_count];
            lfd->hot = false;
            return;
        }
    }
    assert(false && "hot descriptor is not in the hot set");
}

static void cool(struct loop *loop, struct loop_fd *lfd)
{
    hot_drop(loop, lfd);
    loop->eng->ops->fd_update(loop->eng, lfd); /* the engine has to watch it again */
}

static void hot_touch(struct loop *loop, struct loop_fd *lfd)
{
    lfd->hot_ns = loop->now_ns;
    if (lfd->hot || loop->mode == LOOP_POLL_NEVER || loop->now_ns < loop->spin.hot_off_until)
        return;
    if (loop->hot_count == LOOP_HOT_MAX) {
        struct loop_fd *oldest = loop->hot[0];
        for (unsigned i = 1; i < loop->hot_count; i++) {
            if (loop->hot[i]->hot_ns < oldest->hot_ns)
                oldest = loop->hot[i];
        }
        if (loop->now_ns - oldest->hot_ns < loop->spin.max_ns) {
            loop->spin.hot_off_until = loop->now_ns + HOT_OFF_NS;
            while (loop->hot_count)
                cool(loop, loop->hot[0]);
            return;
        }
        cool(loop, oldest);
    }
    loop->hot[loop->hot_count++] = lfd;
    lfd->hot = true;
}

/* ---- descriptors ---- */

int loop_fd_add(struct loop *loop, struct loop_fd *lfd)
{
    assert(lfd->ready);
    list_init(&lfd->node);
    lfd->hot = false;
    lfd->hot_ns = 0;
    lfd->armed = 0;
    lfd->engine_priv = NULL;
    lfd->loop = loop;
    int rc = loop->eng->ops->fd_add(loop->eng, lfd);
    if (rc) {
        lfd->loop = NULL;
        return rc;
    }
    loop->fd_count++;
    return 0;
}

void loop_fd_update(struct loop_fd *lfd)
{
    lfd->loop->eng->ops->fd_update(lfd->loop->eng, lfd);
}

void loop_fd_del(struct loop_fd *lfd)
{
    struct loop *loop = lfd->loop;
    if (!loop)
        return;
    if (loop->current == lfd)
        loop->current = NULL;
    if (lfd->hot)
        hot_drop(loop, lfd);
    loop->eng->ops->fd_del(loop->eng, lfd);
    loop->fd_count--;
    lfd->loop = NULL;
}

bool loop_dispatch_fd(struct loop *loop, struct loop_fd *lfd, uint32_t events)
{
    loop->current = lfd;
    bool did = lfd->ready(lfd, events);
    if (did && loop->current == lfd && (lfd->events & LOOP_IN))
        hot_touch(loop, lfd);
    loop->current = NULL;
    return did;
}

/* Every hot descriptor gets its turn, so that none starves behind a busy one. */
unsigned loop_hot_ask(struct loop *loop)
{
    struct loop_fd *set[LOOP_HOT_MAX];
    unsigned n = loop->hot_count, did = 0;
    for (unsigned i = 0; i < n; i++)
        set[i] = loop->hot[i];
    for (unsigned i = 0; i < n; i++) {
        /* A callback may delete any of them: look again whether it is still there. */
        for (unsigned k = 0; k < loop->hot_count; k++) {
            if (loop->hot[k] != set[i])
                continue;
            if (loop->now_ns - set[i]->hot_ns > HOT_KEEP_NS)
                cool(loop, set[i]);
            else if (set[i]->events & LOOP_IN)
                did += loop_dispatch_fd(loop, set[i], LOOP_IN);
            break;
        }
    }
    return did;
}
