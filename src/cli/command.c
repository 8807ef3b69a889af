/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/command.h"

#include "cli/output.h"
#include "initiator/iscsi_store.h"
#include "initiator/mpath_store.h"

#include <assert.h>
#include <string.h>

const struct cli_command cli_commands[] = {
    { "serve", "PATH...", "serve files, block devices and memory as iSCSI disks", cli_serve_opts,
      cli_serve },
    { "target run", "", "serve what a configuration file says", cli_target_run_opts,
      cli_target_run },
    /* The longer names first: another word is a store. */
    { "attach list", "", "show what is attached", cli_attach_list_opts, cli_attach_list },
    { "attach show", "NAME", "show an attached store", cli_attach_show_opts, cli_attach_show },
    { "attach detach", "NAME", "end an attached store", cli_attach_detach_opts, cli_attach_detach },
    { "attach", "--as FRONT STORE", "let NBD clients, or files and block devices, use a store",
      cli_attach_opts, cli_attach },
    { "discover", "URL", "show the targets behind a portal", cli_discover_opts, cli_discover },
    { "ls", "URL", "show targets and their units", cli_ls_opts, cli_ls },
    { "inq", "URL", "show what a unit says about itself", cli_inq_opts, cli_inq },
    { "cp", "SOURCE DESTINATION", "copy between files, streams and stores", cli_cp_opts, cli_cp },
    { "bench", "STORE", "measure how fast a store is", cli_bench_opts, cli_bench },
    { "pr", "ACTION URL", "show and change persistent reservations", cli_pr_opts, cli_pr },
    { "iscsiadm", "-m MODE", "targets and sessions in the words of open-iscsi", cli_iscsiadm_opts,
      cli_iscsiadm },
    { "sim run", "SCENARIO", "simulate iSCSI between hosts on a network", cli_sim_run_opts,
      cli_sim_run },
    { "sim check", "SCENARIO...", "say whether scenarios of a simulation are well formed",
      cli_sim_check_opts, cli_sim_check },
    { "version", "", "show the version", NULL, cli_version },
    { "help", "[COMMAND]", "show this text, or a command's options", NULL, cli_help },
    { 0 },
};

/* The command whose one or two words argv starts with; *ret_words is their number. */
static const struct cli_command *find(int argc, char **argv, int *ret_words)
{
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        const char *space = strchr(c->name, ' ');
        size_t first = space ? (size_t)(space - c->name) : strlen(c->name);
        if (argc < 1 || strlen(argv[0]) != first || memcmp(argv[0], c->name, first) != 0)
            continue;
        if (space && (argc < 2 || strcmp(argv[1], space + 1) != 0))
            continue;
        *ret_words = space ? 2 : 1;
        return c;
    }
    return NULL;
}

/* Is it the first word of commands of two, and nothing by itself? */
static bool is_group(const char *word)
{
    size_t len = strlen(word);
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        if (strcmp(c->name, word) == 0)
            return false;
    }
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        if (strncmp(c->name, word, len) == 0 && c->name[len] == ' ')
            return true;
    }
    return false;
}

/* All commands, or those of a group. */
static void print_commands(const char *group, FILE *out)
{
    size_t len = group ? strlen(group) : 0;
    fprintf(out, "usage: usan %s%s [OPTION...] [ARGUMENT...]\n\ncommands:\n", group ? group : "",
            group ? " COMMAND" : "COMMAND");
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        if (!group || (strncmp(c->name, group, len) == 0 && c->name[len] == ' '))
            fprintf(out, "  %-14s %s\n", c->name, c->summary);
    }
    fputs("\n`usan COMMAND --help` shows a command's options, `man usan` all there is.\n", out);
}

static void print_help(const struct cli_command *c, FILE *out)
{
    fprintf(out, "usage: usan %s [OPTION...]%s%s\n\n%s\n\noptions:\n", c->name, *c->args ? " " : "",
            c->args, c->summary);
    cli_print_options(c->opts, out);
    size_t len = strcspn(c->name, " ");
    if (c->opts) /* the others are in usan(1) */
        fprintf(out, "\nmore: man usan-%.*s (in the source: man -l doc/man/usan-%.*s.1)\n",
                (int)len, c->name, (int)len, c->name);
}

int cli_fail(const struct cli_command *cmd, int code, const char *text)
{
    fprintf(stderr, "usan %s: %s\n", cmd->name, text);
    return code;
}

bool cli_begin(const struct cli_command *cmd, void *values, int argc, char **argv, int *ret_words,
               int *ret_code)
{
    struct err_text e = { "" };
    int err = cli_parse(cmd->opts, values, argc, argv, ret_words, &e);
    if (!err)
        return true;
    if (err == USAN_ECANCELED) {
        print_help(cmd, stdout);
        *ret_code = CLI_OK;
        return false;
    }
    fprintf(stderr, "usan %s: %s; see usan %s --help\n", cmd->name, e.text, cmd->name);
    *ret_code = CLI_USAGE;
    return false;
}

int cli_version(const struct cli_command *cmd, int argc, char **argv)
{
    int words, code;
    if (!cli_begin(cmd, NULL, argc, argv, &words, &code))
        return code;
    puts("usan " USAN_VERSION);
    return CLI_OK;
}

int cli_help(const struct cli_command *cmd, int argc, char **argv)
{
    int words, code, used;
    if (!cli_begin(cmd, NULL, argc, argv, &words, &code))
        return code;
    if (words == 0 || (words == 1 && is_group(argv[0]))) {
        print_commands(words ? argv[0] : NULL, stdout);
        return CLI_OK;
    }
    const struct cli_command *of = find(words, argv, &used);
    if (!of) {
        fprintf(stderr, "usan help: there is no command '%s'; see usan help\n", argv[0]);
        return CLI_USAGE;
    }
    print_help(of, stdout);
    return CLI_OK;
}

static bool asks_for_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* Back ends that stand above the stores' own folder. */
static void add_back_ends(void)
{
    static const struct store_ops *const all[] = { &iscsi_store_ops, &mpath_store_ops };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        int err = store_find_ops(all[i]->name) ? 0 : store_registry_add(all[i]);
        assert(!err);
        (void)err;
    }
}

static int run(int argc, char **argv)
{
    /* `usan` and `usan target` say what may follow. */
    const char *group = argc >= 2 && is_group(argv[1]) ? argv[1] : NULL;
    int named = group ? 2 : 1;
    if (argc <= named || !argv[1] || !argv[named]) {
        print_commands(group, stderr);
        return CLI_USAGE;
    }
    if (asks_for_help(argv[named])) {
        print_commands(group, stdout);
        return CLI_OK;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        puts("usan " USAN_VERSION);
        return CLI_OK;
    }
    int words;
    const struct cli_command *c = find(argc - 1, argv + 1, &words);
    if (!c) {
        fprintf(stderr, "usan: there is no command '%s%s%s'; see usan help%s%s\n", argv[1],
                group ? " " : "", group ? argv[2] : "", group ? " " : "", group ? group : "");
        return CLI_USAGE;
    }
    return c->run(c, argc - 1 - words, argv + 1 + words);
}

int cli_main(int argc, char **argv)
{
    cli_output_begin();
    add_back_ends();
    return cli_output_end(run(argc, argv));
}
