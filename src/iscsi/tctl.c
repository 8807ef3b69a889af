/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PDUs the target makes by itself: NOP-In, Reject, Async Message. */
#include "iscsi/tctl.h"
#include "iscsi/tgap.h"

#include <assert.h>

enum { /* 11.9.1 */
       ASYNC_SCSI_EVENT = 0,
       ASYNC_LOGOUT_REQUEST = 1,
       ASYNC_DROP_CONNECTION = 2,
       ASYNC_DROP_SESSION = 3,
};

struct tctl *tctl_new(struct iscsi_tconn *conn, uint32_t data_len)
{
    struct tctl *ctl;

    if (conn->ctl_count >= TCONN_CTL_MAX || conn->ctl_bytes + data_len > TCONN_CTL_BYTES_MAX) {
        tconn_close(conn, USAN_ELIMIT, "the initiator does not read its answers");
        return NULL;
    }
    ctl = alloc_get(conn->a, sizeof *ctl + data_len);
    if (!ctl) {
        tconn_close(conn, USAN_ENOMEM, "out of memory for an answer");
        return NULL;
    }
    memset(ctl, 0, sizeof *ctl);
    ctl->len = data_len;
    ctl->takes_stat_sn = true;
    list_init(&ctl->job.node);
    return ctl;
}

void tctl_queue(struct iscsi_tconn *conn, struct tctl *ctl)
{
    conn->ctl_count++;
    conn->ctl_bytes += ctl->len;
    ctl->job.kind = TXJOB_CTL;
    list_push_back(&conn->jobs, &ctl->job.node);
    tconn_kick(conn);
    if (ctl->closes) {
        conn->closing = true; /* nothing that comes after it matters */
        conn->timer_ns = 0;
    }
}

void tctl_sent(struct iscsi_tconn *conn, struct tctl *ctl)
{
    bool closes = ctl->closes;

    conn->ctl_count--;
    conn->ctl_bytes -= ctl->len;
    alloc_put(conn->a, ctl);
    if (closes)
        tconn_close(conn, conn->close_err, conn->close_why);
}

void tctl_reject(struct iscsi_tconn *conn, enum iscsi_reject reason, const uint8_t *bhs)
{
    struct tctl *ctl = tctl_new(conn, ISCSI_BHS_LEN);
    if (!ctl)
        return;
    tgap_rejected(conn, bhs);
    pdu_reject(ctl->bhs, (uint8_t)reason, ISCSI_BHS_LEN);
    memcpy(ctl->data, bhs, ISCSI_BHS_LEN);
    tctl_queue(conn, ctl);
}

void tctl_reject_last(struct iscsi_tconn *conn, enum iscsi_reject reason, const uint8_t *bhs,
                      int err, const char *why)
{
    struct tctl *ctl = tctl_new(conn, ISCSI_BHS_LEN);
    if (!ctl)
        return;
    pdu_reject(ctl->bhs, (uint8_t)reason, ISCSI_BHS_LEN);
    memcpy(ctl->data, bhs, ISCSI_BHS_LEN);
    ctl->closes = true;
    conn->close_err = err;
    conn->close_why = why;
    tctl_queue(conn, ctl);
}

void tctl_nop_out(struct iscsi_tconn *conn, const uint8_t *bhs, const uint8_t *data, uint32_t len)
{
    uint32_t itt = bhs_itt(bhs);

    if (itt == ISCSI_TAG_NONE) { /* the answer to a ping of ours, 11.18 */
        conn->nop_sent_ns = 0;
        return;
    }
    if (len > conn->params.tx_data_segment)
        len = conn->params.tx_data_segment; /* 11.19: cut to what the initiator takes */
    struct tctl *ctl = tctl_new(conn, len);
    if (!ctl)
        return;
    pdu_nop_in(ctl->bhs, itt, ISCSI_TAG_NONE, bhs_lun(bhs), len);
    if (len)
        memcpy(ctl->data, data, len);
    tctl_queue(conn, ctl);
}

void tctl_ping(struct iscsi_tconn *conn)
{
    struct tctl *ctl = tctl_new(conn, 0);
    if (!ctl)
        return;
    if (++conn->nop_ttt == ISCSI_TAG_NONE)
        conn->nop_ttt = 1;
    pdu_nop_in(ctl->bhs, ISCSI_TAG_NONE, conn->nop_ttt, 0, 0);
    ctl->takes_stat_sn = false; /* 11.19.2: StatSN is not advanced */
    conn->nop_sent_ns = conn->now_ns;
    tctl_queue(conn, ctl);
}

/* Async messages are for the full feature phase. */
static bool takes_async(const struct iscsi_tconn *conn)
{
    return !conn->closing && !conn->login;
}

static void async_message(struct iscsi_tconn *conn, uint64_t lun, uint8_t event, uint16_t p1,
                          uint16_t p2, uint16_t p3, const void *sense, uint16_t sense_len)
{
    uint32_t len = sense_len ? 2u + sense_len : 0;

    if (!takes_async(conn))
        return;
    struct tctl *ctl = tctl_new(conn, len);
    if (!ctl)
        return;
    pdu_async(ctl->bhs, lun, event, p1, p2, p3, len);
    if (len) {
        be16_put(ctl->data, sense_len);
        memcpy(ctl->data + 2, sense, sense_len);
    }
    tctl_queue(conn, ctl);
}

void iscsi_tconn_ask_logout(struct iscsi_tconn *conn, uint16_t seconds)
{
    if (!takes_async(conn))
        return;
    async_message(conn, 0, ASYNC_LOGOUT_REQUEST, 0, 0, seconds, NULL, 0);
    tconn_event(conn, ISCSI_CONN_EV_LOGOUT_ASKED);
}

void iscsi_tconn_announce_drop(struct iscsi_tconn *conn, bool whole_session)
{
    async_message(conn, 0, whole_session ? ASYNC_DROP_SESSION : ASYNC_DROP_CONNECTION, conn->cid,
                  conn->params.time2wait, conn->params.time2retain, NULL, 0);
}

void iscsi_tconn_scsi_event(struct iscsi_tconn *conn, uint64_t lun, const void *sense,
                            uint16_t sense_len)
{
    async_message(conn, lun, ASYNC_SCSI_EVENT, 0, 0, 0, sense, sense_len);
}
