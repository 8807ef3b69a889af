/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The SCSI device server, owned by two reactors that the input drives: a disk of 512-byte blocks,
 * thin and removable, and one of 4096-byte blocks, each with two lanes, and one I_T nexus a lane.
 *
 * The first byte is SETUP_...; with SETUP_RESTORE a length (2 bytes) and the state that the first
 * disk starts from follow. Then come records; the first byte of each says what it is (enum act).
 * What a command wants is given at once, or, for one that is held, when the input says so, with
 * errors if it says so; calls of scsi_lane_poll() can be held back too.
 *
 * Whatever the input is, every command ends, all memory comes back, and nothing outside of what was
 * given is touched: memory is in blocks of just its size.
 */
#include "cdb/world.h"
#include "scsi/table.h"

#include <limits.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum act {
    ACT_COMMAND,
    ACT_COMMAND_2, /* commands are what comes most */
    ACT_COMMAND_3,
    ACT_COMMAND_4,
    ACT_COMMAND_5,
    ACT_TMF,
    ACT_STEP,
    ACT_STEP_2,
    ACT_BACKGROUND,
    ACT_HOLD,
    ACT_NEXUS,
    ACT_SIZE,
    ACT_ALUA,
    ACT_SPACE,
    ACT_STATE,
    ACT_NO_MEMORY,
};

/* ---- records ---- */

/* A command of the table, with some bytes set, mostly within its usage bits. */
static void known_cdb(struct rd *in, uint8_t how, uint8_t *cdb)
{
    static size_t known;
    const char *name;
    uint8_t opcode;
    int sa;
    while (known == 0 || scsi_command_info(known, &name, &opcode, &sa))
        known++;
    (void)scsi_command_info(rd_u8(in) % known, &name, &opcode, &sa);
    cdb[0] = opcode;
    if (sa >= 0)
        cdb[1] = (uint8_t)sa;
    bool bad_sa;
    const struct scsi_command *cmd = scsi_command_find(cdb, 16, &bad_sa);
    for (unsigned i = 0; i < (how & 15u); i++) {
        unsigned at = 1 + rd_u8(in) % 15u;
        uint8_t mask = (how & 0x30) == 0x30 ? 0xff : cmd->usage[at];
        if (at == 1 && sa >= 0)
            mask &= 0xe0;
        cdb[at] = (uint8_t)((cdb[at] & ~mask) | (rd_u8(in) & mask));
    }
}

static void any_cdb(struct rd *in, struct command *c)
{
    size_t len = 16 + rd_u8(in) % (SCSI_CDB_MAX - 15u);
    c->cdb = exact(len);
    memset(c->cdb, 0, len);
    c->t->cdb = c->cdb;
    c->t->cdb_len = (uint16_t)len;
    size_t n = rd_left(in) < len ? rd_left(in) : len;
    const uint8_t *p = rd_bytes(in, n);
    if (p)
        memcpy(c->cdb, p, n);
}

/* Data-out, and how much of it was announced: all, or a lie. */
static void data_out(struct world *w, struct rd *in, struct command *c)
{
    uint8_t how = rd_u8(in);
    size_t len = rd_u8(in), paste_at = 0, paste_from = 0, paste = 0;
    len = len < rd_left(in) ? len : rd_left(in);
    const uint8_t *p = rd_bytes(in, len);
    if (how & 4) { /* what the last data-in said, e.g. a token */
        paste_at = rd_u8(in);
        paste_from = rd_u8(in);
        paste = paste_from < w->reply_len ? w->reply_len - paste_from : 0;
    }
    size_t tail = how & 8 ? rd_u8(in) : 0; /* what stands behind a token, SBC-4 WRITE USING TOKEN */
    tail = tail < rd_left(in) ? tail : rd_left(in);
    const uint8_t *more = rd_bytes(in, tail);
    c->content_len = len > paste_at + paste ? len : paste_at + paste;
    if (tail && c->content_len < TOKEN_END + tail)
        c->content_len = TOKEN_END + tail;
    c->content = exact(c->content_len);
    memset(c->content, 0, c->content_len);
    if (p)
        memcpy(c->content, p, len);
    memcpy(c->content + paste_at * (paste != 0), w->reply + paste_from * (paste != 0), paste);
    if (more && tail)
        memcpy(c->content + TOKEN_END, more, tail);
    static const uint32_t units[] = { 0, 512, 4096, 1 };
    c->t->out_expected = how & 3 ? (uint64_t)rd_u8(in) * units[how & 3] : c->content_len;
}

