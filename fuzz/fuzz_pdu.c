/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A target connection in full feature phase, fed with whatever the input says: PDUs, cuts, and
 * when and how its owner finishes the commands.
 *
 * The input is a list of records. The first byte of each says what it is: raw bytes for the
 * stream, a PDU whose lengths are put right, or something the owner does.
 */
#include "base/alloc_heap.h"
#include "base/bytes.h"
#include "iscsi/pdu.h"
#include "iscsi/target.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TASKS = 64, BUF = 65536 };

struct priv {
    struct iovec iov[3];
};

struct world {
    struct iscsi_tconn *conn;
    struct iscsi_tsess *sess;
    struct iscsi_task *task[TASKS];
    bool wanted[TASKS];
    unsigned count;
    bool closed;
    uint64_t now_ns;
    uint8_t memory[BUF];
};

static void forget(struct world *w, const struct iscsi_task *t)
{
    for (unsigned i = 0; i < w->count; i++)
        if (w->task[i] == t) {
            w->task[i] = w->task[--w->count];
            w->wanted[i] = w->wanted[w->count];
            return;
        }
}

static void respond(struct world *w, struct iscsi_task *t, uint8_t how)
{
    struct priv *p = t->priv;
    struct iscsi_response rsp = { .status = how & 3 ? 0 : 2, .in_used = how * 100u };
    static const uint8_t sense[18] = { 0x70 };

    forget(w, t);
    if (t->tmf) {
        iscsi_task_respond_tmf(t, how & 7);
        return;
    }
    if (rsp.status) {
        rsp.sense = sense;
        rsp.sense_len = sizeof sense;
    }
    if (t->read && rsp.status == 0) {
        rsp.in_len = t->in_expected < BUF - 64 ? t->in_expected : BUF - 64;
        p->iov[0] = (struct iovec){ w->memory, how };
        p->iov[1] = (struct iovec){ w->memory + how, 0 };
        p->iov[2] = (struct iovec){ w->memory + how, BUF - how };
        rsp.in = p->iov;
        rsp.in_cnt = 3;
    }
    iscsi_task_respond(t, &rsp);
}

static void want(struct world *w, unsigned i)
{
    struct iscsi_task *t = w->task[i];
    struct priv *p = t->priv;
    uint64_t len = t->out_expected < BUF ? t->out_expected : BUF;

    if (w->wanted[i] || t->tmf || !t->write)
        return;
    w->wanted[i] = true;
    p->iov[0] = (struct iovec){ w->memory, 100 };
    p->iov[1] = (struct iovec){ w->memory + 100, BUF - 100 };
    iscsi_task_want_data(t, p->iov, 2, len);
}

static void event(struct world *w, const struct iscsi_event *ev)
{
    static const char *const addresses[] = { "127.0.0.1:3260,1", NULL };
    const struct iscsi_auth none = { .required = false };

    switch (ev->type) {
    case ISCSI_EV_LOGIN_TARGET:
        iscsi_tconn_login_accept(w->conn, &none, "fuzz");
        break;
    case ISCSI_EV_LOGIN_USER:
        iscsi_tconn_login_secret(w->conn, &none);
        break;
    case ISCSI_EV_LOGIN_BIND:
        w->sess = w->sess ? w->sess : iscsi_tsess_new(w->conn, 1, &alloc_heap);
        iscsi_tconn_bind(w->conn, w->sess);
        break;
    case ISCSI_EV_SEND_TARGETS:
        for (int i = 0; i < 50; i++)
            iscsi_tconn_target_record(w->conn, "iqn.2026-01.test:a", addresses);
        iscsi_tconn_targets_end(w->conn);
        break;
    case ISCSI_EV_COMMAND:
    case ISCSI_EV_TMF:
        w->wanted[w->count] = false;
        w->task[w->count++] = ev->task;
        break;
    case ISCSI_EV_DATA:
        respond(w, ev->task, 5);
        break;
    case ISCSI_EV_SENT:
        forget(w, ev->task);
        break;
    case ISCSI_EV_TASK_LOST:
        forget(w, ev->task);
        (void)iscsi_task_drop(ev->task);
        break;
    case ISCSI_EV_CLOSE:
        w->closed = true;
        break;
    case ISCSI_EV_LOGGED_IN:
    case ISCSI_EV_LOGOUT_OTHER:
        break;
    }
}

static void settle(struct world *w, size_t out_piece)
{
    struct iscsi_event ev;
    struct iovec iov[8];

    while (iscsi_tconn_next(w->conn, &ev))
        event(w, &ev);
    for (int n, rounds = 0; rounds < 64 && (n = iscsi_tconn_tx(w->conn, iov, 8)) > 0; rounds++) {
        size_t total = 0;
        for (int i = 0; i < n; i++)
            total += iov[i].iov_len;
        iscsi_tconn_tx_done(w->conn, out_piece && out_piece < total ? out_piece : total, w->now_ns);
        while (iscsi_tconn_next(w->conn, &ev))
            event(w, &ev);
    }
}

