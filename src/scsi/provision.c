/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Logical block provisioning (SBC-4): UNMAP, and GET LBA STATUS of 16 and 32 bytes.
 *
 * ANCHOR of UNMAP is outside its CDB usage data, for no block is ever anchored (ANC_SUP = 0).
 */
#include "scsi/block.h"

#include <string.h>

/* ---- UNMAP: t->blocks = descriptors, t->phase = the one at work, t->pos = its blocks done ---- */

enum {
    UNMAP_HEADER_BYTES = 8,
    UNMAP_DESCRIPTOR_BYTES = 16,
    UNMAP_CDB_LIST_LEN = 7,
};

struct unmap_range {
    uint64_t lba;
    uint32_t blocks;
};

static struct unmap_range unmap_descriptor(const struct scsi_task *t, uint64_t i)
{
    uint8_t d[UNMAP_DESCRIPTOR_BYTES] = { 0 };
    (void)scsi_out_copy(t, UNMAP_HEADER_BYTES + i * UNMAP_DESCRIPTOR_BYTES, d, sizeof d);
    return (struct unmap_range){ be64_get(d), be32_get(d + 8) };
}

static void unmap_next(struct scsi_task *t);

static void unmap_done(struct scsi_task *t, int err)
{
    if (err) {
        scsi_check_bio(t, err);
        return;
    }
    t->pos += t->bio.len / scsi_task_lu(t)->cfg.block_bytes;
    unmap_next(t);
}

static void unmap_next(struct scsi_task *t)
{
    struct scsi_lu *lu = scsi_task_lu(t);
    uint32_t block_bytes = lu->cfg.block_bytes;

    for (; t->phase < t->blocks; t->phase++, t->pos = 0) {
        struct unmap_range r = unmap_descriptor(t, t->phase);
        uint64_t left = (r.blocks - t->pos) * block_bytes;
        if (left == 0)
            continue;
        block_plain_io(t, BIO_UNMAP, block_write_flags(lu, 0), (r.lba + t->pos) * block_bytes,
                       left < BLOCK_ZERO_BYTES ? left : BLOCK_ZERO_BYTES, unmap_done);
        return;
    }
    scsi_good(t);
}

/* All descriptors are checked before the first one is carried out. */
static bool unmap_check(struct scsi_task *t)
{
    const struct scsi_lu *lu = scsi_task_lu(t);
    uint64_t total = 0;

    for (uint64_t i = 0; i < t->blocks; i++) {
        struct unmap_range r = unmap_descriptor(t, i);
        /* Zero blocks are not an error (SBC-4 UNMAP parameter list), right behind the last LBA
         * neither. */
        if (r.lba > lu->cfg.block_count || r.blocks > lu->cfg.block_count - r.lba) {
            block_fail_range(t, r.lba);
            return false;
        }
        total += r.blocks;
        if (total > BLOCK_MAX_UNMAP_BLOCKS) {
            scsi_check_param(t, (unsigned)(UNMAP_HEADER_BYTES + i * UNMAP_DESCRIPTOR_BYTES + 8), 7);
            return false;
        }
    }
    return true;
}

static void unmap_data(struct scsi_task *t, int err)
{
    uint16_t list_len = be16_get(t->cdb + UNMAP_CDB_LIST_LEN);
    uint8_t head[UNMAP_HEADER_BYTES] = { 0 };

    (void)err;
    (void)scsi_out_copy(t, 0, head, sizeof head);
    uint16_t data_len = be16_get(head), desc_len = be16_get(head + 2);
    /* The UNMAP DATA LENGTH counts what follows it: 6 bytes of header and the descriptors. */
    if (data_len < desc_len + (UNMAP_HEADER_BYTES - 2)) {
        scsi_check_param(t, 0, 7);
        return;
    }
    if (desc_len > list_len - UNMAP_HEADER_BYTES) { /* descriptors are cut off */
        scsi_check(t, SENSE_PARAMETER_LIST_LENGTH_ERROR);
        return;
    }
    /* An incomplete last descriptor is ignored. */
    t->blocks = desc_len / UNMAP_DESCRIPTOR_BYTES;
    if (t->blocks > BLOCK_MAX_UNMAP_DESCRIPTORS) {
        scsi_check_param(t, 2, 7);
        return;
    }
    if (!unmap_check(t))
        return;
    t->phase = 0;
    t->pos = 0;
    unmap_next(t);
}

void block_unmap(struct scsi_task *t)
{
    uint16_t list_len = be16_get(t->cdb + UNMAP_CDB_LIST_LEN);

    if (list_len == 0) { /* no data-out, not an error */
        scsi_good(t);
        return;
    }
    if (list_len < UNMAP_HEADER_BYTES) {
        scsi_check(t, SENSE_PARAMETER_LIST_LENGTH_ERROR);
        return;
    }
    scsi_want_data(t, list_len, unmap_data);
}

/* ---- GET LBA STATUS ----
 *
 * t->pos is the LBA that is looked at, t->blocks the end of the scan. Runs of the store of the same
 * state are joined into one descriptor. scratch[]: */
enum {
    MAP_ALLOC,   /* allocation length */
    MAP_COUNT,   /* descriptors complete */
    MAP_START,   /* of the descriptor being built */
    MAP_LEN,     /* blocks of it so far */
    MAP_STATE,   /* provisioning status of it */
    MAP_QUERIES, /* store queries left */
};

enum { /* SBC-4 LBA status descriptor, PROVISIONING STATUS */
       PROVISIONING_MAPPED = 0,
       PROVISIONING_DEALLOCATED = 1,
};

