/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/config.h"

#include "iscsi/names.h"
#include "scsi/scsi.h"
#include "store/store.h"
#include "target/address.h"
#include "target/config_files.h"
#include "target/drain.h"
#include "target/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert((int)TGT_LUNS_MAX <= (int)SCSI_MAX_LUNS, "LUNs of a target fit on a nexus");
_Static_assert((int)TGT_REACTORS_MAX <= (int)SCSI_MAX_LANES, "every reactor has a lane");

void tgt_config_init(struct tgt_config *cfg)
{
    *cfg = (struct tgt_config){
        .limits = { .sessions = 256,
                    .connections = 512,
                    .session_connections = 8,
                    .recovery_level = 2,
                    .time2retain_ns = 20 * NS_PER_SEC,
                    .queue_depth = 128,
                    .memory_bytes = 1ull << 30,
                    .progress_timeout_ns = 60 * NS_PER_SEC },
        .cores = 1,
        .engine = LOOP_ENGINE_AUTO,
        .poll = LOOP_POLL_AUTO,
        .stop_timeout_ns = TGT_DRAIN_GIVE_UP_NS,
        .login_timeout_ns = 15 * NS_PER_SEC,
        .nop_interval_ns = 30 * NS_PER_SEC,
        .nop_timeout_ns = 30 * NS_PER_SEC,
    };
}

static void strings_free(char **array, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(array[i]);
    free(array);
}

static void target_fini(struct tgt_config_target *t)
{
    for (size_t i = 0; i < t->lun_count; i++) {
        free(t->luns[i].store);
        free(t->luns[i].serial);
        free(t->luns[i].naa);
    }
    free(t->luns);
    strings_free(t->users, t->user_count);
    strings_free(t->initiators, t->initiator_count);
    free(t->name);
    free(t->alias);
    free(t->mutual_user);
    free(t->redirect);
}

void tgt_config_fini(struct tgt_config *cfg)
{
    for (size_t i = 0; i < cfg->portal_count; i++)
        free(cfg->portals[i].address);
    free(cfg->portals);
    for (size_t i = 0; i < cfg->user_count; i++) {
        free(cfg->users[i].name);
        if (cfg->users[i].secret)
            explicit_bzero(cfg->users[i].secret, strlen(cfg->users[i].secret));
        free(cfg->users[i].secret);
    }
    free(cfg->users);
    for (size_t i = 0; i < cfg->target_count; i++)
        target_fini(&cfg->targets[i]);
    free(cfg->targets);
    strings_free(cfg->discovery_users, cfg->discovery_user_count);
    free(cfg->discovery_mutual_user);
    free(cfg->state_dir);
    free(cfg->source);
    tgt_config_init(cfg);
}

/* Room for one more element, zeroed; NULL when out of memory. */
static void *grow(void **array, size_t *count, size_t elem_bytes)
{
    char *bigger = reallocarray(*array, *count + 1, elem_bytes);
    if (!bigger)
        return NULL;
    *array = bigger;
    void *elem = bigger + *count * elem_bytes;
    memset(elem, 0, elem_bytes);
    (*count)++;
    return elem;
}

struct tgt_config_portal *tgt_config_add_portal(struct tgt_config *cfg)
{
    void *array = cfg->portals;
    struct tgt_config_portal *p = grow(&array, &cfg->portal_count, sizeof(*p));
    cfg->portals = array;
    if (p)
        p->port = 3260;
    return p;
}

struct tgt_config_user *tgt_config_add_user(struct tgt_config *cfg)
{
    void *array = cfg->users;
    struct tgt_config_user *u = grow(&array, &cfg->user_count, sizeof(*u));
    cfg->users = array;
    return u;
}

struct tgt_config_target *tgt_config_add_target(struct tgt_config *cfg)
{
    void *array = cfg->targets;
    struct tgt_config_target *t = grow(&array, &cfg->target_count, sizeof(*t));
    cfg->targets = array;
    return t;
}

struct tgt_config_lun *tgt_config_add_lun(struct tgt_config_target *target)
{
    void *array = target->luns;
    struct tgt_config_lun *l = grow(&array, &target->lun_count, sizeof(*l));
    target->luns = array;
    return l;
}

