/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libusan for callers that wait, one or several. */
#include "lib_world.h"

#include <poll.h>

/* ---- waiting callers ---- */

static void inside(void *user, const struct usan_result *r)
{
    struct kept *k = user;
    uint8_t buf[B];
    /* none of these may wait here */
    assert_int_equal(usan_pread(w.disk, buf, B, 0), USAN_ERR_INVAL);
    assert_int_equal(usan_ctx_process(w.ctx), USAN_ERR_INVAL);
    assert_int_equal(usan_ctx_free(w.ctx), USAN_ERR_INVAL);
    keep(k, r);
}

static void waiting(void **st)
{
    struct kept k = { .code = 0 };
    struct iovec iov[2] = { { back, B }, { back + B, B } };
    uint8_t in[96];
    struct iovec in_iov = { in, sizeof(in) };
    const uint8_t cdb[6] = { 0x12, 0, 0, 0, sizeof(in) }, bad[6] = { 0x1f };
    struct usan_scsi s = {
        .size = sizeof(s), .cdb = cdb, .cdb_len = 6, .in = &in_iov, .in_cnt = 1
    };
    begin_rig(mode_of(st), "");
    assert_int_equal(usan_read(w.disk, iov, 1, 0, 0, inside, &k, NULL), 0);
    fill(5);
    assert_int_equal(usan_pwrite(w.disk, data, 4 * B, 0, USAN_FUA), 0);
    assert_int_equal(usan_pread(w.disk, back, 4 * B, 0), 0);
    assert_memory_equal(back, data, 4 * B);
    assert_int_equal(usan_pwritev(w.disk, iov, 2, 8 * B, 0), 0);
    assert_int_equal(usan_preadv(w.disk, iov, 2, 8 * B), 0);
    assert_int_equal(usan_pflush(w.disk), 0);
    assert_int_equal(usan_ptrim(w.disk, 8 * B, 8 * B, 0), 0);
    assert_int_equal(usan_pwrite_zeroes(w.disk, 16 * B, 8 * B, 0), 0);
    assert_int_equal(usan_pcompare_and_write(w.disk, data, data + B, B, 0, 0), 0);
    assert_int_equal(usan_pcompare_and_write(w.disk, data, data + B, B, 0, 0), USAN_ERR_MISCOMPARE);
    assert_int_equal(usan_last_error()->key, 0x0e);
    assert_int_equal(usan_scsi_wait(w.disk, &s), 36);
    s.cdb = bad;
    s.in_cnt = 0;
    assert_int_equal(usan_scsi_wait(w.disk, &s), USAN_ERR_NOTSUP);
    assert_int_equal(usan_last_error()->status, 2);
    assert_int_equal(usan_last_error()->sense[2], 5);
    assert_int_equal(usan_tmf_wait(w.disk, USAN_TMF_LOGICAL_UNIT_RESET), 0);
    wait_for(&k.calls, 1);
    assert_int_equal(k.code, 0);

    struct usan_disk *other = NULL; /* a second one, with or without a context of its own */
    assert_int_equal(usan_open_wait(w.ctx, w.url, NULL, &other), 0);
    assert_int_equal(usan_pread(other, back, B, 0), 0);
    usan_close_wait(other);
    assert_int_equal(usan_open_wait(NULL, w.url, &watched, &other), 0);
    assert_int_equal(usan_pread(other, back, B, 0), 0);
    usan_close_wait(other);
    usan_close_wait(NULL);
    assert_int_equal(usan_open_wait(NULL, "nosuch:1", NULL, &other), USAN_ERR_NOENT);
    says(usan_error_text(NULL), "nosuch");
    end();
}

/* An event that nobody has fetched goes with its disk. */
static void unheard(void **st)
{
    struct kept k;
    begin_rig(mode_of(st), "");
    assert_int_equal(rw(false, back, B, 0, 0, &k), 0);
    rig_down(w.rig);
    struct pollfd p = { .fd = usan_ctx_fd(w.ctx), .events = POLLIN };
    assert_int_equal(poll(&p, 1, 30000), 1);
    usan_close_wait(w.disk);
    w.disk = NULL;
    assert_int_equal(usan_ctx_process(w.ctx), 0);
    assert_int_equal(atomic_load(&w.events[USAN_EVENT_LOST]), 0);
    rig_up(w.rig);
    end();
}

/* ---- threads ---- */

enum { THREADS = 3, ROUNDS = 300 };

struct worker {
    struct thread t;
    unsigned no;
    unsigned wrong;
};

/* Blocks of its own, checked; requests that are cancelled at any time in between. */
static void work(void *arg)
{
    struct worker *me = arg;
    uint8_t out[B], in[B];
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t off = (me->no * 32 + i % 32) * (uint64_t)B, id;
        struct kept k = { .code = 0 };
        struct iovec iov = { in, B };
        memset(out, (int)(me->no * 50 + i), sizeof(out));
        me->wrong += usan_pwrite(w.disk, out, B, off, 0) != 0;
        me->wrong += usan_pread(w.disk, in, B, off) != 0;
        me->wrong += memcmp(in, out, B) != 0;
        if (w.mode != USAN_REACTORS)
            continue;
        me->wrong += usan_read(w.disk, &iov, 1, off, 0, keep, &k, &id) != 0;
        (void)usan_cancel(w.ctx, id);
        while (!atomic_load(&k.calls)) {
        }
        me->wrong += k.code != 0 && k.code != USAN_ERR_CANCELED;
    }
}

static void threads(void **st)
{
    struct worker worker[THREADS];
    begin_rig(mode_of(st), "");
    memset(worker, 0, sizeof(worker));
    for (unsigned i = 0; i < THREADS; i++) {
        worker[i].no = i;
        assert_int_equal(thread_start(&worker[i].t, "worker", work, &worker[i], NULL), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        thread_join(&worker[i].t);
        assert_int_equal(worker[i].wrong, 0);
    }
    end();
}

/* ---- */

int main(void)
{
    const struct CMUnitTest tests[] = { IN_ALL(waiting), IN(unheard, queue), IN(threads, queue),
                                        IN(threads, reactors) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
