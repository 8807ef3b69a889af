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
#include "base/bytes.h"
#include "base/crc32c.h"
#include "scsi/sense.h"
#include "scsi/table.h"
#include "scsi/task.h"

#include <limits.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    UNITS = 2,
    REACTORS = 2, /* reactor i has lane i of each unit, and nexus i */
    COMMANDS = 24,
    COMMANDS_AT_END = 8, /* more, to end the others with */
    BACKGROUNDS = 16,
    DISK_BYTES = 1024 * 1024,
    MAX_XFER_BYTES = 128 * 1024,
    BUF_MAX = 1024 * 1024, /* the device server asks for no more at once */
    STATE_MAX = 128 * 1024,
    STATE_CRC = 4,
    REPLY_KEPT = 1024,
    TOKEN_END = 528,     /* in the parameter list of WRITE USING TOKEN */
    STEPS_MAX = 1000000, /* in all: more is a loop */

    SETUP_NATIVE_CAW = 1 << 0,
    SETUP_CACHE = 1 << 1,
    SETUP_ZEROES = 1 << 2,
    SETUP_READ_ONLY = 1 << 3, /* nexus 1 may only read */
    SETUP_RESTORE = 1 << 4,
    SETUP_UA = 1 << 5,     /* the unit attentions of power on stay for the input to see */
    SETUP_SHARED = 1 << 6, /* every nexus has a branch on the other reactor */
    SETUP_ABORT = 1 << 7,  /* what is left at the end is aborted */
};

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

enum life { LIFE_GOOD, LIFE_TO_FREE, LIFE_TO_UNMAP };

enum admin { ADMIN_NONE, ADMIN_SIZE, ADMIN_ALUA };

struct unit {
    struct scsi_lu *lu;
    struct scsi_lane *lanes[REACTORS];
    uint64_t polls; /* kicks not yet followed */
    struct {
        enum admin what; /* a call that returned USAN_EAGAIN */
        uint64_t value;
    } admin[REACTORS];
    uint32_t block_bytes;
    bool written;
    uint8_t *disk;
};

struct initiator {
    struct scsi_nexus *nexus;
    struct scsi_branch *branch; /* on the other reactor; NULL: none */
    enum life life;
    unsigned unmap; /* LIFE_TO_UNMAP */
};

struct command {
    struct scsi_task *t;
    struct scsi_branch *branch; /* NULL: the home one */
    unsigned reactor;
    bool hold;
    uint8_t *cdb;
    uint8_t *content; /* of data-out; zeroes follow */
    size_t content_len;
    struct iovec out[3], in[2];
};

struct world {
    struct unit units[UNITS];
    struct initiator initiators[REACTORS];
    struct command *commands[COMMANDS + COMMANDS_AT_END];
    unsigned count;
    struct scsi_task *backgrounds[BACKGROUNDS];
    unsigned background_count;
    unsigned setup, steps, next_tag;
    bool hold_polls, hold_backgrounds, ending;
    unsigned no_memory_in; /* allocations until one fails; 0 = none does */
    unsigned allocated;
    struct alloc a;
    uint8_t reply[REPLY_KEPT];
    size_t reply_len;
};

/* A property that must hold whatever the input is. Not inline: its caller is what one looks for. */
__attribute__((noinline)) static void must(bool holds)
{
    if (!holds)
        abort();
}

/* ---- memory ---- */

static void *counted_get(void *ctx, size_t bytes)
{
    struct world *w = ctx;
    if (w->no_memory_in && --w->no_memory_in == 0)
        return NULL;
    void *p = malloc(bytes);
    if (!p)
        abort();
    memset(p, 0xa5, bytes);
    w->allocated++;
    return p;
}

static void counted_put(void *ctx, void *ptr)
{
    struct world *w = ctx;
    if (ptr)
        w->allocated--;
    free(ptr);
}

static void *exact(size_t bytes)
{
    must(bytes <= BUF_MAX);
    uint8_t *p = malloc(bytes ? bytes : 1);
    if (!p)
        abort();
    memset(p, 0xa5, bytes);
    return p;
}

