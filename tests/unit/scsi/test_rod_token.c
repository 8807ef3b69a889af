/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* POPULATE TOKEN, WRITE USING TOKEN, RECEIVE ROD TOKEN INFORMATION, and VPD page 8Fh. */
#include "copy_test.h"

struct range {
    uint64_t lba;
    uint32_t blocks;
};

static size_t put_ranges(uint8_t *p, const struct range *ranges, unsigned n)
{
    memset(p, 0, n * 16);
    for (unsigned i = 0; i < n; i++) {
        be64_put(p + 16 * i, ranges[i].lba);
        be32_put(p + 16 * i + 8, ranges[i].blocks);
    }
    return n * 16;
}

/* rod_type 0: the copy manager's choice. */
static struct rig_result populate(struct rig *r, unsigned who, unsigned lun, uint32_t id,
                                  uint32_t rod_type, const struct range *ranges, unsigned n)
{
    uint8_t list[16 + 70 * 16] = { 0 }, cdb[SCSI_CDB_MAX] = { 0x83, 0x10 };
    size_t len = 16 + put_ranges(list + 16, ranges, n);
    be16_put(list, (uint16_t)(len - 2));
    list[2] = rod_type ? 0x02 : 0;
    be32_put(list + 8, rod_type);
    be16_put(list + 14, (uint16_t)(n * 16));
    be32_put(cdb + 6, id);
    be32_put(cdb + 10, (uint32_t)len);
    return rig_cmd_lun(r, who, (uint64_t)lun << 48, cdb, 16, list, len, 0);
}

static struct rig_result use(struct rig *r, unsigned who, unsigned lun, uint32_t id, uint8_t flags,
                             uint64_t offset, const uint8_t *token, const struct range *ranges,
                             unsigned n)
{
    uint8_t list[536 + 70 * 16] = { 0 }, cdb[SCSI_CDB_MAX] = { 0x83, 0x11 };
    size_t len = 536 + put_ranges(list + 536, ranges, n);
    be16_put(list, (uint16_t)(len - 2));
    list[2] = flags;
    be64_put(list + 8, offset);
    memcpy(list + 16, token, ROD_TOKEN_BYTES);
    be16_put(list + 534, (uint16_t)(n * 16));
    be32_put(cdb + 6, id);
    be32_put(cdb + 10, (uint32_t)len);
    return rig_cmd_lun(r, who, (uint64_t)lun << 48, cdb, 16, list, len, 0);
}

static struct rig_result info(struct rig *r, unsigned who, unsigned lun, uint32_t id)
{
    return copy_in(r, who, lun, COPY_IN_ROD_TOKEN_INFO, id, 1024);
}

/* POPULATE TOKEN on unit 0 and what RECEIVE ROD TOKEN INFORMATION hands out. */
static void make(struct rig *r, const struct range *ranges, unsigned n,
                 uint8_t ret_token[ROD_TOKEN_BYTES])
{
    assert_good(populate(r, 0, 0, 77, 0, ranges, n));
    struct rig_result res = info(r, 0, 0, 77);
    assert_good(res);
    assert_int_equal(be32_get(res.in + 32), 514);
    memcpy(ret_token, res.in + 38, ROD_TOKEN_BYTES);
}

/* ---- round trip ---- */

