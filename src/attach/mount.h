/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The front end "fuse:DIR": the store as a file, and with that as a loop device. Built from
 * mount_none.c where there is no libfuse3: that says so.
 */
#ifndef USAN_ATTACH_MOUNT_H
#define USAN_ATTACH_MOUNT_H

#include "attach/attach.h"
#include "attach/reactor.h"

struct attach_mount;

USAN_MUST_CHECK
int attach_mount_check(const struct attach_config *cfg, const char *dir, struct err_text *e);
/* Before there is anything else of the program: it forks (keeper.h). */
USAN_MUST_CHECK
int attach_mount_new(const struct attach_config *cfg, struct attach_mount **ret_m,
                     struct err_text *e);
/* Mount; the reactors do not run yet. unmounted is called on any thread when somebody else has
 * unmounted it. */
USAN_MUST_CHECK
int attach_mount_open(struct attach_mount *m, const char *dir, struct attach_reactor **reactors,
                      unsigned count, void (*unmounted)(void *arg), void *arg, struct err_text *e);
/* The reactors run: make the loop device, if there shall be one. */
USAN_MUST_CHECK
int attach_mount_start(struct attach_mount *m, struct err_text *e);
/* The directory; the file in it; the loop device, NULL = none. */
const char *attach_mount_dir(const struct attach_mount *m);
const char *attach_mount_file(const struct attach_mount *m);
const char *attach_mount_loop(const struct attach_mount *m);
/* Somebody has the file open, or the loop device for himself. */
bool attach_mount_busy(const struct attach_mount *m);
/* The size of the store may be another one. */
void attach_mount_look(struct attach_mount *m);
/* Write what the kernel has in its cache, let go of the loop device, unmount: blocks; the reactors
 * run. USAN_EIO: not all could be written. */
USAN_MUST_CHECK
int attach_mount_stop(struct attach_mount *m);
/* The reactors are drained and do not run. m may be NULL. */
void attach_mount_free(struct attach_mount *m);
/* A directory that is the mount of a program that is gone; and clearing it. */
bool attach_mount_is_dead(const char *dir);
USAN_MUST_CHECK
int attach_mount_clear(const char *dir, struct err_text *e);

#endif
