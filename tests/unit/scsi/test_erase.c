/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SANITIZE and FORMAT UNIT, and the background task that does their work. */
#include "block_test.h"

enum { BLOCKS = 2048, IMMED = 0x80, AUSE = 0x20, OVERWRITE = 1, BLOCK_ERASE = 2, EXIT_FAIL = 0x1f };

static struct rig_result sanitize(struct rig *r, unsigned initiator, uint8_t byte1,
                                  const uint8_t *list, size_t len)
{
    uint8_t cdb[SCSI_CDB_MAX] = { 0x48, byte1 };
    be16_put(cdb + 7, (uint16_t)len);
    return rig_cmd(r, initiator, cdb, 16, list, len, 0);
}

/* An OVERWRITE parameter list; returns its length. */
static size_t overwrite_list(uint8_t *list, uint8_t how, const void *pattern, size_t len)
{
    list[0] = how;
    list[1] = 0;
    be16_put(list + 2, (uint16_t)len);
    memcpy(list + 4, pattern, len);
    return 4 + len;
}

static void overwrite_writes_the_pattern_to_every_block(void **state)
{
    (void)state;
    uint8_t list[4 + 512], pattern[512];
    test_fill(pattern, 0, sizeof pattern);
    static const size_t lens[] = { 512, 256, 4, 1, 3, 511 };
    for (unsigned i = 0; i < 6; i++) {
        struct rig *r = test_rig(&(struct rig_config){ 0 });
        test_fill_disk(r);
        size_t len = overwrite_list(list, 1, pattern, lens[i]);
        assert_good(sanitize(r, 0, OVERWRITE, list, len));
        for (unsigned b = 0; b < BLOCKS; b++) {
            for (unsigned k = 0; k < 512; k++)
                assert_int_equal(r->units[0].disk[b * 512 + k], pattern[k % lens[i]]);
        }
        assert_int_equal(r->ios[BIO_WRITE], BLOCKS * 512 / BLOCK_CHUNK_BYTES);
        assert_int_equal(r->ios[BIO_FLUSH], 1);
        assert_good(rig_cmd(r, 0, CDB(0x00), NULL, 0, 0));
        rig_free(r);
    }
}

static void overwrite_in_several_passes(void **state)
{
    (void)state;
    for (unsigned passes = 1; passes <= 5; passes++) {
        for (unsigned invert = 0; invert < 2; invert++) {
            /* not a multiple of the chunk */
            struct rig *r = test_rig(&(struct rig_config){ .lu.block_count = 700 });
            uint8_t list[5];
            uint8_t how = (uint8_t)(passes | (invert ? 0x80 : 0));
            size_t len = overwrite_list(list, how, "\x3c", 1);
            assert_good(sanitize(r, 0, OVERWRITE, list, len));
            uint8_t last = invert && passes % 2 == 0 ? 0xc3 : 0x3c;
            assert_true(test_all(r->units[0].disk, last, 700 * 512));
            assert_int_equal(r->ios[BIO_WRITE], passes * 2);
            assert_int_equal(r->ios[BIO_FLUSH], passes);
            rig_free(r);
        }
    }
}

static void overwrite_checks_its_parameter_list(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    uint8_t list[4 + 512 + 4] = { 0 };
    static const uint8_t zero[512];
    for (size_t len = 0; len <= 4; len++)
        assert_cdb_field(sanitize(r, 0, OVERWRITE, list, len), 7, 7);
    assert_cdb_field(sanitize(r, 0, OVERWRITE, list, 517), 7, 7);
    size_t len = overwrite_list(list, 0, zero, 512);
    assert_param_field(sanitize(r, 0, OVERWRITE, list, len), 0, 4); /* count 0 */
    (void)overwrite_list(list, 0x41, zero, 512);
    assert_param_field(sanitize(r, 0, OVERWRITE, list, len), 0, 6); /* TEST */
    (void)overwrite_list(list, 1, zero, 512);
    list[1] = 1;
    assert_param_field(sanitize(r, 0, OVERWRITE, list, len), 1, 7);
    list[1] = 0;
    static const uint16_t bad[] = { 0, 513, 516, 0xffff };
    for (unsigned i = 0; i < 4; i++) {
        be16_put(list + 2, bad[i]);
        assert_param_field(sanitize(r, 0, OVERWRITE, list, len), 2, 7);
    }
    be16_put(list + 2, 8); /* longer than the list */
    assert_param_field(sanitize(r, 0, OVERWRITE, list, 11), 2, 7);
    /* reserved bits of the CDB, and what is not supported */
    assert_cdb_field(sanitize(r, 0, 0x40 | OVERWRITE, list, len), 1, 6);
    for (uint8_t sa = 0; sa < 0x1f; sa++) {
        if (sa != OVERWRITE)
            assert_cdb_field(sanitize(r, 0, sa, NULL, 0), 1, 4);
    }
    assert_int_equal(r->ios[BIO_WRITE], 0);
    rig_free(r);
}

