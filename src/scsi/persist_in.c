/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PERSISTENT RESERVE IN (SPC-6 6.16). */
#include "scsi/persist.h"
#include "scsi/reply.h"
#include "scsi/step.h"

enum {
    SA_READ_KEYS = 0x00,
    SA_READ_RESERVATION = 0x01,
    SA_REPORT_CAPABILITIES = 0x02,
    SA_READ_FULL_STATUS = 0x03,
};

/* READ KEYS (SPC-6 6.16.2). */
static void read_keys(const struct scsi_pr *pr, struct wr *w)
{
    wr_be32(w, pr ? pr->generation : 0);
    unsigned count = pr ? pr->count : 0;
    wr_be32(w, count * 8);
    for (unsigned i = 0; i < count; i++)
        wr_be64(w, pr->regs[i].key);
}

/* READ RESERVATION (SPC-6 6.16.3). An all-registrants reservation has no single key: 0. */
static void read_reservation(const struct scsi_pr *pr, struct wr *w)
{
    wr_be32(w, pr ? pr->generation : 0);
    if (!pr || pr->type == SCSI_PR_NONE) {
        wr_be32(w, 0);
        return;
    }
    uint64_t key = 0;
    for (unsigned i = 0; i < pr->count; i++) {
        if (pr->regs[i].holder)
            key = pr->regs[i].key;
    }
    wr_be32(w, 16);
    wr_be64(w, key);
    wr_zero(w, 5);
    wr_u8(w, pr->type); /* scope: logical unit, 0h */
    wr_zero(w, 2);
}

/* REPORT CAPABILITIES (SPC-6 6.16.4). */
static void report_capabilities(const struct scsi_lu *lu, struct wr *w)
{
    const struct scsi_pr *pr = lu->pr;
    wr_be16(w, 8);
    /* CRH, SIP_C, ATP_C, PTPL_C */
    wr_u8(w, (uint8_t)(0x10 | 0x08 | 0x04 | (lu->cfg.keeps_state ? 0x01 : 0)));
    /* TMV; ALLOW COMMANDS 001b: TEST UNIT READY passes any reservation; PTPL_A */
    wr_u8(w, (uint8_t)(0x80 | 1u << 4 | (pr && pr->aptpl ? 0x01 : 0)));
    wr_u8(w, 0x80 | 0x40 | 0x20 | 0x08 | 0x02); /* WR_EX_AR, EX_AC_RO, WR_EX_RO, EX_AC, WR_EX */
    wr_u8(w, 0x01);                             /* EX_AC_AR */
    wr_zero(w, 2);
}

/* READ FULL STATUS (SPC-6 6.16.5): one descriptor a registration, each with one target port. */
static void read_full_status(const struct scsi_pr *pr, struct wr *w)
{
    size_t start = w->len;
    wr_be32(w, pr ? pr->generation : 0);
    wr_be32(w, 0);
    for (unsigned i = 0; pr && i < pr->count; i++) {
        const struct scsi_pr_reg *reg = &pr->regs[i];
        bool holder = reg->holder || scsi_pr_type_all(pr->type);
        wr_be64(w, reg->key);
        wr_zero(w, 4);
        wr_u8(w, holder ? 0x01 : 0x00); /* ALL_TG_PT = 0, R_HOLDER */
        wr_u8(w, holder ? pr->type : 0);
        wr_zero(w, 4);
        wr_be16(w, reg->rel_port);
        wr_be32(w, reg->tid_len);
        wr_bytes(w, reg->tid, reg->tid_len);
    }
    wr_patch_be32(w, start + 4, (uint32_t)(w->len - start - 8));
}

static void in_reply(struct scsi_task *t, int err)
{
    (void)err;
    const struct scsi_pr *pr = scsi_task_lu(t)->pr;
    struct wr w = scsi_reply_begin(t);
    switch (t->cdb[1] & 0x1f) {
    case SA_READ_KEYS:
        read_keys(pr, &w);
        break;
    case SA_READ_RESERVATION:
        read_reservation(pr, &w);
        break;
    case SA_REPORT_CAPABILITIES:
        report_capabilities(scsi_task_lu(t), &w);
        break;
    default: /* the command table lets no other service action through */
        read_full_status(pr, &w);
        break;
    }
    scsi_reply(t, &w, be16_get(t->cdb + 7));
}

void scsi_persistent_reserve_in(struct scsi_task *t)
{
    /* SPC-2 5.5.1: while RESERVE is in force persistent reservation commands conflict, whoever
     * sends them. */
    if (scsi_task_lu(t)->reserved_by) {
        scsi_status(t, SCSI_STATUS_RESERVATION_CONFLICT);
        return;
    }
    scsi_want_reply_buf(t, be16_get(t->cdb + 7), in_reply);
}
