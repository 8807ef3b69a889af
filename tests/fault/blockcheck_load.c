/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The requests of blockcheck, through libiscsi. */
#include "blockcheck.h"

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define REPORTED_MAX 10u

struct disk {
    struct iscsi_context *ctx;
    int lun;
    uint32_t block_bytes, cells;
};

struct load;

enum op { OP_READ, OP_WRITE, OP_SYNC, OP_UNMAP, OP_COMPARE, OP_MISCOMPARE };

static const char *const op_names[] = {
    [OP_READ] = "read",   [OP_WRITE] = "write",     [OP_SYNC] = "sync",
    [OP_UNMAP] = "unmap", [OP_COMPARE] = "compare", [OP_MISCOMPARE] = "miscompare",
};

struct slot {
    struct load *load;
    uint32_t first, count;
    enum op op;
    bool fua, busy;
    struct scsi_task *task; /* until it is done */
    bool aborting;          /* the answer to an ABORT TASK is under way: the slot stays busy */
    struct scsi_iovec iov;
    uint8_t *buf;
    uint32_t *snapshot; /* of the versions a SYNCHRONIZE CACHE makes durable */
};

struct load {
    struct disk *disk;
    struct model *model;
    const struct load_config *cfg;
    bool *locked; /* a request works on the cell */
    struct slot *slots;
    uint64_t rng, reads, writes, syncs, unmaps, compares, aborts, bytes;
    uint32_t in_flight, bad;
    bool stopping, gone, told;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t random_next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

/* ---- the disk ---- */

static void read_size(struct disk *d)
{
    struct scsi_task *task = iscsi_readcapacity16_sync(d->ctx, d->lun);
    struct scsi_readcapacity16 *rc = task ? scsi_datain_unmarshall(task) : NULL;
    if (!rc)
        stop("READ CAPACITY(16): %s", iscsi_get_error(d->ctx));
    d->block_bytes = rc->block_length;
    if (d->block_bytes == 0 || CELL_BYTES % d->block_bytes)
        stop("blocks of %u bytes", d->block_bytes);
    uint64_t cells = (rc->returned_lba + 1) / (CELL_BYTES / d->block_bytes);
    d->cells = cells < CELLS_MAX ? (uint32_t)cells : CELLS_MAX;
    if (d->cells < RUN_MAX)
        stop("the disk is too small");
    scsi_free_scsi_task(task);
}

struct disk *disk_open(const char *url, bool digests)
{
    struct disk *d = calloc(1, sizeof(*d));
    char name[64];
    snprintf(name, sizeof(name), "iqn.2025-01.io.usan.test:blockcheck-%d", (int)getpid());
    if (!d || !(d->ctx = iscsi_create_context(name)))
        stop("out of memory");
    struct iscsi_url *u = iscsi_parse_full_url(d->ctx, url);
    if (!u)
        stop("%s", iscsi_get_error(d->ctx));
    d->lun = u->lun;
    iscsi_set_noautoreconnect(d->ctx, 1);
    iscsi_set_timeout(d->ctx, 120);
    if (iscsi_set_targetname(d->ctx, u->target) ||
        iscsi_set_session_type(d->ctx, ISCSI_SESSION_NORMAL) ||
        iscsi_set_header_digest(d->ctx, digests ? ISCSI_HEADER_DIGEST_CRC32C
                                                : ISCSI_HEADER_DIGEST_NONE_CRC32C) ||
        iscsi_full_connect_sync(d->ctx, u->portal, u->lun))
        stop("%s", iscsi_get_error(d->ctx));
    iscsi_destroy_url(u);
    read_size(d);
    return d;
}

void disk_close(struct disk *d)
{
    if (d->ctx) {
        iscsi_logout_sync(d->ctx);
        iscsi_destroy_context(d->ctx);
    }
    free(d);
}

uint32_t disk_cells(const struct disk *d)
{
    return d->cells;
}

/* ---- the load ---- */

/* For those who wait until the load is under way. */
static void tell(struct load *l)
{
    if (l->told || l->writes < 100)
        return;
    puts("under way");
    fflush(stdout);
    l->told = true;
}

static void finish_write(struct load *l, const struct slot *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        struct cell *c = &l->model->cells[s->first + i];
        c->acked = c->written;
        if (s->fua)
            c->durable = c->acked;
    }
    l->writes++;
    l->bytes += (uint64_t)s->count * CELL_BYTES;
    tell(l);
}

