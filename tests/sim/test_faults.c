/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Errors of the store as the initiator sees them; task management and PREEMPT AND ABORT with writes
 * under way. */
#include "scenario.h"

#include "base/err.h"
#include "scsi/sense.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct sim *begin(const struct sim_options *opt)
{
    struct sim *sim = sim_new(opt);
    for (unsigned i = 0; i < sim->opt.inis; i++) {
        assert_true(sim_ini_up(sim->inis[i]));
        assert_true(sim_clear_ua(sim->inis[i]));
    }
    return sim;
}

static void finish(struct sim *sim, const char *what, uint64_t seed)
{
    char bad[512];
    if (!sim->bad[0])
        scenario_verify(sim);
    if (!sim_end(sim, bad))
        fail_msg("%s, seed %llu: %s", what, (unsigned long long)seed, bad);
}

/* ---- errors of the store ---- */

static void check_error(enum bio_op op, int err, uint32_t kaq, bool has_lba)
{
    const struct sim_options opt = sim_options_plain(5);
    struct sim *sim = begin(&opt);
    struct sim_ini *ini = sim->inis[0];
    static const uint8_t sync_cache[16] = { 0x35 };
    uint32_t info = 0;
    for (uint32_t bad = 10; bad < 14; bad++) {
        sim->disk.fail_next = true;
        sim->disk.fail_op = op;
        sim->disk.fail_err = err;
        sim->disk.fail_block = bad;
        struct sim_op *o = op == BIO_READ ? sim_read(ini, 10, 4) : sim_write(ini, 10, 4);
        assert_non_null(o);
        assert_true(sim_wait(sim, o));
        assert_false(sim->disk.fail_next);
        assert_int_equal(o->status, SCSI_STATUS_CHECK_CONDITION);
        assert_int_equal(sim_op_kaq(o), kaq);
        assert_int_equal(sim_op_information(o, &info), has_lba);
        if (has_lba)
            assert_int_equal(info, bad);
        /* no more than that once */
        o = op == BIO_READ ? sim_read(ini, 10, 4) : sim_write(ini, 10, 4);
        assert_true(sim_wait(sim, o));
        assert_int_equal(o->status, SCSI_STATUS_GOOD);
    }
    struct sim_op *o = sim_cdb(ini, sync_cache, NULL, 0, 0);
    assert_true(sim_wait(sim, o));
    assert_int_equal(o->status, SCSI_STATUS_GOOD);
    finish(sim, "store error", 5);
}

/* SBC-4 4.18: MEDIUM ERROR with the LBA in the INFORMATION field. */
static void test_read_error(void **state)
{
    (void)state;
    check_error(BIO_READ, USAN_EIO, SCSI_KAQ(3, 0x11, 0), true);
}

static void test_write_error(void **state)
{
    (void)state;
    check_error(BIO_WRITE, USAN_EIO, SCSI_KAQ(3, 0x0c, 0), true);
}

/* SBC-4 4.7.3.6: DATA PROTECT, SPACE ALLOCATION FAILED WRITE PROTECT */
static void test_no_space(void **state)
{
    (void)state;
    check_error(BIO_WRITE, USAN_ENOSPC, SCSI_KAQ(7, 0x27, 7), false);
}

/* ---- task management ---- */

static bool later(struct sim *sim, uint64_t seed)
{
    return sim_run(sim, seed % 40 * 25 * NS_PER_US + sim_rand64(sim, 25 * NS_PER_US));
}

/* Writes over one another under way, then the function; new writes at once after its response. */
static void tmf_under_load(uint8_t function, unsigned who, uint64_t seed)
{
    struct sim_options opt = sim_options_plain(seed);
    opt.disk_ns = 2 * NS_PER_MS;
    opt.piece_bytes = 700;
    opt.max_burst = opt.first_burst = opt.tgt_segment = 1024;
    struct sim *sim = begin(&opt);
    struct sim_op *ops[6];
    for (unsigned i = 0; i < 6; i++) {
        ops[i] = sim_write(sim->inis[i & 1], i, 8);
        assert_non_null(ops[i]);
    }
    (void)later(sim, seed);
    struct sim_ini *ini = sim->inis[who];
    struct sim_op *tmf = sim_tmf(ini, function, function == 1 ? ops[2 + who] : NULL);
    assert_true(sim_wait(sim, tmf));
    /* SAM-6 7: ABORT TASK may come too late, all others are always complete */
    assert_true(tmf->response == 0 || (function == 1 && tmf->response == 1));
    for (unsigned i = 0; i < 6 && function != 1; i++) {
        if (ops[i]->ini == ini)
            assert_true(ops[i]->done);
    }
    for (int i = 0; i < 30; i++) {
        struct sim_op *again = sim_write(ini, 0, 16);
        assert_true(sim_wait(sim, again));
        if (again->status == SCSI_STATUS_GOOD)
            break;
        assert_int_equal(sim_op_kaq(again) >> 16, SENSE_KEY_UNIT_ATTENTION);
    }
    (void)sim_run(sim, 50 * NS_PER_MS);
    finish(sim, "task management", seed);
}

