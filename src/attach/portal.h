/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The front end "iscsi:HOST:PORT": the store as the LUN 0 of a target, which runs in this program
 * beside the other front ends, with reactors of its own.
 */
#ifndef USAN_ATTACH_PORTAL_H
#define USAN_ATTACH_PORTAL_H

#include "attach/attach.h"
#include "store/store.h"

struct attach_portal;

/* place is "HOST:PORT". */
USAN_MUST_CHECK
int attach_portal_check(const char *place, struct err_text *e);
/* Bind; nothing is served yet. The store is shared, and closed after the portal is freed. */
USAN_MUST_CHECK
int attach_portal_new(const struct attach_config *cfg, struct store *store, const char *place,
                      struct attach_portal **ret_p, struct err_text *e);
/* What initiators reach it by. */
const char *attach_portal_uri(const struct attach_portal *p);
USAN_MUST_CHECK
int attach_portal_start(struct attach_portal *p, struct err_text *e);
/* Initiators are asked to log out, what they asked for is done: blocks. USAN_ETIMEOUT: something
 * hangs, and it must not be freed. No effect when it does not run. */
USAN_MUST_CHECK
int attach_portal_stop(struct attach_portal *p);
/* p may be NULL. */
void attach_portal_free(struct attach_portal *p);

#endif
