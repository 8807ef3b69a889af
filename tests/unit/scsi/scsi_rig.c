/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scsi_rig.h"

#include "base/bytes.h"
#include "scsi/lu.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory: counted, so that what is not given back shows ---- */

static void *count_get(void *ctx, size_t bytes)
{
    struct rig *r = ctx;
    void *p = malloc(bytes);
    assert(p);
    memset(p, 0xa5, bytes);
    r->allocs++;
    return p;
}

static void count_put(void *ctx, void *ptr)
{
    struct rig *r = ctx;
    if (ptr) {
        assert(r->allocs > 0);
        r->allocs--;
    }
    free(ptr);
}

/* ---- the store ---- */

static void copy_iov(const struct iovec *iov, int cnt, uint64_t off, uint8_t *mem, uint64_t len,
                     bool to_iov)
{
    for (int i = 0; i < cnt && len; i++) {
        if (off >= iov[i].iov_len) {
            off -= iov[i].iov_len;
            continue;
        }
        uint64_t n = iov[i].iov_len - off < len ? iov[i].iov_len - off : len;
        uint8_t *p = (uint8_t *)iov[i].iov_base + off;
        memcpy(to_iov ? p : mem, to_iov ? mem : p, n);
        mem += n;
        len -= n;
        off = 0;
    }
    assert(len == 0);
}

static void set_mapped(struct rig_unit *u, uint64_t off, uint64_t len, bool mapped)
{
    memset(u->mapped + off / u->block_bytes, mapped, len / u->block_bytes);
}

/* The data-in or data-out memory that a bio without iovec stands for. */
static void attach(struct rig_task *rt)
{
    struct bio *bio = &rt->t.bio;
    if (bio->iovcnt != 0)
        return;
    if (bio->op == BIO_WRITE) {
        bio->iov = rt->t.out;
        bio->iovcnt = rt->t.out_cnt;
    } else if (bio->op == BIO_READ) {
        free(rt->io_mem);
        rt->io_mem = malloc(bio->len + 1);
        assert(rt->io_mem);
        size_t first = bio->len / 3; /* two pieces: nobody may rely on one */
        rt->io_iov[0] = (struct iovec){ rt->io_mem, first };
        rt->io_iov[1] = (struct iovec){ rt->io_mem + first, bio->len - first };
        bio->iov = rt->io_iov;
        bio->iovcnt = 2;
    }
}

static int compare_and_write(struct rig_unit *u, struct bio *bio)
{
    uint8_t *want = malloc(bio->len);
    assert(want);
    copy_iov(bio->iov, bio->iovcnt, 0, want, bio->len, false);
    uint64_t i = 0;
    while (i < bio->len && want[i] == u->disk[bio->off + i])
        i++;
    free(want);
    if (i < bio->len) {
        bio->err_off = bio->off + i;
        return USAN_EMISCOMPARE;
    }
    copy_iov(bio->iov, bio->iovcnt, bio->len, u->disk + bio->off, bio->len, false);
    set_mapped(u, bio->off, bio->len, true);
    return 0;
}

static void map_status(const struct rig_unit *u, struct bio *bio)
{
    uint64_t block = bio->off / u->block_bytes, end = (bio->off + bio->len) / u->block_bytes;
    uint64_t b = block;
    bio->mapped = u->mapped[block];
    while (b < end && (bool)u->mapped[b] == bio->mapped)
        b++;
    bio->run_len = (b - block) * u->block_bytes;
}

static int carry_out(struct rig_task *rt)
{
    struct bio *bio = &rt->t.bio;
    struct rig *r = rt->rig;
    struct rig_unit *u = scsi_lu_user(rt->t.io_lu);
    assert(bio->op == BIO_FLUSH ||
           (bio->off <= u->disk_bytes && bio->len <= u->disk_bytes - bio->off));
    attach(rt);
    r->ios[bio->op]++;
    r->last_flags = bio->flags;
    if (r->io_err && r->io_err_op == bio->op) {
        int err = r->io_err;
        r->io_err = 0;
        bio->err_off = bio->off + r->io_err_at;
        return err;
    }
    switch (bio->op) {
    case BIO_READ:
        copy_iov(bio->iov, bio->iovcnt, 0, u->disk + bio->off, bio->len, true);
        return 0;
    case BIO_WRITE:
        copy_iov(bio->iov, bio->iovcnt, 0, u->disk + bio->off, bio->len, false);
        set_mapped(u, bio->off, bio->len, true);
        return 0;
    case BIO_UNMAP:
    case BIO_WRITE_ZEROES:
        memset(u->disk + bio->off, 0, bio->len);
        set_mapped(u, bio->off, bio->len,
                   bio->op == BIO_WRITE_ZEROES && !(bio->flags & BIO_F_MAY_UNMAP));
        return 0;
    case BIO_COMPARE_AND_WRITE:
        return compare_and_write(u, bio);
    case BIO_MAP_STATUS:
        map_status(u, bio);
        return 0;
    case BIO_FLUSH:
    case BIO_OP_COUNT:
        return 0;
    }
    return 0;
}

