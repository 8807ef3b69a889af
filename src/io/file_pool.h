/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Internal to src/io: threads that carry out file requests with ordinary system calls, for an
 * engine that has nothing better. They are started when there is something to do.
 */
#ifndef USAN_IO_FILE_POOL_H
#define USAN_IO_FILE_POOL_H

#include "io/loop.h"

struct file_pool;

USAN_MUST_CHECK
int file_pool_new(struct loop *loop, struct file_pool **ret_pool);
/* No request is left. pool may be NULL. */
void file_pool_free(struct file_pool *pool);
/* Take all requests of the list; they complete through a message to the loop. */
void file_pool_submit(struct file_pool *pool, struct list *reqs);
/* Carry out req in this thread. Returns bytes or -errno. */
int64_t file_req_run(const struct loop_file_req *req, int extra_rw_flags);

#endif
