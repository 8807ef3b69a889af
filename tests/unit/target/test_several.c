/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sessions with several connections, which live on different reactors. */
#include "cmocka_all.h"

#include "client.h"
#include "program.h"

#include "base/bytes.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void nap(unsigned ms)
{
    nanosleep(&(struct timespec){ .tv_nsec = (long)ms * 1000000 }, NULL);
}

static void open_session(struct program *p, struct client *c)
{
    client_connect(c, p->port);
    c->connections = 4;
    client_send_login(c, HOST, TARGET_A, 1, 0);
    client_recv_login(c);
    assert_int_equal(c->status, 0);
}

static void join(struct program *p, struct client *further, struct client *c, uint16_t cid)
{
    client_join(further, c, p->port, HOST, TARGET_A, 1, cid);
}

/* a and b on a reactor each, with nothing pending. */
static void open_two(struct program *p, struct client *a, struct client *b)
{
    open_session(p, a);
    join(p, b, a, 1);
    client_pair(a, b);
    for (uint8_t lun = 0; lun < 3; lun++)
        client_ready(a, lun);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(atomic_load(&tgt_reactor_at(p->tgt, i)->conn_count), 1);
}

static void fill(uint8_t *buf, size_t len, uint8_t seed)
{
    for (size_t i = 0; i < len; i++)
        buf[i] = (uint8_t)(seed + i * 7 + i / 512);
}

/* ---- commands ---- */

static void commands_on_both(void **state)
{
    struct program *p = *state;
    struct client a, b;
    static uint8_t out[65536], in[65536];
    open_two(p, &a, &b);
    for (uint8_t lun = 0; lun < 3; lun += 2) {
        fill(out, sizeof(out), lun);
        uint32_t w = client_send_write(&a, lun, 0, out, 128);
        assert_int_equal(client_finish(&a, w, NULL, 0), 0);
        uint32_t r = client_send_read(&b, lun, 0, 128);
        assert_int_equal(client_finish(&b, r, in, sizeof(in)), 0);
        assert_memory_equal(in, out, sizeof(in));
        fill(out, sizeof(out), (uint8_t)(lun + 100));
        w = client_send_write(&b, lun, 512, NULL, 128);
        client_answer_r2t(&b, w, out);
        assert_int_equal(client_finish(&b, w, NULL, 0), 0);
        r = client_send_read(&a, lun, 512, 128);
        assert_int_equal(client_finish(&a, r, in, sizeof(in)), 0);
        assert_memory_equal(in, out, sizeof(in));
    }
    client_close(&a);
    client_close(&b);
}

/* RFC 7143 4.2.2.1: commands are delivered in the order of CmdSN, whichever connection they come
 * on. One that came ahead of its turn is run by whoever brings what was missing. */
static void ahead_of_its_turn(void **state)
{
    struct program *p = *state;
    struct client a, b;
    static uint8_t out[65536], in[65536];
    open_two(p, &a, &b);
    for (uint8_t lun = 0; lun < 3; lun += 2) {
        for (unsigned i = 0; i < 20; i++) {
            fill(out, sizeof(out), (uint8_t)(lun + i));
            uint32_t first = a.cmd_sn++;
            bool immediate = i % 2;
            uint32_t w = client_send_write(&b, lun, 0, immediate ? out : NULL, 128);
            if (i % 4 < 2)
                nap(2);
            uint32_t after = a.cmd_sn;
            a.cmd_sn = first;
            uint32_t r = client_send_read(&a, lun, 1024, 8);
            a.cmd_sn = after;
            if (!immediate)
                client_answer_r2t(&b, w, out);
            assert_int_equal(client_finish(&b, w, NULL, 0), 0);
            assert_int_equal(client_finish(&a, r, in, sizeof(in)), 0);
            r = client_send_read(&b, lun, 0, 128);
            assert_int_equal(client_finish(&b, r, in, sizeof(in)), 0);
            assert_memory_equal(in, out, sizeof(in));
        }
    }
    client_close(&a);
    client_close(&b);
}

/* SAM-6 8.6: an ORDERED command waits for older ones, and younger ones for it, on whatever
 * reactor. LUN 1 takes 300 ms. */
