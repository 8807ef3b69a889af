/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes in, bytes out, events, time. What they mean is in option.c and request.c. */
#include "nbd/state.h"

#include <assert.h>
#include <string.h>

/* ---- life ---- */

struct nbd_proto *nbd_proto_new(const struct nbd_proto_config *cfg, const struct alloc *a,
                                uint64_t now_ns)
{
    const struct nbd_export *e = &cfg->export;
    assert(cfg->queue_depth >= 1 && cfg->queue_depth <= NBD_QUEUE_DEPTH_MAX);
    assert(strlen(e->name) <= NBD_STRING_MAX);
    assert(!e->description || strlen(e->description) <= NBD_STRING_MAX);
    assert(e->min_block && !(e->min_block & (e->min_block - 1)) && e->min_block <= 65536);
    assert(e->preferred_block >= e->min_block && e->preferred_block >= 512);
    (void)e;
    struct nbd_proto *c = alloc_zero(a, sizeof(*c));
    struct nbd_handshake *hs = c ? alloc_get(a, sizeof(*hs)) : NULL;
    if (!hs) {
        alloc_put(a, c);
        return NULL;
    }
    hs->options = 0;
    hs->out_len = hs->out_sent = 0;
    c->tx.things++;
    c->cfg = *cfg;
    c->a = a;
    c->hs = hs;
    c->started_ns = c->seen_ns = now_ns;
    list_init(&c->out);
    list_init(&c->over);
    list_init(&c->idle);
    nbd_greet(c);
    return c;
}

void nbd_proto_free(struct nbd_proto *c)
{
    if (!c)
        return;
    assert(c->busy == 0);
    const struct alloc *a = c->a;
    while (c->made) {
        struct nbd_req *req = c->made;
        c->made = req->next_made;
        alloc_put(a, req);
    }
    alloc_put(a, c->hs);
    alloc_put(a, c->stash);
    alloc_put(a, c);
}

void nbd_proto_rx_eof(struct nbd_proto *c)
{
    bool between = c->state == NBD_S_REQUEST && c->have == 0 && c->busy == 0;
    nbd_proto_fail(c, USAN_ECLOSED,
                   between ? "the client closed the connection"
                           : "the client closed the connection in the middle of something");
    nbd_drop_handshake_out(c); /* what an orderly end left to be said */
}

void nbd_proto_shutdown(struct nbd_proto *c)
{
    c->shutdown = true;
}

uint32_t nbd_proto_busy(const struct nbd_proto *c)
{
    return c->busy;
}

/* ---- receiving ---- */

static bool handshake_out(const struct nbd_proto *c)
{
    return c->hs && c->hs->out_sent < c->hs->out_len;
}

/* Is there a reason why no more is parsed, whatever comes? */
static bool blocked(struct nbd_proto *c)
{
    switch (c->state) {
    case NBD_S_CLIENT_FLAGS:
    case NBD_S_OPTION_DATA:
    case NBD_S_OPTION_SKIP:
    case NBD_S_PAYLOAD:
    case NBD_S_PAYLOAD_SKIP:
        return false;
    case NBD_S_OPTION: /* replies to the one before are not taken in yet: they are bounded so */
        return handshake_out(c);
    case NBD_S_REQUEST:
        return !nbd_request_room(c);
    case NBD_S_WAIT:
    case NBD_S_FINISHING:
    case NBD_S_CLOSED:
        break;
    }
    return true;
}

/* What is left of the place for the payload. */
static int landing(struct nbd_proto *c, struct iovec *iov, int max)
{
    int n = 0;
    size_t in = c->land_in;
    for (int i = 0; i < c->land_cnt && n < max; i++, in = 0) {
        if (c->land[i].iov_len == in)
            continue;
        iov[n++] = (struct iovec){ (uint8_t *)c->land[i].iov_base + in, c->land[i].iov_len - in };
        c->direct_room += c->land[i].iov_len - in;
    }
    return n;
}

int nbd_proto_rx_space(struct nbd_proto *c, void *buf, size_t cap, struct iovec iov[NBD_RX_IOV_MAX])
{
    c->direct_room = 0;
    if (c->in_len || blocked(c))
        return 0;
    int n = 0;
    if (c->state == NBD_S_PAYLOAD) {
        n = landing(c, iov, NBD_RX_IOV_MAX - 1);
        if (c->direct_room < c->left)
            return n;
    }
    c->in_shared = buf;
    iov[n++] = (struct iovec){ buf, cap };
    return n;
}

