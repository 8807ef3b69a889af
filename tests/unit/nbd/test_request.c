/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NBD requests and replies: every command, every error; in pieces of several sizes. */
#include "request_test.h"

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

#define ALL(chunk)                                                                                 \
    T(read_simple, chunk), T(read_structured, chunk), T(write_whole, chunk),                       \
        T(back_to_back, chunk), T(other_commands, chunk), T(block_status, chunk),                  \
        T(failures, chunk), T(write_refused, chunk), T(refusals, chunk), T(nothing_to_do, chunk),  \
        T(read_only, chunk), T(no_trim, chunk), T(long_requests, chunk), T(magic, chunk)

int main(void)
{
    static size_t bytes = 1, odd = 7, large = 4096;
    const struct CMUnitTest tests[] = { ALL(bytes), ALL(odd), ALL(large) };
    rig = calloc(1, sizeof(*rig));
    int failed = rig ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
    free(rig);
    return failed;
}
