/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/unmount.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TRIES = 40, WAIT_MS = 50 };

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

bool fuse_unmount(const char *dir)
{
    int rc = 0;
    for (int i = 0; i < TRIES && (rc = unmount(dir, false)) == EBUSY; i++)
        (void)usleep(WAIT_MS * 1000);
    if (rc == 0 || rc == EINVAL || rc == ENOENT) /* nothing is mounted there any more */
        return true;
    (void)unmount(dir, true);
    return false;
}

/* ECONNABORTED: it asked while what a killed program had open was being closed. */
bool fuse_means_dead(int errnum)
{
    return errnum == ENOTCONN || errnum == ECONNABORTED;
}

bool fuse_mount_is_dead(const char *dir)
{
    struct statfs fs; /* nothing that the kernel could still remember */
    return statfs(dir, &fs) && fuse_means_dead(errno);
}

int fuse_clear_mount(const char *dir, struct err_text *e)
{
    if (!fuse_mount_is_dead(dir))
        return 0;
    int rc = unmount(dir, true);
    return rc ? err_set(e, usan_err_from_errno(rc), "cannot unmount %s: %s", dir, strerror(rc)) : 0;
}
