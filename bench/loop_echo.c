/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * loop_echo - what the event loop costs: the echo of `limit`, with a server that runs on the loop
 * of the target and a client that is a bare epoll loop. Compare with `limit` of the same sizes.
 *
 * Prints one line of key=value, the keys of `limit`.
 */
#include "limit_peer.h"
#include "measure.h"

#include "io/loop.h"
#include "io/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEPTH_MAX 65536u
#define WARMUP_NS 300000000u
#define RX_BYTES  (1u << 20)

static const char usage[] = "usage: loop_echo [OPTIONS]\n"
                            "  -e ENGINE  auto, epoll or uring (default auto)\n"
                            "  -m MODE    how the server waits: auto, never, always (auto)\n"
                            "  -x MICROS  longest fruitless spin of mode auto\n"
                            "  -q DEPTH   requests in flight (32)\n"
                            "  -i BYTES   of a request (48)\n"
                            "  -o BYTES   of a response (4144)\n"
                            "  -t SECS    time measured (3)\n"
                            "  -p         the client spins instead of sleeping\n"
                            "  -I COUNT   idle connections beside the busy one (0)\n"
                            "  -c CPU     of the client (0)      -s CPU  of the server (1)\n";

struct options {
    struct loop_config loop;
    uint64_t depth, idle;
    size_t request, response;
    double seconds;
    bool client_spins;
    int client_cpu;
    const char *mode_text;
};

struct totals {
    uint64_t done, time_ns, client_ns, server_ns;
    struct hist latency;
};

static unsigned one_of(const char *text, const char *const *names, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (!strcmp(text, names[i]))
            return i;
    }
    fputs(usage, stderr);
    exit(2);
}

static void parse(int argc, char **argv, struct options *o)
{
    static const char *const engines[] = { "auto", "uring", "epoll" };
    static const char *const modes[] = { "auto", "never", "always" };
    *o = (struct options){ .loop = { .cpu = 1 },
                           .depth = 32,
                           .request = 48,
                           .response = 4144,
                           .seconds = 3,
                           .mode_text = "auto" };
    int c;
    while ((c = getopt(argc, argv, "e:m:x:q:i:o:t:pI:c:s:")) != -1) {
        switch (c) {
        case 'e':
            o->loop.engine = (enum loop_engine_kind)one_of(optarg, engines, 3);
            break;
        case 'm':
            o->loop.poll = (enum loop_poll_mode)one_of(optarg, modes, 3);
            o->mode_text = optarg;
            break;
        case 'x':
            o->loop.spin_max_us = (uint32_t)bench_number(optarg, 1, 1000000);
            break;
        case 'q':
            o->depth = bench_number(optarg, 1, DEPTH_MAX);
            break;
        case 'i':
            o->request = bench_number(optarg, 1, RX_BYTES);
            break;
        case 'o':
            o->response = bench_number(optarg, 1, RX_BYTES);
            break;
        case 't':
            o->seconds = bench_seconds(optarg);
            break;
        case 'p':
            o->client_spins = true;
            break;
        case 'I':
            o->idle = bench_number(optarg, 0, 30000);
            break;
        case 'c':
            o->client_cpu = (int)bench_number(optarg, 0, CPU_SETSIZE - 1);
            break;
        case 's':
            o->loop.cpu = (int)bench_number(optarg, 0, CPU_SETSIZE - 1);
            break;
        default:
            fputs(usage, stderr);
            exit(2);
        }
    }
}

/* ---- the server ---- */

struct echo {
    struct loop_fd lfd;
    struct loop_work send;
    struct loop *loop;
    const struct options *o;
    size_t have;      /* bytes of a request that is not complete */
    uint64_t due;     /* responses to be sent */
    size_t head_sent; /* bytes of the first of them that are gone */
};

static uint8_t *rx, *tx; /* shared by all connections: nobody looks at the content */

static void echo_end(struct echo *x)
{
    loop_work_cancel(&x->send);
    loop_fd_del(&x->lfd);
    (void)close(x->lfd.fd);
    free(x);
}

static void echo_send(struct loop_work *w)
{
    struct echo *x = list_entry(w, struct echo, send);
    struct iovec iov[PEER_IOV_MAX];
    while (x->due) {
        size_t n = 0;
        for (; n < x->due && n < PEER_IOV_MAX; n++)
            iov[n] = (struct iovec){ tx, x->o->response };
        iov[0].iov_len -= x->head_sent;
        struct msghdr m = { .msg_iov = iov, .msg_iovlen = n };
        ssize_t sent = sendmsg(x->lfd.fd, &m, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            echo_end(x);
            return;
        }
        if (sent < 0)
            break;
        size_t bytes = x->head_sent + (size_t)sent;
        x->due -= bytes / x->o->response;
        x->head_sent = bytes % x->o->response;
    }
    x->lfd.events = x->due ? LOOP_IN | LOOP_OUT : LOOP_IN;
    loop_fd_update(&x->lfd);
}

static bool echo_ready(struct loop_fd *lfd, uint32_t events)
{
    struct echo *x = list_entry(lfd, struct echo, lfd);
    if (events & LOOP_OUT)
        loop_work_queue(x->loop, &x->send);
    if (!(events & (LOOP_IN | LOOP_HUP)))
        return true;
    ssize_t n = recv(lfd->fd, rx, RX_BYTES, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        echo_end(x);
        return true;
    }
    if (n < 0)
        return false;
    x->have += (size_t)n;
    x->due += x->have / x->o->request;
    x->have %= x->o->request;
    if (x->due)
        loop_work_queue(x->loop, &x->send);
    return true;
}

