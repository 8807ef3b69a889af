/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The logical unit object as the owner has it, and what of it survives a restart. */
#include "scsi/lu.h"

#include "base/crc32c.h"
#include "scsi/identify.h"
#include "scsi/mode.h"
#include "scsi/persist.h"
#include "scsi/table.h"
#include "scsi/tokens.h"

#include <assert.h>
#include <string.h>

struct scsi_lu *scsi_lu_new(const struct scsi_lu_config *cfg, const struct alloc *a)
{
    assert(cfg->block_bytes >= 512 && (cfg->block_bytes & (cfg->block_bytes - 1)) == 0);
    assert(cfg->naa_len == 8 || cfg->naa_len == 16);
    struct scsi_lu *lu = alloc_zero(a, sizeof *lu);
    if (!lu)
        return NULL;
    lu->a = a;
    lu->cfg = *cfg;
    list_init(&lu->itls);
    lu->index = scsi_index_new(cfg, a);
    atomic_store(&lu->avail_bytes, UINT64_MAX);
    if (!lu->index || scsi_modes_init(lu) != 0 || scsi_ident_init(lu) != 0) {
        scsi_lu_free(lu);
        return NULL;
    }
    return lu;
}

void scsi_lu_free(struct scsi_lu *lu)
{
    if (!lu)
        return;
    assert(list_empty(&lu->itls));
    const struct alloc *a = lu->a;
    scsi_pr_free(lu);
    scsi_tokens_free(lu);
    scsi_modes_free(lu);
    scsi_ident_free(lu);
    alloc_put(a, lu->index);
    alloc_put(a, lu);
}

const struct scsi_lu_config *scsi_lu_config(const struct scsi_lu *lu)
{
    return &lu->cfg;
}

void scsi_lu_set_user(struct scsi_lu *lu, void *user)
{
    lu->user = user;
}

void *scsi_lu_user(const struct scsi_lu *lu)
{
    return lu->user;
}

/* ---- state ---- */

/*
 *  0  "usan-lu\n"
 *  8  version
 * 12  length of the mode pages, then they
 *     length of the persistent reservations, then they
 *     length of the identifying information, then it
 *     CRC32C of all before
 */
static const char state_magic[8] = { 'u', 's', 'a', 'n', '-', 'l', 'u', '\n' };
enum { STATE_VERSION = 1, STATE_MIN = 8 + 4 + 3 * 4 + 4 };

static void save_part(const struct scsi_lu *lu, struct wr *w,
                      void (*save)(const struct scsi_lu *lu, struct wr *w))
{
    size_t at = w->len;
    wr_be32(w, 0);
    save(lu, w);
    wr_patch_be32(w, at, (uint32_t)(w->len - at - 4));
}

size_t scsi_lu_state(const struct scsi_lu *lu, void *buf, size_t cap)
{
    struct wr w = wr_init(buf, cap);
    wr_bytes(&w, state_magic, sizeof state_magic);
    wr_be32(&w, STATE_VERSION);
    save_part(lu, &w, scsi_modes_save);
    save_part(lu, &w, scsi_pr_save);
    save_part(lu, &w, scsi_ident_save);
    wr_be32(&w, wr_truncated(&w) ? 0 : crc32c(buf, w.len));
    return w.len;
}

static bool load_part(struct rd *r, struct rd *ret_part)
{
    uint32_t len = rd_be32(r);
    const uint8_t *p = rd_bytes(r, len);
    if (!p)
        return false;
    *ret_part = rd_init(p, len);
    return true;
}

int scsi_lu_restore(struct scsi_lu *lu, const void *buf, size_t len)
{
    const uint8_t *p = buf;
    if (len < STATE_MIN || memcmp(p, state_magic, sizeof state_magic) != 0 ||
        be32_get(p + len - 4) != crc32c(p, len - 4))
        return USAN_ECORRUPT;
    struct rd r = rd_init(p + 8, len - 12);
    struct rd modes, pr, ident;
    uint32_t version = rd_be32(&r);
    bool whole = load_part(&r, &modes) && load_part(&r, &pr) && load_part(&r, &ident);
    if (!whole || rd_left(&r) || version != STATE_VERSION)
        return USAN_ECORRUPT;

    int err = scsi_pr_load(lu, &pr);
    if (!err && (err = scsi_modes_load(lu, &modes)) != 0)
        scsi_pr_free(lu);
    if (!err && (err = scsi_ident_load(lu, &ident)) != 0) {
        scsi_pr_free(lu);
        scsi_modes_clear(lu);
    }
    return err;
}
