/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A disk's requests. disk.c decides when a request goes on and how it ends; disk_io.c makes the
 * command of its next piece.
 */
#ifndef USAN_INITIATOR_DISK_PRIV_H
#define USAN_INITIATOR_DISK_PRIV_H

#include "initiator/disk.h"

enum {
    INI_IO_SENSE = 96,
    INI_UNMAP_LIST = 24,          /* header and one descriptor */
    INI_IO_BYTES_MAX = 8 << 20,   /* one READ or WRITE, if the unit states no limit */
    INI_ZERO_BYTES_MAX = 1 << 30, /* one UNMAP or WRITE SAME, likewise */
    INI_ATTENTIONS_MAX = 64,      /* in a row, of one command */
};

struct ini_io {
    struct ini_cmd cmd;
    struct ini_disk *disk;
    struct bio *bio;
    struct list node; /* held, or waiting for its time, or spare */
    uint64_t pos;     /* bytes of the bio that are done */
    uint64_t piece;   /* bytes of the command under way */
    bool writes;      /* has a range */
    bool flush;       /* the command under way makes durable what the others have written */
    bool canceled;    /* nothing more is to be sent for it */
    unsigned attentions, busy;
    uint64_t at_ns, busy_until_ns;
    uint8_t cdb[16];
    uint8_t sense[INI_IO_SENSE];
    uint8_t list[INI_UNMAP_LIST];
    struct iovec one;
    struct iovec *iov; /* of a piece that is not all of the bio; kept */
    int iov_cap;
};

/* Make the command of the next piece of io->bio. USAN_ENOTSUP: the unit has none for it. */
USAN_MUST_CHECK
int ini_io_build(const struct ini_disk_info *info, struct ini_io *io);
/* SYNCHRONIZE CACHE for all. */
void ini_io_build_flush(struct ini_io *io);

#endif
