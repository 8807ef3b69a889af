/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Driving tasks: LUNs, the order of checks, residuals, task attributes, ACA, failing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "scsi/lu.h"
#include "scsi/ua.h"
#include "scsi_rig.h"

#include <cmocka.h>
#include <string.h>

#define READ_1          CDB(0x28, 0, 0, 0, 0, 5, 0, 0, 1, 0)
#define WRITE_1         CDB(0x2a, 0, 0, 0, 0, 5, 0, 0, 1, 0)
#define TUR             CDB(0x00)
#define FAILS_WITH_NACA CDB(0, 0, 0, 1, 0, 0x04)

static uint8_t block[4096];

static void test_read_write(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ 0 });
    rig_clear_ua(r);
    memset(block, 0x5c, 512);
    struct rig_result res = rig_cmd(r, 0, WRITE_1, block, 512, 0);
    assert_int_equal(res.status, SCSI_STATUS_GOOD);
    assert_int_equal(res.out_used, 512);
    res = rig_cmd(r, 0, READ_1, NULL, 0, 512);
    assert_int_equal(res.status, SCSI_STATUS_GOOD);
    assert_int_equal(res.in_len, 512);
    assert_memory_equal(res.in, block, 512);
    rig_free(r);
}

/* What residual counts come from: what was called for, and what fitted. */
static void test_residuals(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ 0 });
    rig_clear_ua(r);
    memset(r->units[0].disk + 5 * 512, 0x77, 512);
    struct rig_result res = rig_cmd(r, 0, READ_1, NULL, 0, 100);
    assert_int_equal(res.status, SCSI_STATUS_GOOD);
    assert_int_equal(res.in_len, 100);
    assert_int_equal(res.in_used, 512);
    assert_int_equal(res.in[99], 0x77);
    res = rig_cmd(r, 0, READ_1, NULL, 0, 4096);
    assert_int_equal(res.in_len, 512);
    assert_int_equal(res.in_used, 512);
    /* parameter data: cut by the allocation length first */
    res = rig_cmd(r, 0, CDB(0x12, 0, 0, 0, 36, 0), NULL, 0, 20);
    assert_int_equal(res.in_len, 20);
    assert_int_equal(res.in_used, 36);
    res = rig_cmd(r, 0, CDB(0x12, 0, 0, 0, 0, 0), NULL, 0, 255);
    assert_int_equal(res.status, SCSI_STATUS_GOOD);
    assert_int_equal(res.in_len, 0);
    /* more data-out offered than called for */
    res = rig_cmd(r, 0, WRITE_1, block, 4096, 0);
    assert_int_equal(res.status, SCSI_STATUS_GOOD);
    assert_int_equal(res.out_used, 512);
    /* less: a parameter list can not be worked on */
    res = rig_cmd(r, 0, CDB(0x15, 0x10, 0, 0, 24, 0), block, 4, 0);
    assert_int_equal(res.kaq, SENSE_INVALID_FIELD_IN_IU);
    assert_int_equal(res.out_used, 24);
    rig_free(r);
}

static void test_lun_addressing(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ .units = 2 });
    assert_int_equal(scsi_nexus_map(r->nexus[0], 300, r->units[1].lanes[0], false), 0);
    rig_pump(r);
    rig_clear_ua(r);
    static const struct {
        uint64_t field;
        bool exists;
    } luns[] = {
        { 0x0001000000000000, true },  /* peripheral 1 */
        { 0x4001000000000000, true },  /* flat 1 */
        { 0x412c000000000000, true },  /* flat 300 */
        { 0x0002000000000000, false }, /* peripheral 2 */
        { 0x0101000000000000, false }, /* bus 1 */
        { 0x0001000000000001, false }, /* a second level */
        { 0x8001000000000000, false }, /* logical unit addressing */
        { 0xc101000000000001, false }, { 0xd200000100000000, false },
    };
    for (size_t i = 0; i < sizeof luns / sizeof luns[0]; i++) {
        struct rig_result res =
            rig_cmd_lun(r, 0, luns[i].field, CDB(0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 4), NULL, 0, 4);
        if (res.kaq >> 16 == SENSE_KEY_UNIT_ATTENTION) /* POWER ON of number 300 */
            res = rig_cmd_lun(r, 0, luns[i].field, CDB(0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 4), NULL, 0,
                              4);
        assert_int_equal(res.status,
                         luns[i].exists ? SCSI_STATUS_GOOD : SCSI_STATUS_CHECK_CONDITION);
        if (!luns[i].exists)
            assert_int_equal(res.kaq, SENSE_LUN_NOT_SUPPORTED);
    }
    rig_free(r);
}

