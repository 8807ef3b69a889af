/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A loop that is turned by the loop of its owner: here a plain poll(). */
#include "io/thread.h"
#include "loop_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Wait as an owner does, at most ten seconds, and make a step. */
static unsigned wait_and_step(struct loop *loop)
{
    uint64_t at = loop_step_deadline(loop), now = clock_now_ns();
    int timeout_ms = 10000;
    if (at <= now)
        timeout_ms = 0;
    else if (at - now < 10 * NS_PER_SEC)
        timeout_ms = (int)((at - now + NS_PER_MS - 1) / NS_PER_MS);
    struct pollfd p = { .fd = loop_step_fd(loop), .events = POLLIN };
    assert_true(poll(&p, 1, timeout_ms) >= 0);
    return loop_step(loop, 0);
}

static bool readable_within(struct loop *loop, int timeout_ms)
{
    struct pollfd p = { .fd = loop_step_fd(loop), .events = POLLIN };
    assert_true(poll(&p, 1, timeout_ms) >= 0);
    return p.revents & POLLIN;
}

static bool readable(struct loop *loop)
{
    return readable_within(loop, 0);
}

/* The guard timer of the fixture is 60 s away. */
static bool at_rest(struct loop *loop)
{
    return !readable(loop) && loop_step_deadline(loop) > clock_now_ns() + 10 * NS_PER_SEC;
}

static void settle(struct loop *loop)
{
    int i = 0;
    assert_true(loop_step_fd(loop) >= 0);
    do
        (void)loop_step(loop, 0);
    while (!at_rest(loop) && ++i < 100);
    assert_true(at_rest(loop));
}

/* ---- sockets ---- */

struct end {
    struct loop_fd lfd;
    int calls, bytes;
};

static bool end_ready(struct loop_fd *lfd, uint32_t events)
{
    struct end *end = list_entry(lfd, struct end, lfd);
    char buf[16];
    ssize_t n = read(lfd->fd, buf, sizeof buf);
    end->calls++;
    end->bytes += n > 0 ? (int)n : 0;
    return n > 0 && (events & LOOP_IN);
}

