/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sessions at recovery level 2 whose connections are lost: the whole program. */
#include "cmocka_all.h"

#include "client.h"
#include "program.h"

#include "base/bytes.h"

#include <string.h>
#include <time.h>

enum { LOAD = 24, BLOCKS = 64, STILL_ALLEGIANT = 3 };
enum { RETAIN_S = 3600 }; /* longer than anything that this machine may be held up */

static void nap(unsigned ms)
{
    nanosleep(&(struct timespec){ .tv_nsec = (long)ms * 1000000 }, NULL);
}

static void prepare(struct program *p, struct client *c, uint16_t retain)
{
    client_connect(c, p->port);
    c->connections = 4;
    c->level = 2;
    c->retain = retain;
}

static void open_session(struct program *p, struct client *c, uint16_t retain)
{
    prepare(p, c, retain);
    client_send_login(c, HOST, TARGET_A, 1, 0);
    client_recv_login(c);
    assert_int_equal(c->status, 0);
    for (uint8_t lun = 0; lun < 3; lun++)
        client_ready(c, lun);
}

/* A further connection, or one that takes the place of the one with this CID. */
static void join(struct program *p, struct client *further, struct client *c, uint16_t cid)
{
    client_join(further, c, p->port, HOST, TARGET_A, 1, cid);
}

static uint8_t reassign(struct client *c, uint32_t itt)
{
    return client_finish_tmf(c, client_send_tmf(c, REASSIGN, 0, itt));
}

/* What was sent before has come to the target: this is answered behind it. */
static void all_received(struct client *c)
{
    assert_int_equal(client_finish_tmf(c, client_send_tmf(c, ABORT_TASK, 0, 0x1000000)), NO_TASK);
}

static void fill(uint8_t *buf, size_t len, uint8_t seed)
{
    for (size_t i = 0; i < len; i++)
        buf[i] = (uint8_t)(seed + i * 7 + i / 512);
}

static void put(struct client *c, uint8_t lun, uint32_t lba, const uint8_t *data)
{
    uint32_t w = client_send_write(c, lun, lba, NULL, BLOCKS);
    client_answer_r2t(c, w, data);
    assert_int_equal(client_finish(c, w, NULL, 0), 0);
}

static uint8_t out[BLOCKS * 512], in[BLOCKS * 512];

/* The only connection is cut while a read runs, or when its answer is on the way. */
static void read_goes_on(void **state)
{
    struct program *p = *state;
    for (uint8_t lun = 0; lun < 3; lun++)
        for (unsigned wait = 0; wait < 2; wait++) {
            struct client a, b;
            open_session(p, &a, RETAIN_S);
            fill(out, sizeof(out), lun);
            put(&a, lun, 0, out);
            uint32_t r = client_send_read(&a, lun, 0, BLOCKS);
            if (wait) {
                all_received(&a);
                nap(400);
            }
            client_close(&a);
            if (wait)
                nap(20);
            join(p, &b, &a, 0);
            uint8_t rsp = reassign(&b, r);
            if (wait == 0 && rsp == NO_TASK) { /* cut off before it came */
                client_close(&b);
                continue;
            }
            assert_int_equal(rsp, COMPLETE);
            assert_int_equal(client_finish(&b, r, in, sizeof(in)), 0);
            assert_memory_equal(in, out, sizeof(in));
            assert_int_equal(reassign(&b, 0x1000000), NO_TASK);
            client_close(&b);
        }
}

static void write_goes_on(void **state)
{
    struct program *p = *state;
    for (uint8_t lun = 0; lun < 3; lun += 2) {
        struct client a, b;
        open_session(p, &a, RETAIN_S);
        fill(out, sizeof(out), (uint8_t)(lun + 50));
        uint32_t w = client_send_write(&a, lun, 2048, NULL, BLOCKS);
        uint32_t done = client_send_write(&a, lun, 4096, out, 1);
        assert_int_equal(client_finish(&a, done, NULL, 0), 0);
        client_close(&a);
        join(p, &b, &a, 0);
        assert_int_equal(reassign(&b, w), COMPLETE);
        client_answer_r2t(&b, w, out);
        assert_int_equal(client_finish(&b, w, NULL, 0), 0);
        /* its status was received, but never acknowledged: here it is again */
        assert_int_equal(reassign(&b, done), COMPLETE);
        assert_int_equal(client_finish(&b, done, NULL, 0), 0);
        uint32_t r = client_send_read(&b, lun, 2048, BLOCKS);
        assert_int_equal(client_finish(&b, r, in, sizeof(in)), 0);
        assert_memory_equal(in, out, sizeof(in));
        client_close(&b);
    }
}

/* One of two connections, on two reactors, is lost under load; the other takes all over. */
static void other_connection_takes_over(void **state)
{
    struct program *p = *state;
    for (unsigned round = 0; round < 6; round++) {
        struct client a, b;
        uint32_t itt[LOAD];
        uint8_t lun = round % 3 == 1 ? 1 : (uint8_t)(round % 3);
        open_session(p, &a, RETAIN_S);
        join(p, &b, &a, 1);
        for (uint32_t i = 0; i < LOAD; i++) {
            fill(out, sizeof(out), (uint8_t)(i + round));
            if (lun != 1)
                put(&a, lun, i * BLOCKS, out);
        }
        for (uint32_t i = 0; i < LOAD; i++) {
            itt[i] = client_send_read(&a, lun, i * BLOCKS, BLOCKS);
            if (i == 0)
                all_received(&a);
        }
        nap(round);
        client_close(&a);
        uint8_t rsp = reassign(&b, itt[0]);
        assert_true(rsp == STILL_ALLEGIANT || rsp == NO_TASK);
        assert_int_equal(client_logout(&b, 2, 0), 0);
        unsigned gone = 0;
        for (uint32_t i = 0; i < LOAD; i++) {
            rsp = reassign(&b, itt[i]);
            if (rsp == NO_TASK) { /* cut off before it came */
                gone++;
                continue;
            }
            assert_int_equal(rsp, COMPLETE);
            assert_int_equal(client_finish(&b, itt[i], in, sizeof(in)), 0);
            fill(out, sizeof(out), (uint8_t)(i + round));
            if (lun != 1)
                assert_memory_equal(in, out, sizeof(in));
        }
        assert_true(gone < LOAD);
        uint32_t r = client_send_read(&b, 0, 0, 1);
        if (gone == 0) /* else CmdSN of what was cut off is missing */
            assert_int_equal(client_finish(&b, r, in, sizeof(in)), 0);
        client_close(&b);
        nap(1);
    }
}

