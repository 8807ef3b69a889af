/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Readiness of descriptors: level triggered, changes of interest, deletion inside callbacks. */
#include "io/thread.h"
#include "loop_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct end {
    struct loop_fd lfd;
    struct fixture *f;
    int peer;
    int calls;      /* ready was called */
    int bytes;      /* read */
    int take;       /* read at most so many a call; 0 = none */
    int stop_after; /* bytes */
    uint32_t seen;  /* events */
    struct end *kill;
    struct loop_timer timer;
};

static void make_pair(int fd[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
}

static bool end_ready(struct loop_fd *lfd, uint32_t events)
{
    struct end *x = list_entry(lfd, struct end, lfd);
    char buf[256];
    x->calls++;
    x->seen |= events;
    if (!x->take)
        return false;
    ssize_t n = read(lfd->fd, buf, (size_t)x->take);
    if (n > 0)
        x->bytes += (int)n;
    if (x->stop_after && x->bytes >= x->stop_after)
        loop_stop(x->f->loop);
    return n > 0;
}

static void end_open(struct end *x, struct fixture *f, uint32_t events,
                     bool (*ready)(struct loop_fd *, uint32_t))
{
    int fd[2];
    make_pair(fd);
    *x = (struct end){ .f = f, .peer = fd[1], .take = 256 };
    x->lfd.fd = fd[0];
    x->lfd.events = events;
    x->lfd.ready = ready;
    assert_int_equal(loop_fd_add(f->loop, &x->lfd), 0);
}

static void end_close(struct end *x)
{
    loop_fd_del(&x->lfd);
    assert_int_equal(close(x->lfd.fd), 0);
    assert_int_equal(close(x->peer), 0);
}

static void put(struct end *x, const char *text)
{
    size_t n = strlen(text);
    assert_int_equal(write(x->peer, text, n), n);
}

static void stop_timer(struct loop_timer *t)
{
    loop_stop(list_entry(t, struct end, timer)->f->loop);
}

/* Let the loop turn for a while. */
static void run_for(struct fixture *f, uint64_t ns)
{
    struct end x = { .f = f };
    loop_timer_init(&x.timer, stop_timer);
    assert_int_equal(loop_timer_set(f->loop, &x.timer, clock_now_ns() + ns), 0);
    loop_run(f->loop);
}

/* Let the loop turn until a callback was called, however slow the machine is: the guard timer of
 * the fixture fails the test when none ever is.
 */
static void run_until_called(struct fixture *f, const int *calls)
{
    while (!*calls)
        run_for(f, NS_PER_MS);
}

static void reads_what_comes(void **state)
{
    struct fixture *f = fixture_get(state);
    struct end x;
    end_open(&x, f, LOOP_IN, end_ready);
    put(&x, "hello");
    x.stop_after = 5;
    loop_run(f->loop);
    assert_int_equal(x.bytes, 5);
    assert_true(x.seen & LOOP_IN);
    put(&x, "again");
    x.stop_after = 10;
    loop_run(f->loop);
    assert_int_equal(x.bytes, 10);
    end_close(&x);
}

/* A callback that takes one byte a call gets all of them without new bytes arriving. */
static void is_level_triggered(void **state)
{
    struct fixture *f = fixture_get(state);
    struct end x;
    end_open(&x, f, LOOP_IN, end_ready);
    put(&x, "0123456789");
    x.take = 1;
    x.stop_after = 10;
    loop_run(f->loop);
    assert_int_equal(x.bytes, 10);
    assert_true(x.calls >= 10);
    end_close(&x);
}

static bool lazy_ready(struct loop_fd *lfd, uint32_t events)
{
    struct end *x = list_entry(lfd, struct end, lfd);
    (void)events;
    if (++x->calls == 5)
        loop_stop(x->f->loop);
    return false;
}

/* Even one that reads nothing and reports nothing done is called again. */
static void is_level_triggered_without_progress(void **state)
{
    struct fixture *f = fixture_get(state);
    struct end x;
    end_open(&x, f, LOOP_IN, lazy_ready);
    put(&x, "x");
    loop_run(f->loop);
    assert_int_equal(x.calls, 5);
    end_close(&x);
}

static void pause_and_resume(void **state)
{
    struct fixture *f = fixture_get(state);
    struct end x;
    end_open(&x, f, LOOP_IN, end_ready);
    put(&x, "a");
    x.stop_after = 1;
    loop_run(f->loop);
    x.stop_after = 0;

    x.lfd.events = 0;
    loop_fd_update(&x.lfd);
    put(&x, "b");
    x.calls = 0;
    run_for(f, 3 * NS_PER_MS);
    assert_int_equal(x.calls, 0);
    assert_int_equal(x.bytes, 1);

    x.lfd.events = LOOP_IN;
    loop_fd_update(&x.lfd);
    x.stop_after = 2;
    loop_run(f->loop);
    assert_int_equal(x.bytes, 2);
    end_close(&x);
}

static void interest_in_out(void **state)
{
    struct fixture *f = fixture_get(state);
    struct end x;
    end_open(&x, f, LOOP_IN, end_ready);
    run_for(f, NS_PER_MS);
    assert_int_equal(x.calls, 0); /* writable, but nobody asked */

    x.lfd.events = LOOP_IN | LOOP_OUT; /* while the kernel watches for IN */
    loop_fd_update(&x.lfd);
    x.take = 0;
    run_until_called(f, &x.calls);
    assert_int_equal(x.seen, LOOP_OUT);

    x.lfd.events = LOOP_IN;
    loop_fd_update(&x.lfd);
    x.calls = 0;
    x.seen = 0;
    run_for(f, 2 * NS_PER_MS);
    assert_int_equal(x.calls, 0);

    /* Full, then drained by the peer. */
    char block[4096] = { 0 };
    while (write(x.lfd.fd, block, sizeof block) > 0)
        ;
    x.lfd.events = LOOP_IN | LOOP_OUT;
    loop_fd_update(&x.lfd);
    x.calls = 0;
    run_for(f, 2 * NS_PER_MS);
    assert_int_equal(x.calls, 0);
    while (read(x.peer, block, sizeof block) > 0)
        ;
    run_until_called(f, &x.calls);
    assert_int_equal(x.seen, LOOP_OUT);
    end_close(&x);
}

static bool hup_ready(struct loop_fd *lfd, uint32_t events)
{
    struct end *x = list_entry(lfd, struct end, lfd);
    x->seen |= events;
    loop_fd_del(lfd);
    loop_stop(x->f->loop);
    return true;
}

static void hang_up_is_reported(void **state)
{
    struct fixture *f = fixture_get(state);
    struct end x;
    end_open(&x, f, LOOP_IN, hup_ready);
    assert_int_equal(shutdown(x.peer, SHUT_RDWR), 0);
    loop_run(f->loop);
    assert_true(x.seen & LOOP_HUP);
    assert_true(x.seen & LOOP_IN); /* so that a reader sees the end by reading */

    /* Without any interest too. */
    struct end y;
    end_open(&y, f, 0, hup_ready);
    assert_int_equal(shutdown(y.peer, SHUT_RDWR), 0);
    loop_run(f->loop);
    assert_int_equal(y.seen, LOOP_HUP);
    end_close(&x);
    end_close(&y);
}

static bool self_del_ready(struct loop_fd *lfd, uint32_t events)
{
    struct end *x = list_entry(lfd, struct end, lfd);
    struct fixture *f = x->f;
    (void)events;
    loop_fd_del(lfd);
    (void)close(lfd->fd);
    (void)close(x->peer);
    memset(x, 0xdd, sizeof *x); /* what the loop must not look at any more */
    free(x);
    loop_stop(f->loop);
    return true;
}

static void deletes_itself(void **state)
{
    struct fixture *f = fixture_get(state);
    struct end *x = malloc(sizeof *x);
    assert_non_null(x);
    end_open(x, f, LOOP_IN, self_del_ready);
    put(x, "x");
    loop_run(f->loop);
    run_for(f, NS_PER_MS);
}

static bool killer_ready(struct loop_fd *lfd, uint32_t events)
{
    struct end *x = list_entry(lfd, struct end, lfd);
    (void)events;
    char c;
    x->calls++;
    bool did = read(lfd->fd, &c, 1) == 1;
    if (x->kill && x->kill->lfd.loop)
        end_close(x->kill);
    return did;
}

/* Both are ready when the loop looks, whichever is told first deletes the other. */
static void deletes_another_of_the_batch(void **state)
{
    struct fixture *f = fixture_get(state);
    struct end a, b;
    end_open(&a, f, LOOP_IN, killer_ready);
    end_open(&b, f, LOOP_IN, killer_ready);
    a.kill = &b;
    b.kill = &a;
    put(&a, "x");
    put(&b, "x");
    while (!a.calls && !b.calls)
        run_for(f, NS_PER_MS);
    run_for(f, 2 * NS_PER_MS);
    assert_int_equal(!!a.calls + !!b.calls, 1);
    struct end *left = a.calls ? &a : &b;
    end_close(left);
}

struct reuse {
    struct end a, b;
    int renewed; /* b was */
};

static bool reuse_b_ready(struct loop_fd *lfd, uint32_t events)
{
    struct end *x = list_entry(lfd, struct end, lfd);
    (void)events;
    char c;
    x->calls++;
    return read(lfd->fd, &c, 1) == 1;
}

static bool reuse_a_ready(struct loop_fd *lfd, uint32_t events)
{
    struct reuse *r = list_entry(lfd, struct reuse, a.lfd);
    (void)events;
    char c;
    if (read(lfd->fd, &c, 1) != 1)
        return false;
    /* The same memory and most likely the same descriptor number, but another connection. */
    end_close(&r->b);
    end_open(&r->b, r->a.f, LOOP_IN, reuse_b_ready);
    r->renewed++;
    return true;
}

static void events_of_a_former_life_are_dropped(void **state)
{
    struct fixture *f = fixture_get(state);
    struct reuse r = { .renewed = 0 };
    end_open(&r.a, f, LOOP_IN, reuse_a_ready);
    end_open(&r.b, f, LOOP_IN, reuse_b_ready);
    put(&r.a, "x");
    put(&r.b, "x");
    run_until_called(f, &r.renewed);
    run_for(f, 2 * NS_PER_MS);
    assert_int_equal(r.b.calls, 0);
    put(&r.b, "y");
    run_until_called(f, &r.b.calls);
    end_close(&r.a);
    end_close(&r.b);
}

/* The peer sees the end at once when the owner closes, even outside of loop_run. */
static void close_after_del_takes_effect(void **state)
{
    struct fixture *f = fixture_get(state);
    struct end x;
    char c;
    end_open(&x, f, LOOP_IN, end_ready);
    run_for(f, NS_PER_MS); /* the kernel watches now */
    loop_fd_del(&x.lfd);
    assert_int_equal(close(x.lfd.fd), 0);
    assert_int_equal(read(x.peer, &c, 1), 0);
    assert_int_equal(close(x.peer), 0);
}

static bool stop_ready(struct loop_fd *lfd, uint32_t events)
{
    (void)events;
    loop_stop(lfd->loop);
    return false;
}

/* Also when the thread that ran the loop is gone. */
static void close_after_the_reactor_ended(void **state)
{
    struct fixture *f = fixture_get(state);
    struct end idle, busy;
    struct thread t = { 0 };
    char c;
    end_open(&idle, f, LOOP_IN, end_ready);
    end_open(&busy, f, LOOP_IN, stop_ready);
    put(&busy, "x");
    assert_int_equal(thread_start_loop(&t, "reactor", f->loop, NULL), 0);
    thread_join(&t);
    loop_fd_del(&idle.lfd);
    assert_int_equal(close(idle.lfd.fd), 0);
    assert_int_equal(read(idle.peer, &c, 1), 0);
    assert_int_equal(close(idle.peer), 0);
    end_close(&busy);
}

static void add_and_del_without_running(void **state)
{
    struct fixture *f = fixture_get(state);
    struct end x;
    end_open(&x, f, LOOP_IN, end_ready);
    end_close(&x);
    struct loop_fd never_added = { .fd = -1 };
    loop_fd_del(&never_added);
}

static void bad_descriptor_is_refused(void **state)
{
    struct fixture *f = fixture_get(state);
    struct loop_fd lfd = { .fd = 987, .events = LOOP_IN, .ready = end_ready };
    assert_int_equal(loop_fd_add(f->loop, &lfd), USAN_EINVAL);
}

#define MANY 600

static bool many_ready(struct loop_fd *lfd, uint32_t events)
{
    struct end *x = list_entry(lfd, struct end, lfd);
    static int total;
    char c;
    (void)events;
    if (read(lfd->fd, &c, 1) != 1)
        return false;
    x->bytes++;
    if (++total % MANY == 0)
        loop_stop(x->f->loop);
    return true;
}

/* More than a batch, more than the submission queue, more than the hot set. */
static void many_descriptors(void **state)
{
    struct fixture *f = fixture_get(state);
    struct rlimit rl;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
    if (rl.rlim_cur < 2 * MANY + 64) {
        rl.rlim_cur = 2 * MANY + 64;
        if (setrlimit(RLIMIT_NOFILE, &rl)) {
            print_message("# skipped: %d descriptors are not allowed here\n", 2 * MANY + 64);
            skip();
        }
    }
    static struct end x[MANY];
    for (int i = 0; i < MANY; i++)
        end_open(&x[i], f, LOOP_IN, many_ready);
    for (int round = 1; round <= 3; round++) {
        for (int i = 0; i < MANY; i++)
            put(&x[i], "x");
        loop_run(f->loop);
        for (int i = 0; i < MANY; i++)
            assert_int_equal(x[i].bytes, round);
    }
    for (int i = 0; i < MANY; i++)
        end_close(&x[i]);
}

/* A few chatty descriptors must not keep a quiet one waiting. */
static bool chatty_ready(struct loop_fd *lfd, uint32_t events)
{
    struct end *x = list_entry(lfd, struct end, lfd);
    (void)events;
    char c;
    x->calls++;
    if (read(lfd->fd, &c, 1) != 1)
        return false;
    put(x, "x"); /* there is always more */
    return true;
}

static void quiet_descriptor_does_not_starve(void **state)
{
    struct fixture *f = fixture_get(state);
    struct end busy[3], quiet;
    for (int i = 0; i < 3; i++) {
        end_open(&busy[i], f, LOOP_IN, chatty_ready);
        put(&busy[i], "x");
    }
    end_open(&quiet, f, LOOP_IN, end_ready);
    run_for(f, 5 * NS_PER_MS); /* the busy ones are hot now */
    for (int i = 1; i <= 20; i++) {
        int before = busy[0].calls;
        put(&quiet, "q");
        quiet.stop_after = i;
        loop_run(f->loop);
        assert_int_equal(quiet.bytes, i);
        assert_true(busy[0].calls - before < 100);
    }
    for (int i = 0; i < 3; i++)
        end_close(&busy[i]);
    end_close(&quiet);
}

/* One that has nothing to say any more is not asked for ever by a loop that spins. */
static void silent_descriptor_is_left_alone(void **state)
{
    struct fixture *f = fixture_get(state);
    struct end silent;
    end_open(&silent, f, LOOP_IN, end_ready);
    put(&silent, "x");
    run_for(f, 20 * NS_PER_MS);
    assert_int_equal(silent.bytes, 1);
    int calls = silent.calls;
    run_for(f, 20 * NS_PER_MS);
    assert_int_equal(silent.calls, calls);
    put(&silent, "y");
    silent.stop_after = 2;
    loop_run(f->loop);
    end_close(&silent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_ALL(reads_what_comes),
        ON_ALL(is_level_triggered),
        ON_ALL(is_level_triggered_without_progress),
        ON_ALL(pause_and_resume),
        ON_ALL(interest_in_out),
        ON_ALL(hang_up_is_reported),
        ON_ALL(deletes_itself),
        ON_ALL(deletes_another_of_the_batch),
        ON_ALL(events_of_a_former_life_are_dropped),
        ON_ALL(close_after_del_takes_effect),
        ON_ALL(close_after_the_reactor_ended),
        ON_ALL(add_and_del_without_running),
        ON_ALL(bad_descriptor_is_refused),
        ON_ALL(many_descriptors),
        ON_ALL(quiet_descriptor_does_not_starve),
        ON_ALL(silent_descriptor_is_left_alone),
    };
    return cmocka_run_group_tests_name("io descriptors", tests, NULL, NULL);
}
