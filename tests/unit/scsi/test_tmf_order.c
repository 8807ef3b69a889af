/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Task management functions of one nexus that wait for the I/O of another, and the loss of that
 * nexus, in every order, and with the lanes pulled at every point between. Whatever the order, all
 * tasks end and the unit goes on.
 */
#include "scsi_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum event { READ_ENDS, LU_RESET, NEXUS_RESET, NEXUS_ABORT, EVENTS };

struct world {
    struct rig *rig;
    struct scsi_task read, tmf[EVENTS];
    unsigned open; /* tasks that were begun and have not ended */
};

static void take(struct world *w, struct scsi_task *t)
{
    assert_true(t->want == SCSI_DONE || t->want == SCSI_ABORTED);
    scsi_task_fini(t);
    w->open--;
}

/* Hand out and poll until nothing moves, as reactors do. */
static void pull(struct world *w)
{
    struct rig_unit *u = &w->rig->units[0];
    for (bool moved = true; moved;) {
        uint64_t kicks = scsi_lu_take_kicks(u->lu);
        moved = kicks != 0;
        for (unsigned i = 0; i < w->rig->lane_count; i++) {
            if (kicks >> i & 1)
                scsi_lane_poll(u->lanes[i]);
            for (struct scsi_task *t; (t = scsi_lane_next(u->lanes[i])); moved = true)
                take(w, t);
        }
    }
}

static void begin(struct world *w, struct scsi_task *t, unsigned initiator, enum scsi_tmf tmf,
                  const uint8_t *cdb)
{
    *t = (struct scsi_task){ .nexus = w->rig->nexus[initiator],
                             .tmf = (uint8_t)tmf,
                             .cdb = cdb,
                             .cdb_len = 16,
                             .attr = SCSI_ATTR_SIMPLE,
                             .tag = (uint64_t)tmf + 1,
                             .in_expected = 512 };
    w->open++;
    scsi_task_start(t);
}

static void happen(struct world *w, enum event e)
{
    switch (e) {
    case READ_ENDS:
        scsi_task_resume(&w->read, 0);
        take(w, &w->read);
        return;
    case LU_RESET:
    case NEXUS_RESET:
        begin(w, &w->tmf[e], 0,
              e == LU_RESET ? SCSI_TMF_LOGICAL_UNIT_RESET : SCSI_TMF_I_T_NEXUS_RESET, NULL);
        if (w->tmf[e].want == SCSI_DONE)
            take(w, &w->tmf[e]);
        else
            assert_int_equal(w->tmf[e].want, SCSI_WANT_WAIT);
        return;
    case NEXUS_ABORT:
        scsi_nexus_abort(w->rig->nexus[0], UINT64_MAX);
        return;
    case EVENTS:
        break;
    }
    fail();
}

static void run(const enum event order[EVENTS], unsigned pulls, unsigned lanes)
{
    static const uint8_t read_1[16] = { 0x28, [8] = 1 };
    struct world w = { .rig = rig_new(&(struct rig_config){ .initiators = 2, .lanes = lanes }) };
    rig_clear_ua(w.rig);
    begin(&w, &w.read, 1, SCSI_TMF_NONE, read_1);
    assert_int_equal(w.read.want, SCSI_WANT_IO);
    for (unsigned i = 0; i < EVENTS; i++) {
        happen(&w, order[i]);
        if (pulls >> i & 1)
            pull(&w);
    }
    pull(&w);
    if (w.open != 0)
        print_error("order %u %u %u %u, pulls %x, %u lanes\n", order[0], order[1], order[2],
                    order[3], pulls, lanes);
    assert_int_equal(w.open, 0);
    assert_int_equal(scsi_nexus_tasks(w.rig->nexus[0]), 0);
    assert_int_equal(scsi_nexus_tasks(w.rig->nexus[1]), 0);
    /* Both are told of what was done, and can go on. */
    rig_clear_ua(w.rig);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(rig_cmd(w.rig, i, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), NULL, 0, 512).status,
                         SCSI_STATUS_GOOD);
    rig_free(w.rig);
}

static void every_order(enum event order[EVENTS], unsigned done, unsigned lanes)
{
    if (done == EVENTS) {
        for (unsigned pulls = 0; pulls < 1u << EVENTS; pulls++)
            run(order, pulls, lanes);
        return;
    }
    for (unsigned i = done; i < EVENTS; i++) {
        enum event first = order[done];
        order[done] = order[i];
        order[i] = first;
        every_order(order, done + 1, lanes);
        order[i] = order[done];
        order[done] = first;
    }
}

static void test_one_lane(void **state)
{
    (void)state;
    enum event order[EVENTS] = { READ_ENDS, LU_RESET, NEXUS_RESET, NEXUS_ABORT };
    every_order(order, 0, 1);
}

static void test_two_lanes(void **state)
{
    (void)state;
    enum event order[EVENTS] = { READ_ENDS, LU_RESET, NEXUS_RESET, NEXUS_ABORT };
    every_order(order, 0, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_lane),
        cmocka_unit_test(test_two_lanes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
