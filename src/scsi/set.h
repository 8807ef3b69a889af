/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The task set (SAM-6 clause 8): one for every I_T_L nexus (TST = 001b). Internal to src/scsi. */
#ifndef USAN_SCSI_SET_H
#define USAN_SCSI_SET_H

#include "scsi/task.h"

/* Does ACA let t into the set (SAM-6 5.9.2, 8.6.5)? false: t was ended. */
bool scsi_set_admits(struct scsi_task *t);
/* Let t wait in the set, e.g. for ACA to end. */
void scsi_set_sleep(struct scsi_task *t);
/* Tasks of the set that waited for others, or for ACA to end, and need to no longer: ready. */
void scsi_set_wake(struct scsi_itl *itl);

/* Count t among those that others of the set may have to wait for. false: t waits itself. */
bool scsi_set_rank(struct scsi_task *t);

/* Into the set. false: t waits there for others. */
static inline bool scsi_set_join(struct scsi_task *t)
{
    struct scsi_itl *itl = t->itl;
    /* Nearly always a SIMPLE task among such. */
    bool go =
        !(itl->ordered | itl->hoq | (unsigned)(t->attr > SCSI_ATTR_SIMPLE)) || scsi_set_rank(t);
    list_push_back(&itl->tasks, &t->node);
    t->flags |= SCSI_TF_IN_SET;
    return go;
}

/* Out of it. Those that waited for t, and need to no longer, are ready. */
static inline void scsi_set_leave(struct scsi_task *t)
{
    struct scsi_itl *itl = t->itl;
    t->flags &= ~(uint32_t)SCSI_TF_IN_SET;
    list_del(&t->node);
    if (t->attr == SCSI_ATTR_ORDERED)
        itl->ordered--;
    else if (t->attr == SCSI_ATTR_HEAD_OF_QUEUE)
        itl->hoq--;
    if (itl->dormant)
        scsi_set_wake(itl);
}

#endif
