/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests and commands that are taken back, wherever they are; task management. */
#include "initiator/disk.h"
#include "initiator/iscsi_store.h"
#include "initiator/session_task.h"
#include "initiator/status.h"
#include "target_rig.h"

#include "io/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PATIENCE_NS (30 * NS_PER_SEC)
#define B           512u

static struct {
    struct rig *rig;
    struct loop *loop;
    struct loop_timer guard;
    struct store *store;
    struct store_channel *ch;
    unsigned pending, losses, logins, bad;
    bool late;
} w;

static void guard_fired(struct loop_timer *t)
{
    (void)t;
    w.late = true;
    loop_stop(w.loop);
}

static void changed(enum ini_change change, const char *why, void *user)
{
    (void)why;
    assert_ptr_equal(user, &w);
    w.losses += change == INI_LOST;
    w.logins += change == INI_LOGGED_IN;
    loop_stop(w.loop);
}

static void failed(const char *why, void *user)
{
    (void)why;
    (void)user;
}

static void bad(const struct bio *bio, const struct iscsi_icmd *cmd, void *user)
{
    (void)bio;
    (void)user;
    w.bad++;
    assert_true(cmd->err || cmd->status);
}

static const struct iscsi_watch_ops watch = { .changed = changed, .failed = failed, .bad = bad };

static int begin(void **st)
{
    (void)st;
    struct err_text e = { "" };
    char spec[256];
    const struct loop_config lc = { .engine = LOOP_ENGINE_EPOLL,
                                    .poll = LOOP_POLL_NEVER,
                                    .cpu = -1 };
    memset(&w, 0, sizeof(w));
    w.rig = rig_start();
    snprintf(spec, sizeof(spec), "stats+iscsi://127.0.0.1:%u/" RIG_TARGET "/0",
             w.rig->portals[0].port);
    if (store_open_spec(spec, false, &w.store, &e))
        fail_msg("%s", e.text);
    assert_int_equal(loop_new(&lc, &w.loop, NULL), 0);
    loop_timer_init(&w.guard, guard_fired);
    struct store_channel *top;
    assert_int_equal(store_channel_open(w.store, w.loop, &top), 0);
    w.ch = iscsi_channel_of(top);
    assert_non_null(w.ch);
    assert_ptr_not_equal(w.ch, top);
    iscsi_channel_watch(w.ch, &watch, &w);
    atomic_store(&w.rig->log_count, 0);
    *st = top;
    return 0;
}

static int end(void **st)
{
    store_channel_close(*st);
    store_close(w.store);
    loop_timer_cancel(w.loop, &w.guard);
    loop_free(w.loop);
    rig_stop(w.rig);
    return 0;
}

static void wait_while(bool (*more)(void))
{
    assert_int_equal(loop_timer_set(w.loop, &w.guard, clock_now_ns() + PATIENCE_NS), 0);
    while (more() && !w.late)
        loop_run(w.loop);
    assert_false(w.late);
    loop_timer_cancel(w.loop, &w.guard);
}

static bool is_pending(void)
{
    return w.pending;
}

static bool not_up(void)
{
    return !ini_session_up(iscsi_channel_session(w.ch));
}

static bool not_lost(void)
{
    return !w.losses;
}

static void bio_done(struct bio *bio)
{
    (void)bio;
    w.pending--;
    loop_stop(w.loop);
}

static void start(struct bio *bio, struct iovec *iov, enum bio_op op, uint64_t block)
{
    *bio = (struct bio){ .op = op, .off = block * B, .len = iov->iov_len, .iov = iov, .iovcnt = 1 };
    bio->done = bio_done;
    w.pending++;
    store_submit(w.ch, bio);
}

static void cancel_all(struct bio *bio, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(store_cancel(w.ch, &bio[i]), 0);
    for (unsigned i = 0; i < n; i++) /* twice does no harm */
        assert_int_equal(store_cancel(w.ch, &bio[i]), 0);
    wait_while(is_pending);
}

static uint8_t data[4][8 * B];
static struct iovec iov[4] = {
    { data[0], 8 * B }, { data[1], 8 * B }, { data[2], 8 * B }, { data[3], 8 * B }
};

/* Neither logged in nor connected. */
static void before_login(void **st)
{
    (void)st;
    struct bio bio[2];
    start(&bio[0], &iov[0], BIO_READ, 0);
    start(&bio[1], &iov[1], BIO_WRITE, 8);
    cancel_all(bio, 2);
    assert_int_equal(bio[0].err, USAN_ECANCELED);
    assert_int_equal(bio[1].err, USAN_ECANCELED);
    assert_int_equal(w.bad, 2);
    start(&bio[0], &iov[0], BIO_READ, 0); /* all is well afterwards */
    wait_while(is_pending);
    assert_int_equal(bio[0].err, 0);
    assert_int_equal(atomic_load(&w.rig->log_count), 1);
}

