/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * iSCSI URLs, as libiscsi and QEMU write them:
 *
 *   iscsi://[USER[%SECRET]@]HOST[:PORT][/TARGET/LUN][?KEY=VALUE[&KEY=VALUE]...]
 *
 * HOST is a name, an IPv4 address, or an IPv6 address in brackets. The port is 3260 if none is
 * given. Without TARGET the URL names a discovery portal, without LUN a target. In the user's name
 * and secret, and in values, %HH stands for the byte with that hexadecimal value: "%25" for "%",
 * "%40" for "@", "%2f" for "/". The first "%" before the "@" ends the user's name, so a name that
 * needs an escape is given with the option user.
 *
 * Secrets appear in no message and in no text that is made here.
 */
#ifndef USAN_INITIATOR_URL_H
#define USAN_INITIATOR_URL_H

#include "base/err.h"
#include "io/socket.h"
#include "iscsi/params.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    INI_URL_MAX = 4096,       /* bytes of a URL */
    INI_USER_MAX = 255,       /* bytes of a CHAP name or secret */
    INI_LUN_MAX = 16383,      /* flat space addressing, SAM-6 4.7.7.3 */
    INI_LUN_FLAT = 0x4000,    /* the method in front of it, if a LUN is written so */
    INI_PORT = 3260,          /* RFC 7143 4.2.7.4 */
    INI_CONNECTIONS_MAX = 32, /* of one session */
    INI_URL_TEXT_MAX = 640    /* room for ini_url_text() */
};

enum ini_digest {
    INI_DIGEST_NONE,     /* none, whatever the target wants */
    INI_DIGEST_OFFERED,  /* CRC32C if the target likes */
    INI_DIGEST_REQUIRED, /* CRC32C or nothing */
};

/* Strings are empty when they were not given. */
struct ini_url {
    char host[SOCK_ADDR_SPEC_BYTES]; /* without brackets */
    uint16_t port;
    char target[ISCSI_NAME_MAX + 1];
    bool has_lun;
    uint16_t lun;
    char user[INI_USER_MAX + 1], secret[INI_USER_MAX + 1];
    char target_user[INI_USER_MAX + 1], target_secret[INI_USER_MAX + 1];
    unsigned chap_hashes; /* bit n: the one with CHAP_A value n; 0 = all there are */
    char initiator[ISCSI_NAME_MAX + 1];
    enum ini_digest header_digest, data_digest;
    uint64_t login_timeout_ns;     /* connect and login together */
    uint64_t reconnect_timeout_ns; /* how long commands wait for a lost session to come back */
    uint64_t nop_interval_ns, nop_timeout_ns;
    uint64_t command_timeout_ns; /* 0: never */
    uint64_t settle_timeout_ns;  /* how long a target may take to notice that a session is lost */
    uint16_t queue_depth;
    uint8_t error_recovery; /* level, at most */
    uint16_t connections;   /* of one session, as far as the target allows */
    /* What options say of it: sizes of data, R2T, order. The rest is the session's to decide. */
    struct iscsi_params_cfg params;
    bool has_isid;
    uint8_t isid[6]; /* of the first session with the target at a time: isid.h */
};

