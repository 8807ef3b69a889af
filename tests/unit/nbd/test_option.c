/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The NBD handshake: every option, every refusal, limits; in pieces of several sizes. */
#include "nbd_rig.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

static struct rig *rig;

static size_t chunk_of(void **state)
{
    return *(const size_t *)*state;
}

static void begin(void **state)
{
    struct nbd_proto_config cfg = rig_config();
    rig_open(rig, &cfg, chunk_of(state));
    rig_greeted(rig);
}

static void haggle(void **state)
{
    begin(state);
    rig_client_flags(rig, 3);
}

static void structured(void **state)
{
    haggle(state);
    rig_option(rig, 8, NULL, 0);
    rig_acked(rig, 8);
}

static void got_export(struct rig *r, uint32_t option, unsigned flags)
{
    assert_int_equal(rig_reply(r, option, 3), 12);
    assert_int_equal(rig_got16(r), 0);
    assert_int_equal(rig_got64(r), 1 << 20);
    assert_int_equal(rig_got16(r), flags);
}

static void got_block_size(struct rig *r, uint32_t option)
{
    assert_int_equal(rig_reply(r, option, 3), 14);
    assert_int_equal(rig_got16(r), 3);
    assert_int_equal(rig_got32(r), 512);
    assert_int_equal(rig_got32(r), 4096);
    assert_int_equal(rig_got32(r), 33554432);
}

/* HAS_FLAGS, FLUSH, FUA, TRIM, WRITE_ZEROES, MULTI_CONN, CACHE, FAST_ZERO; bit 7 is DF */
enum { FLAGS = 1 | 4 | 8 | 32 | 64 | 256 | 1024 | 2048, FLAGS_DF = FLAGS | 128 };

/* ---- the oldest way in ---- */

static void export_name(void **state)
{
    begin(state);
    rig_client_flags(rig, 0); /* newstyle that is not fixed has this option */
    rig_option(rig, 1, "disk", 4);
    assert_int_equal(rig_got64(rig), 1 << 20);
    assert_int_equal(rig_got16(rig), FLAGS);
    for (int i = 0; i < 124; i++)
        assert_int_equal(*rig_got(rig, 1), 0);
    rig_silent(rig);
    (void)rig_event(rig, NBD_EV_OPENED);
    rig_close(rig);
}

static void export_name_no_zeroes(void **state)
{
    haggle(state);
    rig_option(rig, 1, "", 0);
    (void)rig_got(rig, 10);
    rig_silent(rig);
    (void)rig_event(rig, NBD_EV_OPENED);
    rig_close(rig);
}

static void export_name_unknown(void **state)
{
    haggle(state);
    rig_option(rig, 1, "dist", 4);
    rig_closed(rig, USAN_ENOENT);
    rig_silent(rig);
    rig_close(rig);
}

static void export_name_long(void **state)
{
    char name[4097];
    memset(name, 'x', sizeof(name));
    haggle(state);
    rig_option(rig, 1, name, 4096);
    rig_closed(rig, USAN_ENOENT);
    rig_close(rig);
    haggle(state);
    rig_option(rig, 1, name, 4097);
    rig_closed(rig, USAN_EPROTO);
    rig_close(rig);
}

static void not_fixed(void **state)
{
    begin(state);
    rig_client_flags(rig, 2);
    rig_option(rig, 3, NULL, 0);
    rig_closed(rig, USAN_EPROTO);
    rig_close(rig);
}

static void client_flags(void **state)
{
    begin(state);
    rig_client_flags(rig, 4);
    rig_closed(rig, USAN_EPROTO);
    rig_close(rig);
}

/* ---- INFO and GO ---- */

static void info(void **state)
{
    static const uint8_t all[] = "\0\0\0\0\0\4\0\1\0\2\0\3\1\1";
    haggle(state);
    rig_option(rig, 6, all, sizeof(all) - 1);
    got_export(rig, 6, FLAGS);
    assert_int_equal(rig_reply(rig, 6, 3), 6); /* the name; there is no description */
    assert_int_equal(rig_got16(rig), 1);
    assert_memory_equal(rig_got(rig, 4), "disk", 4);
    got_block_size(rig, 6);
    rig_acked(rig, 6);
    rig_no_event(rig);
    rig_option(rig, 7, all, sizeof(all) - 1);
    got_export(rig, 7, FLAGS);
    (void)rig_got(rig, rig_reply(rig, 7, 3));
    got_block_size(rig, 7);
    rig_acked(rig, 7);
    (void)rig_event(rig, NBD_EV_OPENED);
    rig_close(rig);
}