/* n bytes of payload are in their place. */
static void landed(struct nbd_proto *c, size_t n)
{
    c->left -= n;
    while (n) {
        size_t piece = c->land->iov_len - c->land_in;
        if (n < piece) {
            c->land_in += n;
            return;
        }
        n -= piece;
        c->land++;
        c->land_cnt--;
        c->land_in = 0;
    }
}

void nbd_proto_rx(struct nbd_proto *c, size_t n)
{
    c->rx.bytes += n;
    size_t direct = n < c->direct_room ? n : c->direct_room;
    if (c->state == NBD_S_CLOSED)
        return;
    landed(c, direct);
    c->direct_room = 0;
    c->in = c->in_shared;
    c->in_len = n - direct;
}

/* ---- parsing ---- */

static const uint8_t *take(struct nbd_proto *c, size_t n)
{
    const uint8_t *p = c->in;
    c->in += n;
    c->in_len -= n;
    return p;
}

/* A header in one piece; NULL while a part of it is missing. */
static const uint8_t *gather(struct nbd_proto *c, size_t bytes)
{
    if (!c->have && c->in_len >= bytes)
        return take(c, bytes);
    size_t n = bytes - c->have;
    if (n > c->in_len)
        n = c->in_len;
    if (n)
        memcpy(c->header + c->have, take(c, n), n);
    c->have += n;
    if (c->have < bytes)
        return NULL;
    c->have = 0;
    return c->header;
}

/* As much of what is still to come as there is; true when that was all. */
static bool skip(struct nbd_proto *c)
{
    size_t n = c->left < c->in_len ? (size_t)c->left : c->in_len;
    (void)take(c, n);
    c->left -= n;
    return c->left == 0;
}

static bool option_data(struct nbd_proto *c)
{
    struct nbd_handshake *hs = c->hs;
    size_t n = hs->option_len - c->have;
    if (n > c->in_len)
        n = c->in_len;
    memcpy(hs->data + c->have, take(c, n), n);
    c->have += n;
    if (c->have < hs->option_len)
        return false;
    c->have = 0;
    return true;
}

/* The part of the payload that came with other things. */
static bool payload(struct nbd_proto *c)
{
    while (c->left && c->in_len) {
        size_t n = c->land->iov_len - c->land_in;
        if (n > c->in_len)
            n = c->in_len;
        if (n)
            memcpy((uint8_t *)c->land->iov_base + c->land_in, c->in, n);
        (void)take(c, n);
        landed(c, n);
        if (n == 0) { /* an empty iovec */
            c->land++;
            c->land_cnt--;
            c->land_in = 0;
        }
    }
    return c->left == 0;
}

static bool request(struct nbd_proto *c, struct nbd_event *ev)
{
    const uint8_t *p = gather(c, NBD_REQUEST_BYTES);
    if (!p)
        return false;
    c->rx.things++;
    if (!nbd_request_header(c, p, &ev->req))
        return false;
    ev->type = NBD_EV_REQUEST;
    return true;
}

static bool write_complete(struct nbd_proto *c, struct nbd_event *ev)
{
    if (!payload(c))
        return false;
    *ev = (struct nbd_event){ .type = NBD_EV_DATA, .req = c->writing };
    c->writing = NULL;
    c->state = NBD_S_REQUEST;
    c->rx.things++;
    return true;
}

/* One step with what there is; true if ev was filled. */
static bool parse(struct nbd_proto *c, struct nbd_event *ev)
{
    const uint8_t *p;
    switch (c->state) {
    case NBD_S_CLIENT_FLAGS:
        if ((p = gather(c, NBD_CLIENT_FLAGS_BYTES)))
            nbd_client_flags(c, p);
        break;
    case NBD_S_OPTION:
        if ((p = gather(c, NBD_OPTION_BYTES)))
            nbd_option_header(c, p);
        break;
    case NBD_S_OPTION_DATA:
        if (option_data(c))
            nbd_option_do(c);
        break;
    case NBD_S_OPTION_SKIP:
        if (skip(c))
            nbd_option_refuse(c);
        break;
    case NBD_S_REQUEST:
        return request(c, ev);
    case NBD_S_PAYLOAD:
        return write_complete(c, ev);
    case NBD_S_PAYLOAD_SKIP:
        if (skip(c)) {
            c->state = NBD_S_REQUEST;
            c->rx.things++;
        }
        break;
    case NBD_S_WAIT:
    case NBD_S_FINISHING:
    case NBD_S_CLOSED:
        break;
    }
    return false;
}

