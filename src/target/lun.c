/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/lun.h"

#include "base/alloc_heap.h"
#include "scsi/scsi.h"
#include "store/store.h"
#include "target/background.h"
#include "target/buffers.h"
#include "target/command.h"
#include "target/log.h"
#include "target/reactor.h"
#include "target/target.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* FNV-1a, 64 bits, then mixed so that every bit of the digest depends on every byte. It only has
 * to be the same for ever and to spread well. */
static uint64_t hash_text(uint64_t h, const char *s)
{
    for (; *s; s++)
        h = (h ^ (uint8_t)*s) * 0x100000001b3ull;
    return (h ^ 0xff) * 0x100000001b3ull; /* ends the text: "a","b" differs from "ab","" */
}

void tgt_lun_identity(const char *target_name, uint32_t lun, uint8_t ret_naa[8],
                      char ret_serial[17])
{
    char number[16];
    snprintf(number, sizeof(number), "%u", lun);
    uint64_t h = hash_text(hash_text(0xcbf29ce484222325ull, target_name), number);
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93ull;
    h ^= h >> 32;
    h = (h & 0x0fffffffffffffffull) | 3ull << 60; /* NAA 3h: locally assigned */
    for (int i = 0; i < 8; i++)
        ret_naa[i] = (uint8_t)(h >> (56 - 8 * i));
    snprintf(ret_serial, 17, "%016llx", (unsigned long long)h);
}

static void hex_bytes(const char *hex, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char two[3] = { hex[2 * i], hex[2 * i + 1], 0 };
        out[i] = (uint8_t)strtoul(two, NULL, 16);
    }
}

static void fill_identity(const struct tgt_lun *lun, struct scsi_lu_config *c)
{
    uint8_t naa[8];
    char serial[17];
    tgt_lun_identity(lun->target_name, lun->number, naa, serial);
    snprintf(c->serial, sizeof(c->serial), "%s", lun->cfg->serial ? lun->cfg->serial : serial);
    if (lun->cfg->naa) {
        c->naa_len = (uint8_t)(strlen(lun->cfg->naa) / 2);
        hex_bytes(lun->cfg->naa, c->naa, c->naa_len);
    } else {
        c->naa_len = sizeof(naa);
        memcpy(c->naa, naa, sizeof(naa));
    }
}

/* Logical and physical block size that suit both the configuration and the store. */
static int choose_blocks(const struct tgt_lun *lun, struct scsi_lu_config *c, struct err_text *e)
{
    const struct store_info *info = &lun->store->info;
    uint32_t block = lun->cfg->block_bytes;
    if (block == 0)
        block = info->block_bytes <= 512 ? 512 : 4096;
    if (info->block_bytes > block)
        return err_set(e, USAN_EINVAL,
                       "%s: blocks of %u bytes are too small for this store, which needs %u; use "
                       "block size 4096",
                       store_spec_text(lun->cfg->store).s, block, info->block_bytes);
    if (info->size_bytes < block)
        return err_set(e, USAN_EINVAL,
                       "%s: holds less than one block of %u bytes; give it a size first (truncate "
                       "-s SIZE)",
                       store_spec_text(lun->cfg->store).s, block);
    uint32_t phys =
        lun->cfg->phys_block_bytes ? lun->cfg->phys_block_bytes : info->phys_block_bytes;
    c->phys_exponent = 0;
    /* 2^15 is the most READ CAPACITY(16) can say. */
    while (c->phys_exponent < 15 && (uint64_t)block << (c->phys_exponent + 1) <= phys)
        c->phys_exponent++;
    c->block_bytes = block;
    c->block_count = info->size_bytes / block;
    return 0;
}

