/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The NBD server's core, fed with whatever the input says: options, requests, noise, cuts, and when
 * and how its owner answers.
 *
 * The input is a list of records. The first byte of each says what it is: raw bytes for the stream,
 * a header whose magic number is right, or something the owner or the clock does. What the core
 * says is checked against what it has to look like.
 */
#include "base/alloc_heap.h"
#include "base/bytes.h"
#include "nbd/proto.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REQUESTS = 8, MEMORY = 1 << 16 };

/* As the owner's priv: what it has of a request. */
struct held {
    struct iovec iov[3];
    bool waits; /* a WRITE without memory */
    bool ready; /* to be answered */
};

struct world {
    struct nbd_proto *c;
    struct nbd_req *req[REQUESTS];
    unsigned count;
    bool closed, generous; /* WRITEs get memory at once */
    uint64_t now_ns;
    uint8_t memory[MEMORY];
    uint8_t buf[300]; /* for received bytes */
};

#define CHECK(x)                                                                                   \
    do {                                                                                           \
        if (!(x))                                                                                  \
            abort();                                                                               \
    } while (0)

/* All of the request in the same memory: what it holds does not matter. */
static int describe(struct world *w, struct nbd_req *req)
{
    struct held *h = req->priv;
    size_t first = req->len / 3 < MEMORY ? req->len / 3 : MEMORY;
    h->iov[0] = (struct iovec){ w->memory, first };
    h->iov[1] = (struct iovec){ w->memory, 0 };
    h->iov[2] = (struct iovec){ w->memory, req->len - first };
    return 3;
}

static void want(struct world *w, struct nbd_req *req)
{
    struct held *h = req->priv;
    h->waits = false;
    if (req->len > MEMORY) { /* the export is not longer */
        abort();
    }
    nbd_req_want_data(req, h->iov, describe(w, req));
}

static void forget(struct world *w, const struct nbd_req *req)
{
    for (unsigned i = 0; i < w->count; i++) {
        if (w->req[i] == req) {
            w->req[i] = w->req[--w->count];
            return;
        }
    }
    abort(); /* it was never shown */
}

static void started(struct world *w, struct nbd_req *req)
{
    struct held *h = req->priv;
    CHECK(w->count < REQUESTS && req->cmd < NBD_CMD_COUNT && req->cmd != NBD_CMD_DISC);
    CHECK(req->off <= MEMORY && req->len <= MEMORY - req->off);
    CHECK(req->len || req->cmd == NBD_CMD_FLUSH);
    CHECK(((req->off | req->len) & 511) == 0);
    w->req[w->count++] = req;
    h->ready = req->cmd != NBD_CMD_WRITE;
    h->waits = !h->ready;
    if (h->waits && w->generous)
        want(w, req);
}

static void events(struct world *w)
{
    struct nbd_event ev;
    while (nbd_proto_next(w->c, &ev)) {
        switch (ev.type) {
        case NBD_EV_REQUEST:
            started(w, ev.req);
            break;
        case NBD_EV_DATA:
            ((struct held *)ev.req->priv)->ready = true;
            break;
        case NBD_EV_OVER:
            forget(w, ev.req);
            break;
        case NBD_EV_CLOSE:
            CHECK(!w->closed);
            w->closed = true;
            break;
        case NBD_EV_OPENED:
            break;
        }
    }
}

static void feed(struct world *w, const uint8_t *p, size_t n)
{
    while (n) {
        struct iovec iov[NBD_RX_IOV_MAX];
        int cnt = nbd_proto_rx_space(w->c, w->buf, sizeof(w->buf), iov);
        if (cnt == 0)
            break;
        size_t put = 0;
        for (int i = 0; i < cnt && put < n; i++) {
            size_t len = iov[i].iov_len < n - put ? iov[i].iov_len : n - put;
            memcpy(iov[i].iov_base, p + put, len);
            put += len;
        }
        nbd_proto_rx(w->c, put);
        events(w);
        memset(w->buf, 0xee, sizeof(w->buf));
        p += put;
        n -= put;
    }
    events(w);
}

static void answer(struct world *w, unsigned which, uint8_t how)
{
    static uint8_t extents[16];
    if (!w->count)
        return;
    struct nbd_req *req = w->req[which % w->count];
    struct held *h = req->priv;
    if (h->waits && how & 1) {
        want(w, req);
    } else if (h->waits || (h->ready && how & 2)) {
        h->waits = h->ready = false;
        nbd_req_fail(req, -(int)(how >> 2) % 23 - 1, req->off + (how & 4 ? req->len : 0));
    } else if (h->ready) {
        h->ready = false;
        if (req->cmd == NBD_CMD_BLOCK_STATUS) {
            nbd_extent_put(extents, 0, req->len, how & 3);
            nbd_req_reply_extents(req, extents, 1);
        } else {
            nbd_req_reply(req, h->iov, describe(w, req));
        }
    }
    events(w);
}

