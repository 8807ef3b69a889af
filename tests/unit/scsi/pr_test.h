/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of reservations share on top of the rig. */
#ifndef USAN_TESTS_PR_TEST_H
#define USAN_TESTS_PR_TEST_H

#include "block_test.h"
#include "scsi/persist_act.h"

#include <stdio.h>

#define assert_conflict(res)                                                                       \
    do {                                                                                           \
        struct rig_result res_ = (res);                                                            \
        assert_int_equal(res_.status, SCSI_STATUS_RESERVATION_CONFLICT);                           \
        assert_int_equal(res_.sense_len, 0);                                                       \
    } while (0)

/* The next command of `who` reports this unit attention, and there is no other one. */
#define assert_ua(r, who, ua)                                                                      \
    do {                                                                                           \
        assert_sense(tur(r, who), SCSI_KAQ(SENSE_KEY_UNIT_ATTENTION, (ua) >> 8, (ua)&0xff));       \
        assert_good(tur(r, who));                                                                  \
    } while (0)
#define assert_no_ua(r, who) assert_good(tur(r, who))

enum { KEY_A = 0xa1, KEY_B = 0xb2, KEY_C = 0xc3 };

static const uint8_t pr_types[] = { SCSI_PR_WE,    SCSI_PR_EA,    SCSI_PR_WE_RO,
                                    SCSI_PR_EA_RO, SCSI_PR_WE_AR, SCSI_PR_EA_AR };
enum { PR_TYPES = sizeof(pr_types) };

static inline struct rig_result tur(struct rig *r, unsigned who)
{
    return rig_cmd(r, who, CDB(0x00), NULL, 0, 0);
}

static inline struct rig_result pr_out_list(struct rig *r, unsigned who, uint8_t sa, uint8_t type,
                                            const void *list, size_t len)
{
    uint8_t cdb[SCSI_CDB_MAX] = { 0x5f, sa, type };
    be32_put(cdb + 5, (uint32_t)len);
    return rig_cmd(r, who, cdb, 16, list, len, 0);
}

static inline struct rig_result pr_out(struct rig *r, unsigned who, uint8_t sa, uint8_t type,
                                       uint64_t rk, uint64_t sark, uint8_t flags)
{
    uint8_t list[24] = { 0 };
    be64_put(list, rk);
    be64_put(list + 8, sark);
    list[20] = flags;
    return pr_out_list(r, who, sa, type, list, sizeof(list));
}

static inline struct rig_result pr_register(struct rig *r, unsigned who, uint64_t rk, uint64_t sark)
{
    return pr_out(r, who, PR_OUT_REGISTER, 0, rk, sark, 0);
}

static inline struct rig_result pr_reserve(struct rig *r, unsigned who, uint64_t rk, uint8_t type)
{
    return pr_out(r, who, PR_OUT_RESERVE, type, rk, 0, 0);
}

static inline struct rig_result pr_release(struct rig *r, unsigned who, uint64_t rk, uint8_t type)
{
    return pr_out(r, who, PR_OUT_RELEASE, type, rk, 0, 0);
}

static inline struct rig_result pr_preempt(struct rig *r, unsigned who, uint8_t type, uint64_t rk,
                                           uint64_t sark)
{
    return pr_out(r, who, PR_OUT_PREEMPT, type, rk, sark, 0);
}

static inline struct rig_result pr_in(struct rig *r, unsigned who, uint8_t sa, uint16_t alloc)
{
    uint8_t cdb[SCSI_CDB_MAX] = { 0x5e, sa };
    be16_put(cdb + 7, alloc);
    return rig_cmd(r, who, cdb, 16, NULL, 0, alloc);
}

/* Who looks at the state in between: not one that has unit attentions to be told of, if possible.
 */
static inline unsigned pr_reader(const struct rig *r)
{
    return r->initiator_count > 3 ? 3 : 0;
}

static inline uint32_t pr_generation(struct rig *r)
{
    struct rig_result res = pr_in(r, pr_reader(r), 0, 8);
    assert_good(res);
    return be32_get(res.in);
}

static inline unsigned pr_key_count(struct rig *r)
{
    struct rig_result res = pr_in(r, pr_reader(r), 0, 8);
    assert_good(res);
    assert_int_equal(be32_get(res.in + 4) % 8, 0);
    return be32_get(res.in + 4) / 8;
}

static inline bool pr_has_key(struct rig *r, uint64_t key)
{
    struct rig_result res = pr_in(r, pr_reader(r), 0, 0xffff);
    assert_good(res);
    for (size_t at = 8; at < res.in_len; at += 8) {
        if (be64_get(res.in + at) == key)
            return true;
    }
    return false;
}

/* READ RESERVATION says: this type, this key; type 0: none. */
static inline void assert_reserved(struct rig *r, uint8_t type, uint64_t key)
{
    struct rig_result res = pr_in(r, pr_reader(r), 1, 24);
    assert_good(res);
    if (type == 0) {
        assert_int_equal(res.in_len, 8);
        assert_int_equal(be32_get(res.in + 4), 0);
        return;
    }
    assert_int_equal(res.in_len, 24);
    assert_int_equal(be32_get(res.in + 4), 16);
    assert_int_equal(be64_get(res.in + 8), key);
    assert_int_equal(res.in[21], type);
}

/* 0 and 1 are registered with KEY_A and KEY_B, 2 and the reader (3) are not. */
static inline struct rig *pr_rig(void)
{
    struct rig *r = test_rig(&(struct rig_config){ .initiators = 4, .lanes = 2 });
    assert_good(pr_register(r, 0, 0, KEY_A));
    assert_good(pr_register(r, 1, 0, KEY_B));
    return r;
}

/* iSCSI TransportID; isid NULL: format 00b. Returns its length. */
static inline size_t pr_tid(uint8_t *ret, const char *name, const char *isid)
{
    char text[256];
    int n = isid ? snprintf(text, sizeof(text), "%s,i,0x%s", name, isid)
                 : snprintf(text, sizeof(text), "%s", name);
    size_t len = ((size_t)n + 1 + 3) & ~(size_t)3;
    if (len < 20)
        len = 20;
    memset(ret, 0, 4 + len);
    ret[0] = isid ? 0x45 : 0x05;
    be16_put(ret + 2, (uint16_t)len);
    memcpy(ret + 4, text, (size_t)n);
    return 4 + len;
}

/* One more initiator with names and ports of the test's choice; it maps all units. */
static inline unsigned pr_add(struct rig *r, const char *name, const char *isid, uint16_t rel_port)
{
    uint8_t tid[SCSI_TRANSPORT_ID_MAX];
    unsigned n = r->initiator_count++;
    struct scsi_nexus_config cfg = { .initiator_port = name,
                                     .target_port = "iqn.2001-04.com.example:target,t,0x0001",
                                     .target_device = "iqn.2001-04.com.example:target",
                                     .rel_target_port = rel_port,
                                     .target_port_group = rel_port,
                                     .protocol_id = 5,
                                     .transport_id = tid };
    cfg.transport_id_len = (uint16_t)pr_tid(tid, name, isid);
    r->nexus[n] = scsi_nexus_new(&cfg, &r->alloc);
    assert_non_null(r->nexus[n]);
    for (unsigned i = 0; i < r->unit_count; i++) {
        struct scsi_lane *lane = r->units[i].lanes[n % r->lane_count];
        assert_int_equal(scsi_nexus_map(r->nexus[n], i, lane, false), 0);
    }
    rig_pump(r);
    rig_clear_ua(r);
    return n;
}

#endif
