/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "blockcheck.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MODEL_MAGIC 0x7573616e63656c32ull
#define STAMP_MAGIC 0x7573616e626c6b31ull

struct header {
    uint64_t magic, seed;
    uint64_t count;
};

/* The head of each sector; the rest of it is noise that follows from these. */
struct stamp {
    uint64_t magic, seed;
    uint32_t cell, version;
    uint32_t sector, zero;
};

void stop(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("blockcheck: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(2);
}

static void allocate(struct model *m, uint32_t count)
{
    m->count = count;
    m->cells = calloc(count, sizeof(*m->cells));
    if (!m->cells)
        stop("out of memory");
}

void model_load(struct model *m, const char *path, uint32_t count)
{
    FILE *f = fopen(path, "re");
    allocate(m, count);
    if (!f) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        m->seed = (uint64_t)now.tv_sec * 1000000007u + (uint64_t)now.tv_nsec + (uint64_t)getpid();
        return;
    }
    struct header h;
    if (fread(&h, sizeof(h), 1, f) != 1 || h.magic != MODEL_MAGIC || h.count != count ||
        fread(m->cells, sizeof(*m->cells), count, f) != count)
        stop("%s is no model of this disk", path);
    m->seed = h.seed;
    fclose(f);
}

void model_save(const struct model *m, const char *path)
{
    struct header h = { .magic = MODEL_MAGIC, .seed = m->seed, .count = m->count };
    FILE *f = fopen(path, "we");
    if (!f || fwrite(&h, sizeof(h), 1, f) != 1 ||
        fwrite(m->cells, sizeof(*m->cells), m->count, f) != m->count || fclose(f))
        stop("can not write %s", path);
}

static void sector_fill(const struct model *m, uint32_t cell, uint32_t version, uint32_t sector,
                        uint8_t *buf)
{
    struct stamp s = {
        .magic = STAMP_MAGIC, .seed = m->seed, .cell = cell, .version = version, .sector = sector
    };
    memcpy(buf, &s, sizeof(s));
    uint64_t x =
        m->seed ^ ((uint64_t)cell << 32 | version) ^ ((uint64_t)sector << 60) ^ STAMP_MAGIC;
    for (size_t i = sizeof(s); i < SECTOR_BYTES; i += 8) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(buf + i, &x, 8);
    }
}

void cell_fill(const struct model *m, uint32_t cell, uint32_t version, uint8_t *buf)
{
    for (uint32_t i = 0; i < CELL_BYTES / SECTOR_BYTES; i++) {
        if (version)
            sector_fill(m, cell, version, i, buf + i * SECTOR_BYTES);
        else
            memset(buf + i * SECTOR_BYTES, 0, SECTOR_BYTES);
    }
}

/* The version a sector says it is of; UINT32_MAX when it is not one of ours for this place. */
static uint32_t sector_version(const struct model *m, uint32_t cell, uint32_t sector,
                               const uint8_t *buf)
{
    static const uint8_t zeroes[SECTOR_BYTES];
    uint8_t want[SECTOR_BYTES];
    struct stamp s;
    memcpy(&s, buf, sizeof(s));
    if (s.magic != STAMP_MAGIC)
        return memcmp(buf, zeroes, SECTOR_BYTES) ? UINT32_MAX : 0;
    sector_fill(m, cell, s.version, sector, want);
    return memcmp(buf, want, SECTOR_BYTES) ? UINT32_MAX : s.version;
}

static void explain(const struct model *m, uint32_t cell, uint32_t sector, const uint8_t *buf)
{
    struct stamp s;
    memcpy(&s, buf, sizeof(s));
    if (s.magic != STAMP_MAGIC)
        fprintf(stderr, " it holds data that nobody wrote\n");
    else if (s.seed != m->seed)
        fprintf(stderr, " it holds data of another run\n");
    else if (s.cell != cell || s.sector != sector)
        fprintf(stderr, " it holds cell %u sector %u version %u\n", s.cell, s.sector, s.version);
    else
        fprintf(stderr, " it holds version %u, damaged\n", s.version);
}

bool cell_check(const struct model *m, uint32_t cell, const uint8_t *buf, uint32_t oldest,
                uint32_t newest, uint32_t *ret_version)
{
    for (uint32_t i = 0; i < CELL_BYTES / SECTOR_BYTES; i++) {
        const uint8_t *p = buf + i * SECTOR_BYTES;
        uint32_t v = sector_version(m, cell, i, p);
        if (v == UINT32_MAX || v < oldest || v > newest) {
            fprintf(stderr, "cell %u sector %u: version %u to %u expected,", cell, i, oldest,
                    newest);
            if (v == UINT32_MAX)
                explain(m, cell, i, p);
            else
                fprintf(stderr, " it holds version %u\n", v);
            return false;
        }
        if (i == 0)
            *ret_version = v;
        else if (*ret_version != v)
            *ret_version = UINT32_MAX;
    }
    return true;
}