static void from_one_unit_to_another(void **state)
{
    (void)state;
    struct rig *r = copy_rig(2);
    uint8_t token[ROD_TOKEN_BYTES];
    const struct range src[] = { { 100, 10 }, { 50, 5 }, { 0, 0 }, { 2000, 48 } };
    const struct range dst[] = { { 0, 3 }, { 1000, 60 } };
    make(r, src, 4, token);
    assert_good(use(r, 0, 1, 5, 0, 0, token, dst, 2));
    /* 63 blocks of the ROD, in its order, over two ranges */
    assert_true(copied(r, 1, 0, 100, 3));
    assert_true(copied(r, 1, 1000, 103, 7));
    assert_true(copied(r, 1, 1007, 50, 5));
    assert_true(copied(r, 1, 1012, 2000, 48));
    assert_true(test_all(r->units[1].disk + 1060 * 512, 0, 512));
    struct rig_result res = info(r, 0, 1, 5);
    assert_good(res);
    assert_int_equal(res.in_len, 36);
    assert_int_equal(be32_get(res.in), 32);
    assert_int_equal(res.in[4], 0x11);
    assert_int_equal(res.in[5], 0x01);
    assert_int_equal(res.in[12], SCSI_STATUS_GOOD);
    assert_int_equal(res.in[15], 0xf1);
    assert_int_equal(be64_get(res.in + 16), 63);
    assert_int_equal(be32_get(res.in + 32), 0); /* no token */
    /* another initiator may use it too, and it can be used again */
    assert_good(use(r, 1, 1, 5, 0, 0, token, &(struct range){ 500, 10 }, 1));
    assert_true(copied(r, 1, 500, 100, 10));
    rig_free(r);
}

static void the_token(void **state)
{
    (void)state;
    struct rig *r = copy_rig(1);
    const struct range src = { 100, 10 };
    uint8_t ident[COPY_CSCD_BYTES];
    assert_good(populate(r, 0, 0, 0xdeadbeef, 0, &src, 1));
    struct rig_result res = info(r, 0, 0, 0xdeadbeef);
    assert_good(res);
    assert_int_equal(res.in_len, 36 + 514);
    assert_int_equal(be32_get(res.in), 32 + 514);
    assert_int_equal(res.in[4], 0x10);
    assert_int_equal(res.in[5], 0x01);
    assert_int_equal(be64_get(res.in + 16), 10);
    const uint8_t *token = res.in + 38;
    assert_int_equal(be32_get(token), 0x00800001); /* point in time - change vulnerable */
    assert_int_equal(be16_get(token + 6), 0x01f8);
    cscd_ident(ident, r, 0);
    assert_memory_equal(token + 16, ident, COPY_CSCD_BYTES);
    assert_int_equal(be64_get(token + 48), 0);
    assert_int_equal(be64_get(token + 56), 5120);
    assert_int_equal(be32_get(token + 96), 512);
    assert_cdb_field(info(r, 0, 0, 0xdeadbeee), 2, 7);
    /* the status is there for as long as the identifier is not used again */
    assert_good(info(r, 0, 0, 0xdeadbeef));
    rig_free(r);
}

static void an_offset_into_the_rod(void **state)
{
    (void)state;
    struct rig *r = copy_rig(1);
    uint8_t token[ROD_TOKEN_BYTES];
    const struct range src[] = { { 100, 10 }, { 50, 5 } };
    make(r, src, 2, token);
    assert_good(use(r, 0, 1, 5, 0, 8, token, &(struct range){ 0, 4 }, 1));
    assert_true(copied(r, 1, 0, 108, 2));
    assert_true(copied(r, 1, 2, 50, 2));
    /* more than is left of it: as far as it goes */
    assert_good(use(r, 0, 1, 5, 0, 12, token, &(struct range){ 20, 10 }, 1));
    assert_true(copied(r, 1, 20, 52, 3));
    assert_true(test_all(r->units[1].disk + 23 * 512, 0, 7 * 512));
    struct rig_result res = info(r, 0, 1, 5);
    assert_int_equal(res.in[5], 0x03); /* with residual data */
    assert_int_equal(be64_get(res.in + 16), 3);
    /* nothing is left of it */
    assert_param_field(use(r, 0, 1, 5, 0, 15, token, &(struct range){ 0, 1 }, 1), 8, 7);
    assert_param_field(use(r, 0, 1, 5, 0, UINT64_MAX, token, &(struct range){ 0, 1 }, 1), 8, 7);
    rig_free(r);
}

