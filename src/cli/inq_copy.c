/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The Third-Party Copy page (SPC-6 7.7.18): a list of descriptors of many kinds. */
#include "cli/inq_field.h"

#include "base/bytes.h"

/* Places are counted from the beginning of a descriptor: its type and length are 4 bytes. */
static const struct inq_field rod_limits[] = {
    { "max_ranges", "most range descriptors", 10, INQ_U16, 0, NULL },
    { "max_inactivity", "longest inactivity", 12, INQ_U32, 0, "seconds" },
    { "inactivity", "inactivity if not given", 16, INQ_U32, 0, "seconds" },
    { "max_token_transfer", "longest transfer of a token", 20, INQ_U64, 0, "blocks" },
    { "opt_transfer", "best transfer", 28, INQ_U64, 0, "blocks" },
    { 0 },
};

static const struct inq_field parameter_limits[] = {
    { "max_cscds", "most sources and destinations", 8, INQ_U16, 0, NULL },
    { "max_segments", "most segments", 10, INQ_U16, 0, NULL },
    { "max_list", "longest list of descriptors", 12, INQ_U32, 0, "bytes" },
    { "max_inline", "most inline data", 16, INQ_U32, 0, "bytes" },
    { 0 },
};

static const struct inq_field token_features[] = {
    { "remote_tokens", "remote tokens", 4, INQ_U8, 0x0f, NULL },
    { "min_lifetime", "shortest life of a token", 16, INQ_U32, 0, "seconds" },
    { "max_lifetime", "longest life of a token", 20, INQ_U32, 0, "seconds" },
    { "max_inactivity", "longest inactivity", 24, INQ_U32, 0, "seconds" },
    { "rod_granularity", "best granularity of a ROD", 54, INQ_U16, 0, "blocks" },
    { "max_rod_bytes", "largest ROD", 56, INQ_U64, 0, "bytes" },
    { "opt_rod_bytes", "best transfer of a ROD", 64, INQ_U64, 0, "bytes" },
    { "opt_to_token_bytes", "best segment to a token", 72, INQ_U64, 0, "bytes" },
    { "opt_from_token_bytes", "best segment from a token", 80, INQ_U64, 0, "bytes" },
    { 0 },
};

static const struct inq_field copy_limits[] = {
    { "max_copies", "copies at a time", 4, INQ_U32, 0, NULL },
    { "max_identified", "of them with a list identifier", 8, INQ_U32, 0, NULL },
    { "max_segment", "longest segment", 12, INQ_U32, 0, "bytes" },
    { "data_granularity", "granularity of data, as a power of two", 16, INQ_U8, 0xff, NULL },
    { "inline_granularity", "of inline data", 17, INQ_U8, 0xff, NULL },
    { 0 },
};

static const struct inq_field stream_limits[] = {
    { "max_stream_transfer", "longest transfer", 4, INQ_U32, 0, "bytes" },
    { 0 },
};

static const struct inq_field held_data[] = {
    { "held_limit", "held at most", 4, INQ_U32, 0, "bytes" },
    { "held_granularity", "granularity, as a power of two", 8, INQ_U8, 0xff, NULL },
    { 0 },
};

/* ---- those that hold a list ---- */

static void code(struct report *r, int digits, unsigned v)
{
    char text[16];
    (void)snprintf(text, sizeof(text), "%0*xh", digits, v);
    report_text(r, NULL, NULL, text);
}

static void command(struct report *r, unsigned opcode, unsigned action)
{
    char text[16];
    (void)snprintf(text, sizeof(text), "%02xh/%02xh", opcode & 0xff, action & 0xff);
    report_text(r, NULL, NULL, text);
}

/* Operation codes, each with its service actions. */
static void commands(struct report *r, const uint8_t *d, size_t len)
{
    size_t end = len > 4 && 5u + d[4] < len ? 5u + d[4] : len;
    report_begin_list(r, "commands", "operation codes and service actions");
    for (size_t at = 5; at + 2 <= end; at += 2u + d[at + 1]) {
        for (size_t i = 0; i < d[at + 1] && at + 2 + i < end; i++)
            command(r, d[at], d[at + 2 + i]);
    }
    report_end(r);
}

static void types(struct report *r, const uint8_t *d, size_t len)
{
    report_begin_list(r, "codes", "type codes");
    for (size_t i = 5; len > 4 && i < len && i < 5u + d[4]; i++)
        code(r, 2, d[i]);
    report_end(r);
}

static void identifiers(struct report *r, const uint8_t *d, size_t len)
{
    report_begin_list(r, "identifiers", "identifiers");
    for (size_t at = 6; at + 2 <= len && at + 2 <= 6u + be16_get(d + 4); at += 2)
        code(r, 4, be16_get(d + at));
    report_end(r);
}

static void rod_types(struct report *r, const uint8_t *d, size_t len)
{
    report_begin_list(r, "rods", NULL);
    for (size_t at = 8; at + 64 <= len; at += 64) {
        char text[16];
        (void)snprintf(text, sizeof(text), "%08xh", be32_get(d + at));
        report_begin(r, NULL, "ROD");
        report_text(r, "rod", "type", text);
        report_bool(r, "internal", "made by copies themselves", d[at + 4] & 0x80);
        report_bool(r, "token_in", "token taken", d[at + 4] & 0x02);
        report_bool(r, "token_out", "token given", d[at + 4] & 0x01);
        report_number(r, "preference", "preference", be16_get(d + at + 6), NULL);
        report_end(r);
    }
    report_end(r);
}

static const struct {
    uint16_t type;
    uint8_t min; /* bytes without which it is shown in hexadecimal */
    const char *name;
    const struct inq_field *fields;
    void (*print)(struct report *r, const uint8_t *d, size_t len);
} kinds[] = {
    { 0x0000, 36, "limits of block device ROD tokens", rod_limits, NULL },
    { 0x0001, 5, "commands", NULL, commands },
    { 0x0004, 20, "limits of a parameter list", parameter_limits, NULL },
    { 0x0008, 5, "segment and target descriptors", NULL, types },
    { 0x000c, 6, "identifiers of copy sources and destinations", NULL, identifiers },
    { 0x0106, 28, "features of ROD tokens", token_features, NULL },
    { 0x0108, 8, "types of ROD", NULL, rod_types },
    { 0x8001, 18, "limits of copy operations", copy_limits, NULL },
    { 0x9101, 8, "limits of stream copies", stream_limits, NULL },
    { 0xc001, 9, "held data", held_data, NULL },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void descriptor(struct report *r, const uint8_t *d, size_t len)
{
    uint16_t type = be16_get(d);
    size_t k = 0;
    while (k < KINDS && kinds[k].type != type)
        k++;
    const char *name = k < KINDS ? kinds[k].name : "descriptor of another type";
    report_begin(r, NULL, name);
    if (r->json || k == KINDS)
        report_number(r, "type", "type", type, NULL);
    if (r->json)
        report_text(r, "name", NULL, name);
    if (k == KINDS || len < kinds[k].min)
        report_bytes(r, "bytes", "bytes", d + 4, len - 4);
    else if (kinds[k].fields)
        inq_fields(r, kinds[k].fields, d, len);
    else
        kinds[k].print(r, d, len);
    report_end(r);
}

void inq_third_party_copy(struct report *r, const uint8_t *p, size_t len)
{
    report_begin_list(r, "descriptors", NULL);
    for (size_t at = 4; at + 4 <= len && at + 4 + be16_get(p + at + 2) <= len;
         at += 4u + be16_get(p + at + 2))
        descriptor(r, p + at, 4u + be16_get(p + at + 2));
    report_end(r);
}