/* SAM-6 5.11: what a LUN that does not exist answers, and the REPORT LUNS well known one. */
static void test_no_lun(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ 0 });
    const uint64_t missing = UINT64_C(9) << 48, wlun = UINT64_C(0xc101) << 48;
    struct rig_result res = rig_cmd_lun(r, 0, missing, CDB(0x12, 0, 0, 0, 96, 0), NULL, 0, 96);
    assert_int_equal(res.status, SCSI_STATUS_GOOD);
    assert_int_equal(res.in_len, 96);
    assert_int_equal(res.in[0], 0x7f);
    res = rig_cmd_lun(r, 0, missing, CDB(0x03, 0, 0, 0, 18, 0), NULL, 0, 18);
    assert_int_equal(res.status, SCSI_STATUS_GOOD);
    assert_int_equal(res.in[2], 5);
    assert_int_equal(res.in[12], 0x25);
    res = rig_cmd_lun(r, 0, missing, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 16), NULL, 0, 16);
    assert_int_equal(res.status, SCSI_STATUS_GOOD);
    assert_int_equal(res.in[3], 8);
    res = rig_cmd_lun(r, 0, missing, TUR, NULL, 0, 0);
    assert_int_equal(res.kaq, SENSE_LUN_NOT_SUPPORTED);
    res = rig_cmd_lun(r, 0, missing, READ_1, NULL, 0, 512);
    assert_int_equal(res.kaq, SENSE_LUN_NOT_SUPPORTED);
    res = rig_cmd_lun(r, 0, missing, CDB(0x12, 1, 0x83, 0, 96, 0), NULL, 0, 96);
    assert_int_equal(res.kaq, SENSE_INVALID_FIELD_IN_CDB);

    res = rig_cmd_lun(r, 0, wlun, CDB(0x12, 0, 0, 0, 96, 0), NULL, 0, 96);
    assert_int_equal(res.in[0], 0x1e);
    res = rig_cmd_lun(r, 0, wlun, CDB(0x12, 1, 0x00, 0, 96, 0), NULL, 0, 96);
    assert_int_equal(res.in_len, 7);
    assert_memory_equal(res.in + 4, ((uint8_t[]){ 0x00, 0x83, 0x86 }), 3);
    res = rig_cmd_lun(r, 0, wlun, TUR, NULL, 0, 0);
    assert_int_equal(res.status, SCSI_STATUS_GOOD);
    res = rig_cmd_lun(r, 0, wlun, READ_1, NULL, 0, 512);
    assert_int_equal(res.kaq, SENSE_INVALID_OPCODE);
    rig_free(r);
}

static void test_unknown_commands(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ 0 });
    rig_clear_ua(r);
    struct rig_result res = rig_cmd(r, 0, CDB(0xff), NULL, 0, 0);
    assert_int_equal(res.kaq, SENSE_INVALID_OPCODE);
    /* a service action: a field of the CDB, byte 1 bit 4 (SPC-6 4.3.4.1) */
    res = rig_cmd(r, 0, CDB(0xa3, 0x1e), NULL, 0, 0);
    assert_int_equal(res.kaq, SENSE_INVALID_FIELD_IN_CDB);
    assert_memory_equal(res.sense + 15, ((uint8_t[]){ 0x80 | 0x40 | 0x08 | 4, 0, 1 }), 3);
    rig_free(r);
}

