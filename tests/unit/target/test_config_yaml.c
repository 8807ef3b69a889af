/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka_all.h"

#include "target/config_yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Parse text as the file "c.yaml"; returns the code, cfg is valid either way. */
static int parse(const char *text, struct tgt_config *cfg, struct err_text *e)
{
    FILE *in = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    assert_non_null(in);
    tgt_config_init(cfg);
    e->text[0] = 0;
    int err = tgt_config_parse(cfg, in, "c.yaml", e);
    fclose(in);
    return err;
}

static const char full[] = "portals:\n"
                           "  - address: 127.0.0.1\n"
                           "    port: 0\n"
                           "  - address: '::1'\n"
                           "users:\n"
                           "  - {name: alice, secret: alices-secret-1}\n"
                           "  - {name: gate, secret: gates-secret-22}\n"
                           "discovery:\n"
                           "  optional: yes\n"
                           "  users: [alice]\n"
                           "targets:\n"
                           "  - name: iqn.2025-01.com.example:one\n"
                           "    alias: first\n"
                           "    users: [alice]\n"
                           "    mutual-user: gate\n"
                           "    initiators: [iqn.2025-01.com.example:host1]\n"
                           "    luns:\n"
                           "      - store: ram:64M\n"
                           "        block-size: 4k\n"
                           "        thin: yes\n"
                           "        thin-threshold: 80\n"
                           "      - lun: 7\n"
                           "        store: /srv/disk.img\n"
                           "        read-only: true\n"
                           "        serial: S1\n"
                           "        naa: 3000000000000001\n"
                           "  - name: iqn.2025-01.com.example:two\n"
                           "    redirect: 10.0.0.2:3260\n"
                           "limits:\n"
                           "  sessions: 10\n"
                           "  connections-per-session: 3\n"
                           "  queue-depth: 64\n"
                           "  memory: 256MiB\n"
                           "  progress-timeout: 90s\n"
                           "cores: 2\n"
                           "engine: epoll\n"
                           "poll: never\n"
                           "state-dir: /var/lib/usan\n"
                           "login-timeout: 5s\n"
                           "nop-interval: 0\n";

static void reads_every_kind_of_value(void **state)
{
    (void)state;
    struct tgt_config c;
    struct err_text e;
    assert_int_equal(parse(full, &c, &e), 0);
    assert_int_equal(tgt_config_check(&c, &e), 0);
    assert_int_equal(c.portal_count, 2);
    assert_string_equal(c.portals[0].address, "127.0.0.1");
    assert_int_equal(c.portals[0].port, 0);
    assert_string_equal(c.portals[1].address, "::1");
    assert_int_equal(c.portals[1].port, 3260);
    assert_int_equal(c.user_count, 2);
    assert_string_equal(c.users[1].secret, "gates-secret-22");
    assert_int_equal(c.discovery_user_count, 1);
    assert_int_equal(c.target_count, 2);
    const struct tgt_config_target *t = &c.targets[0];
    assert_string_equal(t->alias, "first");
    assert_string_equal(t->mutual_user, "gate");
    assert_string_equal(t->initiators[0], "iqn.2025-01.com.example:host1");
    assert_int_equal(t->lun_count, 2);
    assert_int_equal(t->luns[0].lun, 0);
    assert_string_equal(t->luns[0].store, "ram:64M");
    assert_int_equal(t->luns[0].block_bytes, 4096);
    assert_true(t->luns[0].thin);
    assert_int_equal(t->luns[0].thin_threshold_pct, 80);
    assert_false(t->luns[0].read_only);
    assert_int_equal(t->luns[1].lun, 7);
    assert_true(t->luns[1].read_only);
    assert_string_equal(t->luns[1].naa, "3000000000000001");
    assert_string_equal(c.targets[1].redirect, "10.0.0.2:3260");
    assert_int_equal(c.limits.sessions, 10);
    assert_int_equal(c.limits.session_connections, 3);
    assert_int_equal(c.limits.queue_depth, 64);
    assert_int_equal(c.limits.memory_bytes, 268435456);
    assert_int_equal(c.limits.progress_timeout_ns, 90000000000);
    assert_true(c.discovery_optional);
    assert_int_equal(c.cores, 2);
    assert_int_equal(c.engine, LOOP_ENGINE_EPOLL);
    assert_int_equal(c.poll, LOOP_POLL_NEVER);
    assert_string_equal(c.state_dir, "/var/lib/usan");
    assert_int_equal(c.login_timeout_ns, 5000000000);
    assert_int_equal(c.nop_interval_ns, 0);
    assert_int_equal(c.nop_timeout_ns, 30000000000); /* the default */
    tgt_config_fini(&c);
}

