/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A disk as a store. */
#ifndef USAN_INITIATOR_STORE_INFO_H
#define USAN_INITIATOR_STORE_INFO_H

#include "initiator/probe.h"
#include "store/store.h"

struct store_info ini_store_info(const struct ini_disk_info *disk, bool read_only);

#endif