static void test_usage(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ 0 });
    rig_clear_ua(r);
    /* TEST UNIT READY has no fields: byte 3, bit 6 is the highest one set */
    struct rig_result res = rig_cmd(r, 0, CDB(0, 0, 0, 0x41), NULL, 0, 0);
    assert_int_equal(res.kaq, SENSE_INVALID_FIELD_IN_CDB);
    assert_memory_equal(res.sense + 15, ((uint8_t[]){ 0x80 | 0x40 | 0x08 | 6, 0, 3 }), 3);
    /* NACA is understood, LINK is not; bytes behind the CDB do not count */
    res = rig_cmd(r, 0, CDB(0, 0, 0, 0, 0, 0x04, 0xff), NULL, 0, 0);
    assert_int_equal(res.status, SCSI_STATUS_GOOD);
    res = rig_cmd(r, 0, CDB(0, 0, 0, 0, 0, 0x01), NULL, 0, 0);
    assert_int_equal(res.kaq, SENSE_INVALID_FIELD_IN_CDB);
    assert_memory_equal(res.sense + 15, ((uint8_t[]){ 0x80 | 0x40 | 0x08 | 0, 0, 5 }), 3);
    rig_free(r);
}

/* SAM-6 5.3.3: reset, then RESERVATION CONFLICT, then the rest. */
static void test_precedence(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ .initiators = 2 });
    rig_clear_ua(r);
    assert_int_equal(rig_cmd(r, 0, CDB(0x16), NULL, 0, 0).status,
                     SCSI_STATUS_GOOD); /* RESERVE(6) */
    struct scsi_itl *itl = r->nexus[1]->home.seats[0]->itl;
    scsi_ua_add(itl, UA_MODE_PARAMETERS_CHANGED);
    scsi_ua_add(itl, UA_BUS_DEVICE_RESET);

    /* a bit that is not evaluated comes after all of them */
    struct rig_result res = rig_cmd(r, 1, CDB(0, 0, 0, 1), NULL, 0, 0);
    assert_int_equal(res.kaq, SCSI_KAQ(6, 0x29, 0x03));
    res = rig_cmd(r, 1, CDB(0, 0, 0, 1), NULL, 0, 0);
    assert_int_equal(res.status, SCSI_STATUS_RESERVATION_CONFLICT);
    assert_int_equal(res.sense_len, 0);
    assert_int_equal(rig_cmd(r, 0, CDB(0x17), NULL, 0, 0).status,
                     SCSI_STATUS_GOOD); /* RELEASE(6) */
    res = rig_cmd(r, 1, CDB(0, 0, 0, 1), NULL, 0, 0);
    assert_int_equal(res.kaq, SCSI_KAQ(6, 0x2a, 0x01));
    res = rig_cmd(r, 1, CDB(0, 0, 0, 1), NULL, 0, 0);
    assert_int_equal(res.kaq, SENSE_INVALID_FIELD_IN_CDB);
    /* INQUIRY passes unit attentions and reports none */
    scsi_ua_add(itl, UA_CAPACITY_CHANGED);
    assert_int_equal(rig_cmd(r, 1, CDB(0x12, 0, 0, 0, 96), NULL, 0, 96).status, SCSI_STATUS_GOOD);
    assert_int_equal(rig_cmd(r, 1, TUR, NULL, 0, 0).kaq, SCSI_KAQ(6, 0x2a, 0x09));
    assert_int_equal(rig_cmd(r, 1, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    rig_free(r);
}

static void test_medium_and_protection(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ 0 });
    struct scsi_lu *lu = r->units[0].lu;
    rig_clear_ua(r);
    lu->busy_kind = SCSI_BUSY_FORMAT;
    atomic_store(&lu->progress, 0x8000);
    struct rig_result res = rig_cmd(r, 0, READ_1, NULL, 0, 512);
    assert_int_equal(res.kaq, SENSE_FORMAT_IN_PROGRESS);
    assert_memory_equal(res.sense + 15, ((uint8_t[]){ 0x80, 0x80, 0x00 }), 3);
    lu->busy_kind = SCSI_BUSY_NONE;
    lu->ejected = true;
    assert_int_equal(rig_cmd(r, 0, TUR, NULL, 0, 0).kaq, SENSE_MEDIUM_NOT_PRESENT);
    lu->ejected = false;
    lu->stopped = true;
    assert_int_equal(rig_cmd(r, 0, TUR, NULL, 0, 0).kaq, SENSE_INITIALIZING_COMMAND_REQUIRED);
    lu->stopped = false;
    assert_int_equal(rig_cmd(r, 0, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);

    r->nexus[0]->home.seats[0]->itl->read_only = true;
    assert_int_equal(rig_cmd(r, 0, WRITE_1, block, 512, 0).kaq, SENSE_WRITE_PROTECTED);
    assert_int_equal(rig_cmd(r, 0, READ_1, NULL, 0, 512).status, SCSI_STATUS_GOOD);
    rig_free(r);

    struct rig_config ro = { .lu = { .read_only = true } };
    r = rig_new(&ro);
    rig_clear_ua(r);
    assert_int_equal(rig_cmd(r, 0, WRITE_1, block, 512, 0).kaq, SENSE_WRITE_PROTECTED);
    rig_free(r);
}

