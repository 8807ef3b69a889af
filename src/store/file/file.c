/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening, locking, sizes. */
#include "store/file/file.h"

#include "store/opt.h"
#include "store/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const struct store_opt_desc file_opts[] = {
    { "direct", "bool", "no", "bypass the page cache (O_DIRECT)" },
    { "create", "size", "", "make a sparse file of this size if there is none" },
    { "lock", "bool", "yes", "refuse a file or device that another process uses" },
    { .key = NULL },
};

/* How open_file got its descriptor, for undoing it. */
struct opened {
    int fd;
    bool created;
};

static int no_open(const char *path, int errnum, const struct store_open *how, struct err_text *e)
{
    const char *hint = "";
    char create[128] = " (create=SIZE makes a new one)";
    if (strlen(path) < 80) /* or the message could be cut in the middle of it */
        (void)snprintf(create, sizeof create, " ('%s?create=1G' makes a new one)", path);
    if (errnum == EINVAL && opt_bool(&file_ops, how, "direct"))
        hint = " (its file system has no direct I/O: leave out direct=1)";
    else if (errnum == EBUSY)
        hint = " (it is mounted or used by another process)";
    else if (errnum == ENOENT && !how->read_only) /* nobody reads an empty one */
        hint = create;
    return err_set(e, usan_err_from_errno(errnum), "%s: %s%s", path, strerror(errnum), hint);
}

static int file_check(const struct store_open *how, struct err_text *e)
{
    if (!how->target || !*how->target)
        return err_set(e, USAN_EINVAL, "the path is missing: file:/path/to/it");
    uint64_t size = opt_size(&file_ops, how, "create");
    if (size > INT64_MAX)
        return err_set(e, USAN_EINVAL, "%s: cannot be made %llu bytes long: %s", how->target,
                       (unsigned long long)size, strerror(EFBIG));
    if (opt_given(how, "create") && size < 512)
        return err_set(e, USAN_EINVAL, "%s: option 'create': less than a block of 512 bytes",
                       how->target);
    return 0;
}