int tgt_config_add_string(char ***array, size_t *count, const char *s)
{
    char *copy = strdup(s);
    if (!copy)
        return USAN_ENOMEM;
    void *a = *array;
    char **elem = grow(&a, count, sizeof(*elem));
    *array = a;
    if (!elem) {
        free(copy);
        return USAN_ENOMEM;
    }
    *elem = copy;
    return 0;
}

const struct tgt_config_user *tgt_config_find_user(const struct tgt_config *cfg, const char *name)
{
    for (size_t i = 0; i < cfg->user_count; i++) {
        if (strcmp(cfg->users[i].name, name) == 0)
            return &cfg->users[i];
    }
    return NULL;
}

/* ---- checks ---- */

static int normalise_name(char **name, const char *what, struct err_text *e)
{
    char norm[ISCSI_NAME_MAX + 1];
    if (iscsi_name_prepare(*name, strlen(*name), norm, NULL))
        return err_set(
            e, USAN_EINVAL,
            "%s name '%s' is not an iSCSI name; use one like iqn.2025-01.com.example:disk", what,
            *name);
    char *copy = strdup(norm);
    if (!copy)
        return err_set(e, USAN_ENOMEM, "out of memory");
    free(*name);
    *name = copy;
    return 0;
}

static int check_hex(const char *naa, struct err_text *e)
{
    size_t len = strspn(naa, "0123456789abcdefABCDEF");
    if (naa[len] || (len != 16 && len != 32))
        return err_set(e, USAN_EINVAL, "naa '%s' is not 16 or 32 hexadecimal digits", naa);
    /* SPC-6 7.8.6.6: 2h, 3h and 5h have 8 bytes, 6h has 16. */
    const char *types = len == 32 ? "6" : "235";
    if (!strchr(types, naa[0]))
        return err_set(e, USAN_EINVAL, "naa '%s' starts with %c; %zu digits start with one of %s",
                       naa, naa[0], len, types);
    return 0;
}

static int check_lun(const struct tgt_config_target *t, size_t at, struct err_text *e)
{
    const struct tgt_config_lun *l = &t->luns[at];
    if (l->lun >= TGT_LUNS_MAX)
        return err_set(e, USAN_EINVAL, "LUN %u is too high; the highest is %d", l->lun,
                       TGT_LUNS_MAX - 1);
    for (size_t i = 0; i < at; i++) {
        if (t->luns[i].lun == l->lun)
            return err_set(e, USAN_EINVAL, "LUN %u is there twice", l->lun);
    }
    if (!l->store || !*l->store)
        return err_set(e, USAN_EINVAL, "LUN %u has no store; name a file or ram:SIZE", l->lun);
    if (l->block_bytes != 0 && l->block_bytes != 512 && l->block_bytes != 4096)
        return err_set(e, USAN_EINVAL, "LUN %u: block size %u; it is 512 or 4096", l->lun,
                       l->block_bytes);
    uint32_t phys = l->phys_block_bytes;
    if (phys && (phys & (phys - 1) || phys < 512 || phys < l->block_bytes || phys > 1u << 20))
        return err_set(e, USAN_EINVAL,
                       "LUN %u: physical block size %u; use a power of two from the block size to "
                       "1M",
                       l->lun, phys);
    if (l->serial && strlen(l->serial) > sizeof(((struct scsi_lu_config *)0)->serial) - 1)
        return err_set(e, USAN_EINVAL, "LUN %u: serial '%s' is longer than 32 characters", l->lun,
                       l->serial);
    if (l->thin_threshold_pct > 100)
        return err_set(e, USAN_EINVAL, "LUN %u: threshold above 100 percent", l->lun);
    int err = l->naa ? check_hex(l->naa, e) : 0;
    if (!err)
        err = store_check_spec(l->store, e);
    if (err)
        err_prefix(e, "LUN %u", l->lun);
    return err;
}

