/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsiadm/db_path.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

/* What comes from a target must lead nowhere else. */
static bool is_file_name(const char *part)
{
    if (!*part || *part == '.' || strlen(part) > NAME_MAX)
        return false;
    for (const char *p = part; *p; p++) {
        if (*p == '/' || (unsigned char)*p < ' ' || *p == 0x7f)
            return false;
    }
    return true;
}

int adm_path(const struct adm_db *db, struct adm_path *ret, struct err_text *e, ...)
{
    va_list ap;
    const char *part;
    size_t n = (size_t)snprintf(ret->s, sizeof(ret->s), "%s", db->root);
    int err = 0;
    va_start(ap, e);
    while (!err && (part = va_arg(ap, const char *))) {
        size_t len = strlen(part);
        if (!is_file_name(part))
            err = err_set(e, USAN_EINVAL, "'%.80s' can not be the name of a file", part);
        else if (n + len + 2 > sizeof(ret->s))
            err = err_set(e, USAN_EINVAL, "%.80s: the path is too long", db->root);
        else
            n += (size_t)snprintf(ret->s + n, sizeof(ret->s) - n, "/%s", part);
    }
    va_end(ap);
    return err;
}

struct adm_part adm_part_portal(const struct adm_key *key, bool tpgt)
{
    struct adm_part p;
    if (tpgt)
        (void)snprintf(p.s, sizeof(p.s), "%s,%u,%d", key->address, key->port, key->tpgt);
    else
        (void)snprintf(p.s, sizeof(p.s), "%s,%u", key->address, key->port);
    return p;
}

struct adm_part adm_part_link(const struct adm_key *key)
{
    struct adm_part p;
    (void)snprintf(p.s, sizeof(p.s), "%s,%s,%u,%d,%s", key->target, key->address, key->port,
                   key->tpgt, key->iface);
    return p;
}

int adm_path_error(struct err_text *e, const char *path)
{
    int n = errno;
    return err_set(e, usan_err_from_errno(n), "%s: %s", path, strerror(n));
}

int adm_path_make_folders(const char *path, struct err_text *e)
{
    char dir[PATH_MAX];
    (void)snprintf(dir, sizeof(dir), "%s", path);
    for (char *slash = strchr(dir + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(dir, 0700) && errno != EEXIST)
            return adm_path_error(e, dir);
        *slash = '/';
    }
    return 0;
}

int adm_path_each(const char *path, int (*entry)(void *arg, const char *name), void *arg,
                  struct err_text *e)
{
    DIR *d = opendir(path);
    int err = 0;
    if (!d)
        return errno == ENOENT || errno == ENOTDIR ? 0 : adm_path_error(e, path);
    for (const struct dirent *de; !err && (de = readdir(d));) {
        if (*de->d_name != '.')
            err = entry(arg, de->d_name);
    }
    (void)closedir(d);
    return err && e && !*e->text ? err_set(e, err, "%s: %s", path, usan_strerror(err)) : err;
}
