/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Blocks that are being written: order, several loops, blocks that stay closed. */
#include "initiator/ranges.h"

#include "io/clock.h"
#include "io/thread.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct loop *loops[2];
static unsigned order; /* how many have been granted */

struct one {
    struct ini_range r;
    unsigned granted; /* the how manyth */
};

static void granted(struct ini_range *r)
{
    list_entry(r, struct one, r)->granted = ++order;
    loop_stop(r->loop);
}

static unsigned over_count;

static void over(struct ini_range *r)
{
    (void)r;
    over_count++;
}

static bool claim(struct ini_ranges *t, struct one *o, unsigned loop, uint64_t off, uint64_t end)
{
    *o = (struct one){
        .r = { .off = off, .end = end, .loop = loops[loop], .granted = granted, .over = over }
    };
    list_init(&o->r.node);
    return ini_ranges_claim(t, &o->r);
}

static void grant_all(struct list *go)
{
    while (!list_empty(go)) {
        struct ini_range *r = list_entry(list_pop_front(go), struct ini_range, node);
        r->granted(r);
    }
}

static void release(struct ini_ranges *t, struct one *o)
{
    struct list go;
    list_init(&go);
    ini_ranges_release(t, &o->r, &go);
    grant_all(&go);
}

static int setup(void **st)
{
    const struct loop_config lc = { .engine = LOOP_ENGINE_EPOLL,
                                    .poll = LOOP_POLL_NEVER,
                                    .cpu = -1 };
    (void)st;
    order = 0;
    return loop_new(&lc, &loops[0], NULL) || loop_new(&lc, &loops[1], NULL);
}

static int teardown(void **st)
{
    (void)st;
    loop_free(loops[0]);
    loop_free(loops[1]);
    return 0;
}

static void in_order(void **st)
{
    (void)st;
    struct ini_ranges *t = ini_ranges_new();
    ini_ranges_join(t);
    struct one a, b, c, d, e;
    assert_non_null(t);
    assert_true(claim(t, &a, 0, 0, 10));
    assert_true(claim(t, &b, 0, 10, 20)); /* beside it */
    assert_false(claim(t, &c, 0, 5, 15));
    assert_false(claim(t, &d, 0, 14, 30)); /* c was first */
    assert_true(claim(t, &e, 0, 30, 40));
    release(t, &a);
    assert_int_equal(order, 0);
    release(t, &b);
    assert_int_equal(c.granted, 1);
    assert_int_equal(d.granted, 0);
    release(t, &c);
    assert_int_equal(d.granted, 2);
    release(t, &d);
    release(t, &e);
    ini_ranges_part(t);
    ini_ranges_free(t);
}

static void withdrawn(void **st)
{
    (void)st;
    struct ini_ranges *t = ini_ranges_new();
    ini_ranges_join(t);
    struct one a, b, c;
    struct list go;
    list_init(&go);
    assert_true(claim(t, &a, 0, 0, 10));
    assert_false(claim(t, &b, 0, 5, 15));
    assert_false(claim(t, &c, 0, 12, 20)); /* waits for b only */
    assert_false(ini_ranges_withdraw(t, &a.r, &go));
    assert_true(ini_ranges_withdraw(t, &b.r, &go));
    grant_all(&go);
    assert_int_equal(c.granted, 1);
    assert_int_equal(b.granted, 0);
    release(t, &a);
    release(t, &c);
    ini_ranges_part(t);
    ini_ranges_free(t);
}

/* More than there was room for at first. */
static void many(void **st)
{
    (void)st;
    enum { COUNT = 500 };
    static struct one v[COUNT];
    struct ini_ranges *t = ini_ranges_new();
    ini_ranges_join(t);
    for (unsigned i = 0; i < COUNT; i++)
        assert_true(claim(t, &v[i], 0, i * 8, i * 8 + 8));
    for (unsigned i = 0; i < COUNT; i++)
        release(t, &v[i]);
    ini_ranges_part(t);
    ini_ranges_free(t);
}

