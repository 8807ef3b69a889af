/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* delay, ratelimit, error and stats, on a clock that shows when each request was done. */
#include "fake_loop.h"
#include "rig.h"

#include <stdlib.h>

#define K 1024u
#define M (1024u * K)

static uint8_t buf[M];

static void start_at(struct rig *r, struct io *io, enum bio_op op, uint64_t off, uint64_t len)
{
    *io = (struct io){ .bio = { .op = op, .off = off, .len = len },
                       .iov = { .iov_base = buf, .iov_len = (size_t)len } };
    if (op == BIO_READ || op == BIO_WRITE) {
        io->bio.iov = &io->iov;
        io->bio.iovcnt = 1;
    }
    rig_submit(r, io);
}

static uint64_t time_of(struct rig *r, enum bio_op op)
{
    uint64_t begin = loop_now(r->loop);
    struct io io;
    start_at(r, &io, op, 0, 4 * K);
    rig_wait(r);
    assert_int_equal(io.bio.err, 0);
    return io.done_ns - begin;
}

/* ---- delay ---- */

static void fixed_delay(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, "delay(time=3ms)+ram:1M", LOOP_ENGINE_AUTO);
    assert_int_equal(time_of(&r, BIO_READ), 3 * NS_PER_MS);
    assert_int_equal(time_of(&r, BIO_WRITE), 3 * NS_PER_MS);
    assert_int_equal(time_of(&r, BIO_UNMAP), 3 * NS_PER_MS);
    assert_int_equal(time_of(&r, BIO_MAP_STATUS), 3 * NS_PER_MS);
    rig_close(&r);
}

static void delay_by_op(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, "delay(time=3ms,op=write/zero)+ram:1M", LOOP_ENGINE_AUTO);
    assert_int_equal(time_of(&r, BIO_READ), 0);
    assert_int_equal(time_of(&r, BIO_UNMAP), 0);
    assert_int_equal(time_of(&r, BIO_WRITE), 3 * NS_PER_MS);
    assert_int_equal(time_of(&r, BIO_WRITE_ZEROES), 3 * NS_PER_MS);
    rig_close(&r);
}

enum { SAMPLES = 4000 };

static void sample(const char *spec, uint64_t *ret)
{
    struct rig r;
    rig_open(&r, spec, LOOP_ENGINE_AUTO);
    for (size_t i = 0; i < SAMPLES; i++)
        ret[i] = time_of(&r, BIO_READ);
    rig_close(&r);
}

static double mean(const uint64_t *t)
{
    double sum = 0;
    for (size_t i = 0; i < SAMPLES; i++)
        sum += (double)t[i];
    return sum / SAMPLES;
}

/* Share of the samples below a limit. */
static double below(const uint64_t *t, uint64_t limit)
{
    size_t n = 0;
    for (size_t i = 0; i < SAMPLES; i++)
        n += t[i] < limit;
    return (double)n / SAMPLES;
}

static void is_near(double have, double want, double tolerance)
{
    if (have < want - tolerance || have > want + tolerance)
        fail_msg("%g is not %g +- %g", have, want, tolerance);
}

/* 1 ms and 0 to 4 ms on top: mean 3 ms, a quarter below 2 ms. */
static void uniform_jitter(void **state)
{
    static uint64_t a[SAMPLES], b[SAMPLES], c[SAMPLES];
    (void)state;
    sample("delay(time=1ms,jitter=4ms,seed=5)+ram:1M", a);
    sample("delay(time=1ms,jitter=4ms,seed=5)+ram:1M", b);
    sample("delay(time=1ms,jitter=4ms,seed=6)+ram:1M", c);
    assert_memory_equal(a, b, sizeof a); /* the seed says it all */
    assert_memory_not_equal(a, c, sizeof a);
    is_near(mean(a), 3e6, 0.1e6);
    is_near(below(a, 2000000), 0.25, 0.03);
    assert_true(below(a, 1000000) == 0);
    assert_true(below(a, 5000001) == 1);
}

/* Mean 2 ms on top of 1; 1 - 1/e of the values lie below the mean, 1 - 1/e^2 below twice that. */
static void exponential_jitter(void **state)
{
    static uint64_t t[SAMPLES];
    (void)state;
    sample("delay(time=1ms,jitter=2ms,dist=exponential)+ram:1M", t);
    is_near(mean(t), 3e6, 0.15e6);
    is_near(below(t, 3000000), 0.632, 0.03);
    is_near(below(t, 5000000), 0.865, 0.03);
    assert_true(below(t, 1000000) == 0);
    assert_true(below(t, 41000001) == 1);
}

