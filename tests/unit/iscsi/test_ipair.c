/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Initiator against target, over every pair of values of what is negotiated. */
#include "ipair.h"

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

/* ---- a load: several commands at a time, each on a part of the disk of its own ---- */

enum { LANES = 6, LANE_BLOCKS = PAIR_BLOCKS / 8, MOST_BLOCKS = 200 };

struct lane {
    struct pair_cmd cmd;
    bool busy, write;
    uint32_t lba;
    uint16_t blocks;
    uint32_t len; /* of the buffer the initiator gave */
    uint8_t *buf;
};

static void begin(struct pair *p, struct lane *l, unsigned index, uint8_t *model)
{
    l->blocks = (uint16_t)(1 + pair_draw(p, MOST_BLOCKS));
    l->lba = index * LANE_BLOCKS + pair_draw(p, LANE_BLOCKS - MOST_BLOCKS);
    l->write = pair_draw(p, 2);
    l->len = l->blocks * (uint32_t)PAIR_BLOCK;
    if (pair_draw(p, 5) == 0) /* a buffer that is longer or shorter than the blocks */
        l->len = pair_draw(p, 2) ? l->len + 4 * pair_draw(p, 100) : l->len - pair_draw(p, 500);
    l->buf = malloc(l->len);
    assert_non_null(l->buf);
    for (uint32_t i = 0; i < l->len; i++)
        l->buf[i] = (uint8_t)pair_draw(p, 256);
    pair_rw(&l->cmd, l->write, l->lba, l->blocks, l->buf, l->len);
    assert_int_equal(iscsi_isess_submit(p->sess, &l->cmd.c), 0);
    l->busy = true;
    (void)model;
}

static void end(struct pair *p, struct lane *l, uint8_t *model)
{
    uint32_t bytes = l->blocks * (uint32_t)PAIR_BLOCK, both = bytes < l->len ? bytes : l->len;
    const struct iscsi_icmd *c = &l->cmd.c;
    uint8_t *at = model + (size_t)l->lba * PAIR_BLOCK;

    assert_true(l->cmd.done);
    if (c->err)
        print_message("error: %s\n", c->why);
    assert_int_equal(c->err, 0);
    assert_int_equal(c->status, 0);
    assert_true(c->sent);
    if (l->write)
        memcpy(at, l->buf, both);
    else
        assert_memory_equal(at, l->buf, both);
    assert_int_equal(c->in_got, l->write ? 0 : both);
    assert_int_equal(c->residual, bytes > l->len ? bytes - l->len : l->len - bytes);
    assert_int_equal(c->resid, bytes > l->len   ? ISCSI_RESID_OVERFLOW
                               : bytes < l->len ? ISCSI_RESID_UNDERFLOW
                                                : ISCSI_RESID_NONE);
    assert_memory_equal(p->disk + (size_t)l->lba * PAIR_BLOCK, at, bytes);
    free(l->buf);
    l->busy = false;
}

static void load(struct pair *p, unsigned rounds)
{
    static uint8_t model[sizeof p->disk];
    struct lane lane[LANES];
    memset(lane, 0, sizeof lane);
    memcpy(model, p->disk, sizeof model);
    for (unsigned r = 0; r < rounds; r++) {
        unsigned n = 1 + pair_draw(p, LANES);
        for (unsigned i = 0; i < n; i++)
            begin(p, &lane[i], i, model);
        pair_run(p);
        for (unsigned i = 0; i < n; i++)
            end(p, &lane[i], model);
    }
    assert_int_equal(iscsi_isess_active(p->sess), 0);
    assert_int_equal(iscsi_isess_queued(p->sess), 0);
    for (int i = 0; i < PAIR_CONNS; i++)
        if (p->conn[i].i && !p->conn[i].iclosed)
            assert_int_equal(iscsi_iconn_load(p->conn[i].i), 0);
}

