/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/control.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 16, ANSWER_FIRST = 64 * 1024, STATE_MS = 2000 };

/* ---- the program's side ---- */

/* The socket is new and this short: it is taken in whole, or nobody wants it. */
static void say(const struct control_client *cl, const char *text, size_t n)
{
    (void)send(cl->lfd.fd, text, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void drop(struct control_client *cl)
{
    if (cl->lfd.fd < 0)
        return;
    if (!cl->waits)
        loop_fd_del(&cl->lfd);
    close(cl->lfd.fd);
    cl->lfd.fd = -1;
    cl->waits = false;
    free(cl->answer);
    cl->answer = NULL;
}

static void say_error(const struct control_client *cl, const char *why)
{
    char text[320];
    int n = snprintf(text, sizeof(text), "error %s\n", why);
    say(cl, text, (size_t)n);
}

/* As much as the socket takes; the rest when it has room again. */
static bool go_on_answering(struct control_client *cl)
{
    ssize_t n = send(cl->lfd.fd, cl->answer + cl->answer_at, cl->answer_len - cl->answer_at,
                     MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n > 0)
        cl->answer_at += (size_t)n;
    if (n < 0 || cl->answer_at == cl->answer_len)
        drop(cl);
    return true;
}

static void show(struct control_client *cl)
{
    FILE *out = open_memstream(&cl->answer, &cl->answer_len);
    bool good = out != NULL;
    if (out) {
        cl->control->show(cl->control, out);
        good = fclose(out) == 0;
    }
    if (!good) {
        drop(cl);
        return;
    }
    cl->lfd.events = LOOP_OUT;
    loop_fd_update(&cl->lfd);
}

static void detach(struct control_client *cl, bool force)
{
    struct err_text e = { "" };
    if (!cl->control->detach(cl->control, force, &e)) {
        say_error(cl, e.text);
        drop(cl);
        return;
    }
    loop_fd_del(&cl->lfd); /* it says nothing more */
    cl->waits = true;
}

static void on_line(struct control_client *cl)
{
    if (strcmp(cl->line, "show") == 0) {
        show(cl);
    } else if (strcmp(cl->line, "detach") == 0) {
        detach(cl, false);
    } else if (strcmp(cl->line, "detach force") == 0) {
        detach(cl, true);
    } else {
        say_error(cl, "unknown request");
        drop(cl);
    }
}

static bool client_ready(struct loop_fd *lfd, uint32_t events)
{
    struct control_client *cl = list_entry(lfd, struct control_client, lfd);
    (void)events;
    if (cl->answer)
        return go_on_answering(cl);
    ssize_t n = recv(lfd->fd, cl->line + cl->len, sizeof(cl->line) - cl->len, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    char *end = n > 0 ? memchr(cl->line + cl->len, '\n', (size_t)n) : NULL;
    if (end) {
        *end = 0;
        on_line(cl);
        return true;
    }
    if (n > 0)
        cl->len += (size_t)n;
    if (n <= 0 || cl->len == sizeof(cl->line))
        drop(cl);
    return true;
}

static bool accept_one(struct loop_fd *lfd, uint32_t events)
{
    struct attach_control *c = list_entry(lfd, struct attach_control, lfd);
    (void)events;
    int fd = accept4(lfd->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return false;
    struct control_client *cl = c->clients;
    while (cl < c->clients + CONTROL_CLIENTS_MAX && cl->lfd.fd >= 0)
        cl++;
    if (cl == c->clients + CONTROL_CLIENTS_MAX) {
        close(fd);
        return true;
    }
    *cl = (struct control_client){ .lfd = { .fd = fd, .events = LOOP_IN, .ready = client_ready },
                                   .control = c };
    if (loop_fd_add(lfd->loop, &cl->lfd)) {
        close(fd);
        cl->lfd.fd = -1;
    }
    return true;
}

void attach_control_init(struct attach_control *c)
{
    c->lfd.fd = -1;
    for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
        c->clients[i].lfd.fd = -1;
}

int attach_control_open(struct attach_control *c, struct loop *loop, const struct sockaddr_un *sa,
                        struct err_text *e)
{
    c->lfd = (struct loop_fd){ .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
                               .events = LOOP_IN,
                               .ready = accept_one };
    if (c->lfd.fd < 0)
        return err_set(e, usan_err_from_errno(errno), "socket: %s", strerror(errno));
    mode_t old = umask(0177);
    int rc = bind(c->lfd.fd, (const struct sockaddr *)sa, sizeof(*sa)) ? errno : 0;
    (void)umask(old);
    if (!rc && listen(c->lfd.fd, BACKLOG))
        rc = errno;
    int err = rc ? err_set(e, usan_err_from_errno(rc), "%s: %s", sa->sun_path, strerror(rc))
                 : loop_fd_add(loop, &c->lfd);
    if (err) {
        close(c->lfd.fd);
        c->lfd.fd = -1;
    }
    return err;
}

void attach_control_close(struct attach_control *c)
{
    for (int i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        if (!c->clients[i].waits)
            drop(&c->clients[i]);
    }
    if (c->lfd.fd < 0)
        return;
    loop_fd_del(&c->lfd);
    close(c->lfd.fd);
    c->lfd.fd = -1;
}

void attach_control_end(struct attach_control *c, const char *error)
{
    for (int i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct control_client *cl = &c->clients[i];
        if (!cl->waits)
            continue;
        if (error)
            say_error(cl, error);
        else
            say(cl, "ok\n", 3);
        drop(cl);
    }
}

/* ---- the other side ---- */

static int refused(const char *what, struct err_text *e)
{
    return err_set(e, USAN_ECLOSED, "%s: %s", what, strerror(errno));
}

/* Room for more of it; USAN_ELIMIT, USAN_ENOMEM. */
static int grow(char **text, size_t *cap)
{
    size_t more = *cap ? *cap * 2 : ANSWER_FIRST;
    if (more > CONTROL_ANSWER_MAX)
        return USAN_ELIMIT;
    char *p = realloc(*text, more);
    if (!p)
        return USAN_ENOMEM;
    *text = p;
    *cap = more;
    return 0;
}

/* 0: the end. -1: an error, or nothing came in time (errno ETIMEDOUT). */
static ssize_t hear(int fd, char *buf, size_t cap, int timeout_ms)
{
    for (;;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int ready = poll(&p, 1, timeout_ms);
        ssize_t n = ready > 0 ? recv(fd, buf, cap, 0) : -1;
        if (ready == 0)
            errno = ETIMEDOUT;
        if (n >= 0 || errno != EINTR)
            return n;
    }
}

static int take_answer(int fd, int timeout_ms, char **ret_answer, struct err_text *e)
{
    char *text = NULL;
    size_t len = 0, cap = 0;
    for (;;) {
        int err = len + 1 < cap ? 0 : grow(&text, &cap);
        ssize_t n = err ? -1 : hear(fd, text + len, cap - len - 1, timeout_ms);
        if (n > 0)
            len += (size_t)n;
        if (n > 0)
            continue;
        if (n == 0) {
            text[len] = 0;
            *ret_answer = text;
            return 0;
        }
        free(text);
        if (err)
            return err_set(e, err, "the answer of the program: %s", usan_strerror(err));
        return err_set(e, USAN_ECLOSED, "the program does not answer%s%s",
                       errno == ETIMEDOUT ? "" : ": ", errno == ETIMEDOUT ? "" : strerror(errno));
    }
}

int attach_control_ask(const struct sockaddr_un *sa, const char *line, int timeout_ms,
                       char **ret_answer, struct err_text *e)
{
    char text[CONTROL_LINE_MAX];
    int n = snprintf(text, sizeof(text), "%s\n", line);
    if (n < 0 || (size_t)n >= sizeof(text))
        return err_set(e, USAN_EINVAL, "too long a request");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int err = 0;
    if (fd < 0 || connect(fd, (const struct sockaddr *)sa, sizeof(*sa)))
        err = refused(sa->sun_path, e);
    else if (send(fd, text, (size_t)n, MSG_NOSIGNAL) != n)
        err = refused(sa->sun_path, e);
    else
        err = take_answer(fd, timeout_ms, ret_answer, e);
    if (fd >= 0)
        close(fd);
    return err;
}

struct attach_state attach_control_state(const char *dir, const char *name)
{
    struct attach_state st = { "silent" };
    struct sockaddr_un sa;
    char *answer = NULL;
    if (attach_record_socket(dir, name, &sa) ||
        attach_control_ask(&sa, "show", STATE_MS, &answer, NULL) || !answer)
        return st;
    const char *at = strncmp(answer, "state=", 6) == 0 ? answer : strstr(answer, "\nstate=");
    if (at) {
        at = strchr(at, '=') + 1;
        (void)snprintf(st.text, sizeof(st.text), "%.*s", (int)strcspn(at, "\n"), at);
    }
    free(answer);
    return st;
}
