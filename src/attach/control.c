/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/control.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 16, ANSWER_MAX = 256 * 1024, STATE_MS = 2000 };

/* ---- the program's side ---- */

/* The socket is new and the answer short: it is taken in whole, or nobody wants it. */
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
}

static void say_error(const struct control_client *cl, const char *why)
{
    char text[320];
    int n = snprintf(text, sizeof(text), "error %s\n", why);
    say(cl, text, (size_t)n);
}

static void show(struct control_client *cl)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    if (out) {
        cl->control->show(cl->control, out);
        if (fclose(out) == 0)
            say(cl, text, n);
    }
    free(text);
    drop(cl);
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

static int take_answer(int fd, int timeout_ms, char **ret_answer, struct err_text *e)
{
    char *text = malloc(ANSWER_MAX + 1);
    size_t len = 0;
    if (!text)
        return err_set(e, USAN_ENOMEM, "out of memory");
    for (;;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int ready = poll(&p, 1, timeout_ms);
        ssize_t n = ready > 0 ? recv(fd, text + len, ANSWER_MAX - len, 0) : -1;
        if (ready < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            free(text);
            return err_set(e, USAN_ECLOSED, "the program does not answer%s%s", ready ? ": " : "",
                           ready ? strerror(errno) : "");
        }
        len += (size_t)n;
        if (n == 0 || len == ANSWER_MAX)
            break;
    }
    text[len] = 0;
    *ret_answer = text;
    return 0;
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
