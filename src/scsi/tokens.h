/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ROD tokens of a unit (SPC-6 5.18.6): what they represent, and whether that is still so. The
 * commands that make and use them are rod_*.c. Internal to src/scsi.
 *
 * Tokens are changed with the gate held; `invalid` and `used` also inside the section.
 */
#ifndef USAN_SCSI_TOKENS_H
#define USAN_SCSI_TOKENS_H

#include "scsi/lu.h"

enum {
    ROD_TOKENS_MAX = 64, /* of one unit; the one unused longest goes first */
};

struct copy_range {
    uint64_t off, len; /* bytes */
};

struct rod_token {
    uint64_t id; /* COPY MANAGER ROD TOKEN IDENTIFIER */
    uint64_t bytes;
    uint64_t low, high;    /* all ranges lie in [low, high) */
    _Atomic uint64_t used; /* by the unit's counter, for finding the one unused longest */
    atomic_bool invalid;   /* data was written since, or it was deleted */
    unsigned range_count;
    struct copy_range range[];
};

struct scsi_tokens {
    uint64_t last_id;
    _Atomic uint64_t uses;
    struct rod_token *held[ROD_TOKENS_MAX];
};

/* Inside the section of lu (or with its gate held). NULL: unknown, or evicted. */
struct rod_token *rod_token_find(const struct scsi_lu *lu, uint64_t id);
/* Make a token of the ranges; NULL: out of memory. The gate is held. */
struct rod_token *rod_token_new(struct scsi_lu *lu, const struct copy_range *range, unsigned count,
                                uint64_t bytes);
/* Bytes of the medium are about to change: by scsi_want_io, for every bio on lu that is not a
 * READ or MAP_STATUS. Tokens that represent them become invalid. Inside the section. */
void scsi_tokens_written(struct scsi_lu *lu, uint64_t off, uint64_t len);
void scsi_tokens_free(struct scsi_lu *lu);

#endif
