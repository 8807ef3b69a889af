/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An I_T nexus on several lanes: one task set, one queue of unit attentions, and task management
 * that reaches all of it. First step by step, then with a thread for each lane. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "scsi/lu.h"
#include "scsi/ua.h"
#include "scsi_rig.h"

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#define READ_1   CDB(0x28, 0, 0, 0, 0, 5, 0, 0, 1, 0)
#define READ_ACA CDB(0x28, 0, 0, 0, 0, 5, 0, 0, 1, 4)    /* NACA = 1 */
#define BAD_ACA  CDB(0x28, 0xff, 0, 0, 0, 5, 0, 0, 1, 4) /* and a field that is not there */
#define TUR      CDB(0x00)

enum { HOME, OTHER_INITIATOR, BRANCH };

/* Initiator 0 on lanes 0 (number HOME) and 1 (number BRANCH); another one on lane 1. */
static struct rig *make(void)
{
    struct rig *r = rig_new(&(struct rig_config){ .initiators = 2, .lanes = 2, .units = 2 });
    assert_int_equal(rig_add_branch(r, HOME, 1), BRANCH);
    rig_clear_ua(r);
    r->stop_at = 1u << SCSI_WANT_IO;
    return r;
}

static struct rig_task *begin_read(struct rig *r, unsigned who, enum scsi_attr attr, uint64_t tag)
{
    return rig_start(r, who, attr, tag, READ_1, NULL, 0, 512);
}

static bool runs(const struct rig_task *rt)
{
    return rt->t.want == SCSI_WANT_IO;
}

static void finish(struct rig_task *rt)
{
    rig_go(rt);
    assert_int_equal(rig_end(rt).status, SCSI_STATUS_GOOD);
}

/* ---- the task set (SAM-6 clause 8) ---- */

static void simple_tasks_run_freely(void **state)
{
    (void)state;
    struct rig *r = make();
    struct rig_task *t[6];
    for (unsigned i = 0; i < 6; i++) {
        t[i] = begin_read(r, i % 2 ? HOME : BRANCH, SCSI_ATTR_SIMPLE, i);
        assert_true(runs(t[i]));
    }
    for (unsigned i = 6; i-- > 0;)
        finish(t[i]);
    rig_free(r);
}

/* An ORDERED task waits for all older ones and is waited for by all younger ones, on both lanes. */
static void ordered(unsigned who, unsigned other)
{
    struct rig *r = make();
    struct rig_task *older[2] = { begin_read(r, who, SCSI_ATTR_SIMPLE, 1),
                                  begin_read(r, other, SCSI_ATTR_SIMPLE, 2) };
    struct rig_task *o = begin_read(r, who, SCSI_ATTR_ORDERED, 3);
    struct rig_task *younger[2] = { begin_read(r, who, SCSI_ATTR_SIMPLE, 4),
                                    begin_read(r, other, SCSI_ATTR_SIMPLE, 5) };
    /* those of another nexus are not concerned */
    finish(begin_read(r, OTHER_INITIATOR, SCSI_ATTR_SIMPLE, 1));
    assert_int_equal(o->t.want, SCSI_WANT_WAIT);
    finish(older[0]);
    assert_int_equal(o->t.want, SCSI_WANT_WAIT);
    finish(older[1]);
    assert_true(runs(o));
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(younger[i]->t.want, SCSI_WANT_WAIT);
    finish(o);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(runs(younger[i]));
        finish(younger[i]);
    }
    rig_free(r);
}

static void ordered_waits_on_all_lanes(void **state)
{
    (void)state;
    ordered(HOME, BRANCH);
    ordered(BRANCH, HOME);
}

/* Two of them, one on each lane, run in the order they came. */
static void two_ordered(void **state)
{
    (void)state;
    struct rig *r = make();
    struct rig_task *s = begin_read(r, BRANCH, SCSI_ATTR_SIMPLE, 1);
    struct rig_task *first = begin_read(r, HOME, SCSI_ATTR_ORDERED, 2);
    struct rig_task *second = begin_read(r, BRANCH, SCSI_ATTR_ORDERED, 3);
    struct rig_task *last = begin_read(r, HOME, SCSI_ATTR_SIMPLE, 4);
    finish(s);
    assert_true(runs(first));
    assert_int_equal(second->t.want, SCSI_WANT_WAIT);
    finish(first);
    assert_true(runs(second));
    assert_int_equal(last->t.want, SCSI_WANT_WAIT);
    finish(second);
    assert_true(runs(last));
    finish(last);
    rig_free(r);
}

