/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Initiator connections whose target is the input.
 *
 * The first byte says how the session is set up (SETUP_...). Then follow steps, each a byte
 * STEP_... (modulo their number) and its operands:
 *   RAW     1 byte length, bytes: received as they are
 *   PDU     opcode, flags, byte 2, byte 3, which ITT (0xff: none, or one of those seen), LUN byte,
 *           TTT byte, then 4 bytes for 36..39, 4 for 40..43, 4 for 44..47, 2 bytes data length,
 *           data: StatSN, ExpCmdSN, MaxCmdSN and the digests are put in as they should be, unless
 *           bit 7 of the opcode asks for a wrong StatSN, and bit 6 of the length for a wrong data
 *           digest
 *   LOGIN   flags, 2 bytes status, 1 byte length, text: a Login Response ('|' stands for NUL)
 *   SUBMIT  flags, length (in 64 bytes): a command
 *   CANCEL  which command
 *   TMF     function, which command
 *   OWNER   one of: logout, SendTargets, renegotiate, tick, lost
 *   SEND    how many bytes go out
 * With SETUP_RECOVERY the second byte is the recovery level (1, 2), the StatSN of a PDU may be off
 * by a byte that follows the opcode (bit 7), its ExpCmdSN by one (bit 6), and there are
 *   CONNECT cid; bit 7: its login is done as it should be
 *   USE     which connection the steps are for
 *   TIME    tenths of seconds that pass for all
 *   CUT     a connection is lost, and freed
 *
 * What must hold: a command is done once and never before the wire gave its memory back, its
 * buffer is the only memory written, what is sent is well-formed, and nothing is left at the end.
 */
#include "initiator/world.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum step {
    STEP_RAW,
    STEP_PDU,
    STEP_LOGIN,
    STEP_SUBMIT,
    STEP_CANCEL,
    STEP_TMF,
    STEP_OWNER,
    STEP_SEND,
    STEPS,
    STEP_CONNECT = STEPS, /* from here on only with SETUP_RECOVERY */
    STEP_USE,
    STEP_TIME,
    STEP_CUT,
    STEPS_ALL
};

/* ---- what the target sends ---- */

static void step_pdu(struct world *w, struct rd *r)
{
    uint8_t bhs[ISCSI_BHS_LEN] = { 0 };
    uint8_t op = rd_u8(r);
    int off_sn = op & 0x80 ? w->level ? (int8_t)rd_u8(r) : 1 : 0;
    bhs[0] = op & 0x3f;
    bhs[1] = rd_u8(r);
    bhs[2] = rd_u8(r);
    bhs[3] = rd_u8(r);
    uint8_t which = rd_u8(r);
    be32_put(bhs + 16, which == 0xff ? ISCSI_TAG_NONE : w->itt[which % ITTS]);
    bhs[9] = rd_u8(r);
    uint8_t ttt = rd_u8(r);
    be32_put(bhs + 20, ttt == 0xff ? ISCSI_TAG_NONE : ttt);
    for (unsigned at = 36; at < 48; at += 4)
        be32_put(bhs + at, rd_be32(r));
    uint16_t n = rd_be16(r);
    size_t len = n & 0x3fff;
    len = len < rd_left(r) ? len : rd_left(r);
    receive_pdu(w, bhs, rd_bytes(r, len), (uint32_t)len, off_sn, w->level && op & 0x40, n & 0x4000);
}

static void step_login(struct world *w, struct rd *r)
{
    uint8_t flags = rd_u8(r);
    uint16_t status = rd_be16(r);
    size_t len = rd_u8(r);
    len = len < rd_left(r) ? len : rd_left(r);
    if (w->at->conn && !w->at->logged_in)
        login_rsp(w, flags, status, (const char *)rd_bytes(r, len), len);
}

/* ---- the owner ---- */