static void log_out(struct pair *p)
{
    assert_int_equal(iscsi_isess_logout(p->sess, p->now_ns), 0);
    pair_run(p);
    for (int i = 0; i < PAIR_CONNS; i++)
        if (p->conn[i].i) {
            assert_true(p->conn[i].iclosed);
            assert_int_equal(p->conn[i].ierr, 0);
            assert_string_equal(iscsi_iconn_state(p->conn[i].i), "S1 FREE");
        }
    assert_int_equal(p->session_down, 1);
    assert_int_equal(p->down_err, 0);
    assert_string_equal(iscsi_isess_state(p->sess), "Q1 FREE");
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
        load(p, 6);
        log_out(p);
        pair_free(p);
    }
}

/* ---- no allocation per command ---- */

static void no_allocation(void **st)
{
    (void)st;
    struct pair *p = pair_new(3);
    static uint8_t buf[LANES][65536];
    struct pair_cmd cmd[LANES];
    uint64_t calls = 0;
    pair_login(p);
    for (int round = 0; round < 20; round++) {
        for (unsigned i = 0; i < LANES; i++) {
            pair_rw(&cmd[i], i & 1, i * 256, 128, buf[i], sizeof buf[i]);
            assert_int_equal(iscsi_isess_submit(p->sess, &cmd[i].c), 0);
        }
        pair_run(p);
        if (round == 1)
            calls = p->alloc.calls;
    }
    assert_int_equal(p->alloc.calls, calls);
    assert_int_equal(p->done, 20 * LANES);
    pair_free(p);
}

/* ---- CHAP that fails ---- */

static void chap_fails(void **st)
{
    (void)st;
    const struct iscsi_iauth good = { .user = "joe",
                                      .secret = "initiator-secret",
                                      .target_user = "disk",
                                      .target_secret = "target-secret-01" };
    for (int how = 0; how < 6; how++) {
        static const struct {
            int err;
            uint16_t status;
            const char *why;
        } want[] = {
            { USAN_EAUTH, 0x0201, NULL },
            { USAN_EAUTH, 0, "the target's CHAP response is wrong" },
            { USAN_EAUTH, 0, "the target calls itself by another name" },
            { USAN_EAUTH, 0x0201, NULL },
            { USAN_EAUTH, 0, "the target takes none of our authentication methods" },
            { USAN_EAUTH, 0x0201, NULL },
        };
        struct pair *p = pair_new(4);
        p->icfg.auth = good;
        p->tauth = (struct iscsi_auth){ .required = true,
                                        .user = "joe",
                                        .secret = "initiator-secret",
                                        .target_user = "disk",
                                        .target_secret = "target-secret-01" };
        if (how == 0)
            p->tauth.secret = "another-secret";
        else if (how == 1)
            p->tauth.target_secret = "another-secret";
        else if (how == 2)
            p->tauth.target_user = "disc";
        else if (how == 3)
            p->tauth.target_secret = NULL; /* it has nothing to show */
        else if (how == 4)
            p->icfg.auth = (struct iscsi_iauth){ .secret = NULL };
        else
            p->tauth.user = "jim";
        struct pair_conn *c = pair_connect(p, 1);
        pair_run(p);
        assert_true(c->iclosed);
        assert_false(c->logged_in);
        assert_int_equal(c->ierr, want[how].err);
        if (how == 4) /* the target has its own word for it */
            assert_int_equal(c->status, 0x0201);
        else
            assert_int_equal(c->status, want[how].status);
        if (want[how].why && how != 4)
            assert_string_equal(c->iwhy, want[how].why);
        pair_free(p);
    }
}

static void optional_chap(void **st)
{
    (void)st;
    for (int wanted = 0; wanted < 2; wanted++) {
        struct pair *p = pair_new(5);
        p->icfg.auth =
            (struct iscsi_iauth){ .user = "joe", .secret = "initiator-secret", .optional = true };
        p->tauth =
            (struct iscsi_auth){ .required = wanted, .user = "joe", .secret = "initiator-secret" };
        pair_login(p);
        pair_free(p);
    }
}

/* ---- logins that lead elsewhere or nowhere ---- */