static void head_of_queue_on_another_lane(void **state)
{
    (void)state;
    struct rig *r = make();
    struct rig_task *before = begin_read(r, BRANCH, SCSI_ATTR_SIMPLE, 1);
    struct rig_task *head = begin_read(r, HOME, SCSI_ATTR_HEAD_OF_QUEUE, 2);
    assert_true(runs(before) && runs(head));
    struct rig_task *after = begin_read(r, BRANCH, SCSI_ATTR_SIMPLE, 3);
    assert_int_equal(after->t.want, SCSI_WANT_WAIT);
    finish(head);
    assert_true(runs(after));
    finish(before);
    finish(after);
    rig_free(r);
}

/* A task whose data has not come yet is in no section, but in the set. */
static void ordered_waits_for_data(void **state)
{
    (void)state;
    struct rig *r = make();
    static const uint8_t block[512];
    r->stop_at |= 1u << SCSI_WANT_DATA;
    struct rig_task *w = rig_start(r, BRANCH, SCSI_ATTR_SIMPLE, 1,
                                   CDB(0x2a, 0, 0, 0, 0, 5, 0, 0, 1, 0), block, sizeof(block), 0);
    assert_int_equal(w->t.want, SCSI_WANT_DATA);
    struct rig_task *o = begin_read(r, HOME, SCSI_ATTR_ORDERED, 2);
    assert_int_equal(o->t.want, SCSI_WANT_WAIT);
    rig_go(w);
    assert_int_equal(o->t.want, SCSI_WANT_WAIT);
    finish(w);
    assert_true(runs(o));
    finish(o);
    rig_free(r);
}

/* What was in the set when the nexus became shared counts too, in the order it came. */
static void shared_with_tasks_in_the_set(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ .initiators = 1, .lanes = 2 });
    rig_clear_ua(r);
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *s = begin_read(r, 0, SCSI_ATTR_SIMPLE, 1);
    struct rig_task *o = begin_read(r, 0, SCSI_ATTR_ORDERED, 2);
    unsigned branch = rig_add_branch(r, 0, 1);
    struct rig_task *late = begin_read(r, branch, SCSI_ATTR_SIMPLE, 3);
    assert_int_equal(o->t.want, SCSI_WANT_WAIT);
    assert_int_equal(late->t.want, SCSI_WANT_WAIT);
    finish(s);
    assert_true(runs(o));
    assert_int_equal(late->t.want, SCSI_WANT_WAIT);
    finish(o);
    assert_true(runs(late));
    finish(late);
    rig_free(r);
}

