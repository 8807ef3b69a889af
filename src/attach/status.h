/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What there is to know of an attached store: for the log, the run directory and who asks. */
#ifndef USAN_ATTACH_STATUS_H
#define USAN_ATTACH_STATUS_H

#include "attach/state.h"

/* To the log. */
void attach_status_report(struct attach *a);
/* Stand in the run directory and answer there, if that is possible: who cannot be listed serves
 * all the same. */
void attach_status_enlist(struct attach *a);

#endif
