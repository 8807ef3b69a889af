/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tconn_rig.h"

#include "base/crc32c.h"

#include <stdlib.h>

struct rig_priv {
    struct iovec iov[2];
    uint32_t lba;
};

static uint32_t draw(struct rig *r, size_t below)
{
    r->rng ^= r->rng << 13;
    r->rng ^= r->rng >> 7;
    r->rng ^= r->rng << 17;
    return (uint32_t)(r->rng % below);
}

static struct rig *lead_of(struct rig *r)
{
    return r->lead ? r->lead : r;
}

struct rig *rig_new(uint64_t seed)
{
    return rig_new_at(seed, iscsi_params_default.error_recovery_level);
}

static void begin_conn(struct rig *r)
{
    r->conn = iscsi_tconn_new(&r->cfg, &r->alloc.a, r->now_ns);
}

struct rig *rig_join(struct rig *lead, uint16_t cid)
{
    struct rig *r = rig_new_at(cid + 1u, 0);

    iscsi_tconn_free(r->conn);
    r->lead = lead;
    r->cid = cid;
    r->cfg = lead->cfg;
    r->now_ns = lead->now_ns;
    for (unsigned i = 0; i < RIG_JOINED; i++)
        if (!lead->joined[i]) {
            lead->joined[i] = r;
            break;
        }
    begin_conn(r);
    return r;
}

struct rig *rig_new_at(uint64_t seed, uint8_t level)
{
    struct rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    counted_alloc_init(&r->alloc);
    r->rng = seed * 2654435761u + 88172645463325252ull;
    r->cfg.params = iscsi_params_default;
    r->cfg.params.error_recovery_level = level;
    r->cfg.portal_group_tag = 1;
    r->cfg.queue_depth = 32;
    r->cfg.task_priv_bytes = sizeof(struct rig_priv);
    r->cfg.login_timeout_ns = 15 * NS_PER_SEC;
    r->cfg.address = "127.0.0.1:3260";
    r->out = malloc(RIG_OUT);
    assert_non_null(r->out);
    r->now_ns = NS_PER_SEC;
    r->cmd_sn = 100;
    r->itt = 7;
    begin_conn(r);
    return r;
}

static void drop_all(struct rig *r, const struct iscsi_tconn *conn)
{
    struct iscsi_task *t, *next;
    struct iscsi_tsess *sess = lead_of(r)->sess;
    if (!sess)
        return;
    for (t = iscsi_tsess_next_task(sess, NULL); t; t = next) {
        next = iscsi_tsess_next_task(sess, t);
        if (!conn || iscsi_task_conn(t) == conn)
            (void)iscsi_task_drop(t);
    }
}

void rig_cut(struct rig *r)
{
    if (!r->closed) {
        iscsi_tconn_rx_eof(r->conn);
        rig_run(r);
    }
    assert_true(r->closed);
}

/* What a target does with a closed connection. */
static void end_conn(struct rig *r)
{
    if (!r->conn)
        return;
    if (!r->closed)
        rig_cut(r);
    if (!r->retained)
        drop_all(r, r->conn);
    iscsi_tconn_free(r->conn);
    r->conn = NULL;
}

void rig_free(struct rig *r)
{
    struct rig *lead = r->lead;

    end_conn(r);
    for (unsigned i = 0; i < RIG_JOINED; i++) {
        if (lead && lead->joined[i] == r)
            lead->joined[i] = NULL;
        assert_null(r->joined[i]);
    }
    if (!lead) {
        struct iscsi_tsess_event ev;
        if (r->sess)
            iscsi_tsess_close(r->sess, false, "the test ends");
        drop_all(r, NULL);
        while (r->sess && iscsi_tsess_next(r->sess, &ev))
            ;
        iscsi_tsess_free(r->sess);
    }
    assert_int_equal(r->alloc.live, 0);
    free(r->out);
    free(r);
}

/* ---- the device ---- */