static void block_erase_deallocates(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ .lu = { .thin = true, .unmap_zeroes = true } });
    test_fill_disk(r);
    assert_good(sanitize(r, 0, BLOCK_ERASE, NULL, 0));
    assert_true(test_all(r->units[0].disk, 0, BLOCKS * 512));
    assert_true(test_all(r->units[0].mapped, 0, BLOCKS));
    assert_cdb_field(sanitize(r, 0, BLOCK_ERASE, (const uint8_t *)"12345678", 8), 7, 7);
    rig_free(r);
}

static uint16_t progress_of(const struct rig_result *res)
{
    assert_int_equal(res->sense[15], 0x80); /* SKSV */
    return be16_get(res->sense + 16);
}

static void the_unit_is_busy_meanwhile(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ .initiators = 2 });
    uint8_t list[5];
    size_t len = overwrite_list(list, 2, "x", 1);
    r->hold_background = true;
    assert_good(sanitize(r, 0, IMMED | OVERWRITE, list, len));
    assert_non_null(r->background);
    assert_true(test_all(r->units[0].disk, 0, BLOCKS * 512));

    struct rig_result res = test_in(r, 0x28, 0, 0, 1, 512);
    assert_sense(res, SENSE_SANITIZE_IN_PROGRESS);
    assert_int_equal(progress_of(&res), 0);
    rig_background(r, 1 + 4 + 1 + 2); /* buffer; 4 chunks and a flush; 2 of 4 chunks */
    res = rig_cmd(r, 1, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), NULL, 0, 512);
    assert_sense(res, SENSE_SANITIZE_IN_PROGRESS);
    assert_int_equal(progress_of(&res), 0xc000); /* three quarters */
    /* so say also TEST UNIT READY, START STOP UNIT, and a second SANITIZE */
    assert_sense(rig_cmd(r, 1, CDB(0x00), NULL, 0, 0), SENSE_SANITIZE_IN_PROGRESS);
    assert_sense(rig_cmd(r, 1, CDB(0x1b, 1, 0, 0, 2), NULL, 0, 0), SENSE_SANITIZE_IN_PROGRESS);
    assert_sense(sanitize(r, 1, OVERWRITE, list, len), SENSE_SANITIZE_IN_PROGRESS);
    assert_sense(sanitize(r, 1, EXIT_FAIL, NULL, 0), SENSE_SANITIZE_IN_PROGRESS);
    assert_good(rig_cmd(r, 1, CDB(0x12, 0, 0, 0, 36), NULL, 0, 36)); /* INQUIRY */

    rig_background(r, 100);
    assert_null(r->background);
    assert_true(test_all(r->units[0].disk, 'x', BLOCKS * 512));
    assert_good(test_in(r, 0x28, 0, 0, 1, 512));
    rig_free(r);
}

static void it_goes_on_without_its_command(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ .initiators = 3 });
    uint8_t list[5], cdb[SCSI_CDB_MAX] = { 0x48, OVERWRITE };
    size_t len = overwrite_list(list, 1, "y", 1);
    be16_put(cdb + 7, (uint16_t)len);
    r->hold_background = true;
    struct rig_task *rt = rig_start(r, 0, SCSI_ATTR_SIMPLE, 7, cdb, 16, list, len, 0);
    assert_int_equal(rt->t.want, SCSI_WANT_WAIT);
    rig_background(r, 2);
    /* ABORT TASK ends the command, LOGICAL UNIT RESET and the loss of its nexus change nothing */
    assert_int_equal(rig_tmf(r, 0, SCSI_TMF_ABORT_TASK, 7).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    assert_true(rig_ended(rt));
    assert_true(rig_end(rt).aborted);
    (void)rig_tmf(r, 1, SCSI_TMF_LOGICAL_UNIT_RESET, 0);
    rig_clear_ua(r);
    rig_drop_initiator(r, 0);
    assert_non_null(r->background);
    assert_sense(rig_cmd(r, 2, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), NULL, 0, 512),
                 SENSE_SANITIZE_IN_PROGRESS);
    rig_background(r, 100);
    assert_true(test_all(r->units[0].disk, 'y', BLOCKS * 512));
    assert_good(rig_cmd(r, 2, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), NULL, 0, 512));
    rig_free(r);
}

