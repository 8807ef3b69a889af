/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "irig.h"

#include "base/crc32c.h"

#include <stdio.h>
#include <stdlib.h>

struct irig *irig_new(void)
{
    struct irig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->main = r;
    counted_alloc_init(&r->alloc);
    r->rng = 88172645463325252ull;
    r->max_piece = 37;
    r->now_ns = NS_PER_SEC;
    r->out = malloc(IRIG_OUT);
    assert_non_null(r->out);
    r->cfg = (struct iscsi_isess_config){
        .params = iscsi_iparams_default,
        .initiator_name = "iqn.2026-01.test:ini",
        .target_name = "iqn.2026-01.test:disk",
        .isid = { 0x80, 1, 2, 3, 4, 5 },
        .queue_depth = 32,
        .login_timeout_ns = 10 * NS_PER_SEC,
        .request_timeout_ns = 5 * NS_PER_SEC,
        .seed = { 0, 0, 1, 0 },
    };
    r->stat_sn = 0xfffffffe; /* wraps soon */
    r->exp_cmd_sn = 0x100;   /* of the seed */
    r->window = 32;
    return r;
}

void irig_connect(struct irig *r)
{
    assert_int_equal(iscsi_isess_new(&r->cfg, &r->alloc.a, &r->sess), 0);
    assert_int_equal(iscsi_iconn_new(r->sess, 9, r->now_ns, &r->conn), 0);
    assert_string_equal(iscsi_iconn_state(r->conn), "S2 XPT_WAIT");
    iscsi_iconn_connected(r->conn, r->now_ns);
    assert_string_equal(iscsi_iconn_state(r->conn), "S4 IN_LOGIN");
    irig_run(r);
}

void irig_free(struct irig *r)
{
    for (unsigned i = 0; i < r->peers; i++) {
        iscsi_iconn_free(r->peer[i]->conn);
        free(r->peer[i]->out);
        free(r->peer[i]);
    }
    iscsi_iconn_free(r->conn);
    iscsi_isess_free(r->sess);
    assert_int_equal(r->alloc.live, 0);
    free(r->out);
    free(r);
}

struct irig *irig_join(struct irig *main, uint16_t cid)
{
    struct irig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    assert_true(main->peers < IRIG_PEERS);
    r->main = main;
    r->sess = main->sess;
    r->cfg = main->cfg;
    r->rng = main->rng;
    r->max_piece = main->max_piece;
    r->now_ns = main->now_ns;
    r->stat_sn = 0x1000 * (main->peers + 1);
    r->out = malloc(IRIG_OUT);
    assert_non_null(r->out);
    assert_int_equal(iscsi_iconn_new(r->sess, cid, r->now_ns, &r->conn), 0);
    main->peer[main->peers++] = r;
    iscsi_iconn_connected(r->conn, r->now_ns);
    irig_run(r);
    return r;
}

void irig_join_login(struct irig *r, const char *keys)
{
    irig_login_rsp(r, 0x81, 0, "AuthMethod=None|TargetPortalGroupTag=1|");
    irig_login_rsp(r, 0x87, 0, keys);
    if (r->closed)
        print_message("# login: %s %s\n", r->why, r->key ? r->key : "");
    assert_true(r->logged_in);
    r->header_digest = iscsi_iconn_params(r->conn)->header_digest;
    r->data_digest = iscsi_iconn_params(r->conn)->data_digest;
}

void irig_cut(struct irig *r)
{
    iscsi_iconn_lost(r->conn, USAN_ECLOSED);
    irig_run(r);
    assert_true(r->closed);
    iscsi_iconn_free(r->conn);
    r->conn = NULL;
    irig_tick(r, 0);
}

/* ---- events ---- */

