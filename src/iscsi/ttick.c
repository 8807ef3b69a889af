/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A connection of the target role: its deadlines, and what happens when they are over. */
#include "iscsi/tawait.h"
#include "iscsi/tctl.h"
#include "iscsi/tkeep.h"
#include "iscsi/tsess.h"
#include "iscsi/ttask.h"
#include "iscsi/ttext.h"

#define DRAIN_TIMEOUT_NS (5 * NS_PER_SEC) /* for the initiator to take a last answer */

/* Deadlines are kept coarse: silence is measured when the timer fires, so that traffic does not
 * move the timer with every PDU. */
uint64_t iscsi_tconn_deadline(const struct iscsi_tconn *c)
{
    if (c->closed)
        return TIME_NEVER;
    if (c->login && !c->closing)
        return c->started_ns + c->cfg.login_timeout_ns;
    return c->timer_ns;
}

/* Is it waited for, and did nothing move for too long? */
static bool stalled(const struct iscsi_tconn *c, bool waiting, uint64_t progress_ns,
                    uint64_t *since_ns)
{
    if (!waiting)
        *since_ns = 0;
    else if (!*since_ns)
        *since_ns = c->now_ns;
    else if (*since_ns < progress_ns)
        *since_ns = progress_ns;
    return waiting && c->now_ns >= *since_ns + c->cfg.progress_timeout_ns;
}

/* Close the connection of an initiator that makes us keep memory for it. Returns when to look
 * again. A text exchange that does not go on is only forgotten. */
static uint64_t check_progress(struct iscsi_tconn *c)
{
    uint64_t timeout = c->cfg.progress_timeout_ns, now = c->now_ns, next = now + timeout / 4;

    if (!timeout)
        return TIME_NEVER;
    if (stalled(c, iscsi_tconn_tx_pending(c), c->sent_ns, &c->send_since_ns)) {
        tconn_close(c, USAN_ETIMEOUT, "no progress: the initiator does not take what is sent");
        return TIME_NEVER;
    }
    uint64_t data_since = ttask_data_awaited(c);
    if (data_since != TIME_NEVER && now >= data_since + timeout) {
        tconn_close(c, USAN_ETIMEOUT, "no progress: data of a command does not come");
        return TIME_NEVER;
    }
    if (c->sess && c->seen_cmd_sn != c->sess->exp_cmd_sn) {
        c->seen_cmd_sn = c->sess->exp_cmd_sn;
        c->turn_ns = now;
    }
    if (stalled(c, tsess_holds(c), c->turn_ns, &c->turn_since_ns)) {
        tconn_close(c, USAN_ETIMEOUT, "no progress: a request that others wait for does not come");
        return TIME_NEVER;
    }
    bool text = c->text_in || c->text_out || c->text_ttt != ISCSI_TAG_NONE;
    if (text && now >= c->text_ns + timeout) {
        ttext_abandon(c);
        text = false;
    }
    if (c->send_since_ns)
        next = time_min(next, c->send_since_ns + timeout);
    if (data_since != TIME_NEVER)
        next = time_min(next, data_since + timeout);
    if (c->turn_since_ns)
        next = time_min(next, c->turn_since_ns + timeout);
    bool waiting = c->send_since_ns || data_since != TIME_NEVER || c->turn_since_ns || text;
    return waiting ? next : TIME_NEVER;
}

static void tick_full_feature(struct iscsi_tconn *c)
{
    uint64_t now = c->now_ns, next = check_progress(c);

    if (c->closed)
        return;

    if (c->ask)
        tctl_ping(c);
    c->ask = false;
    if (!c->closed && c->fenced)
        next = time_min(next, tawait_tick(c));
    if (!c->closed && c->erl)
        next = time_min(next, tkeep_tick(c));
    if (c->closed) /* there was no memory to ask: what is queued now would stay */
        return;
    if (c->tx.block && wire_tx_empty(&c->tx)) {
        if (now >= c->idle_since_ns + TX_BLOCK_IDLE_NS)
            wire_tx_shrink(&c->tx);
        else
            next = time_min(next, c->idle_since_ns + TX_BLOCK_IDLE_NS);
    }
    if (!c->cfg.nop_interval_ns) {
        c->timer_ns = next;
        return;
    }
    if (c->nop_sent_ns && c->last_rx_ns > c->nop_sent_ns)
        c->nop_sent_ns = 0; /* any sign of life will do */
    if (c->nop_sent_ns && now >= c->nop_sent_ns + c->cfg.nop_timeout_ns) {
        tconn_close(c, USAN_ETIMEOUT, "no answer to a NOP-In");
        return;
    }
    if (!c->nop_sent_ns && now >= c->last_rx_ns + c->cfg.nop_interval_ns)
        tctl_ping(c);
    next = time_min(next, c->nop_sent_ns ? c->nop_sent_ns + c->cfg.nop_timeout_ns
                                         : c->last_rx_ns + c->cfg.nop_interval_ns);
    c->timer_ns = next;
}

void iscsi_tconn_tick(struct iscsi_tconn *c, uint64_t now_ns)
{
    c->now_ns = now_ns;
    if (c->closed)
        return;
    if (c->closing) {
        if (!iscsi_tconn_tx_pending(c)) /* the last answer waits for tasks to end */
            c->timer_ns = TIME_NEVER;
        else if (!c->drain_ns)
            c->drain_ns = now_ns + DRAIN_TIMEOUT_NS;
        else if (now_ns >= c->drain_ns)
            tconn_close(c, USAN_ETIMEOUT, "the initiator does not take the last answer");
        if (c->drain_ns)
            c->timer_ns = c->drain_ns;
        return;
    }
    if (c->login) {
        if (now_ns >= c->started_ns + c->cfg.login_timeout_ns)
            tconn_close(c, USAN_ETIMEOUT, "login timed out");
        return;
    }
    if (now_ns >= c->timer_ns)
        tick_full_feature(c);
}