static void redirected(void **st)
{
    (void)st;
    for (int permanent = 0; permanent < 2; permanent++) {
        struct pair *p = pair_new(6);
        p->redirect = true;
        p->permanent = permanent;
        struct pair_conn *c = pair_connect(p, 1);
        pair_run(p);
        assert_int_equal(p->redirects, 1);
        assert_int_equal(p->permanent, permanent);
        assert_string_equal(p->address, "192.0.2.9:3261,4");
        assert_true(c->iclosed);
        assert_int_equal(c->ierr, 0);
        assert_int_equal(c->status, permanent ? 0x0102 : 0x0101);
        assert_int_equal(p->session_down, 0); /* there was none */
        pair_free(p);
    }
}

static void no_such_target(void **st)
{
    (void)st;
    struct pair *p = pair_new(7);
    p->icfg.target_name = "iqn.2026-01.test:other";
    struct pair_conn *c = pair_connect(p, 1);
    pair_run(p);
    assert_int_equal(c->ierr, USAN_ENOENT);
    assert_int_equal(c->status, 0x0203);
    assert_string_equal(c->iwhy, "login refused: no such target here");
    pair_free(p);
}

/* ---- discovery ---- */

static void discovery(void **st)
{
    (void)st;
    for (unsigned many = 0; many < 2; many++) {
        struct pair *p = pair_new(8 + many);
        struct pair_cmd cmd;
        uint8_t buf[512];
        p->icfg.discovery = true;
        p->icfg.target_name = NULL;
        p->icfg.params.max_recv_data_segment = 8192;
        p->targets = many ? PAIR_TARGETS : 2; /* many: over tens of Text Responses */
        p->max_piece = many ? 3000 : 11;
        pair_login(p);
        pair_rw(&cmd, false, 0, 1, buf, sizeof buf);
        assert_int_equal(iscsi_isess_submit(p->sess, &cmd.c), USAN_ENOTSUP);
        assert_int_equal(iscsi_iconn_send_targets(p->conn[0].i, "All", p->now_ns), 0);
        assert_int_equal(iscsi_iconn_send_targets(p->conn[0].i, "All", p->now_ns), USAN_EBUSY);
        pair_run(p);
        assert_int_equal(p->text_done, 1);
        assert_int_equal(p->text_err, 0);
        /* of three targets one has no address and two have two */
        assert_int_equal(p->target_events, many ? PAIR_TARGETS / 3 * 5 : 4);
        assert_string_equal(p->last_target,
                            many ? "iqn.2026-01.test:target2999" : "iqn.2026-01.test:target1");
        assert_string_equal(p->address, many ? "-" : "[2001:db8::1]:3260,2");
        log_out(p);
        pair_free(p);
    }
}

static void renegotiate(void **st)
{
    (void)st;
    struct pair *p = pair_new(10);
    pair_login(p);
    assert_int_equal(iscsi_iconn_renegotiate(p->conn[0].i, 511, p->now_ns), USAN_EINVAL);
    assert_int_equal(iscsi_iconn_renegotiate(p->conn[0].i, 1024, p->now_ns), 0);
    pair_run(p);
    assert_int_equal(p->text_done, 1);
    assert_int_equal(p->text_err, 0);
    assert_int_equal(iscsi_tconn_params(p->conn[0].t)->tx_data_segment, 1024);
    assert_int_equal(iscsi_iconn_params(p->conn[0].i)->rx_data_segment, 1024);
    load(p, 4);
    pair_free(p);
}

/* ---- long CDBs ---- */

static void extended_cdb(void **st)
{
    (void)st;
    for (int digest = 0; digest < 2; digest++) {
        struct pair *p = pair_new(11);
        struct pair_cmd cmd;
        uint8_t buf[4096];
        memset(buf, 0x3c, sizeof buf);
        p->icfg.params.header_digest = digest;
        p->max_piece = 17;
        pair_login(p);
        pair_rw(&cmd, true, 0, 0, buf, sizeof buf);
        memset(cmd.cdb, 0, sizeof cmd.cdb);
        cmd.cdb[0] = 0x7f; /* WRITE(32): LBA in 12..19, blocks in 28..31 */
        be32_put(cmd.cdb + 12, 100);
        be32_put(cmd.cdb + 28, 8);
        cmd.c.cdb_len = 32;
        assert_int_equal(iscsi_isess_submit(p->sess, &cmd.c), 0);
        pair_run(p);
        assert_true(cmd.done);
        assert_int_equal(cmd.c.err, 0);
        assert_int_equal(cmd.c.resid, ISCSI_RESID_NONE);
        assert_memory_equal(p->disk + 100 * PAIR_BLOCK, buf, sizeof buf);
        pair_free(p);
    }
}

