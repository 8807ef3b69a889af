/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/run.h"

#include "cli/output.h"
#include "target/log.h"
#include "target/target.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void cli_block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int cli_write_pid_file(const char *path, struct err_text *e)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int err = 0;
    if (fd < 0 || write(fd, text, (size_t)len) != (ssize_t)len)
        err = err_set(e, USAN_EIO, "pid file %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return err;
}

static int serve(const struct cli_command *cmd, struct tgt *tgt, const struct cli_run *how)
{
    struct err_text e = { "" };
    if (how->pid_file && cli_write_pid_file(how->pid_file, &e)) {
        tgt_free(tgt);
        return cli_fail(cmd, CLI_FAILED, e.text);
    }
    tgt_log_memory_bound(tgt);
    tgt_print_urls(tgt, stdout);
    int err = cli_output_announce(&e);
    if (!err)
        err = tgt_run(tgt, &e);
    if (how->pid_file)
        (void)unlink(how->pid_file);
    if (err == USAN_ETIMEOUT) {
        /* Commands hang in the storage; their memory can not be taken from them. */
        fflush(NULL);
        _exit(cli_fail(cmd, CLI_FAILED, e.text));
    }
    tgt_free(tgt);
    if (err)
        return cli_fail(cmd, CLI_FAILED, e.text);
    return CLI_OK;
}

int cli_run_target(const struct cli_command *cmd, const struct tgt_config *cfg,
                   const struct cli_run *how)
{
    struct err_text e = { "" };
    struct tgt *tgt;
    if (how->verbose)
        tgt_log_set_level(TGT_LOG_DEBUG);
    cli_block_signals();
    if (tgt_new(cfg, &tgt, &e))
        return cli_fail(cmd, CLI_FAILED, e.text);
    return serve(cmd, tgt, how);
}
