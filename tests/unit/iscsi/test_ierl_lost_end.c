/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Recovery level 2: what keeps the tasks of a lost connection from going on. Time2Wait is 2 s,
 * Time2Retain 20 s. */
#include "irig_cmd.h"

#include <string.h>

/* ---- a target that does not do it ---- */

static void refused(void **st)
{
    (void)st;
    /* the logout: no recovery; it could not clean up, again and again; the reassignment */
    for (int how = 0; how < 3; how++) {
        struct irig_cmd m;
        struct irig *r = irig_erl('2', false), *b;
        uint32_t itt = bhs_itt(irig_submit_on(r, &m, 1024, 0).bhs);
        b = irig_joined(r, 2);
        irig_cut(r);
        irig_tick(r, 2 * NS_PER_SEC);
        if (how == 0) {
            irig_logged_out(b, 9, 2, 0);
        } else if (how == 1) {
            for (int i = 0; i < ISCSI_IRECOVERY_TRIES; i++) {
                irig_logged_out(b, 9, 3, 0);
                assert_false(b->closed);
                irig_tick(r, NS_PER_SEC);
            }
        } else {
            irig_logged_out(b, 9, 0, 0);
            irig_reassigned(b, itt, 0, ISCSI_TMF_RSP_NO_REASSIGN);
        }
        /* only a new session is known to end the task */
        assert_true(b->closed);
        assert_int_equal(b->err, USAN_EPROTO);
        assert_int_equal(r->down, 1);
        assert_int_equal(r->done, 1);
        assert_true(m.c.err && m.c.sent);
        irig_free(r);
    }
}

/* While a session fails as a whole, nothing joins it. */
static void giving_up(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('2', false), *b;
    struct iscsi_iconn *early;
    (void)irig_submit_on(r, &m, 1024, 0);
    b = irig_joined(r, 2);
    irig_cut(r);
    r->now_ns += 22 * NS_PER_SEC; /* nobody looked for so long */
    iscsi_isess_tick(r->sess, r->now_ns);
    assert_int_equal(iscsi_iconn_new(r->sess, 9, r->now_ns, &early), USAN_EBUSY);
    irig_run(r);
    assert_true(b->closed);
    assert_int_equal(r->down, 1);
    assert_int_equal(r->done, 1);
    assert_true(m.c.err && m.c.sent);
    irig_free(r);
}

/* One is logged out but has a task left, the other one, which is lost last, has none: nobody comes
 * back, and the session ends in time all the same. */
static void none_left(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('2', false), *b;
    uint32_t itt = bhs_itt(irig_submit_on(r, &m, 512, 0).bhs);
    b = irig_joined(r, 2);
    irig_cut(r);
    irig_tick(r, 2 * NS_PER_SEC);
    irig_logged_out(b, 9, 0, 0);
    irig_reassigned(b, itt, 0, ISCSI_TMF_RSP_STILL_ALLEGIANT);
    irig_cut(b);
    irig_tick(r, 22 * NS_PER_SEC);
    assert_int_equal(r->down, 1);
    assert_int_equal(r->done, 1);
    assert_true(m.c.err && m.c.sent);
    irig_free(r);
}

static void still_allegiant(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('2', false), *b;
    uint32_t itt = bhs_itt(irig_submit_on(r, &m, 512, 0).bhs);
    b = irig_joined(r, 2);
    irig_cut(r);
    irig_tick(r, 2 * NS_PER_SEC);
    irig_logged_out(b, 9, 1, 0); /* it does not know the connection: so be it */
    irig_reassigned(b, itt, 0, ISCSI_TMF_RSP_STILL_ALLEGIANT);
    irig_expect_quiet(b);
    irig_tick(r, NS_PER_SEC);
    irig_reassigned(b, itt, 0, ISCSI_TMF_RSP_COMPLETE);
    irig_piece(b, itt, 0, 0x81);
    irig_expect_good(&m);
    irig_free(r);
}

