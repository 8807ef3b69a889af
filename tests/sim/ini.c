/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An initiator as simple as it can be, that looks closely: sequence numbers, digests, lengths. */
#include "sim.h"

#include "base/crc32c.h"

#include <stdio.h>
#include <stdlib.h>

enum { RX_BYTES = 1 << 17 };

/* ---- out ---- */

/* bhs is completed with lengths and ExpStatSN. */
void sim_ini_send(struct sim_ini *ini, uint8_t *bhs, const void *data, uint32_t len)
{
    struct sim_pipe *p = &ini->link->to_tgt;
    uint32_t pad = -len & 3u, crc;
    static const uint8_t zero[4];
    be24_put(bhs + 5, len);
    be32_put(bhs + 28, ini->exp_stat_sn);
    sim_trace(ini->sim, "ini %u sends op %02x flags %02x itt %x len %u", ini->index, bhs[0], bhs[1],
              bhs_itt(bhs), len);
    sim_pipe_write(p, bhs, ISCSI_BHS_LEN);
    if (ini->header_digest) {
        crc = crc32c(bhs, ISCSI_BHS_LEN);
        sim_pipe_write(p, &crc, 4);
    }
    if (!len)
        return;
    sim_pipe_write(p, data, len);
    sim_pipe_write(p, zero, pad);
    if (ini->data_digest) {
        crc = crc32c_final(crc32c_update(crc32c_update(CRC32C_INIT, data, len), zero, pad));
        sim_pipe_write(p, &crc, 4);
    }
}

static void login_bhs(const struct sim_ini *ini, uint8_t *bhs)
{
    memset(bhs, 0, ISCSI_BHS_LEN);
    bhs[0] = ISCSI_OP_LOGIN_REQUEST | 0x40;
    bhs[1] = 0x87; /* T, operational -> full feature */
    bhs[8] = 0x80;
    bhs[13] = (uint8_t)ini->index;
    be32_put(bhs + 16, ini->itt);
    be32_put(bhs + 24, ini->cmd_sn);
}

static size_t login_text(const struct sim_ini *ini, char *text, size_t cap)
{
    const struct sim_options *o = &ini->sim->opt;
    int n = snprintf(text, cap,
                     "InitiatorName=iqn.2026-01.test:ini%u;TargetName=iqn.2026-01.test:disk;"
                     "SessionType=Normal;HeaderDigest=%s;DataDigest=%s;InitialR2T=%s;"
                     "ImmediateData=%s;MaxRecvDataSegmentLength=%u;MaxBurstLength=%u;"
                     "FirstBurstLength=%u;MaxOutstandingR2T=%u;ErrorRecoveryLevel=0;"
                     "DataPDUInOrder=Yes;DataSequenceInOrder=Yes;DefaultTime2Retain=0;",
                     ini->index, o->header_digest ? "CRC32C" : "None",
                     o->data_digest ? "CRC32C" : "None", o->initial_r2t ? "Yes" : "No",
                     o->immediate_data ? "Yes" : "No", o->ini_segment, o->max_burst, o->first_burst,
                     o->r2ts);
    for (int i = 0; i < n; i++) {
        if (text[i] == ';')
            text[i] = '\0';
    }
    return (size_t)n;
}

void sim_ini_login(struct sim_ini *ini)
{
    struct sim *sim = ini->sim;
    uint8_t bhs[ISCSI_BHS_LEN];
    char text[1024];
    ini->rx_len = 0;
    ini->full_feature = ini->header_digest = ini->data_digest = false;
    ini->cmd_sn = sim_rand(sim, 3) ? sim_rand(sim, 1000) : 0xfffffff0u; /* wraps soon */
    ini->exp_cmd_sn = ini->cmd_sn;
    ini->max_cmd_sn = ini->cmd_sn - 1;
    ini->exp_stat_sn = sim_rand(sim, 2) ? 0xfffffffau : sim_rand(sim, 1000);
    ini->itt = 1 + sim_rand(sim, 1u << 30);
    ini->status = 0xffff;
    ini->state = SIM_INI_LOGIN;
    sim_trace(sim, "ini %u logs in", ini->index);
    ini->link = sim_link_new(sim, ini);
    login_bhs(ini, bhs);
    size_t len = login_text(ini, text, sizeof(text));
    sim_ini_send(ini, bhs, text, (uint32_t)len);
}

/* ---- in ---- */

static void logged_in(struct sim_ini *ini)
{
    ini->state = SIM_INI_UP;
    ini->full_feature = true;
    ini->header_digest = ini->sim->opt.header_digest;
    ini->data_digest = ini->sim->opt.data_digest;
    ini->sim->stats.logins++;
    sim_trace(ini->sim, "ini %u is logged in", ini->index);
    sim_ops_settle(ini);
}

