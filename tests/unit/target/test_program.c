/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The whole program in this process: logins, reinstatement, task management, limits and the stop,
 * with two reactors. */
#include "client.h"
#include "cmocka_all.h"

#include "target/config.h"
#include "target/reactor.h"
#include "target/registry.h"
#include "target/target.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TARGET_A "iqn.2025-01.com.example:a"
#define TARGET_B "iqn.2025-01.com.example:b"
#define GONE     "iqn.2025-01.com.example:gone"
#define HOST     "iqn.2025-01.com.example:host"

enum tmf { ABORT_TASK = 1, LU_RESET = 5, WARM_RESET = 6, COLD_RESET = 7, REASSIGN = 8, QUERY = 9 };
enum tmf_rsp { COMPLETE = 0, NO_TASK = 1, NO_LUN = 2, NO_REASSIGN = 4, NO_FUNCTION = 5 };

struct program {
    struct tgt_config cfg;
    struct tgt *tgt;
    pthread_t thread;
    uint16_t port;
    int result; /* of tgt_run */
};

static void *run(void *arg)
{
    struct program *p = arg;
    p->result = tgt_run(p->tgt, NULL);
    return NULL;
}

static char *copy_of(const char *s)
{
    char *c = strdup(s);
    assert_non_null(c);
    return c;
}

static void add_lun(struct tgt_config_target *t, uint32_t number, const char *store)
{
    struct tgt_config_lun *l = tgt_config_add_lun(t);
    l->lun = number;
    l->store = copy_of(store);
}

static char file_path[] = "/tmp/usan-test-disk.XX"
                          "XX"
                          "XX";

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(file_path);
    int err = fd < 0 || ftruncate(fd, 4 << 20);
    return err ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(file_path);
}

/* Target a: LUN 0 memory, LUN 1 memory whose requests take 300 ms, LUN 2 a file, which
 * needs buffers. Target b: memory. Target gone: redirected. */
static void configure(struct tgt_config *c)
{
    tgt_config_init(c);
    struct tgt_config_portal *portal = tgt_config_add_portal(c);
    portal->address = copy_of("127.0.0.1");
    portal->port = 0;
    struct tgt_config_target *t = tgt_config_add_target(c);
    t->name = copy_of(TARGET_A);
    add_lun(t, 0, "ram:4M");
    add_lun(t, 1, "delay(time=300ms)+ram:4M");
    add_lun(t, 2, file_path);
    t = tgt_config_add_target(c);
    t->name = copy_of(TARGET_B);
    add_lun(t, 0, "ram:4M");
    t = tgt_config_add_target(c);
    t->name = copy_of(GONE);
    t->redirect = copy_of("127.0.0.9:3261");
    c->cores = 2;
    c->limits.sessions = 8;
    c->poll = LOOP_POLL_NEVER;
}

static void find_port(struct program *p)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    tgt_print_urls(p->tgt, out);
    fclose(out);
    static const char begin[] = "iscsi://127.0.0.1:";
    assert_memory_equal(text, begin, sizeof(begin) - 1);
    p->port = (uint16_t)strtoul(text + sizeof(begin) - 1, NULL, 10);
    assert_non_null(strstr(text, "/" TARGET_A "/2\n"));
    assert_null(strstr(text, GONE));
    free(text);
}

/* What a former program did not take any more must not stop the next one. */
static void forget_signals(void)
{
    static const struct timespec at_once = { 0 };
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    while (sigtimedwait(&set, NULL, &at_once) > 0)
        ;
}

static void start(struct program *p)
{
    forget_signals();
    struct err_text e = { "" };
    if (tgt_config_check(&p->cfg, &e) || tgt_new(&p->cfg, &p->tgt, &e))
        fail_msg("%s", e.text);
    find_port(p);
    assert_int_equal(pthread_create(&p->thread, NULL, run, p), 0);
}