/* Reservations are looked at again after the data came. */
static void test_recheck_after_data(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ .initiators = 2 });
    rig_clear_ua(r);
    r->stop_at = 1u << SCSI_WANT_DATA;
    struct rig_task *w = rig_start(r, 0, SCSI_ATTR_SIMPLE, 1, WRITE_1, block, 512, 0);
    assert_int_equal(w->t.want, SCSI_WANT_DATA);
    assert_int_equal(rig_cmd(r, 1, CDB(0x16), NULL, 0, 0).status, SCSI_STATUS_GOOD);
    rig_go(w);
    assert_int_equal(rig_end(w).status, SCSI_STATUS_RESERVATION_CONFLICT);
    assert_int_equal(r->ios[BIO_WRITE], 0);
    rig_free(r);
}

static void test_io_errors(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ 0 });
    rig_clear_ua(r);
    r->io_err = USAN_EIO;
    r->io_err_op = BIO_READ;
    r->io_err_at = 600; /* in the second block of three */
    struct rig_result res = rig_cmd(r, 0, CDB(0x28, 0, 0, 0, 0, 5, 0, 0, 3), NULL, 0, 1536);
    assert_int_equal(res.kaq, SENSE_UNRECOVERED_READ_ERROR);
    assert_int_equal(res.in_len, 0);
    assert_memory_equal(res.sense, ((uint8_t[]){ 0xf0, 0, 3, 0, 0, 0, 6 }), 7);
    r->io_err = USAN_ENOSPC;
    r->io_err_op = BIO_WRITE;
    res = rig_cmd(r, 0, WRITE_1, block, 512, 0);
    assert_int_equal(res.kaq, SENSE_SPACE_ALLOCATION_FAILED);
    r->io_err = USAN_EBUSY;
    res = rig_cmd(r, 0, WRITE_1, block, 512, 0);
    assert_int_equal(res.status, SCSI_STATUS_BUSY);
    rig_free(r);
}