static void login_response(struct sim_ini *ini, const uint8_t *bhs)
{
    ini->status = be16_get(bhs + 36);
    if (ini->status) {
        ini->login_failed = true;
        return; /* the target closes */
    }
    if ((bhs[1] & 0x83) == 0x83) {
        logged_in(ini);
        return;
    }
    uint8_t more[ISCSI_BHS_LEN]; /* its offers are taken */
    login_bhs(ini, more);
    sim_ini_send(ini, more, NULL, 0);
}

/* StatSN (RFC 7143 4.2.2.2), ExpCmdSN and MaxCmdSN (4.2.2.1). */
static bool check_sn(struct sim_ini *ini, const uint8_t *bhs)
{
    struct sim *sim = ini->sim;
    uint8_t op = bhs_opcode(bhs);
    uint32_t stat_sn = be32_get(bhs + 24), exp = be32_get(bhs + 28), max = be32_get(bhs + 32);
    bool ping = op == ISCSI_OP_NOP_IN && bhs_itt(bhs) == ISCSI_TAG_NONE;
    bool data = op == ISCSI_OP_DATA_IN && !(bhs[1] & PDU_DATA_IN_STATUS);
    if (op == ISCSI_OP_LOGIN_RESPONSE && be16_get(bhs + 36))
        return true; /* a refusal's numbers are not to be looked at (11.13.4) */
    if (!data) {
        if (stat_sn != ini->exp_stat_sn)
            sim_violation(sim, "op %02x: StatSN is %x, not %x", op, stat_sn, ini->exp_stat_sn);
        if (op != ISCSI_OP_R2T && !ping)
            ini->exp_stat_sn++;
    }
    if (sn_lt(exp, ini->exp_cmd_sn) || sn_lt(ini->cmd_sn, exp))
        sim_violation(sim, "op %02x: ExpCmdSN %x is not within %x .. %x", op, exp, ini->exp_cmd_sn,
                      ini->cmd_sn);
    if (sn_lt(max, exp - 1) || (ini->full_feature && sn_lt(max, ini->max_cmd_sn)))
        sim_violation(sim, "op %02x: MaxCmdSN %x after %x, ExpCmdSN %x", op, max, ini->max_cmd_sn,
                      exp);
    ini->exp_cmd_sn = exp;
    ini->max_cmd_sn = max;
    return !sim->bad[0];
}

static void nop_in(struct sim_ini *ini, const uint8_t *bhs, const uint8_t *data, uint32_t len)
{
    if (bhs_itt(bhs) != ISCSI_TAG_NONE) {
        sim_op_pdu(ini, bhs, data, len);
        return;
    }
    if (bhs_ttt(bhs) == ISCSI_TAG_NONE)
        return;
    uint8_t nop[ISCSI_BHS_LEN] = { ISCSI_OP_NOP_OUT | 0x40, 0x80 };
    be32_put(nop + 16, ISCSI_TAG_NONE);
    be32_put(nop + 20, bhs_ttt(bhs));
    be32_put(nop + 24, ini->cmd_sn);
    sim_ini_send(ini, nop, NULL, 0);
}

static void on_pdu(struct sim_ini *ini, const uint8_t *bhs, const uint8_t *data, uint32_t len)
{
    struct sim *sim = ini->sim;
    uint8_t op = bhs_opcode(bhs);
    sim->steps++;
    sim_trace(sim, "ini %u has op %02x flags %02x itt %x len %u status %02x", ini->index, op,
              bhs[1], bhs_itt(bhs), len, bhs[3]);
    if (!check_sn(ini, bhs))
        return;
    if (ini->full_feature == (op == ISCSI_OP_LOGIN_RESPONSE)) {
        sim_violation(sim, "op %02x in the wrong phase", op);
        return;
    }
    switch ((enum iscsi_opcode)op) {
    case ISCSI_OP_LOGIN_RESPONSE:
        login_response(ini, bhs);
        return;
    case ISCSI_OP_NOP_IN:
        nop_in(ini, bhs, data, len);
        return;
    case ISCSI_OP_SCSI_RESPONSE:
    case ISCSI_OP_TMF_RESPONSE:
    case ISCSI_OP_DATA_IN:
    case ISCSI_OP_R2T:
    case ISCSI_OP_LOGOUT_RESPONSE:
        sim_op_pdu(ini, bhs, data, len);
        return;
    case ISCSI_OP_REJECT:
        if (!ini->reject_ok)
            sim_violation(sim, "rejected, reason %02x: op %02x", bhs[2], len ? data[0] : 0);
        else if (len >= ISCSI_BHS_LEN)
            sim_op_pdu(ini, bhs, data, len);
        return;
    case ISCSI_OP_NOP_OUT:
    case ISCSI_OP_SCSI_COMMAND:
    case ISCSI_OP_TMF_REQUEST:
    case ISCSI_OP_LOGIN_REQUEST:
    case ISCSI_OP_TEXT_REQUEST:
    case ISCSI_OP_DATA_OUT:
    case ISCSI_OP_LOGOUT_REQUEST:
    case ISCSI_OP_SNACK:
    case ISCSI_OP_TEXT_RESPONSE:
    case ISCSI_OP_ASYNC:
        break;
    }
    sim_violation(sim, "op %02x was not asked for", op);
}