/* Memory in pieces; empty ones are among them. */
static int pieces(struct iovec *iov, int count, size_t len)
{
    for (int i = 0; i < count; i++) {
        size_t n = i == count - 1 ? len : len / 3;
        iov[i] = (struct iovec){ exact(n), n };
        len -= n;
    }
    return count;
}

static void free_pieces(struct iovec *iov, int count)
{
    for (int i = 0; i < count; i++) {
        free(iov[i].iov_base);
        iov[i] = (struct iovec){ NULL, 0 };
    }
}

static uint64_t total(const struct iovec *iov, int count)
{
    uint64_t sum = 0;
    for (int i = 0; i < count; i++)
        sum += iov[i].iov_len;
    return sum;
}

/* Between mem and the bytes of iov from offset off on. */
static void copy(const struct iovec *iov, int count, uint64_t off, uint8_t *mem, uint64_t len,
                 bool to_iov)
{
    must(total(iov, count) >= off + len);
    for (int i = 0; i < count && len; i++) {
        uint64_t n = iov[i].iov_len;
        if (off >= n) {
            off -= n;
            continue;
        }
        n = n - off < len ? n - off : len;
        uint8_t *p = (uint8_t *)iov[i].iov_base + off;
        memcpy(to_iov ? p : mem, to_iov ? mem : p, n);
        mem += n;
        len -= n;
        off = 0;
    }
}

/* ---- the store ---- */

static int compare_and_write(struct unit *u, struct bio *bio)
{
    uint8_t *want = exact(bio->len);
    copy(bio->iov, bio->iovcnt, 0, want, bio->len, false);
    uint64_t i = 0;
    while (i < bio->len && want[i] == u->disk[bio->off + i])
        i++;
    free(want);
    if (i < bio->len) {
        bio->err_off = bio->off + i;
        return USAN_EMISCOMPARE;
    }
    copy(bio->iov, bio->iovcnt, bio->len, u->disk + bio->off, bio->len, false);
    return 0;
}

static int carry_out(struct unit *u, struct bio *bio, uint8_t how)
{
    static const int errors[] = { 0,           USAN_EIO,     USAN_ENOSPC,
                                  USAN_ENOMEM, USAN_ENOTSUP, USAN_ECANCELED,
                                  USAN_ERANGE, USAN_ERDONLY };
    const uint64_t chunk = 16 * 4096;
    must(bio->op != BIO_FLUSH || (bio->off == 0 && bio->len == 0));
    must(bio->off <= DISK_BYTES && bio->len <= DISK_BYTES - bio->off);
    must(bio->off % u->block_bytes == 0 && bio->len % u->block_bytes == 0);
    if (how & 7) {
        bio->err_off = bio->off + (uint64_t)how * 64 % (bio->len + 1);
        return errors[how & 7];
    }
    u->written |= bio->op != BIO_READ;
    switch (bio->op) {
    case BIO_READ:
        copy(bio->iov, bio->iovcnt, 0, u->disk + bio->off, bio->len, true);
        break;
    case BIO_WRITE:
        copy(bio->iov, bio->iovcnt, 0, u->disk + bio->off, bio->len, false);
        break;
    case BIO_UNMAP:
    case BIO_WRITE_ZEROES:
        memset(u->disk + bio->off, 0, bio->len);
        break;
    case BIO_COMPARE_AND_WRITE:
        return compare_and_write(u, bio);
    case BIO_MAP_STATUS:
        bio->mapped = bio->off / chunk & 1;
        bio->run_len = chunk - bio->off % chunk;
        bio->run_len = bio->run_len < bio->len ? bio->run_len : bio->len;
        break;
    case BIO_FLUSH:
    case BIO_OP_COUNT:
        break;
    }
    return 0;
}

static void do_io(struct scsi_task *t, struct command *c, uint8_t how)
{
    struct unit *u = scsi_lu_user(t->io_lu);
    struct bio *bio = &t->bio;
    /* Commands are inside the section here, so that the size stays what it is. */
    uint64_t size = scsi_lu_config(u->lu)->block_count * u->block_bytes;
    must(!c || (bio->off <= size && bio->len <= size - bio->off));
    if (bio->iovcnt == 0 && bio->op == BIO_READ) {
        must(c != NULL);
        free_pieces(c->in, 2);
        bio->iovcnt = pieces(c->in, 2, bio->len);
        bio->iov = c->in;
    } else if (bio->iovcnt == 0 && bio->op == BIO_WRITE) {
        bio->iov = t->out;
        bio->iovcnt = t->out_cnt;
    }
    scsi_task_resume(t, carry_out(u, bio, how));
}

