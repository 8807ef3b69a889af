/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records read, written and deleted. */
#include "iscsiadm/db.h"

#include "iscsiadm/db_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int adm_db_init(struct adm_db *db, const char *root, struct err_text *e)
{
    const char *from = root ? root : getenv("USAN_ISCSI_DIR");
    if (!from || !*from)
        from = "/etc/iscsi";
    size_t n = strlen(from);
    if (n >= sizeof(db->root))
        return err_set(e, USAN_EINVAL, "%.80s...: the path is too long", from);
    memcpy(db->root, from, n + 1);
    return 0;
}

/* ---- paths ---- */

static int record_path(const struct adm_db *db, enum adm_kind kind, const struct adm_key *key,
                       struct adm_path *ret, struct err_text *e)
{
    switch (kind) {
    case ADM_NODE:
        if (key->tpgt < 0)
            return adm_path(db, ret, e, "nodes", key->target, adm_part_portal(key, false).s, NULL);
        return adm_path(db, ret, e, "nodes", key->target, adm_part_portal(key, true).s, key->iface,
                        NULL);
    case ADM_SENDTARGETS:
        return adm_path(db, ret, e, "send_targets", adm_part_portal(key, false).s, "st_config",
                        NULL);
    case ADM_IFACE:
        return adm_path(db, ret, e, "ifaces", key->iface, NULL);
    case ADM_KINDS:
        break;
    }
    return USAN_EINVAL;
}

/* The folder of a path; without its slash. */
static void cut_name(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = 0;
}

/* ---- reading ---- */

static int load(struct adm_record *r, const char *path, bool only_known, struct err_text *e)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return adm_path_error(e, path);
    int err = adm_record_load(r, f, path, only_known, e);
    (void)fclose(f);
    return err;
}

int adm_db_read(const struct adm_db *db, enum adm_kind kind, const struct adm_key *key,
                struct adm_record **ret, struct err_text *e)
{
    struct adm_path path;
    struct adm_record *r = NULL;
    int err = record_path(db, kind, key, &path, e);
    if (!err && adm_record_new(kind, &r))
        err = err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    if (!err)
        err = load(r, path.s, false, e);
    if (err) {
        adm_record_free(r);
        return err;
    }
    *ret = r;
    return 0;
}

static int put_number(struct adm_record *r, const char *name, long v)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%ld", v);
    return adm_record_put(r, name, text);
}

static int put_key(struct adm_record *r, enum adm_kind kind, const struct adm_key *key)
{
    if (kind == ADM_IFACE)
        return adm_record_put(r, "iface.iscsi_ifacename", key->iface);
    if (kind == ADM_SENDTARGETS) {
        int err = adm_record_put(r, "discovery.sendtargets.address", key->address);
        return err ? err : put_number(r, "discovery.sendtargets.port", key->port);
    }
    int err = adm_record_put(r, "node.name", key->target);
    if (!err)
        err = put_number(r, "node.tpgt", key->tpgt);
    if (!err)
        err = adm_record_put(r, "node.conn[0].address", key->address);
    if (!err)
        err = put_number(r, "node.conn[0].port", key->port);
    return err ? err : adm_record_put(r, "iface.iscsi_ifacename", key->iface);
}

/* "default" and the others that need no file have none. */
static int use_iface(const struct adm_db *db, const struct adm_key *key, struct adm_record *r,
                     struct err_text *e)
{
    struct adm_path path;
    int err = record_path(db, ADM_IFACE, key, &path, e);
    if (err || (strcmp(key->iface, "default") == 0 && access(path.s, F_OK)))
        return err;
    return load(r, path.s, true, e);
}

int adm_db_new(const struct adm_db *db, enum adm_kind kind, const struct adm_key *key,
               struct adm_record **ret, struct err_text *e)
{
    struct adm_path conf;
    struct adm_record *r = NULL;
    if (adm_record_new(kind, &r))
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    int err = adm_path(db, &conf, e, "iscsid.conf", NULL);
    if (!err && kind != ADM_IFACE && access(conf.s, F_OK) == 0)
        err = load(r, conf.s, true, e);
    if (!err && kind == ADM_NODE)
        err = use_iface(db, key, r, e);
    if (!err && put_key(r, kind, key))
        err = err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    if (err) {
        adm_record_free(r);
        return err;
    }
    *ret = r;
    return 0;
}

