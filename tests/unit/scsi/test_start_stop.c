/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "block_test.h"

enum { NO_FLUSH = 0x04, LOEJ = 0x02, START = 0x01 };

static const struct rig_config removable = { .lu = { .removable = true, .volatile_cache = true },
                                             .initiators = 2 };

static struct rig_result start_stop(struct rig *r, unsigned initiator, uint8_t how)
{
    return rig_cmd(r, initiator, CDB(0x1b, 0, 0, 0, how), NULL, 0, 0);
}

static struct rig_result ready(struct rig *r, unsigned initiator)
{
    return rig_cmd(r, initiator, CDB(0x00), NULL, 0, 0);
}

static struct rig_result prevent(struct rig *r, unsigned initiator, uint8_t how)
{
    return rig_cmd(r, initiator, CDB(0x1e, 0, 0, 0, how), NULL, 0, 0);
}

static void eject_and_load(void **state)
{
    (void)state;
    struct rig *r = test_rig(&removable);
    assert_good(start_stop(r, 0, LOEJ));
    assert_int_equal(r->ios[BIO_FLUSH], 1);
    assert_sense(ready(r, 0), SENSE_MEDIUM_NOT_PRESENT);
    assert_sense(ready(r, 1), SENSE_MEDIUM_NOT_PRESENT);
    assert_sense(test_in(r, 0x28, 0, 0, 1, 512), SENSE_MEDIUM_NOT_PRESENT);
    assert_sense(test_in(r, 0x25, 0, 0, 0, 8), SENSE_MEDIUM_NOT_PRESENT);
    assert_sense(test_in(r, 0x35, 0x06, 0, 0, 0), SENSE_MEDIUM_NOT_PRESENT);
    assert_good(start_stop(r, 0, LOEJ)); /* again: nothing to eject, nothing to flush */
    assert_int_equal(r->ios[BIO_FLUSH], 1);

    assert_good(start_stop(r, 0, LOEJ | START));
    assert_good(ready(r, 0));
    /* who did not load it is told */
    assert_sense(ready(r, 1), SCSI_KAQ(SENSE_KEY_UNIT_ATTENTION, 0x28, 0x00));
    assert_good(ready(r, 1));
    assert_good(start_stop(r, 0, LOEJ | START)); /* it is in */
    assert_good(ready(r, 1));

    assert_good(start_stop(r, 1, LOEJ | NO_FLUSH));
    assert_int_equal(r->ios[BIO_FLUSH], 1);
    assert_sense(ready(r, 0), SENSE_MEDIUM_NOT_PRESENT);
    rig_free(r);
}

static void a_failed_flush_keeps_the_medium(void **state)
{
    (void)state;
    struct rig *r = test_rig(&removable);
    r->io_err = USAN_EIO;
    r->io_err_op = BIO_FLUSH;
    assert_sense(start_stop(r, 0, LOEJ), SENSE_WRITE_ERROR);
    assert_good(ready(r, 0));
    rig_free(r);
}

static void stopping_flushes_and_leaves_the_unit_ready(void **state)
{
    (void)state;
    struct rig *r = test_rig(&removable);
    assert_good(start_stop(r, 0, 0));
    assert_int_equal(r->ios[BIO_FLUSH], 1);
    assert_good(ready(r, 0));
    assert_good(start_stop(r, 0, NO_FLUSH));
    assert_int_equal(r->ios[BIO_FLUSH], 1);
    assert_good(start_stop(r, 0, START));
    assert_int_equal(r->ios[BIO_FLUSH], 1);
    /* With a power condition LOEJ and START mean nothing. */
    for (unsigned pc = 1; pc < 16; pc++) {
        assert_good(start_stop(r, 0, (uint8_t)(pc << 4 | LOEJ)));
        assert_good(ready(r, 0));
    }
    assert_int_equal(r->ios[BIO_FLUSH], 16);
    rig_free(r);
}