static void finish_read(struct load *l, const struct slot *s)
{
    uint32_t version;
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t want = cell_shows(&l->model->cells[s->first + i]);
        if (!cell_check(l->model, s->first + i, s->buf + i * CELL_BYTES, want, want, &version))
            l->bad++;
    }
    l->reads++;
    l->bytes += (uint64_t)s->count * CELL_BYTES;
}

static void finish_unmap(struct load *l, const struct slot *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        struct cell *c = &l->model->cells[s->first + i];
        c->acked = c->zeroed = c->written;
    }
    l->unmaps++;
}

static void finish_sync(struct load *l, const struct slot *s)
{
    for (uint32_t i = 0; i < l->model->count; i++) {
        if (s->snapshot[i] > l->model->cells[i].durable)
            l->model->cells[i].durable = s->snapshot[i];
    }
    l->syncs++;
}

static void finish(struct load *l, const struct slot *s)
{
    switch (s->op) {
    case OP_READ:
        finish_read(l, s);
        break;
    case OP_WRITE:
        finish_write(l, s);
        break;
    case OP_SYNC:
        finish_sync(l, s);
        break;
    case OP_UNMAP:
        finish_unmap(l, s);
        break;
    case OP_COMPARE:
        finish_write(l, s);
        l->compares++;
        break;
    case OP_MISCOMPARE:
        fprintf(stderr, "cell %u: a COMPARE AND WRITE of data that is not there succeeded\n",
                s->first);
        l->bad++;
        break;
    }
}

/* Whether a status that is not GOOD is what was asked for. */
static bool wanted(const struct slot *s, int status, const struct scsi_task *t)
{
    if (s->aborting && status == SCSI_STATUS_CANCELLED)
        return true;
    /* SBC-4 5.3: MISCOMPARE, and nothing is written */
    return s->op == OP_MISCOMPARE && status == SCSI_STATUS_CHECK_CONDITION && t &&
           t->sense.key == SCSI_SENSE_MISCOMPARE;
}

static void release(struct slot *s)
{
    struct load *l = s->load;
    if (s->task || s->aborting)
        return;
    for (uint32_t i = 0; i < s->count; i++)
        l->locked[s->first + i] = false;
    s->busy = false;
    l->in_flight--;
}

static void on_done(struct iscsi_context *ctx, int status, void *data, void *private_data)
{
    struct slot *s = private_data;
    struct load *l = s->load;
    if (status == SCSI_STATUS_GOOD) {
        finish(l, s);
    } else if (wanted(s, status, data)) {
        l->compares += s->op == OP_MISCOMPARE;
    } else if (status == SCSI_STATUS_CANCELLED || status == SCSI_STATUS_ERROR || l->cfg->may_die) {
        l->gone = true;
    } else {
        fprintf(stderr, "cell %u, %s of %u: status %#x, %s\n", s->first, op_names[s->op], s->count,
                (unsigned)status, iscsi_get_error(ctx));
        l->bad++;
    }
    scsi_free_scsi_task(s->task);
    s->task = NULL;
    release(s);
}

/* RFC 7143 11.6.1: 0 function complete, 1 task does not exist: it has ended before. */
static void on_aborted(struct iscsi_context *ctx, int status, void *data, void *private_data)
{
    struct slot *s = private_data;
    const uint32_t *response = data;
    if (status != SCSI_STATUS_GOOD || !response) {
        s->load->gone = true;
    } else if (*response > 1) {
        fprintf(stderr, "ABORT TASK: response %u\n", *response);
        s->load->bad++;
    }
    if (s->task)
        iscsi_scsi_cancel_task(ctx, s->task);
    s->aborting = false;
    s->load->aborts++;
    release(s);
}

