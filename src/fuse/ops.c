/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The directory and its file. The file behaves as a block device does: it has a size of its own
 * that writing does not change, truncating it when it is opened is ignored, and what is written is
 * durable after fsync. There is no page cache of it (direct_io), so all front ends see the same.
 */
#include "fuse/ops.h"

#include "fuse/io.h"
#include "fuse/reply.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/statvfs.h>

/* Attributes and the name may be kept so long; the size follows the store. */
#define ATTR_S  1.0
#define ENTRY_S 3600.0

static struct fuse_disk *disk_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

static struct stat attr_of(const struct fuse_disk *d, fuse_ino_t ino)
{
    struct stat st = ino == FUSE_ROOT_ID ? d->dir_st : d->file_st;
    if (ino == FUSE_FILE_INO) {
        st.st_size = (off_t)fuse_disk_size(d);
        st.st_blocks = st.st_size / 512;
    }
    return st;
}

static bool known(fuse_ino_t ino)
{
    return ino == FUSE_ROOT_ID || ino == FUSE_FILE_INO;
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
    (void)userdata;
    conn->max_write = FUSE_PORT_DATA_MAX;
    conn->max_background = FUSE_DISK_BACKGROUND;
    conn->congestion_threshold = FUSE_DISK_BACKGROUND * 3 / 4;
    conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                              FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_WRITEBACK_CACHE);
    conn->want |= conn->capable & (unsigned)(FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    const struct fuse_disk *d = disk_of(req);
    if (parent != FUSE_ROOT_ID || strcmp(name, d->file) != 0) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    struct fuse_entry_param e = { .ino = FUSE_FILE_INO,
                                  .attr = attr_of(d, FUSE_FILE_INO),
                                  .attr_timeout = ATTR_S,
                                  .entry_timeout = ENTRY_S };
    fuse_reply_entry(req, &e);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)fi;
    struct stat st = attr_of(disk_of(req), ino);
    if (known(ino))
        fuse_reply_attr(req, &st, ATTR_S);
    else
        fuse_reply_err(req, ENOENT);
}

/* As with a block device, O_TRUNC and setting times do nothing; the rest is not ours to change. */
static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                       struct fuse_file_info *fi)
{
    (void)fi;
    struct stat st = attr_of(disk_of(req), ino);
    int not_ours = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID;
    if (!known(ino))
        fuse_reply_err(req, ENOENT);
    else if (to_set & not_ours)
        fuse_reply_err(req, EPERM);
    else if ((to_set & FUSE_SET_ATTR_SIZE) && attr->st_size && attr->st_size != st.st_size)
        fuse_reply_err(req, EINVAL);
    else
        fuse_reply_attr(req, &st, ATTR_S);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    if (ino != FUSE_FILE_INO) {
        fuse_reply_err(req, ino == FUSE_ROOT_ID ? EISDIR : ENOENT);
        return;
    }
    if (disk_of(req)->read_only && (fi->flags & O_ACCMODE) != O_RDONLY) {
        fuse_reply_err(req, EROFS);
        return;
    }
    fi->direct_io = 1;
    fi->noflush = 1; /* closing does nothing */
    atomic_fetch_add(&disk_of(req)->opens, 1);
    if (fuse_reply_open(req, fi)) /* who asked does not wait any more: no release will come */
        atomic_fetch_sub(&disk_of(req)->opens, 1);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    (void)fi;
    atomic_fetch_sub(&disk_of(req)->opens, 1);
    fuse_reply_err(req, 0);
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    (void)fi;
    fuse_reply_err(req, 0);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                    struct fuse_file_info *fi)
{
    (void)ino;
    (void)fi;
    fuse_io_read(fuse_port_current(), req, (uint64_t)off, size);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
                     struct fuse_file_info *fi)
{
    (void)ino;
    fuse_io_write(fuse_port_current(), req, buf, (uint64_t)off, size, fi->flags);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    (void)ino;
    (void)datasync;
    (void)fi;
    fuse_io_flush(fuse_port_current(), req);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
                         struct fuse_file_info *fi)
{
    (void)ino;
    (void)fi;
    bool punch = mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
    if (punch || (mode & ~FALLOC_FL_KEEP_SIZE) == FALLOC_FL_ZERO_RANGE)
        fuse_io_zero(fuse_port_current(), req, (uint64_t)off, (uint64_t)len, punch);
    else
        fuse_reply_err(req, EOPNOTSUPP);
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
                     struct fuse_file_info *fi)
{
    (void)ino;
    (void)fi;
    fuse_io_seek(fuse_port_current(), req, (uint64_t)off, whence);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                       struct fuse_file_info *fi)
{
    (void)fi;
    const struct fuse_disk *d = disk_of(req);
    const char *names[] = { ".", "..", d->file };
    const struct stat st[] = { d->dir_st, d->dir_st, d->file_st };
    char buf[1024];
    size_t used = 0;
    if (ino != FUSE_ROOT_ID) {
        fuse_reply_err(req, ENOTDIR);
        return;
    }
    if (size > sizeof(buf))
        size = sizeof(buf);
    for (off_t i = off; i >= 0 && i < 3; i++) {
        size_t n = fuse_add_direntry(req, buf + used, size - used, names[i], &st[i], i + 1);
        if (n > size - used)
            break;
        used += n;
    }
    fuse_reply_buf(req, buf, used);
}

/* The one file is all there is, and stays. */
static void op_make(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    (void)parent;
    (void)name;
    (void)mode;
    (void)rdev;
    fuse_reply_err(req, EPERM);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    op_make(req, parent, name, mode, 0);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *fi)
{
    (void)fi;
    op_make(req, parent, name, mode, 0);
}

static void op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
    (void)link;
    op_make(req, parent, name, 0, 0);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
    (void)ino;
    op_make(req, parent, name, 0, 0);
}

static void op_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    op_make(req, parent, name, 0, 0);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                      const char *new_name, unsigned flags)
{
    (void)new_parent;
    (void)new_name;
    (void)flags;
    op_make(req, parent, name, 0, 0);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    (void)ino;
    const struct fuse_disk *d = disk_of(req);
    /* The loop driver takes f_bsize for the granularity of its discards. */
    unsigned long block = d->info->unmap_gran_bytes > d->info->block_bytes
                              ? d->info->unmap_gran_bytes
                              : d->info->block_bytes;
    struct statvfs sv = { .f_bsize = block,
                          .f_frsize = d->info->block_bytes,
                          .f_blocks = fuse_disk_size(d) / d->info->block_bytes,
                          .f_files = 1,
                          .f_namemax = 255 };
    fuse_reply_statfs(req, &sv);
}

const struct fuse_lowlevel_ops fuse_disk_ops = {
    .init = op_init,
    .lookup = op_lookup,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .open = op_open,
    .release = op_release,
    .flush = op_flush,
    .read = op_read,
    .write = op_write,
    .fsync = op_fsync,
    .fallocate = op_fallocate,
    .lseek = op_lseek,
    .readdir = op_readdir,
    .mknod = op_make,
    .mkdir = op_mkdir,
    .create = op_create,
    .symlink = op_symlink,
    .link = op_link,
    .unlink = op_remove,
    .rmdir = op_remove,
    .rename = op_rename,
    .statfs = op_statfs,
};
