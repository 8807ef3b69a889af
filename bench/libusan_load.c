/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libusan_load - the loads of rawload through libusan: what a program gets that is written against
 * that library, in its own loop or with a thread of the library. Prints one line of key=value.
 */
#include "measure.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <usan/usan.h>

#define DEPTH_MAX 1024u

static const char usage[] =
    "usage: libusan_load [OPTIONS] URL|STORE\n"
    "  -b BYTES    of a request (4096)      -q DEPTH    requests in flight (32)\n"
    "  -w          writes, not reads        -s          sequential, not random\n"
    "  -t SECS     measured (3)             -W SECS     before that (0.5)\n"
    "  -c CPU      to run on                -r          callbacks on a thread of the library\n";

struct load {
    uint32_t io_bytes, depth;
    bool write, sequential;
    double seconds, warmup;
    int cpu;
    const char *url;
    struct usan_ctx_options options;

    struct usan_disk *disk;
    uint64_t slots, next, rng; /* the disk in units of io_bytes */
    uint64_t begin_ns, end_ns;
    uint64_t from_ns, from_cpu, from_done, to_ns, to_cpu; /* of what is measured */
    uint64_t done;
    _Atomic uint32_t left; /* requests that are not over */
    struct hist latency;
};

struct request {
    struct load *load;
    struct iovec iov;
    uint64_t start_ns;
};

static void parse(int argc, char **argv, struct load *l)
{
    *l = (struct load){ .io_bytes = 4096, .depth = 32, .seconds = 3, .warmup = 0.5, .cpu = -1 };
    l->options.size = sizeof(l->options);
    int c;
    while ((c = getopt(argc, argv, "b:q:wst:W:c:r")) != -1) {
        switch (c) {
        case 'b':
            l->io_bytes = (uint32_t)bench_number(optarg, 512, 16 << 20);
            break;
        case 'q':
            l->depth = (uint32_t)bench_number(optarg, 1, DEPTH_MAX);
            break;
        case 'w':
            l->write = true;
            break;
        case 's':
            l->sequential = true;
            break;
        case 't':
            l->seconds = bench_seconds(optarg);
            break;
        case 'W':
            l->warmup = bench_seconds(optarg);
            break;
        case 'c':
            l->cpu = (int)bench_number(optarg, 0, 1023);
            break;
        case 'r':
            l->options.mode = USAN_REACTORS;
            break;
        default:
            fputs(usage, stderr);
            exit(2);
        }
    }
    if (argc - optind != 1) {
        fputs(usage, stderr);
        exit(2);
    }
    l->url = argv[optind];
}

__attribute__((noreturn)) static void failed(const char *what)
{
    (void)fprintf(stderr, "libusan_load: %s: %s\n", what, usan_error_text(NULL));
    exit(1);
}

static void start(struct request *r);

/* False: enough is measured. */
static bool on_time(struct load *l, uint64_t now)
{
    if (now >= l->end_ns) {
        if (!l->to_ns) {
            l->to_cpu = bench_cpu_self_ns();
            l->to_ns = now;
        }
        return false;
    }
    if (!l->from_ns && now >= l->begin_ns) {
        hist_clear(&l->latency);
        l->from_ns = now;
        l->from_cpu = bench_cpu_self_ns();
        l->from_done = l->done;
    }
    return true;
}

static void finished(void *user, const struct usan_result *result)
{
    struct request *r = user;
    struct load *l = r->load;
    uint64_t now = bench_now_ns();
    if (result->code)
        failed("a request failed");
    if (!on_time(l, now)) {
        l->left--;
        return;
    }
    hist_add(&l->latency, now - r->start_ns);
    l->done++;
    start(r);
}

static void start(struct request *r)
{
    struct load *l = r->load;
    uint64_t slot = (l->sequential ? l->next++ : bench_random(&l->rng)) % l->slots;
    uint64_t off = slot * l->io_bytes;
    r->start_ns = bench_now_ns();
    if (l->write ? usan_write(l->disk, &r->iov, 1, off, 0, finished, r, NULL)
                 : usan_read(l->disk, &r->iov, 1, off, 0, finished, r, NULL))
        failed("a request can not be begun");
}

/* The session is logged in and has told its first unit attentions. */
static void open_disk(struct usan_ctx *ctx, struct load *l)
{
    struct iovec iov = { .iov_base = bench_pages(l->io_bytes, 0), .iov_len = l->io_bytes };
    if (usan_open_wait(ctx, l->url, NULL, &l->disk))
        failed("open");
    l->slots = usan_disk_size(l->disk) / l->io_bytes;
    if (!l->slots || usan_preadv(l->disk, &iov, 1, 0))
        failed("the first read");
    free(iov.iov_base);
}

int main(int argc, char **argv)
{
    static struct load l;
    static struct request requests[DEPTH_MAX];
    struct usan_ctx *ctx;
    parse(argc, argv, &l);
    bench_pin(l.cpu);
    if (usan_ctx_new(&l.options, &ctx))
        failed("context");
    open_disk(ctx, &l);
    l.rng = 88172645463325252u + bench_now_ns();
    l.begin_ns = bench_now_ns() + (uint64_t)(l.warmup * 1e9);
    l.end_ns = l.begin_ns + (uint64_t)(l.seconds * 1e9);
    l.left = l.depth;
    for (uint32_t i = 0; i < l.depth; i++) {
        void *buf = bench_pages(l.io_bytes, 0xa5);
        requests[i] = (struct request){ .load = &l, .iov = { buf, l.io_bytes } };
        start(&requests[i]);
    }
    while (l.left) {
        const struct timespec nap = { .tv_nsec = 10 * 1000 * 1000 };
        if (l.options.mode == USAN_REACTORS)
            (void)nanosleep(&nap, NULL);
        else if (usan_ctx_wait(ctx, -1) < 0)
            failed("the loop");
    }
    double n = (double)(l.done - l.from_done), s = (double)(l.to_ns - l.from_ns) / 1e9;
    double cpu_ns = (double)(l.to_cpu - l.from_cpu);
    errno = 0;
    if (n < 1)
        bench_die("no request finished");
    printf("iops=%.0f MBps=%.1f cli_us=%.3f cli_util=%.2f p50_us=%.1f p99_us=%.1f\n", n / s,
           n * l.io_bytes / s / 1e6, cpu_ns / 1e3 / n, cpu_ns / 1e9 / s,
           hist_percentile_us(&l.latency, 50), hist_percentile_us(&l.latency, 99));
    usan_close_wait(l.disk);
    return usan_ctx_free(ctx) != 0;
}