void rig_serve(struct rig *r, struct iscsi_task *t)
{
    struct rig_priv *p = t->priv;
    struct iscsi_response rsp = { .status = 0 };
    uint32_t len = be16_get(t->cdb + 7) * (uint32_t)RIG_BLOCK;

    p->lba = be32_get(t->cdb + 2);
    /* two pieces, to see that both are walked */
    uint8_t *at = lead_of(r)->disk + (size_t)p->lba * RIG_BLOCK;
    p->iov[0] = (struct iovec){ .iov_base = at, .iov_len = len / 4 + 3 };
    p->iov[1] = (struct iovec){ .iov_base = at + len / 4 + 3, .iov_len = len - len / 4 - 3 };
    if (t->cdb[0] == 0x2a) {
        uint64_t n = len < t->out_expected ? len : t->out_expected;
        iscsi_task_want_data(t, p->iov, 2, n);
        return;
    }
    if (t->cdb[0] == 0x28) {
        rsp.in = p->iov;
        rsp.in_cnt = 2;
        rsp.in_used = len;
        rsp.in_len = len < t->in_expected ? len : t->in_expected;
    } else {
        static const uint8_t sense[18] = { 0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x20 };
        rsp.status = 2;
        rsp.sense = sense;
        rsp.sense_len = sizeof sense;
    }
    iscsi_task_respond(t, &rsp);
}

static void data_came(struct rig *r, struct iscsi_task *t)
{
    struct iscsi_response rsp = { .out_used = be16_get(t->cdb + 7) * (uint32_t)RIG_BLOCK };
    r->data_events++;
    r->data_err = t->data_err;
    if (t->data_err)
        rsp.status = 2;
    iscsi_task_respond(t, &rsp);
}

static void login_event(struct rig *r, const struct iscsi_event *ev)
{
    if (ev->type == ISCSI_EV_LOGIN_TARGET) {
        if (r->announce)
            iscsi_tsess_continue(lead_of(r)->sess, r->conn);
        if (r->refuse_login)
            iscsi_tconn_login_reject(r->conn, 0x0301);
        else if (!r->hold_login)
            iscsi_tconn_login_accept(r->conn, &r->auth, NULL);
    } else if (ev->type == ISCSI_EV_LOGIN_USER) {
        iscsi_tconn_login_secret(r->conn, &r->auth);
    } else if (ev->tsih) {
        assert_int_equal(ev->cid, r->cid);
        if (r->no_memory)
            r->alloc.fail_at = r->alloc.calls + 1;
        iscsi_tconn_bind(r->conn, lead_of(r)->sess);
    } else {
        r->sess = iscsi_tsess_new(r->conn, 0x55, &r->alloc.a);
        if (r->no_memory)
            r->alloc.fail_at = r->alloc.calls + 1;
        if (r->sess)
            iscsi_tconn_bind(r->conn, r->sess);
        else
            iscsi_tconn_login_reject(r->conn, 0x0302);
    }
}

/* What the function is about ends. There is one logical unit. */
static void manage(struct rig *r, const struct iscsi_task *tmf)
{
    struct iscsi_tsess *sess = lead_of(r)->sess;
    struct iscsi_task *t, *next;

    for (t = iscsi_tsess_next_task(sess, NULL); t; t = next) {
        next = iscsi_tsess_next_task(sess, t);
        if (!t->tmf && (tmf->tmf != ISCSI_TMF_ABORT_TASK || t->itt == tmf->ref_itt))
            (void)iscsi_task_drop(t);
    }
}

static void event(struct rig *r, const struct iscsi_event *ev)
{
    static const char *const addresses[] = { "127.0.0.1:3260,1", "[::1]:3260,1", NULL };

    switch (ev->type) {
    case ISCSI_EV_LOGIN_TARGET:
    case ISCSI_EV_LOGIN_USER:
    case ISCSI_EV_LOGIN_BIND:
        login_event(r, ev);
        break;
    case ISCSI_EV_LOGGED_IN:
    case ISCSI_EV_LOGOUT_OTHER:
        break;
    case ISCSI_EV_SEND_TARGETS:
        iscsi_tconn_target_record(r->conn, "iqn.2026-01.test:a", addresses);
        iscsi_tconn_target_record(r->conn, "iqn.2026-01.test:b", addresses);
        iscsi_tconn_targets_end(r->conn);
        break;
    case ISCSI_EV_COMMAND:
        r->commands++;
        if (r->hold_commands)
            r->held[r->held_count++] = ev->task;
        else
            rig_serve(r, ev->task);
        break;
    case ISCSI_EV_TASK_LOST:
        r->lost_events++;
        if (!lead_of(r)->slow)
            (void)iscsi_task_drop(ev->task);
        break;
    case ISCSI_EV_TMF:
        r->tmfs++;
        if (!lead_of(r)->slow)
            manage(r, ev->task);
        r->commands_at_tmf = r->commands;
        ev->task->tmf_info = r->tmf_info;
        iscsi_task_respond_tmf(ev->task, 0);
        break;
    case ISCSI_EV_DATA:
        data_came(r, ev->task);
        break;
    case ISCSI_EV_SENT:
        r->sent_events++;
        break;
    case ISCSI_EV_CLOSE:
        r->closed = true;
        r->retained = ev->retained;
        r->close_err = ev->err;
        r->close_why = ev->why;
        break;
    }
}

