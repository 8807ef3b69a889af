/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The login of an initiator with CHAP: known answers, targets that do it wrong, mutual. */
#include "ilogin_text.h"

#include "iscsi/chap.h"
#include "iscsi/text.h"

#include <stdio.h>
#include <string.h>

/* The challenges and responses of test_login_auth.c: made with Python's hashlib. */
#define CHALLENGE_16 "98ba80035d003440931a2b43a73537e0"
#define CHALLENGE_32 CHALLENGE_16 "a0a254db7d7f405de237721ae201d2b5"

static struct irig *chap_rig(bool mutual)
{
    struct irig *r = irig_new();
    r->cfg.auth = (struct iscsi_iauth){ .user = "joe", .secret = "initiator-secret" };
    if (mutual) {
        r->cfg.auth.target_secret = "target-secret-01";
        r->cfg.auth.target_user = "disk";
    }
    irig_connect(r);
    return r;
}

static void chap_known_answer(void **st)
{
    (void)st;
    static const struct {
        const char *challenge, *response;
    } cases[] = {
        { "CHAP_A=5|CHAP_I=142|CHAP_C=0x" CHALLENGE_16 "|",
          "CHAP_N=joe|CHAP_R=0x9b5eac9fabd18346bd67b1c12cbad739|" },
        { "CHAP_A=7|CHAP_I=142|CHAP_C=0x" CHALLENGE_32 "|",
          "CHAP_N=joe|CHAP_R="
          "0x4f3bafd53cc5d6b803d264aa1b760e7aefbe864198066c47c343c9bc2e687217|" },
        { "CHAP_A=8|CHAP_I=142|CHAP_C=0x" CHALLENGE_32 "|",
          "CHAP_N=joe|CHAP_R="
          "0x53c30ac12b484b7f45a32b3133dddfccc60c377cea416542ac9c4365aa4cfdb4|" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct irig *r = chap_rig(false);
        struct irig_pdu pdu = peek(r);
        expect_text(&pdu, FIRST "AuthMethod=CHAP|");
        assert_int_equal(pdu.bhs[1], 0); /* not ready to leave the stage */
        irig_login_rsp(r, 0, 0, "AuthMethod=CHAP|");
        pdu = peek(r);
        expect_text(&pdu, "CHAP_A=7,8,6,5|");
        irig_login_rsp(r, 0, 0, cases[i].challenge);
        pdu = peek(r);
        assert_int_equal(pdu.bhs[1], 0x81);
        expect_text(&pdu, cases[i].response);
        irig_login_rsp(r, 0x81, 0, "");
        irig_login_rsp(r, 0x87, 0, "");
        assert_true(r->logged_in);
        irig_free(r);
    }
}

static void chap_wrong(void **st)
{
    (void)st;
    static const struct {
        const char *rsp[2]; /* to AuthMethod, to CHAP_A */
        uint8_t flags;
        const char *why;
    } cases[] = {
        { { "AuthMethod=None|", NULL }, 0, "the target wants no authentication, we do" },
        { { "", NULL }, 0, "the target chose no authentication method" },
        { { "AuthMethod=KRB5|", NULL }, 0, "the target takes none of our authentication methods" },
        { { "AuthMethod=CHAP|", "CHAP_A=9|CHAP_I=1|CHAP_C=0x00|" },
          0,
          "the target chose a hash that was not offered" },
        { { "AuthMethod=CHAP|", "CHAP_A=5,6|CHAP_I=1|CHAP_C=0x00|" },
          0,
          "the target chose a hash that was not offered" },
        { { "AuthMethod=CHAP|", "CHAP_A=5|CHAP_C=0x00|" },
          0,
          "the CHAP challenge is not complete" },
        { { "AuthMethod=CHAP|", "CHAP_A=5|CHAP_I=1|" }, 0, "the CHAP challenge is not complete" },
        { { "AuthMethod=CHAP|", "CHAP_A=5|CHAP_I=256|CHAP_C=0x00|" },
          0,
          "a value of CHAP is malformed" },
        { { "AuthMethod=CHAP|", "CHAP_A=5|CHAP_I=1|CHAP_C=zz|" },
          0,
          "a value of CHAP is malformed" },
        { { "AuthMethod=CHAP|", "CHAP_N=a|CHAP_R=0x00|" },
          0,
          "a key of authentication out of its place" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct irig *r = chap_rig(false);
        irig_login_rsp(r, 0, 0, cases[i].rsp[0]);
        if (cases[i].rsp[1]) {
            assert_false(r->closed);
            irig_login_rsp(r, cases[i].flags, 0, cases[i].rsp[1]);
        }
        assert_true(r->closed);
        assert_int_equal(r->err, USAN_EAUTH);
        assert_string_equal(r->why, cases[i].why);
        irig_free(r);
    }
}

/* The value of a key in a request. */
static void value_of(const struct irig_pdu *pdu, const char *key, char *ret, size_t cap)
{
    struct iscsi_pair pair;
    size_t pos = 0;
    ret[0] = '\0';
    while (iscsi_text_next(pdu->data, pdu->data_len, &pos, &pair) > 0)
        if (iscsi_pair_is(&pair, key))
            (void)snprintf(ret, cap, "%s", pair.value);
}

static void mutual(void **st)
{
    (void)st;
    /* right; wrong secret; another name; no proof at all; our own answer sent back; one name only
     */
    static const char *const why[] = { NULL,
                                       "the target's CHAP response is wrong",
                                       "the target calls itself by another name",
                                       "the target did not prove who it is",
                                       "the target's CHAP response is wrong",
                                       "the target did not prove who it is" };
    for (int how = 0; how < 6; how++) {
        struct irig *r = chap_rig(true);
        char id[16], c[256], ours[256], text[512];
        uint8_t challenge[64], answer[ISCSI_CHAP_DIGEST_MAX];
        uint64_t n;
        size_t len;
        irig_login_rsp(r, 0, 0, "AuthMethod=CHAP|");
        irig_login_rsp(r, 0, 0, "CHAP_A=7|CHAP_I=142|CHAP_C=0x" CHALLENGE_32 "|");
        struct irig_pdu pdu = peek(r);
        value_of(&pdu, "CHAP_I", id, sizeof id);
        value_of(&pdu, "CHAP_C", c, sizeof c);
        value_of(&pdu, "CHAP_R", ours, sizeof ours);
        assert_int_equal(iscsi_text_number(id, &n), 0);
        assert_int_equal(iscsi_text_binary(c, challenge, sizeof challenge, &len), 0);
        assert_int_equal(len, 32);
        assert_int_equal(iscsi_chap_respond(ISCSI_CHAP_SHA256, (uint8_t)n,
                                            how == 1 ? "x" : "target-secret-01", challenge, len,
                                            answer),
                         0);
        struct wr w = wr_init(text, sizeof text);
        if (how != 3)
            iscsi_text_put(&w, "CHAP_N", how == 2 ? "disc" : "disk");
        if (how == 4)
            iscsi_text_put(&w, "CHAP_R", ours);
        else if (how != 3 && how != 5)
            iscsi_text_put_binary(&w, "CHAP_R", answer, 32);
        for (size_t i = 0; i < w.len; i++)
            if (!text[i])
                text[i] = '|';
        text[w.len] = '\0';
        irig_login_rsp(r, 0x81, 0, text);
        assert_int_equal(r->closed, why[how] != NULL);
        if (why[how]) {
            assert_string_equal(r->why, why[how]);
            assert_int_equal(r->err, USAN_EAUTH);
        }
        irig_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chap_known_answer),
        cmocka_unit_test(chap_wrong),
        cmocka_unit_test(mutual),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
