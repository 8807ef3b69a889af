/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Initiator against target: commands, the window, task management. */
#include "ipair_load.h"

#include "base/bytes.h"

#include <stdlib.h>

/* ---- long CDBs ---- */

static void extended_cdb(void **st)
{
    (void)st;
    for (int digest = 0; digest < 2; digest++) {
        struct pair *p = pair_new(11);
        struct pair_cmd cmd;
        uint8_t buf[4096];
        memset(buf, 0x3c, sizeof buf);
        p->icfg.params.header_digest = digest;
        p->max_piece = 17;
        pair_login(p);
        pair_rw(&cmd, true, 0, 0, buf, sizeof buf);
        memset(cmd.cdb, 0, sizeof cmd.cdb);
        cmd.cdb[0] = 0x7f; /* WRITE(32): LBA in 12..19, blocks in 28..31 */
        be32_put(cmd.cdb + 12, 100);
        be32_put(cmd.cdb + 28, 8);
        cmd.c.cdb_len = 32;
        assert_int_equal(iscsi_isess_submit(p->sess, &cmd.c), 0);
        pair_run(p);
        assert_true(cmd.done);
        assert_int_equal(cmd.c.err, 0);
        assert_int_equal(cmd.c.resid, ISCSI_RESID_NONE);
        assert_memory_equal(p->disk + 100 * PAIR_BLOCK, buf, sizeof buf);
        pair_free(p);
    }
}

/* Buffers of very many pieces, some of them empty. */
static void many_pieces(void **st)
{
    (void)st;
    enum { PIECES = 3000, BLOCKS = 128 };
    static struct iovec iov[PIECES];
    static uint8_t buf[2][BLOCKS * PAIR_BLOCK];
    for (int digest = 0; digest < 2; digest++) {
        struct pair *p = pair_new(27 + (unsigned)digest);
        struct pair_cmd cmd;
        p->icfg.params.data_digest = digest;
        p->icfg.params.initial_r2t = digest;
        p->max_piece = 4000;
        pair_login(p);
        for (size_t i = 0; i < sizeof buf[0]; i++)
            buf[0][i] = (uint8_t)pair_draw(p, 256);
        for (int write = 1; write >= 0; write--) {
            size_t left = sizeof buf[0];
            for (int i = 0; i < PIECES; i++) {
                size_t n = i == PIECES - 1 ? left : i > 1000 && i < 1500 ? 0 : pair_draw(p, 40);
                n = n < left ? n : left;
                iov[i] = (struct iovec){ buf[!write] + (sizeof buf[0] - left), n };
                left -= n;
            }
            pair_rw(&cmd, write, 77, BLOCKS, buf[!write], sizeof buf[0]);
            if (write)
                cmd.c.out = iov;
            else
                cmd.c.in = iov;
            *(write ? &cmd.c.out_cnt : &cmd.c.in_cnt) = PIECES;
            assert_int_equal(iscsi_isess_submit(p->sess, &cmd.c), 0);
            pair_run(p);
            assert_true(cmd.done);
            assert_int_equal(cmd.c.err, 0);
        }
        assert_memory_equal(p->disk + 77 * PAIR_BLOCK, buf[0], sizeof buf[0]);
        assert_memory_equal(buf[1], buf[0], sizeof buf[0]);
        pair_free(p);
    }
}

static void check_condition(void **st)
{
    (void)st;
    struct pair *p = pair_new(12);
    struct pair_cmd cmd;
    uint8_t buf[512];
    pair_login(p);
    pair_rw(&cmd, false, 0, 1, buf, sizeof buf);
    cmd.cdb[0] = 0xc1;
    assert_int_equal(iscsi_isess_submit(p->sess, &cmd.c), 0);
    pair_run(p);
    assert_int_equal(cmd.c.err, 0);
    assert_int_equal(cmd.c.status, 2);
    assert_int_equal(cmd.c.sense_len, 18);
    assert_int_equal(cmd.sense[2], 5);
    assert_int_equal(cmd.sense[12], 0x20);
    assert_int_equal(cmd.c.residual, 512);
    cmd.c.sense_cap = 4; /* less room than there is sense data */
    cmd.done = false;
    assert_int_equal(iscsi_isess_submit(p->sess, &cmd.c), 0);
    pair_run(p);
    assert_int_equal(cmd.c.sense_len, 4);
    pair_free(p);
}

/* ---- the window, cancel, task management ---- */

enum { MANY = 60 };

static void window(void **st)
{
    (void)st;
    struct pair *p = pair_new(13);
    static struct pair_cmd cmd[MANY];
    static uint8_t buf[MANY][512];
    p->icfg.queue_depth = 40; /* the target lets 16 in */
    p->hold = true;
    pair_login(p);
    for (int i = 0; i < MANY; i++) {
        pair_rw(&cmd[i], i & 1, (uint32_t)i, 1, buf[i], 512);
        assert_int_equal(iscsi_isess_submit(p->sess, &cmd[i].c), 0);
    }
    pair_run(p);
    assert_int_equal(p->held_count, 16);
    assert_int_equal(iscsi_isess_queued(p->sess), MANY - 16);
    p->hold = false;
    while (p->held_count) {
        pair_serve(p, p->held[--p->held_count]);
        pair_run(p);
    }
    assert_int_equal(p->done, MANY);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(cmd[i].c.err, 0);
    pair_free(p);
}

