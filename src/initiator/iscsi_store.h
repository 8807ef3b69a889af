/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The back end "iscsi": a unit of an iSCSI target as a store. A program that wants it adds it to
 * the registry (store_registry_add) before it opens stores.
 *
 *   iscsi://HOST/TARGET/LUN?OPTIONS      iscsi:iscsi://...
 *
 * Opening it logs in, reads what the unit is like, and logs out; whatever is wrong then is an
 * error. Each channel has a session of its own, which comes back when it is lost (session.h).
 */
#ifndef USAN_INITIATOR_ISCSI_STORE_H
#define USAN_INITIATOR_ISCSI_STORE_H

#include "initiator/probe.h"
#include "initiator/session.h"
#include "store/store.h"

extern const struct store_ops iscsi_store_ops;

/* ---- more than a store has ----
 *
 * For who wants commands of its own, cancellation, or to be told what happens. All of it on the
 * loop's thread.
 */

/* The store or channel of this back end that s or ch is, or is built on; NULL if there is none. */
struct store *iscsi_store_of(struct store *s);
struct store_channel *iscsi_channel_of(struct store_channel *ch);

/* What the unit was like when the store was opened, but for its size: store.info has that. */
const struct ini_disk_info *iscsi_store_disk(const struct store *s);
/* The LUN field for commands of one's own. */
uint64_t iscsi_store_lun(const struct store *s);
/* What its requests go through. One that is logged in has the nexus of the I/O of this channel. */
struct ini_session *iscsi_channel_session(struct store_channel *ch);

/* As ini_session_end(): before store_channel_close(), which then does not wait for the logout. */
void iscsi_channel_end(struct store_channel *ch, void (*ended)(void *user), void *user);

struct iscsi_watch_ops {
    void (*changed)(enum ini_change change, const char *why, void *user);
    /* of another block size: every request fails from now on */
    void (*failed)(const char *why, void *user);
    void (*bad)(const struct bio *bio, const struct iscsi_icmd *cmd, void *user); /* disk.h */
};
/* All are required; ops NULL ends it. Sizes: store_watch(). */
void iscsi_channel_watch(struct store_channel *ch, const struct iscsi_watch_ops *ops, void *user);

#endif
