/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/disk.h"

#include "fuse/ops.h"
#include "fuse/reply.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    FILE_NAME_MAX = 255,
    UNMOUNT_TRIES = 40, /* a loop device gives the file back a moment after its own end */
    UNMOUNT_WAIT_MS = 50,
};

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

/* ECONNABORTED: it asked while what a killed program had open was being closed. */
static bool means_dead(int errnum)
{
    return errnum == ENOTCONN || errnum == ECONNABORTED;
}

static int check_dir(const char *dir, struct err_text *e)
{
    struct stat st = { 0 };
    struct statfs fs = { 0 };
    int rc = statfs(dir, &fs) || stat(dir, &st) ? errno : 0;
    if (means_dead(rc))
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

/* Who is not root asks the program that may. */
static int ask_fusermount(const char *dir, bool lazily)
{
    char tool[] = "fusermount3", how[4] = "-u", quietly[] = "-q", path[4096];
    char *argv[] = { tool, how, quietly, path, NULL };
    pid_t pid;
    int status;
    if (lazily)
        memcpy(how, "-uz", 4);
    if (snprintf(path, sizeof(path), "%s", dir) >= (int)sizeof(path))
        return ENAMETOOLONG;
    int rc = posix_spawnp(&pid, tool, NULL, NULL, argv, environ);
    if (rc)
        return rc;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return errno;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : EBUSY;
}

/* 0 or an errno value. */
static int unmount(const char *dir, bool lazily)
{
    if (umount2(dir, UMOUNT_NOFOLLOW | (lazily ? MNT_DETACH : 0)) == 0)
        return 0;
    return errno == EPERM ? ask_fusermount(dir, lazily) : errno;
}

/* The kernel says so on the descriptor of the session. */
static bool is_gone(const struct fuse_disk *d)
{
    struct pollfd p = { .fd = fuse_session_fd(d->session) };
    return poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
}

bool fuse_disk_unmount(struct fuse_disk *d)
{
    if (!d->mounted)
        return !d->lazily;
    atomic_store(&d->told, true); /* it is us */
    int rc = 0;
    for (int i = 0; i < UNMOUNT_TRIES && !is_gone(d) && (rc = unmount(d->dir, false)); i++) {
        if (rc != EBUSY)
            break;
        (void)usleep(UNMOUNT_WAIT_MS * 1000);
    }
    d->mounted = false;
    d->lazily = rc && !is_gone(d);
    if (!d->lazily)
        return true;
    rc = unmount(d->dir, true);
    front_report(d->cfg, FRONT_WARN, "mount-in-use", "dir=\"%s\" why=\"%s\"", d->dir,
                 rc ? "it could not be unmounted" : "its users lose it");
    return false;
}

bool fuse_disk_is_dead(const char *dir)
{
    struct statfs fs; /* nothing that the kernel could still remember */
    return statfs(dir, &fs) && means_dead(errno);
}

int fuse_disk_clear(const char *dir, struct err_text *e)
{
    if (!fuse_disk_is_dead(dir))
        return 0;
    int rc = unmount(dir, true);
    return rc ? err_set(e, usan_err_from_errno(rc), "cannot unmount %s: %s", dir, strerror(rc)) : 0;
}

void fuse_disk_free(struct fuse_disk *d)
{
    if (d->mounted)
        (void)fuse_disk_unmount(d);
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
