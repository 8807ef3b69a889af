/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recovery of both roles against each other: a byte on the wire is damaged, or the wire is cut at
 * it, for bytes all over a small load; at each of them with USAN_TEST_EVERY_BYTE in the
 * environment. Every command is done once, with the right data.
 */
#include "ierl_load.h"

#include <stdlib.h>

enum { CMDS = 6, BLOCKS = 3 };

static void begin(struct pair *p, struct ierl_load *l, uint8_t level, unsigned conns)
{
    struct iscsi_params_cfg *i = &p->icfg.params, *t = &p->tcfg.params;
    ierl_config(p, level);
    i->max_recv_data_segment = t->max_recv_data_segment = 512;
    i->max_burst = i->first_burst = 1024;
    p->max_piece = 0;
    *l = (struct ierl_load){ .cmds = CMDS, .conns = conns, .blocks = BLOCKS };
    ierl_begin(p, l);
    assert_int_equal(iscsi_isess_params(p->sess)->error_recovery_level, level);
}

/* How many bytes go each way when nothing happens. */
static void measure(uint8_t level, unsigned conns, uint64_t *ret_bytes)
{
    static struct ierl_load l;
    struct pair *p = pair_new(1);
    begin(p, &l, level, conns);
    ierl_submit(p, &l);
    pair_run(p);
    assert_true(ierl_done(&l));
    ierl_check(p, &l);
    ret_bytes[0] = p->moved[0];
    ret_bytes[1] = p->moved[1];
    assert_true(ret_bytes[0] > CMDS / 2 * BLOCKS * PAIR_BLOCK &&
                ret_bytes[1] > CMDS / 2 * BLOCKS * PAIR_BLOCK);
    pair_free(p);
}

struct sum {
    unsigned runs, losses, unsure, commands;
    uint64_t snacks, reassigned, lost;
};

static void run(uint8_t level, unsigned conns, bool cut, int way, uint64_t at, struct sum *sum)
{
    static struct ierl_load l;
    struct pair *p = pair_new(at);
    begin(p, &l, level, conns);
    *(cut ? &p->cut_at[way] : &p->flip_at[way]) = at;
    ierl_submit(p, &l);
    if (!ierl_finish(p, &l, NULL)) {
        print_message("# level %u, %s: byte %u to the %s: %s, not done\n", level,
                      cut ? "cut" : "damaged", (unsigned)at, way ? "initiator" : "target",
                      iscsi_isess_state(p->sess));
        fail();
    }
    ierl_check(p, &l);
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
    if (getenv("USAN_TEST_EVERY_BYTE"))
        stride = 1;
    *sum = (struct sum){ .runs = 0 };
    measure(level, conns, bytes);
    for (int way = 0; way < 2; way++)
        for (uint64_t at = 1; at <= bytes[way]; at += stride)
            run(level, conns, cut, way, at, sum);
    print_message("# level %u, %u connections, %s: %u runs, %u sessions lost, %u commands unsure, "
                  "%u asked for again, %u connections lost, %u tasks reassigned\n",
                  level, conns, cut ? "cut" : "damaged", sum->runs, sum->losses, sum->unsure,
                  (unsigned)sum->snacks, (unsigned)sum->lost, (unsigned)sum->reassigned);
}

static void level1_damaged(void **st)
{
    (void)st;
    struct sum sum;
    everywhere(1, 1, false, 11, &sum);
    assert_true(sum.snacks > sum.runs / 4);                   /* data was mended */
    assert_true(sum.losses > 0 && sum.losses < sum.runs / 2); /* headers were not */
}

static void level1_cut(void **st)
{
    (void)st;
    struct sum sum;
    everywhere(1, 1, true, 29, &sum);
    assert_int_equal(sum.losses, sum.runs);
}

static void level2(void **st)
{
    (void)st;
    for (unsigned conns = 1; conns <= 2; conns++) {
        for (int cut = 0; cut < 2; cut++) {
            struct sum sum;
            everywhere(2, conns, cut, conns == 1 ? 11 : 19, &sum);
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