/* Buffers of very many pieces, some of them empty. */
static void many_pieces(void **st)
{
    (void)st;
    enum { PIECES = 3000, BLOCKS = 128 };
    static struct iovec iov[PIECES];
    static uint8_t buf[2][BLOCKS * PAIR_BLOCK];
    for (int digest = 0; digest < 2; digest++) {
        struct pair *p = pair_new(27 + (unsigned)digest);
        struct pair_cmd cmd;
        p->icfg.params.data_digest = digest;
        p->icfg.params.initial_r2t = digest;
        p->max_piece = 4000;
        pair_login(p);
        for (size_t i = 0; i < sizeof buf[0]; i++)
            buf[0][i] = (uint8_t)pair_draw(p, 256);
        for (int write = 1; write >= 0; write--) {
            size_t left = sizeof buf[0];
            for (int i = 0; i < PIECES; i++) {
                size_t n = i == PIECES - 1 ? left : i > 1000 && i < 1500 ? 0 : pair_draw(p, 40);
                n = n < left ? n : left;
                iov[i] = (struct iovec){ buf[!write] + (sizeof buf[0] - left), n };
                left -= n;
            }
            pair_rw(&cmd, write, 77, BLOCKS, buf[!write], sizeof buf[0]);
            if (write)
                cmd.c.out = iov;
            else
                cmd.c.in = iov;
            *(write ? &cmd.c.out_cnt : &cmd.c.in_cnt) = PIECES;
            assert_int_equal(iscsi_isess_submit(p->sess, &cmd.c), 0);
            pair_run(p);
            assert_true(cmd.done);
            assert_int_equal(cmd.c.err, 0);
        }
        assert_memory_equal(p->disk + 77 * PAIR_BLOCK, buf[0], sizeof buf[0]);
        assert_memory_equal(buf[1], buf[0], sizeof buf[0]);
        pair_free(p);
    }
}

static void check_condition(void **st)
{
    (void)st;
    struct pair *p = pair_new(12);
    struct pair_cmd cmd;
    uint8_t buf[512];
    pair_login(p);
    pair_rw(&cmd, false, 0, 1, buf, sizeof buf);
    cmd.cdb[0] = 0xc1;
    assert_int_equal(iscsi_isess_submit(p->sess, &cmd.c), 0);
    pair_run(p);
    assert_int_equal(cmd.c.err, 0);
    assert_int_equal(cmd.c.status, 2);
    assert_int_equal(cmd.c.sense_len, 18);
    assert_int_equal(cmd.sense[2], 5);
    assert_int_equal(cmd.sense[12], 0x20);
    assert_int_equal(cmd.c.residual, 512);
    cmd.c.sense_cap = 4; /* less room than there is sense data */
    cmd.done = false;
    assert_int_equal(iscsi_isess_submit(p->sess, &cmd.c), 0);
    pair_run(p);
    assert_int_equal(cmd.c.sense_len, 4);
    pair_free(p);
}

/* ---- the window, cancel, task management ---- */

enum { MANY = 60 };

static void window(void **st)
{
    (void)st;
    struct pair *p = pair_new(13);
    static struct pair_cmd cmd[MANY];
    static uint8_t buf[MANY][512];
    p->icfg.queue_depth = 40; /* the target lets 16 in */
    p->hold = true;
    pair_login(p);
    for (int i = 0; i < MANY; i++) {
        pair_rw(&cmd[i], i & 1, (uint32_t)i, 1, buf[i], 512);
        assert_int_equal(iscsi_isess_submit(p->sess, &cmd[i].c), 0);
    }
    pair_run(p);
    assert_int_equal(p->held_count, 16);
    assert_int_equal(iscsi_isess_queued(p->sess), MANY - 16);
    p->hold = false;
    while (p->held_count) {
        pair_serve(p, p->held[--p->held_count]);
        pair_run(p);
    }
    assert_int_equal(p->done, MANY);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(cmd[i].c.err, 0);
    pair_free(p);
}