static void errors_name_line_and_column(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *error;
    } rows[] = {
        { "", "c.yaml: is empty" },
        { "- a\n", "c.yaml:1:1: the configuration: needs keys and values here" },
        { "cores: 2\nbores: 3\n", "c.yaml:2:1: there is no key 'bores' in the configuration" },
        { "cores: 1\ncores: 2\n", "c.yaml:2:1: cores: is given twice" },
        { "cores: many\n", "c.yaml:1:8: cores: 'many' is not a number" },
        { "cores: 65\n", "c.yaml:1:8: cores: 65 is out of range, use 0 to 64" },
        { "cores: [1]\n", "c.yaml:1:8: cores: needs one value here" },
        { "engine: fast\n", "c.yaml:1:9: engine: 'fast' is not auto, io_uring or epoll" },
        { "poll: maybe\n", "c.yaml:1:7: poll: 'maybe' is not auto, never or always" },
        { "login-timeout: 5d\n",
          "c.yaml:1:16: login-timeout: '5d' is not a time like 15s or 500ms" },
        { "targets: x\n", "c.yaml:1:10: targets: needs a list here" },
        { "targets:\n  - luns:\n      - stores: x\n",
          "c.yaml:3:9: there is no key 'stores' in luns" },
        { "targets:\n  - luns:\n      - store: x\n        thin: perhaps\n",
          "c.yaml:4:15: thin: 'perhaps' is not yes or no" },
        { "targets:\n  - name: ''\n", "c.yaml:2:11: name: is empty" },
        { "targets:\n  - users: alice\n", "c.yaml:2:12: users: needs a list here" },
        { "targets:\n  - users: [[a]]\n", "c.yaml:2:13: users: needs one value here" },
        { "limits: {memory: 1M}\n", "c.yaml:1:18: memory: 1M is out of range, use 16M to 1P" },
        { "limits: {memory: 1.5G}\n",
          "c.yaml:1:18: memory: '1.5G' is not a size like 512, 64M or 1GiB" },
        { "portals: [{port: 70000}]\n",
          "c.yaml:1:18: port: 70000 is out of range, use 0 to 65535" },
        { "state-dir: \"a\\0b\"\n", "c.yaml:1:12: state-dir: has a NUL character in it" },
        { "users: [{secret: one-secret-here, secret-file: /x}]\n",
          "c.yaml:1:48: secret-file: the user has a secret already" },
        { "users: [{secret-file: /nowhere/at/all}]\n",
          "c.yaml:1:23: secret-file: /nowhere/at/all: No such file or directory" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tgt_config c;
        struct err_text e;
        assert_int_not_equal(parse(rows[i].yaml, &c, &e), 0);
        assert_string_equal(e.text, rows[i].error);
        tgt_config_fini(&c);
    }
}

static void syntax_errors_name_their_place(void **state)
{
    (void)state;
    struct tgt_config c;
    struct err_text e;
    assert_int_equal(parse("cores: 1\nengine: [a\n", &c, &e), USAN_EINVAL);
    assert_memory_equal(e.text, "c.yaml:3:1: ", 12);
    tgt_config_fini(&c);
    assert_int_equal(parse("a: b: c\n", &c, &e), USAN_EINVAL);
    assert_memory_equal(e.text, "c.yaml:1:5: ", 12);
    tgt_config_fini(&c);
}