static int save(struct world *w, const struct scsi_lu *lu, uint8_t how)
{
    size_t len = scsi_lu_state(lu, NULL, 0);
    must(len <= STATE_MAX);
    uint8_t *state = exact(len);
    must(scsi_lu_state(lu, state, len) == len);
    free(state);
    w->steps++;
    return how & 1 ? USAN_EIO : 0;
}

/* ---- commands ---- */

static bool ended(const struct scsi_task *t)
{
    return t->want == SCSI_DONE || t->want == SCSI_ABORTED;
}

static void give_data(struct command *c)
{
    struct scsi_task *t = c->t;
    uint64_t len = t->want_len, from_content = len < c->content_len ? len : c->content_len;
    must(len <= t->out_expected);
    free_pieces(c->out, 3);
    t->out_cnt = pieces(c->out, 3, len);
    t->out = c->out;
    for (int i = 0; i < 3; i++)
        memset(c->out[i].iov_base, 0, c->out[i].iov_len);
    copy(c->out, 3, 0, c->content, from_content, true);
    scsi_task_resume(t, 0);
}

/* Give what it wants; `how` not 0: or an error. */
static void give(struct world *w, struct command *c, uint8_t how)
{
    struct scsi_task *t = c->t;
    must(++w->steps < STEPS_MAX);
    switch (t->want) {
    case SCSI_WANT_BUF:
        if (how & 1) {
            scsi_task_fail(t, how & 2 ? SCSI_STATUS_BUSY : SCSI_STATUS_TASK_SET_FULL, 0);
            break;
        }
        free(t->buf);
        t->buf = exact(t->want_len);
        t->buf_len = t->want_len;
        scsi_task_resume(t, 0);
        break;
    case SCSI_WANT_DATA:
        if (how & 1)
            scsi_task_fail(t, SCSI_STATUS_CHECK_CONDITION, SENSE_COMMAND_ABORTED);
        else
            give_data(c);
        break;
    case SCSI_WANT_IO:
        do_io(t, c, how);
        break;
    case SCSI_WANT_SAVE:
        scsi_task_resume(t, save(w, t->itl->lu, how));
        break;
    case SCSI_WANT_WAIT:
    case SCSI_DONE:
    case SCSI_ABORTED:
        must(false);
    }
}

static void look_at_result(struct world *w, const struct scsi_task *t)
{
    must(t->sense_len <= SCSI_SENSE_MAX);
    must(t->status != SCSI_STATUS_CHECK_CONDITION || t->sense_len >= 8);
    must(t->in_len <= t->in_expected);
    if (t->in_len == 0)
        return;
    uint8_t *in = exact(t->in_len);
    copy(t->in, t->in_cnt, 0, in, t->in_len, false);
    w->reply_len = t->in_len < REPLY_KEPT ? t->in_len : REPLY_KEPT;
    memcpy(w->reply, in, w->reply_len);
    free(in);
}

static void finish(struct world *w, struct command *c)
{
    struct scsi_task *t = c->t;
    must(!(t->flags & SCSI_TF_LISTED));
    if (t->want == SCSI_DONE && !t->tmf)
        look_at_result(w, t);
    scsi_task_fini(t);
    for (unsigned i = 0; i < w->count; i++) {
        if (w->commands[i] == c)
            w->commands[i] = w->commands[--w->count];
    }
    free(t->buf);
    free_pieces(c->out, 3);
    free_pieces(c->in, 2);
    free(c->cdb);
    free(c->content);
    free(t);
    free(c);
}

/* On with a command that the owner has in hand. */
static void drive(struct world *w, struct command *c)
{
    while (!c->hold && c->t->want != SCSI_WANT_WAIT && !ended(c->t))
        give(w, c, 0);
    if (ended(c->t))
        finish(w, c);
}

/* ---- background tasks ---- */

