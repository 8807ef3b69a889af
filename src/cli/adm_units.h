/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sessions of usan iscsiadm. A session is what a login has begun: a program `usan attach` for each
 * disk of the target. What is known of it stands in the run directory, in iscsiadm/SID: the node's
 * record as it was then, and lines usan.NAME = VALUE. It is there as long as one of the programs
 * is.
 *
 * Two kinds of locks stand beside them: `lock`, held for the moment in which files are read or come
 * and go, and SID.lock, held by whoever changes the session SID, however long its programs take.
 * So a disk that does not end keeps nobody from looking at sessions, or from changing others.
 */
#ifndef USAN_CLI_ADM_UNITS_H
#define USAN_CLI_ADM_UNITS_H

#include "attach/control.h"
#include "cli/adm.h"

#include <sys/types.h>

enum { ADM_SESSIONS_MAX = 4096, ADM_UNITS_MAX = 64 /* attached disks of a session */ };

struct adm_session {
    unsigned sid;
    struct adm_key key;
    struct adm_record *r;
    int lock; /* SID.lock; -1: not held */
};

struct adm_sessions {
    struct adm_session *v; /* by number */
    size_t count;
    char dir[1024]; /* the run directory */
};

/* One that is attached. */
struct adm_unit {
    unsigned lun;
    pid_t pid;
    const char *name, *front; /* of the session's record; NULL: there is no such unit */
};

/* Those there are; what is left of others is removed. One whose first disk is still being attached
 * is not there yet. */
USAN_MUST_CHECK
int adm_sessions_load(struct adm_sessions *s, struct err_text *e);
void adm_sessions_fini(struct adm_sessions *s);
/* One with the lowest number that is free, and the node's record, which is taken over, written and
 * held. USAN_EBUSY: somebody else logs in to this node; the pointers to other sessions of s are not
 * valid any more. */
USAN_MUST_CHECK
int adm_session_add(struct adm_sessions *s, const struct adm_key *key, struct adm_record *r,
                    struct adm_session **ret, struct err_text *e);
/* Before it is changed: waits for others who do, and reads it anew. USAN_ENOENT: it has ended
 * meanwhile. adm_sessions_fini() lets go of it. */
USAN_MUST_CHECK
int adm_session_hold(const struct adm_sessions *s, struct adm_session *ses, struct err_text *e);
USAN_MUST_CHECK
int adm_session_write(const struct adm_sessions *s, const struct adm_session *ses,
                      struct err_text *e);

/* The i-th unit, whether its program lives or not. */
struct adm_unit adm_unit_at(const struct adm_session *ses, unsigned i);
bool adm_unit_alive(const struct adm_sessions *s, const struct adm_unit *u);
/* What its program says, see attach_control_state(); "dead" if it is. */
struct attach_state adm_unit_state(const struct adm_sessions *s, const struct adm_unit *u);
bool adm_session_has(const struct adm_sessions *s, const struct adm_session *ses, unsigned lun);
/* Start the program for one more disk, and wait until it is ready; then written. url has the
 * address and the options that can not be secret. */
USAN_MUST_CHECK
int adm_unit_attach(const struct adm *a, const struct adm_sessions *s, struct adm_session *ses,
                    unsigned lun, struct err_text *e);
/* Of one that is held: ask all programs to end, and wait for that; then the session is gone. */
USAN_MUST_CHECK
int adm_session_detach(const struct adm_sessions *s, const struct adm_session *ses,
                       struct err_text *e);

#endif
