/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usan iscsiadm -m session; logging in and out. */
#include "cli/adm_units.h"
#include "cli/adm_url.h"
#include "cli/output.h"
#include "initiator/portal.h"
#include "initiator/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- logging in ---- */

struct disks {
    uint16_t luns[INI_LUNS_MAX];
    unsigned count;
};

static const char *yes_no(bool v)
{
    return v ? "Yes" : "No";
}

/* What was agreed on in this login stands for those of the programs, which offer the same. */
static int keep_params(struct adm_record *r, const struct iscsi_params *p, const char *initiator)
{
    struct {
        const char *name;
        char value[300];
    } v[] = { { "usan.HeaderDigest", "" },
              { "usan.DataDigest", "" },
              { "usan.MaxRecvDataSegmentLength", "" },
              { "usan.MaxXmitDataSegmentLength", "" },
              { "usan.FirstBurstLength", "" },
              { "usan.MaxBurstLength", "" },
              { "usan.ImmediateData", "" },
              { "usan.InitialR2T", "" },
              { "usan.MaxOutstandingR2T", "" },
              { "usan.initiatorname", "" } };
    (void)snprintf(v[0].value, sizeof(v[0].value), "%s", p->header_digest ? "CRC32C" : "None");
    (void)snprintf(v[1].value, sizeof(v[1].value), "%s", p->data_digest ? "CRC32C" : "None");
    (void)snprintf(v[2].value, sizeof(v[2].value), "%u", p->rx_data_segment);
    (void)snprintf(v[3].value, sizeof(v[3].value), "%u", p->tx_data_segment);
    (void)snprintf(v[4].value, sizeof(v[4].value), "%u", p->first_burst);
    (void)snprintf(v[5].value, sizeof(v[5].value), "%u", p->max_burst);
    (void)snprintf(v[6].value, sizeof(v[6].value), "%s", yes_no(p->immediate_data));
    (void)snprintf(v[7].value, sizeof(v[7].value), "%s", yes_no(p->initial_r2t));
    (void)snprintf(v[8].value, sizeof(v[8].value), "%u", p->max_outstanding_r2t);
    (void)snprintf(v[9].value, sizeof(v[9].value), "%s", initiator);
    for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
        int err = adm_record_put(r, v[i].name, v[i].value);
        if (err)
            return err;
    }
    return 0;
}

/* Log in once, to see whether it can be done and which disks there are. */
static int look(const struct adm *a, const struct adm_key *key, struct adm_record *r,
                struct disks *ret, struct err_text *e)
{
    struct ini_url url = { .port = 0 };
    struct ini_sync *sync = NULL;
    uint16_t luns[INI_LUNS_MAX];
    unsigned count = 0;
    int err = adm_url_make(a, r, key->address, key->port, key->target, &url, e);
    if (!*url.initiator)
        ini_machine_name(url.initiator);
    url.reconnect_timeout_ns = 0;
    if (!err)
        err = ini_sync_open(&url, &sync, e);
    if (!err)
        err = keep_params(r, ini_session_params(ini_sync_session(sync)), url.initiator);
    if (!err)
        err = ini_probe_luns(sync, luns, &count, e);
    ret->count = 0;
    for (unsigned i = 0; !err && i < count; i++) {
        struct ini_identity id;
        if (ini_probe_identity(sync, luns[i], &id, NULL) == 0 &&
            (id.type == 0x00 || id.type == 0x0e))
            ret->luns[ret->count++] = luns[i];
    }
    ini_sync_close(sync);
    ini_url_wipe(&url);
    if (err && !*e->text)
        (void)err_set(e, err, "%s", usan_strerror(err));
    return err;
}

static void say(const char *what, const struct adm_key *k, const char *end)
{
    printf("%s [iface: %s, target: %s, portal: %s,%u]%s\n", what, k->iface, k->target, k->address,
           k->port, end);
    cli_output_flush();
}

static const struct adm_session *find(const struct adm_sessions *s, const struct adm_key *key)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct adm_key *k = &s->v[i].key;
        if (adm_key_matches(k, key) && k->tpgt == key->tpgt)
            return &s->v[i];
    }
    return NULL;
}