static void test_owner_fails_task(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ 0 });
    rig_clear_ua(r);
    r->stop_at = 1u << SCSI_WANT_DATA | 1u << SCSI_WANT_BUF;
    struct rig_task *w = rig_start(r, 0, SCSI_ATTR_SIMPLE, 1, WRITE_1, block, 512, 0);
    scsi_task_fail(&w->t, SCSI_STATUS_CHECK_CONDITION, SENSE_PROTOCOL_SERVICE_CRC_ERROR);
    assert_int_equal(w->t.want, SCSI_DONE);
    assert_int_equal(rig_end(w).kaq, SENSE_PROTOCOL_SERVICE_CRC_ERROR);
    w = rig_start(r, 0, SCSI_ATTR_SIMPLE, 2, CDB(0x12, 0, 0, 0, 96), NULL, 0, 96);
    assert_int_equal(w->t.want, SCSI_WANT_BUF);
    scsi_task_fail(&w->t, SCSI_STATUS_BUSY, 0);
    struct rig_result res = rig_end(w);
    assert_int_equal(res.status, SCSI_STATUS_BUSY);
    assert_int_equal(res.sense_len, 0);
    assert_int_equal(scsi_nexus_tasks(r->nexus[0]), 0);
    rig_free(r);
}

/* ---- task attributes, SAM-6 8.6 ---- */

static struct rig_task *read_held(struct rig *r, enum scsi_attr attr, uint64_t tag)
{
    return rig_start(r, 0, attr, tag, READ_1, NULL, 0, 512);
}

static void test_ordered(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ .initiators = 2 });
    rig_clear_ua(r);
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *s1 = read_held(r, SCSI_ATTR_SIMPLE, 1);
    struct rig_task *s2 = read_held(r, SCSI_ATTR_UNTAGGED, 2);
    struct rig_task *o = read_held(r, SCSI_ATTR_ORDERED, 3);
    struct rig_task *s3 = read_held(r, SCSI_ATTR_SIMPLE, 4);
    assert_int_equal(s1->t.want, SCSI_WANT_IO);
    assert_int_equal(s2->t.want, SCSI_WANT_IO);
    assert_int_equal(o->t.want, SCSI_WANT_WAIT);
    assert_int_equal(s3->t.want, SCSI_WANT_WAIT);
    /* another nexus has a task set of its own */
    struct rig_task *other = rig_start(r, 1, SCSI_ATTR_SIMPLE, 1, READ_1, NULL, 0, 512);
    assert_int_equal(other->t.want, SCSI_WANT_IO);
    rig_go(s2);
    assert_int_equal(o->t.want, SCSI_WANT_WAIT);
    rig_go(s1);
    assert_int_equal(o->t.want, SCSI_WANT_IO);
    assert_int_equal(s3->t.want, SCSI_WANT_WAIT);
    /* HEAD OF QUEUE starts at once, and holds later SIMPLE ones back */
    struct rig_task *h = read_held(r, SCSI_ATTR_HEAD_OF_QUEUE, 5);
    assert_int_equal(h->t.want, SCSI_WANT_IO);
    rig_go(o);
    assert_int_equal(s3->t.want, SCSI_WANT_WAIT);
    rig_go(h);
    assert_int_equal(s3->t.want, SCSI_WANT_IO);
    rig_go(s3);
    rig_go(other);
    struct rig_task *all[] = { s1, s2, o, s3, h, other };
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(rig_end(all[i]).status, SCSI_STATUS_GOOD);
    rig_free(r);
}

static void test_ordered_chain(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ 0 });
    rig_clear_ua(r);
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *o[3];
    for (unsigned i = 0; i < 3; i++)
        o[i] = read_held(r, SCSI_ATTR_ORDERED, i);
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned j = i; j < 3; j++)
            assert_int_equal(o[j]->t.want, j == i ? SCSI_WANT_IO : SCSI_WANT_WAIT);
        rig_go(o[i]);
        assert_int_equal(rig_end(o[i]).status, SCSI_STATUS_GOOD);
    }
    rig_free(r);
}

/* ---- ACA, SAM-6 5.9 ---- */

