/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files and block devices, on both engines of the loop: full disks, short files, locks, direct
 * transfers with unsuitable memory, sparse files, devices (a loop device, where we may make one).
 */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* From <linux/loop.h>, which has a struct loop_config of its own. */
#define LOOP_SET_FD       0x4c00
#define LOOP_CLR_FD       0x4c01
#define LOOP_CTL_GET_FREE 0x4c82

#define K                 1024u
#define M                 (1024u * K)

struct fixture {
    enum loop_engine_kind engine;
    char dir[64], path[128];
    struct rig rig;
    uint8_t *buf, *want;
    bool mounted;
};

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    f->engine = *(const enum loop_engine_kind *)*state;
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/usan-file-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof f->path, "%s/disk", f->dir);
    f->buf = malloc(16 * M);
    f->want = malloc(16 * M);
    assert_true(f->buf && f->want);
    *state = f;
    return 0;
}

/* The kernel lets go of a ring's files a while after the ring was closed: until then the file
 * system is busy.
 */
static void unmount(const char *dir)
{
    for (int tries = 0; umount(dir); tries++) {
        assert_int_equal(errno, EBUSY);
        assert_true(tries < 1000);
        (void)usleep(10000);
    }
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->mounted)
        unmount(f->dir);
    else
        (void)unlink(f->path);
    assert_int_equal(rmdir(f->dir), 0);
    free(f->buf);
    free(f->want);
    test_free(f);
    return 0;
}

static struct fixture *get(void **state)
{
    struct fixture *f = *state;
    if (!rig_engine_works(f->engine)) {
        print_message("# skipped: io_uring is closed on this machine\n");
        skip();
    }
    return f;
}

static void make(const struct fixture *f, off_t size)
{
    int fd = open(f->path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, size), 0);
    assert_int_equal(close(fd), 0);
}

static void open_with(struct fixture *f, const char *before, const char *opts)
{
    char spec[256];
    (void)snprintf(spec, sizeof spec, "%s%s%s", before, f->path, opts);
    rig_open(&f->rig, spec, f->engine);
}

static int try_open(const struct fixture *f, const char *opts, bool read_only,
                    struct store **ret_store, struct err_text *e)
{
    char spec[256];
    *e = (struct err_text){ "" };
    (void)snprintf(spec, sizeof spec, "file:%s%s", f->path, opts);
    return store_open_spec(spec, read_only, ret_store, e);
}

/* ---- opening ---- */

static void created(void **state)
{
    struct fixture *f = get(state);
    struct stat st;
    struct store_space space;
    open_with(f, "file:", "?create=1G");
    assert_int_equal(f->rig.store->info.size_bytes, 1u << 30);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_size, 1u << 30);
    assert_int_equal(st.st_mode & 0777, 0600);
    store_space(f->rig.store, &space);
    assert_true(space.used_bytes < M);
    assert_true(space.avail_bytes > 0 && space.avail_bytes < UINT64_MAX);
    rig_close(&f->rig);
    /* an existing file stays as it is */
    open_with(f, "", "?create=2G");
    assert_int_equal(f->rig.store->info.size_bytes, 1u << 30);
    rig_close(&f->rig);
}

static void not_created(void **state)
{
    struct fixture *f = get(state);
    struct store *s = NULL;
    struct err_text e;
    assert_int_equal(try_open(f, "?create=1M", true, &s, &e), USAN_ENOENT);
    assert_int_equal(access(f->path, F_OK), -1);
    /* too large for any file system: nothing stays behind */
    assert_int_equal(try_open(f, "?create=8192P", false, &s, &e), USAN_EINVAL);
    assert_non_null(
        strstr(e.text, "cannot be made 9223372036854775808 bytes long: File too large"));
    assert_int_equal(access(f->path, F_OK), -1);
    assert_null(s);
}

