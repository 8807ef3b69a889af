/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A store that is open already, for a part of the program that opens stores by specifications. */
#ifndef USAN_ATTACH_SHARE_H
#define USAN_ATTACH_SHARE_H

#include "store/store.h"

/* The back end "attached": add it (store_registry_add) before a store is shared. */
extern const struct store_ops attach_share_ops;
/* What opens the store from now on. One at a time. */
#define ATTACH_SHARE_SPEC "attached:"
void attach_share(struct store *s);

#endif