static int check_users(const struct tgt_config *cfg, char *const *names, size_t count,
                       const char *mutual, struct err_text *e)
{
    for (size_t i = 0; i < count; i++) {
        if (!tgt_config_find_user(cfg, names[i]))
            return err_set(e, USAN_EINVAL, "user '%s' is not defined; add it to users", names[i]);
    }
    if (!mutual)
        return 0;
    if (!tgt_config_find_user(cfg, mutual))
        return err_set(e, USAN_EINVAL, "mutual user '%s' is not defined; add it to users", mutual);
    if (count == 0)
        return err_set(e, USAN_EINVAL,
                       "mutual authentication needs initiators that authenticate: name users too");
    /* RFC 7143 12.1.4: the two directions must not share a secret. */
    const char *secret = tgt_config_find_user(cfg, mutual)->secret;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(tgt_config_find_user(cfg, names[i])->secret, secret) == 0)
            return err_set(e, USAN_EINVAL,
                           "users '%s' and '%s' have one secret; the two directions need two",
                           names[i], mutual);
    }
    return 0;
}

void tgt_config_place(const struct tgt_config *cfg, uint32_t line, struct err_text *e)
{
    if (cfg->source && line)
        err_prefix(e, "%s:%u", cfg->source, line);
    else if (cfg->source)
        err_prefix(e, "%s", cfg->source);
}

static int no_name(const struct tgt_config *cfg, size_t at, struct err_text *e)
{
    int err = err_set(e, USAN_EINVAL, "target %zu has no name", at + 1);
    tgt_config_place(cfg, cfg->targets[at].line, e);
    return err;
}

/* RFC 7143 13.8: what the address lacks is the default port; it is said all the same. */
static int complete_redirect(struct tgt_config_target *t, struct err_text *e)
{
    char address[TGT_ADDRESS_BYTES];
    if (tgt_address_redirect(t->redirect, address))
        return err_set(e, USAN_EINVAL,
                       "redirect '%s' is not HOST:PORT, such as 10.0.0.2:3260 or [fd00::2]:3260",
                       t->redirect);
    char *copy = strdup(address);
    if (!copy)
        return err_set(e, USAN_ENOMEM, "out of memory");
    free(t->redirect);
    t->redirect = copy;
    return 0;
}

static int check_target(struct tgt_config *cfg, size_t at, struct err_text *e)
{
    struct tgt_config_target *t = &cfg->targets[at];
    if (!t->name)
        return no_name(cfg, at, e);
    uint32_t line = t->line;
    int err = normalise_name(&t->name, "target", e);
    for (size_t i = 0; !err && i < at; i++) {
        if (strcmp(cfg->targets[i].name, t->name) == 0)
            err = err_set(e, USAN_EINVAL, "target '%s' is there twice", t->name);
    }
    for (size_t i = 0; !err && i < t->initiator_count; i++)
        err = normalise_name(&t->initiators[i], "initiator", e);
    if (!err && t->lun_count > TGT_LUNS_MAX)
        err = err_set(e, USAN_EINVAL, "more than %d LUNs", TGT_LUNS_MAX);
    if (!err && t->lun_count == 0 && !t->redirect)
        err = err_set(e, USAN_EINVAL, "no LUN; give it at least one, or a redirect");
    for (size_t i = 0; !err && i < t->lun_count; i++) {
        err = check_lun(t, i, e);
        if (err)
            line = t->luns[i].line;
    }
    if (!err)
        err = check_users(cfg, t->users, t->user_count, t->mutual_user, e);
    if (!err && t->redirect)
        err = complete_redirect(t, e);
    if (err) {
        err_prefix(e, "target %s", t->name);
        tgt_config_place(cfg, line, e);
    }
    return err;
}

static int find_fault_of_user(const struct tgt_config *cfg, size_t at, struct err_text *e)
{
    const struct tgt_config_user *u = &cfg->users[at];
    if (!u->name || !*u->name)
        return err_set(e, USAN_EINVAL, "user %zu has no name", at + 1);
    for (size_t i = 0; i < at; i++) {
        if (strcmp(cfg->users[i].name, u->name) == 0)
            return err_set(e, USAN_EINVAL, "user '%s' is there twice", u->name);
    }
    if (!u->secret)
        return err_set(e, USAN_EINVAL, "user '%s' has no secret; give it a secret file", u->name);
    size_t len = strlen(u->secret);
    if (len < TGT_SECRET_MIN || len > TGT_SECRET_MAX)
        return err_set(e, USAN_EINVAL, "the secret of user '%s' has %zu characters; use %d to %d",
                       u->name, len, TGT_SECRET_MIN, TGT_SECRET_MAX);
    return 0;
}