static void a_command_that_waits_gets_the_result(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    uint8_t list[5], cdb[SCSI_CDB_MAX] = { 0x48, OVERWRITE };
    size_t len = overwrite_list(list, 1, "z", 1);
    be16_put(cdb + 7, (uint16_t)len);
    r->hold_background = true;
    struct rig_task *rt = rig_start(r, 0, SCSI_ATTR_SIMPLE, 7, cdb, 16, list, len, 0);
    rig_background(r, 5);
    assert_int_equal(rt->t.want, SCSI_WANT_WAIT);
    rig_background(r, 100);
    assert_true(rig_ended(rt));
    assert_good(rig_end(rt));
    rig_free(r);
}

/* A reservation that others make while it goes on is no reason to say that it was not done. */
static void a_command_that_waits_is_not_refused(void **state)
{
    (void)state;
    for (unsigned format = 0; format < 2; format++) {
        struct rig *r = test_rig(&(struct rig_config){ .lu.thin = true, .initiators = 2 });
        struct rig_task *waits;
        r->hold_background = true;
        if (format)
            waits = rig_start(r, 0, SCSI_ATTR_SIMPLE, 7, CDB(0x04), NULL, 0, 0);
        else
            waits = rig_start(r, 0, SCSI_ATTR_SIMPLE, 7, CDB(0x48, 0x02), NULL, 0, 0);
        rig_background(r, 1);
        assert_good(rig_cmd(r, 1, CDB(0x16), NULL, 0, 0)); /* RESERVE(6) */
        assert_false(rig_ended(waits));
        rig_background(r, 100);
        assert_good(rig_end(waits));
        rig_free(r);
    }
}

static void a_failed_sanitize_shuts_the_unit(void **state)
{
    (void)state;
    for (unsigned ause = 0; ause < 2; ause++) {
        struct rig *r = test_rig(&(struct rig_config){ 0 });
        uint8_t list[5];
        size_t len = overwrite_list(list, 1, "z", 1);
        r->io_err = USAN_EIO;
        r->io_err_op = BIO_WRITE;
        uint8_t byte1 = (uint8_t)(OVERWRITE | (ause ? AUSE : 0));
        assert_sense(sanitize(r, 0, byte1, list, len), SENSE_SANITIZE_COMMAND_FAILED);
        assert_sense(test_in(r, 0x28, 0, 0, 1, 512), SENSE_SANITIZE_COMMAND_FAILED);
        if (ause) {
            assert_cdb_field(sanitize(r, 0, EXIT_FAIL, list, 5), 7, 7);
            assert_good(sanitize(r, 0, EXIT_FAIL, NULL, 0));
        } else {
            assert_cdb_field(sanitize(r, 0, EXIT_FAIL, NULL, 0), 1, 4);
            assert_sense(test_in(r, 0x28, 0, 0, 1, 512), SENSE_SANITIZE_COMMAND_FAILED);
            assert_good(sanitize(r, 0, OVERWRITE, list, len)); /* one that succeeds */
        }
        assert_good(test_in(r, 0x28, 0, 0, 1, 512));
        assert_good(sanitize(r, 0, EXIT_FAIL, NULL, 0)); /* nothing to leave */
        rig_free(r);
    }
}