static void cancel(void **st)
{
    (void)st;
    struct pair *p = pair_new(14);
    struct pair_cmd cmd[20];
    uint8_t buf[20][512];
    p->hold = true;
    pair_login(p);
    for (int i = 0; i < 20; i++) {
        pair_rw(&cmd[i], true, (uint32_t)i, 1, buf[i], 512);
        assert_int_equal(iscsi_isess_submit(p->sess, &cmd[i].c), 0);
    }
    /* started, not on the wire: done at once */
    assert_int_equal(iscsi_isess_cancel(p->sess, &cmd[0].c, p->now_ns), 0);
    pair_run(p);
    assert_true(cmd[0].done);
    assert_int_equal(cmd[0].c.err, USAN_ECANCELED);
    assert_false(cmd[0].c.sent);
    assert_int_equal(p->held_count, 16);
    /* queued behind the window */
    assert_int_equal(iscsi_isess_cancel(p->sess, &cmd[19].c, p->now_ns), 0);
    pair_run(p);
    assert_true(cmd[19].done);
    /* with the target: ABORT TASK */
    assert_int_equal(iscsi_isess_cancel(p->sess, &cmd[5].c, p->now_ns), 0);
    assert_false(cmd[5].done);
    pair_run(p);
    assert_int_equal(p->aborted, 1);
    assert_true(cmd[5].done);
    assert_int_equal(cmd[5].c.err, USAN_ECANCELED);
    assert_true(cmd[5].c.sent);
    /* the others live */
    p->hold = false;
    while (p->held_count)
        pair_serve(p, p->held[--p->held_count]);
    pair_run(p);
    assert_int_equal(p->done, 20);
    assert_int_equal(cmd[6].c.err, 0);
    assert_int_equal(cmd[18].c.err, 0);
    pair_free(p);
}

static void task_management(void **st)
{
    (void)st;
    struct pair *p = pair_new(15);
    struct pair_cmd cmd[6];
    uint8_t buf[6][512];
    struct iscsi_itmf tmf = { .function = ISCSI_TMF_ABORT_TASK, .cmd = &cmd[1].c };
    p->hold = true;
    pair_login(p);
    for (int i = 0; i < 6; i++) {
        pair_rw(&cmd[i], i & 1, (uint32_t)i, 1, buf[i], 512);
        cmd[i].c.lun = i < 4 ? 0 : UINT64_C(1) << 48;
        assert_int_equal(iscsi_isess_submit(p->sess, &cmd[i].c), 0);
    }
    pair_run(p);
    assert_int_equal(p->held_count, 6);
    assert_int_equal(iscsi_isess_tmf(p->sess, &tmf, p->now_ns), 0);
    pair_run(p);
    assert_int_equal(p->tmfs, 1);
    assert_int_equal(tmf.err, 0);
    assert_int_equal(tmf.response, 0);
    assert_int_equal(cmd[1].c.err, USAN_ECANCELED);
    assert_false(cmd[0].done);
    /* the same again: it is not there any more */
    assert_int_equal(iscsi_isess_tmf(p->sess, &tmf, p->now_ns), USAN_EINVAL);
    tmf.function = ISCSI_TMF_LOGICAL_UNIT_RESET;
    assert_int_equal(iscsi_isess_tmf(p->sess, &tmf, p->now_ns), 0);
    pair_run(p);
    assert_int_equal(p->tmfs, 2);
    for (int i = 0; i < 4; i++)
        assert_int_equal(cmd[i].c.err, USAN_ECANCELED);
    assert_false(cmd[4].done); /* another logical unit */
    assert_int_equal(p->aborted, 4);
    tmf.function = ISCSI_TMF_TASK_REASSIGN;
    assert_int_equal(iscsi_isess_tmf(p->sess, &tmf, p->now_ns), USAN_ENOTSUP);
    tmf.function = (enum iscsi_tmf_function)13;
    assert_int_equal(iscsi_isess_tmf(p->sess, &tmf, p->now_ns), USAN_EINVAL);
    tmf.function = ISCSI_TMF_QUERY_TASK_SET;
    assert_int_equal(iscsi_isess_tmf(p->sess, &tmf, p->now_ns), 0);
    pair_run(p);
    assert_int_equal(p->tmfs, 3);
    p->hold = false;
    pair_serve(p, p->held[0]);
    pair_serve(p, p->held[1]);
    p->held_count = 0;
    pair_run(p);
    assert_int_equal(cmd[4].c.err, 0);
    assert_int_equal(cmd[5].c.err, 0);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extended_cdb),    cmocka_unit_test(many_pieces),
        cmocka_unit_test(check_condition), cmocka_unit_test(window),
        cmocka_unit_test(cancel),          cmocka_unit_test(task_management),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
