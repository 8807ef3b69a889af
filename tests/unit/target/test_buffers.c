/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka_all.h"

#include "target/buffers.h"
#include "target/core_alloc.h"

#include <string.h>

enum { KIB = 1024, MIB = 1024 * 1024 };

static void classes_round_up(void **state)
{
    (void)state;
    static const struct {
        size_t ask, cap;
    } rows[] = {
        { 0, 4 * KIB },         { 1, 4 * KIB },       { 4096, 4 * KIB },
        { 4097, 8 * KIB },      { 8192, 8 * KIB },    { 65536, 64 * KIB },
        { 65537, 128 * KIB },   { 1 * MIB, 1 * MIB }, { 1 * MIB + 1, 2 * MIB },
        { 16 * MIB, 16 * MIB },
    };
    struct tgt_memory m = { .max_bytes = 64 * MIB };
    struct tgt_buffers b;
    tgt_buffers_init(&b, &m, 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t cap = 0;
        void *p = tgt_buffers_get(&b, NULL, rows[i].ask, &cap);
        assert_non_null(p);
        assert_int_equal(cap, rows[i].cap);
        assert_int_equal((uintptr_t)p % 4096, 0);
        assert_int_equal(b.used_bytes, rows[i].cap);
        memset(p, 0xa5, cap);
        tgt_buffers_put(&b, NULL, p, cap);
        /* Nothing is kept, so all is given back. */
        assert_int_equal(m.taken_bytes, 0);
    }
    tgt_buffers_fini(&b);
}

static void larger_than_the_largest_class(void **state)
{
    (void)state;
    struct tgt_memory m = { .max_bytes = 1024ull * MIB };
    struct tgt_buffers b;
    size_t cap = 77;
    tgt_buffers_init(&b, &m, 0);
    assert_null(tgt_buffers_get(&b, NULL, 16 * MIB + 1, &cap));
    assert_int_equal(cap, 77);
    assert_int_equal(m.taken_bytes, 0);
    tgt_buffers_fini(&b);
}

static void limit_is_hard(void **state)
{
    (void)state;
    struct tgt_memory m = { .max_bytes = 40 * KIB };
    struct tgt_buffers b;
    void *p[4];
    size_t cap[4];
    tgt_buffers_init(&b, &m, 40 * KIB);
    p[0] = tgt_buffers_get(&b, NULL, 16 * KIB, &cap[0]);
    p[1] = tgt_buffers_get(&b, NULL, 16 * KIB, &cap[1]);
    assert_non_null(p[0]);
    assert_non_null(p[1]);
    assert_null(tgt_buffers_get(&b, NULL, 16 * KIB, &cap[2]));
    p[2] = tgt_buffers_get(&b, NULL, 8 * KIB, &cap[2]);
    assert_non_null(p[2]);
    assert_int_equal(m.taken_bytes, 40 * KIB);
    assert_null(tgt_buffers_get(&b, NULL, 1, &cap[3]));
    for (int i = 0; i < 3; i++)
        tgt_buffers_put(&b, NULL, p[i], cap[i]);
    tgt_buffers_fini(&b);
    assert_int_equal(m.taken_bytes, 0);
}

static void kept_buffers_are_used_again(void **state)
{
    (void)state;
    struct tgt_memory m = { .max_bytes = 1 * MIB };
    struct tgt_buffers b;
    size_t cap;
    tgt_buffers_init(&b, &m, 64 * KIB);
    void *p = tgt_buffers_get(&b, NULL, 4096, &cap);
    tgt_buffers_put(&b, NULL, p, cap);
    assert_int_equal(b.cached_bytes, 4096);
    assert_int_equal(m.taken_bytes, 4096);
    assert_ptr_equal(tgt_buffers_get(&b, NULL, 100, &cap), p);
    assert_int_equal(b.cached_bytes, 0);
    tgt_buffers_put(&b, NULL, p, cap);
    tgt_buffers_fini(&b);
    assert_int_equal(m.taken_bytes, 0);
}

/* Memory that is kept for another size must not stand in the way. */
static void kept_buffers_give_way(void **state)
{
    (void)state;
    struct tgt_memory m = { .max_bytes = 64 * KIB };
    struct tgt_buffers b;
    void *p[16];
    size_t cap[16];
    tgt_buffers_init(&b, &m, 64 * KIB);
    for (int i = 0; i < 16; i++)
        assert_non_null(p[i] = tgt_buffers_get(&b, NULL, 4096, &cap[i]));
    for (int i = 0; i < 16; i++)
        tgt_buffers_put(&b, NULL, p[i], cap[i]);
    assert_int_equal(b.cached_bytes, 64 * KIB);
    void *big = tgt_buffers_get(&b, NULL, 32 * KIB, &cap[0]);
    assert_non_null(big);
    assert_true(m.taken_bytes <= 64 * KIB);
    tgt_buffers_put(&b, NULL, big, cap[0]);
    tgt_buffers_fini(&b);
    assert_int_equal(m.taken_bytes, 0);
}