static void ordered_on_another_connection(void **state)
{
    struct program *p = *state;
    struct client a, b;
    static uint8_t block[512];
    open_two(p, &a, &b);
    uint64_t start = now_ms();
    uint32_t first = client_send_read(&a, 1, 0, 1);
    nap(20);
    b.attr = 2;
    uint32_t ordered = client_send_read(&b, 1, 0, 1);
    nap(20);
    uint32_t last = client_send_read(&a, 1, 0, 1);
    assert_int_equal(client_finish(&a, first, block, sizeof(block)), 0);
    assert_int_equal(client_finish(&b, ordered, block, sizeof(block)), 0);
    assert_true(now_ms() - start >= 600);
    assert_int_equal(client_finish(&a, last, block, sizeof(block)), 0);
    assert_true(now_ms() - start >= 900);
    client_close(&a);
    client_close(&b);
}

static void unit_attention_is_told_once(void **state)
{
    struct program *p = *state;
    struct client a, b;
    static const uint8_t test_unit_ready[10];
    open_two(p, &a, &b);
    uint32_t tmf = client_send_tmf(&b, LU_RESET, 0, 0);
    assert_int_equal(client_finish_tmf(&b, tmf), COMPLETE);
    uint32_t on_a = client_send_cdb(&a, 0, test_unit_ready, false, false, 0, NULL, 0);
    uint32_t on_b = client_send_cdb(&b, 0, test_unit_ready, false, false, 0, NULL, 0);
    unsigned told = client_finish(&a, on_a, NULL, 0) != 0;
    told += client_finish(&b, on_b, NULL, 0) != 0;
    assert_int_equal(told, 1);
    client_close(&a);
    client_close(&b);
}

/* ---- task management ---- */

/* A read through b, which takes 300 ms, and a function through a that ends it. False: this machine
 * was held up for so long that the read was done before. */
static bool ended_by(struct client *a, struct client *b, uint8_t function)
{
    static struct pdu next;
    uint64_t start = now_ms();
    uint32_t r = client_send_read(b, 1, 0, 1);
    nap(20);
    uint8_t rsp = client_finish_tmf(a, client_send_tmf(a, function, 1, r));
    uint64_t took = now_ms() - start;
    assert_true(took >= 280); /* the store has it until then */
    uint32_t again = client_send_read(b, 1, 0, 1);
    assert_true(client_recv(b, &next));
    if (be32_get(next.bhs + 16) == again) { /* it was never answered */
        assert_int_equal(rsp, COMPLETE);
        return true;
    }
    assert_int_equal(be32_get(next.bhs + 16), r);
    assert_true(took >= 300);
    assert_int_equal(client_finish(b, again, NULL, 0), 0);
    return false;
}

static void task_management_reaches_both(void **state)
{
    struct program *p = *state;
    struct client a, b;
    static uint8_t block[512];
    enum { ABORT_TASK_SET = 2, CLEAR_TASK_SET = 4 };
    open_two(p, &a, &b);
    static const uint8_t functions[] = { ABORT_TASK, ABORT_TASK_SET, CLEAR_TASK_SET };
    for (unsigned i = 0; i < sizeof(functions); i++) {
        bool ended = false;
        for (unsigned tries = 0; tries < 20 && !ended; tries++)
            ended = ended_by(&a, &b, functions[i]);
        assert_true(ended);
    }
    uint32_t r = client_send_read(&b, 0, 0, 1);
    assert_int_equal(client_finish(&b, r, block, sizeof(block)), 0);
    uint32_t tmf = client_send_tmf(&a, ABORT_TASK, 0, r);
    assert_int_equal(client_finish_tmf(&a, tmf), NO_TASK);
    client_close(&a);
    client_close(&b);
}

/* Both ask the other one at the same time. */
static void functions_from_both(void **state)
{
    struct program *p = *state;
    struct client a, b;
    open_two(p, &a, &b);
    for (unsigned i = 0; i < 20; i++) {
        uint32_t ra = client_send_read(&a, 0, 0, 1), rb = client_send_read(&b, 0, 0, 1);
        uint32_t ta = client_send_tmf(&a, 2, 0, 0), tb = client_send_tmf(&b, 2, 0, 0);
        (void)ra;
        (void)rb;
        assert_int_equal(client_finish_tmf(&a, ta), COMPLETE);
        assert_int_equal(client_finish_tmf(&b, tb), COMPLETE);
    }
    client_ready(&a, 0);
    client_ready(&b, 0);
    client_close(&a);
    client_close(&b);
}

