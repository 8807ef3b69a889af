/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usan iscsiadm: targets and sessions in the words of open-iscsi. */
#include "cli/adm.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define AT(field) offsetof(struct adm_args, field)

const struct cli_opt cli_iscsiadm_opts[] = {
    { "mode", 'm', CLI_CHOICE, "discovery|discoverydb|node|session|iface|host|fw", NULL,
      "what it is about", AT(mode), 0, 0 },
    { "type", 't', CLI_CHOICE, "sendtargets|st", NULL, "how targets are discovered", AT(type), 0,
      0 },
    { "portal", 'p', CLI_TEXT, "ADDRESS[:PORT][,TAG]", NULL, "where the target is", AT(portal), 0,
      0 },
    { "targetname", 'T', CLI_TEXT, "IQN", NULL, "name of the target", AT(target), 0, 0 },
    { "interface", 'I', CLI_TEXTS, "NAME", NULL, "interface record; default if not given",
      AT(ifaces), 0, 0 },
    { "op", 'o', CLI_TEXT, "OP", NULL,
      "new, delete, update, show or nonpersistent; with commas, several", AT(op), 0, 0 },
    { "name", 'n', CLI_TEXTS, "NAME", NULL, "update: the parameter; with --value, several times",
      AT(names), 0, 0 },
    { "value", 'v', CLI_TEXTS, "VALUE", NULL, "update: its value", AT(values), 0, 0 },
    { "discover", 'D', CLI_FLAG, NULL, NULL, "discoverydb: ask the portal", AT(discover), 0, 0 },
    { "login", 'l', CLI_FLAG, NULL, NULL, "log in", AT(login), 0, 0 },
    { "logout", 'u', CLI_FLAG, NULL, NULL, "log out", AT(logout), 0, 0 },
    { "loginall", 'L', CLI_CHOICE, "all|manual|automatic|onboot", NULL,
      "log in to the nodes that start up so", AT(loginall), 0, 0 },
    { "logoutall", 'U', CLI_CHOICE, "all|manual|automatic|onboot", NULL, "log out of them",
      AT(logoutall), 0, 0 },
    { "rescan", 'R', CLI_FLAG, NULL, NULL, "attach units that were added", AT(rescan), 0, 0 },
    { "sid", 'r', CLI_UINT, "NUMBER", NULL, "session with this number", AT(sid), 1, UINT32_MAX },
    { "print", 'P', CLI_UINT, "LEVEL", NULL, "how much is shown, 0 to 3", AT(print), 0, 3 },
    { "show", 'S', CLI_FLAG, NULL, NULL, "show secrets, too", AT(show), 0, 0 },
    { "front", 0, CLI_TEXT, "FRONT", NULL,
      "login: where units are attached, with %s for the session and %l for the LUN", AT(front), 0,
      0 },
    { "root", 0, CLI_TEXT, "DIR", NULL, "the database; $USAN_ISCSI_DIR or /etc/iscsi if not given",
      AT(root), 0, 0 },
    { "version", 'V', CLI_FLAG, NULL, NULL, "show the version", AT(version), 0, 0 },
    { 0 },
};

/* ---- errors ---- */

enum adm_code adm_fail(const struct adm *a, enum adm_code code, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)cli_fail(a->cmd, CLI_FAILED, text);
    return code;
}

enum adm_code adm_fail_db(const struct adm *a, int err, const struct err_text *e)
{
    enum adm_code code = ADM_DATABASE;
    if (err == USAN_EINVAL)
        code = ADM_INVALID;
    else if (err == USAN_ENOMEM)
        code = ADM_NO_MEMORY;
    else if (err == USAN_EPERM)
        code = ADM_ACCESS;
    return adm_fail(a, code, "%s", e->text);
}

/* ---- what they share ---- */

bool adm_op(const struct adm *a, const char *op)
{
    size_t len = strlen(op);
    for (const char *p = a->args->op; p && *p; p += *p == ',') {
        size_t n = strcspn(p, ",");
        if (n == len && memcmp(p, op, n) == 0)
            return true;
        p += n;
    }
    return false;
}

enum adm_code adm_update(const struct adm *a, struct adm_record *r)
{
    const struct adm_args *args = a->args;
    struct err_text e = { "" };
    for (unsigned i = 0; i < args->names.count; i++) {
        if (adm_record_set(r, args->names.v[i], args->values.v[i], &e))
            return adm_fail(a, ADM_INVALID, "%s", e.text);
    }
    return ADM_OK;
}

