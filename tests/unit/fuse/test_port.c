/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The FUSE front end without a mount: a socket that keeps messages apart stands for /dev/fuse, and
 * the test for the kernel. Requests on stores of several kinds, what is refused, memory that is
 * short, the end.
 */
#include "fuse/ops.h"
#include "fuse/port.h"
#include "fuse/reply.h"
#include "io/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fuse.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { KIB = 1024, MIB = 1 << 20 };

struct fixture {
    struct front_config cfg;
    struct store *store;
    struct payload_limit limit;
    struct front front;
    struct fuse_disk disk;
    struct fuse_port port;
    struct thread thread;
    int kernel; /* our end */
    uint64_t unique;
    struct loop_msg stop_msg;
    struct loop_timer stop_timer;
    _Alignas(16) uint8_t out[MIB + 4096];
    _Alignas(16) uint8_t in[MIB + 4096];
};

static void silent(enum front_level level, const char *event, const char *details)
{
    (void)level;
    (void)event;
    (void)details;
}

/* ---- the kernel's side ---- */

static uint64_t ask(struct fixture *f, uint32_t opcode, uint64_t node, const void *arg, size_t n,
                    const void *data, size_t len)
{
    struct fuse_in_header h = { .len = (uint32_t)(sizeof(h) + n + len),
                                .opcode = opcode,
                                .unique = ++f->unique,
                                .nodeid = node };
    struct iovec iov[] = { { &h, sizeof(h) },
                           { (void *)(uintptr_t)arg, n },
                           { (void *)(uintptr_t)data, len } };
    assert_int_equal(writev(f->kernel, iov, 3), h.len);
    return h.unique;
}

/* The next answer: its error, or 0 and *ret_len bytes in f->in. */
static int answer(struct fixture *f, uint64_t *ret_unique, size_t *ret_len)
{
    struct fuse_out_header h;
    struct iovec iov[] = { { &h, sizeof(h) }, { f->in, sizeof(f->in) } };
    ssize_t n = readv(f->kernel, iov, 2);
    assert_true(n >= (ssize_t)sizeof(h));
    assert_int_equal(h.len, n);
    *ret_unique = h.unique;
    *ret_len = (size_t)n - sizeof(h);
    assert_true(h.error == 0 || *ret_len == 0);
    return -h.error;
}

static int call(struct fixture *f, uint32_t opcode, uint64_t node, const void *arg, size_t n,
                const void *data, size_t len, size_t *ret_len)
{
    uint64_t unique, want = ask(f, opcode, node, arg, n, data, len);
    int error = answer(f, &unique, ret_len);
    assert_int_equal(unique, want);
    return error;
}

static int simple(struct fixture *f, uint32_t opcode, uint64_t node, const void *arg, size_t n)
{
    size_t len;
    return call(f, opcode, node, arg, n, NULL, 0, &len);
}

static int put(struct fixture *f, uint64_t off, const void *p, uint32_t n, uint32_t flags)
{
    const struct fuse_write_in w = { .offset = off, .size = n, .flags = O_RDWR | flags };
    size_t len;
    int error = call(f, FUSE_WRITE, FUSE_FILE_INO, &w, sizeof(w), p, n, &len);
    if (error)
        return -error;
    const struct fuse_write_out *out = (const void *)f->in;
    assert_int_equal(len, sizeof(*out));
    return (int)out->size;
}

/* Bytes, or -errno. */
static int get(struct fixture *f, uint64_t off, uint32_t n)
{
    const struct fuse_read_in r = { .offset = off, .size = n };
    size_t len;
    int error = call(f, FUSE_READ, FUSE_FILE_INO, &r, sizeof(r), NULL, 0, &len);
    return error ? -error : (int)len;
}

static int zero(struct fixture *f, int mode, uint64_t off, uint64_t n)
{
    const struct fuse_fallocate_in a = { .offset = off, .length = n, .mode = (uint32_t)mode };
    return simple(f, FUSE_FALLOCATE, FUSE_FILE_INO, &a, sizeof(a));
}

static int64_t seek(struct fixture *f, uint64_t off, int whence)
{
    const struct fuse_lseek_in l = { .offset = off, .whence = (uint32_t)whence };
    int error = simple(f, FUSE_LSEEK, FUSE_FILE_INO, &l, sizeof(l));
    if (error)
        return -error;
    return (int64_t)((const struct fuse_lseek_out *)(const void *)f->in)->offset;
}

