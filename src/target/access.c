/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/access.h"

#include "target/lun.h"

#include <stdlib.h>
#include <string.h>

int tgt_node_open(struct tgt_node *node, const struct tgt_config *cfg,
                  const struct tgt_config_target *target, uint16_t rel_port, struct err_text *e)
{
    *node = (struct tgt_node){ .cfg = target, .rel_port = rel_port };
    if (target->redirect)
        return 0; /* served elsewhere: nothing is opened here */
    node->luns = calloc(target->lun_count, sizeof(struct tgt_lun *));
    if (!node->luns)
        return err_set(e, USAN_ENOMEM, "out of memory");
    for (size_t i = 0; i < target->lun_count; i++) {
        int err = tgt_lun_open(&target->luns[i], target->name, rel_port, cfg->state_dir,
                               &node->luns[i], e);
        if (err) {
            /* On the command line there is no file, and the store's own words name its path. */
            if (cfg->source)
                err_prefix(e, "target %s: LUN %u", target->name, target->luns[i].lun);
            tgt_config_place(cfg, target->luns[i].line, e);
            return err;
        }
        node->lun_count++;
    }
    return 0;
}

void tgt_node_close(struct tgt_node *node)
{
    for (size_t i = 0; i < node->lun_count; i++)
        tgt_lun_close(node->luns[i]);
    free(node->luns);
    *node = (struct tgt_node){ 0 };
}

int tgt_node_make_lanes(struct tgt_node *node, struct tgt_reactor **reactors, unsigned count)
{
    for (size_t i = 0; i < node->lun_count; i++) {
        int err = tgt_lun_make_lanes(node->luns[i], reactors, count);
        if (err)
            return err;
    }
    return 0;
}

void tgt_node_free_lanes(struct tgt_node *node)
{
    for (size_t i = 0; i < node->lun_count; i++)
        tgt_lun_free_lanes(node->luns[i]);
}

struct tgt_node *tgt_node_find(struct tgt_node *nodes, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(nodes[i].cfg->name, name) == 0)
            return &nodes[i];
    }
    return NULL;
}

bool tgt_access_initiator(const struct tgt_node *node, const char *initiator)
{
    const struct tgt_config_target *t = node->cfg;
    for (size_t i = 0; i < t->initiator_count; i++) {
        if (strcmp(t->initiators[i], initiator) == 0)
            return true;
    }
    return t->initiator_count == 0;
}

void tgt_access_auth(const struct tgt_config *cfg, const struct tgt_node *node, const char *user,
                     struct iscsi_auth *ret_auth)
{
    char *const *users = node ? node->cfg->users : cfg->discovery_users;
    size_t count = node ? node->cfg->user_count : cfg->discovery_user_count;
    const char *mutual = node ? node->cfg->mutual_user : cfg->discovery_mutual_user;

    bool optional = !node && cfg->discovery_optional;
    struct iscsi_auth auth = { .required = count > 0 && !optional,
                               .optional = count > 0 && optional,
                               .user = user };
    for (size_t i = 0; user && i < count; i++) {
        if (strcmp(users[i], user) == 0)
            auth.secret = tgt_config_find_user(cfg, user)->secret;
    }
    if (mutual) {
        auth.target_user = mutual;
        auth.target_secret = tgt_config_find_user(cfg, mutual)->secret;
    }
    *ret_auth = auth;
}