static int check_user(const struct tgt_config *cfg, size_t at, struct err_text *e)
{
    int err = find_fault_of_user(cfg, at, e);
    if (err)
        tgt_config_place(cfg, cfg->users[at].line, e);
    return err;
}

static int check_portal(const struct tgt_config *cfg, size_t at, struct err_text *e)
{
    const struct tgt_config_portal *p = &cfg->portals[at];
    char *a = p->address;
    size_t len = a ? strlen(a) : 0;
    if (len >= 2 && a[0] == '[' && a[len - 1] == ']') { /* accept the URL form too */
        memmove(a, a + 1, len - 2);
        a[len - 2] = 0;
    }
    if (!a || !*a)
        return err_set(e, USAN_EINVAL,
                       "portal %zu has no address; use one of this machine's, "
                       "0.0.0.0 or ::",
                       at + 1);
    const char *port = tgt_address_port(a);
    if (port && cfg->source)
        return err_set(e, USAN_EINVAL, "address '%s' has a port in it; write 'port: %s' beside it",
                       a, port);
    if (port)
        return err_set(e, USAN_EINVAL, "address '%s' has a port in it; use --port %s", a, port);
    for (size_t i = 0; i < at; i++) {
        const struct tgt_config_portal *q = &cfg->portals[i];
        if (p->port && q->port == p->port && tgt_address_same(q->address, a))
            return err_set(e, USAN_EINVAL, "address '%s' with port %u is there twice", a, p->port);
    }
    return 0;
}

