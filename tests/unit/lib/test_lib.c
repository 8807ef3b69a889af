/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libusan through its headers, in each mode, on memory and on a target in this process. */
#include "../initiator/target_rig.h"

#include <usan/usan.h>

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define B       512u
#define SECONDS 30

static struct {
    struct rig *rig;
    struct usan_ctx *ctx;
    enum usan_mode mode;
    struct usan_disk *disk;
    char url[256];
    atomic_uint events[USAN_EVENT_FAILED + 1];
} w;

/* ---- waiting ---- */

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One turn of the program's loop. */
static void turn(void)
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

static void wait_for(const atomic_uint *what, unsigned count)
{
    double end = seconds() + SECONDS;
    while (atomic_load(what) < count) {
        turn();
        assert_true(seconds() < end);
    }
}

/* A result, kept. */
struct kept {
    atomic_uint calls;
    uint64_t id;
    int code;
    struct usan_error error;
    char text[512];
    struct usan_disk *disk;
    struct usan_scsi_result scsi;
    uint8_t sense[64];
    int tmf_response;
    unsigned targets;
    char target[224];
};

static void keep(void *user, const struct usan_result *r)
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

/* The request was begun (err 0) and ends with its code. */
static int ended(int err, struct kept *k)
{
    if (err)
        return err;
    wait_for(&k->calls, 1);
    assert_int_equal(atomic_load(&k->calls), 1);
    return k->code;
}

static void says(const char *text, const char *words)
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

static const struct usan_open_options watched = { .size = sizeof(watched),
                                                  .event = event,
                                                  .event_user = &w };

static void begin(enum usan_mode mode, unsigned reactors)
{
    const struct usan_ctx_options o = { .size = sizeof(o), .mode = mode, .reactors = reactors };
    memset(&w, 0, sizeof(w));
    w.mode = mode;
    assert_int_equal(usan_ctx_new(&o, &w.ctx), 0);
}

static void begin_rig(enum usan_mode mode, const char *options)
{
    struct kept k = { .code = 0 };
    begin(mode, 1);
    w.rig = rig_start();
    snprintf(w.url, sizeof(w.url), "iscsi://127.0.0.1:%u/" RIG_TARGET "/0%s",
             w.rig->portals[0].port, options);
    if (ended(usan_open(w.ctx, w.url, &watched, keep, &k, NULL), &k))
        fail_msg("%s", k.text);
    assert_non_null(w.disk = k.disk);
    atomic_store(&w.rig->log_count, 0);
}

static void close_disk(void)
{
    struct kept k = { .code = 1 };
    if (!w.disk)
        return;
    usan_close(w.disk, keep, &k);
    w.disk = NULL;
    assert_int_equal(ended(0, &k), 0);
}

static void end(void)
{
    close_disk();
    assert_int_equal(usan_ctx_free(w.ctx), 0);
    if (w.rig)
        rig_stop(w.rig);
}

static enum usan_mode mode_of(void **st)
{
    return *(const enum usan_mode *)*st;
}

/* ---- contexts ---- */

static void contexts(void **st)
{
    (void)st;
    struct usan_ctx *ctx = NULL;
    struct usan_ctx_options o = { .size = 0 };
    assert_int_equal(usan_ctx_new(&o, &ctx), USAN_ERR_INVAL);
    says(usan_error_text(NULL), "size");
    assert_int_equal(usan_last_error()->code, USAN_ERR_INVAL);
    assert_int_equal(usan_last_error()->status, -1);
    o.size = sizeof(o);
    o.mode = (enum usan_mode)7;
    assert_int_equal(usan_ctx_new(&o, &ctx), USAN_ERR_INVAL);
    o.mode = USAN_REACTORS;
    o.reactors = USAN_REACTORS_MAX + 1;
    assert_int_equal(usan_ctx_new(&o, &ctx), USAN_ERR_RANGE);
    assert_int_equal(usan_ctx_free(NULL), 0);

    assert_int_equal(usan_ctx_new(NULL, &ctx), 0); /* USAN_LOOP, with nothing to do */
    assert_true(usan_ctx_fd(ctx) >= 0);
    assert_true(usan_ctx_deadline(ctx) == USAN_NEVER);
    assert_int_equal(usan_ctx_timeout_ms(ctx), -1);
    assert_int_equal(usan_ctx_wait(ctx, 10), 0);
    assert_int_equal(usan_cancel(ctx, 0), USAN_ERR_NOENT);
    assert_int_equal(usan_cancel(ctx, 12345), USAN_ERR_NOENT);
    assert_int_equal(usan_ctx_free(ctx), 0);

    o.reactors = 3;
    assert_int_equal(usan_ctx_new(&o, &ctx), 0);
    assert_int_equal(usan_ctx_fd(ctx), -1);
    assert_int_equal(usan_ctx_process(ctx), USAN_ERR_INVAL);
    assert_int_equal(usan_ctx_free(ctx), 0);
    assert_string_equal(usan_code_text(USAN_ERR_TIMEOUT), "timed out");
    assert_true(strlen(usan_version()) >= 5);
}