static void zeroes(void **state)
{
    (void)state;
    struct rig *r = copy_rig(1);
    uint8_t token[ROD_TOKEN_BYTES] = { 0xff, 0xff, 0x00, 0x01, 0, 0, 0x01, 0xf8 };
    const struct range dst[] = { { 10, 20 }, { 40, 0 }, { 2047, 1 } };
    assert_good(use(r, 0, 0, 5, 0, 0, token, dst, 3));
    assert_true(copied(r, 0, 0, 0, 10));
    assert_true(test_all(r->units[0].disk + 10 * 512, 0, 20 * 512));
    assert_true(copied(r, 0, 30, 30, 2017));
    assert_true(test_all(r->units[0].disk + 2047 * 512, 0, 512));
    assert_int_equal(be64_get(info(r, 0, 0, 5).in + 16), 21);
    rig_free(r);
}

/* ---- what makes a token invalid ---- */

static void written_since(void **state)
{
    (void)state;
    const struct range src[] = { { 100, 10 }, { 50, 5 } };
    static const struct {
        uint64_t lba;
        bool kills;
    } cases[] = { { 99, false }, { 100, true }, { 109, true }, { 110, false }, { 49, false },
                  { 50, true },  { 54, true },  { 55, false }, { 75, false },  { 0, false } };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rig *r = copy_rig(1);
        uint8_t token[ROD_TOKEN_BYTES], block[512] = { 1 };
        make(r, src, 2, token);
        assert_good(test_out(r, 0x2a, 0, cases[i].lba, 1, block, 512));
        struct rig_result res = use(r, 0, 1, 5, 0, 0, token, &(struct range){ 0, 15 }, 1);
        if (cases[i].kills) {
            assert_sense(res, SENSE_TOKEN_REVOKED);
            res = info(r, 0, 1, 5);
            assert_int_equal(res.in[5], 0x02);
            assert_int_equal(be64_get(res.in + 16), 0);
            assert_int_equal(res.in[13], res.in[14]);
            assert_int_equal(res.in[32 + 2], SENSE_KEY_ILLEGAL_REQUEST);
            assert_true(test_all(r->units[1].disk, 0, 15 * 512));
        } else {
            assert_good(res);
            assert_true(copied(r, 1, 0, 100, 10));
        }
        rig_free(r);
    }
}

/* The end of the unit is cut off and comes back: whatever is there then, it was not populated. */
static void cut_off_since(void **state)
{
    (void)state;
    for (uint64_t size = 109; size <= 110; size++) { /* the last block of the range is 109 */
        struct rig *r = copy_rig(1);
        struct scsi_lane *lane = r->units[0].lanes[0];
        uint8_t token[ROD_TOKEN_BYTES];
        make(r, &(struct range){ 100, 10 }, 1, token);
        assert_int_equal(scsi_lu_set_block_count(lane, size), 0);
        assert_int_equal(scsi_lu_set_block_count(lane, 2048), 0);
        rig_clear_ua(r);
        struct rig_result res = use(r, 0, 1, 5, 0, 0, token, &(struct range){ 0, 10 }, 1);
        if (size == 109)
            assert_sense(res, SENSE_TOKEN_REVOKED);
        else
            assert_good(res);
        rig_free(r);
    }
}

