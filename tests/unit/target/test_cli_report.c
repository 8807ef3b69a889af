/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What commands print, for people and as JSON, and INQUIRY data in words: good, bad and cut. */
#include "cmocka_all.h"

#include "cli/inq.h"
#include "cli/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *text;
static size_t text_len;

static void begin(struct report *r, bool json)
{
    FILE *f = open_memstream(&text, &text_len);
    assert_non_null(f);
    report_init(r, f, json);
}

static void end(struct report *r, const char *want)
{
    fclose(r->out);
    if (want)
        assert_string_equal(text, want);
    free(text);
}

static void sample(struct report *r)
{
    static const uint8_t bytes[] = { 0x00, 'A', 0xff };
    report_begin(r, NULL, NULL);
    report_text(r, "name", "name", "a\"b\\c\n");
    report_number(r, "size", "size", UINT64_MAX, "bytes");
    report_bool(r, "thin", "thin", true);
    report_begin_list(r, "units", "units");
    report_begin(r, NULL, "unit");
    report_number(r, "lun", "LUN", 0, NULL);
    report_end(r);
    report_text(r, NULL, NULL, "text");
    report_end(r);
    report_begin_list(r, "none", NULL);
    report_end(r);
    report_bytes(r, "raw", "raw", bytes, sizeof(bytes));
    report_end(r);
}

static void json(void **st)
{
    (void)st;
    struct report r;
    begin(&r, true);
    sample(&r);
    end(&r,
        "{\n  \"name\": \"a\\\"b\\\\c\\u000a\",\n  \"size\": 18446744073709551615,\n"
        "  \"thin\": true,\n  \"units\": [\n    {\n      \"lun\": 0\n    },\n    \"text\"\n  ],\n"
        "  \"none\": [],\n  \"raw\": \"0041ff\"\n}\n");
}

static void people(void **st)
{
    (void)st;
    struct report r;
    begin(&r, false);
    sample(&r);
    end(&r, "name: a\"b\\c\n\nsize: 18446744073709551615 bytes\nthin: yes\nunits\n  unit\n"
            "    LUN: 0\n  text\nraw:\n"
            "  0000  00 41 ff                                         .A.\n");
}

