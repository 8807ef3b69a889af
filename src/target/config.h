/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the target program is to serve and how, as plain data. Filled by the command line or by
 * config_yaml.c, checked by tgt_config_check(), and constant from then on.
 *
 * Strings and arrays are on the heap and belong to the config.
 */
#ifndef USAN_TARGET_CONFIG_H
#define USAN_TARGET_CONFIG_H

#include "base/err.h"
#include "io/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- limits on a configuration ---- */
enum {
    TGT_TARGETS_MAX = 4096,
    TGT_LUNS_MAX = 1024,   /* of one target; SCSI_MAX_LUNS */
    TGT_REACTORS_MAX = 64, /* SCSI_MAX_LANES */
    TGT_SECRET_MIN = 12,   /* bytes; RFC 7143 12.1.4 asks for 96 bits */
    TGT_SECRET_MAX = 255,
    TGT_SESSIONS_MAX = 65535, /* TSIH has 16 bits and 0 is taken */
    TGT_SESSION_CONNECTIONS_MAX = 16,
    TGT_TIME2RETAIN_MAX_S = 3600, /* RFC 7143 13.16 */
};

struct tgt_config_portal {
    char *address; /* host name or number; IPv6 without brackets */
    uint16_t port; /* 0 = any free one */
    uint32_t line; /* of the file it comes from; 0 = of none */
};

struct tgt_config_user {
    char *name, *secret;
    uint32_t line; /* as that of a portal */
};

struct tgt_config_lun {
    uint32_t lun;
    uint32_t line;             /* as that of a portal */
    char *store;               /* a specification of store_open_spec() */
    uint32_t block_bytes;      /* 512 or 4096; 0 = as the store likes it: 512 unless it can not */
    uint32_t phys_block_bytes; /* 0 = the store's */
    bool read_only, thin, removable;
    bool write_through; /* WCE off: a write is durable before its status */
    char *serial;       /* NULL = made from target name and LUN */
    char *naa;          /* 16 or 32 hexadecimal digits; NULL = made likewise */
    uint8_t thin_threshold_pct;
};

struct tgt_config_target {
    char *name;    /* iqn., eui. or naa. name, normalised */
    char *alias;   /* NULL = none */
    uint32_t line; /* as that of a portal */
    struct tgt_config_lun *luns;
    size_t lun_count;
    /* Who may log in: names of users; none = no authentication. */
    char **users;
    size_t user_count;
    char *mutual_user; /* name of the user the target authenticates itself as; NULL = does not */
    /* Initiator names that may log in; none = all. */
    char **initiators;
    size_t initiator_count;
    char *redirect; /* "host:port" logins are sent on to; NULL = served here. Checking fills in 3260
                     */
};

struct tgt_limits {
    uint32_t sessions;
    uint32_t connections;         /* logins under way included */
    uint32_t session_connections; /* of one session, at a time */
    uint32_t recovery_level;      /* ErrorRecoveryLevel, at most */
    uint64_t time2retain_ns;      /* level 2: a session whose connections were lost lives on */
    uint32_t queue_depth;         /* commands outstanding per session */
    uint64_t memory_bytes;        /* what peers can make the whole program use, see buffers.h */
    uint64_t progress_timeout_ns; /* without any, while something is owed; 0 = for ever */
};

struct tgt_config {
    char *source; /* the file it comes from, for errors; NULL = none */
    struct tgt_config_portal *portals;
    size_t portal_count;
    struct tgt_config_user *users;
    size_t user_count;
    struct tgt_config_target *targets;
    size_t target_count;
    /* Discovery sessions: users that may (none = everybody), see tgt_config_target. */
    char **discovery_users;
    size_t discovery_user_count;
    char *discovery_mutual_user;
    bool discovery_optional; /* the users may authenticate there, and nobody has to */

    struct tgt_limits limits;
    uint32_t cores; /* reactors; 0 = one per online processor */
    enum loop_engine_kind engine;
    enum loop_poll_mode poll;
    bool no_signals;          /* they are somebody else's: tgt_stop() ends the target */
    uint64_t stop_timeout_ns; /* a stop that takes so long is one where something hangs */
    char *state_dir;          /* NULL = nothing survives a restart */
    uint64_t login_timeout_ns;
    uint64_t nop_interval_ns, nop_timeout_ns; /* interval 0 = never */
};

/* All defaults; nothing to serve. */
void tgt_config_init(struct tgt_config *cfg);
/* Secrets are wiped. Half-filled ones too. */
void tgt_config_fini(struct tgt_config *cfg);

/* Append an empty (default) element; NULL when out of memory. Pointers got before are invalid. */
struct tgt_config_portal *tgt_config_add_portal(struct tgt_config *cfg);
struct tgt_config_user *tgt_config_add_user(struct tgt_config *cfg);
struct tgt_config_target *tgt_config_add_target(struct tgt_config *cfg);
struct tgt_config_lun *tgt_config_add_lun(struct tgt_config_target *target);
/* Append a copy of the string to an array like tgt_config_target.users. */
USAN_MUST_CHECK
int tgt_config_add_string(char ***array, size_t *count, const char *s);

const struct tgt_config_user *tgt_config_find_user(const struct tgt_config *cfg, const char *name);

/*
 * Check everything that can be checked without opening anything, normalise names, and fill in
 * what was left open (LUN numbers are never changed). USAN_EINVAL with e saying what is wrong and
 * what to do.
 */
USAN_MUST_CHECK
int tgt_config_check(struct tgt_config *cfg, struct err_text *e);

/* The secret in the first line of a file, without the line's end. *ret_secret is on the heap. */
USAN_MUST_CHECK
int tgt_config_read_secret(const char *path, char **ret_secret, struct err_text *e);

/* Put "FILE:LINE: " in front of an error, as far as they are known. */
void tgt_config_place(const struct tgt_config *cfg, uint32_t line, struct err_text *e);

/* ---- words of the configuration, shared by the command line and YAML ---- */
USAN_MUST_CHECK
int tgt_config_parse_engine(const char *text, enum loop_engine_kind *ret);
USAN_MUST_CHECK
int tgt_config_parse_poll(const char *text, enum loop_poll_mode *ret);

#endif
