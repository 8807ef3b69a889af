/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every back end and filter against a byte array: random reads, writes, zeroes, unmaps, flushes
 * and map queries, several at a time where they do not overlap, by copying and by lending and
 * granting. USAN_TEST_SEED repeats a run.
 */
#include "rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SIZE     ((size_t)4 << 20)
#define BATCH    8
#define ROUNDS   250
#define LEN_MAX  ((size_t)160 << 10)
#define FILE_VAR "FILE" /* in a specification: the path of a scratch file */

struct subject {
    const char *spec;
    enum loop_engine_kind engine;
};

struct model {
    struct rig rig;
    uint64_t random;
    uint8_t *expect;
    uint32_t block;
};

/* One request of a batch and what it should give. */
struct step {
    struct io io;
    uint8_t *buf; /* unaligned on purpose */
    struct iovec iov[5];
    bool lend, granted;
};

static uint64_t seed(void)
{
    const char *text = getenv("USAN_TEST_SEED");
    return text ? strtoull(text, NULL, 0) | 1 : 0x5eed1234abcd0001u;
}

static uint64_t pick(struct model *m, uint64_t n)
{
    return next_random(&m->random) % n;
}

/* Cut the buffer into pieces, some of them odd. */
static void scatter(struct model *m, struct step *s, uint64_t len)
{
    size_t n = 1 + pick(m, 5), at = 0;
    int count = 0;
    for (size_t i = 0; i + 1 < n && at < len; i++) {
        size_t piece = 1 + pick(m, len - at);
        s->iov[count++] = (struct iovec){ .iov_base = s->buf + at, .iov_len = piece };
        at += piece;
    }
    if (at < len)
        s->iov[count++] = (struct iovec){ .iov_base = s->buf + at, .iov_len = len - at };
    s->io.bio.iov = s->iov;
    s->io.bio.iovcnt = count;
}

static void fill_grant(struct step *s)
{
    uint8_t *from = s->buf;
    for (int i = 0; i < s->io.bio.iovcnt; i++) {
        memcpy(s->io.bio.iov[i].iov_base, from, s->io.bio.iov[i].iov_len);
        from += s->io.bio.iov[i].iov_len;
    }
}

static void prepare_write(struct model *m, struct step *s)
{
    struct bio *bio = &s->io.bio;
    for (size_t i = 0; i < bio->len; i++)
        s->buf[i] = (uint8_t)next_random(&m->random);
    memcpy(m->expect + bio->off, s->buf, bio->len);
    s->granted = pick(m, 2) && !store_write_grant(m->rig.ch, bio);
    if (s->granted && !pick(m, 4)) { /* think better of it */
        store_write_revoke(m->rig.ch, bio);
        s->granted = false;
    }
    if (s->granted)
        fill_grant(s);
    else
        scatter(m, s, bio->len);
}

static void prepare(struct model *m, struct step *s, uint64_t off, uint64_t len)
{
    static const enum bio_op ops[] = { BIO_READ,  BIO_READ,         BIO_READ,      BIO_WRITE,
                                       BIO_WRITE, BIO_WRITE,        BIO_WRITE,     BIO_WRITE_ZEROES,
                                       BIO_UNMAP, BIO_WRITE_ZEROES, BIO_MAP_STATUS };
    const struct store_info *info = &m->rig.store->info;
    struct bio *bio = &s->io.bio;
    *bio = (struct bio){ .op = ops[pick(m, sizeof ops / sizeof *ops)], .off = off, .len = len };
    s->lend = s->granted = false;
    if (bio->op == BIO_UNMAP && !info->unmap_gran_bytes)
        bio->op = BIO_WRITE_ZEROES;
    if (bio->op != BIO_READ && bio->op != BIO_MAP_STATUS && !pick(m, 4))
        bio->flags |= BIO_F_FUA;
    if (bio->op == BIO_READ) {
        s->lend = info->can_lend && pick(m, 2);
        if (s->lend)
            bio->flags |= BIO_F_LEND;
        else
            scatter(m, s, len);
    } else if (bio->op == BIO_WRITE) {
        prepare_write(m, s);
    } else if (bio->op == BIO_WRITE_ZEROES) {
        if (pick(m, 2))
            bio->flags |= BIO_F_MAY_UNMAP;
        memset(m->expect + off, 0, len);
    } else if (bio->op == BIO_UNMAP) {
        assert_true(info->unmap_zeroes);
        memset(m->expect + off, 0, len);
    }
}

static void check_read(struct model *m, struct step *s)
{
    struct bio *bio = &s->io.bio;
    uint64_t at = bio->off;
    for (int i = 0; i < bio->iovcnt; i++) {
        if (memcmp(bio->iov[i].iov_base, m->expect + at, bio->iov[i].iov_len) != 0)
            fail_msg("wrong data in [%llu,+%zu), seed %#llx", (unsigned long long)at,
                     bio->iov[i].iov_len, (unsigned long long)seed());
        at += bio->iov[i].iov_len;
    }
    assert_int_equal(at, bio->off + bio->len);
    if (s->lend)
        store_lend_end(m->rig.ch, bio);
}

static bool all_zero(const uint8_t *p, uint64_t len)
{
    return !len || (!p[0] && !memcmp(p, p + 1, len - 1));
}

