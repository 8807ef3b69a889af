/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * blockcheck: a random load on a disk that knows what every block may hold.
 *
 * The disk is a row of cells of 4 KiB. Each write of a cell has a version; every 512 bytes of it
 * say which cell, which version and which run they belong to, and the rest follows from these, so
 * lost, torn, misplaced and stale data all show. At most one request works on a cell at a time.
 *
 * The model survives in a file, so a check after a crash of the target knows for each cell:
 *   durable   the last version promised to be on stable storage (FUA, or SYNCHRONIZE CACHE)
 *   acked     the last version whose write was acknowledged; what a read has to show
 *   written   the last version sent; it may be there, or not, or in part
 *   zeroed    the last version that was an UNMAP: zeroes, as on a new disk
 */
#ifndef USAN_TESTS_BLOCKCHECK_H
#define USAN_TESTS_BLOCKCHECK_H

#include <stdbool.h>
#include <stdint.h>

#define CELL_BYTES   4096u
#define SECTOR_BYTES 512u
#define CELLS_MAX    (1u << 20)
#define RUN_MAX      128u /* cells of one request */
#define DEPTH_MAX    256u

struct cell {
    uint32_t durable, acked, written, zeroed; /* versions; 0 is the zeroes of a new disk */
};

/* The version that data of an acknowledged cell shows. */
static inline uint32_t cell_shows(const struct cell *c)
{
    return c->zeroed == c->acked ? 0 : c->acked;
}

struct model {
    uint64_t seed;
    uint32_t count;
    struct cell *cells;
};

/* Read the file, or begin a new model of `count` cells if there is none. Ends the process when
 * the file is damaged or of another size. */
void model_load(struct model *m, const char *path, uint32_t count);
void model_save(const struct model *m, const char *path);

/* Fill CELL_BYTES with version `version` of a cell. */
void cell_fill(const struct model *m, uint32_t cell, uint32_t version, uint8_t *buf);

/*
 * What CELL_BYTES read from a cell are: every sector has to be of a version from `oldest` to
 * `newest`. Returns false and says on stderr what is wrong otherwise. *ret_version is the version
 * of all sectors, or UINT32_MAX when they differ.
 */
bool cell_check(const struct model *m, uint32_t cell, const uint8_t *buf, uint32_t oldest,
                uint32_t newest, uint32_t *ret_version);

/* ---- requests ---- */

struct load_config {
    const char *url;
    uint32_t depth;
    uint32_t write_percent, fua_percent;
    /* of the writes: UNMAPs, COMPARE AND WRITEs; of the reads: aborted */
    uint32_t unmap_percent, compare_percent, abort_percent;
    double sync_seconds; /* a SYNCHRONIZE CACHE that often; 0 = never */
    double seconds;
    bool may_die; /* the target may go away or fail: that ends the load, without an error */
};

struct disk;

/* Log in, with header digests or without; ends the process on failure. */
struct disk *disk_open(const char *url, bool digests);
void disk_close(struct disk *d);
/* Cells the disk has, at most CELLS_MAX. */
uint32_t disk_cells(const struct disk *d);

/* Keep a random load on the disk. Returns the exit code of the program. */
int disk_load(struct disk *d, struct model *m, const struct load_config *cfg);
struct verify_config {
    bool acked;   /* acknowledged writes count as durable: only the program died */
    bool garbage; /* what was not durable yet may be damaged: the disk lost its power */
};

/*
 * Read the whole disk and hold it against the model. What was uncertain is certain after it: a
 * cell with sectors of several versions is written anew. Returns the exit code.
 */
int disk_verify(struct disk *d, struct model *m, const struct verify_config *cfg);

__attribute__((noreturn, format(printf, 1, 2))) void stop(const char *fmt, ...);

#endif