/* ---- writing ---- */

/* A record without a tag is a file where one with a tag has a folder. */
int adm_db_write(const struct adm_db *db, const struct adm_key *key, const struct adm_record *r,
                 struct err_text *e)
{
    struct adm_path path;
    char part[PATH_MAX + 32];
    int err = record_path(db, r->kind, key, &path, e);
    if (!err)
        err = adm_path_make_folders(path.s, e);
    if (err)
        return err;
    size_t dir = (size_t)(strrchr(path.s, '/') - path.s);
    (void)snprintf(part, sizeof(part), "%.*s/.new-%ld", (int)dir, path.s, (long)getpid());
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    if (!f) {
        err = adm_path_error(e, part);
        if (fd >= 0)
            close(fd);
        return err;
    }
    adm_record_save(r, f);
    bool bad = fflush(f) || fsync(fileno(f));
    bad |= fclose(f) != 0;
    if (bad || rename(part, path.s)) {
        err = adm_path_error(e, path.s);
        (void)unlink(part);
    }
    return err;
}

int adm_db_link(const struct adm_db *db, const struct adm_key *node, const struct adm_key *portal,
                struct err_text *e)
{
    struct adm_path link, to;
    int err;
    if (node->tpgt < 0)
        return 0; /* such records have none */
    if (portal)
        err = adm_path(db, &link, e, "send_targets", adm_part_portal(portal, false).s,
                       adm_part_link(node).s, NULL);
    else
        err = adm_path(db, &link, e, "static", adm_part_link(node).s, NULL);
    if (!err)
        err = adm_path(db, &to, e, "nodes", node->target, adm_part_portal(node, true).s, NULL);
    if (!err)
        err = adm_path_make_folders(link.s, e);
    if (!err && symlink(to.s, link.s) && errno != EEXIST)
        err = adm_path_error(e, link.s);
    return err;
}

/* ---- deleting ---- */

struct unlinking {
    const struct adm_db *db;
    const char *name;
};

static int in_portal(void *arg, const char *name)
{
    const struct unlinking *u = arg;
    struct adm_path path;
    if (adm_path(u->db, &path, NULL, "send_targets", name, u->name, NULL) == 0)
        (void)unlink(path.s);
    return 0;
}

static void delete_links(const struct adm_db *db, const struct adm_key *key)
{
    struct adm_part name = adm_part_link(key);
    struct unlinking u = { .db = db, .name = name.s };
    struct adm_path path;
    if (adm_path(db, &path, NULL, "static", name.s, NULL) == 0)
        (void)unlink(path.s);
    if (adm_path(db, &path, NULL, "send_targets", NULL) == 0)
        (void)adm_path_each(path.s, in_portal, &u, NULL);
}

static int on_leftover(void *arg, const char *name)
{
    char path[PATH_MAX + NAME_MAX + 2];
    (void)snprintf(path, sizeof(path), "%s/%s", (const char *)arg, name);
    (void)unlink(path);
    return 0;
}

int adm_db_delete(const struct adm_db *db, enum adm_kind kind, const struct adm_key *key,
                  struct err_text *e)
{
    struct adm_path path;
    int err = record_path(db, kind, key, &path, e);
    if (err)
        return err;
    if (unlink(path.s))
        return adm_path_error(e, path.s);
    if (kind == ADM_IFACE)
        return 0;
    if (kind == ADM_NODE)
        delete_links(db, key);
    cut_name(path.s);
    if (kind == ADM_SENDTARGETS)
        (void)adm_path_each(path.s, on_leftover, path.s, NULL);
    (void)rmdir(path.s); /* unless there are others */
    if (kind == ADM_NODE && key->tpgt >= 0) {
        cut_name(path.s);
        (void)rmdir(path.s);
    }
    return 0;
}
