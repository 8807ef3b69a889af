/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A target session at recovery level 1 or 2 with up to three connections, which come, break, come
 * back and take over each other's commands, as the input says: requests of every kind with numbers
 * from a small range, damaged data, cuts, time that passes, and an owner that answers when it
 * likes.
 *
 * What has to hold: every task ends once, with SENT or by being dropped, whatever became of its
 * connection; and no memory is left.
 */
#include "base/alloc_heap.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "iscsi/pdu.h"
#include "iscsi/target.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CONNS = 3, TASKS = 256, BUF = 8192 };

struct priv {
    struct iovec iov[2];
    bool wanted, answered, in_hand;
};

struct conn {
    struct iscsi_tconn *t;
    bool closed, retained;
    bool lent;    /* to the transport: others may go on */
    size_t slow;  /* takes so many bytes at a time; 0 = all */
    uint32_t ttt; /* the last one that the target sent */
};

struct world {
    struct iscsi_tconn_config cfg;
    struct conn conn[CONNS];
    struct iscsi_tsess *sess;
    struct iscsi_task *task[TASKS]; /* to be answered */
    unsigned count, in_hand;
    bool digest, down;
    uint64_t now_ns;
    uint32_t cmd_sn;
    uint8_t level;
    uint8_t memory[BUF];
};

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void forget(struct world *w, const struct iscsi_task *t)
{
    for (unsigned i = 0; i < w->count; i++)
        if (w->task[i] == t) {
            w->task[i] = w->task[--w->count];
            return;
        }
}

/* It is over for the owner. */
static void ended(struct world *w, struct iscsi_task *t)
{
    struct priv *p = t->priv;

    must(p->in_hand && w->in_hand > 0);
    p->in_hand = false;
    w->in_hand--;
    forget(w, t);
}

static void drop(struct world *w, struct iscsi_task *t)
{
    struct priv *p = t->priv;

    must(p->in_hand);
    p->in_hand = false; /* before: the task may be gone */
    if (iscsi_task_drop(t))
        w->in_hand--;
    else
        p->in_hand = true;
    forget(w, t);
}

static void respond(struct world *w, struct iscsi_task *t, uint8_t how)
{
    static const uint8_t sense[18] = { 0x70 };
    struct priv *p = t->priv;
    struct iscsi_response rsp = { .status = how & 3 ? 0 : 2 };

    forget(w, t);
    p->answered = true;
    if (t->tmf) {
        iscsi_task_respond_tmf(t, how & 7);
        return;
    }
    if (rsp.status) {
        rsp.sense = sense;
        rsp.sense_len = sizeof sense;
    } else if (t->read) {
        rsp.in_used = rsp.in_len = t->in_expected < BUF ? t->in_expected : BUF;
        p->iov[0] = (struct iovec){ w->memory, how };
        p->iov[1] = (struct iovec){ w->memory + how, BUF - how };
        rsp.in = p->iov;
        rsp.in_cnt = 2;
    }
    iscsi_task_respond(t, &rsp);
}

static void begin_task(struct world *w, struct iscsi_task *t)
{
    struct priv *p = t->priv;

    must(!p->in_hand && w->count < TASKS);
    *p = (struct priv){ .in_hand = true };
    w->task[w->count++] = t;
    w->in_hand++;
}

/* The end of its connection, or of that one's time. */
static void lost(struct world *w, struct iscsi_task *t)
{
    if (w->now_ns & 1)
        respond(w, t, 1); /* it comes back with SENT */
    else
        drop(w, t);
}

static void event(struct world *w, struct conn *c, const struct iscsi_event *ev)
{
    const struct iscsi_auth none = { .required = false };

    switch (ev->type) {
    case ISCSI_EV_LOGIN_TARGET:
        if (ev->tsih && w->sess)
            iscsi_tsess_continue(w->sess, c->t);
        iscsi_tconn_login_accept(c->t, &none, NULL);
        break;
    case ISCSI_EV_LOGIN_USER:
        iscsi_tconn_login_secret(c->t, &none);
        break;
    case ISCSI_EV_LOGIN_BIND:
        if (!w->sess)
            w->sess = iscsi_tsess_new(c->t, 1, &alloc_heap);
        if (ev->discovery || !w->sess)
            iscsi_tconn_login_reject(c->t, 0x0300);
        else
            iscsi_tconn_bind(c->t, w->sess);
        break;
    case ISCSI_EV_SEND_TARGETS:
        iscsi_tconn_targets_end(c->t);
        break;
    case ISCSI_EV_COMMAND:
    case ISCSI_EV_TMF:
        must(!ev->task->tmf || ev->task->tmf != ISCSI_TMF_TASK_REASSIGN);
        begin_task(w, ev->task);
        break;
    case ISCSI_EV_DATA:
        respond(w, ev->task, 5);
        break;
    case ISCSI_EV_SENT:
        ended(w, ev->task);
        break;
    case ISCSI_EV_TASK_LOST:
        lost(w, ev->task);
        break;
    case ISCSI_EV_CLOSE:
        c->closed = true;
        c->retained = ev->retained;
        break;
    case ISCSI_EV_LOGGED_IN:
    case ISCSI_EV_LOGOUT_OTHER:
        break;
    }
}

