/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * limit - what one loopback TCP connection between two processes can do on this machine with no
 * protocol work at all: a fixed-size request is answered by a fixed-size response, a window of
 * requests is in flight, one process on each processor. It is the ceiling for a pair of iSCSI
 * initiator and target.
 *
 * Prints one line of key=value. cli_us and srv_us are the processor time per I/O of each process
 * (on loopback the sender's system time holds the receive work of the other end).
 */
#include "limit_peer.h"
#include "measure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEPTH_MAX 65536u
#define WARMUP_NS 300000000u

static const char usage[] =
    "usage: limit [OPTIONS]\n"
    "  -e ENGINE  epoll or uring (default epoll)\n"
    "  -q DEPTH   requests in flight (32)\n"
    "  -i BYTES   of a request (48: a read command; 4144: a 4 KiB write)\n"
    "  -o BYTES   of a response (4144: a 4 KiB read; 48: a status)\n"
    "  -t SECS    time measured (3)\n"
    "  -C NAME    congestion control\n"
    "  -p         both ends spin instead of sleeping\n"
    "  -1         the server answers with one call for each request\n"
    "  -m MIB     the server's data lies in that much memory instead of one hot buffer\n"
    "  -c CPU     of the client (0)      -s CPU  of the server (1)\n";

struct options {
    struct peer_config peer;
    uint64_t depth;
    size_t request, response;
    double seconds;
    const char *congestion;
    int client_cpu, server_cpu;
};

struct totals {
    uint64_t done, time_ns, client_ns, server_ns;
    struct hist latency;
};

static void parse(int argc, char **argv, struct options *o)
{
    *o = (struct options){
        .depth = 32, .request = 48, .response = 4144, .seconds = 3, .client_cpu = 0, .server_cpu = 1
    };
    int c;
    while ((c = getopt(argc, argv, "e:q:i:o:t:C:p1m:c:s:")) != -1) {
        switch (c) {
        case 'e':
            o->peer.uring = !strcmp(optarg, "uring");
            break;
        case 'q':
            o->depth = bench_number(optarg, 1, DEPTH_MAX);
            break;
        case 'i':
            o->request = bench_number(optarg, 1, 16 << 20);
            break;
        case 'o':
            o->response = bench_number(optarg, 1, 16 << 20);
            break;
        case 't':
            o->seconds = bench_seconds(optarg);
            break;
        case 'C':
            o->congestion = optarg;
            break;
        case 'p':
            o->peer.spin = true;
            break;
        case '1':
            o->peer.one_by_one = true;
            break;
        case 'm':
            o->peer.region = bench_number(optarg, 64, 65536) << 20;
            break;
        case 'c':
            o->client_cpu = (int)bench_number(optarg, 0, CPU_SETSIZE - 1);
            break;
        case 's':
            o->server_cpu = (int)bench_number(optarg, 0, CPU_SETSIZE - 1);
            break;
        default:
            fputs(usage, stderr);
            exit(2);
        }
    }
}

static void set_options(int fd, const struct options *o)
{
    int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
        bench_die("TCP_NODELAY");
    if (o->congestion && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, o->congestion,
                                    (socklen_t)strlen(o->congestion)))
        bench_die("TCP_CONGESTION");
}

__attribute__((noreturn)) static void serve(int listener, const struct options *o)
{
    static struct peer p;
    bench_pin(o->server_cpu);
    int fd = accept(listener, NULL, NULL);
    if (fd < 0)
        bench_die("accept");
    set_options(fd, o);
    struct peer_config cfg = o->peer;
    cfg.send_bytes = o->response;
    peer_init(&p, &cfg, fd);
    /* the client starts its clock now */
    if (send(fd, "", 1, 0) != 1)
        exit(1);
    uint64_t due = 0;
    size_t have = 0, bytes;
    while ((bytes = peer_step(&p, &due)) > 0) {
        have += bytes;
        due += have / o->request;
        have %= o->request;
    }
    exit(0);
}

static void run_client(int fd, pid_t server, const struct options *o, struct totals *ret)
{
    static struct peer p;
    static uint64_t sent_at[DEPTH_MAX];
    struct peer_config cfg = o->peer;
    cfg.send_bytes = o->request;
    cfg.one_by_one = false;
    cfg.region = 0;
    peer_init(&p, &cfg, fd);
    char ready;
    if (recv(fd, &ready, 1, 0) != 1)
        bench_die("the server is not ready");
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

static void print(const struct options *o, const struct totals *t)
{
    double n = (double)t->done, s = (double)t->time_ns / 1e9;
    size_t bytes = o->request > o->response ? o->request : o->response;
    printf("engine=%s%s%s qd=%llu req=%zu rsp=%zu cc=%s iops=%.0f MBps=%.0f cli_us=%.3f "
           "srv_us=%.3f cli_util=%.2f srv_util=%.2f p50_us=%.1f p99_us=%.1f\n",
           o->peer.uring ? "uring" : "epoll", o->peer.spin ? "+spin" : "",
           o->peer.one_by_one ? "+1send" : "", (unsigned long long)o->depth, o->request,
           o->response, o->congestion ? o->congestion : "default", n / s,
           n / s * (double)bytes / 1e6, (double)t->client_ns / 1e3 / n,
           (double)t->server_ns / 1e3 / n, (double)t->client_ns / 1e9 / s,
           (double)t->server_ns / 1e9 / s, hist_percentile_us(&t->latency, 50),
           hist_percentile_us(&t->latency, 99));
}

int main(int argc, char **argv)
{
    static struct totals totals;
    struct options o;
    parse(argc, argv, &o);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(a);
    if (listener < 0 || bind(listener, (struct sockaddr *)&a, len) || listen(listener, 1) ||
        getsockname(listener, (struct sockaddr *)&a, &len))
        bench_die("listen");
    pid_t server = fork();
    if (server < 0)
        bench_die("fork");
    if (server == 0)
        serve(listener, &o);
    bench_pin(o.client_cpu);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, len))
        bench_die("connect");
    set_options(fd, &o);
    run_client(fd, server, &o, &totals);
    print(&o, &totals);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    return 0;
}
