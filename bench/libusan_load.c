/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libusan_load - the loads of rawload through libusan: what a program gets that is written against
 * that library, in its own loop or with a thread of the library. Prints one line of key=value.
 */
#include "client_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <usan/usan.h>

struct load {
    struct client_load common;
    struct usan_disk *disk;
    _Atomic uint32_t left; /* requests that are not over */
};

struct request {
    struct load *load;
    struct iovec iov;
    uint64_t start_ns;
};

__attribute__((noreturn)) static void failed(const char *what)
{
    (void)fprintf(stderr, "libusan_load: %s: %s\n", what, usan_error_text(NULL));
    exit(1);
}

static void start(struct request *r);

static void finished(void *user, const struct usan_result *result)
{
    struct request *r = user;
    struct load *l = r->load;
    uint64_t now = bench_now_ns();
    if (result->code)
        failed("a request failed");
    if (!client_load_on_time(&l->common, now)) {
        l->left--;
        return;
    }
    client_load_done(&l->common, r->start_ns, now);
    start(r);
}

static void start(struct request *r)
{
    struct load *l = r->load;
    uint64_t off = client_load_offset(&l->common);
    r->start_ns = bench_now_ns();
    if (l->common.write ? usan_write(l->disk, &r->iov, 1, off, 0, finished, r, NULL)
                        : usan_read(l->disk, &r->iov, 1, off, 0, finished, r, NULL))
        failed("a request can not be begun");
}

/* The session is logged in and has told its first unit attentions. */
static void open_disk(struct usan_ctx *ctx, struct load *l)
{
    struct client_load *c = &l->common;
    struct iovec iov = { .iov_base = bench_pages(c->io_bytes, 0), .iov_len = c->io_bytes };
    if (usan_open_wait(ctx, c->url, NULL, &l->disk))
        failed("open");
    c->slots = usan_disk_size(l->disk) / c->io_bytes;
    if (!c->slots || usan_preadv(l->disk, &iov, 1, 0))
        failed("the first read");
    free(iov.iov_base);
}

int main(int argc, char **argv)
{
    static struct load l;
    static struct request requests[CLIENT_DEPTH_MAX];
    struct client_load *c = &l.common;
    struct client_flag reactors = { .help = "callbacks on a thread of the library" };
    struct usan_ctx_options options = { .size = sizeof(options) };
    struct usan_ctx *ctx;
    client_load_parse(argc, argv, "libusan_load", "URL|STORE", &reactors, c);
    if (reactors.set)
        options.mode = USAN_REACTORS;
    bench_pin(c->cpu);
    if (usan_ctx_new(&options, &ctx))
        failed("context");
    open_disk(ctx, &l);
    client_load_begin(c);
    l.left = c->depth;
    for (uint32_t i = 0; i < c->depth; i++) {
        requests[i] = (struct request){ .load = &l, .iov = { client_load_buffer(c), c->io_bytes } };
        start(&requests[i]);
    }
    while (l.left) {
        const struct timespec nap = { .tv_nsec = 10 * 1000 * 1000 };
        if (reactors.set)
            (void)nanosleep(&nap, NULL);
        else if (usan_ctx_wait(ctx, -1) < 0)
            failed("the loop");
    }
    client_load_print(c);
    usan_close_wait(l.disk);
    return usan_ctx_free(ctx) != 0;
}
