/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

static void check_cmd_sn(struct world *w, const uint8_t *b, uint8_t op)
{
    uint32_t sn = bhs_cmd_sn(b);
    if (op == ISCSI_OP_DATA_OUT || op == ISCSI_OP_SNACK)
        return;
    if (op == ISCSI_OP_LOGIN_REQUEST)
        w->cmd_sn = sn;
    else if (!w->level)
        must(sn == w->cmd_sn);
    else /* one may come again, wait on a slower connection, or be still to come */
        must(!sn_lt(w->cmd_sn + CMDS, sn));
    if (sn_lt(w->cmd_sn, sn))
        w->cmd_sn = sn;
    if (op == ISCSI_OP_SCSI_COMMAND && !bhs_immediate(b) && sn == w->cmd_sn)
        w->cmd_sn++;
}

static void sent_header(struct world *w)
{
    const struct iscsi_params *p = iscsi_iconn_params(w->at->conn);
    const uint8_t *b = w->at->head;
    uint8_t op = bhs_opcode(b);
    /* A login that was answered before it was all sent is still without digests. */
    bool login = op == ISCSI_OP_LOGIN_REQUEST, digests = !login && w->at->logged_in;
    uint32_t len = bhs_data_len(b);
    must((op <= ISCSI_OP_LOGOUT_REQUEST || (op == ISCSI_OP_SNACK && w->level)) &&
         (w->at->logged_in || login));
    w->at->skip = bhs_ahs_len(b) + ((len + 3) & ~3u);
    w->at->skip += digests && p->header_digest ? ISCSI_DIGEST_LEN : 0u;
    w->at->skip += digests && p->data_digest && len ? ISCSI_DIGEST_LEN : 0u;
    w->itt[w->itts++ % ITTS] = bhs_itt(b);
    check_cmd_sn(w, b, op);
}

static void sent(struct world *w, const uint8_t *p, size_t n)
{
    while (n > 0) {
        size_t k = w->at->skip ? w->at->skip : ISCSI_BHS_LEN - w->at->head_len;
        if (k > n)
            k = n;
        if (w->at->skip) {
            w->at->skip -= k;
        } else {
            memcpy(w->at->head + w->at->head_len, p, k);
            w->at->head_len += k;
            if (w->at->head_len == ISCSI_BHS_LEN) {
                w->at->head_len = 0;
                sent_header(w);
            }
        }
        p += k;
        n -= k;
    }
}

void send_out(struct world *w, size_t most)
{
    struct iovec iov[5];
    int n;
    while (w->at->conn && most > 0 && (n = iscsi_iconn_tx(w->at->conn, iov, 5)) > 0) {
        size_t total = 0;
        for (int i = 0; i < n && total < most; i++) {
            size_t k = iov[i].iov_len < most - total ? iov[i].iov_len : most - total;
            sent(w, iov[i].iov_base, k);
            total += k;
        }
        iscsi_iconn_tx_done(w->at->conn, total, w->now_ns);
        most -= total;
    }
    events(w);
}
