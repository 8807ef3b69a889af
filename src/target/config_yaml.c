/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/config_yaml.h"

#include "yaml/ykey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the keys ---- */

static void *add_portal(void *cfg)
{
    return tgt_config_add_portal(cfg);
}

static void *add_user(void *cfg)
{
    return tgt_config_add_user(cfg);
}

static void *add_target(void *cfg)
{
    return tgt_config_add_target(cfg);
}

static void *add_lun(void *target)
{
    return tgt_config_add_lun(target);
}

static int set_engine(const char *text, const char *file, void *to, struct err_text *why)
{
    (void)file;
    return tgt_config_parse_engine(text, to)
               ? err_set(why, USAN_EINVAL, "'%s' is not auto, io_uring or epoll", text)
               : 0;
}

static int set_poll(const char *text, const char *file, void *to, struct err_text *why)
{
    (void)file;
    return tgt_config_parse_poll(text, to)
               ? err_set(why, USAN_EINVAL, "'%s' is not auto, never or always", text)
               : 0;
}

/* The content of the file that is named; relative to the directory of the configuration. */
static int set_secret(const char *text, const char *file, void *to, struct err_text *why)
{
    char **secret = to;
    if (*secret)
        return err_set(why, USAN_EINVAL, "the user has a secret already");
    const char *slash = strrchr(file, '/');
    char *path;
    int len = slash && *text != '/' ? asprintf(&path, "%.*s/%s", (int)(slash - file), file, text)
                                    : asprintf(&path, "%s", text);
    if (len < 0)
        return USAN_ENOMEM;
    int err = tgt_config_read_secret(path, secret, why);
    free(path);
    return err;
}

#define CFG(field)    .at = offsetof(struct tgt_config, field)
#define PORTAL(field) .at = offsetof(struct tgt_config_portal, field)
#define USER(field)   .at = offsetof(struct tgt_config_user, field)
#define TARGET(field) .at = offsetof(struct tgt_config_target, field)
#define LUN(field)    .at = offsetof(struct tgt_config_lun, field)

static const struct ykey portal_keys[] = {
    { .name = "address", .kind = YKEY_TEXT, PORTAL(address) },
    { .name = "port", .kind = YKEY_U16, PORTAL(port), .max = 65535 },
    { 0 },
};

static const struct ykey user_keys[] = {
    { .name = "name", .kind = YKEY_TEXT, USER(name) },
    { .name = "secret", .kind = YKEY_TEXT, USER(secret) },
    { .name = "secret-file", .kind = YKEY_CALL, USER(secret), .set = set_secret },
    { 0 },
};

static const struct ykey lun_keys[] = {
    { .name = "lun", .kind = YKEY_U32, LUN(lun), .max = TGT_LUNS_MAX - 1 },
    { .name = "store", .kind = YKEY_TEXT, LUN(store) },
    { .name = "block-size", .kind = YKEY_SIZE32, LUN(block_bytes), .max = 4096 },
    { .name = "physical-block-size", .kind = YKEY_SIZE32, LUN(phys_block_bytes), .max = 1 << 20 },
    { .name = "read-only", .kind = YKEY_BOOL, LUN(read_only) },
    { .name = "thin", .kind = YKEY_BOOL, LUN(thin) },
    { .name = "thin-threshold", .kind = YKEY_U8, LUN(thin_threshold_pct), .max = 100 },
    { .name = "removable", .kind = YKEY_BOOL, LUN(removable) },
    { .name = "write-through", .kind = YKEY_BOOL, LUN(write_through) },
    { .name = "serial", .kind = YKEY_TEXT, LUN(serial) },
    { .name = "naa", .kind = YKEY_TEXT, LUN(naa) },
    { 0 },
};

static const struct ykey target_keys[] = {
    { .name = "name", .kind = YKEY_TEXT, TARGET(name) },
    { .name = "alias", .kind = YKEY_TEXT, TARGET(alias) },
    { .name = "initiators",
      .kind = YKEY_TEXTS,
      TARGET(initiators),
      .count_at = offsetof(struct tgt_config_target, initiator_count) },
    { .name = "users",
      .kind = YKEY_TEXTS,
      TARGET(users),
      .count_at = offsetof(struct tgt_config_target, user_count) },
    { .name = "mutual-user", .kind = YKEY_TEXT, TARGET(mutual_user) },
    { .name = "redirect", .kind = YKEY_TEXT, TARGET(redirect) },
    { .name = "luns",
      .kind = YKEY_LIST,
      .sub = lun_keys,
      .add = add_lun,
      .line_at = offsetof(struct tgt_config_lun, line) },
    { 0 },
};

