/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Logins, reinstatement, commands, task management and the stop. */
#include "client.h"
#include "cmocka_all.h"
#include "program.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- logins ---- */

static void connections_are_spread(void **state)
{
    struct program *p = *state;
    struct client c[4];
    for (uint8_t i = 0; i < 4; i++)
        client_login(&c[i], p->port, HOST, TARGET_A, i);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(atomic_load(&tgt_reactor_at(p->tgt, i)->conn_count), 2);
    for (int i = 0; i < 4; i++)
        client_close(&c[i]);
    program_wait_for_sessions(p, 0);
}

static void unknown_target(void **state)
{
    struct program *p = *state;
    struct client c;
    client_connect(&c, p->port);
    client_send_login(&c, HOST, "iqn.2025-01.com.example:c", 1, 0);
    client_recv_login(&c);
    assert_int_equal(c.status, 0x0203); /* RFC 7143 11.13.5: not found */
    client_expect_close(&c);
    client_close(&c);
}

static void redirected_target(void **state)
{
    struct program *p = *state;
    static struct pdu pdu;
    struct client c;
    client_connect(&c, p->port);
    client_send_login(&c, HOST, GONE, 1, 0);
    assert_true(client_recv(&c, &pdu));
    assert_int_equal(pdu.bhs[36], 1); /* redirection ... */
    assert_int_equal(pdu.bhs[37], 1); /* ... for this time */
    pdu.data[pdu.len] = 0;
    bool found = false;
    for (uint32_t at = 0; at < pdu.len; at += (uint32_t)strlen((char *)pdu.data + at) + 1)
        found |= strcmp((char *)pdu.data + at, "TargetAddress=127.0.0.9:3261") == 0;
    assert_true(found);
    client_expect_close(&c);
    client_close(&c);
}

/* One connection a session: a second one is refused, and so is one to a session there is not. */
static void second_connection_of_a_session(void **state)
{
    struct program *p = *state;
    struct client a, b;
    client_login(&a, p->port, HOST, TARGET_A, 1);
    client_connect(&b, p->port);
    b.cid = 1;
    client_send_login(&b, HOST, TARGET_A, 1, a.tsih);
    client_recv_login(&b);
    assert_int_equal(b.status, 0x0206); /* too many connections */
    client_close(&b);
    client_connect(&b, p->port);
    client_send_login(&b, HOST, TARGET_A, 1, (uint16_t)(a.tsih + 77));
    client_recv_login(&b);
    assert_int_equal(b.status, 0x020a); /* session does not exist */
    client_close(&b);
    client_ready(&a, 0); /* it has noticed nothing */
    client_close(&a);
}

/* RFC 7143 6.3.5: a login with the name of a session takes its place, on whatever reactor. */
static void session_is_reinstated(void **state)
{
    struct program *p = *state;
    struct client old, again, other;
    client_login(&old, p->port, HOST, TARGET_A, 1);
    client_login(&other, p->port, HOST, TARGET_A, 2);
    client_login(&again, p->port, HOST, TARGET_A, 1);
    assert_int_not_equal(again.tsih, old.tsih);
    client_expect_close(&old);
    client_ready(&again, 0);
    client_ready(&other, 0);
    program_wait_for_sessions(p, 2);
    client_close(&old);
    client_close(&again);
    client_close(&other);
}

/* Commands of the old session that are in the store have to end before the new one begins. */
static void reinstatement_waits_for_commands(void **state)
{
    struct program *p = *state;
    struct client old, again;
    static uint8_t block[512];
    client_login(&old, p->port, HOST, TARGET_A, 1);
    client_ready(&old, 1);
    uint64_t sent = now_ms();
    client_send_write(&old, 1, 0, block, 1);
    client_ready(&old, 0); /* so the write has arrived */
    client_login(&again, p->port, HOST, TARGET_A, 1);
    assert_in_range(now_ms() - sent, 250, 10000);
    client_expect_close(&old);
    client_close(&old);
    client_close(&again);
}