/* ---- a port on a reactor ---- */

static void unmounted(struct fuse_disk *d)
{
    (void)d;
}

static void open_disk(struct fixture *f)
{
    char name[] = "usan";
    char *argv[] = { name, NULL };
    struct fuse_args args = FUSE_ARGS_INIT(1, argv);
    f->disk.cfg = &f->cfg;
    f->disk.info = &f->store->info;
    f->disk.file = strdup("disk");
    f->disk.read_only = f->store->info.read_only;
    f->disk.unmounted = unmounted;
    f->disk.dir_st = (struct stat){ .st_ino = FUSE_ROOT_ID, .st_mode = S_IFDIR | 0700 };
    f->disk.file_st = (struct stat){ .st_ino = FUSE_FILE_INO, .st_mode = S_IFREG | 0600 };
    f->disk.session = fuse_session_new(&args, &fuse_disk_ops, sizeof(fuse_disk_ops), &f->disk);
    fuse_opt_free_args(&args);
    assert_non_null(f->disk.session);
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC); /* the session's own is not used */
    assert_int_equal(fuse_session_custom_io(f->disk.session, &fuse_port_io, fd), 0);
}

static struct fixture *prepare(const char *spec, uint64_t memory, bool read_only)
{
    struct fixture *f = aligned_alloc(16, sizeof(*f));
    struct err_text e = { "" };
    assert_non_null(f);
    memset(f, 0, sizeof(*f));
    f->cfg = (struct front_config){ .name = "", .report = silent };
    f->limit.max_bytes = memory;
    assert_int_equal(store_open_spec(spec, read_only, &f->store, &e), 0);
    for (size_t i = 0; i < sizeof(f->out); i++)
        f->out[i] = (uint8_t)(i * 31 + i / 509);
    return f;
}

static void start(struct fixture *f)
{
    const struct loop_config lc = { .poll = LOOP_POLL_NEVER, .cpu = -1 };
    const struct fuse_init_in init = { .major = FUSE_KERNEL_VERSION,
                                       .minor = 31,
                                       .max_readahead = 1 << 17,
                                       .flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_ASYNC_DIO |
                                                FUSE_MAX_PAGES };
    struct err_text e = { "" };
    int fd[2], bytes = 8 * MIB;
    size_t len;
    open_disk(f);
    assert_int_equal(front_open(&f->front, &f->cfg, f->store, &lc, &f->limit, 0, 1, &e), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(setsockopt(fd[i], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)), 0);
    assert_int_equal(fcntl(fd[1], F_SETFL, O_NONBLOCK), 0);
    f->kernel = fd[0];
    fuse_port_init(&f->port, &f->disk, &f->front, fd[1]);
    assert_int_equal(fuse_port_start(&f->port), 0);
    assert_int_equal(thread_start_loop(&f->thread, "reactor", f->front.loop, &e), 0);
    assert_int_equal(call(f, FUSE_INIT, 0, &init, sizeof(init), NULL, 0, &len), 0);
    const struct fuse_init_out *out = (const void *)f->in;
    assert_int_equal(out->max_write, FUSE_PORT_DATA_MAX);
    assert_int_equal(out->max_background, FUSE_DISK_BACKGROUND);
    assert_true(out->flags & FUSE_ASYNC_DIO);
    assert_false(out->flags & (FUSE_WRITEBACK_CACHE | FUSE_ATOMIC_O_TRUNC));
}

static void look_drained(struct loop_timer *t)
{
    struct fixture *f = list_entry(t, struct fixture, stop_timer);
    if (f->port.part.drained(&f->port.part, 0))
        loop_stop(f->front.loop);
    else
        assert_int_equal(loop_timer_set(f->front.loop, t, loop_now(f->front.loop) + NS_PER_MS), 0);
}

static void drain(struct loop_msg *m)
{
    struct fixture *f = list_entry(m, struct fixture, stop_msg);
    f->port.part.drain(&f->port.part);
    loop_timer_init(&f->stop_timer, look_drained);
    look_drained(&f->stop_timer);
}

/* Everything that was asked for is done, and all memory has come back. */
static void stop(struct fixture *f)
{
    f->stop_msg.deliver = drain;
    loop_post(f->front.loop, &f->stop_msg);
    thread_join(&f->thread);
    fuse_port_close(&f->port);
    front_close(&f->front);
    fuse_session_destroy(f->disk.session);
    free(f->disk.file);
    store_close(f->store);
    close(f->kernel);
    assert_int_equal(f->limit.taken_bytes, 0);
    free(f);
}

