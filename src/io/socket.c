/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- addresses ---- */

static int parse_port(const char *s, uint16_t *ret_port)
{
    uint32_t v = 0;
    size_t n = strlen(s);
    if (n == 0 || n > 5)
        return USAN_EINVAL;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return USAN_EINVAL;
        v = v * 10 + (uint32_t)(s[i] - '0');
    }
    if (v > UINT16_MAX)
        return USAN_EINVAL;
    *ret_port = (uint16_t)v;
    return 0;
}

int sock_addr_split(const char *addr, size_t host_bytes, char *ret_host, uint16_t *ret_port,
                    struct err_text *e)
{
    const char *host = addr, *colon;
    size_t len;
    if (addr[0] == '[') {
        const char *end = strchr(addr, ']');
        if (!end)
            return err_set(e, USAN_EINVAL, "address \"%s\": no ] after the [", addr);
        host = addr + 1;
        len = (size_t)(end - host);
        colon = end + 1;
        if (len == 0)
            return err_set(e, USAN_EINVAL, "address \"%s\": nothing between [ and ]", addr);
    } else {
        colon = strrchr(addr, ':');
        if (colon && strchr(addr, ':') != colon)
            return err_set(e, USAN_EINVAL,
                           "address \"%s\": write an IPv6 address in brackets, [ADDRESS]:PORT",
                           addr);
        len = colon ? (size_t)(colon - addr) : 0;
    }
    if (!colon || *colon != ':')
        return err_set(e, USAN_EINVAL, "address \"%s\": no port (HOST:PORT or [IPV6]:PORT)", addr);
    uint16_t port;
    if (parse_port(colon + 1, &port))
        return err_set(e, USAN_EINVAL, "address \"%s\": the port is a number from 0 to 65535",
                       addr);
    if (len == 1 && host[0] == '*')
        len = 0;
    if (len >= host_bytes || len >= SOCK_ADDR_SPEC_BYTES)
        return err_set(e, USAN_EINVAL, "address: the host name is too long");
    memcpy(ret_host, host, len);
    ret_host[len] = '\0';
    *ret_port = port;
    return 0;
}

static void addr_text(const struct sockaddr_storage *ss, char *text, size_t bytes)
{
    char num[INET6_ADDRSTRLEN], ifname[IF_NAMESIZE];
    if (ss->ss_family == AF_INET) {
        struct sockaddr_in a;
        memcpy(&a, ss, sizeof a);
        (void)inet_ntop(AF_INET, &a.sin_addr, num, sizeof num);
        (void)snprintf(text, bytes, "%s:%u", num, (unsigned)ntohs(a.sin_port));
    } else if (ss->ss_family == AF_INET6) {
        struct sockaddr_in6 a;
        memcpy(&a, ss, sizeof a);
        unsigned port = ntohs(a.sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&a.sin6_addr)) {
            (void)inet_ntop(AF_INET, &a.sin6_addr.s6_addr[12], num, sizeof num);
            (void)snprintf(text, bytes, "%s:%u", num, port);
            return;
        }
        (void)inet_ntop(AF_INET6, &a.sin6_addr, num, sizeof num);
        if (a.sin6_scope_id && if_indextoname(a.sin6_scope_id, ifname))
            (void)snprintf(text, bytes, "[%s%%%s]:%u", num, ifname, port);
        else
            (void)snprintf(text, bytes, "[%s]:%u", num, port);
    } else {
        (void)snprintf(text, bytes, "?");
    }
}

void sock_local_addr(int fd, char *text, size_t bytes)
{
    struct sockaddr_storage ss = { 0 };
    socklen_t len = sizeof ss;
    if (getsockname(fd, (struct sockaddr *)&ss, &len))
        ss.ss_family = AF_UNSPEC;
    addr_text(&ss, text, bytes);
}

void sock_peer_addr(int fd, char *text, size_t bytes)
{
    struct sockaddr_storage ss = { 0 };
    socklen_t len = sizeof ss;
    if (getpeername(fd, (struct sockaddr *)&ss, &len))
        ss.ss_family = AF_UNSPEC;
    addr_text(&ss, text, bytes);
}

uint16_t sock_local_port(int fd)
{
    struct sockaddr_storage ss = { 0 };
    socklen_t len = sizeof ss;
    if (getsockname(fd, (struct sockaddr *)&ss, &len))
        return 0;
    if (ss.ss_family == AF_INET) {
        struct sockaddr_in a;
        memcpy(&a, &ss, sizeof a);
        return ntohs(a.sin_port);
    }
    if (ss.ss_family == AF_INET6) {
        struct sockaddr_in6 a;
        memcpy(&a, &ss, sizeof a);
        return ntohs(a.sin6_port);
    }
    return 0;
}

/* ---- listening ---- */

static int set_int(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) ? -errno : 0;
}

static int listen_error(const char *addr, int err, struct err_text *e)
{
    switch (err) {
    case EADDRINUSE:
        return err_set(e, USAN_EADDRINUSE,
                       "cannot listen on %s: the port is in use (ss -ltnp shows by whom)", addr);
    case EACCES:
    case EPERM:
        return err_set(e, USAN_EPERM,
                       "cannot listen on %s: permission denied (ports below 1024 need "
                       "CAP_NET_BIND_SERVICE)",
                       addr);
    case EADDRNOTAVAIL:
        return err_set(e, USAN_ENOENT, "cannot listen on %s: this machine has no such address",
                       addr);
    case EMFILE:
    case ENFILE:
        return err_set(e, USAN_ELIMIT, "cannot listen on %s: out of file descriptors", addr);
    default:
        return err_set(e, usan_err_from_errno(err), "cannot listen on %s: %s", addr, strerror(err));
    }
}