static void each_step_may_fail(void **state)
{
    (void)state;
    static const enum bio_op ops[] = { BIO_WRITE, BIO_FLUSH };
    for (unsigned i = 0; i < 2; i++) {
        struct rig *r = test_rig(&(struct rig_config){ 0 });
        uint8_t list[5];
        size_t len = overwrite_list(list, 1, "z", 1);
        r->hold_background = true;
        assert_good(sanitize(r, 0, IMMED | OVERWRITE, list, len));
        r->io_err = USAN_EIO;
        r->io_err_op = ops[i];
        rig_background(r, 100);
        assert_null(r->background);
        assert_sense(test_in(r, 0x28, 0, 0, 1, 512), SENSE_SANITIZE_COMMAND_FAILED);
        rig_free(r);
    }
    /* the owner has no memory, or ends the work */
    static const int errs[] = { USAN_ENOMEM, USAN_ECANCELED };
    for (unsigned i = 0; i < 2; i++) {
        struct rig *r = test_rig(&(struct rig_config){ 0 });
        uint8_t list[5];
        size_t len = overwrite_list(list, 1, "z", 1);
        r->hold_background = true;
        assert_good(sanitize(r, 0, IMMED | OVERWRITE, list, len));
        assert_int_equal(r->background->want, SCSI_WANT_BUF);
        scsi_task_resume(r->background, errs[i]);
        assert_int_equal(r->background->want, SCSI_DONE);
        scsi_task_fini(r->background);
        r->background = NULL;
        assert_sense(test_in(r, 0x28, 0, 0, 1, 512), SENSE_SANITIZE_COMMAND_FAILED);
        rig_free(r);
    }
}

static void protected_and_ejected_units_are_not_erased(void **state)
{
    (void)state;
    uint8_t list[5];
    size_t len = overwrite_list(list, 1, "z", 1);
    struct rig *r = test_rig(&(struct rig_config){ .lu.read_only = true });
    assert_sense(sanitize(r, 0, OVERWRITE, list, len), SENSE_WRITE_PROTECTED);
    rig_free(r);
    r = test_rig(&(struct rig_config){ .lu.removable = true });
    assert_good(rig_cmd(r, 0, CDB(0x1b, 0, 0, 0, 2), NULL, 0, 0));
    assert_sense(sanitize(r, 0, OVERWRITE, list, len), SENSE_MEDIUM_NOT_PRESENT);
    assert_sense(rig_cmd(r, 0, CDB(0x04), NULL, 0, 0), SENSE_MEDIUM_NOT_PRESENT);
    rig_free(r);
}

/* ---- FORMAT UNIT ---- */

enum { FMTDATA = 0x10, LONGLIST = 0x20, CMPLST = 0x08, FOV = 0x80, IP = 0x08, F_IMMED = 0x02 };

static struct rig_result format(struct rig *r, uint8_t byte1, const uint8_t *list, size_t len)
{
    uint8_t cdb[SCSI_CDB_MAX] = { 0x04, byte1 };
    return rig_cmd(r, 0, cdb, 16, list, len, 0);
}

static void format_initialises_with_zeroes(void **state)
{
    (void)state;
    static const uint8_t head[8];
    for (unsigned how = 0; how < 3; how++) {
        struct rig *r = test_rig(&(struct rig_config){ .lu.thin = how == 2 });
        test_fill_disk(r);
        if (how == 0)
            assert_good(format(r, 0, NULL, 0));
        else if (how == 1)
            assert_good(format(r, FMTDATA | CMPLST, head, 4));
        else
            assert_good(format(r, FMTDATA | LONGLIST, head, 8));
        assert_true(test_all(r->units[0].disk, 0, BLOCKS * 512));
        assert_true(test_all(r->units[0].mapped, how != 2, BLOCKS));
        assert_good(test_in(r, 0x28, 0, 0, 1, 512));
        rig_free(r);
    }
}

static void format_with_a_pattern(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    uint8_t list[8 + 4 + 3] = { 0, FOV | IP, 0, 0, 0, 1, 0, 3, 'a', 'b', 'c' };
    assert_good(format(r, FMTDATA, list, 11));
    for (unsigned k = 0; k < 1024; k++)
        assert_int_equal(r->units[0].disk[k], "abc"[k % 512 % 3]);
    uint8_t lng[] = { 0, FOV | IP, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 'q' };
    assert_good(format(r, FMTDATA | LONGLIST, lng, sizeof lng));
    assert_true(test_all(r->units[0].disk, 'q', BLOCKS * 512));
    /* default pattern */
    list[5] = 0;
    list[7] = 0;
    assert_good(format(r, FMTDATA, list, 8));
    assert_true(test_all(r->units[0].disk, 0, BLOCKS * 512));
    rig_free(r);
}