/* Every kind of change counts, and reading does not. */
static void changed_in_any_way(void **state)
{
    (void)state;
    uint8_t out[2 * 512] = { 1 };
    for (unsigned i = 0; i < 5; i++) {
        struct rig *r = test_rig(&(struct rig_config){ .units = 2, .lu.thin = true });
        uint8_t token[ROD_TOKEN_BYTES];
        test_fill_disk(r);
        make(r, &(struct range){ 100, 10 }, 1, token);
        bool kills = i != 0;
        uint8_t unmap[24] = { 0, 22, 0, 16 };
        uint8_t caw[SCSI_CDB_MAX] = { 0x89, [9] = 100, [13] = 1 };
        be64_put(unmap + 8, 95);
        be32_put(unmap + 16, 100);
        switch (i) {
        case 0:
            assert_good(test_in(r, 0x28, 0, 100, 10, 5120));
            assert_good(rig_cmd(r, 0, CDB(0x35), NULL, 0, 0));
            break;
        case 1:
            assert_good(rig_cmd(r, 0, CDB(0x42, [8] = 24), unmap, 24, 0));
            break;
        case 2:
            assert_good(test_out(r, 0x93, 0, 105, 1, out, 512)); /* WRITE SAME */
            break;
        case 3:
            memcpy(out, r->units[0].disk + 100 * 512, 512);
            assert_good(rig_cmd(r, 0, caw, 16, out, 1024, 0));
            break;
        default: { /* a copy onto it */
            uint8_t zero[ROD_TOKEN_BYTES] = { 0xff, 0xff, 0x00, 0x01, 0, 0, 0x01, 0xf8 };
            assert_good(use(r, 0, 0, 6, 0, 0, zero, &(struct range){ 109, 1 }, 1));
        }
        }
        struct rig_result res = use(r, 0, 1, 5, 0, 0, token, &(struct range){ 0, 10 }, 1);
        if (kills)
            assert_sense(res, SENSE_TOKEN_REVOKED);
        else
            assert_good(res);
        rig_free(r);
    }
}

/* A write that comes between the read of a piece and its use. */
static void written_while_it_is_used(void **state)
{
    (void)state;
    struct rig *r = copy_rig(2);
    uint8_t token[ROD_TOKEN_BYTES], list[536 + 16] = { 0 }, block[512] = { 1 };
    make(r, &(struct range){ 100, 10 }, 1, token);
    be16_put(list, sizeof(list) - 2);
    memcpy(list + 16, token, ROD_TOKEN_BYTES);
    be16_put(list + 534, 16);
    put_ranges(list + 536, &(struct range){ 0, 10 }, 1);
    uint8_t cdb[SCSI_CDB_MAX] = { 0x83, 0x11 };
    be32_put(cdb + 10, sizeof(list));
    r->stop_at = 1u << SCSI_WANT_IO;
    struct rig_task *rt = rig_start(r, 0, SCSI_ATTR_SIMPLE, 1, cdb, 16, list, sizeof(list), 0);
    assert_int_equal(rt->t.bio.op, BIO_READ);
    r->stop_at = 0;
    test_cdb(cdb, 0x2a, 0, 103, 1);
    assert_good(rig_cmd(r, 1, cdb, 16, block, 512, 0));
    rig_go(rt);
    assert_sense(rig_end(rt), SENSE_TOKEN_REVOKED);
    rig_free(r);
}

static void deleted(void **state)
{
    (void)state;
    struct rig *r = copy_rig(1);
    uint8_t token[ROD_TOKEN_BYTES];
    make(r, &(struct range){ 100, 10 }, 1, token);
    struct rig_result all = copy_in(r, 0, 0, COPY_IN_ALL_ROD_TOKENS, 0, 1024);
    assert_good(all);
    assert_int_equal(be32_get(all.in), 4 + 96);
    assert_memory_equal(all.in + 8, token, 96);
    assert_good(use(r, 0, 1, 5, 0x02, 0, token, &(struct range){ 0, 10 }, 1)); /* DEL_TKN */
    assert_true(copied(r, 1, 0, 100, 10));
    assert_sense(use(r, 0, 1, 5, 0, 0, token, &(struct range){ 20, 10 }, 1), SENSE_TOKEN_REVOKED);
    all = copy_in(r, 0, 0, COPY_IN_ALL_ROD_TOKENS, 0, 1024);
    assert_int_equal(be32_get(all.in), 4);
    rig_free(r);
}

