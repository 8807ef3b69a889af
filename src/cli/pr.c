/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usan pr: persistent reservations (SPC-6 5.14). */
#include "cli/pr.h"

#include "base/bytes.h"
#include "cli/pr_out.h"
#include "cli/remote.h"
#include "initiator/portal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { IN_BYTES = 32768 };

struct pr_args {
    struct remote_args remote; /* first */
    const char *key, *new_key, *victim, *type, *to;
    struct cli_texts others;
    uint64_t to_port;
    bool aptpl, all_ports, unregister;
    bool keys, reservation, capabilities, full_status;
};

#define AT(field) offsetof(struct pr_args, field)

const struct cli_opt cli_pr_opts[] = {
    { "key", 'k', CLI_TEXT, "KEY", NULL, "the key this initiator has registered, or registers",
      AT(key), 0, 0 },
    { "new-key", 'n', CLI_TEXT, "KEY", NULL,
      "register: the key that comes in its place, 0 = none; move: the key of the other one",
      AT(new_key), 0, 0 },
    { "victim", 0, CLI_TEXT, "KEY", NULL, "preempt: the key whose registrants are removed",
      AT(victim), 0, 0 },
    { "type", 0, CLI_TEXT, "TYPE", NULL,
      "reserve, release, preempt: by name, such as "
      "write-exclusive, or number",
      AT(type), 0, 0 },
    { "for", 0, CLI_TEXTS, "INITIATOR", NULL,
      "register: for this one as well, NAME or NAME,i,0xISID; repeatable", AT(others), 0, 0 },
    { "to", 0, CLI_TEXT, "INITIATOR", NULL, "move: who gets the reservation", AT(to), 0, 0 },
    { "to-port", 0, CLI_UINT, "NUMBER", "1", "move: at which relative target port", AT(to_port), 1,
      UINT16_MAX },
    { "unregister", 0, CLI_FLAG, NULL, NULL, "move: this initiator keeps no key", AT(unregister), 0,
      0 },
    { "aptpl", 0, CLI_FLAG, NULL, NULL, "register, move: to outlive a loss of power", AT(aptpl), 0,
      0 },
    { "all-ports", 0, CLI_FLAG, NULL, NULL, "register: on all ports of the target", AT(all_ports),
      0, 0 },
    { "read-keys", 0, CLI_FLAG, NULL, NULL, "show: only the keys", AT(keys), 0, 0 },
    { "read-reservation", 0, CLI_FLAG, NULL, NULL, "show: only the reservation", AT(reservation), 0,
      0 },
    { "report-capabilities", 0, CLI_FLAG, NULL, NULL, "show: only what the unit can do",
      AT(capabilities), 0, 0 },
    { "read-full-status", 0, CLI_FLAG, NULL, NULL, "show: only the registrants", AT(full_status), 0,
      0 },
    REMOTE_OPTS,
    { 0 },
};

/* What an action needs of the options, and what it may have. */
enum {
    KEY = 1,
    NEW_KEY = 2,
    VICTIM = 4,
    TYPE = 8,
    APTPL = 16,
    ALL_PORTS = 32,
    OTHERS = 64,
    TO = 128,
    UNREGISTER = 256,
    SHOW = 512,
};

struct action {
    const char *name;
    enum pr_out code;
    unsigned needs, may;
};

static const struct action actions[] = {
    { "show", 0, 0, SHOW },
    { "register", PR_REGISTER, KEY, NEW_KEY | APTPL | ALL_PORTS | OTHERS },
    { "register-ignore", PR_REGISTER_AND_IGNORE, KEY, APTPL | ALL_PORTS },
    { "unregister", PR_REGISTER, KEY, 0 },
    { "reserve", PR_RESERVE, KEY | TYPE, 0 },
    { "release", PR_RELEASE, KEY | TYPE, 0 },
    { "clear", PR_CLEAR, KEY, 0 },
    { "preempt", PR_PREEMPT, KEY | VICTIM | TYPE, 0 },
    { "preempt-abort", PR_PREEMPT_AND_ABORT, KEY | VICTIM | TYPE, 0 },
    { "move", PR_REGISTER_AND_MOVE, KEY | NEW_KEY | TO, APTPL | UNREGISTER },
};
#define ACTIONS (sizeof(actions) / sizeof(actions[0]))

