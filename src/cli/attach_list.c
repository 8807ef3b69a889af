/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usan attach list, show, detach: stores that are attached on this machine. */
#include "attach/control.h"
#include "attach/mount.h"
#include "cli/attach_answer.h"
#include "cli/command.h"
#include "cli/report.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LIST_MS = 2000, SHOW_MS = 30000 };

struct list_args {
    bool json;
};

struct detach_args {
    bool force;
};

#define JSON_OPT                                                                                   \
    {                                                                                              \
        "json", 'j', CLI_FLAG, NULL, NULL, "write JSON", offsetof(struct list_args, json), 0, 0    \
    }

const struct cli_opt cli_attach_list_opts[] = { JSON_OPT, { 0 } };
const struct cli_opt cli_attach_show_opts[] = { JSON_OPT, { 0 } };
const struct cli_opt cli_attach_detach_opts[] = {
    { "force", 'f', CLI_FLAG, NULL, NULL, "even if its file or device is in use",
      offsetof(struct detach_args, force), 0, 0 },
    { 0 },
};

/* ---- what is there ---- */

/* Did a program that is gone leave anything that has to be cleared? */
static bool left_mounts(const struct attach_record *r)
{
    for (size_t i = 0; i < r->mount_count; i++) {
        if (attach_mount_is_dead(r->mounts[i]))
            return true;
    }
    return false;
}

/* ---- list ---- */

static void list_json(struct report *out, const struct attach_record *r, const struct answer *a)
{
    report_begin(out, NULL, NULL);
    report_text(out, "name", NULL, r->name);
    report_text(out, "state", NULL, answer_state(a, r->alive));
    report_number(out, "pid", NULL, (uint64_t)r->pid, NULL);
    report_number(out, "since", NULL, r->since_s, NULL);
    report_text(out, "store", NULL, r->store);
    report_begin_list(out, "fronts", NULL);
    for (size_t i = 0; i < r->front_count; i++)
        report_text(out, NULL, NULL, r->fronts[i]);
    report_end(out);
    answer_report_paths(a, out);
    report_end(out);
}

static void list_line(const struct attach_record *r, const struct answer *a)
{
    printf("%-16s %-8s %7ld  %s", r->name, answer_state(a, r->alive), (long)r->pid, r->store);
    for (size_t i = 0; i < r->front_count; i++)
        printf("%s%s", i ? " " : "  ", r->fronts[i]);
    putchar('\n');
    answer_print_paths(a, stdout);
}

static void list_one(struct report *out, const char *dir, const char *name, bool *head)
{
    struct attach_record r;
    struct answer answer = { .count = 0 };
    if (attach_record_read(dir, name, &r, NULL))
        return; /* it has just ended */
    if (r.alive && answer_ask(dir, name, LIST_MS, &answer, NULL))
        answer = (struct answer){ .count = 0 }; /* it is shown as silent */
    if (!r.alive && !left_mounts(&r)) {
        attach_record_forget(dir, name);
    } else if (out->json) {
        list_json(out, &r, &answer);
    } else {
        if (!*head)
            printf("%-16s %-8s %7s  %s\n", "NAME", "STATE", "PID", "STORE  FRONTS");
        *head = true;
        list_line(&r, &answer);
    }
    answer_free(&answer);
    attach_record_free(&r);
}

int cli_attach_list(const struct cli_command *cmd, int argc, char **argv)
{
    struct list_args a = { 0 };
    struct err_text e = { "" };
    struct report out;
    char dir[256], **names = NULL;
    size_t count = 0;
    int words, code;
    bool head = false;
    if (!cli_begin(cmd, &a, argc, argv, &words, &code))
        return code;
    if (words)
        return cli_fail(cmd, CLI_USAGE, "takes no arguments");
    if (attach_run_dir(dir, sizeof(dir), &e) || attach_record_names(dir, &names, &count, &e))
        return cli_fail(cmd, CLI_FAILED, e.text);
    report_init(&out, stdout, a.json);
    if (a.json)
        report_begin_list(&out, NULL, NULL);
    for (size_t i = 0; i < count; i++) {
        list_one(&out, dir, names[i], &head);
        free(names[i]);
    }
    free(names);
    if (a.json)
        report_end(&out);
    return CLI_OK;
}

/* ---- show ---- */

struct date {
    char s[64];
};