static void delay_without_timer(void **state)
{
    struct rig r;
    struct io io = { .bio = { .op = BIO_WRITE, .len = 4 * K } };
    (void)state;
    rig_open(&r, "delay(time=1ms)+ram:1M", LOOP_ENGINE_AUTO);
    assert_int_equal(store_write_grant(r.ch, &io.bio), 0);
    fake_loop_fail_timers(r.loop, 1);
    assert_int_equal(rig_do(&r, &io), USAN_ENOMEM);
    assert_null(io.bio.lent);
    rig_close(&r);
}

/* ---- ratelimit ---- */

/* Submit n requests at once; when was the last one done? */
static uint64_t burst_of(struct rig *r, size_t n, enum bio_op op, uint64_t len)
{
    static struct io io[2048];
    uint64_t begin = loop_now(r->loop), last = 0;
    for (size_t i = 0; i < n; i++)
        start_at(r, &io[i], op, 0, len);
    rig_wait(r);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(io[i].bio.err, 0);
        assert_true(io[i].done_ns >= last); /* in order */
        last = io[i].done_ns;
    }
    return last - begin;
}

/* 1000 a second: the first at once, then one each millisecond. */
static void requests_a_second(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, "ratelimit(iops=1000,burst=0s)+ram:1M", LOOP_ENGINE_AUTO);
    assert_int_equal(burst_of(&r, 501, BIO_READ, 512), 500 * NS_PER_MS);
    assert_int_equal(burst_of(&r, 1, BIO_READ, 512), NS_PER_MS); /* the debt of the last one */
    fake_loop_advance(r.loop, NS_PER_SEC);
    assert_int_equal(burst_of(&r, 101, BIO_UNMAP, 4 * K), 100 * NS_PER_MS);
    assert_int_equal(rig_stat(&r, "ratelimit.delayed"), 500 + 1 + 100);
    /* these cost nothing */
    assert_int_equal(burst_of(&r, 1000, BIO_FLUSH, 0), 0);
    assert_int_equal(burst_of(&r, 1000, BIO_MAP_STATUS, 4 * K), 0);
    rig_close(&r);
}

/* Whatever has been idle for, only the burst is caught up on: 50 ms are 50 requests. */
static void bursts(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, "ratelimit(iops=1000,burst=50ms)+ram:1M", LOOP_ENGINE_AUTO);
    fake_loop_advance(r.loop, 100 * NS_PER_SEC);
    assert_int_equal(burst_of(&r, 51, BIO_WRITE, 512), 0);
    assert_int_equal(burst_of(&r, 100, BIO_WRITE, 512), 100 * NS_PER_MS);
    fake_loop_advance(r.loop, 20 * NS_PER_MS);
    assert_int_equal(burst_of(&r, 20, BIO_WRITE, 512), 0);
    rig_close(&r);
}

/* A megabyte a second: 64 KiB each 62.5 ms; a large request pays afterwards. */
static void bytes_a_second(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, "ratelimit(bps=1M,burst=0s)+ram:1M", LOOP_ENGINE_AUTO);
    assert_int_equal(burst_of(&r, 17, BIO_WRITE, 64 * K), NS_PER_SEC);
    fake_loop_advance(r.loop, NS_PER_SEC);
    assert_int_equal(burst_of(&r, 1, BIO_READ, M), 0);
    assert_int_equal(burst_of(&r, 1, BIO_READ, 512), NS_PER_SEC);
    fake_loop_advance(r.loop, NS_PER_SEC);
    assert_int_equal(burst_of(&r, 100, BIO_WRITE_ZEROES, M), 0); /* no data moves */
    rig_close(&r);
}

/* The tighter limit counts. */
static void both_limits(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, "ratelimit(iops=100,bps=1M,burst=0s)+ram:1M", LOOP_ENGINE_AUTO);
    assert_int_equal(burst_of(&r, 51, BIO_READ, 512), 500 * NS_PER_MS);
    fake_loop_advance(r.loop, 10 * NS_PER_SEC);
    assert_int_equal(burst_of(&r, 9, BIO_READ, 128 * K), NS_PER_SEC);
    rig_close(&r);
}

