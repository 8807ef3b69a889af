/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/inq.h"

#include "base/bytes.h"
#include "initiator/probe.h"

#include <string.h>

/* ---- fields ---- */

/* The n bytes at p as text, without blanks at the end; what is not printable becomes '?'. */
static void text_field(struct report *r, const char *key, const char *label, const uint8_t *p,
                       size_t n)
{
    char text[256];
    if (n >= sizeof(text))
        n = sizeof(text) - 1;
    while (n && (p[n - 1] == ' ' || p[n - 1] == 0))
        n--;
    for (size_t i = 0; i < n; i++)
        text[i] = p[i] >= ' ' && p[i] < 0x7f ? (char)p[i] : '?';
    text[n] = '\0';
    report_text(r, key, label, text);
}

static void limit(struct report *r, const char *key, const char *label, uint64_t value)
{
    if (value || r->json)
        report_number(r, key, label, value, "blocks");
    else
        report_text(r, key, label, "not stated");
}

static const char *version_name(uint8_t version)
{
    switch (version) {
    case 0x03:
        return "SPC";
    case 0x04:
        return "SPC-2";
    case 0x05:
        return "SPC-3";
    case 0x06:
        return "SPC-4";
    case 0x07:
        return "SPC-5";
    case 0x0d:
        return "SPC-6";
    default:
        return version ? "another one" : "none";
    }
}

/* SPC-6 table 155; the last digits are the revision. */
static void version_descriptor(struct report *r, uint16_t v)
{
    static const struct {
        uint16_t base;
        const char *name;
    } names[] = { { 0x0080, "SAM-4" }, { 0x00a0, "SAM-5" }, { 0x00c0, "SAM-6" },
                  { 0x0300, "SPC-3" }, { 0x0320, "SBC-2" }, { 0x0460, "SPC-4" },
                  { 0x04c0, "SBC-3" }, { 0x05c0, "SPC-5" }, { 0x0600, "SBC-4" },
                  { 0x0960, "iSCSI" } };
    char text[32];
    const char *name = "";
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if ((v & ~0x1f) == names[i].base)
            name = names[i].name;
    }
    snprintf(text, sizeof(text), "%04xh%s%s", v, *name ? " " : "", name);
    report_text(r, NULL, NULL, text);
}

void inq_standard(struct report *r, const uint8_t *p, size_t len)
{
    report_text(r, "type", "device type", ini_type_name(p[0]));
    report_number(r, "qualifier", "peripheral qualifier", p[0] >> 5, NULL);
    text_field(r, "vendor", "vendor", p + 8, 8);
    text_field(r, "product", "product", p + 16, 16);
    text_field(r, "revision", "revision", p + 32, 4);
    report_text(r, "version", "standard", version_name(p[2]));
    report_bool(r, "removable", "removable medium", p[1] & 0x80);
    report_bool(r, "normaca", "NACA supported", p[3] & 0x20);
    report_bool(r, "hisup", "LUNs have a hierarchy", p[3] & 0x10);
    report_number(r, "tpgs", "target port group support", (p[5] >> 4) & 3, NULL);
    report_bool(r, "3pc", "third-party copy", p[5] & 0x08);
    report_bool(r, "protect", "protection information", p[5] & 0x01);
    report_bool(r, "multip", "several ports", p[6] & 0x10);
    report_bool(r, "cmdque", "command queueing", p[7] & 0x02);
    if (len < 60)
        return;
    report_begin_list(r, "version_descriptors", "version descriptors");
    for (size_t at = 58; at + 2 <= len && at < 74; at += 2) {
        if (be16_get(p + at))
            version_descriptor(r, be16_get(p + at));
    }
    report_end(r);
}

/* ---- pages ---- */

static void supported(struct report *r, const uint8_t *p, size_t len)
{
    report_begin_list(r, "pages", "pages that are there");
    for (size_t i = 4; i < len; i++) {
        char text[80];
        const char *name = inq_page_name(p[i]);
        snprintf(text, sizeof(text), "%02xh%s%s", p[i], name ? " " : "", name ? name : "");
        report_text(r, NULL, NULL, text);
    }
    report_end(r);
}

