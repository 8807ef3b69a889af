/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tasks of a logical unit's own; see background.h and "Background tasks" in scsi.h. */
#include "scsi/background.h"

#include "scsi/itl.h"

#include <assert.h>

struct background {
    struct scsi_task task; /* first: freed through it */
    struct scsi_itl itl;   /* names lane and LU; in none of their lists */
};

struct scsi_task *scsi_background_new(struct scsi_lane *lane, scsi_step *first)
{
    struct scsi_lu *lu = lane->lu;
    struct background *b = alloc_zero(lu->a, sizeof *b);

    if (!b)
        return NULL;
    b->itl.lu = lu;
    list_init(&b->itl.lu_node);
    scsi_seat_init(&b->itl.home, &b->itl, NULL, lane);

    struct scsi_task *t = &b->task;
    t->flags = SCSI_TF_BACKGROUND | SCSI_TF_STARTED;
    t->itl = &b->itl;
    t->seat = t->in_section = &b->itl.home;
    t->io_lu = lu;
    t->out_off = UINT64_MAX;
    t->step = first;
    t->want = SCSI_WANT_WAIT;
    list_init(&t->node);
    list_init(&t->lane_node);
    scsi_lane_ready(lane, t);
    return t;
}

void scsi_background_fini(struct scsi_task *t)
{
    assert(t->flags & SCSI_TF_BACKGROUND);
    alloc_put(scsi_task_lu(t)->a, (struct background *)(void *)t);
}
