/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What front ends stand on: who waits for memory gets it in turn; transfers in parts. */
#include "front/xfer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { KIB = 1024, MIB = 1 << 20 };

struct waiter {
    struct front_waiter w;
    unsigned *turn; /* counts */
    unsigned got_at;
    void *buf;
    size_t cap;
    struct loop *stop; /* when it has got its memory */
};

struct transfer {
    struct front_xfer x;
    int err;
    uint64_t err_off;
    unsigned times;
};

static struct {
    struct front_config cfg;
    struct payload_limit limit;
    struct store *store;
    struct front f, other;
    uint8_t out[MIB], in[MIB];
} t;

static void silent(enum front_level level, const char *event, const char *details)
{
    (void)level;
    (void)event;
    (void)details;
}

static void open_front(struct front *f, unsigned index)
{
    const struct loop_config lc = { .poll = LOOP_POLL_NEVER, .cpu = -1 };
    struct err_text e = { "" };
    assert_int_equal(front_open(f, &t.cfg, t.store, &lc, &t.limit, index, 2, &e), 0);
}

static void begin(const char *spec)
{
    struct err_text e = { "" };
    memset(&t, 0, sizeof(t));
    t.cfg.report = silent;
    t.limit.max_bytes = 2 * MIB;
    for (size_t i = 0; i < sizeof(t.out); i++)
        t.out[i] = (uint8_t)(i * 7 + i / 511);
    assert_int_equal(store_open_spec(spec, false, &t.store, &e), 0);
    open_front(&t.f, 0);
    open_front(&t.other, 1);
}

static void end(void)
{
    front_close(&t.f);
    front_close(&t.other);
    store_close(t.store);
    assert_int_equal(t.limit.taken_bytes, 0);
}

static void got(struct front_waiter *w, void *buf, size_t cap)
{
    struct waiter *a = list_entry(w, struct waiter, w);
    a->buf = buf;
    a->cap = cap;
    a->got_at = ++*a->turn;
    if (a->stop)
        loop_stop(a->stop);
}

static void in_turn(void **state)
{
    (void)state;
    unsigned turn = 0;
    struct waiter large = { .w.got = got, .turn = &turn }, small = large, none = large;
    size_t cap[2];
    begin("ram:4M");
    void *held[2] = { front_try(&t.f, MIB, &cap[0]), front_try(&t.f, MIB, &cap[1]) };
    assert_non_null(held[0]);
    assert_non_null(held[1]);
    assert_null(front_get(&t.f, &large.w, 2 * MIB, &large.cap));
    assert_null(front_get(&t.f, &none.w, 4096, &none.cap));
    assert_null(front_get(&t.f, &small.w, 4096, &small.cap));
    front_forget(&none.w);
    front_forget(&none.w);
    /* there would be room for the small one, but it came later */
    front_put(&t.f, held[0], cap[0]);
    assert_null(front_try(&t.f, 4096, &cap[0]));
    front_put(&t.f, held[1], cap[1]);
    large.stop = t.f.loop;
    loop_run(t.f.loop);
    assert_int_equal(large.got_at, 1);
    assert_int_equal(small.got_at, 0);
    front_put(&t.f, large.buf, large.cap);
    small.stop = t.f.loop;
    loop_run(t.f.loop);
    assert_int_equal(small.got_at, 2);
    assert_int_equal(none.got_at, 0);
    front_put(&t.f, small.buf, small.cap);
    front_put(&t.f, NULL, 0);
    end();
}

/* Another reactor gives it back, and tells nobody. */
static void of_another(void **state)
{
    (void)state;
    unsigned turn = 0;
    struct waiter a = { .w.got = got, .turn = &turn };
    size_t cap;
    begin("ram:4M");
    void *held = front_try(&t.other, 2 * MIB, &cap);
    assert_non_null(held);
    assert_null(front_get(&t.f, &a.w, MIB, &a.cap));
    front_put(&t.other, held, cap);
    a.stop = t.f.loop;
    loop_run(t.f.loop);
    assert_int_equal(a.got_at, 1);
    front_put(&t.f, a.buf, a.cap);
    end();
}

static void moved(struct front_xfer *x, int err, uint64_t err_off)
{
    struct transfer *m = list_entry(x, struct transfer, x);
    m->err = err;
    m->err_off = err_off;
    m->times++;
    loop_stop(x->front->loop);
}

static struct transfer move(enum bio_op op, uint64_t off, void *buf, uint64_t len)
{
    struct transfer m = { .x = { .front = &t.f, .done = moved } };
    front_xfer_start(&m.x, op, 0, off, buf, len);
    loop_run(t.f.loop);
    assert_int_equal(m.times, 1);
    return m;
}

static void in_parts(void **state)
{
    (void)state;
    begin("error(op=read,off=1M,len=4K)+stats+ram:4M");
    t.store->info.max_io_bytes = 12 * KIB;
    assert_int_equal(move(BIO_WRITE, 64 * KIB, t.out, MIB).err, 0);
    assert_int_equal(move(BIO_READ, 64 * KIB, t.in, MIB - 64 * KIB).err, 0);
    assert_memory_equal(t.in, t.out, MIB - 64 * KIB);
    struct transfer m = move(BIO_READ, 64 * KIB, t.in, MIB);
    assert_int_equal(m.err, USAN_EIO);
    assert_int_equal(m.err_off, MIB);
    m = move(BIO_READ, 4 * MIB - 4096, t.in, 8192);
    assert_int_equal(m.err, USAN_ERANGE);
    assert_true(m.err_off == UINT64_MAX);
    end();
}

/* One that no store is used of: no channel. */
static void without_a_store(void **state)
{
    (void)state;
    struct front f;
    const struct loop_config lc = { .cpu = -1 };
    struct payload_limit limit = { .max_bytes = MIB };
    struct err_text e = { "" };
    assert_int_equal(front_open(&f, &t.cfg, NULL, &lc, &limit, 0, 1, &e), 0);
    assert_null(f.ch);
    front_close(&f);
    front_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_turn),
        cmocka_unit_test(of_another),
        cmocka_unit_test(in_parts),
        cmocka_unit_test(without_a_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
