/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The node database of open-iscsi: files below a root, /etc/iscsi.
 *
 *   nodes/TARGET/ADDRESS,PORT,TPGT/IFACE   a node record
 *   nodes/TARGET/ADDRESS,PORT              the same, where the portal group tag is not known
 *   send_targets/ADDRESS,PORT/st_config    a discovery record; beside it links
 *                                          TARGET,ADDRESS,PORT,TPGT,IFACE to what it has found
 *   static/TARGET,ADDRESS,PORT,TPGT,IFACE  links to records that were made by hand
 *   ifaces/NAME                            an interface record
 *   iscsid.conf, initiatorname.iscsi       defaults of new records; the initiator's name
 *
 * Names come from targets, too: what is no name of a single file is refused.
 */
#ifndef USAN_ISCSIADM_DB_H
#define USAN_ISCSIADM_DB_H

#include "iscsiadm/record.h"

#include <stdint.h>

enum {
    ADM_ROOT_MAX = 1024,
    ADM_TARGET_MAX = 223, /* RFC 7143 4.2.7.1 */
    ADM_ADDRESS_MAX = 255,
    ADM_IFACE_MAX = 64,
    ADM_KEYS_MAX = 65536, /* records of a kind */
    ADM_PORT = 3260,
};

/* What names a node record; for a discovery record only the portal, for an interface its name. */
struct adm_key {
    char target[ADM_TARGET_MAX + 1];
    char address[ADM_ADDRESS_MAX + 1]; /* without brackets */
    uint16_t port;
    int tpgt; /* -1: not known */
    char iface[ADM_IFACE_MAX + 1];
};

struct adm_keys {
    struct adm_key *v; /* sorted */
    size_t count;
};

struct adm_db {
    char root[ADM_ROOT_MAX];
};

/* root NULL: $USAN_ISCSI_DIR, else /etc/iscsi. USAN_EINVAL: too long. */
USAN_MUST_CHECK
int adm_db_init(struct adm_db *db, const char *root, struct err_text *e);

/* "address[:port][,tpgt]", with brackets around an IPv6 address; *ret has 0 for a port and -1 for a
 * tag that are not given. USAN_EINVAL. */
USAN_MUST_CHECK
int adm_parse_portal(const char *text, struct adm_key *ret, struct err_text *e);
/* "address:port", with brackets around an IPv6 address. */
struct adm_portal_text {
    char s[ADM_ADDRESS_MAX + 16];
};
struct adm_portal_text adm_portal_text(const char *address, uint16_t port);

/* All node records, by target, portal and interface; none is no error. */
USAN_MUST_CHECK
int adm_db_nodes(const struct adm_db *db, struct adm_keys *ret, struct err_text *e);
/* All portals that were asked for targets. */
USAN_MUST_CHECK
int adm_db_portals(const struct adm_db *db, struct adm_keys *ret, struct err_text *e);
USAN_MUST_CHECK
int adm_db_ifaces(const struct adm_db *db, struct adm_keys *ret, struct err_text *e);
/* The nodes that this portal told of, or those made by hand (NULL). */
USAN_MUST_CHECK
int adm_db_links(const struct adm_db *db, const struct adm_key *portal, struct adm_keys *ret,
                 struct err_text *e);
void adm_keys_fini(struct adm_keys *keys);
/* Does what is given in `like` (empty, 0 and -1 are not given) stand in key? */
bool adm_key_matches(const struct adm_key *key, const struct adm_key *like);

/* One record; USAN_ENOENT. */
USAN_MUST_CHECK
int adm_db_read(const struct adm_db *db, enum adm_kind kind, const struct adm_key *key,
                struct adm_record **ret, struct err_text *e);
/* A new one for key: with the defaults of iscsid.conf and the values of its interface. */
USAN_MUST_CHECK
int adm_db_new(const struct adm_db *db, enum adm_kind kind, const struct adm_key *key,
               struct adm_record **ret, struct err_text *e);
/* Replaces it as a whole, or makes it. */
USAN_MUST_CHECK
int adm_db_write(const struct adm_db *db, const struct adm_key *key, const struct adm_record *r,
                 struct err_text *e);
/* With the links to it. USAN_ENOENT. */
USAN_MUST_CHECK
int adm_db_delete(const struct adm_db *db, enum adm_kind kind, const struct adm_key *key,
                  struct err_text *e);
/* Note where a node record comes from: the portal that told of it, or NULL: somebody's hand. */
USAN_MUST_CHECK
int adm_db_link(const struct adm_db *db, const struct adm_key *node, const struct adm_key *portal,
                struct err_text *e);

#endif