static int check_portals(struct tgt_config *cfg, struct err_text *e)
{
    if (cfg->portal_count == 0) {
        struct tgt_config_portal *p = tgt_config_add_portal(cfg);
        if (!p || !(p->address = strdup("::")))
            return err_set(e, USAN_ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < cfg->portal_count; i++) {
        int err = check_portal(cfg, i, e);
        if (err) {
            tgt_config_place(cfg, cfg->portals[i].line, e);
            return err;
        }
    }
    return 0;
}

static int check_limits(const struct tgt_config *cfg, struct err_text *e)
{
    const struct tgt_limits *l = &cfg->limits;
    if (l->sessions < 1 || l->sessions > TGT_SESSIONS_MAX)
        return err_set(e, USAN_EINVAL, "limit of sessions %u; use 1 to %d", l->sessions,
                       TGT_SESSIONS_MAX);
    if (l->connections < 1)
        return err_set(e, USAN_EINVAL, "limit of connections is 0");
    if (l->session_connections < 1 || l->session_connections > TGT_SESSION_CONNECTIONS_MAX)
        return err_set(e, USAN_EINVAL, "limit of connections per session %u; use 1 to %d",
                       l->session_connections, TGT_SESSION_CONNECTIONS_MAX);
    if (l->recovery_level > 2)
        return err_set(e, USAN_EINVAL, "recovery level %u; use 0, 1 or 2", l->recovery_level);
    if (l->time2retain_ns > TGT_TIME2RETAIN_MAX_S * NS_PER_SEC)
        return err_set(e, USAN_EINVAL, "time2retain of more than %d seconds",
                       TGT_TIME2RETAIN_MAX_S);
    if (l->queue_depth < 1 || l->queue_depth > ISCSI_QUEUE_DEPTH_MAX)
        return err_set(e, USAN_EINVAL, "queue depth %u; use 1 to %d", l->queue_depth,
                       ISCSI_QUEUE_DEPTH_MAX);
    if (l->memory_bytes < 16u << 20)
        return err_set(e, USAN_EINVAL, "memory limit below 16M");
    if (cfg->cores > TGT_REACTORS_MAX)
        return err_set(e, USAN_EINVAL, "%u cores; at most %d", cfg->cores, TGT_REACTORS_MAX);
    return 0;
}

static int check_program(const struct tgt_config *cfg, struct err_text *e)
{
    int err = check_limits(cfg, e);
    if (!err && cfg->target_count > TGT_TARGETS_MAX)
        err = err_set(e, USAN_EINVAL, "more than %d targets", TGT_TARGETS_MAX);
    return err;
}

static int check_discovery(const struct tgt_config *cfg, struct err_text *e)
{
    int err = check_users(cfg, cfg->discovery_users, cfg->discovery_user_count,
                          cfg->discovery_mutual_user, e);
    if (err) {
        err_prefix(e, "discovery");
        tgt_config_place(cfg, 0, e);
    }
    return err;
}

int tgt_config_check(struct tgt_config *cfg, struct err_text *e)
{
    int err = check_program(cfg, e);
    if (err) {
        tgt_config_place(cfg, 0, e);
        return err;
    }
    err = check_portals(cfg, e);
    for (size_t i = 0; !err && i < cfg->user_count; i++)
        err = check_user(cfg, i, e);
    if (!err)
        err = check_discovery(cfg, e);
    if (!err && cfg->target_count == 0) {
        err = err_set(e, USAN_EINVAL, "nothing to serve; name at least one target");
        tgt_config_place(cfg, 0, e);
    }
    for (size_t i = 0; !err && i < cfg->target_count; i++)
        err = check_target(cfg, i, e);
    return err ? err : tgt_config_check_files(cfg, e);
}

int tgt_config_read_secret(const char *path, char **ret_secret, struct err_text *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(e, usan_err_from_errno(errno), "%s: %s", path, strerror(errno));
    struct stat st;
    if (fstat(fd, &st) == 0 && (st.st_mode & S_IROTH))
        tgt_log(TGT_LOG_WARN, "secret-file-open", "file=%s mode=%04o why=%s", tgt_log_quote(path).s,
                (unsigned)(st.st_mode & 07777),
                "\"every user of this machine can read it; chmod 600\"");
    char buf[TGT_SECRET_MAX + 3]; /* CR, LF and one more to see that it is too long */
    ssize_t n = read(fd, buf, sizeof(buf));
    int saved = errno;
    close(fd);
    if (n < 0)
        return err_set(e, usan_err_from_errno(saved), "%s: %s", path, strerror(saved));
    size_t len = 0;
    while (len < (size_t)n && buf[len] != '\n' && buf[len] != '\r' && buf[len])
        len++;
    int err = 0;
    char *secret = NULL;
    if (len < TGT_SECRET_MIN || len > TGT_SECRET_MAX)
        err = err_set(e, USAN_EINVAL, "%s: the secret in the first line has %s than %d characters",
                      path, len < TGT_SECRET_MIN ? "fewer" : "more",
                      len < TGT_SECRET_MIN ? TGT_SECRET_MIN : TGT_SECRET_MAX);
    else if (!(secret = strndup(buf, len)))
        err = err_set(e, USAN_ENOMEM, "out of memory");
    explicit_bzero(buf, sizeof(buf));
    if (!err)
        *ret_secret = secret;
    return err;
}

int tgt_config_parse_engine(const char *text, enum loop_engine_kind *ret)
{
    if (strcmp(text, "auto") == 0)
        *ret = LOOP_ENGINE_AUTO;
    else if (strcmp(text, "io_uring") == 0 || strcmp(text, "uring") == 0)
        *ret = LOOP_ENGINE_URING;
    else if (strcmp(text, "epoll") == 0)
        *ret = LOOP_ENGINE_EPOLL;
    else
        return USAN_EINVAL;
    return 0;
}

int tgt_config_parse_poll(const char *text, enum loop_poll_mode *ret)
{
    if (strcmp(text, "auto") == 0)
        *ret = LOOP_POLL_AUTO;
    else if (strcmp(text, "never") == 0)
        *ret = LOOP_POLL_NEVER;
    else if (strcmp(text, "always") == 0)
        *ret = LOOP_POLL_ALWAYS;
    else
        return USAN_EINVAL;
    return 0;
}
