/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NBD connections at their bounds: full queues, peers that stall, every way one ends, no memory;
 * in pieces of several sizes. */
#include "request_test.h"

/* ---- bounds ---- */

/* Beyond the queue depth nothing is taken in; with each answer one more. */
static void queue_depth(void **state)
{
    begin(state, true);
    uint8_t stream[6 * 28];
    for (unsigned i = 0; i < 6; i++) {
        struct wr w = wr_init(stream + i * 28, 28);
        wr_be32(&w, 0x25609513);
        wr_be32(&w, NBD_CMD_READ);
        wr_be64(&w, i);
        wr_be64(&w, i * 512);
        wr_be32(&w, 512);
    }
    size_t sent = rig_try_send(rig, stream, sizeof(stream));
    struct nbd_req *req[4];
    for (unsigned i = 0; i < 4; i++) {
        req[i] = rig_event(rig, NBD_EV_REQUEST);
        assert_int_equal(req[i]->off, i * 512);
    }
    rig_no_event(rig);
    assert_int_equal(nbd_proto_busy(rig->c), 4);
    for (unsigned i = 4; i < 6; i++) {
        struct iovec iov[NBD_RX_IOV_MAX];
        assert_int_equal(nbd_proto_rx_space(rig->c, rig->buf, sizeof(rig->buf), iov), 0);
        nbd_req_fail(req[i - 4], USAN_EIO, UINT64_MAX);
        rig_pump(rig);
        sent += rig_try_send(rig, stream + sent, sizeof(stream) - sent);
        (void)rig_event(rig, NBD_EV_OVER);
        assert_int_equal(rig_event(rig, NBD_EV_REQUEST)->off, i * 512);
        rig_no_event(rig);
    }
    assert_int_equal(sent, sizeof(stream));
    rig_close(rig);
}

/* Until there is memory for a write, what follows it waits too. */
static void write_waits(void **state)
{
    uint8_t stream[28 + 512 + 28] = { 0x25, 0x60, 0x95, 0x13, 0, 0, 0, NBD_CMD_WRITE };
    be32_put(stream + 24, 512);
    pattern(stream + 28, 512, 8);
    be32_put(stream + 540, 0x25609513);
    be32_put(stream + 544, NBD_CMD_FLUSH);
    begin(state, true);
    rig->no_memory = true;
    size_t sent = rig_try_send(rig, stream, sizeof(stream));
    struct nbd_req *req = rig_event(rig, NBD_EV_REQUEST);
    rig_no_event(rig);
    struct iovec iov = { rig->memory, 512 };
    nbd_req_want_data(req, &iov, 1);
    rig_pump(rig);
    rig_send(rig, stream + sent, sizeof(stream) - sent);
    assert_ptr_equal(rig_event(rig, NBD_EV_DATA), req);
    assert_memory_equal(rig->memory, stream + 28, 512);
    assert_int_equal(rig_event(rig, NBD_EV_REQUEST)->cmd, NBD_CMD_FLUSH);
    rig_close(rig);
}

/* ---- time ---- */

static void stalled_reader(void **state)
{
    uint8_t data[512] = { 0 };
    struct iovec iov = { data, 512 };
    begin(state, true);
    assert_true(nbd_proto_deadline(rig->c) == TIME_NEVER);
    rig_request(rig, 0, NBD_CMD_READ, 1, 0, 512);
    /* however long the store takes */
    assert_true(nbd_proto_deadline(rig->c) == TIME_NEVER);
    rig->unread = true;
    nbd_req_reply(rig_event(rig, NBD_EV_REQUEST), &iov, 1);
    rig_pump(rig);
    uint64_t now = 1000 * NS_PER_SEC;
    assert_true(nbd_proto_deadline(rig->c) <= now);
    nbd_proto_tick(rig->c, now); /* something has moved since: wait */
    rig_pump(rig);
    assert_false(rig->closed);
    assert_int_equal(nbd_proto_deadline(rig->c), now + RIG_STALL_NS);
    struct iovec out[3];
    assert_int_equal(nbd_proto_tx(rig->c, out, 3), 2);
    nbd_proto_tx_done(rig->c, (512 + 28) / NBD_STALLS_MAX);
    now += RIG_STALL_NS;
    nbd_proto_tick(rig->c, now);
    rig_pump(rig);
    assert_false(rig->closed);
    nbd_proto_tick(rig->c, now + RIG_STALL_NS - 1);
    rig_pump(rig);
    assert_false(rig->closed);
    nbd_proto_tick(rig->c, now + RIG_STALL_NS);
    rig_pump(rig);
    rig_closed(rig, USAN_ETIMEOUT);
    (void)rig_event(rig, NBD_EV_OVER); /* its memory is given back */
    rig_close(rig);
}