/* ---- data ---- */

/* Places and lengths in whole blocks and not, in one request of the store and in several. */
static void data_is_kept(struct fixture *f)
{
    static const struct {
        uint32_t off, len, flags;
    } list[] = {
        { 0, 512, O_DIRECT },
        { 4096, 4096, O_DIRECT },
        { 8192, 64 * KIB, O_DIRECT },
        { 512, MIB, O_DIRECT },
        { MIB, 33 * KIB, O_DIRECT },
        { 1, 1, 0 },
        { 511, 2, 0 },
        { 100, 1000, 0 },
        { 3000, 70001, 0 },
        { 2 * MIB - 5, MIB - 7, 0 },
        { 700, 300, 0 },
        { 4 * MIB - 512, 512, O_DIRECT },
        { 4 * MIB - 3, 3, 0 },
    };
    static uint8_t model[4 * MIB];
    memset(model, 0, sizeof(model));
    assert_int_equal(zero(f, FALLOC_FL_ZERO_RANGE, 0, 4 * MIB), 0);
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        const uint8_t *from = f->out + i * 8;
        uint32_t off = list[i].off, len = list[i].len;
        assert_int_equal(put(f, off, from, len, list[i].flags), len);
        memcpy(model + off, from, len);
        uint32_t around = off > 600 ? off - 600 : 0;
        uint32_t most = len + 1200 < MIB ? len + 1200 : MIB;
        uint32_t n = 4 * MIB - around < most ? 4 * MIB - around : most;
        assert_int_equal(get(f, around, most), n);
        assert_memory_equal(f->in, model + around, n);
    }
    for (uint32_t off = 0; off < 4 * MIB; off += MIB) {
        assert_int_equal(get(f, off, MIB), MIB);
        assert_memory_equal(f->in, model + off, MIB);
    }
}

static void at_the_end(struct fixture *f)
{
    assert_int_equal(get(f, 4 * MIB, 4096), 0);
    assert_int_equal(get(f, 4 * MIB - 100, 4096), 100);
    assert_int_equal(put(f, 4 * MIB - 512, f->out, 4096, O_DIRECT), 512);
    assert_int_equal(put(f, 4 * MIB, f->out, 512, 0), -ENOSPC);
    assert_int_equal(put(f, UINT64_MAX / 2, f->out, 512, 0), -ENOSPC);
    assert_int_equal(put(f, 100, f->out, 512, O_DIRECT), -EINVAL);
    assert_int_equal(put(f, 0, f->out, 100, O_DIRECT), -EINVAL);
    assert_int_equal(zero(f, FALLOC_FL_ZERO_RANGE, 4 * MIB - 512, 1024), ENOSPC);
    assert_int_equal(zero(f, FALLOC_FL_ZERO_RANGE, 100, 1024), EINVAL);
    assert_int_equal(zero(f, 0, 0, 4096), EOPNOTSUPP);
    assert_int_equal(zero(f, FALLOC_FL_COLLAPSE_RANGE, 0, 4096), EOPNOTSUPP);
}

static void lent_and_granted(void **state)
{
    (void)state;
    struct fixture *f = prepare("ram:4M", 64 * MIB, false);
    start(f);
    data_is_kept(f);
    at_the_end(f);
    stop(f);
}

static void through_buffers(void **state)
{
    (void)state;
    struct fixture *f = prepare("ram:4M", 64 * MIB, false);
    f->store->info.can_lend = f->store->info.can_grant = false;
    start(f);
    data_is_kept(f);
    at_the_end(f);
    stop(f);
}

static void in_parts(void **state)
{
    (void)state;
    struct fixture *f = prepare("ram:4M", 64 * MIB, false);
    f->store->info.max_io_bytes = 12 * KIB;
    start(f);
    data_is_kept(f);
    stop(f);
}

