/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Blocks that are being written: order, several loops, blocks that stay closed. */
#include "initiator/ranges.h"

#include "io/clock.h"

#include <setjmp.h>
#include <stdarg.h>
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

static bool claim(struct ini_ranges *t, struct one *o, unsigned loop, uint64_t off, uint64_t end)
{
    *o = (struct one){ .r = { .off = off, .end = end, .loop = loops[loop], .granted = granted } };
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
    struct ini_ranges *t = ini_ranges_new(false);
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
    ini_ranges_free(t);
}

static void withdrawn(void **st)
{
    (void)st;
    struct ini_ranges *t = ini_ranges_new(false);
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
    ini_ranges_free(t);
}

/* More than there was room for at first. */
static void many(void **st)
{
    (void)st;
    enum { COUNT = 500 };
    static struct one v[COUNT];
    struct ini_ranges *t = ini_ranges_new(false);
    for (unsigned i = 0; i < COUNT; i++)
        assert_true(claim(t, &v[i], 0, i * 8, i * 8 + 8));
    for (unsigned i = 0; i < COUNT; i++)
        release(t, &v[i]);
    ini_ranges_free(t);
}

/* One of another loop is granted there. */
static void two_loops(void **st)
{
    (void)st;
    struct ini_ranges *t = ini_ranges_new(true);
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
    ini_ranges_free(t);
}

/* A table becomes a shared one only while nobody has asked it for anything. */
static void becomes_shared(void **st)
{
    (void)st;
    struct ini_ranges *t = ini_ranges_new(false);
    struct one a, b;
    assert_true(claim(t, &a, 0, 0, 10));
    assert_false(ini_ranges_share(t));
    release(t, &a);
    assert_false(ini_ranges_share(t));
    ini_ranges_renew(t);
    assert_true(ini_ranges_share(t));
    assert_true(ini_ranges_share(t));
    assert_true(claim(t, &a, 0, 0, 10));
    assert_false(claim(t, &b, 1, 0, 10));
    release(t, &a);
    loop_run(loops[1]);
    assert_int_equal(b.granted, 1);
    release(t, &b);
    ini_ranges_free(t);
}

/* Blocks whose owner is gone stay closed for a while. */
static void orphans(void **st)
{
    (void)st;
    struct ini_ranges *t = ini_ranges_new(true);
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
    ini_ranges_free(t);

    t = ini_ranges_new(true);
    assert_true(claim(t, &a, 0, 0, 10));
    ini_ranges_bequeath(t, &a.r, loop_now(loops[0])); /* its time is over */
    assert_true(claim(t, &b, 0, 0, 10));
    assert_false(ini_ranges_orphans(t));
    release(t, &b);
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
        cmocka_unit_test_setup_teardown(orphans, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