/* Keep what can not be parsed now: the buffer it is in belongs to all connections. */
static void put_aside(struct nbd_proto *c)
{
    if (c->state == NBD_S_FINISHING) /* a client that said it was done says nothing more */
        c->in_len = 0;
    if (c->in_len == 0) {
        alloc_put(c->a, c->stash);
        c->stash = NULL;
        return;
    }
    if (c->stash)
        return; /* it is in there already */
    c->stash = alloc_get(c->a, c->in_len);
    if (!c->stash) {
        nbd_proto_fail(c, USAN_ENOMEM, "out of memory");
        return;
    }
    memcpy(c->stash, c->in, c->in_len);
    c->in = c->stash;
}

/* ---- events ---- */

/* The next request that is over and was seen by the owner. */
static struct nbd_req *next_over(struct nbd_proto *c)
{
    struct list *node;
    while ((node = list_pop_front(&c->over))) {
        struct nbd_req *req = list_entry(node, struct nbd_req, node);
        c->busy--;
        list_push_back(&c->idle, &req->node);
        if (req->with_owner)
            return req;
    }
    return NULL;
}

static bool report(struct nbd_proto *c, struct nbd_event *ev)
{
    if ((ev->req = next_over(c))) {
        ev->type = NBD_EV_OVER;
        return true;
    }
    if (c->opened) {
        c->opened = false;
        ev->type = NBD_EV_OPENED;
        return true;
    }
    /* Everything that was asked for is answered and sent. */
    if (c->state == NBD_S_FINISHING && c->busy == 0)
        nbd_proto_fail(c, 0, NULL);
    return false;
}

bool nbd_proto_next(struct nbd_proto *c, struct nbd_event *ev)
{
    *ev = (struct nbd_event){ 0 };
    while (!report(c, ev)) {
        if (c->in_len && !blocked(c)) {
            if (parse(c, ev))
                return true;
            continue;
        }
        /* A write all of whose payload has landed in its place. */
        if (c->state == NBD_S_PAYLOAD && c->left == 0)
            return write_complete(c, ev);
        put_aside(c);
        if (!list_empty(&c->over))
            continue;
        if (c->close_now && !c->close_shown) {
            c->close_shown = true;
            *ev = (struct nbd_event){ NBD_EV_CLOSE, NULL, c->close_err, c->close_why };
            return true;
        }
        return false;
    }
    return true;
}

/* ---- sending ---- */

bool nbd_proto_tx_pending(const struct nbd_proto *c)
{
    return handshake_out(c) || !list_empty(&c->out);
}

/* Header (0) or what follows it. */
static struct iovec part_of(struct nbd_req *req, int part)
{
    return part ? req->iov[part - 1] : (struct iovec){ req->header, req->header_len };
}

int nbd_proto_tx(struct nbd_proto *c, struct iovec *iov, int max)
{
    int n = 0;
    if (handshake_out(c) && max > 0)
        iov[n++] = (struct iovec){ c->hs->out + c->hs->out_sent, c->hs->out_len - c->hs->out_sent };
    int part = c->tx_part;
    size_t in = c->tx_in;
    list_for_each (&c->out, pos) {
        struct nbd_req *req = list_entry(pos, struct nbd_req, node);
        for (; part <= req->iovcnt && n < max; part++, in = 0) {
            struct iovec v = part_of(req, part);
            if (v.iov_len > in)
                iov[n++] = (struct iovec){ (uint8_t *)v.iov_base + in, v.iov_len - in };
        }
        if (n == max)
            break;
        part = 0;
    }
    return n;
}