/* ---- opening ---- */

static void bad_opens(void **st)
{
    struct kept k = { .code = 0 };
    struct usan_open_options o = { .size = sizeof(o), .channels = USAN_CHANNELS_MAX + 1 };
    begin(mode_of(st), 2);
    w.rig = rig_start();
    assert_int_equal(usan_open(w.ctx, "ram:1M", &o, keep, &k, NULL), USAN_ERR_INVAL);
    o = (struct usan_open_options){ .size = 1 };
    assert_int_equal(usan_open(w.ctx, "ram:1M", &o, keep, &k, NULL), USAN_ERR_INVAL);
    assert_int_equal(usan_open(w.ctx, "ram:1M", NULL, NULL, &k, NULL), USAN_ERR_INVAL);

    static const struct {
        const char *spec;
        int code;
        const char *words;
    } bad[] = {
        { "nosuch:1", USAN_ERR_NOENT, "unknown back end 'nosuch'" },
        { "/nonexistent/disk", USAN_ERR_NOENT, "/nonexistent/disk" },
        { "iscsi://127.0.0.1:1/iqn.2025-01.io.usan:x/0", USAN_ERR_IO, "Connection refused" },
        { "iscsi://u%secret@127.0.0.1:1/iqn.2025-01.io.usan:x/0", USAN_ERR_IO, "127.0.0.1:1" },
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        memset(&k, 0, sizeof(k));
        assert_int_equal(ended(usan_open(w.ctx, bad[i].spec, NULL, keep, &k, NULL), &k),
                         bad[i].code);
        says(k.text, bad[i].words);
        assert_null(strstr(k.text, "secret"));
        assert_null(k.disk);
    }
    memset(&k, 0, sizeof(k));
    snprintf(w.url, sizeof(w.url), "iscsi://127.0.0.1:%u/iqn.2025-01.io.usan:no/0",
             w.rig->portals[0].port);
    assert_int_not_equal(ended(usan_open(w.ctx, w.url, NULL, keep, &k, NULL), &k), 0);
    says(k.text, "no such target"); /* login status 0203h in words */
    end();
}

/* The answer to the login never comes; nobody waits for that. */
static void cancelled_open(void **st)
{
    struct kept k = { .code = 0 };
    uint64_t id = 0;
    begin(mode_of(st), 1);
    w.rig = rig_start();
    snprintf(w.url, sizeof(w.url), "iscsi://127.0.0.1:%u/" RIG_TARGET "/0?login_timeout=1s",
             w.rig->portals[0].port);
    atomic_store(&w.rig->freeze, true);
    double start = seconds();
    assert_int_equal(usan_open(w.ctx, w.url, NULL, keep, &k, &id), 0);
    assert_int_equal(usan_cancel(w.ctx, id), 0);
    assert_int_equal(ended(0, &k), USAN_ERR_CANCELED);
    assert_true(seconds() - start < 0.9);
    assert_true(k.id == id);
    assert_int_equal(usan_cancel(w.ctx, id), USAN_ERR_NOENT);
    atomic_store(&w.rig->freeze, false);

    memset(&k, 0, sizeof(k)); /* one that would succeed; the context ends after it */
    assert_int_equal(usan_open(w.ctx, w.url, NULL, keep, &k, &id), 0);
    (void)usan_cancel(w.ctx, id);
    if (ended(0, &k) == 0)
        w.disk = k.disk;
    end();
}