static void act_command(struct world *w, struct rd *in)
{
    uint8_t where = rd_u8(in), how = rd_u8(in);
    struct command *c = command_new(w, where & 1);
    if (!c)
        return;
    c->t->lun = lun_field(where >> 1);
    uint8_t attr = where >> 3 & 7;
    c->t->attr = attr <= SCSI_ATTR_ACA ? attr : (uint8_t)SCSI_ATTR_SIMPLE;
    c->hold = where & 0x40;
    if (where & 0x80) {
        any_cdb(in, c);
    } else {
        c->cdb = exact(16);
        memset(c->cdb, 0, 16);
        known_cdb(in, how, c->cdb);
        c->t->cdb = c->cdb;
        c->t->cdb_len = 16;
    }
    c->t->in_expected = how & 0x80 ? rd_be16(in) : BUF_MAX;
    if (how & 0x40)
        data_out(w, in, c);
    start(w, c);
}

static void act_tmf(struct world *w, uint8_t where, uint8_t which)
{
    struct command *c = command_new(w, where & 1);
    if (!c)
        return;
    c->t->lun = lun_field(where >> 1);
    c->t->tmf = (uint8_t)(1 + (where >> 3) % SCSI_TMF_QUERY_ASYNC_EVENT);
    c->t->ref_tag = w->commands[which % w->count]->t->tag + (which >> 7);
    start(w, c);
}

static void act_step(struct world *w, uint8_t which, uint8_t how)
{
    if (w->count == 0)
        return;
    struct command *c = w->commands[which % w->count];
    unsigned reactor = c->reactor;
    if (c->t->want != SCSI_WANT_WAIT)
        give(w, c, how & 0xf);
    if (how & 0x80)
        c->hold = false;
    drive(w, c);
    settle(w, reactor);
}

static void act_background(struct world *w, uint8_t which, uint8_t how)
{
    w->hold_backgrounds = how & 0x80;
    if (w->background_count == 0)
        return;
    struct scsi_task *t = w->backgrounds[which % w->background_count];
    unsigned reactor = t->seat->lane->index;
    background_give(w, t, how & 0xf);
    background_drive(w, t);
    settle(w, reactor);
}

static void act_admin(struct world *w, enum admin what, uint8_t where, uint8_t value)
{
    struct unit *u = &w->units[where & 1];
    unsigned reactor = where >> 1 & 1;
    uint64_t full = DISK_BYTES / u->block_bytes;
    if (u->admin[reactor].what != ADMIN_NONE)
        return;
    u->admin[reactor].what = what;
    if (what == ADMIN_SIZE)
        u->admin[reactor].value = value ? full * value / 255 : 1;
    else
        u->admin[reactor].value = (uint64_t)(where >> 2) << 8 | (value & 0xf);
    admin_try(u, reactor);
    settle(w, reactor);
}

/* What one unit says it is, another takes and says again. */
static void act_state(struct world *w, struct rd *in)
{
    uint8_t how = rd_u8(in);
    const struct scsi_lu *lu = w->units[how & 1].lu;
    size_t len = scsi_lu_state(lu, NULL, 0);
    uint8_t *state = exact(len);
    must(scsi_lu_state(lu, state, len) == len);
    struct scsi_lu *other = scsi_lu_new(scsi_lu_config(lu), &w->a);
    if (other) {
        int err = restore_changed(in, how >> 2, state, len, other);
        must(err == 0 || err == USAN_ENOMEM || (err == USAN_ECORRUPT && how >> 2));
        size_t again = scsi_lu_state(other, NULL, 0);
        uint8_t *copied = exact(again);
        must(scsi_lu_state(other, copied, again) == again && again <= STATE_MAX);
        must(err || how >> 2 || (again == len && memcmp(state, copied, len) == 0));
        free(copied);
        scsi_lu_free(other);
    }
    free(state);
}

static void act_nexus(struct world *w, uint8_t how)
{
    unsigned reactor = how & 1, unit = how >> 1 & 1;
    struct initiator *it = &w->initiators[reactor];
    if (!it->nexus) {
        initiator_new(w, reactor);
    } else if (it->life == LIFE_GOOD && !(how & 4)) {
        if (!(w->setup & SETUP_SHARED)) /* whose map is fixed */
            initiator_map(w, reactor, unit);
    } else if (it->life == LIFE_GOOD) {
        if (how & 0x10) {
            bool unmap = (how & 0x20) && !(w->setup & SETUP_SHARED);
            it->life = unmap ? LIFE_TO_UNMAP : LIFE_TO_FREE;
            it->unmap = unit;
        }
        initiator_abort(w, reactor, how & 8 ? unit : UINT64_MAX);
    }
}

