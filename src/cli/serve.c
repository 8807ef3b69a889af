/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usan serve: disks from the command line. */
#include "cli/command.h"
#include "cli/name.h"
#include "cli/run.h"
#include "iscsi/target.h"
#include "target/config.h"
#include "target/lun.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct serve_args {
    const char *name, *alias;
    struct cli_texts address, initiator;
    uint64_t port;
    bool one_target, read_only, thin, removable, write_through;
    uint64_t block_size, phys_block;
    const char *chap_user, *chap_secret_file, *mutual_user, *mutual_secret_file;
    uint64_t cores, queue_depth, sessions, connections, session_connections, memory;
    uint64_t recovery_level, time2retain;
    const char *engine, *poll;
    const char *state_dir, *pid_file;
    uint64_t login_timeout, nop_interval, nop_timeout, progress_timeout;
    bool verbose;
};

#define AT(field) offsetof(struct serve_args, field)

const struct cli_opt cli_serve_opts[] = {
    { "name", 'n', CLI_TEXT, "IQN", NULL, "name of the target; made from the PATH if not given",
      AT(name), 0, 0 },
    { "alias", 0, CLI_TEXT, "TEXT", NULL, "what initiators show beside the name", AT(alias), 0, 0 },
    { "address", 'a', CLI_TEXTS, "ADDRESS", "::, all addresses",
      "address to listen on; may be given several times", AT(address), 0, 0 },
    { "port", 'p', CLI_UINT, "NUMBER", "3260", "TCP port; 0 takes any free one", AT(port), 0,
      65535 },
    { "initiator", 'i', CLI_TEXTS, "IQN", NULL,
      "let only this initiator in; may be given several times", AT(initiator), 0, 0 },
    { "one-target", '1', CLI_FLAG, NULL, NULL, "all PATHs are LUNs of one target", AT(one_target),
      0, 0 },
    { "read-only", 'r', CLI_FLAG, NULL, NULL, "write-protect the disks", AT(read_only), 0, 0 },
    { "block-size", 'b', CLI_SIZE, "BYTES", NULL,
      "logical block size, 512 or 4096; as the store likes it if not given", AT(block_size), 512,
      4096 },
    { "phys-block", 0, CLI_SIZE, "BYTES", NULL, "physical block size to report", AT(phys_block),
      512, 1 << 20 },
    { "thin", 't', CLI_FLAG, NULL, NULL, "thin provisioning: initiators may deallocate blocks",
      AT(thin), 0, 0 },
    { "removable", 0, CLI_FLAG, NULL, NULL, "the medium can be ejected", AT(removable), 0, 0 },
    { "write-through", 0, CLI_FLAG, NULL, NULL, "every write is durable before its status",
      AT(write_through), 0, 0 },
    { "chap-user", 0, CLI_TEXT, "NAME", NULL, "initiators authenticate as this user", AT(chap_user),
      0, 0 },
    { "chap-secret-file", 0, CLI_TEXT, "FILE", NULL, "its first line is the user's secret",
      AT(chap_secret_file), 0, 0 },
    { "mutual-user", 0, CLI_TEXT, "NAME", NULL, "the target authenticates itself as this user",
      AT(mutual_user), 0, 0 },
    { "mutual-secret-file", 0, CLI_TEXT, "FILE", NULL, "its first line is the target's secret",
      AT(mutual_secret_file), 0, 0 },
    { "cores", 'c', CLI_UINT, "NUMBER", "1", "event loops; 0 makes one for each processor",
      AT(cores), 0, TGT_REACTORS_MAX },
    { "engine", 0, CLI_CHOICE, "auto|io_uring|epoll", "auto", "how the event loops wait",
      AT(engine), 0, 0 },
    { "poll", 0, CLI_CHOICE, "auto|never|always", "auto", "spin instead of sleeping", AT(poll), 0,
      0 },
    { "queue-depth", 'q', CLI_UINT, "NUMBER", "128", "commands a session may have outstanding",
      AT(queue_depth), 1, ISCSI_QUEUE_DEPTH_MAX },
    { "max-sessions", 0, CLI_UINT, "NUMBER", "256", "sessions at one time", AT(sessions), 1,
      TGT_SESSIONS_MAX },
    { "max-connections", 0, CLI_UINT, "NUMBER", "512", "connections at one time, logins included",
      AT(connections), 1, 1 << 20 },
    { "connections-per-session", 0, CLI_UINT, "NUMBER", "8", "connections a session may have",
      AT(session_connections), 1, TGT_SESSION_CONNECTIONS_MAX },
    { "recovery-level", 0, CLI_UINT, "LEVEL", "2", "highest ErrorRecoveryLevel to agree on",
      AT(recovery_level), 0, 2 },
    { "time2retain", 0, CLI_TIME, "TIME", "20s",
      "keep a session for so long that lost all connections at level 2; 0 not at all",
      AT(time2retain), 0, 0 },
    { "memory", 'm', CLI_SIZE, "BYTES", "1G", "most memory for connections, commands and data",
      AT(memory), 16 << 20, 1ull << 50 },
    { "state-dir", 0, CLI_TEXT, "DIR", NULL, "keep persistent reservations and mode pages here",
      AT(state_dir), 0, 0 },
    { "pid-file", 0, CLI_TEXT, "FILE", NULL, "write the process id here when ready", AT(pid_file),
      0, 0 },
    { "login-timeout", 0, CLI_TIME, "TIME", "15s", "a login has to be complete by then",
      AT(login_timeout), 0, 0 },
    { "nop-interval", 0, CLI_TIME, "TIME", "30s",
      "ask a silent initiator for a sign of life; 0 never", AT(nop_interval), 0, 0 },
    { "nop-timeout", 0, CLI_TIME, "TIME", "30s", "give a connection up that does not answer then",
      AT(nop_timeout), 0, 0 },
    { "progress-timeout", 0, CLI_TIME, "TIME", "60s",
      "give a connection up that owes data, or takes none, for so long; 0 never",
      AT(progress_timeout), 0, 0 },
    { "verbose", 'v', CLI_FLAG, NULL, NULL, "log logins, logouts and limits", AT(verbose), 0, 0 },
    { 0 },
};