static void properties(void **st)
{
    struct usan_disk_info i = { .size = sizeof(i) };
    begin_rig(mode_of(st), "");
    assert_int_equal(usan_disk_info(w.disk, &i), 0);
    assert_int_equal(i.size_bytes, RIG_BLOCKS * B);
    assert_int_equal(usan_disk_size(w.disk), RIG_BLOCKS * B);
    assert_int_equal(i.block_bytes, B);
    assert_int_equal(i.phys_block_bytes, 4096);
    assert_int_equal(i.trim_bytes, 8 * B);
    assert_int_equal(i.channels, 1);
    assert_int_equal(i.flags, USAN_DISK_FLUSH | USAN_DISK_FUA | USAN_DISK_TRIM |
                                  USAN_DISK_TRIM_ZEROES | USAN_DISK_COMPARE_AND_WRITE |
                                  USAN_DISK_SCSI | (i.flags & USAN_DISK_ROTATIONAL));
    assert_string_equal(i.vendor, "RIG");
    assert_string_equal(i.product, "TEST DISK");
    assert_string_equal(i.serial, "SERIAL");
    assert_ptr_equal(usan_disk_ctx(w.disk), w.ctx);
    struct usan_disk_info old = { .size = offsetof(struct usan_disk_info, block_bytes) };
    assert_int_equal(usan_disk_info(w.disk, &old), 0); /* of a program with an older header */
    assert_int_equal(old.size_bytes, RIG_BLOCKS * B);
    assert_int_equal(old.block_bytes, 0);
    old.size = 0;
    assert_int_equal(usan_disk_info(w.disk, &old), USAN_ERR_INVAL);
    end();
}

/* ---- requests ---- */

static uint8_t data[64 * B], back[64 * B];

static int rw(bool write, void *buf, size_t len, uint64_t off, unsigned flags, struct kept *k)
{
    struct iovec iov = { buf, len };
    memset(k, 0, sizeof(*k));
    return ended(write ? usan_write(w.disk, &iov, 1, off, flags, keep, k, NULL)
                       : usan_read(w.disk, &iov, 1, off, flags, keep, k, NULL),
                 k);
}

static void fill(unsigned seed)
{
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7 + i / B + seed);
}

/* In many pieces that lie apart, in another order than they are read in. */
static void scattered(struct kept *k)
{
    struct iovec out[32], in[16];
    fill(9);
    memset(back, 0, sizeof(back));
    for (size_t i = 0; i < 32; i++)
        out[i] = (struct iovec){ data + i * 2 * B, B };
    for (size_t i = 0; i < 16; i++)
        in[i] = (struct iovec){ back + i * 4 * B, 2 * B };
    memset(k, 0, sizeof(*k));
    int err = usan_write(w.disk, out, 32, 64 * B, USAN_FUA, keep, k, NULL);
    memset(out, 0, sizeof(out)); /* the array is not needed any more */
    assert_int_equal(ended(err, k), 0);
    memset(k, 0, sizeof(*k));
    err = usan_read(w.disk, in, 16, 64 * B, 0, keep, k, NULL);
    memset(in, 0, sizeof(in));
    assert_int_equal(ended(err, k), 0);
    for (size_t i = 0; i < 16; i++) {
        assert_memory_equal(back + i * 4 * B, data + i * 4 * B, B);
        assert_memory_equal(back + i * 4 * B + B, data + i * 4 * B + 2 * B, B);
    }
}

static void everything(void)
{
    struct kept k;
    fill(1);
    assert_int_equal(rw(true, data, sizeof(data), 0, 0, &k), 0);
    assert_int_equal(rw(false, back, sizeof(back), 0, USAN_DONTCACHE, &k), 0);
    assert_memory_equal(back, data, sizeof(data));
    scattered(&k);
    fill(1);
    memset(&k, 0, sizeof(k));
    assert_int_equal(ended(usan_flush(w.disk, keep, &k, NULL), &k), 0);
    memset(&k, 0, sizeof(k));
    assert_int_equal(ended(usan_write_zeroes(w.disk, 8 * B, 8 * B, USAN_FUA, keep, &k, NULL), &k),
                     0);
    memset(&k, 0, sizeof(k));
    assert_int_equal(ended(usan_trim(w.disk, 24 * B, 8 * B, 0, keep, &k, NULL), &k), 0);
    assert_int_equal(rw(false, back, 32 * B, 0, 0, &k), 0);
    static const uint8_t zeroes[8 * B];
    assert_memory_equal(back + 8 * B, zeroes, 8 * B);
    assert_memory_equal(back + 16 * B, data + 16 * B, 8 * B);
    assert_memory_equal(back + 24 * B, zeroes, 8 * B);
    assert_int_equal(rw(false, NULL, 0, 0, 0, &k), 0); /* nothing at all */
}

