/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pieces of a store that are handed out: whole, once, in order, and holes by what is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tools/cursor.h"

static void next_is(struct cursor *c, enum cursor_kind kind, uint64_t off, uint64_t len)
{
    struct cursor_piece p;
    assert_true(cursor_take(c, &p));
    assert_int_equal(p.kind, kind);
    assert_int_equal(p.off, off);
    assert_int_equal(p.len, len);
}

static void ends(struct cursor *c)
{
    struct cursor_piece p;
    assert_false(cursor_take(c, &p));
    cursor_fini(c);
}

static void chunks(void **state)
{
    (void)state;
    struct cursor c;
    cursor_init(&c, 2500, 100, 1000, 5000);
    next_is(&c, CURSOR_UNKNOWN, 0, 1000);
    next_is(&c, CURSOR_DATA, 1000, 1000); /* one asks, the others read */
    next_is(&c, CURSOR_DATA, 2000, 500);
    ends(&c);
    cursor_init(&c, 0, 100, 1000, 5000);
    ends(&c);
}

static void runs(void **state)
{
    (void)state;
    struct cursor c;
    cursor_init(&c, 100000, 100, 1000, 5000);
    next_is(&c, CURSOR_UNKNOWN, 0, 1000);
    cursor_learn(&c, 0, 12000, false); /* a hole that is longer than what may be taken at once */
    next_is(&c, CURSOR_HOLE, 1000, 5000);
    next_is(&c, CURSOR_HOLE, 6000, 5000);
    cursor_learn(&c, 3000, 200, true); /* what lies behind is of no interest */
    next_is(&c, CURSOR_HOLE, 11000, 1000);
    next_is(&c, CURSOR_UNKNOWN, 12000, 1000);
    cursor_learn(&c, 12000, 2500, true);
    next_is(&c, CURSOR_DATA, 13000, 1000);
    next_is(&c, CURSOR_DATA, 14000, 500);    /* to the end of what is known, */
    next_is(&c, CURSOR_UNKNOWN, 14500, 500); /* then to that of the chunk */
    next_is(&c, CURSOR_DATA, 15000, 1000);
    cursor_learn(&c, 14500, 1ull << 40, false);
    for (uint64_t at = 16000; at < 96000; at += 5000)
        next_is(&c, CURSOR_HOLE, at, 5000);
    next_is(&c, CURSOR_HOLE, 96000, 4000);
    ends(&c);
}

/* Runs that end within a unit: what is in part data is data. */
static void units(void **state)
{
    (void)state;
    struct cursor c;
    cursor_init(&c, 10000, 100, 1000, 5000);
    next_is(&c, CURSOR_UNKNOWN, 0, 1000);
    cursor_learn(&c, 0, 1250, false);
    next_is(&c, CURSOR_HOLE, 1000, 200);
    next_is(&c, CURSOR_UNKNOWN, 1200, 800);
    cursor_learn(&c, 1200, 850, true);
    next_is(&c, CURSOR_DATA, 2000, 100);
    next_is(&c, CURSOR_UNKNOWN, 2100, 900);
    cursor_learn(&c, 2100, 99, false); /* none at all */
    next_is(&c, CURSOR_UNKNOWN, 3000, 1000);
    cursor_fini(&c);
}

static void cut(void **state)
{
    (void)state;
    struct cursor c;
    cursor_init(&c, 10000, 100, 1000, 5000);
    next_is(&c, CURSOR_UNKNOWN, 0, 1000);
    cursor_cut(&c, 1500);
    cursor_cut(&c, 4000);
    next_is(&c, CURSOR_DATA, 1000, 500);
    ends(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks),
        cmocka_unit_test(runs),
        cmocka_unit_test(units),
        cmocka_unit_test(cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