static void there_are_only_so_many(void **state)
{
    (void)state;
    struct rig *r = copy_rig(1);
    uint8_t first[ROD_TOKEN_BYTES], second[ROD_TOKEN_BYTES], token[ROD_TOKEN_BYTES];
    make(r, &(struct range){ 0, 1 }, 1, first);
    make(r, &(struct range){ 1, 1 }, 1, second);
    for (unsigned i = 2; i < ROD_TOKENS_MAX; i++)
        make(r, &(struct range){ i, 1 }, 1, token);
    /* the first is used, so the second is the one that goes */
    assert_good(use(r, 0, 1, 5, 0, 0, first, &(struct range){ 0, 1 }, 1));
    make(r, &(struct range){ 100, 1 }, 1, token);
    assert_good(use(r, 0, 1, 5, 0, 0, first, &(struct range){ 0, 1 }, 1));
    assert_sense(use(r, 0, 1, 5, 0, 0, second, &(struct range){ 0, 1 }, 1), SENSE_INVALID_TOKEN);
    assert_good(use(r, 0, 1, 5, 0, 0, token, &(struct range){ 0, 1 }, 1));
    assert_true(copied(r, 1, 0, 100, 1));
    rig_free(r);
}

/* ---- refusals ---- */

static void tokens_that_are_none(void **state)
{
    (void)state;
    struct rig *r = copy_rig(1);
    uint8_t token[ROD_TOKEN_BYTES];
    const struct range dst = { 0, 10 };
    static const struct {
        unsigned at;
        uint32_t kaq;
    } cases[] = {
        { 0, SENSE_UNSUPPORTED_TOKEN_TYPE }, { 3, SENSE_UNSUPPORTED_TOKEN_TYPE },
        { 7, SENSE_TOKEN_CORRUPT },          { 15, SENSE_INVALID_TOKEN },
        { 16 + 8, SENSE_INVALID_TOKEN },
    };
    make(r, &(struct range){ 100, 10 }, 1, token);
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        token[cases[i].at] ^= 0x40;
        assert_sense(use(r, 0, 1, 5, 0, 0, token, &dst, 1), cases[i].kaq);
        token[cases[i].at] ^= 0x40;
    }
    assert_true(test_all(r->units[1].disk, 0, 10 * 512));
    assert_good(use(r, 0, 1, 5, 0, 0, token, &dst, 1));
    rig_free(r);
}

static void ranges(void **state)
{
    (void)state;
    struct rig *r = test_rig(&(struct rig_config){ .lu.block_count = 1024 * 1024 });
    struct range many[70];
    for (unsigned i = 0; i < 70; i++)
        many[i] = (struct range){ 10 * i, 1 };
    assert_good(populate(r, 0, 0, 1, 0, many, ROD_RANGES_MAX));
    assert_sense(populate(r, 0, 0, 1, 0, many, ROD_RANGES_MAX + 1),
                 SENSE_TOO_MANY_SEGMENT_DESCRIPTORS);
    assert_param_field(populate(r, 0, 0, 1, 0, many, 0), 0, 7);
    /* past the end */
    assert_info(populate(r, 0, 0, 1, 0, &(struct range){ 1024 * 1024, 1 }, 1),
                SENSE_LBA_OUT_OF_RANGE, 1024 * 1024);
    assert_sense(populate(r, 0, 0, 1, 0, &(struct range){ UINT64_MAX, 2 }, 1),
                 SENSE_LBA_OUT_OF_RANGE);
    /* twice the same block */
    const struct range twice[] = { { 10, 5 }, { 20, 5 }, { 14, 6 } };
    assert_param_field(populate(r, 0, 0, 1, 0, twice, 3), 48, 7);
    const struct range touching[] = { { 10, 5 }, { 20, 5 }, { 15, 5 } };
    assert_good(populate(r, 0, 0, 1, 0, touching, 3));
    /* MAXIMUM TOKEN TRANSFER SIZE */
    assert_good(populate(r, 0, 0, 1, 0, &(struct range){ 0, 512 * 1024 }, 1));
    assert_param_field(populate(r, 0, 0, 1, 0, &(struct range){ 0, 512 * 1024 + 1 }, 1), 24, 7);
    /* nothing at all */
    assert_param_field(populate(r, 0, 0, 1, 0, &(struct range){ 5, 0 }, 1), 24, 7);
    rig_free(r);
}

