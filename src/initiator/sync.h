/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One session on a loop of its own, for callers that wait: tools, and opening a store. */
#ifndef USAN_INITIATOR_SYNC_H
#define USAN_INITIATOR_SYNC_H

#include "base/err.h"
#include "initiator/session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ini_sync;

/* Connect and log in to the url's target, or for discovery if it names none; once, without trying
 * again. On failure e is one line that says which portal and target, and why. */
USAN_MUST_CHECK
int ini_sync_open(const struct ini_url *url, struct ini_sync **ret_sync, struct err_text *e);
/* Logs out. sync may be NULL. */
void ini_sync_close(struct ini_sync *sync);

/* Run one command to its end; the result is in cmd->scsi, whose user is taken. */
void ini_sync_run(struct ini_sync *sync, struct ini_cmd *cmd);
struct ini_session *ini_sync_session(struct ini_sync *sync);
/* Where the portal's host name leads. */
const struct ini_portal *ini_sync_portal(const struct ini_sync *sync);

/*
 * A command that only reads parameter data, with up to in_len bytes to in; *ret_got of them came.
 * Unit attentions and a busy unit are dealt with. what names it in e: "INQUIRY". ret_got and e may
 * be NULL. Errors as ini_scsi_judge(), and USAN_ETIMEOUT: busy for too long.
 */
USAN_MUST_CHECK
int ini_sync_ask(struct ini_sync *sync, uint16_t lun, const uint8_t *cdb, uint16_t cdb_len,
                 void *in, uint32_t in_len, uint32_t *ret_got, const char *what,
                 struct err_text *e);

/* A command that changes something, with parameter data from out. The same; but it is not sent
 * again if it may have been carried out. */
USAN_MUST_CHECK
int ini_sync_tell(struct ini_sync *sync, uint16_t lun, const uint8_t *cdb, uint16_t cdb_len,
                  void *out, uint32_t out_len, const char *what, struct err_text *e);

/* ---- discovery ---- */

struct ini_target {
    char *name;
    char **addresses; /* "10.0.0.1:3260,1" */
    size_t address_count;
};

struct ini_targets {
    struct ini_target *v;
    size_t count;
};

enum { INI_TARGETS_MAX = 65536, INI_ADDRESSES_MAX = 1024 /* of one target */ };

/* Ask a discovery session for all targets, in the order the portal has them. */
USAN_MUST_CHECK
int ini_sync_targets(struct ini_sync *sync, struct ini_targets *ret_targets, struct err_text *e);
void ini_targets_fini(struct ini_targets *targets);

#endif
