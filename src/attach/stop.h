/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The stop: mounts let go, listeners closed, reactors drained, store flushed. */
#ifndef USAN_ATTACH_STOP_H
#define USAN_ATTACH_STOP_H

#include "attach/state.h"

/* On the control thread, whose loop ends when it is done. Asked for a second time it is cut short,
 * but not within half a second. */
void attach_stop_begin(struct attach *a);
/* What the timer a->give_up is for. */
void attach_stop_gave_up(struct loop_timer *t);

#endif
