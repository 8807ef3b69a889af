/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether a disk is still the one it was, and how large. Below disk.c. */
#ifndef USAN_INITIATOR_DISK_CAPACITY_H
#define USAN_INITIATOR_DISK_CAPACITY_H

#include "initiator/disk_priv.h"

USAN_MUST_CHECK
int ini_capacity_init(struct ini_disk *d);
void ini_capacity_fini(struct ini_disk *d);
/* The unit has said that it changed. */
void ini_capacity_ask(struct ini_disk *d);
/* True: io waits until it is known that blocks are what they were. */
bool ini_capacity_pause(struct ini_disk *d, struct ini_io *io);

#endif