/* A byte now and then is no progress, and other bytes are none of this request or reply. */
static void trickling_reader(void **state)
{
    uint8_t data[512] = { 0 };
    struct iovec iov = { data, 512 }, out[3];
    begin(state, true);
    rig_request(rig, 0, NBD_CMD_READ, 1, 0, 512);
    rig->unread = true;
    nbd_req_reply(rig_event(rig, NBD_EV_REQUEST), &iov, 1);
    rig_pump(rig);
    uint64_t now = 1000 * NS_PER_SEC;
    nbd_proto_tick(rig->c, now);
    rig_pump(rig);
    assert_false(rig->closed);
    assert_int_equal(nbd_proto_tx(rig->c, out, 3), 2);
    nbd_proto_tx_done(rig->c, (512 + 28) / NBD_STALLS_MAX - 1);
    rig_request(rig, 0, NBD_CMD_FLUSH, 2, 0, 0); /* it still speaks */
    nbd_req_reply(rig_event(rig, NBD_EV_REQUEST), NULL, 0);
    nbd_proto_tick(rig->c, now + RIG_STALL_NS);
    rig_pump(rig);
    rig_closed(rig, USAN_ETIMEOUT);
    (void)rig_event(rig, NBD_EV_OVER);
    (void)rig_event(rig, NBD_EV_OVER);
    rig_close(rig);
}

static void trickling_writer(void **state)
{
    enum { LEN = 4096, SHARE = LEN / NBD_STALLS_MAX };
    uint8_t data[LEN] = { 0 };
    begin(state, true);
    rig_request(rig, 0, NBD_CMD_WRITE, 1, 0, LEN);
    (void)rig_event(rig, NBD_EV_REQUEST);
    rig_send(rig, data, SHARE);
    uint64_t now = nbd_proto_deadline(rig->c);
    for (unsigned sent = SHARE; sent < 3 * SHARE; sent += SHARE) {
        nbd_proto_tick(rig->c, now);
        rig_pump(rig);
        assert_false(rig->closed);
        rig_send(rig, data, SHARE);
        now += RIG_STALL_NS;
    }
    nbd_proto_tick(rig->c, now);
    rig_pump(rig);
    assert_false(rig->closed);
    rig_send(rig, data, SHARE - 1);
    nbd_proto_tick(rig->c, now + RIG_STALL_NS);
    rig_pump(rig);
    rig_closed(rig, USAN_ETIMEOUT);
    (void)rig_event(rig, NBD_EV_OVER);
    rig_close(rig);
}

static void stalled_writer(void **state)
{
    uint8_t data[512] = { 0 };
    begin(state, true);
    rig_request(rig, 0, NBD_CMD_WRITE, 1, 0, 512);
    rig_send(rig, data, 511);
    uint64_t now = nbd_proto_deadline(rig->c);
    nbd_proto_tick(rig->c, now);
    rig_pump(rig);
    assert_false(rig->closed);
    nbd_proto_tick(rig->c, now + RIG_STALL_NS);
    rig_pump(rig);
    rig_closed(rig, USAN_ETIMEOUT);
    (void)rig_event(rig, NBD_EV_REQUEST);
    (void)rig_event(rig, NBD_EV_OVER);
    rig_close(rig);
    begin(state, true);
    rig_send(rig, "\x25\x60", 2); /* a part of a header */
    assert_int_equal(nbd_proto_deadline(rig->c), RIG_STALL_NS);
    rig_close(rig);
}

/* ---- ends ---- */

static void disconnect(void **state)
{
    uint8_t data[512] = { 0 };
    struct iovec iov = { data, 512 };
    begin(state, true);
    rig_request(rig, 0, NBD_CMD_READ, 1, 0, 512);
    rig_request(rig, 0, NBD_CMD_DISC, 0, 0, 0);
    assert_false(rig->closed); /* what was asked for is answered first */
    struct iovec in[NBD_RX_IOV_MAX];
    assert_int_equal(nbd_proto_rx_space(rig->c, rig->buf, sizeof(rig->buf), in), 0);
    nbd_req_reply(rig_event(rig, NBD_EV_REQUEST), &iov, 1);
    rig_pump(rig);
    assert_int_equal(rig_chunk(rig, 1, 1), 520);
    rig_closed(rig, 0);
    rig_close(rig);
}

/* The client dies: writes under way go on, replies go nowhere, everything is released. */
static void killed(void **state)
{
    uint8_t data[512] = { 0 };
    struct iovec iov = { data, 512 };
    begin(state, true);
    rig_request(rig, 0, NBD_CMD_READ, 1, 0, 512);
    rig_request(rig, 0, NBD_CMD_READ, 2, 0, 512);
    rig_request(rig, 0, NBD_CMD_WRITE, 3, 0, 512);
    rig_send(rig, data, 100);
    struct nbd_req *first = rig_event(rig, NBD_EV_REQUEST);
    struct nbd_req *second = rig_event(rig, NBD_EV_REQUEST);
    struct nbd_req *third = rig_event(rig, NBD_EV_REQUEST);
    rig->unread = true;
    nbd_req_reply(first, &iov, 1);
    rig_pump(rig);
    nbd_proto_rx_eof(rig->c);
    rig_pump(rig);
    rig_closed(rig, USAN_ECLOSED);
    assert_ptr_equal(rig_event(rig, NBD_EV_OVER), first);
    assert_ptr_equal(rig_event(rig, NBD_EV_OVER), third);
    rig_no_event(rig);
    assert_false(nbd_proto_tx_pending(rig->c));
    assert_int_equal(nbd_proto_busy(rig->c), 1);
    nbd_req_reply(second, &iov, 1);
    rig_pump(rig);
    assert_ptr_equal(rig_event(rig, NBD_EV_OVER), second);
    rig_close(rig);
}

