/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/background.h"

#include "cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int refused(const char *what, struct err_text *e)
{
    return err_set(e, usan_err_from_errno(errno), "%s: %s", what, strerror(errno));
}

/* The one that was called: as its child fares, so it does. Nothing of ours is to be flushed twice.
 */
__attribute__((noreturn)) static void wait_for(pid_t child, int ready_fd)
{
    char byte;
    ssize_t n;
    do
        n = read(ready_fd, &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n == 1)
        _exit(CLI_OK);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : CLI_FAILED);
}

int cli_background_start(const char *log_path, struct cli_background *ret_b, struct err_text *e)
{
    int fd[2];
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (log < 0)
        return refused(log_path, e);
    if (pipe2(fd, O_CLOEXEC)) {
        int err = refused("pipe", e);
        close(log);
        return err;
    }
    pid_t child = fork();
    if (child > 0) {
        close(fd[1]);
        wait_for(child, fd[0]);
    }
    close(fd[0]);
    if (child < 0 || setsid() < 0) {
        int err = refused("background", e);
        close(fd[1]);
        close(log);
        return err;
    }
    *ret_b = (struct cli_background){ fd[1], log };
    return 0;
}

void cli_background_ready(struct cli_background *b)
{
    if (b->ready_fd < 0)
        return;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
        close(null);
    }
    (void)dup2(b->log_fd, STDERR_FILENO);
    close(b->log_fd);
    ssize_t n = write(b->ready_fd, "r", 1);
    (void)n; /* nobody may be left to be told */
    close(b->ready_fd);
    b->ready_fd = -1;
}
