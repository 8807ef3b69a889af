/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which path a command takes; what targets say of their port groups; the list of paths. */
#include "initiator/alua.h"
#include "initiator/mpath_pick.h"
#include "initiator/mpath_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define IQN "iqn.2025-01.io.usan:disk"

static void round_robin(void **st)
{
    (void)st;
    struct ini_pick v[3] = { { .usable = true }, { .usable = true }, { .usable = true } };
    unsigned turn = 0, taken[3] = { 0 };
    for (unsigned i = 0; i < 9; i++)
        taken[ini_pick(INI_POLICY_ROUND_ROBIN, v, 3, 1, -1, &turn)]++;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(taken[i], 3);
    v[1].usable = false;
    for (unsigned i = 0; i < 8; i++)
        taken[ini_pick(INI_POLICY_ROUND_ROBIN, v, 3, 1, -1, &turn)]++;
    assert_int_equal(taken[1], 3);
    assert_int_equal(taken[0], 7);
    v[2].rank = 1; /* only if there is no better one */
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(ini_pick(INI_POLICY_ROUND_ROBIN, v, 3, 1, -1, &turn), 0);
    assert_int_equal(ini_pick(INI_POLICY_ROUND_ROBIN, v, 3, 1, 0, &turn), 2); /* not that one */
    v[2].usable = false;
    assert_int_equal(ini_pick(INI_POLICY_ROUND_ROBIN, v, 3, 1, 0, &turn), 0); /* if there is one */
    v[0].usable = false;
    assert_int_equal(ini_pick(INI_POLICY_ROUND_ROBIN, v, 3, 1, -1, &turn), -1);
}

static void least_outstanding(void **st)
{
    (void)st;
    struct ini_pick v[3] = { { .usable = true, .outstanding = 5 },
                             { .usable = true, .outstanding = 3 },
                             { .usable = true, .outstanding = 4 } };
    unsigned turn = 0;
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(ini_pick(INI_POLICY_LEAST_OUTSTANDING, v, 3, 1, -1, &turn), 1);
    v[1].rank = 1;
    assert_int_equal(ini_pick(INI_POLICY_LEAST_OUTSTANDING, v, 3, 1, -1, &turn), 2);
    v[0].outstanding = v[2].outstanding = 0; /* those that are equal take turns */
    unsigned taken[3] = { 0 };
    for (unsigned i = 0; i < 10; i++)
        taken[ini_pick(INI_POLICY_LEAST_OUTSTANDING, v, 3, 1, -1, &turn)]++;
    assert_int_equal(taken[0], 5);
    assert_int_equal(taken[2], 5);
}

/* One path is three times as fast: it gets the command unless it has three times as much to do. */
static void service_time(void **st)
{
    (void)st;
    uint64_t one = ini_pick_work(4096);
    struct ini_pick v[2] = { { .usable = true, .pace = 3000 }, { .usable = true, .pace = 1000 } };
    unsigned turn = 10;
    assert_int_equal(ini_pick(INI_POLICY_SERVICE_TIME, v, 2, one, -1, &turn), 1);
    v[1].work = one;
    assert_int_equal(ini_pick(INI_POLICY_SERVICE_TIME, v, 2, one, -1, &turn), 1);
    v[1].work = 3 * one;
    assert_int_equal(ini_pick(INI_POLICY_SERVICE_TIME, v, 2, one, -1, &turn), 0);
    v[1].work = 0;
    unsigned slow = 0; /* now and then the slow one is tried */
    for (unsigned i = 0; i < 640; i++)
        slow += ini_pick(INI_POLICY_SERVICE_TIME, v, 2, one, -1, &turn) == 0;
    assert_int_equal(slow, 10);
}

static void policies(void **st)
{
    (void)st;
    static const char *const names[] = { "round-robin", "least-outstanding", "service-time" };
    enum ini_policy p;
    for (unsigned i = 0; i < 3; i++) {
        assert_true(ini_policy_parse(names[i], &p));
        assert_string_equal(ini_policy_name(p), names[i]);
    }
    assert_false(ini_policy_parse("fastest", &p));
}

/* SPC-6 7.7.6: designators of the unit, then of the port: relative number 2, group 0102h. */
static const uint8_t page83[] = { 0x00, 0x83, 0, 28, 1, 3, 0, 8, 0x60, 1,    2, 3, 4, 5, 6, 7,
                                  0x51, 0x94, 0, 4,  0, 0, 0, 2, 0x51, 0x95, 0, 4, 0, 0, 1, 2 };
