/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NBD requests and replies: every command, every error, order, limits, ends; in pieces of several
 * sizes. */
#include "nbd_rig.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

static struct rig *rig;

enum { KIB = 1024, MIB = 1 << 20 };

static size_t chunk_of(void **state)
{
    return *(const size_t *)*state;
}

static void begin(void **state, bool structured)
{
    struct nbd_proto_config cfg = rig_config();
    rig_open(rig, &cfg, chunk_of(state));
    rig_go(rig, structured, structured);
}

static void pattern(uint8_t *p, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(seed + i * 7 + i / 256);
}

/* ---- replies ---- */

static void read_simple(void **state)
{
    uint8_t data[1024];
    begin(state, false);
    rig_request(rig, 0, NBD_CMD_READ, 77, 4096, 1024);
    struct nbd_req *req = rig_event(rig, NBD_EV_REQUEST);
    assert_int_equal(req->cmd, NBD_CMD_READ);
    assert_int_equal(req->off, 4096);
    assert_int_equal(req->len, 1024);
    rig_silent(rig);
    assert_int_equal(nbd_proto_busy(rig->c), 1);
    pattern(data, sizeof(data), 3);
    struct iovec iov[3] = { { data, 1 }, { data + 1, 0 }, { data + 1, 1023 } };
    nbd_req_reply(req, iov, 3);
    rig_pump(rig);
    rig_simple(rig, 77, 0);
    assert_memory_equal(rig_got(rig, 1024), data, 1024);
    rig_silent(rig);
    assert_ptr_equal(rig_event(rig, NBD_EV_OVER), req);
    assert_int_equal(nbd_proto_busy(rig->c), 0);
    rig_close(rig);
}

static void read_structured(void **state)
{
    uint8_t data[512];
    begin(state, true);
    rig_request(rig, NBD_CMD_FLAG_DF, NBD_CMD_READ, 0x1122334455667788, MIB - 512, 512);
    struct nbd_req *req = rig_event(rig, NBD_EV_REQUEST);
    pattern(data, sizeof(data), 4);
    struct iovec iov = { data, sizeof(data) };
    nbd_req_reply(req, &iov, 1);
    rig_pump(rig);
    assert_int_equal(rig_chunk(rig, 0x1122334455667788, 1), 520);
    assert_int_equal(rig_got64(rig), MIB - 512);
    assert_memory_equal(rig_got(rig, 512), data, 512);
    rig_silent(rig);
    assert_ptr_equal(rig_event(rig, NBD_EV_OVER), req);
    rig_close(rig);
}

static void write_whole(void **state)
{
    uint8_t data[4096];
    for (int structured = 0; structured < 2; structured++) {
        begin(state, structured);
        pattern(data, sizeof(data), 5);
        rig_request(rig, NBD_CMD_FLAG_FUA, NBD_CMD_WRITE, 9, 8192, sizeof(data));
        struct nbd_req *req = rig_event(rig, NBD_EV_REQUEST);
        assert_int_equal(req->flags, NBD_CMD_FLAG_FUA);
        rig_send(rig, data, sizeof(data) - 1);
        rig_no_event(rig);
        rig_send(rig, data + sizeof(data) - 1, 1);
        assert_ptr_equal(rig_event(rig, NBD_EV_DATA), req);
        assert_memory_equal(rig->memory + 8192, data, sizeof(data));
        rig_silent(rig);
        nbd_req_reply(req, NULL, 0);
        rig_pump(rig);
        rig_simple(rig, 9, 0);
        rig_silent(rig);
        rig_close(rig);
    }
}

/* Requests and payloads one behind the other, received as they come. */
static void back_to_back(void **state)
{
    enum { N = 4, LEN = 1536 };
    uint8_t stream[N * (28 + LEN)], *p = stream;
    begin(state, true);
    for (unsigned i = 0; i < N; i++) {
        struct wr w = wr_init(p, 28);
        wr_be32(&w, 0x25609513);
        wr_be16(&w, 0);
        wr_be16(&w, NBD_CMD_WRITE);
        wr_be64(&w, i);
        wr_be64(&w, i * 2048);
        wr_be32(&w, LEN);
        pattern(p + 28, LEN, i);
        p += 28 + LEN;
    }
    rig_send(rig, stream, sizeof(stream));
    struct nbd_req *req[N];
    for (unsigned i = 0; i < N; i++) {
        req[i] = rig_event(rig, NBD_EV_REQUEST);
        assert_ptr_equal(rig_event(rig, NBD_EV_DATA), req[i]);
        assert_memory_equal(rig->memory + i * 2048, stream + i * (28 + LEN) + 28, LEN);
    }
    /* answered in another order */
    for (unsigned i = N; i-- > 0;)
        nbd_req_reply(req[i], NULL, 0);
    rig_pump(rig);
    for (unsigned i = N; i-- > 0;)
        rig_simple(rig, i, 0);
    rig_silent(rig);
    rig_close(rig);
}

