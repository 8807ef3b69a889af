/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What initiators can not do to the program: connections, descriptors, time, memory. */
#include "client.h"
#include "cmocka_all.h"
#include "program.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- connections ---- */

/* Who is refused learns why, even if it has sent far more than anybody read. */
static void last_words_are_heard(void **state)
{
    struct program *p = *state;
    static uint8_t more[1 << 20];
    struct client c;
    client_connect(&c, p->port);
    client_send_login(&c, HOST, "iqn.2025-01.com.example:c", 1, 0);
    client_send_raw(&c, more, sizeof(more));
    usleep(100000);
    client_send_raw(&c, more, sizeof(more));
    client_recv_login(&c);
    assert_int_equal(c.status, 0x0203);
    client_expect_end(&c);
    client_close(&c);
}

/* The server does not wait for ever for the other end to close, nor take whatever comes. */
static void ending_connections_are_cut_off(void **state)
{
    struct program *p = *state;
    static uint8_t more[1 << 20];
    struct client quiet, loud;
    client_connect(&quiet, p->port);
    client_send_login(&quiet, HOST, "iqn.2025-01.com.example:c", 1, 0);
    client_expect_end(&quiet);
    client_connect(&loud, p->port);
    client_send_login(&loud, HOST, "iqn.2025-01.com.example:c", 1, 0);
    client_expect_end(&loud);
    for (int i = 0; i < 64 && send(loud.fd, more, sizeof(more), MSG_NOSIGNAL) > 0; i++)
        ;
    uint64_t t0 = now_ms();
    while (program_connections(p) > 1 && now_ms() - t0 < 1000)
        usleep(10000);
    assert_in_range(program_connections(p), 0, 1); /* more than 16 MiB came from the loud one */
    while (program_connections(p) > 0 && now_ms() - t0 < 60000)
        usleep(10000);
    assert_int_equal(program_connections(p), 0);
    client_close(&quiet);
    client_close(&loud);
}

/* Hundreds that connect before anybody is accepted are all taken. */
static void hundreds_connect_at_once(void **state)
{
    struct program *p = *state;
    enum { MANY = 300 };
    static struct client c[MANY];
    for (size_t i = 0; i < MANY; i++)
        client_connect(&c[i], p->port);
    for (int i = 0; i < 6000 && program_connections(p) < MANY; i++)
        usleep(10000);
    assert_int_equal(program_connections(p), MANY);
    client_send_login(&c[MANY - 1], HOST, TARGET_A, 1, 0);
    client_recv_login(&c[MANY - 1]);
    assert_int_equal(c[MANY - 1].status, 0);
    for (size_t i = 0; i < MANY; i++)
        client_close(&c[i]);
}

/* The server closes first, so its end of the connection stays in TIME_WAIT; the next one gets the
 * port all the same. */
static void port_is_free_again_at_once(void **state)
{
    (void)state;
    uint16_t port = 0;
    for (int round = 0; round < 2; round++) {
        struct program p = { 0 };
        struct client c;
        program_configure(&p.cfg);
        p.cfg.portals[0].port = port;
        program_start(&p);
        port = p.port;
        client_login(&c, p.port, HOST, TARGET_A, 1);
        assert_int_equal(program_stop(&p), 0);
        client_expect_close(&c);
        client_close(&c);
    }
}

/* ---- descriptors ---- */

/* All descriptors of the process, until freed; returns how many are in fds. */
static int take_descriptors(int *fds, int max)
{
    int n = 0;
    while (n < max && (fds[n] = dup(STDIN_FILENO)) >= 0)
        n++;
    assert_int_equal(errno, EMFILE);
    return n;
}

static unsigned lines_with(int fd, const char *text)
{
    static char buf[65536];
    ssize_t len = pread(fd, buf, sizeof(buf) - 1, 0);
    buf[len < 0 ? 0 : len] = 0;
    unsigned n = 0;
    for (const char *at = buf; (at = strstr(at, text)); at++)
        n++;
    return n;
}

