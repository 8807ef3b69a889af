/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ipair_target.h"

#include "base/bytes.h"

#include <stdio.h>
#include <stdlib.h>

uint32_t pair_draw(struct pair *p, uint32_t below)
{
    p->rng ^= p->rng << 13;
    p->rng ^= p->rng >> 7;
    p->rng ^= p->rng << 17;
    return (uint32_t)(p->rng % below);
}

struct pair *pair_new(uint64_t seed)
{
    struct pair *p = calloc(1, sizeof *p);
    assert_non_null(p);
    counted_alloc_init(&p->alloc);
    p->rng = seed * 2654435761u + 88172645463325252ull;
    p->now_ns = NS_PER_SEC;
    p->icfg = (struct iscsi_isess_config){
        .params = iscsi_iparams_default,
        .initiator_name = "iqn.2026-01.test:ini",
        .target_name = "iqn.2026-01.test:disk",
        .isid = { 0x80, 0, 0, 0, 0, 7 },
        .queue_depth = 32,
        .login_timeout_ns = 10 * NS_PER_SEC,
        .request_timeout_ns = 10 * NS_PER_SEC,
        .seed = { 0xff, 0xff, 0xff, (uint8_t)(0xf0 + seed % 16), 1, 2, 3, 4 },
    };
    p->tcfg = (struct iscsi_tconn_config){
        .params = iscsi_params_default,
        .portal_group_tag = 1,
        .queue_depth = 16,
        .task_priv_bytes = PAIR_PRIV,
        .login_timeout_ns = 15 * NS_PER_SEC,
        .address = "127.0.0.1:3260",
    };
    p->tcfg.params.max_connections = PAIR_CONNS;
    p->targets = 2;
    return p;
}

static void end_target(struct pair *p)
{
    pair_drop_tasks(p);
    for (int i = 0; i < PAIR_CONNS; i++) {
        struct pair_conn *c = &p->conn[i];
        struct iscsi_event ev;
        if (c->t && !c->tclosed) {
            iscsi_tconn_rx_eof(c->t);
            while (iscsi_tconn_next(c->t, &ev))
                ;
        }
        iscsi_tconn_free(c->t);
        c->t = NULL;
    }
    iscsi_tsess_free(p->tsess);
    p->tsess = NULL;
}

void pair_free(struct pair *p)
{
    end_target(p);
    for (int i = 0; i < PAIR_CONNS; i++)
        iscsi_iconn_free(p->conn[i].i);
    iscsi_isess_free(p->sess);
    assert_int_equal(p->alloc.live, 0);
    free(p);
}

unsigned pair_target_conns(const struct pair *p)
{
    unsigned n = 0;
    for (int i = 0; i < PAIR_CONNS; i++)
        n += p->conn[i].t && !p->conn[i].tclosed;
    return n;
}

/* ---- the initiator's owner ---- */

static void text_of(char *to, size_t cap, const char *from)
{
    (void)snprintf(to, cap, "%s", from ? from : "-");
}

static void initiator_event(struct pair *p, struct pair_conn *c, struct iscsi_ievent *ev)
{
    switch (ev->type) {
    case ISCSI_IEV_LOGGED_IN:
        c->logged_in = true;
        break;
    case ISCSI_IEV_REDIRECT:
        p->redirects++;
        p->permanent = ev->permanent;
        text_of(p->address, sizeof p->address, ev->address);
        break;
    case ISCSI_IEV_DONE:
        p->done++;
        ((struct pair_cmd *)ev->cmd->user)->done = true;
        break;
    case ISCSI_IEV_TMF_DONE:
        p->tmfs++;
        break;
    case ISCSI_IEV_TARGET:
        p->target_events++;
        text_of(p->address, sizeof p->address, ev->address);
        text_of(p->last_target, sizeof p->last_target, ev->target_name);
        break;
    case ISCSI_IEV_TEXT_DONE:
        p->text_done++;
        p->text_err = ev->err;
        break;
    case ISCSI_IEV_ASYNC:
        p->asyncs++;
        p->async_event = ev->async.event;
        break;
    case ISCSI_IEV_RECOVER:
        p->recover++;
        p->cid = ev->cid;
        break;
    case ISCSI_IEV_RECOVERED:
        p->recovered++;
        p->cid = ev->cid;
        break;
    case ISCSI_IEV_CLOSE:
        assert_non_null(ev->why);
        c->iclosed = true;
        c->ierr = ev->err;
        c->iwhy = ev->why;
        c->ikey = ev->key;
        c->status = ev->status;
        break;
    case ISCSI_IEV_SESSION_DOWN:
        p->session_down++;
        p->down_err = ev->err;
        p->down_why = ev->why;
        break;
    }
}

static bool initiator_events(struct pair *p, struct pair_conn *c)
{
    struct iscsi_ievent ev;
    bool any = false;
    memset(&ev, 0x5a, sizeof ev);
    while (c->i && iscsi_iconn_next(c->i, &ev)) {
        initiator_event(p, c, &ev);
        memset(&ev, 0x5a, sizeof ev);
        any = true;
    }
    return any;
}

