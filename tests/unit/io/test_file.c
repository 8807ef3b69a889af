/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* File requests: data, order of completion, errors, more of them than any queue holds. */
#include "loop_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096

struct io {
    struct loop_file_req req;
    struct fixture *f;
    struct iovec one;
    int done;
    struct counter *counter;
};

struct counter {
    int left;
};

/* Requests of this run of the tests are carried out on the loop's own thread. */
static bool here;

static void io_done(struct loop_file_req *req)
{
    struct io *io = list_entry(req, struct io, req);
    io->done++;
    if (--io->counter->left == 0)
        loop_stop(io->f->loop);
}

static void io_init(struct io *io, struct fixture *f, struct counter *c, enum loop_file_op op,
                    int fd)
{
    *io = (struct io){ .f = f, .counter = c };
    io->req.op = op;
    io->req.fd = fd;
    io->req.here = here;
    io->req.done = io_done;
}

static void io_span(struct io *io, void *buf, size_t len, uint64_t off)
{
    io->one = (struct iovec){ .iov_base = buf, .iov_len = len };
    io->req.iov = &io->one;
    io->req.iovcnt = 1;
    io->req.off = off;
    io->req.len = len;
}

static int64_t run_one(struct io *io)
{
    io->counter->left = 1;
    loop_file_submit(io->f->loop, &io->req);
    assert_int_equal(io->done, 0); /* never from inside */
    loop_run(io->f->loop);
    assert_int_equal(io->done, 1);
    io->done = 0;
    return io->req.res;
}

static int temp_file(void)
{
    int fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

static void write_sync_read_back(void **state)
{
    struct fixture *f = fixture_get(state);
    struct counter c = { 0 };
    struct io io;
    int fd = temp_file();
    char a[BLOCK], b[2 * BLOCK], got[3 * BLOCK];
    memset(a, 'a', sizeof a);
    memset(b, 'b', sizeof b);

    struct iovec v[2] = { { a, sizeof a }, { b, sizeof b } };
    io_init(&io, f, &c, LOOP_FILE_WRITEV, fd);
    io.req.iov = v;
    io.req.iovcnt = 2;
    io.req.off = 512;
    assert_int_equal(run_one(&io), 3 * BLOCK);

    io_init(&io, f, &c, LOOP_FILE_DATASYNC, fd);
    assert_int_equal(run_one(&io), 0);

    io_init(&io, f, &c, LOOP_FILE_READV, fd);
    io_span(&io, got, sizeof got, 512);
    assert_int_equal(run_one(&io), 3 * BLOCK);
    assert_memory_equal(got, a, sizeof a);
    assert_memory_equal(got + BLOCK, b, sizeof b);

    /* At the end of the file: short, then nothing. */
    io_span(&io, got, sizeof got, 512 + 2 * BLOCK);
    assert_int_equal(run_one(&io), BLOCK);
    io_span(&io, got, sizeof got, 512 + 3 * BLOCK);
    assert_int_equal(run_one(&io), 0);

    /* With a flag of pwritev2. */
    io_init(&io, f, &c, LOOP_FILE_WRITEV, fd);
    io_span(&io, b, 100, 0);
    io.req.flags = RWF_DSYNC;
    assert_int_equal(run_one(&io), 100);
    assert_int_equal(pread(fd, got, 101, 0), 101);
    assert_memory_equal(got, b, 100);
    assert_int_equal(got[100], 0);
    (void)close(fd);
}

static void fallocate_grows_and_punches(void **state)
{
    struct fixture *f = fixture_get(state);
    struct counter c = { 0 };
    struct io io;
    struct stat st;
    int fd = temp_file();
    io_init(&io, f, &c, LOOP_FILE_FALLOCATE, fd);
    io.req.len = 1 << 20;
    assert_int_equal(run_one(&io), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 1 << 20);
    assert_true(st.st_blocks >= 2048);

    io.req.flags = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    assert_int_equal(run_one(&io), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 1 << 20);
    assert_true(st.st_blocks < 2048);
    (void)close(fd);
}

static void errors_come_back(void **state)
{
    struct fixture *f = fixture_get(state);
    struct counter c = { 0 };
    struct io io;
    char buf[BLOCK] = { 0 };

    const enum loop_file_op ops[] = { LOOP_FILE_READV, LOOP_FILE_WRITEV, LOOP_FILE_DATASYNC,
                                      LOOP_FILE_FALLOCATE };
    for (size_t i = 0; i < 4; i++) {
        io_init(&io, f, &c, ops[i], 987);
        io_span(&io, buf, sizeof buf, 0);
        assert_int_equal(run_one(&io), -EBADF);
    }

    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(full >= 0);
    io_init(&io, f, &c, LOOP_FILE_WRITEV, full);
    io_span(&io, buf, sizeof buf, 0);
    assert_int_equal(run_one(&io), -ENOSPC);
    (void)close(full);

    int fd = temp_file();
    io_init(&io, f, &c, LOOP_FILE_FALLOCATE, fd); /* a length of 0 */
    assert_int_equal(run_one(&io), -EINVAL);

    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int ro = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(ro >= 0);
    io_init(&io, f, &c, LOOP_FILE_WRITEV, ro);
    io_span(&io, buf, sizeof buf, 0);
    assert_int_equal(run_one(&io), -EBADF);
    (void)close(ro);
    (void)close(fd);
}

/* A file that may not grow: part of a write succeeds and is reported as what it is. */
static void short_write_is_reported(void **state)
{
    struct fixture *f = fixture_get(state);
    struct counter c = { 0 };
    struct io io;
    struct rlimit old, rl;
    int fd = temp_file();
    static char buf[4 * BLOCK];
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    rl = old;
    rl.rlim_cur = 3 * BLOCK;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &rl), 0);

    io_init(&io, f, &c, LOOP_FILE_WRITEV, fd);
    io_span(&io, buf, sizeof buf, 0);
    int64_t first = run_one(&io);
    io_span(&io, buf, BLOCK, 3 * BLOCK);
    int64_t second = run_one(&io);

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    (void)signal(SIGXFSZ, handler);
    assert_int_equal(first, 3 * BLOCK);
    assert_int_equal(second, -EFBIG);
    (void)close(fd);
}

