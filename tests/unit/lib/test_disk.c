/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libusan through its headers, in each mode: contexts, opening, requests. */
#include "lib_world.h"

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
    o.mode = USAN_LOOP;
    o.engine = USAN_ENGINE_URING;
    assert_int_equal(usan_ctx_new(&o, &ctx), USAN_ERR_NOTSUP);
    o.engine = USAN_ENGINE_AUTO;
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
    assert_int_equal(usan_open(w.ctx, w.url, NULL, keep, &k, &id), 0);
    assert_int_equal(usan_cancel(w.ctx, id), 0);
    assert_int_equal(ended(0, &k), USAN_ERR_CANCELED);
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

/* ---- */

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(contexts), IN_ALL(bad_opens),
                                        IN_ALL(cancelled_open),     IN_ALL(properties),
                                        IN_ALL(requests),           IN_ALL(on_memory),
                                        IN_ALL(compare_and_write),  IN_ALL(sense) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