/* ---- driving ---- */

static int save(struct rig *r, const struct scsi_task *t)
{
    const struct scsi_lu *lu = t->itl->lu;
    for (unsigned i = 0; i < r->unit_count; i++) {
        struct rig_unit *u = &r->units[i];
        if (u->lu == lu && !r->save_err) {
            u->saved_len = scsi_lu_state(u->lu, u->saved, sizeof u->saved);
            assert(u->saved_len <= sizeof u->saved);
        }
    }
    r->saves++;
    return r->save_err;
}

static void give(struct rig_task *rt)
{
    struct scsi_task *t = &rt->t;
    switch (t->want) {
    case SCSI_WANT_BUF:
        t->buf = realloc(t->buf, t->want_len);
        assert(t->buf && t->want_len);
        memset(t->buf, 0xa5, t->want_len);
        t->buf_len = t->want_len;
        scsi_task_resume(t, 0);
        return;
    case SCSI_WANT_DATA: {
        assert(t->want_len <= t->out_expected);
        size_t len = t->want_len, a = len / 3, b = len / 2;
        rt->out_iov[0] = (struct iovec){ rt->out_mem, a };
        rt->out_iov[1] = (struct iovec){ rt->out_mem + a, b - a };
        rt->out_iov[2] = (struct iovec){ rt->out_mem + b, len - b };
        t->out = rt->out_iov;
        t->out_cnt = 3;
        scsi_task_resume(t, 0);
        return;
    }
    case SCSI_WANT_IO:
        t->bio.err = carry_out(rt);
        scsi_task_resume(t, t->bio.err);
        return;
    case SCSI_WANT_SAVE:
        scsi_task_resume(t, save(rt->rig, t));
        return;
    case SCSI_WANT_WAIT:
    case SCSI_DONE:
    case SCSI_ABORTED:
        break;
    }
    abort(); /* nothing to give */
}

static void drive(struct rig_task *rt)
{
    const uint32_t rest = 1u << SCSI_WANT_WAIT | 1u << SCSI_DONE | 1u << SCSI_ABORTED;
    while (!((rest | rt->rig->stop_at) & 1u << rt->t.want))
        give(rt);
}

static bool background_wants(const struct scsi_task *t)
{
    return t->want != SCSI_WANT_WAIT && t->want != SCSI_DONE;
}

/* A background task is not part of a rig_task: its memory hangs on user. */
static void give_background(struct rig *r, struct scsi_task *t)
{
    if (t->want == SCSI_WANT_BUF) {
        t->buf = t->user = realloc(t->user, t->want_len);
        assert(t->buf);
        t->buf_len = t->want_len;
        scsi_task_resume(t, 0);
    } else if (t->want == SCSI_WANT_SAVE) {
        scsi_task_resume(t, save(r, t));
    } else {
        struct rig_task *rt = calloc(1, sizeof *rt);
        assert(rt && t->want == SCSI_WANT_IO && (t->bio.iovcnt || t->bio.op != BIO_READ));
        rt->t.bio = t->bio;
        rt->t.io_lu = t->io_lu;
        rt->rig = r;
        int err = carry_out(rt);
        t->bio.err_off = rt->t.bio.err_off;
        free(rt);
        scsi_task_resume(t, err);
    }
}

static void drive_background(struct rig *r, struct scsi_task *t, unsigned steps)
{
    r->background = NULL;
    while (steps > 0 && background_wants(t)) {
        give_background(r, t);
        steps--;
    }
    if (t->want == SCSI_DONE) {
        void *buf = t->user;
        scsi_task_fini(t);
        free(buf);
    } else if (background_wants(t)) {
        r->background = t;
    }
}

void rig_background(struct rig *r, unsigned steps)
{
    assert(r->background);
    drive_background(r, r->background, steps);
    rig_pump(r);
}

