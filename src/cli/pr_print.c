/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/pr.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

/* SPC-6 table 238 */
static const struct {
    uint8_t code;
    const char *name;
} types[] = {
    { 1, "write-exclusive" },
    { 3, "exclusive-access" },
    { 5, "write-exclusive-registrants-only" },
    { 6, "exclusive-access-registrants-only" },
    { 7, "write-exclusive-all-registrants" },
    { 8, "exclusive-access-all-registrants" },
};
#define TYPES (sizeof(types) / sizeof(types[0]))

const char *pr_type_name(uint8_t code)
{
    for (size_t i = 0; i < TYPES; i++) {
        if (types[i].code == code)
            return types[i].name;
    }
    return NULL;
}

bool pr_type_code(const char *name, uint8_t *ret_code)
{
    char *end;
    unsigned long v = strtoul(name, &end, 0);
    bool number = *name && !*end;
    for (size_t i = 0; i < TYPES; i++) {
        if (number ? types[i].code == v : strcmp(types[i].name, name) == 0) {
            *ret_code = types[i].code;
            return true;
        }
    }
    return false;
}

void pr_type_list(char *buf, size_t cap)
{
    size_t n = 0;
    *buf = 0;
    for (size_t i = 0; i < TYPES && n < cap; i++)
        n += (size_t)snprintf(buf + n, cap - n, "%s%s", i ? ", " : "", types[i].name);
}

/* ---- fields ---- */

/* Keys are numbers to nobody: hexadecimal, in JSON too, where 64 bits do not fit a number. */
static void print_key(struct report *r, const char *key, const char *label, const uint8_t *p)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "0x%llx", (unsigned long long)be64_get(p));
    report_text(r, key, label, text);
}

static void print_type(struct report *r, uint8_t scope_type)
{
    const char *name = pr_type_name(scope_type & 0x0f);
    report_text(r, "type", "type", name ? name : "reserved");
    report_text(r, "scope", "scope", scope_type >> 4 ? "reserved" : "logical unit");
}

static void generation(struct report *r, const uint8_t *p)
{
    report_number(r, "generation", "generation", be32_get(p), NULL);
}

/* The end of the list that begins behind the header of 8 bytes. */
static size_t list_end(const uint8_t *p, size_t len)
{
    size_t said = 8 + (size_t)be32_get(p + 4);
    return said < len ? said : len;
}

/* SPC-6 7.6.4.2 to 7.6.4.8: those that name a port by a number. */
static void other_transport(struct report *r, const uint8_t *id, size_t len)
{
    static const struct {
        uint8_t protocol, at, bytes;
        const char *name;
    } forms[] = { { 0x0, 8, 8, "Fibre Channel port" },
                  { 0x3, 8, 8, "IEEE 1394 node" },
                  { 0x4, 8, 16, "SRP port" },
                  { 0x6, 4, 8, "SAS port" } };
    char text[64];
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (len < 24 || id[0] != forms[i].protocol)
            continue;
        int n = snprintf(text, sizeof(text), "%s ", forms[i].name);
        for (size_t k = 0; k < forms[i].bytes && n > 0; k++)
            n += snprintf(text + n, sizeof(text) - (size_t)n, "%02x", id[forms[i].at + k]);
        report_text(r, "initiator", "initiator", text);
        return;
    }
    report_bytes(r, "transport_id", "transport id", id, len);
}

/* TransportID (SPC-6 7.6.4): of iSCSI the name, and the ISID where it names a port. */
static void transport_id(struct report *r, const uint8_t *id, size_t len)
{
    char text[512] = "";
    if (len < 4 || (id[0] & 0x0f) != 5) {
        other_transport(r, id, len);
        return;
    }
    size_t n = be16_get(id + 2);
    if (n > len - 4)
        n = len - 4;
    if (n >= sizeof(text))
        n = sizeof(text) - 1;
    for (size_t i = 0; i < n && id[4 + i]; i++)
        text[i] = id[4 + i] >= ' ' && id[4 + i] < 0x7f ? (char)id[4 + i] : '?';
    report_text(r, "initiator", "initiator", text);
}