/* All disks, or none: what was started is ended if one fails. */
static int attach_all(const struct adm *a, const struct adm_sessions *s, struct adm_session *ses,
                      const struct disks *d, struct err_text *e)
{
    int err = 0;
    for (unsigned i = 0; !err && i < d->count; i++) {
        if (!adm_session_has(s, ses, d->luns[i]))
            err = adm_unit_attach(a, s, ses, d->luns[i], e);
    }
    return err;
}

static enum adm_code start(const struct adm *a, const struct adm_key *key, struct adm_sessions *s)
{
    struct err_text e = { "" };
    struct adm_record *r = NULL;
    struct adm_session *ses = NULL;
    struct disks disks;
    int err = adm_db_read(&a->db, ADM_NODE, key, &r, &e);
    if (err)
        return adm_fail_db(a, err, &e);
    say("Logging in to", key, "");
    err = look(a, key, r, &disks, &e);
    enum adm_code code = err ? adm_fail(a, adm_session_code(err), "%s", e.text) : ADM_OK;
    if (!code && !disks.count)
        code = adm_fail(a, ADM_NOTHING_FOUND, "%s has no disks for this initiator", key->target);
    if (!code) {
        err = adm_session_add(s, key, r, &ses, &e);
        if (!err)
            r = NULL; /* the session's now */
        if (!err)
            err = attach_all(a, s, ses, &disks, &e);
        if (err && ses && adm_session_detach(s, ses, NULL))
            (void)adm_fail(a, ADM_OK, "session %u is left in part", ses->sid);
        code = err ? adm_fail(a, !ses && err == USAN_EBUSY ? ADM_SESSION_EXISTS : ADM_LOGIN,
                              "%s: %s", key->target, e.text)
                   : ADM_OK;
    }
    adm_record_free(r);
    if (!code)
        say("Login to", key, " successful.");
    return code;
}

enum adm_code adm_login(const struct adm *a, const struct adm_key *key)
{
    struct err_text e = { "" };
    struct adm_sessions s;
    int err = adm_sessions_load(&s, &e);
    if (err)
        return adm_fail(a, ADM_INTERNAL, "%s", e.text);
    const struct adm_session *old = find(&s, key);
    enum adm_code code = ADM_OK;
    if (old && a->args->loginall)
        code = ADM_OK; /* those that are there are no failure when all are wanted */
    else if (old)
        code = adm_fail(a, ADM_SESSION_EXISTS, "%s: session %u is there already", key->target,
                        old->sid);
    else
        code = start(a, key, &s);
    adm_sessions_fini(&s);
    return code;
}

enum adm_code adm_no_session(const struct adm *a, const struct adm_key *key)
{
    struct err_text e = { "" };
    struct adm_sessions s;
    if (adm_sessions_load(&s, &e))
        return adm_fail(a, ADM_INTERNAL, "%s", e.text);
    const struct adm_session *ses = find(&s, key);
    enum adm_code code = ADM_OK;
    if (ses)
        code = adm_fail(a, ADM_SESSION_EXISTS,
                        "%s: session %u uses its record; log out of it first (-u)", key->target,
                        ses->sid);
    adm_sessions_fini(&s);
    return code;
}

/* ---- those there are ---- */

static bool starts_up_so(const struct adm_session *ses, const char *startup)
{
    return !startup || strcmp(startup, "all") == 0 ||
           strcmp(adm_record_get(ses->r, "node.startup"), startup) == 0;
}

/* The first failure is the code; the others are tried all the same. */
static enum adm_code each(const struct adm *a, const struct adm_key *like, const char *startup,
                          enum adm_code (*f)(const struct adm *a, struct adm_sessions *s,
                                             struct adm_session *ses))
{
    struct err_text e = { "" };
    struct adm_sessions s;
    enum adm_code code = ADM_OK;
    size_t found = 0;
    int err = adm_sessions_load(&s, &e);
    if (err)
        return adm_fail(a, ADM_INTERNAL, "%s", e.text);
    for (size_t i = 0; i < s.count; i++) {
        struct adm_session *ses = &s.v[i];
        bool wanted = a->args->sid ? ses->sid == a->args->sid : adm_key_matches(&ses->key, like);
        if (!wanted || !starts_up_so(ses, startup))
            continue;
        found++;
        enum adm_code c = f(a, &s, ses);
        code = code ? code : c;
    }
    adm_sessions_fini(&s);
    if (!found && a->args->sid)
        return adm_fail(a, ADM_SESSION_NOT_FOUND, "there is no session %llu",
                        (unsigned long long)a->args->sid);
    return found ? code : adm_fail(a, ADM_NOTHING_FOUND, "no session matches");
}