/* ---- bytes ---- */

static void pump_out(struct rig *r)
{
    struct iovec iov[16];
    int n;

    while (!r->closed && (n = iscsi_tconn_tx(r->conn, iov, 1 + (int)draw(r, 16))) > 0) {
        size_t total = 0, take, done = 0;
        if (r->deaf)
            return;
        for (int i = 0; i < n; i++)
            total += iov[i].iov_len;
        take = r->max_out ? 1 + draw(r, r->max_out) : total;
        if (take > total)
            take = total;
        for (int i = 0; i < n && done < take; i++) {
            size_t k = iov[i].iov_len < take - done ? iov[i].iov_len : take - done;
            assert_true(r->out_len + k <= RIG_OUT);
            memcpy(r->out + r->out_len, iov[i].iov_base, k);
            r->out_len += k;
            done += k;
        }
        iscsi_tconn_tx_done(r->conn, take, r->now_ns);
    }
}

static void run_conn(struct rig *r)
{
    struct iscsi_event ev;

    while (r->conn && !r->closed) {
        bool any = false;
        memset(&ev, 0x5a, sizeof ev);
        while (!r->closed && iscsi_tconn_next(r->conn, &ev)) {
            event(r, &ev);
            any = true;
        }
        size_t before = r->out_len;
        pump_out(r);
        if (!any && r->out_len == before)
            break;
    }
}

static struct rig *rig_of(struct rig *lead, const struct iscsi_tconn *conn)
{
    if (lead->conn == conn)
        return lead;
    for (unsigned i = 0; i < RIG_JOINED; i++)
        if (lead->joined[i] && lead->joined[i]->conn == conn)
            return lead->joined[i];
    fail_msg("a connection of nobody");
    return NULL;
}

static void session_events(struct rig *lead)
{
    struct iscsi_tsess_event ev;

    while (lead->sess && iscsi_tsess_next(lead->sess, &ev)) {
        switch (ev.type) {
        case ISCSI_TSESS_EV_SENT:
            lead->session_sent++;
            break;
        case ISCSI_TSESS_EV_DATA:
            data_came(lead, ev.task);
            break;
        case ISCSI_TSESS_EV_TASK_LOST:
            lead->session_lost++;
            if (!lead->slow)
                assert_true(iscsi_task_drop(ev.task));
            break;
        case ISCSI_TSESS_EV_DOWN:
            assert_false(lead->session_down);
            lead->session_down = true;
            break;
        }
    }
}

static void run_kicked(struct rig *lead)
{
    struct iscsi_tconn *conn;

    while (lead->sess && (conn = iscsi_tsess_take_kick(lead->sess)) != NULL)
        run_conn(rig_of(lead, conn));
}

void rig_run(struct rig *r)
{
    struct rig *lead = lead_of(r);

    run_conn(r);
    run_kicked(lead);
    if (lead->sess && iscsi_tsess_deadline(lead->sess) == 0)
        iscsi_tsess_tick(lead->sess, r->now_ns);
    session_events(lead);
    run_kicked(lead); /* answers may have waited for what ended there */
}

void rig_pass(struct rig *r, uint64_t ns)
{
    struct rig *lead = lead_of(r);
    uint64_t until = r->now_ns + ns;

    while (r->now_ns < until) {
        uint64_t at = r->closed || !r->conn ? TIME_NEVER : iscsi_tconn_deadline(r->conn);
        if (lead->sess)
            at = time_min(at, iscsi_tsess_deadline(lead->sess));
        r->now_ns = at > r->now_ns ? time_min(until, at) : r->now_ns + 1;
        lead->now_ns = r->now_ns;
        if (r->conn && !r->closed)
            iscsi_tconn_tick(r->conn, r->now_ns);
        if (lead->sess)
            iscsi_tsess_tick(lead->sess, r->now_ns);
        rig_run(r);
    }
}