static void types_lengths_and_times(void **state)
{
    (void)state;
    struct rig *r = copy_rig(1);
    const struct range src = { 100, 10 };
    assert_good(populate(r, 0, 0, 1, 0x00800000, &src, 1));
    assert_good(populate(r, 0, 0, 1, 0x00800001, &src, 1));
    assert_good(populate(r, 0, 0, 1, 0x0080ffff, &src, 1));
    assert_param_field(populate(r, 0, 0, 1, 0x00800002, &src, 1), 8, 7); /* persistent */
    assert_param_field(populate(r, 0, 0, 1, 0x00010000, &src, 1), 8, 7);
    uint8_t list[32] = { 0, 30, 0, 0, [14] = 0, 16, [23] = 100, [27] = 10 };
    assert_good(copy_out(r, 0, 0, 0x10, list, 0));
    assert_good(copy_out(r, 0, 0, 0x10, list, 32));
    for (size_t len = 1; len < 16; len++)
        assert_sense(copy_out(r, 0, 0, 0x10, list, len), SENSE_PARAMETER_LIST_LENGTH_ERROR);
    for (size_t len = 16; len < 32; len++)
        assert_param_field(copy_out(r, 0, 0, 0x10, list, len), 0, 7);
    list[15] = 15;
    assert_param_field(copy_out(r, 0, 0, 0x10, list, 32), 14, 7);
    list[15] = 17;
    assert_param_field(copy_out(r, 0, 0, 0x10, list, 32), 14, 7);
    list[15] = 16;
    be32_put(list + 4, ROD_TIMEOUT_MAX + 1);
    assert_param_field(copy_out(r, 0, 0, 0x10, list, 32), 4, 7);
    uint8_t use_list[552] = { 0x02, 0x26, [534] = 0, 16 };
    for (size_t len = 1; len < 536; len += 89)
        assert_sense(copy_out(r, 0, 0, 0x11, use_list, len), SENSE_PARAMETER_LIST_LENGTH_ERROR);
    assert_good(copy_out(r, 0, 0, 0x11, use_list, 0));
    use_list[535] = 17;
    assert_param_field(copy_out(r, 0, 0, 0x11, use_list, 552), 534, 7);
    rig_free(r);
}

/* Rights: making one is reading, using one is writing. */
static void reservations(void **state)
{
    (void)state;
    struct rig *r = copy_rig(3);
    uint8_t token[ROD_TOKEN_BYTES];
    const struct range src = { 100, 10 };
    make(r, &src, 1, token);
    assert_good(pr_register(r, 1, 0, KEY_A));
    assert_good(pr_reserve(r, 1, KEY_A, SCSI_PR_WE));
    assert_good(populate(r, 2, 0, 1, 0, &src, 1));
    assert_conflict(use(r, 2, 0, 1, 0, 0, token, &(struct range){ 500, 10 }, 1));
    assert_good(use(r, 2, 1, 1, 0, 0, token, &(struct range){ 500, 10 }, 1));
    assert_good(pr_preempt(r, 1, SCSI_PR_EA, KEY_A, KEY_A));
    assert_conflict(populate(r, 2, 0, 1, 0, &src, 1));
    /* the token does not open what the reservation closed since */
    assert_sense(use(r, 2, 1, 1, 0, 0, token, &(struct range){ 600, 10 }, 1),
                 SENSE_THIRD_PARTY_DEVICE_FAILURE);
    assert_good(use(r, 1, 1, 1, 0, 0, token, &(struct range){ 600, 10 }, 1));
    rig_free(r);
}

/* ---- VPD page 8Fh ---- */

static const uint8_t *tpc_find(const uint8_t *page, size_t len, uint16_t type)
{
    size_t at = 4;
    while (at < len) {
        assert_int_equal(be16_get(page + at + 2) % 4, 0);
        if (be16_get(page + at) == type)
            return page + at;
        at += 4u + be16_get(page + at + 2);
    }
    assert_int_equal(at, len);
    return NULL;
}