/* ---- connections come and go ---- */

static void lost_connection_leaves_the_others(void **state)
{
    struct program *p = *state;
    struct client a, b;
    open_two(p, &a, &b);
    for (unsigned i = 0; i < 5; i++) {
        (void)client_send_read(&b, 1, 0, 1); /* 300 ms: it is under way when b goes */
        (void)client_send_write(&b, 0, 0, NULL, 8);
        nap(20);
        client_close(&b);
        client_ready(&a, 0);
        join(p, &b, &a, (uint16_t)(i + 2));
        client_ready(&b, 0);
    }
    /* The first one goes: the session lives on where it is. */
    client_close(&a);
    b.cmd_sn = a.cmd_sn;
    b.itt = a.itt;
    b.session = NULL;
    client_ready(&b, 0);
    client_ready(&b, 2);
    client_close(&b);
    program_wait_for_sessions(p, 0);
}

/* 6.3.4: a login with the CID of a connection takes its place. */
static void connection_is_reinstated(void **state)
{
    struct program *p = *state;
    struct client a, b, c;
    open_two(p, &a, &b);
    (void)client_send_read(&b, 1, 0, 1);
    nap(20);
    join(p, &c, &a, 1);
    client_expect_close(&b);
    client_ready(&c, 0);
    client_ready(&a, 0);
    client_close(&a);
    client_close(&b);
    client_close(&c);
}

static void logout_of_another(void **state)
{
    struct program *p = *state;
    struct client a, b;
    open_two(p, &a, &b);
    (void)client_send_read(&b, 1, 0, 1);
    nap(20);
    assert_int_equal(client_logout(&a, 1, 7), 1); /* no such CID */
    assert_int_equal(client_logout(&a, 1, 1), 0);
    client_expect_close(&b);
    client_ready(&a, 0);
    client_close(&b);
    join(p, &b, &a, 1);
    client_ready(&b, 0);
    assert_int_equal(client_logout(&b, 0, 0), 0);
    client_expect_close(&a);
    client_expect_close(&b);
    program_wait_for_sessions(p, 0);
    client_close(&a);
    client_close(&b);
}

static void session_of_two_is_reinstated(void **state)
{
    struct program *p = *state;
    struct client a, b, again;
    open_two(p, &a, &b);
    (void)client_send_read(&a, 1, 0, 1);
    (void)client_send_read(&b, 1, 0, 1);
    nap(20);
    client_login(&again, p->port, HOST, TARGET_A, 1);
    assert_int_not_equal(again.tsih, a.tsih);
    client_expect_close(&a);
    client_expect_close(&b);
    client_ready(&again, 0);
    program_wait_for_sessions(p, 1);
    client_close(&a);
    client_close(&b);
    client_close(&again);
}

static void connections_are_limited(void **state)
{
    struct program *p = *state;
    struct client c[5];
    open_session(p, &c[0]);
    for (uint16_t i = 1; i < 4; i++)
        join(p, &c[i], &c[0], i);
    client_connect(&c[4], p->port);
    c[4].cid = 4;
    c[4].session = &c[0];
    client_send_login(&c[4], HOST, TARGET_A, 1, c[0].tsih);
    client_recv_login(&c[4]);
    assert_int_equal(c[4].status, 0x0206);
    client_expect_close(&c[4]);
    for (unsigned i = 0; i < 4; i++)
        client_ready(&c[i], 0);
    for (unsigned i = 0; i < 5; i++)
        client_close(&c[i]);
}

static void cold_reset_ends_both(void **state)
{
    struct program *p = *state;
    struct client a, b;
    open_two(p, &a, &b);
    uint32_t tmf = client_send_tmf(&b, COLD_RESET, 0, 0);
    assert_int_equal(client_finish_tmf(&b, tmf), COMPLETE);
    client_expect_close(&a);
    client_expect_close(&b);
    program_wait_for_sessions(p, 0);
    client_close(&a);
    client_close(&b);
}

