/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is the unit behind a session that has just logged in the one it was: the same designator (VPD
 * page 83h, SPC-6 7.7.6; else the serial number, page 80h), blocks of the same size? For
 * ini_session_ops.check().
 *
 * A unit that had neither designator nor serial number can only be told by its blocks.
 */
#ifndef USAN_INITIATOR_CHECK_H
#define USAN_INITIATOR_CHECK_H

#include "initiator/probe.h"
#include "initiator/session.h"

struct ini_check;

struct ini_check_config {
    const struct ini_disk_info *info; /* what it was; borrowed for as long as the check lives */
    uint16_t lun;
    uint64_t busy_timeout_ns; /* how long a busy unit is asked again */
    /* The end: the owner hands result and why to ini_session_checked(). blocks: how many it has
     * now, 0 if it does not tell. Not called when the session was lost in the meantime. */
    void (*done)(enum ini_checked result, const char *why, uint64_t blocks, void *user);
    void *user;
};

/* NULL: out of memory. */
struct ini_check *ini_check_new(struct loop *loop, const struct ini_check_config *cfg);
/* The session is freed before it. check may be NULL. */
void ini_check_free(struct ini_check *check);
/* Look at the unit behind s; to be called from check(). */
void ini_check_start(struct ini_check *check, struct ini_session *s);

#endif