static void locked(void **state)
{
    struct fixture *f = get(state);
    struct store *s = NULL, *t = NULL;
    struct err_text e;
    char want[256];
    make(f, M);
    assert_int_equal(try_open(f, "", false, &s, &e), 0);
    assert_int_equal(try_open(f, "", false, &t, &e), USAN_EBUSY);
    (void)snprintf(want, sizeof want,
                   "file: %s: in use by another process, which has locked it (lock=no serves it "
                   "all the same)",
                   f->path);
    assert_string_equal(e.text, want);
    assert_int_equal(try_open(f, "", true, &t, &e), USAN_EBUSY);
    assert_int_equal(try_open(f, "?lock=no", false, &t, &e), 0);
    store_close(t);
    store_close(s);
    /* readers share, and keep writers away */
    assert_int_equal(try_open(f, "", true, &s, &e), 0);
    assert_int_equal(try_open(f, "", true, &t, &e), 0);
    store_close(t);
    t = NULL;
    assert_int_equal(try_open(f, "", false, &t, &e), USAN_EBUSY);
    store_close(s);
    /* a process that dies leaves no lock */
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid)
        _exit(try_open(f, "", false, &s, &e) == 0 ? 0 : 1);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(try_open(f, "", false, &s, &e), 0);
    store_close(s);
}

static void read_only(void **state)
{
    struct fixture *f = get(state);
    struct store *s = NULL;
    struct err_text e;
    make(f, M);
    assert_int_equal(try_open(f, "", true, &s, &e), 0);
    assert_true(s->info.read_only);
    assert_int_equal(s->info.unmap_gran_bytes, 0);
    assert_true(s->info.unmap_zeroes); /* no more holes are made; those there are read so */
    rig_open_on(&f->rig, s, f->engine);
    assert_int_equal(rig_write(&f->rig, 0, f->buf, 512, 0), USAN_ERDONLY);
    assert_int_equal(rig_read(&f->rig, 0, f->buf, M), 0);
    assert_int_equal(rig_op(&f->rig, BIO_FLUSH, 0, 0, 0), 0);
    rig_close(&f->rig);
}

static void odd_sizes(void **state)
{
    struct fixture *f = get(state);
    make(f, 1000); /* the last block is not whole */
    open_with(f, "", "");
    assert_int_equal(f->rig.store->info.size_bytes, 512);
    assert_int_equal(rig_read(&f->rig, 512, f->buf, 512), USAN_ERANGE);
    rig_close(&f->rig);
    make(f, 0);
    open_with(f, "", "");
    assert_int_equal(f->rig.store->info.size_bytes, 0);
    assert_int_equal(rig_read(&f->rig, 0, f->buf, 512), USAN_ERANGE);
    assert_int_equal(store_resize(f->rig.store, M, NULL), 0);
    assert_int_equal(rig_read(&f->rig, M - 512, f->buf, 512), 0);
    rig_close(&f->rig);
}

/* ---- content ---- */

/* What the file itself says. */
static void on_disk(const struct fixture *f, uint64_t off, uint8_t *to, size_t len)
{
    int fd = open(f->path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, to, len, (off_t)off), len);
    assert_int_equal(close(fd), 0);
}

static void lands_in_the_file(void **state)
{
    struct fixture *f = get(state);
    make(f, 8 * M);
    open_with(f, "", "");
    pattern(f->want, 3 * M, 512, 1);
    assert_int_equal(rig_write(&f->rig, 512, f->want, 3 * M, 0), 0);
    assert_int_equal(rig_write(&f->rig, 4 * M, f->want, 4096, BIO_F_FUA), 0);
    assert_int_equal(rig_op(&f->rig, BIO_FLUSH, 0, 0, 0), 0);
    on_disk(f, 512, f->buf, 3 * M);
    assert_memory_equal(f->buf, f->want, 3 * M);
    on_disk(f, 4 * M, f->buf, 4096);
    assert_memory_equal(f->buf, f->want, 4096);
    rig_close(&f->rig);
}