/* One limit for all channels. */
static void shared_limit(void **state)
{
    struct rig a, b;
    struct store *s = NULL;
    struct io io[20];
    (void)state;
    assert_int_equal(store_open_spec("ratelimit(iops=10,burst=0s)+ram:1M", false, &s, NULL), 0);
    rig_open_on(&a, s, LOOP_ENGINE_AUTO);
    rig_open_on(&b, s, LOOP_ENGINE_AUTO);
    uint64_t begin = loop_now(a.loop);
    for (size_t i = 0; i < 20; i++)
        start_at(i % 2 ? &b : &a, &io[i], BIO_READ, 0, 512);
    rig_wait(&a);
    rig_wait(&b);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(io[i].done_ns - begin, i * 100 * NS_PER_MS);
    store_channel_close(b.ch);
    loop_free(b.loop);
    rig_close(&a);
}

static void ratelimit_without_timer(void **state)
{
    struct rig r;
    struct io io[3];
    (void)state;
    rig_open(&r, "ratelimit(iops=1,burst=0s)+ram:1M", LOOP_ENGINE_AUTO);
    uint64_t begin = loop_now(r.loop);
    start_at(&r, &io[0], BIO_READ, 0, 512);
    fake_loop_fail_timers(r.loop, 1);
    start_at(&r, &io[1], BIO_READ, 0, 512); /* cannot wait, so it goes */
    start_at(&r, &io[2], BIO_READ, 0, 512);
    rig_wait(&r);
    assert_int_equal(io[1].done_ns - begin, 0);
    assert_int_equal(io[2].done_ns - begin, 2 * NS_PER_SEC);
    rig_close(&r);
}

/* ---- error ---- */

static void error_counts(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, "error(err=nospc,op=write,after=3,count=2)+ram:1M", LOOP_ENGINE_AUTO);
    for (unsigned i = 0; i < 20; i++) {
        int want = i == 3 || i == 4 ? USAN_ENOSPC : 0;
        assert_int_equal(rig_write(&r, 0, buf, 512, 0), want);
        assert_int_equal(rig_read(&r, 0, buf, 512), 0);
    }
    assert_int_equal(rig_stat(&r, "error.seen"), 20);
    assert_int_equal(rig_stat(&r, "error.failed"), 2);
    rig_close(&r);
}

static void error_range(void **state)
{
    static const struct {
        uint64_t off, len;
        bool hit;
        uint64_t err_off;
    } t[] = {
        { 0, 64 * K, false, 0 },
        { 0, 64 * K + 512, true, 64 * K },
        { 60 * K, 8 * K, true, 64 * K },
        { 65 * K, 512, true, 65 * K },
        { 68 * K - 512, 512, true, 68 * K - 512 },
        { 68 * K, 512, false, 0 },
    };
    struct rig r;
    (void)state;
    rig_open(&r, "error(off=64K,len=4K)+ram:1M", LOOP_ENGINE_AUTO);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct io io;
        start_at(&r, &io, BIO_READ, t[i].off, t[i].len);
        rig_wait(&r);
        assert_int_equal(io.bio.err, t[i].hit ? USAN_EIO : 0);
        if (t[i].hit)
            assert_int_equal(io.bio.err_off, t[i].err_off);
    }
    assert_int_equal(rig_op(&r, BIO_FLUSH, 0, 0, 0), USAN_EIO);
    rig_close(&r);
    rig_open(&r, "error(off=1M,op=read)+ram:2M", LOOP_ENGINE_AUTO);
    assert_int_equal(rig_read(&r, 0, buf, M), 0);
    assert_int_equal(rig_read(&r, 2 * M - 512, buf, 512), USAN_EIO);
    rig_close(&r);
}

static size_t failures(const char *spec, uint64_t *ret_when)
{
    struct rig r;
    size_t n = 0;
    *ret_when = 0;
    rig_open(&r, spec, LOOP_ENGINE_AUTO);
    for (uint64_t i = 0; i < 10000; i++) {
        if (rig_read(&r, 0, buf, 512)) {
            n++;
            *ret_when = *ret_when * 31 + i;
        }
    }
    assert_int_equal(rig_stat(&r, "error.failed"), n);
    rig_close(&r);
    return n;
}

static void error_rate(void **state)
{
    uint64_t a, b, c;
    (void)state;
    is_near((double)failures("error(rate=10%)+ram:1M", &a), 1000, 100);
    is_near((double)failures("error(rate=10%)+ram:1M", &b), 1000, 100);
    is_near((double)failures("error(rate=0.1,seed=2)+ram:1M", &c), 1000, 100);
    assert_true(a == b && a != c);
    assert_int_equal(failures("error(rate=0)+ram:1M", &a), 0);
    assert_int_equal(failures("error(rate=1)+ram:1M", &a), 10000);
    assert_int_equal(failures("error(rate=50%,count=7)+ram:1M", &a), 7);
}

