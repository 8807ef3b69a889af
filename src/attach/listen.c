/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/listen.h"

#include "io/clock.h"
#include "io/socket.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BACKLOG = 256,
    ACCEPT_ROUNDS = 64,      /* connections taken before other descriptors have their turn */
    SERVER_SPEAKS_MS = 1000, /* a server whose socket is in the way says something by then */
    LOOK_ROUNDS = 16,        /* who hangs up so often is no program that is being killed */
};

#define RETRY_NS (100 * NS_PER_MS)

/* ---- accepting ---- */

struct handover {
    struct loop_msg msg;
    struct attach_reactor *r;
    int fd;
};

static void take_over(struct loop_msg *m)
{
    struct handover h = *list_entry(m, struct handover, msg);
    free(list_entry(m, struct handover, msg));
    nbd_server_serve(&h.r->nbd, h.fd);
}

/* The reactor with the fewest connections; NULL when the limit of all is reached. */
static struct attach_reactor *choose(const struct attach_listener *l)
{
    struct attach_reactor *best = NULL;
    unsigned best_count = 0, total = 0;
    for (unsigned i = 0; i < l->reactor_count; i++) {
        unsigned n = atomic_load_explicit(&l->reactors[i]->nbd.conn_count, memory_order_relaxed);
        total += n;
        if (!best || n < best_count) {
            best = l->reactors[i];
            best_count = n;
        }
    }
    return total < l->cfg->connections ? best : NULL;
}

/* At most one line a second: a flood of connections must not become a flood of lines. */
static void complain(struct attach_listener *l, const char *why)
{
    uint64_t now = clock_now_ns();
    if (now < l->complained_ns)
        return;
    l->complained_ns = now + NS_PER_SEC;
    front_report(&l->cfg->front, FRONT_WARN, "connection-refused", "uri=%s why=\"%s\"", l->uri,
                 why);
}

static void hand_over(struct attach_listener *l, int fd)
{
    struct attach_reactor *r = choose(l);
    struct handover *h = r && r->front.index ? malloc(sizeof(*h)) : NULL;
    if (!r || (r->front.index && !h)) {
        complain(l, r ? "out of memory" : "the limit of connections is reached");
        close(fd);
        return;
    }
    atomic_fetch_add(&r->nbd.conn_count, 1);
    if (!h) { /* the reactor we are on */
        nbd_server_serve(&r->nbd, fd);
        return;
    }
    *h = (struct handover){ { .deliver = take_over }, r, fd };
    loop_post(r->front.loop, &h->msg);
}

static bool ready(struct loop_fd *lfd, uint32_t events)
{
    struct attach_listener *l = list_entry(lfd, struct attach_listener, lfd);
    (void)events;
    for (int i = 0; i < ACCEPT_ROUNDS; i++) {
        int fd;
        int err = sock_accept(lfd->fd, &fd);
        if (err == 0) {
            hand_over(l, fd);
            continue;
        }
        if (err == USAN_ELIMIT) {
            /* The connection stays in the backlog, so the descriptor stays readable: look away
             * for a while. */
            complain(l, "out of file descriptors or memory");
            if (loop_timer_set(lfd->loop, &l->retry, clock_now_ns() + RETRY_NS) == 0) {
                lfd->events = 0;
                loop_fd_update(lfd);
            }
        }
        return i > 0;
    }
    return true;
}

static void retry(struct loop_timer *t)
{
    struct attach_listener *l = list_entry(t, struct attach_listener, retry);
    l->lfd.events = LOOP_IN;
    loop_fd_update(&l->lfd);
}

/* ---- URIs (doc/uri.md of the NBD project) ---- */

/* RFC 3986: what is not unreserved is written as %HH; '/' may stay in a path and a query. */
static void put_escaped(FILE *out, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     strchr("-._~/", c);
        if (plain)
            fputc(c, out);
        else
            fprintf(out, "%%%02X", c);
    }
}

static int make_uri(struct attach_listener *l, const char *authority, const char *socket)
{
    size_t bytes;
    FILE *out = open_memstream(&l->uri, &bytes);
    if (!out)
        return USAN_ENOMEM;
    fprintf(out, "%s//%s/", socket ? "nbd+unix:" : "nbd:", authority);
    put_escaped(out, l->cfg->front.name);
    if (socket) {
        fputs("?socket=", out);
        put_escaped(out, socket);
    }
    return fclose(out) ? USAN_ENOMEM : 0;
}