static void format_checks_its_parameter_list(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    test_fill_disk(r);
    static const struct {
        uint8_t byte1, list[16];
        size_t len;
        unsigned byte;
        int bit;
    } t[] = {
        { FMTDATA, { 1 }, 4, 0, 2 },                     /* PROTECTION FIELD USAGE */
        { FMTDATA, { 0, 0x40 }, 4, 1, 7 },               /* DPRY without FOV */
        { FMTDATA, { 0, IP }, 8, 1, 7 },                 /* IP without FOV */
        { FMTDATA, { 0, 0, 0, 8 }, 12, 2, 7 },           /* a defect list */
        { FMTDATA | LONGLIST, { 0, 0, 0, 1 }, 8, 3, 7 }, /* protection interval */
        { FMTDATA | LONGLIST, { 0, 0, 0, 0, 0, 0, 0, 4 }, 12, 4, 7 },
        { FMTDATA, { 0, FOV | IP, 0, 0, 0x20, 1, 0, 1 }, 9, 4, 7 }, /* SI */
        { FMTDATA, { 0, FOV | IP, 0, 0, 0, 2, 0, 1 }, 9, 5, 7 },    /* pattern type */
        { FMTDATA, { 0, FOV | IP, 0, 0, 0, 0, 0, 1 }, 9, 5, 7 },    /* default, but with bytes */
        { FMTDATA, { 0, FOV | IP, 0, 0, 0, 1, 0, 0 }, 8, 6, 7 },
        { FMTDATA, { 0, FOV | IP, 0, 0, 0, 1, 2, 1 }, 9, 6, 7 }, /* over a block */
    };
    for (unsigned i = 0; i < sizeof t / sizeof t[0]; i++)
        assert_param_field(format(r, t[i].byte1, t[i].list, t[i].len), t[i].byte, t[i].bit);
    /* lists that are too short */
    static const uint8_t ip[] = { 0, FOV | IP, 0, 0, 0, 1, 0, 2, 'a' };
    assert_sense(format(r, FMTDATA, ip, 3), SENSE_PARAMETER_LIST_LENGTH_ERROR);
    assert_sense(format(r, FMTDATA | LONGLIST, ip, 7), SENSE_PARAMETER_LIST_LENGTH_ERROR);
    assert_sense(format(r, FMTDATA, NULL, 0), SENSE_PARAMETER_LIST_LENGTH_ERROR);
    assert_sense(format(r, FMTDATA, ip, 7), SENSE_PARAMETER_LIST_LENGTH_ERROR);
    assert_sense(format(r, FMTDATA, ip, 9), SENSE_PARAMETER_LIST_LENGTH_ERROR);
    /* CDB */
    assert_cdb_field(format(r, 0x80 | FMTDATA, ip, 8), 1, 7); /* FMTPINFO */
    assert_cdb_field(format(r, CMPLST, NULL, 0), 1, 4);
    assert_int_equal(r->ios[BIO_WRITE] + r->ios[BIO_WRITE_ZEROES], 0);
    assert_int_equal(r->units[0].disk[0], test_byte(0));
    rig_free(r);
}

static void format_immediate_and_failed(void **state)
{
    (void)state;
    static const uint8_t head[4] = { 0, F_IMMED };
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    r->hold_background = true;
    assert_good(format(r, FMTDATA, head, 4));
    assert_sense(test_in(r, 0x28, 0, 0, 1, 512), SENSE_FORMAT_IN_PROGRESS);
    assert_sense(format(r, 0, NULL, 0), SENSE_FORMAT_IN_PROGRESS);
    rig_background(r, 100);
    assert_good(test_in(r, 0x28, 0, 0, 1, 512));
    r->hold_background = false;
    r->io_err = USAN_EIO;
    r->io_err_op = BIO_WRITE_ZEROES;
    assert_sense(format(r, 0, NULL, 0), SENSE_FORMAT_COMMAND_FAILED);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overwrite_writes_the_pattern_to_every_block),
        cmocka_unit_test(overwrite_in_several_passes),
        cmocka_unit_test(overwrite_checks_its_parameter_list),
        cmocka_unit_test(block_erase_deallocates),
        cmocka_unit_test(the_unit_is_busy_meanwhile),
        cmocka_unit_test(it_goes_on_without_its_command),
        cmocka_unit_test(a_command_that_waits_gets_the_result),
        cmocka_unit_test(a_command_that_waits_is_not_refused),
        cmocka_unit_test(a_failed_sanitize_shuts_the_unit),
        cmocka_unit_test(each_step_may_fail),
        cmocka_unit_test(protected_and_ejected_units_are_not_erased),
        cmocka_unit_test(format_initialises_with_zeroes),
        cmocka_unit_test(format_with_a_pattern),
        cmocka_unit_test(format_checks_its_parameter_list),
        cmocka_unit_test(format_immediate_and_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
