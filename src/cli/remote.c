/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/remote.h"

#include <string.h>

const char *cli_remote_argument(const struct cli_command *cmd, int words, char **argv)
{
    if (words == 1)
        return argv[0];
    (void)cli_fail(cmd, CLI_USAGE,
                   words ? "takes one URL" : "needs a URL, iscsi://HOST[:PORT][/TARGET[/LUN]]");
    return NULL;
}

/* The secret of an option; what is wrong begins with its name. */
static int read_secret(const char *option, const char *path, char ret[INI_USER_MAX + 1],
                       struct err_text *e)
{
    int err = path ? ini_url_read_secret(path, ret, e) : 0;
    if (err)
        err_prefix(e, "%s", option);
    return err;
}

static int apply(const struct remote_args *a, struct ini_url *url, struct err_text *e)
{
    int err = 0;
    if (a->user) {
        if (strlen(a->user) > INI_USER_MAX)
            return err_set(e, USAN_EINVAL, "--chap-user: is too long");
        (void)snprintf(url->user, sizeof(url->user), "%s", a->user);
    }
    if (a->mutual_user) {
        if (strlen(a->mutual_user) > INI_USER_MAX)
            return err_set(e, USAN_EINVAL, "--mutual-user: is too long");
        (void)snprintf(url->target_user, sizeof(url->target_user), "%s", a->mutual_user);
    }
    if (a->user && !*url->secret && !a->secret_file)
        return err_set(e, USAN_EINVAL, "--chap-user needs --chap-secret-file");
    err = read_secret("--chap-secret-file", a->secret_file, url->secret, e);
    if (!err)
        err = read_secret("--mutual-secret-file", a->mutual_secret_file, url->target_secret, e);
    if (!err && a->initiator)
        err = ini_url_set_option(url, "initiator", a->initiator, e);
    if (!err && a->timeout)
        url->login_timeout_ns = a->timeout;
    return err;
}

/* The URL alone may lack what the options bring, so it is checked with them. */
static int parse(const struct remote_args *a, const char *text, struct ini_url *ret_url,
                 struct err_text *e)
{
    int err = ini_url_parse_parts(text, ret_url, e);
    if (!err)
        err = apply(a, ret_url, e);
    return err ? err : ini_url_check(ret_url, e);
}

int cli_remote_url(const struct cli_command *cmd, const struct remote_args *a, const char *text,
                   struct ini_url *ret_url)
{
    struct err_text e = { "" };
    int err = parse(a, text, ret_url, &e);
    /* A command ends with the session: nobody waits for it to come back. */
    ret_url->reconnect_timeout_ns = 0;
    if (err)
        return cli_fail(cmd, err == USAN_EINVAL || err == USAN_ERANGE ? CLI_USAGE : CLI_FAILED,
                        e.text);
    return CLI_OK;
}
