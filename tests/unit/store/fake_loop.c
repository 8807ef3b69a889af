/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The loop's interface on a clock that only moves when there is nothing else to do: what takes
 * hours takes no time, and a test sees the same times in every run. Single-threaded.
 */
#include "fake_loop.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMERS_MAX  4096
#define RESULTS_MAX 16
#define TRACE_MAX   256

struct loop {
    uint64_t now_ns;
    bool stop;
    struct list works, files;
    struct loop_msg *first, **last;
    struct loop_timer *timers[TIMERS_MAX];
    size_t timer_count;
    unsigned timer_failures;
    struct {
        enum loop_file_op op;
        int64_t res;
    } results[RESULTS_MAX];
    size_t result_count;
    char trace[TRACE_MAX], last_trace[TRACE_MAX];
    size_t trace_len;
};

int loop_new(const struct loop_config *cfg, struct loop **ret_loop, struct err_text *e)
{
    (void)cfg;
    (void)e;
    struct loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return USAN_ENOMEM;
    loop->now_ns = 1000 * NS_PER_SEC;
    list_init(&loop->works);
    list_init(&loop->files);
    loop->last = &loop->first;
    *ret_loop = loop;
    return 0;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    assert(list_empty(&loop->works) && list_empty(&loop->files) && !loop->first);
    assert(!loop->timer_count);
    free(loop);
}

uint64_t loop_now(const struct loop *loop)
{
    return loop->now_ns;
}

void fake_loop_advance(struct loop *loop, uint64_t ns)
{
    loop->now_ns += ns;
}

void fake_loop_fail_timers(struct loop *loop, unsigned count)
{
    loop->timer_failures = count;
}

void loop_stop(struct loop *loop)
{
    loop->stop = true;
}

/* ---- timers ---- */

void loop_timer_init(struct loop_timer *t, void (*fire)(struct loop_timer *t))
{
    *t = (struct loop_timer){ .deadline_ns = TIME_NEVER, .fire = fire };
}

int loop_timer_set(struct loop *loop, struct loop_timer *t, uint64_t deadline_ns)
{
    loop_timer_cancel(loop, t);
    if (deadline_ns == TIME_NEVER)
        return 0;
    if (loop->timer_failures) {
        loop->timer_failures--;
        return USAN_ENOMEM;
    }
    assert(loop->timer_count < TIMERS_MAX);
    t->deadline_ns = deadline_ns;
    loop->timers[loop->timer_count++] = t;
    return 0;
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *t)
{
    t->deadline_ns = TIME_NEVER;
    for (size_t i = 0; i < loop->timer_count; i++) {
        if (loop->timers[i] == t) {
            for (; i + 1 < loop->timer_count; i++)
                loop->timers[i] = loop->timers[i + 1];
            loop->timer_count--;
            return;
        }
    }
}

/* The clock moves to the earliest deadline; of equal ones the first that was set fires. */
static bool fire_next(struct loop *loop)
{
    struct loop_timer *next = NULL;
    for (size_t i = 0; i < loop->timer_count; i++) {
        if (!next || loop->timers[i]->deadline_ns < next->deadline_ns)
            next = loop->timers[i];
    }
    if (!next)
        return false;
    if (loop->now_ns < next->deadline_ns)
        loop->now_ns = next->deadline_ns;
    loop_timer_cancel(loop, next);
    next->fire(next);
    return true;
}

/* ---- works, messages, files ---- */

void loop_work_init(struct loop_work *w, void (*run)(struct loop_work *w))
{
    w->run = run;
    list_init(&w->node);
}

void loop_work_queue(struct loop *loop, struct loop_work *w)
{
    if (list_empty(&w->node))
        list_push_back(&loop->works, &w->node);
}

void loop_work_cancel(struct loop_work *w)
{
    list_del(&w->node);
}

void loop_post(struct loop *loop, struct loop_msg *m)
{
    m->next = NULL;
    *loop->last = m;
    loop->last = &m->next;
}