/* ---- answers ---- */

static void keys(struct report *r, const uint8_t *p, size_t len)
{
    generation(r, p);
    report_begin_list(r, "keys", "keys");
    for (size_t at = 8, end = list_end(p, len); at + 8 <= end; at += 8)
        print_key(r, NULL, NULL, p + at);
    report_end(r);
}

static void reservation(struct report *r, const uint8_t *p, size_t len)
{
    bool held = list_end(p, len) >= 24;
    generation(r, p);
    report_bool(r, "reserved", "reserved", held);
    if (!held)
        return;
    print_key(r, "key", "key", p + 8);
    print_type(r, p[21]);
}

/* SPC-6 6.16.4 */
static void capabilities(struct report *r, const uint8_t *p, size_t len)
{
    static const struct {
        uint8_t byte, bit;
        uint8_t code;
    } masks[] = { { 4, 1, 1 }, { 4, 3, 3 }, { 4, 5, 5 }, { 4, 6, 6 }, { 4, 7, 7 }, { 5, 0, 8 } };
    report_bool(r, "replace_lost_reservation", "REPLACE LOST RESERVATION", p[2] & 0x80);
    report_bool(r, "compatible_handling", "compatible with RESERVE and RELEASE", p[2] & 0x10);
    report_bool(r, "spec_i_pt", "registers for others (SPEC_I_PT)", p[2] & 0x08);
    report_bool(r, "all_tg_pt", "registers on all ports (ALL_TG_PT)", p[2] & 0x04);
    report_bool(r, "aptpl_capable", "can outlive a loss of power (APTPL)", p[2] & 0x01);
    report_bool(r, "aptpl_active", "does so now", p[3] & 0x01);
    if (!(p[3] & 0x80)) /* the types are not told */
        return;
    report_begin_list(r, "types", "types");
    for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
        if (len > masks[i].byte && p[masks[i].byte] & 1u << masks[i].bit)
            report_text(r, NULL, NULL, pr_type_name(masks[i].code));
    }
    report_end(r);
}

/* SPC-6 6.16.5 */
static void full_status(struct report *r, const uint8_t *p, size_t len)
{
    generation(r, p);
    report_begin_list(r, "registrants", NULL);
    for (size_t at = 8, end = list_end(p, len); at + 24 <= end;) {
        const uint8_t *d = p + at;
        size_t id = be32_get(d + 20);
        if (id > end - at - 24)
            id = end - at - 24;
        report_begin(r, NULL, "registrant");
        print_key(r, "key", "key", d);
        report_bool(r, "holder", "holds the reservation", d[12] & 0x01);
        if (d[12] & 0x01)
            print_type(r, d[13]);
        report_bool(r, "all_target_ports", "on all target ports", d[12] & 0x02);
        if (!(d[12] & 0x02))
            report_number(r, "target_port", "target port", be16_get(d + 18), NULL);
        transport_id(r, d + 24, id);
        report_end(r);
        at += 24 + id;
    }
    report_end(r);
}

void pr_print(struct report *r, enum pr_in what, const uint8_t *p, size_t len)
{
    static const struct {
        const char *key, *label;
        void (*print)(struct report *r, const uint8_t *p, size_t len);
    } all[] = { [PR_READ_KEYS] = { "keys", "Registered keys", keys },
                [PR_READ_RESERVATION] = { "reservation", "Reservation", reservation },
                [PR_REPORT_CAPABILITIES] = { "capabilities", "Capabilities", capabilities },
                [PR_READ_FULL_STATUS] = { "full_status", "Registrants", full_status } };
    report_begin(r, all[what].key, all[what].label);
    if (len >= 8)
        all[what].print(r, p, len);
    report_end(r);
}