static size_t handshake_sent(struct nbd_proto *c, size_t n)
{
    struct nbd_handshake *hs = c->hs;
    size_t left = hs->out_len - hs->out_sent;
    if (n < left) {
        hs->out_sent += n;
        return 0;
    }
    hs->out_len = hs->out_sent = 0;
    if (c->state >= NBD_S_REQUEST) {
        alloc_put(c->a, hs);
        c->hs = NULL;
    }
    return n - left;
}

void nbd_proto_tx_done(struct nbd_proto *c, size_t n)
{
    c->tx.bytes += n;
    if (handshake_out(c))
        n = handshake_sent(c, n);
    while (!list_empty(&c->out)) {
        struct nbd_req *req = list_entry(c->out.next, struct nbd_req, node);
        for (; c->tx_part <= req->iovcnt; c->tx_part++, c->tx_in = 0) {
            size_t left = part_of(req, c->tx_part).iov_len - c->tx_in;
            if (n < left) {
                c->tx_in += n;
                return;
            }
            n -= left;
        }
        c->tx_part = 0;
        c->tx.things++;
        list_del(&req->node);
        list_push_back(&c->over, &req->node);
    }
    assert(n == 0);
}

/* ---- time ---- */

static bool in_handshake(const struct nbd_proto *c)
{
    return c->state < NBD_S_REQUEST;
}

/* Is it the client's turn to do something that does not depend on us? */
static bool owes_bytes(const struct nbd_proto *c)
{
    return (c->state == NBD_S_REQUEST && c->have) || c->state == NBD_S_PAYLOAD ||
           c->state == NBD_S_PAYLOAD_SKIP;
}

static bool waiting_for_client(const struct nbd_proto *c)
{
    return nbd_proto_tx_pending(c) || owes_bytes(c);
}

uint64_t nbd_proto_deadline(const struct nbd_proto *c)
{
    bool closed = c->state == NBD_S_CLOSED;
    if (in_handshake(c) || (closed && handshake_out(c)))
        return c->started_ns + c->cfg.handshake_timeout_ns;
    if (closed)
        return TIME_NEVER;
    /* Too early rather than kept up to date with each request: a tick looks at the progress. */
    return waiting_for_client(c) ? c->seen_ns + c->cfg.stall_timeout_ns : TIME_NEVER;
}

/*
 * Between two looks, a stall time-out or more apart, a thing of so many bytes that was under way at
 * both has to have moved on by its share: who sends a byte now and then does not keep it for ever.
 */
static bool moves_on(struct nbd_progress *p, bool waiting, uint64_t whole)
{
    uint64_t share = whole / NBD_STALLS_MAX ? whole / NBD_STALLS_MAX : 1;
    bool same = waiting && p->seen_waiting && p->things == p->seen_things;
    bool ok = !same || p->bytes - p->seen_bytes >= share;
    p->seen_bytes = p->bytes;
    p->seen_things = p->things;
    p->seen_waiting = waiting;
    return ok;
}

/* Of what is sent first. */
static uint64_t reply_bytes(const struct nbd_proto *c)
{
    if (handshake_out(c))
        return c->hs->out_len;
    const struct nbd_req *req = list_entry(c->out.next, struct nbd_req, node);
    uint64_t bytes = req->header_len;
    for (int i = 0; i < req->iovcnt; i++)
        bytes += req->iov[i].iov_len;
    return bytes;
}

void nbd_proto_tick(struct nbd_proto *c, uint64_t now_ns)
{
    if (now_ns < nbd_proto_deadline(c))
        return;
    if (c->state == NBD_S_CLOSED) { /* the answer to ABORT: nobody waits for it */
        nbd_drop_handshake_out(c);
        return;
    }
    if (in_handshake(c)) {
        nbd_proto_fail(c, USAN_ETIMEOUT, "the handshake took too long");
        return;
    }
    bool in = owes_bytes(c), out = nbd_proto_tx_pending(c);
    if (!moves_on(&c->tx, out, out ? reply_bytes(c) : 0))
        nbd_proto_fail(c, USAN_ETIMEOUT, "the client does not take its replies in");
    else if (!moves_on(&c->rx, in, c->state == NBD_S_REQUEST ? NBD_REQUEST_BYTES : c->whole))
        nbd_proto_fail(c, USAN_ETIMEOUT, "the client stopped in the middle of a request");
    c->seen_ns = now_ns;
}