/* ---- bytes ---- */

enum { PIECE = 1 << 16 };

static size_t gather(struct pair *p, const struct iovec *iov, int n, uint8_t *piece)
{
    size_t max = p->max_piece ? 1 + pair_draw(p, (uint32_t)p->max_piece) : PIECE, len = 0;
    if (max > PIECE)
        max = PIECE;
    for (int i = 0; i < n && len < max; i++) {
        size_t k = iov[i].iov_len < max - len ? iov[i].iov_len : max - len;
        memcpy(piece + len, iov[i].iov_base, k);
        len += k;
    }
    return len;
}

static size_t scatter(const struct iovec *iov, int n, const uint8_t *bytes, size_t len)
{
    size_t done = 0;
    for (int i = 0; i < n && done < len; i++) {
        size_t k = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;
        memcpy(iov[i].iov_base, bytes + done, k);
        done += k;
    }
    return done;
}

static size_t buffer_size(struct pair *p)
{
    return p->max_piece ? 1 + pair_draw(p, (uint32_t)p->max_piece) : PIECE;
}

static void to_target(struct pair *p, struct pair_conn *c, const uint8_t *bytes, size_t len)
{
    struct iovec iov[ISCSI_RX_IOV_MAX];
    while (len > 0 && !c->tclosed) {
        size_t cap = buffer_size(p);
        uint8_t *buf = malloc(cap); /* a fresh one each time: nothing may be left in an old one */
        int n = iscsi_tconn_rx_space(c->t, buf, cap, iov);
        size_t got = scatter(iov, n, bytes, len);
        iscsi_tconn_rx(c->t, got, p->now_ns);
        (void)pair_target_events(c);
        bytes += got;
        len -= n ? got : len;
        free(buf);
    }
}

static void to_initiator(struct pair *p, struct pair_conn *c, const uint8_t *bytes, size_t len)
{
    struct iovec iov[ISCSI_IRX_IOV_MAX];
    while (len > 0 && !c->iclosed) {
        size_t cap = buffer_size(p);
        uint8_t *buf = malloc(cap);
        int n = iscsi_iconn_rx_space(c->i, buf, cap, iov);
        size_t got = scatter(iov, n, bytes, len);
        iscsi_iconn_rx(c->i, got, p->now_ns);
        (void)initiator_events(p, c);
        bytes += got;
        len -= n ? got : len;
        free(buf);
    }
}

/* What the wire does to bytes on their way. */
static void wire(struct pair *p, struct pair_conn *c, int way, uint8_t *bytes, size_t *len)
{
    uint64_t from = p->moved[way] + 1, end = from + *len, at = p->flip_at[way];
    if (at >= from && at < end)
        bytes[at - from] ^= 0x10;
    at = p->cut_at[way];
    if (at >= from && at < end) {
        *len = at - from;
        p->cut_at[way] = 0;
        c->broken = true;
    }
    p->moved[way] += *len;
}

static bool move(struct pair *p, struct pair_conn *c)
{
    static uint8_t piece[PIECE];
    struct iovec iov[64];
    bool any = false;
    bool pending = c->i && iscsi_iconn_tx_pending(c->i);
    int n = c->iclosed || !c->i ? 0 : iscsi_iconn_tx(c->i, iov, 1 + (int)pair_draw(p, 64));
    if (n > 0) {
        assert_true(pending);
        size_t len = gather(p, iov, n, piece);
        iscsi_iconn_tx_done(c->i, len, p->now_ns);
        wire(p, c, 0, piece, &len);
        if (!c->deaf)
            to_target(p, c, piece, len);
        any = true;
    }
    n = c->tclosed || !c->t ? 0 : iscsi_tconn_tx(c->t, iov, 1 + (int)pair_draw(p, 64));
    if (n > 0) {
        size_t len = gather(p, iov, n, piece);
        iscsi_tconn_tx_done(c->t, len, p->now_ns);
        wire(p, c, 1, piece, &len);
        to_initiator(p, c, piece, len);
        any = true;
    }
    if (c->broken && !c->cut) {
        c->cut = true;
        iscsi_iconn_lost(c->i, USAN_ECLOSED);
        if (c->t && !c->tclosed)
            iscsi_tconn_rx_eof(c->t);
        any = true;
    }
    return any;
}

void pair_run(struct pair *p)
{
    struct iscsi_ievent ev = { .err = 0 };
    for (bool any = true; any;) {
        any = false;
        for (int i = 0; i < PAIR_CONNS; i++) {
            struct pair_conn *c = &p->conn[i];
            if (!c->i)
                continue;
            any |= initiator_events(p, c);
            any |= c->t && pair_target_events(c);
            any |= move(p, c);
            if (c->t && c->tclosed && !c->iclosed && !c->cut) {
                c->cut = true;
                iscsi_iconn_lost(c->i, 0);
                any = true;
            } else if (c->t && c->iclosed && !c->tclosed) {
                iscsi_tconn_rx_eof(c->t);
                any = true;
            }
        }
        any |= pair_target_session(p);
        while (p->sess && iscsi_isess_next(p->sess, &ev)) {
            initiator_event(p, NULL, &ev);
            any = true;
        }
    }
}