static void wrong(void)
{
    struct kept k = { .code = 0 };
    struct iovec iov = { data, B }, odd[2] = { { data, B }, { data, 1 } };
    uint64_t size = usan_disk_size(w.disk);
    assert_int_equal(usan_read(w.disk, &iov, 1, 0, USAN_FUA, keep, &k, NULL), USAN_ERR_INVAL);
    assert_int_equal(usan_read(w.disk, &iov, 1, 0, 0, NULL, &k, NULL), USAN_ERR_INVAL);
    assert_int_equal(usan_read(w.disk, &iov, -1, 0, 0, keep, &k, NULL), USAN_ERR_INVAL);
    assert_int_equal(usan_read(w.disk, &iov, USAN_IOV_MAX + 1, 0, 0, keep, &k, NULL),
                     USAN_ERR_INVAL);
    assert_int_equal(usan_compare_and_write(w.disk, odd, 2, 0, 0, keep, &k, NULL), USAN_ERR_INVAL);
    assert_int_equal(atomic_load(&k.calls), 0);
    assert_int_equal(rw(false, data, B, size, 0, &k), USAN_ERR_RANGE);
    says(k.text, "read of 512 bytes at");
    assert_true(k.error.offset == size);
    assert_int_equal(rw(true, data, B, UINT64_MAX - B + 1, 0, &k), USAN_ERR_RANGE);
    assert_int_equal(rw(true, data, B, 1, 0, &k), USAN_ERR_INVAL);
    assert_int_equal(rw(true, data, B - 1, 0, 0, &k), USAN_ERR_INVAL);
}

static void requests(void **st)
{
    begin_rig(mode_of(st), "");
    everything();
    wrong();
    fill(3); /* zero copy or not, the medium has it */
    struct kept k;
    assert_int_equal(rw(true, data, 2 * B, 0, 0, &k), 0);
    assert_memory_equal(rig_disk(w.rig), data, 2 * B);
    end();
}

static void on_memory(void **st)
{
    struct kept k = { .code = 0 };
    struct usan_open_options o = { .size = sizeof(o), .channels = 4 };
    begin(mode_of(st), 2);
    assert_int_equal(ended(usan_open(w.ctx, "stats+ram:1M", &o, keep, &k, NULL), &k), 0);
    w.disk = k.disk;
    everything();
    wrong();
    struct usan_scsi s = { .size = sizeof(s), .cdb = data, .cdb_len = 6 };
    assert_int_equal(usan_scsi(w.disk, &s, keep, &k, NULL), USAN_ERR_NOTSUP);
    assert_int_equal(usan_tmf(w.disk, USAN_TMF_LOGICAL_UNIT_RESET, keep, &k, NULL),
                     USAN_ERR_NOTSUP);
    close_disk();
    memset(&k, 0, sizeof(k));
    o.flags = USAN_OPEN_READ_ONLY;
    assert_int_equal(ended(usan_open(w.ctx, "ram:1M", &o, keep, &k, NULL), &k), 0);
    w.disk = k.disk;
    assert_int_equal(rw(true, data, B, 0, 0, &k), USAN_ERR_RDONLY);
    says(k.text, "ram:1M: write of 512 bytes at 0: read-only");
    end();
}

static void compare_and_write(void **st)
{
    struct kept k = { .code = 0 };
    uint8_t old[2 * B], new[2 * B];
    struct iovec iov[2] = { { old, sizeof(old) }, { new, sizeof(new) } };
    begin_rig(mode_of(st), "");
    memset(old, 0, sizeof(old));
    memset(new, 7, sizeof(new));
    assert_int_equal(ended(usan_compare_and_write(w.disk, iov, 2, 4 * B, 0, keep, &k, NULL), &k),
                     0);
    memset(&k, 0, sizeof(k));
    assert_int_equal(ended(usan_compare_and_write(w.disk, iov, 2, 4 * B, 0, keep, &k, NULL), &k),
                     USAN_ERR_MISCOMPARE);
    assert_int_equal(k.error.status, 2);
    assert_true(k.error.has_sense);
    assert_int_equal(k.error.key, 0x0e);
    assert_int_equal(k.error.asc, 0x1d);
    assert_int_equal(k.error.offset, 4 * B);
    says(k.text, "MISCOMPARE");
    assert_memory_equal(rig_disk(w.rig) + 4 * B, new, sizeof(new));
    end();
}

