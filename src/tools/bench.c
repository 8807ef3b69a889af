/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/bench.h"

#include "io/clock.h"
#include "tools/crew.h"
#include "tools/words.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

struct worker;

struct slot {
    struct worker *w;
    struct bio bio;
    struct iovec iov;
    uint64_t start_ns;
    uint8_t *buf; /* for what is read */
};

/* A channel with its requests; of one thread but for ops. */
struct worker {
    struct bench *b;
    struct loop *loop;
    struct store_channel *ch;
    struct loop_msg start;
    struct slot *slots;
    uint8_t *written; /* by every write: it stays in the processor's cache at any depth */
    uint64_t rng, next_block;
    struct hist latency[BENCH_KINDS];
    uint64_t ops; /* written here only, read by others */
};

struct bench {
    struct bench_config cfg;
    uint64_t blocks; /* of range_bytes, of block_bytes each */
    struct crew *crew;
    int fd;
    uint64_t start_ns, cpu_ns;
    _Atomic uint64_t from_ns; /* requests submitted before do not count */
    struct bench_result result;
    atomic_uint active;
    atomic_bool stopped;
    pthread_mutex_t lock; /* of what follows */
    int err;
    struct err_text why;
    unsigned workers;
    struct worker *v[BENCH_CHANNELS_MAX];
};

static uint64_t cpu_now_ns(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * NS_PER_SEC +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * NS_PER_US;
}

/* xorshift64* */
static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545f4914f6cdd1dull;
}

static uint64_t random_below(uint64_t *state, uint64_t n)
{
    return (uint64_t)((unsigned __int128)next_random(state) * n >> 64);
}

/* ---- requests ---- */

static void issue(struct slot *s);

static void idle(struct bench *b)
{
    uint64_t one = 1;
    if (atomic_fetch_sub(&b->active, 1) != 1)
        return;
    ssize_t n = write(b->fd, &one, sizeof(one)); /* can not be full */
    (void)n;
}

static void failed(struct bench *b, const struct bio *bio)
{
    pthread_mutex_lock(&b->lock);
    if (!b->err)
        b->err = err_set(&b->why, bio->err, "%s at %llu: %s",
                         bio->op == BIO_READ ? "reading" : "writing", (unsigned long long)bio->off,
                         usan_strerror(bio->err));
    pthread_mutex_unlock(&b->lock);
    atomic_store(&b->stopped, true);
}

static void bio_done(struct bio *bio)
{
    struct slot *s = list_entry(bio, struct slot, bio);
    struct worker *w = s->w;
    struct bench *b = w->b;
    if (bio->err)
        failed(b, bio);
    if (atomic_load_explicit(&b->stopped, memory_order_relaxed)) {
        idle(b);
        return;
    }
    if (s->start_ns >= atomic_load_explicit(&b->from_ns, memory_order_relaxed))
        hist_add(&w->latency[bio->op == BIO_READ ? BENCH_READ : BENCH_WRITE],
                 clock_now_ns() - s->start_ns);
    __atomic_store_n(&w->ops, w->ops + 1, __ATOMIC_RELAXED);
    issue(s);
}

static void issue(struct slot *s)
{
    struct worker *w = s->w;
    const struct bench *b = w->b;
    const struct bench_config *cfg = &b->cfg;
    uint64_t block = w->next_block;
    if (cfg->sequential)
        w->next_block = block + 1 < b->blocks ? block + 1 : 0;
    else
        block = random_below(&w->rng, b->blocks);
    bool read = cfg->read_percent >= 100 ||
                (cfg->read_percent && random_below(&w->rng, 100) < cfg->read_percent);
    s->iov = (struct iovec){ .iov_base = read ? s->buf : w->written,
                             .iov_len = (size_t)cfg->block_bytes };
    s->bio = (struct bio){ .op = read ? BIO_READ : BIO_WRITE,
                           .off = block * cfg->block_bytes,
                           .len = cfg->block_bytes,
                           .iov = &s->iov,
                           .iovcnt = 1,
                           .done = bio_done };
    s->start_ns = clock_now_ns();
    store_submit(w->ch, &s->bio);
}

static void begin(struct loop_msg *m)
{
    struct worker *w = list_entry(m, struct worker, start);
    for (uint32_t i = 0; i < w->b->cfg.depth; i++)
        issue(&w->slots[i]);
}

/* ---- the measurement ---- */

void bench_start(struct bench *b)
{
    atomic_store(&b->active, b->workers * b->cfg.depth);
    atomic_store(&b->from_ns, UINT64_MAX);
    for (unsigned i = 0; i < b->workers; i++)
        loop_post(b->v[i]->loop, &b->v[i]->start);
}

