/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Target nodes (iSCSI names with their LUNs) and who may use them: names, initiators, CHAP users,
 * redirects. Constant while the program runs.
 */
#ifndef USAN_TARGET_ACCESS_H
#define USAN_TARGET_ACCESS_H

#include "base/err.h"
#include "iscsi/target.h"
#include "target/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tgt_lun;
struct tgt_reactor;

/* The portal group all portals belong to, and the target port group of every LUN. */
enum { TGT_PORTAL_GROUP = 1, TGT_PORT_GROUP = 1 };

/* One target node. */
struct tgt_node {
    const struct tgt_config_target *cfg; /* borrowed */
    uint16_t rel_port;                   /* relative target port identifier, >= 1 */
    struct tgt_lun **luns;               /* in the order of the configuration */
    size_t lun_count;
};

/* iSCSI login status, class << 8 | detail (RFC 7143 11.13.5). */
enum tgt_login_status {
    TGT_LOGIN_SUCCESS = 0x0000,
    TGT_LOGIN_AUTH_FAILED = 0x0201,
    TGT_LOGIN_FORBIDDEN = 0x0202,
    TGT_LOGIN_NOT_FOUND = 0x0203,
    TGT_LOGIN_TOO_MANY_CONNECTIONS = 0x0206,
    TGT_LOGIN_NO_SESSION = 0x020a,
    TGT_LOGIN_SERVICE_UNAVAILABLE = 0x0301,
    TGT_LOGIN_OUT_OF_RESOURCES = 0x0302,
};

/* Open all LUNs of a target. cfg is borrowed. e says which and why. */
USAN_MUST_CHECK
int tgt_node_open(struct tgt_node *node, const struct tgt_config *cfg,
                  const struct tgt_config_target *target, uint16_t rel_port, struct err_text *e);
/* Lanes are gone. Half-opened ones too. */
void tgt_node_close(struct tgt_node *node);
USAN_MUST_CHECK
int tgt_node_make_lanes(struct tgt_node *node, struct tgt_reactor **reactors, unsigned count);
void tgt_node_free_lanes(struct tgt_node *node);

/* NULL when there is none of that name. The name is in normal form. */
struct tgt_node *tgt_node_find(struct tgt_node *nodes, size_t count, const char *name);

/* May this initiator log in to (and see) the target? */
bool tgt_access_initiator(const struct tgt_node *node, const char *initiator);
/*
 * What a login to the target (NULL: a discovery session) has to prove. With user NULL the secret
 * is left out; else it is that user's, NULL if the user is unknown or may not use the target.
 * Borrows from cfg.
 */
void tgt_access_auth(const struct tgt_config *cfg, const struct tgt_node *node, const char *user,
                     struct iscsi_auth *ret_auth);

#endif
