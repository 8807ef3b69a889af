/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((noreturn)) static void usage(const char *name, const char *argument,
                                            const struct client_flag *flag)
{
    (void)fprintf(stderr,
                  "usage: %s [OPTIONS] %s\n"
                  "  -b BYTES    of a request (4096)      -q DEPTH    requests in flight (32)\n"
                  "  -w          writes, not reads        -s          sequential, not random\n"
                  "  -t SECS     measured (3)             -W SECS     before that (0.5)\n"
                  "  -c CPU      to run on%s%s\n",
                  name, argument, flag ? "                -r          " : "",
                  flag ? flag->help : "");
    exit(2);
}

void client_load_parse(int argc, char **argv, const char *name, const char *argument,
                       struct client_flag *flag, struct client_load *ret_load)
{
    struct client_load *l = ret_load;
    *l = (struct client_load){
        .io_bytes = 4096, .depth = 32, .seconds = 3, .warmup = 0.5, .cpu = -1
    };
    int c;
    while ((c = getopt(argc, argv, flag ? "b:q:wst:W:c:r" : "b:q:wst:W:c:")) != -1) {
        switch (c) {
        case 'b':
            l->io_bytes = (uint32_t)bench_number(optarg, 512, 16 << 20);
            break;
        case 'q':
            l->depth = (uint32_t)bench_number(optarg, 1, CLIENT_DEPTH_MAX);
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
            flag->set = true;
            break;
        default:
            usage(name, argument, flag);
        }
    }
    if (argc - optind != 1)
        usage(name, argument, flag);
    l->url = argv[optind];
}

void client_load_begin(struct client_load *l)
{
    uint64_t now = bench_now_ns();
    l->rng = 88172645463325252u + now;
    l->begin_ns = now + (uint64_t)(l->warmup * 1e9);
    l->end_ns = l->begin_ns + (uint64_t)(l->seconds * 1e9);
}

void *client_load_buffer(struct client_load *l)
{
    if (!l->write)
        return bench_pages(l->io_bytes, 0xa5);
    if (!l->written)
        l->written = bench_pages(l->io_bytes, 0xa5);
    return l->written;
}

uint64_t client_load_offset(struct client_load *l)
{
    uint64_t slot = (l->sequential ? l->next++ : bench_random(&l->rng)) % l->slots;
    return slot * l->io_bytes;
}

bool client_load_on_time(struct client_load *l, uint64_t now_ns)
{
    if (now_ns >= l->end_ns) {
        if (!l->to_ns) {
            l->to_cpu = bench_cpu_self_ns();
            l->to_ns = now_ns;
        }
        return false;
    }
    if (!l->from_ns && now_ns >= l->begin_ns) {
        hist_clear(&l->latency);
        l->from_ns = now_ns;
        l->from_cpu = bench_cpu_self_ns();
        l->from_done = l->done;
    }
    return true;
}

void client_load_done(struct client_load *l, uint64_t start_ns, uint64_t now_ns)
{
    hist_add(&l->latency, now_ns - start_ns);
    l->done++;
}

void client_load_print(const struct client_load *l)
{
    double n = (double)(l->done - l->from_done), s = (double)(l->to_ns - l->from_ns) / 1e9;
    double cpu_ns = (double)(l->to_cpu - l->from_cpu);
    errno = 0;
    if (!l->from_ns || n < 1)
        bench_die("no request finished");
    printf("iops=%.0f MBps=%.1f cli_us=%.3f cli_util=%.2f p50_us=%.1f p99_us=%.1f\n", n / s,
           n * l->io_bytes / s / 1e6, cpu_ns / 1e3 / n, cpu_ns / 1e9 / s,
           hist_percentile_us(&l->latency, 50), hist_percentile_us(&l->latency, 99));
}