/* An unmapped run has to read as zeroes; more cannot be said of every store. */
static void check_status(const struct model *m, const struct bio *bio)
{
    assert_in_range(bio->run_len, 1, bio->len);
    if (!bio->mapped)
        assert_true(all_zero(m->expect + bio->off, bio->run_len));
}

/* Requests of one batch share no block: each gets a lane of the store. */
static void run_batch(struct model *m, struct step *steps)
{
    size_t lane = SIZE / BATCH;
    uint64_t turn = pick(m, BATCH);
    for (size_t i = 0; i < BATCH; i++) {
        uint64_t base = (i + turn) % BATCH * lane;
        uint64_t unit = pick(m, 3) ? m->block : 4096;
        uint64_t off = base + pick(m, lane / unit) * unit;
        uint64_t most = base + lane - off < LEN_MAX ? base + lane - off : LEN_MAX;
        uint64_t len = pick(m, 8) ? (1 + pick(m, most / unit)) * unit : unit;
        prepare(m, &steps[i], off, len);
        rig_submit(&m->rig, &steps[i].io);
    }
    rig_wait(&m->rig);
    for (size_t i = 0; i < BATCH; i++) {
        struct bio *bio = &steps[i].io.bio;
        if (bio->err)
            fail_msg("operation %d of [%llu,+%llu) failed: %s", bio->op,
                     (unsigned long long)bio->off, (unsigned long long)bio->len,
                     usan_strerror(bio->err));
        if (bio->op == BIO_READ)
            check_read(m, &steps[i]);
        else if (bio->op == BIO_MAP_STATUS)
            check_status(m, bio);
    }
}

static void check_all(struct model *m)
{
    uint8_t *all = malloc(SIZE);
    assert_non_null(all);
    assert_int_equal(rig_read(&m->rig, 0, all, SIZE), 0);
    assert_memory_equal(all, m->expect, SIZE);
    free(all);
}

/* FILE in the specification becomes a fresh file. */
static void expand(const char *spec, char *path, char *buf, size_t size)
{
    const char *dir = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    const char *at = strstr(spec, FILE_VAR);
    (void)snprintf(path, 256, "%s/usan-model-XXXXXX", dir);
    if (!at) {
        path[0] = '\0';
        (void)snprintf(buf, size, "%s", spec);
        return;
    }
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, SIZE), 0);
    assert_int_equal(close(fd), 0);
    (void)snprintf(buf, size, "%.*s%s%s", (int)(at - spec), spec, path, at + strlen(FILE_VAR));
}

static void matches_model(void **state)
{
    const struct subject *sub = *state;
    struct model m = { .random = seed() };
    char spec[512], path[256];
    if (!rig_engine_works(sub->engine)) {
        print_message("# skipped: io_uring is closed on this machine\n");
        skip();
    }
    expand(sub->spec, path, spec, sizeof spec);
    print_message("# %s, seed %#llx\n", spec, (unsigned long long)seed());
    rig_open(&m.rig, spec, sub->engine);
    m.block = m.rig.store->info.block_bytes;
    m.expect = calloc(1, SIZE);
    struct step *steps = calloc(BATCH, sizeof *steps);
    uint8_t *bufs = malloc(BATCH * LEN_MAX + 1);
    assert_true(m.expect && steps && bufs);
    for (size_t i = 0; i < BATCH; i++)
        steps[i].buf = bufs + 1 + i * LEN_MAX;
    for (int i = 0; i < ROUNDS; i++) {
        run_batch(&m, steps);
        if (i % 16 == 7)
            assert_int_equal(rig_op(&m.rig, BIO_FLUSH, 0, 0, 0), 0);
    }
    check_all(&m);
    rig_close(&m.rig);
    free(m.expect);
    free(steps);
    free(bufs);
    if (path[0])
        (void)unlink(path);
}

#define ON(text, e)                                                                                \
    {                                                                                              \
        .name = text " " #e, .test_func = matches_model, .initial_state = &(struct subject)        \
        {                                                                                          \
            text, LOOP_ENGINE_##e                                                                  \
        }                                                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON("ram:4M", AUTO),
        ON("ram:4M?page=16K", AUTO),
        ON("ram:4M?page=1M&huge=no", AUTO),
        ON("ram:10T", AUTO),
        ON("file:FILE", URING),
        ON("file:FILE", EPOLL),
        ON("file:FILE?direct=1", URING),
        ON("file:FILE?direct=1", EPOLL),
        ON("stats+ram:4M", AUTO),
        ON("stats+file:FILE", URING),
        ON("stats+stats(name=inner)+ram:4M", AUTO),
        ON("ratelimit(iops=1000000,bps=100G)+ram:4M", AUTO),
        ON("ratelimit(iops=20000,burst=0s)+ram:4M", EPOLL),
        ON("delay(time=0ms,jitter=1ms)+ram:4M", AUTO),
        ON("delay(time=10us,jitter=50us,dist=exponential)+file:FILE", URING),
        ON("error(rate=0)+ram:4M", AUTO),
        ON("error(count=1,after=1000000)+file:FILE", URING),
        ON("crash+ram:4M", AUTO),
        ON("crash(cache=256K)+ram:4M", AUTO),
        ON("crash(cache=64K)+file:FILE?direct=1", URING),
        ON("stats,delay(time=0ms,jitter=100us),crash(cache=128K)+ratelimit(iops=1000000)+ram:4M",
           AUTO),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
