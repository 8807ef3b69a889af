/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Listening, accepting, options and addresses, and what an administrator is told. */
#include "io/socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void addresses_are_split(void **state)
{
    (void)state;
    static const struct {
        const char *addr, *host;
        uint16_t port;
    } good[] = {
        { "10.0.0.1:3260", "10.0.0.1", 3260 },
        { "[fd00::1]:3260", "fd00::1", 3260 },
        { "san.example:860", "san.example", 860 },
        { "*:3260", "", 3260 },
        { ":3260", "", 3260 },
        { "127.0.0.1:0", "127.0.0.1", 0 },
        { "[::]:65535", "::", 65535 },
    };
    char host[SOCK_ADDR_SPEC_BYTES];
    uint16_t port;
    struct err_text e;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(sock_addr_split(good[i].addr, sizeof host, host, &port, &e), 0);
        assert_string_equal(host, good[i].host);
        assert_int_equal(port, good[i].port);
    }
    static const struct {
        const char *addr, *text;
    } bad[] = {
        { "10.0.0.1", "address \"10.0.0.1\": no port (HOST:PORT or [IPV6]:PORT)" },
        { "", "address \"\": no port (HOST:PORT or [IPV6]:PORT)" },
        { "[fd00::1]", "address \"[fd00::1]\": no port (HOST:PORT or [IPV6]:PORT)" },
        { "[fd00::1", "address \"[fd00::1\": no ] after the [" },
        { "[]:1", "address \"[]:1\": nothing between [ and ]" },
        { "fd00::1:3260",
          "address \"fd00::1:3260\": write an IPv6 address in brackets, [ADDRESS]:PORT" },
        { "h:65536", "address \"h:65536\": the port is a number from 0 to 65535" },
        { "h:", "address \"h:\": the port is a number from 0 to 65535" },
        { "h:-1", "address \"h:-1\": the port is a number from 0 to 65535" },
        { "h:12x", "address \"h:12x\": the port is a number from 0 to 65535" },
        { "h:000080", "address \"h:000080\": the port is a number from 0 to 65535" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(sock_addr_split(bad[i].addr, sizeof host, host, &port, &e), USAN_EINVAL);
        assert_string_equal(e.text, bad[i].text);
    }
    char longest[SOCK_ADDR_SPEC_BYTES + 8];
    memset(longest, 'h', sizeof longest);
    (void)snprintf(longest + sizeof longest - 4, 4, ":80");
    assert_int_equal(sock_addr_split(longest, sizeof host, host, &port, &e), USAN_EINVAL);
    assert_string_equal(e.text, "address: the host name is too long");
}

/* A blocking client connected to the port of listen_fd. */
static int client_of(int listen_fd)
{
    struct sockaddr_storage ss = { 0 };
    socklen_t len = sizeof ss;
    assert_int_equal(getsockname(listen_fd, (struct sockaddr *)&ss, &len), 0);
    int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
    return fd;
}

static int accept_one(int listen_fd)
{
    struct pollfd p = { .fd = listen_fd, .events = POLLIN };
    int fd = -1;
    assert_int_equal(poll(&p, 1, 5000), 1);
    assert_int_equal(sock_accept(listen_fd, &fd), 0);
    return fd;
}

static void accept_and_addresses(void **state)
{
    (void)state;
    struct err_text e = { "" };
    int lfd = -1, fd = -1;
    char text[SOCK_ADDR_TEXT_BYTES], want[SOCK_ADDR_TEXT_BYTES];
    assert_int_equal(sock_listen("127.0.0.1:0", 8, &lfd, &e), 0);
    uint16_t port = sock_local_port(lfd);
    assert_true(port != 0);
    (void)snprintf(want, sizeof want, "127.0.0.1:%u", port);
    sock_local_addr(lfd, text, sizeof text);
    assert_string_equal(text, want);
    sock_peer_addr(lfd, text, sizeof text);
    assert_string_equal(text, "?");

    assert_int_equal(sock_accept(lfd, &fd), USAN_EAGAIN);
    assert_int_equal(fd, -1);
    int client = client_of(lfd);
    fd = accept_one(lfd);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    sock_local_addr(fd, text, sizeof text);
    assert_string_equal(text, want);
    char there[SOCK_ADDR_TEXT_BYTES];
    sock_peer_addr(fd, text, sizeof text);
    sock_local_addr(client, there, sizeof there);
    assert_string_equal(text, there);
    (void)close(client);
    (void)close(fd);
    (void)close(lfd);
    assert_int_equal(sock_accept(lfd, &fd), USAN_EINVAL);
    assert_int_equal(sock_local_port(lfd), 0);
}

static void both_families_at_once(void **state)
{
    (void)state;
    struct err_text e = { "" };
    int lfd = -1;
    char text[SOCK_ADDR_TEXT_BYTES];
    assert_int_equal(sock_listen("*:0", 8, &lfd, &e), 0);
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(sock_local_port(lfd)) };
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&a, sizeof a), 0);
    int fd = accept_one(lfd);
    sock_peer_addr(fd, text, sizeof text);
    assert_memory_equal(text, "127.0.0.1:", 10); /* not ::ffff:127.0.0.1 */
    (void)close(fd);
    (void)close(client);
    (void)close(lfd);
}

static void ipv6_is_shown_in_brackets(void **state)
{
    (void)state;
    int lfd = -1;
    char text[SOCK_ADDR_TEXT_BYTES], want[SOCK_ADDR_TEXT_BYTES];
    int probe = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    if (probe < 0 || bind(probe, (struct sockaddr *)&a, sizeof a)) {
        (void)close(probe);
        print_message("# skipped: this machine has no IPv6\n");
        skip();
    }
    (void)close(probe);
    assert_int_equal(sock_listen("[::1]:0", 8, &lfd, NULL), 0);
    (void)snprintf(want, sizeof want, "[::1]:%u", sock_local_port(lfd));
    sock_local_addr(lfd, text, sizeof text);
    assert_string_equal(text, want);
    (void)close(lfd);
}

