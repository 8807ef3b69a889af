/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sections and the gate: contention step by step, and with threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc_heap.h"
#include "base/bytes.h"
#include "scsi/background.h"
#include "scsi/lane.h"
#include "scsi/mode.h"
#include "scsi/reply.h"
#include "scsi/step.h"
#include "scsi/task.h"
#include "scsi_rig.h"

#include <assert.h>
#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#define READ_1   CDB(0x28, 0, 0, 0, 0, 5, 0, 0, 1, 0)
#define RESERVE6 CDB(0x16)
#define RELEASE6 CDB(0x17)
#define TUR      CDB(0x00)

static struct rig *make(unsigned lanes)
{
    struct rig *r = rig_new(&(struct rig_config){ .initiators = lanes, .lanes = lanes });
    rig_clear_ua(r);
    return r;
}

static unsigned gate(const struct rig *r)
{
    return atomic_load(&r->units[0].lu->gate);
}

static struct rig_task *start_read(struct rig *r, unsigned initiator)
{
    return rig_start(r, initiator, SCSI_ATTR_SIMPLE, 0, READ_1, NULL, 0, 512);
}

static struct rig_task *start_exclusive(struct rig *r, unsigned initiator)
{
    return rig_start(r, initiator, SCSI_ATTR_SIMPLE, 0, RELEASE6, NULL, 0, 0);
}

/* An exclusive command waits for those inside, on its own lane too, and keeps later ones out. */
static void exclusive_waits(unsigned reader, unsigned lanes)
{
    struct rig *r = make(lanes);
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *inside = start_read(r, reader);
    struct rig_task *excl = start_exclusive(r, 0);
    assert_int_equal(inside->t.want, SCSI_WANT_IO);
    assert_int_equal(excl->t.want, SCSI_WANT_WAIT);
    assert_int_equal(gate(r), 1);
    struct rig_task *late[2] = { start_read(r, 0), start_read(r, lanes - 1) };
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(late[i]->t.want, SCSI_WANT_WAIT);
    /* a command without a section is not held up */
    struct rig_result res = rig_cmd(r, 0, CDB(0x12, 0, 0, 0, 96), NULL, 0, 96);
    assert_int_equal(res.status, SCSI_STATUS_GOOD);
    rig_go(inside);
    assert_int_equal(rig_end(excl).status, SCSI_STATUS_GOOD);
    assert_int_equal(gate(r), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(late[i]->t.want, SCSI_WANT_IO);
        rig_go(late[i]);
        assert_int_equal(rig_end(late[i]).status, SCSI_STATUS_GOOD);
    }
    assert_int_equal(rig_end(inside).status, SCSI_STATUS_GOOD);
    rig_free(r);
}

static void test_exclusive_waits(void **state)
{
    (void)state;
    exclusive_waits(0, 1);
    exclusive_waits(0, 2);
    exclusive_waits(1, 2);
}

/* Several want the gate: one after the other, nobody is forgotten. */
static void test_exclusive_queue(void **state)
{
    (void)state;
    struct rig *r = make(3);
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *inside = start_read(r, 2);
    struct rig_task *e[6];
    for (unsigned i = 0; i < 6; i++)
        e[i] = start_exclusive(r, i % 3);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(e[i]->t.want, SCSI_WANT_WAIT);
    rig_go(inside);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(rig_end(e[i]).status, SCSI_STATUS_GOOD);
    assert_int_equal(rig_end(inside).status, SCSI_STATUS_GOOD);
    assert_int_equal(gate(r), 0);
    rig_free(r);
}

/* While data-out comes, or memory is waited for, the gate is open. */
static void test_gate_open_while_waiting(void **state)
{
    (void)state;
    struct rig *r = make(2);
    uint8_t list[16] = { 0, 0, 0, 0, 0x0a, 0x0a, 0x24, 0x10 };
    r->stop_at = 1u << SCSI_WANT_DATA;
    struct rig_task *sel =
        rig_start(r, 0, SCSI_ATTR_SIMPLE, 1, CDB(0x15, 0x10, 0, 0, 16), list, 16, 0);
    assert_int_equal(sel->t.want, SCSI_WANT_DATA);
    assert_int_equal(gate(r), 0);
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *rd = start_read(r, 1);
    assert_int_equal(rd->t.want, SCSI_WANT_IO);
    rig_go(sel); /* and has to wait for it now */
    assert_int_equal(sel->t.want, SCSI_WANT_WAIT);
    rig_go(rd);
    assert_int_equal(rig_end(sel).status, SCSI_STATUS_GOOD);
    (void)rig_end(rd);
    assert_true(scsi_mode_d_sense(r->units[0].lu));

    r->stop_at = 1u << SCSI_WANT_BUF;
    struct rig_task *log =
        rig_start(r, 0, SCSI_ATTR_SIMPLE, 1, CDB(0x4d, 0, 0x40, 0, 0, 0, 0, 0, 64), NULL, 0, 64);
    assert_int_equal(log->t.want, SCSI_WANT_BUF);
    assert_int_equal(gate(r), 0);
    rig_go(log);
    assert_int_equal(rig_end(log).status, SCSI_STATUS_GOOD);
    rig_free(r);
}