static void a_fixed_disk_is_not_ejected(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ 0 });
    assert_cdb_field(start_stop(r, 0, LOEJ), 4, 1);
    assert_cdb_field(start_stop(r, 0, LOEJ | START), 4, 1);
    assert_good(start_stop(r, 0, START));
    assert_good(start_stop(r, 0, 0));
    assert_good(ready(r, 0));
    assert_sense(prevent(r, 0, 1), SENSE_INVALID_OPCODE);
    rig_free(r);
}

static void removal_is_prevented_by_any_nexus(void **state)
{
    (void)state;
    struct rig *r = test_rig(&removable);
    assert_good(prevent(r, 0, 1));
    assert_good(prevent(r, 0, 1)); /* counts once */
    assert_good(prevent(r, 1, 1));
    assert_sense(start_stop(r, 0, LOEJ), SENSE_MEDIUM_REMOVAL_PREVENTED);
    assert_sense(start_stop(r, 1, LOEJ), SENSE_MEDIUM_REMOVAL_PREVENTED);
    assert_good(ready(r, 0));
    assert_good(prevent(r, 0, 0));
    assert_good(prevent(r, 0, 0));
    assert_sense(start_stop(r, 0, LOEJ), SENSE_MEDIUM_REMOVAL_PREVENTED);
    assert_good(prevent(r, 1, 0));
    assert_good(start_stop(r, 0, LOEJ));
    /* it may be prevented while it is out; then neither may it go in */
    assert_good(prevent(r, 0, 1));
    assert_sense(start_stop(r, 0, LOEJ | START), SENSE_MEDIUM_REMOVAL_PREVENTED);
    assert_good(prevent(r, 0, 0));
    assert_good(start_stop(r, 0, LOEJ | START));
    assert_cdb_field(prevent(r, 0, 2), 4, 1);
    assert_cdb_field(prevent(r, 0, 3), 4, 1);
    rig_free(r);
}

static void resets_and_nexus_loss_allow_removal(void **state)
{
    (void)state;
    struct rig *r = test_rig(&removable);
    assert_good(prevent(r, 0, 1));
    (void)rig_tmf(r, 1, SCSI_TMF_LOGICAL_UNIT_RESET, 0);
    rig_clear_ua(r);
    assert_good(start_stop(r, 0, LOEJ));
    assert_good(start_stop(r, 0, LOEJ | START));
    rig_clear_ua(r);
    assert_good(prevent(r, 0, 1));
    rig_drop_initiator(r, 0);
    assert_good(start_stop(r, 1, LOEJ));
    rig_free(r);
}

/* Register, then reserve Exclusive Access, by initiator 1. */
static void reserve(struct rig *r)
{
    uint8_t list[24] = { 0 };
    list[15] = 0x11; /* SERVICE ACTION RESERVATION KEY */
    assert_good(rig_cmd(r, 1, CDB(0x5f, 0x00, 0, 0, 0, 0, 0, 0, 24), list, 24, 0));
    memset(list, 0, sizeof list);
    list[7] = 0x11; /* RESERVATION KEY */
    assert_good(rig_cmd(r, 1, CDB(0x5f, 0x01, 0x03, 0, 0, 0, 0, 0, 24), list, 24, 0));
}

static void reservations_of_others(void **state)
{
    (void)state;
    struct rig *r = test_rig(&removable);
    reserve(r);
    static const uint8_t denied[] = { 0, LOEJ, 0x10, 0x11 };
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(start_stop(r, 0, denied[i]).status, SCSI_STATUS_RESERVATION_CONFLICT);
    assert_good(start_stop(r, 0, START));
    assert_int_equal(prevent(r, 0, 1).status, SCSI_STATUS_RESERVATION_CONFLICT);
    assert_good(prevent(r, 0, 0));
    assert_good(prevent(r, 1, 1));
    assert_good(prevent(r, 1, 0));
    assert_good(start_stop(r, 1, LOEJ));
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eject_and_load),
        cmocka_unit_test(a_failed_flush_keeps_the_medium),
        cmocka_unit_test(stopping_flushes_and_leaves_the_unit_ready),
        cmocka_unit_test(a_fixed_disk_is_not_ejected),
        cmocka_unit_test(removal_is_prevented_by_any_nexus),
        cmocka_unit_test(resets_and_nexus_loss_allow_removal),
        cmocka_unit_test(reservations_of_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
