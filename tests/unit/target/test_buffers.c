/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka_all.h"

#include "target/buffers.h"

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
        void *p = tgt_buffers_get(&b, rows[i].ask, &cap);
        assert_non_null(p);
        assert_int_equal(cap, rows[i].cap);
        assert_int_equal((uintptr_t)p % 4096, 0);
        assert_int_equal(b.used_bytes, rows[i].cap);
        memset(p, 0xa5, cap);
        tgt_buffers_put(&b, p, cap);
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
    assert_null(tgt_buffers_get(&b, 16 * MIB + 1, &cap));
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
    p[0] = tgt_buffers_get(&b, 16 * KIB, &cap[0]);
    p[1] = tgt_buffers_get(&b, 16 * KIB, &cap[1]);
    assert_non_null(p[0]);
    assert_non_null(p[1]);
    assert_null(tgt_buffers_get(&b, 16 * KIB, &cap[2]));
    p[2] = tgt_buffers_get(&b, 8 * KIB, &cap[2]);
    assert_non_null(p[2]);
    assert_int_equal(m.taken_bytes, 40 * KIB);
    assert_null(tgt_buffers_get(&b, 1, &cap[3]));
    for (int i = 0; i < 3; i++)
        tgt_buffers_put(&b, p[i], cap[i]);
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
    void *p = tgt_buffers_get(&b, 4096, &cap);
    tgt_buffers_put(&b, p, cap);
    assert_int_equal(b.cached_bytes, 4096);
    assert_int_equal(m.taken_bytes, 4096);
    assert_ptr_equal(tgt_buffers_get(&b, 100, &cap), p);
    assert_int_equal(b.cached_bytes, 0);
    tgt_buffers_put(&b, p, cap);
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
        assert_non_null(p[i] = tgt_buffers_get(&b, 4096, &cap[i]));
    for (int i = 0; i < 16; i++)
        tgt_buffers_put(&b, p[i], cap[i]);
    assert_int_equal(b.cached_bytes, 64 * KIB);
    void *big = tgt_buffers_get(&b, 32 * KIB, &cap[0]);
    assert_non_null(big);
    assert_true(m.taken_bytes <= 64 * KIB);
    tgt_buffers_put(&b, big, cap[0]);
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
        assert_non_null(p[i] = tgt_buffers_get(&b, 4096, &cap[i]));
    for (int i = 0; i < 4; i++)
        tgt_buffers_put(&b, p[i], cap[i]);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_round_up),      cmocka_unit_test(larger_than_the_largest_class),
        cmocka_unit_test(limit_is_hard),         cmocka_unit_test(kept_buffers_are_used_again),
        cmocka_unit_test(kept_buffers_give_way), cmocka_unit_test(keeps_no_more_than_allowed),
        cmocka_unit_test(memory_counts_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
