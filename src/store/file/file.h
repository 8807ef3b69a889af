/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A regular file or a block device as a store; private to this folder. */
#ifndef USAN_STORE_FILE_FILE_H
#define USAN_STORE_FILE_FILE_H

#include "store/store.h"

#include <sys/stat.h>

/* What the system says about an open file. */
struct file_facts {
    bool block_device;
    bool read_only; /* a device that cannot be written */
    bool rotational;
    bool can_unmap;
    bool in_memory; /* the file system keeps its data in memory: no request waits for a device */
    uint64_t size_bytes;
    uint32_t block_bytes;
    uint32_t phys_block_bytes;
    uint32_t opt_io_bytes;
    uint32_t unmap_gran_bytes;
    uint32_t mem_align; /* of the memory of direct transfers */
};

struct file_store {
    struct store store;
    int fd;
    bool direct;
    struct file_facts facts;
    /* Once the kernel has reported that written data did not reach the disk it forgets about that
     * data: later flushes would succeed without it. So the first failure stays. Atomic. */
    int sync_err;
};

/* writable: the descriptor is open for writing, so that unmapping can be tried. */
USAN_MUST_CHECK
int file_probe(int fd, bool direct, bool writable, struct file_facts *ret_facts,
               struct err_text *e);
/* Bytes of a regular file or a block device. */
USAN_MUST_CHECK
int file_size(int fd, const struct stat *st, uint64_t *ret_bytes);

/* The channel (channel.c). */
int file_channel_open(struct store *s, struct loop *loop, struct store_channel **ret_ch);
void file_channel_close(struct store_channel *ch);
void file_channel_submit(struct store_channel *ch, struct bio *bio);

#endif
