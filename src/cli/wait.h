/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For commands that work in threads of their own: waiting for them, and for Ctrl-C. */
#ifndef USAN_CLI_WAIT_H
#define USAN_CLI_WAIT_H

#include "base/err.h"

struct cli_wait {
    int fd; /* becomes readable when the work is done; borrowed */
    int signal_fd;
};

enum cli_waited { CLI_WAIT_TIME, CLI_WAIT_READY, CLI_WAIT_SIGNAL };

/* SIGINT, SIGTERM and SIGHUP are blocked (cli_block_signals()). fd is still to be set. */
USAN_MUST_CHECK
int cli_wait_init(struct cli_wait *w, struct err_text *e);
void cli_wait_fini(struct cli_wait *w);
enum cli_waited cli_wait(struct cli_wait *w, int ms);

#endif