/* RFC 8259 8.1: JSON is UTF-8, whatever a target calls itself. */
static void strings(void **st)
{
    (void)st;
    static const struct {
        const char *in, *out;
    } cases[] = { { "", "\"\"" },
                  { "gr\xc3\xbcn \xe2\x82\xac \xf0\x9f\x92\xbe", "\"gr\xc3\xbcn \xe2\x82\xac "
                                                                 "\xf0\x9f\x92\xbe\"" },
                  { "\xff\x80", "\"\\ufffd\\ufffd\"" },
                  { "\xc0\xaf", "\"\\ufffd\\ufffd\"" },
                  { "\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"" },
                  { "\xe2\x82", "\"\\ufffd\\ufffd\"" },
                  { "\x01\x7f\t", "\"\\u0001\\u007f\\u0009\"" } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct report r;
        begin(&r, true);
        report_json_string(r.out, cases[i].in);
        end(&r, cases[i].out);
    }
}

/* ---- INQUIRY ---- */

static void page_text(uint8_t page, const uint8_t *p, size_t len, const char *want)
{
    struct report r;
    begin(&r, false);
    report_begin(&r, NULL, NULL);
    inq_page(&r, page, p, len);
    report_end(&r);
    end(&r, want);
}

static void pages(void **st)
{
    (void)st;
    static const uint8_t serial[] = { 0, 0x80, 0, 6, 'S', 'N', '1', ' ', 1, ' ' };
    page_text(0x80, serial, sizeof(serial), "serial number: SN1 ?\n");
    static const uint8_t ids[] = { 0, 0x83, 0, 20,   0x01, 0x03, 0, 8, 0x30, 1, 2, 3,
                                   4, 5,    6, 0x07, 0x61, 0x94, 0, 4, 0,    0, 0, 9 };
    page_text(0x83, ids, sizeof(ids),
              "designator\n  of: logical unit\n  type: NAA\n  value: 3001020304050607\n"
              "designator\n  of: target port\n  type: relative target port\n  value: 9\n");
    static const uint8_t thin[] = { 0, 0xb2, 0, 4, 0, 0xe4, 2, 0 };
    page_text(0xb2, thin, sizeof(thin),
              "UNMAP: yes\nWRITE SAME(16) may unmap: yes\nWRITE SAME(10) may unmap: yes\n"
              "unmapped blocks read as zeroes (LBPRZ): 1\nanchored blocks: no\n"
              "provisioning: thin provisioned\nthreshold exponent: 0\n");
    static const uint8_t policy[] = { 0, 0x87, 0, 4, 0x3f, 0xff, 0x80, 0 };
    page_text(0x87, policy, sizeof(policy),
              "all other mode pages\n  policy: shared\n  shared by several units: yes\n");
    static const uint8_t list[] = { 0, 0, 0, 2, 0xb0, 0xc9 };
    page_text(0x00, list, sizeof(list), "pages that are there\n  b0h Block Limits\n  c9h\n");
    static const uint8_t unknown[] = { 0, 0xc9, 0, 1, 'x' };
    page_text(0xc9, unknown, sizeof(unknown),
              "bytes:\n  0000  00 c9 00 01 78                                   ....x\n");
}

static void page_has(uint8_t page, const uint8_t *p, size_t len, const char *want)
{
    struct report r;
    begin(&r, false);
    report_begin(&r, NULL, NULL);
    inq_page(&r, page, p, len);
    report_end(&r);
    fclose(r.out);
    if (!strstr(text, want))
        fail_msg("'%s' is not in:\n%s", want, text);
    free(text);
}

/* Where the bits of this page are has been wrong once. */
static void extended(void **st)
{
    (void)st;
    uint8_t p[64] = { 0, 0x86, 0, 60 };
    page_has(0x86, p, sizeof(p),
             "head of queue supported: no\nordered attribute supported: no\n"
             "simple attribute supported: no\n");
    p[5] = 0x01;
    page_has(0x86, p, sizeof(p),
             "ordered attribute supported: no\nsimple attribute supported: yes");
    p[5] = 0x04;
    page_has(0x86, p, sizeof(p), "head of queue supported: yes\nordered attribute supported: no");
    p[11] = 9;
    p[12] = 0x80;
    p[13] = 252;
    page_has(0x86, p, sizeof(p),
             "extended self-test: 9 minutes\npower on activation supported: yes");
    page_has(0x86, p, sizeof(p), "longest sense data: 252 bytes\n");
    page_has(0x86, p, 8, "unit attention cleared by I_T nexus: no\n"); /* and no more */
}

/* Each byte another number, as sg_vpd reads them too. */
static void numbered(void **st)
{
    (void)st;
    uint8_t p[64];
    for (size_t i = 0; i < sizeof(p); i++)
        p[i] = (uint8_t)(i + 1);
    page_text(0x8a, p, 18,
              "standby_y: no\nstandby_z: yes\nidle_c: yes\nidle_b: yes\nidle_a: no\n"
              "back from stopped: 1800 ms\nback from standby_z: 2314 ms\n"
              "back from standby_y: 2828 ms\nback from idle_a: 3342 ms\n"
              "back from idle_b: 3856 ms\nback from idle_c: 4370 ms\n");
    page_text(0x8d, p, 12, "most power taken\n  5: 1800 ?\n  9: 2828 kW\n");
    page_has(0xb0, p, 64,
             "longest with a boundary: 960117564 blocks\n"
             "largest atomic boundary: 1027489600 blocks\n");
    page_has(0xb1, p, 64,
             "zones: not stated\nbackground operations control: no\n"
             "VERIFY of bytes works on unmapped blocks: yes\n");
    page_text(0xb3, p, 16,
              "user data segment: 151653132 blocks\nuser data segment multiplier: 219025168\n");
    page_text(0xb4, p, 12,
              "block length\n  size: 84281096 bytes\n  protection information intervals: no\n"
              "  protection information not checked: yes\n  guard checked: no\n"
              "  application tag checked: no\n  reference tag checked: yes\n"
              "  protection types\n    1\n    3\n");
    page_text(0xb5, p, 16,
              "utilization type: 6\nutilization units: 7\nutilization interval: 8\n"
              "utilization B: 151653132\nutilization A: 219025168\n");
    page_text(0xb6, p, 20,
              "reads behind write pointers: yes\n"
              "best number of open preferred zones: 151653132\n"
              "best number of preferred zones written at random: 219025168\n"
              "most open required zones: 286397204\n");
    page_text(0xb7, p, 28,
              "most streams: 1800\nbest stream write: 2314 blocks\n"
              "stream granularity: 185339150\nlongest scattered range: 286397204 blocks\n"
              "descriptors of a scattered write: 5912\n"
              "longest scattered write: 421141276 blocks\n");
    static const uint8_t net[] = { 0,   0x85, 0,   16,  0x21, 0,   0, 8, 'h', 't',
                                   't', 'p',  ':', '/', '/',  'a', 5, 0, 0,   9 /* cut */ };
    page_text(0x85, net, sizeof(net),
              "address\n  service: storage configuration\n  address: http://a\n");
    static const uint8_t software[] = { 0, 0x84, 0, 6, 1, 2, 3, 4, 5, 0xff };
    page_text(0x84, software, sizeof(software), "software interfaces\n  0102030405ff\n");
}

/* As sg_vpd reads them, too. */
static void lists(void **st)
{
    (void)st;
    uint8_t p[136];
    for (size_t i = 0; i < sizeof(p); i++)
        p[i] = (uint8_t)(i + 1);
    page_text(0x8c, p, 12,
              "profile\n  number: 5\n  sequential write: 1800 blocks of 512 bytes\n"
              "profile\n  number: 9\n  sequential write: 2828 blocks of 512 bytes\n");
    page_text(0xb8, p, 68 + 63, /* and one that is cut */
              "preset\n  identifier: 84281096\n  schema: 9\n"
              "  logical blocks in a physical one, as a power of two: 12\n"
              "  block: 219025168 bytes\n  last block: 1519427316551916316\n  FMTPINFO: 0\n"
              "  protection field usage: 3\n  protection intervals, as a power of two: 12\n");
    page_text(0xb9, p, 64 + 32 + 31,
              "range\n  number: 65\n  storage elements: 66\n  first block: 5281116304131903312\n"
              "  size: 5859837686836516696 blocks\n");
    static const uint8_t sets[] = { 0, 0x92, 0, 10, 0, 0, 0, 0, 0, 1, 1, 4, 0x77, 1 };
    page_text(0x92, sets, sizeof(sets),
              "sets of features\n  discovery 2016\n  drive maintenance 2016\n  7701h\n");
    static const uint8_t parts[] = "\x00\x8b\x00\x50\x00\x02\x01\x00VENDOR  PRODUCT         1.0 "
                                   "\x00\x00\x00\x04\x09\x00\x00\x00\x00\x09\xff\x00V2      "
                                   "P2              2.0 \x00\x00\x00";
    page_text(0x8b, parts, sizeof(parts),
              "device\n  is a: virtual tape drive\n  device type: tape\n  vendor: VENDOR\n"
              "  product: PRODUCT\n  revision: 1.0\n"
              "device\n  is a: reserved\n  device type: not stated\n  vendor: V2\n"
              "  product: P2\n  revision: 2.0\n");
    static const uint8_t unit[] = { 0, 0x90, 0, 23, 0, 1, 6, 0, 0, 0, 0, 4, 1, 0,
                                    0, 0,    0, 2,  5, 0, 0, 0, 0, 1, 7, 0, 3 /* cut */ };
    page_text(0x90, unit, sizeof(unit),
              "port\n  relative number: 1\n  protocol: 6\n"
              "  transport layer retries controlled: yes\n"
              "port\n  relative number: 2\n  protocol: 5\n  bytes:\n"
              "    0000  07                                               .\n");
    static const uint8_t port[] = {
        0, 0x91, 0, 16, 0, 1, 6, 0, 0, 0, 0, 8, 0, 3, 0, 1, 0, 4, 0, 0
    };
    page_text(0x91, port, sizeof(port),
              "port\n  relative number: 1\n  protocol: 6\n"
              "  phy\n    number: 3\n    persistent SSP connections: yes\n"
              "  phy\n    number: 4\n    persistent SSP connections: no\n");
}

/* As sg_vpd reads it, too. */
static void copies(void **st)
{
    (void)st;
    uint8_t p[512] = { 0, 0x8f };
    size_t n = 4;
    static const uint8_t limits[36] = {
        [3] = 32, [11] = 64, [14] = 0x0e, [15] = 0x10, [19] = 60, [25] = 8, [35] = 9
    };
    static const uint8_t commands[] = { 0, 1, 0, 8, 7, 0x83, 2, 0x10, 0x11, 0x84, 1, 7 };
    static const uint8_t codes[] = { 0, 8, 0, 4, 2, 2, 0xe4, 0 };
    static const uint8_t ids[] = { 0, 0x0c, 0, 4, 0, 2, 0xff, 0xff };
    static const uint8_t rods[72] = {
        1, 8, 0, 68, [6] = 0, [7] = 64, [9] = 0x80, [11] = 1, [12] = 2, [15] = 3
    };
    static const uint8_t held[12] = { 0xc0, 1, 0, 8, 0, 0, 0x10, 0, 9 };
    static const uint8_t cut[] = { 0x80, 1, 0, 2, 7, 7 }, other[] = { 0x12, 0x34, 0, 1, 5 };
    static const struct {
        const uint8_t *p;
        size_t n;
    } all[] = { { limits, sizeof(limits) }, { commands, sizeof(commands) },
                { codes, sizeof(codes) },   { ids, sizeof(ids) },
                { rods, sizeof(rods) },     { held, sizeof(held) },
                { cut, sizeof(cut) },       { other, sizeof(other) } };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        memcpy(p + n, all[i].p, all[i].n);
        n += all[i].n;
    }
    page_text(0x8f, p, n,
              "limits of block device ROD tokens\n  most range descriptors: 64\n"
              "  longest inactivity: 3600 seconds\n  inactivity if not given: 60 seconds\n"
              "  longest transfer of a token: 524288 blocks\n  best transfer: 9 blocks\n"
              "commands\n  operation codes and service actions\n    83h/10h\n    83h/11h\n"
              "    84h/07h\n"
              "segment and target descriptors\n  type codes\n    02h\n    e4h\n"
              "identifiers of copy sources and destinations\n  identifiers\n    ffffh\n"
              "types of ROD\n  ROD\n    type: 00800001h\n    made by copies themselves: no\n"
              "    token taken: yes\n    token given: no\n    preference: 3\n"
              "held data\n  held at most: 4096 bytes\n  granularity, as a power of two: 9\n"
              "limits of copy operations\n  bytes:\n"
              "    0000  07 07                                            ..\n"
              "descriptor of another type\n  type: 4660\n  bytes:\n"
              "    0000  05                                               .\n");
}