static uint64_t cpu_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Who connects while there is no descriptor left waits; the log says it once, and the program does
 * not spin. Then they are served. */
static void out_of_descriptors(void **state)
{
    struct program *p = *state;
    struct rlimit old, few;
    static int fds[1024];
    struct client c[20];
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    few = old;
    few.rlim_cur = 512;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    FILE *log = tmpfile();
    int saved = dup(STDERR_FILENO);
    for (size_t i = 0; i < 20; i++)
        client_socket(&c[i]);
    int n = take_descriptors(fds, 1024);
    assert_true(dup2(fileno(log), STDERR_FILENO) >= 0);
    uint64_t cpu = cpu_ms();
    for (size_t i = 0; i < 20; i++)
        client_connect_socket(&c[i], p->port);
    usleep(600000);
    cpu = cpu_ms() - cpu;
    while (n > 0)
        close(fds[--n]);
    for (uint8_t i = 0; i < 6; i++) { /* as many sessions as there may be */
        client_send_login(&c[i], HOST, TARGET_A, i, 0);
        client_recv_login(&c[i]);
        assert_int_equal(c[i].status, 0);
    }
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    for (size_t i = 0; i < 20; i++)
        client_close(&c[i]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(lines_with(fileno(log), "out of file descriptors"), 1);
    assert_true(cpu < 300);
    fclose(log);
}

/* ---- time ---- */

/* The login clock starts with the connection, however long the program has slept before. */
static void login_after_a_long_silence(void **state)
{
    (void)state;
    struct program p = { 0 };
    struct client c;
    program_configure(&p.cfg);
    p.cfg.login_timeout_ns = 3 * NS_PER_SEC;
    program_start(&p);
    usleep(3200 * 1000);
    client_login(&c, p.port, HOST, TARGET_A, 1);
    client_ready(&c, 0);
    client_close(&c);
    /* And it does end: who connects and says nothing is sent away. */
    client_connect(&c, p.port);
    uint64_t t0 = now_ms();
    client_expect_close(&c);
    assert_in_range(now_ms() - t0, 2900, 30000);
    client_close(&c);
    assert_int_equal(program_stop(&p), 0);
}

/* An initiator that owes data and sends none does not keep what was set aside for it. */
static void owed_data_that_never_comes(void **state)
{
    (void)state;
    struct program p = { 0 };
    struct client c, idle;
    program_configure(&p.cfg);
    p.cfg.limits.progress_timeout_ns = 400 * NS_PER_MS;
    program_start(&p);
    client_login(&c, p.port, HOST, TARGET_A, 1);
    client_login(&idle, p.port, HOST, TARGET_A, 2);
    client_ready(&c, 0);
    client_ready(&idle, 0);
    uint64_t t0 = now_ms();
    client_send_write(&c, 0, 0, NULL, 64);
    client_expect_close(&c);
    assert_true(now_ms() - t0 >= 350);
    client_ready(&idle, 0); /* it owes nothing */
    client_close(&c);
    client_close(&idle);
    assert_int_equal(program_stop(&p), 0);
}

/* ---- memory ---- */

/* One reactor with 16 MiB for data, contexts and what the core needs. */
static void start_small(struct program *p)
{
    *p = (struct program){ 0 };
    program_configure(&p->cfg);
    p->cfg.cores = 1;
    p->cfg.limits.memory_bytes = 16 << 20;
    p->cfg.limits.queue_depth = 64;
    program_start(p);
}

/* n writes of 1 MiB that get none of their data, so each keeps its memory; how many were let in,
 * the others were told TASK SET FULL. */
static unsigned hungry_writes(struct client *c, uint8_t lun, unsigned n)
{
    unsigned full = 0, asked = 0;
    static struct pdu pdu;
    for (unsigned i = 0; i < n; i++)
        client_send_write(c, lun, 0, NULL, 2048);
    while (full + asked < n) {
        assert_true(client_recv(c, &pdu));
        uint8_t op = pdu.bhs[0] & 0x3f;
        if (op == 0x21) {
            assert_int_equal(pdu.bhs[3], 0x28); /* TASK SET FULL */
            full++;
        } else if (op == 0x31 && pdu.bhs[36 + 3] == 0) {
            asked++; /* the first R2T of a command */
        }
    }
    return asked;
}

/* n reads of 1 MiB whose data nobody takes for a while, then all at once; how many were told TASK
 * SET FULL. */
static unsigned slow_reads(struct client *c, struct client *meanwhile, unsigned n)
{
    unsigned full = 0, done = 0;
    static struct pdu pdu;
    static uint8_t in[1 << 20];
    for (unsigned i = 0; i < n; i++)
        client_send_read(c, 0, 0, 2048);
    usleep(100000);
    uint32_t itt = client_send_read(meanwhile, 2, 0, 2048);
    assert_int_equal(client_finish(meanwhile, itt, in, sizeof(in)), 0);
    while (full + done < n) {
        assert_true(client_recv(c, &pdu));
        uint8_t op = pdu.bhs[0] & 0x3f;
        if (op == 0x21) {
            /* TASK SET FULL; BUSY when the others are answered, and their data not yet taken */
            assert_true(pdu.bhs[3] == 0x28 || pdu.bhs[3] == 0x08);
            full++;
        } else if (op == 0x25 && pdu.bhs[1] & 1) {
            assert_int_equal(pdu.bhs[3], 0);
            done++;
        }
    }
    return full;
}

/* Commands that find no memory are told to come back. A session alone gets two thirds of what
 * there is, whether it is buffers (LUN 2) or memory of the store (LUN 0), and the other one always
 * finds some. */
static void memory_is_shared(void **state)
{
    (void)state;
    struct program p;
    struct client c, other;
    static uint8_t in[1 << 20];
    static const uint8_t luns[] = { 2, 0 };
    start_small(&p);
    client_login(&c, p.port, HOST, TARGET_A, 1);
    client_login(&other, p.port, HOST, TARGET_A, 2);
    for (unsigned i = 0; i < sizeof(luns); i++) {
        client_ready(&c, luns[i]);
        client_ready(&other, 2);
        assert_in_range(hungry_writes(&c, luns[i], 20), 9, 10);
        uint32_t itt = client_send_read(&other, 2, 0, 2048);
        assert_int_equal(client_finish(&other, itt, in, sizeof(in)), 0);
        /* Given up, they make room again. */
        uint32_t tmf = client_send_tmf(&c, LU_RESET, luns[i], 0);
        assert_int_equal(client_finish_tmf(&c, tmf), COMPLETE);
        client_ready(&c, luns[i]);
        itt = client_send_read(&c, luns[i], 0, 128);
        assert_int_equal(client_finish(&c, itt, in, sizeof(in)), 0);
    }
    client_close(&c);
    client_close(&other);
    assert_int_equal(program_stop(&p), 0);
}

/* Pages that are lent to an initiator which does not take them are used up too. */
static void lent_memory_is_limited(void **state)
{
    (void)state;
    struct program p;
    struct client c, other;
    start_small(&p);
    client_login(&c, p.port, HOST, TARGET_A, 1);
    client_login(&other, p.port, HOST, TARGET_A, 2);
    client_ready(&c, 0);
    client_ready(&other, 2);
    assert_in_range(slow_reads(&c, &other, 40), 1, 30);
    client_ready(&c, 0);
    client_close(&c);
    client_close(&other);
    assert_int_equal(program_stop(&p), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROGRAM_TEST(ending_connections_are_cut_off),
        PROGRAM_TEST(last_words_are_heard),
        PROGRAM_TEST(hundreds_connect_at_once),
        cmocka_unit_test(port_is_free_again_at_once),
        PROGRAM_TEST(out_of_descriptors),
        cmocka_unit_test(login_after_a_long_silence),
        cmocka_unit_test(owed_data_that_never_comes),
        cmocka_unit_test(memory_is_shared),
        cmocka_unit_test(lent_memory_is_limited),
    };
    program_block_signals();
    return cmocka_run_group_tests(tests, program_make_file, program_remove_file);
}