/* ---- steps that a handler can ask for ---- */

static unsigned steps;

static void step_good(struct scsi_task *t, int err)
{
    assert_int_equal(err, 0);
    assert_true(t->flags & SCSI_TF_GATE);
    steps++;
    scsi_good(t);
}

static void step_exclusive(struct scsi_task *t, int err)
{
    (void)err;
    assert_true(t->flags & SCSI_TF_INSIDE);
    scsi_want_exclusive(t, step_good);
}

static void test_want_exclusive(void **state)
{
    (void)state;
    struct rig *r = make(2);
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *rd = start_read(r, 1), *t = start_read(r, 0);
    t->t.step = step_exclusive;
    steps = 0;
    rig_go(t);
    assert_int_equal(t->t.want, SCSI_WANT_WAIT);
    assert_int_equal(steps, 0);
    rig_go(rd);
    assert_int_equal(steps, 1);
    assert_int_equal(rig_end(t).status, SCSI_STATUS_GOOD);
    (void)rig_end(rd);
    rig_free(r);
}

static struct list sleepers;

static void step_inside(struct scsi_task *t, int err)
{
    assert_int_equal(err, 0);
    assert_true(t->flags & SCSI_TF_INSIDE);
    steps++;
    scsi_good(t);
}

static void step_sleep(struct scsi_task *t, int err)
{
    (void)err;
    scsi_want_wake(t, &sleepers, step_inside);
}

static void test_want_wake(void **state)
{
    (void)state;
    struct rig *r = make(1);
    list_init(&sleepers);
    steps = 0;
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *a = start_read(r, 0), *b = start_read(r, 0);
    b->t.tag = 77;
    a->t.step = b->t.step = step_sleep;
    rig_go(a);
    rig_go(b);
    assert_int_equal(a->t.want, SCSI_WANT_WAIT);
    assert_int_equal(rig_cmd(r, 0, RELEASE6, NULL, 0, 0).status, SCSI_STATUS_GOOD); /* not inside */
    assert_int_equal(rig_tmf(r, 0, SCSI_TMF_ABORT_TASK, 77).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    assert_true(rig_end(b).aborted);
    scsi_wake(&a->t);
    assert_true(list_empty(&sleepers));
    rig_pump(r);
    assert_int_equal(steps, 1);
    assert_int_equal(rig_end(a).status, SCSI_STATUS_GOOD);
    rig_free(r);
}

static struct scsi_itl *other_itl;

static void step_section(struct scsi_task *t, int err)
{
    (void)err;
    scsi_want_section(t, other_itl, step_inside);
}

static void test_want_section(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ .units = 2, .initiators = 2, .lanes = 2 });
    rig_clear_ua(r);
    steps = 0;
    /* unit 1 is closed by a command of the other lane that waits for one of its own lane */
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *t = start_read(r, 0);
    assert_int_equal(scsi_lane_lock(r->units[1].lanes[1]), 0);
    other_itl = r->nexus[0]->home.seats[1]->itl;
    t->t.step = step_section;
    rig_go(t);
    assert_int_equal(t->t.want, SCSI_WANT_WAIT);
    assert_int_equal(rig_cmd(r, 0, RELEASE6, NULL, 0, 0).status,
                     SCSI_STATUS_GOOD); /* unit 0 is left */
    scsi_lane_unlock(r->units[1].lanes[1]);
    rig_pump(r);
    assert_int_equal(steps, 1);
    assert_int_equal(rig_end(t).status, SCSI_STATUS_GOOD);
    assert_int_equal(atomic_load(&r->units[1].lanes[0]->inside), 0);
    rig_free(r);
}

/* ---- calls of the owner ---- */

