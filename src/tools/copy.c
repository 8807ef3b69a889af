/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Life and steps of a copy; what its requests do stands in copy_slot.c. */
#include "tools/copy_priv.h"
#include "tools/words.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define HOLE_MAX (1ull << 30) /* zeroed with one request */

/* ---- errors ---- */

static void failed(struct copy *c, int err, const char *words, const char *what, const char *name,
                   uint64_t off)
{
    pthread_mutex_lock(&c->lock);
    if (!c->err)
        c->err =
            err_set(&c->why, err, "%s: %s at %llu: %s", name, what, (unsigned long long)off, words);
    pthread_mutex_unlock(&c->lock);
    copy_cancel(c);
}

void copy_failed(struct copy *c, int err, const char *what, const char *name, uint64_t off)
{
    failed(c, err, usan_strerror(err), what, name, off);
}

void copy_stream_failed(struct copy *c, const struct stream_req *r, const char *what,
                        const char *name)
{
    if (r->errnum == EPIPE) {
        pthread_mutex_lock(&c->lock);
        c->left = !c->err;
        pthread_mutex_unlock(&c->lock);
    }
    failed(c, r->err, r->errnum ? strerror(r->errnum) : usan_strerror(r->err), what, name, r->off);
}

bool copy_reader_left(const struct copy *c)
{
    return c->left;
}

static void add_words(struct copy *c, struct store *s)
{
    char words[160];
    if (!s)
        return;
    tools_store_words(s, words, sizeof(words));
    size_t n = strlen(c->why.text);
    (void)snprintf(c->why.text + n, sizeof(c->why.text) - n, "%s", words);
}

/* ---- steps ---- */

static void over(struct copy *c)
{
    uint64_t one = 1;
    if (atomic_fetch_sub(&c->active, 1) != 1)
        return;
    ssize_t n = write(c->fd, &one, sizeof(one)); /* can not be full */
    (void)n;
}

bool copy_slot_idle(struct copy_slot *s)
{
    over(s->w->copy);
    return false;
}

static void begin(struct loop_msg *m)
{
    struct copy_worker *w = list_entry(m, struct copy_worker, start);
    const struct copy *c = w->copy;
    bool first_only = c->step == COPY_FLUSH;
    for (uint32_t i = 0; i < (first_only ? 1 : c->cfg.depth); i++) {
        w->slots[i].next = copy_slot_begin;
        copy_slot_drive(&w->slots[i]);
    }
}

void copy_start(struct copy *c, enum copy_step step)
{
    unsigned workers = step == COPY_FLUSH ? 1 : c->workers;
    c->step = step;
    if (step != COPY_FLUSH) {
        cursor_fini(&c->cursor);
        cursor_init(&c->cursor, c->bytes, c->unit, c->cfg.chunk, HOLE_MAX);
        atomic_store(&c->done, 0);
        atomic_store(&c->written, 0);
        atomic_store(&c->zeroes, 0);
        atomic_store(&c->same, 0);
    }
    atomic_store(&c->active, step == COPY_FLUSH ? 1 : workers * c->cfg.depth);
    for (unsigned i = 0; i < workers; i++)
        loop_post(c->v[i].loop, &c->v[i].start);
}

void copy_cancel(struct copy *c)
{
    if (atomic_exchange(&c->halted, true))
        return;
    if (c->in)
        stream_stop(c->in);
    if (c->out)
        stream_stop(c->out);
}

int copy_fd(const struct copy *c)
{
    return c->fd;
}

int copy_step_end(struct copy *c, struct err_text *e)
{
    uint64_t n;
    ssize_t got = read(c->fd, &n, sizeof(n));
    assert(got == (ssize_t)sizeof(n) && atomic_load(&c->active) == 0);
    (void)got;
    if (c->err) {
        add_words(c, c->cfg.from);
        add_words(c, c->cfg.to);
        return err_set(e, c->err, "%s", c->why.text);
    }
    if (c->differs != UINT64_MAX)
        return err_set(e, USAN_EMISCOMPARE, "%s and %s differ %s byte %llu", c->cfg.from_name,
                       c->cfg.to_name, c->cfg.from ? "at" : "in the piece that begins at",
                       (unsigned long long)c->differs);
    if (atomic_load(&c->halted))
        return err_set(e, USAN_ECANCELED, "%s", usan_strerror(USAN_ECANCELED));
    return 0;
}

