/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mpath_world.h"

#include "io/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct mpath_world mw;

void mw_rigs_start(void)
{
    mw.a = rig_start();
    mw.b = rig_start_beside(mw.a);
    atomic_store(&mw.a->naa, MW_NAA);
    atomic_store(&mw.b->naa, MW_NAA);
}

void mw_rigs_stop(void)
{
    rig_stop(mw.b);
    rig_stop(mw.a);
}

void mw_spec(char text[512], const char *options)
{
    snprintf(text, 512, "multipath:iscsi://127.0.0.1:%u/" RIG_TARGET "/0,127.0.0.1:%u%s",
             mw.a->portals[0].port, mw.b->portals[0].port, options);
}

void mw_wait_stat(const char *name, const char *value)
{
    uint64_t end = clock_now_ns() + 30 * NS_PER_SEC;
    while (strcmp(sw_stat(name).s, value) != 0) {
        if (clock_now_ns() > end)
            fail_msg("%s is %s, not %s", name, sw_stat(name).s, value);
        sw_run_for(5 * NS_PER_MS);
    }
}

void mw_wait_pending(unsigned most)
{
    uint64_t end = clock_now_ns() + 30 * NS_PER_SEC;
    while (sw.pending > most) {
        assert_true(clock_now_ns() < end);
        sw_run_for(NS_PER_MS);
    }
}

/* Both paths are up. */
void mw_begin(const char *options)
{
    char text[512];
    mw_rigs_start();
    mw_spec(text, options);
    sw_begin(text);
    mw_wait_stat("multipath.path0.state", "up");
    mw_wait_stat("multipath.path1.state", "up");
    atomic_store(&mw.a->log_count, 0);
    atomic_store(&mw.b->log_count, 0);
}

void mw_end(void)
{
    sw_end();
    mw_rigs_stop();
}

void mw_start(unsigned i, enum bio_op op, uint64_t block, uint8_t byte)
{
    if (op == BIO_WRITE)
        memset(mw.data[i], byte, STORE_BLOCK);
    mw.iovs[i] = (struct iovec){ mw.data[i], STORE_BLOCK };
    mw.bios[i] = (struct bio){
        .op = op, .off = block * STORE_BLOCK, .len = STORE_BLOCK, .iov = &mw.iovs[i], .iovcnt = 1
    };
    sw_start(&mw.bios[i]);
}

void mw_all_good(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(mw.bios[i].err, 0);
}