/* More iovecs than the kernel takes at once, of every length. */
static void many_iovecs(void **state)
{
    enum { COUNT = 3000, EACH = 512 };
    struct fixture *f = get(state);
    struct iovec *v = test_calloc(COUNT, sizeof *v);
    make(f, 8 * M);
    for (int direct = 0; direct < 2; direct++) {
        open_with(f, "", direct ? "?direct=1" : "");
        size_t at = 0, total = (size_t)COUNT * EACH;
        for (size_t i = 0; i < COUNT; i += 2) { /* two make two blocks */
            size_t len = 1 + i * 7919 % (2 * EACH - 1);
            v[i] = (struct iovec){ .iov_base = f->buf + at, .iov_len = len };
            v[i + 1] = (struct iovec){ .iov_base = f->buf + at + len, .iov_len = 2 * EACH - len };
            at += 2 * EACH;
        }
        pattern(f->buf, total, 0, 1 + (uint64_t)direct);
        memcpy(f->want, f->buf, total);
        struct io io = { .bio = { .op = BIO_WRITE, .len = total, .iov = v, .iovcnt = COUNT } };
        assert_int_equal(rig_do(&f->rig, &io), 0);
        memset(f->buf, 0, total);
        io.bio.op = BIO_READ;
        assert_int_equal(rig_do(&f->rig, &io), 0);
        assert_memory_equal(f->buf, f->want, total);
        on_disk(f, 0, f->buf, total);
        assert_memory_equal(f->buf, f->want, total);
        rig_close(&f->rig);
    }
    test_free(v);
}

/* More direct requests with unsuitable memory than there are buffers for. */
static void bounced(void **state)
{
    enum { COUNT = 80, LEN = 700 * 1024 / 4096 * 4096 };
    struct fixture *f = get(state);
    struct io *io = test_calloc(COUNT, sizeof *io);
    uint8_t *mem = malloc((size_t)COUNT * LEN + 1);
    assert_non_null(mem);
    make(f, (off_t)COUNT * LEN);
    open_with(f, "", "?direct=1");
    pattern(mem + 1, (size_t)COUNT * LEN, 0, 9);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            io[i].bio = (struct bio){ .op = round ? BIO_READ : BIO_WRITE,
                                      .off = i * LEN,
                                      .len = LEN,
                                      .iov = &io[i].iov,
                                      .iovcnt = 1 };
            io[i].iov = (struct iovec){ .iov_base = mem + 1 + i * LEN, .iov_len = LEN };
            rig_submit(&f->rig, &io[i]);
        }
        rig_wait(&f->rig);
        for (size_t i = 0; i < COUNT; i++)
            assert_int_equal(io[i].bio.err, 0);
        if (!round)
            memset(mem, 0, (size_t)COUNT * LEN + 1);
    }
    for (size_t i = 0; i < COUNT; i++) {
        pattern(f->want, LEN, i * LEN, 9);
        assert_memory_equal(mem + 1 + i * LEN, f->want, LEN);
    }
    rig_close(&f->rig);
    free(mem);
    test_free(io);
}

static void holes(void **state)
{
    struct fixture *f = get(state);
    struct store_space space;
    bool mapped;
    uint64_t run;
    make(f, 16 * M);
    open_with(f, "", "");
    const struct store_info *info = &f->rig.store->info;
    assert_true(info->can_map_status);
    assert_true(info->unmap_gran_bytes >= 512); /* the test directory punches holes */
    assert_true(info->unmap_zeroes);
    pattern(f->buf, 4 * M, 4 * M, 1);
    assert_int_equal(rig_write(&f->rig, 4 * M, f->buf, 4 * M, 0), 0);
    assert_int_equal(rig_op(&f->rig, BIO_FLUSH, 0, 0, 0), 0);
    assert_int_equal(rig_status(&f->rig, 0, 16 * M, &mapped, &run), 0);
    assert_false(mapped);
    assert_int_equal(run, 4 * M);
    assert_int_equal(rig_status(&f->rig, 4 * M, 12 * M, &mapped, &run), 0);
    assert_true(mapped);
    assert_int_equal(run, 4 * M);
    assert_int_equal(rig_status(&f->rig, 8 * M, 8 * M, &mapped, &run), 0);
    assert_false(mapped);
    assert_int_equal(run, 8 * M);
    assert_int_equal(rig_status(&f->rig, 5 * M, 512, &mapped, &run), 0);
    assert_true(mapped);
    assert_int_equal(run, 512);
    store_space(f->rig.store, &space);
    uint64_t before = space.used_bytes;
    assert_true(before >= 4 * M);

    assert_int_equal(rig_op(&f->rig, BIO_UNMAP, 5 * M, 2 * M, BIO_F_FUA), 0);
    assert_int_equal(rig_op(&f->rig, BIO_WRITE_ZEROES, 7 * M, M, BIO_F_MAY_UNMAP), 0);
    store_space(f->rig.store, &space);
    assert_true(space.used_bytes <= before - 3 * M + 64 * K);
    memset(f->buf + M, 0, 3 * M);
    assert_int_equal(rig_read(&f->rig, 4 * M, f->want, 4 * M), 0);
    assert_memory_equal(f->want, f->buf, 4 * M);

    /* without leave to unmap, space is taken so that a later write cannot fail for lack of it */
    assert_int_equal(rig_op(&f->rig, BIO_WRITE_ZEROES, 12 * M, M, 0), 0);
    struct store_space now;
    store_space(f->rig.store, &now);
    assert_true(now.used_bytes >= space.used_bytes + M);
    rig_close(&f->rig);
}

