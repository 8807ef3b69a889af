/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RESERVE and RELEASE (6) and (10) of SPC-2 5.5.1, for the whole unit.
 *
 * Where there are persistent registrations, RESERVE and RELEASE conflict, but as CRH = 1 in REPORT
 * CAPABILITIES says (SPC-6 5.14.3) they are accepted without effect from who holds the persistent
 * reservation, or is registered under one that registrants share.
 */
#include "scsi/reserve.h"
#include "scsi/persist.h"
#include "scsi/reply.h"

/* What the persistent reservation makes of it: true if the task was ended. */
static bool ended_by_persistent(struct scsi_task *t)
{
    const struct scsi_pr *pr = scsi_task_lu(t)->pr;
    if (!pr || pr->count == 0)
        return false;
    if (t->itl->pr_holder || (t->itl->pr_key && scsi_pr_type_shared(pr->type)))
        scsi_good(t);
    else
        scsi_status(t, SCSI_STATUS_RESERVATION_CONFLICT);
    return true;
}

void scsi_reserve(struct scsi_task *t)
{
    struct scsi_lu *lu = scsi_task_lu(t);
    if (ended_by_persistent(t))
        return;
    if (lu->reserved_by && lu->reserved_by != t->itl) {
        scsi_status(t, SCSI_STATUS_RESERVATION_CONFLICT);
        return;
    }
    lu->reserved_by = t->itl;
    scsi_good(t);
}

/* From another nexus than the one that reserved: GOOD, and nothing is released. */
void scsi_release(struct scsi_task *t)
{
    if (ended_by_persistent(t))
        return;
    if (scsi_task_lu(t)->reserved_by == t->itl)
        scsi_task_lu(t)->reserved_by = NULL;
    scsi_good(t);
}
