/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Initiator against target: logins that fail or lead elsewhere, discovery. */
#include "ipair_load.h"

#include "base/bytes.h"

#include <stdlib.h>

/* ---- CHAP that fails ---- */

static void chap_fails(void **st)
{
    (void)st;
    const struct iscsi_iauth good = { .user = "joe",
                                      .secret = "initiator-secret",
                                      .target_user = "disk",
                                      .target_secret = "target-secret-01" };
    for (int how = 0; how < 6; how++) {
        static const struct {
            int err;
            uint16_t status;
            const char *why;
        } want[] = {
            { USAN_EAUTH, 0x0201, NULL },
            { USAN_EAUTH, 0, "the target's CHAP response is wrong" },
            { USAN_EAUTH, 0, "the target calls itself by another name" },
            { USAN_EAUTH, 0x0201, NULL },
            { USAN_EAUTH, 0, "the target takes none of our authentication methods" },
            { USAN_EAUTH, 0x0201, NULL },
        };
        struct pair *p = pair_new(4);
        p->icfg.auth = good;
        p->tauth = (struct iscsi_auth){ .required = true,
                                        .user = "joe",
                                        .secret = "initiator-secret",
                                        .target_user = "disk",
                                        .target_secret = "target-secret-01" };
        if (how == 0)
            p->tauth.secret = "another-secret";
        else if (how == 1)
            p->tauth.target_secret = "another-secret";
        else if (how == 2)
            p->tauth.target_user = "disc";
        else if (how == 3)
            p->tauth.target_secret = NULL; /* it has nothing to show */
        else if (how == 4)
            p->icfg.auth = (struct iscsi_iauth){ .secret = NULL };
        else
            p->tauth.user = "jim";
        struct pair_conn *c = pair_connect(p, 1);
        pair_run(p);
        assert_true(c->iclosed);
        assert_false(c->logged_in);
        assert_int_equal(c->ierr, want[how].err);
        if (how == 4) /* the target has its own word for it */
            assert_int_equal(c->status, 0x0201);
        else
            assert_int_equal(c->status, want[how].status);
        if (want[how].why && how != 4)
            assert_string_equal(c->iwhy, want[how].why);
        pair_free(p);
    }
}

static void optional_chap(void **st)
{
    (void)st;
    for (int wanted = 0; wanted < 2; wanted++) {
        struct pair *p = pair_new(5);
        p->icfg.auth =
            (struct iscsi_iauth){ .user = "joe", .secret = "initiator-secret", .optional = true };
        p->tauth =
            (struct iscsi_auth){ .required = wanted, .user = "joe", .secret = "initiator-secret" };
        pair_login(p);
        pair_free(p);
    }
}

/* ---- logins that lead elsewhere or nowhere ---- */

static void redirected(void **st)
{
    (void)st;
    for (int permanent = 0; permanent < 2; permanent++) {
        struct pair *p = pair_new(6);
        p->redirect = true;
        p->permanent = permanent;
        struct pair_conn *c = pair_connect(p, 1);
        pair_run(p);
        assert_int_equal(p->redirects, 1);
        assert_int_equal(p->permanent, permanent);
        assert_string_equal(p->address, "192.0.2.9:3261,4");
        assert_true(c->iclosed);
        assert_int_equal(c->ierr, 0);
        assert_int_equal(c->status, permanent ? 0x0102 : 0x0101);
        assert_int_equal(p->session_down, 0); /* there was none */
        pair_free(p);
    }
}

static void no_such_target(void **st)
{
    (void)st;
    struct pair *p = pair_new(7);
    p->icfg.target_name = "iqn.2026-01.test:other";
    struct pair_conn *c = pair_connect(p, 1);
    pair_run(p);
    assert_int_equal(c->ierr, USAN_ENOENT);
    assert_int_equal(c->status, 0x0203);
    assert_string_equal(c->iwhy, "login refused: no such target here");
    pair_free(p);
}

/* ---- discovery ---- */

static void discovery(void **st)
{
    (void)st;
    for (unsigned many = 0; many < 2; many++) {
        struct pair *p = pair_new(8 + many);
        struct pair_cmd cmd;
        uint8_t buf[512];
        p->icfg.discovery = true;
        p->icfg.target_name = NULL;
        p->icfg.params.max_recv_data_segment = 8192;
        p->targets = many ? PAIR_TARGETS : 2; /* many: over tens of Text Responses */
        p->max_piece = many ? 3000 : 11;
        pair_login(p);
        pair_rw(&cmd, false, 0, 1, buf, sizeof buf);
        assert_int_equal(iscsi_isess_submit(p->sess, &cmd.c), USAN_ENOTSUP);
        assert_int_equal(iscsi_iconn_send_targets(p->conn[0].i, "All", p->now_ns), 0);
        assert_int_equal(iscsi_iconn_send_targets(p->conn[0].i, "All", p->now_ns), USAN_EBUSY);
        pair_run(p);
        assert_int_equal(p->text_done, 1);
        assert_int_equal(p->text_err, 0);
        /* of three targets one has no address and two have two */
        assert_int_equal(p->target_events, many ? PAIR_TARGETS / 3 * 5 : 4);
        assert_string_equal(p->last_target,
                            many ? "iqn.2026-01.test:target2999" : "iqn.2026-01.test:target1");
        assert_string_equal(p->address, many ? "-" : "[2001:db8::1]:3260,2");
        pair_log_out(p);
        pair_free(p);
    }
}

static void renegotiate(void **st)
{
    (void)st;
    struct pair *p = pair_new(10);
    pair_login(p);
    assert_int_equal(iscsi_iconn_renegotiate(p->conn[0].i, 511, p->now_ns), USAN_EINVAL);
    assert_int_equal(iscsi_iconn_renegotiate(p->conn[0].i, 1024, p->now_ns), 0);
    pair_run(p);
    assert_int_equal(p->text_done, 1);
    assert_int_equal(p->text_err, 0);
    assert_int_equal(iscsi_tconn_params(p->conn[0].t)->tx_data_segment, 1024);
    assert_int_equal(iscsi_iconn_params(p->conn[0].i)->rx_data_segment, 1024);
    pair_load(p, 4);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chap_fails), cmocka_unit_test(optional_chap),
        cmocka_unit_test(redirected), cmocka_unit_test(no_such_target),
        cmocka_unit_test(discovery),  cmocka_unit_test(renegotiate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
