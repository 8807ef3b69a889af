/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/cursor.h"

#include <assert.h>

void cursor_init(struct cursor *c, uint64_t end, uint64_t unit, uint64_t chunk, uint64_t hole_max)
{
    assert(unit && chunk && hole_max && chunk % unit == 0 && hole_max % unit == 0);
    *c = (struct cursor){ .end = end, .unit = unit, .chunk = chunk, .hole_max = hole_max };
    int rc = pthread_mutex_init(&c->lock, NULL);
    assert(rc == 0); /* the kind that needs no memory */
    (void)rc;
}

void cursor_fini(struct cursor *c)
{
    pthread_mutex_destroy(&c->lock);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

bool cursor_take(struct cursor *c, struct cursor_piece *ret)
{
    pthread_mutex_lock(&c->lock);
    bool any = c->next < c->end;
    if (any) {
        bool known = c->next >= c->run_from && c->next < c->run_to;
        uint64_t len = c->chunk - c->next % c->chunk;
        if (known && !c->run_mapped)
            len = least(c->run_to - c->next, c->hole_max);
        else if (known)
            len = least(c->run_to - c->next, len);
        len = least(len, c->end - c->next);
        *ret = (struct cursor_piece){ .kind = CURSOR_DATA, .off = c->next, .len = len };
        if (!known && !c->asking)
            ret->kind = CURSOR_UNKNOWN;
        else if (known && !c->run_mapped)
            ret->kind = CURSOR_HOLE;
        c->asking |= ret->kind == CURSOR_UNKNOWN;
        c->next += len;
    }
    pthread_mutex_unlock(&c->lock);
    return any;
}

void cursor_learn(struct cursor *c, uint64_t off, uint64_t len, bool mapped)
{
    uint64_t to = off + len;
    pthread_mutex_lock(&c->lock);
    c->asking = false;
    to = mapped ? (to + c->unit - 1) / c->unit * c->unit : to / c->unit * c->unit;
    if (to > off && to > c->run_to) {
        c->run_from = off;
        c->run_to = to;
        c->run_mapped = mapped;
    }
    pthread_mutex_unlock(&c->lock);
}

void cursor_cut(struct cursor *c, uint64_t off)
{
    pthread_mutex_lock(&c->lock);
    if (off < c->end)
        c->end = off;
    pthread_mutex_unlock(&c->lock);
}
