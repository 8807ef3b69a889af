/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text requests in full feature phase (RFC 7143 11.10, 11.11): SendTargets and negotiation. */
#include "iscsi/ttext.h"
#include "iscsi/nego.h"
#include "iscsi/tctl.h"

#include <assert.h>

enum {
    TEXT_OUT_MAX = 8 << 20, /* a SendTargets answer, e.g. 30,000 targets */
    TEXT_PIECE_MAX = 65536, /* of an answer, in one PDU */
    NEGOTIATED_MAX = 4096,  /* answers to the other keys of a request */
};

/* The request is taken in. */
static void text_in_drop(struct iscsi_tconn *conn)
{
    alloc_put(conn->a, conn->text_in);
    conn->text_in = NULL;
    conn->text_in_len = 0;
}

/* The answer is sent. */
static void text_out_drop(struct iscsi_tconn *conn)
{
    alloc_put(conn->a, conn->text_out);
    conn->text_out = NULL;
    conn->text_out_len = conn->text_out_pos = 0;
}

/* There is more to come in this exchange, by this tag. */
static void keep_open(struct iscsi_tconn *conn)
{
    if (conn->text_ttt == ISCSI_TAG_NONE)
        conn->text_ttt = 0x74780000u | (conn->stat_sn & 0xffff);
}

void ttext_abandon(struct iscsi_tconn *conn)
{
    text_in_drop(conn);
    text_out_drop(conn);
    conn->text_ttt = ISCSI_TAG_NONE;
    conn->text_targets = false;
}

/* Room for `more` bytes at the end of text_out. */
static bool out_reserve(struct iscsi_tconn *conn, size_t more)
{
    size_t need = conn->text_out_len + more, cap = 4096;

    while (cap < conn->text_out_len)
        cap *= 2;
    if (conn->text_out && need <= cap)
        return true;
    while (cap < need)
        cap *= 2;
    if (cap > TEXT_OUT_MAX)
        return false;
    char *p = alloc_get(conn->a, cap);
    if (!p)
        return false;
    if (conn->text_out)
        memcpy(p, conn->text_out, conn->text_out_len);
    alloc_put(conn->a, conn->text_out);
    conn->text_out = p;
    return true;
}

static void out_pair(struct iscsi_tconn *conn, const char *key, const char *value)
{
    size_t kl = strlen(key), vl = strlen(value);

    if (!out_reserve(conn, kl + vl + 2)) {
        tconn_close(conn, USAN_ENOMEM, "no memory for a text answer");
        return;
    }
    char *p = conn->text_out + conn->text_out_len;
    memcpy(p, key, kl);
    p[kl] = '=';
    memcpy(p + kl + 1, value, vl);
    p[kl + 1 + vl] = '\0';
    conn->text_out_len += kl + vl + 2;
}

/* Send what fits into one PDU. More: the initiator asks for it with an empty request (11.10.4). The
 * last PDU ends the exchange only if the initiator said that it is through with it: F=1 is no
 * answer to F=0 (11.11.1). */
static void send_piece(struct iscsi_tconn *conn, uint32_t itt, uint64_t lun)
{
    assert(conn->text_out_pos <= conn->text_out_len);
    size_t left = conn->text_out_len - conn->text_out_pos;
    uint32_t len = conn->params.tx_data_segment;
    if (len > TEXT_PIECE_MAX)
        len = TEXT_PIECE_MAX;
    if (len > left)
        len = (uint32_t)left;
    bool whole = len == left, last = whole && conn->text_final;
    struct tctl *ctl = tctl_new(conn, len);
    if (!ctl)
        return;
    if (!last)
        keep_open(conn);
    pdu_text_response(ctl->bhs, itt, last ? ISCSI_TAG_NONE : conn->text_ttt, lun, last, !whole,
                      len);
    if (len)
        memcpy(ctl->data, conn->text_out + conn->text_out_pos, len);
    conn->text_out_pos += len;
    tctl_queue(conn, ctl);
    if (last)
        ttext_abandon(conn);
    else if (whole)
        text_out_drop(conn);
}

/* Take the SendTargets pair out of the request; its value, or NULL. */
static const char *take_send_targets(char *text, size_t *len)
{
    static const char key[] = "SendTargets=";
    size_t kl = sizeof key - 1;

    for (size_t i = 0; i < *len; i += strlen(text + i) + 1) {
        size_t n = strlen(text + i) + 1;
        char pair[sizeof key + ISCSI_NAME_MAX];
        /* A longer value names no target, and is refused as a key that is not understood. */
        if (n <= kl || n > sizeof pair || memcmp(text + i, key, kl) != 0)
            continue;
        /* to the end, behind what is left for the negotiation */
        memcpy(pair, text + i, n);
        memmove(text + i, text + i + n, *len - i - n);
        *len -= n;
        memcpy(text + *len, pair, n);
        return text + *len + kl;
    }
    return NULL;
}