/* SPC-6 6.37: groups 1 (two ports, optimized, preferred), 0102h (standby). */
static const uint8_t groups[] = { 0, 0, 0, 28, 0x80, 0x0f, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1,
                                  0, 0, 0, 2,  0x02, 0x0f, 1, 2, 0, 0, 0, 1, 0, 0, 0, 3 };

static void port_groups(void **st)
{
    (void)st;
    enum ini_alua_state state = INI_ALUA_OFFLINE;
    assert_int_equal(ini_alua_group(page83, sizeof(page83)), 0x0102);
    assert_true(ini_alua_find(groups, sizeof(groups), 1, &state));
    assert_int_equal(state, INI_ALUA_OPTIMIZED);
    assert_true(ini_alua_find(groups, sizeof(groups), 0x0102, &state));
    assert_int_equal(state, INI_ALUA_STANDBY);
    assert_false(ini_alua_find(groups, sizeof(groups), 2, &state));
    assert_string_equal(ini_alua_name(state), "standby");
}

/* Cut short anywhere, in memory that ends there; and lengths that lie. */
static void port_groups_cut(void **st)
{
    (void)st;
    enum ini_alua_state state;
    for (size_t len = 0; len < sizeof(page83); len++) {
        uint8_t *copy = malloc(len ? len : 1);
        assert_non_null(copy);
        memcpy(copy, page83, len);
        assert_int_equal(ini_alua_group(copy, (uint32_t)len), -1);
        memcpy(copy, groups, len);
        assert_int_equal(ini_alua_find(copy, (uint32_t)len, 1, &state), len >= 12);
        assert_false(len < 28 && ini_alua_find(copy, (uint32_t)len, 0x0102, &state));
        free(copy);
    }
    uint8_t lie[sizeof(groups)];
    memcpy(lie, groups, sizeof(lie));
    memset(lie, 0xff, 4);
    lie[11] = 0xff;
    assert_false(ini_alua_find(lie, sizeof(lie), 0x0102, &state));
}

static void lists(void **st)
{
    (void)st;
    static const struct {
        const char *spec, *says; /* NULL: it is good */
    } cases[] = {
        { "multipath:iscsi://a/" IQN "/0", NULL },
        { "multipath:iscsi://a/" IQN "/0,b", NULL },
        { "multipath:iscsi://a/" IQN "/0,b:3261,[::1],iscsi://c/" IQN "2/7?policy=round-robin",
          NULL },
        { "stats+multipath:iscsi://alice%secret%2csecret@a/" IQN "/0,b?queue_depth=3", NULL },
        { "multipath:iscsi://a/" IQN "/0,b?policy=service-time&settle_timeout=2s", NULL },
        { "multipath:", "path 1: the URL does not begin with iscsi://" },
        { "multipath:iscsi://a", "path 1: the URL names no target and LUN" },
        { "multipath:iscsi://a/" IQN, "path 1: the URL names no target and LUN" },
        { "multipath:iscsi://a/" IQN "/0,", "path 2: the host is missing" },
        { "multipath:iscsi://a/" IQN "/0,b,a", "path 3: this path is there already" },
        { "multipath:iscsi://a/" IQN "/0,b/" IQN, "path 2: write a whole URL" },
        { "multipath:iscsi://a/" IQN "/0,b:x", "path 2: ':x' " },
        { "multipath:iscsi://a/" IQN "/0?policy=best", "not one of service-time" },
        { "multipath:iscsi://a/" IQN "/0?settle_timeout=x", "not a time" },
        { "multipath:iscsi://a/" IQN "/0?speed=1", "unknown option 'speed'" },
        { "multipath:iscsi://a/" IQN "/0,b?connections=0", "1 to 32" },
        { "multipath:iscsi://u@a/" IQN "/0", "no secret" },
        { "multipath:iscsi://a/" IQN "/0,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", "more than 16 paths" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err_text e = { "" };
        int err = store_check_spec(cases[i].spec, &e);
        if (!cases[i].says != !err || (err && !strstr(e.text, cases[i].says)))
            fail_msg("%s: '%s'", cases[i].spec, e.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_robin),  cmocka_unit_test(least_outstanding),
        cmocka_unit_test(service_time), cmocka_unit_test(policies),
        cmocka_unit_test(port_groups),  cmocka_unit_test(port_groups_cut),
        cmocka_unit_test(lists),
    };
    if (store_registry_add(&mpath_store_ops))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
