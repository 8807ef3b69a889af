/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RESERVE and RELEASE (6) and (10) of SPC-2 5.5.1, for the whole unit, and the table of all
 * reservation commands.
 *
 * Where there are persistent registrations, RESERVE and RELEASE conflict, but as CRH = 1 in REPORT
 * CAPABILITIES says (SPC-6 5.14.3) they are accepted without effect from who holds the persistent
 * reservation, or is registered under one that registrants share.
 */
#include "scsi/persist.h"

static void release(struct scsi_itl *itl)
{
    if (itl->lu->reserved_by == itl)
        itl->lu->reserved_by = NULL;
}

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

static void reserve_start(struct scsi_task *t)
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
static void release_start(struct scsi_task *t)
{
    if (ended_by_persistent(t))
        return;
    release(t->itl);
    scsi_good(t);
}

void scsi_reserve_release(struct scsi_itl *itl)
{
    release(itl);
    scsi_copies_drop(itl);
}

#define PR_IN_FLAGS   (SCSI_CF_IN | SCSI_CF_PR_ANY | SCSI_CF_ALUA_STANDBY)
#define PR_OUT_FLAGS  (SCSI_CF_OUT | SCSI_CF_PR_REG | SCSI_CF_ALUA_STANDBY | SCSI_CF_EXCLUSIVE)
#define RESERVE_FLAGS (SCSI_CF_PR_REG | SCSI_CF_EXCLUSIVE)
#define RELEASE_FLAGS (RESERVE_FLAGS | SCSI_CF_RESERVE_ANY)
#define PR_IN(sa, text)                                                                            \
    {                                                                                              \
        0x5e, sa, 10, PR_IN_FLAGS, text, scsi_persistent_reserve_in,                               \
        {                                                                                          \
            0x5e, 0x1f, [7] = 0xff, 0xff                                                           \
        }                                                                                          \
    }
/* SCOPE and TYPE are evaluated or ignored, by service action, but never refused as reserved. */
#define PR_OUT(sa, text)                                                                           \
    {                                                                                              \
        0x5f, sa, 10, PR_OUT_FLAGS, text, scsi_persistent_reserve_out,                             \
        {                                                                                          \
            0x5f, 0x1f, 0xff, [5] = 0xff, 0xff, 0xff, 0xff                                         \
        }                                                                                          \
    }

const struct scsi_command scsi_reserve_commands[] = {
    PR_IN(0x00, "PERSISTENT RESERVE IN, READ KEYS"),
    PR_IN(0x01, "PERSISTENT RESERVE IN, READ RESERVATION"),
    PR_IN(0x02, "PERSISTENT RESERVE IN, REPORT CAPABILITIES"),
    PR_IN(0x03, "PERSISTENT RESERVE IN, READ FULL STATUS"),
    PR_OUT(0x00, "PERSISTENT RESERVE OUT, REGISTER"),
    PR_OUT(0x01, "PERSISTENT RESERVE OUT, RESERVE"),
    PR_OUT(0x02, "PERSISTENT RESERVE OUT, RELEASE"),
    PR_OUT(0x03, "PERSISTENT RESERVE OUT, CLEAR"),
    PR_OUT(0x04, "PERSISTENT RESERVE OUT, PREEMPT"),
    PR_OUT(0x05, "PERSISTENT RESERVE OUT, PREEMPT AND ABORT"),
    PR_OUT(0x06, "PERSISTENT RESERVE OUT, REGISTER AND IGNORE EXISTING KEY"),
    PR_OUT(0x07, "PERSISTENT RESERVE OUT, REGISTER AND MOVE"),
    /* Third-party and extent reservations (byte 1) are not supported. The reservation
     * identification and the length of a parameter list mean nothing without them. */
    { 0x16, -1, 6, RESERVE_FLAGS, "RESERVE(6)", reserve_start, { 0x16, 0x00, 0xff, 0xff, 0xff } },
    { 0x17, -1, 6, RELEASE_FLAGS, "RELEASE(6)", release_start, { 0x17, 0x00, 0xff, 0xff, 0xff } },
    { 0x56,
      -1,
      10,
      RESERVE_FLAGS,
      "RESERVE(10)",
      reserve_start,
      { 0x56, 0x00, 0xff, 0xff, [7] = 0xff, 0xff } },
    { 0x57,
      -1,
      10,
      RELEASE_FLAGS,
      "RELEASE(10)",
      release_start,
      { 0x57, 0x00, 0xff, 0xff, [7] = 0xff, 0xff } },
    { .name = NULL },
};