static void background_give(struct world *w, struct scsi_task *t, uint8_t how)
{
    must(++w->steps < STEPS_MAX);
    if (t->want == SCSI_WANT_BUF) {
        free(t->buf);
        t->buf = how & 1 ? NULL : exact(t->want_len);
        t->buf_len = t->buf ? t->want_len : 0;
        scsi_task_resume(t, t->buf ? 0 : USAN_ENOMEM);
    } else if (t->want == SCSI_WANT_SAVE) {
        scsi_task_resume(t, save(w, t->itl->lu, how));
    } else {
        must(t->want == SCSI_WANT_IO && (t->bio.iovcnt || t->bio.op != BIO_READ));
        do_io(t, NULL, w->ending ? 5 : how);
    }
}

static void background_forget(struct world *w, const struct scsi_task *t)
{
    for (unsigned i = 0; i < w->background_count; i++) {
        if (w->backgrounds[i] == t)
            w->backgrounds[i] = w->backgrounds[--w->background_count];
    }
}

static void background_drive(struct world *w, struct scsi_task *t)
{
    background_forget(w, t);
    while (!w->hold_backgrounds && t->want != SCSI_WANT_WAIT && !ended(t))
        background_give(w, t, 0);
    if (ended(t)) {
        free(t->buf);
        scsi_task_fini(t);
    } else if (t->want != SCSI_WANT_WAIT) {
        must(w->background_count < BACKGROUNDS);
        w->backgrounds[w->background_count++] = t;
    }
}

/* ---- reactors ---- */

static void pump(struct world *w, unsigned reactor)
{
    bool moved = true;
    while (moved) {
        moved = false;
        for (unsigned u = 0; u < UNITS; u++) {
            struct scsi_task *t;
            while ((t = scsi_lane_next(w->units[u].lanes[reactor]))) {
                moved = true;
                must(t->want != SCSI_WANT_WAIT);
                if (t->nexus)
                    drive(w, t->user);
                else
                    background_drive(w, t);
            }
        }
    }
    for (unsigned u = 0; u < UNITS; u++)
        w->units[u].polls |= scsi_lu_take_kicks(w->units[u].lu);
}

static void admin_try(struct unit *u, unsigned reactor)
{
    struct scsi_lane *lane = u->lanes[reactor];
    uint64_t v = u->admin[reactor].value;
    int err = 0;
    switch (u->admin[reactor].what) {
    case ADMIN_NONE:
        return;
    case ADMIN_SIZE:
        err = scsi_lu_set_block_count(lane, v);
        must(err == 0 || err == USAN_EAGAIN);
        break;
    case ADMIN_ALUA:
        err = scsi_lu_set_alua(lane, (uint16_t)(v >> 8), (enum scsi_alua_state)(v & 0xf));
        break;
    }
    if (err != USAN_EAGAIN)
        u->admin[reactor].what = ADMIN_NONE;
}

static void poll_all(struct world *w)
{
    bool moved = true;
    while (moved) {
        moved = false;
        for (unsigned i = 0; i < UNITS * REACTORS; i++) {
            struct unit *u = &w->units[i / REACTORS];
            unsigned reactor = i % REACTORS;
            if (!(u->polls >> reactor & 1))
                continue;
            must(++w->steps < STEPS_MAX);
            u->polls &= ~(UINT64_C(1) << reactor);
            scsi_lane_poll(u->lanes[reactor]);
            admin_try(u, reactor);
            pump(w, reactor);
            moved = true;
        }
        must((w->units[0].polls | w->units[1].polls) < 1u << REACTORS);
    }
}

/* After any call on lanes of this reactor. */
static void settle(struct world *w, unsigned reactor)
{
    pump(w, reactor);
    if (!w->hold_polls)
        poll_all(w);
}

/* ---- initiators ---- */

static void initiator_map(struct world *w, unsigned reactor, unsigned unit)
{
    struct initiator *it = &w->initiators[reactor];
    bool read_only = reactor == 1 && (w->setup & SETUP_READ_ONLY);
    int err = scsi_nexus_map(it->nexus, unit, w->units[unit].lanes[reactor], read_only);
    must(err == 0 || err == USAN_EEXIST || err == USAN_ENOMEM);
    settle(w, reactor);
}