static void take_out(struct world *w, size_t most)
{
    struct iovec iov[4];
    size_t n = 0;
    int cnt = nbd_proto_tx(w->c, iov, 4);
    CHECK((cnt > 0) == nbd_proto_tx_pending(w->c));
    for (int i = 0; i < cnt; i++) {
        CHECK(iov[i].iov_len);
        n += iov[i].iov_len;
    }
    if (n > most)
        n = most;
    if (n)
        nbd_proto_tx_done(w->c, n);
    events(w);
}

/* A header with its magic number; the rest is the input's, small numbers being likely. */
static void send_option(struct world *w, struct rd *r)
{
    uint8_t b[16];
    be64_put(b, NBD_OPTION_MAGIC);
    be32_put(b + 8, rd_u8(r));
    uint32_t len = rd_u8(r);
    be32_put(b + 12, len == 255 ? rd_be32(r) : len);
    feed(w, b, sizeof(b));
}

static void send_request(struct world *w, struct rd *r)
{
    uint8_t b[NBD_REQUEST_BYTES] = { 0 };
    be32_put(b, NBD_REQUEST_MAGIC);
    be16_put(b + 4, rd_u8(r) & 0x1f);
    be16_put(b + 6, rd_u8(r) & 0xf);
    be64_put(b + 8, rd_u8(r));
    be64_put(b + 16, (uint64_t)rd_u8(r) * 512);
    uint32_t len = rd_u8(r);
    be32_put(b + 24, len == 255 ? rd_be32(r) : len * 512);
    feed(w, b, sizeof(b));
}

/* Payload that does not have to be in the input. */
static void send_zeroes(struct world *w, size_t n)
{
    static const uint8_t zeroes[4096];
    while (n && !w->closed) {
        size_t piece = n < sizeof(zeroes) ? n : sizeof(zeroes);
        feed(w, zeroes, piece);
        n -= piece;
    }
}

static void step(struct world *w, struct rd *r)
{
    uint8_t what = rd_u8(r);
    switch (what & 7) {
    case 0: {
        size_t n = rd_u8(r), left = rd_left(r);
        n = n < left ? n : left;
        feed(w, rd_bytes(r, n), n);
        break;
    }
    case 1:
        send_option(w, r);
        break;
    case 2:
        send_request(w, r);
        break;
    case 3:
        answer(w, what >> 3, rd_u8(r));
        break;
    case 4:
        take_out(w, what & 8 ? SIZE_MAX : rd_u8(r));
        break;
    case 5:
        send_zeroes(w, (size_t)(what >> 3) * 512);
        break;
    case 6:
        w->now_ns += (uint64_t)rd_u8(r) * NS_PER_SEC / 4;
        nbd_proto_tick(w->c, w->now_ns);
        events(w);
        break;
    case 7:
        if (what & 8)
            nbd_proto_shutdown(w->c);
        else
            w->generous = what & 16;
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rd r = rd_init(data, size);
    unsigned kind = rd_u8(&r);
    const struct nbd_proto_config cfg = {
        .export = { .name = "d",
                    .description = kind & 1 ? "text" : NULL,
                    .size_bytes = MEMORY,
                    .min_block = 512,
                    .preferred_block = 4096,
                    .read_only = kind & 2,
                    .trim = kind & 4,
                    .allocation = !(kind & 8) },
        .queue_depth = 1 + (kind >> 4) % REQUESTS,
        .priv_bytes = sizeof(struct held),
        .handshake_timeout_ns = 15 * NS_PER_SEC,
        .stall_timeout_ns = 30 * NS_PER_SEC,
    };
    struct world *w = calloc(1, sizeof(*w));
    if (!w)
        return 0;
    w->generous = true;
    w->c = nbd_proto_new(&cfg, &alloc_heap, 0);
    if (w->c) {
        while (rd_left(&r) && !w->closed)
            step(w, &r);
        nbd_proto_rx_eof(w->c);
        events(w);
        CHECK(w->closed && !nbd_proto_tx_pending(w->c));
        while (w->count)
            answer(w, 0, 2);
        CHECK(nbd_proto_busy(w->c) == 0);
        nbd_proto_free(w->c);
    }
    free(w);
    return 0;
}