struct request {
    const struct action *action;
    uint64_t key, new_key, victim;
    uint8_t type;
    uint8_t list[PR_OUT_BYTES];
    size_t list_len;
};

/* ---- what is asked for ---- */

static int parse_key(const char *option, const char *text, uint64_t *ret, struct err_text *e)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 0);
    if (errno || end == text || *end || *text == '-' || *text == '+' || *text == ' ')
        return err_set(e, USAN_EINVAL, "--%s %s: is not a number of 64 bits like 0xabc", option,
                       text);
    *ret = v;
    return 0;
}

static unsigned given(const struct pr_args *a)
{
    bool show = a->keys || a->reservation || a->capabilities || a->full_status;
    return (a->key ? KEY : 0u) | (a->new_key ? NEW_KEY : 0u) | (a->victim ? VICTIM : 0u) |
           (a->type ? TYPE : 0u) | (a->aptpl ? APTPL : 0u) | (a->all_ports ? ALL_PORTS : 0u) |
           (a->others.count ? OTHERS : 0u) | (a->to ? TO : 0u) | (a->unregister ? UNREGISTER : 0u) |
           (show ? SHOW : 0u);
}

static const char *option_name(unsigned bit)
{
    switch (bit) {
    case KEY:
        return "--key";
    case NEW_KEY:
        return "--new-key";
    case VICTIM:
        return "--victim";
    case TYPE:
        return "--type";
    case APTPL:
        return "--aptpl";
    case ALL_PORTS:
        return "--all-ports";
    case OTHERS:
        return "--for";
    case TO:
        return "--to";
    case UNREGISTER:
        return "--unregister";
    default:
        return "what is to be shown";
    }
}

static int check_options(const struct action *action, unsigned has, struct err_text *e)
{
    for (unsigned bit = KEY; bit <= SHOW; bit <<= 1) {
        if (action->needs & bit && !(has & bit))
            return err_set(e, USAN_EINVAL, "%s: needs %s", action->name, option_name(bit));
        if (has & bit && !((action->needs | action->may) & bit))
            return err_set(e, USAN_EINVAL, "%s: %s has no meaning", action->name, option_name(bit));
    }
    return 0;
}

static const struct action *find_action(const char *name)
{
    for (size_t i = 0; i < ACTIONS; i++) {
        if (strcmp(actions[i].name, name) == 0)
            return &actions[i];
    }
    return NULL;
}

/* What the parameter list of a change says. */
static int make_list(struct request *q, const struct pr_args *a, struct err_text *e)
{
    struct pr_out_list l = { .code = q->action->code,
                             .key = q->key,
                             .service = q->victim,
                             .aptpl = a->aptpl,
                             .all_ports = a->all_ports,
                             .unregister = a->unregister,
                             .to_port = (uint16_t)a->to_port,
                             .others = a->to ? &a->to : a->others.v,
                             .other_count = a->to ? 1 : a->others.count };
    bool registers = strcmp(q->action->name, "register") == 0;
    /* Who has no key yet registers one with 0 for the old one. */
    if ((registers && !a->new_key) || l.code == PR_REGISTER_AND_IGNORE) {
        l.service = q->key;
        l.key = 0;
    } else if (registers || l.code == PR_REGISTER_AND_MOVE) {
        l.service = q->new_key;
    }
    return pr_out_build(&l, q->list, &q->list_len, e);
}

static int parse(struct request *q, const struct pr_args *a, const char *name, struct err_text *e)
{
    char list[256];
    int err = 0;
    q->action = find_action(name);
    if (!q->action)
        return err_set(
            e, USAN_EINVAL,
            "there is no action '%.40s'; use show, register, register-ignore, unregister, "
            "reserve, release, clear, preempt, preempt-abort or move",
            name);
    err = check_options(q->action, given(a), e);
    if (!err && a->key)
        err = parse_key("key", a->key, &q->key, e);
    if (!err && a->new_key)
        err = parse_key("new-key", a->new_key, &q->new_key, e);
    if (!err && a->victim)
        err = parse_key("victim", a->victim, &q->victim, e);
    if (!err && a->type && !pr_type_code(a->type, &q->type)) {
        pr_type_list(list, sizeof(list));
        err = err_set(e, USAN_EINVAL, "--type: use one of %s", list);
    }
    return err ? err : make_list(q, a, e);
}

