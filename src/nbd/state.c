/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The end of a connection, which any part of the core may bring about. */
#include "nbd/state.h"

static void drop_input(struct nbd_proto *c)
{
    c->in_len = c->have = 0;
    alloc_put(c->a, c->stash);
    c->stash = NULL;
}

void nbd_drop_handshake_out(struct nbd_proto *c)
{
    if (c->hs)
        c->hs->out_sent = c->hs->out_len;
}

void nbd_proto_fail(struct nbd_proto *c, int err, const char *why)
{
    if (c->state == NBD_S_CLOSED)
        return;
    c->state = NBD_S_CLOSED;
    c->close_now = true;
    c->close_err = err;
    c->close_why = why;
    drop_input(c);
    if (err) /* an orderly end still says what it has to say */
        nbd_drop_handshake_out(c);
    list_splice_back(&c->over, &c->out);
    if (c->writing) {
        c->writing->answered = true; /* nobody is there to be answered */
        list_push_back(&c->over, &c->writing->node);
        c->writing = NULL;
    }
}
