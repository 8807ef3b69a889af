/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Programs that go into the background when they are ready. */
#ifndef USAN_CLI_BACKGROUND_H
#define USAN_CLI_BACKGROUND_H

#include "base/err.h"

struct cli_background {
    int ready_fd; /* -1: it is none */
    int log_fd;
};

/*
 * Before there are threads. Returns 0 in the process that goes on, a child; the one that was called
 * waits until that is ready, or has failed, and ends with 0 or the child's exit code. What is
 * written until then goes where the caller's goes.
 */
USAN_MUST_CHECK
int cli_background_start(const char *log_path, struct cli_background *ret_b, struct err_text *e);
/* It is ready: let the caller go, and write to the log file from here on. No effect on none. */
void cli_background_ready(struct cli_background *b);

#endif