void rig_feed(struct rig *r, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    struct iovec iov[ISCSI_RX_IOV_MAX];

    while (len > 0 && !r->closed) {
        /* a fresh buffer each time: nothing may be left in an old one */
        size_t cap = r->max_in ? 1 + draw(r, r->max_in) : 65536;
        uint8_t *buf = malloc(cap);
        assert_non_null(buf);
        int n = iscsi_tconn_rx_space(r->conn, buf, cap, iov);
        size_t want = r->max_in ? 1 + draw(r, 2 * r->max_in) : len, got = 0;
        for (int i = 0; i < n; i++) {
            size_t k = iov[i].iov_len;
            if (k > want - got)
                k = want - got;
            if (k > len)
                k = len;
            memcpy(iov[i].iov_base, p, k);
            p += k;
            len -= k;
            got += k;
        }
        if (n == 0)
            len = 0;
        iscsi_tconn_rx(r->conn, got, r->now_ns);
        rig_run(r);
        free(buf);
    }
}

void rig_send(struct rig *r, const uint8_t *bhs, const void *ahs, size_t ahs_len, const void *data,
              uint32_t data_len)
{
    size_t cap = ISCSI_BHS_LEN + ahs_len + data_len + 16;
    uint8_t *b = calloc(1, cap), *p = b;
    uint32_t crc;

    assert_non_null(b);
    memcpy(p, bhs, ISCSI_BHS_LEN);
    p[4] = (uint8_t)(ahs_len / 4);
    be24_put(p + 5, data_len);
    if (ahs_len)
        memcpy(p + ISCSI_BHS_LEN, ahs, ahs_len);
    p += ISCSI_BHS_LEN + ahs_len;
    if (r->header_digest) {
        crc = crc32c(b, ISCSI_BHS_LEN + ahs_len);
        memcpy(p, &crc, 4);
        p += 4;
    }
    if (data_len) {
        uint32_t padded = (data_len + 3) & ~3u;
        memcpy(p, data, data_len);
        if (r->data_digest) {
            crc = crc32c(p, padded);
            memcpy(p + padded, &crc, 4);
            padded += 4;
        }
        p += padded;
    }
    rig_feed(r, b, (size_t)(p - b));
    free(b);
}

bool rig_next(struct rig *r, struct rig_pdu *pdu)
{
    const uint8_t *p = r->out + r->out_pos;
    size_t left = r->out_len - r->out_pos, hl = ISCSI_BHS_LEN + (r->header_digest ? 4u : 0);

    if (left == 0)
        return false;
    assert_true(left >= hl);
    memcpy(pdu->bhs, p, ISCSI_BHS_LEN);
    if (r->header_digest) {
        uint32_t crc = crc32c(p, ISCSI_BHS_LEN);
        assert_memory_equal(&crc, p + ISCSI_BHS_LEN, 4);
    }
    assert_int_equal(bhs_ahs_len(p), 0);
    pdu->opcode = bhs_opcode(p);
    pdu->data_len = bhs_data_len(p);
    pdu->data = p + hl;
    size_t padded = (pdu->data_len + 3) & ~(size_t)3;
    if (pdu->data_len && r->data_digest) {
        uint32_t crc = crc32c(pdu->data, padded);
        assert_memory_equal(&crc, pdu->data + padded, 4);
        padded += 4;
    }
    assert_true(left >= hl + padded);
    r->out_pos += hl + padded;
    bool ping = pdu->opcode == ISCSI_OP_NOP_IN && bhs_itt(p) == ISCSI_TAG_NONE;
    bool status = pdu->opcode != ISCSI_OP_R2T && !ping &&
                  (pdu->opcode != ISCSI_OP_DATA_IN || (p[1] & PDU_DATA_IN_STATUS));
    if (status && !r->loose) { /* StatSN goes up by one with each PDU that carries one */
        assert_int_equal(be32_get(p + 24), r->exp_stat_sn);
        r->exp_stat_sn++;
    }
    r->max_cmd_sn = be32_get(p + 32);
    return true;
}

