/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The login phase of a connection: PDUs and events around the negotiation of login.c. */
#include "iscsi/tlogin.h"
#include "iscsi/keys.h"
#include "iscsi/tawait.h"
#include "iscsi/tctl.h"
#include "iscsi/tgap.h"
#include "iscsi/tjoin.h"
#include "iscsi/tsess.h"
#include "iscsi/ttask.h"

#include <assert.h>

static void login_done(struct iscsi_tconn *conn)
{
    struct iscsi_tsess *s = conn->sess;

    conn->params = *iscsi_login_params(conn->login);
    if (s->params_known)
        iscsi_params_join(&conn->params, &s->params);
    else
        s->params = conn->params;
    s->params_known = true;
    iscsi_login_free(conn->login);
    conn->login = NULL;
    tconn_event(conn, ISCSI_CONN_EV_LOGIN_OK);
    if (s->state != ISCSI_SESS_LOGGED_IN)
        tsess_event(s, s->state == ISCSI_SESS_IN_CONTINUE ? ISCSI_SESS_EV_CONTINUED
                                                          : ISCSI_SESS_EV_CONN_LOGGED_IN);
    /* Digests are in force from the first PDU after the final Login Response, 6.3. That one is on
     * the wire already. */
    conn->rx.header_digest = conn->tx.header_digest = conn->params.header_digest;
    conn->rx.data_digest = conn->tx.data_digest = conn->params.data_digest;
    conn->erl = conn->discovery ? 0 : conn->params.error_recovery_level;
    conn->acked_stat_sn = conn->seen_stat_sn = conn->stat_sn;
    tgap_joined(conn);
    if (conn->erl >= 2) /* so that a loss needs no memory; without it, that ends the tasks */
        conn->lost = alloc_zero(s->a, sizeof *conn->lost);
    tjoin_done(conn);
    conn->report_logged_in = true;
}

static void send_response(struct iscsi_tconn *conn)
{
    struct iscsi_login_rsp r;

    iscsi_login_response(conn->login, &r);
    struct tctl *ctl = tctl_new(conn, (uint32_t)r.text_len);
    if (!ctl)
        return;
    const struct pdu_login_response p = {
        .transit = r.transit,
        .cont = r.cont,
        .csg = r.csg,
        .nsg = r.nsg,
        .version_max = r.version_max,
        .version_active = r.version_active,
        .isid = conn->isid,
        .tsih = conn->sess && iscsi_login_finished(conn->login) ? conn->sess->tsih : conn->tsih,
        .status = r.status,
    };
    pdu_login_response_encode(ctl->bhs, conn->login_itt, ctl->len, &p);
    if (r.text_len)
        memcpy(ctl->data, r.text, r.text_len);
    if (r.status >> 8) {
        ctl->closes = true;
        conn->close_status = r.status >> 8 == 1 ? 0 : r.status;
        conn->close_err = r.status >> 8 == 1 ? 0 : USAN_EAUTH;
        conn->close_why = r.status >> 8 == 1 ? "login redirected" : "login refused";
        ctl->takes_stat_sn = false; /* 11.13.4: StatSN is not valid then */
        tconn_event(conn, ISCSI_CONN_EV_LOGIN_FAILED);
    }
    bool done = iscsi_login_finished(conn->login);
    tctl_queue(conn, ctl);
    ttask_fill_wire(conn);
    if (done && !conn->closing)
        login_done(conn);
}

static void act_on(struct iscsi_tconn *conn, enum iscsi_login_want want)
{
    if (want == ISCSI_LOGIN_WANT_RESPOND)
        send_response(conn);
    else
        conn->login_event = (int)want;
}