/* ---- the commands ---- */

static int show_one(struct ini_sync *sync, uint16_t lun, enum pr_in what, struct report *r,
                    struct err_text *e)
{
    static const char *const names[] = { "READ KEYS", "READ RESERVATION", "REPORT CAPABILITIES",
                                         "READ FULL STATUS" };
    uint8_t *p = calloc(1, IN_BYTES);
    uint8_t cdb[10] = { 0x5e, (uint8_t)what };
    uint32_t got;
    if (!p)
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    be16_put(cdb + 7, IN_BYTES);
    int err = ini_sync_ask(sync, lun, cdb, sizeof(cdb), p, IN_BYTES, &got, names[what], e);
    if (!err)
        pr_print(r, what, p, got);
    free(p);
    return err;
}

static int show(struct ini_sync *sync, const struct ini_url *url, const struct pr_args *a,
                struct err_text *e)
{
    const bool wanted[] = { a->keys, a->reservation, a->capabilities, a->full_status };
    bool all = !(given(a) & SHOW);
    char text[INI_URL_TEXT_MAX];
    struct report r;
    int err = 0;
    ini_url_text(url, text, sizeof(text));
    report_init(&r, stdout, a->remote.json);
    report_begin(&r, NULL, NULL);
    if (a->remote.json)
        report_text(&r, "url", NULL, text);
    for (int what = PR_READ_KEYS; !err && what <= PR_READ_FULL_STATUS; what++) {
        if (!all && !wanted[what])
            continue;
        err = show_one(sync, url->lun, (enum pr_in)what, &r, e);
        /* Not every unit has the later ones; who asked for all gets what there is. */
        if (err == USAN_ENOTSUP && all && what >= PR_REPORT_CAPABILITIES)
            err = 0;
    }
    report_end(&r);
    return err;
}

/* Is the key one of those that READ KEYS tells? (SPC-6 6.16.2) */
static bool has_key(const uint8_t *p, uint32_t got, uint64_t key)
{
    for (uint32_t at = 8; at + 8 <= got && at + 8 <= 8 + be32_get(p + 4); at += 8) {
        if (be64_get(p + at) == key)
            return true;
    }
    return false;
}

/*
 * What a RESERVATION CONFLICT means here: it says no more by itself, and comes of a key that is not
 * this initiator's as well as of another's reservation (SPC-6 5.14.7 to 5.14.11).
 */
static void explain_conflict(struct ini_sync *sync, uint16_t lun, const struct request *q,
                             const struct pr_args *a, struct err_text *e)
{
    uint8_t p[1024], cdb[10] = { 0x5e, PR_READ_RESERVATION, [7] = sizeof(p) >> 8 };
    unsigned long long key = q->key;
    const char *name = q->action->name;
    uint32_t got = 0;
    bool holder = strcmp(name, "reserve") == 0 &&
                  !ini_sync_ask(sync, lun, cdb, sizeof(cdb), p, sizeof(p), &got, "", NULL) &&
                  got >= 16 && be32_get(p + 4) >= 16;
    unsigned long long by = holder ? be64_get(p + 8) : 0;
    cdb[1] = PR_READ_KEYS;
    bool known =
        !ini_sync_ask(sync, lun, cdb, sizeof(cdb), p, sizeof(p), &got, "", NULL) && got >= 8;
    if (!known && !holder)
        return;
    if (strcmp(name, "register") == 0 && !a->new_key)
        (void)err_set(e, 0,
                      "%s: RESERVATION CONFLICT: this initiator has registered a key already; "
                      "change it with --new-key, or use register-ignore",
                      name);
    else if (known && !has_key(p, got, key))
        (void)err_set(e, 0, "%s: RESERVATION CONFLICT: a wrong key: nobody has registered 0x%llx",
                      name, key);
    else if (strcmp(name, "move") == 0)
        (void)err_set(e, 0,
                      "%s: RESERVATION CONFLICT: this initiator does not hold the reservation with "
                      "the key 0x%llx",
                      name, key);
    else if (holder)
        (void)err_set(e, 0, "%s: RESERVATION CONFLICT: it is reserved, with the key 0x%llx", name,
                      by);
    else
        (void)err_set(e, 0,
                      "%s: RESERVATION CONFLICT: a wrong key: 0x%llx is not what this initiator "
                      "has registered",
                      name, key);
}