static void step_submit(struct world *w, struct rd *r)
{
    uint8_t flags = rd_u8(r);
    uint32_t len = rd_u8(r) * 64u;
    struct cmd *m = NULL;
    for (int i = 0; i < CMDS && !m; i++)
        if (!w->cmd[i].busy)
            m = &w->cmd[i];
    if (!m)
        return;
    memset(m, 0, sizeof(*m));
    uint32_t in = flags & 1 ? len : 0, out = flags & 2 ? len : 0, cut = flags & 4 ? len / 3 : len;
    m->in = malloc(in + 1); /* just as long, so that sanitizers see a byte too much */
    m->out = calloc(1, out + 1);
    must(m->in && m->out);
    m->iin[0] = (struct iovec){ m->in, in ? cut : 0 };
    m->iin[1] = (struct iovec){ m->in + (in ? cut : 0), in - (in ? cut : 0) };
    m->iout[0] = (struct iovec){ m->out, out ? cut : 0 };
    m->iout[1] = (struct iovec){ m->out + (out ? cut : 0), out - (out ? cut : 0) };
    m->c = (struct iscsi_icmd){ .lun = flags & 8 ? 1 : 0,
                                .cdb = m->cdb,
                                .cdb_len = flags & 16 ? 32 : 16,
                                .attr = flags >> 6,
                                .immediate = flags & 32,
                                .in = m->iin,
                                .in_cnt = 2,
                                .in_len = in,
                                .out = m->iout,
                                .out_cnt = 2,
                                .out_len = out,
                                .sense = m->sense,
                                .sense_cap = sizeof(m->sense),
                                .user = m };
    if (iscsi_isess_submit(w->sess, &m->c)) {
        free(m->in);
        free(m->out);
        return;
    }
    m->busy = true;
    events(w);
}

static void step_cancel(struct world *w, struct rd *r)
{
    struct cmd *m = &w->cmd[rd_u8(r) % CMDS];
    if (m->busy && !iscsi_isess_cancel(w->sess, &m->c, w->now_ns))
        events(w);
}

static void step_tmf(struct world *w, struct rd *r)
{
    uint8_t function = rd_u8(r) & 15;
    struct cmd *m = &w->cmd[rd_u8(r) % CMDS];
    for (int i = 0; i < TMFS; i++) {
        if (w->tmf_busy[i])
            continue;
        w->tmf[i] = (struct iscsi_itmf){ .function = (enum iscsi_tmf_function)function,
                                         .cmd = m->busy ? &m->c : NULL };
        w->tmf_busy[i] = !iscsi_isess_tmf(w->sess, &w->tmf[i], w->now_ns);
        events(w);
        return;
    }
}

static void step_owner(struct world *w, struct rd *r)
{
    uint8_t what = rd_u8(r);
    int err = 0;
    if (!w->at->conn)
        return;
    switch (what % 5) {
    case 0:
        err = iscsi_isess_logout(w->sess, w->now_ns);
        break;
    case 1:
        err = iscsi_iconn_send_targets(w->at->conn, "All", w->now_ns);
        break;
    case 2:
        err = iscsi_iconn_renegotiate(w->at->conn, 512u + what, w->now_ns);
        break;
    case 3:
        w->now_ns += NS_PER_SEC;
        iscsi_iconn_tick(w->at->conn, w->now_ns);
        break;
    default:
        iscsi_iconn_lost(w->at->conn, USAN_ECLOSED);
        break;
    }
    must(!err || err == USAN_ECLOSED || err == USAN_EBUSY);
    events(w);
}

static void step_connect(struct world *w, struct rd *r)
{
    uint8_t how = rd_u8(r);
    for (int i = 0; i < LINKS; i++) {
        struct link *l = &w->link[i];
        if (l->conn && !l->closed)
            continue;
        iscsi_iconn_free(l->conn);
        *l = (struct link){ .stat_sn = 0 };
        int err = iscsi_iconn_new(w->sess, how & 7, w->now_ns, &l->conn);
        if (err) {
            must(err == USAN_EAGAIN || err == USAN_EBUSY || err == USAN_ELIMIT ||
                 err == USAN_EEXIST);
            l->conn = NULL;
            return;
        }
        w->at = l;
        iscsi_iconn_connected(l->conn, w->now_ns);
        send_out(w, SIZE_MAX);
        if (how & 0x80)
            log_in(w);
        return;
    }
}

static void step_time(struct world *w, struct rd *r)
{
    w->now_ns += rd_u8(r) * 100 * NS_PER_MS;
    for (int i = 0; i < LINKS; i++)
        if (w->link[i].conn)
            iscsi_iconn_tick(w->link[i].conn, w->now_ns);
    iscsi_isess_tick(w->sess, w->now_ns);
    events(w);
}

static void step_cut(struct world *w)
{
    iscsi_iconn_free(w->at->conn);
    *w->at = (struct link){ .stat_sn = 0 };
    events(w);
}