static void resized(void **state)
{
    struct fixture *f = get(state);
    struct stat st;
    struct err_text e = { "" };
    make(f, M);
    open_with(f, "stats+", "");
    assert_int_equal(store_resize(f->rig.store, 3 * M, &e), 0);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_size, 3 * M);
    assert_int_equal(rig_write(&f->rig, 3 * M - 512, f->buf, 512, 0), 0);
    assert_int_equal(store_resize(f->rig.store, 512, &e), 0);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_size, 512);
    assert_int_equal(store_resize(f->rig.store, (uint64_t)INT64_MAX - 511, &e), USAN_EIO);
    assert_string_equal(e.text, "file: File too large");
    rig_close(&f->rig);
}

/* ---- faults ---- */

/* The file is cut behind our back: what is there is read, the rest is a medium error with the place
 * of the first byte that is missing. */
static void short_file(void **state)
{
    struct fixture *f = get(state);
    for (int direct = 0; direct < 2; direct++) {
        make(f, M);
        open_with(f, "", direct ? "?direct=1" : "");
        assert_int_equal(truncate(f->path, 64 * K), 0);
        struct io io = { .bio = { .op = BIO_READ, .off = 32 * K, .len = 64 * K, .iovcnt = 1 },
                         .iov = { .iov_base = f->buf + 1, .iov_len = 64 * K } };
        io.bio.iov = &io.iov;
        assert_int_equal(rig_do(&f->rig, &io), USAN_EIO);
        assert_int_equal(io.bio.err_off, 64 * K);
        rig_close(&f->rig);
    }
}

/* A disk of 8 MiB for a store of 64: it says so when it is full, keeps what it has, and goes on
 * when there is room again. */
static void full_disk(void **state)
{
    struct fixture *f = get(state);
    struct store_space space;
    if (mount("usan-test", f->dir, "tmpfs", 0, "size=8m")) {
        print_message("# skipped: a file system can not be mounted here: %s\n", strerror(errno));
        skip();
    }
    f->mounted = true;
    open_with(f, "file:", "?create=64M");
    uint64_t good = 0;
    int err = 0;
    for (uint64_t off = 0; off < 64 * M && !err; off += M) {
        pattern(f->buf, M, off, 1);
        err = rig_write(&f->rig, off, f->buf, M, off / M % 2 ? BIO_F_FUA : 0);
        good += err ? 0 : M;
    }
    assert_int_equal(err, USAN_ENOSPC);
    assert_true(good >= 6 * M && good <= 8 * M);
    assert_int_equal(rig_op(&f->rig, BIO_WRITE_ZEROES, 32 * M, 4 * M, 0), USAN_ENOSPC);
    store_space(f->rig.store, &space);
    assert_true(space.avail_bytes < M);
    /* a flush of what was accepted is not disturbed by what was refused */
    assert_int_equal(rig_op(&f->rig, BIO_FLUSH, 0, 0, 0), 0);
    for (uint64_t off = 0; off < good; off += M) {
        pattern(f->want, M, off, 1);
        assert_int_equal(rig_read(&f->rig, off, f->buf, M), 0);
        assert_memory_equal(f->buf, f->want, M);
    }
    assert_int_equal(rig_op(&f->rig, BIO_UNMAP, 0, 4 * M, 0), 0);
    pattern(f->buf, M, 48 * M, 2);
    assert_int_equal(rig_write(&f->rig, 48 * M, f->buf, M, BIO_F_FUA), 0);
    assert_int_equal(rig_read(&f->rig, 48 * M, f->want, M), 0);
    assert_memory_equal(f->want, f->buf, M);
    rig_close(&f->rig);
}

