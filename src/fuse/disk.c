/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/disk.h"

#include "fuse/ops.h"
#include "fuse/reply.h"
#include "fuse/unmount.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

enum { FILE_NAME_MAX = 255 };

#define FUSE_MAGIC 0x65735546 /* f_type of statfs(2) */

/* ---- words of libfuse ---- */

/* What libfuse said last, without the end of the line; it has only one function for all. */
static _Thread_local char said[160];

__attribute__((format(printf, 2, 0))) static void hear(enum fuse_log_level level, const char *fmt,
                                                       va_list ap)
{
    (void)level;
    (void)vsnprintf(said, sizeof(said), fmt, ap);
    said[strcspn(said, "\n")] = 0;
}

/* ---- start ---- */

int fuse_disk_check(const char *dir, const char *file, struct err_text *e)
{
    if (!*dir)
        return err_set(e, USAN_EINVAL, "fuse: no directory; write fuse:DIR");
    if (!*file || strlen(file) > FILE_NAME_MAX || strchr(file, '/') || strcmp(file, ".") == 0 ||
        strcmp(file, "..") == 0)
        return err_set(e, USAN_EINVAL, "fuse: '%s' is no name of a file; say another with --name",
                       file);
    return 0;
}

static int check_dir(const char *dir, struct err_text *e)
{
    struct stat st = { 0 };
    struct statfs fs = { 0 };
    int rc = statfs(dir, &fs) || stat(dir, &st) ? errno : 0;
    if (fuse_means_dead(rc))
        return err_set(e, USAN_EBUSY,
                       "%s holds the mount of a program that is gone; clear it with `usan attach "
                       "detach` (see `usan attach list`) or `umount %s`",
                       dir, dir);
    if (rc)
        return err_set(e, usan_err_from_errno(rc), "%s: %s%s", dir, strerror(rc),
                       rc == ENOENT ? "; make the directory first" : "");
    if (!S_ISDIR(st.st_mode))
        return err_set(e, USAN_EINVAL, "%s: is no directory", dir);
    if (fs.f_type == FUSE_MAGIC && st.st_ino == FUSE_ROOT_ID)
        return err_set(e, USAN_EBUSY, "%s: something is mounted there by FUSE already", dir);
    return 0;
}

static int open_session(struct fuse_disk *d, struct err_text *e)
{
    char options[128];
    /* Who may open the file, its permissions say; others than root may not let others in. */
    (void)snprintf(options, sizeof(options), "-ofsname=usan,subtype=usan,default_permissions%s%s",
                   geteuid() == 0 ? ",allow_other" : "", d->read_only ? ",ro" : "");
    char name[] = "usan";
    char *argv[] = { name, options, NULL };
    struct fuse_args args = FUSE_ARGS_INIT(2, argv);
    said[0] = 0;
    fuse_set_log_func(hear);
    d->session = fuse_session_new(&args, &fuse_disk_ops, sizeof(fuse_disk_ops), d);
    fuse_opt_free_args(&args);
    if (!d->session)
        return err_set(e, USAN_EIO, "fuse: %s", *said ? said : "no session");
    if (fuse_session_mount(d->session, d->dir))
        return err_set(e, USAN_EIO, "cannot mount on %s: %s", d->dir,
                       *said ? said : strerror(errno));
    d->mounted = true;
    int fd = fuse_session_fd(d->session);
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) || fuse_session_custom_io(d->session, &fuse_port_io, fd))
        return err_set(e, USAN_EIO, "fuse: %s", *said ? said : "no input and output");
    return 0;
}

static void set_attributes(struct fuse_disk *d, mode_t mode)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    mode_t r = mode & 0444;
    d->dir_st = (struct stat){ .st_ino = FUSE_ROOT_ID,
                               .st_mode = S_IFDIR | r | (r >> 2) | (d->read_only ? 0 : 0200),
                               .st_nlink = 2 };
    d->file_st = (struct stat){ .st_ino = FUSE_FILE_INO,
                                .st_mode = S_IFREG | (d->read_only ? r : mode),
                                .st_nlink = 1,
                                .st_blksize = FUSE_PORT_DATA_MAX };
    struct stat *both[] = { &d->dir_st, &d->file_st };
    for (int i = 0; i < 2; i++) {
        both[i]->st_uid = geteuid();
        both[i]->st_gid = getegid();
        both[i]->st_atim = both[i]->st_mtim = both[i]->st_ctim = now;
    }
}

int fuse_disk_mount(struct fuse_disk *d, const struct front_config *cfg,
                    const struct store_info *info, const struct fuse_disk_config *how,
                    struct err_text *e)
{
    *d = (struct fuse_disk){ .cfg = cfg,
                             .info = info,
                             .read_only = how->read_only,
                             .unmounted = how->unmounted,
                             .owner = how->owner };
    int err = fuse_disk_check(how->dir, how->file, e);
    if (!err)
        err = check_dir(how->dir, e);
    if (err)
        return err;
    d->dir = realpath(how->dir, NULL);
    d->file = strdup(how->file);
    if (!d->dir || !d->file)
        return err_set(e, USAN_ENOMEM, "%s: out of memory", how->dir);
    set_attributes(d, how->mode);
    return open_session(d, e);
}

/* ---- the end ---- */

/* The kernel says so on the descriptor of the session. */
static bool is_gone(const struct fuse_disk *d)
{
    struct pollfd p = { .fd = fuse_session_fd(d->session) };
    return poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
}

bool fuse_disk_parting(struct fuse_disk *d)
{
    atomic_store(&d->told, true); /* it is us who unmount it */
    bool there = d->mounted && !is_gone(d);
    d->mounted = false;
    return there;
}

void fuse_disk_parted(struct fuse_disk *d, bool lazily)
{
    d->lazily = lazily;
    if (lazily)
        front_report(d->cfg, FRONT_WARN, "mount-in-use", "dir=\"%s\" why=\"its users lose it\"",
                     d->dir);
}

void fuse_disk_free(struct fuse_disk *d)
{
    if (d->mounted && fuse_disk_parting(d))
        fuse_disk_parted(d, !fuse_unmount(d->dir));
    if (d->session) {
        /* It forgets the path; it would unmount what is there now, if ours were not gone. */
        if (!d->lazily && is_gone(d))
            fuse_session_unmount(d->session);
        fuse_session_destroy(d->session);
    }
    free(d->dir);
    free(d->file);
    *d = (struct fuse_disk){ 0 };
}
