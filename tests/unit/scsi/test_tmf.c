/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every task management function, in every state an aborted task may be in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "scsi/lu.h"
#include "scsi/reply.h"
#include "scsi/step.h"
#include "scsi/task.h"
#include "scsi/ua.h"
#include "scsi_rig.h"

#include <cmocka.h>
#include <string.h>

#define READ_1  CDB(0x28, 0, 0, 0, 0, 5, 0, 0, 1, 0)
#define WRITE_1 CDB(0x2a, 0, 0, 0, 0, 5, 0, 0, 1, 0)
#define TUR     CDB(0x00)

static uint8_t block[512];

static struct rig *make(unsigned initiators, unsigned lanes)
{
    struct rig *r = rig_new(&(struct rig_config){ .initiators = initiators, .lanes = lanes });
    rig_clear_ua(r);
    return r;
}

static struct rig_task *hold(struct rig *r, unsigned initiator, uint64_t tag, enum scsi_want at)
{
    r->stop_at |= 1u << at;
    struct rig_task *t;
    if (at == SCSI_WANT_DATA)
        t = rig_start(r, initiator, SCSI_ATTR_SIMPLE, tag, WRITE_1, block, 512, 0);
    else if (at == SCSI_WANT_BUF)
        t = rig_start(r, initiator, SCSI_ATTR_SIMPLE, tag, CDB(0x12, 0, 0, 0, 96), NULL, 0, 96);
    else
        t = rig_start(r, initiator, SCSI_ATTR_SIMPLE, tag, READ_1, NULL, 0, 512);
    assert_int_equal(t->t.want, at);
    return t;
}

static void assert_aborted(struct rig_task *t)
{
    assert_int_equal(t->t.want, SCSI_ABORTED);
    assert_true(rig_end(t).aborted);
}