static const struct ykey discovery_keys[] = {
    { .name = "users",
      .kind = YKEY_TEXTS,
      CFG(discovery_users),
      .count_at = offsetof(struct tgt_config, discovery_user_count) },
    { .name = "mutual-user", .kind = YKEY_TEXT, CFG(discovery_mutual_user) },
    { .name = "optional", .kind = YKEY_BOOL, CFG(discovery_optional) },
    { 0 },
};

static const struct ykey limit_keys[] = {
    { .name = "sessions",
      .kind = YKEY_U32,
      CFG(limits.sessions),
      .min = 1,
      .max = TGT_SESSIONS_MAX },
    { .name = "connections", .kind = YKEY_U32, CFG(limits.connections), .min = 1, .max = 1 << 20 },
    { .name = "connections-per-session",
      .kind = YKEY_U32,
      CFG(limits.session_connections),
      .min = 1,
      .max = TGT_SESSION_CONNECTIONS_MAX },
    { .name = "recovery-level", .kind = YKEY_U32, CFG(limits.recovery_level), .max = 2 },
    { .name = "time2retain", .kind = YKEY_TIME, CFG(limits.time2retain_ns) },
    { .name = "queue-depth", .kind = YKEY_U32, CFG(limits.queue_depth), .min = 1, .max = 1024 },
    { .name = "memory",
      .kind = YKEY_SIZE,
      CFG(limits.memory_bytes),
      .min = 16 << 20,
      .max = 1ull << 50 },
    { .name = "progress-timeout", .kind = YKEY_TIME, CFG(limits.progress_timeout_ns) },
    { 0 },
};

static const struct ykey top_keys[] = {
    { .name = "portals",
      .kind = YKEY_LIST,
      .sub = portal_keys,
      .add = add_portal,
      .line_at = offsetof(struct tgt_config_portal, line) },
    { .name = "users",
      .kind = YKEY_LIST,
      .sub = user_keys,
      .add = add_user,
      .line_at = offsetof(struct tgt_config_user, line) },
    { .name = "discovery", .kind = YKEY_MAP, .sub = discovery_keys },
    { .name = "targets",
      .kind = YKEY_LIST,
      .sub = target_keys,
      .add = add_target,
      .line_at = offsetof(struct tgt_config_target, line) },
    { .name = "limits", .kind = YKEY_MAP, .sub = limit_keys },
    { .name = "cores", .kind = YKEY_U32, CFG(cores), .max = TGT_REACTORS_MAX },
    { .name = "engine", .kind = YKEY_CALL, CFG(engine), .set = set_engine },
    { .name = "poll", .kind = YKEY_CALL, CFG(poll), .set = set_poll },
    { .name = "state-dir", .kind = YKEY_TEXT, CFG(state_dir) },
    { .name = "login-timeout", .kind = YKEY_TIME, CFG(login_timeout_ns) },
    { .name = "nop-interval", .kind = YKEY_TIME, CFG(nop_interval_ns) },
    { .name = "nop-timeout", .kind = YKEY_TIME, CFG(nop_timeout_ns) },
    { 0 },
};

bool tgt_config_key(size_t i, char *buf, size_t cap)
{
    return ykey_name(top_keys, i, buf, cap);
}

int tgt_config_parse(struct tgt_config *cfg, FILE *in, const char *name, struct err_text *e)
{
    return ykey_parse(top_keys, cfg, in, name, "the configuration", e);
}

int tgt_config_load(struct tgt_config *cfg, const char *path, struct err_text *e)
{
    int err = ykey_load(top_keys, cfg, path, "the configuration", e);
    if (err)
        return err;
    cfg->source = strdup(path);
    if (!cfg->source)
        return err_set(e, USAN_ENOMEM, "%s: out of memory", path);
    return tgt_config_check(cfg, e);
}