void tlogin_request(struct iscsi_tconn *conn, const uint8_t *bhs, const void *text, size_t len)
{
    const struct pdu_login_request q = pdu_login_request_decode(bhs);
    struct iscsi_login_req req = {
        .transit = q.transit,
        .cont = q.cont,
        .csg = q.csg,
        .nsg = q.nsg,
        .version_max = q.version_max,
        .version_min = q.version_min,
        .tsih = q.tsih,
        .cid = q.cid,
        .text = text,
        .text_len = len,
    };
    memcpy(req.isid, q.isid, sizeof req.isid);
    if (!conn->leading_cmd_sn_known) {
        conn->leading_cmd_sn_known = true;
        conn->first_cmd_sn = bhs_cmd_sn(bhs);
        conn->login_itt = bhs_itt(bhs);
        conn->cid = q.cid;
        conn->tsih = q.tsih;
        memcpy(conn->isid, q.isid, sizeof conn->isid);
        conn->stat_sn = bhs_exp_stat_sn(bhs); /* StatSN begins where the initiator expects it */
        tconn_event(conn, ISCSI_CONN_EV_LOGIN_STARTED);
    }
    /* "a sequence of Login Requests and Responses that carry the same Initiator Task Tag", 6.3; all
     * with the CmdSN that the first command will have, 11.12.8 */
    if (bhs_itt(bhs) != conn->login_itt || (!conn->tsih && bhs_cmd_sn(bhs) != conn->first_cmd_sn)) {
        tlogin_refuse(conn, ISCSI_LOGIN_INITIATOR_ERROR);
        return;
    }
    act_on(conn, iscsi_login_request(conn->login, &req));
}

void tlogin_refuse(struct iscsi_tconn *conn, enum iscsi_login_status status)
{
    act_on(conn, iscsi_login_reject(conn->login, (uint16_t)status));
}

bool tlogin_event(struct iscsi_tconn *conn, struct iscsi_event *ev)
{
    if (conn->bind_due) {
        conn->bind_due = false;
        act_on(conn, iscsi_login_bound(conn->login));
    }
    int want = conn->login_event;
    if (conn->report_logged_in) {
        conn->report_logged_in = false;
        ev->type = ISCSI_EV_LOGGED_IN;
        return true;
    }
    if (want < 0)
        return false;
    conn->login_event = -1;
    conn->login_waits = true;
    switch ((enum iscsi_login_want)want) {
    case ISCSI_LOGIN_WANT_TARGET:
        ev->type = ISCSI_EV_LOGIN_TARGET;
        break;
    case ISCSI_LOGIN_WANT_USER:
        ev->type = ISCSI_EV_LOGIN_USER;
        break;
    case ISCSI_LOGIN_WANT_BIND:
        ev->type = ISCSI_EV_LOGIN_BIND;
        break;
    case ISCSI_LOGIN_WANT_RESPOND:
    default:
        assert(0 && "a response is no event");
    }
    ev->initiator_name = iscsi_login_initiator_name(conn->login);
    ev->target_name = iscsi_login_target_name(conn->login);
    ev->user = iscsi_login_user(conn->login);
    ev->discovery = conn->discovery = iscsi_login_discovery(conn->login);
    ev->isid = conn->isid;
    ev->tsih = conn->tsih;
    ev->cid = conn->cid;
    return true;
}

void iscsi_tconn_login_accept(struct iscsi_tconn *conn, const struct iscsi_auth *auth,
                              const char *target_alias)
{
    if (!conn->login_waits || conn->closed)
        return;
    conn->login_waits = false;
    act_on(conn, iscsi_login_accept(conn->login, auth, target_alias));
}

void iscsi_tconn_login_secret(struct iscsi_tconn *conn, const struct iscsi_auth *auth)
{
    if (!conn->login_waits || conn->closed)
        return;
    conn->login_waits = false;
    act_on(conn, iscsi_login_secret(conn->login, auth));
}

void iscsi_tconn_login_redirect(struct iscsi_tconn *conn, const char *address, bool permanent)
{
    if (!conn->login_waits || conn->closed)
        return;
    conn->login_waits = false;
    act_on(conn, iscsi_login_redirect(conn->login, address, permanent));
}

void iscsi_tconn_login_reject(struct iscsi_tconn *conn, uint16_t status)
{
    if (!conn->login_waits || conn->closed)
        return;
    conn->login_waits = false;
    act_on(conn, iscsi_login_reject(conn->login, status));
}

void iscsi_tconn_bind(struct iscsi_tconn *conn, struct iscsi_tsess *sess)
{
    if (!conn->login_waits || conn->closed)
        return;
    conn->login_waits = false;
    uint16_t refused = tjoin_bind(conn, sess);
    if (refused)
        act_on(conn, iscsi_login_reject(conn->login, refused));
    else if (!tawait_bind(conn))
        act_on(conn, iscsi_login_bound(conn->login));
}