static void test_lock(void **state)
{
    (void)state;
    struct rig *r = make(2);
    struct scsi_lane *lane = r->units[0].lanes[0];
    assert_int_equal(scsi_lane_lock(lane), 0);
    struct rig_task *rd = start_read(r, 1);
    assert_int_equal(rd->t.want, SCSI_WANT_WAIT);
    scsi_lane_unlock(lane);
    rig_pump(r);
    assert_int_equal(rig_end(rd).status, SCSI_STATUS_GOOD);

    r->stop_at = 1u << SCSI_WANT_IO;
    rd = start_read(r, 1);
    assert_int_equal(scsi_lane_lock(lane), USAN_EAGAIN);
    assert_int_equal(scsi_lane_lock(lane), USAN_EAGAIN);
    rig_go(rd);
    (void)rig_end(rd);
    assert_int_equal(scsi_lane_lock(lane), 0);
    scsi_lane_unlock(lane);
    rig_free(r);
}

/* The lock is wanted while an exclusive command of the same lane has the gate. */
static void test_lock_behind_task(void **state)
{
    (void)state;
    struct rig *r = make(2);
    struct scsi_lane *lane = r->units[0].lanes[0];
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *rd = start_read(r, 1), *excl = start_exclusive(r, 0);
    assert_int_equal(scsi_lane_lock(lane), USAN_EAGAIN);
    rig_go(rd);
    assert_int_equal(rig_end(excl).status, SCSI_STATUS_GOOD);
    assert_int_equal(scsi_lane_lock(lane), 0);
    scsi_lane_unlock(lane);
    (void)rig_end(rd);
    assert_int_equal(gate(r), 0);
    rig_free(r);
}

