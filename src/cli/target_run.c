/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usan target run: what a configuration file says. */
#include "cli/command.h"
#include "cli/run.h"
#include "target/config_yaml.h"

struct run_args {
    const char *config, *pid_file;
    bool check, verbose;
};

#define AT(field) offsetof(struct run_args, field)

const struct cli_opt cli_target_run_opts[] = {
    { "config", 'c', CLI_TEXT, "FILE", NULL, "the configuration, see usan-target.yaml(5)",
      AT(config), 0, 0 },
    { "check", 0, CLI_FLAG, NULL, NULL, "only read and check the configuration", AT(check), 0, 0 },
    { "pid-file", 0, CLI_TEXT, "FILE", NULL, "write the process id here when ready", AT(pid_file),
      0, 0 },
    { "verbose", 'v', CLI_FLAG, NULL, NULL, "log logins, logouts and limits", AT(verbose), 0, 0 },
    { 0 },
};

int cli_target_run(const struct cli_command *cmd, int argc, char **argv)
{
    struct run_args a = { 0 };
    int words, code;
    if (!cli_begin(cmd, &a, argc, argv, &words, &code))
        return code;
    if (words > 0)
        return cli_fail(cmd, CLI_USAGE, "takes no arguments; name the file with --config");
    if (!a.config)
        return cli_fail(cmd, CLI_USAGE, "needs --config FILE");
    struct tgt_config cfg;
    struct err_text e = { "" };
    tgt_config_init(&cfg);
    if (tgt_config_load(&cfg, a.config, &e))
        code = cli_fail(cmd, CLI_FAILED, e.text);
    else if (a.check)
        code = CLI_OK;
    else
        code = cli_run_target(cmd, &cfg,
                              &(struct cli_run){ .pid_file = a.pid_file, .verbose = a.verbose });
    tgt_config_fini(&cfg);
    return code;
}
