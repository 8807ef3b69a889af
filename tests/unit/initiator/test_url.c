/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "initiator/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define IQN "iqn.2025-01.io.usan:disk"

static void addresses(void **st)
{
    (void)st;
    static const struct {
        const char *text, *host;
        uint16_t port;
        const char *target;
        int lun; /* -1: none */
        const char *user, *secret, *shown;
    } cases[] = {
        { "iscsi://10.0.0.1", "10.0.0.1", 3260, "", -1, "", "", "iscsi://10.0.0.1:3260" },
        { "iscsi://san.example/", "san.example", 3260, "", -1, "", "", "iscsi://san.example:3260" },
        { "iscsi://h:860/" IQN, "h", 860, IQN, -1, "", "", "iscsi://h:860/" IQN },
        { "iscsi://h/" IQN "/", "h", 3260, IQN, -1, "", "", "iscsi://h:3260/" IQN },
        { "iscsi://h/" IQN "/0", "h", 3260, IQN, 0, "", "", "iscsi://h:3260/" IQN "/0" },
        { "iscsi://h/" IQN "/16383", "h", 3260, IQN, 16383, "", "",
          "iscsi://h:3260/" IQN "/16383" },
        { "iscsi://h/" IQN "/16684", "h", 3260, IQN, 300, "", "", "iscsi://h:3260/" IQN "/300" },
        { "iscsi://h/" IQN "/32767", "h", 3260, IQN, 16383, "", "",
          "iscsi://h:3260/" IQN "/16383" },
        { "iscsi://h/IQN.2025-01.io.usan:DISK/1", "h", 3260, IQN, 1, "", "",
          "iscsi://h:3260/" IQN "/1" },
        { "iscsi://h/iqn.2025-01.io.usan%3adisk/1", "h", 3260, IQN, 1, "", "",
          "iscsi://h:3260/" IQN "/1" },
        { "iscsi://h/eui.02004567A425678D/3", "h", 3260, "eui.02004567a425678d", 3, "", "",
          "iscsi://h:3260/eui.02004567a425678d/3" },
        { "iscsi://[::1]/" IQN "/2", "::1", 3260, IQN, 2, "", "", "iscsi://[::1]:3260/" IQN "/2" },
        { "iscsi://[fd00::a:1]:3261", "fd00::a:1", 3261, "", -1, "", "",
          "iscsi://[fd00::a:1]:3261" },
        { "iscsi://alice%a-secret@h/" IQN "/0", "h", 3260, IQN, 0, "alice", "a-secret",
          "iscsi://alice@h:3260/" IQN "/0" },
        { "iscsi://alice%a%25b%40c%2fd@h:1", "h", 1, "", -1, "alice", "a%b@c/d",
          "iscsi://alice@h:1" },
        { "iscsi://a%xy@c@h", "h", 3260, "", -1, "a", "xy@c", "iscsi://a@h:3260" },
        { "iscsi://a%x:y@[::1]:5", "::1", 5, "", -1, "a", "x:y", "iscsi://a@[::1]:5" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ini_url url;
        struct err_text e = { "" };
        char shown[INI_URL_TEXT_MAX];
        assert_int_equal(ini_url_parse(cases[i].text, &url, &e), 0);
        assert_string_equal(e.text, "");
        assert_string_equal(url.host, cases[i].host);
        assert_int_equal(url.port, cases[i].port);
        assert_string_equal(url.target, cases[i].target);
        assert_int_equal(url.has_lun ? url.lun : -1, cases[i].lun);
        assert_string_equal(url.user, cases[i].user);
        assert_string_equal(url.secret, cases[i].secret);
        ini_url_text(&url, shown, sizeof(shown));
        assert_string_equal(shown, cases[i].shown);
    }
}

static void bad_addresses(void **st)
{
    (void)st;
    static const struct {
        const char *text, *says;
    } cases[] = {
        { "", "not begin with iscsi://" },
        { "http://h/", "not begin with iscsi://" },
        { "iscsi:h", "not begin with iscsi://" },
        { "iscsi://", "host is missing" },
        { "iscsi:///" IQN "/0", "host is missing" },
        { "iscsi://:3260", "host is missing" },
        { "iscsi://[]:1", "host is missing" },
        { "iscsi://[::1", "no ]" },
        { "iscsi://::1/", "in brackets" },
        { "iscsi://[::1]3260", "'3260' behind the host" },
        { "iscsi://h:", "port, 1 to 65535" },
        { "iscsi://h:0", "port, 1 to 65535" },
        { "iscsi://h:65536", "':65536' behind the host" },
        { "iscsi://h:32x0", "port" },
        { "iscsi://h h/", "character" },
        { "iscsi://h/disk/0", "'disk' is not the name of a target" },
        { "iscsi://h/iqn.2025-01.io.usan:a_b/0", "not the name of a target" },
        { "iscsi://h/" IQN "/x", "'x' behind the target is not a LUN" },
        { "iscsi://h/" IQN "/-1", "LUN" },
        { "iscsi://h/" IQN "/32768", "LUN, 0 to 16383" },
        { "iscsi://h/" IQN "/0/1", "'0/1' behind the target" },
        { "iscsi://h/iqn%2/0", "the target's name: %" },
        { "iscsi://h/iqn%00/0", "the target's name: %" },
        { "iscsi://@h", "name before @ is missing" },
        { "iscsi://%hunter2@h", "name before @ is missing" },
        { "iscsi://alice%@h", "secret between % and @ is missing" },
        { "iscsi://alice@h", "a user but no secret" },
        { "iscsi://alice%hunt%er2@h", "the secret before @: %" },
        { "iscsi://alice%hunter2/x@h/" IQN "/0", "write %2f" },
        { "iscsi://alice%hunter2", "character" },
        { "iscsi://h?x=1", "unknown option 'x'" },
        { "iscsi://h?password", "not KEY=VALUE" },
        { "iscsi://h?=1", "not KEY=VALUE" },
        { "iscsi://h?queue_depth=1&", "missing behind the last &" },
        { "iscsi://h?queue_depth=0", "1 to 1024" },
        { "iscsi://h?connections=33", "1 to 32" },
        { "iscsi://h?error_recovery=3", "0, 1 or 2" },
        { "iscsi://h?isid=8001abff001", "12 hexadecimal digits" },
        { "iscsi://h?isid=c00000000000", "bfffffffffff" },
        { "iscsi://h?queue_depth=1025", "1 to 1024" },
        { "iscsi://h?login_timeout=0s", "login_timeout" },
        { "iscsi://h?login_timeout=15", "a time such as" },
        { "iscsi://h?nop_timeout=0s", "nop_timeout" },
        { "iscsi://h?first_burst=511", "first_burst: '511' is not a size from 512" },
        { "iscsi://h?max_burst=16M", "max_burst: '16M' is not a size" },
        { "iscsi://h?max_segment=", "max_segment" },
        { "iscsi://h?max_burst=1K", "first_burst: 262144 is more than max_burst, 1024" },
        { "iscsi://h?initial_r2t=maybe", "initial_r2t: 'maybe' is neither yes nor no" },
        { "iscsi://h?max_r2t=17", "max_r2t: '17' is not a number from 1 to 16" },
        { "iscsi://h?header_digest=md5", "header_digest: 'md5'" },
        { "iscsi://h?data_digest=", "data_digest: ''" },
        { "iscsi://h?initiator=me", "initiator: 'me'" },
        { "iscsi://h?chap_hashes=md4", "chap_hashes: 'md4'" },
        { "iscsi://h?chap_hashes=md5,", "chap_hashes: 'md5,'" },
        { "iscsi://h?chap_hashes=md5,,sha1", "chap_hashes" },
        { "iscsi://h?password=hunter2", "a secret but no user" },
        { "iscsi://h?user=alice", "a user but no secret" },
        { "iscsi://a%hunter2@h?target_user=t", "target_user needs" },
        { "iscsi://h?target_password=hunter2", "user and secret are missing" },
        { "iscsi://a%hunter2@h?target_password=hunter2", "both secrets are the same" },
        { "iscsi://h?user=a&password=hunter2%2", "password: %" },
        { "iscsi://h?user=a&password_file=/nonexistent/hunter", "/nonexistent/hunter: No such" },
        { "iscsi://h?user=a&password_file=/dev/null", "first line" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ini_url url;
        struct err_text e = { "" };
        assert_int_not_equal(ini_url_parse(cases[i].text, &url, &e), 0);
        if (!strstr(e.text, cases[i].says))
            fail_msg("%s: '%s' does not say '%s'", cases[i].text, e.text, cases[i].says);
        assert_null(strstr(e.text, "hunter2"));
    }
}

static void too_long(void **st)
{
    (void)st;
    struct err_text e = { "" };
    struct ini_url url;
    char text[INI_URL_MAX + 32] = "iscsi://";
    size_t head = strlen(text);
    memset(text + head, 'h', INI_URL_MAX - head);
    text[INI_URL_MAX] = 0;
    assert_int_equal(ini_url_parse(text, &url, &e), USAN_EINVAL);
    assert_non_null(strstr(e.text, "longer than any name"));
    memset(text + head, 'h', INI_URL_MAX);
    assert_int_equal(ini_url_parse(text, &url, &e), USAN_EINVAL);
    assert_non_null(strstr(e.text, "longer than 4096"));

    /* a secret that just fits, and one that does not */
    char long_secret[400];
    int n = snprintf(long_secret, sizeof(long_secret), "iscsi://a%%");
    memset(long_secret + n, 's', INI_USER_MAX);
    snprintf(long_secret + n + INI_USER_MAX, 8, "@h");
    assert_int_equal(ini_url_parse(long_secret, &url, &e), 0);
    assert_int_equal(strlen(url.secret), INI_USER_MAX);
    snprintf(long_secret + n + INI_USER_MAX, 8, "s@h");
    assert_int_equal(ini_url_parse(long_secret, &url, &e), USAN_EINVAL);
    assert_non_null(strstr(e.text, "longer than 255"));
    assert_null(strstr(e.text, "sss"));
}

static void options(void **st)
{
    (void)st;
    struct ini_url url;
    assert_int_equal(ini_url_parse("iscsi://h", &url, NULL), 0);
    assert_int_equal(url.header_digest, INI_DIGEST_NONE);
    assert_int_equal(url.data_digest, INI_DIGEST_NONE);
    assert_int_equal(url.queue_depth, 128);
    assert_int_equal(url.login_timeout_ns, 15 * NS_PER_SEC);
    assert_int_equal(url.reconnect_timeout_ns, 60 * NS_PER_SEC);
    assert_int_equal(url.nop_interval_ns, 10 * NS_PER_SEC);
    assert_int_equal(url.nop_timeout_ns, 10 * NS_PER_SEC);
    assert_string_equal(url.initiator, "");
    assert_int_equal(url.chap_hashes, 0);

    assert_int_equal(ini_url_parse("iscsi://h/" IQN "/0?user=a%40b&password=p%26q&target_user=t"
                                   "&target_password=r%3ds&header_digest=CRC32C&data_digest="
                                   "crc32c-none&initiator=iqn.2025-01.io.usan:me&queue_depth=7"
                                   "&login_timeout=1s&reconnect_timeout=0s&nop_interval=0s"
                                   "&nop_timeout=250ms&chap_hashes=sha1,SHA3-256",
                                   &url, NULL),
                     0);
    assert_string_equal(url.user, "a@b");
    assert_string_equal(url.secret, "p&q");
    assert_string_equal(url.target_user, "t");
    assert_string_equal(url.target_secret, "r=s");
    assert_int_equal(url.header_digest, INI_DIGEST_REQUIRED);
    assert_int_equal(url.data_digest, INI_DIGEST_OFFERED);
    assert_string_equal(url.initiator, "iqn.2025-01.io.usan:me");
    assert_int_equal(url.queue_depth, 7);
    assert_int_equal(url.chap_hashes, 1 << 6 | 1 << 8);
    assert_int_equal(url.login_timeout_ns, NS_PER_SEC);
    assert_int_equal(url.reconnect_timeout_ns, 0);
    assert_int_equal(url.nop_interval_ns, 0);
    assert_int_equal(url.nop_timeout_ns, 250 * NS_PER_MS);
    assert_int_equal(url.connections, 1);
    assert_int_equal(url.command_timeout_ns, 60 * NS_PER_SEC);
    assert_false(url.has_isid);
    assert_int_equal(url.params.first_burst, 262144);
    assert_int_equal(url.params.max_burst, 1048576);
    assert_int_equal(url.params.max_recv_data_segment, 262144);
    assert_int_equal(url.params.max_outstanding_r2t, 8);
    assert_false(url.params.initial_r2t);
    assert_true(url.params.immediate_data);
    assert_int_equal(ini_url_parse("iscsi://h?initial_r2t=yes&immediate_data=no&first_burst=512"
                                   "&max_burst=16777215&max_segment=4K&max_r2t=16"
                                   "&data_pdu_in_order=no&data_sequence_in_order=no",
                                   &url, NULL),
                     0);
    assert_true(url.params.initial_r2t);
    assert_false(url.params.immediate_data);
    assert_int_equal(url.params.first_burst, 512);
    assert_int_equal(url.params.max_burst, 16777215);
    assert_int_equal(url.params.max_recv_data_segment, 4096);
    assert_int_equal(url.params.max_outstanding_r2t, 16);
    assert_false(url.params.data_pdu_in_order);
    assert_false(url.params.data_sequence_in_order);
    assert_int_equal(ini_url_parse("iscsi://h", &url, NULL), 0);
    static const uint8_t isid[6] = { 0x80, 0x01, 0xaB, 0xff, 0x00, 0x10 };
    assert_int_equal(
        ini_url_parse("iscsi://h?isid=8001aBfF0010&connections=32&command_timeout=0s", &url, NULL),
        0);
    assert_true(url.has_isid);
    assert_memory_equal(url.isid, isid, 6);
    assert_int_equal(url.connections, 32);
    assert_int_equal(url.command_timeout_ns, 0);
    assert_int_equal(url.error_recovery, 0);
    assert_int_equal(ini_url_parse("iscsi://h?error_recovery=2", &url, NULL), 0);
    assert_int_equal(url.error_recovery, 2);

    ini_url_wipe(&url);
    static const char nothing[INI_USER_MAX + 1];
    assert_memory_equal(url.secret, nothing, sizeof(nothing));
    assert_memory_equal(url.target_secret, nothing, sizeof(nothing));
}

/* A file with a secret: the first line, whatever ends it. */
static void secret_files(void **st)
{
    (void)st;
    static const struct {
        const char *content, *secret;
    } cases[] = { { "hunter2\n", "hunter2" },
                  { "hunter2", "hunter2" },
                  { "hunter2\r\nmore\n", "hunter2" },
                  { "with space %41\n", "with space %41" },
                  { "\nhunter2\n", NULL },
                  { "", NULL } };
    char path[] = "/tmp/usan-url.XX"
                  "XX"
                  "XX";
    char text[128];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    snprintf(text, sizeof(text), "iscsi://h?user=a&password_file=%s", path);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ini_url url;
        struct err_text e = { "" };
        size_t len = strlen(cases[i].content);
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, cases[i].content, len, 0), (ssize_t)len);
        int err = ini_url_parse(text, &url, &e);
        assert_int_equal(err, cases[i].secret ? 0 : USAN_EINVAL);
        if (!err)
            assert_string_equal(url.secret, cases[i].secret);
        assert_null(strstr(e.text, "hunter2"));
    }
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses), cmocka_unit_test(bad_addresses), cmocka_unit_test(too_long),
        cmocka_unit_test(options),   cmocka_unit_test(secret_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