/* A write that waits for an earlier one, with a third that waits for both. */
static void held_back(void **st)
{
    (void)st;
    struct bio bio[3];
    wait_while(not_up);
    memset(data[0], 1, 8 * B);
    memset(data[1], 2, 8 * B);
    memset(data[2], 3, 8 * B);
    start(&bio[0], &iov[0], BIO_WRITE, 0);
    start(&bio[1], &iov[1], BIO_WRITE, 4);
    start(&bio[2], &iov[2], BIO_WRITE, 8);
    assert_int_equal(store_cancel(w.ch, &bio[1]), 0);
    wait_while(is_pending);
    assert_int_equal(bio[0].err, 0);
    assert_int_equal(bio[1].err, USAN_ECANCELED);
    assert_int_equal(bio[1].err_off, 4 * B);
    assert_int_equal(bio[2].err, 0);
    const uint8_t *disk = rig_disk(w.rig);
    assert_int_equal(disk[7 * B], 1);
    assert_int_equal(disk[8 * B], 3);
}

/* The unit is busy: the request waits for its time. */
static void busy(void **st)
{
    (void)st;
    struct bio bio;
    wait_while(not_up);
    atomic_store(&w.rig->busy, 1000000);
    start(&bio, &iov[0], BIO_READ, 0);
    while (atomic_load(&w.rig->busy) > 1000000 - 5) { /* it is asked again and again */
        assert_int_equal(loop_timer_set(w.loop, &w.guard, clock_now_ns() + NS_PER_MS), 0);
        loop_run(w.loop);
        w.late = false;
    }
    cancel_all(&bio, 1);
    assert_int_equal(bio.err, USAN_ECANCELED);
    atomic_store(&w.rig->busy, 0);
    start(&bio, &iov[0], BIO_READ, 0);
    wait_while(is_pending);
    assert_int_equal(bio.err, 0);
}

/* The target has had it, was lost, and stays away. */
static void lost(void **st)
{
    (void)st;
    struct bio bio[2];
    wait_while(not_up);
    atomic_store(&w.rig->cut_at, 1);
    start(&bio[0], &iov[0], BIO_READ, 0);
    wait_while(not_lost);
    rig_down(w.rig);
    start(&bio[1], &iov[1], BIO_READ, 0);
    assert_int_equal(w.pending, 2);
    cancel_all(bio, 2);
    assert_int_equal(bio[0].err, USAN_ECANCELED);
    assert_int_equal(bio[1].err, USAN_ECANCELED);
    rig_up(w.rig);
    wait_while(not_up);
    start(&bio[0], &iov[0], BIO_READ, 0);
    wait_while(is_pending);
    assert_int_equal(bio[0].err, 0);
}

/* The abort is under way when the connection is lost: the command is not sent again. */
static void lost_while_canceled(void **st)
{
    (void)st;
    struct bio bio;
    wait_while(not_up);
    atomic_store(&w.rig->freeze, true);
    start(&bio, &iov[0], BIO_READ, 0);
    assert_int_equal(loop_timer_set(w.loop, &w.guard, clock_now_ns() + 50 * NS_PER_MS), 0);
    while (!w.late)
        loop_run(w.loop);
    w.late = false;
    assert_int_equal(store_cancel(w.ch, &bio), 0);
    assert_int_equal(w.pending, 1);
    rig_down(w.rig);
    wait_while(is_pending);
    assert_int_equal(bio.err, USAN_ECANCELED);
    atomic_store(&w.rig->freeze, false);
    rig_up(w.rig);
    wait_while(not_up);
    assert_int_equal(atomic_load(&w.rig->log_count), 0);
}

static void tmf_done(struct ini_tmf *tmf)
{
    (void)tmf;
    w.pending--;
    loop_stop(w.loop);
}

static void task_management(void **st)
{
    (void)st;
    struct ini_session *s = iscsi_channel_session(w.ch);
    struct ini_tmf tmf = { .scsi = { .function = ISCSI_TMF_LOGICAL_UNIT_RESET }, .done = tmf_done };
    assert_null(iscsi_store_of(NULL));
    tmf.scsi.lun = iscsi_store_lun(iscsi_store_of(w.store));
    assert_int_equal(tmf.scsi.lun, 0);
    assert_int_equal(ini_session_tmf(s, &tmf), USAN_ECLOSED); /* not logged in yet */
    wait_while(not_up);
    w.pending++;
    assert_int_equal(ini_session_tmf(s, &tmf), 0);
    wait_while(is_pending);
    assert_int_equal(tmf.scsi.err, 0);
    assert_int_equal(tmf.scsi.response, 0);
    w.pending++; /* one that is lost with the session is told, too */
    atomic_store(&w.rig->freeze, true);
    assert_int_equal(ini_session_tmf(s, &tmf), 0);
    assert_int_equal(loop_timer_set(w.loop, &w.guard, clock_now_ns() + 50 * NS_PER_MS), 0);
    while (!w.late)
        loop_run(w.loop);
    w.late = false;
    rig_down(w.rig);
    wait_while(is_pending);
    assert_int_not_equal(tmf.scsi.err, 0);
    atomic_store(&w.rig->freeze, false);
    rig_up(w.rig);
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(before_login), T(held_back), T(busy), T(lost), T(lost_while_canceled), T(task_management),
    };
    int err = store_registry_add(&iscsi_store_ops);
    return err ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