static void other_commands(void **state)
{
    static const struct {
        unsigned type, flags;
        uint64_t off;
        uint32_t len;
    } list[] = {
        { NBD_CMD_FLUSH, 0, 0, 0 },
        { NBD_CMD_FLUSH, 1, 0, 0 },
        { NBD_CMD_TRIM, 1, 512, 1024 },
        { NBD_CMD_CACHE, 0, 0, MIB },
        { NBD_CMD_CACHE, 1, 0, 512 },
        { NBD_CMD_WRITE_ZEROES, 0, 0, MIB },
        { NBD_CMD_WRITE_ZEROES, 1 | 2 | 16, 512, 512 },
    };
    begin(state, true);
    for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        rig_request(rig, list[i].flags, list[i].type, i, list[i].off, list[i].len);
        struct nbd_req *req = rig_event(rig, NBD_EV_REQUEST);
        assert_int_equal(req->cmd, list[i].type);
        assert_int_equal(req->flags, list[i].flags);
        assert_int_equal(req->off, list[i].off);
        assert_int_equal(req->len, list[i].len);
        nbd_req_reply(req, NULL, 0);
        rig_pump(rig);
        rig_simple(rig, i, 0);
        rig_silent(rig);
        (void)rig_event(rig, NBD_EV_OVER);
    }
    rig_close(rig);
}

static void block_status(void **state)
{
    uint8_t buf[64];
    begin(state, true);
    rig_request(rig, 0, NBD_CMD_BLOCK_STATUS, 5, 0, 65536);
    struct nbd_req *req = rig_event(rig, NBD_EV_REQUEST);
    nbd_extent_put(buf, 0, 4096, 0);
    nbd_extent_put(buf, 1, 61440, NBD_STATE_HOLE | NBD_STATE_ZERO);
    nbd_req_reply_extents(req, buf, 2);
    rig_pump(rig);
    assert_int_equal(rig_chunk(rig, 5, 5), 20);
    assert_int_equal(rig_got32(rig), 1); /* the context that was set */
    assert_int_equal(rig_got32(rig), 4096);
    assert_int_equal(rig_got32(rig), 0);
    assert_int_equal(rig_got32(rig), 61440);
    assert_int_equal(rig_got32(rig), 3);
    rig_silent(rig);
    rig_request(rig, NBD_CMD_FLAG_REQ_ONE, NBD_CMD_BLOCK_STATUS, 6, 0, 0);
    assert_int_equal(rig_error(rig, 6, 22), UINT64_MAX);
    rig_close(rig);
}

/* ---- errors of the owner ---- */

static void failures(void **state)
{
    static const struct {
        int err;
        uint32_t error;
    } list[] = {
        { USAN_EPERM, 1 },    { USAN_ERDONLY, 1 },   { USAN_EIO, 5 },     { USAN_ECORRUPT, 5 },
        { USAN_ENOMEM, 12 },  { USAN_EINVAL, 22 },   { USAN_ERANGE, 22 }, { USAN_ENOSPC, 28 },
        { USAN_ENOTSUP, 22 }, { USAN_ECLOSED, 108 },
    };
    for (int structured = 0; structured < 2; structured++) {
        begin(state, structured);
        for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
            rig_request(rig, 0, NBD_CMD_READ, i, 4096, 4096);
            /* an offset that is not in the request is left out */
            uint64_t off = i == 2 ? 8191 : i == 3 ? 8192 : UINT64_MAX;
            nbd_req_fail(rig_event(rig, NBD_EV_REQUEST), list[i].err, off);
            rig_pump(rig);
            if (structured)
                assert_true(rig_error(rig, i, list[i].error) == (i == 2 ? 8191 : UINT64_MAX));
            else
                rig_simple(rig, i, list[i].error);
            rig_silent(rig);
            (void)rig_event(rig, NBD_EV_OVER);
        }
        rig_close(rig);
    }
    assert_int_equal(nbd_error_of(NBD_CMD_WRITE, USAN_ERANGE), NBD_ENOSPC);
    assert_int_equal(nbd_error_of(NBD_CMD_WRITE_ZEROES, USAN_ERANGE), NBD_ENOSPC);
    assert_int_equal(nbd_error_of(NBD_CMD_TRIM, USAN_ERANGE), NBD_EINVAL);
    assert_int_equal(nbd_error_of(NBD_CMD_WRITE_ZEROES, USAN_ENOTSUP), NBD_ENOTSUP);
    assert_int_equal(nbd_error_of(NBD_CMD_WRITE, 0), NBD_OK);
}

