/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libusan in each mode: cancellation, losses, SCSI commands, discovery, the end of disks. */
#include "base/bytes.h"
#include "lib_world.h"

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
    int twice = usan_cancel(w.ctx, id[1]); /* threads may have been quick */
    assert_true(twice == 0 || twice == USAN_ERR_NOENT);
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

/* Also of what has to go through filters, or is still held by one; and of what the library does in
 * several steps. */
static void cancellation_below(void **st)
{
    static const char *const filters[] = { "stats+", "stats+delay(time=50ms)+", "stats+stats+" };
    struct iovec iov = { back, B };
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned zeroes = 0; zeroes < 2; zeroes++) {
            struct kept k;
            uint64_t id;
            begin_filtered(mode_of(st), filters[i], "?command_timeout=0s");
            assert_int_equal(rw(false, back, B, 0, 0, &k), 0);
            memset(&k, 0, sizeof(k));
            atomic_store(&w.rig->mute, 1); /* the next one is never answered */
            if (zeroes)
                assert_int_equal(usan_write_zeroes(w.disk, 0, B, USAN_FUA, keep, &k, &id), 0);
            else
                assert_int_equal(usan_read(w.disk, &iov, 1, 0, 0, keep, &k, &id), 0);
            if (i == 0) { /* with the target by then */
                while (!atomic_load(&w.rig->muted))
                    turn();
            }
            assert_int_equal(usan_cancel(w.ctx, id), 0);
            wait_for(&k.calls, 1);
            assert_int_equal(k.code, USAN_ERR_CANCELED);
            atomic_store(&w.rig->mute, 0);
            assert_int_equal(rw(false, back, B, 0, 0, &k), 0);
            end();
        }
    }
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

static int scsi(const struct usan_scsi *command, struct kept *k)
{
    memset(k, 0, sizeof(*k));
    return ended(usan_scsi(w.disk, command, keep, k, NULL), k);
}

static int tmf(enum usan_tmf function, struct kept *k)
{
    memset(k, 0, sizeof(*k));
    return ended(usan_tmf(w.disk, function, keep, k, NULL), k);
}

/* Commands and task management on a disk with two paths; at first it is not logged in. */
static void own_commands(void)
{
    static const uint8_t reserve[] = { 0x5f, 0x16, 0x17, 0x56, 0x57 };
    uint8_t cdb[16] = { 0x9e, 0x10, [13] = 32 };
    struct iovec in = { back, 32 };
    struct usan_scsi s = { .size = sizeof(s),
                           .cdb = cdb,
                           .cdb_len = 16,
                           .in = &in,
                           .in_cnt = 1,
                           .flags = USAN_SCSI_REPEATABLE };
    struct kept k = { .code = 0 };
    assert_int_equal(tmf(USAN_TMF_LOGICAL_UNIT_RESET, &k), 0);
    assert_int_equal(atomic_load(&w.rig->resets), 1); /* once, though there are two ways */
    assert_int_equal(scsi(&s, &k), 0);
    assert_int_equal(be32_get(back + 4), RIG_BLOCKS - 1);
    while (atomic_load(&w.rig->portals[0].logins) + atomic_load(&w.rig->portals[1].logins) < 4)
        turn(); /* two of them when it was opened */
    for (unsigned i = 0; i < sizeof(reserve); i++) {
        cdb[0] = reserve[i];
        assert_int_equal(usan_scsi(w.disk, &s, keep, &k, NULL), USAN_ERR_NOTSUP);
        says(usan_last_error()->text, "one of each path");
    }
    /* What is refused: by all of them. */
    atomic_store(&w.rig->reset_response, 5);
    assert_int_equal(tmf(USAN_TMF_ABORT_TASK_SET, &k), USAN_ERR_IO);
    assert_int_equal(k.tmf_response, 5);
    assert_true(atomic_load(&w.rig->resets) >= 2);
    atomic_store(&w.rig->reset_response, 0);
    /* Canceled, and lost with its path: what may be sent again is. */
    cdb[0] = 0x28;
    cdb[1] = 0;
    cdb[8] = 1;
    in.iov_len = B;
    s.cdb_len = 10;
    uint64_t id;
    atomic_store(&w.rig->mute, 1);
    unsigned muted = atomic_load(&w.rig->muted);
    memset(&k, 0, sizeof(k));
    assert_int_equal(usan_scsi(w.disk, &s, keep, &k, &id), 0);
    while (atomic_load(&w.rig->muted) == muted)
        turn();
    assert_int_equal(usan_cancel(w.ctx, id), 0);
    wait_for(&k.calls, 1);
    assert_int_equal(k.code, USAN_ERR_CANCELED);
    atomic_store(&w.rig->cut_at, 1);
    assert_int_equal(scsi(&s, &k), 0);
    s.flags = 0;
    int err = 0;
    for (int i = 0; i < 100 && !err; i++) { /* the cut may meet the other path, on its way back */
        atomic_store(&w.rig->cut_at, 1);
        err = scsi(&s, &k);
    }
    assert_int_equal(err, USAN_ERR_IO);
    says(k.text, "its path was lost");
}

