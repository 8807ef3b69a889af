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

int job_start(struct job *job, struct usan_ctx *ctx, struct request *request)
{
    struct err_text e = { "" };
    job->ctx = ctx;
    job->request = request;
    request->extra = job;
    ctx_lock(ctx);
    ctx->jobs++;
    ctx_unlock(ctx);
    int err = thread_start(&job->thread, "usan-open", job_run, job, &e);
    if (err) {
        job_end(job);
        return fail(err, "%s", e.text);
    }
    return 0;
}

void job_end(struct job *job)
{
    struct usan_ctx *ctx = job->ctx;
    ctx_lock(ctx);
    if (--ctx->jobs == 0)
        (void)pthread_cond_broadcast(&ctx->idle);
    ctx_unlock(ctx);
}
