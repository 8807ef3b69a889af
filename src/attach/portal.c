/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/portal.h"

#include "attach/label.h"
#include "attach/share.h"
#include "io/socket.h"
#include "io/thread.h"
#include "target/target.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char name_prefix[] = "iqn.2025-01.io.usan:";

struct attach_portal {
    struct tgt_config cfg;
    struct tgt *tgt;
    struct thread thread;
    int run_err;
    char *uri;
};

int attach_portal_check(const char *place, struct err_text *e)
{
    char host[SOCK_ADDR_SPEC_BYTES];
    uint16_t port;
    return sock_addr_split(place, sizeof(host), host, &port, e);
}

/* ---- the configuration ---- */

/* RFC 3722 leaves lower-case letters, digits, '-', '.' and ':'. */
static char *target_name(const struct attach_config *cfg)
{
    struct attach_label label = attach_label(cfg);
    for (char *p = label.s; *p; p++) {
        *p = (char)tolower((unsigned char)*p);
        if (!isalnum((unsigned char)*p) && *p != '.')
            *p = '-';
    }
    char *name;
    return asprintf(&name, "%s%s", name_prefix, label.s) < 0 ? NULL : name;
}

static int add_portal(struct tgt_config *cfg, const char *place, struct err_text *e)
{
    char host[SOCK_ADDR_SPEC_BYTES];
    uint16_t port;
    int err = sock_addr_split(place, sizeof(host), host, &port, e);
    if (err)
        return err;
    struct tgt_config_portal *p = tgt_config_add_portal(cfg);
    if (!p || !(p->address = strdup(*host ? host : "::")))
        return err_set(e, USAN_ENOMEM, "out of memory");
    p->port = port;
    return 0;
}

static int add_target(struct tgt_config *cfg, const struct attach_config *from,
                      const struct store_info *info)
{
    struct tgt_config_target *t = tgt_config_add_target(cfg);
    struct tgt_config_lun *l = t ? tgt_config_add_lun(t) : NULL;
    if (!l || !(t->name = target_name(from)) || !(l->store = strdup(ATTACH_SHARE_SPEC)))
        return USAN_ENOMEM;
    l->read_only = info->read_only;
    l->thin = info->unmap_gran_bytes != 0;
    return 0;
}

static int make_config(struct attach_portal *p, const struct attach_config *from,
                       const struct store_info *info, const char *place, struct err_text *e)
{
    struct tgt_config *cfg = &p->cfg;
    cfg->no_signals = true;
    cfg->cores = from->cores;
    cfg->engine = from->engine;
    cfg->poll = from->poll;
    cfg->limits.queue_depth = from->front.queue_depth;
    cfg->limits.memory_bytes = from->memory_bytes;
    cfg->limits.progress_timeout_ns = from->front.stall_timeout_ns;
    cfg->login_timeout_ns = from->front.handshake_timeout_ns;
    int err = add_portal(cfg, place, e);
    if (!err && add_target(cfg, from, info))
        err = err_set(e, USAN_ENOMEM, "out of memory");
    return err ? err : tgt_config_check(cfg, e);
}

/* ---- life ---- */

/* There is one unit behind one portal: the first line. */
static int make_uri(struct attach_portal *p)
{
    size_t n;
    FILE *out = open_memstream(&p->uri, &n);
    if (!out)
        return USAN_ENOMEM;
    tgt_print_urls(p->tgt, out);
    if (fclose(out))
        return USAN_ENOMEM;
    p->uri[strcspn(p->uri, "\n")] = 0;
    return 0;
}

int attach_portal_new(const struct attach_config *cfg, struct store *store, const char *place,
                      struct attach_portal **ret_p, struct err_text *e)
{
    struct attach_portal *p = calloc(1, sizeof(*p));
    if (!p)
        return err_set(e, USAN_ENOMEM, "out of memory");
    tgt_config_init(&p->cfg);
    int err = store_find_ops(attach_share_ops.name) ? 0 : store_registry_add(&attach_share_ops);
    attach_share(store);
    if (!err)
        err = make_config(p, cfg, &store->info, place, e);
    if (!err)
        err = tgt_new(&p->cfg, &p->tgt, e);
    if (!err && make_uri(p))
        err = err_set(e, USAN_ENOMEM, "out of memory");
    if (err) {
        err_prefix(e, "iscsi:%s", place);
        attach_portal_free(p);
        return err;
    }
    *ret_p = p;
    return 0;
}

const char *attach_portal_uri(const struct attach_portal *p)
{
    return p->uri;
}

static void run(void *arg)
{
    struct attach_portal *p = arg;
    p->run_err = tgt_run(p->tgt, NULL);
}

int attach_portal_start(struct attach_portal *p, struct err_text *e)
{
    return thread_start(&p->thread, "portal", run, p, e);
}

int attach_portal_stop(struct attach_portal *p)
{
    if (!p->thread.started)
        return 0;
    tgt_stop(p->tgt);
    thread_join(&p->thread);
    return p->run_err;
}

void attach_portal_free(struct attach_portal *p)
{
    if (!p)
        return;
    tgt_free(p->tgt);
    tgt_config_fini(&p->cfg);
    free(p->uri);
    free(p);
}