static int fill_lu_config(const struct tgt_lun *lun, struct scsi_lu_config *c, struct err_text *e)
{
    const struct store_info *info = &lun->store->info;
    *c = (struct scsi_lu_config){
        .vendor = "USAN",
        .product = "VIRTUAL-DISK",
        .revision = "0001",
        .read_only = lun->cfg->read_only || info->read_only,
        .removable = lun->cfg->removable,
        .thin = lun->cfg->thin,
        .volatile_cache = info->volatile_cache,
        .wce = info->volatile_cache && !lun->cfg->write_through,
        .keeps_state = lun->state_path != NULL,
        .rotational = info->rotational,
        .unmap_zeroes = info->unmap_zeroes,
        .native_caw = info->can_compare_and_write,
        .thin_threshold_pct = lun->cfg->thin_threshold_pct,
    };
    int err = choose_blocks(lun, c, e);
    if (err)
        return err;
    assert(c->block_bytes); /* 512 or 4096, as the configuration was checked */
    if (c->thin && info->unmap_gran_bytes == 0)
        return err_set(e, USAN_EINVAL, "%s: %s; leave thin provisioning off",
                       store_spec_text(lun->cfg->store).s,
                       c->read_only ? "nothing can be deallocated on a read-only disk"
                                    : "this store cannot deallocate blocks");
    c->unmap_gran_blocks = info->unmap_gran_bytes / c->block_bytes;
    c->opt_xfer_blocks = info->opt_io_bytes / c->block_bytes;
    /* A transfer has to fit in one data buffer, and in one request of the store. */
    uint64_t max = 1u << TGT_BUFFERS_MAX_SHIFT;
    if (info->max_io_bytes && info->max_io_bytes < max)
        max = info->max_io_bytes;
    c->max_xfer_blocks = (uint32_t)(max / c->block_bytes);
    fill_identity(lun, c);
    return 0;
}

/* A regular file whose end is no whole block: whoever brings an image should know. */
static void warn_of_tail(const struct tgt_lun *lun, uint32_t block_bytes)
{
    struct store_spec_file *file = malloc(sizeof(*file));
    struct stat st;
    if (file && store_spec_file(lun->cfg->store, file) && stat(file->path, &st) == 0 &&
        S_ISREG(st.st_mode) && st.st_size % block_bytes)
        tgt_log(TGT_LOG_WARN, "tail-not-served", "target=%s lun=%u file=%s bytes=%u why=%s",
                lun->target_name, lun->number, tgt_log_quote(file->path).s,
                (unsigned)(st.st_size % block_bytes),
                "\"the size of the file is no multiple of the block size\"");
    free(file);
}

static int make_lu(struct tgt_lun *lun, uint16_t rel_port, struct err_text *e)
{
    struct scsi_lu_config c;
    int err = fill_lu_config(lun, &c, e);
    if (err)
        return err;
    warn_of_tail(lun, c.block_bytes);
    lun->lu = scsi_lu_new(&c, &alloc_heap);
    if (!lun->lu)
        return err_set(e, USAN_ENOMEM, "out of memory");
    scsi_lu_set_user(lun->lu, lun);
    err = scsi_lu_add_port(lun->lu, TGT_PORT_GROUP, rel_port);
    if (err)
        return err_set(e, err, "target port group: %s", usan_strerror(err));
    if (lun->state_path)
        err = tgt_lun_state_load(lun, e);
    return err;
}

/* From the reactor that has found it out; one of them, always the same, tells the logical unit. */
static void store_news(struct store_watcher *w, enum store_news what, const char *text)
{
    struct tgt_lun *lun = list_entry(w, struct tgt_lun, watcher);
    if (what == STORE_NEWS_TEXT)
        tgt_log(TGT_LOG_WARN, "store", "target=%s lun=%u what=%s", lun->target_name, lun->number,
                tgt_log_quote(text).s);
    else if (lun->lanes && !atomic_exchange(&lun->lanes[0].size_posted, true))
        loop_post(lun->lanes[0].reactor->loop, &lun->lanes[0].size);
}

