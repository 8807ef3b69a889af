/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/disk_capacity.h"

#include "base/bytes.h"
#include "initiator/disk_ghost.h"
#include "initiator/opcodes.h"
#include "initiator/status.h"

#include <stdio.h>

#define BUSY_STEP_NS (20 * NS_PER_MS)

/* ---- what is found ---- */

static void disk_failed(struct ini_disk *d, const char *why)
{
    if (d->failed)
        return;
    d->failed = true;
    if (d->ops->failed)
        d->ops->failed(why, d->user);
}

static void use_blocks(struct ini_disk *d, uint64_t blocks)
{
    if (d->failed || blocks == d->info.blocks || !ini_probe_size_ok(blocks, d->info.block_bytes))
        return;
    d->info.blocks = blocks;
    if (d->ops->resized)
        d->ops->resized(blocks, d->user);
}

void ini_disk_set_blocks(struct ini_disk *d, uint64_t blocks)
{
    use_blocks(d, blocks);
}

/* ---- the unit says that it changed ---- */

static void send_capacity(struct ini_disk *d)
{
    d->capacity_tries++;
    ini_disk_send(d, &d->capacity);
}

void ini_capacity_ask(struct ini_disk *d)
{
    if (d->asking) { /* what comes may be from before the change */
        d->ask_again = true;
        return;
    }
    d->asking = true;
    d->unsure = false;
    d->capacity_tries = 0;
    d->capacity_until_ns = loop_now(d->loop) + d->busy_timeout_ns;
    send_capacity(d);
}

bool ini_capacity_pause(struct ini_disk *d, struct ini_io *io)
{
    if (d->unsure)
        ini_capacity_ask(d);
    if (d->asking)
        list_push_back(&d->paused, &io->node);
    return d->asking;
}

/* The answer, or that there is none: then requests fail, and the next one asks again. */
static void asked(struct ini_disk *d, bool known)
{
    struct list go;
    list_init(&go);
    d->asking = false;
    d->unsure = !known;
    list_splice_back(&go, &d->paused);
    while (!list_empty(&go)) {
        struct ini_io *io = list_entry(list_pop_front(&go), struct ini_io, node);
        if (known)
            ini_disk_resume(io);
        else
            ini_disk_give_up(io);
    }
}

static void capacity_done(struct ini_cmd *cmd)
{
    struct ini_disk *d = list_entry(cmd, struct ini_disk, capacity);
    int err;
    enum ini_verdict v = ini_scsi_judge(&cmd->scsi, true, &err);
    bool late = loop_now(d->loop) >= d->capacity_until_ns;
    if (d->ask_again && v != INI_BAD) {
        d->ask_again = false;
        send_capacity(d);
        return;
    }
    if (v == INI_RETRY && d->capacity_tries < INI_ATTENTIONS_MAX) {
        send_capacity(d);
        return;
    }
    if (v == INI_RETRY_LATER && !late &&
        !loop_timer_set(d->loop, &d->capacity_later, loop_now(d->loop) + BUSY_STEP_NS))
        return;
    d->ask_again = false;
    if (v == INI_GOOD && cmd->scsi.in_got >= 12) {
        uint32_t block_bytes = be32_get(d->capacity_data + 8);
        char why[96];
        (void)snprintf(why, sizeof(why),
                       "LUN %u: blocks of %u bytes instead of %u: it is another disk",
                       d->lun_number, block_bytes, d->info.block_bytes);
        if (block_bytes != d->info.block_bytes)
            disk_failed(d, why);
        else
            use_blocks(d, be64_get(d->capacity_data) + 1);
    }
    /* A unit that has no such command can not have changed in a way that it could tell. */
    asked(d, v == INI_GOOD || err == USAN_ENOTSUP);
}

static void capacity_later(struct loop_timer *t)
{
    send_capacity(list_entry(t, struct ini_disk, capacity_later));
}

/* ---- after a login ---- */

static void checked(enum ini_checked result, const char *why, uint64_t blocks, void *user)
{
    struct ini_disk *d = user;
    if (result == INI_CHECK_OTHER)
        disk_failed(d, why);
    else if (result == INI_CHECK_LATER && d->ops->absent)
        d->ops->absent(why, d->user);
    else if (result == INI_CHECK_GOOD && blocks)
        use_blocks(d, blocks);
    ini_session_checked(d->session, result, why);
}

void ini_disk_check(struct ini_disk *d)
{
    ini_ghosts_login(d);
    ini_check_start(d->check, d->session);
}

/* ---- life ---- */

int ini_capacity_init(struct ini_disk *d)
{
    const struct ini_check_config cc = { .info = &d->info,
                                         .lun = d->lun_number,
                                         .busy_timeout_ns = d->busy_timeout_ns,
                                         .done = checked,
                                         .user = d };
    d->capacity_cdb[0] = INI_OP_SERVICE_ACTION_IN_16;
    d->capacity_cdb[1] = INI_SA_READ_CAPACITY_16;
    d->capacity_cdb[13] = sizeof(d->capacity_data);
    d->capacity_iov = (struct iovec){ d->capacity_data, sizeof(d->capacity_data) };
    d->capacity = (struct ini_cmd){ .scsi = { .lun = d->lun,
                                              .cdb = d->capacity_cdb,
                                              .cdb_len = sizeof(d->capacity_cdb),
                                              .attr = 1,
                                              .in = &d->capacity_iov,
                                              .in_cnt = 1,
                                              .in_len = sizeof(d->capacity_data),
                                              .sense = d->capacity_sense,
                                              .sense_cap = sizeof(d->capacity_sense) },
                                    .again = INI_AGAIN,
                                    .done = capacity_done };
    loop_timer_init(&d->capacity_later, capacity_later);
    d->check = ini_check_new(d->loop, &cc);
    return d->check ? 0 : USAN_ENOMEM;
}

void ini_capacity_fini(struct ini_disk *d)
{
    loop_timer_cancel(d->loop, &d->capacity_later);
    ini_check_free(d->check);
}