/* A connection is reinstated while it is up, with commands of every state. */
static void reinstated_under_load(void **state)
{
    struct program *p = *state;
    struct client a, more[2], *old = &a;
    uint32_t itt[LOAD];
    open_session(p, &a, RETAIN_S);
    for (uint32_t i = 0; i < LOAD; i++) {
        fill(out, sizeof(out), (uint8_t)i);
        put(&a, 0, i * BLOCKS, out);
    }
    for (unsigned round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < LOAD; i++)
            itt[i] = client_send_read(old, 0, i * BLOCKS, BLOCKS);
        uint32_t last = client_send_read(old, 0, 0, 1); /* all the others came before */
        if (round % 2)
            assert_int_equal(client_finish(old, last, in, sizeof(in)), 0);
        else
            nap(30);
        struct client *now = &more[round % 2];
        join(p, now, &a, 0);
        client_expect_close(old);
        client_close(old);
        unsigned gone = 0;
        for (uint32_t i = 0; i < LOAD; i++) {
            uint8_t rsp = reassign(now, itt[i]);
            if (round % 2 == 0 && rsp == NO_TASK) { /* cut off before it came */
                gone++;
                continue;
            }
            assert_int_equal(rsp, COMPLETE);
            assert_int_equal(client_finish(now, itt[i], in, sizeof(in)), 0);
            fill(out, sizeof(out), (uint8_t)i);
            assert_memory_equal(in, out, sizeof(in));
        }
        old = now;
        if (gone) { /* their CmdSN are missing */
            client_close(old);
            open_session(p, &a, RETAIN_S);
            old = &a;
        }
    }
    client_close(old);
}

/* ---- the end ---- */

static void nobody_comes_back(void **state)
{
    struct program *p = *state;
    struct client a;
    open_session(p, &a, 1);
    (void)client_send_read(&a, 1, 0, BLOCKS);
    uint64_t start = now_ms();
    client_close(&a);
    program_wait_for_sessions(p, 0);
    assert_true(now_ms() - start >= 1000);
}

/* 6.3.5: a new session of the same initiator port ends the one that waits. */
static void reinstated_session(void **state)
{
    struct program *p = *state;
    struct client a, b;
    open_session(p, &a, RETAIN_S);
    uint32_t r = client_send_read(&a, 1, 0, BLOCKS);
    client_close(&a);
    open_session(p, &b, RETAIN_S);
    assert_int_equal(reassign(&b, r), NO_TASK);
    program_wait_for_sessions(p, 1);
    client_close(&b);
}

static void aborted_while_it_waits(void **state)
{
    struct program *p = *state;
    struct client a, b;
    open_session(p, &a, RETAIN_S);
    join(p, &b, &a, 1);
    uint64_t start = now_ms();
    uint32_t r = client_send_read(&a, 1, 0, BLOCKS);
    all_received(&a);
    client_close(&a);
    nap(20);
    uint8_t rsp = client_finish_tmf(&b, client_send_tmf(&b, ABORT_TASK, 1, r));
    if (rsp != COMPLETE) { /* only if this machine was held up until the read was done */
        assert_int_equal(rsp, NO_TASK);
        assert_true(now_ms() - start >= 300);
    }
    assert_int_equal(client_logout(&b, 2, 0), 0);
    if (rsp == COMPLETE)
        assert_int_equal(reassign(&b, r), NO_TASK);
    client_close(&b);
}

/* The program is stopped while a session waits: the tear-down asserts that nothing is left. */
static void stopped_meanwhile(void **state)
{
    struct program *p = *state;
    struct client a;
    open_session(p, &a, RETAIN_S);
    (void)client_send_read(&a, 1, 0, BLOCKS);
    (void)client_send_write(&a, 0, 0, NULL, BLOCKS);
    nap(20);
    client_close(&a);
    nap(20);
}

static void lower_levels_keep_nothing(void **state)
{
    struct program *p = *state;
    for (uint8_t level = 0; level < 2; level++) {
        struct client a;
        prepare(p, &a, RETAIN_S);
        a.level = level;
        client_send_login(&a, HOST, TARGET_A, 1, 0);
        client_recv_login(&a);
        client_ready(&a, 0);
        client_close(&a);
        program_wait_for_sessions(p, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROGRAM_TEST(read_goes_on),
        PROGRAM_TEST(write_goes_on),
        PROGRAM_TEST(other_connection_takes_over),
        PROGRAM_TEST(reinstated_under_load),
        PROGRAM_TEST(nobody_comes_back),
        PROGRAM_TEST(reinstated_session),
        PROGRAM_TEST(aborted_while_it_waits),
        PROGRAM_TEST(stopped_meanwhile),
        PROGRAM_TEST(lower_levels_keep_nothing),
    };
    program_block_signals();
    return cmocka_run_group_tests(tests, program_make_file, program_remove_file);
}