/* ---- block devices ---- */

/* A device over the file, which is gone when the descriptor that is returned is closed, however the
 * test ends: a device that is detached while two have it open stays until the last one closes it.
 */
static int loop_device(const struct fixture *f, char *dev, size_t size)
{
    int ctl = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int file = open(f->path, O_RDWR | O_CLOEXEC);
    int n = ctl < 0 ? -1 : ioctl(ctl, LOOP_CTL_GET_FREE);
    int fd = -1;
    if (n >= 0 && file >= 0) {
        (void)snprintf(dev, size, "/dev/loop%d", n);
        fd = open(dev, O_RDWR | O_CLOEXEC);
    }
    if (fd >= 0 && ioctl(fd, LOOP_SET_FD, file)) {
        (void)close(fd);
        fd = -1;
    }
    if (fd >= 0) {
        int second = open(dev, O_RDWR | O_CLOEXEC);
        assert_true(second >= 0);
        assert_int_equal(ioctl(fd, LOOP_CLR_FD, 0), 0);
        assert_int_equal(close(second), 0);
    }
    if (file >= 0)
        (void)close(file);
    if (ctl >= 0)
        (void)close(ctl);
    return fd;
}

static void block_device(void **state)
{
    struct fixture *f = get(state);
    char dev[64], spec[128];
    struct err_text e = { "" };
    make(f, 8 * M);
    int fd = loop_device(f, dev, sizeof dev);
    if (fd < 0) {
        print_message("# skipped: this machine has no free loop device\n");
        skip();
    }
    for (int direct = 0; direct < 2; direct++) {
        (void)snprintf(spec, sizeof spec, "file:%s?direct=%d", dev, direct);
        rig_open(&f->rig, spec, f->engine);
        const struct store_info *info = &f->rig.store->info;
        assert_int_equal(info->size_bytes, 8 * M);
        assert_int_equal(info->block_bytes, 512);
        assert_false(info->can_map_status);
        assert_false(info->read_only);
        struct store *other = NULL;
        assert_int_equal(store_open_spec(spec, false, &other, &e), USAN_EBUSY);
        assert_non_null(strstr(e.text, "used by another process"));
        pattern(f->want, 3 * M, 512, 5);
        assert_int_equal(rig_write(&f->rig, 512, f->want, 3 * M, BIO_F_FUA), 0);
        memset(f->want + M, 0, M);
        assert_int_equal(rig_op(&f->rig, BIO_WRITE_ZEROES, 512 + M, M, 0), 0);
        if (info->unmap_gran_bytes) {
            memset(f->want + 2 * M, 0, 64 * K);
            assert_int_equal(rig_op(&f->rig, BIO_UNMAP, 512 + 2 * M, 64 * K, 0), 0);
        }
        assert_int_equal(rig_op(&f->rig, BIO_FLUSH, 0, 0, 0), 0);
        assert_int_equal(rig_read(&f->rig, 512, f->buf + 1, 3 * M), 0);
        assert_memory_equal(f->buf + 1, f->want, 3 * M);
        on_disk(f, 512, f->buf, 3 * M);
        assert_memory_equal(f->buf, f->want, 3 * M);
        assert_int_equal(store_resize(f->rig.store, 4 * M, &e), 0);
        assert_int_equal(store_resize(f->rig.store, 16 * M, &e), USAN_ERANGE);
        assert_string_equal(e.text, "file: the device has 8388608 bytes");
        rig_close(&f->rig);
    }
    assert_int_equal(close(fd), 0);
}

#define ON(fn, e)                                                                                  \
    {                                                                                              \
#fn " " #e, fn, setup, teardown, &(enum loop_engine_kind)                                  \
        {                                                                                          \
            LOOP_ENGINE_##e                                                                        \
        }                                                                                          \
    }
#define BOTH(fn) ON(fn, URING), ON(fn, EPOLL)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(created),      BOTH(not_created),       BOTH(locked),      BOTH(read_only),
        BOTH(odd_sizes),    BOTH(lands_in_the_file), BOTH(many_iovecs), BOTH(bounced),
        BOTH(holes),        BOTH(resized),           BOTH(short_file),  BOTH(full_disk),
        BOTH(block_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
