/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib_world.h"

#include <poll.h>
#include <time.h>

#define SECONDS 60

struct world w;
const enum usan_mode loop = USAN_LOOP, queue = USAN_QUEUE, reactors = USAN_REACTORS;

/* ---- waiting ---- */

double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void turn(void)
{
    if (w.mode == USAN_REACTORS) {
        struct timespec nap = { .tv_nsec = 1000 * 1000 };
        nanosleep(&nap, NULL);
        return;
    }
    struct pollfd p = { .fd = usan_ctx_fd(w.ctx), .events = POLLIN };
    int own = usan_ctx_timeout_ms(w.ctx);
    assert_true(poll(&p, 1, own >= 0 && own < 100 ? own : 100) >= 0);
    assert_true(usan_ctx_process(w.ctx) >= 0);
}

void wait_for(const atomic_uint *what, unsigned count)
{
    double end = seconds() + SECONDS;
    while (atomic_load(what) < count) {
        turn();
        assert_true(seconds() < end);
    }
}

void keep(void *user, const struct usan_result *r)
{
    struct kept *k = user;
    k->id = r->id;
    k->code = r->code;
    k->disk = r->disk;
    k->tmf_response = r->tmf_response;
    k->targets = (unsigned)r->target_count;
    if (r->target_count)
        snprintf(k->target, sizeof(k->target), "%s", r->targets[0].name);
    if (r->error) {
        k->error = *r->error;
        snprintf(k->text, sizeof(k->text), "%s", r->error->text);
        assert_string_equal(k->text, usan_error_text(NULL));
    }
    if (r->scsi) {
        k->scsi = *r->scsi;
        if (r->scsi->sense)
            memcpy(k->sense, r->scsi->sense, r->scsi->sense_len < 64 ? r->scsi->sense_len : 64);
    }
    atomic_fetch_add(&k->calls, 1);
}

int ended(int err, struct kept *k)
{
    if (err)
        return err;
    wait_for(&k->calls, 1);
    assert_int_equal(atomic_load(&k->calls), 1);
    return k->code;
}

void says(const char *text, const char *words)
{
    if (!strstr(text, words))
        fail_msg("'%s' does not say '%s'", text, words);
}

/* ---- set-up ---- */

static void event(void *user, struct usan_disk *disk, enum usan_event event, const char *why)
{
    assert_ptr_equal(user, &w);
    assert_non_null(disk);
    assert_true(*why);
    atomic_fetch_add(&w.events[event], 1);
}

const struct usan_open_options watched = { .size = sizeof(watched),
                                           .event = event,
                                           .event_user = &w };

void begin(enum usan_mode mode, unsigned threads)
{
    const struct usan_ctx_options o = { .size = sizeof(o), .mode = mode, .reactors = threads };
    memset(&w, 0, sizeof(w));
    w.mode = mode;
    assert_int_equal(usan_ctx_new(&o, &w.ctx), 0);
}

void begin_rig(enum usan_mode mode, const char *options)
{
    begin_filtered(mode, "", options);
}

void begin_filtered(enum usan_mode mode, const char *filters, const char *options)
{
    struct kept k = { .code = 0 };
    begin(mode, 1);
    w.rig = rig_start();
    snprintf(w.url, sizeof(w.url), "%siscsi://127.0.0.1:%u/" RIG_TARGET "/0%s", filters,
             w.rig->portals[0].port, options);
    if (ended(usan_open(w.ctx, w.url, &watched, keep, &k, NULL), &k))
        fail_msg("%s", k.text);
    assert_non_null(w.disk = k.disk);
    atomic_store(&w.rig->log_count, 0);
}

void close_disk(void)
{
    struct kept k = { .code = 1 };
    if (!w.disk)
        return;
    usan_close(w.disk, keep, &k);
    w.disk = NULL;
    assert_int_equal(ended(0, &k), 0);
}

void end(void)
{
    close_disk();
    assert_int_equal(usan_ctx_free(w.ctx), 0);
    if (w.rig)
        rig_stop(w.rig);
}

enum usan_mode mode_of(void **st)
{
    return *(const enum usan_mode *)*st;
}

uint8_t data[64 * B], back[64 * B];

int rw(bool write, void *buf, size_t len, uint64_t off, unsigned flags, struct kept *k)
{
    struct iovec iov = { buf, len };
    memset(k, 0, sizeof(*k));
    return ended(write ? usan_write(w.disk, &iov, 1, off, flags, keep, k, NULL)
                       : usan_read(w.disk, &iov, 1, off, flags, keep, k, NULL),
                 k);
}

void fill(unsigned seed)
{
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7 + i / B + seed);
}
