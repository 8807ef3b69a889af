/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* REPORT SUPPORTED OPERATION CODES (SPC-6 6.35) and REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS
 * (SPC-6 6.36): the command table, told to the initiator. */
#include "scsi/command.h"
#include "scsi/spc.h"

#include <string.h>

enum {
    /* REPORTING OPTIONS */
    RO_ALL = 0,
    RO_OPCODE = 1,     /* one that has no service actions */
    RO_OPCODE_SA = 2,  /* one that has */
    RO_OPCODE_ANY = 3, /* whichever */
    SUPPORT_NONE = 1,
    SUPPORT_STANDARD = 3,
    TIMEOUTS_LEN = 12,
};

/* SPC-6 6.35.4: no time is stated for any command. */
static void put_timeouts(struct wr *w)
{
    wr_be16(w, TIMEOUTS_LEN - 2);
    wr_zero(w, TIMEOUTS_LEN - 2);
}

static void put_all(const struct scsi_index *ix, bool rctd, struct wr *w)
{
    size_t start = w->len;
    wr_be32(w, 0);
    for (unsigned i = 0; i < ix->first[256]; i++) {
        const struct scsi_command *c = ix->cmd[i];
        wr_u8(w, c->opcode);
        wr_u8(w, 0);
        wr_be16(w, c->sa < 0 ? 0 : (uint16_t)c->sa);
        wr_u8(w, 0);
        wr_u8(w, (uint8_t)((rctd ? 0x02 : 0) | (c->sa < 0 ? 0 : 0x01))); /* CTDP, SERVACTV */
        wr_be16(w, c->cdb_len);
        if (rctd)
            put_timeouts(w);
    }
    wr_patch_be32(w, start, (uint32_t)(w->len - start - 4));
}

/* SPC-6 6.35.3: opcode and service action as they are in the CDB, elsewhere the usage map. */
static void put_usage(const struct scsi_command *c, struct wr *w)
{
    uint8_t usage[sizeof c->usage];
    memcpy(usage, c->usage, sizeof usage);
    usage[0] = c->opcode;
    if (c->opcode == 0x7f) {
        usage[7] = (uint8_t)(c->cdb_len - 8);
        be16_put(usage + 8, (uint16_t)c->sa);
    } else if (c->sa >= 0) {
        usage[1] = (uint8_t)((usage[1] & 0xe0) | c->sa);
    }
    usage[scsi_cdb_control(c)] |= 0x04; /* NACA */
    wr_bytes(w, usage, c->cdb_len);
}

static void put_one(const struct scsi_command *c, bool rctd, struct wr *w)
{
    bool ctdp = c && rctd;
    wr_u8(w, 0);
    wr_u8(w, (uint8_t)((ctdp ? 0x80 : 0) | (c ? SUPPORT_STANDARD : SUPPORT_NONE)));
    wr_be16(w, c ? c->cdb_len : 0);
    if (c)
        put_usage(c, w);
    if (ctdp)
        put_timeouts(w);
}

struct query {
    bool rctd;
    uint8_t option, opcode;
    uint16_t sa;
    uint32_t alloc_len;
};

static struct query parse(const uint8_t *cdb)
{
    return (struct query){
        .rctd = cdb[2] & 0x80,
        .option = cdb[2] & 0x07,
        .opcode = cdb[3],
        .sa = be16_get(cdb + 4),
        .alloc_len = be32_get(cdb + 6),
    };
}

static const struct scsi_command *find(const struct scsi_index *ix, const struct query *q)
{
    for (unsigned i = ix->first[q->opcode]; i < ix->first[q->opcode + 1]; i++) {
        const struct scsi_command *c = ix->cmd[i];
        if (c->sa < 0 ? q->sa == 0 : c->sa == q->sa)
            return c;
    }
    return NULL;
}

static void build_opcodes(struct scsi_task *t, int err)
{
    (void)err;
    const struct scsi_index *ix = scsi_task_lu(t)->index;
    struct query q = parse(t->cdb);
    struct wr w = scsi_reply_begin(t);
    if (q.option == RO_ALL) {
        put_all(ix, q.rctd, &w);
    } else {
        if (q.option == RO_OPCODE)
            q.sa = 0; /* ignored */
        put_one(find(ix, &q), q.rctd, &w);
    }
    scsi_reply(t, &w, q.alloc_len);
}

void scsi_report_opcodes(struct scsi_task *t)
{
    const struct scsi_index *ix = scsi_task_lu(t)->index;
    struct query q = parse(t->cdb);
    unsigned i = ix->first[q.opcode];
    bool exists = i < ix->first[q.opcode + 1], has_sa = exists && ix->cmd[i]->sa >= 0;
    if (q.option > RO_OPCODE_ANY) {
        scsi_check_cdb(t, 2, 2);
        return;
    }
    /* Asking in the wrong way for a command that there is, is an error (SPC-6 6.35.1). */
    if (exists && ((q.option == RO_OPCODE && has_sa) || (q.option == RO_OPCODE_SA && !has_sa))) {
        scsi_check_cdb(t, 2, 2);
        return;
    }
    scsi_want_reply_buf(t, q.alloc_len, build_opcodes);
}

/* ---- task management functions ---- */

static void build_tmfs(struct scsi_task *t, int err)
{
    (void)err;
    bool repd = t->cdb[2] & 0x80;
    struct wr w = scsi_reply_begin(t);
    wr_u8(&w, 0x80 | 0x40 | 0x20 | 0x10 | 0x08 | 0x04); /* ATS ATSS CACAS CTSS LURS QTS */
    wr_u8(&w, 0x04 | 0x02 | 0x01);                      /* QAES QTSS ITNRS */
    wr_u8(&w, 0);
    wr_u8(&w, repd ? 12 : 0);
    if (repd)
        wr_zero(&w, 12); /* no timeouts are stated */
    scsi_reply(t, &w, be32_get(t->cdb + 6));
}

void scsi_report_tmfs(struct scsi_task *t)
{
    if (be32_get(t->cdb + 6) < 4) { /* SPC-6 6.36.1 */
        scsi_check_cdb(t, 6, 7);
        return;
    }
    scsi_want_reply_buf(t, be32_get(t->cdb + 6), build_tmfs);
}