static void test_aca(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ .initiators = 2 });
    rig_clear_ua(r);
    r->stop_at = 1u << SCSI_WANT_DATA;
    struct rig_task *waiting = rig_start(r, 0, SCSI_ATTR_SIMPLE, 1, WRITE_1, block, 512, 0);
    r->stop_at = 0;
    struct rig_result res = rig_cmd(r, 0, FAILS_WITH_NACA, NULL, 0, 0);
    assert_int_equal(res.kaq, SENSE_INVALID_FIELD_IN_CDB);

    assert_int_equal(rig_cmd(r, 0, TUR, NULL, 0, 0).status, SCSI_STATUS_ACA_ACTIVE);
    assert_int_equal(rig_cmd(r, 1, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    rig_go(waiting); /* its data came: it is held back */
    assert_int_equal(waiting->t.want, SCSI_WANT_WAIT);
    /* one task with the ACA attribute is let in */
    struct rig_task *aca = rig_start(r, 0, SCSI_ATTR_ACA, 2, READ_1, NULL, 0, 512);
    assert_int_equal(rig_end(aca).status, SCSI_STATUS_GOOD);
    assert_int_equal(rig_cmd(r, 0, TUR, NULL, 0, 0).status, SCSI_STATUS_ACA_ACTIVE);

    assert_int_equal(rig_tmf(r, 0, SCSI_TMF_CLEAR_ACA, 0).tmf_rsp, SCSI_TMF_RSP_COMPLETE);
    assert_int_equal(rig_end(waiting).status, SCSI_STATUS_GOOD);
    assert_int_equal(rig_cmd(r, 0, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    /* without ACA there is nothing to use the attribute for */
    aca = rig_start(r, 0, SCSI_ATTR_ACA, 3, READ_1, NULL, 0, 512);
    assert_int_equal(rig_end(aca).kaq, SENSE_INVALID_MESSAGE_ERROR);
    /* a failing task with the ACA attribute and NACA = 0 ends it */
    (void)rig_cmd(r, 0, FAILS_WITH_NACA, NULL, 0, 0);
    aca = rig_start(r, 0, SCSI_ATTR_ACA, 4, CDB(0, 0, 0, 1), NULL, 0, 0);
    assert_int_equal(rig_end(aca).kaq, SENSE_INVALID_FIELD_IN_CDB);
    assert_int_equal(rig_cmd(r, 0, TUR, NULL, 0, 0).status, SCSI_STATUS_GOOD);
    rig_free(r);
}

/* Descriptor sense by D_SENSE. */
static void test_d_sense(void **state)
{
    (void)state;
    struct rig *r = rig_new(&(struct rig_config){ 0 });
    rig_clear_ua(r);
    struct rig_result m = rig_cmd(r, 0, CDB(0x1a, 8, 0x0a, 0, 16), NULL, 0, 16);
    assert_int_equal(m.in_len, 16);
    uint8_t list[16];
    memcpy(list, m.in, 16);
    list[0] = 0;
    list[2] = 0;
    list[4] &= 0x3f;
    list[6] |= 0x04;
    assert_int_equal(rig_cmd(r, 0, CDB(0x15, 0x10, 0, 0, 16), list, 16, 0).status,
                     SCSI_STATUS_GOOD);
    struct rig_result res = rig_cmd(r, 0, CDB(0xff), NULL, 0, 0);
    assert_int_equal(res.sense[0], 0x72);
    assert_int_equal(res.kaq, SENSE_INVALID_OPCODE);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_write),
        cmocka_unit_test(test_residuals),
        cmocka_unit_test(test_lun_addressing),
        cmocka_unit_test(test_no_lun),
        cmocka_unit_test(test_unknown_commands),
        cmocka_unit_test(test_usage),
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_medium_and_protection),
        cmocka_unit_test(test_recheck_after_data),
        cmocka_unit_test(test_io_errors),
        cmocka_unit_test(test_owner_fails_task),
        cmocka_unit_test(test_ordered),
        cmocka_unit_test(test_ordered_chain),
        cmocka_unit_test(test_aca),
        cmocka_unit_test(test_d_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
