/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usan discover: the targets behind a portal. */
#include "cli/remote.h"

#include <string.h>

const struct cli_opt cli_discover_opts[] = { REMOTE_OPTS, { 0 } };

static void print(const struct ini_targets *t, bool json)
{
    struct report r;
    report_init(&r, stdout, json);
    if (!json) { /* one line for each address */
        for (size_t i = 0; i < t->count; i++) {
            for (size_t k = 0; k < t->v[i].address_count; k++)
                printf("%s %s\n", t->v[i].name, t->v[i].addresses[k]);
        }
        return;
    }
    report_begin_list(&r, NULL, NULL);
    for (size_t i = 0; i < t->count; i++) {
        report_begin(&r, NULL, NULL);
        report_text(&r, "name", NULL, t->v[i].name);
        report_begin_list(&r, "addresses", NULL);
        for (size_t k = 0; k < t->v[i].address_count; k++)
            report_text(&r, NULL, NULL, t->v[i].addresses[k]);
        report_end(&r);
        report_end(&r);
    }
    report_end(&r);
}

int cli_discover(const struct cli_command *cmd, int argc, char **argv)
{
    struct remote_args a = { 0 };
    int words, code;
    if (!cli_begin(cmd, &a, argc, argv, &words, &code))
        return code;
    const char *text = cli_remote_argument(cmd, words, argv);
    struct ini_url url = { .port = 0 };
    struct err_text e = { "" };
    struct ini_sync *sync = NULL;
    struct ini_targets targets;
    code = text ? cli_remote_url(cmd, &a, text, &url) : CLI_USAGE;
    if (!code && *url.target)
        code = cli_fail(cmd, CLI_USAGE, "the URL names a target already; usan ls shows its units");
    if (!code) {
        if (ini_sync_open(&url, &sync, &e) || ini_sync_targets(sync, &targets, &e)) {
            code = cli_fail(cmd, CLI_FAILED, e.text);
        } else {
            print(&targets, a.json);
            ini_targets_fini(&targets);
        }
    }
    ini_sync_close(sync);
    ini_url_wipe(&url);
    return code;
}
