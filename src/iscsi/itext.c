/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text requests in full feature phase (RFC 7143 11.10, 11.11, 13.3). */
#include "iscsi/itext.h"

#include "iscsi/keys.h"

enum { TEXT_PDUS_MAX = 1 << 16 };

/* ---- requests ---- */

static bool send_request(struct iscsi_iconn *conn, uint64_t lun, const struct wr *text)
{
    struct itext *x = &conn->text;
    uint32_t len = text ? (uint32_t)text->len : 0;
    struct ictl *ctl = ictl_new(conn, len);
    if (!ctl)
        return false;
    pdu_text_request(ctl->bhs, x->itt, x->ttt, lun, len);
    if (len)
        memcpy(ctl->data, text->buf, len);
    ictl_queue(conn, ctl);
    x->deadline_ns = conn->now_ns + conn->sess->cfg.request_timeout_ns;
    return true;
}

static int begin(struct iscsi_iconn *conn, const struct wr *text, bool targets, uint32_t declared)
{
    struct itext *x = &conn->text;
    if (!iconn_full_feature(conn))
        return USAN_ECLOSED;
    if (x->active)
        return USAN_EBUSY;
    itext_free(conn);
    *x = (struct itext){ .active = true, .targets = targets, .declared = declared };
    x->itt = isess_tag(conn->sess, ISLOT_TEXT);
    x->ttt = ISCSI_TAG_NONE;
    if (declared > conn->params.rx_data_segment)
        conn->params.rx_data_segment = declared; /* more may come from now on, less only later */
    conn->epoch += declared != 0;
    return send_request(conn, 0, text) ? 0 : USAN_ENOMEM;
}

int iscsi_iconn_send_targets(struct iscsi_iconn *conn, const char *which, uint64_t now_ns)
{
    char text[16 + ISCSI_NAME_MAX];
    struct wr w = wr_init(text, sizeof(text));
    if (strlen(which) > ISCSI_NAME_MAX)
        return USAN_EINVAL;
    conn->now_ns = now_ns;
    iscsi_text_put(&w, "SendTargets", which);
    return begin(conn, &w, true, 0);
}

int itext_declare(struct iscsi_iconn *conn, uint32_t max_recv_data_segment)
{
    char text[64];
    struct wr w = wr_init(text, sizeof(text));
    iscsi_text_put_number(&w, iscsi_keys[ISCSI_KEY_MAX_RECV_DATA_SEGMENT_LENGTH].name,
                          max_recv_data_segment);
    return begin(conn, &w, false, max_recv_data_segment);
}

int iscsi_iconn_renegotiate(struct iscsi_iconn *conn, uint32_t max_recv_data_segment,
                            uint64_t now_ns)
{
    const struct iscsi_key *key = &iscsi_keys[ISCSI_KEY_MAX_RECV_DATA_SEGMENT_LENGTH];
    if (max_recv_data_segment < key->min || max_recv_data_segment > key->max)
        return USAN_EINVAL;
    conn->now_ns = now_ns;
    return itext_declare(conn, max_recv_data_segment);
}

/* ---- responses ---- */

static void end(struct itext *x, int err, const char *why, const char *key)
{
    x->over = true;
    x->err = err;
    x->why = why;
    x->key = key;
}

void itext_fail(struct iscsi_iconn *conn, int err, const char *why)
{
    struct itext *x = &conn->text;
    if (!x->active || x->over)
        return;
    x->len = x->pos = 0;
    end(x, err, why, NULL);
}

void itext_free(struct iscsi_iconn *conn)
{
    alloc_put(conn->a, conn->text.buf);
    conn->text.buf = NULL;
}

/* Room for len more bytes behind what is not parsed. */
static bool keep(struct iscsi_iconn *conn, const uint8_t *data, uint32_t len)
{
    struct itext *x = &conn->text;
    size_t left = x->len - x->pos;
    if (left + len > x->cap) {
        size_t cap = x->cap ? x->cap : 4096;
        while (cap < left + len)
            cap *= 2;
        char *p = alloc_get(conn->a, cap);
        if (!p)
            return false;
        if (left)
            memcpy(p, x->buf + x->pos, left);
        alloc_put(conn->a, x->buf);
        x->buf = p;
        x->cap = cap;
    } else if (left && x->pos) {
        memmove(x->buf, x->buf + x->pos, left);
    }
    if (len)
        memcpy(x->buf + left, data, len);
    x->pos = 0;
    x->len = left + len;
    return true;
}

