/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pages of vital product data that are lists (SPC-6 7.7): the devices that a unit consists of, CFA
 * profiles, what a transport adds to units and ports, sets of features. */
#include "cli/inq_field.h"

#include "base/bytes.h"
#include "initiator/probe.h"

#define PROTOCOL_SAS 6 /* PROTOCOL IDENTIFIER, SPC-6 7.6.1 */

void inq_constituents(struct report *r, const uint8_t *p, size_t len)
{
    static const char *const types[] = { "reserved", "virtual tape library", "virtual tape drive",
                                         "direct access block device" };
    report_begin_list(r, "constituents", NULL);
    for (size_t at = 4; at + 36 <= len; at += 36u + be16_get(p + at + 34)) {
        uint16_t type = be16_get(p + at);
        report_begin(r, NULL, "device");
        report_text(r, "constituent", "is a", type < 4 ? types[type] : "reserved");
        report_text(r, "type", "device type",
                    p[at + 2] == 0xff ? "not stated" : ini_type_name(p[at + 2]));
        inq_text(r, "vendor", "vendor", p + at + 4, 8);
        inq_text(r, "product", "product", p + at + 12, 16);
        inq_text(r, "revision", "revision", p + at + 28, 4);
        report_end(r);
    }
    report_end(r);
}

void inq_cfa_profiles(struct report *r, const uint8_t *p, size_t len)
{
    report_begin_list(r, "profiles", NULL);
    for (size_t at = 4; at + 4 <= len; at += 4) {
        report_begin(r, NULL, "profile");
        report_number(r, "profile", "number", p[at], NULL);
        report_number(r, "sequential_write", "sequential write", be16_get(p + at + 2),
                      "blocks of 512 bytes");
        report_end(r);
    }
    report_end(r);
}

/* ---- what a transport adds ---- */

static void sas_unit(struct report *r, const uint8_t *d, size_t n)
{
    if (n)
        report_bool(r, "tlr_control", "transport layer retries controlled", d[0] & 0x01);
}

static void sas_phys(struct report *r, const uint8_t *d, size_t n)
{
    report_begin_list(r, "phys", NULL);
    for (size_t at = 0; at + 4 <= n; at += 4) {
        report_begin(r, NULL, "phy");
        report_number(r, "number", "number", d[at + 1], NULL);
        report_bool(r, "ssp_persistent", "persistent SSP connections", d[at + 3] & 0x01);
        report_end(r);
    }
    report_end(r);
}

/* For each relative port; sas: what those of SAS say. Others have no words. */
static void per_port(struct report *r, const uint8_t *p, size_t len,
                     void (*sas)(struct report *r, const uint8_t *d, size_t n))
{
    report_begin_list(r, "ports", NULL);
    for (size_t at = 4; at + 8 <= len;) {
        const uint8_t *d = p + at + 8;
        size_t n = be16_get(p + at + 6);
        if (n > len - at - 8)
            break;
        unsigned protocol = p[at + 2] & 0x0f;
        report_begin(r, NULL, "port");
        report_number(r, "number", "relative number", be16_get(p + at), NULL);
        report_number(r, "protocol", "protocol", protocol, NULL);
        if (protocol == PROTOCOL_SAS)
            sas(r, d, n);
        else
            report_bytes(r, "bytes", "bytes", d, n);
        report_end(r);
        at += 8 + n;
    }
    report_end(r);
}

void inq_protocol_unit(struct report *r, const uint8_t *p, size_t len)
{
    per_port(r, p, len, sas_unit);
}

void inq_protocol_port(struct report *r, const uint8_t *p, size_t len)
{
    per_port(r, p, len, sas_phys);
}

/* ---- sets of features ---- */

void inq_feature_sets(struct report *r, const uint8_t *p, size_t len)
{
    static const struct {
        uint16_t code;
        const char *name;
    } sets[] = {
        { 0x001, "discovery 2016" },         { 0x101, "SBC base 2016" },
        { 0x102, "SBC base 2010" },          { 0x103, "provisioning 2016" },
        { 0x104, "drive maintenance 2016" }, { 0x300, "host aware 2020" },
        { 0x301, "host managed 2020" },      { 0x302, "domains, realms 2020" },
    };
    report_begin_list(r, "sets", "sets of features");
    for (size_t at = 8; at + 2 <= len; at += 2) {
        uint16_t code = be16_get(p + at);
        const char *name = NULL;
        char text[16];
        for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
            if (sets[i].code == code)
                name = sets[i].name;
        }
        (void)snprintf(text, sizeof(text), "%04xh", code);
        report_text(r, NULL, NULL, name ? name : text);
    }
    report_end(r);
}