static enum adm_code end(const struct adm *a, struct adm_sessions *s, struct adm_session *ses)
{
    const struct adm_key *k = &ses->key;
    struct err_text e = { "" };
    printf("Logging out of session [sid: %u, target: %s, portal: %s,%u]\n", ses->sid, k->target,
           k->address, k->port);
    cli_output_flush();
    int err = adm_session_hold(s, ses, &e);
    if (err == USAN_ENOENT)
        return adm_fail(a, ADM_SESSION_NOT_FOUND, "session %u: %s", ses->sid, e.text);
    if (err || adm_session_detach(s, ses, &e))
        return adm_fail(a, ADM_LOGOUT, "session %u: %s", ses->sid, e.text);
    printf("Logout of [sid: %u, target: %s, portal: %s,%u] successful.\n", ses->sid, k->target,
           k->address, k->port);
    return ADM_OK;
}

enum adm_code adm_logout(const struct adm *a, const struct adm_key *like, const char *startup)
{
    return each(a, like, startup, end);
}

static enum adm_code rescan(const struct adm *a, struct adm_sessions *s, struct adm_session *ses)
{
    struct err_text e = { "" };
    struct disks disks;
    printf("Rescanning session [sid: %u, target: %s, portal: %s,%u]\n", ses->sid, ses->key.target,
           ses->key.address, ses->key.port);
    cli_output_flush();
    int err = adm_session_hold(s, ses, &e);
    if (err == USAN_ENOENT)
        return adm_fail(a, ADM_SESSION_NOT_FOUND, "session %u: %s", ses->sid, e.text);
    if (!err)
        err = look(a, &ses->key, ses->r, &disks, &e);
    if (!err)
        err = attach_all(a, s, ses, &disks, &e);
    return err ? adm_fail(a, adm_session_code(err), "session %u: %s", ses->sid, e.text) : ADM_OK;
}

enum adm_code adm_rescan(const struct adm *a, const struct adm_key *like)
{
    return each(a, like, NULL, rescan);
}

/* ---- -m session ---- */

static void heading(const char *text, int stars)
{
    static const char line[] = "************************";
    printf("\t\t%.*s\n\t\t%s\n\t\t%.*s\n", stars, line, text, stars, line);
}

/* As a session of the kernel's that is in the same state is shown: of its disks, each a session,
 * the one that is worst off counts. */
static void print_state(const struct adm_sessions *s, const struct adm_session *ses)
{
    bool lost = false, given_up = false;
    for (unsigned i = 0; i < ADM_UNITS_MAX; i++) {
        struct adm_unit u = adm_unit_at(ses, i);
        if (!u.name)
            continue;
        struct attach_state st = adm_unit_state(s, &u);
        lost |= strcmp(st.text, "lost") == 0;
        given_up |= strcmp(st.text, "given-up") == 0;
    }
    bool down = lost || given_up;
    printf("\t\tiSCSI Connection State: %s\n\t\tiSCSI Session State: %s\n"
           "\t\tInternal iscsid Session State: %s\n",
           down ? "TRANSPORT WAIT" : "LOGGED IN",
           given_up ? "FREE"
           : lost   ? "FAILED"
                    : "LOGGED_IN",
           down ? "REOPEN" : "NO CHANGE");
}

static const char *device_state(struct attach_state st)
{
    if (strcmp(st.text, "lost") == 0)
        return "blocked";
    if (strcmp(st.text, "given-up") == 0)
        return "transport-offline";
    return strcmp(st.text, "dead") == 0 ? "offline" : "running";
}

static void print_interface(const struct adm_sessions *s, const struct adm_session *ses)
{
    const struct adm_record *r = ses->r;
    const struct adm_key *k = &ses->key;
    const char *hw = adm_record_get(r, "iface.hwaddress");
    const char *net = adm_record_get(r, "iface.net_ifacename");
    const char *ip = adm_record_get(r, "iface.ipaddress");
    printf("\tCurrent Portal: %s,%d\n", adm_portal_text(k->address, k->port).s, k->tpgt);
    printf("\tPersistent Portal: %s,%d\n", adm_portal_text(k->address, k->port).s, k->tpgt);
    heading("Interface:", 10);
    printf("\t\tIface Name: %s\n\t\tIface Transport: tcp\n", k->iface);
    printf("\t\tIface Initiatorname: %s\n", adm_record_get(r, "usan.initiatorname"));
    printf("\t\tIface IPaddress: %s\n", *ip ? ip : "<empty>");
    printf("\t\tIface HWaddress: %s\n", *hw ? hw : "default");
    printf("\t\tIface Netdev: %s\n", *net ? net : "default");
    printf("\t\tSID: %u\n", ses->sid);
    print_state(s, ses);
}