void pair_sweep(struct pair *p)
{
    for (int i = 0; i < PAIR_CONNS; i++) {
        struct pair_conn *c = &p->conn[i];
        if (!c->i || !c->iclosed || (c->t && !c->tclosed))
            continue;
        iscsi_iconn_free(c->i);
        iscsi_tconn_free(c->t);
        *c = (struct pair_conn){ .p = p };
    }
}

void pair_pass(struct pair *p, uint64_t ns)
{
    uint64_t end = p->now_ns + ns;
    for (;;) {
        uint64_t at = end;
        pair_run(p);
        for (int i = 0; i < PAIR_CONNS; i++) {
            struct pair_conn *c = &p->conn[i];
            if (c->i)
                at = time_min(at, iscsi_iconn_deadline(c->i));
            if (c->t && !c->tclosed)
                at = time_min(at, iscsi_tconn_deadline(c->t));
        }
        at = time_min(at, p->sess ? iscsi_isess_deadline(p->sess) : TIME_NEVER);
        at = time_min(at, p->tsess ? iscsi_tsess_deadline(p->tsess) : TIME_NEVER);
        if (at > p->now_ns)
            p->now_ns = at;
        for (int i = 0; i < PAIR_CONNS; i++) {
            if (p->conn[i].i)
                iscsi_iconn_tick(p->conn[i].i, p->now_ns);
            if (p->conn[i].t && !p->conn[i].tclosed)
                iscsi_tconn_tick(p->conn[i].t, p->now_ns);
        }
        if (p->sess)
            iscsi_isess_tick(p->sess, p->now_ns);
        if (p->tsess)
            iscsi_tsess_tick(p->tsess, p->now_ns);
        pair_run(p);
        if (p->now_ns >= end)
            return;
    }
}

/* ---- life ---- */

struct pair_conn *pair_connect(struct pair *p, uint16_t cid)
{
    struct pair_conn *c = p->conn;
    if (!p->sess)
        assert_int_equal(iscsi_isess_new(&p->icfg, &p->alloc.a, &p->sess), 0);
    while (c->i || c->t) {
        c++;
        assert_true(c < p->conn + PAIR_CONNS);
    }
    *c = (struct pair_conn){ .p = p };
    int err = iscsi_iconn_new(p->sess, cid, p->now_ns, &c->i);
    if (err) {
        c->i = NULL;
        c->ierr = err;
        return c;
    }
    c->t = iscsi_tconn_new(&p->tcfg, &p->alloc.a, p->now_ns);
    if (c->t)
        iscsi_iconn_connected(c->i, p->now_ns);
    else
        iscsi_iconn_lost(c->i, USAN_EIO);
    return c;
}

void pair_login(struct pair *p)
{
    struct pair_conn *c = pair_connect(p, 1);
    pair_run(p);
    if (c->iclosed)
        print_message("# login failed: %s %s\n", c->iwhy, c->ikey ? c->ikey : "");
    assert_true(c->logged_in);
    assert_false(c->iclosed);
}

void pair_cut(struct pair *p, struct pair_conn *c)
{
    c->cut = true;
    iscsi_iconn_lost(c->i, USAN_ECLOSED);
    if (!c->tclosed)
        iscsi_tconn_rx_eof(c->t);
    pair_run(p);
}

void pair_rw(struct pair_cmd *cmd, bool write, uint32_t lba, uint16_t blocks, void *buf,
             uint32_t expected)
{
    uint8_t *b = buf;
    size_t first = expected / 3, second = expected / 2;
    memset(cmd, 0, sizeof *cmd);
    cmd->cdb[0] = write ? PAIR_WRITE_10 : PAIR_READ_10;
    be32_put(cmd->cdb + 2, lba);
    be16_put(cmd->cdb + 7, blocks);
    cmd->iov[0] = (struct iovec){ b, first };
    cmd->iov[1] = (struct iovec){ b + first, second };
    cmd->iov[2] = (struct iovec){ b + first + second, expected - first - second };
    cmd->c.cdb = cmd->cdb;
    cmd->c.cdb_len = 10;
    cmd->c.attr = 1;
    cmd->c.sense = cmd->sense;
    cmd->c.sense_cap = sizeof cmd->sense;
    cmd->c.user = cmd;
    if (write) {
        cmd->c.out = cmd->iov;
        cmd->c.out_cnt = 3;
        cmd->c.out_len = expected;
    } else {
        cmd->c.in = cmd->iov;
        cmd->c.in_cnt = 3;
        cmd->c.in_len = expected;
    }
}

void pair_bidi(struct pair_cmd *cmd, void *in)
{
    cmd->cdb[0] = PAIR_BIDI_10;
    cmd->iin = (struct iovec){ in, cmd->c.out_len };
    cmd->c.in = &cmd->iin;
    cmd->c.in_cnt = 1;
    cmd->c.in_len = cmd->c.out_len;
}