/* ---- names ---- */

static bool name_taken(const struct tgt_config *cfg, const char *name)
{
    for (size_t i = 0; i < cfg->target_count; i++) {
        if (cfg->targets[i].name && strcmp(cfg->targets[i].name, name) == 0)
            return true;
    }
    return false;
}

/* The target's name for a path; unique among those there are. */
static char *make_name(const struct tgt_config *cfg, const struct serve_args *a, const char *spec,
                       bool several)
{
    char base[128], name[512];
    cli_short_name(spec, base, sizeof(base));
    const char *prefix = a->name ? a->name : "iqn.2025-01.io.usan";
    if (a->name && !several)
        snprintf(name, sizeof(name), "%s", a->name);
    else
        snprintf(name, sizeof(name), "%s:%s", prefix, *base ? base : "disk");
    size_t len = strlen(name);
    for (unsigned n = 2; name_taken(cfg, name) && len < sizeof(name) - 16; n++)
        snprintf(name + len, sizeof(name) - len, "-%u", n);
    return strdup(name);
}

/* ---- identity ---- */

static void read_line(const char *path, char *buf, size_t cap)
{
    buf[0] = 0;
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    if (fgets(buf, (int)cap, f))
        buf[strcspn(buf, "\n")] = 0;
    fclose(f);
}

/*
 * A name that was made up here, "disk.img" say, is likely to be made up on another machine too,
 * for other data. Initiators with several paths take equal designators for one disk, so then the
 * machine and the full path go into them.
 */
static int set_identity(struct tgt_config_lun *lun, const char *spec)
{
    char machine[128], path[PATH_MAX], *text;
    read_line("/etc/machine-id", machine, sizeof(machine));
    if (!machine[0] && gethostname(machine, sizeof(machine) - 1))
        machine[0] = 0;
    const char *where = realpath(spec, path) ? path : spec;
    if (asprintf(&text, "%s %s", machine, where) < 0)
        return USAN_ENOMEM;
    uint8_t naa[8];
    char serial[17];
    tgt_lun_identity(text, lun->lun, naa, serial);
    free(text);
    lun->serial = strdup(serial);
    lun->naa = strdup(serial); /* the same digits */
    return lun->serial && lun->naa ? 0 : USAN_ENOMEM;
}

/* ---- configuration from arguments ---- */

static int add_lun(struct tgt_config_target *t, const struct serve_args *a, const char *word,
                   bool made_up)
{
    uint32_t number = (uint32_t)t->lun_count;
    struct tgt_config_lun *l = tgt_config_add_lun(t);
    if (!l)
        return USAN_ENOMEM;
    l->lun = number;
    l->store = cli_make_spec(word);
    l->block_bytes = (uint32_t)a->block_size;
    l->phys_block_bytes = (uint32_t)a->phys_block;
    l->read_only = a->read_only;
    l->thin = a->thin;
    l->removable = a->removable;
    l->write_through = a->write_through;
    if (!l->store)
        return USAN_ENOMEM;
    return made_up ? set_identity(l, word) : 0;
}

