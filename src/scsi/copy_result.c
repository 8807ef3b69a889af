/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Status of copies by list identifier, and the commands that ask for it (SPC-6 6.25 to 6.29).
 *
 * Results belong to the I_T_L nexus and so to one lane: no gate is needed. They go when the same
 * identifier is used again, with the loss of the nexus, or when there are too many, the oldest
 * first.
 */
#include "scsi/copy.h"

#include <assert.h>

struct scsi_copies {
    uint64_t last_serial;
    struct copy_result held[COPY_HELD_MAX];
};

enum { /* COPY OPERATION STATUS, SPC-6 table of RECEIVE COPY STATUS(LID4) */
       STATUS_DONE = 0x01,
       STATUS_FAILED = 0x02,
       STATUS_RESIDUAL = 0x03,
       STATUS_FOREGROUND = 0x11,
       STATUS_TERMINATED = 0x60,
};

enum { /* TRANSFER COUNT UNITS */
       UNITS_BYTES = 0x00,
       UNITS_MIB = 0x02,
       UNITS_BLOCKS = 0xf1,
};

enum {
    SENSE_BYTES = 32, /* room for the sense data kept with a result */
};

/* ---- the results of a nexus ---- */

static bool is_lid1(uint8_t sa)
{
    return sa == COPY_OUT_LID1;
}

/* Where a copy has the serial of its result, for who looks at its task from outside. */
enum { SCRATCH_SERIAL = 7 };

/* A task that was aborted does not say so; it is only no longer in the task set. */
static void notice_aborted(const struct scsi_itl *itl, struct copy_result *r)
{
    if (r->state != COPY_RUNNING)
        return;
    list_for_each (&itl->tasks, pos) {
        const struct scsi_task *t = list_entry(pos, struct scsi_task, node);
        if (t->cmd->opcode == COPY_OPCODE_OUT && t->scratch[SCRATCH_SERIAL] == r->serial)
            return;
    }
    r->state = COPY_ABORTED;
    r->status = SCSI_STATUS_TASK_ABORTED;
}

/* LIST IDENTIFIERs of one and of four bytes are two name spaces. */
static struct copy_result *find_id(const struct scsi_itl *itl, bool lid1, uint32_t list_id)
{
    for (unsigned i = 0; itl->copies && i < COPY_HELD_MAX; i++) {
        struct copy_result *r = &itl->copies->held[i];
        if (r->serial && r->list_id == list_id && is_lid1(r->sa) == lid1) {
            notice_aborted(itl, r);
            return r;
        }
    }
    return NULL;
}

/* A free place, or that of the oldest which has ended; NULL: all are running. */
static struct copy_result *find_place(const struct scsi_itl *itl)
{
    struct copy_result *best = NULL;
    for (unsigned i = 0; i < COPY_HELD_MAX; i++) {
        struct copy_result *r = &itl->copies->held[i];
        if (r->serial)
            notice_aborted(itl, r);
        if ((!r->serial || r->state != COPY_RUNNING) && (!best || r->serial < best->serial))
            best = r;
    }
    return best;
}

uint32_t copy_result_begin(struct scsi_task *t, uint8_t sa, uint32_t list_id, uint64_t *ret_serial)
{
    struct scsi_itl *itl = t->itl;
    if (!itl->copies) {
        itl->copies = alloc_zero(itl->nexus->a, sizeof(*itl->copies));
        if (!itl->copies)
            return SENSE_INSUFFICIENT_RESOURCES;
    }
    struct copy_result *r = find_id(itl, is_lid1(sa), list_id);
    if (r && r->state == COPY_RUNNING) /* SPC-6 5.18.3 */
        return SENSE_OPERATION_IN_PROGRESS;
    if (!r)
        r = find_place(itl);
    if (!r)
        return SENSE_INSUFFICIENT_RESOURCES;
    *r = (struct copy_result){ .serial = ++itl->copies->last_serial,
                               .list_id = list_id,
                               .sa = sa,
                               .state = COPY_RUNNING,
                               .block_bytes = itl->lu->cfg.block_bytes };
    t->scratch[SCRATCH_SERIAL] = r->serial;
    *ret_serial = r->serial;
    return 0;
}

struct copy_result *copy_result_of(const struct scsi_itl *itl, uint64_t serial)
{
    for (unsigned i = 0; serial && itl->copies && i < COPY_HELD_MAX; i++) {
        if (itl->copies->held[i].serial == serial)
            return &itl->copies->held[i];
    }
    return NULL;
}

