/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TEST UNIT READY (SPC-6 6.50) and REQUEST SENSE (SPC-6 6.40). */
#include "scsi/spc.h"
#include "scsi/ua.h"

/* Whether the unit is ready was checked before (SCSI_CF_MEDIUM). */
void scsi_test_unit_ready(struct scsi_task *t)
{
    scsi_good(t);
}

/* What the unit has to say. Sense data of a failed command went with its status. */
static struct scsi_sense_info sense_now(struct scsi_task *t)
{
    struct scsi_sense_info s = { .kaq = SENSE_NO_SENSE };
    if (!t->itl) { /* SAM-6 5.11; the well known unit is always ready */
        s.kaq = t->flags & SCSI_TF_WLUN ? SENSE_NO_SENSE : SENSE_LUN_NOT_SUPPORTED;
        return s;
    }
    struct scsi_lu *lu = scsi_task_lu(t);
    uint16_t ua = scsi_ua_take(t->itl, false);
    if (ua) { /* SPC-6 6.40: reported here, it is cleared */
        s.kaq = SCSI_KAQ(SENSE_KEY_UNIT_ATTENTION, ua >> 8, ua & 0xff);
    } else if (lu->busy_kind) {
        s.kaq = lu->busy_kind == SCSI_BUSY_SANITIZE ? SENSE_SANITIZE_IN_PROGRESS
                                                    : SENSE_FORMAT_IN_PROGRESS;
        s.has_progress = true;
        s.progress = (uint16_t)atomic_load(&lu->progress);
    } else if (lu->sanitize_failed) {
        s.kaq = SENSE_SANITIZE_COMMAND_FAILED;
    } else if (lu->ejected) {
        s.kaq = SENSE_MEDIUM_NOT_PRESENT;
    } else if (lu->stopped) {
        s.kaq = SENSE_INITIALIZING_COMMAND_REQUIRED;
    }
    return s;
}

static void build(struct scsi_task *t, int err)
{
    (void)err;
    uint8_t bytes[SCSI_SENSE_MAX];
    struct wr w = scsi_reply_begin(t);
    struct scsi_sense_info s = sense_now(t);
    size_t len = scsi_sense_build(&s, t->cdb[1] & 0x01 /* DESC */, bytes, sizeof bytes);
    wr_bytes(&w, bytes, len);
    scsi_reply(t, &w, t->cdb[4]);
}

void scsi_request_sense(struct scsi_task *t)
{
    scsi_want_reply_buf(t, t->cdb[4], build);
}
