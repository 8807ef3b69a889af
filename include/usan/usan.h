/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libusan: disks of iSCSI targets, files, devices and memory from an ordinary program.
 *
 *   usan/error.h   codes, and what is known of a failure
 *   usan/ctx.h     where the work is done: in the caller's loop or in threads of the library
 *   usan/disk.h    open, close, read, write, flush, trim, ..., cancel
 *   usan/scsi.h    SCSI commands of one's own, task management, discovery
 *   usan/sync.h    the same for callers that wait
 *
 * A program includes this file and links with `pkg-config --cflags --libs usan`. It is C99, C11
 * and C++. usan(3) is the introduction.
 *
 * Structures that a caller fills in begin with their size: set all to zero first and size to
 * sizeof, so that a program built with an older header goes on working with a newer library.
 * Structures that the library hands out may grow at their end.
 *
 * Threads. A context in mode USAN_LOOP, with its disks, is used by one thread at a time. In the
 * other modes every function may be called from any thread, but usan_ctx_process() and
 * usan_ctx_wait() by one at a time, and usan_ctx_free() and usan_close() last. Different contexts
 * have nothing to do with each other. After fork() the child uses nothing of the library.
 */
#ifndef USAN_USAN_H
#define USAN_USAN_H

#include <usan/ctx.h>
#include <usan/disk.h>
#include <usan/error.h>
#include <usan/scsi.h>
#include <usan/sync.h>

#endif
