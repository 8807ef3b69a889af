/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "base/crc32c.h"

#include <stdlib.h>

void receive(struct world *w, const uint8_t *p, size_t len)
{
    struct iovec iov[ISCSI_IRX_IOV_MAX];
    while (w->at->conn && len > 0) {
        size_t cap = len < 4096 ? len : 4096, got = 0;
        uint8_t *buf = malloc(cap);
        int n = buf ? iscsi_iconn_rx_space(w->at->conn, buf, cap, iov) : 0;
        for (int i = 0; i < n && got < len; i++) {
            size_t k = iov[i].iov_len < len - got ? iov[i].iov_len : len - got;
            memcpy(iov[i].iov_base, p + got, k);
            got += k;
        }
        if (n) {
            iscsi_iconn_rx(w->at->conn, got, w->now_ns);
            events(w);
        }
        free(buf);
        if (!n)
            return;
        p += got;
        len -= got;
    }
}

static bool takes_stat_sn(const uint8_t *bhs)
{
    uint8_t op = bhs_opcode(bhs);
    return op != ISCSI_OP_R2T && !(op == ISCSI_OP_NOP_IN && bhs_itt(bhs) == ISCSI_TAG_NONE) &&
           (op != ISCSI_OP_DATA_IN || (bhs[1] & PDU_DATA_IN_STATUS));
}

void receive_pdu(struct world *w, uint8_t *bhs, const uint8_t *data, uint32_t len, int off_sn,
                 bool less, bool bad_digest)
{
    if (!w->at->conn)
        return;
    const struct iscsi_params *p = iscsi_iconn_params(w->at->conn);
    uint8_t *b = calloc(1, ISCSI_BHS_LEN + 4 + len + 8u), *at = b;
    uint32_t crc;
    must(b != NULL);
    bhs_put_sn(bhs, w->at->stat_sn + (uint32_t)off_sn, w->cmd_sn - less,
               w->cmd_sn + (w->setup & SETUP_SMALL ? 1 : 20));
    if (off_sn >= 0)
        w->at->stat_sn += takes_stat_sn(bhs);
    be24_put(bhs + 5, len);
    memcpy(at, bhs, ISCSI_BHS_LEN);
    at += ISCSI_BHS_LEN;
    if (w->at->logged_in && p->header_digest) {
        crc = crc32c(b, ISCSI_BHS_LEN);
        memcpy(at, &crc, 4);
        at += 4;
    }
    if (len) {
        uint32_t padded = (len + 3) & ~3u;
        memcpy(at, data, len);
        if (w->at->logged_in && p->data_digest) {
            crc = crc32c(at, padded) ^ bad_digest;
            memcpy(at + padded, &crc, 4);
            at += 4;
        }
        at += padded;
    }
    receive(w, b, (size_t)(at - b));
    free(b);
}

void login_rsp(struct world *w, uint8_t flags, uint16_t status, const char *text, size_t text_len)
{
    static const uint8_t isid[6] = { 0x80 };
    uint8_t bhs[ISCSI_BHS_LEN], buf[256];
    const struct pdu_login_response q = { .transit = flags & 0x80,
                                          .cont = flags & 0x40,
                                          .csg = flags >> 2 & 3,
                                          .nsg = flags & 3,
                                          .isid = isid,
                                          .tsih = 1,
                                          .status = status };
    send_out(w, SIZE_MAX);
    if (!w->itts)
        return;
    pdu_login_response_encode(bhs, w->itt[(w->itts + ITTS - 1) % ITTS], 0, &q);
    for (size_t i = 0; i < text_len; i++)
        buf[i] = text[i] == '|' ? 0 : (uint8_t)text[i];
    receive_pdu(w, bhs, buf, (uint32_t)text_len, 0, false, false);
}

/* A login as it should be. */
void log_in(struct world *w)
{
    /* clang-format off */
    static const char plain[] = "MaxRecvDataSegmentLength=1024|",
        digests[] = "HeaderDigest=CRC32C|DataDigest=CRC32C|MaxRecvDataSegmentLength=1024|"
                    "InitialR2T=No|iSCSIProtocolLevel=2|DataPDUInOrder=No|",
        level1[] = "ErrorRecoveryLevel=1|MaxRecvDataSegmentLength=1024|DefaultTime2Wait=1|"
                   "DefaultTime2Retain=3|MaxConnections=4|InitialR2T=No|",
        level2[] = "ErrorRecoveryLevel=2|MaxRecvDataSegmentLength=1024|DefaultTime2Wait=1|"
                   "DefaultTime2Retain=3|MaxConnections=4|InitialR2T=No|",
        crc[] = "HeaderDigest=CRC32C|DataDigest=CRC32C|";
    /* clang-format on */
    char text[512] = "";
    const char *keys = w->level == 1 ? level1 : w->level == 2 ? level2 : plain;
    unsigned setup = w->setup;
    login_rsp(w, 0x81, 0, "AuthMethod=None|", 16);
    if (!w->level && setup & SETUP_DIGESTS && setup & SETUP_ANY_ORDER &&
        !(setup & SETUP_SOLICITED) && !(setup & SETUP_DISCOVERY))
        keys = digests;
    if (w->was_up && w->level)
        keys = plain; /* joins */
    if (w->level && setup & SETUP_DIGESTS)
        memcpy(text, crc, sizeof(crc));
    memcpy(text + strlen(text), keys, strlen(keys) + 1);
    login_rsp(w, 0x87, 0, text, strlen(text));
}