static void third_party_copy_page(void **state)
{
    (void)state;
    struct rig *r = copy_rig(1);
    struct rig_result res = rig_cmd(r, 0, CDB(0x12, 1, 0x8f, 4, 0), NULL, 0, 1024);
    assert_good(res);
    assert_int_equal(res.in[1], 0x8f);
    assert_int_equal(be16_get(res.in + 2), res.in_len - 4);
    const uint8_t *d = tpc_find(res.in, res.in_len, 0x0000);
    assert_non_null(d);
    assert_int_equal(be16_get(d + 2), 32);
    assert_int_equal(be16_get(d + 10), ROD_RANGES_MAX);
    assert_int_equal(be64_get(d + 20), 512 * 1024);
    assert_int_equal(be64_get(d + 28), 128 * 1024);
    d = tpc_find(res.in, res.in_len, 0x0001);
    static const uint8_t commands[] = { 0x83, 5, 0x00, 0x01, 0x10, 0x11, 0x1c, /**/
                                        0x84, 7, 0x00, 0x01, 0x03, 0x04, 0x05, 0x07, 0x08 };
    assert_non_null(d);
    assert_int_equal(d[4], sizeof(commands));
    assert_memory_equal(d + 5, commands, sizeof(commands));
    d = tpc_find(res.in, res.in_len, 0x0004);
    assert_non_null(d);
    assert_int_equal(be16_get(d + 2), 28);
    assert_int_equal(be16_get(d + 8), COPY_CSCD_MAX);
    assert_int_equal(be32_get(d + 12), COPY_DESCRIPTORS_MAX);
    d = tpc_find(res.in, res.in_len, 0x0008);
    assert_non_null(d);
    assert_int_equal(be24_get(d + 4), 0x0202e4);
    d = tpc_find(res.in, res.in_len, 0x000c);
    assert_non_null(d);
    assert_int_equal(be32_get(d + 4), 0x0002ffff);
    d = tpc_find(res.in, res.in_len, 0x0106);
    assert_non_null(d);
    assert_int_equal(be16_get(d + 2), 44 + 48);
    assert_int_equal(be16_get(d + 46), 48);
    assert_int_equal(be16_get(d + 50), 44);
    assert_int_equal(be64_get(d + 56), ROD_TRANSFER_BYTES_MAX);
    d = tpc_find(res.in, res.in_len, 0x0108);
    assert_non_null(d);
    assert_int_equal(be16_get(d + 6), 4 * 64);
    assert_int_equal(be32_get(d + 8 + 64), 0x00800001);
    assert_int_equal(d[8 + 64 + 4], 0x03);
    assert_int_equal(be32_get(d + 8 + 3 * 64), 0xffff0001);
    assert_int_equal(d[8 + 3 * 64 + 4], 0x02);
    d = tpc_find(res.in, res.in_len, 0x8001);
    assert_non_null(d);
    assert_int_equal(be16_get(d + 2), 32);
    assert_int_equal(be32_get(d + 12), 0xffff * 512);
    assert_null(tpc_find(res.in, res.in_len, 0x7777));
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_one_unit_to_another),
        cmocka_unit_test(the_token),
        cmocka_unit_test(an_offset_into_the_rod),
        cmocka_unit_test(zeroes),
        cmocka_unit_test(written_since),
        cmocka_unit_test(cut_off_since),
        cmocka_unit_test(changed_in_any_way),
        cmocka_unit_test(written_while_it_is_used),
        cmocka_unit_test(deleted),
        cmocka_unit_test(there_are_only_so_many),
        cmocka_unit_test(tokens_that_are_none),
        cmocka_unit_test(ranges),
        cmocka_unit_test(types_lengths_and_times),
        cmocka_unit_test(reservations),
        cmocka_unit_test(third_party_copy_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