static void act(struct world *w, struct rd *in)
{
    uint8_t what = rd_u8(in);
    switch ((enum act)(what & 0xf)) {
    case ACT_COMMAND:
    case ACT_COMMAND_2:
    case ACT_COMMAND_3:
    case ACT_COMMAND_4:
    case ACT_COMMAND_5:
        act_command(w, in);
        break;
    case ACT_TMF:
        act_tmf(w, rd_u8(in), what >> 4);
        break;
    case ACT_STEP:
    case ACT_STEP_2:
        act_step(w, what >> 4, rd_u8(in));
        break;
    case ACT_BACKGROUND:
        act_background(w, what >> 4, rd_u8(in));
        break;
    case ACT_HOLD:
        w->hold_polls = what & 0x10;
        settle(w, what >> 5 & 1);
        break;
    case ACT_NEXUS:
        act_nexus(w, rd_u8(in));
        break;
    case ACT_SIZE:
        act_admin(w, ADMIN_SIZE, what >> 4, rd_u8(in));
        break;
    case ACT_ALUA:
        act_admin(w, ADMIN_ALUA, what >> 4, rd_u8(in));
        break;
    case ACT_SPACE: {
        uint64_t used = rd_u8(in), avail = rd_u8(in);
        scsi_lu_set_space(w->units[what >> 4 & 1].lanes[what >> 5 & 1], used << 12, avail << 12);
        settle(w, what >> 5 & 1);
        break;
    }
    case ACT_STATE:
        act_state(w, in);
        break;
    case ACT_NO_MEMORY:
        w->no_memory_in = what >> 4;
        break;
    }
    for (unsigned reactor = 0; reactor < REACTORS; reactor++)
        bury(w, reactor);
}

/* ---- the end ---- */

/* Everything that is held goes on, until nothing moves. */
static void release_all(struct world *w)
{
    w->hold_polls = w->hold_backgrounds = false;
    for (unsigned before = UINT_MAX; before != w->steps;) {
        before = w->steps;
        for (unsigned i = 0; i < w->count; i++)
            w->commands[i]->hold = false;
        while (w->background_count) {
            unsigned reactor = w->backgrounds[0]->seat->lane->index;
            background_drive(w, w->backgrounds[0]);
            settle(w, reactor);
        }
        for (unsigned i = 0; i < w->count; i++) {
            if (w->commands[i]->t->want == SCSI_WANT_WAIT)
                continue;
            unsigned reactor = w->commands[i]->reactor;
            w->steps++;
            drive(w, w->commands[i]);
            settle(w, reactor);
            break; /* others may have gone */
        }
        poll_all(w);
    }
}

static void end(struct world *w)
{
    w->no_memory_in = 0;
    w->ending = true;
    for (unsigned i = 0; i < REACTORS; i++) {
        if (w->initiators[i].nexus && (w->setup & SETUP_ABORT))
            initiator_abort(w, i, UINT64_MAX);
    }
    release_all(w);
    /* Only ACA holds anything back now; each time it ends one command at least goes on. */
    for (unsigned round = 0; round < COMMANDS && w->count; round++) {
        for (unsigned i = 0; i < REACTORS * UNITS; i++)
            simple(w, i % REACTORS, i / REACTORS, SCSI_TMF_CLEAR_ACA);
        release_all(w);
    }
    must(w->count == 0);
    for (unsigned i = 0; i < REACTORS; i++) {
        if (!w->initiators[i].nexus)
            continue;
        must(initiator_idle(&w->initiators[i]));
        initiator_free(w, i);
    }
    release_all(w);
    for (unsigned i = 0; i < UNITS; i++) {
        struct unit *u = &w->units[i];
        for (unsigned lane = 0; lane < REACTORS; lane++) {
            /* Nobody is told of a new size; for the other calls a kick must have come. */
            if (u->admin[lane].what == ADMIN_SIZE)
                admin_try(u, lane);
            must(u->admin[lane].what == ADMIN_NONE);
            scsi_lane_free(u->lanes[lane]);
        }
        scsi_lu_free(u->lu);
        if (u->written)
            memset(u->disk, 0, DISK_BYTES);
    }
    must(w->allocated == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w;
    struct rd in = rd_init(data, size);
    memset(&w, 0, sizeof w);
    w.a = (struct alloc){ .get = counted_get, .put = counted_put, .ctx = &w };
    w.setup = rd_u8(&in);
    for (unsigned i = 0; i < UNITS; i++)
        unit_new(&w, i, &in);
    for (unsigned i = 0; i < REACTORS; i++)
        initiator_new(&w, i);
    for (unsigned i = 0; i < REACTORS * UNITS && !(w.setup & SETUP_UA); i++)
        simple(&w, i % REACTORS, i / REACTORS, SCSI_TMF_NONE);
    while (rd_left(&in) > 0)
        act(&w, &in);
    end(&w);
    return 0;
}