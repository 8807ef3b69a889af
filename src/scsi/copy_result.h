/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The results of third-party copies that are held for who asks for them by list identifier
 * (SPC-6 6.25 to 6.29): what was asked, and how it went. Internal to src/scsi.
 *
 * Results belong to the I_T_L nexus. What touches them are steps of copy commands, which do not
 * overlap within one (scsi_copy_step). They go when the same identifier is used again, with the
 * loss of the nexus, or when there are too many, the oldest first.
 */
#ifndef USAN_SCSI_COPY_RESULT_H
#define USAN_SCSI_COPY_RESULT_H

#include "scsi/sense.h"
#include "scsi/task.h"

enum {
    COPY_HELD_MAX = 16, /* copies of an I_T_L nexus whose status is kept */
    ROD_TOKEN_BYTES = 512,
};

enum { COPY_OPCODE_OUT = 0x83, COPY_OPCODE_IN = 0x84 };
enum { /* service actions of THIRD-PARTY COPY OUT (83h) and IN (84h) */
       COPY_OUT_LID1 = 0x00,
       COPY_OUT_LID4 = 0x01,
       COPY_OUT_POPULATE_TOKEN = 0x10,
       COPY_OUT_WRITE_USING_TOKEN = 0x11,
       COPY_OUT_ABORT = 0x1c,
       COPY_IN_STATUS_LID1 = 0x00,
       COPY_IN_DATA_LID1 = 0x01,
       COPY_IN_OPERATING_PARAMETERS = 0x03,
       COPY_IN_FAILURE_LID1 = 0x04,
       COPY_IN_STATUS_LID4 = 0x05,
       COPY_IN_ROD_TOKEN_INFO = 0x07,
       COPY_IN_ALL_ROD_TOKENS = 0x08,
};

enum copy_state {
    COPY_RUNNING,
    COPY_DONE,
    COPY_RESIDUAL, /* done as far as the ROD went */
    COPY_FAILED,
    COPY_ABORTED, /* the command was aborted, or COPY OPERATION ABORT came */
};

struct copy_result {
    uint64_t serial; /* 0 = unused */
    uint32_t list_id;
    uint8_t sa;                   /* COPY_OUT_... */
    uint8_t state;                /* enum copy_state */
    bool abort;                   /* asked for */
    bool drop;                    /* LIST ID USAGE 10b: forget it when it has ended */
    bool status_given;            /* RECEIVE COPY STATUS(LID1) told of the end */
    uint16_t segments;            /* processed */
    uint16_t operations;          /* pieces moved */
    uint32_t block_bytes;         /* TRANSFER COUNT unit of token commands */
    uint64_t bytes;               /* moved */
    uint8_t status;               /* enum scsi_status of the command */
    struct scsi_sense_info sense; /* FAILED */
    bool has_token;
    uint8_t token[ROD_TOKEN_BYTES];
};

/*
 * Begin a result for t: 0 and *ret_serial, or the sense to end t with (list identifier in use, too
 * many copies). An ended one with the same identifier is replaced.
 */
USAN_MUST_CHECK
uint32_t copy_result_begin(struct scsi_task *t, uint8_t sa, uint32_t list_id, uint64_t *ret_serial);
/* NULL: there is none (any more). */
struct copy_result *copy_result_of(const struct scsi_itl *itl, uint64_t serial);
/* End it, and t, as the state says: COPY_FAILED with *sense (which may be NULL otherwise). serial
 * 0: none is kept. */
void copy_result_end(struct scsi_task *t, uint64_t serial, enum copy_state state,
                     const struct scsi_sense_info *sense);
/* The one with this list identifier; those of one byte (lid1) and of four are two name spaces. */
struct copy_result *copy_result_find(const struct scsi_itl *itl, bool lid1, uint32_t list_id);
/* Run a step of a command with SCSI_CF_COPY, or its start (step NULL). */
void scsi_copy_step(struct scsi_task *t, scsi_step *step, int err);
/* Such a command has ended, whatever way. */
void scsi_copy_ended(struct scsi_task *t);
/* All are discarded. */
void scsi_copies_drop(struct scsi_itl *itl);

#endif