static char *make_file(const char *dir, const char *name, const char *text)
{
    char *path;
    assert_true(asprintf(&path, "%s/%s", dir, name) > 0);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return path;
}

/* Secret files are found beside the configuration, wherever the program was started. */
static void load_reads_secrets_beside_the_file(void **state)
{
    (void)state;
    char dir[] = "/tmp/usan-test-yaml.XX"
                 "XX"
                 "XX";
    assert_non_null(mkdtemp(dir));
    char *secret = make_file(dir, "s", "the-secret-itself\nignored\n");
    char *conf = make_file(dir, "c.yaml",
                           "users: [{name: u, secret-file: s}]\n"
                           "targets: [{name: iqn.2025-01.com.example:t, users: [u], luns: "
                           "[{store: 'null:1G'}]}]\n");
    struct tgt_config c;
    struct err_text e = { "" };
    tgt_config_init(&c);
    assert_int_equal(tgt_config_load(&c, conf, &e), 0);
    assert_string_equal(c.users[0].secret, "the-secret-itself");
    /* Nothing was said about portals: all addresses. */
    assert_int_equal(c.portal_count, 1);
    assert_string_equal(c.portals[0].address, "::");
    tgt_config_fini(&c);

    assert_int_equal(tgt_config_load(&c, "/nowhere/c.yaml", &e), USAN_ENOENT);
    assert_string_equal(e.text, "/nowhere/c.yaml: No such file or directory");
    tgt_config_fini(&c);

    unlink(secret);
    unlink(conf);
    rmdir(dir);
    free(secret);
    free(conf);
}

/* Two LUNs of two targets with stores a and b: what is said about them. */
static void check_two(const char *a, const char *b, const char *more, const char *error)
{
    char dir[] = "/tmp/usan-test-yaml.XX"
                 "XX"
                 "XX";
    assert_non_null(mkdtemp(dir));
    char *disk = make_file(dir, "disk", "x"), *yaml;
    char *link;
    assert_true(asprintf(&link, "%s/link", dir) > 0);
    assert_int_equal(symlink(disk, link), 0);
    assert_true(asprintf(&yaml,
                         "targets:\n"
                         "  - name: iqn.2025-01.com.example:a\n"
                         "    luns:\n"
                         "      - {store: '%s/%s'%s}\n"
                         "  - name: iqn.2025-01.com.example:b\n"
                         "    luns:\n"
                         "      - {lun: 1, store: 'ram:1M'}\n"
                         "      - {lun: 2, store: 'stats+file:%s/%s'%s}\n",
                         dir, a, more, dir, b, more) > 0);
    char *conf = make_file(dir, "c.yaml", yaml);
    struct tgt_config c;
    struct err_text e = { "" };
    tgt_config_init(&c);
    int err = tgt_config_load(&c, conf, &e);
    if (error) {
        char *want;
        assert_true(asprintf(&want, "%s:8: target iqn.2025-01.com.example:b: LUN 2: %s/%s%s", conf,
                             dir, b, error) > 0);
        assert_int_equal(err, USAN_EINVAL);
        assert_string_equal(e.text, want);
        free(want);
    } else if (err) {
        fail_msg("%s", e.text);
    }
    tgt_config_fini(&c);
    unlink(conf);
    unlink(link);
    unlink(disk);
    rmdir(dir);
    free(conf);
    free(yaml);
    free(link);
    free(disk);
}

static void a_file_is_one_disk(void **state)
{
    static const char error[] = " is LUN 0 of target iqn.2025-01.com.example:a already; a file can "
                                "be one disk only";
    (void)state;
    check_two("disk", "disk", "", error);
    check_two("disk", "link", "", error);
    check_two("new", "new", "", error);
    check_two("disk", "disk", ", read-only: yes", NULL);
    check_two("disk", "new", "", NULL);
    check_two("disk?lock=no", "disk?lock=no", "", NULL);
}