struct rig_pdu rig_expect(struct rig *r, uint8_t opcode)
{
    struct rig_pdu pdu = { .opcode = 0xff };
    assert_true(rig_next(r, &pdu));
    assert_int_equal(pdu.opcode, opcode);
    return pdu;
}

bool rig_try_login(struct rig *r, const char *keys, size_t len)
{
    static const char names[] = "InitiatorName=iqn.2026-01.test:rig\0"
                                "TargetName=iqn.2026-01.test:a\0SessionType=Normal";
    uint8_t bhs[ISCSI_BHS_LEN] = { 0x43, 0x87 };
    char text[4096];

    memcpy(text, names, sizeof names);
    memcpy(text + sizeof names, keys, len);
    bhs[8] = 0x80;
    be16_put(bhs + 14, r->lead ? r->lead->tsih : 0);
    be32_put(bhs + 16, 1);
    be16_put(bhs + 20, r->cid);
    be32_put(bhs + 24, lead_of(r)->cmd_sn);
    rig_send(r, bhs, NULL, 0, text, (uint32_t)(sizeof names + len));
    for (r->login_rounds = 1;; r->login_rounds++) {
        if (r->login_waits && r->out_pos == r->out_len)
            return false;
        struct rig_pdu p = rig_expect(r, ISCSI_OP_LOGIN_RESPONSE);
        r->login_status = be16_get(p.bhs + 36);
        if (r->login_status)
            return false;
        if (p.bhs[1] & 0x80) {
            assert_int_equal(p.bhs[1] & 0x83, 0x83);
            r->tsih = be16_get(p.bhs + 14);
            break;
        }
        assert_int_equal(r->login_rounds, 1);
        rig_send(r, bhs, NULL, 0, NULL, 0); /* the target has offers of its own: take them */
    }
    assert_int_equal(r->tsih, 0x55);
    const struct iscsi_params *np = iscsi_tconn_params(r->conn);
    r->header_digest = np->header_digest;
    r->data_digest = np->data_digest;
    return true;
}

void rig_login(struct rig *r, const char *keys, size_t len)
{
    assert_true(rig_try_login(r, keys, len));
}

void rig_rw(struct rig *r, uint8_t *bhs, bool write, bool final, uint32_t lba, uint16_t blocks)
{
    memset(bhs, 0, ISCSI_BHS_LEN);
    bhs[0] = ISCSI_OP_SCSI_COMMAND;
    bhs[1] = (uint8_t)((final ? 0x80 : 0) | (write ? 0x20 : 0x40) | 1);
    be32_put(bhs + 16, ++lead_of(r)->itt);
    be32_put(bhs + 20, blocks * (uint32_t)RIG_BLOCK);
    be32_put(bhs + 24, lead_of(r)->cmd_sn++);
    be32_put(bhs + 28, r->exp_stat_sn);
    bhs[32] = write ? 0x2a : 0x28;
    be32_put(bhs + 34, lba);
    be16_put(bhs + 39, blocks);
}

void rig_request(struct rig *r, uint8_t *bhs, uint8_t opcode, bool immediate)
{
    memset(bhs, 0, ISCSI_BHS_LEN);
    bhs[0] = (uint8_t)(opcode | (immediate ? 0x40 : 0));
    bhs[1] = 0x80;
    be32_put(bhs + 16, ++lead_of(r)->itt);
    be32_put(bhs + 20, ISCSI_TAG_NONE);
    be32_put(bhs + 24, immediate ? lead_of(r)->cmd_sn : lead_of(r)->cmd_sn++);
    be32_put(bhs + 28, r->exp_stat_sn);
}

void rig_data_out(uint8_t *bhs, uint32_t itt, uint32_t ttt, uint32_t sn, uint32_t off, bool final)
{
    memset(bhs, 0, ISCSI_BHS_LEN);
    bhs[0] = ISCSI_OP_DATA_OUT;
    bhs[1] = final ? 0x80 : 0;
    be32_put(bhs + 16, itt);
    be32_put(bhs + 20, ttt);
    be32_put(bhs + 36, sn);
    be32_put(bhs + 40, off);
}