static void event(struct irig *r, const struct iscsi_ievent *ev)
{
    struct irig *m = r->main;
    switch (ev->type) {
    case ISCSI_IEV_LOGGED_IN:
        r->logged_in = true;
        break;
    case ISCSI_IEV_REDIRECT:
        r->redirected = true;
        r->permanent = ev->permanent;
        (void)snprintf(r->address, sizeof r->address, "%s", ev->address);
        break;
    case ISCSI_IEV_DONE:
        m->done++;
        m->last = ev->cmd;
        break;
    case ISCSI_IEV_TMF_DONE:
        m->tmfs++;
        break;
    case ISCSI_IEV_TARGET:
        r->targets++;
        (void)snprintf(r->address, sizeof r->address, "%s %.200s", ev->target_name,
                       ev->address ? ev->address : "-");
        break;
    case ISCSI_IEV_TEXT_DONE:
        r->text_done++;
        r->text_err = ev->err;
        break;
    case ISCSI_IEV_ASYNC:
        r->asyncs++;
        r->async = ev->async;
        break;
    case ISCSI_IEV_RECOVER:
        m->recover++;
        m->cid = ev->cid;
        m->last_conn = ev->last;
        break;
    case ISCSI_IEV_RECOVERED:
        m->recovered++;
        m->cid = ev->cid;
        m->reassigned = ev->reassigned;
        break;
    case ISCSI_IEV_CLOSE:
        assert_false(r->closed);
        r->closed = true;
        r->err = ev->err;
        r->why = ev->why;
        r->key = ev->key;
        r->status = ev->status;
        assert_non_null(r->why);
        break;
    case ISCSI_IEV_SESSION_DOWN:
        m->down++;
        m->down_err = ev->err;
        break;
    }
}

static bool run_one(struct irig *r)
{
    struct iscsi_ievent ev;
    struct iovec iov[7];
    bool any = false;
    int n;
    memset(&ev, 0x5a, sizeof ev);
    while (r->conn ? iscsi_iconn_next(r->conn, &ev) : iscsi_isess_next(r->sess, &ev)) {
        event(r, &ev);
        any = true;
    }
    while (r->conn && (n = iscsi_iconn_tx(r->conn, iov, 7)) > 0) {
        size_t total = 0;
        for (int i = 0; i < n; i++) {
            assert_true(r->out_len + iov[i].iov_len <= IRIG_OUT);
            memcpy(r->out + r->out_len, iov[i].iov_base, iov[i].iov_len);
            r->out_len += iov[i].iov_len;
            total += iov[i].iov_len;
        }
        iscsi_iconn_tx_done(r->conn, total, r->now_ns);
        any = true;
    }
    return any;
}

void irig_run(struct irig *r)
{
    struct irig *m = r->main;
    for (bool any = true; any;) {
        any = run_one(m);
        for (unsigned i = 0; i < m->peers; i++)
            any |= run_one(m->peer[i]);
    }
}

void irig_tick(struct irig *r, uint64_t ns)
{
    struct irig *m = r->main;
    m->now_ns += ns;
    if (m->conn)
        iscsi_iconn_tick(m->conn, m->now_ns);
    for (unsigned i = 0; i < m->peers; i++) {
        m->peer[i]->now_ns = m->now_ns;
        if (m->peer[i]->conn)
            iscsi_iconn_tick(m->peer[i]->conn, m->now_ns);
    }
    if (iscsi_isess_deadline(m->sess) <= m->now_ns)
        iscsi_isess_tick(m->sess, m->now_ns);
    irig_run(m);
}

/* ---- bytes ---- */

void irig_feed(struct irig *r, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    struct iovec iov[ISCSI_IRX_IOV_MAX];
    while (len > 0) {
        r->rng ^= r->rng << 13;
        r->rng ^= r->rng >> 7;
        r->rng ^= r->rng << 17;
        size_t cap = 1 + r->rng % r->max_piece, got = 0;
        uint8_t *buf = malloc(cap);
        assert_non_null(buf);
        int n = iscsi_iconn_rx_space(r->conn, buf, cap, iov);
        for (int i = 0; i < n && got < len; i++) {
            size_t k = iov[i].iov_len < len - got ? iov[i].iov_len : len - got;
            memcpy(iov[i].iov_base, p + got, k);
            got += k;
        }
        if (n)
            iscsi_iconn_rx(r->conn, got, r->now_ns);
        irig_run(r);
        free(buf);
        if (!n)
            return;
        p += got;
        len -= got;
    }
}

void irig_send_raw(struct irig *r, const uint8_t *bhs, const void *data, uint32_t len)
{
    uint8_t *b = calloc(1, ISCSI_BHS_LEN + 4 + len + 8u), *p = b;
    uint32_t crc;
    assert_non_null(b);
    memcpy(p, bhs, ISCSI_BHS_LEN);
    be24_put(p + 5, len);
    if (r->header_digest) {
        crc = crc32c(p, ISCSI_BHS_LEN) ^ r->bad_header;
        memcpy(p + ISCSI_BHS_LEN, &crc, 4);
        p += 4;
    }
    p += ISCSI_BHS_LEN;
    if (len) {
        memcpy(p, data, len);
        size_t padded = (len + 3) & ~3u;
        crc = crc32c(p, padded) ^ r->bad_data;
        p += padded;
        if (r->data_digest) {
            memcpy(p, &crc, 4);
            p += 4;
        }
    }
    r->bad_header = r->bad_data = false;
    irig_feed(r, b, (size_t)(p - b));
    free(b);
}

