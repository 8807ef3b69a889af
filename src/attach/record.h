/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What stands in the run directory about attached stores: for each a file NAME.attach, which its
 * program keeps locked (fcntl(2), F_OFD_SETLK) as long as it lives, and a socket NAME.sock, on
 * which it can be asked (control.h). A file that is not locked is of a program that is gone.
 *
 * The directory is $USAN_RUN_DIR; or /run/usan for root, $XDG_RUNTIME_DIR/usan for others.
 */
#ifndef USAN_ATTACH_RECORD_H
#define USAN_ATTACH_RECORD_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

enum {
    RECORD_NAME_MAX = 48,
    RECORD_FRONTS_MAX = 64,
    RECORD_TEXT_MAX = 64 * 1024, /* of a whole file */
};

/* A file's content: lines KEY=VALUE. */
struct attach_record {
    char name[RECORD_NAME_MAX + 1];
    bool alive;
    pid_t pid;
    uint64_t since_s;                      /* of the epoch */
    const char *store;                     /* as for logs; this and the following are never NULL */
    const char *mounts[RECORD_FRONTS_MAX]; /* directories */
    size_t mount_count;
    const char *fronts[RECORD_FRONTS_MAX]; /* what clients reach it by */
    size_t front_count;
    char *text; /* what the pointers point into */
};

/* A file of our own. fd -1: none. */
struct attach_record_file {
    int fd;
    char name[RECORD_NAME_MAX + 1];
    char path[512];
    struct sockaddr_un sock;
};

/* Make the directory if need be. USAN_ENOENT: there is no place for one. */
USAN_MUST_CHECK
int attach_run_dir(char *ret_dir, size_t cap, struct err_text *e);

/* A name made from what the operator or the store is called; -2, -3 ... behind it if it is taken
 * by a program that lives. What a dead one left under the name is removed if there is no mount. */
USAN_MUST_CHECK
int attach_record_create(struct attach_record_file *f, const char *wish, struct err_text *e);
/* Replace the content. */
USAN_MUST_CHECK
int attach_record_write(struct attach_record_file *f, const char *text, struct err_text *e);
void attach_record_remove(struct attach_record_file *f);

/* Read one; USAN_ENOENT. Free with attach_record_free(). */
USAN_MUST_CHECK
int attach_record_read(const char *dir, const char *name, struct attach_record *ret_r,
                       struct err_text *e);
void attach_record_free(struct attach_record *r);
/* Remove the files of one that is gone. */
void attach_record_forget(const char *dir, const char *name);
/* The names in the directory, sorted; *ret_names is on the heap, as each of them. */
USAN_MUST_CHECK
int attach_record_names(const char *dir, char ***ret_names, size_t *ret_count, struct err_text *e);
/* The address of its socket. */
USAN_MUST_CHECK
int attach_record_socket(const char *dir, const char *name, struct sockaddr_un *ret_sa);

#endif