static void initiator_share(struct world *w, unsigned reactor)
{
    struct initiator *it = &w->initiators[reactor];
    unsigned other = 1 - reactor;
    scsi_nexus_share(it->nexus);
    it->branch = scsi_branch_new(it->nexus);
    for (unsigned u = 0; u < UNITS && it->branch; u++) {
        int err = scsi_branch_map(it->branch, u, w->units[u].lanes[other]);
        must(err == 0 || err == USAN_ENOENT || err == USAN_ENOMEM);
        settle(w, other);
    }
}

static bool initiator_idle(const struct initiator *it)
{
    return scsi_nexus_tasks(it->nexus) == 0 && (!it->branch || scsi_branch_tasks(it->branch) == 0);
}

static void initiator_abort(struct world *w, unsigned reactor, uint64_t lun)
{
    struct initiator *it = &w->initiators[reactor];
    scsi_nexus_abort(it->nexus, lun);
    settle(w, reactor);
    if (it->branch) {
        scsi_branch_abort(it->branch, lun);
        settle(w, 1 - reactor);
    }
}

static void initiator_free(struct world *w, unsigned reactor)
{
    struct initiator *it = &w->initiators[reactor];
    scsi_branch_free(it->branch);
    it->branch = NULL;
    settle(w, 1 - reactor);
    scsi_nexus_free(it->nexus);
    it->nexus = NULL;
    settle(w, reactor);
}

static void initiator_new(struct world *w, unsigned reactor)
{
    static const char *const names[] = { "iqn.2001-04.com.example:a,i,0x800000000001",
                                         "iqn.2001-04.com.example:b,i,0x800000000002" };
    uint8_t id[4 + 44] = { 0x45, 0, 0, 44 }; /* SPC-6 7.6.4.6 */
    memcpy(id + 4, names[reactor], strlen(names[reactor]));
    struct scsi_nexus_config cfg = {
        .initiator_port = names[reactor],
        .target_port = "iqn.2001-04.com.example:t,t,0x0001",
        .target_device = "iqn.2001-04.com.example:t",
        .rel_target_port = (uint16_t)(1 + reactor),
        .target_port_group = (uint16_t)(1 + reactor),
        .protocol_id = 5,
        .transport_id = id,
        .transport_id_len = sizeof id,
    };
    struct initiator *it = &w->initiators[reactor];
    it->nexus = scsi_nexus_new(&cfg, &w->a);
    it->life = LIFE_GOOD;
    it->branch = NULL;
    for (unsigned u = 0; u < UNITS && it->nexus; u++)
        initiator_map(w, reactor, u);
    if (it->nexus && (w->setup & SETUP_SHARED))
        initiator_share(w, reactor);
}