static void echo_start(struct loop *loop, const struct options *o, int fd)
{
    struct echo *x = calloc(1, sizeof *x);
    const struct sock_options so = { .nodelay = true };
    if (!x || sock_set_options(fd, &so, NULL))
        bench_die("connection");
    x->loop = loop;
    x->o = o;
    loop_work_init(&x->send, echo_send);
    x->lfd = (struct loop_fd){ .fd = fd, .events = LOOP_IN, .ready = echo_ready };
    if (loop_fd_add(loop, &x->lfd))
        bench_die("loop_fd_add");
    if (send(fd, "", 1, MSG_NOSIGNAL) != 1) /* the client starts its clock now */
        bench_die("greeting");
}

struct portal {
    struct loop_fd lfd;
    struct loop *loop;
    const struct options *o;
};

static bool portal_ready(struct loop_fd *lfd, uint32_t events)
{
    struct portal *p = list_entry(lfd, struct portal, lfd);
    (void)events;
    int fd;
    bool did = false;
    while (sock_accept(lfd->fd, &fd) == 0) {
        echo_start(p->loop, p->o, fd);
        did = true;
    }
    return did;
}

/* Runs until it is killed. */
__attribute__((noreturn)) static void serve(int listener, const struct options *o)
{
    struct loop *loop;
    if (loop_new(&o->loop, &loop, NULL))
        bench_die("loop_new");
    struct portal p = { .loop = loop, .o = o };
    p.lfd = (struct loop_fd){ .fd = listener, .events = LOOP_IN, .ready = portal_ready };
    rx = bench_pages(RX_BYTES, 0);
    tx = bench_pages(RX_BYTES, 0x5b);
    if (loop_fd_add(loop, &p.lfd))
        bench_die("loop_fd_add");
    loop_run(loop);
    exit(0);
}

/* ---- the client ---- */

static int connect_to(uint16_t port)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const struct sock_options so = { .nodelay = true };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char ready;
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) || sock_set_options(fd, &so, NULL))
        bench_die("connect");
    if (recv(fd, &ready, 1, 0) != 1)
        bench_die("the server is not ready");
    return fd;
}

static void run_client(int fd, pid_t server, const struct options *o, struct totals *ret)
{
    static struct peer p;
    static uint64_t sent_at[DEPTH_MAX];
    const struct peer_config cfg = { .spin = o->client_spins, .send_bytes = o->request };
    peer_init(&p, &cfg, fd);
    uint64_t begin = bench_now_ns() + WARMUP_NS, end = begin + (uint64_t)(o->seconds * 1e9);
    uint64_t sent = 0, done = 0, first = 0, due = 0, fresh = o->depth, now;
    struct totals start = { 0 };
    size_t have = 0;
    while ((now = bench_now_ns()) < end) {
        if (!start.time_ns && now >= begin) {
            first = done;
            hist_clear(&ret->latency);
            start.time_ns = now;
            start.client_ns = bench_cpu_self_ns();
            start.server_ns = bench_cpu_of_ns(server);
        }
        for (uint64_t i = 0; i < fresh; i++)
            sent_at[(sent + i) % DEPTH_MAX] = now;
        sent += fresh;
        due += fresh;
        size_t bytes = peer_step(&p, &due);
        if (!bytes)
            bench_die("the server is gone");
        have += bytes;
        fresh = have / o->response;
        have %= o->response;
        now = fresh ? bench_now_ns() : 0;
        for (uint64_t i = 0; i < fresh; i++)
            hist_add(&ret->latency, now - sent_at[(done + i) % DEPTH_MAX]);
        done += fresh;
    }
    ret->done = done - first;
    ret->time_ns = bench_now_ns() - start.time_ns;
    ret->client_ns = bench_cpu_self_ns() - start.client_ns;
    ret->server_ns = bench_cpu_of_ns(server) - start.server_ns;
}

static void print(const struct options *o, const char *engine, const struct totals *t)
{
    double n = (double)t->done, s = (double)t->time_ns / 1e9;
    printf("engine=%s poll=%s client=%s qd=%llu req=%zu rsp=%zu idle=%llu iops=%.0f cli_us=%.3f "
           "srv_us=%.3f cli_util=%.2f srv_util=%.2f p50_us=%.1f p99_us=%.1f\n",
           engine, o->mode_text, o->client_spins ? "spins" : "sleeps", (unsigned long long)o->depth,
           o->request, o->response, (unsigned long long)o->idle, n / s,
           (double)t->client_ns / 1e3 / n, (double)t->server_ns / 1e3 / n,
           (double)t->client_ns / 1e9 / s, (double)t->server_ns / 1e9 / s,
           hist_percentile_us(&t->latency, 50), hist_percentile_us(&t->latency, 99));
}

int main(int argc, char **argv)
{
    static struct totals totals;
    struct options o;
    struct err_text e = { "" };
    struct loop *probe; /* tells the name of the engine that the server will take */
    int listener;
    parse(argc, argv, &o);
    if (sock_listen("127.0.0.1:0", 128, &listener, &e) || loop_new(&o.loop, &probe, &e)) {
        fprintf(stderr, "loop_echo: %s\n", e.text);
        return 1;
    }
    const char *engine = loop_engine_name(probe);
    loop_free(probe);
    pid_t server = fork();
    if (server < 0)
        bench_die("fork");
    if (server == 0)
        serve(listener, &o);
    bench_pin(o.client_cpu);
    for (uint64_t i = 0; i < o.idle; i++)
        (void)connect_to(sock_local_port(listener)); /* stays open to the end of the process */
    run_client(connect_to(sock_local_port(listener)), server, &o, &totals);
    print(&o, engine, &totals);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    return 0;
}
