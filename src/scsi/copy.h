/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Third-party copy (SPC-6 5.18, SBC-4 4.28): what xcopy.c, copy_*.c and rod_*.c share. Internal to
 * src/scsi.
 *
 * A copy is one task. It reads a piece of the source inside the section of the source's unit, then
 * writes it inside the section of the destination's, and is in no section in between, so that
 * exclusive commands of either unit get their turn and no two copies can wait for each other. Units
 * are those mapped on the nexus the command came through; rights are those of that nexus.
 */
#ifndef USAN_SCSI_COPY_H
#define USAN_SCSI_COPY_H

#include "scsi/copy_result.h"
#include "scsi/reply.h"
#include "scsi/step.h"
#include "scsi/tokens.h"

enum {
    COPY_CSCD_BYTES = 32, /* a CSCD descriptor, SPC-6 6.6.5 */
    COPY_CSCD_MAX = 64,
    COPY_SEGMENT_BYTES = 28, /* block to block, with its header; SPC-6 6.6.6.2 */
    COPY_SEGMENT_MAX = 256,
    COPY_DESCRIPTORS_MAX = COPY_CSCD_MAX * COPY_CSCD_BYTES + COPY_SEGMENT_MAX * COPY_SEGMENT_BYTES,
    COPY_SEGMENT_BLOCKS_MAX = 0xffff,
    COPY_CSCD_SELF = 0xffff, /* CSCD descriptor ID of the addressed unit */
    COPY_TYPE_IDENT = 0xe4,  /* identification descriptor CSCD */
    COPY_TYPE_BLOCK = 0x02,  /* copy from block device to block device */

    ROD_RANGES_MAX = 64,    /* MAXIMUM RANGE DESCRIPTORS */
    ROD_TIMEOUT_MAX = 3600, /* INACTIVITY TIMEOUT accepted, s. The core has no clock: tokens end by
                               their number, by DEL_TKN, or when what they represent is written. */
    ROD_TIMEOUT_DEFAULT = 60,
    ROD_TRANSFER_BYTES_MAX = 256 * 1024 * 1024, /* MAXIMUM TOKEN TRANSFER SIZE */
    ROD_TRANSFER_BYTES_BEST = 64 * 1024 * 1024, /* OPTIMAL TRANSFER COUNT */

    COPY_BUF_BYTES = 1024 * 1024, /* t->buf of a copy: the job, then the data */
    COPY_JOB_BYTES = 4096,
    COPY_CHUNK_BYTES = COPY_BUF_BYTES - COPY_JOB_BYTES,
};

enum { /* ROD types, SPC-6 table "ROD type codes" */
       ROD_TYPE_PIT_DEFAULT = 0x00800000,
       ROD_TYPE_PIT_VULNERABLE = 0x00800001,
       ROD_TYPE_PIT_ANY = 0x0080ffff,
};
#define ROD_TYPE_ZERO 0xffff0001u

/* ---- moving data (copy_move.c) ---- */

/* A stretch of data to be moved, at the start of t->buf. */
struct copy_job {
    /* set by the caller of copy_move */
    uint64_t src_lun, dst_lun;      /* numbers of scsi_itl.lun */
    uint64_t src_off, dst_off, len; /* bytes, multiples of the units' blocks */
    uint64_t token_id;              /* 0, or a token of the source that has to stay valid */
    bool zeroes;                    /* there is no source: write zeroes */
    uint64_t serial;                /* result that counts what is moved, or 0 */
    scsi_step *next;                /* err 0; not called when the copy fails */

    /* kept by copy_move.c */
    uint64_t done; /* bytes of this stretch */
    bool backward; /* same unit, overlapping, destination behind the source */
    struct iovec iov;

    /* for the commands */
    uint32_t segment, segment_count;
    uint32_t cscd_at, cscd_count, segment_at; /* places in the parameter list */
    uint64_t rod_pos, rod_bytes;              /* WRITE USING TOKEN: place in the ROD, its size */
    uint32_t range, range_count;
    uint64_t range_done; /* bytes of the destination range */
    uint32_t src_range_count;
    struct copy_range src_range[ROD_RANGES_MAX];
};
_Static_assert(sizeof(struct copy_job) <= COPY_JOB_BYTES, "the job has its place in the buffer");

static inline struct copy_job *copy_job(const struct scsi_task *t)
{
    return (struct copy_job *)(void *)t->buf;
}

/* Move job->len bytes, then go on with job->next, in the section of the destination's unit. If it
 * can not be done the task is ended (copy_fail). */
void copy_move(struct scsi_task *t);
/* End the copy with this sense; INFORMATION is what is left of the current stretch, in bytes. */
void copy_fail(struct scsi_task *t, uint32_t kaq);
/* The I_T_L nexus with that LUN on t's nexus, or NULL. */
struct scsi_itl *copy_itl(const struct scsi_task *t, uint64_t lun);
/* What an identification descriptor CSCD (SPC-6 6.6.5.4) names among the units of t's nexus; NULL:
 * none. */
struct scsi_itl *copy_find_ident(const struct scsi_task *t,
                                 const uint8_t d[static COPY_CSCD_BYTES]);
/* The other way: the descriptor that names lu. */
void copy_write_ident(const struct scsi_lu *lu, struct wr *w);

/* ---- ROD tokens (rod_token.c; what they are: tokens.h) ---- */

/* The block device range descriptors (SBC-4 5.10) of a parameter list of data_len + 2 bytes, at
 * byte `at` of it, of ranges_len bytes. False: the task was ended. */
bool rod_range_count(struct scsi_task *t, uint32_t data_len, uint32_t ranges_len, size_t at,
                     unsigned *ret_count);
/* Read and check them: on the addressed unit, no block twice, not too much. False: likewise. */
bool rod_ranges_read(struct scsi_task *t, size_t at, unsigned count, struct copy_range *ret_range,
                     uint64_t *ret_bytes);

/* ---- the VPD page ---- */

/* Third-party Copy VPD page 8Fh (SPC-6 7.7.17) with its header; returns its full length. */
size_t scsi_vpd_third_party_copy(const struct scsi_lu *lu, struct wr *w);

/* ---- command handlers ---- */

void copy_extended_copy(struct scsi_task *t); /* LID1 and LID4 */
void copy_abort(struct scsi_task *t);
void copy_receive_status_lid1(struct scsi_task *t);
void copy_receive_data_lid1(struct scsi_task *t);
void copy_receive_operating_parameters(struct scsi_task *t);
void copy_receive_failure_lid1(struct scsi_task *t);
void copy_receive_status_lid4(struct scsi_task *t); /* and RECEIVE ROD TOKEN INFORMATION */
void rod_populate_token(struct scsi_task *t);
void rod_write_using_token(struct scsi_task *t);
void rod_report_all_tokens(struct scsi_task *t);

#endif