static bool pump_lane(struct rig *r, struct scsi_lane *lane)
{
    bool moved = false;
    struct scsi_task *t;
    while ((t = scsi_lane_next(lane))) {
        moved = true;
        if (t->nexus)
            drive(t->user);
        else
            drive_background(r, t, r->hold_background ? 0 : UINT_MAX);
    }
    return moved;
}

void rig_pump(struct rig *r)
{
    bool moved = true;
    while (moved) {
        moved = false;
        for (unsigned i = 0; i < r->unit_count; i++) {
            struct rig_unit *u = &r->units[i];
            for (unsigned l = 0; l < r->lane_count; l++)
                moved |= pump_lane(r, u->lanes[l]);
            uint64_t kicks = scsi_lu_take_kicks(u->lu);
            for (unsigned l = 0; l < r->lane_count; l++) {
                if (kicks >> l & 1)
                    scsi_lane_poll(u->lanes[l]);
            }
            moved |= kicks != 0;
        }
    }
}

static struct rig_task *task_new(struct rig *r, unsigned initiator)
{
    struct rig_task *rt = malloc(sizeof *rt);
    assert(rt && initiator < r->initiator_count && r->nexus[initiator]);
    memset(rt, 0xa5, sizeof *rt); /* start has to set all it relies on */
    rt->rig = r;
    rt->out_mem = rt->io_mem = NULL;
    rt->t.nexus = r->nexus[initiator];
    rt->branch = r->branch[initiator];
    rt->t.user = rt;
    rt->t.lun = r->lun;
    rt->t.attr = SCSI_ATTR_SIMPLE;
    rt->t.priority = 0;
    rt->t.tmf = SCSI_TMF_NONE;
    rt->t.tag = 0;
    rt->t.ref_tag = 0;
    rt->t.out_expected = rt->t.in_expected = 0;
    rt->t.cdb = rt->cdb;
    rt->t.cdb_len = 16;
    list_push_back(&r->tasks, &rt->node);
    return rt;
}

static void begin(struct rig_task *rt)
{
    if (rt->branch)
        scsi_branch_start(rt->branch, &rt->t);
    else
        scsi_task_start(&rt->t);
    drive(rt);
    rig_pump(rt->rig);
}

static struct rig_task *cmd_new(struct rig *r, unsigned initiator, const uint8_t *cdb,
                                size_t cdb_len, const void *out, size_t out_len,
                                uint64_t in_expected)
{
    struct rig_task *rt = task_new(r, initiator);
    assert(cdb_len >= 16 && cdb_len <= SCSI_CDB_MAX);
    memcpy(rt->cdb, cdb, cdb_len);
    rt->t.cdb_len = (uint16_t)cdb_len;
    rt->out_mem = malloc(out_len + 1);
    assert(rt->out_mem);
    if (out_len)
        memcpy(rt->out_mem, out, out_len);
    rt->t.out_expected = out_len;
    rt->t.in_expected = in_expected;
    return rt;
}

struct rig_task *rig_start(struct rig *r, unsigned initiator, enum scsi_attr attr, uint64_t tag,
                           const uint8_t *cdb, size_t cdb_len, const void *out, size_t out_len,
                           uint64_t in_expected)
{
    struct rig_task *rt = cmd_new(r, initiator, cdb, cdb_len, out, out_len, in_expected);
    rt->t.attr = (uint8_t)attr;
    rt->t.tag = tag;
    begin(rt);
    return rt;
}

struct rig_task *rig_start_tmf(struct rig *r, unsigned initiator, enum scsi_tmf tmf,
                               uint64_t ref_tag)
{
    struct rig_task *rt = task_new(r, initiator);
    rt->t.tmf = (uint8_t)tmf;
    rt->t.ref_tag = ref_tag;
    begin(rt);
    return rt;
}

void rig_go(struct rig_task *rt)
{
    give(rt);
    drive(rt);
    rig_pump(rt->rig);
}

static uint32_t sense_kaq(const struct scsi_task *t)
{
    if (t->sense_len < 8)
        return 0;
    const uint8_t *s = t->sense;
    if ((s[0] & 0x7f) == 0x72)
        return SCSI_KAQ(s[1] & 0xf, s[2], s[3]);
    return SCSI_KAQ(s[2] & 0xf, s[12], s[13]);
}