/* SAM-6 5.9: ACA holds the tasks of all lanes, and CLEAR ACA on any of them lets them go on. */
static void aca_holds_all_lanes(void **state)
{
    (void)state;
    struct rig *r = make();
    r->stop_at |= 1u << SCSI_WANT_DATA;
    static const uint8_t block[512];
    struct rig_task *held = rig_start(r, BRANCH, SCSI_ATTR_SIMPLE, 1,
                                      CDB(0x2a, 0, 0, 0, 0, 5, 0, 0, 1, 0), block, 512, 0);
    assert_int_equal(held->t.want, SCSI_WANT_DATA);
    struct rig_task *bad = rig_start(r, HOME, SCSI_ATTR_SIMPLE, 2, BAD_ACA, NULL, 0, 512);
    assert_int_equal(rig_end(bad).status, SCSI_STATUS_CHECK_CONDITION);
    struct rig_task *refused = begin_read(r, BRANCH, SCSI_ATTR_SIMPLE, 3);
    assert_int_equal(rig_end(refused).status, SCSI_STATUS_ACA_ACTIVE);
    rig_go(held);
    assert_int_equal(held->t.want, SCSI_WANT_WAIT);
    /* one task with the ACA attribute, wherever */
    struct rig_task *aca = rig_start(r, BRANCH, SCSI_ATTR_ACA, 4, READ_ACA, NULL, 0, 512);
    assert_true(runs(aca));
    struct rig_task *second = rig_start(r, HOME, SCSI_ATTR_ACA, 5, READ_ACA, NULL, 0, 512);
    assert_int_equal(rig_end(second).status, SCSI_STATUS_ACA_ACTIVE);
    struct rig_task *clear = rig_start_tmf(r, HOME, SCSI_TMF_CLEAR_ACA, 0);
    assert_int_equal(clear->t.want, SCSI_WANT_WAIT); /* the task has I/O under way */
    rig_go(aca);
    assert_true(rig_end(aca).aborted);
    assert_int_equal(rig_end(clear).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    assert_true(runs(held));
    finish(held);
    rig_free(r);
}

/* ---- unit attentions ---- */

static void unit_attention_is_taken_once(void **state)
{
    (void)state;
    struct rig *r = make();
    struct scsi_itl *itl = r->nexus[HOME]->home.seats[0]->itl;
    scsi_ua_add(itl, UA_CAPACITY_CHANGED);
    scsi_ua_add(itl, UA_MODE_PARAMETERS_CHANGED);
    assert_int_equal(rig_cmd(r, BRANCH, TUR, NULL, 0, 0).kaq & 0xffff, UA_CAPACITY_CHANGED);
    assert_int_equal(rig_cmd(r, HOME, TUR, NULL, 0, 0).kaq & 0xffff, UA_MODE_PARAMETERS_CHANGED);
    assert_int_equal(rig_cmd(r, BRANCH, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    scsi_ua_add(itl, UA_BUS_DEVICE_RESET);
    assert_int_equal(rig_cmd(r, HOME, TUR, NULL, 0, 0).kaq & 0xffff, UA_BUS_DEVICE_RESET);
    assert_int_equal(rig_cmd(r, BRANCH, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    rig_free(r);
}

/* A reservation belongs to the nexus, whatever the lane it was made on. */
static void reservation_is_the_nexus_s(void **state)
{
    (void)state;
    struct rig *r = make();
    r->stop_at = 0;
    assert_int_equal(rig_cmd(r, BRANCH, CDB(0x16), NULL, 0, 0).status, SCSI_STATUS_GOOD);
    assert_int_equal(rig_cmd(r, HOME, READ_1, NULL, 0, 512).status, SCSI_STATUS_GOOD);
    assert_int_equal(rig_cmd(r, OTHER_INITIATOR, READ_1, NULL, 0, 512).status,
                     SCSI_STATUS_RESERVATION_CONFLICT);
    assert_int_equal(rig_cmd(r, HOME, CDB(0x17), NULL, 0, 0).status, SCSI_STATUS_GOOD);
    assert_int_equal(rig_cmd(r, OTHER_INITIATOR, READ_1, NULL, 0, 512).status, SCSI_STATUS_GOOD);
    rig_free(r);
}

/* ---- task management (SAM-6 clause 7) ---- */

static void abort_task_on_another_lane(void **state)
{
    (void)state;
    struct rig *r = make();
    struct rig_task *victim = begin_read(r, BRANCH, SCSI_ATTR_SIMPLE, 7);
    struct rig_task *bystander = begin_read(r, BRANCH, SCSI_ATTR_SIMPLE, 8);
    struct rig_task *tmf = rig_start_tmf(r, HOME, SCSI_TMF_ABORT_TASK, 7);
    assert_int_equal(tmf->t.want, SCSI_WANT_WAIT);
    /* The turn is taken: a second one waits for it, and then finds nothing. */
    struct rig_task *again = rig_start_tmf(r, HOME, SCSI_TMF_ABORT_TASK, 9);
    assert_int_equal(again->t.want, SCSI_WANT_WAIT);
    rig_go(victim);
    assert_true(rig_end(victim).aborted);
    assert_int_equal(rig_end(tmf).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    assert_int_equal(rig_end(again).tmf_rsp, SCSI_TMF_RSP_NO_TASK);
    finish(bystander);
    rig_free(r);
}

static void abort_sets(enum scsi_tmf tmf)
{
    struct rig *r = make();
    struct rig_task *on_home = begin_read(r, HOME, SCSI_ATTR_SIMPLE, 1);
    struct rig_task *on_branch = begin_read(r, BRANCH, SCSI_ATTR_SIMPLE, 2);
    struct rig_task *waits = begin_read(r, HOME, SCSI_ATTR_ORDERED, 3);
    struct rig_task *other = begin_read(r, OTHER_INITIATOR, SCSI_ATTR_SIMPLE, 1);
    struct rig_task *f = rig_start_tmf(r, BRANCH, tmf, 0);
    assert_int_equal(f->t.want, SCSI_WANT_WAIT);
    assert_true(rig_end(waits).aborted);
    /* one that comes after it lives */
    struct rig_task *later = begin_read(r, HOME, SCSI_ATTR_SIMPLE, 4);
    rig_go(on_branch);
    assert_true(rig_end(on_branch).aborted);
    assert_int_equal(f->t.want, SCSI_WANT_WAIT);
    rig_go(on_home);
    assert_true(rig_end(on_home).aborted);
    if (tmf == SCSI_TMF_I_T_NEXUS_RESET) { /* the loss is made known under the gate */
        assert_int_equal(f->t.want, SCSI_WANT_WAIT);
        assert_int_equal(later->t.want, SCSI_WANT_WAIT);
        finish(other);
        assert_int_equal(rig_end(later).kaq & 0xffff, UA_I_T_NEXUS_LOSS);
    } else {
        finish(later);
        finish(other);
    }
    assert_int_equal(rig_end(f).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    rig_free(r);
}

static void sets_are_aborted_on_all_lanes(void **state)
{
    (void)state;
    abort_sets(SCSI_TMF_ABORT_TASK_SET);
    abort_sets(SCSI_TMF_CLEAR_TASK_SET);
    abort_sets(SCSI_TMF_I_T_NEXUS_RESET);
}

static void queries_reach_all_lanes(void **state)
{
    (void)state;
    struct rig *r = make();
    assert_int_equal(rig_tmf(r, HOME, SCSI_TMF_QUERY_TASK_SET, 0).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    struct rig_task *t = begin_read(r, BRANCH, SCSI_ATTR_SIMPLE, 7);
    for (unsigned who = HOME; who <= BRANCH; who += BRANCH) {
        assert_int_equal(rig_tmf(r, who, SCSI_TMF_QUERY_TASK, 7).tmf_rsp, SCSI_TMF_RSP_SUCCEEDED);
        assert_int_equal(rig_tmf(r, who, SCSI_TMF_QUERY_TASK, 8).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
        assert_int_equal(rig_tmf(r, who, SCSI_TMF_QUERY_TASK_SET, 0).tmf_rsp,
                         SCSI_TMF_RSP_SUCCEEDED);
    }
    /* LUN 1 has its own set */
    r->lun = 1ull << 48;
    assert_int_equal(rig_tmf(r, HOME, SCSI_TMF_QUERY_TASK_SET, 0).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    finish(t);
    rig_free(r);
}

/* PREEMPT AND ABORT, resets and the like of another nexus go by the gate, to all lanes. */
static void reset_of_another_reaches_all_lanes(void **state)
{
    (void)state;
    struct rig *r = make();
    struct rig_task *t[2] = { begin_read(r, HOME, SCSI_ATTR_SIMPLE, 1),
                              begin_read(r, BRANCH, SCSI_ATTR_SIMPLE, 2) };
    struct rig_task *f = rig_start_tmf(r, OTHER_INITIATOR, SCSI_TMF_LOGICAL_UNIT_RESET, 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(f->t.want, SCSI_WANT_WAIT);
        rig_go(t[i]);
        assert_true(rig_end(t[i]).aborted);
    }
    assert_int_equal(rig_end(f).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    assert_int_equal(rig_cmd(r, BRANCH, TUR, NULL, 0, 0).kaq & 0xffff, UA_BUS_DEVICE_RESET);
    assert_int_equal(rig_cmd(r, HOME, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    rig_free(r);
}

/* The nexus goes while a function waits for the other lane. */
static void loss_while_a_function_asks(void **state)
{
    (void)state;
    struct rig *r = make();
    struct rig_task *victim = begin_read(r, BRANCH, SCSI_ATTR_SIMPLE, 7);
    struct rig_task *f = rig_start_tmf(r, HOME, SCSI_TMF_ABORT_TASK_SET, 0);
    assert_int_equal(f->t.want, SCSI_WANT_WAIT);
    scsi_nexus_abort(r->nexus[HOME], UINT64_MAX);
    rig_pump(r);
    assert_int_equal(f->t.want, SCSI_WANT_WAIT); /* until the other lane has answered */
    rig_go(victim);
    assert_true(rig_end(victim).aborted);
    assert_true(rig_end(f).aborted);
    rig_free(r);
}

/* Seats go under the gate. While somebody else has that, the branch and the nexus are gone already
 * as far as the owner knows. */
static void freed_while_the_gate_is_taken(void **state)
{
    (void)state;
    struct rig *r = make();
    struct rig_task *reader = begin_read(r, OTHER_INITIATOR, SCSI_ATTR_SIMPLE, 1);
    struct rig_task *alone =
        rig_start(r, OTHER_INITIATOR, SCSI_ATTR_SIMPLE, 2, CDB(0x17), NULL, 0, 0);
    assert_int_equal(alone->t.want, SCSI_WANT_WAIT);
    unsigned before = r->allocs;
    rig_drop_initiator(r, HOME);
    const struct list *itls = &r->units[0].lu->itls;
    assert_ptr_not_equal(itls->next, itls->prev); /* two: it is still there */
    finish(reader);
    assert_int_equal(rig_end(alone).status, SCSI_STATUS_GOOD);
    assert_ptr_equal(itls->next, itls->prev);
    assert_true(r->allocs < before);
    rig_free(r);
}

/* ---- a copy on one lane, its result on the other ---- */

static void copy_result_is_the_nexus_s(void **state)
{
    (void)state;
    struct rig *r = make();
    r->stop_at = 0;
    /* POPULATE TOKEN(10h), list identifier 5: blocks 0 to 7 */
    uint8_t list[32] = { 0, 30, [15] = 16, [27] = 8 };
    struct rig_result res = rig_cmd(r, BRANCH, CDB(0x83, 0x10, [9] = 5, [13] = 32), list, 32, 0);
    assert_int_equal(res.status, SCSI_STATUS_GOOD);
    res = rig_cmd(r, HOME, CDB(0x84, 0x07, [5] = 5, [12] = 4), NULL, 0, 1024);
    assert_int_equal(res.status, SCSI_STATUS_GOOD);
    assert_int_equal(res.in[5] & 0x7f, 0x01); /* COPY OPERATION STATUS: completed */
    rig_free(r);
}

/* ---- threads ---- */

enum { THREADS = 2, COMMANDS = 20000, OPEN_MAX = 8 };

struct shared {
    struct scsi_lu *lu;
    struct scsi_lane *lanes[THREADS];
    struct scsi_branch *branches[THREADS];
    atomic_bool kicked[THREADS];
    pthread_mutex_t starts; /* the owner's part of the contract */
    atomic_uint busy;       /* threads with open tasks, or more to begin */
    atomic_uint running, ordered;
    atomic_uint mixed; /* times an ORDERED one was in the store with another */
    atomic_uint ended;
};

struct job {
    struct scsi_task t;
    uint8_t cdb[SCSI_CDB_MAX];
    bool in_store, used;
};

struct hand {
    struct shared *s;
    unsigned lane, open;
    struct job jobs[OPEN_MAX];
};

static void look(struct hand *h, struct job *j)
{
    struct shared *s = h->s;
    struct scsi_task *t = &j->t;
    bool alone = t->attr == SCSI_ATTR_ORDERED;
    if (t->want == SCSI_WANT_IO) {
        j->in_store = true;
        unsigned others = atomic_fetch_add(&s->running, 1);
        if ((alone && others) || atomic_load(&s->ordered))
            atomic_fetch_add(&s->mixed, 1);
        atomic_fetch_add(&s->ordered, alone);
    } else if (t->want != SCSI_WANT_WAIT) {
        assert_true(t->want == SCSI_DONE || t->want == SCSI_ABORTED);
        scsi_task_fini(t);
        j->used = false;
        h->open--;
        atomic_fetch_add(&s->ended, 1);
    }
}

static void take_all(struct hand *h)
{
    struct shared *s = h->s;
    for (;;) {
        struct scsi_task *t;
        while ((t = scsi_lane_next(s->lanes[h->lane])))
            look(h, t->user);
        uint64_t kicks = scsi_lu_take_kicks(s->lu);
        for (unsigned i = 0; i < THREADS; i++) {
            if (kicks >> i & 1)
                atomic_store(&s->kicked[i], true);
        }
        if (!atomic_exchange(&s->kicked[h->lane], false))
            return;
        scsi_lane_poll(s->lanes[h->lane]);
    }
}

static void begin(struct hand *h, uint32_t x)
{
    static const uint8_t read_1[16] = { 0x28, [5] = 5, [8] = 1 };
    struct job *j = h->jobs;
    while (j->used)
        j++;
    memset(&j->t, 0, sizeof(j->t));
    j->used = true;
    j->in_store = false;
    memcpy(j->cdb, read_1, sizeof(read_1));
    j->t.cdb = j->cdb;
    j->t.cdb_len = 16;
    j->t.in_expected = 512;
    j->t.attr = x % 16 == 0 ? SCSI_ATTR_ORDERED : SCSI_ATTR_SIMPLE;
    j->t.tmf = x % 61 == 0 ? SCSI_TMF_ABORT_TASK_SET : x % 67 == 0 ? SCSI_TMF_QUERY_TASK : 0;
    j->t.tag = j->t.ref_tag = x;
    j->t.user = j;
    h->open++;
    pthread_mutex_lock(&h->s->starts);
    scsi_branch_start(h->s->branches[h->lane], &j->t);
    pthread_mutex_unlock(&h->s->starts);
    look(h, j);
    take_all(h);
}

static void end_one(struct hand *h, uint32_t x)
{
    struct job *j = &h->jobs[x % OPEN_MAX];
    if (!j->used || !j->in_store)
        return;
    j->in_store = false;
    atomic_fetch_sub(&h->s->ordered, j->t.attr == SCSI_ATTR_ORDERED);
    atomic_fetch_sub(&h->s->running, 1);
    scsi_task_resume(&j->t, 0);
    look(h, j);
    take_all(h);
}

static void *hand_works(void *arg)
{
    struct hand *h = arg;
    uint32_t x = 88172645 + h->lane;
    for (unsigned begun = 0; begun < COMMANDS || h->open;) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        if (h->open < OPEN_MAX && begun < COMMANDS && x & 1) {
            begun++;
            begin(h, x >> 1);
        } else {
            end_one(h, x >> 1);
        }
        take_all(h);
    }
    atomic_fetch_sub(&h->s->busy, 1);
    while (atomic_load(&h->s->busy)) { /* the other one may still ask */
        take_all(h);
        sched_yield();
    }
    return NULL;
}

static void threads_share_a_nexus(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ .initiators = 1, .lanes = THREADS });
    (void)rig_add_branch(r, 0, 1);
    rig_clear_ua(r);
    static struct shared s;
    static struct hand hands[THREADS];
    s = (struct shared){ .lu = r->units[0].lu };
    pthread_mutex_init(&s.starts, NULL);
    atomic_store(&s.busy, THREADS);
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        s.lanes[i] = r->units[0].lanes[i];
        s.branches[i] = i ? r->branch[1] : scsi_nexus_home(r->nexus[0]);
        hands[i] = (struct hand){ .s = &s, .lane = i };
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hand_works, &hands[i]), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&s.ended), THREADS * COMMANDS);
    assert_int_equal(atomic_load(&s.mixed), 0);
    assert_int_equal(atomic_load(&s.running), 0);
    pthread_mutex_destroy(&s.starts);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(simple_tasks_run_freely),
        cmocka_unit_test(ordered_waits_on_all_lanes),
        cmocka_unit_test(two_ordered),
        cmocka_unit_test(head_of_queue_on_another_lane),
        cmocka_unit_test(ordered_waits_for_data),
        cmocka_unit_test(shared_with_tasks_in_the_set),
        cmocka_unit_test(aca_holds_all_lanes),
        cmocka_unit_test(unit_attention_is_taken_once),
        cmocka_unit_test(reservation_is_the_nexus_s),
        cmocka_unit_test(abort_task_on_another_lane),
        cmocka_unit_test(sets_are_aborted_on_all_lanes),
        cmocka_unit_test(queries_reach_all_lanes),
        cmocka_unit_test(reset_of_another_reaches_all_lanes),
        cmocka_unit_test(loss_while_a_function_asks),
        cmocka_unit_test(freed_while_the_gate_is_taken),
        cmocka_unit_test(copy_result_is_the_nexus_s),
        cmocka_unit_test(threads_share_a_nexus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
