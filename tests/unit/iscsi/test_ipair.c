/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Initiator against target, over every pair of values of what is negotiated. */
#include "ipair_load.h"

#include "base/bytes.h"

#include <stdlib.h>

/* ---- pairwise: what is varied, and choosing few sets that have every pair of values ---- */

enum {
    F_DIGESTS, /* none, header, data, both */
    F_CHAP,    /* none, and a hash one-way, or mutual */
    F_UNSOL,   /* InitialR2T x ImmediateData */
    F_BURST,   /* MaxBurstLength, FirstBurstLength */
    F_R2T,     /* MaxOutstandingR2T */
    F_ORDER,   /* DataPDUInOrder x DataSequenceInOrder */
    F_SEGMENT, /* MaxRecvDataSegmentLength of both */
    F_PIECE,   /* of the pipe */
    FACTORS
};

static const unsigned levels[FACTORS] = { 4, 9, 4, 4, 3, 4, 4, 4 };
enum { LEVELS_MAX = 9, SETS_MAX = 128, TRIES = 30 };

struct plan {
    bool seen[FACTORS][LEVELS_MAX][FACTORS][LEVELS_MAX];
    unsigned set[SETS_MAX][FACTORS];
    unsigned sets;
};

static unsigned gain(const struct plan *plan, const unsigned *set)
{
    unsigned n = 0;
    for (unsigned a = 0; a < FACTORS; a++)
        for (unsigned b = a + 1; b < FACTORS; b++)
            n += !plan->seen[a][set[a]][b][set[b]];
    return n;
}

/* A pair that no set has yet; false: there is none. */
static bool missing(const struct plan *plan, unsigned *set)
{
    for (unsigned a = 0; a < FACTORS; a++)
        for (unsigned b = a + 1; b < FACTORS; b++)
            for (unsigned i = 0; i < levels[a]; i++)
                for (unsigned k = 0; k < levels[b]; k++)
                    if (!plan->seen[a][i][b][k]) {
                        set[a] = i;
                        set[b] = k;
                        return true;
                    }
    return false;
}

static void make_plan(struct plan *plan, struct pair *random)
{
    memset(plan, 0, sizeof *plan);
    for (;;) {
        unsigned best[FACTORS] = { 0 }, best_gain = 0;
        for (int try = 0; try < TRIES; try++) {
            unsigned set[FACTORS];
            for (unsigned f = 0; f < FACTORS; f++)
                set[f] = pair_draw(random, levels[f]);
            if (!missing(plan, set))
                return;
            if (gain(plan, set) >= best_gain) {
                best_gain = gain(plan, set);
                memcpy(best, set, sizeof best);
            }
        }
        assert_true(plan->sets < SETS_MAX);
        memcpy(plan->set[plan->sets++], best, sizeof best);
        for (unsigned a = 0; a < FACTORS; a++)
            for (unsigned b = a + 1; b < FACTORS; b++)
                plan->seen[a][best[a]][b][best[b]] = true;
    }
}

static void apply(struct pair *p, const unsigned *set)
{
    static const uint32_t bursts[][2] = {
        { 512, 512 }, { 8192, 512 }, { 65536, 65536 }, { 1048576, 262144 }
    };
    static const uint32_t segments[] = { 512, 4096, 8192, 262144 };
    static const uint16_t r2ts[] = { 1, 4, 16 };
    static const size_t pieces[] = { 0, 13, 700, 5000 };
    struct iscsi_params_cfg *i = &p->icfg.params, *t = &p->tcfg.params;

    i->header_digest = set[F_DIGESTS] & 1;
    i->data_digest = set[F_DIGESTS] & 2;
    if (set[F_CHAP]) {
        p->icfg.auth = (struct iscsi_iauth){ .user = "joe",
                                             .secret = "initiator-secret",
                                             .algs = 1u << (5 + (set[F_CHAP] - 1) % 4) };
        p->tauth =
            (struct iscsi_auth){ .required = true, .user = "joe", .secret = "initiator-secret" };
        if (set[F_CHAP] > 4) {
            p->icfg.auth.target_user = p->tauth.target_user = "disk";
            p->icfg.auth.target_secret = p->tauth.target_secret = "target-secret-01";
        }
    }
    i->initial_r2t = set[F_UNSOL] & 1;
    i->immediate_data = set[F_UNSOL] & 2;
    i->max_burst = bursts[set[F_BURST]][0];
    i->first_burst = bursts[set[F_BURST]][1];
    i->max_outstanding_r2t = r2ts[set[F_R2T]];
    t->max_outstanding_r2t = 8;
    i->data_pdu_in_order = set[F_ORDER] & 1;
    i->data_sequence_in_order = set[F_ORDER] & 2;
    i->max_recv_data_segment = segments[set[F_SEGMENT]];
    t->max_recv_data_segment = segments[3 - set[F_SEGMENT]];
    p->max_piece = pieces[set[F_PIECE]];
}