static void go_structured(void **state)
{
    structured(state);
    rig_option(rig, 7, "\0\0\0\4disk\0\0", 10);
    got_export(rig, 7, FLAGS_DF);
    got_block_size(rig, 7);
    rig_acked(rig, 7);
    rig_close(rig);
}

static void description(void **state)
{
    struct nbd_proto_config cfg = rig_config();
    cfg.export.description = "a disk";
    cfg.export.read_only = cfg.export.rotational = true;
    rig_open(rig, &cfg, chunk_of(state));
    rig_greeted(rig);
    rig_client_flags(rig, 3);
    rig_option(rig, 7, "\0\0\0\0\0\1\0\2", 8);
    got_export(rig, 7, 1 | 2 | 4 | 8 | 16 | 256 | 1024); /* no trim, no write zeroes */
    assert_int_equal(rig_reply(rig, 7, 3), 8);
    assert_int_equal(rig_got16(rig), 2);
    assert_memory_equal(rig_got(rig, 6), "a disk", 6);
    got_block_size(rig, 7);
    rig_acked(rig, 7);
    rig_close(rig);
}

static void no_trim(void **state)
{
    struct nbd_proto_config cfg = rig_config();
    cfg.export.trim = false;
    rig_open(rig, &cfg, chunk_of(state));
    rig_greeted(rig);
    rig_client_flags(rig, 3);
    rig_option(rig, 6, "\0\0\0\0\0\0", 6);
    got_export(rig, 6, FLAGS & ~32);
    rig_close(rig);
}

static void go_malformed(void **state)
{
    static const struct {
        const char *data;
        size_t len;
    } bad[] = {
        { "", 0 },
        { "\0\0\0\4dis", 7 },
        { "\0\0\0\4disk\0", 9 },
        { "\0\0\0\4disk\0\1", 10 },
        { "\0\0\0\4disk\0\0\0", 11 },
        { "\0\0\0\4disk\0\1\0", 11 },
        { "\0\0\0\4disk\0\1\0\3\0", 13 },
        { "\377\377\377\377disk\0\0", 10 },
    };
    haggle(state);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        rig_option(rig, i & 1 ? 6 : 7, bad[i].data, bad[i].len);
        rig_refused(rig, i & 1 ? 6 : 7, 0x80000003);
    }
    rig_option(rig, 7, "\0\0\0\4dist\0\0", 10);
    rig_refused(rig, 7, 0x80000006);
    rig_no_event(rig);
    rig_option(rig, 7, "\0\0\0\4disk\0\0", 10); /* and goes on */
    got_export(rig, 7, FLAGS);
    rig_close(rig);
}

/* ---- the others ---- */

static void list(void **state)
{
    haggle(state);
    rig_option(rig, 3, NULL, 0);
    assert_int_equal(rig_reply(rig, 3, 2), 8);
    assert_int_equal(rig_got32(rig), 4);
    assert_memory_equal(rig_got(rig, 4), "disk", 4);
    rig_acked(rig, 3);
    rig_option(rig, 3, "x", 1);
    rig_refused(rig, 3, 0x80000003);
    rig_close(rig);
}

static void stop(void **state)
{
    haggle(state);
    rig_option(rig, 2, "why not", 7);
    rig_acked(rig, 2);
    rig_closed(rig, 0);
    struct iovec iov[NBD_RX_IOV_MAX];
    assert_int_equal(nbd_proto_rx_space(rig->c, rig->buf, sizeof(rig->buf), iov), 0);
    rig_close(rig);
}

static void structured_reply(void **state)
{
    haggle(state);
    rig_option(rig, 8, "x", 1);
    rig_refused(rig, 8, 0x80000003);
    rig_option(rig, 7, "\0\0\0\0\0\0", 6);
    got_export(rig, 7, FLAGS); /* it was not agreed on */
    rig_close(rig);
}

static void unsupported(void **state)
{
    static const uint32_t options[] = { 0, 4, 5, 11, 12, 0xffffffff };
    haggle(state);
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        rig_option(rig, options[i], "data", i & 1 ? 4 : 0);
        rig_refused(rig, options[i], 0x80000001);
    }
    rig_close(rig);
}

/* ---- metadata contexts ---- */

#define DISK    "\0\0\0\4disk"
#define BASE    "\0\0\0\5base:"
#define ALLO    "\0\0\0\17base:allocation"
#define TEXT(s) s, sizeof(s) - 1

static void got_context(struct rig *r, uint32_t option, uint32_t id)
{
    assert_int_equal(rig_reply(r, option, 4), 19);
    assert_int_equal(rig_got32(r), id);
    assert_memory_equal(rig_got(r, 15), "base:allocation", 15);
    rig_acked(r, option);
}

