/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a configuration to a running target and its end; shared by the commands that serve. */
#ifndef USAN_CLI_RUN_H
#define USAN_CLI_RUN_H

#include "cli/command.h"
#include "target/config.h"

struct cli_run {
    const char *pid_file; /* NULL = none */
    bool verbose;
};

/* For commands that serve: the signals they wait for are blocked before there are threads, so that
 * all inherit it. */
void cli_block_signals(void);
/* e says why not. */
USAN_MUST_CHECK
int cli_write_pid_file(const char *path, struct err_text *e);

/* Serve until told to stop, print URLs when ready. cfg was checked (tgt_config_check). Returns an
 * exit code; errors have been printed. */
int cli_run_target(const struct cli_command *cmd, const struct tgt_config *cfg,
                   const struct cli_run *how);

#endif