int tgt_lun_open(const struct tgt_config_lun *cfg, const char *target_name, uint16_t rel_port,
                 const char *state_dir, struct tgt_lun **ret_lun, struct err_text *e)
{
    struct tgt_lun *lun = calloc(1, sizeof(*lun));
    if (!lun)
        return err_set(e, USAN_ENOMEM, "out of memory");
    lun->cfg = cfg;
    lun->number = cfg->lun;
    int err = err_set(e, USAN_ENOMEM, "out of memory"); /* until there is another one */
    lun->target_name = strdup(target_name);
    if (!lun->target_name)
        goto fail;
    if (state_dir) {
        uint8_t naa[8];
        char id[17];
        /* Named by target and LUN: the same whatever serial number is configured. */
        tgt_lun_identity(target_name, lun->number, naa, id);
        if (asprintf(&lun->state_path, "%s/%s.lu", state_dir, id) < 0) {
            lun->state_path = NULL;
            goto fail;
        }
    }
    err = store_open_spec(cfg->store, cfg->read_only, &lun->store, e);
    if (err)
        goto fail;
    lun->watcher.news = store_news;
    store_watch(lun->store, &lun->watcher);
    lun->can_lend = lun->store->info.can_lend;
    lun->can_grant = lun->store->info.can_grant;
    err = make_lu(lun, rel_port, e);
    if (err)
        goto fail;
    *ret_lun = lun;
    return 0;
fail:
    tgt_lun_close(lun);
    return err;
}

void tgt_lun_close(struct tgt_lun *lun)
{
    if (!lun)
        return;
    assert(!lun->lanes);
    scsi_lu_free(lun->lu);
    store_close(lun->store);
    free(lun->state_path);
    free(lun->target_name);
    free(lun);
}

static void log_stats(void *arg, const char *what, const char *values)
{
    const struct tgt_lun *lun = arg;
    tgt_log(TGT_LOG_STATUS, "store", "target=%s lun=%u what=%s %s", lun->target_name, lun->number,
            what, values);
}

void tgt_lun_report_stats(const struct tgt_lun *lun)
{
    store_report(lun->store, log_stats, (void *)(uintptr_t)lun);
}

void tgt_lun_io_failed(const struct tgt_lun *lun, const struct bio *bio, int err)
{
    static const char *const names[BIO_OP_COUNT] = {
        [BIO_READ] = "read",
        [BIO_WRITE] = "write",
        [BIO_FLUSH] = "flush",
        [BIO_UNMAP] = "unmap",
        [BIO_WRITE_ZEROES] = "write-zeroes",
        [BIO_COMPARE_AND_WRITE] = "compare-and-write",
        [BIO_MAP_STATUS] = "map-status",
    };
    if (err == USAN_EMISCOMPARE || err == USAN_ENOTSUP || err == USAN_ECANCELED)
        return;
    tgt_log_peer(TGT_LOG_ERROR, TGT_LOG_IO_FAILED,
                 "target=%s lun=%u store=%s op=%s offset=%llu bytes=%llu why=%s", lun->target_name,
                 lun->number, tgt_log_quote(store_spec_text(lun->cfg->store).s).s, names[bio->op],
                 (unsigned long long)bio->off, (unsigned long long)bio->len,
                 tgt_log_quote(usan_strerror(err)).s);
}

/* ---- lanes ---- */

static void kicked(struct loop_msg *m)
{
    struct tgt_lane *lane = list_entry(m, struct tgt_lane, kick);
    atomic_store_explicit(&lane->kicked, false, memory_order_release);
    scsi_lane_poll(lane->lane);
    tgt_lane_pull(lane);
}

static void size_changed(struct loop_msg *m)
{
    struct tgt_lane *lane = list_entry(m, struct tgt_lane, size);
    struct tgt_lun *lun = lane->lun;
    atomic_store(&lane->size_posted, false);
    uint64_t bytes = __atomic_load_n(&lun->store->info.size_bytes, __ATOMIC_RELAXED);
    uint64_t blocks = bytes / scsi_lu_config(lun->lu)->block_bytes;
    tgt_log(TGT_LOG_WARN, "store", "target=%s lun=%u what=size bytes=%llu", lun->target_name,
            lun->number, (unsigned long long)bytes);
    if (blocks == 0)
        return; /* there is no such unit: what is read and written fails by itself */
    (void)!scsi_lu_set_block_count(lane->lane, blocks); /* while commands run: after them */
    tgt_lane_pull(lane);
}

