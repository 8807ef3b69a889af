/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Example 3: copy one disk to another with threads of the library. Callbacks come on these threads;
 * blocks of zeroes are not sent.
 *
 *     cc 3-copy.c $(pkg-config --cflags --libs usan) -pthread
 *     ./a.out ./image.raw iscsi://10.0.0.1/iqn.2025-01.io.usan:copy/0
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <usan/usan.h>

enum { JOBS = 16, PIECE = 1 << 20, THREADS = 2 };

struct copy {
    struct usan_disk *from, *to;
    uint64_t size;
    atomic_ullong next;
    atomic_int failed;
    pthread_mutex_t lock;
    pthread_cond_t idle;
    int busy; /* jobs that are not over */
};

struct job {
    struct copy *copy;
    uint64_t off;
    size_t len;
    unsigned char *buf;
};

static void next_piece(struct job *job);

static void job_over(struct copy *copy)
{
    pthread_mutex_lock(&copy->lock);
    if (--copy->busy == 0)
        pthread_cond_signal(&copy->idle);
    pthread_mutex_unlock(&copy->lock);
}

static void fail(struct job *job, const char *why)
{
    if (!atomic_exchange(&job->copy->failed, 1))
        fprintf(stderr, "%s\n", why);
    job_over(job->copy);
}

static void written(void *user, const struct usan_result *result)
{
    struct job *job = user;

    if (result->code)
        fail(job, result->error->text);
    else
        next_piece(job);
}

static int all_zero(const unsigned char *p, size_t len)
{
    return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

static void was_read(void *user, const struct usan_result *result)
{
    struct job *job = user;
    struct copy *copy = job->copy;
    struct iovec iov = { job->buf, job->len };
    int err;

    if (result->code) {
        fail(job, result->error->text);
        return;
    }
    if (all_zero(job->buf, job->len))
        err = usan_write_zeroes(copy->to, job->off, job->len, USAN_MAY_TRIM, written, job, NULL);
    else
        err = usan_write(copy->to, &iov, 1, job->off, 0, written, job, NULL);
    if (err)
        fail(job, usan_error_text(NULL));
}

static void next_piece(struct job *job)
{
    struct copy *copy = job->copy;
    struct iovec iov;

    job->off = atomic_fetch_add(&copy->next, PIECE);
    if (job->off >= copy->size || atomic_load(&copy->failed)) {
        job_over(copy);
        return;
    }
    job->len = copy->size - job->off < PIECE ? (size_t)(copy->size - job->off) : PIECE;
    iov.iov_base = job->buf;
    iov.iov_len = job->len;
    if (usan_read(copy->from, &iov, 1, job->off, USAN_DONTCACHE, was_read, job, NULL))
        fail(job, usan_error_text(NULL));
}

static int run(struct copy *copy)
{
    struct job jobs[JOBS];

    copy->busy = JOBS;
    for (int i = 0; i < JOBS; i++) {
        jobs[i].copy = copy;
        jobs[i].buf = malloc(PIECE);
        if (!jobs[i].buf)
            abort();
        next_piece(&jobs[i]);
    }
    pthread_mutex_lock(&copy->lock);
    while (copy->busy)
        pthread_cond_wait(&copy->idle, &copy->lock);
    pthread_mutex_unlock(&copy->lock);
    for (int i = 0; i < JOBS; i++)
        free(jobs[i].buf);
    if (copy->failed)
        return 1;
    if (usan_pflush(copy->to)) {
        fprintf(stderr, "%s\n", usan_error_text(NULL));
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct usan_ctx_options co = { .size = sizeof(co), .mode = USAN_REACTORS, .reactors = THREADS };
    struct usan_open_options from = { .size = sizeof(from), .flags = USAN_OPEN_READ_ONLY };
    struct copy copy = { .size = 0 };
    struct usan_ctx *ctx = NULL;
    int rc = 1;

    if (argc != 3) {
        fprintf(stderr, "usage: %s FROM TO, each URL|./FILE|STORE\n", argv[0]);
        return 2;
    }
    pthread_mutex_init(&copy.lock, NULL);
    pthread_cond_init(&copy.idle, NULL);
    if (usan_ctx_new(&co, &ctx) || usan_open_wait(ctx, argv[1], &from, &copy.from) ||
        usan_open_wait(ctx, argv[2], NULL, &copy.to)) {
        fprintf(stderr, "%s\n", usan_error_text(NULL));
    } else if (usan_disk_size(copy.from) > usan_disk_size(copy.to)) {
        fprintf(stderr, "%s is too small\n", argv[2]);
    } else {
        copy.size = usan_disk_size(copy.from);
        rc = run(&copy);
    }
    usan_close_wait(copy.from);
    usan_close_wait(copy.to);
    usan_ctx_free(ctx);
    if (rc == 0)
        printf("%llu bytes copied\n", (unsigned long long)copy.size);
    return rc;
}
