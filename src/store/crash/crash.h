/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The crash filter: a volatile write cache that can lose power. What was written and not flushed
 * is then lost, kept or torn, write by write, as a seed decides; what was flushed or written with
 * FUA is in the store below and stays.
 *
 * Requests that are being carried out when the power goes fail with USAN_ECLOSED, and so does
 * every later one until the device is switched on again.
 */
#ifndef USAN_STORE_CRASH_CRASH_H
#define USAN_STORE_CRASH_CRASH_H

#include "store/store.h"

/* Lose power now. s is a stack with a crash filter in it (asserted). Thread-safe. What survives is
 * in the store below when the next request has been answered; if there is none, nothing survives.
 */
void store_crash_now(struct store *s);
/* Switch on again. */
void store_crash_restart(struct store *s);
/* Requests fail because of a crash. */
bool store_crash_is_down(struct store *s);

#endif