static int set_access(struct tgt_config_target *t, const struct serve_args *a)
{
    int err = 0;
    for (unsigned i = 0; !err && i < a->initiator.count; i++)
        err = tgt_config_add_string(&t->initiators, &t->initiator_count, a->initiator.v[i]);
    if (!err && a->chap_user)
        err = tgt_config_add_string(&t->users, &t->user_count, a->chap_user);
    if (!err && a->mutual_user && !(t->mutual_user = strdup(a->mutual_user)))
        err = USAN_ENOMEM;
    if (!err && a->alias && !(t->alias = strdup(a->alias)))
        err = USAN_ENOMEM;
    return err;
}

static int add_target(struct tgt_config *cfg, const struct serve_args *a, const char *word,
                      bool several)
{
    char *name = make_name(cfg, a, word, several);
    struct tgt_config_target *t = name ? tgt_config_add_target(cfg) : NULL;
    if (!t) {
        free(name);
        return USAN_ENOMEM;
    }
    t->name = name;
    return set_access(t, a);
}

static int add_targets(struct tgt_config *cfg, const struct serve_args *a, char **words, int count)
{
    for (int i = 0; i < count; i++) {
        bool first = i == 0 || !a->one_target;
        int err = first ? add_target(cfg, a, words[i], count > 1 && !a->one_target) : 0;
        if (!err)
            err = add_lun(&cfg->targets[cfg->target_count - 1], a, words[i], !a->name);
        if (err)
            return err;
    }
    return 0;
}

static int add_user(struct tgt_config *cfg, const char *name, const char *file, const char *which,
                    struct err_text *e)
{
    if (!name)
        return 0;
    struct tgt_config_user *u = tgt_config_add_user(cfg);
    if (!u || !(u->name = strdup(name)))
        return err_set(e, USAN_ENOMEM, "out of memory");
    int err = tgt_config_read_secret(file, &u->secret, e);
    if (err)
        err_prefix(e, "--%s-secret-file", which);
    return err;
}

static int add_portals(struct tgt_config *cfg, const struct serve_args *a)
{
    static const char *const all[] = { "::" };
    const char *const *v = a->address.count ? a->address.v : all;
    unsigned count = a->address.count ? a->address.count : 1;
    for (unsigned i = 0; i < count; i++) {
        struct tgt_config_portal *p = tgt_config_add_portal(cfg);
        if (!p || !(p->address = strdup(v[i])))
            return USAN_ENOMEM;
        p->port = (uint16_t)a->port;
    }
    return 0;
}

static int set_program(struct tgt_config *cfg, const struct serve_args *a)
{
    cfg->limits.sessions = (uint32_t)a->sessions;
    cfg->limits.connections = (uint32_t)a->connections;
    cfg->limits.session_connections = (uint32_t)a->session_connections;
    cfg->limits.recovery_level = (uint32_t)a->recovery_level;
    cfg->limits.time2retain_ns = a->time2retain;
    cfg->limits.queue_depth = (uint32_t)a->queue_depth;
    cfg->limits.memory_bytes = a->memory;
    cfg->cores = (uint32_t)a->cores;
    cfg->login_timeout_ns = a->login_timeout;
    cfg->nop_interval_ns = a->nop_interval;
    cfg->nop_timeout_ns = a->nop_timeout;
    cfg->limits.progress_timeout_ns = a->progress_timeout;
    if (a->state_dir && !(cfg->state_dir = strdup(a->state_dir)))
        return USAN_ENOMEM;
    /* The words were checked by the option table. */
    int err = tgt_config_parse_engine(a->engine, &cfg->engine);
    return err ? err : tgt_config_parse_poll(a->poll, &cfg->poll);
}

/* Discovery with the same credentials or with none: tools that have some use them there too, and
 * those that have none may still ask. */
static int set_discovery(struct tgt_config *cfg, const struct serve_args *a)
{
    if (!a->chap_user)
        return 0;
    cfg->discovery_optional = true;
    if (a->mutual_user && !(cfg->discovery_mutual_user = strdup(a->mutual_user)))
        return USAN_ENOMEM;
    return tgt_config_add_string(&cfg->discovery_users, &cfg->discovery_user_count, a->chap_user);
}

static int add_users(struct tgt_config *cfg, const struct serve_args *a, struct err_text *e)
{
    int err = add_user(cfg, a->chap_user, a->chap_secret_file, "chap", e);
    if (!err)
        err = add_user(cfg, a->mutual_user, a->mutual_secret_file, "mutual", e);
    return err;
}

