/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rawload - a bare iSCSI load generator on one thread, so lean that the target is the bottleneck
 * as far as one processor allows. Prints one line of key=value; tgt_us is the processor time of
 * the target process for each I/O.
 */
#include "raw_session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define SESSIONS_MAX 255u

static const char usage[] =
    "usage: rawload [OPTIONS] ADDRESS PORT TARGET-NAME LUN\n"
    "  -b BYTES    of a request (4096)      -q DEPTH    commands in flight on a session (32)\n"
    "  -n NUMBER   of sessions (1)          -w PERCENT  of writes (0)\n"
    "  -s          sequential, not random   -S BYTES    use that much of the disk\n"
    "  -t SECS     measured (3)             -W SECS     before that (0.5)\n"
    "  -P PID      of the target            -c CPU      to run on\n"
    "  -p          spin instead of sleeping -1          one call for each PDU sent\n"
    "  -D h|d|hd   header, data digests     -B BYTES    bursts offered (262144)\n"
    "  -r BYTES    MaxRecvDataSegmentLength (262144)\n"
    "  -C NAME     congestion control\n";

struct options {
    struct raw_config raw;
    uint32_t sessions;
    double seconds, warmup;
    pid_t target;
    int cpu;
    bool spin;
};

struct measure {
    uint64_t time_ns, done, self_ns, target_ns;
};

static void parse_option(int c, struct options *o)
{
    struct raw_config *r = &o->raw;
    switch (c) {
    case 'b':
        r->io_bytes = (uint32_t)bench_number(optarg, 512, 16 << 20);
        break;
    case 'q':
        r->depth = (uint32_t)bench_number(optarg, 1, RAW_DEPTH_MAX);
        break;
    case 'n':
        o->sessions = (uint32_t)bench_number(optarg, 1, SESSIONS_MAX);
        break;
    case 'w':
        r->write_percent = (uint32_t)bench_number(optarg, 0, 100);
        break;
    case 's':
        r->sequential = true;
        break;
    case 'S':
        r->span_bytes = bench_number(optarg, 1, UINT64_MAX);
        break;
    case 't':
        o->seconds = bench_seconds(optarg);
        break;
    case 'W':
        o->warmup = bench_seconds(optarg);
        break;
    case 'P':
        o->target = (pid_t)bench_number(optarg, 1, INT32_MAX);
        break;
    case 'c':
        o->cpu = (int)bench_number(optarg, 0, 1023);
        break;
    case 'p':
        o->spin = true;
        break;
    case '1':
        r->send_each = true;
        break;
    case 'D':
        r->header_digest = strchr(optarg, 'h');
        r->data_digest = strchr(optarg, 'd');
        break;
    case 'B':
        r->burst_bytes = (uint32_t)bench_number(optarg, 512, (1 << 24) - 1);
        break;
    case 'r':
        r->mrdsl = (uint32_t)bench_number(optarg, 512, (1 << 24) - 1);
        break;
    case 'C':
        r->congestion = optarg;
        break;
    default:
        fputs(usage, stderr);
        exit(2);
    }
}

static void parse(int argc, char **argv, struct options *o)
{
    *o = (struct options){
        .raw = { .io_bytes = 4096, .depth = 32, .burst_bytes = 262144, .mrdsl = 262144 },
        .sessions = 1,
        .seconds = 3,
        .warmup = 0.5,
        .cpu = -1,
    };
    int c;
    while ((c = getopt(argc, argv, "b:q:n:w:sS:t:W:P:c:p1D:B:r:C:")) != -1)
        parse_option(c, o);
    if (argc - optind != 4 || inet_pton(AF_INET, argv[optind], &o->raw.portal.sin_addr) != 1) {
        fputs(usage, stderr);
        exit(2);
    }
    o->raw.portal.sin_family = AF_INET;
    o->raw.portal.sin_port = htons((uint16_t)bench_number(argv[optind + 1], 1, 65535));
    o->raw.target_name = argv[optind + 2];
    o->raw.lun = (uint8_t)bench_number(argv[optind + 3], 0, 255);
}

static void *array(size_t count, size_t bytes)
{
    void *p = calloc(count, bytes);
    if (!p)
        bench_die("calloc");
    return p;
}

static void open_session(struct raw_session *s, const struct options *o, unsigned id,
                         struct raw_totals *totals, const uint8_t *payload)
{
    const struct raw_config *cfg = &o->raw;
    s->cfg = cfg;
    s->totals = totals;
    s->payload = payload;
    s->id = (uint8_t)id;
    s->rng = 88172645463325252u + id * 7919u + bench_now_ns();
    s->rx = bench_pages(RAW_RECV_BYTES, 0);
    s->slots = array(cfg->depth, sizeof(*s->slots));
    s->free_slots = array(cfg->depth, sizeof(*s->free_slots));
    for (uint32_t i = 0; i < cfg->depth; i++) {
        s->slots[i].data_out = array(RAW_DATA_OUTS, RAW_HDR_ROOM);
        s->free_slots[s->free_count++] = i;
    }
    raw_login(s);
    /* sequential sessions start at places of their own */
    s->pos = s->blocks * s->block_bytes / cfg->io_bytes / o->sessions * id;
}