enum { MAP_HEADER_BYTES = 8, MAP_DESCRIPTOR_BYTES = 16 };

static void map_query(struct scsi_task *t);

/* Descriptors the reply has room for: at least one is made. */
static uint64_t map_room(const struct scsi_task *t)
{
    uint64_t alloc = t->scratch[MAP_ALLOC];
    if (alloc < MAP_HEADER_BYTES + 2 * MAP_DESCRIPTOR_BYTES)
        return 1;
    uint64_t room = (alloc - MAP_HEADER_BYTES) / MAP_DESCRIPTOR_BYTES;
    return room < BLOCK_MAP_DESCRIPTORS_MAX ? room : BLOCK_MAP_DESCRIPTORS_MAX;
}

static void map_emit(struct scsi_task *t)
{
    uint8_t *d = t->buf + MAP_HEADER_BYTES + t->scratch[MAP_COUNT]++ * MAP_DESCRIPTOR_BYTES;
    memset(d, 0, MAP_DESCRIPTOR_BYTES);
    be64_put(d, t->scratch[MAP_START]);
    be32_put(d + 8, (uint32_t)t->scratch[MAP_LEN]);
    d[12] = (uint8_t)t->scratch[MAP_STATE];
    t->scratch[MAP_LEN] = 0;
}

static void map_reply(struct scsi_task *t)
{
    if (t->scratch[MAP_LEN])
        map_emit(t);
    uint64_t len = MAP_HEADER_BYTES + t->scratch[MAP_COUNT] * MAP_DESCRIPTOR_BYTES;
    memset(t->buf, 0, MAP_HEADER_BYTES);
    be32_put(t->buf, (uint32_t)(len - 4)); /* PARAMETER DATA LENGTH */
    struct wr w = wr_init(t->buf, t->buf_len);
    w.len = len;
    scsi_reply(t, &w, t->scratch[MAP_ALLOC]);
}

/* Add a run of `blocks` that starts at t->pos. False: the reply is full. */
static bool map_add(struct scsi_task *t, uint64_t blocks, uint64_t state)
{
    while (blocks) {
        uint64_t have = t->scratch[MAP_LEN];
        if (have && (t->scratch[MAP_STATE] != state || have == UINT32_MAX)) {
            map_emit(t);
            have = 0;
        }
        if (t->scratch[MAP_COUNT] == map_room(t))
            return false;
        if (!have) {
            t->scratch[MAP_START] = t->pos;
            t->scratch[MAP_STATE] = state;
        }
        uint64_t n = blocks < UINT32_MAX - have ? blocks : UINT32_MAX - have;
        t->scratch[MAP_LEN] = have + n;
        t->pos += n;
        blocks -= n;
    }
    return true;
}

static void map_answer(struct scsi_task *t, int err)
{
    uint32_t block_bytes = scsi_task_lu(t)->cfg.block_bytes;
    uint64_t left = t->blocks - t->pos, run = left;
    uint64_t state = PROVISIONING_MAPPED;

    if (err && err != USAN_ENOTSUP) {
        scsi_check_bio(t, err);
        return;
    }
    if (!err) {
        /* A run that ends inside a block leaves that block mapped: not all of it is a hole. */
        run = t->bio.run_len / block_bytes;
        state = t->bio.mapped ? PROVISIONING_MAPPED : PROVISIONING_DEALLOCATED;
        if (run == 0) {
            run = 1;
            state = PROVISIONING_MAPPED;
        }
        if (run > left)
            run = left;
    }
    if (!map_add(t, run, state) || --t->scratch[MAP_QUERIES] == 0)
        map_reply(t);
    else
        map_query(t);
}

static void map_query(struct scsi_task *t)
{
    const struct scsi_lu_config *cfg = &scsi_task_lu(t)->cfg;

    if (t->pos == t->blocks) {
        map_reply(t);
        return;
    }
    if (!cfg->thin) { /* fully provisioned: every block is mapped (SBC-4, LBPME = 0) */
        map_answer(t, USAN_ENOTSUP);
        return;
    }
    block_plain_io(t, BIO_MAP_STATUS, 0, t->pos * cfg->block_bytes,
                   (t->blocks - t->pos) * cfg->block_bytes, map_answer);
}

static void map_start(struct scsi_task *t, int err)
{
    const struct scsi_lu *lu = scsi_task_lu(t);

    (void)err;
    if (!block_in_range(lu, t->lba, 0)) { /* not any more */
        block_fail_range(t, t->lba);
        return;
    }
    if (t->blocks > lu->cfg.block_count)
        t->blocks = lu->cfg.block_count;
    map_query(t);
}

void block_get_lba_status(struct scsi_task *t)
{
    uint64_t lba = be64_get(t->cdb + 2);

    if (!block_in_range(scsi_task_lu(t), lba, 0)) {
        block_fail_range(t, lba);
        return;
    }
    t->lba = lba;
    t->pos = lba;
    t->blocks = scsi_task_lu(t)->cfg.block_count;
    t->scratch[MAP_ALLOC] = be32_get(t->cdb + 10);
    t->scratch[MAP_COUNT] = 0;
    t->scratch[MAP_LEN] = 0;
    t->scratch[MAP_QUERIES] = BLOCK_MAP_QUERIES_MAX;
    scsi_want_buf(t, MAP_HEADER_BYTES + map_room(t) * MAP_DESCRIPTOR_BYTES, map_start);
}