static void cancel(void **st)
{
    (void)st;
    struct pair *p = pair_new(14);
    struct pair_cmd cmd[20];
    uint8_t buf[20][512];
    p->hold = true;
    pair_login(p);
    for (int i = 0; i < 20; i++) {
        pair_rw(&cmd[i], true, (uint32_t)i, 1, buf[i], 512);
        assert_int_equal(iscsi_isess_submit(p->sess, &cmd[i].c), 0);
    }
    /* started, not on the wire: done at once */
    assert_int_equal(iscsi_isess_cancel(p->sess, &cmd[0].c, p->now_ns), 0);
    pair_run(p);
    assert_true(cmd[0].done);
    assert_int_equal(cmd[0].c.err, USAN_ECANCELED);
    assert_false(cmd[0].c.sent);
    assert_int_equal(p->held_count, 16);
    /* queued behind the window */
    assert_int_equal(iscsi_isess_cancel(p->sess, &cmd[19].c, p->now_ns), 0);
    pair_run(p);
    assert_true(cmd[19].done);
    /* with the target: ABORT TASK */
    assert_int_equal(iscsi_isess_cancel(p->sess, &cmd[5].c, p->now_ns), 0);
    assert_false(cmd[5].done);
    pair_run(p);
    assert_int_equal(p->aborted, 1);
    assert_true(cmd[5].done);
    assert_int_equal(cmd[5].c.err, USAN_ECANCELED);
    assert_true(cmd[5].c.sent);
    /* the others live */
    p->hold = false;
    while (p->held_count)
        pair_serve(p, p->held[--p->held_count]);
    pair_run(p);
    assert_int_equal(p->done, 20);
    assert_int_equal(cmd[6].c.err, 0);
    assert_int_equal(cmd[18].c.err, 0);
    pair_free(p);
}

static void task_management(void **st)
{
    (void)st;
    struct pair *p = pair_new(15);
    struct pair_cmd cmd[6];
    uint8_t buf[6][512];
    struct iscsi_itmf tmf = { .function = ISCSI_TMF_ABORT_TASK, .cmd = &cmd[1].c };
    p->hold = true;
    pair_login(p);
    for (int i = 0; i < 6; i++) {
        pair_rw(&cmd[i], i & 1, (uint32_t)i, 1, buf[i], 512);
        cmd[i].c.lun = i < 4 ? 0 : UINT64_C(1) << 48;
        assert_int_equal(iscsi_isess_submit(p->sess, &cmd[i].c), 0);
    }
    pair_run(p);
    assert_int_equal(p->held_count, 6);
    assert_int_equal(iscsi_isess_tmf(p->sess, &tmf, p->now_ns), 0);
    pair_run(p);
    assert_int_equal(p->tmfs, 1);
    assert_int_equal(tmf.err, 0);
    assert_int_equal(tmf.response, 0);
    assert_int_equal(cmd[1].c.err, USAN_ECANCELED);
    assert_false(cmd[0].done);
    /* the same again: it is not there any more */
    assert_int_equal(iscsi_isess_tmf(p->sess, &tmf, p->now_ns), USAN_EINVAL);
    tmf.function = ISCSI_TMF_LOGICAL_UNIT_RESET;
    assert_int_equal(iscsi_isess_tmf(p->sess, &tmf, p->now_ns), 0);
    pair_run(p);
    assert_int_equal(p->tmfs, 2);
    for (int i = 0; i < 4; i++)
        assert_int_equal(cmd[i].c.err, USAN_ECANCELED);
    assert_false(cmd[4].done); /* another logical unit */
    assert_int_equal(p->aborted, 4);
    tmf.function = ISCSI_TMF_TASK_REASSIGN;
    assert_int_equal(iscsi_isess_tmf(p->sess, &tmf, p->now_ns), USAN_ENOTSUP);
    tmf.function = (enum iscsi_tmf_function)13;
    assert_int_equal(iscsi_isess_tmf(p->sess, &tmf, p->now_ns), USAN_EINVAL);
    tmf.function = ISCSI_TMF_QUERY_TASK_SET;
    assert_int_equal(iscsi_isess_tmf(p->sess, &tmf, p->now_ns), 0);
    pair_run(p);
    assert_int_equal(p->tmfs, 3);
    p->hold = false;
    pair_serve(p, p->held[0]);
    pair_serve(p, p->held[1]);
    p->held_count = 0;
    pair_run(p);
    assert_int_equal(cmd[4].c.err, 0);
    assert_int_equal(cmd[5].c.err, 0);
    pair_free(p);
}

