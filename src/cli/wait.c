/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/wait.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

int cli_wait_init(struct cli_wait *w, struct err_text *e)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    w->fd = -1;
    w->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (w->signal_fd < 0)
        return err_set(e, usan_err_from_errno(errno), "signals: %s", strerror(errno));
    return 0;
}

void cli_wait_fini(struct cli_wait *w)
{
    if (w->signal_fd >= 0)
        close(w->signal_fd);
}

enum cli_waited cli_wait(struct cli_wait *w, int ms)
{
    struct pollfd p[2] = { { .fd = w->fd, .events = POLLIN },
                           { .fd = w->signal_fd, .events = POLLIN } };
    if (poll(p, 2, ms) <= 0)
        return CLI_WAIT_TIME;
    if (p[0].revents)
        return CLI_WAIT_READY;
    struct signalfd_siginfo info;
    return read(w->signal_fd, &info, sizeof(info)) > 0 ? CLI_WAIT_SIGNAL : CLI_WAIT_TIME;
}