#define MANY 3000

static void many_at_once(void **state)
{
    struct fixture *f = fixture_get(state);
    static struct io io[MANY];
    static uint32_t val[MANY], got[MANY];
    struct counter c = { MANY };
    int fd = temp_file();
    for (uint32_t i = 0; i < MANY; i++) {
        val[i] = i * 2654435761u;
        got[i] = 0;
        io_init(&io[i], f, &c, LOOP_FILE_WRITEV, fd);
        io_span(&io[i], &val[i], 4, (uint64_t)i * 4);
        loop_file_submit(f->loop, &io[i].req);
    }
    loop_run(f->loop);
    c.left = MANY;
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(io[i].req.res, 4);
        assert_int_equal(io[i].done, 1);
        io_init(&io[i], f, &c, LOOP_FILE_READV, fd);
        io_span(&io[i], &got[i], 4, (uint64_t)i * 4);
        loop_file_submit(f->loop, &io[i].req);
    }
    loop_run(f->loop);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(io[i].done, 1);
        assert_int_equal(io[i].req.res, 4);
        assert_int_equal(got[i], val[i]);
    }
    (void)close(fd);
}

/* More pieces than one call takes: as many as fit, the rest is the caller's next request. */
static void too_many_pieces_are_cut(void **state)
{
    struct fixture *f = fixture_get(state);
    struct counter c = { 0 };
    struct io io;
    static struct iovec v[IOV_MAX + 10];
    static char byte[IOV_MAX + 10];
    int fd = temp_file();
    for (int i = 0; i < IOV_MAX + 10; i++) {
        byte[i] = (char)i;
        v[i] = (struct iovec){ &byte[i], 1 };
    }
    io_init(&io, f, &c, LOOP_FILE_WRITEV, fd);
    io.req.iov = v;
    io.req.iovcnt = IOV_MAX + 10;
    assert_int_equal(run_one(&io), IOV_MAX);
    char got[IOV_MAX];
    assert_int_equal(pread(fd, got, sizeof got, 0), IOV_MAX);
    assert_memory_equal(got, byte, IOV_MAX);
    (void)close(fd);
}

struct resubmit {
    struct io io;
    int left;
};

static void resubmit_done(struct loop_file_req *req)
{
    struct resubmit *r = list_entry(req, struct resubmit, io.req);
    if (--r->left == 0)
        loop_stop(r->io.f->loop);
    else
        loop_file_submit(r->io.f->loop, req);
}

static void done_may_submit_again(void **state)
{
    struct fixture *f = fixture_get(state);
    struct resubmit r;
    char buf[64] = { 1 };
    int fd = temp_file();
    assert_int_equal(write(fd, buf, sizeof buf), sizeof buf);
    io_init(&r.io, f, NULL, LOOP_FILE_READV, fd);
    io_span(&r.io, buf, sizeof buf, 0);
    r.io.req.done = resubmit_done;
    r.left = 1000;
    loop_file_submit(f->loop, &r.io.req);
    loop_run(f->loop);
    assert_int_equal(r.left, 0);
    assert_int_equal(r.io.req.res, sizeof buf);
    (void)close(fd);
}

/* What is done here and now does not keep the loop from its other work. */
struct ticker {
    struct loop_work work;
    struct fixture *f;
    const struct io *last;
    int ticks;
};

static void tick(struct loop_work *w)
{
    struct ticker *t = list_entry(w, struct ticker, work);
    t->ticks++;
    if (!t->last->done)
        loop_work_queue(t->f->loop, w);
}

static void others_get_their_turn(void **state)
{
    struct fixture *f = fixture_get(state);
    static struct io io[MANY];
    static char buf[MANY];
    struct counter c = { MANY };
    int fd = temp_file();
    for (uint32_t i = 0; i < MANY; i++) {
        io_init(&io[i], f, &c, LOOP_FILE_WRITEV, fd);
        io_span(&io[i], &buf[i], 1, i);
        loop_file_submit(f->loop, &io[i].req);
    }
    struct ticker t = { .f = f, .last = &io[MANY - 1] };
    loop_work_init(&t.work, tick);
    loop_work_queue(f->loop, &t.work);
    loop_run(f->loop);
    loop_work_cancel(&t.work);
    assert_int_equal(c.left, 0);
    if (here)
        assert_true(t.ticks >= MANY / 16);
    (void)close(fd);
}

/* With an argument: requests are carried out here. */
int main(int argc, char **argv)
{
    (void)argv;
    here = argc > 1;
    const struct CMUnitTest tests[] = {
        ON_ALL(write_sync_read_back),  ON_ALL(fallocate_grows_and_punches),
        ON_ALL(errors_come_back),      ON_ALL(short_write_is_reported),
        ON_ALL(many_at_once),          ON_ALL(too_many_pieces_are_cut),
        ON_ALL(done_may_submit_again), ON_ALL(others_get_their_turn),
    };
    return cmocka_run_group_tests_name("io files", tests, NULL, NULL);
}