static void holes(void **state)
{
    (void)state;
    const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    struct fixture *f = prepare("ram:4M", 64 * MIB, false);
    start(f);
    assert_int_equal(seek(f, 0, SEEK_DATA), -ENXIO);
    assert_int_equal(seek(f, 0, SEEK_HOLE), 0);
    assert_int_equal(put(f, MIB, f->out, MIB, 0), MIB);
    assert_int_equal(seek(f, 0, SEEK_DATA), MIB);
    assert_int_equal(seek(f, 100, SEEK_HOLE), 100);
    assert_int_equal(seek(f, MIB + 77, SEEK_DATA), MIB + 77);
    assert_int_equal(seek(f, MIB + 77, SEEK_HOLE), 2 * MIB);
    assert_int_equal(seek(f, 2 * MIB, SEEK_DATA), -ENXIO);
    assert_int_equal(seek(f, 4 * MIB, SEEK_HOLE), -ENXIO);
    assert_int_equal(seek(f, 0, 77), -EINVAL);
    assert_int_equal(zero(f, punch, MIB, 512 * KIB), 0);
    assert_int_equal(seek(f, 0, SEEK_DATA), MIB + 512 * KIB);
    assert_int_equal(simple(f, FUSE_FSYNC, FUSE_FILE_INO, &(struct fuse_fsync_in){ 0 },
                            sizeof(struct fuse_fsync_in)),
                     0);
    stop(f);
}

/* ---- names and attributes ---- */

static void names(void **state)
{
    (void)state;
    struct fixture *f = prepare("ram:4M", 64 * MIB, false);
    const struct fuse_getattr_in g = { 0 };
    struct fuse_setattr_in s = { .valid = FATTR_SIZE };
    struct fuse_open_in o = { .flags = O_RDWR };
    const struct fuse_release_in r = { 0 };
    size_t len;
    start(f);
    assert_int_equal(simple(f, FUSE_LOOKUP, FUSE_ROOT_ID, "other", 6), ENOENT);
    assert_int_equal(simple(f, FUSE_LOOKUP, FUSE_FILE_INO, "disk", 5), ENOENT);
    assert_int_equal(simple(f, FUSE_LOOKUP, FUSE_ROOT_ID, "disk", 5), 0);
    const struct fuse_entry_out *entry = (const void *)f->in;
    assert_int_equal(entry->nodeid, FUSE_FILE_INO);
    assert_int_equal(entry->attr.size, 4 * MIB);
    assert_int_equal(simple(f, FUSE_GETATTR, FUSE_FILE_INO, &g, sizeof(g)), 0);
    const struct fuse_attr_out *attr = (const void *)f->in;
    assert_int_equal(attr->attr.size, 4 * MIB);
    assert_int_equal(attr->attr.mode, S_IFREG | 0600);
    assert_int_equal(simple(f, FUSE_GETATTR, 9, &g, sizeof(g)), ENOENT);
    /* O_TRUNC does nothing; another size is none */
    assert_int_equal(simple(f, FUSE_SETATTR, FUSE_FILE_INO, &s, sizeof(s)), 0);
    assert_int_equal(attr->attr.size, 4 * MIB);
    s.size = MIB;
    assert_int_equal(simple(f, FUSE_SETATTR, FUSE_FILE_INO, &s, sizeof(s)), EINVAL);
    s.valid = FATTR_MODE;
    assert_int_equal(simple(f, FUSE_SETATTR, FUSE_FILE_INO, &s, sizeof(s)), EPERM);
    assert_int_equal(simple(f, FUSE_OPEN, FUSE_ROOT_ID, &o, sizeof(o)), EISDIR);
    assert_int_equal(simple(f, FUSE_OPEN, FUSE_FILE_INO, &o, sizeof(o)), 0);
    assert_int_equal(((const struct fuse_open_out *)(const void *)f->in)->open_flags &
                         FOPEN_DIRECT_IO,
                     FOPEN_DIRECT_IO);
    assert_int_equal(atomic_load(&f->disk.opens), 1);
    assert_int_equal(simple(f, FUSE_RELEASE, FUSE_FILE_INO, &r, sizeof(r)), 0);
    assert_int_equal(atomic_load(&f->disk.opens), 0);
    assert_int_equal(simple(f, FUSE_MKDIR, FUSE_ROOT_ID, "\0\0\0\0\0\0\0\0x", 10), EPERM);
    const struct fuse_read_in dir = { .size = 4096 };
    assert_int_equal(call(f, FUSE_READDIR, FUSE_ROOT_ID, &dir, sizeof(dir), NULL, 0, &len), 0);
    assert_int_equal(len, 3 * 32); /* ".", ".." and "disk", each with 24 bytes before it */
    assert_memory_equal(f->in + 64 + 24, "disk", 4);
    stop(f);
}

