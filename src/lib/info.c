/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a disk is like. */
#include "lib/lib.h"

#include "initiator/iscsi_store.h"
#include "initiator/mpath_store.h"

#include <stdio.h>
#include <string.h>

uint64_t usan_disk_size(const struct usan_disk *disk)
{
    return __atomic_load_n(&disk->store->info.size_bytes, __ATOMIC_RELAXED);
}

struct usan_ctx *usan_disk_ctx(const struct usan_disk *disk)
{
    return disk->ctx;
}

static unsigned flags_of(const struct usan_disk *disk)
{
    const struct store_info *s = &disk->store->info;
    const struct {
        bool on;
        enum usan_disk_flag flag;
    } flags[] = {
        { s->read_only, USAN_DISK_READ_ONLY },
        { s->rotational, USAN_DISK_ROTATIONAL },
        { s->volatile_cache, USAN_DISK_FLUSH },
        { s->can_fua || !s->volatile_cache, USAN_DISK_FUA },
        { s->unmap_gran_bytes != 0, USAN_DISK_TRIM },
        { s->unmap_gran_bytes != 0 && s->unmap_zeroes, USAN_DISK_TRIM_ZEROES },
        { s->can_compare_and_write, USAN_DISK_COMPARE_AND_WRITE },
        { disk->iscsi || disk->mpath, USAN_DISK_SCSI },
    };
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        sum |= flags[i].on ? (unsigned)flags[i].flag : 0;
    return sum;
}

static void identity(const struct ini_disk_info *d, struct usan_disk_info *info)
{
    (void)snprintf(info->vendor, sizeof(info->vendor), "%s", d->identity.vendor);
    (void)snprintf(info->product, sizeof(info->product), "%s", d->identity.product);
    (void)snprintf(info->revision, sizeof(info->revision), "%s", d->identity.revision);
    (void)snprintf(info->serial, sizeof(info->serial), "%s", d->serial);
    (void)snprintf(info->id, sizeof(info->id), "%s", d->id);
}

int usan_disk_info(const struct usan_disk *disk, struct usan_disk_info *info)
{
    const struct store_info *s = &disk->store->info;
    size_t size = info->size;
    if (size < sizeof(info->size) || size > 4096)
        return fail(USAN_EINVAL, "usan_disk_info: size is not set");
    struct usan_disk_info all = {
        .size = size,
        .size_bytes = usan_disk_size(disk),
        .block_bytes = s->block_bytes,
        .phys_block_bytes = s->phys_block_bytes,
        .opt_io_bytes = s->opt_io_bytes,
        .trim_bytes = s->unmap_gran_bytes,
        .flags = flags_of(disk),
        .channels = disk->channel_count,
    };
    if (disk->iscsi)
        identity(iscsi_store_disk(disk->iscsi), &all);
    if (disk->mpath)
        identity(mpath_store_disk(disk->mpath), &all);
    memcpy(info, &all, size < sizeof(all) ? size : sizeof(all));
    return 0;
}