/* The end of the program with connections of one session on both reactors. */
static void stop_with_two(void **state)
{
    (void)state;
    struct program p = { 0 };
    struct client a, b;
    static struct pdu pdu;
    program_configure(&p.cfg);
    program_start(&p);
    open_two(&p, &a, &b);
    uint32_t r = client_send_read(&b, 1, 0, 1);
    nap(20);
    assert_int_equal(program_stop(&p), 0);
    assert_int_equal(client_finish(&b, r, NULL, 0), 0); /* it was finished */
    bool asked = false;
    while (client_recv(&a, &pdu))
        asked |= (pdu.bhs[0] & 0x3f) == 0x32 && pdu.bhs[36] == 1;
    assert_true(asked); /* Async Message: logout requested */
    client_close(&a);
    client_close(&b);
}

/* ---- recovery level 2: commands of a lost connection go on on another reactor ---- */

enum { LOGOUT_FOR_RECOVERY = 2 };

static void open_two_at_level_2(struct program *p, struct client *a, struct client *b)
{
    client_connect(a, p->port);
    a->connections = 4;
    a->level = 2;
    a->retain = 3600;
    a->acks = true;
    client_send_login(a, HOST, TARGET_A, 1, 0);
    client_recv_login(a);
    assert_int_equal(a->status, 0);
    join(p, b, a, 1);
    for (uint8_t lun = 0; lun < 3; lun++)
        client_ready(a, lun);
}

static void reassign(struct client *a, uint8_t lun, uint32_t itt)
{
    uint32_t tmf = client_send_tmf(a, REASSIGN, lun, itt);
    assert_int_equal(client_finish_tmf(a, tmf), COMPLETE);
}

static void read_is_taken_over(void **state)
{
    struct program *p = *state;
    struct client a, b;
    static uint8_t in[512], out[512];
    open_two_at_level_2(p, &a, &b);
    fill(out, sizeof(out), 5);
    uint32_t w = client_send_write(&a, 1, 9, out, 1);
    assert_int_equal(client_finish(&a, w, NULL, 0), 0);
    for (unsigned i = 0; i < 2; i++) { /* once it is in the store still, once it has ended */
        uint32_t r = client_send_read(&b, 1, 9, 1);
        nap(20);
        client_close(&b);
        nap(i ? 400 : 20);
        assert_int_equal(client_logout(&a, LOGOUT_FOR_RECOVERY, 1), 0);
        reassign(&a, 1, r);
        memset(in, 0, sizeof(in));
        assert_int_equal(client_finish(&a, r, in, sizeof(in)), 0);
        assert_memory_equal(in, out, sizeof(in));
        join(p, &b, &a, 1);
    }
    client_ready(&b, 0);
    assert_int_equal(client_logout(&a, 0, 0), 0);
    client_close(&a);
    client_close(&b);
    program_wait_for_sessions(p, 0);
}

/* The data lands in memory of the other reactor. */
static void write_is_taken_over(void **state)
{
    struct program *p = *state;
    struct client a, b;
    static uint8_t out[65536], in[65536];
    open_two_at_level_2(p, &a, &b);
    for (uint8_t lun = 0; lun < 3; lun += 2) {
        fill(out, sizeof(out), lun);
        uint32_t w = client_send_write(&b, lun, 64, NULL, 128);
        static struct pdu r2t;
        assert_true(client_recv(&b, &r2t));
        assert_int_equal(r2t.bhs[0], 0x31);
        client_close(&b);
        nap(20);
        assert_int_equal(client_logout(&a, LOGOUT_FOR_RECOVERY, 1), 0);
        reassign(&a, lun, w);
        client_answer_r2t(&a, w, out);
        assert_int_equal(client_finish(&a, w, NULL, 0), 0);
        uint32_t r = client_send_read(&a, lun, 64, 128);
        assert_int_equal(client_finish(&a, r, in, sizeof(in)), 0);
        assert_memory_equal(in, out, sizeof(in));
        join(p, &b, &a, 1);
        client_ready(&b, 0);
    }
    assert_int_equal(client_logout(&b, 0, 0), 0);
    client_close(&a);
    client_close(&b);
    program_wait_for_sessions(p, 0);
}

