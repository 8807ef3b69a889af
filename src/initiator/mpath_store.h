/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The back end "multipath": a unit that is reached in several ways (mpath.h) as a store.
 *
 *   multipath:URL,URL,...?OPTIONS
 *
 * The first is an iSCSI URL up to the LUN. Each further one is one too, or only HOST[:PORT], which
 * means another portal of the same target, with the same user. The options are those of the back
 * end iscsi, for all of them, and policy and settle_timeout.
 *
 * Opening it looks at the unit through every path that is there. At least one has to be, and all
 * have to lead to the same unit, told by its NAA or EUI-64 designator (VPD page 83h, SPC-6 7.7.6).
 */
#ifndef USAN_INITIATOR_MPATH_STORE_H
#define USAN_INITIATOR_MPATH_STORE_H

#include "initiator/probe.h"
#include "iscsi/initiator.h"
#include "store/store.h"

extern const struct store_ops mpath_store_ops;

/* ---- more than a store has: as in iscsi_store.h ---- */

struct store *mpath_store_of(struct store *s);
struct store_channel *mpath_channel_of(struct store_channel *ch);
const struct ini_disk_info *mpath_store_disk(const struct store *s);
/* For commands and task management of one's own. */
struct ini_mpath *mpath_channel_paths(struct store_channel *ch);
void mpath_channel_end(struct store_channel *ch, void (*ended)(void *user), void *user);
/* Be told why requests fail (disk.h); NULL ends it. */
void mpath_channel_watch(struct store_channel *ch,
                         void (*bad)(const struct bio *bio, const struct iscsi_icmd *cmd,
                                     void *user),
                         void *user);

#endif