/* One of another loop is granted there. */
static void two_loops(void **st)
{
    (void)st;
    struct ini_ranges *t = ini_ranges_new();
    ini_ranges_join(t);
    struct one a, b, c;
    assert_true(claim(t, &a, 0, 0, 10));
    assert_false(claim(t, &b, 1, 0, 10));
    assert_false(claim(t, &c, 0, 0, 10));
    release(t, &a);
    assert_int_equal(order, 0);
    loop_run(loops[1]);
    assert_int_equal(b.granted, 1);
    release(t, &b);
    loop_run(loops[0]);
    assert_int_equal(c.granted, 2);
    release(t, &c);
    ini_ranges_part(t);
    ini_ranges_free(t);
}

/* ---- one thread, then two ---- */

struct hammer {
    struct ini_ranges *t;
    struct loop *loop;
    struct ini_range r;
    bool has;
    atomic_uint rounds;
};

static unsigned owner; /* of the blocks; plain: they protect it */

static void hammer_granted(struct ini_range *r)
{
    struct hammer *h = list_entry(r, struct hammer, r);
    h->has = true;
    loop_stop(h->loop);
}

static void hammer_on(struct hammer *h, unsigned rounds, unsigned me)
{
    for (unsigned i = 0; i < rounds; i++) {
        struct list go;
        list_init(&go);
        h->r = (struct ini_range){
            .off = i % 8 * 512, .end = 8192, .loop = h->loop, .granted = hammer_granted
        };
        list_init(&h->r.node);
        h->has = ini_ranges_claim(h->t, &h->r);
        while (!h->has)
            loop_run(h->loop);
        owner = me;
        atomic_fetch_add(&h->rounds, 1);
        assert_int_equal(owner, me);
        ini_ranges_release(h->t, &h->r, &go);
        assert_true(list_empty(&go));
    }
}

static void hammer_thread(void *arg)
{
    hammer_on(arg, 20000, 1);
}

/* Another user comes while the first one, which takes no lock, is at work. */
static void becomes_shared(void **st)
{
    (void)st;
    struct ini_ranges *t = ini_ranges_new();
    struct hammer a = { .t = t, .loop = loops[0] }, b = { .t = t, .loop = loops[1] };
    struct thread thread = { .started = false };
    ini_ranges_join(t);
    assert_int_equal(thread_start(&thread, "hammer", hammer_thread, &a, NULL), 0);
    while (atomic_load(&a.rounds) < 100)
        (void)sched_yield();
    ini_ranges_join(t);
    hammer_on(&b, 2000, 2);
    ini_ranges_part(t);
    thread_join(&thread);
    assert_int_equal(atomic_load(&a.rounds), 20000);
    ini_ranges_part(t);
    ini_ranges_free(t);
}

/* ---- many ---- */