static void killed_while_waiting(void **state)
{
    begin(state, true);
    rig->no_memory = true;
    rig_request(rig, 0, NBD_CMD_WRITE, 3, 0, 512);
    struct nbd_req *req = rig_event(rig, NBD_EV_REQUEST);
    nbd_proto_rx_eof(rig->c);
    /* memory comes before the owner has looked */
    struct iovec iov = { rig->memory, 512 };
    nbd_req_want_data(req, &iov, 1);
    rig_pump(rig);
    assert_ptr_equal(rig_event(rig, NBD_EV_OVER), req);
    rig_close(rig);
}

static void stopping(void **state)
{
    uint8_t data[512] = { 0 };
    begin(state, true);
    rig_request(rig, 0, NBD_CMD_FLUSH, 1, 0, 0);
    nbd_proto_shutdown(rig->c);
    rig_request(rig, 0, NBD_CMD_READ, 2, 0, 512);
    (void)rig_error(rig, 2, 108);
    rig_request(rig, 0, NBD_CMD_WRITE, 3, 0, 512);
    rig_send(rig, data, sizeof(data));
    (void)rig_error(rig, 3, 108);
    nbd_req_reply(rig_event(rig, NBD_EV_REQUEST), NULL, 0);
    rig_pump(rig);
    rig_simple(rig, 1, 0); /* what came before is carried out */
    rig_request(rig, 0, NBD_CMD_DISC, 0, 0, 0);
    rig_closed(rig, 0);
    rig_close(rig);
}

/* What the owner keeps in a request is there again when the request is used again. */
static void private_room(void **state)
{
    begin(state, true);
    for (int i = 0; i < 10; i++) {
        rig_request(rig, 0, NBD_CMD_FLUSH, 1, 0, 0);
        struct nbd_req *req = rig_event(rig, NBD_EV_REQUEST);
        int *n = req->priv;
        assert_int_equal(*n, i); /* one after the other: always the same */
        ++*n;
        nbd_req_reply(req, NULL, 0);
        rig_pump(rig);
        (void)rig_event(rig, NBD_EV_OVER);
    }
    rig_close(rig);
}

/* ---- memory ---- */

struct scarce {
    int left; /* allocations that succeed */
    int held;
};

static void *scarce_get(void *ctx, size_t bytes)
{
    struct scarce *s = ctx;
    if (s->left == 0)
        return NULL;
    s->left--;
    void *p = malloc(bytes);
    s->held += p != NULL;
    return p;
}

static void scarce_put(void *ctx, void *p)
{
    struct scarce *s = ctx;
    s->held -= p != NULL;
    free(p);
}

static void out_of_memory(void **state)
{
    struct scarce s = { 0 };
    const struct alloc a = { scarce_get, scarce_put, &s };
    struct nbd_proto_config cfg = rig_config();
    for (int left = 0; left < 2; left++) {
        s.left = left;
        assert_null(nbd_proto_new(&cfg, &a, 0));
        assert_int_equal(s.held, 0);
    }
    rig->a = &a;
    s.left = 2;
    rig_open(rig, &cfg, chunk_of(state));
    rig_go(rig, true, false);
    struct iovec iov[NBD_RX_IOV_MAX];
    assert_int_equal(nbd_proto_rx_space(rig->c, rig->buf, sizeof(rig->buf), iov), 0);
    rig_pump(rig);
    rig_closed(rig, USAN_ENOMEM); /* not even one request: there is nothing to wait for */
    rig_close(rig);
    s.left = 3;
    rig_open(rig, &cfg, chunk_of(state)); /* one is enough */
    rig_go(rig, true, false);
    for (int i = 0; i < 3; i++) {
        rig_request(rig, 0, NBD_CMD_FLUSH, 1, 0, 0);
        nbd_req_reply(rig_event(rig, NBD_EV_REQUEST), NULL, 0);
        rig_pump(rig);
        (void)rig_event(rig, NBD_EV_OVER);
    }
    rig_close(rig);
    assert_int_equal(s.held, 0);
    rig->a = NULL;
}

#define ALL(chunk)                                                                                 \
    T(queue_depth, chunk), T(write_waits, chunk), T(stalled_reader, chunk),                        \
        T(trickling_reader, chunk), T(trickling_writer, chunk), T(stalled_writer, chunk),          \
        T(disconnect, chunk), T(killed, chunk), T(killed_while_waiting, chunk),                    \
        T(stopping, chunk), T(private_room, chunk), T(out_of_memory, chunk)

int main(void)
{
    static size_t bytes = 1, odd = 7, large = 4096;
    const struct CMUnitTest tests[] = { ALL(bytes), ALL(odd), ALL(large) };
    rig = calloc(1, sizeof(*rig));
    int failed = rig ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
    free(rig);
    return failed;
}
