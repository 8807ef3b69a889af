/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/mount.h"

#include "attach/keeper.h"
#include "fuse/disk.h"
#include "fuse/port.h"
#include "fuse/unmount.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

struct attach_mount {
    const struct attach_config *cfg;
    struct fuse_disk disk;
    struct fuse_port *ports;
    unsigned port_count;
    char *file; /* its path */
    struct keeper keeper;
    char loop[LOOPDEV_PATH_BYTES]; /* "" = none */
    uint64_t size_bytes;           /* as the loop device knows it */
    void (*unmounted)(void *arg);
    void *arg;
};

static const char *file_name(const struct attach_config *cfg)
{
    return *cfg->front.name ? cfg->front.name : "disk";
}

int attach_mount_check(const struct attach_config *cfg, const char *dir, struct err_text *e)
{
    return fuse_disk_check(dir, file_name(cfg), e);
}

static void disk_unmounted(struct fuse_disk *d)
{
    struct attach_mount *m = d->owner;
    m->unmounted(m->arg);
}

static int open_disk(struct attach_mount *m, const char *dir, struct store *store,
                     struct err_text *e)
{
    const struct store_info *info = &store->info;
    if (info->block_bytes > 4096)
        return err_set(e, USAN_ENOTSUP, "fuse: blocks of %u bytes are too large, at most 4096",
                       info->block_bytes);
    const struct fuse_disk_config how = { .dir = dir,
                                          .file = file_name(m->cfg),
                                          .read_only = info->read_only,
                                          .mode = m->cfg->mode,
                                          .unmounted = disk_unmounted,
                                          .owner = m };
    int err = fuse_disk_mount(&m->disk, &m->cfg->front, info, &how, e);
    if (!err && asprintf(&m->file, "%s/%s", m->disk.dir, m->disk.file) < 0) {
        m->file = NULL;
        err = err_set(e, USAN_ENOMEM, "out of memory");
    }
    return err;
}

static int open_ports(struct attach_mount *m, struct attach_reactor **reactors, unsigned count,
                      struct err_text *e)
{
    m->ports = calloc(count, sizeof(*m->ports));
    if (!m->ports)
        return err_set(e, USAN_ENOMEM, "out of memory");
    for (unsigned i = 0; i < count; i++) {
        m->port_count++;
        int err = fuse_port_open(&m->ports[i], &m->disk, &reactors[i]->front, e);
        if (!err && fuse_port_start(&m->ports[i]))
            err = err_set(e, USAN_ENOMEM, "event loop: out of memory");
        if (err)
            return err;
    }
    return 0;
}

int attach_mount_new(const struct attach_config *cfg, struct attach_mount **ret_m,
                     struct err_text *e)
{
    struct attach_mount *m = calloc(1, sizeof(*m));
    if (!m)
        return err_set(e, USAN_ENOMEM, "out of memory");
    m->cfg = cfg;
    int err = keeper_start(&m->keeper, e);
    if (err) {
        free(m);
        return err;
    }
    *ret_m = m;
    return 0;
}

int attach_mount_open(struct attach_mount *m, const char *dir, struct attach_reactor **reactors,
                      unsigned count, void (*unmounted)(void *arg), void *arg, struct err_text *e)
{
    m->unmounted = unmounted;
    m->arg = arg;
    /* Those who write back memory may wait for us: then we must not wait for that in turn. It
     * needs root, who alone can make others depend on us so. */
    (void)prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
    int err = open_disk(m, dir, reactors[0]->front.store, e);
    if (err)
        return err;
    keeper_mounted(&m->keeper, m->disk.dir);
    return open_ports(m, reactors, count, e);
}

int attach_mount_start(struct attach_mount *m, struct err_text *e)
{
    if (!m->cfg->loop)
        return 0;
    m->size_bytes = fuse_disk_size(&m->disk);
    return keeper_open_loop(&m->keeper, m->file, m->disk.info->block_bytes, m->disk.read_only,
                            m->loop, e);
}

const char *attach_mount_dir(const struct attach_mount *m)
{
    return m->disk.dir;
}

const char *attach_mount_file(const struct attach_mount *m)
{
    return m->file;
}

const char *attach_mount_loop(const struct attach_mount *m)
{
    return *m->loop ? m->loop : NULL;
}

bool attach_mount_busy(const struct attach_mount *m)
{
    unsigned ours = *m->loop ? 1 : 0; /* the loop device has it open */
    return (*m->loop && loopdev_busy(m->loop)) || atomic_load(&m->disk.opens) > ours;
}

void attach_mount_look(struct attach_mount *m)
{
    uint64_t now = fuse_disk_size(&m->disk);
    if (!*m->loop || now == m->size_bytes)
        return;
    m->size_bytes = now;
    keeper_resized(&m->keeper);
}

int attach_mount_stop(struct attach_mount *m)
{
    if (!fuse_disk_parting(&m->disk))
        return 0;
    bool lazily = false;
    int err = keeper_stop(&m->keeper, &lazily);
    if (err == USAN_ECLOSED) { /* somebody has killed it, and the kernel has let go of the device */
        lazily = !fuse_unmount(m->disk.dir);
        err = 0;
    }
    fuse_disk_parted(&m->disk, lazily);
    return err;
}

void attach_mount_free(struct attach_mount *m)
{
    if (!m)
        return;
    for (unsigned i = 0; i < m->port_count; i++)
        fuse_port_close(&m->ports[i]);
    fuse_disk_free(&m->disk);
    keeper_end(&m->keeper);
    free(m->ports);
    free(m->file);
    free(m);
}

bool attach_mount_is_dead(const char *dir)
{
    return fuse_mount_is_dead(dir);
}

int attach_mount_clear(const char *dir, struct err_text *e)
{
    return fuse_clear_mount(dir, e);
}