void copy_progress(const struct copy *c, struct copy_progress *ret)
{
    *ret = (struct copy_progress){ .done = atomic_load(&c->done),
                                   .written = atomic_load(&c->written),
                                   .zeroes = atomic_load(&c->zeroes),
                                   .same = atomic_load(&c->same) };
}

uint64_t copy_bytes(const struct copy *c)
{
    return c->bytes;
}

/* ---- life ---- */

static int slots_new(struct copy_worker *w)
{
    const struct copy_config *cfg = &w->copy->cfg;
    bool two = cfg->verify || cfg->differing;
    w->slots = calloc(cfg->depth, sizeof(*w->slots));
    if (!w->slots)
        return USAN_ENOMEM;
    for (uint32_t i = 0; i < cfg->depth; i++) {
        struct copy_slot *s = &w->slots[i];
        s->w = w;
        s->stream.msg.deliver = copy_slot_arrived;
        s->stream.loop = w->loop;
        void *p;
        if (posix_memalign(&p, 4096, cfg->chunk * (two ? 2 : 1)))
            return USAN_ENOMEM;
        s->buf = p;
        s->cmp = two ? s->buf + cfg->chunk : NULL;
    }
    return 0;
}

static int worker_new(struct copy *c, struct copy_worker *w, unsigned index)
{
    w->copy = c;
    w->loop = crew_loop(c->crew, index);
    w->start.deliver = begin;
    int err = c->cfg.from ? store_channel_open(c->cfg.from, w->loop, &w->from) : 0;
    if (!err && c->cfg.to)
        err = store_channel_open(c->cfg.to, w->loop, &w->to);
    return err ? err : slots_new(w);
}

static void worker_fini(struct copy_worker *w)
{
    for (uint32_t i = 0; w->slots && i < w->copy->cfg.depth; i++)
        free(w->slots[i].buf);
    free(w->slots);
    store_channel_close(w->from);
    store_channel_close(w->to);
}

void copy_free(struct copy *c)
{
    if (!c)
        return;
    stream_free(c->in);
    stream_free(c->out);
    if (c->crew)
        crew_stop(c->crew);
    for (unsigned i = 0; i < c->workers; i++)
        worker_fini(&c->v[i]);
    crew_free(c->crew);
    if (c->fd >= 0)
        close(c->fd);
    cursor_fini(&c->cursor);
    pthread_mutex_destroy(&c->lock);
    free(c->digests);
    free(c);
}

static int set_up(struct copy *c, struct err_text *e)
{
    const struct copy_config *cfg = &c->cfg;
    c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->fd < 0)
        return err_set(e, usan_err_from_errno(errno), "eventfd: %s", strerror(errno));
    int err = crew_new(cfg->threads, &cfg->loop, &c->crew, e);
    while (!err && c->workers < cfg->channels) {
        err = worker_new(c, &c->v[c->workers], c->workers);
        c->workers++;
        if (err)
            (void)err_set(e, err, "%s", usan_strerror(err));
    }
    if (!err && !cfg->from)
        err = stream_new(cfg->from_fd, false, &c->in, e);
    if (!err && !cfg->to)
        err = stream_new(cfg->to_fd, true, &c->out, e);
    return err ? err : crew_start(c->crew, e);
}

/* Whole blocks of both. */
static uint64_t unit_of(const struct copy_config *cfg)
{
    uint64_t from = cfg->from ? cfg->from->info.block_bytes : 1;
    uint64_t to = cfg->to ? cfg->to->info.block_bytes : 1;
    return from > to ? from : to;
}

int copy_new(const struct copy_config *cfg, struct copy **ret_copy, struct err_text *e)
{
    assert(cfg->channels && cfg->channels <= COPY_CHANNELS_MAX && cfg->depth);
    assert(cfg->to || !cfg->differing);
    struct copy *c = calloc(1, sizeof(*c));
    if (!c)
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    c->cfg = *cfg;
    c->fd = -1;
    c->bytes = cfg->bytes;
    c->differs = UINT64_MAX;
    c->unit = unit_of(cfg);
    if (c->cfg.sparse && c->cfg.sparse < c->unit)
        c->cfg.sparse = c->unit;
    cursor_init(&c->cursor, 0, c->unit, cfg->chunk, HOLE_MAX);
    pthread_mutex_init(&c->lock, NULL);
    int err = set_up(c, e);
    if (err) {
        copy_free(c);
        return err;
    }
    *ret_copy = c;
    return 0;
}