static void read_only(void **state)
{
    (void)state;
    struct fixture *f = prepare("ram:4M", 64 * MIB, true);
    struct fuse_open_in o = { .flags = O_RDWR };
    start(f);
    assert_int_equal(simple(f, FUSE_OPEN, FUSE_FILE_INO, &o, sizeof(o)), EROFS);
    o.flags = O_RDONLY;
    assert_int_equal(simple(f, FUSE_OPEN, FUSE_FILE_INO, &o, sizeof(o)), 0);
    assert_int_equal(put(f, 0, f->out, 512, 0), -EROFS);
    assert_int_equal(zero(f, FALLOC_FL_ZERO_RANGE, 0, 512), EROFS);
    assert_int_equal(get(f, 0, 512), 512);
    stop(f);
}

/* ---- errors, memory, the end ---- */

static void errors(void **state)
{
    (void)state;
    struct fixture *f = prepare("error(op=read,off=1M,len=4K)+ram:4M", 64 * MIB, false);
    start(f);
    assert_int_equal(put(f, MIB, f->out, 4096, 0), 4096);
    assert_int_equal(get(f, MIB - 4096, 4096), 4096);
    assert_int_equal(get(f, MIB - 4096, 8192), -EIO);
    assert_int_equal(put(f, MIB + 100, f->out, 10, 0), -EIO); /* it has to be read first */
    stop(f);
}

/* More at once than there is memory for, and than a port takes: all are answered. */
static void many(void **state)
{
    (void)state;
    enum { WRITES = 24, LEN = 256 * KIB };
    struct fixture *f = prepare("delay(time=5ms)+ram:4M", 8 * MIB, false);
    f->store->info.can_lend = f->store->info.can_grant = false;
    start(f);
    for (unsigned i = 0; i < WRITES; i++) {
        const struct fuse_write_in w = { .offset = (i % 16) * LEN, .size = LEN };
        (void)ask(f, FUSE_WRITE, FUSE_FILE_INO, &w, sizeof(w), f->out, LEN);
        const struct fuse_read_in r = { .offset = (i % 16) * LEN, .size = LEN };
        (void)ask(f, FUSE_READ, FUSE_FILE_INO, &r, sizeof(r), NULL, 0);
        if (i % 6 < 5)
            continue;
        for (unsigned n = 0; n < 12; n++) {
            uint64_t unique;
            size_t len;
            assert_int_equal(answer(f, &unique, &len), 0);
        }
    }
    for (unsigned i = 0; i < 16; i++) {
        assert_int_equal(get(f, i * LEN, LEN), LEN);
        assert_memory_equal(f->in, f->out, LEN);
    }
    stop(f);
}

/* The store still has them when the end comes. */
static void end_waits(void **state)
{
    (void)state;
    struct fixture *f = prepare("delay(time=50ms)+ram:4M", 64 * MIB, false);
    const struct fuse_read_in r = { .size = 4096 };
    start(f);
    for (int i = 0; i < 4; i++)
        (void)ask(f, FUSE_READ, FUSE_FILE_INO, &r, sizeof(r), NULL, 0);
    const struct fuse_getattr_in g = { 0 };
    (void)ask(f, FUSE_GETATTR, FUSE_FILE_INO, &g, sizeof(g), NULL, 0);
    uint64_t unique;
    size_t len;
    assert_int_equal(answer(f, &unique, &len), 0); /* so those before it have come */
    assert_int_equal(len, sizeof(struct fuse_attr_out));
    stop(f);
}

/* A request of 1 MiB is one message, and not everybody may have a socket that takes such. */
static bool large_messages(void)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), bytes = 8 * MIB;
    bool may = setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) == 0;
    close(fd);
    return may;
}

static void cannot(void **state)
{
    (void)state;
    print_message("# skipped: socket buffers of this size need root\n");
    skip();
}

int main(void)
{
    const struct CMUnitTest none[] = { cmocka_unit_test(cannot) };
    if (!large_messages())
        return cmocka_run_group_tests(none, NULL, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lent_and_granted),
        cmocka_unit_test(through_buffers),
        cmocka_unit_test(in_parts),
        cmocka_unit_test(holes),
        cmocka_unit_test(names),
        cmocka_unit_test(read_only),
        cmocka_unit_test(errors),
        cmocka_unit_test(many),
        cmocka_unit_test(end_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