static void sense(void **st)
{
    struct kept k;
    begin_rig(mode_of(st), "");
    assert_int_equal(rw(false, back, B, 0, 0, &k), 0);
    atomic_store(&w.rig->bad_sense, 0x031100);
    assert_int_equal(rw(false, back, B, 2 * B, 0, &k), USAN_ERR_IO);
    assert_int_equal(k.error.status, 2);
    assert_int_equal(k.error.has_sense, 1);
    assert_int_equal(k.error.key << 16 | k.error.asc << 8 | k.error.ascq, 0x031100);
    assert_true(k.error.sense_len >= 18);
    says(k.text, "read of 512 bytes at 1024: ");
    says(k.text, "(3h/11h/00h)");
    atomic_store(&w.rig->bad_sense, 0x072707);
    assert_int_equal(rw(true, data, B, 0, 0, &k), USAN_ERR_NOSPC);
    atomic_store(&w.rig->bad_sense, 0);
    assert_int_equal(rw(false, back, B, 2 * B, 0, &k), 0);
    end();
}

/* ---- cancellation ---- */

static void cancellation(void **st)
{
    struct kept k[3];
    uint64_t id[3];
    struct iovec iov = { back, B };
    memset(k, 0, sizeof(k));
    begin_rig(mode_of(st), "");
    assert_int_equal(rw(false, back, B, 0, 0, &k[0]), 0);
    atomic_store(&w.rig->busy, 1000000); /* the unit takes nothing */
    memset(k, 0, sizeof(k));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(usan_read(w.disk, &iov, 1, i * B, 0, keep, &k[i], &id[i]), 0);
    assert_true(id[0] != id[1] && id[1] != id[2]);
    assert_int_equal(usan_cancel(w.ctx, id[1]), 0);
    assert_int_equal(usan_cancel(w.ctx, id[1]), 0);
    wait_for(&k[1].calls, 1);
    assert_int_equal(k[1].code, USAN_ERR_CANCELED);
    assert_true(k[1].id == id[1]);
    says(k[1].text, "canceled");
    assert_int_equal(atomic_load(&k[0].calls) + atomic_load(&k[2].calls), 0);
    assert_int_equal(usan_cancel(w.ctx, id[1]), USAN_ERR_NOENT);
    atomic_store(&w.rig->busy, 0);
    wait_for(&k[0].calls, 1);
    wait_for(&k[2].calls, 1);
    assert_int_equal(k[0].code | k[2].code, 0);
    assert_int_equal(usan_cancel(w.ctx, id[0]), USAN_ERR_NOENT);
    assert_int_equal(atomic_load(&k[1].calls), 1);
    end();
}

/* ---- loss ---- */

static void loss(void **st)
{
    struct kept k;
    struct iovec iov = { back, B };
    uint64_t id;
    begin_rig(mode_of(st), "?reconnect_timeout=1s");
    assert_int_equal(rw(true, data, B, 0, 0, &k), 0);
    rig_down(w.rig);
    wait_for(&w.events[USAN_EVENT_LOST], 1);
    memset(&k, 0, sizeof(k));
    assert_int_equal(usan_read(w.disk, &iov, 1, 0, 0, keep, &k, &id), 0);
    assert_int_equal(usan_cancel(w.ctx, id), 0); /* waiting can be given up, */
    assert_int_equal(ended(0, &k), USAN_ERR_CANCELED);
    assert_int_equal(rw(false, back, B, 0, 0, &k), USAN_ERR_TIMEOUT); /* or takes a second */
    says(k.text, "did not come back in time");
    wait_for(&w.events[USAN_EVENT_GAVE_UP], 1);
    rig_up(w.rig);
    wait_for(&w.events[USAN_EVENT_BACK], 1);
    assert_int_equal(rw(false, back, B, 0, 0, &k), 0);
    assert_memory_equal(back, data, B);
    assert_int_equal(atomic_load(&w.events[USAN_EVENT_LOST]), 1);
    assert_int_equal(atomic_load(&w.events[USAN_EVENT_BACK]), 1);
    end();
}

static void resize(void **st)
{
    struct kept k;
    begin_rig(mode_of(st), "");
    assert_int_equal(rw(false, back, B, 0, 0, &k), 0);
    atomic_store(&w.rig->blocks, RIG_BLOCKS / 2);
    atomic_store(&w.rig->attention_code, 0x2a09); /* CAPACITY DATA HAS CHANGED */
    atomic_store(&w.rig->attention, 1);
    assert_int_equal(rw(false, back, B, 0, 0, &k), 0);
    wait_for(&w.events[USAN_EVENT_RESIZED], 1);
    assert_int_equal(usan_disk_size(w.disk), RIG_BLOCKS / 2 * B);
    end();
}

/* ---- SCSI ---- */

