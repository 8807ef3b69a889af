/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/stream.h"

#include "io/thread.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ZEROES_BYTES 65536u

static const uint8_t zeroes[ZEROES_BYTES];

struct stream {
    int fd, stop_fd;
    bool writes;
    struct thread thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t more;
    struct list reqs; /* reads: in the order they came; writes: by offset */
    bool stopped, ends;
    /* the thread's own */
    uint64_t pos;
    bool over; /* the input has ended, or something failed */
};

/* ---- reading and writing ---- */

/* USAN_ECLOSED is for one that was stopped. */
static int failure(struct stream_req *r)
{
    r->errnum = errno;
    int err = usan_err_from_errno(errno);
    return err == USAN_ECLOSED ? USAN_EIO : err;
}

/* 0, or USAN_ECLOSED when it was stopped. */
static int wait_ready(const struct stream *s)
{
    struct pollfd p[2] = { { .fd = s->fd, .events = s->writes ? POLLOUT : POLLIN },
                           { .fd = s->stop_fd, .events = POLLIN } };
    while (poll(p, 2, -1) < 0) {
        if (errno != EINTR)
            return usan_err_from_errno(errno);
    }
    return p[1].revents ? USAN_ECLOSED : 0;
}

static int read_all(struct stream *s, struct stream_req *r)
{
    r->off = s->pos;
    while (r->len < r->cap) {
        int err = wait_ready(s);
        if (err)
            return err;
        ssize_t n = read(s->fd, r->buf + r->len, (size_t)(r->cap - r->len));
        if (n == 0)
            s->over = true;
        if (n <= 0 && (n == 0 || (errno != EINTR && errno != EAGAIN)))
            return n ? failure(r) : 0;
        if (n > 0) {
            r->len += (uint64_t)n;
            s->pos += (uint64_t)n;
        }
    }
    return 0;
}

static int write_all(struct stream *s, struct stream_req *r)
{
    for (uint64_t at = 0; at < r->len;) {
        const uint8_t *from = r->buf ? r->buf + at : zeroes;
        uint64_t most = r->buf ? r->len - at : ZEROES_BYTES;
        int err = wait_ready(s);
        if (err)
            return err;
        ssize_t n = write(s->fd, from, (size_t)(r->len - at < most ? r->len - at : most));
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return failure(r);
        if (n > 0)
            at += (uint64_t)n;
    }
    s->pos += r->len;
    return 0;
}

static void serve(struct stream *s, struct stream_req *r)
{
    r->errnum = 0;
    if (!s->writes) {
        r->len = 0;
        r->err = s->over ? 0 : read_all(s, r);
    } else {
        r->err = s->over ? USAN_ECLOSED : write_all(s, r);
    }
    if (r->err)
        s->over = true;
    loop_post(r->loop, &r->msg);
}

/* ---- the thread ---- */

/* The first request, if its turn has come. A stream that is over hands back all. */
static struct stream_req *turn(struct stream *s)
{
    if (list_empty(&s->reqs))
        return NULL;
    struct stream_req *r = list_entry(s->reqs.next, struct stream_req, node);
    return !s->writes || r->off == s->pos || s->over || s->stopped ? r : NULL;
}

static void run(void *arg)
{
    struct stream *s = arg;
    struct stream_req *r;
    for (;;) {
        pthread_mutex_lock(&s->lock);
        while (!(r = turn(s)) && !s->ends)
            pthread_cond_wait(&s->more, &s->lock);
        if (r)
            list_del(&r->node);
        bool stopped = s->stopped;
        pthread_mutex_unlock(&s->lock);
        if (!r)
            return;
        if (stopped && s->writes)
            s->over = true;
        serve(s, r);
    }
}

void stream_push(struct stream *s, struct stream_req *req)
{
    pthread_mutex_lock(&s->lock);
    struct list *after = s->reqs.prev;
    while (s->writes && after != &s->reqs &&
           list_entry(after, struct stream_req, node)->off > req->off)
        after = after->prev;
    list_insert_between(&req->node, after, after->next);
    pthread_cond_signal(&s->more);
    pthread_mutex_unlock(&s->lock);
}

/* ---- life ---- */

int stream_new(int fd, bool writes, struct stream **ret_stream, struct err_text *e)
{
    struct stream *s = calloc(1, sizeof(*s));
    if (!s)
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    s->fd = fd;
    s->writes = writes;
    list_init(&s->reqs);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->more, NULL);
    s->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int err = s->stop_fd < 0 ? err_set(e, usan_err_from_errno(errno), "eventfd") : 0;
    if (!err)
        err = thread_start(&s->thread, writes ? "usan-out" : "usan-in", run, s, e);
    if (err) {
        stream_free(s);
        return err;
    }
    *ret_stream = s;
    return 0;
}

void stream_stop(struct stream *s)
{
    uint64_t one = 1;
    pthread_mutex_lock(&s->lock);
    s->stopped = true;
    pthread_cond_signal(&s->more);
    pthread_mutex_unlock(&s->lock);
    ssize_t n = write(s->stop_fd, &one, sizeof(one)); /* can not be full */
    (void)n;
}

void stream_free(struct stream *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->ends = true;
    pthread_cond_signal(&s->more);
    pthread_mutex_unlock(&s->lock);
    thread_join(&s->thread);
    if (s->stop_fd >= 0)
        close(s->stop_fd);
    pthread_cond_destroy(&s->more);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