static int check_users(const struct tgt_config *cfg, struct err_text *e)
{
    if (cfg->user_count < 2)
        return 0;
    if (strcmp(cfg->users[0].name, cfg->users[1].name) == 0)
        return err_set(e, USAN_EINVAL, "--chap-user and --mutual-user are one name; use two");
    /* RFC 7143 12.1.4: the two directions must not share a secret. */
    if (strcmp(cfg->users[0].secret, cfg->users[1].secret) == 0)
        return err_set(e, USAN_EINVAL,
                       "--chap-secret-file and --mutual-secret-file hold one secret; the two "
                       "directions need two");
    return 0;
}

static int make_config(struct tgt_config *cfg, const struct serve_args *a, char **words, int count,
                       struct err_text *e)
{
    int err = add_users(cfg, a, e);
    if (err)
        return err;
    err = set_program(cfg, a);
    if (!err)
        err = add_portals(cfg, a);
    if (!err)
        err = set_discovery(cfg, a);
    if (!err)
        err = add_targets(cfg, a, words, count);
    return err ? err_set(e, err, "%s", usan_strerror(err)) : 0;
}

/* Reading only, two disks may share a file; the store locks it accordingly. */
static int check_twice(char **words, int count, struct err_text *e)
{
    for (int i = 0; i < count; i++) {
        for (int j = 0; j < i; j++) {
            if (!cli_same_file(words[i], words[j]))
                continue;
            if (strcmp(words[i], words[j]) == 0)
                return err_set(e, USAN_EINVAL, "%s is given twice; a file can be one disk only",
                               words[i]);
            return err_set(e, USAN_EINVAL, "%s and %s are the same file; it can be one disk only",
                           words[j], words[i]);
        }
    }
    return 0;
}

static int check_blocks(const struct serve_args *a, struct err_text *e)
{
    if (a->block_size && a->block_size != 512 && a->block_size != 4096)
        return err_set(e, USAN_EINVAL, "--block-size %llu: use 512 or 4096",
                       (unsigned long long)a->block_size);
    uint64_t phys = a->phys_block;
    if (phys & (phys - 1) || (phys && phys < a->block_size))
        return err_set(e, USAN_EINVAL,
                       "--phys-block %llu: use a power of two from the block size to 1M",
                       (unsigned long long)phys);
    return 0;
}

static int check_words(char **words, int count, struct err_text *e)
{
    for (int i = 0; i < count; i++) {
        const char *meant = cli_meant(words[i]);
        if (meant)
            return err_set(e, USAN_EINVAL, "there is no file '%s'; did you mean %s?", words[i],
                           meant);
    }
    return 0;
}

/* What the option table cannot say about the command line. */
static int check_args(const struct serve_args *a, char **words, int count, struct err_text *e)
{
    if (count == 0)
        return err_set(e, USAN_EINVAL, "nothing to serve; name a file, a block device or ram:SIZE");
    if (!a->chap_user != !a->chap_secret_file)
        return err_set(e, USAN_EINVAL, "--chap-user and --chap-secret-file belong together");
    if (!a->mutual_user != !a->mutual_secret_file)
        return err_set(e, USAN_EINVAL, "--mutual-user and --mutual-secret-file belong together");
    if (a->mutual_user && !a->chap_user)
        return err_set(e, USAN_EINVAL,
                       "--mutual-user needs --chap-user: the target authenticates itself only to "
                       "initiators that do");
    int err = check_blocks(a, e);
    if (!err)
        err = check_words(words, count, e);
    return err || a->read_only ? err : check_twice(words, count, e);
}

int cli_serve(const struct cli_command *cmd, int argc, char **argv)
{
    struct serve_args a = { 0 };
    int words, code;
    if (!cli_begin(cmd, &a, argc, argv, &words, &code))
        return code;
    struct tgt_config cfg;
    struct err_text e = { "" };
    if (check_args(&a, argv, words, &e))
        return cli_fail(cmd, CLI_USAGE, e.text);
    tgt_config_init(&cfg);
    if (make_config(&cfg, &a, argv, words, &e))
        code = cli_fail(cmd, CLI_FAILED, e.text);
    else if (check_users(&cfg, &e) ||
             tgt_config_check(&cfg, &e)) /* it has only what the command line said */
        code = cli_fail(cmd, CLI_USAGE, e.text);
    else
        code = cli_run_target(cmd, &cfg,
                              &(struct cli_run){ .pid_file = a.pid_file, .verbose = a.verbose });
    tgt_config_fini(&cfg);
    return code;
}
