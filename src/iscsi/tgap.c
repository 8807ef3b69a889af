/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/tgap.h"
#include "iscsi/tsess.h"

static bool may_bring_more(const struct iscsi_tconn *c)
{
    return !c->closing && !c->login;
}

/* To look what is due now. */
static void kick_all(struct iscsi_tsess *s)
{
    list_for_each (&s->conns, pos)
        if (may_bring_more(list_entry(pos, struct iscsi_tconn, node)))
            tconn_kick(list_entry(pos, struct iscsi_tconn, node));
}

/* ---- what was there ---- */

static void keep_place(struct ttask *t)
{
    if (t->late)
        alloc_put(t->sess->a, tsess_take_late(t));
    if (!t->ghost)
        tsess_make_ghost(t);
    t->dropped = true;
    t->conn = NULL;
}

void tgap_drop_held(struct iscsi_tconn *c)
{
    list_for_each_safe (&c->sess->held, pos) {
        struct ttask *t = list_entry(pos, struct ttask, node);
        if (t->conn != c)
            continue;
        if (c->erl < 2 && !t->pub.immediate)
            keep_place(t);
        else
            tsess_task_put(t);
    }
    kick_all(c->sess);
}

/* ---- what was not ---- */

static void later(uint32_t *sn, uint32_t than)
{
    if (sn_lt(*sn, than))
        *sn = than;
}

/* How far the connections have come can be seen from what is held of them. */
static void begin(struct iscsi_tsess *s)
{
    s->broken = true;
    list_for_each (&s->conns, pos) {
        struct iscsi_tconn *c = list_entry(pos, struct iscsi_tconn, node);
        c->shown_sn = s->exp_cmd_sn;
    }
    list_for_each (&s->held, pos) {
        const struct ttask *t = list_entry(pos, struct ttask, node);
        if (t->conn)
            later(&t->conn->shown_sn, t->pub.cmd_sn);
    }
}

void tgap_closed(struct iscsi_tconn *c)
{
    struct iscsi_tsess *s = c->sess;

    if (c->login || c->erl >= 2 || s->live == 0)
        return;
    if (!s->broken)
        begin(s);
    kick_all(s);
}

void tgap_joined(struct iscsi_tconn *c)
{
    c->shown_sn = c->sess->exp_cmd_sn;
    list_for_each (&c->sess->conns, pos)
        tconn_attend(list_entry(pos, struct iscsi_tconn, node));
}

/* Has one of these come before? What is sent again may come in any order. */
static bool is_retry(const struct iscsi_tsess *s, uint32_t cmd_sn)
{
    list_for_each (&s->held, pos) {
        const struct ttask *t = list_entry(pos, struct ttask, node);
        if (t->pub.cmd_sn == cmd_sn && !t->pub.immediate)
            return true;
    }
    return false;
}

void tgap_shown(struct iscsi_tconn *c, uint32_t cmd_sn)
{
    if (!sn_lt(c->sess->max_cmd_sn + 1, cmd_sn) && !is_retry(c->sess, cmd_sn))
        later(&c->shown_sn, cmd_sn);
}

void tgap_rejected(struct iscsi_tconn *c, const uint8_t *bhs)
{
    struct iscsi_tsess *s = c->sess;
    uint8_t op = bhs_opcode(bhs);
    uint32_t sn = bhs_cmd_sn(bhs);

    if (!s || bhs_immediate(bhs) || op == ISCSI_OP_DATA_OUT || op == ISCSI_OP_SNACK ||
        sn_lt(sn, s->exp_cmd_sn) || sn_lt(s->max_cmd_sn, sn))
        return;
    if (!c->rejected || sn_lt(c->rejected_last, s->exp_cmd_sn))
        c->rejected_sn = c->rejected_last = sn;
    c->rejected = true;
    later(&c->rejected_last, sn);
    if (sn_lt(sn, c->rejected_sn))
        c->rejected_sn = sn;
}

/* What comes before this does not come on that connection any more. */
static uint32_t come_as_far_as(const struct iscsi_tconn *c)
{
    bool again = c->rejected && !sn_lt(c->rejected_last, c->sess->exp_cmd_sn);

    return again && sn_lt(c->rejected_sn, c->shown_sn) ? c->rejected_sn : c->shown_sn;
}

bool tgap_mend(struct iscsi_tsess *s)
{
    uint32_t exp = s->exp_cmd_sn, to = list_entry(s->held.next, struct ttask, node)->pub.cmd_sn;

    if (!sn_lt(exp, to))
        return false;
    list_for_each (&s->conns, pos) {
        struct iscsi_tconn *c = list_entry(pos, struct iscsi_tconn, node);
        if (!may_bring_more(c))
            continue;
        uint32_t come = come_as_far_as(c);
        if (sn_lt(come, to))
            to = come;
        if (sn_lt(exp, come) || (c->asked && c->asked_sn == exp))
            continue;
        c->asked = true;
        c->asked_sn = exp;
        tconn_ask(c);
    }
    if (!sn_lt(exp, to))
        return false;
    s->exp_cmd_sn = to;
    return true;
}
