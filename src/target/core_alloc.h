/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The allocator that the iSCSI core is given: the system's memory, every byte counted on the
 * reactor whose connection or session it is for, so that what a peer makes the core keep is within
 * the program's limit of memory. When that is reached the core gets nothing, and copes.
 *
 * The core of a session that is on several reactors allocates and frees on any of them, one at a
 * time: its allocators, those of its connections too, then count on the shared limit itself.
 */
#ifndef USAN_TARGET_CORE_ALLOC_H
#define USAN_TARGET_CORE_ALLOC_H

#include "base/alloc.h"
#include "target/buffers.h"

enum {
    /* Larger pieces are payload and count as their session's share. What is smaller is a header,
     * a task or the like; a session that has its share does not lose its connection for want of
     * one. */
    TGT_CORE_SMALL_BYTES = 32 * 1024,
};

struct tgt_core_alloc {
    struct alloc alloc; /* to be given away; this object stays in place as long */
    struct tgt_buffers *buffers;
    struct tgt_account *account;
    uint64_t small_bytes, large_bytes; /* of what is allocated */
    bool shared;
};

/* buffers and account are borrowed; outlive what is allocated. account may be NULL. */
void tgt_core_alloc_init(struct tgt_core_alloc *ca, struct tgt_buffers *buffers,
                         struct tgt_account *account);
/* From now on it is used on several reactors. On that of buffers; account has a total, if any. */
void tgt_core_alloc_share(struct tgt_core_alloc *ca);

#endif