static struct date date_of(uint64_t seconds)
{
    struct date d = { "" };
    time_t t = (time_t)seconds;
    struct tm tm;
    if (!localtime_r(&t, &tm) || !strftime(d.s, sizeof(d.s), "%Y-%m-%d %H:%M:%S %z", &tm))
        (void)snprintf(d.s, sizeof(d.s), "%llu", (unsigned long long)seconds);
    return d;
}

static void show_record(struct report *out, const struct attach_record *r)
{
    report_text(out, "name", "name", r->name);
    report_number(out, "pid", "pid", (uint64_t)r->pid, NULL);
    if (out->json)
        report_number(out, "since", NULL, r->since_s, NULL);
    else
        report_text(out, NULL, "since", date_of(r->since_s).s);
    report_text(out, "store", "store", r->store);
    report_begin_list(out, "fronts", NULL);
    for (size_t i = 0; i < r->front_count; i++)
        report_text(out, NULL, "front", r->fronts[i]);
    report_end(out);
    if (!r->alive)
        report_text(out, "state", "state", "dead");
}

static int show(const struct cli_command *cmd, const struct attach_record *r, const char *dir,
                bool json)
{
    struct err_text e = { "" };
    struct answer answer = { .count = 0 };
    struct report out;
    if (r->alive && answer_ask(dir, r->name, SHOW_MS, &answer, &e))
        return cli_fail(cmd, CLI_FAILED, e.text);
    report_init(&out, stdout, json);
    report_begin(&out, NULL, NULL);
    show_record(&out, r);
    answer_report_rest(&answer, &out);
    answer_report_paths(&answer, &out);
    report_end(&out);
    answer_free(&answer);
    return CLI_OK;
}

/* The one word of show and detach. */
static bool begin(const struct cli_command *cmd, void *values, int argc, char **argv,
                  size_t dir_cap, char *ret_dir, struct attach_record *ret_r, int *ret_code)
{
    struct err_text e = { "" };
    int words;
    if (!cli_begin(cmd, values, argc, argv, &words, ret_code))
        return false;
    if (words != 1) {
        *ret_code = cli_fail(cmd, CLI_USAGE, "takes one name; see usan attach list");
        return false;
    }
    if (attach_run_dir(ret_dir, dir_cap, &e) || attach_record_read(ret_dir, argv[0], ret_r, &e)) {
        *ret_code = cli_fail(cmd, CLI_FAILED, e.text);
        return false;
    }
    return true;
}

int cli_attach_show(const struct cli_command *cmd, int argc, char **argv)
{
    struct list_args a = { 0 };
    struct attach_record r;
    char dir[256];
    int code;
    if (!begin(cmd, &a, argc, argv, sizeof(dir), dir, &r, &code))
        return code;
    code = show(cmd, &r, dir, a.json);
    attach_record_free(&r);
    return code;
}

/* ---- detach ---- */

static int ask_to_stop(const struct cli_command *cmd, const struct attach_record *r,
                       const char *dir, bool force)
{
    struct err_text e = { "" };
    struct sockaddr_un sa;
    char *answer = NULL;
    int err = attach_record_socket(dir, r->name, &sa);
    if (!err) /* however long writing everything takes */
        err = attach_control_ask(&sa, force ? "detach force" : "detach", -1, &answer, &e);
    if (err)
        return cli_fail(cmd, CLI_FAILED, *e.text ? e.text : usan_strerror(err));
    answer[strcspn(answer, "\n")] = 0;
    int code = CLI_OK;
    if (strcmp(answer, "ok") != 0)
        code = cli_fail(cmd, CLI_FAILED,
                        strncmp(answer, "error ", 6) == 0
                            ? answer + 6
                            : "the program ended without writing everything; see its log");
    free(answer);
    return code;
}

static int clear(const struct cli_command *cmd, const struct attach_record *r, const char *dir)
{
    struct err_text e = { "" };
    for (size_t i = 0; i < r->mount_count; i++) {
        if (attach_mount_is_dead(r->mounts[i]) && attach_mount_clear(r->mounts[i], &e))
            return cli_fail(cmd, CLI_FAILED, e.text);
    }
    attach_record_forget(dir, r->name);
    return CLI_OK;
}

int cli_attach_detach(const struct cli_command *cmd, int argc, char **argv)
{
    struct detach_args a = { 0 };
    struct attach_record r;
    char dir[256];
    int code;
    if (!begin(cmd, &a, argc, argv, sizeof(dir), dir, &r, &code))
        return code;
    code = r.alive ? ask_to_stop(cmd, &r, dir, a.force) : clear(cmd, &r, dir);
    attach_record_free(&r);
    return code;
}
