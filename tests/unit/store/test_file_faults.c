/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a file store makes of the kernel's answers: those that a healthy disk does not give. */
#include "fake_loop.h"
#include "rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define K 1024u
#define M (1024u * K)

static uint8_t buf[M], want[M];

static int setup_with(void **state, const char *opts)
{
    struct rig *r = test_calloc(1, sizeof *r);
    char path[] = "/tmp/usan-fault-XXXXXX", spec[64];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, M), 0);
    assert_int_equal(close(fd), 0);
    (void)snprintf(spec, sizeof spec, "file:%s%s", path, opts);
    rig_open(r, spec, LOOP_ENGINE_AUTO);
    assert_int_equal(unlink(path), 0); /* open, that is enough */
    *state = r;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, "");
}

static int setup_direct(void **state)
{
    return setup_with(state, "?direct=1");
}

static int teardown(void **state)
{
    rig_close(*state);
    test_free(*state);
    return 0;
}

static void interrupted(void **state)
{
    struct rig *r = *state;
    fake_loop_file_result(r->loop, LOOP_FILE_WRITEV, -EINTR);
    fake_loop_file_result(r->loop, LOOP_FILE_READV, -EINTR);
    fake_loop_file_result(r->loop, LOOP_FILE_DATASYNC, -EINTR);
    fake_loop_file_result(r->loop, LOOP_FILE_FALLOCATE, -EINTR);
    pattern(want, 64 * K, 0, 1);
    assert_int_equal(rig_write(r, 0, want, 64 * K, 0), 0);
    assert_int_equal(rig_read(r, 0, buf, 64 * K), 0);
    assert_memory_equal(buf, want, 64 * K);
    assert_int_equal(rig_op(r, BIO_FLUSH, 0, 0, 0), 0);
    assert_int_equal(rig_op(r, BIO_UNMAP, 0, 64 * K, BIO_F_FUA), 0);
    assert_string_equal(fake_loop_file_trace(r->loop), "wwrrssffs");
}

static void short_transfers(void **state)
{
    static const int64_t parts[] = { 512, 1, 4096, 30000, 7 };
    struct rig *r = *state;
    struct iovec v[3] = { { buf, 100 },
                          { buf + 100, 60 * K },
                          { buf + 100 + 60 * K, 4 * K - 100 } };
    struct io io = { .bio = { .op = BIO_WRITE, .off = 512, .len = 64 * K, .iov = v, .iovcnt = 3 } };
    for (size_t i = 0; i < 5; i++) {
        fake_loop_file_result(r->loop, LOOP_FILE_WRITEV, parts[i]);
        fake_loop_file_result(r->loop, LOOP_FILE_READV, parts[4 - i]);
    }
    pattern(buf, 64 * K, 512, 1);
    memcpy(want, buf, 64 * K);
    assert_int_equal(rig_do(r, &io), 0);
    memset(buf, 0, 64 * K);
    io.bio.op = BIO_READ;
    assert_int_equal(rig_do(r, &io), 0);
    assert_memory_equal(buf, want, 64 * K);
    assert_string_equal(fake_loop_file_trace(r->loop), "wwwwwwrrrrrr");
}

/* A direct transfer that stops within a block goes on at the start of that block, whether the
 * memory suits it or not. */