static void commands(void **st)
{
    struct kept k = { .code = 0 };
    uint8_t in[255] = { 0 };
    const uint8_t inquiry[6] = { 0x12, 0, 0, 0, sizeof(in) }, unknown[6] = { 0x1f };
    struct iovec iov = { in, sizeof(in) };
    struct usan_scsi s = { .size = sizeof(s),
                           .cdb = inquiry,
                           .cdb_len = 6,
                           .in = &iov,
                           .in_cnt = 1,
                           .flags = USAN_SCSI_REPEATABLE };
    begin_rig(mode_of(st), "");
    assert_int_equal(ended(usan_scsi(w.disk, &s, keep, &k, NULL), &k), 0);
    assert_int_equal(k.scsi.status, 0);
    assert_int_equal(k.scsi.in_bytes, 36);
    assert_int_equal(k.scsi.residual, 255 - 36);
    assert_memory_equal(in + 8, "RIG     TEST DISK", 17);

    memset(&k, 0, sizeof(k));
    s.cdb = unknown;
    s.in_cnt = 0;
    assert_int_equal(ended(usan_scsi(w.disk, &s, keep, &k, NULL), &k), USAN_ERR_NOTSUP);
    assert_int_equal(k.scsi.status, 2);
    assert_int_equal(k.scsi.sense_len, 18);
    assert_int_equal(k.sense[2] << 16 | k.sense[12] << 8 | k.sense[13], 0x052400);
    assert_int_equal(k.error.asc, 0x24);
    says(k.text, "command 1Fh: INVALID FIELD IN CDB");

    memset(&k, 0, sizeof(k)); /* a unit attention is the caller's */
    atomic_store(&w.rig->attention_code, 0x2900);
    atomic_store(&w.rig->attention, 1);
    s.cdb = (const uint8_t[6]){ 0 };
    assert_int_equal(ended(usan_scsi(w.disk, &s, keep, &k, NULL), &k), USAN_ERR_AGAIN);
    assert_int_equal(k.error.key, 6);
    memset(&k, 0, sizeof(k));
    assert_int_equal(ended(usan_scsi(w.disk, &s, keep, &k, NULL), &k), 0);

    s.cdb_len = 0;
    assert_int_equal(usan_scsi(w.disk, &s, keep, &k, NULL), USAN_ERR_INVAL);
    s.cdb_len = USAN_CDB_MAX + 1;
    assert_int_equal(usan_scsi(w.disk, &s, keep, &k, NULL), USAN_ERR_INVAL);
    end();
}

static void management(void **st)
{
    struct kept k = { .code = 0 };
    begin_rig(mode_of(st), "");
    /* at once after the opening: it waits for the login */
    assert_int_equal(ended(usan_tmf(w.disk, USAN_TMF_LOGICAL_UNIT_RESET, keep, &k, NULL), &k), 0);
    memset(&k, 0, sizeof(k));
    assert_int_equal(ended(usan_tmf(w.disk, USAN_TMF_ABORT_TASK_SET, keep, &k, NULL), &k), 0);
    assert_int_equal(usan_tmf(w.disk, (enum usan_tmf)1, keep, &k, NULL), USAN_ERR_INVAL);
    rig_down(w.rig);
    wait_for(&w.events[USAN_EVENT_LOST], 1);
    rig_up(w.rig);
    memset(&k, 0, sizeof(k));
    assert_int_equal(ended(usan_tmf(w.disk, USAN_TMF_LOGICAL_UNIT_RESET, keep, &k, NULL), &k), 0);
    end();
}

static void discovery(void **st)
{
    struct kept k = { .code = 0 };
    struct usan_targets *t = NULL;
    begin(mode_of(st), 1);
    w.rig = rig_start();
    snprintf(w.url, sizeof(w.url), "iscsi://127.0.0.1:%u", w.rig->portals[0].port);
    assert_int_equal(ended(usan_discover(w.ctx, w.url, keep, &k, NULL), &k), 0);
    assert_int_equal(k.targets, 2);
    assert_string_equal(k.target, RIG_TARGET);
    assert_int_equal(usan_discover_wait(w.url, &t), 0);
    assert_int_equal(t->count, 2);
    assert_int_equal(t->targets[0].address_count, 2);
    assert_string_equal(t->targets[1].name, RIG_TARGET "2");
    says(t->targets[0].addresses[0], "127.0.0.1:");
    usan_targets_free(t);
    usan_targets_free(NULL);
    memset(&k, 0, sizeof(k));
    assert_int_equal(usan_discover(w.ctx, "iscsi://", keep, &k, NULL), USAN_ERR_INVAL);
    assert_int_equal(ended(usan_discover(w.ctx, "iscsi://127.0.0.1:1", keep, &k, NULL), &k),
                     USAN_ERR_IO);
    says(k.text, "Connection refused");
    assert_int_equal(usan_discover_wait("iscsi://127.0.0.1:1", &t), USAN_ERR_IO);
    end();
}

