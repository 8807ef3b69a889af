/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka_all.h"

#include "cli/command.h"
#include "cli/opt.h"

#include <stdlib.h>
#include <string.h>

struct values {
    bool flag, other;
    const char *text, *choice;
    struct cli_texts list;
    uint64_t number, size, time;
};

#define AT(field) offsetof(struct values, field)

static const struct cli_opt opts[] = {
    { "flag", 'f', CLI_FLAG, NULL, NULL, "a flag", AT(flag), 0, 0 },
    { "other", 'o', CLI_FLAG, NULL, NULL, "another", AT(other), 0, 0 },
    { "text", 't', CLI_TEXT, "TEXT", NULL, "a text", AT(text), 0, 0 },
    { "choice", 0, CLI_CHOICE, "red|green", "red", "one of two", AT(choice), 0, 0 },
    { "list", 'l', CLI_TEXTS, "ITEM", "all", "several", AT(list), 0, 0 },
    { "number", 'n', CLI_UINT, "NUMBER", "7", "a number", AT(number), 1, 10 },
    { "size", 0, CLI_SIZE, "BYTES", "1K", "a size", AT(size), 0, 0 },
    { "time", 0, CLI_TIME, "TIME", "1s", "a time", AT(time), 0, 0 },
    { 0 },
};

enum { ARGS_MAX = 8 };

/* cli_parse of the words up to NULL; they stay valid until the next call. */
static int parse(const char *const *words, struct values *v, int *ret_words, char **argv,
                 struct err_text *e)
{
    static char copies[ARGS_MAX][64];
    int argc = 0;
    *v = (struct values){ 0 };
    for (; words[argc]; argc++) {
        assert_true(argc < ARGS_MAX && strlen(words[argc]) < 64);
        snprintf(copies[argc], sizeof(copies[argc]), "%s", words[argc]);
        argv[argc] = copies[argc];
    }
    return cli_parse(opts, v, argc, argv, ret_words, e);
}

#define WORDS(...)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static void defaults(void **state)
{
    (void)state;
    struct values v;
    char *argv[ARGS_MAX];
    int words;
    assert_int_equal(parse(WORDS(NULL), &v, &words, argv, NULL), 0);
    assert_int_equal(words, 0);
    assert_false(v.flag);
    assert_null(v.text);
    assert_string_equal(v.choice, "red");
    assert_int_equal(v.list.count, 0);
    assert_int_equal(v.number, 7);
    assert_int_equal(v.size, 1024);
    assert_int_equal(v.time, 1000000000);
}

static void all_forms(void **state)
{
    (void)state;
    struct values v;
    char *argv[ARGS_MAX];
    int words;
    assert_int_equal(parse(WORDS("--text", "a", "--number=3", "-fo"), &v, &words, argv, NULL), 0);
    assert_string_equal(v.text, "a");
    assert_int_equal(v.number, 3);
    assert_true(v.flag && v.other);
    assert_int_equal(parse(WORDS("-tabc", "-n", "4", "-ft", "x=y"), &v, &words, argv, NULL), 0);
    assert_string_equal(v.text, "x=y");
    assert_int_equal(v.number, 4);
    assert_true(v.flag);
    assert_int_equal(parse(WORDS("-l", "1", "--list=2", "-l3"), &v, &words, argv, NULL), 0);
    assert_int_equal(v.list.count, 3);
    assert_string_equal(v.list.v[0], "1");
    assert_string_equal(v.list.v[1], "2");
    assert_string_equal(v.list.v[2], "3");
    assert_int_equal(parse(WORDS("--size", "2M", "--time=250ms"), &v, &words, argv, NULL), 0);
    assert_int_equal(v.size, 2097152);
    assert_int_equal(v.time, 250000000);
}

static void words_are_collected(void **state)
{
    (void)state;
    struct values v;
    char *argv[ARGS_MAX];
    int words;
    assert_int_equal(parse(WORDS("a", "-f", "b", "-", "--", "--flag"), &v, &words, argv, NULL), 0);
    assert_int_equal(words, 4);
    assert_string_equal(argv[0], "a");
    assert_string_equal(argv[1], "b");
    assert_string_equal(argv[2], "-");
    assert_string_equal(argv[3], "--flag");
    assert_true(v.flag);
    assert_false(v.other);
}

