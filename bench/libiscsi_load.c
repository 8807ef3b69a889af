/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libiscsi_load - the loads of rawload through the asynchronous interface of libiscsi: what a
 * program gets that is written against that library. Prints one line of key=value.
 */
#include "measure.h"

#include <errno.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 1024u

static const char usage[] =
    "usage: libiscsi_load [OPTIONS] URL\n"
    "  -b BYTES    of a request (4096)      -q DEPTH    commands in flight (32)\n"
    "  -w          writes, not reads        -s          sequential, not random\n"
    "  -t SECS     measured (3)             -W SECS     before that (0.5)\n"
    "  -c CPU      to run on\n";

struct load {
    uint32_t io_bytes, depth;
    bool write, sequential;
    double seconds, warmup;
    int cpu;
    const char *url;

    struct iscsi_context *iscsi;
    int lun;
    uint32_t block_bytes;
    uint64_t slots, next, rng; /* the disk in units of io_bytes */
    uint64_t done;
    struct hist latency;
};

struct request {
    struct load *load;
    uint8_t *buf;
    struct scsi_iovec iov; /* of a read: libiscsi keeps its address */
    uint64_t start_ns;
};

static void parse(int argc, char **argv, struct load *l)
{
    *l = (struct load){ .io_bytes = 4096, .depth = 32, .seconds = 3, .warmup = 0.5, .cpu = -1 };
    int c;
    while ((c = getopt(argc, argv, "b:q:wst:W:c:")) != -1) {
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

__attribute__((noreturn)) static void failed(const struct load *l, const char *what)
{
    (void)fprintf(stderr, "libiscsi_load: %s: %s\n", what, iscsi_get_error(l->iscsi));
    exit(1);
}

static void log_in(struct load *l)
{
    l->iscsi = iscsi_create_context("iqn.2025-01.io.usan.bench:libiscsi");
    errno = 0;
    if (!l->iscsi)
        bench_die("iscsi_create_context");
    struct iscsi_url *url = iscsi_parse_full_url(l->iscsi, l->url);
    if (!url)
        failed(l, l->url);
    iscsi_set_targetname(l->iscsi, url->target);
    iscsi_set_session_type(l->iscsi, ISCSI_SESSION_NORMAL);
    iscsi_set_header_digest(l->iscsi, ISCSI_HEADER_DIGEST_NONE);
    l->lun = url->lun;
    if (iscsi_full_connect_sync(l->iscsi, url->portal, url->lun))
        failed(l, "log in");
    iscsi_destroy_url(url);
    struct scsi_task *task; /* the first answers of a new session are unit attentions */
    while ((task = iscsi_testunitready_sync(l->iscsi, l->lun)) &&
           task->status == SCSI_STATUS_CHECK_CONDITION &&
           task->sense.key == SCSI_SENSE_UNIT_ATTENTION)
        scsi_free_scsi_task(task);
    scsi_free_scsi_task(task);
    task = iscsi_readcapacity16_sync(l->iscsi, l->lun);
    const struct scsi_readcapacity16 *cap = task ? scsi_datain_unmarshall(task) : NULL;
    if (!cap)
        failed(l, "READ CAPACITY");
    l->block_bytes = cap->block_length;
    l->slots = (cap->returned_lba + 1) * cap->block_length / l->io_bytes;
    scsi_free_scsi_task(task);
    errno = 0;
    if (l->io_bytes % l->block_bytes || !l->slots)
        bench_die("the size of a request does not suit the disk");
}

static void start(struct request *r);

static void finished(struct iscsi_context *iscsi, int status, void *data, void *arg)
{
    struct request *r = arg;
    struct load *l = r->load;
    (void)iscsi;
    if (status != SCSI_STATUS_GOOD)
        failed(l, "a command failed");
    hist_add(&l->latency, bench_now_ns() - r->start_ns);
    l->done++;
    scsi_free_scsi_task(data);
    start(r);
}

static void start(struct request *r)
{
    struct load *l = r->load;
    uint64_t slot = (l->sequential ? l->next++ : bench_random(&l->rng)) % l->slots;
    uint64_t lba = slot * (l->io_bytes / l->block_bytes);
    struct scsi_task *task;
    r->start_ns = bench_now_ns();
    if (l->write) {
        task = iscsi_write16_task(l->iscsi, l->lun, lba, r->buf, l->io_bytes, (int)l->block_bytes,
                                  0, 0, 0, 0, 0, finished, r);
    } else {
        r->iov = (struct scsi_iovec){ .iov_base = r->buf, .iov_len = l->io_bytes };
        task = iscsi_read16_iov_task(l->iscsi, l->lun, lba, l->io_bytes, (int)l->block_bytes, 0, 0,
                                     0, 0, 0, finished, r, &r->iov, 1);
    }
    if (!task)
        failed(l, "a command can not be sent");
}

static void serve(struct load *l)
{
    struct pollfd pfd = { .fd = iscsi_get_fd(l->iscsi),
                          .events = (short)iscsi_which_events(l->iscsi) };
    if (poll(&pfd, 1, 1000) < 0 && errno != EINTR)
        bench_die("poll");
    if (iscsi_service(l->iscsi, pfd.revents) < 0)
        failed(l, "the connection");
}

int main(int argc, char **argv)
{
    static struct load l;
    static struct request requests[DEPTH_MAX];
    parse(argc, argv, &l);
    bench_pin(l.cpu);
    log_in(&l);
    l.rng = 88172645463325252u + bench_now_ns();
    uint64_t now = bench_now_ns(), begin = now + (uint64_t)(l.warmup * 1e9);
    uint64_t end = begin + (uint64_t)(l.seconds * 1e9);
    uint64_t from_ns = 0, from_cpu = 0, from_done = 0;
    for (uint32_t i = 0; i < l.depth; i++) {
        requests[i] = (struct request){ .load = &l, .buf = bench_pages(l.io_bytes, 0xa5) };
        start(&requests[i]);
    }
    while ((now = bench_now_ns()) < end) {
        if (!from_ns && now >= begin) {
            hist_clear(&l.latency);
            from_ns = now;
            from_cpu = bench_cpu_self_ns();
            from_done = l.done;
        }
        serve(&l);
    }
    double n = (double)(l.done - from_done), s = (double)(now - from_ns) / 1e9;
    double cpu_ns = (double)(bench_cpu_self_ns() - from_cpu);
    errno = 0;
    if (n < 1)
        bench_die("no command finished");
    printf("iops=%.0f MBps=%.1f cli_us=%.3f cli_util=%.2f p50_us=%.1f p99_us=%.1f\n", n / s,
           n * l.io_bytes / s / 1e6, cpu_ns / 1e3 / n, cpu_ns / 1e9 / s,
           hist_percentile_us(&l.latency, 50), hist_percentile_us(&l.latency, 99));
    return 0;
}
