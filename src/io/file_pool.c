/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/file_pool.h"

#include "io/engine.h"
#include "io/thread.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

/* Enough for a disk to have something to choose from, few enough for many loops. */
#define POOL_THREADS_MAX 8u

struct file_pool {
    struct loop *loop;
    struct loop_msg msg; /* tells the loop that `done` is not empty */

    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t more;
    struct list queue, done;
    size_t queued;
    unsigned threads, idle;
    bool posted; /* msg is on its way */
    bool quit;
    struct thread thread[POOL_THREADS_MAX];
};

int64_t file_req_run(const struct loop_file_req *req, int extra_rw_flags)
{
    int iovcnt = req->iovcnt < IOV_MAX ? req->iovcnt : IOV_MAX;
    int64_t rc = -1;
    switch (req->op) {
    case LOOP_FILE_READV:
        rc = preadv2(req->fd, req->iov, iovcnt, (off_t)req->off, (int)req->flags | extra_rw_flags);
        break;
    case LOOP_FILE_WRITEV:
        rc = pwritev2(req->fd, req->iov, iovcnt, (off_t)req->off, (int)req->flags | extra_rw_flags);
        break;
    case LOOP_FILE_DATASYNC:
        rc = fdatasync(req->fd);
        break;
    case LOOP_FILE_FALLOCATE:
        rc = fallocate(req->fd, (int)req->flags, (off_t)req->off, (off_t)req->len);
        break;
    default:
        assert(false && "unknown file operation");
    }
    return rc < 0 ? -errno : rc;
}

/* On the loop's thread. */
static void deliver(struct loop_msg *m)
{
    struct file_pool *pool = list_entry(m, struct file_pool, msg);
    struct list done;
    list_init(&done);
    (void)pthread_mutex_lock(&pool->lock);
    list_splice_back(&done, &pool->done);
    pool->posted = false;
    (void)pthread_mutex_unlock(&pool->lock);
    struct list *node;
    while ((node = list_pop_front(&done))) {
        struct loop_file_req *req = list_entry(node, struct loop_file_req, node);
        loop_file_complete(req, req->res);
    }
}

static void worker(void *arg)
{
    struct file_pool *pool = arg;
    (void)pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (list_empty(&pool->queue) && !pool->quit) {
            pool->idle++;
            (void)pthread_cond_wait(&pool->more, &pool->lock);
            pool->idle--;
        }
        if (list_empty(&pool->queue))
            break;
        struct loop_file_req *req = list_entry(pool->queue.next, struct loop_file_req, node);
        list_del(&req->node);
        pool->queued--;
        (void)pthread_mutex_unlock(&pool->lock);

        req->res = file_req_run(req, 0);

        (void)pthread_mutex_lock(&pool->lock);
        list_push_back(&pool->done, &req->node);
        bool post = !pool->posted;
        pool->posted = true;
        if (post) {
            (void)pthread_mutex_unlock(&pool->lock);
            loop_post(pool->loop, &pool->msg);
            (void)pthread_mutex_lock(&pool->lock);
        }
    }
    (void)pthread_mutex_unlock(&pool->lock);
}

int file_pool_new(struct loop *loop, struct file_pool **ret_pool)
{
    struct file_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return USAN_ENOMEM;
    pool->loop = loop;
    pool->msg.deliver = deliver;
    list_init(&pool->queue);
    list_init(&pool->done);
    (void)pthread_mutex_init(&pool->lock, NULL); /* both cannot fail with default attributes */
    (void)pthread_cond_init(&pool->more, NULL);
    *ret_pool = pool;
    return 0;
}

void file_pool_free(struct file_pool *pool)
{
    if (!pool)
        return;
    (void)pthread_mutex_lock(&pool->lock);
    assert(list_empty(&pool->queue) && list_empty(&pool->done));
    pool->quit = true;
    (void)pthread_cond_broadcast(&pool->more);
    (void)pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->threads; i++)
        thread_join(&pool->thread[i]);
    (void)pthread_cond_destroy(&pool->more);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool);
}

/* The system has no room for a single thread: the loop has to wait for the disk itself. */
static void run_here(struct file_pool *pool, struct list *reqs)
{
    list_for_each (reqs, node) {
        struct loop_file_req *req = list_entry(node, struct loop_file_req, node);
        req->res = file_req_run(req, 0);
    }
    (void)pthread_mutex_lock(&pool->lock);
    list_splice_back(&pool->done, reqs);
    bool post = !pool->posted;
    pool->posted = true;
    (void)pthread_mutex_unlock(&pool->lock);
    if (post)
        loop_post(pool->loop, &pool->msg);
}

void file_pool_submit(struct file_pool *pool, struct list *reqs)
{
    size_t n = 0;
    list_for_each (reqs, node) {
        n++;
    }
    if (n == 0)
        return;
    (void)pthread_mutex_lock(&pool->lock);
    /* Only this thread starts others, so `threads` is stable here. */
    while (pool->threads < POOL_THREADS_MAX && pool->idle < pool->queued + n) {
        struct thread *t = &pool->thread[pool->threads];
        if (thread_start(t, "usan-file", worker, pool, NULL))
            break;
        pool->threads++;
        if (pool->threads >= pool->queued + n)
            break;
    }
    if (pool->threads == 0) {
        (void)pthread_mutex_unlock(&pool->lock);
        run_here(pool, reqs);
        return;
    }
    list_splice_back(&pool->queue, reqs);
    pool->queued += n;
    for (size_t i = 0; i < n && i < pool->idle; i++)
        (void)pthread_cond_signal(&pool->more);
    (void)pthread_mutex_unlock(&pool->lock);
}
