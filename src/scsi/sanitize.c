/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SANITIZE (SBC-4): overwrite, block erase (thin units) and exit failure mode. There is no
 * cryptographic erase. ZNR is outside the CDB usage data.
 */
#include "scsi/erase.h"

enum {
    SANITIZE_IMMED = 0x80,
    SANITIZE_AUSE = 0x20,
    SANITIZE_CDB_LIST_LEN = 7,

    /* OVERWRITE service action parameter list */
    OVERWRITE_HEADER_BYTES = 4,
    OVERWRITE_INVERT = 0x80,
    OVERWRITE_TEST = 0x60,
    OVERWRITE_COUNT = 0x1f,
};

static uint16_t list_len(const struct scsi_task *t)
{
    return be16_get(t->cdb + SANITIZE_CDB_LIST_LEN);
}

static bool immed(const struct scsi_task *t)
{
    return t->cdb[1] & SANITIZE_IMMED;
}

/* The parameter list, checked. False: t was ended. */
static bool overwrite_check(struct scsi_task *t, const uint8_t *head)
{
    uint16_t pattern_len = be16_get(head + 2);

    if ((head[0] & OVERWRITE_COUNT) == 0) {
        scsi_check_param(t, 0, 4);
        return false;
    }
    if (head[0] & OVERWRITE_TEST) {
        scsi_check_param(t, 0, 6);
        return false;
    }
    if (head[1]) {
        scsi_check_param(t, 1, 7);
        return false;
    }
    if (pattern_len == 0 || pattern_len > scsi_task_lu(t)->cfg.block_bytes ||
        pattern_len > list_len(t) - OVERWRITE_HEADER_BYTES) {
        scsi_check_param(t, 2, 7);
        return false;
    }
    return true;
}

static void overwrite_go(struct scsi_task *t, int err)
{
    uint8_t head[OVERWRITE_HEADER_BYTES] = { 0 };

    (void)err;
    if (!scsi_erase_possible(t))
        return;
    (void)scsi_out_copy(t, 0, head, sizeof head);
    if (!overwrite_check(t, head))
        return;
    struct scsi_erase *e = scsi_erase_new(scsi_task_lu(t), SCSI_BUSY_SANITIZE);
    if (e) {
        e->passes = head[0] & OVERWRITE_COUNT;
        e->invert = head[0] & OVERWRITE_INVERT;
        e->unrestricted = t->cdb[1] & SANITIZE_AUSE;
        scsi_erase_pattern(e, t, OVERWRITE_HEADER_BYTES, be16_get(head + 2));
    }
    scsi_erase_begin(t, e, immed(t));
}

static void overwrite_data(struct scsi_task *t, int err)
{
    (void)err;
    scsi_want_exclusive(t, overwrite_go);
}

void block_sanitize_overwrite(struct scsi_task *t)
{
    uint32_t block_bytes = scsi_task_lu(t)->cfg.block_bytes;

    if (!scsi_erase_possible(t))
        return;
    if (list_len(t) <= OVERWRITE_HEADER_BYTES ||
        list_len(t) > OVERWRITE_HEADER_BYTES + block_bytes) {
        scsi_check_cdb(t, SANITIZE_CDB_LIST_LEN, 7);
        return;
    }
    scsi_want_data(t, list_len(t), overwrite_data);
}

void block_sanitize_block_erase(struct scsi_task *t)
{
    if (!scsi_erase_possible(t))
        return;
    if (list_len(t) != 0) {
        scsi_check_cdb(t, SANITIZE_CDB_LIST_LEN, 7);
        return;
    }
    struct scsi_erase *e = scsi_erase_new(scsi_task_lu(t), SCSI_BUSY_SANITIZE);
    if (e) {
        e->may_unmap = true;
        e->unrestricted = t->cdb[1] & SANITIZE_AUSE;
    }
    scsi_erase_begin(t, e, immed(t));
}

void block_sanitize_exit_failure(struct scsi_task *t)
{
    struct scsi_lu *lu = scsi_task_lu(t);

    if (list_len(t) != 0) {
        scsi_check_cdb(t, SANITIZE_CDB_LIST_LEN, 7);
        return;
    }
    if (lu->busy_kind != SCSI_BUSY_NONE) {
        scsi_check_busy(t);
        return;
    }
    /* After a failed operation without AUSE, only a successful SANITIZE helps. */
    if (lu->sanitize_failed && !lu->sanitize_unrestricted) {
        scsi_check_cdb(t, 1, 4);
        return;
    }
    lu->sanitize_failed = false;
    scsi_good(t);
}
