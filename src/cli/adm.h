/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usan iscsiadm: what its modes have in common. */
#ifndef USAN_CLI_ADM_H
#define USAN_CLI_ADM_H

#include "cli/command.h"
#include "iscsiadm/db.h"

/* Exit codes, the numbers that open-iscsi documents. */
enum adm_code {
    ADM_OK = 0,
    ADM_GENERIC = 1,
    ADM_SESSION_NOT_FOUND = 2,
    ADM_NO_MEMORY = 3,
    ADM_TRANSPORT = 4,
    ADM_LOGIN = 5,
    ADM_DATABASE = 6,
    ADM_INVALID = 7,
    ADM_TIMEOUT = 8,
    ADM_INTERNAL = 9,
    ADM_LOGOUT = 10,
    ADM_ACCESS = 13,
    ADM_SESSION_EXISTS = 15,
    ADM_FATAL_LOGIN = 19,
    ADM_NOTHING_FOUND = 21,
    ADM_AUTH_FAILED = 24,
};

struct adm_args {
    const char *mode, *type, *portal, *target, *op, *loginall, *logoutall, *front, *root;
    struct cli_texts ifaces, names, values;
    uint64_t print, sid;
    bool login, logout, rescan, discover, show, version;
};

enum { ADM_NO_LEVEL = 99 }; /* of print, when it was not given */

struct adm {
    const struct cli_command *cmd;
    const struct adm_args *args;
    struct adm_db db;
    struct adm_key like; /* what -T, -p and -I say */
};

/* A line on standard error; returns code. */
__attribute__((format(printf, 3, 4))) enum adm_code
adm_fail(const struct adm *a, enum adm_code code, const char *fmt, ...);
/* For an error of the database. */
enum adm_code adm_fail_db(const struct adm *a, int err, const struct err_text *e);
/* Is the operation OP, or one of several of them? */
bool adm_op(const struct adm *a, const char *op);
/* -n and -v put into the record. */
enum adm_code adm_update(const struct adm *a, struct adm_record *r);

enum adm_code adm_mode_discovery(const struct adm *a);
enum adm_code adm_mode_discoverydb(const struct adm *a);
enum adm_code adm_mode_node(const struct adm *a);
enum adm_code adm_mode_iface(const struct adm *a);
enum adm_code adm_mode_session(const struct adm *a);

/* "Target:", its portals and interfaces, for nodes that stand in this order. */
void adm_print_tree(const struct adm_keys *keys, const char *indent);

/* Log in to a node, or to each of those that match and start up so (NULL: all). */
enum adm_code adm_login(const struct adm *a, const struct adm_key *key);
/* Says that one uses the record of the node, if there is one. */
enum adm_code adm_no_session(const struct adm *a, const struct adm_key *key);
/* Log out of, or look for changes of, the sessions that match `like`; startup as above. */
enum adm_code adm_logout(const struct adm *a, const struct adm_key *like, const char *startup);
enum adm_code adm_rescan(const struct adm *a, const struct adm_key *like);

#endif
