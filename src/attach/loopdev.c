/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/loopdev.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { TRIES = 64 }; /* somebody else may take a free one first */

static int refuse(const char *what, int errnum, struct err_text *e)
{
    return err_set(e, usan_err_from_errno(errnum), "%s: %s%s", what, strerror(errnum),
                   errnum == EACCES || errnum == EPERM ? "; --loop needs root" : "");
}

/* 0; EBUSY: try another one; or another errno value. */
static int set_up(struct loopdev *l, int control, int file, const struct loop_config *cfg)
{
    int number = ioctl(control, LOOP_CTL_GET_FREE);
    if (number < 0)
        return errno;
    (void)snprintf(l->path, sizeof(l->path), "/dev/loop%d", number);
    l->fd =
        open(l->path, (cfg->info.lo_flags & LO_FLAGS_READ_ONLY ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (l->fd < 0)
        return errno;
    struct loop_config c = *cfg;
    c.fd = (uint32_t)file;
    if (ioctl(l->fd, LOOP_CONFIGURE, &c) == 0)
        return 0;
    int errnum = errno;
    close(l->fd);
    l->fd = -1;
    return errnum;
}

int loopdev_open(struct loopdev *l, const char *file, uint32_t block_bytes, bool read_only,
                 struct err_text *e)
{
    struct loop_config cfg = { .block_size = block_bytes,
                               .info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO };
    if (read_only)
        cfg.info.lo_flags |= LO_FLAGS_READ_ONLY;
    (void)snprintf((char *)cfg.info.lo_file_name, sizeof(cfg.info.lo_file_name), "%s", file);
    *l = (struct loopdev){ .fd = -1 };
    int fd = open(file, (read_only ? O_RDONLY : O_RDWR) | O_DIRECT | O_CLOEXEC);
    if (fd < 0)
        return refuse(file, errno, e);
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int rc = control < 0 ? errno : EBUSY;
    for (int i = 0; i < TRIES && rc == EBUSY && control >= 0; i++)
        rc = set_up(l, control, fd, &cfg);
    if (control >= 0)
        close(control);
    close(fd);
    return rc ? refuse(*l->path ? l->path : "/dev/loop-control", rc, e) : 0;
}

bool loopdev_busy(const char *path)
{
    int fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);
    if (fd < 0)
        return errno == EBUSY;
    close(fd);
    return false;
}

void loopdev_resized(const struct loopdev *l)
{
    if (l->fd >= 0)
        (void)ioctl(l->fd, LOOP_SET_CAPACITY, 0);
}

int loopdev_flush(const struct loopdev *l)
{
    return l->fd >= 0 && fsync(l->fd) && errno != EROFS ? USAN_EIO : 0;
}

void loopdev_close(struct loopdev *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}