static int open_file(const struct store_open *how, struct opened *ret, struct err_text *e)
{
    const char *path = how->target;
    bool direct = opt_bool(&file_ops, how, "direct");
    int flags = (how->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | (direct ? O_DIRECT : 0);
    bool create = opt_given(how, "create") && !how->read_only;
    struct stat st;
    if (stat(path, &st)) {
        if (errno != ENOENT || !create)
            return no_open(path, errno, how, e);
        ret->fd = open(path, flags | O_CREAT | O_EXCL, 0600);
        ret->created = ret->fd >= 0;
        return ret->fd < 0 ? no_open(path, errno, how, e) : 0;
    }
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return err_set(e, USAN_EINVAL, "%s: neither a regular file nor a block device%s", path,
                       S_ISDIR(st.st_mode) ? " but a directory; name a file in it" : "");
    /* On a device O_EXCL keeps off file systems and other users of O_EXCL. */
    if (S_ISBLK(st.st_mode) && !how->read_only && opt_bool(&file_ops, how, "lock"))
        flags |= O_EXCL;
    ret->fd = open(path, flags);
    ret->created = false;
    return ret->fd < 0 ? no_open(path, errno, how, e) : 0;
}

/* Locks that are about to go: of the device manager, which looks into a device now and then, and
 * of a process that was killed, whose last requests the kernel's ring still holds for a moment. */
#define LOCK_TRIES    20
#define LOCK_PAUSE_US 50000u

static bool try_lock(int fd, int how)
{
    for (int tries = LOCK_TRIES; flock(fd, how | LOCK_NB); (void)usleep(LOCK_PAUSE_US)) {
        if (errno != EWOULDBLOCK || --tries == 0)
            return false;
    }
    return true;
}

/* Readers may share; a lock of an open file description is gone when the process is. */
static int lock_file(const struct store_open *how, int fd, struct err_text *e)
{
    if (!opt_bool(&file_ops, how, "lock"))
        return 0;
    if (try_lock(fd, how->read_only ? LOCK_SH : LOCK_EX))
        return 0;
    if (errno == EWOULDBLOCK)
        return err_set(e, USAN_EBUSY,
                       "%s: in use by another process, which has locked it (lock=no serves it all "
                       "the same)",
                       how->target);
    return err_set(e, usan_err_from_errno(errno), "%s: cannot be locked: %s (lock=no does without)",
                   how->target, strerror(errno));
}

/* A new file outlives a power cut: it, its size and its name. */
static int sync_new(const char *path, int fd)
{
    char dir[PATH_MAX];
    size_t len = strlen(path);
    if (fsync(fd) || len >= sizeof dir)
        return -1;
    memcpy(dir, path, len + 1);
    int dir_fd = open(dirname(dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return -1;
    int rc = fsync(dir_fd);
    (void)close(dir_fd);
    return rc;
}

static int set_up(const struct store_open *how, const struct opened *o, struct file_store *f,
                  struct err_text *e)
{
    int err = lock_file(how, o->fd, e);
    if (err)
        return err;
    if (o->created) {
        uint64_t size = opt_size(&file_ops, how, "create");
        if (ftruncate(o->fd, (off_t)size))
            return err_set(e, USAN_EINVAL, "%s: cannot be made %llu bytes long: %s", how->target,
                           (unsigned long long)size, strerror(errno));
        if (sync_new(how->target, o->fd))
            return err_set(e, usan_err_from_errno(errno), "%s: cannot be made durable: %s",
                           how->target, strerror(errno));
    }
    f->fd = o->fd;
    f->direct = opt_bool(&file_ops, how, "direct");
    err = file_probe(o->fd, f->direct, !how->read_only, &f->facts, e);
    if (err)
        err_prefix(e, "%s", how->target);
    return err;
}

static int file_open(const struct store_open *how, struct store **ret_store, struct err_text *e)
{
    struct opened o = { .fd = -1 };
    struct file_store *f = calloc(1, sizeof *f);
    if (!f)
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    int err = open_file(how, &o, e);
    if (!err)
        err = set_up(how, &o, f, e);
    if (err) {
        if (o.created)
            (void)unlink(how->target);
        if (o.fd >= 0)
            (void)close(o.fd);
        free(f);
        return err;
    }
    const struct file_facts *facts = &f->facts;
    f->store.info = (struct store_info){
        .size_bytes = facts->size_bytes,
        .block_bytes = facts->block_bytes,
        .phys_block_bytes = facts->phys_block_bytes,
        .opt_io_bytes = facts->opt_io_bytes,
        .unmap_gran_bytes = facts->can_unmap ? facts->unmap_gran_bytes : 0,
        .unmap_zeroes = facts->can_unmap || !facts->block_device, /* holes are zeroes anyway */
        .volatile_cache = true,
        .rotational = facts->rotational,
        .read_only = how->read_only || facts->read_only,
        .can_map_status = !facts->block_device,
        .can_write_zeroes = true, /* found out when it is tried */
        .can_fua = true,
    };
    *ret_store = &f->store;
    return 0;
}

static void file_close(struct store *s)
{
    struct file_store *f = list_entry(s, struct file_store, store);
    (void)close(f->fd);
    free(f);
}

/* A device has the size it has; a file gets the size that is asked for. */
static int file_resize(struct store *s, uint64_t size_bytes, struct err_text *e)
{
    struct file_store *f = list_entry(s, struct file_store, store);
    if (f->facts.block_device) {
        struct stat st;
        uint64_t real = 0;
        if (fstat(f->fd, &st) || file_size(f->fd, &st, &real) || size_bytes > real)
            return err_set(e, USAN_ERANGE, "the device has %llu bytes", (unsigned long long)real);
    } else if (size_bytes > INT64_MAX || ftruncate(f->fd, (off_t)size_bytes)) {
        int errnum = size_bytes > INT64_MAX ? EFBIG : errno;
        return err_set(e, usan_err_from_errno(errnum), "%s", strerror(errnum));
    }
    __atomic_store_n(&s->info.size_bytes, size_bytes, __ATOMIC_RELAXED);
    return 0;
}

static void file_space(struct store *s, struct store_space *ret_space)
{
    struct file_store *f = list_entry(s, struct file_store, store);
    struct stat st;
    struct statvfs vfs;
    *ret_space =
        (struct store_space){ .used_bytes = s->info.size_bytes, .avail_bytes = UINT64_MAX };
    if (f->facts.block_device || fstat(f->fd, &st) || fstatvfs(f->fd, &vfs))
        return;
    ret_space->used_bytes = (uint64_t)st.st_blocks * 512;
    ret_space->avail_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
}

static void file_stats(struct store *s, FILE *out)
{
    const struct file_store *f = list_entry(s, struct file_store, store);
    fprintf(out, "file.sync_failed %d\n", __atomic_load_n(&f->sync_err, __ATOMIC_RELAXED) != 0);
}

const struct store_ops file_ops = {
    .struct_bytes = sizeof(struct store_ops),
    .name = "file",
    .help = "a regular file or a block device; the target is its path",
    .opts = file_opts,
    .check = file_check,
    .open = file_open,
    .close = file_close,
    .channel_open = file_channel_open,
    .channel_close = file_channel_close,
    .submit = file_channel_submit,
    .resize = file_resize,
    .space = file_space,
    .stats = file_stats,
};