/* Pages of any length with lengths that lie: nothing beyond their end is looked at (the memory has
 * no byte more), and the output ends. */
static void hostile(void **st)
{
    (void)st;
    static const uint8_t fills[] = { 0x00, 0x01, 0x0c, 0x7f, 0xff };
    for (size_t f = 0; f < sizeof(fills); f++) {
        for (unsigned page = 0; page < 256; page++) {
            for (size_t len = 4; len < 80; len += page < 0x80 && page ? 19 : 1) {
                struct report r;
                uint8_t *p = malloc(len);
                assert_non_null(p);
                memset(p, fills[f], len);
                p[1] = (uint8_t)page;
                begin(&r, (page + len) & 1);
                report_begin(&r, NULL, NULL);
                inq_page(&r, (uint8_t)page, p, len);
                report_end(&r);
                end(&r, NULL);
                free(p);
            }
        }
    }
}

static void standard(void **st)
{
    (void)st;
    uint8_t d[96] = "\x00\x80\x07\x32\x5b\x30\x10\x02VENDOR  PRODUCT         1.0 ";
    struct report r;
    d[58] = 0x09;
    d[59] = 0x60;
    begin(&r, false);
    report_begin(&r, NULL, NULL);
    inq_standard(&r, d, sizeof(d));
    report_end(&r);
    end(&r, "device type: disk\nperipheral qualifier: 0\nvendor: VENDOR\nproduct: PRODUCT\n"
            "revision: 1.0\nstandard: SPC-5\nremovable medium: yes\nNACA supported: yes\n"
            "LUNs have a hierarchy: yes\ntarget port group support: 3\nthird-party copy: no\n"
            "protection information: no\nseveral ports: yes\ncommand queueing: yes\n"
            "version descriptors\n  0960h iSCSI\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json),     cmocka_unit_test(people),   cmocka_unit_test(strings),
        cmocka_unit_test(pages),    cmocka_unit_test(extended), cmocka_unit_test(numbered),
        cmocka_unit_test(lists),    cmocka_unit_test(copies),   cmocka_unit_test(hostile),
        cmocka_unit_test(standard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