static uint32_t run_length(struct load *l)
{
    uint64_t r = random_next(&l->rng) % 100;
    if (r < 60)
        return 1;
    if (r < 95)
        return 1 + (uint32_t)(random_next(&l->rng) % 16);
    return 1 + (uint32_t)(random_next(&l->rng) % RUN_MAX);
}

/* Find cells that nobody works on; few tries, for the next completion frees some. */
static bool choose(struct load *l, struct slot *s)
{
    for (int tries = 0; tries < 8; tries++) {
        uint32_t count = run_length(l);
        uint32_t first = (uint32_t)(random_next(&l->rng) % (l->model->count - count + 1));
        bool is_free = true;
        for (uint32_t i = 0; i < count && is_free; i++)
            is_free = !l->locked[first + i];
        if (!is_free)
            continue;
        s->first = first;
        s->count = count;
        memset(l->locked + first, true, count);
        return true;
    }
    return false;
}

/* One turn of libiscsi; a target that is gone ends the load. */
static void serve_once(struct load *l)
{
    struct iscsi_context *ctx = l->disk->ctx;
    struct pollfd p = { .fd = iscsi_get_fd(ctx), .events = (short)iscsi_which_events(ctx) };
    if (poll(&p, 1, 1000) < 0 && errno != EINTR)
        stop("poll: %s", strerror(errno));
    if (iscsi_service(ctx, p.revents) < 0)
        l->gone = true;
}

/* Until everything that was issued is on its way. */
static void flush(struct load *l)
{
    while (!l->gone && iscsi_out_queue_length(l->disk->ctx) > 0)
        serve_once(l);
}

/* libiscsi takes an ABORT TASK that waits behind commands for one that is out of order: it goes
 * out by itself.
 */
static void abort_task(struct load *l, struct slot *s)
{
    const struct scsi_task *t = s->task;
    s->aborting = true; /* keeps the slot, also when the task is done meanwhile */
    flush(l);
    if (l->gone)
        return;
    if (s->task != t) {
        s->aborting = false;
        release(s);
        return;
    }
    if (iscsi_task_mgmt_abort_task_async(l->disk->ctx, s->task, on_aborted, s))
        stop("abort: %s", iscsi_get_error(l->disk->ctx));
    flush(l);
}

static bool percent(struct load *l, uint32_t p)
{
    return p && random_next(&l->rng) % 100 < p;
}

static enum op choose_op(struct load *l)
{
    const struct load_config *cfg = l->cfg;
    if (!percent(l, cfg->write_percent))
        return OP_READ;
    if (percent(l, cfg->unmap_percent))
        return OP_UNMAP;
    if (percent(l, cfg->compare_percent))
        return percent(l, 20) ? OP_MISCOMPARE : OP_COMPARE;
    return OP_WRITE;
}

/* New versions of the cells, at `buf`. */
static void fill_next(struct load *l, const struct slot *s, uint8_t *buf)
{
    for (uint32_t i = 0; i < s->count; i++) {
        struct cell *c = &l->model->cells[s->first + i];
        c->written++;
        cell_fill(l->model, s->first + i, c->written, buf + i * CELL_BYTES);
    }
}

static struct scsi_task *send_write(struct load *l, struct slot *s, uint64_t lba)
{
    const struct disk *d = l->disk;
    uint32_t bytes = s->count * CELL_BYTES;
    s->fua = percent(l, l->cfg->fua_percent);
    s->iov = (struct scsi_iovec){ .iov_base = s->buf, .iov_len = bytes };
    fill_next(l, s, s->buf);
    return iscsi_write16_iov_task(d->ctx, d->lun, lba, NULL, bytes, (int)d->block_bytes, 0, 0,
                                  s->fua, 0, 0, on_done, s, &s->iov, 1);
}

static struct scsi_task *send_read(struct load *l, struct slot *s, uint64_t lba)
{
    const struct disk *d = l->disk;
    uint32_t bytes = s->count * CELL_BYTES;
    s->iov = (struct scsi_iovec){ .iov_base = s->buf, .iov_len = bytes };
    return iscsi_read16_iov_task(d->ctx, d->lun, lba, bytes, (int)d->block_bytes, 0, 0, 0, 0, 0,
                                 on_done, s, &s->iov, 1);
}