void copy_result_end(struct scsi_task *t, uint64_t serial, enum copy_state state,
                     const struct scsi_sense_info *sense)
{
    struct copy_result *r = copy_result_of(t->itl, serial);
    bool good = state == COPY_DONE || state == COPY_RESIDUAL;
    assert(state != COPY_RUNNING && (sense || state != COPY_FAILED));
    if (r) {
        r->state = (uint8_t)state;
        r->status = good ? SCSI_STATUS_GOOD : SCSI_STATUS_CHECK_CONDITION;
        if (sense)
            r->sense = *sense;
        if (r->drop)
            r->serial = 0;
    }
    if (good)
        scsi_good(t);
    else if (!sense)
        scsi_check(t, SENSE_COPY_ABORTED);
    else if (sense->has_information)
        scsi_check_info(t, sense->kaq, sense->information);
    else if (sense->has_field)
        scsi_check_param(t, sense->field_byte, sense->field_bit);
    else
        scsi_check(t, sense->kaq);
}

void scsi_copies_drop(struct scsi_itl *itl)
{
    alloc_put(itl->nexus->a, itl->copies);
    itl->copies = NULL;
}

/* ---- RECEIVE COPY STATUS, DATA and FAILURE DETAILS (LID1) ---- */

/* The result meant by a LID1 command; NULL: the task was ended (SPC-6 6.25: INVALID FIELD IN CDB).
 */
static struct copy_result *lid1_wanted(struct scsi_task *t)
{
    struct copy_result *r = find_id(t->itl, true, t->cdb[2]);
    if (!r)
        scsi_check_cdb(t, 2, 7);
    return r;
}

static void status_lid1_reply(struct scsi_task *t, int err)
{
    (void)err;
    struct copy_result *r = lid1_wanted(t);
    if (!r)
        return;
    bool mib = r->bytes > UINT32_MAX;
    bool good = r->state == COPY_DONE;
    struct wr w = scsi_reply_begin(t);
    wr_be32(&w, 8);
    wr_u8(&w, r->state == COPY_RUNNING ? 0 : good ? 1 : 2); /* HDD = 0 */
    wr_be16(&w, r->segments);
    wr_u8(&w, mib ? UNITS_MIB : UNITS_BYTES);
    wr_be32(&w, (uint32_t)(mib ? r->bytes >> 20 : r->bytes));
    /* Told once, the end is forgotten; what there is to say of a failure can still be asked for. */
    if (good)
        r->serial = 0;
    else if (r->state != COPY_RUNNING)
        r->status_given = true;
    scsi_reply(t, &w, be32_get(t->cdb + 10));
}

void copy_receive_status_lid1(struct scsi_task *t)
{
    struct copy_result *r = lid1_wanted(t);
    if (!r)
        return;
    if (r->status_given) {
        scsi_check_cdb(t, 2, 7);
        return;
    }
    scsi_want_reply_buf(t, be32_get(t->cdb + 10), status_lid1_reply);
}

/* No data is ever held: inline data and tape are not supported. */
static void data_lid1_reply(struct scsi_task *t, int err)
{
    (void)err;
    struct wr w = scsi_reply_begin(t);
    wr_be32(&w, 0);
    scsi_reply(t, &w, be32_get(t->cdb + 10));
}

void copy_receive_data_lid1(struct scsi_task *t)
{
    const struct copy_result *r = lid1_wanted(t);
    if (!r)
        return;
    if (r->state == COPY_RUNNING) { /* SPC-6 6.24 */
        scsi_check_cdb(t, 2, 7);
        return;
    }
    scsi_want_reply_buf(t, be32_get(t->cdb + 10), data_lid1_reply);
}

static size_t sense_of(const struct scsi_task *t, const struct copy_result *r,
                       uint8_t ret_sense[static SENSE_BYTES])
{
    if (r->state != COPY_FAILED)
        return 0;
    return scsi_sense_build(&r->sense, scsi_mode_d_sense(scsi_task_lu(t)), ret_sense, SENSE_BYTES);
}

static void failure_lid1_reply(struct scsi_task *t, int err)
{
    (void)err;
    struct copy_result *r = lid1_wanted(t);
    if (!r)
        return;
    uint8_t sense[SENSE_BYTES];
    size_t sense_len = sense_of(t, r, sense);
    struct wr w = scsi_reply_begin(t);
    bool failed = r->state == COPY_FAILED || r->state == COPY_ABORTED;
    wr_be32(&w, failed ? (uint32_t)(56 + sense_len) : 0);
    if (failed) {
        wr_zero(&w, 52);
        wr_u8(&w, r->status);
        wr_u8(&w, 0);
        wr_be16(&w, (uint16_t)sense_len);
        wr_bytes(&w, sense, sense_len);
    }
    if (failed)
        r->serial = 0; /* told, and forgotten */
    scsi_reply(t, &w, be32_get(t->cdb + 10));
}

void copy_receive_failure_lid1(struct scsi_task *t)
{
    const struct copy_result *r = lid1_wanted(t);
    if (!r)
        return;
    if (r->state == COPY_RUNNING) { /* SPC-6 6.22 */
        scsi_check_cdb(t, 2, 7);
        return;
    }
    scsi_want_reply_buf(t, be32_get(t->cdb + 10), failure_lid1_reply);
}