void adm_print_tree(const struct adm_keys *keys, const char *indent)
{
    const struct adm_key *last = NULL;
    for (size_t i = 0; i < keys->count; i++) {
        const struct adm_key *k = &keys->v[i];
        bool same = last && strcmp(last->target, k->target) == 0;
        if (!same)
            printf("%sTarget: %s\n", indent, k->target);
        if (!same || strcmp(last->address, k->address) != 0 || last->port != k->port ||
            last->tpgt != k->tpgt)
            printf("%s\tPortal: %s,%d\n", indent, adm_portal_text(k->address, k->port).s, k->tpgt);
        printf("%s\t\tIface Name: %s\n", indent, k->iface);
        last = k;
    }
}

/* ---- the command line ---- */

static enum adm_code check_ops(const struct adm *a)
{
    static const char *const known[] = { "new", "delete", "update", "show", "nonpersistent" };
    for (const char *p = a->args->op; p && *p; p += *p == ',') {
        size_t n = strcspn(p, ","), i = 0;
        while (i < 5 && (strlen(known[i]) != n || memcmp(known[i], p, n) != 0))
            i++;
        if (i == 5)
            return adm_fail(a, ADM_INVALID,
                            "--op %s: use new, delete, update, show or nonpersistent", a->args->op);
        p += n;
    }
    return ADM_OK;
}

static enum adm_code check_args(struct adm *a)
{
    const struct adm_args *args = a->args;
    struct err_text e = { "" };
    if (!args->mode)
        return adm_fail(a, ADM_INVALID,
                        "needs a mode: -m discovery, discoverydb, node, session or iface");
    if (args->names.count != args->values.count)
        return adm_fail(a, ADM_INVALID, "each --name needs a --value");
    if (adm_op(a, "update") && !args->names.count && strncmp(args->mode, "discovery", 9) != 0)
        return adm_fail(a, ADM_INVALID, "update: needs --name and --value");
    if (args->ifaces.count > 1)
        return adm_fail(a, ADM_INVALID, "--interface: one at a time");
    if (args->portal && adm_parse_portal(args->portal, &a->like, &e))
        return adm_fail(a, ADM_INVALID, "--portal: %s", e.text);
    if (args->target && strlen(args->target) > ADM_TARGET_MAX)
        return adm_fail(a, ADM_INVALID, "--targetname: is longer than %d bytes", ADM_TARGET_MAX);
    if (args->ifaces.count && strlen(args->ifaces.v[0]) > ADM_IFACE_MAX)
        return adm_fail(a, ADM_INVALID, "--interface: is longer than %d bytes", ADM_IFACE_MAX);
    if (args->target)
        (void)snprintf(a->like.target, sizeof(a->like.target), "%s", args->target);
    if (args->ifaces.count)
        (void)snprintf(a->like.iface, sizeof(a->like.iface), "%s", args->ifaces.v[0]);
    return check_ops(a);
}

static enum adm_code mode_host(const struct adm *a)
{
    return adm_fail(a, ADM_NOTHING_FOUND, "there are no hosts: sessions are ordinary processes");
}

static enum adm_code mode_fw(const struct adm *a)
{
    return adm_fail(a, ADM_NOTHING_FOUND, "the firmware's targets are not read");
}

static enum adm_code dispatch(const struct adm *a)
{
    static const struct {
        const char *mode;
        enum adm_code (*run)(const struct adm *a);
    } modes[] = { { "discovery", adm_mode_discovery },
                  { "discoverydb", adm_mode_discoverydb },
                  { "node", adm_mode_node },
                  { "session", adm_mode_session },
                  { "iface", adm_mode_iface },
                  { "host", mode_host },
                  { "fw", mode_fw } };
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(modes[i].mode, a->args->mode) == 0)
            return modes[i].run(a);
    }
    return ADM_INVALID;
}

int cli_iscsiadm(const struct cli_command *cmd, int argc, char **argv)
{
    struct adm_args args = { .print = ADM_NO_LEVEL };
    struct adm a = { .cmd = cmd, .args = &args, .like = { .tpgt = -1 } };
    struct err_text e = { "" };
    int words, code;
    if (!cli_begin(cmd, &args, argc, argv, &words, &code))
        return code == CLI_USAGE ? ADM_INVALID : code;
    if (words)
        return (int)adm_fail(&a, ADM_INVALID, "takes options only; '%.40s' is none", argv[0]);
    if (args.version) {
        puts("usan iscsiadm " USAN_VERSION);
        return ADM_OK;
    }
    code = (int)check_args(&a);
    if (!code && adm_db_init(&a.db, args.root, &e))
        code = (int)adm_fail(&a, ADM_INVALID, "%s", e.text);
    return code ? code : (int)dispatch(&a);
}
