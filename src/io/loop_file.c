/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* File requests: to the engine, or carried out here and now. */
#include "io/loop_priv.h"

#include "io/file_pool.h"

#include <assert.h>

/* Requests and bytes carried out in one go; what came of them is sent off before the next ones,
 * while the processor's cache still has it. */
#define HERE_AT_A_TIME 16
#define HERE_BYTES     (256u << 10)

static void run_here(struct loop_work *w)
{
    struct loop *loop = list_entry(w, struct loop, here_work);
    int64_t bytes = 0;
    for (int i = 0; i < HERE_AT_A_TIME && bytes < HERE_BYTES && !list_empty(&loop->here); i++) {
        struct loop_file_req *req =
            list_entry(list_pop_front(&loop->here), struct loop_file_req, node);
        int64_t res = file_req_run(req, 0);
        bytes += res;
        loop_file_complete(req, res);
    }
    if (!list_empty(&loop->here))
        loop_work_queue(loop, w);
}

void loop_file_init(struct loop *loop)
{
    list_init(&loop->here);
    loop_work_init(&loop->here_work, run_here);
}

void loop_file_submit(struct loop *loop, struct loop_file_req *req)
{
    assert(req->done);
    req->loop = loop;
    loop->file_count++;
    if (req->here) {
        list_push_back(&loop->here, &req->node);
        loop_work_queue(loop, &loop->here_work);
    } else {
        loop->eng->ops->file_submit(loop->eng, req);
    }
}

void loop_file_complete(struct loop_file_req *req, int64_t res)
{
    req->loop->file_count--;
    req->res = res;
    req->done(req);
}
