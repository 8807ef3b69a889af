/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nbd_rig.h"

#include "base/alloc_heap.h"
#include "base/bytes.h"

#include <string.h>

struct nbd_proto_config rig_config(void)
{
    return (struct nbd_proto_config){
        .export = { .name = "disk",
                    .size_bytes = 1 << 20,
                    .min_block = 512,
                    .preferred_block = 4096,
                    .trim = true,
                    .allocation = true },
        .queue_depth = 4,
        .priv_bytes = 16,
        .handshake_timeout_ns = RIG_TIMEOUT_NS,
        .stall_timeout_ns = RIG_STALL_NS,
    };
}

void rig_open(struct rig *r, const struct nbd_proto_config *cfg, size_t chunk)
{
    if (!r->a)
        r->a = &alloc_heap;
    r->chunk = chunk;
    r->ev_count = r->ev_seen = 0;
    r->closed = r->unread = r->no_memory = false;
    r->out_len = r->out_at = 0;
    memset(r->memory, 0, sizeof(r->memory));
    r->c = nbd_proto_new(cfg, r->a, 0);
    assert_non_null(r->c);
    rig_pump(r);
}

/* Iovecs of odd lengths, one of them empty. */
static void want_data(struct rig *r, struct nbd_req *req)
{
    static const size_t lens[RIG_IOV - 1] = { 1, 0, 300, 0 };
    size_t at = 0;
    assert_true(req->off + req->len <= RIG_MEMORY);
    for (unsigned i = 0; i < RIG_IOV; i++) {
        size_t len = i < RIG_IOV - 1 ? lens[i] : req->len - at;
        r->iov[i] = (struct iovec){ r->memory + req->off + at, len };
        at += len;
    }
    nbd_req_want_data(req, r->iov, RIG_IOV);
}

static void events(struct rig *r)
{
    struct nbd_event ev;
    while (nbd_proto_next(r->c, &ev)) {
        if (ev.type == NBD_EV_CLOSE) {
            assert_false(r->closed);
            r->closed = true;
            r->close_err = ev.err;
            continue;
        }
        assert_true(r->ev_count < RIG_EVENTS);
        r->ev[r->ev_count++] = ev;
        if (ev.type == NBD_EV_REQUEST && ev.req->cmd == NBD_CMD_WRITE && !r->no_memory)
            want_data(r, ev.req);
    }
}

/* One call of tx, all or a part of it taken. */
static bool take_out(struct rig *r)
{
    struct iovec iov[3];
    int n = nbd_proto_tx(r->c, iov, 3);
    assert_int_equal(n > 0, nbd_proto_tx_pending(r->c));
    size_t took = 0;
    for (int i = 0; i < n && took < r->chunk; i++) {
        size_t len = iov[i].iov_len < r->chunk - took ? iov[i].iov_len : r->chunk - took;
        assert_true(r->out_len + len <= RIG_OUT);
        memcpy(r->out + r->out_len, iov[i].iov_base, len);
        r->out_len += len;
        took += len;
    }
    if (took)
        nbd_proto_tx_done(r->c, took);
    return took;
}

void rig_pump(struct rig *r)
{
    events(r);
    while (!r->unread && take_out(r))
        events(r);
}

size_t rig_try_send(struct rig *r, const void *p, size_t n)
{
    const uint8_t *from = p;
    size_t sent = 0;
    while (sent < n) {
        struct iovec iov[NBD_RX_IOV_MAX];
        int cnt = nbd_proto_rx_space(r->c, r->buf, sizeof(r->buf), iov);
        if (cnt == 0)
            break;
        size_t put = 0, most = n - sent < r->chunk ? n - sent : r->chunk;
        for (int i = 0; i < cnt && put < most; i++) {
            size_t len = iov[i].iov_len < most - put ? iov[i].iov_len : most - put;
            memcpy(iov[i].iov_base, from + sent + put, len);
            put += len;
        }
        assert_true(put > 0);
        nbd_proto_rx(r->c, put);
        sent += put;
        rig_pump(r);
        memset(r->buf, 0xee, sizeof(r->buf)); /* others use it meanwhile */
    }
    return sent;
}

void rig_send(struct rig *r, const void *p, size_t n)
{
    assert_int_equal(rig_try_send(r, p, n), n);
}

void rig_close(struct rig *r)
{
    nbd_proto_rx_eof(r->c);
    rig_pump(r);
    assert_true(r->closed);
    for (unsigned i = 0; i < r->ev_count; i++) {
        if (r->ev[i].type != NBD_EV_REQUEST || !nbd_proto_busy(r->c))
            continue;
        bool over = false;
        for (unsigned j = i + 1; j < r->ev_count && !over; j++)
            over = r->ev[j].type == NBD_EV_OVER && r->ev[j].req == r->ev[i].req;
        if (!over)
            nbd_req_fail(r->ev[i].req, USAN_EIO, UINT64_MAX);
    }
    rig_pump(r);
    assert_int_equal(nbd_proto_busy(r->c), 0);
    nbd_proto_free(r->c);
    r->c = NULL;
}

/* ---- what came ---- */

const uint8_t *rig_got(struct rig *r, size_t n)
{
    assert_true(r->out_len - r->out_at >= n);
    const uint8_t *p = r->out + r->out_at;
    r->out_at += n;
    return p;
}

uint16_t rig_got16(struct rig *r)
{
    return be16_get(rig_got(r, 2));
}