/* ---- Unix sockets ---- */

static int check_path(const char *path, struct err_text *e)
{
    struct sockaddr_un sa;
    if (!*path)
        return err_set(e, USAN_EINVAL, "nbd:unix: no path; write nbd:unix:PATH");
    if (strlen(path) >= sizeof(sa.sun_path))
        return err_set(e, USAN_EINVAL, "nbd:unix: the path of a socket has at most %zu bytes: %s",
                       sizeof(sa.sun_path) - 1, path);
    return 0;
}

/*
 * Does anybody serve this socket? A connection alone does not tell: that of a program that was
 * killed takes some in until the kernel has cleared away all that the program had open. Such a
 * connection ends without a word, and a later one is refused; a server speaks, or at least keeps
 * it, or goes on taking connections.
 */
static int look_for_server(const struct sockaddr_un *sa, bool *ret_served, struct err_text *e)
{
    *ret_served = true;
    for (int i = 0; i < LOOK_ROUNDS; i++) {
        char byte;
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
            return err_set(e, usan_err_from_errno(errno), "socket: %s", strerror(errno));
        int rc = connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) ? errno : 0;
        struct pollfd p = { .fd = fd, .events = POLLIN };
        bool ended =
            rc == 0 && poll(&p, 1, SERVER_SPEAKS_MS) > 0 && recv(fd, &byte, 1, MSG_PEEK) <= 0;
        close(fd);
        if (rc == ECONNREFUSED)
            *ret_served = false;
        else if (rc && rc != EAGAIN) /* EAGAIN: more wait there than its backlog takes */
            return err_set(
                e, usan_err_from_errno(rc),
                "cannot listen on %s: it is there, and nobody can be asked whether it is "
                "in use: %s",
                sa->sun_path, strerror(rc));
        if (!ended)
            return 0;
    }
    return 0;
}

/* A socket that nobody listens on any more is removed: a program that was killed left it. */
static int remove_stale(const struct sockaddr_un *sa, struct err_text *e)
{
    struct stat st;
    if (lstat(sa->sun_path, &st))
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, USAN_EEXIST, "cannot listen on %s: it exists and is no socket",
                       sa->sun_path);
    bool served = false;
    int err = look_for_server(sa, &served, e);
    if (err)
        return err;
    if (served)
        return err_set(e, USAN_EADDRINUSE, "cannot listen on %s: the socket is in use",
                       sa->sun_path);
    if (unlink(sa->sun_path))
        return err_set(e, usan_err_from_errno(errno), "cannot remove the unused socket %s: %s",
                       sa->sun_path, strerror(errno));
    return 0;
}

static int bind_unix(struct attach_listener *l, const struct sockaddr_un *sa, struct err_text *e)
{
    /* Made with its final permissions: nobody slips in between. */
    mode_t old = umask(0777 & ~l->cfg->mode);
    int rc = bind(l->lfd.fd, (const struct sockaddr *)sa, sizeof(*sa));
    int err = errno;
    (void)umask(old);
    if (rc)
        return err_set(e, usan_err_from_errno(err), "cannot listen on %s: %s", sa->sun_path,
                       strerror(err));
    l->path = *sa;
    struct stat st;
    if (lstat(sa->sun_path, &st) || listen(l->lfd.fd, BACKLOG))
        return err_set(e, usan_err_from_errno(errno), "cannot listen on %s: %s", sa->sun_path,
                       strerror(errno));
    l->dev = st.st_dev;
    l->ino = st.st_ino;
    return 0;
}

/* Clients may run in another directory. */
static int unix_uri(struct attach_listener *l, const char *path)
{
    char *dir = *path == '/' ? NULL : realpath(".", NULL), *full = NULL;
    if (*path != '/' && (!dir || asprintf(&full, "%s/%s", dir, path) < 0)) {
        free(dir);
        return USAN_ENOMEM;
    }
    int err = make_uri(l, "", full ? full : path);
    free(full);
    free(dir);
    return err;
}