struct rig_result rig_end(struct rig_task *rt)
{
    struct scsi_task *t = &rt->t;
    struct rig_result res;
    memset(&res, 0, sizeof res);
    assert(rig_ended(rt));
    res.aborted = t->want == SCSI_ABORTED;
    res.status = t->status;
    res.tmf_rsp = t->tmf_rsp;
    res.kaq = sense_kaq(t);
    res.sense_len = t->sense_len;
    memcpy(res.sense, t->sense, t->sense_len);
    res.in_len = t->in_len;
    res.in_used = t->in_used;
    res.out_used = t->out_used;
    uint64_t n = t->in_len < sizeof res.in ? t->in_len : sizeof res.in;
    if (!res.aborted && n)
        copy_iov(t->in, t->in_cnt, 0, res.in, n, false);
    scsi_task_fini(t);
    list_del(&rt->node);
    free(t->buf);
    free(rt->out_mem);
    free(rt->io_mem);
    free(rt);
    return res;
}

struct rig_result rig_cmd_lun(struct rig *r, unsigned initiator, uint64_t lun_field,
                              const uint8_t *cdb, size_t cdb_len, const void *out, size_t out_len,
                              uint64_t in_expected)
{
    uint32_t stop_at = r->stop_at;
    r->stop_at = 0;
    struct rig_task *rt = cmd_new(r, initiator, cdb, cdb_len, out, out_len, in_expected);
    rt->t.lun = lun_field;
    begin(rt);
    r->stop_at = stop_at;
    return rig_end(rt);
}

struct rig_result rig_cmd(struct rig *r, unsigned initiator, const uint8_t *cdb, size_t cdb_len,
                          const void *out, size_t out_len, uint64_t in_expected)
{
    return rig_cmd_lun(r, initiator, 0, cdb, cdb_len, out, out_len, in_expected);
}

struct rig_result rig_tmf(struct rig *r, unsigned initiator, enum scsi_tmf tmf, uint64_t ref_tag)
{
    return rig_end(rig_start_tmf(r, initiator, tmf, ref_tag));
}

void rig_clear_ua(struct rig *r)
{
    for (unsigned n = 0; n < r->initiator_count; n++) {
        for (unsigned u = 0; u < r->unit_count && r->nexus[n]; u++) {
            struct rig_result res;
            do {
                res = rig_cmd_lun(r, n, (uint64_t)u << 48, CDB(0x00), NULL, 0, 0);
            } while (res.kaq >> 16 == SENSE_KEY_UNIT_ATTENTION);
        }
    }
}

/* ---- set-up ---- */

static void unit_init(struct rig *r, unsigned i, const struct rig_config *from)
{
    struct rig_unit *u = &r->units[i];
    struct scsi_lu_config cfg = from->lu;
    cfg.keeps_state = !from->forgets;
    if (!cfg.block_bytes)
        cfg.block_bytes = 512;
    if (!cfg.block_count)
        cfg.block_count = 2048;
    if (!cfg.vendor[0])
        memcpy(cfg.vendor, "USAN", 5);
    if (!cfg.product[0])
        memcpy(cfg.product, "RIG", 4);
    if (!cfg.revision[0])
        memcpy(cfg.revision, "0001", 5);
    (void)snprintf(cfg.serial, sizeof cfg.serial, "rig%05u", i);
    if (!cfg.naa_len) {
        cfg.naa_len = 16;
        cfg.naa[0] = 0x60;
        cfg.naa[14] = 0x77;
        cfg.naa[15] = (uint8_t)i;
    }
    u->block_bytes = cfg.block_bytes;
    u->disk_bytes = cfg.block_count * cfg.block_bytes;
    u->disk = calloc(1, u->disk_bytes);
    u->mapped = calloc(1, cfg.block_count);
    u->lu = scsi_lu_new(&cfg, &r->alloc);
    assert(u->disk && u->mapped && u->lu);
    scsi_lu_set_user(u->lu, u);
    for (unsigned l = 0; l < r->lane_count; l++) {
        u->lanes[l] = scsi_lane_new(u->lu, l);
        assert(u->lanes[l]);
    }
}

