/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory runs out: every allocation in the life of a store fails once, the first, the second and
 * so on, until a run needs fewer than that. Nothing may be lost or leaked: whatever fails is
 * reported, and all memory is back in the end. (Linked with --wrap for the four functions.)
 */
#include "rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define K 1024u

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
int __real_posix_memalign(void **ret, size_t align, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
int __wrap_posix_memalign(void **ret, size_t align, size_t size);
void __wrap_free(void *p);

static unsigned allocations; /* since the count was reset */
static unsigned fail_at;     /* this one fails; 0: none */
static int live;

static bool fails(void)
{
    return ++allocations == fail_at;
}

void *__wrap_malloc(size_t size)
{
    void *p = fails() ? NULL : __real_malloc(size);
    live += p != NULL;
    return p;
}

void *__wrap_calloc(size_t count, size_t size)
{
    void *p = fails() ? NULL : __real_calloc(count, size);
    live += p != NULL;
    return p;
}

int __wrap_posix_memalign(void **ret, size_t align, size_t size)
{
    int rc = fails() ? ENOMEM : __real_posix_memalign(ret, align, size);
    live += rc == 0;
    return rc;
}

void __wrap_free(void *p)
{
    live -= p != NULL;
    __real_free(p);
}

static uint8_t data[1024 * K], back[1024 * K];

/* A request may fail for lack of memory, in no other way. Returns whether it was carried out. */
static bool ok(int err)
{
    if (err)
        assert_int_equal(err, USAN_ENOMEM);
    return !err;
}

static void lend_and_grant(struct rig *r)
{
    struct io w = { .bio = { .op = BIO_WRITE, .off = 256 * K, .len = 64 * K } };
    struct io io = { .bio = { .op = BIO_READ, .flags = BIO_F_LEND, .len = 64 * K } };
    if (r->store->info.can_grant && !store_write_grant(r->ch, &w.bio))
        (void)ok(rig_do(r, &w));
    if (!r->store->info.can_lend)
        return;
    if (ok(rig_do(r, &io)))
        store_lend_end(r->ch, &io.bio);
    assert_null(io.bio.lent);
}

/* Every kind of request, with the data checked where it is known. */
static void use(struct rig *r)
{
    struct io io = { .bio = { .op = BIO_WRITE, .len = 64 * K, .iovcnt = 1 } };
    io.bio.iov = &io.iov;
    io.iov = (struct iovec){ .iov_base = data + 1, .iov_len = 64 * K };
    pattern(data, sizeof data, 0, 1);
    bool written = ok(rig_do(r, &io)) && strcmp(r->store->ops->name, "null") != 0;
    io.bio.op = BIO_READ;
    io.bio.off = 0;
    io.iov.iov_base = back + 1;
    if (ok(rig_do(r, &io)) && written)
        assert_memory_equal(back + 1, data + 1, 64 * K);
    io.bio.op = BIO_WRITE;
    io.bio.flags = BIO_F_FUA;
    io.bio.off = 128 * K;
    io.iov.iov_base = data + 1;
    (void)ok(rig_do(r, &io));
    (void)ok(rig_op(r, BIO_WRITE_ZEROES, 0, 32 * K, BIO_F_FUA));
    (void)ok(rig_op(r, BIO_FLUSH, 0, 0, 0));
    if (r->store->info.unmap_gran_bytes)
        (void)ok(rig_op(r, BIO_UNMAP, 0, 16 * K, 0));
    lend_and_grant(r);
}

/* The loop is made beforehand: this is about the store. */
static bool live_one(const char *spec, struct loop *loop)
{
    struct rig r = { .loop = loop };
    struct err_text e = { "" };
    int err = store_open_spec(spec, false, &r.store, &e);
    if (err) {
        assert_int_equal(err, USAN_ENOMEM);
        assert_string_not_equal(e.text, "");
        return false;
    }
    err = store_channel_open(r.store, loop, &r.ch);
    if (err) {
        assert_int_equal(err, USAN_ENOMEM);
        store_close(r.store);
        return false;
    }
    use(&r);
    store_channel_close(r.ch);
    store_close(r.store);
    return true;
}

static void every_allocation_fails(void **state)
{
    const char *spec = *state;
    struct loop_config cfg = { .engine = LOOP_ENGINE_AUTO, .poll = LOOP_POLL_NEVER, .cpu = -1 };
    struct loop *loop = NULL;
    char path[] = "/tmp/usan-alloc-XXXXXX", text[256];
    const char *at = strstr(spec, "FILE");
    (void)snprintf(text, sizeof text, "%s", spec);
    if (at) {
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, sizeof data), 0);
        assert_int_equal(close(fd), 0);
        (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - spec), spec, path, at + 4);
    }
    assert_int_equal(loop_new(&cfg, &loop, NULL), 0);
    fail_at = 0;
    assert_true(live_one(text, loop)); /* the loop makes what it keeps */
    unsigned failed = 0, opened = 0;
    for (unsigned n = 1;; n++) {
        int before = live;
        allocations = 0;
        fail_at = n;
        opened += live_one(text, loop);
        fail_at = 0;
        assert_int_equal(live, before);
        if (allocations < n)
            break;
        failed++;
    }
    loop_free(loop);
    if (at)
        (void)unlink(path);
    print_message("# %s: %u allocations failed, the store was open %u times\n", spec, failed,
                  opened);
    assert_true(failed >= 3);
}

#define ON(text)                                                                                   \
    {                                                                                              \
        .name = text, .test_func = every_allocation_fails, .initial_state = (char[])               \
        {                                                                                          \
            text                                                                                   \
        }                                                                                          \
    }

int main(void)
{
    /* lock=no: the kernel lets go of a file when the loop is entered again after its last request,
     * and between two runs nobody does that. */
    const struct CMUnitTest tests[] = {
        ON("null:1M"),
        ON("ram:1M"),
        ON("file:FILE?lock=no"),
        ON("file:FILE?lock=no&direct=1"),
        ON("stats+ram:1M"),
        ON("delay(time=1us)+ram:1M"),
        ON("ratelimit(iops=1000000)+file:FILE?lock=no"),
        ON("error(rate=0)+ram:1M"),
        ON("crash+ram:1M"),
        ON("crash(cache=64K)+file:FILE?lock=no"),
        ON("stats+crash+stats+ram:1M"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
