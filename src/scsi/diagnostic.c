/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SEND DIAGNOSTIC (SPC-6 6.43) and RECEIVE DIAGNOSTIC RESULTS (SPC-6 6.28): the default self-test,
 * and the one page that lists the pages. */
#include "scsi/spc.h"

enum { PAGE_SUPPORTED = 0x00, PAGE_LIST_LEN = 4 };

/* ---- the default self-test reads the first block ---- */

static void tested(struct scsi_task *t, int err)
{
    if (err)
        scsi_check(t, SENSE_SELF_TEST_FAILED);
    else
        scsi_good(t);
}

static void read_first(struct scsi_task *t, int err)
{
    (void)err;
    const struct scsi_lu *lu = scsi_task_lu(t);
    t->in_one = (struct iovec){ t->buf, lu->cfg.block_bytes };
    t->bio.op = BIO_READ;
    t->bio.flags = 0;
    t->bio.off = 0;
    t->bio.len = lu->cfg.block_bytes;
    t->bio.iov = &t->in_one;
    t->bio.iovcnt = 1;
    scsi_want_io(t, tested);
}

static void self_test(struct scsi_task *t)
{
    const struct scsi_lu *lu = scsi_task_lu(t);
    if (lu->cfg.block_count == 0 || lu->ejected)
        scsi_good(t);
    else
        scsi_want_buf(t, lu->cfg.block_bytes, read_first);
}

/* ---- pages ---- */

static void got_page(struct scsi_task *t, int err)
{
    (void)err;
    uint8_t page[PAGE_LIST_LEN] = { 0 };
    (void)scsi_out_copy(t, 0, page, sizeof page);
    if (page[0] != PAGE_SUPPORTED)
        scsi_check_param(t, 0, 7);
    else if (page[1] != 0 || be16_get(page + 2) != 0)
        scsi_check_param(t, page[1] ? 1 : 2, 7);
    else
        scsi_good(t);
}

void scsi_send_diagnostic(struct scsi_task *t)
{
    const uint8_t *cdb = t->cdb;
    bool self = cdb[1] & 0x04, pf = cdb[1] & 0x10;
    uint16_t list_len = be16_get(cdb + 3);
    if (cdb[1] >> 5) { /* SELF-TEST CODE: only the default self-test there is */
        scsi_check_cdb(t, 1, 7);
    } else if (self && list_len) {
        scsi_check_cdb(t, 3, 7);
    } else if (self) {
        self_test(t);
    } else if (list_len && !pf) { /* vendor specific pages */
        scsi_check_cdb(t, 1, 4);
    } else if (list_len && list_len != PAGE_LIST_LEN) {
        scsi_check(t, SENSE_PARAMETER_LIST_LENGTH_ERROR);
    } else if (list_len) {
        scsi_want_data(t, list_len, got_page);
    } else {
        scsi_good(t);
    }
}

static void build(struct scsi_task *t, int err)
{
    (void)err;
    struct wr w = scsi_reply_begin(t);
    wr_u8(&w, PAGE_SUPPORTED);
    wr_u8(&w, 0);
    wr_be16(&w, 1);
    wr_u8(&w, PAGE_SUPPORTED);
    scsi_reply(t, &w, be16_get(t->cdb + 3));
}

void scsi_receive_diagnostic(struct scsi_task *t)
{
    const uint8_t *cdb = t->cdb;
    /* PCV = 0 asks for what the last SEND DIAGNOSTIC was about; that can only be this page. */
    if (cdb[2] != PAGE_SUPPORTED)
        scsi_check_cdb(t, 2, 7);
    else
        scsi_want_reply_buf(t, be16_get(cdb + 3), build);
}