/* 6.3.6: all connections are lost, and the session goes on with a new one. */
static void session_is_continued(void **state)
{
    struct program *p = *state;
    struct client a, b, c;
    static uint8_t in[512];
    open_two_at_level_2(p, &a, &b);
    uint32_t ra = client_send_read(&a, 1, 0, 1), rb = client_send_read(&b, 1, 0, 1);
    nap(20);
    client_close(&a);
    client_close(&b);
    nap(20);
    assert_int_equal(tgt_registry_count(tgt_registry(p->tgt)), 1);
    join(p, &c, &a, 0); /* the place of a */
    assert_int_equal(client_logout(&c, LOGOUT_FOR_RECOVERY, 1), 0);
    reassign(&c, 1, ra);
    assert_int_equal(client_finish(&c, ra, in, sizeof(in)), 0);
    reassign(&c, 1, rb);
    assert_int_equal(client_finish(&c, rb, in, sizeof(in)), 0);
    client_ready(&c, 0);
    assert_int_equal(client_logout(&c, 0, 0), 0);
    client_close(&c);
    program_wait_for_sessions(p, 0);
}

/* Nobody comes back: what ran is aborted after a while, and everything goes. */
static void session_is_given_up(void **state)
{
    (void)state;
    struct program p = { 0 };
    struct client a, b;
    program_configure(&p.cfg);
    p.cfg.limits.time2retain_ns = 1000000000;
    program_start(&p);
    open_two_at_level_2(&p, &a, &b);
    (void)client_send_read(&a, 1, 0, 1);
    (void)client_send_write(&b, 0, 0, NULL, 8); /* whose data never comes */
    nap(20);
    uint64_t start = now_ms();
    client_close(&a);
    client_close(&b);
    program_wait_for_sessions(&p, 0);
    assert_true(now_ms() - start >= 1000);
    assert_int_equal(program_stop(&p), 0);
}

/* The program ends while lost connections are waited for. */
static void stop_with_a_lost_session(void **state)
{
    (void)state;
    struct program p = { 0 };
    struct client a, b;
    program_configure(&p.cfg);
    program_start(&p);
    open_two_at_level_2(&p, &a, &b);
    (void)client_send_read(&b, 1, 0, 1);
    nap(20);
    client_close(&b);
    client_close(&a);
    nap(20);
    assert_int_equal(tgt_registry_count(tgt_registry(p.tgt)), 1);
    assert_int_equal(program_stop(&p), 0);
}

/* ---- many threads ---- */

enum { WORKERS = 4, REGION = 256 /* blocks of each */ };

struct crowd {
    struct program *p;
    struct client lead; /* of which all take tags and CmdSN */
    pthread_mutex_t numbers;
    atomic_uint commands, joins;
    atomic_bool stop;
};

struct worker {
    struct crowd *crowd;
    pthread_t thread;
    unsigned index;
    uint8_t model[REGION * 512];
};

static uint32_t next_random(uint32_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 17;
    *x ^= *x << 5;
    return *x;
}

static void write_some(struct worker *w, struct client *c, uint32_t x)
{
    uint32_t at = x % (REGION - 64), blocks = 1 + (x >> 16) % 64;
    uint8_t *data = w->model + at * 512;
    fill(data, (size_t)blocks * 512, (uint8_t)x);
    bool immediate = x & 0x100;
    pthread_mutex_lock(&w->crowd->numbers);
    uint32_t itt =
        client_send_write(c, 0, w->index * REGION + at, immediate ? data : NULL, (uint16_t)blocks);
    pthread_mutex_unlock(&w->crowd->numbers);
    if (!immediate)
        client_answer_r2t(c, itt, data);
    assert_int_equal(client_finish(c, itt, NULL, 0), 0);
}

static void read_some(struct worker *w, struct client *c, uint32_t x)
{
    static _Thread_local uint8_t in[64 * 512];
    uint32_t at = x % (REGION - 64), blocks = 1 + (x >> 16) % 64;
    pthread_mutex_lock(&w->crowd->numbers);
    uint32_t itt = client_send_read(c, 0, w->index * REGION + at, (uint16_t)blocks);
    pthread_mutex_unlock(&w->crowd->numbers);
    assert_int_equal(client_finish(c, itt, in, sizeof(in)), 0);
    assert_memory_equal(in, w->model + at * 512, (size_t)blocks * 512);
}