static void close_session(struct raw_session *s)
{
    close(s->fd);
    for (uint32_t i = 0; i < s->cfg->depth; i++)
        free(s->slots[i].data_out);
    free(s->free_slots);
    free(s->slots);
    free(s->iov);
    free(s->rx);
}

static struct measure take(const struct options *o, const struct raw_totals *totals)
{
    return (struct measure){ .time_ns = bench_now_ns(),
                             .done = totals->done,
                             .self_ns = bench_cpu_self_ns(),
                             .target_ns = bench_cpu_of_ns(o->target) };
}

/* Send what did not fit before, and watch for room only while there is something to send. */
static void flush_sessions(struct raw_session *sessions, uint32_t count, int ep)
{
    for (uint32_t i = 0; i < count; i++) {
        struct raw_session *s = &sessions[i];
        uint32_t events = EPOLLIN | (raw_flush(s) ? EPOLLOUT : 0u);
        if (events == s->events)
            continue;
        struct epoll_event e = { .events = events, .data.ptr = s };
        if (epoll_ctl(ep, s->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s->fd, &e))
            bench_die("epoll_ctl");
        s->events = events;
    }
}

static void run(struct raw_session *sessions, const struct options *o, struct measure *ret_begin,
                struct measure *ret_end)
{
    struct raw_totals *totals = sessions->totals;
    int ep = epoll_create1(EPOLL_CLOEXEC);
    if (ep < 0)
        bench_die("epoll_create1");
    uint64_t now = bench_now_ns();
    uint64_t begin = now + (uint64_t)(o->warmup * 1e9);
    uint64_t end = begin + (uint64_t)(o->seconds * 1e9);
    for (uint32_t i = 0; i < o->sessions; i++)
        raw_issue(&sessions[i], now);
    ret_begin->time_ns = 0;
    while ((now = bench_now_ns()) < end) {
        if (!ret_begin->time_ns && now >= begin) {
            hist_clear(&totals->latency);
            *ret_begin = take(o, totals);
        }
        flush_sessions(sessions, o->sessions, ep);
        if (o->spin && o->sessions == 1) {
            raw_receive(sessions);
            raw_issue(sessions, bench_now_ns());
            continue;
        }
        struct epoll_event ev[64];
        int n = epoll_wait(ep, ev, 64, o->spin ? 0 : 1000);
        for (int i = 0; i < n; i++) {
            struct raw_session *s = ev[i].data.ptr;
            if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                raw_receive(s);
            raw_issue(s, bench_now_ns());
            (void)raw_flush(s);
        }
    }
    *ret_end = take(o, totals);
    close(ep);
}

int main(int argc, char **argv)
{
    static struct raw_totals totals;
    struct options o;
    parse(argc, argv, &o);
    bench_pin(o.cpu);
    uint8_t *payload = bench_pages(o.raw.io_bytes, 0xa5);
    struct raw_session *sessions = array(o.sessions, sizeof(*sessions));
    for (uint32_t i = 0; i < o.sessions; i++)
        open_session(&sessions[i], &o, i, &totals, payload);
    struct measure a = { 0 }, b = { 0 };
    run(sessions, &o, &a, &b);
    double n = (double)(b.done - a.done), s = (double)(b.time_ns - a.time_ns) / 1e9;
    errno = 0;
    if (n < 1)
        bench_die("no command finished");
    double self_ns = (double)(b.self_ns - a.self_ns);
    double target_ns = (double)(b.target_ns - a.target_ns);
    uint32_t w = o.raw.write_percent;
    printf("op=%s%s bs=%u qd=%u sess=%u dig=%s%s iops=%.0f MBps=%.1f cli_us=%.3f tgt_us=%.3f "
           "cli_util=%.2f tgt_util=%.2f p50_us=%.1f p99_us=%.1f p999_us=%.1f errs=%llu\n",
           o.raw.sequential ? "seq" : "rand",
           w == 100 ? "write"
           : w      ? "mix"
                    : "read",
           o.raw.io_bytes, o.raw.depth, o.sessions, sessions->header_digest ? "h" : "",
           sessions->data_digest ? "d" : "", n / s, n * o.raw.io_bytes / s / 1e6, self_ns / 1e3 / n,
           target_ns / 1e3 / n, self_ns / 1e9 / s, target_ns / 1e9 / s,
           hist_percentile_us(&totals.latency, 50), hist_percentile_us(&totals.latency, 99),
           hist_percentile_us(&totals.latency, 99.9), (unsigned long long)totals.errors);
    for (uint32_t i = 0; i < o.sessions; i++)
        close_session(&sessions[i]);
    free(sessions);
    free(payload);
    return totals.errors ? 1 : 0;
}