static void session_events(struct world *w)
{
    struct iscsi_tsess_event ev;

    while (w->sess && iscsi_tsess_next(w->sess, &ev)) {
        switch (ev.type) {
        case ISCSI_TSESS_EV_SENT:
            ended(w, ev.task);
            break;
        case ISCSI_TSESS_EV_DATA:
            respond(w, ev.task, 5);
            break;
        case ISCSI_TSESS_EV_TASK_LOST:
            lost(w, ev.task);
            break;
        case ISCSI_TSESS_EV_DOWN:
            must(!w->down);
            w->down = true;
            break;
        }
    }
}

/* Closed: what a target does then. */
static void reap(struct world *w, struct conn *c)
{
    if (!c->closed)
        return;
    for (unsigned i = 0; !c->retained && i < w->count;) {
        if (iscsi_task_conn(w->task[i]) == c->t)
            drop(w, w->task[i]);
        else
            i++;
    }
    iscsi_tconn_free(c->t);
    *c = (struct conn){ .t = NULL };
}

static void look_at(struct conn *c, const struct iovec *v)
{
    const uint8_t *p = v->iov_base;
    if (v->iov_len >= ISCSI_BHS_LEN && (p[0] == ISCSI_OP_R2T || p[0] == ISCSI_OP_DATA_IN) &&
        bhs_ttt(p) != ISCSI_TAG_NONE)
        c->ttt = bhs_ttt(p);
}

static void pump(struct world *w, struct conn *c, size_t most)
{
    struct iscsi_event ev;
    struct iovec iov[8];

    while (iscsi_tconn_next(c->t, &ev))
        event(w, c, &ev);
    for (int n, rounds = 0; rounds < 64 && (n = iscsi_tconn_tx(c->t, iov, 8)) > 0; rounds++) {
        size_t total = 0;
        for (int i = 0; i < n; i++) {
            look_at(c, &iov[i]);
            total += iov[i].iov_len;
        }
        size_t k = most && most < total ? most : total;
        iscsi_tconn_tx_done(c->t, k, w->now_ns);
        while (iscsi_tconn_next(c->t, &ev))
            event(w, c, &ev);
        if (most && (most -= k) == 0)
            break;
    }
}

/* Everything that follows. */
static void settle(struct world *w)
{
    for (int rounds = 0; rounds < 4; rounds++) {
        for (unsigned i = 0; i < CONNS; i++) {
            struct conn *c = &w->conn[i];
            if (!c->t || c->lent || (c->slow && rounds > 0))
                continue;
            pump(w, c, c->slow);
            reap(w, c);
            while (w->sess && iscsi_tsess_take_kick(w->sess))
                ;
        }
        session_events(w);
    }
}

static void feed(struct world *w, struct conn *c, const uint8_t *p, size_t len)
{
    struct iovec iov[ISCSI_RX_IOV_MAX];
    struct iscsi_event ev;

    while (len > 0 && c->t && !c->closed) {
        uint8_t *buf = malloc(512); /* its own, so that a late use of it shows */
        int n = buf ? iscsi_tconn_rx_space(c->t, buf, 512, iov) : 0;
        size_t got = 0;
        for (int i = 0; i < n && len > 0; i++) {
            size_t k = iov[i].iov_len < len ? iov[i].iov_len : len;
            memcpy(iov[i].iov_base, p, k);
            p += k;
            len -= k;
            got += k;
        }
        if (n == 0)
            len = 0;
        iscsi_tconn_rx(c->t, got, w->now_ns);
        while (iscsi_tconn_next(c->t, &ev))
            event(w, c, &ev);
        free(buf);
    }
}

