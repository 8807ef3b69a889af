/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * NBD requests on stores of every kind, through a socket and a running reactor: memory that is lent
 * and granted, buffers, requests in several parts, errors with their place, memory that is short,
 * clients that die, the stop.
 */
#include <setjmp.h>
#include <stdarg.h>

#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "attach/reactor.h"
#include "base/bytes.h"
#include "nbd/wire.h"

#include <semaphore.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { KIB = 1024, MIB = 1 << 20, CLIENTS = 3 };

struct fixture {
    struct front_config cfg;
    struct store *store;
    struct payload_limit limit;
    struct attach_reactor *r;
    int fd[CLIENTS];
    sem_t drained;
    uint8_t out[2 * MIB], in[2 * MIB];
};

static void silent(enum front_level level, const char *event, const char *details)
{
    (void)level;
    (void)event;
    (void)details;
}

/* ---- what the server sends: its calls come through here ---- */

static struct {
    atomic_uint with_more, calls;
    atomic_int last_flags;
} sends;

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
    atomic_fetch_add(&sends.calls, 1);
    atomic_fetch_add(&sends.with_more, flags & MSG_MORE ? 1 : 0);
    atomic_store(&sends.last_flags, flags);
    return syscall(SYS_sendmsg, fd, msg, flags);
}

/* ---- what the store gets ---- */

static atomic_uint durable; /* requests that are to be, when they are complete */

void __real_store_submit(struct store_channel *ch, struct bio *bio);
void __wrap_store_submit(struct store_channel *ch, struct bio *bio);

void __wrap_store_submit(struct store_channel *ch, struct bio *bio)
{
    atomic_fetch_add(&durable, bio->flags & BIO_F_FUA ? 1 : 0);
    __real_store_submit(ch, bio);
}

/* ---- a client that waits for each answer ---- */

static void put(int fd, const void *p, size_t n)
{
    while (n) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        assert_true(sent > 0);
        p = (const uint8_t *)p + sent;
        n -= (size_t)sent;
    }
}

static const uint8_t *take(int fd, void *p, size_t n)
{
    size_t have = 0;
    while (have < n) {
        ssize_t got = recv(fd, (uint8_t *)p + have, n - have, 0);
        assert_true(got > 0);
        have += (size_t)got;
    }
    return p;
}

static bool at_end(int fd)
{
    uint8_t byte;
    return recv(fd, &byte, 1, 0) <= 0;
}

static void reply_to(int fd, uint32_t option, uint8_t *data, size_t cap)
{
    uint8_t b[20];
    uint32_t type;
    do {
        (void)take(fd, b, sizeof(b));
        assert_int_equal(be32_get(b + 8), option);
        type = be32_get(b + 12);
        assert_true(be32_get(b + 16) <= cap);
        (void)take(fd, data, be32_get(b + 16));
    } while (type == NBD_REP_INFO || type == NBD_REP_META_CONTEXT);
    assert_int_equal(type, NBD_REP_ACK);
}

static void option(int fd, uint32_t number, const char *data, size_t n)
{
    uint8_t b[16], reply[64];
    be64_put(b, NBD_OPTION_MAGIC);
    be32_put(b + 8, number);
    be32_put(b + 12, (uint32_t)n);
    put(fd, b, sizeof(b));
    put(fd, data, n);
    reply_to(fd, number, reply, sizeof(reply));
}