/* ---- RECEIVE COPY OPERATING PARAMETERS (SPC-6 6.23) ---- */

static void parameters_reply(struct scsi_task *t, int err)
{
    (void)err;
    struct wr w = scsi_reply_begin(t);
    wr_be32(&w, 0);
    wr_u8(&w, 0x01); /* SNLID: LIST ID USAGE 11b is understood */
    wr_zero(&w, 3);
    wr_be16(&w, COPY_CSCD_MAX);
    wr_be16(&w, COPY_SEGMENT_MAX);
    wr_be32(&w, COPY_DESCRIPTORS_MAX);
    wr_be32(&w, COPY_SEGMENT_BLOCKS_MAX * scsi_task_lu(t)->cfg.block_bytes);
    wr_be32(&w, 0); /* inline data */
    wr_be32(&w, 0); /* held data */
    wr_be32(&w, 0); /* stream device transfer size */
    wr_be16(&w, 0);
    wr_be16(&w, COPY_HELD_MAX); /* total concurrent copies */
    wr_u8(&w, COPY_HELD_MAX);
    wr_u8(&w, 0); /* data segment granularity: 2^0 bytes */
    wr_u8(&w, 0);
    wr_u8(&w, 0);
    wr_zero(&w, 3);
    wr_u8(&w, 2);
    wr_u8(&w, COPY_TYPE_BLOCK);
    wr_u8(&w, COPY_TYPE_IDENT);
    wr_patch_be32(&w, 0, (uint32_t)(w.len - 4));
    scsi_reply(t, &w, be32_get(t->cdb + 10));
}

void copy_receive_operating_parameters(struct scsi_task *t)
{
    scsi_want_reply_buf(t, be32_get(t->cdb + 10), parameters_reply);
}

/* ---- RECEIVE COPY STATUS(LID4), RECEIVE ROD TOKEN INFORMATION (SPC-6 6.26, 6.29) ---- */

static uint8_t operation_status(const struct copy_result *r)
{
    switch ((enum copy_state)r->state) {
    case COPY_RUNNING:
        return STATUS_FOREGROUND;
    case COPY_DONE:
        return STATUS_DONE;
    case COPY_RESIDUAL:
        return STATUS_RESIDUAL;
    case COPY_FAILED:
        return STATUS_FAILED;
    case COPY_ABORTED:
        break;
    }
    return STATUS_TERMINATED;
}

static void status_lid4_reply(struct scsi_task *t, int err)
{
    (void)err;
    const struct copy_result *r = find_id(t->itl, false, be32_get(t->cdb + 2));
    if (!r) {
        scsi_check_cdb(t, 2, 7);
        return;
    }
    bool tokens = (t->cdb[1] & 0x1f) == COPY_IN_ROD_TOKEN_INFO;
    bool blocks = r->sa != COPY_OUT_LID4;
    uint8_t sense[SENSE_BYTES];
    size_t sense_len = sense_of(t, r, sense);
    struct wr w = scsi_reply_begin(t);
    wr_be32(&w, 0);
    wr_u8(&w, r->sa);
    wr_u8(&w, operation_status(r));
    wr_be16(&w, r->operations);
    wr_be32(&w, UINT32_MAX); /* ESTIMATED STATUS UPDATE DELAY: unknown */
    wr_u8(&w, r->state == COPY_RUNNING ? 0 : r->status);
    wr_u8(&w, (uint8_t)sense_len);
    wr_u8(&w, (uint8_t)sense_len);
    wr_u8(&w, blocks ? UNITS_BLOCKS : UNITS_BYTES);
    wr_be64(&w, blocks ? r->bytes / r->block_bytes : r->bytes);
    wr_be16(&w, r->segments);
    wr_zero(&w, 6);
    wr_bytes(&w, sense, sense_len);
    if (tokens) {
        wr_be32(&w, r->has_token ? 2 + ROD_TOKEN_BYTES : 0);
        if (r->has_token) {
            wr_be16(&w, 0); /* ID FOR CREATING ROD CSCD DESCRIPTOR: none */
            wr_bytes(&w, r->token, ROD_TOKEN_BYTES);
        }
    }
    wr_patch_be32(&w, 0, (uint32_t)(w.len - 4));
    scsi_reply(t, &w, be32_get(t->cdb + 10));
}

void copy_receive_status_lid4(struct scsi_task *t)
{
    if (!find_id(t->itl, false, be32_get(t->cdb + 2))) {
        scsi_check_cdb(t, 2, 7);
        return;
    }
    scsi_want_reply_buf(t, be32_get(t->cdb + 10), status_lid4_reply);
}

/* ---- COPY OPERATION ABORT (SPC-6 6.4) ---- */

void copy_abort(struct scsi_task *t)
{
    struct copy_result *r = find_id(t->itl, false, be32_get(t->cdb + 2));
    if (!r) {
        scsi_check_cdb(t, 2, 7);
        return;
    }
    r->abort = true;
    scsi_good(t);
}
