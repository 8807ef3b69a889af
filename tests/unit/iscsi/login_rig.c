/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login_rig.h"

#include "base/alloc_heap.h"

void rig_init(struct rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    rig->cfg = (struct iscsi_tconn_config){
        .params = {
            .max_recv_data_segment = 65536,
            .max_burst = 262144,
            .first_burst = 65536,
            .max_outstanding_r2t = 1,
            .max_connections = 1,
            .time2wait = 2,
            .time2retain = 20,
            .immediate_data = true,
            .data_pdu_in_order = true,
            .data_sequence_in_order = true,
            .header_digest = true,
            .data_digest = true,
        },
        .portal_group_tag = 3,
    };
    for (size_t i = 0; i < sizeof(rig->cfg.seed); i++)
        rig->cfg.seed[i] = (uint8_t)i;
    memcpy(rig->req.isid, "\x00\x02\x3d\x00\x00\x01", 6);
    rig->login = iscsi_login_new(&rig->cfg, &alloc_heap);
    assert_non_null(rig->login);
}

void rig_fini(struct rig *rig)
{
    iscsi_login_free(rig->login);
    rig->login = NULL;
}

static void copy_name(char *to, const char *from)
{
    (void)snprintf(to, 256, "%s", from ? from : "(none)");
}

/* The owner's side of one request. */
static void answer(struct rig *rig, enum iscsi_login_want want)
{
    struct iscsi_login *login = rig->login;
    while (want != ISCSI_LOGIN_WANT_RESPOND) {
        if (want == ISCSI_LOGIN_WANT_TARGET) {
            rig->asked_target++;
            copy_name(rig->initiator, iscsi_login_initiator_name(login));
            copy_name(rig->target, iscsi_login_target_name(login));
            rig->discovery = iscsi_login_discovery(login);
            want = rig->reject_target ? iscsi_login_reject(login, rig->reject_target)
                   : rig->redirect    ? iscsi_login_redirect(login, rig->redirect, rig->permanent)
                                      : iscsi_login_accept(login, &rig->auth, rig->alias);
        } else if (want == ISCSI_LOGIN_WANT_USER) {
            rig->asked_user++;
            copy_name(rig->user, iscsi_login_user(login));
            want = rig->reject_user ? iscsi_login_reject(login, rig->reject_user)
                                    : iscsi_login_secret(login, &rig->auth);
        } else {
            assert_int_equal(want, ISCSI_LOGIN_WANT_BIND);
            assert_false(iscsi_login_finished(login));
            rig->asked_bind++;
            want = rig->reject_bind ? iscsi_login_reject(login, rig->reject_bind)
                                    : iscsi_login_bound(login);
        }
    }
}

void rig_send_bytes(struct rig *rig, const char *head, const void *text, size_t len)
{
    struct iscsi_login_req req = rig->req;
    /* its own allocation, gone after the call: nothing may be kept of it */
    char *copy = test_malloc(len + 1);
    if (len)
        memcpy(copy, text, len);
    req.csg = (uint8_t)(head[0] - '0');
    req.transit = head[1] == '>';
    req.nsg = req.transit ? (uint8_t)(head[2] - '0') : 0;
    req.cont = head[1] == '+';
    req.text = copy;
    req.text_len = len;
    enum iscsi_login_want want = iscsi_login_request(rig->login, &req);
    memset(copy, 0x5a, len);
    test_free(copy);
    answer(rig, want);

    struct iscsi_login_rsp rsp;
    memset(&rsp, 0xee, sizeof(rsp));
    iscsi_login_response(rig->login, &rsp);
    assert_int_equal(rsp.version_max, 0);
    assert_int_equal(rsp.version_active, 0);
    assert_false(rsp.transit && rsp.cont); /* RFC 7143 11.13.2 */
    rig->status = rsp.status;
    rig->text_len = rsp.text_len;
    assert_true(rsp.text_len < sizeof(rig->text));
    for (size_t i = 0; i < rsp.text_len; i++) {
        char c = ((const char *)rsp.text)[i];
        rig->text[i] = c ? c : '|';
    }
    rig->text[rsp.text_len] = '\0';
    assert_int_equal(iscsi_login_finished(rig->login), !rsp.status && rsp.transit && rsp.nsg == 3);
    int n = snprintf(rig->head, sizeof(rig->head), "%u", rsp.csg);
    if (rsp.transit)
        n += snprintf(rig->head + n, sizeof(rig->head) - (size_t)n, ">%u", rsp.nsg);
    if (rsp.cont)
        n += snprintf(rig->head + n, sizeof(rig->head) - (size_t)n, "+");
    if (rsp.status)
        (void)snprintf(rig->head + n, sizeof(rig->head) - (size_t)n, " %04x", rsp.status);
}

void rig_send(struct rig *rig, const char *head, const char *text)
{
    char raw[4096];
    size_t len = strlen(text);
    assert_true(len <= sizeof(raw));
    for (size_t i = 0; i < len; i++)
        raw[i] = text[i] == '|' ? '\0' : text[i];
    rig_send_bytes(rig, head, raw, len);
}

void rig_step_at(struct rig *rig, const char *head, const char *text, const char *want_head,
                 const char *want_text, const char *file, int line)
{
    rig_send(rig, head, text);
    if (strcmp(rig->head, want_head) != 0 || strcmp(rig->text, want_text) != 0) {
        print_error("request  %s %s\nresponse %s %s\nexpected %s %s\n", head, text, rig->head,
                    rig->text, want_head, want_text);
        _fail(file, line);
    }
}

void rig_once_at(const char *head, const char *text, const char *want_head, const char *file,
                 int line)
{
    struct rig rig;
    rig_init(&rig);
    rig_send(&rig, head, text);
    if (strcmp(rig.head, want_head) != 0) {
        print_error("request  %s %s\nresponse %s %s\nexpected %s\n", head, text, rig.head, rig.text,
                    want_head);
        _fail(file, line);
    }
    rig_fini(&rig);
}