static void listen_errors_say_what_to_do(void **state)
{
    (void)state;
    struct err_text e = { "" };
    int lfd = -1, other = -1;
    char addr[64], want[256];
    assert_int_equal(sock_listen("127.0.0.1:0", 8, &lfd, &e), 0);
    (void)snprintf(addr, sizeof addr, "127.0.0.1:%u", sock_local_port(lfd));
    assert_int_equal(sock_listen(addr, 8, &other, &e), USAN_EADDRINUSE);
    (void)snprintf(want, sizeof want,
                   "cannot listen on %s: the port is in use (ss -ltnp shows by whom)", addr);
    assert_string_equal(e.text, want);

    /* Right after closing the port is free again, also with a connection left in TIME_WAIT. */
    int client = client_of(lfd);
    int fd = accept_one(lfd);
    (void)close(fd);
    (void)close(client);
    (void)close(lfd);
    assert_int_equal(sock_listen(addr, 8, &lfd, &e), 0);
    (void)close(lfd);

    assert_int_equal(sock_listen("192.0.2.1:0", 8, &lfd, &e), USAN_ENOENT);
    assert_string_equal(e.text, "cannot listen on 192.0.2.1:0: this machine has no such address");

    assert_int_equal(sock_listen("127.0.0.999:3260", 8, &lfd, &e), USAN_ENOENT);
    assert_non_null(strstr(e.text, "cannot listen on 127.0.0.999:3260: host \"127.0.0.999\": "));

    struct rlimit old, rl;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    rl = old;
    rl.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &rl), 0);
    int rc = sock_listen("127.0.0.1:0", 8, &lfd, &e);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(rc, USAN_ELIMIT);
    assert_string_equal(e.text, "cannot listen on 127.0.0.1:0: out of file descriptors");
}

static void low_port_needs_permission(void **state)
{
    (void)state;
    struct err_text e = { "" };
    int lfd = -1;
    /* The one who may bind low ports gives that up for the call. */
    uid_t me = geteuid();
    if (me == 0 && seteuid(65534)) {
        print_message("# skipped: this process can not become another user\n");
        skip();
    }
    int rc = sock_listen("127.0.0.1:1", 8, &lfd, &e);
    if (me == 0)
        assert_int_equal(seteuid(me), 0);
    if (rc == 0) {
        (void)close(lfd);
        print_message("# skipped: net.ipv4.ip_unprivileged_port_start is lowered here\n");
        skip();
    }
    assert_int_equal(rc, USAN_EPERM);
    assert_string_equal(e.text, "cannot listen on 127.0.0.1:1: permission denied (ports below 1024 "
                                "need CAP_NET_BIND_SERVICE)");
}

static int get_int(int fd, int level, int name)
{
    int v = -1;
    socklen_t len = sizeof v;
    assert_int_equal(getsockopt(fd, level, name, &v, &len), 0);
    return v;
}

static void options_are_set_and_inherited(void **state)
{
    (void)state;
    struct err_text e = { "" };
    int lfd = -1;
    struct sock_options o = { .nodelay = true,
                              .keepalive_idle_s = 30,
                              .keepalive_intvl_s = 5,
                              .keepalive_count = 3,
                              .congestion = "reno",
                              .recv_buffer_bytes = 65536 };
    assert_int_equal(sock_listen("127.0.0.1:0", 8, &lfd, &e), 0);
    assert_int_equal(sock_set_options(lfd, &o, &e), 0);
    int client = client_of(lfd);
    int fd = accept_one(lfd);
    assert_int_equal(get_int(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(get_int(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(get_int(fd, IPPROTO_TCP, TCP_KEEPIDLE), 30);
    assert_int_equal(get_int(fd, IPPROTO_TCP, TCP_KEEPINTVL), 5);
    assert_int_equal(get_int(fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
    assert_int_equal(get_int(fd, SOL_SOCKET, SO_RCVBUF), 2 * 65536); /* socket(7): doubled */
    char cc[16] = "";
    socklen_t len = sizeof cc;
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, cc, &len), 0);
    assert_string_equal(cc, "reno");

    o.congestion = "nonesuch";
    assert_int_equal(sock_set_options(fd, &o, &e), USAN_ENOENT);
    assert_string_equal(e.text,
                        "congestion control \"nonesuch\": No such file or directory (sysctl "
                        "net.ipv4.tcp_available_congestion_control lists what there is)");
    o = (struct sock_options){ .keepalive_idle_s = 40000 }; /* tcp(7): at most 32767 */
    assert_int_equal(sock_set_options(fd, &o, &e), USAN_EINVAL);
    assert_string_equal(e.text, "socket option TCP_KEEPIDLE: Invalid argument");
    assert_int_equal(get_int(fd, IPPROTO_TCP, TCP_NODELAY), 0);
    (void)close(client);
    (void)close(fd);
    (void)close(lfd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_split),
        cmocka_unit_test(accept_and_addresses),
        cmocka_unit_test(both_families_at_once),
        cmocka_unit_test(ipv6_is_shown_in_brackets),
        cmocka_unit_test(listen_errors_say_what_to_do),
        cmocka_unit_test(low_port_needs_permission),
        cmocka_unit_test(options_are_set_and_inherited),
    };
    return cmocka_run_group_tests_name("io sockets", tests, NULL, NULL);
}