static void errors(void **state)
{
    (void)state;
    static const struct {
        const char *words[3], *text;
    } rows[] = {
        { { "--nix" }, "there is no option --nix" },
        { { "--fla" }, "there is no option --fla" },
        { { "-x" }, "there is no option -x" },
        { { "--flag=1" }, "--flag takes no argument" },
        { { "--text" }, "--text needs an argument: TEXT" },
        { { "-n" }, "--number needs an argument: NUMBER" },
        { { "--number", "x" }, "--number x: is not a number" },
        { { "--number", "11" }, "--number 11: use 1 to 10" },
        { { "--number=0" }, "--number 0: use 1 to 10" },
        { { "--size=1X" }, "--size 1X: is not a size like 512, 64M or 1GiB" },
        { { "--time=1d" }, "--time 1d: is not a time like 15s or 500ms" },
        { { "--choice", "gre" }, "--choice gre: use one of red|green" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct values v;
        struct err_text e = { "" };
        char *argv[ARGS_MAX];
        int words = -7;
        assert_int_equal(parse(rows[i].words, &v, &words, argv, &e), USAN_EINVAL);
        assert_string_equal(e.text, rows[i].text);
        assert_int_equal(words, -7);
    }
}

static void help_ends_the_parsing(void **state)
{
    (void)state;
    struct values v;
    char *argv[ARGS_MAX];
    int words;
    assert_int_equal(parse(WORDS("--help", "--nix"), &v, &words, argv, NULL), USAN_ECANCELED);
    assert_int_equal(parse(WORDS("-fh"), &v, &words, argv, NULL), USAN_ECANCELED);
}

static void help_shows_every_option(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    cli_print_options(opts, out);
    fclose(out);
    assert_string_equal(text, "  -f, --flag                    a flag\n"
                              "  -o, --other                   another\n"
                              "  -t, --text TEXT               a text\n"
                              "      --choice red|green        one of two (red)\n"
                              "  -l, --list ITEM               several (all)\n"
                              "  -n, --number NUMBER           a number (7)\n"
                              "      --size BYTES              a size (1K)\n"
                              "      --time TIME               a time (1s)\n"
                              "  -h, --help                    show this text\n");
    free(text);
}

/* No line of a help text is longer than a terminal of 100 columns, and no word is lost. */
static void help_fits(void **state)
{
    (void)state;
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);
        assert_non_null(out);
        cli_print_options(c->opts, out);
        fclose(out);
        for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
            assert_true(strcspn(line, "\n") <= 100);
        free(text);
    }
    static const char word[] = "0123456789abcdefghijklmnopqrstuv";
    char help[100], want[200];
    (void)snprintf(help, sizeof(help), "%s %s b", word, word); /* 65 and 1: columns 33 to 99 */
    struct cli_opt one[] = { { "x", 0, CLI_FLAG, NULL, NULL, help, 0, 0, 0 }, { 0 } };
    for (int more = 0; more < 2; more++) {
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);
        assert_non_null(out);
        cli_print_options(one, out);
        fclose(out);
        (void)snprintf(want, sizeof(want), "      --x%*s%s %s %s\n", 23, "", word, word,
                       more ? "bc\n                                d" : "b");
        assert_memory_equal(text, want, strlen(want));
        free(text);
        (void)snprintf(help, sizeof(help), "%s %s bc d", word, word);
    }
}

/* In every table of the program: names and letters are unique, and the defaults are acceptable. */
static void tables_are_sound(void **state)
{
    (void)state;
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        for (const struct cli_opt *o = c->opts; o && o->name; o++) {
            assert_string_not_equal(o->name, "help");
            assert_int_not_equal(o->letter, 'h');
            assert_int_equal(o->arg == NULL, o->type == CLI_FLAG);
            for (const struct cli_opt *p = c->opts; p < o; p++) {
                assert_string_not_equal(o->name, p->name);
                assert_true(!o->letter || o->letter != p->letter);
            }
        }
        uint64_t values[256]; /* larger than any struct of values */
        int words;
        memset(values, 0, sizeof(values));
        assert_int_equal(cli_parse(c->opts, values, 0, NULL, &words, NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(all_forms),
        cmocka_unit_test(words_are_collected),
        cmocka_unit_test(errors),
        cmocka_unit_test(help_ends_the_parsing),
        cmocka_unit_test(help_shows_every_option),
        cmocka_unit_test(help_fits),
        cmocka_unit_test(tables_are_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