/* ---- the end ---- */

static void closing(void **st)
{
    struct kept r = { .code = 0 }, c = { .code = 0 };
    struct iovec iov = { back, B };
    uint64_t id;
    begin_rig(mode_of(st), "");
    atomic_store(&w.rig->busy, 1000000);
    assert_int_equal(usan_read(w.disk, &iov, 1, 0, 0, keep, &r, &id), 0);
    assert_int_equal(usan_ctx_free(w.ctx), USAN_ERR_BUSY);
    usan_close(w.disk, keep, &c);
    assert_int_equal(usan_read(w.disk, &iov, 1, 0, 0, keep, &c, NULL), USAN_ERR_CLOSED);
    for (int i = 0; i < 20; i++)
        turn();
    assert_int_equal(atomic_load(&r.calls) + atomic_load(&c.calls), 0);
    assert_int_equal(usan_cancel(w.ctx, id), 0);
    wait_for(&c.calls, 1);
    assert_int_equal(r.code, USAN_ERR_CANCELED);
    assert_int_equal(c.code, 0);
    atomic_store(&w.rig->busy, 0);
    w.disk = NULL;
    end();
}

static void limits(void **st)
{
    const struct usan_ctx_options o = { .size = sizeof(o), .mode = mode_of(st), .requests_max = 3 };
    struct kept k[5];
    struct iovec iov = { back, B };
    memset(k, 0, sizeof(k));
    memset(&w, 0, sizeof(w));
    w.mode = o.mode;
    assert_int_equal(usan_ctx_new(&o, &w.ctx), 0);
    assert_int_equal(
        ended(usan_open(w.ctx, "delay(time=50ms)+ram:1M", NULL, keep, &k[0], NULL), &k[0]), 0);
    w.disk = k[0].disk;
    memset(k, 0, sizeof(k));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(usan_read(w.disk, &iov, 1, 0, 0, keep, &k[i], NULL), 0);
    assert_int_equal(usan_read(w.disk, &iov, 1, 0, 0, keep, &k[3], NULL), USAN_ERR_LIMIT);
    for (unsigned i = 0; i < 3; i++)
        wait_for(&k[i].calls, 1);
    assert_int_equal(rw(false, back, B, 0, 0, &k[4]), 0);
    end();
}

/* ---- waiting callers ---- */

static void inside(void *user, const struct usan_result *r)
{
    struct kept *k = user;
    uint8_t buf[B];
    /* none of these may wait here */
    assert_int_equal(usan_pread(w.disk, buf, B, 0), USAN_ERR_INVAL);
    assert_int_equal(usan_ctx_process(w.ctx), USAN_ERR_INVAL);
    assert_int_equal(usan_ctx_free(w.ctx), USAN_ERR_INVAL);
    keep(k, r);
}