static void step(struct world *w, struct rd *r)
{
    size_t len;
    switch ((enum step)(rd_u8(r) % (w->level ? STEPS_ALL : STEPS))) {
    case STEP_CONNECT:
        step_connect(w, r);
        break;
    case STEP_USE:
        w->at = &w->link[rd_u8(r) % LINKS];
        break;
    case STEP_TIME:
        step_time(w, r);
        break;
    case STEP_CUT:
        step_cut(w);
        break;
    case STEP_RAW:
        len = rd_u8(r);
        len = len < rd_left(r) ? len : rd_left(r);
        receive(w, rd_bytes(r, len), len);
        break;
    case STEP_PDU:
        step_pdu(w, r);
        break;
    case STEP_LOGIN:
        step_login(w, r);
        break;
    case STEP_SUBMIT:
        step_submit(w, r);
        break;
    case STEP_CANCEL:
        step_cancel(w, r);
        break;
    case STEP_TMF:
        step_tmf(w, r);
        break;
    case STEP_OWNER:
        step_owner(w, r);
        break;
    case STEP_SEND:
        send_out(w, rd_u8(r) * 16u);
        break;
    case STEPS_ALL:
    default:
        break;
    }
}

/* ---- life ---- */

static void begin(struct world *w)
{
    unsigned setup = w->setup;
    struct iscsi_isess_config cfg = {
        .params = iscsi_iparams_default,
        .initiator_name = "iqn.2026-01.test:ini",
        .target_name = "iqn.2026-01.test:disk",
        .discovery = setup & SETUP_DISCOVERY,
        .isid = { 0x80 },
        .queue_depth = CMDS / 2,
        .login_timeout_ns = 10 * NS_PER_SEC,
        .request_timeout_ns = 3 * NS_PER_SEC,
        .nop_interval_ns = 2 * NS_PER_SEC,
        .nop_timeout_ns = 2 * NS_PER_SEC,
    };
    struct iscsi_params_cfg *p = &cfg.params;
    if (setup & SETUP_CHAP)
        cfg.auth = (struct iscsi_iauth){
            .user = "u", .secret = "s", .target_secret = "t", .algs = 1 << 5
        };
    p->header_digest = p->data_digest = setup & SETUP_DIGESTS;
    p->data_pdu_in_order = p->data_sequence_in_order = !(setup & SETUP_ANY_ORDER);
    p->initial_r2t = setup & SETUP_SOLICITED;
    p->immediate_data = !p->initial_r2t;
    p->max_burst = p->first_burst = 4096;
    if (w->level) {
        p->error_recovery_level = w->level;
        p->time2wait = 1;
        p->max_connections = LINKS;
    }
    must(iscsi_isess_new(&cfg, &w->a, &w->sess) == 0);
    must(iscsi_iconn_new(w->sess, 1, w->now_ns, &w->at->conn) == 0);
    iscsi_iconn_connected(w->at->conn, w->now_ns);
    send_out(w, SIZE_MAX);
    if (!(setup & (SETUP_LOGGED_IN | SETUP_RECOVERY)) || (setup & SETUP_CHAP))
        return;
    log_in(w);
    must(w->at->logged_in);
    must(iscsi_isess_params(w->sess)->error_recovery_level == w->level);
}

static void end(struct world *w)
{
    for (int i = 0; i < LINKS; i++) {
        struct link *l = &w->link[i];
        if (!l->conn)
            continue;
        iscsi_iconn_lost(l->conn, USAN_ECLOSED);
        events(w);
        must(l->closed);
        must(iscsi_iconn_deadline(l->conn) == TIME_NEVER);
        must(iscsi_iconn_load(l->conn) == 0);
    }
    iscsi_isess_abandon(w->sess, USAN_ECANCELED, "the end");
    iscsi_isess_fail_queued(w->sess, USAN_ECANCELED, "the end");
    events(w);
    for (int i = 0; i < CMDS; i++)
        must(!w->cmd[i].busy);
    for (int i = 0; i < TMFS; i++)
        must(!w->tmf_busy[i]);
    must(iscsi_isess_active(w->sess) == 0);
    must(iscsi_isess_deadline(w->sess) == TIME_NEVER);
    for (int i = 0; i < LINKS; i++)
        iscsi_iconn_free(w->link[i].conn);
    iscsi_isess_free(w->sess);
    must(w->live == 0);
}

static void *get(void *ctx, size_t bytes)
{
    ((struct world *)ctx)->live++;
    return malloc(bytes);
}

static void put(void *ctx, void *ptr)
{
    if (ptr)
        ((struct world *)ctx)->live--;
    free(ptr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rd r = rd_init(data, size);
    struct world w = { .now_ns = NS_PER_SEC, .setup = rd_u8(&r) };
    w.a = (struct alloc){ .get = get, .put = put, .ctx = &w };
    w.at = &w.link[0];
    if (w.setup & SETUP_RECOVERY) {
        w.level = rd_u8(&r) % 2 ? 1 : 2;
        w.setup &= ~(unsigned)(SETUP_DISCOVERY | SETUP_CHAP | SETUP_ANY_ORDER | SETUP_SOLICITED);
    }
    begin(&w);
    while (rd_left(&r))
        step(&w, &r);
    end(&w);
    return 0;
}