static void serial(struct report *r, const uint8_t *p, size_t len)
{
    text_field(r, "serial", "serial number", p + 4, len - 4);
}

static const char *const associations[] = { "logical unit", "target port", "target device",
                                            "reserved" };
static const char *const designator_types[16] = { "vendor specific",
                                                  "T10 vendor identification",
                                                  "EUI-64",
                                                  "NAA",
                                                  "relative target port",
                                                  "target port group",
                                                  "logical unit group",
                                                  "MD5 logical unit",
                                                  "SCSI name string",
                                                  "protocol specific",
                                                  "UUID",
                                                  NULL };

static void designator(struct report *r, const uint8_t *d, size_t len)
{
    const char *type = designator_types[d[1] & 0x0f];
    report_begin(r, NULL, "designator");
    report_text(r, "association", "of", associations[(d[1] >> 4) & 3]);
    report_text(r, "type", "type", type ? type : "reserved");
    uint8_t kind = d[1] & 0x0f;
    if ((d[0] & 0x0f) != 1 || kind == 1) { /* ASCII or UTF-8 */
        text_field(r, "value", "value", d + 4, len);
    } else if ((kind == 4 || kind == 5 || kind == 6) && len == 4) {
        report_number(r, "value", "value", be16_get(d + 6), NULL);
    } else {
        char hex[2 * 255 + 1] = "";
        for (size_t i = 0; i < len; i++)
            snprintf(hex + 2 * i, 3, "%02x", d[4 + i]);
        report_text(r, "value", "value", hex);
    }
    report_end(r);
}

static void designators(struct report *r, const uint8_t *p, size_t len)
{
    report_begin_list(r, "designators", NULL);
    for (size_t at = 4; at + 4 <= len && at + 4 + p[at + 3] <= len; at += 4u + p[at + 3])
        designator(r, p + at, p[at + 3]);
    report_end(r);
}

static void extended(struct report *r, const uint8_t *p, size_t len)
{
    if (len < 13)
        return;
    report_bool(r, "headsup", "head of queue supported", p[5] & 0x01);
    report_bool(r, "ordsup", "ordered attribute supported", p[5] & 0x02);
    report_bool(r, "simpsup", "simple attribute supported", p[5] & 0x04);
    report_bool(r, "prior_sup", "command priority supported", p[5] & 0x08);
    report_bool(r, "v_sup", "volatile cache supported", p[6] & 0x01);
    report_bool(r, "nv_sup", "non-volatile cache supported", p[6] & 0x02);
    report_bool(r, "wu_sup", "write uncorrectable supported", p[6] & 0x08);
    report_bool(r, "luiclr", "unit attention cleared by I_T nexus", p[7] & 0x01);
    report_number(r, "max_sense", "longest sense data", p[12], "bytes");
}

static void ports(struct report *r, const uint8_t *p, size_t len)
{
    report_begin_list(r, "ports", NULL);
    for (size_t at = 4; at + 12 <= len;) {
        size_t id = be16_get(p + at + 6), target = at + 8 + id;
        if (target + 4 > len)
            break;
        size_t n = be16_get(p + target + 2);
        report_begin(r, NULL, "port");
        report_number(r, "number", "relative number", be16_get(p + at + 2), NULL);
        report_begin_list(r, "designators", NULL);
        size_t end = target + 4 + n <= len ? target + 4 + n : len;
        for (size_t d = target + 4; d + 4 <= end && d + 4 + p[d + 3] <= end; d += 4u + p[d + 3])
            designator(r, p + d, p[d + 3]);
        report_end(r);
        report_end(r);
        at = end;
    }
    report_end(r);
}