static void waiting(void **st)
{
    struct kept k = { .code = 0 };
    struct iovec iov[2] = { { back, B }, { back + B, B } };
    uint8_t in[96];
    struct iovec in_iov = { in, sizeof(in) };
    const uint8_t cdb[6] = { 0x12, 0, 0, 0, sizeof(in) }, bad[6] = { 0x1f };
    struct usan_scsi s = {
        .size = sizeof(s), .cdb = cdb, .cdb_len = 6, .in = &in_iov, .in_cnt = 1
    };
    begin_rig(mode_of(st), "");
    assert_int_equal(usan_read(w.disk, iov, 1, 0, 0, inside, &k, NULL), 0);
    fill(5);
    assert_int_equal(usan_pwrite(w.disk, data, 4 * B, 0, USAN_FUA), 0);
    assert_int_equal(usan_pread(w.disk, back, 4 * B, 0), 0);
    assert_memory_equal(back, data, 4 * B);
    assert_int_equal(usan_pwritev(w.disk, iov, 2, 8 * B, 0), 0);
    assert_int_equal(usan_preadv(w.disk, iov, 2, 8 * B), 0);
    assert_int_equal(usan_pflush(w.disk), 0);
    assert_int_equal(usan_ptrim(w.disk, 8 * B, 8 * B, 0), 0);
    assert_int_equal(usan_pwrite_zeroes(w.disk, 16 * B, 8 * B, 0), 0);
    assert_int_equal(usan_pcompare_and_write(w.disk, data, data + B, B, 0, 0), 0);
    assert_int_equal(usan_pcompare_and_write(w.disk, data, data + B, B, 0, 0), USAN_ERR_MISCOMPARE);
    assert_int_equal(usan_last_error()->key, 0x0e);
    assert_int_equal(usan_scsi_wait(w.disk, &s), 36);
    s.cdb = bad;
    s.in_cnt = 0;
    assert_int_equal(usan_scsi_wait(w.disk, &s), USAN_ERR_NOTSUP);
    assert_int_equal(usan_last_error()->status, 2);
    assert_int_equal(usan_last_error()->sense[2], 5);
    assert_int_equal(usan_tmf_wait(w.disk, USAN_TMF_LOGICAL_UNIT_RESET), 0);
    wait_for(&k.calls, 1);
    assert_int_equal(k.code, 0);

    struct usan_disk *other = NULL; /* a second one, with or without a context of its own */
    assert_int_equal(usan_open_wait(w.ctx, w.url, NULL, &other), 0);
    assert_int_equal(usan_pread(other, back, B, 0), 0);
    usan_close_wait(other);
    assert_int_equal(usan_open_wait(NULL, w.url, &watched, &other), 0);
    assert_int_equal(usan_pread(other, back, B, 0), 0);
    usan_close_wait(other);
    usan_close_wait(NULL);
    assert_int_equal(usan_open_wait(NULL, "nosuch:1", NULL, &other), USAN_ERR_NOENT);
    says(usan_error_text(NULL), "nosuch");
    end();
}

/* ---- threads ---- */

enum { THREADS = 3, ROUNDS = 300 };

struct worker {
    struct thread t;
    unsigned no;
    unsigned wrong;
};

/* Blocks of its own, checked; requests that are cancelled at any time in between. */
static void work(void *arg)
{
    struct worker *me = arg;
    uint8_t out[B], in[B];
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t off = (me->no * 32 + i % 32) * (uint64_t)B, id;
        struct kept k = { .code = 0 };
        struct iovec iov = { in, B };
        memset(out, (int)(me->no * 50 + i), sizeof(out));
        me->wrong += usan_pwrite(w.disk, out, B, off, 0) != 0;
        me->wrong += usan_pread(w.disk, in, B, off) != 0;
        me->wrong += memcmp(in, out, B) != 0;
        if (w.mode != USAN_REACTORS)
            continue;
        me->wrong += usan_read(w.disk, &iov, 1, off, 0, keep, &k, &id) != 0;
        (void)usan_cancel(w.ctx, id);
        while (!atomic_load(&k.calls)) {
        }
        me->wrong += k.code != 0 && k.code != USAN_ERR_CANCELED;
    }
}

static void threads(void **st)
{
    struct worker worker[THREADS];
    begin_rig(mode_of(st), "");
    memset(worker, 0, sizeof(worker));
    for (unsigned i = 0; i < THREADS; i++) {
        worker[i].no = i;
        assert_int_equal(thread_start(&worker[i].t, "worker", work, &worker[i], NULL), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        thread_join(&worker[i].t);
        assert_int_equal(worker[i].wrong, 0);
    }
    end();
}

/* ---- */

static const enum usan_mode loop = USAN_LOOP, queue = USAN_QUEUE, reactors = USAN_REACTORS;

#define IN(f, mode)                                                                                \
    {                                                                                              \
#f " " #mode, f, NULL, NULL, (void *)(uintptr_t) & (mode)                                  \
    }
#define IN_ALL(f) IN(f, loop), IN(f, queue), IN(f, reactors)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contexts),
        IN_ALL(bad_opens),
        IN_ALL(cancelled_open),
        IN_ALL(properties),
        IN_ALL(requests),
        IN_ALL(on_memory),
        IN_ALL(compare_and_write),
        IN_ALL(sense),
        IN_ALL(cancellation),
        IN_ALL(loss),
        IN_ALL(resize),
        IN_ALL(commands),
        IN_ALL(management),
        IN_ALL(discovery),
        IN_ALL(closing),
        IN_ALL(limits),
        IN_ALL(waiting),
        IN(threads, queue),
        IN(threads, reactors),
    };
    return cmocka_run_group_tests_name("lib/lib", tests, NULL, NULL);
}