/* Against a list of all of them: who overlaps whom, from one byte to all of the disk. */
static void like_a_list(void **st)
{
    (void)st;
    enum { COUNT = 300, ROUNDS = 20000 };
    static struct one v[COUNT];
    static bool in[COUNT], has[COUNT];
    static unsigned since[COUNT];
    struct ini_ranges *t = ini_ranges_new();
    ini_ranges_join(t);
    uint64_t state = 1;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
        unsigned i = (unsigned)(state >> 33) % COUNT;
        if (!in[i]) {
            uint64_t off = (state >> 20) % (1u << 30) * 512;
            uint64_t len = UINT64_C(512) << (state >> 60) * 2 % 28;
            if (len > UINT64_C(16) << 20 && (state >> 13) % 8) /* seldom all */
                len = 4096;
            if (state >> 41 & 1) { /* short ones are to meet as well */
                off %= UINT64_C(32) << 20;
                len = UINT64_C(512) << (state >> 60) % 9;
            }
            bool clash = false;
            for (unsigned k = 0; k < COUNT; k++)
                clash |= in[k] && v[k].r.off < off + len && off < v[k].r.end;
            has[i] = claim(t, &v[i], 0, off, off + len);
            assert_int_equal(has[i], !clash);
            in[i] = true;
            since[i] = round;
            continue;
        }
        if (!has[i] && v[i].granted)
            has[i] = true;
        if (has[i]) {
            release(t, &v[i]);
        } else {
            struct list go;
            list_init(&go);
            assert_true(ini_ranges_withdraw(t, &v[i].r, &go));
            grant_all(&go);
        }
        in[i] = false;
        for (unsigned k = 0; k < COUNT; k++) {
            bool clash = false;
            has[k] = has[k] || (in[k] && v[k].granted);
            for (unsigned m = 0; in[k] && m < COUNT; m++)
                clash |= in[m] && since[m] < since[k] && v[m].r.off < v[k].r.end &&
                         v[k].r.off < v[m].r.end;
            if (in[k])
                assert_int_equal(has[k], !clash);
            else
                has[k] = false;
        }
    }
    for (unsigned k = 0; k < COUNT; k++) {
        has[k] = has[k] || (in[k] && v[k].granted);
        if (in[k] && !has[k]) {
            struct list go;
            list_init(&go);
            assert_true(ini_ranges_withdraw(t, &v[k].r, &go));
            grant_all(&go);
            in[k] = false;
        }
    }
    for (unsigned k = 0; k < COUNT; k++) {
        if (in[k])
            release(t, &v[k]);
    }
    ini_ranges_part(t);
    ini_ranges_free(t);
}

/* ---- without an owner ---- */

/* Blocks whose owner is gone stay closed for a while. */
static void orphans(void **st)
{
    (void)st;
    struct ini_ranges *t = ini_ranges_new();
    ini_ranges_join(t);
    struct one a, b, c;
    struct list go;
    list_init(&go);
    assert_true(claim(t, &a, 0, 0, 10));
    assert_false(ini_ranges_orphans(t));
    ini_ranges_bequeath(t, &a.r, loop_now(loops[0]) + NS_PER_SEC);
    assert_true(ini_ranges_orphans(t));
    assert_false(claim(t, &b, 0, 0, 10));
    assert_true(claim(t, &c, 0, 20, 30));
    release(t, &c);
    ini_ranges_poll(t, loops[0], &go);
    assert_true(list_empty(&go));
    ini_ranges_free(NULL);
    assert_true(ini_ranges_withdraw(t, &b.r, &go));
    assert_true(list_empty(&go));
    assert_int_equal(over_count, 0);
    ini_ranges_part(t);
    ini_ranges_free(t);
    assert_int_equal(over_count, 1); /* it is the table's */

    t = ini_ranges_new();
    ini_ranges_join(t);
    assert_true(claim(t, &a, 0, 0, 10));
    ini_ranges_bequeath(t, &a.r, loop_now(loops[0])); /* its time is over */
    assert_true(claim(t, &b, 0, 0, 10));
    assert_false(ini_ranges_orphans(t));
    assert_int_equal(over_count, 2);
    assert_false(claim(t, &c, 0, 5, 15));
    ini_ranges_bequeath(t, &b.r, loop_now(loops[0])); /* what waits is granted by a look */
    ini_ranges_poll(t, loops[0], &go);
    grant_all(&go);
    assert_true(c.granted);
    assert_int_equal(over_count, 3);
    release(t, &c);
    ini_ranges_part(t);
    ini_ranges_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(withdrawn, setup, teardown),
        cmocka_unit_test_setup_teardown(many, setup, teardown),
        cmocka_unit_test_setup_teardown(two_loops, setup, teardown),
        cmocka_unit_test_setup_teardown(becomes_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(like_a_list, setup, teardown),
        cmocka_unit_test_setup_teardown(orphans, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
