/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory for requests: sizes, the limit, what is kept, two pools of one limit. */
#include <setjmp.h>
#include <stdarg.h>

#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "front/payload.h"

#include <string.h>

enum { KIB = 1024, MIB = 1 << 20 };

static void sizes(void **state)
{
    (void)state;
    static const struct {
        size_t bytes, cap;
    } list[] = {
        { 0, 4096 },      { 1, 4096 },          { 4096, 4096 },         { 4097, 8192 },
        { 65536, 65536 }, { MIB + 1, 2 * MIB }, { 17 * MIB, 32 * MIB }, { 32 * MIB, 32 * MIB },
    };
    struct payload_limit limit = { .max_bytes = 64 * MIB };
    struct payload_pool p;
    payload_pool_init(&p, &limit, 0);
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        size_t cap = 0;
        uint8_t *buf = payload_get(&p, list[i].bytes, &cap);
        assert_non_null(buf);
        assert_int_equal(cap, list[i].cap);
        assert_int_equal((uintptr_t)buf % 4096, 0);
        memset(buf, 1, cap);
        assert_int_equal(limit.taken_bytes, cap);
        payload_put(&p, buf, cap);
        assert_int_equal(limit.taken_bytes, 0); /* nothing is to be kept */
    }
    payload_put(&p, NULL, 0);
    payload_pool_fini(&p);
}

static void the_limit(void **state)
{
    (void)state;
    struct payload_limit limit = { .max_bytes = 10 * KIB };
    struct payload_pool a, b;
    size_t cap;
    payload_pool_init(&a, &limit, 0);
    payload_pool_init(&b, &limit, 0);
    void *one = payload_get(&a, 4096, &cap), *two = payload_get(&b, 4096, &cap);
    assert_non_null(one);
    assert_non_null(two);
    assert_null(payload_get(&a, 1, &cap)); /* 2 KiB are left */
    assert_int_equal(limit.taken_bytes, 8192);
    payload_put(&b, two, 4096);
    assert_null(payload_get(&a, 8192, &cap));
    two = payload_get(&a, 4096, &cap); /* what another pool gave back */
    assert_non_null(two);
    payload_put(&a, one, 4096);
    payload_put(&a, two, 4096);
    payload_pool_fini(&a);
    payload_pool_fini(&b);
    assert_int_equal(limit.taken_bytes, 0);
}

static void kept(void **state)
{
    (void)state;
    struct payload_limit limit = { .max_bytes = 64 * KIB };
    struct payload_pool p;
    size_t cap;
    payload_pool_init(&p, &limit, 32 * KIB);
    void *big = payload_get(&p, 32 * KIB, &cap), *small = payload_get(&p, 4 * KIB, &cap);
    payload_put(&p, big, 32 * KIB);
    payload_put(&p, small, 4 * KIB); /* one too many to be kept */
    assert_int_equal(limit.taken_bytes, 32 * KIB);
    assert_ptr_equal(payload_get(&p, 20 * KIB, &cap), big);
    assert_int_equal(limit.taken_bytes, 32 * KIB);
    payload_put(&p, big, 32 * KIB);
    big = payload_get(&p, 64 * KIB, &cap); /* fits only without what is kept */
    assert_non_null(big);
    assert_int_equal(cap, 64 * KIB);
    assert_int_equal(limit.taken_bytes, 64 * KIB);
    payload_put(&p, big, cap);
    payload_pool_fini(&p);
    assert_int_equal(limit.taken_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(the_limit),
        cmocka_unit_test(kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