static void keeps_no_more_than_allowed(void **state)
{
    (void)state;
    struct tgt_memory m = { .max_bytes = 1 * MIB };
    struct tgt_buffers b;
    void *p[4];
    size_t cap[4];
    tgt_buffers_init(&b, &m, 8 * KIB);
    for (int i = 0; i < 4; i++)
        assert_non_null(p[i] = tgt_buffers_get(&b, NULL, 4096, &cap[i]));
    for (int i = 0; i < 4; i++)
        tgt_buffers_put(&b, NULL, p[i], cap[i]);
    assert_int_equal(b.cached_bytes, 8 * KIB);
    assert_int_equal(m.taken_bytes, 8 * KIB);
    tgt_buffers_fini(&b);
}

static void memory_counts_exactly(void **state)
{
    (void)state;
    struct tgt_memory m = { .max_bytes = 100 };
    assert_true(tgt_memory_take(&m, 60));
    assert_false(tgt_memory_take(&m, 41));
    assert_true(tgt_memory_take(&m, 40));
    assert_false(tgt_memory_take(&m, UINT64_MAX));
    tgt_memory_give(&m, 100);
    assert_false(tgt_memory_take(&m, 101));
    assert_int_equal(m.taken_bytes, 0);
}

/* ---- shares ---- */

/* Twice what is free: alone, two thirds; then each one that comes finds less, but never nothing. */
static void one_account_never_has_all(void **state)
{
    (void)state;
    struct tgt_memory m = { .max_bytes = 48 * MIB };
    struct tgt_buffers b;
    struct tgt_account a[3] = { { 0 } };
    void *p[3][48];
    size_t cap, count[3] = { 0 };
    tgt_buffers_init(&b, &m, 0);
    for (int i = 0; i < 3; i++) {
        while ((p[i][count[i]] = tgt_buffers_get(&b, &a[i], MIB, &cap)))
            count[i]++;
        assert_int_equal(a[i].held_bytes, count[i] * MIB);
    }
    assert_int_equal(count[0], 32); /* 32 <= 2 * 16 */
    assert_int_equal(count[1], 10); /* 10 <= 2 * 6, and 11 > 2 * 5 */
    assert_int_equal(count[2], 4);  /* 4 <= 2 * 2, and 5 > 2 * 1 */
    assert_int_equal(m.taken_bytes, 46 * MIB);
    for (int i = 0; i < 3; i++) {
        while (count[i])
            tgt_buffers_put(&b, &a[i], p[i][--count[i]], MIB);
        assert_int_equal(a[i].held_bytes, 0);
    }
    tgt_buffers_fini(&b);
}

static void half_is_everybody_s(void **state)
{
    (void)state;
    struct tgt_memory m = { .max_bytes = 64 * MIB };
    struct tgt_buffers b;
    struct tgt_account a = { 0 };
    tgt_buffers_init(&b, &m, 64 * MIB);
    assert_true(tgt_buffers_charge(&b, &a, 16 * MIB));
    assert_true(tgt_buffers_charge(&b, &a, 16 * MIB));
    assert_int_equal(a.held_bytes, 32 * MIB);
    assert_false(tgt_buffers_charge(&b, &a, 16 * MIB)); /* 48 > 2 * 16 */
    /* What is kept for reuse is free. */
    tgt_buffers_uncharge(&b, &a, 32 * MIB);
    assert_int_equal(b.cached_bytes, TGT_BUFFERS_CREDIT_MAX);
    assert_int_equal(m.taken_bytes, TGT_BUFFERS_CREDIT_MAX);
    assert_true(tgt_buffers_charge(&b, &a, 16 * MIB));
    assert_true(tgt_buffers_charge(&b, &a, 16 * MIB));
    tgt_buffers_uncharge(&b, &a, 32 * MIB);
    tgt_buffers_fini(&b);
}

/* One command of any length gets through as long as there is memory at all. */
static void first_of_an_account_knows_the_limit_only(void **state)
{
    (void)state;
    struct tgt_memory m = { .max_bytes = 16 * MIB };
    struct tgt_buffers b;
    struct tgt_account a = { 0 };
    size_t cap;
    tgt_buffers_init(&b, &m, 0);
    void *p = tgt_buffers_get(&b, &a, 16 * MIB, &cap);
    assert_non_null(p);
    assert_null(tgt_buffers_get(&b, &a, 1, &cap));
    tgt_buffers_put(&b, &a, p, cap);
    tgt_buffers_fini(&b);
}

/* ---- counted bytes ---- */

