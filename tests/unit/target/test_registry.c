/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka_all.h"

#include "target/registry.h"

#include <stdio.h>
#include <string.h>

static const int target_a, target_b;

struct fixture {
    struct tgt_registry reg;
    struct loop *loop;
    struct loop_work stop;
};

struct login {
    struct tgt_entry entry;
    struct tgt_waiter waiter;
    unsigned woken;
};

static void woken(struct loop_msg *m)
{
    list_entry(m, struct login, waiter.msg)->woken++;
}

static void make_login(struct login *l, struct fixture *f, const void *target, const char *name,
                       uint8_t isid)
{
    *l = (struct login){ .entry = { .target = target, .loop = f->loop },
                         .waiter = { .loop = f->loop, .msg = { .deliver = woken } } };
    snprintf(l->entry.initiator, sizeof(l->entry.initiator), "%s", name);
    l->entry.isid[5] = isid;
}

static void stop(struct loop_work *w)
{
    loop_stop(list_entry(w, struct fixture, stop)->loop);
}

static void deliver_messages(struct fixture *f)
{
    loop_work_queue(f->loop, &f->stop);
    loop_run(f->loop);
}

static int setup(void **state)
{
    static struct fixture f;
    struct loop_config lc = { .engine = LOOP_ENGINE_EPOLL, .poll = LOOP_POLL_NEVER, .cpu = -1 };
    tgt_registry_init(&f.reg, 3);
    loop_work_init(&f.stop, stop);
    *state = &f;
    return loop_new(&lc, &f.loop, NULL);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    tgt_registry_fini(&f->reg); /* asserts that nothing is left */
    loop_free(f->loop);
    return 0;
}

static int claim(struct fixture *f, struct login *l)
{
    struct loop *loop = NULL;
    uint16_t tsih = 0;
    int err = tgt_registry_claim(&f->reg, &l->entry, &l->waiter, &loop, &tsih);
    if (err == USAN_EAGAIN)
        assert_ptr_equal(loop, f->loop);
    return err;
}

static void handles_are_unique(void **state)
{
    struct fixture *f = *state;
    struct login a, b;
    make_login(&a, f, &target_a, "iqn.x:1", 1);
    make_login(&b, f, &target_a, "iqn.x:1", 2); /* another ISID: another session */
    assert_int_equal(claim(f, &a), 0);
    assert_int_equal(claim(f, &b), 0);
    assert_int_not_equal(a.entry.tsih, 0);
    assert_int_not_equal(b.entry.tsih, 0);
    assert_int_not_equal(a.entry.tsih, b.entry.tsih);
    assert_int_equal(tgt_registry_count(&f->reg), 2);
    tgt_registry_release(&f->reg, &a.entry);
    tgt_registry_release(&f->reg, &b.entry);
    assert_int_equal(tgt_registry_count(&f->reg), 0);
}

/* The counter wraps at 16 bits: 0 is skipped, and so is what is in use. */
static void handles_skip_zero_and_those_in_use(void **state)
{
    struct fixture *f = *state;
    struct login a, b, c;
    make_login(&a, f, &target_a, "iqn.x:1", 1);
    make_login(&b, f, &target_a, "iqn.x:1", 2);
    make_login(&c, f, &target_a, "iqn.x:1", 3);
    f->reg.last_tsih = 0;
    assert_int_equal(claim(f, &a), 0);
    assert_int_equal(a.entry.tsih, 1);
    f->reg.last_tsih = 65534;
    assert_int_equal(claim(f, &b), 0);
    assert_int_equal(b.entry.tsih, 65535);
    assert_int_equal(claim(f, &c), 0);
    assert_int_equal(c.entry.tsih, 2);
    tgt_registry_release(&f->reg, &a.entry);
    tgt_registry_release(&f->reg, &b.entry);
    tgt_registry_release(&f->reg, &c.entry);
}

/* RFC 7143 6.3.5: same initiator, ISID and target: the old session goes first. */
static void reinstatement_waits_for_the_old_session(void **state)
{
    struct fixture *f = *state;
    struct login old, again;
    make_login(&old, f, &target_a, "iqn.x:1", 1);
    make_login(&again, f, &target_a, "iqn.x:1", 1);
    assert_int_equal(claim(f, &old), 0);

    struct loop *loop = NULL;
    uint16_t tsih = 0;
    assert_int_equal(tgt_registry_claim(&f->reg, &again.entry, &again.waiter, &loop, &tsih),
                     USAN_EAGAIN);
    assert_int_equal(tsih, old.entry.tsih);
    assert_ptr_equal(loop, f->loop);
    deliver_messages(f);
    assert_int_equal(again.woken, 0);

    tgt_registry_release(&f->reg, &old.entry);
    deliver_messages(f);
    assert_int_equal(again.woken, 1);
    assert_int_equal(claim(f, &again), 0);
    tgt_registry_release(&f->reg, &again.entry);
}

static void all_that_wait_are_woken(void **state)
{
    struct fixture *f = *state;
    struct login old, one, two;
    make_login(&old, f, &target_a, "iqn.x:1", 1);
    make_login(&one, f, &target_a, "iqn.x:1", 1);
    make_login(&two, f, &target_a, "iqn.x:1", 1);
    assert_int_equal(claim(f, &old), 0);
    assert_int_equal(claim(f, &one), USAN_EAGAIN);
    assert_int_equal(claim(f, &two), USAN_EAGAIN);
    tgt_registry_release(&f->reg, &old.entry);
    deliver_messages(f);
    assert_int_equal(one.woken, 1);
    assert_int_equal(two.woken, 1);
    assert_int_equal(claim(f, &one), 0);
    assert_int_equal(claim(f, &two), USAN_EAGAIN);
    tgt_registry_release(&f->reg, &one.entry);
    deliver_messages(f);
    assert_int_equal(two.woken, 2);
}

