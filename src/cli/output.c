/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static bool pipe_ignored;
static int failed; /* the system's code of the first failure */

void cli_output_begin(void)
{
    static const int unusable[] = { O_WRONLY, O_RDONLY, O_WRONLY };
    struct sigaction sa;
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        /* It becomes the lowest one that is free, and those below are not. */
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", unusable[fd]) != fd)
            _exit(CLI_FAILED);
    }
    pipe_ignored = sigaction(SIGPIPE, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN;
}

void cli_output_left(void)
{
    sigset_t set;
    if (pipe_ignored)
        return;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    (void)raise(SIGPIPE);
}

void cli_output_flush(void)
{
    if (fflush(stdout) && !failed)
        failed = errno;
}

/* 0, or why what was written has not arrived; EIO when that is not known any more. */
static int flush(void)
{
    cli_output_flush();
    return failed ? failed : ferror(stdout) ? EIO : 0;
}

int cli_output_end(int code)
{
    int why = flush();
    if (why == EPIPE)
        cli_output_left();
    if (!why)
        return code;
    fprintf(stderr, "usan: standard output: %s\n", strerror(why));
    return code ? code : CLI_FAILED;
}

int cli_output_announce(struct err_text *e)
{
    int why = flush();
    clearerr(stdout);
    failed = 0;
    if (!why || why == EPIPE || why == EBADF)
        return 0;
    return err_set(e, usan_err_from_errno(why), "standard output: %s", strerror(why));
}