static void list_contexts(void **state)
{
    haggle(state);
    rig_option(rig, 9, TEXT(DISK "\0\0\0\0"));
    rig_refused(rig, 9, 0x80000003); /* structured replies first */
    rig_option(rig, 8, NULL, 0);
    rig_acked(rig, 8);
    rig_option(rig, 9, TEXT(DISK "\0\0\0\0")); /* all there are */
    got_context(rig, 9, 0);
    rig_option(rig, 9, TEXT(DISK "\0\0\0\1" BASE));
    got_context(rig, 9, 0);
    rig_option(rig, 9, TEXT("\0\0\0\0\0\0\0\3\0\0\0\2x:" ALLO BASE)); /* once only */
    got_context(rig, 9, 0);
    rig_option(rig, 9, TEXT(DISK "\0\0\0\2\0\0\0\10base:dog\0\0\0\5qemu:"));
    rig_acked(rig, 9);
    rig_option(rig, 9, TEXT("\0\0\0\4dist\0\0\0\0"));
    rig_refused(rig, 9, 0x80000006);
    rig_close(rig);
}

static void set_context(void **state)
{
    haggle(state);
    rig_option(rig, 10, TEXT(DISK "\0\0\0\1" ALLO));
    rig_refused(rig, 10, 0x80000003);
    rig_option(rig, 8, NULL, 0);
    rig_acked(rig, 8);
    rig_option(rig, 10, TEXT(DISK "\0\0\0\1" ALLO));
    got_context(rig, 10, 1);
    rig_option(rig, 10, TEXT(DISK "\0\0\0\1" BASE)); /* a wildcard chooses nothing */
    rig_acked(rig, 10);
    rig_option(rig, 7, TEXT(DISK "\0\0"));
    (void)rig_got(rig, rig->out_len - rig->out_at);
    (void)rig_event(rig, NBD_EV_OPENED);
    rig_request(rig, 0, NBD_CMD_BLOCK_STATUS, 1, 0, 512);
    assert_int_equal(rig_error(rig, 1, 22), UINT64_MAX);
    rig_close(rig);
}

static void set_context_malformed(void **state)
{
    structured(state);
    static const struct {
        const char *data;
        size_t len;
    } bad[] = {
        { TEXT("") },
        { TEXT("\0\0\0\5disk") },
        { TEXT(DISK) },
        { TEXT(DISK "\0\0\0") },
        { TEXT(DISK "\0\0\0\1") },
        { TEXT(DISK "\0\0\0\1\0\0\0\20base:allocation") },
        { TEXT(DISK "\0\0\0\2" ALLO) },
        { TEXT(DISK "\0\0\0\0" ALLO) },
        { TEXT(DISK "\377\377\377\377" ALLO) },
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        rig_option(rig, 10, bad[i].data, bad[i].len);
        rig_refused(rig, 10, 0x80000003);
    }
    rig_option(rig, 10, TEXT("\0\0\0\4dist\0\0\0\1" ALLO));
    rig_refused(rig, 10, 0x80000006);
    rig_close(rig);
}

static void no_allocation(void **state)
{
    struct nbd_proto_config cfg = rig_config();
    cfg.export.allocation = false;
    rig_open(rig, &cfg, chunk_of(state));
    rig_greeted(rig);
    rig_client_flags(rig, 3);
    rig_option(rig, 8, NULL, 0);
    rig_acked(rig, 8);
    rig_option(rig, 9, TEXT(DISK "\0\0\0\0"));
    rig_acked(rig, 9);
    rig_option(rig, 10, TEXT(DISK "\0\0\0\1" ALLO));
    rig_acked(rig, 10);
    rig_close(rig);
}

/* ---- limits and time ---- */

static void long_option(void **state)
{
    size_t len = NBD_OPTION_DATA_MAX + 1;
    uint8_t *data = calloc(1, len);
    assert_non_null(data);
    haggle(state);
    rig_option(rig, 7, data, len);
    rig_refused(rig, 7, 0x80000009);
    rig_option(rig, 99, data, len);
    rig_refused(rig, 99, 0x80000001);
    rig_option(rig, 2, data, len);
    rig_acked(rig, 2);
    rig_close(rig);
    haggle(state);
    uint8_t header[16] = "IHAVEOPT\0\0\0\7\0\20\0\1"; /* 1 MiB and a byte */
    rig_send(rig, header, sizeof(header));
    rig_closed(rig, USAN_EPROTO);
    rig_close(rig);
    free(data);
}

static void magic(void **state)
{
    haggle(state);
    rig_send(rig, "IHAVEOPS\0\0\0\3\0\0\0\0", 16);
    rig_closed(rig, USAN_EPROTO);
    rig_close(rig);
}

