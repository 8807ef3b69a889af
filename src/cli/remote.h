/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the commands that ask targets have in common: options, the URL, the session. */
#ifndef USAN_CLI_REMOTE_H
#define USAN_CLI_REMOTE_H

#include "cli/command.h"
#include "cli/report.h"
#include "initiator/sync.h"
#include "initiator/url.h"

/* First member of each command's values. */
struct remote_args {
    const char *user, *secret_file, *mutual_user, *mutual_secret_file;
    const char *initiator;
    uint64_t timeout;
    bool json;
};

/* Rows of an option table. */
#define REMOTE_OPTS                                                                                \
    { "json", 'j', CLI_FLAG, NULL, NULL, "write JSON", offsetof(struct remote_args, json), 0, 0 }, \
        { "chap-user",                                                                             \
          0,                                                                                       \
          CLI_TEXT,                                                                                \
          "NAME",                                                                                  \
          NULL,                                                                                    \
          "log in as this user",                                                                   \
          offsetof(struct remote_args, user),                                                      \
          0,                                                                                       \
          0 },                                                                                     \
        { "chap-secret-file",                                                                      \
          0,                                                                                       \
          CLI_TEXT,                                                                                \
          "FILE",                                                                                  \
          NULL,                                                                                    \
          "its first line is the user's secret",                                                   \
          offsetof(struct remote_args, secret_file),                                               \
          0,                                                                                       \
          0 },                                                                                     \
        { "mutual-user",                                                                           \
          0,                                                                                       \
          CLI_TEXT,                                                                                \
          "NAME",                                                                                  \
          NULL,                                                                                    \
          "the target has to authenticate itself with this name",                                  \
          offsetof(struct remote_args, mutual_user),                                               \
          0,                                                                                       \
          0 },                                                                                     \
        { "mutual-secret-file",                                                                    \
          0,                                                                                       \
          CLI_TEXT,                                                                                \
          "FILE",                                                                                  \
          NULL,                                                                                    \
          "its first line is the target's secret",                                                 \
          offsetof(struct remote_args, mutual_secret_file),                                        \
          0,                                                                                       \
          0 },                                                                                     \
        { "initiator",                                                                             \
          'i',                                                                                     \
          CLI_TEXT,                                                                                \
          "IQN",                                                                                   \
          NULL,                                                                                    \
          "name of this initiator; made from the machine's if not given",                          \
          offsetof(struct remote_args, initiator),                                                 \
          0,                                                                                       \
          0 },                                                                                     \
    {                                                                                              \
        "timeout", 't', CLI_TIME, "TIME", NULL,                                                    \
            "a login has to be complete by then; 15s if not given",                                \
            offsetof(struct remote_args, timeout), 0, 0                                            \
    }

/* The URL with what the options say. Errors have been printed; returns an exit code. */
int cli_remote_url(const struct cli_command *cmd, const struct remote_args *a, const char *text,
                   struct ini_url *ret_url);
/* The one argument of a command; NULL: printed what is wrong. */
const char *cli_remote_argument(const struct cli_command *cmd, int words, char **argv);

#endif
