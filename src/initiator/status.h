/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a finished SCSI command means: whether it is to be tried again, the error code, words. */
#ifndef USAN_INITIATOR_STATUS_H
#define USAN_INITIATOR_STATUS_H

#include "base/err.h"
#include "iscsi/initiator.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sense data in either format (SPC-6 4.4). */
struct ini_sense {
    bool valid; /* the rest means something */
    /* Response codes 71h and 73h: what went wrong is an earlier command, which was reported as
     * done; the one that got the answer was not carried out (SPC-6 4.4). */
    bool deferred;
    uint8_t key, asc, ascq;
    bool has_information;
    uint64_t information;
};

struct ini_sense ini_sense_parse(const void *sense, size_t len);

enum ini_verdict {
    INI_GOOD,
    INI_RETRY,       /* at once: it was not carried out, and what was in the way is gone */
    INI_RETRY_LATER, /* the target or unit is busy */
    INI_BAD,         /* final: ret_err */
};

/*
 * Judge a command that is done. A unit attention (SAM-6 5.14) is reported instead of carrying the
 * command out, so it is tried again; BUSY, TASK SET FULL (SAM-6 5.3.1), LOGICAL UNIT IS IN PROCESS
 * OF BECOMING READY and ASYMMETRIC ACCESS STATE TRANSITION are waited for; TASK ABORTED and ABORTED
 * COMMAND are tried again if again is set: the command may be done twice. A deferred error says
 * nothing of this command but that it was not carried out: a recovered one is a reason to try
 * again, any other is USAN_EIO, for data that was thought to be safe is not. How often is the
 * caller's to decide. ret_err is set with INI_BAD only: the USAN_E... code a struct bio has.
 */
enum ini_verdict ini_scsi_judge(const struct iscsi_icmd *cmd, bool again, int *ret_err);

/* Did the unit say that its capacity has changed (SPC-6 annex F, 2Ah/09h)? */
bool ini_scsi_capacity_changed(const struct iscsi_icmd *cmd);

/* Why the command failed, in words: "BUSY", "ILLEGAL REQUEST, INVALID FIELD IN CDB (5/24h/00h)". */
void ini_scsi_words(const struct iscsi_icmd *cmd, char *buf, size_t cap);

/* The LUN field of a logical unit number up to INI_LUN_MAX (SAM-6 4.7.7): peripheral device
 * addressing below 256, flat space addressing above. */
uint64_t ini_lun_field(uint16_t lun);

#endif