/* Too many requests at a time, 11.17.1: later again. */
static void rejected(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('2', false), *b;
    uint32_t itt = bhs_itt(irig_submit_on(r, &m, 512, 0).bhs);
    b = irig_joined(r, 2);
    irig_cut(r);
    irig_tick(r, 2 * NS_PER_SEC);
    irig_logged_out(b, 9, 0, 0);
    irig_reject(b, ISCSI_REJECT_TOO_MANY_IMMEDIATE, irig_expect(b, ISCSI_OP_TMF_REQUEST).bhs);
    irig_expect_quiet(b);
    irig_tick(r, NS_PER_SEC);
    irig_reassigned(b, itt, 0, ISCSI_TMF_RSP_COMPLETE);
    irig_piece(b, itt, 0, 0x81);
    irig_expect_good(&m);
    irig_free(r);
}

/* The connection that was to help is lost as well, at every step. */
static void helper_lost(void **st)
{
    (void)st;
    for (int step = 0; step < 3; step++) {
        struct irig_cmd m;
        struct irig *r = irig_erl('2', false), *b, *c;
        uint32_t itt = bhs_itt(irig_submit_on(r, &m, 512, 0).bhs);
        b = irig_joined(r, 2);
        irig_cut(r);
        irig_tick(r, 2 * NS_PER_SEC);
        if (step > 0)
            irig_logged_out(b, 9, 0, 0);
        if (step > 1)
            irig_reassigned(b, itt, 0, ISCSI_TMF_RSP_COMPLETE);
        irig_cut(b);
        assert_string_equal(iscsi_isess_state(r->sess), "Q4 FAILED");
        assert_int_equal(r->recover, 2);
        irig_tick(r, 2 * NS_PER_SEC);
        c = irig_joined(r, 2);
        if (step == 0)
            irig_logged_out(c, 9, 0, 0);
        irig_reassigned(c, itt, 0, ISCSI_TMF_RSP_COMPLETE);
        irig_piece(c, itt, 0, 0x81);
        irig_expect_good(&m);
        assert_int_equal(r->done, 1);
        assert_int_equal(r->recovered, 2);
        irig_free(r);
    }
}

static void no_answer(void **st)
{
    (void)st;
    /* to the logout; to the reassignment */
    for (int how = 0; how < 2; how++) {
        struct irig_cmd m;
        struct irig *r = irig_erl('2', false), *b;
        (void)irig_submit_on(r, &m, 512, 0);
        b = irig_joined(r, 2);
        irig_cut(r);
        irig_tick(r, 2 * NS_PER_SEC);
        if (how == 1) {
            irig_logged_out(b, 9, 0, 0);
            (void)irig_expect(b, ISCSI_OP_TMF_REQUEST);
        } else {
            (void)irig_expect(b, ISCSI_OP_LOGOUT_REQUEST);
        }
        irig_tick(r, 5 * NS_PER_SEC);
        assert_true(b->closed);
        assert_int_equal(b->err, USAN_ETIMEOUT);
        assert_int_equal(r->done, 0); /* it may still be continued */
        assert_string_equal(iscsi_isess_state(r->sess), "Q4 FAILED");
        irig_free(r);
    }
}

/* ---- what else may happen to a task that waits ---- */

static void canceled(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct iscsi_itmf tmf = { .function = ISCSI_TMF_ABORT_TASK, .cmd = &m.c };
    struct irig *r = irig_erl('2', false), *b;
    uint8_t bhs[ISCSI_BHS_LEN];
    uint32_t itt = bhs_itt(irig_submit_on(r, &m, 512, 0).bhs);
    b = irig_joined(r, 2);
    irig_cut(r);
    assert_int_equal(iscsi_isess_cancel(r->sess, &m.c, r->now_ns), 0);
    assert_int_equal(iscsi_isess_tmf(r->sess, &tmf, r->now_ns), USAN_ECLOSED);
    irig_tick(r, 2 * NS_PER_SEC);
    irig_logged_out(b, 9, 0, 0);
    irig_reassigned(b, itt, 0, ISCSI_TMF_RSP_COMPLETE);
    struct irig_pdu abort = irig_expect(b, ISCSI_OP_TMF_REQUEST);
    assert_int_equal(pdu_tmf_request_decode(abort.bhs).function, ISCSI_TMF_ABORT_TASK);
    assert_int_equal(pdu_tmf_request_decode(abort.bhs).ref_itt, itt);
    pdu_tmf_response(bhs, bhs_itt(abort.bhs), 0, 0);
    irig_send(b, bhs, true, NULL, 0);
    assert_int_equal(r->done, 1);
    assert_int_equal(m.c.err, USAN_ECANCELED);
    irig_free(r);
}

