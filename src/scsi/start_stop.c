/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * START STOP UNIT and PREVENT ALLOW MEDIUM REMOVAL (SBC-4). Both run alone.
 *
 * A disk without motor has nothing to stop: START = 0 and the power conditions write the cache and
 * leave the unit ready. It is shared, and one host that shuts down must not take it from the rest.
 */
#include "scsi/block.h"
#include "scsi/persist.h"
#include "scsi/ua.h"

enum {
    SSU_POWER_CONDITION = 0xf0,
    SSU_NO_FLUSH = 0x04,
    SSU_LOEJ = 0x02,
    SSU_START = 0x01,
};

static void eject_or_load(struct scsi_task *t, bool load)
{
    struct scsi_lu *lu = scsi_task_lu(t);

    if (load && lu->ejected) /* who did not ask is told: NOT READY TO READY CHANGE */
        scsi_ua_add_all(lu, t->itl, UA_MEDIUM_CHANGED);
    lu->ejected = !load;
    scsi_good(t);
}

static void stop_flushed(struct scsi_task *t, int err)
{
    uint8_t how = t->cdb[4];

    if (err)
        scsi_check_bio(t, err);
    else if ((how & SSU_POWER_CONDITION) == 0 && (how & SSU_LOEJ))
        eject_or_load(t, false);
    else
        scsi_good(t);
}

/* Reservations (SBC-4, commands allowed in the presence of reservations): START = 1 without power
 * condition is allowed to everybody. */
static bool start_stop_allowed(const struct scsi_task *t)
{
    uint8_t how = t->cdb[4];
    return ((how & SSU_POWER_CONDITION) == 0 && (how & SSU_START)) ||
           scsi_pr_allows_flags(t->itl, 0);
}

void block_start_stop(struct scsi_task *t)
{
    const struct scsi_lu *lu = scsi_task_lu(t);
    uint8_t how = t->cdb[4];
    bool power = how & SSU_POWER_CONDITION, loej = how & SSU_LOEJ, start = how & SSU_START;

    if (!start_stop_allowed(t)) {
        scsi_status(t, SCSI_STATUS_RESERVATION_CONFLICT);
        return;
    }
    if (lu->busy_kind != SCSI_BUSY_NONE) {
        scsi_check_busy(t);
        return;
    }
    if (!power && loej) {
        if (!lu->cfg.removable) {
            scsi_check_cdb(t, 4, 1);
            return;
        }
        if (lu->prevent_count) {
            scsi_check(t, SENSE_MEDIUM_REMOVAL_PREVENTED);
            return;
        }
        if (start) {
            eject_or_load(t, true);
            return;
        }
    }
    /* A power condition ignores LOEJ and START; those that are reserved are ignored as well. */
    bool stops = power || !start;
    if (!stops || (!power && (how & SSU_NO_FLUSH)) || lu->ejected)
        stop_flushed(t, 0);
    else
        block_plain_io(t, BIO_FLUSH, 0, 0, 0, stop_flushed);
}

void block_prevent_allow(struct scsi_task *t)
{
    struct scsi_lu *lu = scsi_task_lu(t);
    bool prevent = t->cdb[4] & 0x01;

    /* Reservations (as above): PREVENT = 0 is allowed to everybody. */
    if (prevent && !scsi_pr_allows_flags(t->itl, 0)) {
        scsi_status(t, SCSI_STATUS_RESERVATION_CONFLICT);
        return;
    }
    if (prevent && !t->itl->prevent)
        lu->prevent_count++;
    else if (!prevent && t->itl->prevent)
        lu->prevent_count--;
    t->itl->prevent = prevent;
    scsi_good(t);
}
