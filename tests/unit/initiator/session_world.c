/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session_world.h"

#include "base/bytes.h"
#include "io/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define PATIENCE_NS (30 * NS_PER_SEC)

struct world world;

static void guard_fired(struct loop_timer *t)
{
    (void)t;
    world.late = true;
    loop_stop(world.loop);
}

static void changed(struct ini_session *s, enum ini_change change, void *user)
{
    (void)s;
    (void)user;
    switch (change) {
    case INI_LOGGED_IN:
        world.logged_in++;
        break;
    case INI_LOST:
        world.lost++;
        break;
    case INI_TIMED_OUT:
        world.timed_out++;
        break;
    case INI_FAILED:
        world.failed++;
        break;
    }
    loop_stop(world.loop);
}

static void check(struct ini_session *s, void *user)
{
    (void)user;
    world.checks++;
    loop_stop(world.loop);
    world.check(s);
}

void world_start_at(const struct rig *rig, const struct ini_portal *where, const char *options,
                    bool retry)
{
    static struct ini_session_ops ops;
    struct ini_url url;
    void (*with_check)(struct ini_session * s) = world.check;
    memset(&world, 0, sizeof(world));
    world.check = with_check;
    const struct loop_config lc = { .engine = LOOP_ENGINE_EPOLL,
                                    .poll = LOOP_POLL_NEVER,
                                    .cpu = -1 };
    assert_int_equal(loop_new(&lc, &world.loop, NULL), 0);
    loop_timer_init(&world.guard, guard_fired);
    rig_url(rig, 0, options, &url);
    ops = (struct ini_session_ops){ .changed = changed, .check = world.check ? check : NULL };
    const struct ini_session_config cfg = {
        .url = &url, .portal = where, .retry_first = retry, .ops = &ops
    };
    assert_int_equal(ini_session_new(world.loop, &cfg, &world.s, NULL), 0);
}

void world_start(const struct rig *rig, unsigned portal, const char *options, bool retry)
{
    struct ini_url url;
    struct ini_portal where;
    rig_url(rig, portal, options, &url);
    assert_int_equal(ini_portal_resolve(url.host, url.port, &where, NULL), 0);
    world_start_at(rig, &where, options, retry);
}

void world_stop(void)
{
    ini_session_free(world.s);
    loop_timer_cancel(world.loop, &world.guard);
    loop_free(world.loop);
}

void until(const unsigned *what, unsigned value)
{
    assert_int_equal(loop_timer_set(world.loop, &world.guard, clock_now_ns() + PATIENCE_NS), 0);
    while (*what != value && !world.late)
        loop_run(world.loop);
    assert_false(world.late);
    loop_timer_cancel(world.loop, &world.guard);
}

void run_for(uint64_t ns)
{
    assert_int_equal(loop_timer_set(world.loop, &world.guard, clock_now_ns() + ns), 0);
    while (!world.late)
        loop_run(world.loop);
    world.late = false;
}

/* ---- commands ---- */

static void io_done(struct ini_cmd *cmd)
{
    (void)cmd;
    world.pending--;
    loop_stop(world.loop);
}

void io_start(struct io *io, uint8_t opcode, uint32_t lba, uint8_t byte)
{
    bool out = opcode != 0x28;
    uint32_t len = opcode == 0x89 ? 1024 : 512;
    memset(io, 0, sizeof(*io));
    memset(io->data, out ? byte : 0, sizeof(io->data));
    io->cdb[0] = opcode;
    if (opcode == 0x89) {
        be64_put(io->cdb + 2, lba);
        io->cdb[13] = 1;
    } else {
        be32_put(io->cdb + 2, lba);
        be16_put(io->cdb + 7, 1);
    }
    io->iov = (struct iovec){ io->data, len };
    io->cmd = (struct ini_cmd){ .scsi = { .cdb = io->cdb,
                                          .cdb_len = opcode == 0x89 ? 16 : 10,
                                          .attr = 1,
                                          .sense = io->sense,
                                          .sense_cap = sizeof(io->sense) },
                                .again = opcode == 0x28   ? INI_AGAIN
                                         : opcode == 0x2a ? INI_AGAIN_WRITE
                                                          : INI_AGAIN_NEVER,
                                .done = io_done };
    if (out) {
        io->cmd.scsi.out = &io->iov;
        io->cmd.scsi.out_cnt = 1;
        io->cmd.scsi.out_len = len;
    } else {
        io->cmd.scsi.in = &io->iov;
        io->cmd.scsi.in_cnt = 1;
        io->cmd.scsi.in_len = len;
    }
    world.pending++;
    ini_session_submit(world.s, &io->cmd);
}

void assert_good(const struct io *io)
{
    assert_int_equal(io->cmd.scsi.err, 0);
    assert_int_equal(io->cmd.scsi.status, 0);
}

void write_and_read(unsigned lba)
{
    struct io io;
    io_start(&io, 0x2a, lba, (uint8_t)(lba + 1));
    until(&world.pending, 0);
    assert_good(&io);
    io_start(&io, 0x28, lba, 0);
    until(&world.pending, 0);
    assert_good(&io);
    assert_int_equal(io.data[0], (uint8_t)(lba + 1));
    assert_int_equal(io.data[511], (uint8_t)(lba + 1));
}
