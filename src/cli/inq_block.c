/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pages of vital product data that block devices have (SBC-4 6.6, ZBC-2 6.6). */
#include "cli/inq_field.h"

#include "base/bytes.h"

static void limit(struct report *r, const char *key, const char *label, uint64_t value)
{
    if (value || r->json)
        report_number(r, key, label, value, "blocks");
    else
        report_text(r, key, label, "not stated");
}

void inq_block_limits(struct report *r, const uint8_t *p, size_t len)
{
    limit(r, "max_compare_and_write", "longest COMPARE AND WRITE", p[5]);
    limit(r, "opt_transfer_granularity", "transfer granularity", be16_get(p + 6));
    limit(r, "max_transfer", "longest transfer", be32_get(p + 8));
    limit(r, "opt_transfer", "best transfer", be32_get(p + 12));
    report_bool(r, "wsnz", "WRITE SAME needs a length", p[4] & 0x01);
    if (len < 44)
        return;
    limit(r, "max_prefetch", "longest PRE-FETCH", be32_get(p + 16));
    limit(r, "max_unmap", "longest UNMAP", be32_get(p + 20));
    report_number(r, "max_unmap_descriptors", "descriptors of an UNMAP", be32_get(p + 24), NULL);
    limit(r, "unmap_granularity", "unmap granularity", be32_get(p + 28));
    if (p[32] & 0x80)
        report_number(r, "unmap_alignment", "unmap alignment", be32_get(p + 32) & INT32_MAX, NULL);
    limit(r, "max_write_same", "longest WRITE SAME", be64_get(p + 36));
    if (len < 64)
        return;
    limit(r, "max_atomic", "longest WRITE ATOMIC", be32_get(p + 44));
    limit(r, "atomic_alignment", "atomic alignment", be32_get(p + 48));
    limit(r, "atomic_granularity", "atomic granularity", be32_get(p + 52));
    limit(r, "max_atomic_with_boundary", "longest with a boundary", be32_get(p + 56));
    limit(r, "max_atomic_boundary", "largest atomic boundary", be32_get(p + 60));
}

void inq_characteristics(struct report *r, const uint8_t *p, size_t len)
{
    uint16_t rate = be16_get(p + 4);
    static const char *const forms[] = { "not stated", "5.25 inch", "3.5 inch",
                                         "2.5 inch",   "1.8 inch",  "less than 1.8 inch" };
    if (rate > 1 || r->json)
        report_number(r, "rotation_rate", "rotations a minute", rate, NULL);
    else
        report_text(r, "rotation_rate", "rotations a minute",
                    rate ? "none: it does not rotate" : "not stated");
    uint8_t form = p[7] & 0x0f;
    report_text(r, "form_factor", "form factor", form < 6 ? forms[form] : "reserved");
    if (len > 8) {
        static const char *const zoned[] = { "not stated", "host aware", "managed by the device",
                                             "reserved" };
        report_text(r, "zoned", "zones", zoned[p[8] >> 4 & 3]);
        report_bool(r, "bocs", "background operations control", p[8] & 0x04);
        report_bool(r, "vbuls", "VERIFY of bytes works on unmapped blocks", p[8] & 0x01);
        report_bool(r, "fuab", "flush after use of the write buffer", p[8] & 0x02);
    }
}

void inq_provisioning(struct report *r, const uint8_t *p, size_t len)
{
    static const char *const types[] = { "not stated", "resource provisioned", "thin provisioned" };
    uint8_t type = len > 6 ? p[6] & 7 : 0;
    report_bool(r, "lbpu", "UNMAP", p[5] & 0x80);
    report_bool(r, "lbpws", "WRITE SAME(16) may unmap", p[5] & 0x40);
    report_bool(r, "lbpws10", "WRITE SAME(10) may unmap", p[5] & 0x20);
    report_number(r, "lbprz", "unmapped blocks read as zeroes (LBPRZ)", (p[5] >> 2) & 7, NULL);
    report_bool(r, "anc_sup", "anchored blocks", p[5] & 0x02);
    report_text(r, "type", "provisioning", type < 3 ? types[type] : "reserved");
    report_number(r, "threshold_exponent", "threshold exponent", p[4], NULL);
}

/* SBC-4 6.6.8 */
void inq_referrals(struct report *r, const uint8_t *p, size_t len)
{
    static const struct inq_field fields[] = {
        { "segment_size", "user data segment", 8, INQ_U32, 0, "blocks" },
        { "segment_multiplier", "user data segment multiplier", 12, INQ_U32, 0, NULL },
        { 0 },
    };
    inq_fields(r, fields, p, len);
}

