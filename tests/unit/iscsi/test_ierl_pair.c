/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recovery of both roles against each other: a byte on the wire is damaged, or the wire is cut at
 * it, for bytes all over a small load. Every command is done once, with the right data.
 */
#include "ipair.h"

#include "base/bytes.h"

#include <stdlib.h>

enum { CMDS = 6, BLOCKS = 3, LEN = BLOCKS * PAIR_BLOCK };

struct load {
    struct pair_cmd cmd[CMDS];
    uint8_t buf[CMDS][LEN];
    unsigned losses; /* sessions */
    unsigned unsure; /* commands that came back with `sent`, and were sent again */
};

static void submit(struct pair *p, struct load *l, unsigned i)
{
    bool write = i & 1;
    for (uint32_t k = 0; k < LEN; k++)
        l->buf[i][k] = write ? (uint8_t)(i * 31 + k * 7) : 0;
    pair_rw(&l->cmd[i], write, i * BLOCKS, BLOCKS, l->buf[i], LEN);
    assert_int_equal(iscsi_isess_submit(p->sess, &l->cmd[i].c), 0);
}

static void begin(struct pair *p, struct load *l, uint8_t level, unsigned conns)
{
    struct iscsi_params_cfg *i = &p->icfg.params, *t = &p->tcfg.params;
    i->error_recovery_level = t->error_recovery_level = level;
    i->header_digest = i->data_digest = true;
    i->max_recv_data_segment = t->max_recv_data_segment = 512;
    i->max_burst = i->first_burst = 1024;
    i->time2wait = t->time2wait = 1;
    p->icfg.recovery_timeout_ns = 300 * NS_PER_MS;
    /* a damaged length makes its receiver wait for bytes that nobody sends: until a ping */
    p->icfg.nop_interval_ns = p->icfg.nop_timeout_ns = NS_PER_SEC;
    p->tcfg.nop_interval_ns = p->tcfg.nop_timeout_ns = NS_PER_SEC;
    p->max_piece = 0;
    *l = (struct load){ .losses = 0 };
    for (size_t k = 0; k < sizeof(p->disk) / 1024; k++)
        p->disk[k] = (uint8_t)(k * 13);
    pair_login(p);
    for (uint16_t cid = 2; cid < conns + 1u; cid++)
        (void)pair_connect(p, cid);
    pair_run(p);
    p->moved[0] = p->moved[1] = 0; /* logins are another matter: they have no digests */
    assert_int_equal(iscsi_isess_params(p->sess)->error_recovery_level, level);
}

static bool all_done(const struct load *l)
{
    for (unsigned i = 0; i < CMDS; i++)
        if (!l->cmd[i].done)
            return false;
    return true;
}

static unsigned living(const struct pair *p)
{
    unsigned n = 0;
    for (int i = 0; i < PAIR_CONNS; i++)
        n += p->conn[i].i && !p->conn[i].iclosed;
    return n;
}

/* The owner: connects again, and sends again what came back. Reads and writes of the same blocks
 * with the same data may be done twice. */
static bool finish(struct pair *p, struct load *l, unsigned conns)
{
    uint16_t cid = 10;
    for (int step = 0; step < 200; step++) {
        pair_pass(p, 100 * NS_PER_MS);
        pair_sweep(p);
        if (p->session_down) {
            l->losses += p->session_down;
            p->session_down = 0;
        }
        if (living(p) < conns) {
            struct pair_conn *c = pair_connect(p, cid++);
            assert_true(!c->ierr || c->ierr == USAN_EAGAIN || c->ierr == USAN_EBUSY);
            pair_run(p);
        }
        for (unsigned i = 0; i < CMDS; i++) {
            struct pair_cmd *m = &l->cmd[i];
            if (!m->done || !m->c.err)
                continue;
            assert_true(m->c.sent); /* else it would have waited */
            l->unsure++;
            submit(p, l, i);
        }
        if (all_done(l) && living(p) == conns && iscsi_isess_deadline(p->sess) == TIME_NEVER)
            break;
    }
    return all_done(l);
}

