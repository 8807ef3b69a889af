/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A disk and its requests. disk.c decides when a request goes on and how it ends; disk_io.c makes
 * the command of its next piece; disk_capacity.c looks at the unit when it may have changed;
 * disk_ghost.c keeps blocks closed to which something may still be written.
 */
#ifndef USAN_INITIATOR_DISK_PRIV_H
#define USAN_INITIATOR_DISK_PRIV_H

#include "initiator/check.h"
#include "initiator/disk.h"
#include "initiator/ranges.h"

enum {
    INI_IO_SENSE = 96,
    INI_UNMAP_LIST = 24,          /* header and one descriptor */
    INI_STATUS_LIST = 24,         /* of GET LBA STATUS, likewise */
    INI_IO_BYTES_MAX = 8 << 20,   /* one READ or WRITE, if the unit states no limit */
    INI_ZERO_BYTES_MAX = 1 << 30, /* one UNMAP or WRITE SAME, likewise */
    INI_ATTENTIONS_MAX = 64,      /* in a row, of one command */
};

struct ini_io {
    struct ini_cmd cmd;
    struct ini_disk *disk;
    struct bio *bio;
    struct list node; /* paused, or waiting for its time, or spare, or haunted */
    struct list held_node;
    struct ini_range range;
    unsigned ghosts; /* commands of it that may still take effect */
    uint64_t pos;    /* bytes of the bio that are done */
    uint64_t piece;  /* bytes of the command under way */
    bool writes;     /* has a range */
    bool flush;      /* the command under way makes durable what the others have written */
    bool canceled;   /* nothing more is to be sent for it */
    unsigned attentions, busy;
    uint64_t at_ns; /* when it is sent again, or no ghost any more */
    uint64_t busy_until_ns;
    uint8_t cdb[16];
    uint8_t sense[INI_IO_SENSE];
    uint8_t list[INI_UNMAP_LIST];
    struct iovec one;
    struct iovec *iov; /* of a piece that is not all of the bio; kept */
    int iov_cap;
};

struct ini_disk {
    struct loop *loop;
    struct ini_session *session;
    const struct ini_way_ops *way;
    void *way_user;
    struct ini_disk_info info;
    uint64_t lun;
    uint16_t lun_number;
    uint64_t busy_timeout_ns;
    const struct ini_disk_ops *ops;
    void *user;

    struct ini_ranges *ranges;
    bool own_ranges;
    struct list later; /* to be sent again when their time has come */
    struct list spare;
    struct loop_timer timer, poll;
    unsigned in_flight;
    struct list held; /* ini_io.held_node: waiting for blocks */
    int unreachable;  /* USAN_E..., and why: none is to wait */
    const char *unreachable_why;

    struct list haunted;       /* over, but for commands that may still take effect */
    struct loop_timer settle;  /* the next of them can not any more */
    uint64_t ghost_timeout_ns; /* how long they can at least */
    uint64_t keep_ns;          /* Time2Wait + Time2Retain of the session */

    /* READ CAPACITY after the unit has said that it changed */
    struct ini_cmd capacity;
    bool asking, ask_again, unsure;
    struct list paused; /* to be sent when the answer is there */
    bool failed;        /* the unit is another one now */
    uint8_t capacity_cdb[16], capacity_data[32], capacity_sense[INI_IO_SENSE];
    struct iovec capacity_iov;
    unsigned capacity_tries;
    uint64_t capacity_until_ns;
    struct loop_timer capacity_later;
    struct ini_check *check;

    struct ini_disk_stats stats;
};

/* Over the session, or over what the owner has instead. */
static inline void ini_disk_send(struct ini_disk *d, struct ini_cmd *cmd)
{
    if (d->way)
        d->way->submit(cmd, d->way_user);
    else
        ini_session_submit(d->session, cmd);
}

/* A request that has ended, and leaves nothing behind, gives its blocks back. */
void ini_disk_release(struct ini_io *io);
/* A request that was paused goes on; or it ends with USAN_EIO. */
void ini_disk_resume(struct ini_io *io);
void ini_disk_give_up(struct ini_io *io);

/* Make the command of the next piece of io->bio. USAN_ENOTSUP: the unit has none for it. */
USAN_MUST_CHECK
int ini_io_build(const struct ini_disk_info *info, struct ini_io *io);
/* What GET LBA STATUS has answered, got bytes of it in io->list, to the bio. */
void ini_io_read_status(const struct ini_disk_info *info, struct ini_io *io, uint32_t got);
/* SYNCHRONIZE CACHE for all. */
void ini_io_build_flush(struct ini_io *io);

#endif