/* A write for which there is no memory: its payload is skipped, the next request is read. */
static void write_refused(void **state)
{
    uint8_t data[3072] = { 1, 2, 3 };
    begin(state, true);
    rig->no_memory = true;
    rig_request(rig, 0, NBD_CMD_WRITE, 1, 0, sizeof(data));
    struct nbd_req *req = rig_event(rig, NBD_EV_REQUEST);
    assert_int_equal(rig_try_send(rig, data, sizeof(data)), 0);
    nbd_req_fail(req, USAN_ENOMEM, UINT64_MAX);
    rig_pump(rig);
    (void)rig_error(rig, 1, 12);
    (void)rig_event(rig, NBD_EV_OVER);
    rig_send(rig, data, sizeof(data));
    rig_request(rig, 0, NBD_CMD_FLUSH, 2, 0, 0);
    nbd_req_reply(rig_event(rig, NBD_EV_REQUEST), NULL, 0);
    rig_pump(rig);
    rig_simple(rig, 2, 0);
    rig_close(rig);
}

/* ---- what the core refuses ---- */

static void refusals(void **state)
{
    static const struct {
        unsigned type, flags;
        uint64_t off;
        uint32_t len, error;
    } list[] = {
        { NBD_CMD_READ, 0, MIB, 512, 22 }, /* past the end */
        { NBD_CMD_READ, 0, MIB - 512, 1024, 22 },
        { NBD_CMD_READ, 0, UINT64_MAX - 511, 512, 22 },
        { NBD_CMD_TRIM, 0, MIB, 512, 22 },
        { NBD_CMD_CACHE, 0, MIB, 512, 22 },
        { NBD_CMD_BLOCK_STATUS, 0, MIB - 512, 1024, 22 },
        { NBD_CMD_WRITE_ZEROES, 0, MIB, 512, 28 },
        { NBD_CMD_WRITE_ZEROES, 0, 0, UINT32_MAX, 28 },
        { NBD_CMD_READ, 0, 1, 512, 22 }, /* not in whole blocks */
        { NBD_CMD_READ, 0, 0, 511, 22 },
        { NBD_CMD_TRIM, 0, 256, 256, 22 },
        { NBD_CMD_READ, 2, 0, 512, 22 }, /* a flag of another command, or of none */
        { NBD_CMD_READ, 16, 0, 512, 22 },
        { NBD_CMD_FLUSH, 2, 0, 0, 22 },
        { NBD_CMD_FLUSH, 0, 512, 0, 22 },
        { NBD_CMD_FLUSH, 0, 0, 512, 22 },
        { NBD_CMD_TRIM, 2, 0, 512, 22 },
        { NBD_CMD_CACHE, 4, 0, 512, 22 },
        { NBD_CMD_WRITE_ZEROES, 4, 0, 512, 22 },
        { NBD_CMD_BLOCK_STATUS, 4, 0, 512, 22 },
        { NBD_CMD_BLOCK_STATUS, 0x8000, 0, 512, 22 },
        { 8, 0, 0, 0, 22 }, /* no such command */
        { 0xffff, 0, 0, 512, 22 },
    };
    begin(state, true);
    for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        rig_request(rig, list[i].flags, list[i].type, i, list[i].off, list[i].len);
        assert_true(rig_error(rig, i, list[i].error) == UINT64_MAX);
        rig_silent(rig);
        rig_no_event(rig);
    }
    assert_int_equal(nbd_proto_busy(rig->c), 0);
    rig_close(rig);
    begin(state, false);
    rig_request(rig, NBD_CMD_FLAG_DF, NBD_CMD_READ, 1, 0, 512); /* needs structured replies */
    rig_simple(rig, 1, 22);
    rig_request(rig, 0, NBD_CMD_BLOCK_STATUS, 2, 0, 512);
    rig_simple(rig, 2, 22);
    rig_close(rig);
}

static void nothing_to_do(void **state)
{
    static const unsigned types[] = { NBD_CMD_WRITE, NBD_CMD_TRIM, NBD_CMD_CACHE,
                                      NBD_CMD_WRITE_ZEROES };
    begin(state, true);
    for (unsigned i = 0; i < 4; i++) {
        rig_request(rig, 0, types[i], i, 512, 0);
        rig_simple(rig, i, 0);
    }
    rig_request(rig, 0, NBD_CMD_READ, 9, 512, 0);
    assert_int_equal(rig_chunk(rig, 9, 0), 0);
    rig_silent(rig);
    rig_no_event(rig);
    rig_close(rig);
}

