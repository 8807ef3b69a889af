/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SCSI commands of one's own, task management and discovery. See usan/usan.h. */
#ifndef USAN_SCSI_H
#define USAN_SCSI_H

#include <usan/disk.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- commands ---- */

enum {
    /* It may be sent again when the session was lost and it is not known whether it was done. For
     * commands that change nothing. */
    USAN_SCSI_REPEATABLE = 1,
    /* Task attribute ORDERED (SAM-6 8.6): done after what was submitted to the first channel before
     * it and before what is submitted after it, whatever connections the session has. Not of
     * requests that wait in the library or are sent again: a busy unit, a lost session, blocks of
     * other writes. Without a flag SIMPLE, in any order. */
    USAN_SCSI_ORDERED = 2,
    USAN_SCSI_HEAD_OF_QUEUE = 4 /* task attribute HEAD OF QUEUE: before all that is not begun */
};

#define USAN_CDB_MAX   260u
#define USAN_SENSE_MAX 252u

/* A command for the unit of a disk. Struct, CDB and arrays are copied; the data is borrowed until
 * done is called. Commands with data in both directions are possible. */
struct usan_scsi {
    size_t size;             /* sizeof(struct usan_scsi) */
    const void *cdb;         /* command descriptor block */
    size_t cdb_len;          /* 1 .. USAN_CDB_MAX bytes */
    const struct iovec *in;  /* where data from the unit lands */
    int in_cnt;              /* 0: there is none */
    const struct iovec *out; /* data for the unit */
    int out_cnt;
    unsigned flags; /* USAN_SCSI_... */
};

/* The answer. */
struct usan_scsi_result {
    uint8_t status;       /* SAM-6 5.3.1 */
    uint8_t response;     /* RFC 7143 11.4.3; 0 */
    uint16_t unused;      /* 0 */
    uint32_t in_bytes;    /* data-in that came */
    uint32_t out_bytes;   /* data-out that was sent */
    int32_t residual;     /* > 0: so much less than was asked for, < 0: there would be more */
    const uint8_t *sense; /* sense data as it came, either format; NULL: none */
    size_t sense_len;
};

/*
 * Send a command. Nothing is done about its answer: a unit attention, BUSY and the like are the
 * caller's. The result has code 0 if the status is GOOD or CONDITION MET, and else USAN_ERR_...
 * with result->error (sense in words) and result->scsi. The session of the disk's first channel
 * carries it: with one channel it is the nexus of all requests, so reservations hold for them. Of a
 * disk with several paths one of them does, the same for all commands as long as it is there; one
 * that was under way when the path was lost fails, unless it is REPEATABLE.
 * As with the requests of usan/disk.h; USAN_ERR_NOTSUP: the disk is no SCSI unit; or PERSISTENT
 * RESERVE OUT, RESERVE or RELEASE to one with several paths, which would hold for one of them only.
 */
USAN_API_CHECK int usan_scsi(struct usan_disk *disk, const struct usan_scsi *command,
                             usan_done_fn *done, void *user, uint64_t *ret_id);

/* ---- task management (SAM-6 7, RFC 7143 11.5.1) ---- */

enum usan_tmf {
    USAN_TMF_ABORT_TASK_SET = 2,
    USAN_TMF_CLEAR_ACA = 3,
    USAN_TMF_CLEAR_TASK_SET = 4,
    USAN_TMF_LOGICAL_UNIT_RESET = 5,
    USAN_TMF_TARGET_WARM_RESET = 6,
    USAN_TMF_TARGET_COLD_RESET = 7
};

/* Sent at once, on the first channel. Code 0: the target has done it; requests that it ended have
 * code USAN_ERR_CANCELED, or are sent again. USAN_ERR_IO: refused, result->tmf_response says why.
 * One task is aborted with usan_cancel(). Of a disk with several paths LOGICAL UNIT RESET goes by
 * one, the others by every path that is logged in; the result is that of the first one that has not
 * done it. */
USAN_API_CHECK int usan_tmf(struct usan_disk *disk, enum usan_tmf function, usan_done_fn *done,
                            void *user, uint64_t *ret_id);

/* ---- discovery ---- */

struct usan_target {
    const char *name;             /* iSCSI name */
    const char *const *addresses; /* "10.0.0.1:3260,1": host, port, portal group tag */
    size_t address_count;
};

/*
 * Ask the portal at a URL, iscsi://[USER[%SECRET]@]HOST[:PORT][?KEY=VALUE&...], for its targets
 * (SendTargets, RFC 7143 4.3); they are in the result. url is borrowed for the call. Errors as with
 * usan_open().
 */
USAN_API_CHECK int usan_discover(struct usan_ctx *ctx, const char *url, usan_done_fn *done,
                                 void *user, uint64_t *ret_id);

#ifdef __cplusplus
}
#endif

#endif
