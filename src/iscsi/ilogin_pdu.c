/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/ilogin_pdu.h"

#include "iscsi/ilogin.h"
#include "iscsi/isess.h"

static void send_request(struct iscsi_iconn *conn)
{
    struct iscsi_isess *sess = conn->sess;
    struct iscsi_login_req r;

    ilogin_request(conn->login, &r);
    struct ictl *ctl = ictl_new(conn, (uint32_t)r.text_len);
    if (!ctl)
        return;
    const struct pdu_login_request q = {
        .transit = r.transit,
        .cont = r.cont,
        .csg = r.csg,
        .nsg = r.nsg,
        .isid = sess->cfg.isid,
        .tsih = conn->leading ? 0 : sess->tsih, /* 0: a new session, or the old one anew (6.3.5) */
        .cid = conn->cid,
    };
    pdu_login_request_encode(ctl->bhs, conn->login_itt, ctl->len, &q);
    if (r.text_len)
        memcpy(ctl->data, r.text, r.text_len);
    ictl_queue(conn, ctl);
}

void ilogin_pdu_begin(struct iscsi_iconn *conn)
{
    struct iscsi_isess *sess = conn->sess;

    if (conn->leading)
        isess_renumber(sess);
    conn->login_itt = isess_tag(sess, ISLOT_LOGIN);
    conn->login = ilogin_new(&sess->cfg, sess->a, conn->leading, sess->logins++);
    if (conn->login)
        send_request(conn);
    else
        iconn_fail(conn, USAN_ENOMEM, "out of memory for a login");
}

static void finished(struct iscsi_iconn *conn)
{
    struct iscsi_isess *sess = conn->sess;
    struct iscsi_params mine = conn->login->params;

    if (conn->leading)
        sess->params = mine;
    else
        iscsi_params_join(&mine, &sess->params);
    conn->params = mine;
    ilogin_free(conn->login);
    conn->login = NULL;
    iconn_step(conn, ISCSI_CONN_EV_LOGIN_OK);
    if (sess->state == ISCSI_SESS_FAILED && !conn->leading) { /* 6.3.6 */
        isess_step(sess, ISCSI_SESS_EV_CONTINUED);
        sess->stats.continued++;
    } else if (sess->state == ISCSI_SESS_FAILED) { /* the old session is gone for good, 6.3.5 */
        isess_step(sess, ISCSI_SESS_EV_REINSTATED);
    }
    isess_step(sess, ISCSI_SESS_EV_CONN_LOGGED_IN);
    /* Digests are in force from the first PDU after the final Login Response, 6.3. */
    conn->rx.header_digest = conn->tx.header_digest = mine.header_digest;
    conn->rx.data_digest = conn->tx.data_digest = mine.data_digest;
    conn->report_logged_in = conn->was_up = true;
    isess_start(sess);
}

/* 11.13.3: the session's handle comes with the last response of a leading login. */
static const char *check_tsih(const struct iscsi_iconn *conn, uint16_t tsih)
{
    if (conn->leading)
        return tsih ? NULL : "a session without a handle (TSIH 0)";
    return tsih == conn->sess->tsih ? NULL : "a Login Response of another session";
}

static void act_on(struct iscsi_iconn *conn, enum ilogin_result result, uint16_t tsih)
{
    const struct ilogin *login = conn->login;
    const char *why;
    switch (result) {
    case ILOGIN_SEND:
        send_request(conn);
        return;
    case ILOGIN_FINISHED:
        why = check_tsih(conn, tsih);
        if (why) {
            iconn_fail(conn, USAN_EPROTO, why);
            return;
        }
        conn->sess->tsih = tsih;
        finished(conn);
        return;
    case ILOGIN_REDIRECT:
        memcpy(conn->address, login->address, sizeof(conn->address));
        conn->permanent = login->permanent;
        conn->report_redirect = true;
        conn->close_status = login->status;
        iconn_step(conn, ISCSI_CONN_EV_LOGIN_FAILED);
        iconn_fail(conn, 0, iscsi_login_status_text(login->status));
        return;
    case ILOGIN_FAILED:
    default:
        conn->close_status = login->status;
        iconn_step(conn, ISCSI_CONN_EV_LOGIN_FAILED);
        iconn_fail_key(conn, login->err, login->why, login->key);
        return;
    }
}

void ilogin_pdu_response(struct iscsi_iconn *conn, const uint8_t *bhs, const uint8_t *text,
                         uint32_t len)
{
    const struct pdu_login_response r = pdu_login_response_decode(bhs);
    struct iscsi_login_rsp rsp = {
        .transit = r.transit,
        .cont = r.cont,
        .csg = r.csg,
        .nsg = r.nsg,
        .version_max = r.version_max,
        .version_active = r.version_active,
        .status = r.status,
        .text = text,
        .text_len = len,
    };
    if (bhs_itt(bhs) != conn->login_itt) {
        iconn_fail(conn, USAN_EPROTO, "a Login Response that was not asked for");
        return;
    }
    if (!r.status && memcmp(r.isid, conn->sess->cfg.isid, 6) != 0) {
        iconn_fail(conn, USAN_EPROTO, "a Login Response for another initiator session (ISID)");
        return;
    }
    /* Only a success says what the numbers are (11.13.4), and a login takes no more than one
     * command number's place. Before its last response a target need not know yet which session
     * the login is for. */
    bool last = r.transit && r.nsg == ILOGIN_FULL_FEATURE;
    if (!r.status && (conn->leading || last) && !isess_window(conn->sess, bhs, conn->now_ns)) {
        iconn_fail(conn, USAN_EPROTO, "the target acknowledges commands that were not sent");
        return;
    }
    act_on(conn, ilogin_response(conn->login, &rsp), r.tsih);
}