static void check(const struct pair *p, const struct load *l)
{
    for (unsigned i = 0; i < CMDS; i++) {
        const struct iscsi_icmd *c = &l->cmd[i].c;
        assert_int_equal(c->err, 0);
        assert_int_equal(c->status, 0);
        assert_memory_equal(l->buf[i], p->disk + (size_t)i * LEN, LEN);
    }
    assert_int_equal(p->done, CMDS + l->unsure); /* once each */
    assert_int_equal(iscsi_isess_active(p->sess), 0);
    assert_int_equal(iscsi_isess_queued(p->sess), 0);
    assert_true(iscsi_isess_deadline(p->sess) == TIME_NEVER);
}

/* How many bytes go each way when nothing happens. */
static void measure(uint8_t level, unsigned conns, uint64_t *ret_bytes)
{
    static struct load l;
    struct pair *p = pair_new(1);
    begin(p, &l, level, conns);
    for (unsigned i = 0; i < CMDS; i++)
        submit(p, &l, i);
    pair_run(p);
    assert_true(all_done(&l));
    check(p, &l);
    ret_bytes[0] = p->moved[0];
    ret_bytes[1] = p->moved[1];
    assert_true(ret_bytes[0] > CMDS / 2 * LEN && ret_bytes[1] > CMDS / 2 * LEN);
    pair_free(p);
}

struct sum {
    unsigned runs, losses, unsure, commands;
    uint64_t snacks, reassigned, lost;
};

static void run(uint8_t level, unsigned conns, bool cut, int way, uint64_t at, struct sum *sum)
{
    static struct load l;
    struct pair *p = pair_new(at);
    begin(p, &l, level, conns);
    *(cut ? &p->cut_at[way] : &p->flip_at[way]) = at;
    for (unsigned i = 0; i < CMDS; i++)
        submit(p, &l, i);
    if (!finish(p, &l, conns)) {
        print_message("level %u, %s: byte %u to the %s: %s, not done\n", level,
                      cut ? "cut" : "damaged", (unsigned)at, way ? "initiator" : "target",
                      iscsi_isess_state(p->sess));
        fail();
    }
    check(p, &l);
    const struct iscsi_isess_stats *s = iscsi_isess_stats(p->sess);
    sum->runs++;
    sum->losses += l.losses;
    sum->unsure += l.unsure;
    sum->commands += p->commands;
    sum->snacks += s->data_snacks + s->status_snacks + s->retries;
    sum->reassigned += s->reassigned;
    sum->lost += s->lost;
    pair_free(p);
}

static void everywhere(uint8_t level, unsigned conns, bool cut, uint64_t stride, struct sum *sum)
{
    uint64_t bytes[2];
    *sum = (struct sum){ .runs = 0 };
    measure(level, conns, bytes);
    for (int way = 0; way < 2; way++)
        for (uint64_t at = 1; at <= bytes[way]; at += stride)
            run(level, conns, cut, way, at, sum);
    print_message("level %u, %u connections, %s: %u runs, %u sessions lost, %u commands unsure, "
                  "%u asked for again, %u connections lost, %u tasks reassigned\n",
                  level, conns, cut ? "cut" : "damaged", sum->runs, sum->losses, sum->unsure,
                  (unsigned)sum->snacks, (unsigned)sum->lost, (unsigned)sum->reassigned);
}

static void level1_damaged(void **st)
{
    (void)st;
    struct sum sum;
    everywhere(1, 1, false, 3, &sum);
    assert_true(sum.snacks > sum.runs / 4);                   /* data was mended */
    assert_true(sum.losses > 0 && sum.losses < sum.runs / 2); /* headers were not */
}

static void level1_cut(void **st)
{
    (void)st;
    struct sum sum;
    everywhere(1, 1, true, 7, &sum);
    assert_int_equal(sum.losses, sum.runs);
}

static void level2(void **st)
{
    (void)st;
    for (unsigned conns = 1; conns <= 2; conns++) {
        for (int cut = 0; cut < 2; cut++) {
            struct sum sum;
            everywhere(2, conns, cut, conns == 1 ? 3 : 7, &sum);
            assert_int_equal(sum.losses, 0);
            assert_int_equal(sum.unsure, 0);
            assert_int_equal(sum.commands, sum.runs * CMDS); /* none is executed twice */
            assert_true(sum.lost >= (cut ? sum.runs : 1));
            assert_true(sum.reassigned > 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(level1_damaged),
        cmocka_unit_test(level1_cut),
        cmocka_unit_test(level2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
