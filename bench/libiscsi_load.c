/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libiscsi_load - the loads of rawload through the asynchronous interface of libiscsi: what a
 * program gets that is written against that library. Prints one line of key=value.
 */
#include "client_load.h"

#include <errno.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

struct load {
    struct client_load common;
    struct iscsi_context *iscsi;
    int lun;
    uint32_t block_bytes;
};

struct request {
    struct load *load;
    uint8_t *buf;
    struct scsi_iovec iov; /* of a read: libiscsi keeps its address */
    uint64_t start_ns;
};

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
    struct iscsi_url *url = iscsi_parse_full_url(l->iscsi, l->common.url);
    if (!url)
        failed(l, l->common.url);
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
    l->common.slots = (cap->returned_lba + 1) * cap->block_length / l->common.io_bytes;
    scsi_free_scsi_task(task);
    errno = 0;
    if (l->common.io_bytes % l->block_bytes || !l->common.slots)
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
    client_load_done(&l->common, r->start_ns, bench_now_ns());
    scsi_free_scsi_task(data);
    start(r);
}

static void start(struct request *r)
{
    struct load *l = r->load;
    uint32_t io_bytes = l->common.io_bytes;
    uint64_t lba = client_load_offset(&l->common) / l->block_bytes;
    struct scsi_task *task;
    r->start_ns = bench_now_ns();
    if (l->common.write) {
        task = iscsi_write16_task(l->iscsi, l->lun, lba, r->buf, io_bytes, (int)l->block_bytes, 0,
                                  0, 0, 0, 0, finished, r);
    } else {
        r->iov = (struct scsi_iovec){ .iov_base = r->buf, .iov_len = io_bytes };
        task = iscsi_read16_iov_task(l->iscsi, l->lun, lba, io_bytes, (int)l->block_bytes, 0, 0, 0,
                                     0, 0, finished, r, &r->iov, 1);
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
    static struct request requests[CLIENT_DEPTH_MAX];
    struct client_load *c = &l.common;
    client_load_parse(argc, argv, "libiscsi_load", "URL", NULL, c);
    bench_pin(c->cpu);
    log_in(&l);
    client_load_begin(c);
    for (uint32_t i = 0; i < c->depth; i++) {
        requests[i] = (struct request){ .load = &l, .buf = client_load_buffer(c) };
        start(&requests[i]);
    }
    while (client_load_on_time(c, bench_now_ns()))
        serve(&l);
    client_load_print(c);
    return 0;
}
