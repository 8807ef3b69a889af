/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The front ends of an attached store, of all kinds: what `--as` says. */
#ifndef USAN_ATTACH_FRONTS_H
#define USAN_ATTACH_FRONTS_H

#include "attach/state.h"

/* What can be said without opening anything. */
USAN_MUST_CHECK
int attach_fronts_check(const struct attach_config *cfg, struct err_text *e);
/* Is there one that is served by the program's own reactors? */
bool attach_fronts_use_reactors(const struct attach_config *cfg);
/* First of all: some fork. */
USAN_MUST_CHECK
int attach_fronts_new(struct attach *a, struct err_text *e);
/* Open all; the reactors are there and do not run. Half-opened ones are closed with _free. */
USAN_MUST_CHECK
int attach_fronts_open(struct attach *a, struct err_text *e);
/* Accept clients, as soon as the reactors run. */
USAN_MUST_CHECK
int attach_fronts_listen(struct attach *a, struct err_text *e);
/* The reactors run: the rest, and what clients reach each by. */
USAN_MUST_CHECK
int attach_fronts_start(struct attach *a, struct err_text *e);
/* The reactors do not run. */
void attach_fronts_free(struct attach *a);

#endif
