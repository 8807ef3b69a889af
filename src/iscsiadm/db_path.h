/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Paths and files of the database, for db*.c. */
#ifndef USAN_ISCSIADM_DB_PATH_H
#define USAN_ISCSIADM_DB_PATH_H

#include "iscsiadm/db.h"

#include <limits.h>

struct adm_path {
    char s[PATH_MAX];
};

/* root, and the parts behind it with slashes between; NULL ends them. USAN_EINVAL: a part is no
 * name of a file, or it is too long. */
__attribute__((sentinel)) USAN_MUST_CHECK
int adm_path(const struct adm_db *db, struct adm_path *ret, struct err_text *e, ...);
/* "ADDRESS,PORT" and "ADDRESS,PORT,TPGT" */
struct adm_part {
    char s[ADM_TARGET_MAX + ADM_ADDRESS_MAX + ADM_IFACE_MAX + 32];
};
struct adm_part adm_part_portal(const struct adm_key *key, bool tpgt);
/* "TARGET,ADDRESS,PORT,TPGT,IFACE" */
struct adm_part adm_part_link(const struct adm_key *key);

/* What the errno of the last call says about path. */
int adm_path_error(struct err_text *e, const char *path);
/* All folders above the last part, for their owner only. */
USAN_MUST_CHECK
int adm_path_make_folders(const char *path, struct err_text *e);

/* Each entry of a folder but those that begin with a dot, until one returns an error; a folder that
 * does not exist has none. */
int adm_path_each(const char *path, int (*entry)(void *arg, const char *name), void *arg,
                  struct err_text *e);

#endif
