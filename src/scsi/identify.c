/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* REPORT and SET IDENTIFYING INFORMATION, SPC-6 6.31 and 6.45: two short texts that the unit keeps
 * for its users. */
#include "scsi/identify.h"

#include "scsi/spc.h"
#include "scsi/ua.h"

#include <assert.h>
#include <string.h>

enum {
    TYPE_DEVICE = 0x00, /* peripheral device identifying information */
    TYPE_TEXT = 0x02,   /* peripheral device text identifying information: UTF-8, NUL at the end */
    TYPE_SUPPORTED = 0x7f,
    KIND_COUNT = 2,
    LEN_MAX = 256, /* SPC-6 asks for 64 at least (device) and 256 at least (text) */
};

struct scsi_ident {
    struct {
        uint16_t len;
        uint8_t bytes[LEN_MAX];
    } info[KIND_COUNT];
};

static const uint8_t types[KIND_COUNT] = { TYPE_DEVICE, TYPE_TEXT };

/* The INFORMATION TYPE field, byte 10 bits 7..1 of both commands. */
static int kind_of(const struct scsi_task *t)
{
    for (int i = 0; i < KIND_COUNT; i++) {
        if (t->cdb[10] >> 1 == types[i])
            return i;
    }
    return -1;
}

/* ---- REPORT ---- */

static void put_supported(struct wr *w)
{
    wr_be16(w, 0);
    wr_be16(w, KIND_COUNT * 4);
    for (unsigned i = 0; i < KIND_COUNT; i++) { /* SPC-6 6.31.3 */
        wr_u8(w, (uint8_t)(types[i] << 1));
        wr_u8(w, 0);
        wr_be16(w, LEN_MAX);
    }
}

static void build(struct scsi_task *t, int err)
{
    (void)err;
    const struct scsi_ident *ident = scsi_task_lu(t)->ident;
    int kind = kind_of(t);
    struct wr w = scsi_reply_begin(t);
    if (kind < 0) {
        put_supported(&w);
    } else {
        wr_be16(&w, 0);
        wr_be16(&w, ident->info[kind].len);
        wr_bytes(&w, ident->info[kind].bytes, ident->info[kind].len);
    }
    scsi_reply(t, &w, be32_get(t->cdb + 6));
}

void scsi_report_identifying_information(struct scsi_task *t)
{
    if (kind_of(t) < 0 && t->cdb[10] >> 1 != TYPE_SUPPORTED) {
        scsi_check_cdb(t, 10, 7);
        return;
    }
    scsi_want_reply_buf(t, be32_get(t->cdb + 6), build);
}

/* ---- SET ---- */

static void saved(struct scsi_task *t, int err)
{
    if (err)
        scsi_check(t, SENSE_INTERNAL_TARGET_FAILURE);
    else
        scsi_good(t);
}

static void set(struct scsi_task *t, int err)
{
    (void)err;
    struct scsi_lu *lu = scsi_task_lu(t);
    uint8_t bytes[LEN_MAX];
    int kind = kind_of(t);
    assert(kind >= 0); /* checked before the data was asked for */
    uint16_t len = (uint16_t)scsi_out_copy(t, 0, bytes, be32_get(t->cdb + 6));
    if (types[kind] == TYPE_TEXT && len && memchr(bytes, 0, len) != bytes + len - 1) {
        scsi_check_param(t, len - 1u, 7); /* SPC-6 4.3.2: a null-terminated text */
        return;
    }
    lu->ident->info[kind].len = len;
    memcpy(lu->ident->info[kind].bytes, bytes, len);
    scsi_ua_add_all(lu, t->itl, UA_IDENTIFIER_CHANGED);
    scsi_want_save(t, saved);
}

void scsi_set_identifying_information(struct scsi_task *t)
{
    if (kind_of(t) < 0)
        scsi_check_cdb(t, 10, 7);
    else if (be32_get(t->cdb + 6) > LEN_MAX)
        scsi_check_cdb(t, 6, 7);
    else
        scsi_want_data(t, be32_get(t->cdb + 6), set);
}

/* ---- life ---- */

int scsi_ident_init(struct scsi_lu *lu)
{
    lu->ident = alloc_zero(lu->a, sizeof *lu->ident);
    return lu->ident ? 0 : USAN_ENOMEM;
}

void scsi_ident_free(struct scsi_lu *lu)
{
    alloc_put(lu->a, lu->ident);
    lu->ident = NULL;
}

void scsi_ident_save(const struct scsi_lu *lu, struct wr *w)
{
    for (unsigned i = 0; i < KIND_COUNT; i++) {
        wr_be16(w, lu->ident->info[i].len);
        wr_bytes(w, lu->ident->info[i].bytes, lu->ident->info[i].len);
    }
}

int scsi_ident_load(struct scsi_lu *lu, struct rd *r)
{
    struct scsi_ident loaded = { 0 };
    for (unsigned i = 0; i < KIND_COUNT; i++) {
        uint16_t len = rd_be16(r);
        const uint8_t *bytes = len <= LEN_MAX ? rd_bytes(r, len) : NULL;
        if (r->bad || !bytes)
            return USAN_ECORRUPT;
        loaded.info[i].len = len;
        memcpy(loaded.info[i].bytes, bytes, len);
    }
    *lu->ident = loaded;
    return 0;
}
