/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/lib.h"

static void job_over(struct loop_msg *m)
{
    struct job *job = list_entry(m, struct job, msg);
    thread_join(&job->thread); /* posting was the last it did */
    job->over(job);
}

static void job_run(void *arg)
{
    struct job *job = arg;
    job->work(job);
    job->msg.deliver = job_over;
    loop_post(job->ctx->reactors[0].loop, &job->msg);
}

/* Here, so that its end, a message to this thread as well, cannot come before its beginning is
 * over. */
static void job_begin(struct loop_msg *m)
{
    struct job *job = list_entry(m, struct job, msg);
    struct err_text e = { "" };
    int err = USAN_ECANCELED;
    if (job->request)
        err = thread_start(&job->thread, "usan-open", job_run, job, &e);
    if (err) {
        job->failed(job, err, &e);
        job->over(job);
    }
}

void job_start(struct job *job, struct usan_ctx *ctx, struct request *request)
{
    job->ctx = ctx;
    job->request = request;
    request->extra = job;
    ctx_lock(ctx);
    ctx->jobs++;
    ctx_unlock(ctx);
    job->msg.deliver = job_begin;
    loop_post(ctx->reactors[0].loop, &job->msg);
}

void job_end(struct job *job)
{
    struct usan_ctx *ctx = job->ctx;
    ctx_lock(ctx);
    if (--ctx->jobs == 0)
        (void)pthread_cond_broadcast(&ctx->idle);
    ctx_unlock(ctx);
}
