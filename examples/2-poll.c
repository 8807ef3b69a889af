/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Example 2: requests in the loop of the program itself. A pattern is written to the first
 * MEBIBYTES of a disk, read back and compared, with 16 requests under way at a time and no thread.
 *
 *     cc 2-poll.c $(pkg-config --cflags --libs usan)
 *     ./a.out iscsi://10.0.0.1/iqn.2025-01.io.usan:scratch/0 64      # destroys what is there
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <usan/usan.h>

enum { DEPTH = 16, PIECE = 128 * 1024 };

struct job {
    struct app *app;
    uint64_t off;
    int reading;
    unsigned char buf[PIECE];
};

struct app {
    struct usan_disk *disk;
    uint64_t next, end; /* bytes */
    int busy, failed, stop;
    struct job jobs[DEPTH];
};

static void step(struct job *job);

static void fill(struct job *job)
{
    for (size_t i = 0; i < PIECE; i++)
        job->buf[i] = (unsigned char)(job->off / PIECE * 31 + i);
}

static int is_pattern(const struct job *job)
{
    for (size_t i = 0; i < PIECE; i++) {
        if (job->buf[i] != (unsigned char)(job->off / PIECE * 31 + i))
            return 0;
    }
    return 1;
}

/* Called by usan_ctx_process() when a request is over. */
static void done(void *user, const struct usan_result *result)
{
    struct job *job = user;
    struct app *app = job->app;

    app->busy--;
    if (result->code) {
        fprintf(stderr, "%s\n", result->error->text);
        app->failed = 1;
        return;
    }
    if (job->reading && !is_pattern(job)) {
        fprintf(stderr, "what was written at %llu is not what is read\n",
                (unsigned long long)job->off);
        app->failed = 1;
        return;
    }
    job->reading = !job->reading;
    step(job);
}

/* Begin what the job has to do next: write a piece, or read it back. */
static void step(struct job *job)
{
    struct app *app = job->app;
    struct iovec iov = { job->buf, PIECE };
    int err;

    if (!job->reading) {
        if (app->next == app->end || app->failed || app->stop)
            return;
        job->off = app->next;
        app->next += PIECE;
        fill(job);
        err = usan_write(app->disk, &iov, 1, job->off, 0, done, job, NULL);
    } else {
        memset(job->buf, 0, PIECE);
        err = usan_read(app->disk, &iov, 1, job->off, 0, done, job, NULL);
    }
    if (err) {
        fprintf(stderr, "%s\n", usan_error_text(NULL));
        app->failed = 1;
    } else {
        app->busy++;
    }
}

static void opened(void *user, const struct usan_result *result)
{
    struct app *app = user;

    app->busy--;
    if (result->code) {
        fprintf(stderr, "%s\n", result->error->text);
        app->failed = 1;
        return;
    }
    app->disk = result->disk;
    if (app->end > usan_disk_size(app->disk))
        app->end = usan_disk_size(app->disk) / PIECE * PIECE;
    for (int i = 0; i < DEPTH; i++) {
        app->jobs[i].app = app;
        step(&app->jobs[i]);
    }
}

static void closed(void *user, const struct usan_result *result)
{
    struct app *app = user;

    (void)result;
    app->busy--;
}

/* The program's own loop: here it watches the terminal as well. */
static void run(struct usan_ctx *ctx, struct app *app)
{
    struct pollfd fds[2] = { { usan_ctx_fd(ctx), POLLIN, 0 }, { STDIN_FILENO, POLLIN, 0 } };
    char key;

    while (app->busy) {
        if (poll(fds, 2, usan_ctx_timeout_ms(ctx)) < 0)
            break;
        if (fds[1].revents) {
            if (read(STDIN_FILENO, &key, 1) == 1 && key == 'q')
                app->stop = 1;
            else
                fds[1].fd = -1;
        }
        usan_ctx_process(ctx);
    }
}

int main(int argc, char **argv)
{
    struct usan_ctx *ctx = NULL;
    struct app *app = calloc(1, sizeof(*app));

    if (argc == 3 && app)
        app->end = strtoull(argv[2], NULL, 0) << 20;
    if (!app || app->end == 0) {
        fprintf(stderr, "usage: %s URL|./FILE|STORE MEBIBYTES\n", argv[0]);
        return 2;
    }
    if (usan_ctx_new(NULL, &ctx) || usan_open(ctx, argv[1], NULL, opened, app, NULL)) {
        fprintf(stderr, "%s\n", usan_error_text(NULL));
        return 1;
    }
    app->busy++;
    run(ctx, app);
    if (app->disk) {
        app->busy++;
        usan_close(app->disk, closed, app);
        run(ctx, app);
    }
    usan_ctx_free(ctx);
    if (!app->failed)
        printf("%llu bytes written and read back\n", (unsigned long long)app->next);
    int failed = app->failed;
    free(app);
    return failed;
}