/* The options, with their defaults, for tables of stores. */
#define INI_URL_OPTIONS                                                                            \
    { "user", "text", "", "name to log in with (CHAP), if it is not in front of the host" },       \
        { "password", "text", "",                                                                  \
          "its secret; every user of this machine may see it in the process "                      \
          "list" },                                                                                \
        { "password_file", "text", "", "file whose first line is its secret" },                    \
        { "target_user", "text", "",                                                               \
          "name the target has to authenticate itself with; any if empty" },                       \
        { "target_password", "text", "", "secret the target has to know (mutual CHAP)" },          \
        { "target_password_file", "text", "", "file whose first line is that secret" },            \
        { "chap_hashes", "text", "",                                                               \
          "hashes of which the target takes one: md5,sha1,sha256,sha3-256; all if empty" },        \
        { "header_digest", "text", "none",                                                         \
          "checksum of headers: none, crc32c, or crc32c-none to let "                              \
          "the target choose" },                                                                   \
        { "data_digest", "text", "none", "checksum of data, likewise" },                           \
        { "initiator", "text", "", "name of this initiator; made from the machine's if empty" },   \
        { "isid", "text", "",                                                                      \
          "initiator session ID, 12 hexadecimal digits; further sessions with the "                \
          "target count up from it; random if empty" },                                            \
        { "connections", "uint", "1", "TCP connections of a session, if the target allows" },      \
        { "error_recovery", "uint", "0",                                                           \
          "highest ErrorRecoveryLevel to agree on: 1 repairs what digests find damaged, 2 lets a " \
          "session survive its connections" },                                                     \
        { "queue_depth", "uint", "128", "commands the target may have at a time" },                \
        { "initial_r2t", "bool", "no", "data of a write is sent only when it is asked for" },      \
        { "immediate_data", "bool", "yes", "the first of it may go with the command" },            \
        { "first_burst", "size", "256K", "most data sent without being asked for" },               \
        { "max_burst", "size", "1M", "most data asked for, or sent, in one go" },                  \
        { "max_segment", "size", "256K", "most data of one PDU from the target" },                 \
        { "max_r2t", "uint", "8", "requests for data that a command may have open, 1 to 16" },     \
        { "data_pdu_in_order", "bool", "yes", "no: data within a burst may come in any order" },   \
        { "data_sequence_in_order", "bool", "yes", "no: bursts may come in any order" },           \
        { "login_timeout", "time", "15s", "a login has to be complete by then" },                  \
        { "reconnect_timeout", "time", "60s",                                                      \
          "how long commands wait for a lost session to come back" },                              \
        { "command_timeout", "time", "60s",                                                        \
          "abort a command that is not answered then, reset the unit or the session if that "      \
          "fails; 0s "                                                                             \
          "never" },                                                                               \
        { "settle_timeout", "time", "30s",                                                         \
          "how long blocks of a write that was lost with its session stay closed to other writes " \
          "if the session does not come back" },                                                   \
        { "nop_interval", "time", "10s", "ask a silent target for a sign of life; 0s never" },     \
    {                                                                                              \
        "nop_timeout", "time", "10s", "give a connection up that does not answer then"             \
    }

/* These; ends with key NULL. */
extern const struct store_opt_desc ini_url_opts[];

/*
 * USAN_EINVAL, USAN_ERANGE: e says which part is wrong and how to write it. USAN_ENOENT, USAN_EIO:
 * a file with a secret can not be read.
 */
USAN_MUST_CHECK
int ini_url_parse(const char *text, struct ini_url *ret_url, struct err_text *e);

/* The same in steps: all but what only shows at the end; what stands before the "?"; each option;
 * what only shows at the end. */
USAN_MUST_CHECK
int ini_url_parse_parts(const char *text, struct ini_url *ret_url, struct err_text *e);
USAN_MUST_CHECK
int ini_url_parse_address(const char *text, struct ini_url *ret_url, struct err_text *e);
USAN_MUST_CHECK
int ini_url_set_option(struct ini_url *url, const char *key, const char *value, struct err_text *e);
USAN_MUST_CHECK
int ini_url_check(const struct ini_url *url, struct err_text *e);

/* The first line of the file is the secret. Errors as ini_url_parse(). */
USAN_MUST_CHECK
int ini_url_read_secret(const char *path, char ret_secret[INI_USER_MAX + 1], struct err_text *e);

/* "iscsi://user@host:port/target/lun": without secrets and options. INI_URL_TEXT_MAX suffices. */
void ini_url_text(const struct ini_url *url, char *buf, size_t cap);
/* "host:port", with brackets where they belong. SOCK_ADDR_SPEC_BYTES + 8 suffices. */
void ini_url_portal(const struct ini_url *url, char *buf, size_t cap);
/* Overwrite the secrets. */
void ini_url_wipe(struct ini_url *url);

#endif