/* A list: of each block length what protection there is. */
void inq_block_lengths(struct report *r, const uint8_t *p, size_t len)
{
    report_begin_list(r, "lengths", NULL);
    for (size_t at = 4; at + 8 <= len; at += 8) {
        const uint8_t *d = p + at;
        report_begin(r, NULL, "block length");
        report_number(r, "bytes", "size", be32_get(d), "bytes");
        report_bool(r, "p_i_i_sup", "protection information intervals", d[4] & 0x40);
        report_bool(r, "no_pi_chk", "protection information not checked", d[4] & 0x08);
        report_bool(r, "grd_chk", "guard checked", d[4] & 0x04);
        report_bool(r, "app_chk", "application tag checked", d[4] & 0x02);
        report_bool(r, "ref_chk", "reference tag checked", d[4] & 0x01);
        report_begin_list(r, "protection_types", "protection types");
        for (unsigned type = 0; type < 4; type++) {
            char text[4];
            (void)snprintf(text, sizeof(text), "%u", type);
            if (d[5] & 1u << type)
                report_text(r, NULL, NULL, text);
        }
        report_end(r);
        report_end(r);
    }
    report_end(r);
}

void inq_utilization(struct report *r, const uint8_t *p, size_t len)
{
    static const struct inq_field fields[] = {
        { "utilization_type", "utilization type", 5, INQ_U8, 0xff, NULL },
        { "utilization_units", "utilization units", 6, INQ_U8, 0xff, NULL },
        { "utilization_interval", "utilization interval", 7, INQ_U8, 0xff, NULL },
        { "utilization_b", "utilization B", 8, INQ_U32, 0, NULL },
        { "utilization_a", "utilization A", 12, INQ_U32, 0, NULL },
        { 0 },
    };
    inq_fields(r, fields, p, len);
}

void inq_zoned(struct report *r, const uint8_t *p, size_t len)
{
    static const struct inq_field fields[] = {
        { "urswrz", "reads behind write pointers", 4, INQ_FLAG, 0x01, NULL },
        { "open_preferred", "best number of open preferred zones", 8, INQ_U32, 0, NULL },
        { "random_preferred", "best number of preferred zones written at random", 12, INQ_U32, 0,
          NULL },
        { "open_required", "most open required zones", 16, INQ_U32, 0, NULL },
        { 0 },
    };
    inq_fields(r, fields, p, len);
}

void inq_limits_extension(struct report *r, const uint8_t *p, size_t len)
{
    static const struct inq_field fields[] = {
        { "max_streams", "most streams", 6, INQ_U16, 0, NULL },
        { "opt_stream_write", "best stream write", 8, INQ_U16, 0, "blocks" },
        { "stream_granularity", "stream granularity", 10, INQ_U32, 0, NULL },
        { "max_scattered_range", "longest scattered range", 16, INQ_U32, 0, "blocks" },
        { "max_scattered_descriptors", "descriptors of a scattered write", 22, INQ_U16, 0, NULL },
        { "max_scattered", "longest scattered write", 24, INQ_U32, 0, "blocks" },
        { 0 },
    };
    inq_fields(r, fields, p, len);
}

/* SBC-5 6.6: formats that the unit can be given. */
void inq_format_presets(struct report *r, const uint8_t *p, size_t len)
{
    report_begin_list(r, "presets", NULL);
    for (size_t at = 4; at + 64 <= len; at += 64) {
        const uint8_t *d = p + at;
        report_begin(r, NULL, "preset");
        report_number(r, "identifier", "identifier", be32_get(d), NULL);
        report_number(r, "schema", "schema", d[4], NULL);
        report_number(r, "lbppbe", "logical blocks in a physical one, as a power of two",
                      d[7] & 0x0f, NULL);
        report_number(r, "block_bytes", "block", be32_get(d + 8), "bytes");
        report_number(r, "last_lba", "last block", be64_get(d + 16), NULL);
        report_number(r, "fmtpinfo", "FMTPINFO", d[38] >> 6, NULL);
        report_number(r, "protection_usage", "protection field usage", d[38] & 7, NULL);
        report_number(r, "p_i_exponent", "protection intervals, as a power of two", d[39] & 0x0f,
                      NULL);
        report_end(r);
    }
    report_end(r);
}

/* SBC-5 6.6: parts of the unit with heads of their own. */
void inq_positioning(struct report *r, const uint8_t *p, size_t len)
{
    report_begin_list(r, "ranges", NULL);
    for (size_t at = 64; at + 32 <= len; at += 32) {
        report_begin(r, NULL, "range");
        report_number(r, "number", "number", p[at], NULL);
        report_number(r, "elements", "storage elements", p[at + 1], NULL);
        report_number(r, "first_lba", "first block", be64_get(p + at + 8), NULL);
        report_number(r, "blocks", "size", be64_get(p + at + 16), "blocks");
        report_end(r);
    }
    report_end(r);
}
