/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/inq.h"
#include "cli/inq_field.h"

#include "base/bytes.h"
#include "initiator/probe.h"

#include <string.h>

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
    inq_text(r, "vendor", "vendor", p + 8, 8);
    inq_text(r, "product", "product", p + 16, 16);
    inq_text(r, "revision", "revision", p + 32, 4);
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
    inq_text(r, "serial", "serial number", p + 4, len - 4);
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
        inq_text(r, "value", "value", d + 4, len);
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

/* SPC-6 7.7.7 */
static void extended(struct report *r, const uint8_t *p, size_t len)
{
    static const struct inq_field fields[] = {
        { "grd_chk", "guard checked", 4, INQ_FLAG, 0x04, NULL },
        { "app_chk", "application tag checked", 4, INQ_FLAG, 0x02, NULL },
        { "ref_chk", "reference tag checked", 4, INQ_FLAG, 0x01, NULL },
        { "uask_sup", "unit attention condition sense key specific data", 5, INQ_FLAG, 0x20, NULL },
        { "group_sup", "group numbers supported", 5, INQ_FLAG, 0x10, NULL },
        { "prior_sup", "command priority supported", 5, INQ_FLAG, 0x08, NULL },
        { "headsup", "head of queue supported", 5, INQ_FLAG, 0x04, NULL },
        { "ordsup", "ordered attribute supported", 5, INQ_FLAG, 0x02, NULL },
        { "simpsup", "simple attribute supported", 5, INQ_FLAG, 0x01, NULL },
        { "wu_sup", "write uncorrectable supported", 6, INQ_FLAG, 0x08, NULL },
        { "crd_sup", "correction disable supported", 6, INQ_FLAG, 0x04, NULL },
        { "nv_sup", "non-volatile cache supported", 6, INQ_FLAG, 0x02, NULL },
        { "v_sup", "volatile cache supported", 6, INQ_FLAG, 0x01, NULL },
        { "no_pi_chk", "protection information not checked", 7, INQ_FLAG, 0x20, NULL },
        { "p_i_i_sup", "protection information intervals", 7, INQ_FLAG, 0x10, NULL },
        { "luiclr", "unit attention cleared by I_T nexus", 7, INQ_FLAG, 0x01, NULL },
        { "r_sup", "referrals supported", 8, INQ_FLAG, 0x10, NULL },
        { "rtd_sup", "revert to defaults supported", 8, INQ_FLAG, 0x08, NULL },
        { "hssrelef", "history snapshots released by another nexus", 8, INQ_FLAG, 0x02, NULL },
        { "microcode_nexus", "microcode by several nexuses", 9, INQ_U8, 0x0f, NULL },
        { "self_test", "extended self-test", 10, INQ_U16, 0, "minutes" },
        { "poa_sup", "power on activation supported", 12, INQ_FLAG, 0x80, NULL },
        { "hra_sup", "hard reset activation supported", 12, INQ_FLAG, 0x40, NULL },
        { "vsa_sup", "vendor specific activation supported", 12, INQ_FLAG, 0x20, NULL },
        { "max_sense", "longest sense data", 13, INQ_U8, 0xff, "bytes" },
        { 0 },
    };
    inq_fields(r, fields, p, len);
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

static const struct {
    uint8_t page;
    const char *name;
    size_t min; /* bytes without which it is shown in hexadecimal */
    void (*print)(struct report *r, const uint8_t *p, size_t len);
} pages[] = {
    { 0x00, "Supported VPD Pages", 4, supported },
    { 0x80, "Unit Serial Number", 4, serial },
    { 0x83, "Device Identification", 4, designators },
    { 0x84, "Software Interface Identification", 4, inq_software },
    { 0x85, "Management Network Addresses", 4, inq_management },
    { 0x86, "Extended INQUIRY Data", 8, extended },
    { 0x87, "Mode Page Policy", 4, mode_policy },
    { 0x88, "SCSI Ports", 4, ports },
    { 0x89, "ATA Information", 36, inq_ata },
    { 0x8a, "Power Condition", 8, inq_power },
    { 0x8b, "Device Constituents", 4, inq_constituents },
    { 0x8c, "CFA Profile Information", 4, inq_cfa_profiles },
    { 0x8d, "Power Consumption", 4, inq_consumption },
    { 0x8f, "Third-Party Copy", 4, inq_third_party_copy },
    { 0x90, "Protocol Specific Logical Unit Information", 4, inq_protocol_unit },
    { 0x91, "Protocol Specific Port Information", 4, inq_protocol_port },
    { 0x92, "SCSI Feature Sets", 8, inq_feature_sets },
    { 0xb0, "Block Limits", 16, inq_block_limits },
    { 0xb1, "Block Device Characteristics", 8, inq_characteristics },
    { 0xb2, "Logical Block Provisioning", 7, inq_provisioning },
    { 0xb3, "Referrals", 16, inq_referrals },
    { 0xb4, "Supported Block Lengths and Protection Types", 4, inq_block_lengths },
    { 0xb5, "Block Device Characteristics Extension", 16, inq_utilization },
    { 0xb6, "Zoned Block Device Characteristics", 20, inq_zoned },
    { 0xb7, "Block Limits Extension", 12, inq_limits_extension },
    { 0xb8, "Format Presets", 4, inq_format_presets },
    { 0xb9, "Concurrent Positioning Ranges", 64, inq_positioning },
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
        if (pages[i].page == page && len >= pages[i].min) {
            pages[i].print(r, p, len);
            return;
        }
    }
    report_bytes(r, "bytes", "bytes", p, len);
}
