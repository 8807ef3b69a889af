/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The man pages against the tables they describe: every option with its letter and argument, in
 * the table's order, and no other; every sub-command; every key of the configuration file.
 *
 * In the pages an option is a line ".It Fl N , Fl -name Ar IQN" and a key ".It Cm targets.name",
 * with "Cm" once for each sub-command in usan.1.
 */
#include "cmocka_all.h"

#include "cli/command.h"
#include "target/config_yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *open_page(const char *name)
{
    const char *dir = getenv("USAN_MAN_DIR");
    char path[512];
    if (!dir)
        fail_msg("USAN_MAN_DIR is not set");
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("%s cannot be opened", path);
    return f;
}

/* The next line that begins so; false at the end. */
static bool next_item(FILE *f, const char *begin, char *line, size_t cap)
{
    while (fgets(line, (int)cap, f)) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, begin, strlen(begin)) == 0)
            return true;
    }
    line[0] = 0;
    return false;
}

static void item_of(const struct cli_opt *o, char *buf, size_t cap)
{
    size_t n = 0;
    n += (size_t)snprintf(buf, cap, ".It ");
    if (o->letter)
        n += (size_t)snprintf(buf + n, cap - n, "Fl %c , ", o->letter);
    n += (size_t)snprintf(buf + n, cap - n, "Fl -%s", o->name);
    if (o->arg)
        snprintf(buf + n, cap - n, " Ar %s", o->arg);
}

static void compare_table(FILE *f, const struct cli_opt *opts)
{
    char line[512], want[512];
    for (const struct cli_opt *o = opts; o->name; o++) {
        item_of(o, want, sizeof(want));
        next_item(f, ".It Fl", line, sizeof(line));
        assert_string_equal(line, want);
    }
}

/* more: of commands of two words that the page describes too; ends with NULL. */
static void compare_all(const char *page, const struct cli_opt *opts,
                        const struct cli_opt *const *more)
{
    char line[512];
    FILE *f = open_page(page);
    compare_table(f, opts);
    assert_true(next_item(f, ".It Fl", line, sizeof(line)));
    assert_string_equal(line, ".It Fl h , Fl -help");
    for (; *more; more++)
        compare_table(f, *more);
    assert_false(next_item(f, ".It Fl", line, sizeof(line)));
    fclose(f);
}

static void compare_options(const char *page, const struct cli_opt *opts)
{
    static const struct cli_opt *const none[] = { NULL };
    compare_all(page, opts, none);
}

static void serve(void **state)
{
    (void)state;
    compare_options("usan-serve.1", cli_serve_opts);
}

static void target_run(void **state)
{
    (void)state;
    compare_options("usan-target.1", cli_target_run_opts);
}

static void attach(void **state)
{
    (void)state;
    static const struct cli_opt *const more[] = { cli_attach_list_opts, cli_attach_detach_opts,
                                                  NULL };
    compare_all("usan-attach.1", cli_attach_opts, more);
}

static void remote(void **state)
{
    (void)state;
    compare_options("usan-discover.1", cli_discover_opts);
    compare_options("usan-ls.1", cli_ls_opts);
    compare_options("usan-inq.1", cli_inq_opts);
}

static void tools(void **state)
{
    (void)state;
    compare_options("usan-cp.1", cli_cp_opts);
    compare_options("usan-bench.1", cli_bench_opts);
    compare_options("usan-pr.1", cli_pr_opts);
    compare_options("usan-iscsiadm.1", cli_iscsiadm_opts);
    compare_options("usan-sim.1", cli_sim_run_opts);
}

static void commands(void **state)
{
    (void)state;
    char line[512], want[512];
    FILE *f = open_page("usan.1");
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        snprintf(want, sizeof(want), ".It Cm %s", c->name);
        next_item(f, ".It Cm", line, sizeof(line));
        assert_string_equal(line, want);
    }
    assert_false(next_item(f, ".It Cm", line, sizeof(line)));
    fclose(f);
}

static void yaml_keys(void **state)
{
    (void)state;
    char line[512], want[512], key[256];
    FILE *f = open_page("usan-target.yaml.5");
    for (size_t i = 0; tgt_config_key(i, key, sizeof(key)); i++) {
        snprintf(want, sizeof(want), ".It Cm %s", key);
        next_item(f, ".It Cm", line, sizeof(line));
        assert_string_equal(line, want);
    }
    assert_false(next_item(f, ".It Cm", line, sizeof(line)));
    fclose(f);
}

/* A default that the page states is the table's. */
static void compare_defaults(const char *name, const struct cli_opt *opts)
{
    char page[65536];
    FILE *f = open_page(name);
    size_t n = fread(page, 1, sizeof(page) - 1, f);
    fclose(f);
    page[n] = 0;
    for (const struct cli_opt *o = opts; o->name; o++) {
        char item[512], line[520], end[] = "\n.It ";
        item_of(o, item, sizeof(item));
        snprintf(line, sizeof(line), "%s\n", item);
        char *at = strstr(page, line);
        assert_non_null(at);
        char *next = strstr(at + 1, end);
        assert_non_null(next);
        *next = 0;
        char *said = strstr(at, "\nThe default is\n.Cm ");
        if (o->def && o->type != CLI_TEXTS) {
            char want[128];
            snprintf(want, sizeof(want), "\nThe default is\n.Cm %s", o->def);
            if (!strstr(at, want))
                fail_msg("--%s: the page does not say the default is %s", o->name, o->def);
        } else if (said) {
            fail_msg("--%s: has no default but the page states one", o->name);
        }
        *next = '\n';
    }
}

static void defaults(void **state)
{
    (void)state;
    compare_defaults("usan-serve.1", cli_serve_opts);
    compare_defaults("usan-attach.1", cli_attach_opts);
    compare_defaults("usan-cp.1", cli_cp_opts);
    compare_defaults("usan-bench.1", cli_bench_opts);
    compare_defaults("usan-sim.1", cli_sim_run_opts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serve),     cmocka_unit_test(target_run), cmocka_unit_test(attach),
        cmocka_unit_test(remote),    cmocka_unit_test(tools),      cmocka_unit_test(commands),
        cmocka_unit_test(yaml_keys), cmocka_unit_test(defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
