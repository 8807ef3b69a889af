/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asymmetric logical unit access (SPC-6 5.18): which target port group a session leads to (VPD page
 * 83h), and in what state it is (REPORT TARGET PORT GROUPS).
 */
#ifndef USAN_INITIATOR_ALUA_H
#define USAN_INITIATOR_ALUA_H

#include "initiator/session.h"

/* The numbers are those of the standard (SPC-6 6.37). */
enum ini_alua_state {
    INI_ALUA_OPTIMIZED = 0,
    INI_ALUA_NONOPTIMIZED = 1,
    INI_ALUA_STANDBY = 2,
    INI_ALUA_UNAVAILABLE = 3,
    INI_ALUA_LBA_DEPENDENT = 4,
    INI_ALUA_OFFLINE = 14,
    INI_ALUA_TRANSITIONING = 15,
};

/* "optimized" etc., never NULL. */
const char *ini_alua_name(enum ini_alua_state state);
/* The target port group of page 83h; -1: it names none. */
int ini_alua_group(const uint8_t *page, uint32_t len);
/* The state of that group in REPORT TARGET PORT GROUPS data; false: it is not there. */
bool ini_alua_find(const uint8_t *data, uint32_t len, uint16_t group, enum ini_alua_state *ret);

struct ini_alua;

enum ini_alua_answer {
    INI_ALUA_TOLD,      /* the state is known; without asymmetric access it is OPTIMIZED */
    INI_ALUA_NOT_TOLD,  /* the unit was busy for too long, or failed: all is as it was */
    INI_ALUA_NOT_ASKED, /* the command could not be sent, though the session is there */
};

/* The end; state with INI_ALUA_TOLD only. Not called when the session was lost in the meantime. */
typedef void ini_alua_done(enum ini_alua_answer answer, enum ini_alua_state state, void *user);

/* NULL: out of memory. */
struct ini_alua *ini_alua_new(struct loop *loop, uint16_t lun, ini_alua_done *done, void *user);
/* The session is freed before it. alua may be NULL. */
void ini_alua_free(struct ini_alua *alua);
/* Ask by s: in its check() (probe), or later. One that asks already asks once more at its end. */
void ini_alua_start(struct ini_alua *alua, struct ini_session *s, bool probe);

#endif