void itext_response(struct iscsi_iconn *conn, const uint8_t *bhs, const uint8_t *data, uint32_t len)
{
    struct itext *x = &conn->text;
    bool final = bhs_final(bhs), cont = pdu_text_request_cont(bhs);

    if (!x->active || x->over || x->final || bhs_itt(bhs) != x->itt) {
        iconn_fail(conn, USAN_EPROTO, "a Text Response that was not asked for");
        return;
    }
    x->ttt = bhs_ttt(bhs);
    /* 11.11.1, 11.11.4: the last one has no tag, one that is followed by others has one. */
    if ((final && cont) || final != (x->ttt == ISCSI_TAG_NONE)) {
        iconn_fail(conn, USAN_EPROTO, "a Text Response that is last and is not");
        return;
    }
    x->total += len;
    if (x->total > ISCSI_ITARGETS_MAX || ++x->pdus > TEXT_PDUS_MAX) {
        iconn_fail(conn, USAN_ELIMIT, "a text answer that is too long");
        return;
    }
    if (!keep(conn, data, len)) {
        iconn_fail(conn, USAN_ENOMEM, "out of memory for a text answer");
        return;
    }
    x->final = final;
    if (!final)
        (void)send_request(conn, bhs_lun(bhs), NULL); /* the rest, 11.10.4 */
}

/* ---- what it says ---- */

static bool show(struct itext *x, const char *address, struct iscsi_ievent *ev)
{
    x->shown = true;
    ev->type = ISCSI_IEV_TARGET;
    ev->target_name = x->name;
    ev->address = address;
    return true;
}

/* A key that is no part of a target record, 7.3. */
static void take_other(struct iscsi_iconn *conn, const struct iscsi_pair *pair)
{
    struct itext *x = &conn->text;
    uint64_t n;
    const struct iscsi_key *key = &iscsi_keys[ISCSI_KEY_MAX_RECV_DATA_SEGMENT_LENGTH];
    if (iscsi_pair_is(pair, "SendTargets")) { /* it is no answer: a refusal */
        x->err = USAN_ENOTSUP;
        x->why = "the target refuses to list targets";
        return;
    }
    if (!iscsi_pair_is(pair, key->name) || !strcmp(pair->value, "Reject") ||
        !strcmp(pair->value, "NotUnderstood"))
        return;
    if (iscsi_text_number(pair->value, &n) || n < key->min || n > key->max)
        iconn_fail_key(conn, USAN_EPROTO, "a value that is out of range", key->name);
    else
        conn->params.tx_data_segment = (uint32_t)n;
}

/* One pair: true if ev was filled in. Pairs that begin a new target are looked at again when the
 * old one, without address, was shown. */
static bool take_pair(struct iscsi_iconn *conn, const struct iscsi_pair *pair, bool *ret_again,
                      struct iscsi_ievent *ev)
{
    struct itext *x = &conn->text;
    *ret_again = false;
    if (iscsi_pair_is(pair, "TargetName")) {
        if (x->named && !x->shown) {
            *ret_again = true;
            return show(x, NULL, ev);
        }
        if (!pair->value_len || pair->value_len > ISCSI_NAME_MAX) {
            iconn_fail_key(conn, USAN_EPROTO, "a target name that is none", "TargetName");
            return false;
        }
        memcpy(x->name, pair->value, pair->value_len + 1);
        x->named = true;
        x->shown = false;
        return false;
    }
    if (!iscsi_pair_is(pair, "TargetAddress")) {
        take_other(conn, pair);
        return false;
    }
    if (x->targets && x->named)
        return show(x, pair->value, ev);
    return false;
}

/* Length of the pairs that are complete. */
static size_t complete(const struct itext *x)
{
    size_t n = x->len;
    while (n > x->pos && x->buf[n - 1] != '\0')
        n--;
    return n;
}

static bool last_event(struct iscsi_iconn *conn, struct iscsi_ievent *ev)
{
    struct itext *x = &conn->text;
    if (x->named && !x->shown && !x->over)
        return show(x, NULL, ev);
    if (x->declared && !x->over)
        conn->params.rx_data_segment = x->declared;
    x->active = false;
    ev->type = ISCSI_IEV_TEXT_DONE;
    ev->err = x->err;
    ev->why = x->err ? x->why : "done";
    ev->key = x->key;
    return true;
}

bool itext_event(struct iscsi_iconn *conn, struct iscsi_ievent *ev)
{
    struct itext *x = &conn->text;
    while (x->active && !x->over && !conn->failing && x->pos < x->len) {
        struct iscsi_pair pair;
        size_t end_at = complete(x), before = x->pos;
        bool again, event;
        if (end_at == x->pos) {
            if (x->len - x->pos > ISCSI_KEY_NAME_MAX + ISCSI_VALUE_LONG_MAX + 2 || x->final)
                iconn_fail(conn, USAN_EPROTO, "a text that does not end");
            break;
        }
        int more = iscsi_text_next(x->buf, end_at, &x->pos, &pair);
        if (more < 0) {
            iconn_fail(conn, USAN_EPROTO, "a malformed text");
            return false;
        }
        if (more == 0) { /* only NULs */
            x->pos = end_at;
            continue;
        }
        event = take_pair(conn, &pair, &again, ev);
        if (again)
            x->pos = before;
        if (event)
            return true;
    }
    if (!x->active || (!x->over && (conn->failing || !x->final || x->pos < x->len)))
        return false;
    return last_event(conn, ev);
}
