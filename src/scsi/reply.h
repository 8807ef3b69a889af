/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How commands end, and parameter data: what a handler calls as its last act, besides the wants of
 * step.h. Internal to src/scsi. */
#ifndef USAN_SCSI_REPLY_H
#define USAN_SCSI_REPLY_H

#include "scsi/sense.h"
#include "scsi/task.h"

/* ---- ends ---- */

static inline void scsi_status(struct scsi_task *t, enum scsi_status status)
{
    t->status = (uint8_t)status;
    t->want = SCSI_DONE;
}
static inline void scsi_good(struct scsi_task *t)
{
    scsi_status(t, SCSI_STATUS_GOOD);
}
void scsi_check(struct scsi_task *t, uint32_t kaq); /* CHECK CONDITION, SCSI_KAQ() or SENSE_... */
/* INVALID FIELD IN CDB / IN PARAMETER LIST with the sense-key specific field pointer; bit 0..7 is
 * the most significant bit of the field in error, -1 = not stated. */
void scsi_check_cdb(struct scsi_task *t, unsigned byte, int bit);
void scsi_check_param(struct scsi_task *t, unsigned byte, int bit);
/* CHECK CONDITION with the INFORMATION field set (LBA, miscompare offset, ...). */
void scsi_check_info(struct scsi_task *t, uint32_t kaq, uint64_t information);
/* NOT READY for a unit that is being formatted or sanitised (lu->busy_kind), with the progress
 * indication (SPC-6 4.4.2.4.6). */
void scsi_check_busy(struct scsi_task *t);
/* What fits a failed bio: MEDIUM ERROR with the LBA, SPACE ALLOCATION FAILED, ... */
void scsi_check_bio(struct scsi_task *t, int err);
/* GOOD with data-in from t->buf: w was written over t->buf; its full length is what the command
 * calls for, min(that, alloc_len, in_expected) is sent. */
void scsi_reply(struct scsi_task *t, const struct wr *w, uint64_t alloc_len);
/* GOOD with bio.iov as data-in (medium data of len bytes). */
void scsi_reply_bio(struct scsi_task *t, uint64_t len);

/* ---- parameter data ---- */

/* Begin a reply in t->buf, after scsi_want_reply_buf. */
struct wr scsi_reply_begin(struct scsi_task *t);
/* Copy len bytes of data-out from offset off; returns how many there were. */
size_t scsi_out_copy(const struct scsi_task *t, uint64_t off, void *dst, size_t len);

#endif
