/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ierl_load.h"

#include "base/bytes.h"

void ierl_config(struct pair *p, uint8_t level)
{
    struct iscsi_params_cfg *i = &p->icfg.params, *t = &p->tcfg.params;
    i->error_recovery_level = t->error_recovery_level = level;
    i->header_digest = i->data_digest = true;
    i->header_digest_required = i->data_digest_required = true;
    i->time2wait = t->time2wait = 1;
    p->icfg.recovery_timeout_ns = 300 * NS_PER_MS;
    /* a damaged length makes its receiver wait for bytes that nobody sends: until a ping */
    p->icfg.nop_interval_ns = p->icfg.nop_timeout_ns = NS_PER_SEC;
    p->tcfg.nop_interval_ns = p->tcfg.nop_timeout_ns = NS_PER_SEC;
}

void ierl_begin(struct pair *p, struct ierl_load *l)
{
    for (size_t k = 0; k < sizeof(p->disk) / 64; k++)
        p->disk[k] = p->disk[k + PAIR_BIDI * PAIR_BLOCK] = (uint8_t)(k * 13);
    pair_login(p);
    for (l->cid = 2; l->cid < l->conns + 1u; l->cid++)
        (void)pair_connect(p, l->cid);
    pair_run(p);
    p->moved[0] = p->moved[1] = 0;
}

static void submit(struct pair *p, struct ierl_load *l, unsigned i)
{
    uint32_t len = l->blocks * (uint32_t)PAIR_BLOCK;
    bool write = i & 1;
    for (uint32_t k = 0; k < len; k++)
        l->buf[i][k] = write ? (uint8_t)(i * 31 + k * 7 + l->round) : 0;
    pair_rw(&l->cmd[i], write, i * l->blocks, l->blocks, l->buf[i], len);
    memset(l->in[i], 0, len);
    if (i % 6 == 5)
        pair_bidi(&l->cmd[i], l->in[i]);
    assert_int_equal(iscsi_isess_submit(p->sess, &l->cmd[i].c), 0);
}

void ierl_submit(struct pair *p, struct ierl_load *l)
{
    l->round++;
    for (unsigned i = 0; i < l->cmds; i++)
        submit(p, l, i);
}

bool ierl_done(const struct ierl_load *l)
{
    for (unsigned i = 0; i < l->cmds; i++)
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

static void connect_again(struct pair *p, struct ierl_load *l)
{
    pair_sweep(p);
    if (living(p) == l->conns)
        return;
    /* with the cid of the one that was lost, or another */
    uint16_t cid = p->recover && pair_draw(p, 2) ? p->cid : l->cid++;
    struct pair_conn *c = pair_connect(p, cid);
    assert_true(!c->ierr || c->ierr == USAN_EAGAIN || c->ierr == USAN_EBUSY ||
                c->ierr == USAN_EEXIST || c->ierr == USAN_ELIMIT ||
                (c->ierr == USAN_ENOMEM && p->alloc.fail_at));
    pair_run(p);
}

bool ierl_finish(struct pair *p, struct ierl_load *l, void (*more)(struct pair *p))
{
    for (int step = 0; step < 300; step++) {
        pair_pass(p, 100 * NS_PER_MS);
        l->losses += p->session_down;
        p->session_down = 0;
        connect_again(p, l);
        for (unsigned i = 0; i < l->cmds; i++) {
            struct pair_cmd *m = &l->cmd[i];
            if (!m->done || (!m->c.err && !m->c.status))
                continue;
            /* not sent, it would have waited; with a status, the target got it damaged */
            assert_true(m->c.sent || p->alloc.fail_at);
            l->unsure++;
            submit(p, l, i); /* the same blocks with the same data: it may be done twice */
        }
        if (ierl_done(l) && living(p) == l->conns && iscsi_isess_deadline(p->sess) == TIME_NEVER)
            return true;
        if (more)
            more(p);
    }
    return false;
}

void ierl_check(const struct pair *p, struct ierl_load *l)
{
    uint32_t len = l->blocks * (uint32_t)PAIR_BLOCK;
    for (unsigned i = 0; i < l->cmds; i++) {
        const struct iscsi_icmd *c = &l->cmd[i].c;
        assert_int_equal(c->err, 0);
        assert_int_equal(c->status, 0);
        assert_memory_equal(l->buf[i], p->disk + (size_t)i * len, len);
        if (i % 6 == 5)
            assert_memory_equal(l->in[i], p->disk + (size_t)i * len + PAIR_BIDI * PAIR_BLOCK, len);
    }
    assert_int_equal(p->done, l->cmds * l->round + l->unsure); /* once each */
    assert_int_equal(iscsi_isess_active(p->sess), 0);
    assert_int_equal(iscsi_isess_queued(p->sess), 0);
}