static int open_unix(struct attach_listener *l, const char *path, struct err_text *e)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    int err = check_path(path, e);
    if (err)
        return err;
    memcpy(sa.sun_path, path, strlen(path) + 1);
    l->lfd.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->lfd.fd < 0)
        return err_set(e, usan_err_from_errno(errno), "socket: %s", strerror(errno));
    err = remove_stale(&sa, e);
    if (!err)
        err = bind_unix(l, &sa, e);
    if (!err && unix_uri(l, path))
        err = err_set(e, USAN_ENOMEM, "out of memory");
    return err;
}

/* ---- TCP ---- */

static int open_tcp(struct attach_listener *l, const char *addr, struct err_text *e)
{
    char host[SOCK_ADDR_SPEC_BYTES], text[SOCK_ADDR_TEXT_BYTES];
    uint16_t port;
    int err = sock_addr_split(addr, sizeof(host), host, &port, e);
    if (!err)
        err = sock_listen(addr, BACKLOG, &l->lfd.fd, e);
    if (err)
        return err;
    sock_local_addr(l->lfd.fd, text, sizeof(text));
    /* All addresses is no address a client could connect to. */
    if (!*host || strcmp(host, "::") == 0 || strcmp(host, "0.0.0.0") == 0)
        (void)snprintf(text, sizeof(text), "localhost:%u", sock_local_port(l->lfd.fd));
    return make_uri(l, text, NULL) ? err_set(e, USAN_ENOMEM, "out of memory") : 0;
}

/* ---- life ---- */

/* What stands behind "nbd:unix:" or "nbd:tcp:"; NULL if it is neither. */
static const char *place(const char *front, bool *ret_unix)
{
    static const char unix_kind[] = "nbd:unix:", tcp_kind[] = "nbd:tcp:";
    *ret_unix = strncmp(front, unix_kind, sizeof(unix_kind) - 1) == 0;
    if (*ret_unix)
        return front + sizeof(unix_kind) - 1;
    return strncmp(front, tcp_kind, sizeof(tcp_kind) - 1) == 0 ? front + sizeof(tcp_kind) - 1
                                                               : NULL;
}

int attach_listener_check(const char *front, struct err_text *e)
{
    char host[SOCK_ADDR_SPEC_BYTES];
    uint16_t port;
    bool is_unix;
    const char *at = place(front, &is_unix);
    if (!at)
        return err_set(e, USAN_EINVAL,
                       "'%s' is no front end: write nbd:unix:PATH, "
                       "nbd:tcp:HOST:PORT, fuse:DIR or iscsi:HOST:PORT",
                       front);
    return is_unix ? check_path(at, e) : sock_addr_split(at, sizeof(host), host, &port, e);
}

int attach_listener_open(struct attach_listener *l, const struct attach_config *cfg,
                         const char *front, struct err_text *e)
{
    *l = (struct attach_listener){ .cfg = cfg };
    l->lfd = (struct loop_fd){ .fd = -1, .events = LOOP_IN, .ready = ready };
    loop_timer_init(&l->retry, retry);
    int err = attach_listener_check(front, e);
    if (err)
        return err;
    bool is_unix;
    const char *at = place(front, &is_unix);
    return is_unix ? open_unix(l, at, e) : open_tcp(l, at, e);
}

int attach_listener_start(struct attach_listener *l, struct attach_reactor **reactors,
                          unsigned count)
{
    l->reactors = reactors;
    l->reactor_count = count;
    int err = loop_fd_add(reactors[0]->front.loop, &l->lfd);
    l->watching = err == 0;
    return err;
}

/* Only if it is the one we made: somebody may have put another in its place. */
static void remove_path(const struct attach_listener *l)
{
    struct stat st;
    if (l->path.sun_path[0] && lstat(l->path.sun_path, &st) == 0 && st.st_dev == l->dev &&
        st.st_ino == l->ino)
        (void)unlink(l->path.sun_path);
}

void attach_listener_close(struct attach_listener *l)
{
    if (l->watching) {
        loop_timer_cancel(l->reactors[0]->front.loop, &l->retry);
        loop_fd_del(&l->lfd);
        l->watching = false;
    }
    if (l->lfd.fd < 0)
        return;
    remove_path(l); /* while it still listens: nobody takes it for a stale one */
    close(l->lfd.fd);
    l->lfd.fd = -1;
}

void attach_listener_free(struct attach_listener *l)
{
    attach_listener_close(l);
    free(l->uri);
    l->uri = NULL;
}
