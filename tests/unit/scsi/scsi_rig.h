/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A small owner of the SCSI device server for tests: units kept in memory, initiators, and
 * everything driven by one thread.
 *
 *     struct rig *r = rig_new(&(struct rig_config){ .initiators = 2 });
 *     rig_clear_ua(r);
 *     struct rig_result res = rig_cmd(r, 0, CDB(0x28, 0, 0, 0, 0, 5, 0, 0, 1, 0), NULL, 0, 512);
 *     assert_int_equal(res.status, SCSI_STATUS_GOOD);
 *     rig_free(r);
 *
 * To look at a command half-way, set r->stop_at and use rig_start, rig_go and rig_end.
 */
#ifndef USAN_TESTS_SCSI_RIG_H
#define USAN_TESTS_SCSI_RIG_H

#include "scsi/scsi.h"
#include "scsi/sense.h"

enum { RIG_UNITS_MAX = 4, RIG_LANES_MAX = 4, RIG_INITIATORS_MAX = 300, RIG_STATE_MAX = 128 * 1024 };

struct rig_config {
    /* What is 0 here becomes: blocks of 512, 2048 of them. Names and serial are made up, a
     * different NAA and serial for each unit. */
    struct scsi_lu_config lu;
    bool forgets;        /* lu.keeps_state is set, unless this is */
    unsigned units;      /* 0 = 1; unit i is LUN i of every initiator */
    unsigned lanes;      /* 0 = 1; initiator i uses lane i % lanes */
    unsigned initiators; /* 0 = 1 */
};

struct rig_unit {
    struct scsi_lu *lu;
    struct scsi_lane *lanes[RIG_LANES_MAX];
    uint8_t *disk;   /* block_count * block_bytes */
    uint8_t *mapped; /* one for each block: 1 = written since it was unmapped; all 0 at start */
    uint64_t disk_bytes;
    uint32_t block_bytes;
    uint8_t saved[RIG_STATE_MAX]; /* what the last WANT_SAVE stored */
    size_t saved_len;
};

struct rig {
    struct rig_unit units[RIG_UNITS_MAX];
    unsigned unit_count, lane_count;
    struct scsi_nexus *nexus[RIG_INITIATORS_MAX];
    struct scsi_branch *branch[RIG_INITIATORS_MAX]; /* NULL: the home one of nexus */
    unsigned initiator_count;

    /* knobs */
    uint64_t lun;     /* LUN field of what is begun from here on, unless told otherwise */
    uint32_t stop_at; /* bits 1 << enum scsi_want: wants that are left for rig_go() */
    int io_err;       /* what the next bio of io_err_op ends with (once), at its offset + */
    enum bio_op io_err_op;
    uint64_t io_err_at;   /* ... this */
    int save_err;         /* what every WANT_SAVE ends with */
    bool hold_background; /* background tasks are left for rig_background() */

    /* seen */
    unsigned ios[BIO_OP_COUNT]; /* bios carried out */
    uint32_t last_flags;        /* of the last bio */
    unsigned saves;
    struct scsi_task *background; /* held, or NULL */
    struct list tasks;            /* struct rig_task.node: begun and not ended */
    unsigned allocs;              /* live blocks of the counting allocator */
    struct alloc alloc;
};

struct rig_task {
    struct scsi_task t;
    struct rig *rig;
    struct scsi_branch *branch; /* NULL: home */
    uint8_t cdb[SCSI_CDB_MAX];
    uint8_t *out_mem, *io_mem;
    struct iovec out_iov[3], io_iov[2];
    struct list node;
};

struct rig_result {
    bool aborted; /* ended without status */
    uint8_t status;
    uint32_t kaq; /* of the sense data; 0 = none */
    uint8_t sense[SCSI_SENSE_MAX];
    uint16_t sense_len;
    uint8_t in[SCSI_REPLY_MAX]; /* data-in, cut at its size */
    uint64_t in_len;            /* all of it */
    uint64_t in_used, out_used;
    uint8_t tmf_rsp;
};

/* The bytes of a CDB as two arguments, padded to 16. */
#define CDB(...)                                                                                   \
    ((const uint8_t[SCSI_CDB_MAX]){ __VA_ARGS__ }),                                                \
        (sizeof((const uint8_t[]){ __VA_ARGS__ }) < 16 ? 16                                        \
                                                       : sizeof((const uint8_t[]){ __VA_ARGS__ }))

struct rig *rig_new(const struct rig_config *cfg);
/* Asserts that every task has ended and that all memory came back. */
void rig_free(struct rig *r);
/* One more initiator (rig_new's are 0..): returns its number. */
unsigned rig_add_initiator(struct rig *r);
/* The same initiator on another lane: returns the number of that branch of its nexus, to be used
 * like that of an initiator. */
unsigned rig_add_branch(struct rig *r, unsigned initiator, unsigned lane);
/* I_T nexus loss: abort, end, free, with all branches. */
void rig_drop_initiator(struct rig *r, unsigned initiator);
/* TEST UNIT READY from everybody to every unit until nothing is pending. */
void rig_clear_ua(struct rig *r);

/* Run a command to its end; out is copied. LUN 0; SIMPLE. */
struct rig_result rig_cmd(struct rig *r, unsigned initiator, const uint8_t *cdb, size_t cdb_len,
                          const void *out, size_t out_len, uint64_t in_expected);
struct rig_result rig_cmd_lun(struct rig *r, unsigned initiator, uint64_t lun_field,
                              const uint8_t *cdb, size_t cdb_len, const void *out, size_t out_len,
                              uint64_t in_expected);
struct rig_result rig_tmf(struct rig *r, unsigned initiator, enum scsi_tmf tmf, uint64_t ref_tag);

/* Begin a command on r->lun; it runs until it ends, waits, or has a want of stop_at. */
struct rig_task *rig_start(struct rig *r, unsigned initiator, enum scsi_attr attr, uint64_t tag,
                           const uint8_t *cdb, size_t cdb_len, const void *out, size_t out_len,
                           uint64_t in_expected);
struct rig_task *rig_start_tmf(struct rig *r, unsigned initiator, enum scsi_tmf tmf,
                               uint64_t ref_tag);
/* Give it what it wants, once, whatever stop_at says; then as after rig_start. */
void rig_go(struct rig_task *rt);
/* Whatever lanes have to hand out, and polls: until nothing moves. Called by all of the above. */
void rig_pump(struct rig *r);
/* Give the background task that is held what it wants, `steps` times or to its end. */
void rig_background(struct rig *r, unsigned steps);
static inline bool rig_ended(const struct rig_task *rt)
{
    return rt->t.want == SCSI_DONE || rt->t.want == SCSI_ABORTED;
}
/* It has ended: its result; frees it. */
struct rig_result rig_end(struct rig_task *rt);

#endif