/* The first PDU in rx; 0 if it is not all there, else its length. */
static size_t one_pdu(struct sim_ini *ini)
{
    const uint8_t *b = ini->rx;
    size_t head = ISCSI_BHS_LEN + (ini->header_digest ? 4u : 0);
    if (ini->rx_len < head)
        return 0;
    uint32_t len = bhs_data_len(b), pad = -len & 3u, crc;
    if (bhs_ahs_len(b) || len > (ini->full_feature ? ini->sim->opt.ini_segment : 8192u)) {
        sim_violation(ini->sim, "op %02x: data segment of %u bytes, AHS of %u", bhs_opcode(b), len,
                      bhs_ahs_len(b));
        return 0;
    }
    size_t total = head + len + pad + (ini->data_digest && len ? 4u : 0);
    if (ini->rx_len < total)
        return 0;
    if (ini->header_digest) {
        crc = crc32c(b, ISCSI_BHS_LEN);
        if (memcmp(&crc, b + ISCSI_BHS_LEN, 4) != 0)
            sim_violation(ini->sim, "op %02x: header digest", bhs_opcode(b));
    }
    if (ini->data_digest && len) {
        crc = crc32c(b + head, len + pad);
        if (memcmp(&crc, b + head + len + pad, 4) != 0)
            sim_violation(ini->sim, "op %02x: data digest", bhs_opcode(b));
    }
    on_pdu(ini, b, b + head, len);
    return total;
}

void sim_ini_rx(struct sim_ini *ini, const uint8_t *bytes, size_t len)
{
    if (ini->rx_len + len > RX_BYTES) {
        sim_violation(ini->sim, "a PDU that does not end");
        return;
    }
    memcpy(ini->rx + ini->rx_len, bytes, len);
    ini->rx_len += len;
    size_t n;
    while (!ini->sim->bad[0] && ini->state != SIM_INI_DOWN && (n = one_pdu(ini)) > 0) {
        memmove(ini->rx, ini->rx + n, ini->rx_len - n);
        ini->rx_len -= n;
    }
}

void sim_ini_down(struct sim_ini *ini)
{
    if (ini->state == SIM_INI_DOWN)
        return;
    sim_trace(ini->sim, "ini %u is down", ini->index);
    ini->state = SIM_INI_DOWN;
    ini->link->ini = NULL;
    ini->link->to_tgt.end = true;
    if (!ini->link->to_tgt.len && ini->link->conn && !sim_event_set(&ini->link->tgt_eof))
        sim_event_in(ini->sim, &ini->link->tgt_eof, 0);
    ini->link = NULL;
    sim_ops_lost(ini);
}

bool sim_ini_ready(const struct sim_ini *ini)
{
    return ini->state == SIM_INI_UP && !sn_lt(ini->max_cmd_sn, ini->cmd_sn);
}

bool sim_ini_up(struct sim_ini *ini)
{
    if (ini->state == SIM_INI_DOWN)
        sim_ini_login(ini);
    while (ini->state == SIM_INI_LOGIN && sim_step(ini->sim))
        ;
    return ini->state == SIM_INI_UP;
}

struct sim_ini *sim_ini_new(struct sim *sim, unsigned index)
{
    struct sim_ini *ini = calloc(1, sizeof(*ini));
    if (!ini || !(ini->rx = malloc(RX_BYTES)))
        abort();
    ini->sim = sim;
    ini->index = index;
    list_init(&ini->ops);
    return ini;
}

void sim_ini_free(struct sim_ini *ini)
{
    struct list *node;
    while ((node = list_pop_front(&ini->ops))) {
        struct sim_op *op = list_entry(node, struct sim_op, node);
        free(op->out);
        free(op->in);
        free(op);
    }
    free(ini->rx);
    free(ini);
}
