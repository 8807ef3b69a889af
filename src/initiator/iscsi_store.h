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

#include "store/store.h"

extern const struct store_ops iscsi_store_ops;

#endif