static void other_targets_and_discovery_do_not_collide(void **state)
{
    struct fixture *f = *state;
    struct login a, b, d, e;
    make_login(&a, f, &target_a, "iqn.x:1", 1);
    make_login(&b, f, &target_b, "iqn.x:1", 1);
    assert_int_equal(claim(f, &a), 0);
    assert_int_equal(claim(f, &b), 0);
    tgt_registry_release(&f->reg, &a.entry);
    tgt_registry_release(&f->reg, &b.entry);
    make_login(&d, f, NULL, "iqn.x:1", 1);
    make_login(&e, f, NULL, "iqn.x:1", 1);
    assert_int_equal(claim(f, &d), 0);
    assert_int_equal(claim(f, &e), 0);
    tgt_registry_release(&f->reg, &d.entry);
    tgt_registry_release(&f->reg, &e.entry);
}

static void number_of_sessions_is_limited(void **state)
{
    struct fixture *f = *state;
    struct login l[4];
    for (uint8_t i = 0; i < 4; i++)
        make_login(&l[i], f, &target_a, "iqn.x:1", i);
    for (int i = 0; i < 3; i++)
        assert_int_equal(claim(f, &l[i]), 0);
    assert_int_equal(claim(f, &l[3]), USAN_ELIMIT);
    tgt_registry_release(&f->reg, &l[0].entry);
    assert_int_equal(claim(f, &l[3]), 0);
    for (int i = 1; i < 4; i++)
        tgt_registry_release(&f->reg, &l[i].entry);
}

static void find_looks_at_all_of_the_name(void **state)
{
    struct fixture *f = *state;
    struct login a;
    uint8_t other[6] = { 9 };
    make_login(&a, f, &target_a, "iqn.x:1", 1);
    assert_int_equal(claim(f, &a), 0);
    uint16_t tsih = a.entry.tsih;
    const uint8_t *isid = a.entry.isid;
    assert_ptr_equal(tgt_registry_find(&f->reg, tsih, &target_a, "iqn.x:1", isid), f->loop);
    assert_null(tgt_registry_find(&f->reg, tsih, &target_b, "iqn.x:1", isid));
    assert_null(tgt_registry_find(&f->reg, tsih, &target_a, "iqn.x:2", isid));
    assert_null(tgt_registry_find(&f->reg, tsih, &target_a, "iqn.x:1", other));
    assert_null(tgt_registry_find(&f->reg, (uint16_t)(tsih + 1), &target_a, "iqn.x:1", isid));
    tgt_registry_release(&f->reg, &a.entry);
    assert_null(tgt_registry_find(&f->reg, tsih, &target_a, "iqn.x:1", isid));
}

/* More sessions than buckets, ended in another order than they began. */
static void many_sessions(void **state)
{
    struct fixture *f = *state;
    enum { MANY = 3 * TGT_REGISTRY_BUCKETS, STEP = 5003 }; /* without a common divisor */
    static struct login l[MANY], again;
    struct loop *loop;
    uint16_t tsih;
    f->reg.max = MANY;
    for (unsigned i = 0; i < MANY; i++) {
        char name[64];
        snprintf(name, sizeof(name), "iqn.2025-01.com.example:%u", i / 2);
        make_login(&l[i], f, i % 3 ? &target_a : NULL, name, (uint8_t)(i % 2));
        assert_int_equal(tgt_registry_claim(&f->reg, &l[i].entry, &l[i].waiter, &loop, &tsih), 0);
    }
    for (unsigned i = 0, at = 0; i < MANY; i++, at = (at + STEP) % MANY) {
        struct tgt_entry *e = &l[at].entry;
        again = l[at];
        assert_non_null(tgt_registry_find(&f->reg, e->tsih, e->target, e->initiator, e->isid));
        if (e->target) {
            assert_int_equal(tgt_registry_claim(&f->reg, &again.entry, &again.waiter, &loop, &tsih),
                             USAN_EAGAIN);
            assert_int_equal(tsih, e->tsih);
        }
        tgt_registry_release(&f->reg, e);
        assert_null(tgt_registry_find(&f->reg, e->tsih, e->target, e->initiator, e->isid));
        if (e->target)
            deliver_messages(f);
    }
    assert_int_equal(tgt_registry_count(&f->reg), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(handles_are_unique, setup, teardown),
        cmocka_unit_test_setup_teardown(handles_skip_zero_and_those_in_use, setup, teardown),
        cmocka_unit_test_setup_teardown(reinstatement_waits_for_the_old_session, setup, teardown),
        cmocka_unit_test_setup_teardown(all_that_wait_are_woken, setup, teardown),
        cmocka_unit_test_setup_teardown(other_targets_and_discovery_do_not_collide, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(number_of_sessions_is_limited, setup, teardown),
        cmocka_unit_test_setup_teardown(find_looks_at_all_of_the_name, setup, teardown),
        cmocka_unit_test_setup_teardown(many_sessions, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
