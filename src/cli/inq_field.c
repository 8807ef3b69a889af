/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fields, and pages that consist of little else (SPC-6 7.7). */
#include "cli/inq_field.h"

#include "base/bytes.h"

void inq_text(struct report *r, const char *key, const char *label, const uint8_t *p, size_t n)
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

void inq_fields(struct report *r, const struct inq_field *fields, const uint8_t *p, size_t len)
{
    static const uint8_t bytes[] = {
        [INQ_FLAG] = 1, [INQ_U8] = 1, [INQ_U16] = 2, [INQ_U32] = 4, [INQ_U64] = 8
    };
    for (const struct inq_field *f = fields; f->key; f++) {
        const uint8_t *at = p + f->at;
        if ((size_t)f->at + bytes[f->kind] > len)
            continue;
        switch (f->kind) {
        case INQ_FLAG:
            report_bool(r, f->key, f->label, *at & f->mask);
            break;
        case INQ_U8:
            report_number(r, f->key, f->label, *at & f->mask, f->unit);
            break;
        case INQ_U16:
            report_number(r, f->key, f->label, be16_get(at), f->unit);
            break;
        case INQ_U32:
            report_number(r, f->key, f->label, be32_get(at), f->unit);
            break;
        case INQ_U64:
            report_number(r, f->key, f->label, be64_get(at), f->unit);
            break;
        }
    }
}

void inq_software(struct report *r, const uint8_t *p, size_t len)
{
    report_begin_list(r, "identifiers", "software interfaces");
    for (size_t at = 4; at + 6 <= len; at += 6) {
        char text[16];
        (void)snprintf(text, sizeof(text), "%012llx", (unsigned long long)be48_get(p + at));
        report_text(r, NULL, NULL, text);
    }
    report_end(r);
}

void inq_management(struct report *r, const uint8_t *p, size_t len)
{
    static const char *const services[] = { "not stated",    "storage configuration",
                                            "diagnostics",   "status",
                                            "logging",       "code download",
                                            "copy services", "administration" };
    report_begin_list(r, "addresses", NULL);
    for (size_t at = 4; at + 4 <= len && at + 4 + be16_get(p + at + 2) <= len;
         at += 4u + be16_get(p + at + 2)) {
        unsigned service = p[at] & 0x1f;
        report_begin(r, NULL, "address");
        report_text(r, "service", "service", service < 8 ? services[service] : "reserved");
        inq_text(r, "address", "address", p + at + 4, be16_get(p + at + 2));
        report_end(r);
    }
    report_end(r);
}

/* Of the bridge between SCSI and ATA (SAT-5 12.4.2). */
void inq_ata(struct report *r, const uint8_t *p, size_t len)
{
    inq_text(r, "vendor", "vendor of the bridge", p + 8, 8);
    inq_text(r, "product", "product", p + 16, 16);
    inq_text(r, "revision", "revision", p + 32, 4);
    if (len > 36)
        report_bytes(r, "bytes", "device", p + 36, len - 36);
}

void inq_power(struct report *r, const uint8_t *p, size_t len)
{
    static const struct inq_field fields[] = {
        { "standby_y", "standby_y", 4, INQ_FLAG, 0x02, NULL },
        { "standby_z", "standby_z", 4, INQ_FLAG, 0x01, NULL },
        { "idle_c", "idle_c", 5, INQ_FLAG, 0x04, NULL },
        { "idle_b", "idle_b", 5, INQ_FLAG, 0x02, NULL },
        { "idle_a", "idle_a", 5, INQ_FLAG, 0x01, NULL },
        { "stopped_ms", "back from stopped", 6, INQ_U16, 0, "ms" },
        { "standby_z_ms", "back from standby_z", 8, INQ_U16, 0, "ms" },
        { "standby_y_ms", "back from standby_y", 10, INQ_U16, 0, "ms" },
        { "idle_a_ms", "back from idle_a", 12, INQ_U16, 0, "ms" },
        { "idle_b_ms", "back from idle_b", 14, INQ_U16, 0, "ms" },
        { "idle_c_ms", "back from idle_c", 16, INQ_U16, 0, "ms" },
        { 0 },
    };
    inq_fields(r, fields, p, len);
}

void inq_consumption(struct report *r, const uint8_t *p, size_t len)
{
    static const char *const units[] = { "GW", "MW", "kW", "W", "mW", "uW", "?", "?" };
    report_begin_list(r, "levels", "most power taken");
    for (size_t at = 4; at + 4 <= len; at += 4) {
        char text[48];
        (void)snprintf(text, sizeof(text), "%u: %u %s", p[at], be16_get(p + at + 2),
                       units[p[at + 1] & 7]);
        report_text(r, NULL, NULL, text);
    }
    report_end(r);
}