/* ---- time ---- */

static void keep_alive(void **st)
{
    (void)st;
    struct pair *p = pair_new(16);
    p->icfg.nop_interval_ns = 5 * NS_PER_SEC;
    p->icfg.nop_timeout_ns = 2 * NS_PER_SEC;
    p->tcfg.nop_interval_ns = 17 * NS_PER_SEC;
    p->tcfg.nop_timeout_ns = 3 * NS_PER_SEC;
    pair_login(p);
    pair_pass(p, 100 * NS_PER_SEC); /* both ping, both answer */
    assert_false(p->conn[0].iclosed);
    assert_false(p->conn[0].tclosed);
    load(p, 2);
    /* the target falls silent */
    p->conn[0].deaf = true;
    pair_pass(p, 6 * NS_PER_SEC);
    assert_false(p->conn[0].iclosed);
    pair_pass(p, 2 * NS_PER_SEC);
    assert_true(p->conn[0].iclosed);
    assert_int_equal(p->conn[0].ierr, USAN_ETIMEOUT);
    assert_string_equal(p->conn[0].iwhy, "no answer to a NOP-Out");
    pair_free(p);
}

static void login_times_out(void **st)
{
    (void)st;
    struct pair *p = pair_new(17);
    struct pair_conn *c = pair_connect(p, 1);
    c->deaf = true;
    pair_pass(p, 9 * NS_PER_SEC);
    assert_false(c->iclosed);
    pair_pass(p, 2 * NS_PER_SEC);
    assert_true(c->iclosed);
    assert_int_equal(c->ierr, USAN_ETIMEOUT);
    assert_string_equal(c->iwhy, "the login timed out");
    pair_free(p);
}

/* ---- async messages of the target ---- */

static void logout_asked(void **st)
{
    (void)st;
    for (int busy = 0; busy < 2; busy++) {
        struct pair *p = pair_new(18);
        struct pair_cmd cmd[2];
        uint8_t buf[2][512];
        p->hold = true;
        pair_login(p);
        pair_rw(&cmd[0], false, 0, 1, buf[0], 512);
        pair_rw(&cmd[1], false, 1, 1, buf[1], 512);
        if (busy)
            assert_int_equal(iscsi_isess_submit(p->sess, &cmd[0].c), 0);
        pair_run(p);
        iscsi_tconn_ask_logout(p->conn[0].t, 4);
        pair_run(p);
        assert_int_equal(p->asyncs, 1);
        assert_int_equal(p->async_event, ISCSI_ASYNC_LOGOUT_REQUEST);
        if (busy) {
            assert_false(p->conn[0].iclosed); /* waits for its command */
            assert_int_equal(iscsi_isess_submit(p->sess, &cmd[1].c), 0);
            pair_pass(p, NS_PER_SEC);
            assert_int_equal(p->held_count, 1); /* nothing new goes there */
            assert_false(p->conn[0].iclosed);
            pair_pass(p, 2 * NS_PER_SEC);
        }
        assert_true(p->conn[0].iclosed);
        assert_int_equal(p->conn[0].ierr, USAN_ECLOSED);
        assert_string_equal(p->conn[0].iwhy, "the target asked for a logout");
        assert_string_equal(iscsi_isess_state(p->sess), "Q1 FREE");
        if (busy) {
            assert_int_equal(cmd[0].c.err, USAN_ECLOSED);
            assert_true(cmd[0].c.sent);
            assert_false(cmd[1].done); /* for the next login */
            assert_int_equal(iscsi_isess_queued(p->sess), 1);
        }
        pair_free(p);
    }
}