static void space_reported(struct loop_msg *m)
{
    struct tgt_lane *lane = list_entry(m, struct tgt_lane, space);
    atomic_store(&lane->space_posted, false);
    scsi_lu_set_space(lane->lane, atomic_load(&lane->used_bytes), atomic_load(&lane->avail_bytes));
    tgt_lane_pull(lane);
}

void tgt_lun_report_space(struct tgt_lun *lun)
{
    struct tgt_lane *lane = &lun->lanes[0];
    if (atomic_exchange(&lane->space_posted, true))
        return; /* the last report is still on its way */
    struct store_space space = { 0, UINT64_MAX };
    store_space(lun->store, &space);
    atomic_store(&lane->used_bytes, space.used_bytes);
    atomic_store(&lane->avail_bytes, space.avail_bytes);
    loop_post(lane->reactor->loop, &lane->space);
}

int tgt_lun_make_lanes(struct tgt_lun *lun, struct tgt_reactor **reactors, unsigned count)
{
    lun->lanes = calloc(count, sizeof(*lun->lanes));
    if (!lun->lanes)
        return USAN_ENOMEM;
    lun->lane_count = count;
    for (unsigned i = 0; i < count; i++) {
        struct tgt_lane *lane = &lun->lanes[i];
        lane->lun = lun;
        lane->reactor = reactors[i];
        list_init(&lane->dirty_node);
        lane->kick.deliver = kicked;
        lane->space.deliver = space_reported;
        lane->size.deliver = size_changed;
        lane->lane = scsi_lane_new(lun->lu, i);
        if (!lane->lane)
            return USAN_ENOMEM;
    }
    return 0;
}

void tgt_lun_free_lanes(struct tgt_lun *lun)
{
    if (lun->lu)
        scsi_lu_settle(lun->lu);
    for (unsigned i = 0; i < lun->lane_count; i++) {
        assert(!lun->lanes[i].ch);
        scsi_lane_free(lun->lanes[i].lane);
    }
    free(lun->lanes);
    lun->lanes = NULL;
    lun->lane_count = 0;
}

int tgt_lane_open(struct tgt_lane *lane)
{
    if (lane->ch)
        return 0;
    return store_channel_open(lane->lun->store, lane->reactor->loop, &lane->ch);
}

void tgt_lane_close(struct tgt_lane *lane)
{
    store_channel_close(lane->ch);
    lane->ch = NULL;
}

static void post_kicks(struct tgt_lane *self, uint64_t kicks)
{
    struct tgt_lun *lun = self->lun;
    while (kicks) {
        unsigned i = (unsigned)__builtin_ctzll(kicks);
        kicks &= kicks - 1;
        struct tgt_lane *lane = &lun->lanes[i];
        if (lane == self) {
            scsi_lane_poll(lane->lane);
            continue;
        }
        /* One message at a time per lane: what it asks for is level, not edge. */
        if (!atomic_exchange_explicit(&lane->kicked, true, memory_order_acq_rel)) {
            tgt_count_kick(lane->reactor->tgt);
            loop_post(lane->reactor->loop, &lane->kick);
        }
    }
}

void tgt_lane_run(struct tgt_lane *lane, struct scsi_task *t)
{
    if (t->nexus)
        tgt_cmd_continue(t->user);
    else
        tgt_background_continue(lane, t);
}

void tgt_lane_pull(struct tgt_lane *lane)
{
    for (;;) {
        struct scsi_task *t;
        while ((t = scsi_lane_next(lane->lane)))
            tgt_lane_run(lane, t);
        uint64_t kicks = scsi_lu_take_kicks(lane->lun->lu);
        if (!kicks)
            return;
        post_kicks(lane, kicks);
    }
}

void tgt_lane_touch(struct tgt_lane *lane)
{
    if (lane->dirty)
        return;
    lane->dirty = true;
    struct tgt_reactor *r = lane->reactor;
    list_push_back(&r->dirty, &lane->dirty_node);
    loop_work_queue(r->loop, &r->lanes_work);
}
