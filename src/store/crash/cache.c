/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/crash/cache.h"

#include "base/err.h"
#include "store/filter.h"
#include "store/iov.h"

#include <stdlib.h>
#include <string.h>

void crash_cache_init(struct crash_cache *c, uint32_t block_bytes, uint32_t sector_bytes)
{
    *c = (struct crash_cache){ .block_bytes = block_bytes, .sector_bytes = sector_bytes };
    list_init(&c->writes);
}

void crash_cache_fini(struct crash_cache *c)
{
    struct crash_write *w;
    while ((w = crash_cache_oldest(c)))
        crash_cache_remove(c, w);
}

int crash_cache_add(struct crash_cache *c, const struct bio *bio)
{
    struct crash_write *w = calloc(1, sizeof *w + (size_t)(bio->len / c->block_bytes));
    uint8_t *data = malloc((size_t)bio->len);
    if (!w || !data) {
        free(w);
        free(data);
        return USAN_ENOMEM;
    }
    struct iov_cur cur = { .v = bio->iov };
    iov_cur_read(&cur, data, (size_t)bio->len);
    w->seq = ++c->last_seq;
    w->off = bio->off;
    w->len = bio->len;
    w->data = data;
    w->dead = (uint8_t *)(w + 1);
    list_push_back(&c->writes, &w->node);
    c->bytes += w->len;
    return 0;
}

void crash_cache_remove(struct crash_cache *c, struct crash_write *w)
{
    list_del(&w->node);
    c->bytes -= w->len;
    free(w->data);
    free(w);
}

struct crash_write *crash_cache_oldest(const struct crash_cache *c)
{
    /* The analyzer loses track of the list and takes a removed write for its first.
     * NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
    return list_empty(&c->writes) ? NULL : list_entry(c->writes.next, struct crash_write, node);
}

/* The part of [off, off+len) that the write covers, as block numbers of the write. */
static bool overlap(const struct crash_cache *c, const struct crash_write *w, uint64_t off,
                    uint64_t len, uint64_t *ret_first, uint64_t *ret_end)
{
    uint64_t from = off > w->off ? off : w->off;
    uint64_t to = off + len < w->off + w->len ? off + len : w->off + w->len;
    if (from >= to)
        return false;
    *ret_first = (from - w->off) / c->block_bytes;
    *ret_end = (to - w->off) / c->block_bytes;
    return true;
}

void crash_cache_kill(struct crash_cache *c, uint64_t off, uint64_t len, uint64_t seq)
{
    list_for_each (&c->writes, node) {
        struct crash_write *w = list_entry(node, struct crash_write, node);
        uint64_t first, end;
        if (w->seq <= seq && overlap(c, w, off, len, &first, &end))
            memset(w->dead + first, 1, (size_t)(end - first));
    }
}

bool crash_cache_touches(const struct crash_cache *c, uint64_t off, uint64_t len)
{
    list_for_each (&c->writes, node) {
        uint64_t first, end;
        if (overlap(c, list_entry(node, struct crash_write, node), off, len, &first, &end))
            return true;
    }
    return false;
}

void crash_cache_read(const struct crash_cache *c, uint64_t off, uint64_t len, uint8_t *data,
                      uint8_t *have)
{
    list_for_each (&c->writes, node) {
        const struct crash_write *w = list_entry(node, struct crash_write, node);
        uint64_t i, end;
        if (!overlap(c, w, off, len, &i, &end))
            continue;
        for (; i < end; i++) {
            uint64_t at = w->off + i * c->block_bytes - off;
            if (w->dead[i])
                continue;
            memcpy(data + at, w->data + i * c->block_bytes, c->block_bytes);
            have[at / c->block_bytes] = 1;
        }
    }
}

bool crash_cache_run(const struct crash_cache *c, uint64_t off, uint64_t len, uint64_t *ret_run)
{
    uint64_t next = off + len;
    list_for_each (&c->writes, node) {
        const struct crash_write *w = list_entry(node, struct crash_write, node);
        uint64_t end = w->off + w->len;
        if (w->off <= off && end > off) {
            *ret_run = end - off < len ? end - off : len;
            return true;
        }
        if (w->off > off && w->off < next)
            next = w->off;
    }
    *ret_run = next - off;
    return false;
}

bool crash_write_live(const struct crash_cache *c, const struct crash_write *w, uint64_t *pos,
                      uint64_t *ret_len)
{
    uint64_t i = *pos / c->block_bytes, count = w->len / c->block_bytes;
    while (i < count && w->dead[i])
        i++;
    uint64_t end = i;
    while (end < count && !w->dead[end])
        end++;
    *pos = i * c->block_bytes;
    *ret_len = (end - i) * c->block_bytes;
    return end > i;
}

static enum crash_mode fate(enum crash_mode mode, uint64_t *random)
{
    static const enum crash_mode fates[] = { CRASH_DROP, CRASH_KEEP, CRASH_TEAR, CRASH_GARBLE };
    return mode == CRASH_RANDOM ? fates[filter_random(random) % 4] : mode;
}

static void garble(struct crash_cache *c, struct crash_write *w, uint64_t block, uint64_t *random)
{
    uint8_t *p = w->data + block * c->block_bytes;
    for (uint32_t i = 0; i < c->block_bytes; i += 8) {
        uint64_t r = filter_random(random);
        memcpy(p + i, &r, 8);
    }
}

/* The blocks of one sector share a fate. A write may begin and end within a sector. */
static void strike_write(struct crash_cache *c, struct crash_write *w, enum crash_mode mode,
                         uint64_t *random, struct crash_toll *toll)
{
    uint64_t sector = UINT64_MAX;
    enum crash_mode now = mode;
    for (uint64_t i = 0; i < w->len / c->block_bytes; i++) {
        uint64_t s = (w->off + i * c->block_bytes) / c->sector_bytes;
        if (s != sector) {
            static const enum crash_mode torn[] = { CRASH_DROP, CRASH_KEEP, CRASH_GARBLE };
            sector = s;
            if (mode == CRASH_TEAR)
                now = torn[filter_random(random) % 2];
            else if (mode == CRASH_GARBLE)
                now = torn[filter_random(random) % 3];
        }
        if (w->dead[i])
            continue;
        w->dead[i] = now == CRASH_DROP;
        if (now == CRASH_GARBLE)
            garble(c, w, i, random);
        toll->lost += now == CRASH_DROP;
        toll->kept += now == CRASH_KEEP;
        toll->garbled += now == CRASH_GARBLE;
    }
}

void crash_cache_strike(struct crash_cache *c, enum crash_mode mode, uint64_t *random,
                        struct crash_toll *toll)
{
    list_for_each (&c->writes, node)
        strike_write(c, list_entry(node, struct crash_write, node), fate(mode, random), random,
                     toll);
}