static void test_socket(void **state)
{
    struct fixture *f = fixture_get(state);
    int sv[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
    struct end end = { .lfd = { .fd = sv[0], .events = LOOP_IN, .ready = end_ready } };
    assert_int_equal(loop_fd_add(f->loop, &end.lfd), 0);
    settle(f->loop);
    assert_int_equal(end.calls, 0);
    for (int i = 1; i <= 100; i++) { /* it stays watched, step after step */
        assert_int_equal(write(sv[1], "x", 1), 1);
        for (int turn = 0; turn < 10 && end.bytes < i; turn++)
            (void)wait_and_step(f->loop);
        assert_int_equal(end.bytes, i);
    }
    settle(f->loop);

    end.lfd.events = 0; /* paused from outside: what comes does not wake the owner */
    loop_fd_update(&end.lfd);
    loop_wake(f->loop);
    settle(f->loop);
    assert_int_equal(write(sv[1], "y", 1), 1);
    settle(f->loop);
    assert_int_equal(end.bytes, 100);
    loop_fd_del(&end.lfd);
    loop_step_end(f->loop);
    close(sv[0]);
    close(sv[1]);
}

/* ---- time ---- */

struct alarm {
    struct loop_timer t;
    struct loop *loop;
    uint64_t fired_ns;
};

static void alarm_fire(struct loop_timer *t)
{
    struct alarm *a = list_entry(t, struct alarm, t);
    a->fired_ns = loop_now(a->loop);
}

static void test_timer(void **state)
{
    struct fixture *f = fixture_get(state);
    struct alarm a = { .loop = f->loop };
    loop_timer_init(&a.t, alarm_fire);
    settle(f->loop);
    struct timespec nap = { .tv_nsec = 20 * 1000 * 1000 };
    (void)nanosleep(&nap, NULL);
    uint64_t before = clock_now_ns();
    assert_true(loop_now(f->loop) < before - 15 * NS_PER_MS);
    loop_step_enter(f->loop);
    assert_true(loop_now(f->loop) >= before);
    uint64_t at = loop_now(f->loop) + 30 * NS_PER_MS;
    assert_int_equal(loop_timer_set(f->loop, &a.t, at), 0);
    assert_int_equal(loop_step_deadline(f->loop), at);
    while (!a.fired_ns)
        (void)wait_and_step(f->loop);
    assert_true(a.fired_ns >= at);
    settle(f->loop);
    loop_step_end(f->loop);
}

/* A step may wait itself: for a timer, a descriptor, another thread. */
static void wake_later(void *arg)
{
    struct timespec nap = { .tv_nsec = 20 * 1000 * 1000 };
    (void)nanosleep(&nap, NULL);
    loop_wake(arg);
}

static void test_wait(void **state)
{
    struct fixture *f = fixture_get(state);
    struct alarm a = { .loop = f->loop };
    struct thread t = { .started = false };
    loop_timer_init(&a.t, alarm_fire);
    uint64_t begin = clock_now_ns();
    (void)loop_step(f->loop, TIME_NEVER); /* the first one does not */
    assert_true(clock_now_ns() - begin < 10 * NS_PER_SEC);
    begin = clock_now_ns();
    int steps = 0; /* a signal may end one early */
    while (clock_now_ns() - begin < 20 * NS_PER_MS && ++steps < 100)
        (void)loop_step(f->loop, 20 * NS_PER_MS);
    assert_in_range(steps, 1, 10);
    loop_step_enter(f->loop);
    uint64_t at = loop_now(f->loop) + 20 * NS_PER_MS;
    assert_int_equal(loop_timer_set(f->loop, &a.t, at), 0);
    while (!a.fired_ns)
        assert_true(loop_step(f->loop, TIME_NEVER) <= 1);
    assert_true(a.fired_ns >= at);
    begin = clock_now_ns();
    assert_int_equal(thread_start(&t, "waker", wake_later, f->loop, NULL), 0);
    (void)loop_step(f->loop, 50 * NS_PER_SEC);
    assert_true(clock_now_ns() - begin < 40 * NS_PER_SEC);
    thread_join(&t);
    settle(f->loop);
    loop_step_end(f->loop);
}

/* ---- deferred work ---- */

struct job {
    struct loop_work w;
    struct loop *loop;
    int left;
};

static void job_run(struct loop_work *w)
{
    struct job *job = list_entry(w, struct job, w);
    if (--job->left)
        loop_work_queue(job->loop, w);
}

static void test_work(void **state)
{
    struct fixture *f = fixture_get(state);
    struct job job = { .loop = f->loop, .left = 1 };
    loop_work_init(&job.w, job_run);
    settle(f->loop);
    loop_work_queue(f->loop, &job.w);
    assert_int_equal(loop_step_deadline(f->loop), 0);
    assert_false(readable(f->loop));
    loop_wake(f->loop);
    assert_true(readable_within(f->loop, 10000));
    (void)loop_step(f->loop, 0);
    assert_int_equal(job.left, 0);

    job.left = 1000; /* more than one step does: the owner gets its turn in between */
    loop_work_queue(f->loop, &job.w);
    (void)loop_step(f->loop, 0);
    assert_in_range(job.left, 1, 999);
    assert_int_equal(loop_step_deadline(f->loop), 0);
    while (job.left)
        (void)wait_and_step(f->loop);
    settle(f->loop);
    loop_step_end(f->loop);
}

/* ---- messages ---- */

enum { NOTES = 5000 };

struct mail {
    struct loop_msg m[NOTES];
    struct loop *loop;
    int got;
    struct thread thread;
};

static struct mail *mail_now;

static void note_deliver(struct loop_msg *m)
{
    mail_now->got += m == &mail_now->m[mail_now->got];
}

static void mail_run(void *arg)
{
    struct mail *mail = arg;
    for (int i = 0; i < NOTES; i++) {
        mail->m[i].deliver = note_deliver;
        loop_post(mail->loop, &mail->m[i]);
        if (i % 100 == 0) { /* the other side goes to sleep */
            struct timespec nap = { .tv_nsec = 100 * 1000 };
            (void)nanosleep(&nap, NULL);
        }
    }
}

/* No wake-up is lost: a wait that nothing ends would take ten seconds. */
static void test_messages(void **state)
{
    struct fixture *f = fixture_get(state);
    struct mail *mail = mail_now = test_calloc(1, sizeof *mail);
    mail->loop = f->loop;
    settle(f->loop);
    uint64_t begin = clock_now_ns();
    assert_int_equal(thread_start(&mail->thread, "mail", mail_run, mail, NULL), 0);
    while (mail->got < NOTES && clock_now_ns() < begin + 60 * NS_PER_SEC)
        (void)wait_and_step(f->loop);
    assert_int_equal(mail->got, NOTES);
    thread_join(&mail->thread);
    assert_true(clock_now_ns() - begin < 9 * NS_PER_SEC);
    loop_step_end(f->loop);
    test_free(mail);
}

/* ---- files ---- */

struct transfer {
    struct loop_file_req req;
    int done;
};

static void transfer_done(struct loop_file_req *req)
{
    list_entry(req, struct transfer, req)->done++;
}

static void test_file(void **state)
{
    struct fixture *f = fixture_get(state);
    char name[] = "/tmp/usan-step-XXXXXX", out[4096], in[4096] = { 0 };
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    (void)unlink(name);
    memset(out, 0x5a, sizeof out);
    struct iovec iov = { out, sizeof out };
    struct transfer t = { .req = { .op = LOOP_FILE_WRITEV, .fd = fd, .iov = &iov, .iovcnt = 1 } };
    t.req.done = transfer_done;
    settle(f->loop);
    loop_file_submit(f->loop, &t.req); /* between two steps */
    loop_wake(f->loop);
    assert_true(readable_within(f->loop, 10000));
    while (!t.done)
        (void)wait_and_step(f->loop);
    assert_int_equal(t.req.res, sizeof out);
    iov.iov_base = in;
    t.req.op = LOOP_FILE_READV;
    loop_file_submit(f->loop, &t.req);
    loop_wake(f->loop);
    while (t.done < 2)
        (void)wait_and_step(f->loop);
    assert_memory_equal(in, out, sizeof in);
    settle(f->loop);
    loop_step_end(f->loop);
    close(fd);
}

static void test_ring(void **state)
{
    struct fixture *f = fixture_get(state);
    assert_int_equal(loop_step_fd(f->loop), -1);
}

/* A loop may be stepped, left, and run. */
static void test_again(void **state)
{
    struct fixture *f = fixture_get(state);
    struct job job = { .loop = f->loop, .left = 1 };
    loop_work_init(&job.w, job_run);
    settle(f->loop);
    loop_step_end(f->loop);
    loop_step_end(f->loop);
    loop_work_queue(f->loop, &job.w);
    loop_stop(f->loop);
    loop_run(f->loop);
    assert_int_equal(job.left, 0);
    settle(f->loop);
    loop_step_end(f->loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON(test_socket, EPOLL, NEVER, ""),   ON(test_timer, EPOLL, NEVER, ""),
        ON(test_wait, EPOLL, NEVER, ""),     ON(test_work, EPOLL, NEVER, ""),
        ON(test_messages, EPOLL, NEVER, ""), ON(test_file, EPOLL, NEVER, ""),
        ON(test_again, EPOLL, AUTO, ""),     ON(test_ring, URING, NEVER, ""),
    };
    return cmocka_run_group_tests_name("io/step", tests, NULL, NULL);
}