/* The login gives up first; the session it waited for ends later. */
static void waiting_login_may_vanish(void **state)
{
    struct program *p = *state;
    struct client old, again;
    static uint8_t block[512];
    client_login(&old, p->port, HOST, TARGET_A, 1);
    client_ready(&old, 1);
    client_send_write(&old, 1, 0, block, 1);
    client_ready(&old, 0);
    client_connect(&again, p->port);
    client_send_login(&again, HOST, TARGET_A, 1, 0);
    usleep(50000);
    client_close(&again);
    client_expect_close(&old);
    client_close(&old);
    program_wait_for_sessions(p, 0);
}

static void sessions_are_limited(void **state)
{
    struct program *p = *state;
    struct client c[9];
    for (uint8_t i = 0; i < 8; i++)
        client_login(&c[i], p->port, HOST, TARGET_A, i);
    client_connect(&c[8], p->port);
    client_send_login(&c[8], HOST, TARGET_A, 8, 0);
    client_recv_login(&c[8]);
    assert_int_equal(c[8].status, 0x0302); /* out of resources */
    for (int i = 0; i < 9; i++)
        client_close(&c[i]);
}

/* ---- commands ---- */

static void data_comes_back(void **state)
{
    struct program *p = *state;
    struct client a, b;
    static uint8_t out[65536], in[65536];
    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)(i * 7 + i / 512);
    client_login(&a, p->port, HOST, TARGET_A, 1);
    client_login(&b, p->port, HOST, TARGET_A, 2); /* on the other reactor */
    client_ready(&a, 0);
    client_ready(&b, 0);
    assert_int_equal(client_finish(&a, client_send_write(&a, 0, 8, out, 128), NULL, 0), 0);
    assert_int_equal(client_finish(&b, client_send_read(&b, 0, 8, 128), in, sizeof(in)), 0);
    assert_memory_equal(in, out, sizeof(out));
    client_close(&a);
    client_close(&b);
}

static void many_at_once(void **state)
{
    struct program *p = *state;
    struct client c;
    uint32_t itt[128];
    client_login(&c, p->port, HOST, TARGET_A, 1);
    client_ready(&c, 0);
    for (uint32_t i = 0; i < 100; i++)
        itt[i] = client_send_read(&c, i % 2 ? 0 : 2, i, 8);
    unsigned done = 0;
    static struct pdu pdu;
    while (done < 100) {
        assert_true(client_recv(&c, &pdu));
        assert_in_range(pdu.bhs[16 + 3] | (unsigned)pdu.bhs[16 + 2] << 8, itt[0] & 0xffff,
                        itt[99] & 0xffff);
        done += (pdu.bhs[0] & 0x3f) == 0x21 || (pdu.bhs[1] & 1);
    }
    client_close(&c);
}

static void unknown_lun(void **state)
{
    struct program *p = *state;
    struct client c;
    client_login(&c, p->port, HOST, TARGET_A, 1);
    assert_int_equal(client_finish(&c, client_send_read(&c, 9, 0, 1), NULL, 0), 2);
    client_close(&c);
}

/* ---- task management ---- */

static void abort_of_a_write_that_waits_for_data(void **state)
{
    struct program *p = *state;
    struct client c;
    client_login(&c, p->port, HOST, TARGET_A, 1);
    client_ready(&c, 0);
    uint32_t itt = client_send_write(&c, 0, 0, NULL, 64); /* no data comes */
    uint32_t tmf = client_send_tmf(&c, ABORT_TASK, 0, itt);
    assert_int_equal(client_finish_tmf(&c, tmf), COMPLETE);
    tmf = client_send_tmf(&c, ABORT_TASK, 0, itt);
    assert_int_equal(client_finish_tmf(&c, tmf), NO_TASK);
    client_ready(&c, 0);
    client_close(&c);
}

static void abort_waits_for_the_store(void **state)
{
    struct program *p = *state;
    struct client c;
    client_login(&c, p->port, HOST, TARGET_A, 1);
    client_ready(&c, 1);
    uint64_t sent = now_ms();
    uint32_t itt = client_send_read(&c, 1, 0, 8);
    uint32_t tmf = client_send_tmf(&c, ABORT_TASK, 1, itt);
    assert_int_equal(client_finish_tmf(&c, tmf), COMPLETE);
    assert_in_range(now_ms() - sent, 250, 10000);
    client_close(&c);
}