static void test_abort_task(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 120; seed++)
        tmf_under_load(1, seed & 1, seed);
}

static void test_clear_task_set(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 120; seed++)
        tmf_under_load(4, seed & 1, seed);
}

static void test_lu_reset(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 120; seed++)
        tmf_under_load(5, seed & 1, seed);
}

/* The other function is under way and the task's write in the disk: the second answer is no
 * earlier than the first. The smallest case of what random seed 2 found. */
static void test_abort_task_of_aborted_one(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct sim_options opt = sim_options_plain(seed);
        opt.disk_ns = 5 * NS_PER_MS;
        struct sim *sim = begin(&opt);
        struct sim_ini *ini = sim->inis[0];
        struct sim_op *w = sim_write(ini, 0, 1);
        while (!sim->disk.busy && sim_step(sim))
            ;
        struct sim_op *set = sim_tmf(ini, 2, NULL), *one = sim_tmf(ini, 1, w);
        assert_true(sim_wait(sim, one));
        assert_true(set->done && w->done);
        assert_true(w->lost || w->status == SCSI_STATUS_GOOD);
        w = sim_write(ini, 0, 1);
        assert_true(sim_wait(sim, w));
        finish(sim, "ABORT TASK twice", seed);
    }
}

/* ---- persistent reservations ---- */

static void pr(struct sim_ini *ini, uint8_t action, uint8_t type, uint64_t key, uint64_t new_key)
{
    for (int i = 0; i < 20; i++) {
        struct sim_op *op = sim_pr_out(ini, action, type, key, new_key);
        assert_true(sim_wait(ini->sim, op));
        if (op->status == SCSI_STATUS_GOOD)
            return;
        assert_int_equal(op->status, SCSI_STATUS_CHECK_CONDITION);
        assert_int_equal(sim_op_kaq(op) >> 16, SENSE_KEY_UNIT_ATTENTION);
    }
    fail();
}

/* SPC-6 5.14.11.5: after the response, no write of the preempted one takes effect: neither one that
 * was in the disk, nor one that waited for data, nor one that comes later. */
static void test_preempt_and_abort(void **state)
{
    (void)state;
    unsigned under_way = 0, refused = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct sim_options opt = sim_options_plain(seed);
        opt.disk_ns = 3 * NS_PER_MS;
        opt.net_ns = 100 * NS_PER_US;
        opt.piece_bytes = 600;
        opt.max_burst = opt.first_burst = opt.tgt_segment = 1024;
        struct sim *sim = begin(&opt);
        struct sim_ini *old = sim->inis[seed & 1], *new = sim->inis[~seed & 1];
        pr(old, 6, 0, 0, 0xa);
        pr(new, 6, 0, 0, 0xb);
        pr(old, 1, 1, 0xa, 0); /* RESERVE, Write Exclusive */
        struct sim_op *w[12];
        for (unsigned i = 0; i < 6; i++)
            w[i] = sim_write(old, i, 10);
        (void)later(sim, seed);
        struct sim_op *preempt = sim_pr_out(new, 5, 1, 0xb, 0xa);
        for (unsigned i = 6; i < 12; i++) {
            (void)sim_run(sim, sim_rand64(sim, 200 * NS_PER_US));
            w[i] = sim_write(old, i, 10);
        }
        assert_true(sim_wait(sim, preempt));
        assert_int_equal(preempt->status, SCSI_STATUS_GOOD);
        sim->fenced = (int)old->index;
        struct sim_op *fresh = sim_write(new, 0, 16);
        assert_true(sim_wait(sim, fresh));
        assert_int_equal(fresh->status, SCSI_STATUS_GOOD);
        (void)sim_run(sim, 200 * NS_PER_MS);
        for (unsigned i = 0; i < 12; i++) {
            under_way += w[i] && !w[i]->done; /* aborted, and nobody was told */
            refused += w[i] && w[i]->done && w[i]->status == SCSI_STATUS_RESERVATION_CONFLICT;
        }
        finish(sim, "PREEMPT AND ABORT", seed);
    }
    assert_true(under_way > 50);
    assert_true(refused > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_error),
        cmocka_unit_test(test_write_error),
        cmocka_unit_test(test_no_space),
        cmocka_unit_test(test_abort_task),
        cmocka_unit_test(test_clear_task_set),
        cmocka_unit_test(test_lu_reset),
        cmocka_unit_test(test_abort_task_of_aborted_one),
        cmocka_unit_test(test_preempt_and_abort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