static uint64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Returns what tgt_run returned; frees everything (which asserts that nothing is left). */
static int stop(struct program *p)
{
    kill(getpid(), SIGTERM);
    pthread_join(p->thread, NULL);
    tgt_free(p->tgt);
    tgt_config_fini(&p->cfg);
    return p->result;
}

static int setup(void **state)
{
    struct program *p = calloc(1, sizeof(*p));
    configure(&p->cfg);
    start(p);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct program *p = *state;
    int result = p->thread ? stop(p) : 0;
    free(p);
    return result;
}

/* Sessions end a moment after their connections. */
static void wait_for_sessions(struct program *p, uint32_t count)
{
    for (int i = 0; i < 6000; i++) {
        if (tgt_registry_count(tgt_registry(p->tgt)) == count)
            return;
        usleep(10000);
    }
    assert_int_equal(tgt_registry_count(tgt_registry(p->tgt)), count);
}

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
    wait_for_sessions(p, 0);
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

static unsigned connections(const struct program *p)
{
    return atomic_load(&tgt_reactor_at(p->tgt, 0)->conn_count) +
           atomic_load(&tgt_reactor_at(p->tgt, 1)->conn_count);
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
    usleep(50000);
    assert_in_range(connections(p), 0, 1); /* more than 16 MiB came from the loud one */
    uint64_t t0 = now_ms();
    while (connections(p) > 0 && now_ms() - t0 < 4000)
        usleep(10000);
    assert_int_equal(connections(p), 0);
    client_close(&quiet);
    client_close(&loud);
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
    wait_for_sessions(p, 2);
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
    wait_for_sessions(p, 0);
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
    wait_for_sessions(p, 0);
}

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
    assert_int_equal(p->result, 0);
    assert_true(now_ms() - t0 < 10000);
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
    configure(&p.cfg);
    start(&p);
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

/* The login clock starts with the connection, however long the program has slept before. */
static void login_after_a_long_silence(void **state)
{
    (void)state;
    struct program p = { 0 };
    struct client c;
    configure(&p.cfg);
    p.cfg.login_timeout_ns = 3 * NS_PER_SEC;
    start(&p);
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
    assert_int_equal(stop(&p), 0);
}

/* An initiator that owes data and sends none does not keep what was set aside for it. */
static void owed_data_that_never_comes(void **state)
{
    (void)state;
    struct program p = { 0 };
    struct client c, idle;
    configure(&p.cfg);
    p.cfg.limits.progress_timeout_ns = 400 * NS_PER_MS;
    start(&p);
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
    assert_int_equal(stop(&p), 0);
}

/* ---- memory ---- */

/* One reactor with 16 MiB for data, contexts and what the core needs. */
static void start_small(struct program *p)
{
    *p = (struct program){ 0 };
    configure(&p->cfg);
    p->cfg.cores = 1;
    p->cfg.limits.memory_bytes = 16 << 20;
    p->cfg.limits.queue_depth = 64;
    start(p);
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
            assert_int_equal(pdu.bhs[3], 0x28);
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
    assert_int_equal(stop(&p), 0);
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
    assert_int_equal(stop(&p), 0);
}

static void block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

#define PROGRAM_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROGRAM_TEST(connections_are_spread),
        PROGRAM_TEST(unknown_target),
        PROGRAM_TEST(last_words_are_heard),
        PROGRAM_TEST(ending_connections_are_cut_off),
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
        PROGRAM_TEST(out_of_descriptors),
        PROGRAM_TEST(connection_lost_with_commands_under_way),
        PROGRAM_TEST(stop_finishes_commands),
        cmocka_unit_test(stop_asks_for_logout),
        cmocka_unit_test(login_after_a_long_silence),
        cmocka_unit_test(owed_data_that_never_comes),
        cmocka_unit_test(memory_is_shared),
        cmocka_unit_test(lent_memory_is_limited),
    };
    block_signals();
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