static void send_pdu(struct world *w, struct conn *c, uint8_t *bhs, uint32_t len, bool bad)
{
    uint8_t pdu[ISCSI_BHS_LEN + 2048 + 8] = { 0 };
    uint32_t padded = (len + 3) & ~3u;

    be24_put(bhs + 5, len);
    memcpy(pdu, bhs, ISCSI_BHS_LEN);
    if (len && w->digest) {
        uint32_t crc = crc32c(pdu + ISCSI_BHS_LEN, padded) ^ bad;
        memcpy(pdu + ISCSI_BHS_LEN + padded, &crc, sizeof crc);
        padded += 4;
    }
    feed(w, c, pdu, ISCSI_BHS_LEN + padded);
}

static void connect_again(struct world *w, struct conn *c, uint8_t cid)
{
    static const char keys[] = "InitiatorName=iqn.2026-01.test:fuzz\0"
                               "TargetName=iqn.2026-01.test:a\0"
                               "ErrorRecoveryLevel=2\0MaxConnections=3\0InitialR2T=No\0"
                               "MaxRecvDataSegmentLength=512\0MaxBurstLength=1024\0"
                               "FirstBurstLength=1024\0MaxOutstandingR2T=3\0"
                               "DataSequenceInOrder=No\0DataPDUInOrder=No\0DataDigest=CRC32C";
    uint8_t pdu[ISCSI_BHS_LEN + sizeof keys + 4] = { 0x43, 0x87 };
    char *level = (char *)pdu + ISCSI_BHS_LEN + 36 + 30 + 19;
    uint32_t len = sizeof keys - (w->digest ? 0 : 18);

    memcpy(pdu + ISCSI_BHS_LEN, keys, sizeof keys);
    *level = (char)('0' + w->level);
    be24_put(pdu + 5, len);
    be16_put(pdu + 14, w->sess ? 1 : 0);
    be16_put(pdu + 20, cid);
    be32_put(pdu + 24, w->cmd_sn);
    c->t = iscsi_tconn_new(&w->cfg, &alloc_heap, w->now_ns);
    c->ttt = ISCSI_TAG_NONE;
    if (c->t)
        feed(w, c, pdu, ISCSI_BHS_LEN + ((len + 3) & ~3u));
}

/* A request, with its numbers from the input. */
static void request(struct world *w, struct conn *c, struct rd *in, uint8_t kind)
{
    static const uint8_t ops[] = { 0x01, 0x01, 0x50, 0x42, 0x46, 0x05, 0x40, 0x44 };
    static const uint8_t tmfs[] = { 8, 8, 8, 1, 2, 5, 6, 9 };
    uint8_t bhs[ISCSI_BHS_LEN] = { 0 }, a = rd_u8(in), b = rd_u8(in), n = rd_u8(in);
    uint32_t len = 0;

    bhs[0] = ops[kind & 7];
    be32_put(bhs + 16, a & 15);
    be32_put(bhs + 20, c->ttt);
    be32_put(bhs + 24, w->cmd_sn);
    be32_put(bhs + 28, n & 31);
    switch (kind & 7) {
    case 0: /* read */
    case 1: /* write */
        bhs[1] = kind & 1 ? (b & 0x80) | 0x21 : 0xc1;
        len = kind & 1 ? (uint32_t)(b & 3) * 256 : 0;
        be32_put(bhs + 20, 1024u + (n & 7) * 512u);
        be32_put(bhs + 24, w->cmd_sn++ + (b & 0x40 ? 1 : 0));
        break;
    case 2: /* SNACK */
        bhs[1] = (uint8_t)(0x80 | (b & 3));
        be32_put(bhs + 20, b & 4 ? a : c->ttt);
        be32_put(bhs + 40, b >> 5);
        be32_put(bhs + 44, n >> 5);
        break;
    case 3: /* task management */
        bhs[1] = 0x80 | tmfs[b & 7];
        be32_put(bhs + 20, a >> 4);
        be32_put(bhs + 16, 0x1000u + a);
        be32_put(bhs + 32, w->cmd_sn - (b >> 4));
        be32_put(bhs + 36, n >> 4);
        break;
    case 4: /* logout */
        bhs[1] = (uint8_t)(0x80 | (n & 3));
        be32_put(bhs + 20, 0);
        be16_put(bhs + 20, b & 3);
        break;
    case 5: /* data-out */
        bhs[1] = b & 0x80;
        len = 256u * (1 + (b & 3));
        if (b & 4)
            be32_put(bhs + 20, ISCSI_TAG_NONE);
        be32_put(bhs + 36, n & 3);
        be32_put(bhs + 40, (n >> 2) * 256u);
        break;
    case 6: /* NOP-Out */
        bhs[1] = 0x80;
        be32_put(bhs + 16, a & 1 ? ISCSI_TAG_NONE : a);
        be32_put(bhs + 20, ISCSI_TAG_NONE);
        break;
    case 7: /* another segment length */
        bhs[1] = 0x80;
        be32_put(bhs + 20, ISCSI_TAG_NONE);
        break;
    }
    send_pdu(w, c, bhs, len, kind & 8);
}