/* The negotiation has failed: what held before holds on, 7.12. */
static enum treq reject_exchange(struct iscsi_tconn *conn, enum iscsi_reject reason,
                                 const uint8_t *bhs)
{
    tctl_reject(conn, reason, bhs);
    ttext_abandon(conn);
    return TREQ_REJECTED;
}

static enum treq text_complete(struct iscsi_tconn *conn, const uint8_t *bhs, struct iscsi_event *ev)
{
    char *text = conn->text_in;
    size_t len = conn->text_in_len, out_len = 0;

    if (len > 0 && text[len - 1] != '\0')
        return reject_exchange(conn, ISCSI_REJECT_PROTOCOL_ERROR, bhs);
    const char *targets = take_send_targets(text, &len);
    if (!out_reserve(conn, NEGOTIATED_MAX)) {
        tconn_close(conn, USAN_ENOMEM, "no memory for a text answer");
        return TREQ_DONE;
    }
    uint32_t segment = conn->params.tx_data_segment;
    int err = len == 0 ? 0
                       : iscsi_text_negotiate(text, len, &conn->cfg.params, &conn->params,
                                              conn->text_out, NEGOTIATED_MAX, &out_len);
    if (err)
        return reject_exchange(
            conn, err == USAN_ELIMIT ? ISCSI_REJECT_OUT_OF_RESOURCES : ISCSI_REJECT_PROTOCOL_ERROR,
            bhs);
    conn->text_out_len = out_len;
    if (segment != conn->params.tx_data_segment)
        conn->tx_changes++;
    if (!targets) {
        text_in_drop(conn);
        send_piece(conn, conn->text_itt, 0);
        return TREQ_DONE;
    }
    conn->text_targets = true;
    ev->type = ISCSI_EV_SEND_TARGETS;
    /* "All" is for discovery sessions (13.3); a normal session learns of its own target. */
    ev->send_targets = !conn->discovery && strcmp(targets, "All") == 0 ? "" : targets;
    return TREQ_EVENT;
}

enum treq ttext_request(struct iscsi_tconn *conn, const uint8_t *bhs, const char *text, size_t len,
                        struct iscsi_event *ev)
{
    uint32_t ttt = bhs_ttt(bhs);

    if (ttt == ISCSI_TAG_NONE) {
        ttext_abandon(conn);
    } else if (ttt != conn->text_ttt || conn->text_itt != bhs_itt(bhs) ||
               (conn->text_out && len > 0)) { /* the rest of an answer is asked for without text */
        tctl_reject(conn, ISCSI_REJECT_INVALID_FIELD, bhs);
        return TREQ_REJECTED;
    }
    if (pdu_text_request_cont(bhs) && bhs_final(bhs)) /* 11.10.2 */
        return reject_exchange(conn, ISCSI_REJECT_PROTOCOL_ERROR, bhs);
    if (len > 0 || conn->text_out || ttt == ISCSI_TAG_NONE)
        conn->text_ns = conn->now_ns; /* it moves on */
    conn->text_itt = bhs_itt(bhs);
    conn->text_final = bhs_final(bhs);
    if (conn->text_out && ttt != ISCSI_TAG_NONE && len == 0) {
        send_piece(conn, conn->text_itt, bhs_lun(bhs));
        return TREQ_DONE;
    }
    if (conn->text_in_len + len > ISCSI_TEXT_MAX)
        return reject_exchange(conn, ISCSI_REJECT_OUT_OF_RESOURCES, bhs);
    if (!conn->text_in)
        conn->text_in = alloc_get(conn->a, ISCSI_TEXT_MAX + 1);
    if (!conn->text_in) {
        tconn_close(conn, USAN_ENOMEM, "no memory for a text request");
        return TREQ_DONE;
    }
    if (len)
        memcpy(conn->text_in + conn->text_in_len, text, len);
    conn->text_in_len += len;
    if (!pdu_text_request_cont(bhs))
        return text_complete(conn, bhs, ev);

    struct tctl *ctl = tctl_new(conn, 0); /* go on, 11.10.2 */
    if (!ctl)
        return TREQ_DONE;
    keep_open(conn);
    pdu_text_response(ctl->bhs, conn->text_itt, conn->text_ttt, bhs_lun(bhs), false, false, 0);
    tctl_queue(conn, ctl);
    return TREQ_DONE;
}

void iscsi_tconn_target_record(struct iscsi_tconn *conn, const char *name,
                               const char *const *addresses)
{
    if (!conn->text_targets)
        return;
    out_pair(conn, "TargetName", name);
    for (; *addresses && !conn->closed; addresses++)
        out_pair(conn, "TargetAddress", *addresses);
}

void iscsi_tconn_targets_end(struct iscsi_tconn *conn)
{
    if (!conn->text_targets)
        return;
    conn->text_targets = false;
    text_in_drop(conn);
    send_piece(conn, conn->text_itt, 0);
}