/* SPC-6 7.7.11 */
static void mode_policy(struct report *r, const uint8_t *p, size_t len)
{
    static const char *const policies[] = { "shared", "one for each target port",
                                            "one for each initiator port",
                                            "one for each I_T nexus" };
    report_begin_list(r, "policies", NULL);
    for (size_t at = 4; at + 4 <= len; at += 4) {
        char page[32] = "all other mode pages";
        if ((p[at] & 0x3f) != 0x3f)
            snprintf(page, sizeof(page), "mode page %02xh/%02xh", p[at] & 0x3f, p[at + 1]);
        report_begin(r, NULL, page);
        if (r->json) {
            report_number(r, "page", NULL, p[at] & 0x3f, NULL);
            report_number(r, "subpage", NULL, p[at + 1], NULL);
        }
        report_text(r, "policy", "policy", policies[p[at + 2] & 3]);
        report_bool(r, "mlus", "shared by several units", p[at + 2] & 0x80);
        report_end(r);
    }
    report_end(r);
}

/* SPC-6 7.7.18: the descriptors by name, their fields as they are. */
static void third_party_copy(struct report *r, const uint8_t *p, size_t len)
{
    static const struct {
        uint16_t type;
        const char *name;
    } names[] = { { 0x0000, "limits of block device ROD tokens" },
                  { 0x0001, "commands" },
                  { 0x0004, "limits of a parameter list" },
                  { 0x0008, "segment and target descriptors" },
                  { 0x000c, "identifiers of copy sources and destinations" },
                  { 0x0106, "features of ROD tokens" },
                  { 0x0108, "types of ROD" },
                  { 0x8001, "limits of copy operations" },
                  { 0x9101, "limits of stream copies" },
                  { 0xc001, "held data" } };
    report_begin_list(r, "descriptors", NULL);
    for (size_t at = 4; at + 4 <= len && at + 4 + be16_get(p + at + 2) <= len;
         at += 4u + be16_get(p + at + 2)) {
        uint16_t type = be16_get(p + at);
        const char *name = "descriptor of another type";
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            name = names[i].type == type ? names[i].name : name;
        report_begin(r, NULL, name);
        report_number(r, "type", "type", type, NULL);
        if (r->json)
            report_text(r, "name", NULL, name);
        report_bytes(r, "bytes", "bytes", p + at + 4, be16_get(p + at + 2));
        report_end(r);
    }
    report_end(r);
}

static void block_limits(struct report *r, const uint8_t *p, size_t len)
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
}

static void characteristics(struct report *r, const uint8_t *p, size_t len)
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
        report_bool(r, "vbuls", "VERIFY of bytes works on unmapped blocks", p[8] & 0x01);
        report_bool(r, "fuab", "flush after use of the write buffer", p[8] & 0x02);
    }
}

static void provisioning(struct report *r, const uint8_t *p, size_t len)
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

static const struct {
    uint8_t page;
    const char *name;
    size_t min; /* bytes without which it is shown in hexadecimal */
    void (*print)(struct report *r, const uint8_t *p, size_t len);
} pages[] = {
    { 0x00, "Supported VPD Pages", 4, supported },
    { 0x80, "Unit Serial Number", 4, serial },
    { 0x83, "Device Identification", 4, designators },
    { 0x85, "Management Network Addresses", 0, NULL },
    { 0x86, "Extended INQUIRY Data", 13, extended },
    { 0x87, "Mode Page Policy", 4, mode_policy },
    { 0x88, "SCSI Ports", 4, ports },
    { 0x8a, "Power Condition", 0, NULL },
    { 0x8f, "Third-Party Copy", 4, third_party_copy },
    { 0xb0, "Block Limits", 16, block_limits },
    { 0xb1, "Block Device Characteristics", 8, characteristics },
    { 0xb2, "Logical Block Provisioning", 7, provisioning },
    { 0xb3, "Referrals", 0, NULL },
    { 0xb7, "Block Limits Extension", 0, NULL },
};

const char *inq_page_name(uint8_t page)
{
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        if (pages[i].page == page)
            return pages[i].name;
    }
    return NULL;
}

void inq_page(struct report *r, uint8_t page, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        if (pages[i].page == page && pages[i].print && len >= pages[i].min) {
            pages[i].print(r, p, len);
            return;
        }
    }
    report_bytes(r, "bytes", "bytes", p, len);
}