static struct scsi_task *send_unmap(struct load *l, struct slot *s, uint64_t lba)
{
    const struct disk *d = l->disk;
    struct unmap_list range = { .lba = lba, .num = s->count * (CELL_BYTES / d->block_bytes) };
    for (uint32_t i = 0; i < s->count; i++)
        l->model->cells[s->first + i].written++;
    return iscsi_unmap_task(d->ctx, d->lun, 0, 0, &range, 1, on_done, s);
}

/* The data to compare with, then the data to write: of one cell. */
static struct scsi_task *send_compare(struct load *l, struct slot *s, uint64_t lba)
{
    const struct disk *d = l->disk;
    const struct cell *c = &l->model->cells[s->first];
    s->fua = false;
    if (s->op == OP_COMPARE) {
        cell_fill(l->model, s->first, cell_shows(c), s->buf);
        fill_next(l, s, s->buf + CELL_BYTES);
    } else {
        cell_fill(l->model, s->first, c->written + 1, s->buf);
        cell_fill(l->model, s->first, c->written + 2, s->buf + CELL_BYTES);
    }
    return iscsi_compareandwrite_task(d->ctx, d->lun, lba, s->buf, 2 * CELL_BYTES,
                                      (int)d->block_bytes, 0, 0, 0, 0, 0, on_done, s);
}

static void issue(struct load *l, struct slot *s)
{
    const struct disk *d = l->disk;
    if (!choose(l, s))
        return;
    s->op = choose_op(l);
    uint64_t lba = (uint64_t)s->first * (CELL_BYTES / d->block_bytes);
    if (s->op == OP_COMPARE || s->op == OP_MISCOMPARE) {
        memset(l->locked + s->first + 1, false, s->count - 1);
        s->count = 1;
        s->task = send_compare(l, s, lba);
    } else if (s->op == OP_WRITE) {
        s->task = send_write(l, s, lba);
    } else if (s->op == OP_UNMAP) {
        s->task = send_unmap(l, s, lba);
    } else {
        s->task = send_read(l, s, lba);
    }
    if (!s->task)
        stop("issue: %s", iscsi_get_error(d->ctx));
    s->busy = true;
    l->in_flight++;
    if (s->op == OP_READ && percent(l, l->cfg->abort_percent))
        abort_task(l, s);
}

static void issue_sync(struct load *l, struct slot *s)
{
    for (uint32_t i = 0; i < l->model->count; i++)
        s->snapshot[i] = l->model->cells[i].acked;
    s->op = OP_SYNC;
    s->count = 0;
    s->task = iscsi_synchronizecache16_task(l->disk->ctx, l->disk->lun, 0, 0, 0, 0, on_done, s);
    if (!s->task)
        stop("issue: %s", iscsi_get_error(l->disk->ctx));
    s->busy = true;
    l->in_flight++;
}

static void load_init(struct load *l, struct disk *d, struct model *m,
                      const struct load_config *cfg)
{
    *l = (struct load){ .disk = d, .model = m, .cfg = cfg, .rng = m->seed | 1 };
    l->rng ^= (uint64_t)(now() * 1e6) << 1;
    l->locked = calloc(m->count, sizeof(*l->locked));
    l->slots = calloc(cfg->depth + 1, sizeof(*l->slots));
    if (!l->locked || !l->slots)
        stop("out of memory");
    for (uint32_t i = 0; i <= cfg->depth; i++) {
        struct slot *s = &l->slots[i];
        s->load = l;
        s->buf = malloc((size_t)RUN_MAX * CELL_BYTES);
        s->snapshot = i == cfg->depth ? calloc(m->count, sizeof(*s->snapshot)) : NULL;
        if (!s->buf || (i == cfg->depth && !s->snapshot))
            stop("out of memory");
    }
}

static void load_fini(struct load *l)
{
    for (uint32_t i = 0; i <= l->cfg->depth; i++) {
        free(l->slots[i].buf);
        free(l->slots[i].snapshot);
    }
    free(l->slots);
    free(l->locked);
}