static void check_params(const struct pair *p, const unsigned *set)
{
    const struct iscsi_params *i = iscsi_isess_params(p->sess);
    const struct iscsi_params *t = iscsi_tconn_params(p->conn[0].t);
    const struct iscsi_params_cfg *c = &p->icfg.params;

    assert_int_equal(i->header_digest, set[F_DIGESTS] & 1);
    assert_int_equal(i->data_digest, (set[F_DIGESTS] & 2) != 0);
    assert_int_equal(t->header_digest, i->header_digest);
    assert_int_equal(t->data_digest, i->data_digest);
    assert_int_equal(i->initial_r2t, set[F_UNSOL] & 1);
    assert_int_equal(i->immediate_data, (set[F_UNSOL] & 2) != 0);
    assert_int_equal(i->max_burst, c->max_burst);
    /* irrelevant, and so at its default, where nothing goes unsolicited (13.14) */
    if (!i->initial_r2t || i->immediate_data)
        assert_int_equal(i->first_burst, c->first_burst);
    assert_int_equal(i->max_outstanding_r2t,
                     c->max_outstanding_r2t < 8 ? c->max_outstanding_r2t : 8);
    assert_int_equal(i->data_pdu_in_order, c->data_pdu_in_order);
    assert_int_equal(i->data_sequence_in_order, c->data_sequence_in_order);
    assert_int_equal(i->rx_data_segment, c->max_recv_data_segment);
    assert_int_equal(i->tx_data_segment, p->tcfg.params.max_recv_data_segment);
    assert_int_equal(t->tx_data_segment, i->rx_data_segment);
    assert_int_equal(i->protocol_level, 2);
    assert_int_equal(i->error_recovery_level, 0);
}

static void pairwise(void **st)
{
    (void)st;
    static struct plan plan;
    struct pair *random = pair_new(1);
    make_plan(&plan, random);
    pair_free(random);
    for (unsigned s = 0; s < plan.sets; s++) {
        struct pair *p = pair_new(s + 2);
        apply(p, plan.set[s]);
        pair_login(p);
        check_params(p, plan.set[s]);
        pair_load(p, 6);
        pair_log_out(p);
        pair_free(p);
    }
}

/* ---- no allocation per command ---- */

static void no_allocation(void **st)
{
    (void)st;
    struct pair *p = pair_new(3);
    static uint8_t buf[PAIR_LANES][65536];
    struct pair_cmd cmd[PAIR_LANES];
    uint64_t calls = 0;
    pair_login(p);
    for (int round = 0; round < 20; round++) {
        for (unsigned i = 0; i < PAIR_LANES; i++) {
            pair_rw(&cmd[i], i & 1, i * 256, 128, buf[i], sizeof buf[i]);
            assert_int_equal(iscsi_isess_submit(p->sess, &cmd[i].c), 0);
        }
        pair_run(p);
        if (round == 1)
            calls = p->alloc.calls;
    }
    assert_int_equal(p->alloc.calls, calls);
    assert_int_equal(p->done, 20 * PAIR_LANES);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairwise),
        cmocka_unit_test(no_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