static void test_resize(void **state)
{
    (void)state;
    struct rig *r = make(2);
    struct scsi_lane *lane = r->units[0].lanes[0];
    struct scsi_lu *lu = r->units[0].lu;
    assert_int_equal(scsi_lu_set_block_count(lane, 1000), 0);
    assert_int_equal(scsi_lu_config(lu)->block_count, 1000);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(rig_cmd(r, i, TUR, NULL, 0, 0).kaq, SCSI_KAQ(6, 0x2a, 9));
        assert_int_equal(rig_cmd(r, i, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    }
    /* with a command inside it takes effect when that is done, asked again or not */
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *rd = start_read(r, 1);
    assert_int_equal(scsi_lu_set_block_count(lane, 900), USAN_EAGAIN);
    assert_int_equal(lu->cfg.block_count, 1000);
    rig_go(rd);
    assert_int_equal(lu->cfg.block_count, 900);
    assert_int_equal(scsi_lu_set_block_count(lane, 900), 0);
    (void)rig_end(rd);
    assert_int_equal(rig_cmd(r, 0, TUR, NULL, 0, 0).kaq, SCSI_KAQ(6, 0x2a, 9));
    assert_int_equal(rig_cmd(r, 0, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    rig_free(r);
}

/* A nexus that comes and goes while the gate is closed. */
static void test_nexus_while_closed(void **state)
{
    (void)state;
    struct rig *r = make(2);
    struct scsi_lu *lu = r->units[0].lu;
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *rd = start_read(r, 1), *excl = start_exclusive(r, 1);
    assert_int_equal(excl->t.want, SCSI_WANT_WAIT);
    unsigned n = rig_add_initiator(r); /* on lane 0 */
    assert_false(r->nexus[n]->home.seats[0]->itl->attached);
    struct rig_task *t = rig_start(r, n, SCSI_ATTR_SIMPLE, 1, TUR, NULL, 0, 0);
    assert_int_equal(t->t.want, SCSI_WANT_WAIT);
    unsigned gone = rig_add_initiator(r); /* on lane 1 */
    scsi_nexus_free(r->nexus[gone]);
    r->nexus[gone] = NULL;
    rig_go(rd);
    assert_int_equal(rig_end(excl).status, SCSI_STATUS_GOOD);
    assert_true(r->nexus[n]->home.seats[0]->itl->attached);
    assert_int_equal(rig_end(t).kaq, SCSI_KAQ(6, 0x29, 0x00));
    unsigned count = 0;
    list_for_each (&lu->itls, pos)
        count++;
    assert_int_equal(count, 3);
    (void)rig_end(rd);
    rig_free(r);
}

/* ---- threads: readers, writers of shared state, and nexuses that come and go ---- */

enum { THREADS = 2, ROUNDS = 20000 };

struct shared {
    struct scsi_lu *lu;
    struct scsi_lane *lanes[THREADS];
    pthread_barrier_t barrier;
    unsigned stop;
    unsigned a, b; /* equal, but to one who holds the gate */
};

struct worker {
    struct shared *shared;
    unsigned index;
    struct scsi_nexus *nexus;
    unsigned good, conflicts, other, changes;
    scsi_step *after_io; /* instead of the handler's step */
    uint8_t buf[4096], out[4096];
    struct iovec iov, out_iov;
};

static struct scsi_nexus *worker_nexus(const struct worker *w, unsigned n)
{
    struct scsi_nexus_config cfg = {
        .initiator_port = w->index ? "iqn.b,i,0x1" : "iqn.a,i,0x1",
        .target_port = "iqn.t,t,0x1",
        .target_device = "iqn.t",
        .rel_target_port = (uint16_t)(1 + n % 2),
        .protocol_id = 5,
    };
    return scsi_nexus_new(&cfg, &alloc_heap);
}

/* In threads plain assertions: cmocka's know one thread only. */

/* What the section promises: nobody changes anything meanwhile. */
static void look(struct scsi_task *t, int err)
{
    const struct worker *w = t->user;
    assert(err == 0 && (t->flags & SCSI_TF_INSIDE));
    for (unsigned i = 0; i < 20; i++)
        assert(w->shared->a == w->shared->b);
    scsi_good(t);
}

static void change(struct scsi_task *t, int err)
{
    struct worker *w = t->user;
    assert(err == 0 && (t->flags & SCSI_TF_GATE));
    w->shared->a++;
    __asm__ volatile("" ::: "memory");
    w->shared->b++;
    w->changes++;
    scsi_good(t);
}

static void change_late(struct scsi_task *t, int err)
{
    (void)err;
    scsi_want_exclusive(t, change);
}

/* All that a reactor does between tasks. The other thread polls by itself. */
static void worker_poll(struct worker *w)
{
    (void)scsi_lu_take_kicks(w->shared->lu);
    scsi_lane_poll(w->shared->lanes[w->index]);
}

static void worker_give(struct worker *w, struct scsi_task *t)
{
    switch (t->want) {
    case SCSI_WANT_BUF:
        assert(t->want_len <= sizeof w->buf);
        t->buf = w->buf;
        t->buf_len = sizeof w->buf;
        scsi_task_resume(t, 0);
        return;
    case SCSI_WANT_DATA:
        w->out_iov = (struct iovec){ w->out, t->want_len };
        t->out = &w->out_iov;
        t->out_cnt = 1;
        scsi_task_resume(t, 0);
        return;
    case SCSI_WANT_IO:
        w->iov = (struct iovec){ w->buf, t->bio.len };
        t->bio.iov = &w->iov;
        t->bio.iovcnt = 1;
        t->step = w->after_io;
        scsi_task_resume(t, 0);
        return;
    case SCSI_WANT_SAVE: {
        uint8_t state[8192];
        assert(scsi_lu_state(w->shared->lu, state, sizeof state) <= sizeof state);
        scsi_task_resume(t, 0);
        return;
    }
    case SCSI_WANT_WAIT: {
        worker_poll(w);
        struct scsi_task *next = scsi_lane_next(w->shared->lanes[w->index]);
        assert(next == NULL || next == t);
        return;
    }
    case SCSI_DONE:
    case SCSI_ABORTED:
        return;
    }
}

static void worker_run(struct worker *w, const uint8_t *cdb, size_t cdb_len, size_t out_len,
                       uint8_t tmf)
{
    struct scsi_task t;
    t.nexus = w->nexus;
    t.lun = 0;
    t.cdb = cdb;
    t.cdb_len = (uint16_t)cdb_len;
    t.attr = SCSI_ATTR_SIMPLE;
    t.priority = 0;
    t.tmf = tmf;
    t.tag = t.ref_tag = 1;
    t.user = w;
    t.out_expected = out_len;
    t.in_expected = sizeof w->buf;
    scsi_task_start(&t);
    while (t.want != SCSI_DONE && t.want != SCSI_ABORTED)
        worker_give(w, &t);
    bool aborted = t.want == SCSI_ABORTED;
    uint8_t status = t.status;
    scsi_task_fini(&t);
    if (aborted)
        w->other++;
    else if (status == SCSI_STATUS_GOOD)
        w->good++;
    else if (status == SCSI_STATUS_RESERVATION_CONFLICT)
        w->conflicts++;
    else
        w->other++; /* unit attentions */
}

static void worker_round(struct worker *w, unsigned i)
{
    struct shared *s = w->shared;
    switch (i % 64) {
    case 7: /* exclusive from the start */
        worker_run(w, RESERVE6, 0, 0);
        worker_run(w, RELEASE6, 0, 0);
        break;
    case 19: { /* exclusive with data: swap D_SENSE; tells the other nexus */
        memcpy(w->out, ((uint8_t[]){ 0, 0, 0, 0, 0x0a, 0x0a, 0x20, 0x10, 0, 0, 0, 0, 0, 0, 0, 0 }),
               16);
        w->out[6] |= (i & 64) ? 0x04 : 0;
        worker_run(w, CDB(0x15, 0x11, 0, 0, 16), 16, 0);
        break;
    }
    case 30:
        worker_run(w, CDB(0x4d, 0, 0x40 | 0x19, 0, 0, 0, 0, 0, 128), 0, 0);
        break;
    case 41: { /* the nexus goes and another one comes */
        scsi_nexus_free(w->nexus);
        w->nexus = worker_nexus(w, i);
        assert(w->nexus != NULL);
        int err = scsi_nexus_map(w->nexus, 0, s->lanes[w->index], false);
        assert(err == 0);
        (void)err;
        break;
    }
    case 53:
        if (i % 512 == 53)
            worker_run(w, TUR, 0, SCSI_TMF_LOGICAL_UNIT_RESET);
        break;
    default:
        w->after_io = i % 16 == 3 ? change_late : look;
        worker_run(w, READ_1, 0, 0);
        break;
    }
    worker_poll(w);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct shared *s = w->shared;
    (void)pthread_barrier_wait(&s->barrier);
    for (unsigned i = 0; i < ROUNDS; i++)
        worker_round(w, i);
    scsi_nexus_free(w->nexus);
    /* The other one may still wait for an answer of this lane. */
    (void)__atomic_add_fetch(&s->stop, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&s->stop, __ATOMIC_SEQ_CST) < THREADS)
        worker_poll(w);
    worker_poll(w);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct scsi_lu_config cfg = { .vendor = "USAN",
                                  .product = "T",
                                  .revision = "1",
                                  .serial = "1",
                                  .naa = { 0x60 },
                                  .naa_len = 16,
                                  .block_bytes = 512,
                                  .block_count = 1000 };
    struct shared s = { .lu = scsi_lu_new(&cfg, &alloc_heap) };
    struct worker w[THREADS];
    pthread_t threads[THREADS];
    memset(w, 0, sizeof w);
    assert_non_null(s.lu);
    assert_int_equal(pthread_barrier_init(&s.barrier, NULL, THREADS), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        s.lanes[i] = scsi_lane_new(s.lu, i * 7);
        assert_non_null(s.lanes[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        w[i].shared = &s;
        w[i].index = i;
        w[i].nexus = worker_nexus(&w[i], 0);
        assert_non_null(w[i].nexus);
        assert_int_equal(scsi_nexus_map(w[i].nexus, 0, s.lanes[i], false), 0);
        assert_int_equal(pthread_create(&threads[i], NULL, worker_main, &w[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_true(w[i].good > ROUNDS / 4);
    assert_int_equal(s.a, w[0].changes + w[1].changes);
    assert_int_equal(s.b, s.a);
    for (unsigned i = 0; i < THREADS; i++)
        scsi_lane_poll(s.lanes[i]);
    assert_int_equal(atomic_load(&s.lu->gate), 0);
    assert_true(list_empty(&s.lu->itls));
    for (unsigned i = 0; i < THREADS; i++)
        scsi_lane_free(s.lanes[i]);
    scsi_lu_free(s.lu);
    (void)pthread_barrier_destroy(&s.barrier);
}

static void bg_finish(struct scsi_task *t, int err)
{
    assert_int_equal(err, 0);
    assert_true(t->flags & SCSI_TF_GATE);
    steps++;
    scsi_good(t);
}

static void bg_first(struct scsi_task *t, int err)
{
    assert_int_equal(err, 0);
    scsi_want_exclusive(t, bg_finish);
}

/* A background task takes the gate like any other, and outlives its initiator. */
static void test_background(void **state)
{
    (void)state;
    struct rig *r = make(2);
    steps = 0;
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *rd = start_read(r, 1);
    assert_non_null(scsi_background_new(r->units[0].lanes[0], bg_first));
    rig_pump(r);
    assert_int_equal(steps, 0);
    assert_int_equal(gate(r), 1);
    rig_go(rd);
    assert_int_equal(steps, 1);
    assert_int_equal(gate(r), 0);
    (void)rig_end(rd);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exclusive_waits),
        cmocka_unit_test(test_exclusive_queue),
        cmocka_unit_test(test_gate_open_while_waiting),
        cmocka_unit_test(test_want_exclusive),
        cmocka_unit_test(test_want_wake),
        cmocka_unit_test(test_want_section),
        cmocka_unit_test(test_background),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_lock_behind_task),
        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_nexus_while_closed),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
