/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usan target run: what a configuration file says. */
#include "base/number.h"
#include "cli/command.h"
#include "cli/run.h"
#include "target/config_yaml.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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

/* "60s"; times of a configuration are seconds or parts of them. */
static void print_time(const char *name, uint64_t ns)
{
    if (ns % NS_PER_SEC == 0)
        printf(" %s=%llus", name, (unsigned long long)(ns / NS_PER_SEC));
    else
        printf(" %s=%gs", name, (double)ns / (double)NS_PER_SEC);
}

static void print_summary(const struct tgt_config *cfg)
{
    size_t luns = 0;
    for (size_t i = 0; i < cfg->target_count; i++)
        luns += cfg->targets[i].lun_count;
    const struct tgt_limits *l = &cfg->limits;
    printf("%s: targets=%zu luns=%zu portals=%zu users=%zu\n", cfg->source, cfg->target_count, luns,
           cfg->portal_count, cfg->user_count);
    printf("limits: sessions=%u connections=%u connections-per-session=%u queue-depth=%u memory=%s "
           "recovery-level=%u",
           l->sessions, l->connections, l->session_connections, l->queue_depth,
           num_size_text(l->memory_bytes).s, l->recovery_level);
    print_time("time2retain", l->time2retain_ns);
    print_time("progress-timeout", l->progress_timeout_ns);
    print_time("login-timeout", cfg->login_timeout_ns);
    print_time("nop-interval", cfg->nop_interval_ns);
    print_time("nop-timeout", cfg->nop_timeout_ns);
    putchar('\n');
}

/* *ret_wrong: it is what the file says, and not that it could not be read. */
static int load(struct tgt_config *cfg, const char *path, bool *ret_wrong, struct err_text *e)
{
    struct stat st;
    int err = 0;
    *ret_wrong = false;
    if (stat(path, &st))
        err = errno;
    else if (S_ISDIR(st.st_mode))
        err = EISDIR;
    if (err == EISDIR)
        return err_set(e, USAN_EINVAL, "%s: is a directory; name the file in it", path);
    if (err)
        return err_set(e, usan_err_from_errno(err), "%s: %s", path, strerror(err));
    err = tgt_config_load(cfg, path, e);
    *ret_wrong =
        err == USAN_EINVAL || err == USAN_ENOENT || err == USAN_ERANGE || err == USAN_ELIMIT;
    return err;
}

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
    code = CLI_OK;
    tgt_config_init(&cfg);
    bool wrong = false;
    if (load(&cfg, a.config, &wrong, &e))
        code = cli_fail(cmd, wrong ? CLI_USAGE : CLI_FAILED, e.text);
    else if (a.check)
        print_summary(&cfg);
    else
        code = cli_run_target(cmd, &cfg,
                              &(struct cli_run){ .pid_file = a.pid_file, .verbose = a.verbose });
    tgt_config_fini(&cfg);
    return code;
}