static void drop_announced(void **st)
{
    (void)st;
    for (int all = 0; all < 2; all++) {
        struct pair *p = pair_new(19);
        pair_login(p);
        iscsi_tconn_announce_drop(p->conn[0].t, all);
        pair_run(p);
        assert_int_equal(p->asyncs, 1);
        assert_true(p->conn[0].iclosed);
        assert_int_equal(p->conn[0].ierr, USAN_ECLOSED);
        assert_string_equal(iscsi_isess_state(p->sess), "Q4 FAILED");
        pair_free(p);
    }
}

static void scsi_event(void **st)
{
    (void)st;
    static const uint8_t sense[18] = { 0x70, 0, 6, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x3f, 0x0e };
    struct pair *p = pair_new(20);
    pair_login(p);
    iscsi_tconn_scsi_event(p->conn[0].t, 0, sense, sizeof sense);
    pair_run(p);
    assert_int_equal(p->asyncs, 1);
    assert_int_equal(p->async_event, ISCSI_ASYNC_SCSI_EVENT);
    load(p, 1);
    pair_free(p);
}

/* ---- loss and reinstatement ---- */

static void reinstated(void **st)
{
    (void)st;
    struct pair *p = pair_new(21);
    static struct pair_cmd cmd[MANY];
    static uint8_t buf[MANY][512];
    p->hold = true;
    pair_login(p);
    for (int i = 0; i < 30; i++) {
        pair_rw(&cmd[i], true, (uint32_t)i, 1, buf[i], 512);
        assert_int_equal(iscsi_isess_submit(p->sess, &cmd[i].c), 0);
    }
    pair_run(p);
    assert_int_equal(p->held_count, 16);
    pair_cut(p, &p->conn[0]);
    assert_int_equal(p->session_down, 1);
    assert_int_equal(p->down_err, USAN_ECLOSED);
    assert_string_equal(iscsi_iconn_state(p->conn[0].i), "S8 CLEANUP_WAIT");
    assert_string_equal(iscsi_isess_state(p->sess), "Q4 FAILED");
    /* what the target saw comes back, the rest waits */
    assert_int_equal(p->done, 16);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(cmd[i].done, i < 16);
        assert_int_equal(cmd[i].c.sent, i < 16);
        assert_int_equal(cmd[i].c.err, i < 16 ? USAN_ECLOSED : 0);
    }
    p->hold = false;
    p->held_count = 0;
    struct pair_conn *c = pair_connect(p, 1);
    pair_run(p);
    assert_true(c->logged_in);
    assert_string_equal(iscsi_isess_state(p->sess), "Q3 LOGGED_IN");
    assert_int_equal(iscsi_isess_tsih(p->sess), 2);
    assert_int_equal(p->done, 30);
    for (int i = 16; i < 30; i++)
        assert_int_equal(cmd[i].c.err, 0);
    load(p, 2);
    assert_int_equal(iscsi_iconn_logout(c->i, p->now_ns), 0);
    pair_run(p);
    assert_int_equal(c->ierr, 0);
    assert_string_equal(iscsi_isess_state(p->sess), "Q1 FREE");
    pair_free(p);
}

/* ---- several connections ---- */

static void connections(void **st)
{
    (void)st;
    struct pair *p = pair_new(22);
    p->max_piece = 3000;
    pair_login(p);
    assert_int_equal(pair_connect(p, 1)->ierr, USAN_EEXIST);
    for (uint16_t cid = 2; cid <= PAIR_CONNS; cid++) {
        struct pair_conn *c = pair_connect(p, cid);
        pair_run(p);
        if (c->iclosed)
            print_message("cid %u: %s\n", cid, c->iwhy);
        assert_true(c->logged_in);
    }
    assert_int_equal(pair_target_conns(p), PAIR_CONNS);
    load(p, 10);
    for (int i = 0; i < PAIR_CONNS; i++)
        assert_true(p->conn[i].commands > 2); /* all have their share */
    /* one leaves in order: the others go on */
    assert_int_equal(iscsi_iconn_logout(p->conn[2].i, p->now_ns), 0);
    pair_run(p);
    assert_true(p->conn[2].iclosed);
    assert_int_equal(p->conn[2].ierr, 0);
    assert_int_equal(p->session_down, 0);
    load(p, 4);
    /* one is lost: at recovery level 0 all are */
    pair_cut(p, &p->conn[1]);
    for (int i = 0; i < PAIR_CONNS; i++)
        assert_true(p->conn[i].iclosed);
    assert_string_equal(p->conn[0].iwhy, "another connection of the session failed");
    assert_int_equal(p->session_down, 1);
    assert_string_equal(iscsi_isess_state(p->sess), "Q4 FAILED");
    pair_free(p);
}

