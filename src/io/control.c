/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/control.h"

#include "io/clock.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define REPEAT_NS (500 * NS_PER_MS)

static bool ready(struct loop_fd *lfd, uint32_t events)
{
    struct control *c = list_entry(lfd, struct control, lfd);
    struct signalfd_siginfo si;
    (void)events;
    if (read(lfd->fd, &si, sizeof(si)) != (ssize_t)sizeof(si))
        return false;
    c->on_signal(c, (int)si.ssi_signo);
    return true;
}

static int open_signals(struct control *c, struct err_text *e)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    c->lfd.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (c->lfd.fd < 0)
        return err_set(e, usan_err_from_errno(errno), "signalfd: %s", strerror(errno));
    return 0;
}

int control_open(struct control *c, bool signals, struct err_text *e)
{
    /* An engine of its own for one that waits would be wasted. */
    struct loop_config lc = { .engine = LOOP_ENGINE_EPOLL, .poll = LOOP_POLL_NEVER, .cpu = -1 };
    *c = (struct control){ .lfd = { .fd = -1, .events = LOOP_IN, .ready = ready } };
    int err = loop_new(&lc, &c->loop, e);
    if (!err && signals)
        err = open_signals(c, e);
    if (err)
        control_close(c);
    return err;
}

int control_start(struct control *c, struct err_text *e)
{
    int err = c->lfd.fd >= 0 ? loop_fd_add(c->loop, &c->lfd) : 0;
    return err ? err_set(e, err, "signals: %s", usan_strerror(err)) : 0;
}

enum control_wish control_told_to_stop(struct control *c)
{
    uint64_t now = clock_now_ns();
    if (!c->stopping_ns) {
        c->stopping_ns = now;
        return CONTROL_STOP;
    }
    return now - c->stopping_ns >= REPEAT_NS ? CONTROL_STOP_AT_ONCE : CONTROL_HEARD;
}

void control_end(struct control *c)
{
    loop_fd_del(&c->lfd);
}

void control_close(struct control *c)
{
    if (!c->loop)
        return;
    if (c->lfd.fd >= 0)
        close(c->lfd.fd);
    loop_free(c->loop);
    *c = (struct control){ .lfd.fd = -1 };
}