static void read_only(void **state)
{
    uint8_t data[512] = { 0 };
    struct nbd_proto_config cfg = rig_config();
    cfg.export.read_only = true;
    rig_open(rig, &cfg, chunk_of(state));
    rig_go(rig, false, false);
    rig_request(rig, 0, NBD_CMD_TRIM, 1, 0, 512);
    rig_simple(rig, 1, 1);
    rig_request(rig, 0, NBD_CMD_WRITE_ZEROES, 2, 0, 512);
    rig_simple(rig, 2, 1);
    rig_request(rig, 0, NBD_CMD_WRITE, 3, 0, 512);
    rig_send(rig, data, sizeof(data));
    rig_simple(rig, 3, 1);
    rig_request(rig, 0, NBD_CMD_FLUSH, 4, 0, 0);
    nbd_req_reply(rig_event(rig, NBD_EV_REQUEST), NULL, 0);
    rig_pump(rig);
    rig_simple(rig, 4, 0);
    rig_close(rig);
}

static void no_trim(void **state)
{
    struct nbd_proto_config cfg = rig_config();
    cfg.export.trim = false;
    rig_open(rig, &cfg, chunk_of(state));
    rig_go(rig, false, false);
    rig_request(rig, 0, NBD_CMD_TRIM, 1, 0, 512);
    rig_simple(rig, 1, 22);
    rig_close(rig);
}

/* Longest blocks: one more is refused, its payload skipped; far too much ends the connection. */
static void long_requests(void **state)
{
    struct nbd_proto_config cfg = rig_config();
    cfg.export.size_bytes = 1ull << 40;
    rig_open(rig, &cfg, chunk_of(state) < 4096 ? 4096 : chunk_of(state));
    rig_go(rig, true, false);
    rig_request(rig, 0, NBD_CMD_READ, 1, 0, 32 * MIB);
    nbd_req_fail(rig_event(rig, NBD_EV_REQUEST), USAN_EIO, 5);
    rig_pump(rig);
    assert_int_equal(rig_error(rig, 1, 5), 5);
    rig_request(rig, 0, NBD_CMD_READ, 2, 0, 32 * MIB + 512);
    (void)rig_error(rig, 2, 22);
    rig_request(rig, NBD_CMD_FLAG_DF, NBD_CMD_READ, 3, 0, 32 * MIB + 512);
    (void)rig_error(rig, 3, 75);
    rig_request(rig, 0, NBD_CMD_WRITE_ZEROES, 4, 0, UINT32_MAX & ~511u);
    (void)rig_event(rig, NBD_EV_OVER);
    nbd_req_reply(rig_event(rig, NBD_EV_REQUEST), NULL, 0);
    rig_pump(rig);
    rig_simple(rig, 4, 0);
    uint8_t block[512] = { 0 };
    rig_request(rig, 0, NBD_CMD_WRITE, 5, 0, 32 * MIB + 512);
    (void)rig_error(rig, 5, 22);
    for (int i = 0; i < 64 * KIB + 1; i++)
        rig_send(rig, block, sizeof(block));
    rig_request(rig, 0, NBD_CMD_CACHE, 6, 0, 512);
    (void)rig_event(rig, NBD_EV_OVER);
    assert_int_equal(rig_event(rig, NBD_EV_REQUEST)->cmd, NBD_CMD_CACHE);
    rig_request(rig, 0, NBD_CMD_WRITE, 7, 0, 64 * MIB + 512);
    rig_closed(rig, USAN_EPROTO);
    rig_close(rig);
}

static void magic(void **state)
{
    uint8_t header[28] = { 0x25, 0x60, 0x95, 0x14 };
    begin(state, true);
    rig_send(rig, header, sizeof(header));
    rig_closed(rig, USAN_EPROTO);
    rig_silent(rig);
    rig_close(rig);
}

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
    T(read_simple, chunk), T(read_structured, chunk), T(write_whole, chunk),                       \
        T(back_to_back, chunk), T(other_commands, chunk), T(block_status, chunk),                  \
        T(failures, chunk), T(write_refused, chunk), T(refusals, chunk), T(nothing_to_do, chunk),  \
        T(read_only, chunk), T(no_trim, chunk), T(long_requests, chunk), T(magic, chunk),          \
        T(queue_depth, chunk), T(write_waits, chunk), T(stalled_reader, chunk),                    \
        T(trickling_reader, chunk), T(trickling_writer, chunk), T(stalled_writer, chunk),          \
        T(disconnect, chunk), T(killed, chunk), T(killed_while_waiting, chunk),                    \
        T(stopping, chunk), T(private_room, chunk), T(out_of_memory, chunk)
#define T(name, chunk) cmocka_unit_test_prestate(name, &chunk)

int main(void)
{
    static size_t bytes = 1, odd = 7, large = 4096;
    const struct CMUnitTest tests[] = { ALL(bytes), ALL(odd), ALL(large) };
    rig = calloc(1, sizeof(*rig));
    int failed = rig ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
    free(rig);
    return failed;
}
