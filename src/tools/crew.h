/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A few threads with an event loop each, for a tool that works on stores for a while. */
#ifndef USAN_TOOLS_CREW_H
#define USAN_TOOLS_CREW_H

#include "base/err.h"
#include "io/loop.h"

enum { CREW_MAX = 64 };

struct crew;

/* Loops without threads as yet: what they shall serve can be opened. count is 1 to CREW_MAX. */
USAN_MUST_CHECK
int crew_new(unsigned count, const struct loop_config *cfg, struct crew **ret_crew,
             struct err_text *e);
struct loop *crew_loop(const struct crew *crew, unsigned i);
/* On failure none runs. */
USAN_MUST_CHECK
int crew_start(struct crew *crew, struct err_text *e);
/* End the threads; what they served can be closed then. */
void crew_stop(struct crew *crew);
/* crew may be NULL. */
void crew_free(struct crew *crew);

#endif