void irig_send(struct irig *r, uint8_t *bhs, bool status, const void *data, uint32_t len)
{
    uint32_t exp = r->main->exp_cmd_sn;
    bhs_put_sn(bhs, r->stat_sn, exp, exp + r->main->window - 1);
    r->stat_sn += status;
    irig_send_raw(r, bhs, data, len);
}

bool irig_next(struct irig *r, struct irig_pdu *pdu)
{
    const uint8_t *p = r->out + r->out_pos;
    size_t left = r->out_len - r->out_pos;
    if (left == 0)
        return false;
    assert_true(left >= ISCSI_BHS_LEN);
    memcpy(pdu->bhs, p, ISCSI_BHS_LEN);
    pdu->ahs_len = bhs_ahs_len(p);
    pdu->data_len = bhs_data_len(p);
    pdu->ahs = p + ISCSI_BHS_LEN;
    size_t head = ISCSI_BHS_LEN + pdu->ahs_len;
    if (r->header_digest) {
        uint32_t crc = crc32c(p, head);
        assert_memory_equal(&crc, p + head, 4);
        head += 4;
    }
    pdu->data = p + head;
    size_t padded = (pdu->data_len + 3) & ~(size_t)3;
    if (pdu->data_len && r->data_digest) {
        uint32_t crc = crc32c(pdu->data, padded);
        assert_memory_equal(&crc, pdu->data + padded, 4);
        padded += 4;
    }
    assert_true(left >= head + padded);
    r->out_pos += head + padded;
    r->exp_stat_sn = bhs_exp_stat_sn(pdu->bhs);
    if (bhs_opcode(p) == ISCSI_OP_SCSI_COMMAND && !bhs_immediate(p)) {
        if (!r->main->again)
            assert_int_equal(bhs_cmd_sn(p), r->main->exp_cmd_sn); /* in order */
        r->main->exp_cmd_sn += bhs_cmd_sn(p) == r->main->exp_cmd_sn;
    }
    return true;
}

struct irig_pdu irig_expect(struct irig *r, uint8_t opcode)
{
    struct irig_pdu pdu = { .data_len = 0 };
    if (r->closed)
        print_message("# closed: %s\n", r->why);
    assert_true(irig_next(r, &pdu));
    assert_int_equal(bhs_opcode(pdu.bhs), opcode);
    return pdu;
}

/* ---- login ---- */

size_t irig_text(const char *text, char *ret, size_t cap)
{
    size_t len = strlen(text);
    assert_true(len < cap);
    for (size_t i = 0; i < len; i++)
        ret[i] = text[i] == '|' ? '\0' : text[i];
    return len;
}

void irig_login_rsp(struct irig *r, uint8_t flags, uint16_t status, const char *text)
{
    static char buf[70000];
    uint8_t bhs[ISCSI_BHS_LEN];
    const struct irig_pdu pdu = irig_expect(r, ISCSI_OP_LOGIN_REQUEST);
    const struct pdu_login_response rsp = {
        .transit = flags & 0x80,
        .cont = flags & 0x40,
        .csg = (flags >> 2) & 3,
        .nsg = flags & 3,
        .isid = r->cfg.isid,
        .tsih = (flags & 0x83) == 0x83 ? IRIG_TSIH : 0,
        .status = status,
    };
    pdu_login_response_encode(bhs, bhs_itt(pdu.bhs), 0, &rsp);
    size_t len = irig_text(text, buf, sizeof buf);
    irig_send(r, bhs, true, buf, (uint32_t)len);
}

void irig_login(struct irig *r, const char *keys)
{
    irig_connect(r);
    irig_login_rsp(r, 0x81, 0, "AuthMethod=None|TargetPortalGroupTag=1|");
    irig_login_rsp(r, 0x87, 0, keys);
    if (r->closed)
        print_message("# login: %s %s\n", r->why, r->key ? r->key : "");
    assert_true(r->logged_in);
    r->header_digest = iscsi_iconn_params(r->conn)->header_digest;
    r->data_digest = iscsi_iconn_params(r->conn)->data_digest;
}