static void worker_connect(struct worker *w, struct client *c)
{
    struct crowd *crowd = w->crowd;
    client_connect(c, crowd->p->port);
    c->session = &crowd->lead;
    c->cid = (uint16_t)(w->index + 1);
    pthread_mutex_lock(&crowd->numbers);
    client_send_login(c, HOST, TARGET_A, 1, crowd->lead.tsih);
    pthread_mutex_unlock(&crowd->numbers);
    client_recv_login(c);
    assert_int_equal(c->status, 0);
    atomic_fetch_add(&crowd->joins, 1);
}

/* The connection goes in order, or is cut when nothing is under way, or its place is taken. */
static void worker_leave(struct worker *w, struct client *c, uint32_t x)
{
    if (x % 3 == 0) {
        pthread_mutex_lock(&w->crowd->numbers);
        uint8_t response = client_logout(c, 1, c->cid);
        pthread_mutex_unlock(&w->crowd->numbers);
        assert_int_equal(response, 0);
        client_expect_close(c);
    }
    if (x % 3 < 2) {
        client_close(c);
        worker_connect(w, c);
        return;
    }
    struct client old = *c;
    worker_connect(w, c);
    client_expect_close(&old);
    client_close(&old);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct client c;
    uint32_t x = 0x9e3779b9u * (w->index + 1);
    worker_connect(w, &c);
    while (!atomic_load(&w->crowd->stop)) {
        if (next_random(&x) % 64 == 0)
            worker_leave(w, &c, x >> 8);
        if (x & 0x80)
            write_some(w, &c, x >> 8);
        else
            read_some(w, &c, x >> 8);
        atomic_fetch_add(&w->crowd->commands, 1);
    }
    client_close(&c);
    return NULL;
}

static void connections_change_while_io_runs(void **state)
{
    struct crowd crowd = { .p = *state };
    struct worker *w = calloc(WORKERS, sizeof(*w));
    static uint8_t zeroes[REGION * 512];
    assert_non_null(w);
    pthread_mutex_init(&crowd.numbers, NULL);
    client_connect(&crowd.lead, crowd.p->port);
    crowd.lead.connections = 8;
    client_send_login(&crowd.lead, HOST, TARGET_A, 1, 0);
    client_recv_login(&crowd.lead);
    assert_int_equal(crowd.lead.status, 0);
    client_ready(&crowd.lead, 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        uint32_t itt = client_send_write(&crowd.lead, 0, i * REGION, NULL, REGION);
        client_answer_r2t(&crowd.lead, itt, zeroes);
        assert_int_equal(client_finish(&crowd.lead, itt, NULL, 0), 0);
        w[i].crowd = &crowd;
        w[i].index = i;
    }
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
    nap(900);
    atomic_store(&crowd.stop, true);
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(w[i].thread, NULL);
    client_ready(&crowd.lead, 0);
    client_close(&crowd.lead);
    print_message("# %u commands, %u connections\n", atomic_load(&crowd.commands),
                  atomic_load(&crowd.joins));
    assert_true(atomic_load(&crowd.joins) > WORKERS);
    program_wait_for_sessions(crowd.p, 0);
    pthread_mutex_destroy(&crowd.numbers);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROGRAM_TEST(commands_on_both),
        PROGRAM_TEST(ahead_of_its_turn),
        PROGRAM_TEST(ordered_on_another_connection),
        PROGRAM_TEST(unit_attention_is_told_once),
        PROGRAM_TEST(task_management_reaches_both),
        PROGRAM_TEST(functions_from_both),
        PROGRAM_TEST(lost_connection_leaves_the_others),
        PROGRAM_TEST(connection_is_reinstated),
        PROGRAM_TEST(logout_of_another),
        PROGRAM_TEST(session_of_two_is_reinstated),
        PROGRAM_TEST(connections_are_limited),
        PROGRAM_TEST(cold_reset_ends_both),
        cmocka_unit_test(stop_with_two),
        PROGRAM_TEST(read_is_taken_over),
        PROGRAM_TEST(write_is_taken_over),
        PROGRAM_TEST(session_is_continued),
        cmocka_unit_test(session_is_given_up),
        cmocka_unit_test(stop_with_a_lost_session),
        PROGRAM_TEST(connections_change_while_io_runs),
    };
    program_block_signals();
    return cmocka_run_group_tests(tests, program_make_file, program_remove_file);
}