static void owner_acts(struct world *w, uint8_t how, uint8_t which)
{
    if (w->count == 0)
        return;
    struct iscsi_task *t = w->task[which % w->count];
    struct priv *p = t->priv;
    if ((how & 1) && t->write && !t->tmf && !p->wanted) {
        p->wanted = true;
        p->iov[0] = (struct iovec){ w->memory, 100 };
        p->iov[1] = (struct iovec){ w->memory + 100, BUF - 100 };
        iscsi_task_want_data(t, p->iov, 2, t->out_expected < BUF ? t->out_expected : BUF);
    } else if (how & 2) {
        drop(w, t);
    } else {
        respond(w, t, which);
    }
}

static void time_passes(struct world *w, uint64_t ns)
{
    w->now_ns += ns;
    for (unsigned i = 0; i < CONNS; i++)
        if (w->conn[i].t)
            iscsi_tconn_tick(w->conn[i].t, w->now_ns);
    if (w->sess)
        iscsi_tsess_tick(w->sess, w->now_ns);
}

static void finish(struct world *w)
{
    if (w->sess)
        iscsi_tsess_close(w->sess, w->level & 1, "the end of the input");
    for (unsigned i = 0; i < CONNS; i++)
        if (w->conn[i].t) {
            if (w->conn[i].lent)
                iscsi_tconn_lend(w->conn[i].t, false);
            w->conn[i].lent = false;
            iscsi_tconn_rx_eof(w->conn[i].t);
        }
    settle(w);
    while (w->count > 0)
        drop(w, w->task[0]);
    settle(w);
    for (unsigned i = 0; i < CONNS; i++)
        must(!w->conn[i].t);
    must(w->in_hand == 0);
    iscsi_tsess_free(w->sess);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w;
    struct rd in = rd_init(data, size);
    uint8_t first = rd_u8(&in);

    memset(&w, 0, offsetof(struct world, memory));
    w.cfg = (struct iscsi_tconn_config){
        .params = iscsi_params_default,
        .portal_group_tag = 1,
        .queue_depth = 16,
        .task_priv_bytes = sizeof(struct priv),
        .login_timeout_ns = 15 * NS_PER_SEC,
        .nop_interval_ns = 30 * NS_PER_SEC,
        .nop_timeout_ns = 10 * NS_PER_SEC,
        .progress_timeout_ns = 60 * NS_PER_SEC,
    };
    w.cfg.params.max_recv_data_segment = 4096;
    w.level = 1 + (first & 1);
    w.digest = first & 2;
    connect_again(&w, &w.conn[0], 0);
    settle(&w);
    while (rd_left(&in) > 0) {
        uint8_t what = rd_u8(&in);
        struct conn *c = &w.conn[(what >> 4) % CONNS];
        if ((what & 15) == 15 && what >> 6 == 3 && c->t) {
            c->lent = !c->lent;
            iscsi_tconn_lend(c->t, c->lent);
        } else if (c->lent) {
            continue;
        } else if ((what & 15) < 9 && c->t) {
            request(&w, c, &in, rd_u8(&in));
        } else if ((what & 15) < 11) {
            owner_acts(&w, what >> 6, rd_u8(&in));
        } else if ((what & 15) < 13 && !c->t) {
            connect_again(&w, c, what >> 6);
        } else if ((what & 15) == 13 && c->t) {
            iscsi_tconn_rx_eof(c->t);
        } else if ((what & 15) == 14) {
            time_passes(&w, (1 + rd_u8(&in)) * NS_PER_SEC / 8);
        }
        if ((what & 15) == 15 && what >> 6 != 3)
            c->slow = c->slow ? 0 : 1 + (what >> 6) * 40u;
        settle(&w);
    }
    finish(&w);
    return 0;
}