/* What is wrong with a store is found without opening it, and placed. */
static void load_checks_stores(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *error;
    } rows[] = {
        { "targets:\n  - name: iqn.2025-01.com.example:a\n    luns:\n      - store: ram:1M\n"
          "      - lun: 3\n        store: rum:1M\n",
          ":5: target iqn.2025-01.com.example:a: LUN 3: unknown back end 'rum'" },
        { "targets:\n  - name: iqn.2025-01.com.example:a\n    luns:\n"
          "      - store: /nowhere/x?creat=1M\n",
          ":4: target iqn.2025-01.com.example:a: LUN 0: file: unknown option 'creat'" },
        { "targets:\n  - name: iqn.2025-01.com.example:a\n    luns:\n"
          "      - store: delay(time=5)+ram:1M\n",
          ":4: target iqn.2025-01.com.example:a: LUN 0: delay: option 'time': '5' is not a time" },
        { "cores: 1\ntargets:\n  - name: iqn.2025-01.com.example:a\n",
          ":3: target iqn.2025-01.com.example:a: no LUN" },
        { "targets:\n  - luns: [{store: 'ram:1M'}]\n", ":2: target 1 has no name" },
        { "cores: 1\nportals:\n  - address: 127.0.0.1:3261\n",
          ":3: address '127.0.0.1:3261' has a "
          "port in it; write 'port: 3261' beside it" },
        { "portals:\n  - {address: 127.0.0.1}\n  - {address: 127.0.0.1}\n",
          ":3: address '127.0.0.1' with port 3260 is there twice" },
        { "users:\n  - {name: a, secret: a-long-secret}\n  - name: b\n    secret: short\n",
          ":3: the secret of user 'b' has 5 characters" },
        { "targets:\n  - name: iqn.2025-01.com.example:a\n    redirect: 'nonsense::'\n",
          ":2: target iqn.2025-01.com.example:a: redirect 'nonsense::' is not HOST:PORT" },
        { "discovery: {users: [eve]}\ntargets:\n  - name: iqn.2025-01.com.example:a\n",
          ": discovery: user 'eve' is not defined" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char dir[] = "/tmp/usan-test-yaml.XX"
                     "XX"
                     "XX";
        assert_non_null(mkdtemp(dir));
        char *conf = make_file(dir, "c.yaml", rows[i].yaml);
        struct tgt_config c;
        struct err_text e = { "" };
        tgt_config_init(&c);
        assert_int_equal(tgt_config_load(&c, conf, &e) == 0, 0);
        size_t len = strlen(conf);
        assert_memory_equal(e.text, conf, len);
        if (strncmp(e.text + len, rows[i].error, strlen(rows[i].error)) != 0)
            fail_msg("got '%s', wanted '...%s'", e.text, rows[i].error);
        tgt_config_fini(&c);
        unlink(conf);
        rmdir(dir);
        free(conf);
    }
}

static void load_checks_the_whole(void **state)
{
    (void)state;
    char dir[] = "/tmp/usan-test-yaml.XX"
                 "XX"
                 "XX";
    assert_non_null(mkdtemp(dir));
    char *conf = make_file(dir, "c.yaml", "targets: [{name: disk, luns: [{store: x}]}]\n");
    struct tgt_config c;
    struct err_text e = { "" };
    tgt_config_init(&c);
    assert_int_equal(tgt_config_load(&c, conf, &e), USAN_EINVAL);
    assert_non_null(strstr(e.text, "'disk' is not an iSCSI name"));
    assert_memory_equal(e.text, conf, strlen(conf));
    tgt_config_fini(&c);
    unlink(conf);
    rmdir(dir);
    free(conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_kind_of_value),
        cmocka_unit_test(errors_name_line_and_column),
        cmocka_unit_test(syntax_errors_name_their_place),
        cmocka_unit_test(load_reads_secrets_beside_the_file),
        cmocka_unit_test(load_checks_stores),
        cmocka_unit_test(load_checks_the_whole),
        cmocka_unit_test(a_file_is_one_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
