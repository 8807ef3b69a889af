/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the FUSE front end share. From bottom to top: reply.c (answers on the right
 * descriptor), io.c (requests on the store), ops.c (what libfuse calls), port.c (a reactor's part),
 * disk.c (the mount).
 *
 * A store is mounted as a directory with one file. Each reactor has a descriptor of the mount of
 * its own (FUSE_DEV_IOC_CLONE), reads requests from it in its loop and answers on it: the kernel
 * wants the answer where it handed the request out.
 */
#ifndef USAN_FUSE_STATE_H
#define USAN_FUSE_STATE_H

#define FUSE_USE_VERSION 314

#include "front/xfer.h"

#include <fuse_lowlevel.h>
#include <stdatomic.h>
#include <sys/stat.h>

enum {
    FUSE_PORT_DATA_MAX = 1 << 20,   /* longest READ and WRITE: 256 pages, what the kernel has */
    FUSE_PORT_HEADERS = 80,         /* of a WRITE: struct fuse_in_header and fuse_write_in */
    FUSE_PORT_DATA_AT = 4096,       /* so that the data of a WRITE is aligned to pages */
    FUSE_PORT_REQUESTS_MAX = 1024,  /* in hand; beyond it nothing is taken from the kernel */
    FUSE_PORT_COPY_MAX = 32 * 1024, /* data up to that length leaves the receive buffer */
    FUSE_DISK_BACKGROUND = 512,     /* asynchronous requests the kernel may have under way */
    FUSE_FILE_INO = 2,
};

struct fuse_disk {
    const struct front_config *cfg;
    const struct store_info *info;
    struct fuse_session *session;
    char *dir;  /* absolute */
    char *file; /* its name in there */
    bool read_only;
    struct stat dir_st, file_st; /* st_size is that of the store at the moment */
    atomic_uint opens;           /* files that are open */
    bool mounted;
    bool lazily; /* it was unmounted while it was in use: others still hold it */
    /* From any reactor's thread, once: somebody else unmounted it. */
    void (*unmounted)(struct fuse_disk *d);
    void *owner;
    atomic_bool told;
};

/* A reactor's part of a mounted store. */
struct fuse_port {
    struct loop_fd lfd;
    struct fuse_disk *disk;
    struct front *front;
    struct front_part part;
    struct loop_work more;    /* reads what one turn did not */
    struct front_waiter want; /* for a receive buffer */
    uint8_t *rx;              /* NULL: handed on to a WRITE, or not there yet */
    size_t rx_cap;
    unsigned in_hand;
    struct fuse_io *idle;
    bool paused, ended, draining;
};

/* A request that needs the store. */
struct fuse_io {
    struct front_xfer x;
    struct fuse_port *port;
    fuse_req_t req;
    struct front_waiter waiter;
    uint64_t off;   /* as asked for */
    uint32_t size;  /* likewise, without what is past the end */
    uint64_t first; /* whole blocks around that */
    uint32_t span;
    void *buf; /* payload memory; what it is put with */
    size_t cap;
    uint8_t *data; /* of a WRITE, in `rx` or `buf` */
    void *rx;      /* the receive buffer, taken over */
    size_t rx_cap;
    bool lent, granted;
    uint32_t flags;       /* of a WRITE: BIO_F_FUA or 0 */
    int whence;           /* LSEEK */
    struct fuse_io *next; /* while it is idle */
};

static inline uint64_t fuse_disk_size(const struct fuse_disk *d)
{
    return __atomic_load_n(&d->info->size_bytes, __ATOMIC_RELAXED);
}

#endif