unsigned rig_add_initiator(struct rig *r)
{
    unsigned n = r->initiator_count++;
    char name[64], port[96];
    assert(n < RIG_INITIATORS_MAX);
    (void)snprintf(name, sizeof name, "iqn.2001-04.com.example:rig%u,i,0x80000000%04x", n, n);
    (void)snprintf(port, sizeof port, "iqn.2001-04.com.example:target,t,0x0001");

    /* TransportID of an iSCSI initiator port, SPC-6 7.6.4.6: format 01b */
    uint8_t id[128] = { 0x45 };
    size_t text = (strlen(name) + 1 + 3) & ~(size_t)3;
    be16_put(id + 2, (uint16_t)text);
    memcpy(id + 4, name, strlen(name));
    struct scsi_nexus_config cfg = {
        .initiator_port = name,
        .target_port = port,
        .target_device = "iqn.2001-04.com.example:target",
        .rel_target_port = 1,
        .target_port_group = 1,
        .protocol_id = 5,
        .transport_id = id,
        .transport_id_len = (uint16_t)(4 + text),
    };
    r->nexus[n] = scsi_nexus_new(&cfg, &r->alloc);
    assert(r->nexus[n]);
    for (unsigned i = 0; i < r->unit_count; i++) {
        int err = scsi_nexus_map(r->nexus[n], i, r->units[i].lanes[n % r->lane_count], false);
        assert(err == 0);
        (void)err;
    }
    rig_pump(r);
    return n;
}

struct rig *rig_new(const struct rig_config *cfg)
{
    struct rig *r = calloc(1, sizeof *r);
    assert(r);
    r->alloc = (struct alloc){ .get = count_get, .put = count_put, .ctx = r };
    list_init(&r->tasks);
    r->unit_count = cfg->units ? cfg->units : 1;
    r->lane_count = cfg->lanes ? cfg->lanes : 1;
    for (unsigned i = 0; i < r->unit_count; i++)
        unit_init(r, i, cfg);
    for (unsigned i = 0; i < (cfg->initiators ? cfg->initiators : 1); i++)
        (void)rig_add_initiator(r);
    return r;
}

unsigned rig_add_branch(struct rig *r, unsigned initiator, unsigned lane)
{
    unsigned n = r->initiator_count++;
    assert(n < RIG_INITIATORS_MAX && lane < r->lane_count);
    scsi_nexus_share(r->nexus[initiator]);
    r->nexus[n] = r->nexus[initiator];
    r->branch[n] = scsi_branch_new(r->nexus[n]);
    assert(r->branch[n]);
    for (unsigned i = 0; i < r->unit_count; i++) {
        int err = scsi_branch_map(r->branch[n], i, r->units[i].lanes[lane]);
        assert(err == 0);
        (void)err;
    }
    rig_pump(r);
    return n;
}

/* All but the home one. */
static void drop_branches(struct rig *r, const struct scsi_nexus *nexus)
{
    for (unsigned n = 0; n < r->initiator_count; n++) {
        if (r->nexus[n] != nexus || !r->branch[n])
            continue;
        assert(scsi_branch_tasks(r->branch[n]) == 0);
        scsi_branch_free(r->branch[n]);
        r->branch[n] = NULL;
        r->nexus[n] = NULL;
    }
}

void rig_drop_initiator(struct rig *r, unsigned initiator)
{
    struct scsi_nexus *nexus = r->nexus[initiator];
    r->stop_at = 0;
    scsi_nexus_abort(nexus, UINT64_MAX);
    for (unsigned n = 0; n < r->initiator_count; n++) {
        if (r->nexus[n] == nexus && r->branch[n])
            scsi_branch_abort(r->branch[n], UINT64_MAX);
    }
    rig_pump(r);
    list_for_each_safe (&r->tasks, pos) {
        struct rig_task *rt = list_entry(pos, struct rig_task, node);
        if (rt->t.nexus != nexus)
            continue;
        drive(rt); /* I/O that was held back */
        rig_pump(r);
        (void)rig_end(rt);
    }
    assert(scsi_nexus_tasks(nexus) == 0);
    drop_branches(r, nexus);
    scsi_nexus_free(nexus);
    for (unsigned n = 0; n < r->initiator_count; n++) {
        if (r->nexus[n] == nexus)
            r->nexus[n] = NULL;
    }
    rig_pump(r);
}

void rig_free(struct rig *r)
{
    for (unsigned n = 0; n < r->initiator_count; n++) {
        if (r->nexus[n])
            rig_drop_initiator(r, n);
    }
    assert(list_empty(&r->tasks));
    for (unsigned i = 0; i < r->unit_count; i++) {
        struct rig_unit *u = &r->units[i];
        for (unsigned l = 0; l < r->lane_count; l++)
            scsi_lane_free(u->lanes[l]);
        scsi_lu_free(u->lu);
        free(u->disk);
        free(u->mapped);
    }
    assert(r->allocs == 0);
    free(r);
}