/* A further connection that is not let in changes nothing for those that are. */
static void joiner_refused(void **st)
{
    (void)st;
    struct pair *p = pair_new(26);
    pair_login(p);
    p->redirect = true;
    struct pair_conn *c = pair_connect(p, 2);
    pair_run(p);
    assert_true(c->iclosed);
    assert_int_equal(p->redirects, 1);
    p->redirect = false;
    c = pair_connect(p, 3);
    iscsi_iconn_lost(c->i, USAN_EIO);
    pair_run(p);
    assert_string_equal(c->iwhy, "the connection ended during the login");
    assert_false(p->conn[0].iclosed);
    assert_int_equal(p->session_down, 0);
    load(p, 3);
    c = pair_connect(p, 2);
    pair_run(p);
    assert_true(c->logged_in);
    load(p, 10);
    assert_true(c->commands > 0);
    pair_free(p);
}

static void session_logout(void **st)
{
    (void)st;
    struct pair *p = pair_new(23);
    pair_login(p);
    for (uint16_t cid = 2; cid <= 3; cid++)
        (void)pair_connect(p, cid);
    pair_run(p);
    assert_true(p->conn[2].logged_in);
    log_out(p);
    pair_free(p);
}

/* ---- out of memory ---- */

static void out_of_memory(void **st)
{
    (void)st;
    bool reached = false;
    for (uint64_t n = 1; n < 200 && !reached; n++) {
        struct pair *p = pair_new(24);
        struct pair_cmd cmd;
        uint8_t buf[4096];
        memset(&cmd, 0, sizeof cmd);
        p->icfg.params.data_pdu_in_order = false;
        if (iscsi_isess_new(&p->icfg, &p->alloc.a, &p->sess) == 0) {
            p->alloc.fail_at = p->alloc.calls + n;
            struct pair_conn *c = pair_connect(p, 1);
            pair_run(p);
            pair_rw(&cmd, false, 0, 8, buf, sizeof buf);
            if (c->logged_in && !c->iclosed) {
                assert_int_equal(iscsi_isess_submit(p->sess, &cmd.c), 0);
                pair_run(p);
                assert_true(cmd.done || c->iclosed || c->tclosed);
            }
            reached = p->alloc.calls < p->alloc.fail_at;
        }
        pair_free(p);
    }
    assert_true(reached);
    for (uint64_t n = 1; n < 3; n++) {
        struct pair *p = pair_new(25);
        p->alloc.fail_at = n;
        assert_int_equal(iscsi_isess_new(&p->icfg, &p->alloc.a, &p->sess), USAN_ENOMEM);
        pair_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairwise),        cmocka_unit_test(no_allocation),
        cmocka_unit_test(chap_fails),      cmocka_unit_test(optional_chap),
        cmocka_unit_test(redirected),      cmocka_unit_test(no_such_target),
        cmocka_unit_test(discovery),       cmocka_unit_test(renegotiate),
        cmocka_unit_test(extended_cdb),    cmocka_unit_test(many_pieces),
        cmocka_unit_test(check_condition), cmocka_unit_test(window),
        cmocka_unit_test(cancel),          cmocka_unit_test(task_management),
        cmocka_unit_test(keep_alive),      cmocka_unit_test(login_times_out),
        cmocka_unit_test(logout_asked),    cmocka_unit_test(drop_announced),
        cmocka_unit_test(scsi_event),      cmocka_unit_test(reinstated),
        cmocka_unit_test(connections),     cmocka_unit_test(session_logout),
        cmocka_unit_test(joiner_refused),  cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
