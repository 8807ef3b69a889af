/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scsi/erase.h"
#include "scsi/background.h"
#include "scsi/command.h"

#include <assert.h>

bool scsi_erase_possible(struct scsi_task *t)
{
    const struct scsi_lu *lu = scsi_task_lu(t);

    if (lu->busy_kind != SCSI_BUSY_NONE) {
        scsi_check_busy(t);
        return false;
    }
    if (lu->ejected) {
        scsi_check(t, SENSE_MEDIUM_NOT_PRESENT);
        return false;
    }
    return true;
}

struct scsi_erase *scsi_erase_new(const struct scsi_lu *lu, uint8_t kind)
{
    struct scsi_erase *e = alloc_zero(lu->a, sizeof *e + lu->cfg.block_bytes);

    if (!e)
        return NULL;
    e->kind = kind;
    e->zeroes = true;
    e->passes = 1;
    e->total = lu->cfg.block_count * lu->cfg.block_bytes;
    list_init(&e->waiters);
    return e;
}

void scsi_erase_pattern(struct scsi_erase *e, const struct scsi_task *t, uint64_t off, size_t len)
{
    size_t block_bytes = scsi_task_lu(t)->cfg.block_bytes;

    if (len > block_bytes)
        len = block_bytes;
    (void)scsi_out_copy(t, off, e->block, len);
    block_fill(e->block + len, block_bytes - len, e->block, len);
    e->zeroes = false;
}

/* ---- the background task ---- */

static void erase_chunk(struct scsi_task *t);

/* With the gate held: the unit is as it was, or failed. */
static void erase_end(struct scsi_task *t, int err)
{
    struct scsi_lu *lu = scsi_task_lu(t);
    struct scsi_erase *e = lu->erase;

    (void)err;
    lu->erase = NULL;
    lu->busy_kind = SCSI_BUSY_NONE;
    atomic_store(&lu->progress, 0);
    if (e->kind == SCSI_BUSY_SANITIZE) {
        lu->sanitize_failed = e->err != 0;
        lu->sanitize_unrestricted = e->unrestricted;
    }
    while (!list_empty(&e->waiters)) {
        struct scsi_task *w = list_entry(e->waiters.next, struct scsi_task, lane_node);
        w->scratch[0] = e->err != 0;
        scsi_wake(w);
    }
    alloc_put(lu->a, e);
    scsi_good(t);
}

static void erase_finish(struct scsi_task *t, int err)
{
    scsi_task_lu(t)->erase->err = err;
    scsi_want_exclusive(t, erase_end);
}

/* In 65536ths, rounded down (SPC-6, progress indication). */
static void set_progress(struct scsi_lu *lu, const struct scsi_erase *e)
{
    unsigned shift = e->total >> 47 ? 17 : 0; /* the product must fit */
    uint64_t part = (e->pos >> shift) * 65536 / (e->total >> shift);
    uint64_t done = (e->pass * UINT64_C(65536) + part) / e->passes;
    atomic_store(&lu->progress, (uint32_t)(done < 65535 ? done : 65535));
}

static void pass_flushed(struct scsi_task *t, int err)
{
    struct scsi_erase *e = scsi_task_lu(t)->erase;

    if (err || ++e->pass == e->passes) {
        erase_finish(t, err);
        return;
    }
    e->pos = 0;
    if (e->invert) {
        for (size_t i = 0; i < BLOCK_CHUNK_BYTES; i++)
            t->buf[i] ^= 0xff;
    }
    erase_chunk(t);
}

static void chunk_done(struct scsi_task *t, int err)
{
    struct scsi_lu *lu = scsi_task_lu(t);

    if (err) {
        erase_finish(t, err);
        return;
    }
    lu->erase->pos += t->bio.len;
    set_progress(lu, lu->erase);
    erase_chunk(t);
}

static void erase_chunk(struct scsi_task *t)
{
    const struct scsi_erase *e = scsi_task_lu(t)->erase;
    uint64_t left = e->total - e->pos;

    if (left == 0) /* one pass must be on the medium before the next may replace it in a cache */
        block_plain_io(t, BIO_FLUSH, 0, 0, 0, pass_flushed);
    else if (e->zeroes)
        block_plain_io(t, BIO_WRITE_ZEROES, e->may_unmap ? (uint32_t)BIO_F_MAY_UNMAP : 0u, e->pos,
                       left < BLOCK_ZERO_BYTES ? left : BLOCK_ZERO_BYTES, chunk_done);
    else
        block_buf_io(t, BIO_WRITE, BIO_F_DPO, e->pos,
                     left < BLOCK_CHUNK_BYTES ? left : BLOCK_CHUNK_BYTES, chunk_done);
}

static void erase_fill(struct scsi_task *t, int err)
{
    const struct scsi_lu *lu = scsi_task_lu(t);

    if (err) {
        erase_finish(t, err);
        return;
    }
    block_fill(t->buf, BLOCK_CHUNK_BYTES, lu->erase->block, lu->cfg.block_bytes);
    erase_chunk(t);
}

static void erase_first(struct scsi_task *t, int err)
{
    (void)err;
    if (scsi_task_lu(t)->erase->zeroes)
        erase_chunk(t);
    else
        scsi_want_buf(t, BLOCK_CHUNK_BYTES, erase_fill);
}

/* ---- the command ---- */

static void erase_waited(struct scsi_task *t, int err)
{
    (void)err;
    if (!t->scratch[0])
        scsi_good(t);
    else if (t->cmd->opcode == 0x04)
        scsi_check(t, SENSE_FORMAT_COMMAND_FAILED);
    else
        scsi_check(t, SENSE_SANITIZE_COMMAND_FAILED);
}

void scsi_erase_begin(struct scsi_task *t, struct scsi_erase *e, bool immed)
{
    struct scsi_lu *lu = scsi_task_lu(t);

    assert(!lu->erase);
    if (!e || !scsi_background_new(t->seat->lane, erase_first)) {
        alloc_put(lu->a, e);
        scsi_status(t, SCSI_STATUS_BUSY);
        return;
    }
    lu->erase = e;
    lu->busy_kind = e->kind;
    atomic_store(&lu->progress, 0);
    if (immed)
        scsi_good(t);
    else
        scsi_want_wake(t, &e->waiters, erase_waited);
}