static void shake_hands(int fd)
{
    uint8_t greeting[18];
    (void)take(fd, greeting, sizeof(greeting));
    put(fd, "\0\0\0\3", 4);
    option(fd, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
    static const char context[] = "\0\0\0\0\0\0\0\1\0\0\0\17base:allocation";
    option(fd, NBD_OPT_SET_META_CONTEXT, context, sizeof(context) - 1);
    option(fd, NBD_OPT_GO, "\0\0\0\0\0\0", 6);
}

static void make_request(uint8_t b[NBD_REQUEST_BYTES], unsigned flags, enum nbd_cmd cmd,
                         uint64_t off, uint32_t len)
{
    be32_put(b, NBD_REQUEST_MAGIC);
    be16_put(b + 4, (uint16_t)flags);
    be16_put(b + 6, (uint16_t)cmd);
    be64_put(b + 8, 7);
    be64_put(b + 16, off);
    be32_put(b + 24, len);
}

static void ask(int fd, unsigned flags, enum nbd_cmd cmd, uint64_t off, uint32_t len)
{
    uint8_t b[NBD_REQUEST_BYTES];
    make_request(b, flags, cmd, off, len);
    put(fd, b, sizeof(b));
}

/* The answer: an error and its place (UINT64_MAX: none), or 0 with data or descriptors in `data`.
 */
static uint32_t answer(int fd, void *data, uint64_t *ret_at)
{
    uint8_t b[20], err[128];
    (void)take(fd, b, 16);
    *ret_at = UINT64_MAX;
    if (be32_get(b) == NBD_SIMPLE_REPLY_MAGIC)
        return be32_get(b + 4);
    assert_int_equal(be32_get(b), NBD_STRUCTURED_REPLY_MAGIC);
    (void)take(fd, b + 16, 4);
    unsigned type = be16_get(b + 6);
    uint32_t n = be32_get(b + 16);
    if (type == NBD_REPLY_TYPE_OFFSET_DATA) {
        *ret_at = be64_get(take(fd, err, 8));
        (void)take(fd, data, n - 8);
        return 0;
    }
    if (type == NBD_REPLY_TYPE_BLOCK_STATUS) {
        *ret_at = (n - 4) / 8;
        (void)take(fd, err, 4);
        (void)take(fd, data, n - 4);
        return 0;
    }
    assert_true(n <= sizeof(err));
    (void)take(fd, err, n);
    if (type == NBD_REPLY_TYPE_ERROR_OFFSET)
        *ret_at = be64_get(err + n - 8);
    return be32_get(err);
}

static uint32_t plain(int fd, unsigned flags, enum nbd_cmd cmd, uint64_t off, uint32_t len)
{
    uint64_t at;
    ask(fd, flags, cmd, off, len);
    return answer(fd, NULL, &at);
}

static uint32_t write_at(int fd, unsigned flags, uint64_t off, const void *p, uint32_t len)
{
    uint64_t at;
    ask(fd, flags, NBD_CMD_WRITE, off, len);
    put(fd, p, len);
    return answer(fd, NULL, &at);
}

static uint32_t read_at(int fd, uint64_t off, void *p, uint32_t len, uint64_t *ret_at)
{
    ask(fd, 0, NBD_CMD_READ, off, len);
    return answer(fd, p, ret_at);
}

/* ---- the server ---- */

static struct fixture *prepare(const char *spec, uint64_t memory)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct err_text e;
    assert_non_null(f);
    f->cfg = (struct front_config){ .name = "",
                                    .queue_depth = 4,
                                    .handshake_timeout_ns = 60 * NS_PER_SEC,
                                    .stall_timeout_ns = 60 * NS_PER_SEC,
                                    .report = silent };
    f->limit.max_bytes = memory;
    assert_int_equal(sem_init(&f->drained, 0, 0), 0);
    assert_int_equal(store_open_spec(spec, false, &f->store, &e), 0);
    for (size_t i = 0; i < sizeof(f->out); i++)
        f->out[i] = (uint8_t)(i * 31 + i / 509);
    return f;
}

