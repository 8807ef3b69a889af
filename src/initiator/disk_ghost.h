/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ghosts: writes that are over, or were sent again by another way, and may still take effect. Their
 * blocks stay closed to other writes until they can not any more (disk.h says when that is).
 */
#ifndef USAN_INITIATOR_DISK_GHOST_H
#define USAN_INITIATOR_DISK_GHOST_H

#include "initiator/disk_priv.h"

/* io is about to end after a command of the session that was not answered: is it a ghost now? */
bool ini_ghost_left(struct ini_io *io);
/* It has ended, and is one. */
void ini_ghost_keep(struct ini_io *io);
/* The session has logged in, which may have ended what the one before it had. */
void ini_ghosts_login(struct ini_disk *d);

void ini_ghosts_init(struct ini_disk *d);
/* Those that are left are the table's of ranges. */
void ini_ghosts_fini(struct ini_disk *d);

#endif