static void feed(struct world *w, const uint8_t *p, size_t len, size_t piece)
{
    struct iovec iov[ISCSI_RX_IOV_MAX];

    while (len > 0 && !w->closed) {
        uint8_t *buf = malloc(piece); /* its own, so that a late use of it shows */
        int n = buf ? iscsi_tconn_rx_space(w->conn, buf, piece, iov) : 0;
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
        iscsi_tconn_rx(w->conn, got, w->now_ns);
        settle(w, 0);
        free(buf);
    }
}

static void login(struct world *w, uint8_t how)
{
    static const char keys[] = "InitiatorName=iqn.2026-01.test:fuzz\0"
                               "TargetName=iqn.2026-01.test:a\0InitialR2T=No\0ImmediateData=Yes\0"
                               "MaxOutstandingR2T=4\0MaxRecvDataSegmentLength=600";
    static const char more[] = "DataPDUInOrder=No\0MaxBurstLength=1024\0FirstBurstLength=512";
    uint8_t pdu[ISCSI_BHS_LEN + sizeof keys + sizeof more + 4] = { 0x43, 0x87 };
    size_t n = sizeof keys;

    memcpy(pdu + ISCSI_BHS_LEN, keys, n);
    if (how & 1) {
        memcpy(pdu + ISCSI_BHS_LEN + n, more, sizeof more);
        n += sizeof more;
    }
    be24_put(pdu + 5, (uint32_t)n);
    feed(w, pdu, ISCSI_BHS_LEN + ((n + 3) & ~(size_t)3), 4096);
}

/* A PDU with sane lengths and, mostly, the CmdSN that is due. */
static void send_pdu(struct world *w, struct rd *in, uint8_t how, uint32_t *cmd_sn)
{
    uint8_t pdu[ISCSI_BHS_LEN + 64 + 2048] = { 0 };
    const uint8_t *p = rd_bytes(in, 24);
    uint32_t len = rd_u8(in) * 8u, ahs = how & 0x40 ? 16 : 0;

    if (!p)
        return;
    memcpy(pdu, p, 24);
    pdu[4] = (uint8_t)(ahs / 4);
    be24_put(pdu + 5, len);
    be32_put(pdu + 24, how & 0x80 ? *cmd_sn + (how & 3) : *cmd_sn);
    if (!(pdu[0] & 0x40) && !(how & 0x80))
        (*cmd_sn)++;
    size_t rest = rd_left(in) < 24 + ahs ? rd_left(in) : 24 + ahs;
    const uint8_t *tail = rd_bytes(in, rest);
    if (tail && rest > 8) {
        memcpy(pdu + 36, tail, rest < 12 ? rest : 12);
        memcpy(pdu + ISCSI_BHS_LEN, tail + 8, ahs < rest - 8 ? ahs : rest - 8);
    }
    feed(w, pdu, ISCSI_BHS_LEN + ahs + len, how & 0x20 ? 7 : 4096);
}

static void owner_acts(struct world *w, uint8_t how, uint8_t which)
{
    if (w->count == 0) {
        w->now_ns += NS_PER_SEC * 10;
        iscsi_tconn_tick(w->conn, w->now_ns);
    } else {
        unsigned i = which % w->count;
        struct iscsi_task *t = w->task[i];
        if (how & 0x10) {
            want(w, i);
        } else if (how & 0x20) {
            if (iscsi_task_drop(t))
                forget(w, t);
        } else {
            respond(w, t, which);
        }
    }
    settle(w, how & 0x40 ? 13 : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w;
    struct rd in = rd_init(data, size);
    struct iscsi_tconn_config cfg = {
        .params = iscsi_params_default,
        .portal_group_tag = 1,
        .queue_depth = 16,
        .task_priv_bytes = sizeof(struct priv),
        .login_timeout_ns = 15 * NS_PER_SEC,
        .nop_interval_ns = 30 * NS_PER_SEC,
        .nop_timeout_ns = 10 * NS_PER_SEC,
        .progress_timeout_ns = 60 * NS_PER_SEC,
    };
    uint32_t cmd_sn = 0;
    uint8_t first = rd_u8(&in);

    memset(&w, 0, offsetof(struct world, memory));
    cfg.params.max_recv_data_segment = 4096;
    w.conn = iscsi_tconn_new(&cfg, &alloc_heap, 0);
    if (!w.conn)
        return 0;
    if (!(first & 0x80))
        login(&w, first);
    while (rd_left(&in) > 0 && !w.closed) {
        uint8_t how = rd_u8(&in);
        if ((how & 0x0c) == 0) {
            size_t n = rd_u8(&in);
            n = n < rd_left(&in) ? n : rd_left(&in);
            const uint8_t *p = rd_bytes(&in, n);
            if (p)
                feed(&w, p, n, 1 + (how >> 4));
        } else if ((how & 0x0c) == 4) {
            owner_acts(&w, how, rd_u8(&in));
        } else {
            send_pdu(&w, &in, how, &cmd_sn);
        }
    }
    if (!w.closed) {
        struct iscsi_event ev;
        iscsi_tconn_rx_eof(w.conn);
        while (iscsi_tconn_next(w.conn, &ev))
            event(&w, &ev);
    }
    while (w.count > 0) {
        (void)iscsi_task_drop(w.task[0]);
        forget(&w, w.task[0]);
    }
    iscsi_tconn_free(w.conn);
    iscsi_tsess_free(w.sess);
    return 0;
}