/* A process that was killed may keep its port for a moment: what its kernel ring was doing has to
 * be wound up first. Whoever starts it anew at once has to wait for that. */
#define IN_USE_TRIES 40
#define PAUSE_US     50000u

/* Returns 0 or an errno value. */
static int listen_once(const struct addrinfo *ai, bool both_families, int backlog, int *ret_fd)
{
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (fd < 0)
        return errno;
    /* Connections of an earlier run in TIME_WAIT must not keep a restart from listening. */
    int rc = set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (rc == 0 && ai->ai_family == AF_INET6)
        rc = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, both_families ? 0 : 1);
    if (rc == 0 && (bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, backlog)))
        rc = -errno;
    if (rc) {
        (void)close(fd);
        return -rc;
    }
    *ret_fd = fd;
    return 0;
}

static int listen_on(const struct addrinfo *ai, bool both_families, int backlog, int *ret_fd)
{
    int err = listen_once(ai, both_families, backlog, ret_fd);
    for (int i = 1; err == EADDRINUSE && i < IN_USE_TRIES; i++) {
        (void)usleep(PAUSE_US);
        err = listen_once(ai, both_families, backlog, ret_fd);
    }
    return err;
}

static int resolve(const char *addr, const char *host, uint16_t port, int family,
                   struct addrinfo **ret_ai, struct err_text *e)
{
    char service[8];
    struct addrinfo hints = { .ai_family = family,
                              .ai_socktype = SOCK_STREAM,
                              .ai_protocol = IPPROTO_TCP,
                              .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    (void)snprintf(service, sizeof service, "%u", (unsigned)port);
    int rc = getaddrinfo(host[0] ? host : NULL, service, &hints, ret_ai);
    if (rc)
        return err_set(e, rc == EAI_MEMORY ? USAN_ENOMEM : USAN_ENOENT,
                       "cannot listen on %s: host \"%s\": %s", addr, host,
                       rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
    return 0;
}

int sock_listen(const char *addr, int backlog, int *ret_fd, struct err_text *e)
{
    char host[SOCK_ADDR_SPEC_BYTES] = "";
    uint16_t port = 0;
    int rc = sock_addr_split(addr, sizeof host, host, &port, e);
    if (rc)
        return rc;
    bool any = host[0] == '\0';
    struct addrinfo *ai;
    int err = EAFNOSUPPORT;
    if (any) {
        /* One socket for both families; where IPv6 is switched off, fall through to IPv4. */
        rc = resolve(addr, host, port, AF_INET6, &ai, e);
        if (rc == 0) {
            err = listen_on(ai, true, backlog, ret_fd);
            freeaddrinfo(ai);
        }
        if (err != EAFNOSUPPORT && err != EADDRNOTAVAIL)
            return err ? listen_error(addr, err, e) : 0;
    }
    rc = resolve(addr, host, port, any ? AF_INET : AF_UNSPEC, &ai, e);
    if (rc)
        return rc;
    err = listen_on(ai, false, backlog, ret_fd);
    freeaddrinfo(ai);
    return err ? listen_error(addr, err, e) : 0;
}

int sock_accept(int listen_fd, int *ret_fd)
{
    for (;;) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            *ret_fd = fd;
            return 0;
        }
        switch (errno) {
        case EAGAIN:
            return USAN_EAGAIN;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            return USAN_ELIMIT;
        case EBADF:
        case EINVAL:
        case ENOTSOCK:
        case EOPNOTSUPP:
        case EFAULT:
            return USAN_EINVAL;
        default:
            /* accept(2): errors already pending on the new connection come out here. */
            continue;
        }
    }
}

/* ---- options ---- */

static int fail(struct err_text *e, const char *what, int negative_errno)
{
    return err_set(e, usan_err_from_errno(-negative_errno), "socket option %s: %s", what,
                   strerror(-negative_errno));
}

int sock_set_options(int fd, const struct sock_options *o, struct err_text *e)
{
    const bool ka = o->keepalive_idle_s != 0;
    const struct {
        const char *name;
        bool wanted;
        int level, option;
        int64_t value;
    } list[] = {
        { "TCP_NODELAY", true, IPPROTO_TCP, TCP_NODELAY, o->nodelay },
        { "SO_KEEPALIVE", true, SOL_SOCKET, SO_KEEPALIVE, ka },
        { "TCP_KEEPIDLE", ka, IPPROTO_TCP, TCP_KEEPIDLE, o->keepalive_idle_s },
        { "TCP_KEEPINTVL", ka && o->keepalive_intvl_s, IPPROTO_TCP, TCP_KEEPINTVL,
          o->keepalive_intvl_s },
        { "TCP_KEEPCNT", ka && o->keepalive_count, IPPROTO_TCP, TCP_KEEPCNT, o->keepalive_count },
        { "SO_SNDBUF", o->send_buffer_bytes > 0, SOL_SOCKET, SO_SNDBUF, o->send_buffer_bytes },
        { "SO_RCVBUF", o->recv_buffer_bytes > 0, SOL_SOCKET, SO_RCVBUF, o->recv_buffer_bytes },
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        if (!list[i].wanted)
            continue;
        int rc = list[i].value > INT32_MAX
                     ? -EINVAL
                     : set_int(fd, list[i].level, list[i].option, (int)list[i].value);
        if (rc)
            return fail(e, list[i].name, rc);
    }
    if (o->congestion && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, o->congestion,
                                    (socklen_t)strlen(o->congestion)))
        return err_set(e, usan_err_from_errno(errno),
                       "congestion control \"%s\": %s (sysctl "
                       "net.ipv4.tcp_available_congestion_control lists what there is)",
                       o->congestion, strerror(errno));
    return 0;
}
