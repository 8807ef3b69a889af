/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an open file can do. Found out by asking or trying. */
#include "store/file/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Used where the kernel does not say what direct transfers need; no disk needs more. */
#define DIRECT_ALIGN_SAFE 4096u

/* A number of the request queue of a disk; a partition has none of its own and uses its disk's. */
static uint64_t queue_number(dev_t dev, const char *name, uint64_t unknown)
{
    static const char *const at[] = { "", "../" };
    for (size_t i = 0; i < 2; i++) {
        char path[128], text[32];
        (void)snprintf(path, sizeof path, "/sys/dev/block/%u:%u/%squeue/%s", major(dev), minor(dev),
                       at[i], name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        ssize_t n = read(fd, text, sizeof text - 1);
        (void)close(fd);
        if (n <= 0)
            continue;
        text[n] = '\0';
        return strtoull(text, NULL, 10);
    }
    return unknown;
}

int file_size(int fd, const struct stat *st, uint64_t *ret_bytes)
{
    if (S_ISREG(st->st_mode)) {
        *ret_bytes = (uint64_t)st->st_size;
        return 0;
    }
    uint64_t bytes;
    if (ioctl(fd, BLKGETSIZE64, &bytes))
        return usan_err_from_errno(errno);
    *ret_bytes = bytes;
    return 0;
}

static uint32_t power_of_two(uint64_t v, uint32_t min)
{
    uint32_t p = min;
    while (p < v && p < 1u << 30)
        p <<= 1;
    return p;
}

static int probe_device(int fd, const struct stat *st, bool writable, struct file_facts *f)
{
    int ssz = 0, ro = 0;
    unsigned pbsz = 0, opt = 0;
    if (ioctl(fd, BLKSSZGET, &ssz) || ssz <= 0)
        return USAN_EIO;
    (void)ioctl(fd, BLKPBSZGET, &pbsz);
    (void)ioctl(fd, BLKIOOPT, &opt);
    (void)ioctl(fd, BLKROGET, &ro);
    f->block_bytes = power_of_two((uint64_t)ssz, 512);
    f->phys_block_bytes = power_of_two(pbsz, f->block_bytes);
    f->opt_io_bytes = opt;
    f->read_only = ro != 0;
    f->mem_align = f->block_bytes;
    f->rotational = queue_number(st->st_rdev, "rotational", 0) != 0;
    /* Punching a hole into a device means zeroing without writing: both are needed. */
    f->can_unmap = writable && queue_number(st->st_rdev, "discard_max_bytes", 0) != 0 &&
                   queue_number(st->st_rdev, "write_zeroes_max_bytes", 0) != 0;
    f->unmap_gran_bytes =
        power_of_two(queue_number(st->st_rdev, "discard_granularity", 0), f->phys_block_bytes);
    return 0;
}

/* A hole behind the end changes nothing, but fails if holes are not supported. */
static bool try_punch(int fd, uint64_t size_bytes, uint32_t gran)
{
    uint64_t at = (size_bytes + gran - 1) / gran * gran;
    return at <= (uint64_t)INT64_MAX - gran &&
           fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)gran) == 0;
}

/* Does a direct read in units of `align` work? Reading at the end of a file gives nothing but is
 * checked all the same. */
static bool try_direct(int fd, uint32_t align)
{
    void *buf;
    if (posix_memalign(&buf, DIRECT_ALIGN_SAFE, DIRECT_ALIGN_SAFE))
        return false;
    ssize_t n = pread(fd, buf, align, (off_t)align);
    free(buf);
    return n >= 0;
}

static void direct_alignment(int fd, struct file_facts *f)
{
#ifdef STATX_DIOALIGN
    struct statx sx;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) == 0 && sx.stx_mask & STATX_DIOALIGN &&
        sx.stx_dio_offset_align) {
        f->block_bytes = power_of_two(sx.stx_dio_offset_align, f->block_bytes);
        f->mem_align = sx.stx_dio_mem_align;
        return;
    }
#endif
    if (!try_direct(fd, f->block_bytes))
        f->block_bytes = DIRECT_ALIGN_SAFE;
    f->mem_align = f->block_bytes;
}

/* There the kernel has no reads and writes that refuse to wait, though they never do (but for
 * pages that were swapped out): its ring would give each to a thread of its own. */
static bool kept_in_memory(int fd)
{
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

static void probe_regular(int fd, const struct stat *st, bool writable, struct file_facts *f)
{
    f->block_bytes = 512;
    f->mem_align = 1;
    f->phys_block_bytes = power_of_two((uint64_t)st->st_blksize, 512);
    if (f->phys_block_bytes > 65536) /* network file systems name their transfer size */
        f->phys_block_bytes = 4096;
    f->unmap_gran_bytes = f->phys_block_bytes;
    f->rotational = queue_number(st->st_dev, "rotational", 0) != 0;
    f->in_memory = kept_in_memory(fd);
    f->can_unmap = writable && try_punch(fd, f->size_bytes, f->unmap_gran_bytes);
}

int file_probe(int fd, bool direct, bool writable, struct file_facts *ret_facts, struct err_text *e)
{
    struct stat st;
    struct file_facts f = { 0 };
    if (fstat(fd, &st))
        return err_set(e, usan_err_from_errno(errno), "stat: %s", strerror(errno));
    int err = file_size(fd, &st, &f.size_bytes);
    if (err)
        return err_set(e, err, "cannot find out its size: %s", usan_strerror(err));
    f.block_device = S_ISBLK(st.st_mode);
    if (f.block_device)
        err = probe_device(fd, &st, writable, &f);
    else
        probe_regular(fd, &st, writable, &f);
    if (err)
        return err_set(e, err, "cannot find out its block size");
    if (direct)
        direct_alignment(fd, &f);
    if (f.phys_block_bytes < f.block_bytes)
        f.phys_block_bytes = f.block_bytes;
    if (f.unmap_gran_bytes < f.block_bytes)
        f.unmap_gran_bytes = f.block_bytes;
    f.size_bytes -= f.size_bytes % f.block_bytes;
    *ret_facts = f;
    return 0;
}