/* What had to wait until a nexus has no tasks. */
static void bury(struct world *w, unsigned reactor)
{
    struct initiator *it = &w->initiators[reactor];
    if (it->life == LIFE_GOOD || !initiator_idle(it))
        return;
    if (it->life == LIFE_TO_UNMAP)
        scsi_nexus_unmap(it->nexus, it->unmap);
    else
        initiator_free(w, reactor);
    it->life = LIFE_GOOD;
    settle(w, reactor);
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

/* ---- records ---- */

static struct command *command_new(struct world *w, unsigned reactor)
{
    /* Every other two of a shared world are on the branch here of the other initiator. */
    bool away = (w->setup & SETUP_SHARED) && (w->next_tag & 2) && !w->ending;
    struct initiator *it = &w->initiators[away ? 1 - reactor : reactor];
    unsigned max = w->ending ? COMMANDS + COMMANDS_AT_END : COMMANDS;
    if (w->count >= max || !it->nexus || (it->life != LIFE_GOOD && !w->ending) ||
        (away && !it->branch)) {
        w->next_tag++;
        return NULL;
    }
    struct command *c = calloc(1, sizeof *c);
    must(c != NULL);
    c->t = exact(sizeof *c->t);
    c->reactor = reactor;
    c->branch = away ? it->branch : NULL;
    c->t->nexus = it->nexus;
    c->t->attr = SCSI_ATTR_SIMPLE;
    c->t->priority = 0;
    c->t->tmf = SCSI_TMF_NONE;
    c->t->tag = w->next_tag++;
    c->t->ref_tag = 0;
    c->t->lun = 0;
    c->t->out_expected = c->t->in_expected = 0;
    c->t->cdb = NULL;
    c->t->cdb_len = 0;
    c->t->user = c;
    w->commands[w->count++] = c;
    return c;
}

static void start(struct world *w, struct command *c)
{
    unsigned reactor = c->reactor;
    if (c->branch)
        scsi_branch_start(c->branch, c->t);
    else
        scsi_task_start(c->t);
    drive(w, c);
    settle(w, reactor);
}

static uint64_t lun_field(unsigned which)
{
    static const uint64_t fields[] = { 0, UINT64_C(1) << 48, UINT64_C(0xc101) << 48,
                                       UINT64_C(0x4005) << 48 };
    return fields[which & 3];
}

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

/* Bytes of the state of the first unit are changed; the checksum is put right. */
static int restore_changed(struct rd *in, unsigned count, uint8_t *state, size_t len,
                           struct scsi_lu *lu)
{
    for (unsigned i = 0; i < count && len > STATE_CRC; i++) {
        uint16_t at = rd_be16(in);
        state[at % len] = rd_u8(in);
    }
    if (len >= STATE_CRC)
        be32_put(state + len - STATE_CRC, crc32c(state, len - STATE_CRC));
    return scsi_lu_restore(lu, state, len);
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

/* ---- beginning and end ---- */

static void unit_new(struct world *w, unsigned i, struct rd *in)
{
    static uint8_t *disks[UNITS];
    struct unit *u = &w->units[i];
    struct scsi_lu_config cfg = {
        .vendor = "USAN",
        .product = "FUZZ",
        .revision = "1",
        .serial = "fuzz",
        .naa = { 0x30, 0, 0, 0, 0, 0, 0, (uint8_t)(1 + i) },
        .naa_len = 8,
        .block_bytes = i == 0 ? 512 : 4096,
        .removable = i == 0,
        .thin = i == 0,
        .thin_threshold_pct = 50,
        .native_caw = w->setup & SETUP_NATIVE_CAW,
        .volatile_cache = w->setup & SETUP_CACHE,
        .wce = w->setup & SETUP_CACHE,
        .unmap_zeroes = w->setup & SETUP_ZEROES,
        .keeps_state = i == 0,
    };
    cfg.block_count = DISK_BYTES / cfg.block_bytes;
    cfg.max_xfer_blocks = MAX_XFER_BYTES / cfg.block_bytes;
    u->block_bytes = cfg.block_bytes;
    if (!disks[i])
        disks[i] = calloc(1, DISK_BYTES);
    u->disk = disks[i];
    u->lu = scsi_lu_new(&cfg, &w->a);
    must(u->disk && u->lu);
    scsi_lu_set_user(u->lu, u);
    for (uint16_t port = 1; port <= REACTORS; port++)
        must(scsi_lu_add_port(u->lu, port, port) == 0);
    if (i == 0 && (w->setup & SETUP_RESTORE)) {
        size_t len = rd_be16(in);
        len = len < rd_left(in) ? len : rd_left(in);
        uint8_t *state = exact(len);
        const uint8_t *p = rd_bytes(in, len);
        if (p)
            memcpy(state, p, len);
        int err = restore_changed(in, 0, state, len, u->lu);
        must(err == 0 || err == USAN_ECORRUPT);
        free(state);
    }
    for (unsigned lane = 0; lane < REACTORS; lane++) {
        u->lanes[lane] = scsi_lane_new(u->lu, lane);
        must(u->lanes[lane] != NULL);
    }
}

static void simple(struct world *w, unsigned reactor, unsigned unit, uint8_t tmf)
{
    struct command *c = command_new(w, reactor);
    if (!c)
        return;
    c->t->lun = lun_field(unit);
    c->t->tmf = tmf;
    c->cdb = exact(16);
    memset(c->cdb, 0, 16); /* TEST UNIT READY */
    c->t->cdb = c->cdb;
    c->t->cdb_len = 16;
    start(w, c);
}

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
