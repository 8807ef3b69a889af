/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The task set (SAM-6 clause 8): one for every I_T_L nexus (TST = 001b). Internal to src/scsi.
 *
 * Of a shared nexus each seat has a part of it. The order of the whole is that of scsi_task.seq;
 * each seat publishes the oldest of its tasks and of its ORDERED ones, and a task that waits looks
 * at those. Who joins stores first and looks at the others then, and so does who leaves: as long as
 * tasks are there that others may have to wait for (itl->ranked), one of the two sees the other,
 * and a lane that may have something to wake is called.
 */
#ifndef USAN_SCSI_SET_H
#define USAN_SCSI_SET_H

#include "scsi/task.h"

/* Does ACA let t into the set (SAM-6 5.9.2, 8.6.5)? false: t was ended. */
bool scsi_set_admits(struct scsi_task *t);
/* Let t wait in the set, e.g. for ACA to end. */
void scsi_set_sleep(struct scsi_task *t);
/* Tasks of the seat that waited for others, or for ACA to end, and need to no longer: ready. */
void scsi_set_wake(struct scsi_seat *seat);
/* The same for all seats of its I_T_L nexus, on their own lanes. */
void scsi_set_wake_all(struct scsi_seat *seat);

/* Count t among those that others of the set may have to wait for. false: t waits itself. */
bool scsi_set_rank(struct scsi_task *t);
/* In and out, for a shared nexus. */
bool scsi_set_join_shared(struct scsi_task *t);
void scsi_set_leave_shared(struct scsi_task *t);
/* It becomes shared: what is in the set already. */
void scsi_set_publish(struct scsi_seat *seat);

/* Into the set. false: t waits there for others. */
static inline bool scsi_set_join(struct scsi_task *t)
{
    struct scsi_seat *seat = t->seat;
    if (t->itl->shared)
        return scsi_set_join_shared(t);
    /* Nearly always a SIMPLE task among such. */
    bool go =
        !(seat->ordered | seat->hoq | (unsigned)(t->attr > SCSI_ATTR_SIMPLE)) || scsi_set_rank(t);
    list_push_back(&seat->tasks, &t->node);
    t->flags |= SCSI_TF_IN_SET;
    return go;
}

/* Out of it. Those that waited for t, and need to no longer, are ready. */
static inline void scsi_set_leave(struct scsi_task *t)
{
    struct scsi_seat *seat = t->seat;
    t->flags &= ~(uint32_t)SCSI_TF_IN_SET;
    list_del(&t->node);
    if (t->attr == SCSI_ATTR_ORDERED)
        seat->ordered--;
    else if (t->attr == SCSI_ATTR_HEAD_OF_QUEUE)
        seat->hoq--;
    if (t->itl->shared)
        scsi_set_leave_shared(t);
    else if (seat->dormant)
        scsi_set_wake(seat);
}

#endif
