/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "disk_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct rig *disk_rig;

static void spec_of(char text[256], unsigned lun, const char *options)
{
    snprintf(text, 256, "iscsi://127.0.0.1:%u/" RIG_TARGET "/%u%s", disk_rig->portals[0].port, lun,
             options);
}

int disk_open(unsigned lun, const char *options, bool read_only, struct err_text *e)
{
    char spec[256];
    spec_of(spec, lun, options);
    return store_open_spec(spec, read_only, &sw.store, e);
}

void disk_begin(void)
{
    char spec[256];
    disk_rig = rig_start();
    spec_of(spec, 0, "");
    sw_begin(spec);
    atomic_store(&disk_rig->log_count, 0);
}

void disk_end(void)
{
    sw_end();
    rig_stop(disk_rig);
}

int disk_run(enum bio_op op, uint32_t flags, uint64_t block, uint64_t blocks, struct iovec *iov,
             int iovcnt, struct bio *ret_bio)
{
    struct bio bio = { .op = op,
                       .flags = flags,
                       .off = block * STORE_BLOCK,
                       .len = blocks * STORE_BLOCK,
                       .iov = iov,
                       .iovcnt = iovcnt };
    sw_start(&bio);
    sw_wait();
    if (ret_bio)
        *ret_bio = bio;
    return bio.err;
}
