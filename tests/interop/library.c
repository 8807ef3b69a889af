/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program that uses libusan by its headers only, for library.sh:
 *
 *     library load URL SECONDS     verified reads and writes from two threads, through two
 *                                  channels, and events in words
 *     library cancel URL           a read is cancelled while the target works on it
 *     library reset URL            a LOGICAL UNIT RESET, and requests before and after it
 *     library loop URL SECONDS     the same load from a loop, without a thread
 *     library refused URL          a disk that can not be opened
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <usan/usan.h>

enum { THREADS = 2, DEPTH = 8, BLOCKS = 256, BYTES = 4096 };

static atomic_ullong writes, reads;
static atomic_int wrong;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int complain(const char *what)
{
    printf("%s: %s\n", what, usan_error_text(NULL));
    return 1;
}

static void event(void *user, struct usan_disk *disk, enum usan_event event, const char *why)
{
    static const char *const names[] = {
        "", "lost", "back", "gave up", "resized", "failed", "path"
    };
    (void)user;
    (void)disk;
    printf("event: %s: %s\n", names[event], why);
    fflush(stdout);
}

/* ---- load ---- */

/* A set of requests of one thread: its blocks, and the version that each has. */
struct worker {
    pthread_t thread;
    struct usan_ctx *ctx; /* mode USAN_LOOP; NULL: others do the work */
    struct usan_disk *disk;
    unsigned no, seed;
    double end;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    int pending;
    uint32_t version[BLOCKS];
    unsigned char data[DEPTH][BYTES];
};

static void make(const struct worker *w, unsigned block, unsigned char *p)
{
    for (unsigned i = 0; i < BYTES; i += 8) {
        uint32_t head[2] = { w->no << 16 | block, w->version[block] + i };
        memcpy(p + i, head, sizeof(head));
    }
}