/* The session is closed in order meanwhile. */
static void session_closed(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('2', false), *b;
    uint8_t bhs[ISCSI_BHS_LEN];
    (void)irig_submit_on(r, &m, 512, 0);
    b = irig_joined(r, 2);
    irig_cut(r);
    assert_int_equal(iscsi_isess_logout(r->sess, r->now_ns), 0);
    irig_run(r);
    struct irig_pdu pdu = irig_expect(b, ISCSI_OP_LOGOUT_REQUEST);
    assert_int_equal(pdu_logout_request_decode(pdu.bhs).reason, 0);
    pdu_logout_response(bhs, bhs_itt(pdu.bhs), 0, 0, 0);
    irig_send(b, bhs, true, NULL, 0);
    assert_true(b->closed);
    assert_int_equal(r->done, 1);
    assert_true(m.c.err);
    assert_int_equal(r->down, 1);
    assert_string_equal(iscsi_isess_state(r->sess), "Q1 FREE");
    irig_free(r);
}

/* The target drops the connection with waiting times of its own, 11.9.1. */
static void dropped(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('2', false);
    uint8_t bhs[ISCSI_BHS_LEN];
    (void)irig_submit_on(r, &m, 512, 0);
    pdu_async(bhs, 0, ISCSI_ASYNC_DROP_CONNECTION, 9, 7, 30, 0);
    irig_send(r, bhs, true, NULL, 0);
    assert_true(r->closed);
    assert_int_equal(r->recover, 1);
    irig_tick(r, 0);
    assert_true(iscsi_isess_deadline(r->sess) == r->now_ns + 37 * NS_PER_SEC);
    irig_free(r);
}

/* The target asks for a logout (11.9.1), and its time is over before the commands are: they go on
 * elsewhere. */
static void asked_to_leave(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('2', false), *b;
    uint8_t bhs[ISCSI_BHS_LEN];
    uint32_t itt = bhs_itt(irig_submit_on(r, &m, 512, 0).bhs);
    b = irig_joined(r, 2);
    pdu_async(bhs, 0, ISCSI_ASYNC_LOGOUT_REQUEST, 0, 0, 4, 0);
    irig_send(r, bhs, true, NULL, 0);
    irig_tick(r, 2 * NS_PER_SEC);
    assert_true(r->closed);
    assert_int_equal(r->recover, 1);
    irig_tick(r, 0);
    irig_tick(r, 2 * NS_PER_SEC);
    irig_logged_out(b, 9, 0, 0);
    irig_reassigned(b, itt, 0, ISCSI_TMF_RSP_COMPLETE);
    irig_piece(b, itt, 0, 0x81);
    irig_expect_good(&m);
    irig_free(r);
}

/* Time2Retain is over while a login that would continue the session is under way. */
static void too_late(void **st)
{
    (void)st;
    struct irig *r = irig_erl('2', false), *c;
    irig_cut(r);
    irig_tick(r, 21 * NS_PER_SEC);
    c = irig_join(r, 2);
    irig_tick(r, NS_PER_SEC);
    assert_true(c->closed);
    assert_int_equal(r->down, 1);
    assert_int_equal(r->down_err, USAN_ETIMEOUT);
    irig_free(r);
}

/* No memory for the record of it: the session fails, as at level 0. */
static void out_of_memory(void **st)
{
    (void)st;
    struct irig_cmd m;
    struct irig *r = irig_erl('2', false), *b;
    (void)irig_submit_on(r, &m, 512, 0);
    b = irig_joined(r, 2);
    r->alloc.fail_at = r->alloc.calls + 1;
    irig_cut(r);
    assert_int_equal(r->recover, 0);
    assert_true(b->closed);
    assert_int_equal(r->down, 1);
    assert_int_equal(r->done, 1);
    irig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused),        cmocka_unit_test(giving_up),
        cmocka_unit_test(none_left),      cmocka_unit_test(still_allegiant),
        cmocka_unit_test(rejected),       cmocka_unit_test(helper_lost),
        cmocka_unit_test(no_answer),      cmocka_unit_test(canceled),
        cmocka_unit_test(session_closed), cmocka_unit_test(dropped),
        cmocka_unit_test(asked_to_leave), cmocka_unit_test(too_late),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