static void many_options(void **state)
{
    haggle(state);
    for (int i = 0; i < NBD_OPTIONS_MAX; i++) {
        rig_option(rig, 8, NULL, 0);
        rig_acked(rig, 8);
    }
    rig_option(rig, 8, NULL, 0);
    rig_closed(rig, USAN_ELIMIT);
    rig_close(rig);
}

/* A client that asks and asks and takes no answer in costs one answer. */
static void unread(void **state)
{
    haggle(state);
    rig->unread = true;
    uint8_t list3[48];
    for (size_t i = 0; i < sizeof(list3); i += 16)
        memcpy(list3 + i, "IHAVEOPT\0\0\0\3\0\0\0\0", 16);
    size_t sent = rig_try_send(rig, list3, sizeof(list3));
    struct iovec iov[NBD_RX_IOV_MAX];
    assert_int_equal(nbd_proto_rx_space(rig->c, rig->buf, sizeof(rig->buf), iov), 0);
    rig->unread = false;
    rig_pump(rig);
    rig_send(rig, list3 + sent, sizeof(list3) - sent);
    for (int i = 0; i < 3; i++) {
        (void)rig_got(rig, rig_reply(rig, 3, 2));
        assert_int_equal(rig_reply(rig, 3, 1), 0);
    }
    rig_silent(rig);
    rig_close(rig);
}

static void too_slow(void **state)
{
    haggle(state);
    assert_int_equal(nbd_proto_deadline(rig->c), RIG_TIMEOUT_NS);
    nbd_proto_tick(rig->c, RIG_TIMEOUT_NS - 1);
    rig_option(rig, 3, NULL, 0);
    assert_false(rig->closed);
    nbd_proto_tick(rig->c, RIG_TIMEOUT_NS);
    rig_pump(rig);
    rig_closed(rig, USAN_ETIMEOUT);
    assert_true(nbd_proto_deadline(rig->c) == TIME_NEVER);
    rig_close(rig);
}

/* Who ends the handshake and does not wait for the answer does not hold the connection up. */
static void stop_unread(void **state)
{
    haggle(state);
    rig->unread = true;
    rig_option(rig, 2, NULL, 0);
    rig_closed(rig, 0);
    assert_true(nbd_proto_tx_pending(rig->c));
    assert_int_equal(nbd_proto_deadline(rig->c), RIG_TIMEOUT_NS);
    nbd_proto_tick(rig->c, RIG_TIMEOUT_NS);
    assert_false(nbd_proto_tx_pending(rig->c));
    assert_true(nbd_proto_deadline(rig->c) == TIME_NEVER);
    rig_close(rig);
}

static void stopping(void **state)
{
    haggle(state);
    nbd_proto_shutdown(rig->c);
    rig_option(rig, 7, "\0\0\0\0\0\0", 6);
    rig_refused(rig, 7, 0x80000007);
    rig_option(rig, 3, NULL, 0);
    rig_refused(rig, 3, 0x80000007);
    rig_option(rig, 2, NULL, 0);
    rig_acked(rig, 2);
    rig_closed(rig, 0);
    rig_close(rig);
    haggle(state);
    nbd_proto_shutdown(rig->c);
    rig_option(rig, 1, "", 0);
    rig_closed(rig, USAN_ECLOSED);
    rig_close(rig);
}

static void hang_up(void **state)
{
    haggle(state);
    nbd_proto_rx_eof(rig->c);
    rig_pump(rig);
    rig_closed(rig, USAN_ECLOSED);
    rig_close(rig);
}

#define ALL(chunk)                                                                                 \
    T(export_name, chunk), T(export_name_no_zeroes, chunk), T(export_name_unknown, chunk),         \
        T(export_name_long, chunk), T(not_fixed, chunk), T(client_flags, chunk), T(info, chunk),   \
        T(go_structured, chunk), T(description, chunk), T(no_trim, chunk), T(go_malformed, chunk), \
        T(list, chunk), T(stop, chunk), T(structured_reply, chunk), T(unsupported, chunk),         \
        T(list_contexts, chunk), T(set_context, chunk), T(set_context_malformed, chunk),           \
        T(no_allocation, chunk), T(long_option, chunk), T(magic, chunk), T(many_options, chunk),   \
        T(unread, chunk), T(too_slow, chunk), T(stop_unread, chunk), T(stopping, chunk),           \
        T(hang_up, chunk)
#define T(name, chunk) cmocka_unit_test_prestate(name, &chunk)

int main(void)
{
    static size_t bytes = 1, odd = 7, large = 4096;
    const struct CMUnitTest tests[] = { ALL(bytes), ALL(odd), ALL(large) };
    rig = calloc(1, sizeof(*rig));
    int failed = rig ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
    free(rig);
    return failed;
}