static void short_direct_transfers(void **state)
{
    struct rig *r = *state;
    uint64_t block = r->store->info.block_bytes;
    uint8_t *mem = NULL;
    assert_int_equal(posix_memalign((void **)&mem, 4096, 128 * K), 0);
    for (size_t shift = 0; shift < 2; shift++) {
        struct io io = { .bio = { .op = BIO_WRITE, .off = 64 * K, .len = 64 * K, .iovcnt = 1 },
                         .iov = { .iov_base = mem + shift, .iov_len = 64 * K } };
        io.bio.iov = &io.iov;
        pattern(mem + shift, 64 * K, 64 * K, 1 + shift);
        memcpy(want, mem + shift, 64 * K);
        fake_loop_file_result(r->loop, LOOP_FILE_WRITEV, (int64_t)(3 * block + 100));
        fake_loop_file_result(r->loop, LOOP_FILE_WRITEV, (int64_t)(2 * block - 1));
        assert_int_equal(rig_do(r, &io), 0);
        memset(mem, 0, 128 * K);
        io.bio.op = BIO_READ;
        fake_loop_file_result(r->loop, LOOP_FILE_READV, (int64_t)(5 * block + 1));
        assert_int_equal(rig_do(r, &io), 0);
        assert_memory_equal(mem + shift, want, 64 * K);
        assert_string_equal(fake_loop_file_trace(r->loop), "wwwrr");
    }
    /* less than a block is no progress: the medium does not give more */
    struct io io = { .bio = { .op = BIO_READ, .off = 64 * K, .len = 64 * K, .iovcnt = 1 },
                     .iov = { .iov_base = mem, .iov_len = 64 * K } };
    io.bio.iov = &io.iov;
    fake_loop_file_result(r->loop, LOOP_FILE_READV, (int64_t)(block + 1));
    fake_loop_file_result(r->loop, LOOP_FILE_READV, (int64_t)(block - 1));
    assert_int_equal(rig_do(r, &io), USAN_EIO);
    assert_int_equal(io.bio.err_off, 64 * K + block);
    free(mem);
}

/* FUA of a write is a flag of the write, in every part of it; of the others a flush behind it. */
static void durable(void **state)
{
    struct rig *r = *state;
    fake_loop_file_result(r->loop, LOOP_FILE_WRITEV, 4096);
    assert_int_equal(rig_write(r, 0, buf, 64 * K, BIO_F_FUA), 0);
    assert_int_equal(rig_write(r, 0, buf, 64 * K, 0), 0);
    assert_int_equal(rig_op(r, BIO_UNMAP, 0, 4 * K, BIO_F_FUA), 0);
    assert_int_equal(rig_op(r, BIO_UNMAP, 0, 4 * K, 0), 0);
    assert_int_equal(rig_op(r, BIO_FLUSH, 0, 0, 0), 0);
    assert_string_equal(fake_loop_file_trace(r->loop), "WWwfsfs");
}

static void medium_errors(void **state)
{
    static const struct {
        int errnum, err;
    } t[] = {
        { EIO, USAN_EIO },       { ENXIO, USAN_EIO },     { EINVAL, USAN_EIO },
        { ENODATA, USAN_EIO },   { ENOSPC, USAN_ENOSPC }, { EDQUOT, USAN_ENOSPC },
        { ENOMEM, USAN_ENOMEM }, { EPERM, USAN_EIO },     { EFBIG, USAN_EIO },
    };
    struct rig *r = *state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        fake_loop_file_result(r->loop, LOOP_FILE_WRITEV, -t[i].errnum);
        fake_loop_file_result(r->loop, LOOP_FILE_READV, -t[i].errnum);
        fake_loop_file_result(r->loop, LOOP_FILE_FALLOCATE, -t[i].errnum);
        assert_int_equal(rig_write(r, 0, buf, 512, 0), t[i].err);
        assert_int_equal(rig_read(r, 0, buf, 512), t[i].err);
        assert_int_equal(rig_op(r, BIO_UNMAP, 0, 4 * K, 0), t[i].err);
    }
}

/* The error is where the transfer stopped, not where it began. */
static void place_of_error(void **state)
{
    struct rig *r = *state;
    struct io io = { .bio = { .op = BIO_READ, .off = 8 * K, .len = 64 * K, .iovcnt = 1 },
                     .iov = { .iov_base = buf, .iov_len = 64 * K } };
    io.bio.iov = &io.iov;
    fake_loop_file_result(r->loop, LOOP_FILE_READV, 12 * K);
    fake_loop_file_result(r->loop, LOOP_FILE_READV, -EIO);
    assert_int_equal(rig_do(r, &io), USAN_EIO);
    assert_int_equal(io.bio.err_off, 20 * K);
    fake_loop_file_result(r->loop, LOOP_FILE_READV, -EIO);
    assert_int_equal(rig_do(r, &io), USAN_EIO);
    assert_int_equal(io.bio.err_off, 8 * K);
}

/* Data that a flush has lost once is never declared durable, not by this flush, nor by the next,
 * nor by FUA; reads and writes go on. */