void bench_measure(struct bench *b)
{
    b->start_ns = clock_now_ns();
    b->cpu_ns = cpu_now_ns();
    atomic_store(&b->from_ns, b->start_ns);
}

uint64_t bench_ops(const struct bench *b)
{
    uint64_t ops = 0;
    for (unsigned i = 0; i < b->workers; i++)
        ops += __atomic_load_n(&b->v[i]->ops, __ATOMIC_RELAXED);
    return ops;
}

void bench_stop(struct bench *b)
{
    atomic_store(&b->stopped, true);
    if (!b->start_ns)
        return;
    b->result.ns = clock_now_ns() - b->start_ns;
    b->result.cpu_ns = cpu_now_ns() - b->cpu_ns;
}

int bench_fd(const struct bench *b)
{
    return b->fd;
}

int bench_end(struct bench *b, struct bench_result *ret, struct err_text *e)
{
    assert(atomic_load(&b->active) == 0);
    if (b->err) {
        char words[160];
        tools_store_words(b->cfg.store, words, sizeof(words));
        return err_set(e, b->err, "%s%s", b->why.text, words);
    }
    for (unsigned i = 0; i < b->workers; i++) {
        for (int k = 0; k < BENCH_KINDS; k++)
            hist_merge(&b->result.latency[k], &b->v[i]->latency[k]);
    }
    *ret = b->result;
    return 0;
}

/* ---- life ---- */

static int block_new(struct worker *w, uint8_t **ret_block)
{
    size_t bytes = (size_t)w->b->cfg.block_bytes;
    void *p;
    if (posix_memalign(&p, 4096, bytes))
        return USAN_ENOMEM;
    /* Data that can be neither left out nor packed. */
    for (size_t at = 0; at + 8 <= bytes; at += 8) {
        uint64_t v = next_random(&w->rng);
        memcpy((uint8_t *)p + at, &v, 8);
    }
    *ret_block = p;
    return 0;
}

static int slots_new(struct worker *w)
{
    const struct bench_config *cfg = &w->b->cfg;
    w->slots = calloc(cfg->depth, sizeof(*w->slots));
    if (!w->slots)
        return USAN_ENOMEM;
    int err = cfg->read_percent < 100 ? block_new(w, &w->written) : 0;
    for (uint32_t i = 0; i < cfg->depth && !err; i++) {
        w->slots[i].w = w;
        if (cfg->read_percent)
            err = block_new(w, &w->slots[i].buf);
    }
    return err;
}

static int worker_new(struct bench *b, unsigned index)
{
    struct worker *w = calloc(1, sizeof(*w));
    if (!w)
        return USAN_ENOMEM;
    b->v[b->workers++] = w;
    w->b = b;
    w->loop = crew_loop(b->crew, index % b->cfg.threads);
    w->start.deliver = begin;
    w->rng = (b->cfg.seed + 1 + index) * 0x9e3779b97f4a7c15ull | 1;
    w->next_block = b->blocks / b->cfg.channels * index;
    int err = store_channel_open(b->cfg.store, w->loop, &w->ch);
    return err ? err : slots_new(w);
}

static void worker_free(struct worker *w)
{
    for (uint32_t i = 0; w->slots && i < w->b->cfg.depth; i++)
        free(w->slots[i].buf);
    free(w->slots);
    free(w->written);
    store_channel_close(w->ch);
    free(w);
}

void bench_free(struct bench *b)
{
    if (!b)
        return;
    if (b->crew)
        crew_stop(b->crew);
    for (unsigned i = 0; i < b->workers; i++)
        worker_free(b->v[i]);
    crew_free(b->crew);
    if (b->fd >= 0)
        close(b->fd);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

int bench_new(const struct bench_config *cfg, struct bench **ret_bench, struct err_text *e)
{
    assert(cfg->channels && cfg->channels <= BENCH_CHANNELS_MAX && cfg->depth && cfg->block_bytes);
    struct bench *b = calloc(1, sizeof(*b));
    if (!b)
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    b->cfg = *cfg;
    b->blocks = cfg->range_bytes / cfg->block_bytes;
    pthread_mutex_init(&b->lock, NULL);
    b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int err = b->fd < 0 ? err_set(e, usan_err_from_errno(errno), "eventfd: %s", strerror(errno))
                        : crew_new(cfg->threads, &cfg->loop, &b->crew, e);
    for (unsigned i = 0; !err && i < cfg->channels; i++) {
        err = worker_new(b, i);
        if (err)
            (void)err_set(e, err, "%s", usan_strerror(err));
    }
    if (!err)
        err = crew_start(b->crew, e);
    if (err) {
        bench_free(b);
        return err;
    }
    *ret_bench = b;
    return 0;
}