static void functions_that_are_not_there(void **state)
{
    struct program *p = *state;
    struct client c;
    client_login(&c, p->port, HOST, TARGET_A, 1);
    assert_int_equal(client_finish_tmf(&c, client_send_tmf(&c, REASSIGN, 0, 1)), NO_REASSIGN);
    /* RFC 7144: only after iSCSIProtocolLevel 2 was negotiated */
    assert_int_equal(client_finish_tmf(&c, client_send_tmf(&c, QUERY, 0, 1)), NO_FUNCTION);
    assert_int_equal(client_finish_tmf(&c, client_send_tmf(&c, 99, 0, 1)), NO_FUNCTION);
    assert_int_equal(client_finish_tmf(&c, client_send_tmf(&c, LU_RESET, 77, 0)), NO_LUN);
    client_close(&c);
}

/* A reset of one initiator's ends the commands of all, on the other reactor too. */
static void reset_reaches_every_reactor(void **state)
{
    struct program *p = *state;
    struct client a, b;
    client_login(&a, p->port, HOST, TARGET_A, 1);
    client_login(&b, p->port, HOST, TARGET_A, 2);
    client_ready(&a, 0);
    client_ready(&b, 0);
    uint32_t hung = client_send_write(&b, 0, 0, NULL, 64);
    static const uint8_t test_unit_ready[10];
    uint32_t tur = client_send_cdb(&b, 2, test_unit_ready, false, false, 0, NULL, 0);
    (void)client_finish(&b, tur, NULL, 0); /* so the write has arrived */
    assert_int_equal(client_finish_tmf(&a, client_send_tmf(&a, WARM_RESET, 0, 0)), COMPLETE);
    /* b learns of it by a unit attention, and its command is gone. */
    assert_int_equal(client_finish(&b, client_send_read(&b, 0, 0, 1), NULL, 0), 2);
    assert_int_equal(client_finish_tmf(&b, client_send_tmf(&b, ABORT_TASK, 0, hung)), NO_TASK);
    client_ready(&b, 0);
    client_close(&a);
    client_close(&b);
}

static void cold_reset_ends_the_target_s_sessions(void **state)
{
    struct program *p = *state;
    struct client a, b, other;
    client_login(&a, p->port, HOST, TARGET_A, 1);
    client_login(&b, p->port, HOST, TARGET_A, 2);
    client_login(&other, p->port, HOST, TARGET_B, 3);
    assert_int_equal(client_finish_tmf(&a, client_send_tmf(&a, COLD_RESET, 0, 0)), COMPLETE);
    client_expect_close(&a);
    client_expect_close(&b);
    client_ready(&other, 0);
    client_close(&a);
    client_close(&b);
    client_close(&other);
}

/* The response goes out whatever else is being sent at that time, and before the end. */
static void cold_reset_is_answered_behind_much_data(void **state)
{
    struct program *p = *state;
    static struct pdu pdu;
    struct client c;
    client_login(&c, p->port, HOST, TARGET_A, 1);
    client_ready(&c, 0);
    for (unsigned i = 0; i < 40; i++)
        client_send_read(&c, 0, 0, 2048);
    usleep(100000); /* their answers wait for us to take them */
    uint32_t tmf = client_send_tmf(&c, COLD_RESET, 0, 0);
    usleep(100000);
    assert_int_equal(client_finish_tmf(&c, tmf), COMPLETE);
    assert_false(client_recv(&c, &pdu));
    client_close(&c);
}

/* ---- lost connections and the stop ---- */

static void connection_lost_with_commands_under_way(void **state)
{
    struct program *p = *state;
    static uint8_t block[4096];
    for (uint8_t round = 0; round < 4; round++) {
        struct client c;
        client_login(&c, p->port, HOST, TARGET_A, round);
        client_ready(&c, 1);
        for (uint32_t i = 0; i < 16; i++) {
            client_send_read(&c, 1, i, 8);
            client_send_write(&c, 1, i, block, 8);
            client_send_write(&c, 0, i, NULL, 64);
            client_send_read(&c, 2, i, 64);
        }
        client_close(&c); /* unread data: a reset */
    }
    program_wait_for_sessions(p, 0);
}

