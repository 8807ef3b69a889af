/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sub-commands of `usan`: one const table. */
#ifndef USAN_CLI_COMMAND_H
#define USAN_CLI_COMMAND_H

#include "cli/opt.h"

/* Exit codes of every command. */
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_DIFFERS = 3 };

struct cli_command {
    const char *name; /* one word or two: "target run"; NULL ends the table */
    const char *args; /* what follows the options: "PATH..." */
    const char *summary;
    const struct cli_opt *opts; /* NULL = none but --help */
    /* argv holds what follows the name. Returns an exit code. */
    int (*run)(const struct cli_command *cmd, int argc, char **argv);
};

extern const struct cli_command cli_commands[];

extern const struct cli_opt cli_serve_opts[];
int cli_serve(const struct cli_command *cmd, int argc, char **argv);
extern const struct cli_opt cli_target_run_opts[];
int cli_target_run(const struct cli_command *cmd, int argc, char **argv);
extern const struct cli_opt cli_attach_opts[];
int cli_attach(const struct cli_command *cmd, int argc, char **argv);
extern const struct cli_opt cli_attach_list_opts[], cli_attach_show_opts[];
extern const struct cli_opt cli_attach_detach_opts[];
int cli_attach_list(const struct cli_command *cmd, int argc, char **argv);
int cli_attach_show(const struct cli_command *cmd, int argc, char **argv);
int cli_attach_detach(const struct cli_command *cmd, int argc, char **argv);
extern const struct cli_opt cli_discover_opts[];
int cli_discover(const struct cli_command *cmd, int argc, char **argv);
extern const struct cli_opt cli_ls_opts[];
int cli_ls(const struct cli_command *cmd, int argc, char **argv);
extern const struct cli_opt cli_inq_opts[];
int cli_inq(const struct cli_command *cmd, int argc, char **argv);
extern const struct cli_opt cli_bench_opts[];
int cli_bench(const struct cli_command *cmd, int argc, char **argv);
extern const struct cli_opt cli_cp_opts[];
int cli_cp(const struct cli_command *cmd, int argc, char **argv);
extern const struct cli_opt cli_pr_opts[];
int cli_pr(const struct cli_command *cmd, int argc, char **argv);
extern const struct cli_opt cli_iscsiadm_opts[];
int cli_iscsiadm(const struct cli_command *cmd, int argc, char **argv);
extern const struct cli_opt cli_sim_run_opts[], cli_sim_check_opts[];
int cli_sim_run(const struct cli_command *cmd, int argc, char **argv);
int cli_sim_check(const struct cli_command *cmd, int argc, char **argv);
int cli_version(const struct cli_command *cmd, int argc, char **argv);
int cli_help(const struct cli_command *cmd, int argc, char **argv);

/* The whole program: find the sub-command and run it. */
int cli_main(int argc, char **argv);

/* "usan NAME: TEXT" on standard error; returns code. */
int cli_fail(const struct cli_command *cmd, int code, const char *text);
/*
 * cli_parse with what it leads to: help on standard output, or the error on standard error.
 * Returns true to go on; else *ret_code is the exit code.
 */
bool cli_begin(const struct cli_command *cmd, void *values, int argc, char **argv, int *ret_words,
               int *ret_code);

#endif