/* Before: nothing has happened. After: everything has, but nobody is told. */
static void error_before_and_after(void **state)
{
    struct rig r;
    struct io io;
    (void)state;
    for (int after = 0; after < 2; after++) {
        rig_open(&r,
                 after ? "error(op=write,count=3,when=after)+ram:1M"
                       : "error(op=write,count=3,when=before)+ram:1M",
                 LOOP_ENGINE_AUTO);
        for (int i = 0; i < 3; i++) {
            uint8_t block[4 * K];
            io = (struct io){ .bio = { .op = BIO_WRITE, .off = 8 * K, .len = 4 * K } };
            memset(block, i + 1, sizeof block);
            if (i == 1) { /* a grant is consumed either way */
                assert_int_equal(store_write_grant(r.ch, &io.bio), 0);
                memcpy(io.bio.iov->iov_base, block, sizeof block);
                assert_int_equal(rig_do(&r, &io), USAN_EIO);
                assert_null(io.bio.lent);
            } else {
                assert_int_equal(rig_write(&r, 8 * K, block, sizeof block, 0), USAN_EIO);
            }
            assert_int_equal(rig_read(&r, 8 * K, buf, 4 * K), 0);
            assert_int_equal(buf[0], after ? i + 1 : 0);
        }
        rig_close(&r);
    }
    /* a lend that is not to be told of ends at once: closing asserts it */
    rig_open(&r, "error(op=read,when=after)+ram:1M", LOOP_ENGINE_AUTO);
    io = (struct io){ .bio = { .op = BIO_READ, .flags = BIO_F_LEND, .len = 64 * K } };
    assert_int_equal(rig_do(&r, &io), USAN_EIO);
    assert_null(io.bio.lent);
    rig_close(&r);
}

static void error_names(void **state)
{
    static const struct {
        const char *spec;
        int err;
    } t[] = {
        { "error(err=rdonly)+ram:1M", USAN_ERDONLY },
        { "error(err=NOMEM)+ram:1M", USAN_ENOMEM },
        { "error(err=miscompare)+ram:1M", USAN_EMISCOMPARE },
        { "error(err=closed)+null:1M", USAN_ECLOSED },
    };
    struct rig r;
    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        rig_open(&r, t[i].spec, LOOP_ENGINE_AUTO);
        assert_int_equal(rig_read(&r, 0, buf, 512), t[i].err);
        rig_close(&r);
    }
}

struct reported {
    size_t count;
    char what[16][64], values[16][300];
};

static void take_line(void *arg, const char *what, const char *values)
{
    struct reported *r = arg;
    assert_true(r->count < 16);
    (void)snprintf(r->what[r->count], sizeof r->what[0], "%s", what);
    (void)snprintf(r->values[r->count++], sizeof r->values[0], "%s", values);
}

/* ---- stats ---- */

static void odd_stats(struct store *s, FILE *out)
{
    (void)s;
    fputs("lost\nx.a 1\nx.error one\nand two\nx.b 2\n.c 3\ny.a 4\nlast", out);
}

static void no_stats(struct store *s, FILE *out)
{
    (void)s;
    fputs("of no group\n", out);
}

/* A line that belongs to no group is passed over, wherever it stands. */
static void odd_lines(void **state)
{
    const struct store_ops odd = { .name = "odd", .stats = odd_stats };
    const struct store_ops none = { .name = "none", .stats = no_stats };
    struct store s = { .ops = &odd };
    struct reported lines = { .count = 0 };
    (void)state;
    store_report(&s, take_line, &lines);
    assert_int_equal(lines.count, 3);
    assert_string_equal(lines.what[0], "x");
    assert_string_equal(lines.values[0], "a=1 error=one b=2");
    assert_string_equal(lines.what[1], "");
    assert_string_equal(lines.what[2], "y");
    assert_string_equal(lines.values[2], "a=4");
    s.ops = &none;
    store_report(&s, take_line, &lines);
    assert_int_equal(lines.count, 3);
}