void loop_file_submit(struct loop *loop, struct loop_file_req *req)
{
    list_push_back(&loop->files, &req->node);
}

void fake_loop_file_result(struct loop *loop, enum loop_file_op op, int64_t res)
{
    assert(loop->result_count < RESULTS_MAX);
    loop->results[loop->result_count].op = op;
    loop->results[loop->result_count++].res = res;
}

const char *fake_loop_file_trace(struct loop *loop)
{
    memcpy(loop->last_trace, loop->trace, loop->trace_len);
    loop->last_trace[loop->trace_len] = '\0';
    loop->trace_len = 0;
    return loop->last_trace;
}

/* The result that is ordered for this operation; 0: none. */
static int64_t take_result(struct loop *loop, enum loop_file_op op)
{
    for (size_t i = 0; i < loop->result_count; i++) {
        if (loop->results[i].op != op)
            continue;
        int64_t res = loop->results[i].res;
        for (loop->result_count--; i < loop->result_count; i++)
            loop->results[i] = loop->results[i + 1];
        return res;
    }
    return 0;
}

/* The first n bytes of a transfer, one iovec after the other; also of a direct one at any byte. */
static int64_t run_short(const struct loop_file_req *r, int64_t n)
{
    char path[64];
    int64_t done = 0;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", r->fd);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert(fd >= 0);
    for (int i = 0; done < n; i++) {
        size_t len = r->iov[i].iov_len;
        if (len > (size_t)(n - done))
            len = (size_t)(n - done);
        off_t off = (off_t)r->off + done;
        ssize_t rc = r->op == LOOP_FILE_READV ? pread(fd, r->iov[i].iov_base, len, off)
                                              : pwrite(fd, r->iov[i].iov_base, len, off);
        assert(rc == (ssize_t)len);
        done += rc;
    }
    (void)close(fd);
    return n;
}

static void run_file(struct loop *loop, struct loop_file_req *r)
{
    int64_t rc = -1, ordered = take_result(loop, r->op);
    if (loop->trace_len < TRACE_MAX - 1)
        loop->trace[loop->trace_len++] =
            r->op == LOOP_FILE_WRITEV && r->flags & RWF_DSYNC ? 'W' : "rwsf"[r->op];
    if (ordered) {
        r->res = ordered < 0 ? ordered : run_short(r, ordered);
        r->done(r);
        return;
    }
    switch (r->op) {
    case LOOP_FILE_READV:
        rc = preadv2(r->fd, r->iov, r->iovcnt, (off_t)r->off, (int)r->flags);
        break;
    case LOOP_FILE_WRITEV:
        rc = pwritev2(r->fd, r->iov, r->iovcnt, (off_t)r->off, (int)r->flags);
        break;
    case LOOP_FILE_DATASYNC:
        rc = fdatasync(r->fd);
        break;
    case LOOP_FILE_FALLOCATE:
        rc = fallocate(r->fd, (int)r->flags, (off_t)r->off, (off_t)r->len);
        break;
    default:
        assert(false);
    }
    r->res = rc < 0 ? -errno : rc;
    r->done(r);
}

bool fake_loop_step(struct loop *loop)
{
    struct list *node = list_pop_front(&loop->works);
    if (node) {
        struct loop_work *w = list_entry(node, struct loop_work, node);
        w->run(w);
        return true;
    }
    struct loop_msg *m = loop->first;
    if (m) {
        loop->first = m->next;
        if (!loop->first)
            loop->last = &loop->first;
        m->deliver(m);
        return true;
    }
    node = list_pop_front(&loop->files);
    if (node) {
        run_file(loop, list_entry(node, struct loop_file_req, node));
        return true;
    }
    return fire_next(loop);
}

void loop_run(struct loop *loop)
{
    while (!loop->stop) {
        if (!fake_loop_step(loop)) {
            fprintf(stderr, "the loop has nothing to wait for\n");
            abort();
        }
    }
    loop->stop = false;
}
