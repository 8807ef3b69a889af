/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a program answers of itself: values, and the paths of a multipath store. */
#include "cli/attach_answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct answer parse(const char *text)
{
    struct answer a;
    char *copy = strdup(text);
    assert_non_null(copy);
    assert_int_equal(answer_parse(copy, &a), 0);
    return a;
}

static const char multipath[] = "state=attached\npaths_up=1\nodd line\n"
                                "path.0.url=iscsi://a/b/0\npath.0.state=up\n"
                                "path.0.alua=non-optimized\npath.0.sessions=2\n"
                                "path.1.url=iscsi://c/b/0\npath.1.state=down\n"
                                "path.1.why=no route = none\nsize_bytes=4096\nread_only=no\n";

static void values(void **state)
{
    (void)state;
    struct answer a = parse(multipath);
    assert_string_equal(answer_get(&a, "path.1.why"), "no route = none");
    assert_string_equal(answer_get(&a, "size_bytes"), "4096");
    assert_null(answer_get(&a, "odd line"));
    assert_null(answer_get(&a, "size"));
    assert_string_equal(answer_state(&a, true), "attached");
    assert_string_equal(answer_state(&a, false), "dead");
    answer_free(&a);
    assert_string_equal(answer_state(&a, true), "silent");
    a = parse("");
    assert_string_equal(answer_state(&a, true), "silent");
    answer_free(&a);
}

static void expect(const char *answer, bool json, bool list, const char *want)
{
    struct answer a = parse(answer);
    struct report out;
    char *text;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    assert_non_null(f);
    if (list) {
        answer_print_paths(&a, f);
    } else {
        report_init(&out, f, json);
        report_begin(&out, NULL, NULL);
        answer_report_rest(&a, &out);
        answer_report_paths(&a, &out);
        report_end(&out);
    }
    assert_int_equal(fclose(f), 0);
    assert_string_equal(text, want);
    free(text);
    answer_free(&a);
}

static void paths(void **state)
{
    (void)state;
    expect(multipath, false, true,
           "  path iscsi://a/b/0  up: non-optimized\n"
           "  path iscsi://c/b/0  down: no route = none\n");
    expect(multipath, true, false,
           "{\n  \"state\": \"attached\",\n  \"paths_up\": 1,\n  \"size_bytes\": 4096,\n"
           "  \"read_only\": false,\n  \"paths\": [\n"
           "    {\n      \"url\": \"iscsi://a/b/0\",\n      \"state\": \"up\",\n"
           "      \"alua\": \"non-optimized\",\n      \"sessions\": 2\n    },\n"
           "    {\n      \"url\": \"iscsi://c/b/0\",\n      \"state\": \"down\",\n"
           "      \"why\": \"no route = none\"\n    }\n  ]\n}\n");
    expect(multipath, false, false,
           "state: attached\npaths_up: 1\nsize_bytes: 4096\nread_only: no\n"
           "path 0\n  url: iscsi://a/b/0\n  state: up\n  alua: non-optimized\n  sessions: 2\n"
           "path 1\n  url: iscsi://c/b/0\n  state: down\n  why: no route = none\n");
}

static void without_paths(void **state)
{
    (void)state;
    expect("state=lost\npath.x.url=1\n", true, false, "{\n  \"state\": \"lost\"\n}\n");
    expect("state=lost\n", false, true, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(paths),
        cmocka_unit_test(without_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