static void done(void *user, const struct usan_result *result)
{
    struct worker *w = user;
    if (result->code) {
        printf("request: %s\n", result->error->text);
        atomic_store(&wrong, 1);
    }
    pthread_mutex_lock(&w->lock);
    if (--w->pending == 0)
        pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

static void wait_all(struct worker *w)
{
    while (w->ctx && w->pending) {
        if (usan_ctx_wait(w->ctx, -1) < 0)
            abort();
    }
    pthread_mutex_lock(&w->lock);
    while (w->pending)
        pthread_cond_wait(&w->cond, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

static void begin(struct worker *w, unsigned block, unsigned char *p, int write)
{
    struct iovec iov[2] = { { p, 512 }, { p + 512, BYTES - 512 } };
    uint64_t off = ((uint64_t)w->no * BLOCKS + block) * BYTES;
    int err = write ? usan_write(w->disk, iov, 2, off, 0, done, w, NULL)
                    : usan_read(w->disk, iov, 2, off, 0, done, w, NULL);
    if (err) {
        complain("begin");
        abort();
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;
    unsigned char want[BYTES];
    while (seconds() < w->end && !atomic_load(&wrong)) {
        unsigned first = (unsigned)rand_r(&w->seed) % (BLOCKS - DEPTH);
        w->pending = DEPTH;
        for (unsigned i = 0; i < DEPTH; i++) {
            w->version[first + i]++;
            make(w, first + i, w->data[i]);
            begin(w, first + i, w->data[i], 1);
        }
        wait_all(w);
        atomic_fetch_add(&writes, DEPTH);
        memset(w->data, 0xee, sizeof(w->data));
        first = (unsigned)rand_r(&w->seed) % (BLOCKS - DEPTH);
        w->pending = DEPTH;
        for (unsigned i = 0; i < DEPTH; i++)
            begin(w, first + i, w->data[i], 0);
        wait_all(w);
        for (unsigned i = 0; i < DEPTH; i++) {
            make(w, first + i, want);
            if (w->version[first + i] && memcmp(want, w->data[i], BYTES) != 0) {
                printf("block %u of thread %u is not what was written\n", first + i, w->no);
                atomic_store(&wrong, 1);
            }
        }
        atomic_fetch_add(&reads, DEPTH);
    }
    return NULL;
}

static int load(const char *url, double duration, enum usan_mode mode)
{
    const struct usan_ctx_options co = { .size = sizeof(co), .mode = mode, .reactors = 2 };
    unsigned count = mode == USAN_LOOP ? 1 : THREADS;
    const struct usan_open_options oo = { .size = sizeof(oo), .channels = count, .event = event };
    struct worker *w = calloc(count, sizeof(*w));
    struct usan_ctx *ctx;
    struct usan_disk *disk;
    if (!w || usan_ctx_new(&co, &ctx) || usan_open_wait(ctx, url, &oo, &disk))
        return complain("open");
    printf("under way\n");
    fflush(stdout);
    for (unsigned i = 0; i < count; i++) {
        w[i].ctx = mode == USAN_LOOP ? ctx : NULL;
        w[i].disk = disk;
        w[i].no = i;
        w[i].seed = i + 1;
        w[i].end = seconds() + duration;
        pthread_mutex_init(&w[i].lock, NULL);
        pthread_cond_init(&w[i].cond, NULL);
        if (mode == USAN_LOOP)
            work(&w[i]);
        else if (pthread_create(&w[i].thread, NULL, work, &w[i]))
            abort();
    }
    for (unsigned i = 0; mode != USAN_LOOP && i < count; i++)
        pthread_join(w[i].thread, NULL);
    usan_close_wait(disk);
    if (usan_ctx_free(ctx))
        return complain("end");
    printf("%llu writes, %llu reads, %s\n", (unsigned long long)writes, (unsigned long long)reads,
           wrong ? "WRONG" : "all right");
    free(w);
    return wrong;
}

/* ---- cancel, reset ---- */

struct outcome {
    int calls, code;
};

static void noted(void *user, const struct usan_result *result)
{
    struct outcome *o = user;
    o->calls++;
    o->code = result->code;
    if (result->code)
        printf("%s\n", result->error->text);
}

static int cancel(const char *url)
{
    static unsigned char data[BYTES];
    struct iovec iov = { data, sizeof(data) };
    struct outcome o = { 0, 0 };
    struct usan_ctx *ctx;
    struct usan_disk *disk;
    uint64_t id;
    double start;
    if (usan_ctx_new(NULL, &ctx) || usan_open_wait(ctx, url, NULL, &disk) || usan_pflush(disk))
        return complain("open");
    if (usan_read(disk, &iov, 1, 0, 0, noted, &o, &id))
        return complain("read");
    start = seconds();
    while (seconds() < start + 0.3) /* until the target has it */
        usan_ctx_wait(ctx, 50);
    if (o.calls || usan_cancel(ctx, id))
        return complain("cancel");
    while (!o.calls)
        usan_ctx_wait(ctx, -1);
    printf("over after %.1f s with code %d\n", seconds() - start, o.code);
    usan_close_wait(disk);
    if (usan_cancel(ctx, id) != USAN_ERR_NOENT || usan_ctx_free(ctx))
        return complain("end");
    return o.calls != 1 || o.code != USAN_ERR_CANCELED;
}

static int reset(const char *url)
{
    static unsigned char data[BYTES];
    struct usan_disk *disk;
    if (usan_open_wait(NULL, url, NULL, &disk))
        return complain("open");
    if (usan_pread(disk, data, BYTES, 0) || usan_tmf_wait(disk, USAN_TMF_LOGICAL_UNIT_RESET) ||
        usan_pread(disk, data, BYTES, 0) || usan_pwrite(disk, data, BYTES, 0, USAN_FUA))
        return complain("reset");
    usan_close_wait(disk);
    return 0;
}

static int refused(const char *url)
{
    struct usan_ctx *ctx;
    struct usan_disk *disk;
    if (usan_ctx_new(NULL, &ctx) || usan_open_wait(ctx, url, NULL, &disk) == 0)
        return complain("refused");
    printf("%s\n", usan_error_text(NULL));
    return usan_ctx_free(ctx) != 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "load") == 0)
        return load(argv[2], strtod(argv[3], NULL), USAN_REACTORS);
    if (argc == 4 && strcmp(argv[1], "loop") == 0)
        return load(argv[2], strtod(argv[3], NULL), USAN_LOOP);
    if (argc == 3 && strcmp(argv[1], "cancel") == 0)
        return cancel(argv[2]);
    if (argc == 3 && strcmp(argv[1], "reset") == 0)
        return reset(argv[2]);
    if (argc == 3 && strcmp(argv[1], "refused") == 0)
        return refused(argv[2]);
    fprintf(stderr, "usage: library load|loop|cancel|reset|refused URL [SECONDS]\n");
    return 2;
}