static void counted(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, "stats(name=top)+error(op=write,after=3)+stats+ram:1M", LOOP_ENGINE_AUTO);
    for (int i = 0; i < 5; i++)
        (void)rig_write(&r, 0, buf, 4 * K, 0);
    for (int i = 0; i < 7; i++)
        assert_int_equal(rig_read(&r, 0, buf, 64 * K), 0);
    assert_int_equal(rig_op(&r, BIO_UNMAP, 0, 128 * K, 0), 0);
    assert_int_equal(rig_stat(&r, "top.write.ops"), 5);
    assert_int_equal(rig_stat(&r, "top.write.errors"), 2);
    assert_int_equal(rig_stat(&r, "top.write.bytes"), 12 * K);
    assert_int_equal(rig_stat(&r, "stats.write.ops"), 3);
    assert_int_equal(rig_stat(&r, "stats.write.errors"), 0);
    assert_int_equal(rig_stat(&r, "stats.read.ops"), 7);
    assert_int_equal(rig_stat(&r, "stats.read.bytes"), 448 * K);
    assert_int_equal(rig_stat(&r, "stats.unmap.bytes"), 128 * K);
    assert_true(rig_stat(&r, "stats.read.ns_max") * 7 >= rig_stat(&r, "stats.read.ns_total"));
    assert_true(rig_stat(&r, "stats.read.ns_total") >= rig_stat(&r, "stats.read.ns_max"));
    assert_true(rig_stat(&r, "stats.read.p99_us") >= rig_stat(&r, "stats.read.p50_us"));
    struct reported lines = { .count = 0 };
    store_report(r.store, take_line, &lines);
    assert_int_equal(lines.count, 8); /* three kinds of two filters, the errors, the memory */
    assert_string_equal(lines.what[0], "top.read");
    assert_string_equal(lines.what[1], "top.write");
    assert_string_equal(lines.what[3], "error");
    assert_string_equal(lines.what[7], "ram");
    static const char values[] = "ops=5 bytes=12288 errors=2 ns_total=";
    assert_memory_equal(lines.values[1], values, sizeof(values) - 1);
    /* counts outlive their channel, and another one adds to them */
    store_channel_close(r.ch);
    assert_int_equal(rig_stat(&r, "stats.read.ops"), 7);
    assert_int_equal(store_channel_open(r.store, r.loop, &r.ch), 0);
    assert_int_equal(rig_read(&r, 0, buf, 512), 0);
    assert_int_equal(rig_stat(&r, "stats.read.ops"), 8);
    rig_close(&r);
}

/* ---- all of them ---- */

/* Memory that is lent or granted is that of the store at the bottom. */
static void lends_and_grants_pass(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, "stats+delay(time=1us)+ratelimit(iops=1000000)+error(rate=0)+stats(name=s)+ram:8M",
             LOOP_ENGINE_AUTO);
    for (uint64_t len = 4 * K; len <= 4 * M; len *= 2) {
        struct io w = { .bio = { .op = BIO_WRITE, .off = len, .len = len } };
        assert_int_equal(store_write_grant(r.ch, &w.bio), 0);
        void *p = w.bio.iov->iov_base;
        memset(p, 0x5a, w.bio.iov->iov_len);
        assert_int_equal(rig_do(&r, &w), 0);
        struct io io = { .bio = { .op = BIO_READ, .flags = BIO_F_LEND, .off = len, .len = len } };
        assert_int_equal(rig_do(&r, &io), 0);
        assert_ptr_equal(io.bio.iov->iov_base, p);
        assert_int_equal(*(uint8_t *)p, 0x5a);
        store_lend_end(r.ch, &io.bio);
        assert_int_equal(store_write_grant(r.ch, &w.bio), 0);
        store_write_revoke(r.ch, &w.bio);
    }
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_delay),
        cmocka_unit_test(delay_by_op),
        cmocka_unit_test(uniform_jitter),
        cmocka_unit_test(exponential_jitter),
        cmocka_unit_test(delay_without_timer),
        cmocka_unit_test(requests_a_second),
        cmocka_unit_test(bursts),
        cmocka_unit_test(bytes_a_second),
        cmocka_unit_test(both_limits),
        cmocka_unit_test(shared_limit),
        cmocka_unit_test(ratelimit_without_timer),
        cmocka_unit_test(error_counts),
        cmocka_unit_test(error_range),
        cmocka_unit_test(error_rate),
        cmocka_unit_test(error_before_and_after),
        cmocka_unit_test(error_names),
        cmocka_unit_test(counted),
        cmocka_unit_test(odd_lines),
        cmocka_unit_test(lends_and_grants_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