static int load_result(const struct load *l)
{
    printf("%llu reads, %llu writes, %llu syncs, ", (unsigned long long)l->reads,
           (unsigned long long)l->writes, (unsigned long long)l->syncs);
    if (l->cfg->unmap_percent || l->cfg->compare_percent || l->cfg->abort_percent)
        printf("%llu unmaps, %llu compares, %llu aborts, ", (unsigned long long)l->unmaps,
               (unsigned long long)l->compares, (unsigned long long)l->aborts);
    printf("%llu MiB, %u wrong%s\n", (unsigned long long)(l->bytes >> 20), l->bad,
           l->gone ? ", the target went away" : "");
    if (l->bad)
        return 1;
    return l->gone && !l->cfg->may_die ? 1 : 0;
}

int disk_load(struct disk *d, struct model *m, const struct load_config *cfg)
{
    struct load l;
    load_init(&l, d, m, cfg);
    double start = now(), next_sync = start + cfg->sync_seconds;
    struct slot *sync = &l.slots[cfg->depth];
    while (!l.gone && l.bad < REPORTED_MAX) {
        double t = now();
        l.stopping = t > start + cfg->seconds;
        if (l.stopping && !l.in_flight)
            break;
        for (uint32_t i = 0; i < cfg->depth && !l.stopping; i++) {
            if (!l.slots[i].busy)
                issue(&l, &l.slots[i]);
        }
        if (cfg->sync_seconds > 0 && t > next_sync && !sync->busy && !l.stopping) {
            issue_sync(&l, sync);
            next_sync = t + cfg->sync_seconds;
        }
        serve_once(&l);
    }
    if (l.gone || l.in_flight) {
        /* what was in flight is canceled; its versions stay uncertain */
        iscsi_destroy_context(d->ctx);
        d->ctx = NULL;
    }
    int rc = load_result(&l);
    load_fini(&l);
    return rc;
}

/* ---- the check ---- */

static bool check_cell(struct disk *d, struct model *m, uint32_t i, const uint8_t *buf,
                       const struct verify_config *cfg)
{
    struct cell *c = &m->cells[i];
    uint32_t oldest = cfg->acked ? c->acked : c->durable;
    uint32_t version = UINT32_MAX;
    if (c->zeroed && c->zeroed == c->written && c->zeroed == c->acked)
        return cell_check(m, i, buf, 0, 0, &version);
    bool open = cfg->garbage && oldest < c->written;
    if (!open && !cell_check(m, i, buf, oldest, c->written, &version))
        return false;
    if (version == UINT32_MAX) {
        uint8_t fresh[CELL_BYTES];
        version = c->written + 1;
        cell_fill(m, i, version, fresh);
        struct scsi_task *t =
            iscsi_write16_sync(d->ctx, d->lun, (uint64_t)i * (CELL_BYTES / d->block_bytes), fresh,
                               CELL_BYTES, (int)d->block_bytes, 0, 0, 1, 0, 0);
        if (!t || t->status != SCSI_STATUS_GOOD)
            stop("write: %s", iscsi_get_error(d->ctx));
        scsi_free_scsi_task(t);
        c->written = version;
    }
    c->acked = c->durable = version;
    return true;
}

int disk_verify(struct disk *d, struct model *m, const struct verify_config *cfg)
{
    uint32_t bad = 0, per_cell = CELL_BYTES / d->block_bytes;
    for (uint32_t i = 0; i < m->count && bad < REPORTED_MAX; i += RUN_MAX) {
        uint32_t n = m->count - i < RUN_MAX ? m->count - i : RUN_MAX;
        struct scsi_task *t = iscsi_read16_sync(d->ctx, d->lun, (uint64_t)i * per_cell,
                                                n * CELL_BYTES, (int)d->block_bytes, 0, 0, 0, 0, 0);
        if (!t || t->status != SCSI_STATUS_GOOD || (uint32_t)t->datain.size != n * CELL_BYTES)
            stop("read: %s", iscsi_get_error(d->ctx));
        for (uint32_t k = 0; k < n; k++)
            bad += !check_cell(d, m, i + k, t->datain.data + k * CELL_BYTES, cfg);
        scsi_free_scsi_task(t);
    }
    printf("%u cells checked, %u wrong\n", m->count, bad);
    return bad ? 1 : 0;
}