static void charges_are_taken_in_pieces(void **state)
{
    (void)state;
    struct tgt_memory m = { .max_bytes = 64 * MIB };
    struct tgt_buffers b;
    tgt_buffers_init(&b, &m, 1 * MIB);
    assert_true(tgt_buffers_charge(&b, NULL, 1000));
    assert_int_equal(m.taken_bytes, 1000 + TGT_BUFFERS_PIECE);
    assert_int_equal(b.used_bytes, 1000);
    assert_int_equal(b.cached_bytes, TGT_BUFFERS_PIECE);
    assert_true(tgt_buffers_charge(&b, NULL, TGT_BUFFERS_PIECE));
    assert_int_equal(m.taken_bytes, 1000 + TGT_BUFFERS_PIECE); /* of what was there */
    tgt_buffers_uncharge(&b, NULL, 1000 + TGT_BUFFERS_PIECE);
    assert_int_equal(b.used_bytes, 0);
    assert_int_equal(m.taken_bytes, 1000 + TGT_BUFFERS_PIECE);
    /* Far too much at once: most of it goes back. */
    assert_true(tgt_buffers_charge(&b, NULL, 32 * MIB));
    tgt_buffers_uncharge(&b, NULL, 32 * MIB);
    assert_int_equal(m.taken_bytes, 1 * MIB);
    tgt_buffers_fini(&b);
    assert_int_equal(m.taken_bytes, 0);
    /* However much may be kept, there are no buffers behind it. */
    tgt_buffers_init(&b, &m, 64 * MIB);
    assert_true(tgt_buffers_charge(&b, NULL, 32 * MIB));
    tgt_buffers_uncharge(&b, NULL, 32 * MIB);
    assert_int_equal(m.taken_bytes, TGT_BUFFERS_CREDIT_MAX);
    tgt_buffers_fini(&b);
    assert_int_equal(m.taken_bytes, 0);
}

static void charges_and_buffers_share_the_limit(void **state)
{
    (void)state;
    struct tgt_memory m = { .max_bytes = 1 * MIB };
    struct tgt_buffers b;
    size_t cap;
    tgt_buffers_init(&b, &m, 1 * MIB);
    assert_true(tgt_buffers_charge(&b, NULL, 512 * KIB + 1));
    assert_null(tgt_buffers_get(&b, NULL, 512 * KIB, &cap));
    void *p = tgt_buffers_get(&b, NULL, 256 * KIB, &cap); /* out of the credit */
    assert_non_null(p);
    assert_false(tgt_buffers_charge(&b, NULL, 256 * KIB));
    tgt_buffers_put(&b, NULL, p, cap);
    assert_true(tgt_buffers_charge(&b, NULL, 256 * KIB)); /* the kept buffer gives way */
    assert_false(tgt_buffers_charge(&b, NULL, UINT64_MAX));
    tgt_buffers_uncharge(&b, NULL, 768 * KIB + 1);
    tgt_buffers_fini(&b);
    assert_int_equal(m.taken_bytes, 0);
}

static void core_s_memory_is_counted(void **state)
{
    (void)state;
    struct tgt_memory m = { .max_bytes = 1 * MIB };
    struct tgt_buffers b;
    struct tgt_account a = { 0 };
    struct tgt_core_alloc ca;
    tgt_buffers_init(&b, &m, 0);
    tgt_core_alloc_init(&ca, &b, &a);
    void *small = alloc_get(&ca.alloc, 1000);
    assert_non_null(small);
    assert_in_range(b.used_bytes, 1000, 1100);
    assert_int_equal(a.held_bytes, 0); /* no payload */
    void *large = alloc_get(&ca.alloc, 600 * KIB);
    assert_non_null(large);
    assert_in_range(a.held_bytes, 600 * KIB, 610 * KIB);
    assert_null(alloc_get(&ca.alloc, 200 * KIB)); /* more than its share */
    assert_null(alloc_get(&ca.alloc, 1 * MIB));   /* more than there is */
    void *more = alloc_get(&ca.alloc, 1000);      /* that needs no share */
    assert_non_null(more);
    alloc_put(&ca.alloc, more);
    alloc_put(&ca.alloc, large);
    alloc_put(&ca.alloc, small);
    alloc_put(&ca.alloc, NULL);
    assert_int_equal(a.held_bytes, 0);
    assert_int_equal(m.taken_bytes, 0);
    tgt_buffers_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_round_up),
        cmocka_unit_test(larger_than_the_largest_class),
        cmocka_unit_test(limit_is_hard),
        cmocka_unit_test(kept_buffers_are_used_again),
        cmocka_unit_test(kept_buffers_give_way),
        cmocka_unit_test(keeps_no_more_than_allowed),
        cmocka_unit_test(memory_counts_exactly),
        cmocka_unit_test(one_account_never_has_all),
        cmocka_unit_test(half_is_everybody_s),
        cmocka_unit_test(first_of_an_account_knows_the_limit_only),
        cmocka_unit_test(charges_are_taken_in_pieces),
        cmocka_unit_test(charges_and_buffers_share_the_limit),
        cmocka_unit_test(core_s_memory_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