/* APTPL of a unit that has no place for it is refused with the same words as any other bad field
 * (SPC-6 6.17.3); whether it has one, PTPL_C says (6.16.4). */
static void explain_aptpl(struct ini_sync *sync, uint16_t lun, struct err_text *e)
{
    uint8_t p[8], cdb[10] = { 0x5e, PR_REPORT_CAPABILITIES, [8] = sizeof(p) };
    uint32_t got = 0;
    int err = ini_sync_ask(sync, lun, cdb, sizeof(cdb), p, sizeof(p), &got, "", NULL);
    if (!err && got >= 3 && !(p[2] & 0x01))
        (void)err_set(
            e, 0,
            "the unit has no place where registrations outlive a loss of power (--aptpl); "
            "usan serve has one with --state-dir");
}

static int change(struct ini_sync *sync, uint16_t lun, struct request *q, const struct pr_args *a,
                  struct err_text *e)
{
    char what[64];
    uint8_t cdb[10] = { 0x5f, (uint8_t)q->action->code, q->type };
    be32_put(cdb + 5, (uint32_t)q->list_len);
    (void)snprintf(what, sizeof(what), "PERSISTENT RESERVE OUT, %s", q->action->name);
    int err = ini_sync_tell(sync, lun, cdb, sizeof(cdb), q->list, (uint32_t)q->list_len, what, e);
    if (err && strstr(e->text, "RESERVATION CONFLICT")) /* as ini_scsi_words() says it */
        explain_conflict(sync, lun, q, a, e);
    else if (err && a->aptpl && strstr(e->text, "INVALID FIELD"))
        explain_aptpl(sync, lun, e);
    return err;
}

/* So that the next `usan pr` has the registration again. */
static void use_isid(struct ini_url *url)
{
    if (url->has_isid) /* the URL names one */
        return;
    if (!*url->initiator)
        ini_machine_name(url->initiator);
    url->has_isid = true;
    pr_isid(url->initiator, url->isid);
}

/* An error says which unit it is about. */
static int run(struct ini_sync *sync, const struct ini_url *url, struct request *q,
               const struct pr_args *a, struct err_text *e)
{
    char text[INI_URL_TEXT_MAX];
    int err = q->action == &actions[0] ? show(sync, url, a, e) : change(sync, url->lun, q, a, e);
    if (err) {
        ini_url_text(url, text, sizeof(text));
        err_prefix(e, "%s", text);
    }
    return err;
}

int cli_pr(const struct cli_command *cmd, int argc, char **argv)
{
    struct pr_args a = { .key = NULL };
    struct request q = { .action = NULL };
    struct ini_url url = { .port = 0 };
    struct ini_sync *sync = NULL;
    struct err_text e = { "" };
    int words, code;
    if (!cli_begin(cmd, &a, argc, argv, &words, &code))
        return code;
    if (words != 2)
        return cli_fail(cmd, CLI_USAGE,
                        "needs an action and a URL, such as: show iscsi://HOST/TARGET/LUN");
    if (parse(&q, &a, argv[0], &e))
        return cli_fail(cmd, CLI_USAGE, e.text);
    code = cli_remote_url(cmd, &a.remote, argv[1], &url);
    if (!code && (!*url.target || !url.has_lun))
        code = cli_fail(cmd, CLI_USAGE, "the URL has to name a unit: iscsi://HOST/TARGET/LUN");
    if (!code) {
        use_isid(&url);
        if (ini_sync_open(&url, &sync, &e) || run(sync, &url, &q, &a, &e))
            code = cli_fail(cmd, CLI_FAILED, e.text);
    }
    ini_sync_close(sync);
    ini_url_wipe(&url);
    return code;
}