static void test_abort_task_at_once(void **state)
{
    (void)state;
    struct rig *r = make(1, 1);
    struct rig_task *data = hold(r, 0, 1, SCSI_WANT_DATA), *buf = hold(r, 0, 2, SCSI_WANT_BUF);
    assert_int_equal(rig_tmf(r, 0, SCSI_TMF_ABORT_TASK, 1).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    assert_int_equal(buf->t.want, SCSI_WANT_BUF);
    assert_aborted(data);
    assert_int_equal(rig_tmf(r, 0, SCSI_TMF_ABORT_TASK, 2).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    assert_aborted(buf);
    assert_int_equal(rig_tmf(r, 0, SCSI_TMF_ABORT_TASK, 2).tmf_rsp, SCSI_TMF_RSP_NO_TASK);
    rig_free(r);
}

/* With I/O under way the response waits for it. */
static void test_abort_task_in_io(void **state)
{
    (void)state;
    struct rig *r = make(1, 1);
    struct rig_task *io = hold(r, 0, 7, SCSI_WANT_IO), *other = hold(r, 0, 8, SCSI_WANT_IO);
    struct rig_task *tmf = rig_start_tmf(r, 0, SCSI_TMF_ABORT_TASK, 7);
    assert_int_equal(tmf->t.want, SCSI_WANT_WAIT);
    assert_int_equal(io->t.want, SCSI_WANT_IO);
    rig_go(io);
    assert_aborted(io);
    assert_true(rig_ended(tmf));
    assert_int_equal(rig_end(tmf).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    rig_go(other);
    assert_int_equal(rig_end(other).status, SCSI_STATUS_GOOD);
    rig_free(r);
}

/* Asked once more, the answer is no earlier: "no such task" would say that it can write no more. */
static void test_abort_task_twice(void **state)
{
    (void)state;
    struct rig *r = make(1, 1);
    struct rig_task *io = hold(r, 0, 7, SCSI_WANT_IO);
    struct rig_task *set = rig_start_tmf(r, 0, SCSI_TMF_ABORT_TASK_SET, 0);
    struct rig_task *again = rig_start_tmf(r, 0, SCSI_TMF_ABORT_TASK, 7);
    assert_int_equal(again->t.want, SCSI_WANT_WAIT);
    rig_go(io);
    assert_aborted(io);
    assert_int_equal(rig_end(set).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    assert_int_equal(rig_end(again).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    rig_free(r);
}

static void test_abort_dormant(void **state)
{
    (void)state;
    struct rig *r = make(1, 1);
    struct rig_task *io = hold(r, 0, 1, SCSI_WANT_IO);
    struct rig_task *o = rig_start(r, 0, SCSI_ATTR_ORDERED, 2, READ_1, NULL, 0, 512);
    struct rig_task *s = rig_start(r, 0, SCSI_ATTR_SIMPLE, 3, READ_1, NULL, 0, 512);
    assert_int_equal(o->t.want, SCSI_WANT_WAIT);
    assert_int_equal(s->t.want, SCSI_WANT_WAIT);
    /* without the ORDERED one, the SIMPLE one behind it may start */
    assert_int_equal(rig_tmf(r, 0, SCSI_TMF_ABORT_TASK, 2).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    assert_aborted(o);
    assert_int_equal(s->t.want, SCSI_WANT_IO);
    rig_go(s);
    rig_go(io);
    assert_int_equal(rig_end(s).status, SCSI_STATUS_GOOD);
    assert_int_equal(rig_end(io).status, SCSI_STATUS_GOOD);
    rig_free(r);
}

static void test_abort_waiting_for_gate(void **state)
{
    (void)state;
    struct rig *r = make(2, 2);
    struct rig_task *io = hold(r, 1, 1, SCSI_WANT_IO);
    /* exclusive: closes the gate, waits for the other lane's read */
    struct rig_task *excl = rig_start(r, 0, SCSI_ATTR_SIMPLE, 2, CDB(0x16), NULL, 0, 0);
    assert_int_equal(excl->t.want, SCSI_WANT_WAIT);
    struct rig_task *blocked = rig_start(r, 0, SCSI_ATTR_SIMPLE, 3, READ_1, NULL, 0, 512);
    assert_int_equal(blocked->t.want, SCSI_WANT_WAIT);
    assert_int_equal(rig_tmf(r, 0, SCSI_TMF_ABORT_TASK, 3).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    assert_aborted(blocked);
    /* the one that closed the gate: it opens */
    assert_int_equal(rig_tmf(r, 0, SCSI_TMF_ABORT_TASK, 2).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    assert_aborted(excl);
    assert_int_equal(atomic_load(&r->units[0].lu->gate), 0);
    rig_go(io);
    assert_int_equal(rig_end(io).status, SCSI_STATUS_GOOD);
    assert_int_equal(rig_cmd(r, 0, CDB(0x16), NULL, 0, 0).status, SCSI_STATUS_GOOD);
    rig_free(r);
}

static void task_sets(enum scsi_tmf tmf)
{
    struct rig *r = make(2, 1);
    struct rig_task *data = hold(r, 0, 1, SCSI_WANT_DATA), *io = hold(r, 0, 2, SCSI_WANT_IO);
    struct rig_task *other = hold(r, 1, 1, SCSI_WANT_DATA);
    struct rig_task *t = rig_start_tmf(r, 0, tmf, 0);
    assert_aborted(data);
    assert_int_equal(t->t.want, SCSI_WANT_WAIT);
    rig_go(io);
    assert_aborted(io);
    assert_int_equal(rig_end(t).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    /* TST = 001b: the set of another nexus is another set; nobody is told */
    assert_int_equal(other->t.want, SCSI_WANT_DATA);
    r->stop_at = 0;
    rig_go(other);
    assert_int_equal(rig_end(other).status, SCSI_STATUS_GOOD);
    assert_int_equal(rig_cmd(r, 0, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    assert_int_equal(rig_cmd(r, 1, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    rig_free(r);
}

static void test_abort_task_set(void **state)
{
    (void)state;
    task_sets(SCSI_TMF_ABORT_TASK_SET);
}

static void test_clear_task_set(void **state)
{
    (void)state;
    task_sets(SCSI_TMF_CLEAR_TASK_SET);
}

static void test_clear_aca_aborts_its_task(void **state)
{
    (void)state;
    struct rig *r = make(1, 1);
    (void)rig_cmd(r, 0, CDB(0, 0, 0, 1, 0, 4), NULL, 0, 0);
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *aca = rig_start(r, 0, SCSI_ATTR_ACA, 4, READ_1, NULL, 0, 512);
    struct rig_task *t = rig_start_tmf(r, 0, SCSI_TMF_CLEAR_ACA, 0);
    assert_int_equal(t->t.want, SCSI_WANT_WAIT);
    rig_go(aca);
    assert_aborted(aca);
    assert_int_equal(rig_end(t).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    assert_int_equal(rig_tmf(r, 0, SCSI_TMF_CLEAR_ACA, 0).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    assert_int_equal(rig_cmd(r, 0, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    rig_free(r);
}

static void lu_reset(unsigned lanes)
{
    struct rig *r = make(3, lanes);
    struct scsi_lu *lu = r->units[0].lu;
    struct rig_task *data = hold(r, 0, 1, SCSI_WANT_DATA), *io = hold(r, 1, 2, SCSI_WANT_IO);
    struct rig_task *buf = hold(r, 1, 3, SCSI_WANT_BUF), *io2 = hold(r, 2, 4, SCSI_WANT_IO);
    lu->reserved_by = r->nexus[2]->home.seats[0]->itl;
    r->nexus[2]->home.seats[0]->itl->prevent = true;
    lu->prevent_count = 1;
    struct rig_task *t = rig_start_tmf(r, 0, SCSI_TMF_LOGICAL_UNIT_RESET, 0);
    assert_aborted(data);
    assert_aborted(buf);
    assert_int_equal(t->t.want, SCSI_WANT_WAIT);
    rig_go(io2);
    assert_aborted(io2);
    assert_int_equal(t->t.want, SCSI_WANT_WAIT);
    /* a command that came after the reset is not aborted by it, and finds the unit as new */
    struct rig_task *late = rig_start(r, 0, SCSI_ATTR_SIMPLE, 9, TUR, NULL, 0, 0);
    assert_int_equal(late->t.want, SCSI_WANT_WAIT);
    rig_go(io);
    assert_aborted(io);
    assert_int_equal(rig_end(t).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    assert_int_equal(rig_end(late).kaq, SCSI_KAQ(6, 0x29, 0x03));
    assert_null(lu->reserved_by);
    assert_int_equal(lu->prevent_count, 0);
    r->stop_at = 0;
    for (unsigned i = 0; i < 3; i++) {
        if (i)
            assert_int_equal(rig_cmd(r, i, TUR, NULL, 0, 0).kaq, SCSI_KAQ(6, 0x29, 0x03));
        assert_int_equal(rig_cmd(r, i, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    }
    rig_free(r);
}

static void test_lu_reset_one_lane(void **state)
{
    (void)state;
    lu_reset(1);
}

static void test_lu_reset_many_lanes(void **state)
{
    (void)state;
    lu_reset(3);
}

/* Two at once on different lanes: both end. */
static void test_lu_reset_twice(void **state)
{
    (void)state;
    struct rig *r = make(2, 2);
    struct rig_task *io = hold(r, 1, 1, SCSI_WANT_IO);
    struct rig_task *a = rig_start_tmf(r, 0, SCSI_TMF_LOGICAL_UNIT_RESET, 0);
    struct rig_task *b = rig_start_tmf(r, 1, SCSI_TMF_LOGICAL_UNIT_RESET, 0);
    assert_int_equal(a->t.want, SCSI_WANT_WAIT);
    assert_int_equal(b->t.want, SCSI_WANT_WAIT);
    rig_go(io);
    assert_aborted(io);
    assert_int_equal(rig_end(a).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    assert_int_equal(rig_end(b).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    rig_free(r);
}

static void test_nexus_reset(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ .units = 2, .initiators = 2, .lanes = 2 });
    rig_clear_ua(r);
    struct rig_task *io = hold(r, 0, 1, SCSI_WANT_IO), *other = hold(r, 1, 1, SCSI_WANT_IO);
    r->units[1].lu->reserved_by = r->nexus[0]->home.seats[1]->itl;
    struct rig_task *t = rig_start_tmf(r, 0, SCSI_TMF_I_T_NEXUS_RESET, 0);
    assert_int_equal(t->t.want, SCSI_WANT_WAIT);
    assert_null(r->units[1].lu->reserved_by);
    rig_go(io);
    assert_aborted(io);
    /* unit 0 is still in use by the other lane: the nexus' loss is noted when that is done */
    assert_int_equal(t->t.want, SCSI_WANT_WAIT);
    rig_go(other);
    assert_int_equal(rig_end(other).status, SCSI_STATUS_GOOD);
    assert_int_equal(rig_end(t).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    r->stop_at = 0;
    for (uint64_t lun = 0; lun < 2; lun++) {
        assert_int_equal(rig_cmd_lun(r, 0, lun << 48, TUR, NULL, 0, 0).kaq, SCSI_KAQ(6, 0x29, 7));
        assert_int_equal(rig_cmd_lun(r, 1, lun << 48, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    }
    rig_free(r);
}

static void test_queries(void **state)
{
    (void)state;
    struct rig *r = make(1, 1);
    assert_int_equal(rig_tmf(r, 0, SCSI_TMF_QUERY_TASK_SET, 0).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    struct rig_task *io = hold(r, 0, 42, SCSI_WANT_IO);
    assert_int_equal(rig_tmf(r, 0, SCSI_TMF_QUERY_TASK, 42).tmf_rsp, SCSI_TMF_RSP_SUCCEEDED);
    assert_int_equal(rig_tmf(r, 0, SCSI_TMF_QUERY_TASK, 43).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    assert_int_equal(rig_tmf(r, 0, SCSI_TMF_QUERY_TASK_SET, 0).tmf_rsp, SCSI_TMF_RSP_SUCCEEDED);
    rig_go(io);
    (void)rig_end(io);
    assert_int_equal(rig_tmf(r, 0, SCSI_TMF_QUERY_TASK, 42).tmf_rsp, SCSI_TMF_RSP_COMPLETE);

    assert_int_equal(rig_tmf(r, 0, SCSI_TMF_QUERY_ASYNC_EVENT, 0).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    scsi_ua_add(r->nexus[0]->home.seats[0]->itl, UA_CAPACITY_CHANGED);
    struct rig_task *q = rig_start_tmf(r, 0, SCSI_TMF_QUERY_ASYNC_EVENT, 0);
    assert_int_equal(q->t.tmf_info, 0x062a09);
    assert_int_equal(rig_end(q).tmf_rsp, SCSI_TMF_RSP_SUCCEEDED);
    /* asking does not clear it */
    r->stop_at = 0;
    assert_int_equal(rig_cmd(r, 0, TUR, NULL, 0, 0).kaq, SCSI_KAQ(6, 0x2a, 9));
    rig_free(r);
}

static void test_query_event_waits_for_gate(void **state)
{
    (void)state;
    struct rig *r = make(2, 2);
    struct rig_task *io = hold(r, 1, 1, SCSI_WANT_IO);
    struct rig_task *excl = rig_start(r, 1, SCSI_ATTR_SIMPLE, 2, CDB(0x16), NULL, 0, 0);
    struct rig_task *q = rig_start_tmf(r, 0, SCSI_TMF_QUERY_ASYNC_EVENT, 0);
    assert_int_equal(q->t.want, SCSI_WANT_WAIT);
    rig_go(io);
    assert_int_equal(rig_end(q).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    (void)rig_end(excl);
    (void)rig_end(io);
    rig_free(r);
}

static void test_no_lun(void **state)
{
    (void)state;
    struct rig *r = make(1, 1);
    for (unsigned tmf = SCSI_TMF_ABORT_TASK; tmf <= SCSI_TMF_QUERY_ASYNC_EVENT; tmf++) {
        struct scsi_task t = { .nexus = r->nexus[0],
                               .lun = UINT64_C(5) << 48,
                               .tmf = (uint8_t)tmf };
        if (tmf == SCSI_TMF_I_T_NEXUS_RESET)
            continue; /* is about no unit */
        scsi_task_start(&t);
        assert_int_equal(t.want, SCSI_DONE);
        assert_int_equal(t.tmf_rsp, SCSI_TMF_RSP_NO_LUN);
        scsi_task_fini(&t);
    }
    rig_free(r);
}

static void test_connection_lost(void **state)
{
    (void)state;
    struct rig *r = make(2, 2);
    struct scsi_lu *lu = r->units[0].lu;
    struct rig_task *io = hold(r, 1, 1, SCSI_WANT_IO);
    struct rig_task *data = hold(r, 0, 2, SCSI_WANT_DATA), *own_io = hold(r, 0, 3, SCSI_WANT_IO);
    /* an exclusive command that waits for the other lane, and one behind it */
    struct rig_task *excl = rig_start(r, 0, SCSI_ATTR_SIMPLE, 4, CDB(0x16), NULL, 0, 0);
    struct rig_task *blocked = rig_start(r, 0, SCSI_ATTR_SIMPLE, 5, READ_1, NULL, 0, 512);
    assert_int_equal(atomic_load(&lu->gate), 1);
    scsi_nexus_abort(r->nexus[0], UINT64_MAX);
    rig_pump(r);
    assert_int_equal(atomic_load(&lu->gate), 0);
    assert_aborted(data);
    assert_aborted(excl);
    assert_aborted(blocked);
    assert_int_equal(own_io->t.want, SCSI_WANT_IO);
    rig_go(own_io);
    assert_aborted(own_io);
    assert_int_equal(scsi_nexus_tasks(r->nexus[0]), 0);
    rig_go(io);
    assert_int_equal(rig_end(io).status, SCSI_STATUS_GOOD);
    rig_free(r);
}

/* A reset whose initiator is gone, while another lane is at work for it. */
static void test_connection_lost_in_reset(void **state)
{
    (void)state;
    struct rig *r = make(2, 2);
    struct rig_task *io = hold(r, 1, 1, SCSI_WANT_IO);
    struct rig_task *reset = rig_start_tmf(r, 0, SCSI_TMF_LOGICAL_UNIT_RESET, 0);
    scsi_nexus_abort(r->nexus[0], UINT64_MAX);
    rig_pump(r);
    assert_int_equal(reset->t.want, SCSI_WANT_WAIT);
    rig_go(io);
    assert_aborted(io);
    assert_aborted(reset);
    assert_int_equal(atomic_load(&r->units[0].lu->gate), 0);
    assert_int_equal(atomic_load(&r->units[0].lu->acks), 0);
    rig_free(r);
}

/* ---- scsi_want_aborts, as PREEMPT AND ABORT calls it ---- */

static unsigned went_on;

static void aborted_step(struct scsi_task *t, int err)
{
    assert_int_equal(err, 0);
    went_on++;
    scsi_good(t);
}

static struct scsi_itl *abort_whose;

static void abort_step(struct scsi_task *t, int err)
{
    (void)err;
    scsi_want_aborts(t, abort_whose, aborted_step);
}

static void preempt(bool tas, unsigned lanes)
{
    struct rig *r = make(3, lanes);
    if (tas) {
        uint8_t list[16] = { 0, 0, 0, 0, 0x0a, 0x0a, 0x20, 0x10, 0, 0x40 };
        struct rig_result res = rig_cmd(r, 0, CDB(0x15, 0x10, 0, 0, 16), list, 16, 0);
        assert_int_equal(res.status, SCSI_STATUS_GOOD);
        rig_clear_ua(r);
    }
    struct rig_task *victim = hold(r, 1, 1, SCSI_WANT_DATA),
                    *spared = hold(r, 2, 1, SCSI_WANT_DATA);
    /* a handler that asks for the gate and aborts: the task is made to step into it */
    struct rig_task *self = hold(r, 0, 1, SCSI_WANT_DATA);
    abort_whose = r->nexus[1]->home.seats[0]->itl;
    went_on = 0;
    self->t.step = abort_step;
    self->t.flags |= SCSI_TF_EXCLUSIVE;
    rig_go(self);
    assert_int_equal(went_on, 1);
    assert_int_equal(rig_end(self).status, SCSI_STATUS_GOOD);
    assert_int_equal(spared->t.want, SCSI_WANT_DATA);
    r->stop_at = 0;
    rig_go(spared);
    assert_int_equal(rig_end(spared).status, SCSI_STATUS_GOOD);
    if (tas) {
        assert_int_equal(rig_end(victim).status, SCSI_STATUS_TASK_ABORTED);
        assert_int_equal(rig_cmd(r, 1, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    } else {
        assert_aborted(victim);
        assert_int_equal(rig_cmd(r, 1, TUR, NULL, 0, 0).kaq, SCSI_KAQ(6, 0x2f, 0x00));
    }
    assert_int_equal(rig_cmd(r, 2, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    rig_free(r);
}

static void test_preempt(void **state)
{
    (void)state;
    preempt(false, 1);
    preempt(false, 3);
    preempt(true, 1);
    preempt(true, 3);
}

/* Its own nexus goes while another lane is at work for it: whose tasks were aborted is told. */
static void test_preempt_is_aborted(void **state)
{
    (void)state;
    struct rig *r = make(2, 2);
    struct rig_task *victim = hold(r, 1, 1, SCSI_WANT_DATA), *self = hold(r, 0, 1, SCSI_WANT_DATA);
    abort_whose = r->nexus[1]->home.seats[0]->itl;
    went_on = 0;
    self->t.step = abort_step;
    self->t.flags |= SCSI_TF_EXCLUSIVE;
    scsi_task_resume(&self->t, 0); /* the other lane is not polled yet */
    assert_int_equal(self->t.want, SCSI_WANT_WAIT);
    scsi_nexus_abort(r->nexus[0], UINT64_MAX);
    assert_int_equal(self->t.want, SCSI_WANT_WAIT);
    rig_pump(r);
    assert_aborted(victim);
    assert_aborted(self);
    assert_int_equal(went_on, 0);
    r->stop_at = 0;
    assert_int_equal(rig_cmd(r, 1, TUR, NULL, 0, 0).kaq, SCSI_KAQ(6, 0x2f, 0x00));
    assert_int_equal(rig_cmd(r, 0, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_abort_task_at_once),
        cmocka_unit_test(test_abort_task_in_io),
        cmocka_unit_test(test_abort_task_twice),
        cmocka_unit_test(test_abort_dormant),
        cmocka_unit_test(test_abort_waiting_for_gate),
        cmocka_unit_test(test_abort_task_set),
        cmocka_unit_test(test_clear_task_set),
        cmocka_unit_test(test_clear_aca_aborts_its_task),
        cmocka_unit_test(test_lu_reset_one_lane),
        cmocka_unit_test(test_lu_reset_many_lanes),
        cmocka_unit_test(test_lu_reset_twice),
        cmocka_unit_test(test_nexus_reset),
        cmocka_unit_test(test_queries),
        cmocka_unit_test(test_query_event_waits_for_gate),
        cmocka_unit_test(test_no_lun),
        cmocka_unit_test(test_connection_lost),
        cmocka_unit_test(test_connection_lost_in_reset),
        cmocka_unit_test(test_preempt),
        cmocka_unit_test(test_preempt_is_aborted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
