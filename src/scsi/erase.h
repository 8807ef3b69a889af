/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Overwriting the whole medium in a background task, for SANITIZE and FORMAT UNIT. Internal to
 * src/scsi.
 *
 * While it runs the unit is busy (lu->busy_kind) and its commands that need a medium are refused
 * with the progress. It goes on whatever becomes of the command, its nexus, and through resets
 * (SBC-4, SANITIZE command; sanitize operations). The command itself, unless IMMED, sleeps until
 * it has ended.
 */
#ifndef USAN_SCSI_ERASE_H
#define USAN_SCSI_ERASE_H

#include "scsi/block.h"

struct scsi_erase {
    uint8_t kind;        /* enum scsi_busy */
    bool zeroes;         /* WRITE_ZEROES; false: the pattern */
    bool may_unmap;      /* ... which may deallocate */
    bool invert;         /* every second pass writes the complement */
    bool unrestricted;   /* SANITIZE with AUSE */
    uint8_t passes;      /* >= 1 */
    uint8_t pass;        /* the one at work, from 0 */
    uint64_t total;      /* bytes of the medium */
    uint64_t pos;        /* bytes of this pass done */
    int err;             /* result */
    struct list waiters; /* the command, if it waits: scsi_task.lane_node */
    uint8_t block[];     /* the pattern, repeated to a whole logical block */
};

/* Of kind, one pass of zeroes; NULL when out of memory. */
struct scsi_erase *scsi_erase_new(const struct scsi_lu *lu, uint8_t kind);
/* Write a pattern of len >= 1 bytes (cut to a block), found in t's data-out at off, instead. */
void scsi_erase_pattern(struct scsi_erase *e, const struct scsi_task *t, uint64_t off, size_t len);
/* t holds the gate and is not to be used any more: it ends at once (immed) or with the work. e is
 * transferred; NULL ends t with BUSY status. */
void scsi_erase_begin(struct scsi_task *t, struct scsi_erase *e, bool immed);
/* The unit has a medium that is not being erased already. False: t was ended. */
bool scsi_erase_possible(struct scsi_task *t);

#endif