uint32_t rig_got32(struct rig *r)
{
    return be32_get(rig_got(r, 4));
}

uint64_t rig_got64(struct rig *r)
{
    return be64_get(rig_got(r, 8));
}

void rig_silent(struct rig *r)
{
    assert_int_equal(r->out_len - r->out_at, 0);
}

struct nbd_req *rig_event(struct rig *r, enum nbd_ev type)
{
    assert_true(r->ev_seen < r->ev_count);
    const struct nbd_event *ev = &r->ev[r->ev_seen++];
    assert_int_equal(ev->type, type);
    return ev->req;
}

void rig_no_event(struct rig *r)
{
    assert_int_equal(r->ev_count - r->ev_seen, 0);
}

void rig_closed(struct rig *r, int err)
{
    assert_true(r->closed);
    assert_int_equal(r->close_err, err);
}

/* ---- the client's side ---- */

void rig_greeted(struct rig *r)
{
    assert_memory_equal(rig_got(r, 16), "NBDMAGICIHAVEOPT", 16);
    assert_int_equal(rig_got16(r), 3);
    rig_silent(r);
}

void rig_client_flags(struct rig *r, uint32_t flags)
{
    uint8_t b[4];
    be32_put(b, flags);
    rig_send(r, b, sizeof(b));
}

void rig_option(struct rig *r, uint32_t option, const void *data, size_t n)
{
    uint8_t b[16];
    be64_put(b, 0x49484156454f5054ull);
    be32_put(b + 8, option);
    be32_put(b + 12, (uint32_t)n);
    rig_send(r, b, sizeof(b));
    if (n)
        (void)rig_try_send(r, data, n); /* it may be closed at once */
}

uint32_t rig_reply(struct rig *r, uint32_t option, uint32_t type)
{
    assert_int_equal(rig_got64(r), 0x3e889045565a9ull);
    assert_int_equal(rig_got32(r), option);
    assert_int_equal(rig_got32(r), type);
    return rig_got32(r);
}

void rig_acked(struct rig *r, uint32_t option)
{
    assert_int_equal(rig_reply(r, option, 1), 0);
    rig_silent(r);
}

void rig_refused(struct rig *r, uint32_t option, uint32_t type)
{
    uint32_t n = rig_reply(r, option, type);
    assert_in_range(n, 1, 100);
    (void)rig_got(r, n);
    rig_silent(r);
}

void rig_go(struct rig *r, bool structured, bool allocation)
{
    static const uint8_t context[] = "\0\0\0\4disk\0\0\0\1\0\0\0\17base:allocation";
    static const uint8_t go[] = "\0\0\0\4disk\0\0";
    rig_greeted(r);
    rig_client_flags(r, 3);
    if (structured) {
        rig_option(r, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
        rig_acked(r, NBD_OPT_STRUCTURED_REPLY);
    }
    if (allocation) {
        rig_option(r, NBD_OPT_SET_META_CONTEXT, context, sizeof(context) - 1);
        (void)rig_got(r, rig_reply(r, NBD_OPT_SET_META_CONTEXT, 4));
        rig_acked(r, NBD_OPT_SET_META_CONTEXT);
    }
    rig_option(r, NBD_OPT_GO, go, sizeof(go) - 1);
    (void)rig_got(r, rig_reply(r, NBD_OPT_GO, 3));
    (void)rig_got(r, rig_reply(r, NBD_OPT_GO, 3));
    rig_acked(r, NBD_OPT_GO);
    (void)rig_event(r, NBD_EV_OPENED);
    rig_no_event(r);
}

void rig_request(struct rig *r, unsigned flags, unsigned type, uint64_t cookie, uint64_t off,
                 uint32_t len)
{
    uint8_t b[28];
    be32_put(b, 0x25609513);
    be16_put(b + 4, (uint16_t)flags);
    be16_put(b + 6, (uint16_t)type);
    be64_put(b + 8, cookie);
    be64_put(b + 16, off);
    be32_put(b + 24, len);
    rig_send(r, b, sizeof(b));
}

void rig_simple(struct rig *r, uint64_t cookie, uint32_t error)
{
    assert_int_equal(rig_got32(r), 0x67446698);
    assert_int_equal(rig_got32(r), error);
    assert_int_equal(rig_got64(r), cookie);
}

uint32_t rig_chunk(struct rig *r, uint64_t cookie, unsigned type)
{
    assert_int_equal(rig_got32(r), 0x668e33ef);
    assert_int_equal(rig_got16(r), 1); /* the last one */
    assert_int_equal(rig_got16(r), type);
    assert_int_equal(rig_got64(r), cookie);
    return rig_got32(r);
}

uint64_t rig_error(struct rig *r, uint64_t cookie, uint32_t error)
{
    assert_int_equal(rig_got32(r), 0x668e33ef);
    assert_int_equal(rig_got16(r), 1);
    unsigned type = rig_got16(r);
    assert_int_equal(rig_got64(r), cookie);
    uint32_t bytes = rig_got32(r);
    assert_int_equal(rig_got32(r), error);
    unsigned text = rig_got16(r);
    assert_in_range(text, 1, 100);
    (void)rig_got(r, text);
    if (type == 0x8001) {
        assert_int_equal(bytes, 6 + text);
        return UINT64_MAX;
    }
    assert_int_equal(type, 0x8002);
    assert_int_equal(bytes, 14 + text);
    return rig_got64(r);
}
