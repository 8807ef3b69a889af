/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The commands that ask for the results of copies by list identifier, or end a copy
 * (SPC-6 6.4, 6.22 to 6.29). */
#include "scsi/copy.h"
#include "scsi/mode.h"

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

/* ---- RECEIVE COPY STATUS, DATA and FAILURE DETAILS (LID1) ---- */

/* The result meant by a LID1 command; NULL: the task was ended (SPC-6 6.25: INVALID FIELD IN CDB).
 */
static struct copy_result *lid1_wanted(struct scsi_task *t)
{
    struct copy_result *r = copy_result_find(t->itl, true, t->cdb[2]);
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
    const struct copy_result *r = copy_result_find(t->itl, false, be32_get(t->cdb + 2));
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
    if (!copy_result_find(t->itl, false, be32_get(t->cdb + 2))) {
        scsi_check_cdb(t, 2, 7);
        return;
    }
    scsi_want_reply_buf(t, be32_get(t->cdb + 10), status_lid4_reply);
}

/* ---- COPY OPERATION ABORT (SPC-6 6.4) ---- */

void copy_abort(struct scsi_task *t)
{
    struct copy_result *r = copy_result_find(t->itl, false, be32_get(t->cdb + 2));
    if (!r) {
        scsi_check_cdb(t, 2, 7);
        return;
    }
    r->abort = true;
    scsi_good(t);
}
