/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recovery of both roles against each other: parameters and faults drawn from a seed, several
 * faults a run, also while recovery from others is under way. A run that fails says its seed.
 */
#include "ierl_load.h"

enum { SEEDS = 100, ROUNDS = 3 };

static unsigned faults_left;
static bool may_renegotiate;

static const uint32_t segment[] = { 512, 1024, 3000, 8192 };

/* Another MaxRecvDataSegmentLength on some connection: what is then asked for again comes in other
 * pieces (11.16.3). */
static void renegotiate(struct pair *p)
{
    struct pair_conn *c = &p->conn[pair_draw(p, PAIR_CONNS)];
    uint32_t len = segment[pair_draw(p, 4)];
    if (!c->i || c->iclosed || !c->logged_in)
        return;
    int err = iscsi_iconn_renegotiate(c->i, len, p->now_ns);
    assert_true(!err || err == USAN_EBUSY || err == USAN_ECLOSED);
}

/* One fault somewhere in the next bytes. */
static void fault(struct pair *p)
{
    if (may_renegotiate && pair_draw(p, 4) == 0)
        renegotiate(p);
    if (!faults_left || pair_draw(p, 3))
        return;
    int way = (int)pair_draw(p, 2);
    uint64_t at = p->moved[way] + 1 + pair_draw(p, 6000);
    faults_left--;
    if (pair_draw(p, 2))
        p->flip_at[way] = at;
    else
        p->cut_at[way] = at;
}

static void configure(struct pair *p, struct ierl_load *l, uint8_t level)
{
    struct iscsi_params_cfg *i = &p->icfg.params, *t = &p->tcfg.params;
    ierl_config(p, level);
    i->max_recv_data_segment = segment[pair_draw(p, 4)];
    t->max_recv_data_segment = segment[pair_draw(p, 4)];
    i->max_burst = segment[pair_draw(p, 4)];
    i->first_burst = i->max_burst < 1024 ? i->max_burst : 1024;
    i->initial_r2t = pair_draw(p, 2);
    i->immediate_data = pair_draw(p, 2);
    i->data_sequence_in_order = pair_draw(p, 2);
    i->data_pdu_in_order = pair_draw(p, 2);
    p->max_piece = pair_draw(p, 3) ? 0 : 200;
    *l = (struct ierl_load){
        .cmds = 1 + pair_draw(p, IERL_CMDS),
        .conns = 1 + pair_draw(p, 3),
        .blocks = (uint16_t)(1 + pair_draw(p, IERL_BLOCKS)),
    };
}

struct sum {
    unsigned losses, unsure, lost, reassigned, asked, retries, commands, wanted;
};

static void run(uint8_t level, uint64_t seed, struct sum *sum)
{
    static struct ierl_load l;
    struct pair *p = pair_new(seed);
    bool ok = true;
    configure(p, &l, level);
    ierl_begin(p, &l);
    /* Data of a bidirectional command in other pieces can not be asked for. */
    may_renegotiate = l.cmds < 6;
    for (int round = 0; round < ROUNDS && ok; round++) {
        faults_left = 1 + pair_draw(p, 4);
        fault(p);
        fault(p);
        ierl_submit(p, &l);
        if (may_renegotiate && pair_draw(p, 3) == 0)
            renegotiate(p);
        ok = ierl_finish(p, &l, fault);
        for (int way = 0; way < 2; way++)
            p->flip_at[way] = p->cut_at[way] = 0;
    }
    if (!ok) {
        print_message("# level %u, seed %u: %s, not done\n", level, (unsigned)seed,
                      iscsi_isess_state(p->sess));
        fail();
    }
    ierl_check(p, &l);
    const struct iscsi_isess_stats *s = iscsi_isess_stats(p->sess);
    sum->losses += l.losses;
    sum->unsure += l.unsure;
    sum->lost += (unsigned)s->lost;
    sum->reassigned += (unsigned)s->reassigned;
    sum->asked += (unsigned)(s->data_snacks + s->status_snacks);
    sum->retries += (unsigned)s->retries;
    sum->commands += p->commands;
    sum->wanted += l.cmds * l.round;
    pair_free(p);
}

static void print_sum(uint8_t level, const struct sum *sum)
{
    print_message("# level %u: %u sessions lost, %u commands unsure, %u connections lost, %u tasks "
                  "reassigned, %u SNACKs, %u commands sent again\n",
                  level, sum->losses, sum->unsure, sum->lost, sum->reassigned, sum->asked,
                  sum->retries);
}

static void level0(void **st)
{
    (void)st;
    struct sum sum = { .losses = 0 };
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run(0, seed, &sum);
    print_sum(0, &sum);
    assert_int_equal(sum.asked + sum.retries + sum.reassigned, 0);
}

static void level1(void **st)
{
    (void)st;
    struct sum sum = { .losses = 0 };
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run(1, seed, &sum);
    print_sum(1, &sum);
    assert_true(sum.asked > 0 && sum.retries > 0);
}

static void level2(void **st)
{
    (void)st;
    struct sum sum = { .losses = 0 };
    /* each has found something: a response lost twice, an acknowledgement lost */
    static const uint64_t found[] = { 289, 342, 552, 2453, 5010 };
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run(2, seed, &sum);
    for (size_t i = 0; i < sizeof(found) / sizeof(found[0]); i++)
        run(2, found[i], &sum);
    print_sum(2, &sum);
    assert_true(sum.asked > 0 && sum.retries > 0 && sum.reassigned > 0);
    assert_int_equal(sum.unsure, 0);
    assert_int_equal(sum.losses, 0);
    assert_int_equal(sum.commands, sum.wanted); /* none is executed twice */
}

/* Memory is denied once, at each allocation that follows the loss of a connection. */
static void out_of_memory(void **st)
{
    (void)st;
    static struct ierl_load l;
    unsigned kept = 0, failed = 0;
    for (unsigned n = 1; n <= 60; n++) {
        struct pair *p = pair_new(n);
        ierl_config(p, 2);
        p->max_piece = 0;
        p->icfg.params.max_recv_data_segment = 1024;
        l = (struct ierl_load){ .cmds = 6, .conns = 1 + n % 2, .blocks = 4 };
        ierl_begin(p, &l);
        p->flip_at[1] = 700;
        p->cut_at[1] = 4000;
        p->alloc.fail_at = p->alloc.calls + n;
        ierl_submit(p, &l);
        bool ok = ierl_finish(p, &l, NULL);
        if (!ok)
            print_message("# allocation %u: %s\n", n, iscsi_isess_state(p->sess));
        assert_true(ok);
        ierl_check(p, &l);
        kept += l.losses == 0;
        failed += l.losses != 0;
        pair_free(p);
    }
    assert_true(kept > 0 && failed > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(level0),
        cmocka_unit_test(level1),
        cmocka_unit_test(level2),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