/* Two portals of the rig. */
static void several_paths(void **st)
{
    struct kept k = { .code = 0 };
    struct usan_disk_info i = { .size = sizeof(i) };
    struct iovec iov = { back, B };
    uint64_t id;
    begin(mode_of(st), 1);
    w.rig = rig_start();
    atomic_store(&w.rig->naa, 0x6000000000000001);
    snprintf(w.url, sizeof(w.url), "multipath:iscsi://127.0.0.1:%u/" RIG_TARGET "/0,127.0.0.1:%u",
             w.rig->portals[0].port, w.rig->portals[1].port);
    if (ended(usan_open(w.ctx, w.url, &watched, keep, &k, NULL), &k))
        fail_msg("%s", k.text);
    w.disk = k.disk;
    assert_int_equal(usan_disk_info(w.disk, &i), 0);
    assert_string_equal(i.id, "naa.6000000000000001");
    assert_true(i.flags & USAN_DISK_SCSI);
    own_commands();
    fill(4);
    assert_int_equal(rw(true, data, 4 * B, 0, 0, &k), 0);
    assert_int_equal(rw(false, back, 4 * B, 0, 0, &k), 0);
    assert_memory_equal(back, data, 4 * B);
    wait_for(&w.events[USAN_EVENT_PATH], 1); /* they are there */
    atomic_store(&w.rig->bad_sense, 0x031100);
    assert_int_equal(rw(false, back, B, 2 * B, 0, &k), USAN_ERR_IO);
    says(k.text, "(3h/11h/00h)");
    atomic_store(&w.rig->bad_sense, 0);
    atomic_store(&w.rig->busy, 1000000);
    memset(&k, 0, sizeof(k));
    assert_int_equal(usan_read(w.disk, &iov, 1, 0, 0, keep, &k, &id), 0);
    assert_int_equal(usan_cancel(w.ctx, id), 0);
    assert_int_equal(ended(0, &k), USAN_ERR_CANCELED);
    atomic_store(&w.rig->busy, 0);
    assert_int_equal(rw(false, back, B, 0, 0, &k), 0);
    unsigned told = atomic_load(&w.events[USAN_EVENT_PATH]);
    rig_down(w.rig);
    wait_for(&w.events[USAN_EVENT_PATH], told + 1); /* they are gone */
    rig_up(w.rig);
    assert_int_equal(rw(false, back, B, 0, 0, &k), 0);
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

/* A target that does not answer the logout keeps nothing else waiting. */
static void closing_silent(void **st)
{
    struct kept m = { .code = 0 }, r = { .code = 0 }, c = { .code = 0 };
    struct iovec iov = { back, B };
    begin_rig(mode_of(st), "");
    assert_int_equal(rw(false, back, B, 0, 0, &r), 0);
    assert_int_equal(ended(usan_open(w.ctx, "ram:1M", NULL, keep, &m, NULL), &m), 0);
    memset(&r, 0, sizeof(r));
    atomic_store(&w.rig->freeze, true);
    usan_close(w.disk, keep, &c);
    assert_int_equal(usan_read(m.disk, &iov, 1, 0, 0, keep, &r, NULL), 0);
    wait_for(&r.calls, 1);
    assert_int_equal(atomic_load(&c.calls), 0); /* in this order */
    wait_for(&c.calls, 1);
    assert_int_equal(c.code, 0);
    atomic_store(&w.rig->freeze, false);
    w.disk = m.disk;
    end();
}

static void limits(void **st)
{
    const struct usan_ctx_options o = { .size = sizeof(o), .mode = mode_of(st), .requests_max = 3 };
    struct kept k[4];
    struct iovec iov = { back, B };
    begin_rig(mode_of(st), "");
    struct usan_ctx *other = w.ctx;
    struct usan_disk *other_disk = w.disk;
    assert_int_equal(usan_ctx_new(&o, &w.ctx), 0);
    memset(k, 0, sizeof(k));
    assert_int_equal(ended(usan_open(w.ctx, w.url, NULL, keep, &k[0], NULL), &k[0]), 0);
    w.disk = k[0].disk;
    assert_int_equal(rw(false, back, B, 0, 0, &k[0]), 0);
    atomic_store(&w.rig->busy, 1000000); /* nothing ends */
    memset(k, 0, sizeof(k));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(usan_read(w.disk, &iov, 1, 0, 0, keep, &k[i], NULL), 0);
    assert_int_equal(usan_read(w.disk, &iov, 1, 0, 0, keep, &k[3], NULL), USAN_ERR_LIMIT);
    atomic_store(&w.rig->busy, 0);
    for (unsigned i = 0; i < 3; i++)
        wait_for(&k[i].calls, 1);
    assert_int_equal(rw(false, back, B, 0, 0, &k[3]), 0);
    close_disk();
    assert_int_equal(usan_ctx_free(w.ctx), 0);
    w.ctx = other;
    w.disk = other_disk;
    end();
}

/* ---- */

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_ALL(cancellation), IN_ALL(cancellation_below), IN_ALL(several_paths), IN_ALL(loss),
        IN_ALL(resize),       IN_ALL(commands),           IN_ALL(management),    IN_ALL(discovery),
        IN_ALL(closing),      IN(closing_silent, loop),   IN_ALL(limits)
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