/* The last one: a program that was stopped at once leaves its threads behind. */
static void stop_finishes_commands(void **state)
{
    struct program *p = *state;
    struct client c;
    static uint8_t block[512], in[512];
    memset(block, 0x77, sizeof(block));
    client_login(&c, p->port, HOST, TARGET_A, 1);
    client_ready(&c, 1);
    uint32_t w = client_send_write(&c, 1, 5, block, 1);
    client_ready(&c, 0);
    uint64_t t0 = now_ms();
    kill(getpid(), SIGTERM);
    usleep(50 * 1000);       /* else the two would be one */
    kill(getpid(), SIGTERM); /* as timeout(1) does; not an order to give up */
    assert_int_equal(client_finish(&c, w, in, sizeof(in)), 0);
    client_expect_close(&c);
    pthread_join(p->thread, NULL);
    p->thread = 0;
    if (p->result == USAN_ETIMEOUT && now_ms() - t0 >= 400) {
        print_message("# skipped: held up so long that the second signal was an order\n");
        skip();
    }
    assert_int_equal(p->result, 0);
    tgt_free(p->tgt);
    tgt_config_fini(&p->cfg);
    client_close(&c);
}

/* How long the program takes to end once its only initiator has logged out as it was asked to. */
static uint64_t stop_with_logout(void)
{
    static struct pdu pdu;
    struct program p = { 0 };
    struct client c;
    program_configure(&p.cfg);
    program_start(&p);
    client_login(&c, p.port, HOST, TARGET_A, 1);
    kill(getpid(), SIGTERM);
    assert_true(client_recv(&c, &pdu));
    assert_int_equal(pdu.bhs[0] & 0x3f, 0x32); /* asynchronous message ... */
    assert_int_equal(pdu.bhs[36], 1);          /* ... that asks for logout, RFC 7143 11.9.1 */
    uint8_t logout[48] = { 0x46, 0x80 };       /* immediate; close the session */
    logout[19] = 9;                            /* tag */
    logout[27] = 1;                            /* CmdSN */
    uint64_t t0 = now_ms();
    assert_int_equal(write(c.fd, logout, sizeof(logout)), (ssize_t)sizeof(logout));
    assert_true(client_recv(&c, &pdu));
    assert_int_equal(pdu.bhs[0] & 0x3f, 0x26);
    assert_int_equal(pdu.bhs[2], 0);
    client_expect_close(&c);
    pthread_join(p.thread, NULL);
    uint64_t ms = now_ms() - t0;
    assert_int_equal(p.result, 0);
    tgt_free(p.tgt);
    tgt_config_fini(&p.cfg);
    client_close(&c);
    return ms;
}

/* Nobody waits for the second that idle sessions are given; a machine that stalls gets more tries.
 */
static void stop_asks_for_logout(void **state)
{
    (void)state;
    uint64_t ms = stop_with_logout();
    for (int i = 0; i < 10 && ms >= 900; i++)
        ms = stop_with_logout();
    assert_in_range(ms, 0, 899);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROGRAM_TEST(connections_are_spread),
        PROGRAM_TEST(unknown_target),
        PROGRAM_TEST(redirected_target),
        PROGRAM_TEST(second_connection_of_a_session),
        PROGRAM_TEST(session_is_reinstated),
        PROGRAM_TEST(reinstatement_waits_for_commands),
        PROGRAM_TEST(waiting_login_may_vanish),
        PROGRAM_TEST(sessions_are_limited),
        PROGRAM_TEST(data_comes_back),
        PROGRAM_TEST(many_at_once),
        PROGRAM_TEST(unknown_lun),
        PROGRAM_TEST(abort_of_a_write_that_waits_for_data),
        PROGRAM_TEST(abort_waits_for_the_store),
        PROGRAM_TEST(functions_that_are_not_there),
        PROGRAM_TEST(reset_reaches_every_reactor),
        PROGRAM_TEST(cold_reset_ends_the_target_s_sessions),
        PROGRAM_TEST(cold_reset_is_answered_behind_much_data),
        PROGRAM_TEST(connection_lost_with_commands_under_way),
        cmocka_unit_test(stop_asks_for_logout),
        PROGRAM_TEST(stop_finishes_commands),
    };
    program_block_signals();
    return cmocka_run_group_tests(tests, program_make_file, program_remove_file);
}