static void start(struct fixture *f)
{
    struct err_text e;
    const struct loop_config lc = { .poll = LOOP_POLL_NEVER, .cpu = -1 };
    assert_int_equal(attach_reactor_new(&f->cfg, f->store, &lc, &f->limit, 0, 1, &f->r, &e), 0);
    for (int i = 0; i < CLIENTS; i++) {
        int fd[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
        f->fd[i] = fd[0];
        atomic_fetch_add(&f->r->nbd.conn_count, 1);
        nbd_server_serve(&f->r->nbd, fd[1]);
    }
    assert_int_equal(attach_reactor_start(f->r, &e), 0);
    for (int i = 0; i < CLIENTS; i++)
        shake_hands(f->fd[i]);
}

static void drained(struct attach_reactor *r)
{
    struct fixture *f = r->drained_arg;
    (void)sem_post(&f->drained);
}

/* The reactor is drained: every byte has come back. */
static void end(struct fixture *f)
{
    assert_int_equal(sem_wait(&f->drained), 0);
    attach_reactor_stop(f->r);
    for (int i = 0; i < CLIENTS; i++) {
        if (f->fd[i] >= 0)
            close(f->fd[i]);
    }
    attach_reactor_free(f->r);
    store_close(f->store);
    assert_int_equal(f->limit.taken_bytes, 0);
    (void)sem_destroy(&f->drained);
    free(f);
}

static void stop(struct fixture *f)
{
    attach_reactor_drain(f->r, drained, f);
    end(f);
}

/* ---- data ---- */

/* Writes and reads of many sizes and places, each seen by another connection. */
static void data_is_kept(struct fixture *f)
{
    static const struct {
        uint32_t off, len;
    } list[] = {
        { 0, 512 },           { 512, 4096 },          { 4096, 4096 },      { 8192, 64 * KIB },
        { 100 * KIB, 65536 }, { 256 * KIB, MIB },     { 512, MIB + 1024 }, { 3 * MIB, MIB },
        { MIB, 2 * MIB },     { 4 * MIB - 512, 512 },
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        uint32_t len = list[i].len;
        uint64_t at;
        const uint8_t *from = f->out + (i * 3) % 8;
        if (len > sizeof(f->out) - 8)
            len -= 4096;
        assert_int_equal(write_at(f->fd[0], i & 1, list[i].off, from, len), 0);
        assert_int_equal(read_at(f->fd[1], list[i].off, f->in, len, &at), 0);
        assert_int_equal(at, list[i].off);
        assert_memory_equal(f->in, from, len);
    }
}

static bool zero(const uint8_t *p, size_t n)
{
    return *p == 0 && memcmp(p, p + 1, n - 1) == 0;
}

/* Those with FUA say so to the store, the same ones without it do not. */
static void made_durable(struct fixture *f)
{
    int fd = f->fd[0];
    for (unsigned fua = 0; fua < 2; fua++) {
        atomic_store(&durable, 0);
        assert_int_equal(write_at(fd, fua, 0, f->out, 4 * KIB), 0);
        assert_int_equal(atomic_load(&durable) > 0, fua);
        atomic_store(&durable, 0);
        assert_int_equal(plain(fd, fua, NBD_CMD_WRITE_ZEROES, 0, 4 * KIB), 0);
        assert_int_equal(atomic_load(&durable) > 0, fua);
        atomic_store(&durable, 0);
        if (f->store->info.unmap_gran_bytes)
            assert_int_equal(plain(fd, fua, NBD_CMD_TRIM, 0, 64 * KIB), 0);
        assert_int_equal(atomic_load(&durable) > 0, fua && f->store->info.unmap_gran_bytes);
    }
}

static void other_commands(struct fixture *f)
{
    int fd = f->fd[0];
    uint64_t count;
    made_durable(f);
    assert_int_equal(write_at(fd, 0, 0, f->out, MIB), 0);
    assert_int_equal(plain(fd, 0, NBD_CMD_FLUSH, 0, 0), 0);
    assert_int_equal(plain(fd, 0, NBD_CMD_CACHE, 0, 4 * MIB), 0);
    assert_int_equal(plain(fd, 0, NBD_CMD_WRITE_ZEROES, 64 * KIB, 64 * KIB), 0);
    assert_int_equal(plain(fd, 2, NBD_CMD_WRITE_ZEROES, 128 * KIB, 64 * KIB), 0);
    if (f->store->info.unmap_gran_bytes)
        assert_int_equal(plain(fd, 1, NBD_CMD_TRIM, 192 * KIB, 64 * KIB), 0);
    assert_int_equal(read_at(fd, 0, f->in, MIB, &count), 0);
    assert_memory_equal(f->in, f->out, 64 * KIB);
    assert_true(zero(f->in + 64 * KIB, 128 * KIB));
    assert_memory_equal(f->in + 256 * KIB, f->out + 256 * KIB, MIB - 256 * KIB);
}

static void a_map(struct fixture *f)
{
    uint64_t count;
    assert_int_equal(plain(f->fd[0], 0, NBD_CMD_WRITE_ZEROES, 0, 4 * MIB), 0);
    assert_int_equal(write_at(f->fd[0], 0, MIB, f->out, MIB), 0);
    ask(f->fd[0], 0, NBD_CMD_BLOCK_STATUS, 512 * KIB, 2 * MIB);
    assert_int_equal(answer(f->fd[0], f->in, &count), 0);
    assert_int_equal(count, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(be32_get(f->in + 8 * i), i == 1 ? MIB : 512 * KIB);
        assert_int_equal(be32_get(f->in + 8 * i + 4), i == 1 ? 0 : 3);
    }
    ask(f->fd[0], NBD_CMD_FLAG_REQ_ONE, NBD_CMD_BLOCK_STATUS, MIB + 4096, 2 * MIB);
    assert_int_equal(answer(f->fd[0], f->in, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(be32_get(f->in), MIB - 4096);
}

static void lent_and_granted(void **state)
{
    (void)state;
    struct fixture *f = prepare("ram:4M", 2 * MIB);
    assert_true(f->store->info.can_lend && f->store->info.can_grant);
    start(f);
    data_is_kept(f);
    other_commands(f);
    a_map(f);
    stop(f);
}

static void through_buffers(void **state)
{
    (void)state;
    struct fixture *f = prepare("ram:4M", 4 * MIB);
    f->store->info.can_lend = f->store->info.can_grant = false;
    start(f);
    data_is_kept(f);
    other_commands(f);
    a_map(f);
    stop(f);
}

/* A store that takes less at once than clients ask for. */
static void in_parts(void **state)
{
    (void)state;
    struct fixture *f = prepare("ram:4M", 4 * MIB);
    f->store->info.max_io_bytes = 12 * KIB;
    start(f);
    data_is_kept(f);
    other_commands(f);
    stop(f);
}

/* One that has a cache but neither FUA nor zeroes of its own. */
static void emulated(void **state)
{
    (void)state;
    struct fixture *f = prepare("ram:4M", 4 * MIB);
    f->store->info.can_fua = f->store->info.can_write_zeroes = false;
    f->store->info.volatile_cache = true;
    start(f);
    data_is_kept(f);
    other_commands(f);
    assert_int_equal(plain(f->fd[0], NBD_CMD_FLAG_FAST_ZERO, NBD_CMD_WRITE_ZEROES, 0, 4096),
                     NBD_ENOTSUP);
    stop(f);
}

/* ---- errors ---- */

static void bad_block(void **state)
{
    (void)state;
    struct fixture *f = prepare("error(op=read,off=1M,len=4K)+ram:4M", 4 * MIB);
    uint64_t at;
    start(f);
    assert_int_equal(write_at(f->fd[0], 0, 0, f->out, 2 * MIB), 0);
    assert_int_equal(read_at(f->fd[0], MIB - 4096, f->in, 4096, &at), 0);
    assert_int_equal(read_at(f->fd[0], MIB - 4096, f->in, 64 * KIB, &at), NBD_EIO);
    assert_int_equal(at, MIB);
    assert_int_equal(read_at(f->fd[0], MIB + 4096, f->in, 64 * KIB, &at), 0);
    assert_memory_equal(f->in, f->out + MIB + 4096, 64 * KIB);
    stop(f);
}

static void full(void **state)
{
    (void)state;
    struct fixture *f = prepare("ram:4M?mem=64K", 4 * MIB);
    uint64_t at;
    start(f);
    assert_int_equal(write_at(f->fd[0], 0, 0, f->out, 64 * KIB), 0);
    assert_int_equal(write_at(f->fd[0], 0, MIB, f->out, 64 * KIB), NBD_ENOSPC);
    assert_int_equal(plain(f->fd[0], 0, NBD_CMD_TRIM, 0, 64 * KIB), 0);
    assert_int_equal(write_at(f->fd[0], 0, MIB, f->out, 64 * KIB), 0);
    assert_int_equal(read_at(f->fd[1], MIB, f->in, 64 * KIB, &at), 0);
    assert_memory_equal(f->in, f->out, 64 * KIB);
    stop(f);
}

/* ---- many replies at once ---- */

struct pause {
    struct loop_msg msg;
    sem_t reached, go;
};

static void pause_here(struct loop_msg *m)
{
    struct pause *p = list_entry(m, struct pause, msg);
    (void)sem_post(&p->reached);
    (void)sem_wait(&p->go);
}

/* So many reads are there when the reactor looks that their replies fill its array of iovecs, more
 * or less: the kernel is told that more follows only while it does, or it would hold the end back.
 */
static void many_replies(void **state)
{
    (void)state;
    struct fixture *f = prepare("ram:4M", 4 * MIB);
    struct pause p = { .msg.deliver = pause_here };
    f->cfg.queue_depth = 1024;
    assert_int_equal(sem_init(&p.reached, 0, 0), 0);
    assert_int_equal(sem_init(&p.go, 0, 0), 0);
    start(f);
    for (unsigned n = FRONT_TX_IOV / 2 - 1; n <= FRONT_TX_IOV / 2 + 2; n++) {
        loop_post(f->r->front.loop, &p.msg);
        assert_int_equal(sem_wait(&p.reached), 0);
        for (unsigned i = 0; i < n; i++)
            make_request(f->out + i * NBD_REQUEST_BYTES, 0, NBD_CMD_READ, 0, 512);
        put(f->fd[0], f->out, (size_t)n * NBD_REQUEST_BYTES);
        atomic_store(&sends.calls, 0);
        atomic_store(&sends.with_more, 0);
        assert_int_equal(sem_post(&p.go), 0);
        for (unsigned i = 0; i < n; i++) {
            uint64_t at;
            assert_int_equal(answer(f->fd[0], f->in, &at), 0);
        }
        /* the last answer has come, so the last call was made */
        assert_int_equal(atomic_load(&sends.last_flags) & MSG_MORE, 0);
        assert_int_equal(atomic_load(&sends.with_more), n >= FRONT_TX_IOV / 2 ? 1 : 0);
        assert_int_equal(atomic_load(&sends.calls), n >= FRONT_TX_IOV / 2 ? 2 : 1);
    }
    stop(f);
    (void)sem_destroy(&p.reached);
    (void)sem_destroy(&p.go);
}

/* ---- memory and ends ---- */

/* Two clients hold all memory for writes they do not finish; the third waits until one does. */
static void short_of_memory(void **state)
{
    (void)state;
    struct fixture *f = prepare("ram:4M", 2 * MIB);
    uint64_t at;
    f->store->info.can_lend = f->store->info.can_grant = false;
    start(f);
    for (int i = 0; i < 2; i++) {
        ask(f->fd[i], 0, NBD_CMD_WRITE, (uint64_t)i * MIB, MIB);
        put(f->fd[i], f->out, MIB - 1);
    }
    ask(f->fd[2], 0, NBD_CMD_WRITE, 2 * MIB, MIB);
    put(f->fd[2], f->out, 4096); /* there is no place for it yet */
    put(f->fd[0], f->out + MIB - 1, 1);
    assert_int_equal(answer(f->fd[0], NULL, &at), 0);
    put(f->fd[2], f->out + 4096, MIB - 4096);
    assert_int_equal(answer(f->fd[2], NULL, &at), 0);
    assert_int_equal(read_at(f->fd[2], 2 * MIB, f->in, MIB, &at), 0);
    assert_memory_equal(f->in, f->out, MIB);
    /* The other one dies, which gives its memory back: all of it can be had at once. */
    close(f->fd[1]);
    f->fd[1] = -1;
    assert_int_equal(read_at(f->fd[0], 0, f->in, 2 * MIB, &at), 0);
    stop(f);
}

/* Clients that die with requests in the store, waiting for memory, and half sent. */
static void killed(void **state)
{
    (void)state;
    struct fixture *f = prepare("delay(time=50ms)+ram:4M", MIB);
    f->store->info.can_lend = f->store->info.can_grant = false;
    start(f);
    for (int i = 0; i < CLIENTS; i++) {
        ask(f->fd[i], 0, NBD_CMD_READ, 0, MIB);
        ask(f->fd[i], 0, NBD_CMD_READ, 0, MIB);
        ask(f->fd[i], 0, NBD_CMD_WRITE, 0, MIB);
        put(f->fd[i], f->out, 1000);
        close(f->fd[i]);
        f->fd[i] = -1;
    }
    stop(f);
}

/* What has come before the stop is carried out and answered. */
static void stop_finishes(void **state)
{
    (void)state;
    struct fixture *f = prepare("delay(time=100ms,op=write)+ram:4M", 4 * MIB);
    uint64_t at;
    start(f);
    ask(f->fd[0], 0, NBD_CMD_WRITE, 0, 4096);
    put(f->fd[0], f->out, 4096);
    /* an answer on another connection shows that the reactor has seen the write */
    assert_int_equal(plain(f->fd[1], 0, NBD_CMD_FLUSH, 0, 0), 0);
    attach_reactor_drain(f->r, drained, f);
    assert_int_equal(answer(f->fd[0], NULL, &at), 0);
    assert_true(at_end(f->fd[0]));
    assert_true(at_end(f->fd[2]));
    end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lent_and_granted), cmocka_unit_test(through_buffers),
        cmocka_unit_test(in_parts),         cmocka_unit_test(emulated),
        cmocka_unit_test(bad_block),        cmocka_unit_test(full),
        cmocka_unit_test(many_replies),     cmocka_unit_test(short_of_memory),
        cmocka_unit_test(killed),           cmocka_unit_test(stop_finishes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