static void failed_flush_stays_failed(void **state)
{
    struct rig *r = *state;
    assert_int_equal(rig_stat(r, "file.sync_failed"), 0);
    assert_int_equal(rig_write(r, 0, buf, 512, 0), 0);
    fake_loop_file_result(r->loop, LOOP_FILE_DATASYNC, -EIO);
    assert_int_equal(rig_op(r, BIO_FLUSH, 0, 0, 0), USAN_EIO);
    assert_int_equal(rig_op(r, BIO_FLUSH, 0, 0, 0), USAN_EIO);
    assert_int_equal(rig_write(r, 0, buf, 512, BIO_F_FUA), USAN_EIO);
    assert_int_equal(rig_op(r, BIO_UNMAP, 0, 4 * K, BIO_F_FUA), USAN_EIO);
    assert_int_equal(rig_write(r, 0, buf, 512, 0), 0);
    assert_int_equal(rig_read(r, 0, buf, 512), 0);
    assert_string_equal(fake_loop_file_trace(r->loop), "wswr");
    assert_int_equal(rig_stat(r, "file.sync_failed"), 1);
}

/* Two flushes at once: the kernel tells only one of them. */
static void flush_beside_a_failing_one(void **state)
{
    struct rig *r = *state;
    struct io a = { .bio = { .op = BIO_FLUSH } }, b = a;
    fake_loop_file_result(r->loop, LOOP_FILE_DATASYNC, -ENOSPC);
    rig_submit(r, &a);
    rig_submit(r, &b);
    rig_wait(r);
    assert_int_equal(a.bio.err, USAN_ENOSPC);
    assert_int_equal(b.bio.err, USAN_ENOSPC);
}

/* The error of a durable write may be the one report about earlier data. A full disk is not. */
static void failed_fua(void **state)
{
    struct rig *r = *state;
    fake_loop_file_result(r->loop, LOOP_FILE_WRITEV, -ENOSPC);
    assert_int_equal(rig_write(r, 0, buf, 512, BIO_F_FUA), USAN_ENOSPC);
    assert_int_equal(rig_op(r, BIO_FLUSH, 0, 0, 0), 0);
    fake_loop_file_result(r->loop, LOOP_FILE_WRITEV, -EIO);
    assert_int_equal(rig_write(r, 0, buf, 512, BIO_F_FUA), USAN_EIO);
    assert_int_equal(rig_op(r, BIO_FLUSH, 0, 0, 0), USAN_EIO);
}

/* A file system that can neither punch holes nor zero ranges: zeroes are written. */
static void zeroes_in_spite_of_refusals(void **state)
{
    struct rig *r = *state;
    memset(buf, 0xff, M);
    assert_int_equal(rig_write(r, 0, buf, M, 0), 0);
    (void)fake_loop_file_trace(r->loop);
    fake_loop_file_result(r->loop, LOOP_FILE_FALLOCATE, -EOPNOTSUPP);
    fake_loop_file_result(r->loop, LOOP_FILE_FALLOCATE, -EOPNOTSUPP);
    assert_int_equal(rig_op(r, BIO_WRITE_ZEROES, 4 * K, 64 * K, BIO_F_MAY_UNMAP), 0);
    assert_string_equal(fake_loop_file_trace(r->loop), "ffw");
    fake_loop_file_result(r->loop, LOOP_FILE_FALLOCATE, -EOPNOTSUPP);
    assert_int_equal(rig_op(r, BIO_WRITE_ZEROES, 128 * K, 64 * K, 0), 0);
    assert_string_equal(fake_loop_file_trace(r->loop), "fw");
    memset(buf + 4 * K, 0, 64 * K);
    memset(buf + 128 * K, 0, 64 * K);
    assert_int_equal(rig_read(r, 0, want, M), 0);
    assert_memory_equal(want, buf, M);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(interrupted),
        T(short_transfers),
        cmocka_unit_test_setup_teardown(short_direct_transfers, setup_direct, teardown),
        T(durable),
        T(medium_errors),
        T(place_of_error),
        T(failed_flush_stays_failed),
        T(flush_beside_a_failing_one),
        T(failed_fua),
        T(zeroes_in_spite_of_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