static void print_secret(const struct adm *a, const struct adm_session *ses, const char *label,
                         const char *name, bool secret)
{
    const char *v = adm_record_get(ses->r, name);
    printf("\t\t%s: %s\n", label, secret && !a->args->show ? "********" : *v ? v : "<empty>");
}

static void print_params(const struct adm *a, const struct adm_session *ses)
{
    static const char *const params[] = { "HeaderDigest",
                                          "DataDigest",
                                          "MaxRecvDataSegmentLength",
                                          "MaxXmitDataSegmentLength",
                                          "FirstBurstLength",
                                          "MaxBurstLength",
                                          "ImmediateData",
                                          "InitialR2T",
                                          "MaxOutstandingR2T" };
    const struct adm_record *r = ses->r;
    heading("Timeouts:", 9);
    printf("\t\tRecovery Timeout: %s\n",
           adm_record_get(r, "node.session.timeo.replacement_timeout"));
    printf("\t\tTarget Reset Timeout: %s\n",
           adm_record_get(r, "node.session.err_timeo.tgt_reset_timeout"));
    printf("\t\tLUN Reset Timeout: %s\n",
           adm_record_get(r, "node.session.err_timeo.lu_reset_timeout"));
    printf("\t\tAbort Timeout: %s\n", adm_record_get(r, "node.session.err_timeo.abort_timeout"));
    heading("CHAP:", 5);
    print_secret(a, ses, "username", "node.session.auth.username", false);
    print_secret(a, ses, "password", "node.session.auth.password", true);
    print_secret(a, ses, "username_in", "node.session.auth.username_in", false);
    print_secret(a, ses, "password_in", "node.session.auth.password_in", true);
    heading("Negotiated iSCSI params:", 24);
    for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "usan.%s", params[i]);
        printf("\t\t%s: %s\n", params[i], adm_record_get(r, name));
    }
}

static void print_units(const struct adm_sessions *s, const struct adm_session *ses)
{
    heading("Attached SCSI devices:", 24);
    printf("\t\tHost Number: %u\tState: running\n", ses->sid);
    for (unsigned i = 0; i < ADM_UNITS_MAX; i++) {
        struct adm_unit u = adm_unit_at(ses, i);
        if (!u.name)
            continue;
        printf("\t\tscsi%u Channel 00 Id 0 Lun: %u\n", ses->sid, u.lun);
        printf("\t\t\tAttached scsi disk %s\t\tState: %s\n", u.front,
               device_state(adm_unit_state(s, &u)));
    }
}

static enum adm_code print(const struct adm *a, struct adm_sessions *s, struct adm_session *ses)
{
    const struct adm_key *k = &ses->key;
    uint64_t level = a->args->print == ADM_NO_LEVEL ? 0 : a->args->print;
    if (level == 0) {
        printf("tcp: [%u] %s,%d %s (non-flash)\n", ses->sid, adm_portal_text(k->address, k->port).s,
               k->tpgt, k->target);
        return ADM_OK;
    }
    printf("Target: %s (non-flash)\n", k->target);
    print_interface(s, ses);
    if (level >= 2)
        print_params(a, ses);
    if (level >= 3)
        print_units(s, ses);
    return ADM_OK;
}

enum adm_code adm_mode_session(const struct adm *a)
{
    const struct adm_args *args = a->args;
    if (args->op && !adm_op(a, "show"))
        return adm_fail(a, ADM_INVALID, "session: only show is for sessions; see -m node");
    if (args->login || args->loginall)
        return adm_fail(a, ADM_INVALID, "session: log in with -m node");
    if (args->logout || args->logoutall)
        return each(a, &a->like, args->logoutall, end);
    if (args->rescan)
        return each(a, &a->like, NULL, rescan);
    return each(a, &a->like, NULL, print);
}
