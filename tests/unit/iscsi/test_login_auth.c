/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CHAP in the login (RFC 7143 12.1.3). Challenges follow from the seed 00 01 .. 1f, and responses
 * were computed with another implementation (Python's hashlib).
 */
#include "login_rig.h"

#define CHALLENGE_16 "98ba80035d003440931a2b43a73537e0"
#define CHALLENGE_20 CHALLENGE_16 "a0a254db"
#define CHALLENGE_32 CHALLENGE_20 "7d7f405de237721ae201d2b5"
#define PEER_C       "CHAP_I=66|CHAP_C=0xa0a1a2a3a4a5a6a7a8a9aaabacadaeaf|"

static const struct hash {
    const char *alg, *challenge;
    const char *right, *base64; /* of "initiator-secret" */
    const char *wrong, *empty;  /* of "initiator-secreT" and of no secret */
    const char *target;         /* of "target-secret-01", PEER_C */
} hashes[] = {
    { "5", CHALLENGE_16, "9b5eac9fabd18346bd67b1c12cbad739",
      "m16sn6vRg0a9Z7HBLLrXOQ==", "f29cf7cb0e68d3e788d19322e2492eb5",
      "b87c537fe738e9cc125a288d2c999fe6", "8ff33b2ae29dde1aa048f4353dcbafbd" },
    { "6", CHALLENGE_20, "a8a4858fefcd6cd7f061b7ee3a00f6d9f9b745f6",
      "qKSFj+/NbNfwYbfuOgD22fm3RfY=", "926ce7ced24f42ccb834be7eb08ecfaf646ab642",
      "5d7e460677e8495509fa03ecdea4fa19b742aca1", "30971b851c5e3e0beaca3b60ce622d2ac50c8d71" },
    { "7", CHALLENGE_32, "4f3bafd53cc5d6b803d264aa1b760e7aefbe864198066c47c343c9bc2e687217",
      "Tzuv1TzF1rgD0mSqG3YOeu++hkGYBmxHw0PJvC5ochc=",
      "e3ef05e8c81b2301fef540735300a6232ce9eda16d6dd72e9cc2330f14386873",
      "41c00efcefb10a85c7ec1a521a4ba779b6d3d605734cea0e5b03d3dda55961c2",
      "aec730cf62c4ccc0fa544fce63963a2c42512ab9c60c73e8add4eae5b90539bc" },
    { "8", CHALLENGE_32, "53c30ac12b484b7f45a32b3133dddfccc60c377cea416542ac9c4365aa4cfdb4",
      "U8MKwStIS39FoysxM93fzMYMN3zqQWVCrJxDZapM/bQ=",
      "1ecdcc7f86cc22ac8fe8eae5b21d7115249fc9b4699af552a18698ca0045dd25",
      "9be026eb85f6dd441824f9542174c36516415ae1809c49a41e41a49f1b8a828b",
      "c2cb86657ecb86409ebaced0e30e71b3a3a194a482a3848f5db17152e8b34a6c" },
};
#define HASHES (sizeof(hashes) / sizeof(hashes[0]))

static void chap_rig(struct rig *r)
{
    rig_init(r);
    r->auth = (struct iscsi_auth){ .required = true,
                                   .user = "joe",
                                   .secret = "initiator-secret",
                                   .target_user = "disk",
                                   .target_secret = "target-secret-01" };
}

/* Up to the challenge. */
static void to_challenge(struct rig *r, const struct hash *h)
{
    char text[64], want[256];
    chap_rig(r);
    rig_step(r, "0>1", NAMES "AuthMethod=CHAP,None|", "0", TPGT "AuthMethod=CHAP|");
    (void)snprintf(text, sizeof(text), "CHAP_A=%s|", h->alg);
    (void)snprintf(want, sizeof(want), "CHAP_A=%s|CHAP_I=142|CHAP_C=0x%s|", h->alg, h->challenge);
    rig_step(r, "0", text, "0", want);
    assert_int_equal(r->asked_user, 0);
}

static void one_way(void **st)
{
    (void)st;
    for (size_t i = 0; i < HASHES; i++) {
        for (int base64 = 0; base64 < 2; base64++) {
            struct rig r;
            char text[256];
            to_challenge(&r, &hashes[i]);
            (void)snprintf(text, sizeof(text), "CHAP_N=joe|CHAP_R=0%c%s|", base64 ? 'b' : 'x',
                           base64 ? hashes[i].base64 : hashes[i].right);
            rig_step(&r, "0>1", text, "0>1", "");
            assert_string_equal(r.user, "joe");
            assert_int_equal(r.asked_user, 1);
            rig_step(&r, "1>3", "", "1>3", MRDSL);
            assert_true(iscsi_login_finished(r.login));
            rig_fini(&r);
        }
    }
}

static void mutual(void **st)
{
    (void)st;
    for (size_t i = 0; i < HASHES; i++) {
        struct rig r;
        char text[256], want[256];
        to_challenge(&r, &hashes[i]);
        (void)snprintf(text, sizeof(text), "CHAP_N=joe|CHAP_R=0x%s|" PEER_C, hashes[i].right);
        (void)snprintf(want, sizeof(want), "CHAP_N=disk|CHAP_R=0x%s|", hashes[i].target);
        rig_step(&r, "0>3", text, "0>3", want);
        assert_true(iscsi_login_finished(r.login));
        rig_fini(&r);
    }
}

/* Without T the stage goes on until the initiator ends it. */
static void stays_in_stage(void **st)
{
    (void)st;
    struct rig r;
    char text[256];
    to_challenge(&r, &hashes[2]);
    rig_step(&r, "0", "", "0", "");
    (void)snprintf(text, sizeof(text), "CHAP_R=0x%s|CHAP_N=joe|", hashes[2].right);
    rig_step(&r, "0", text, "0", "");
    rig_step(&r, "0>1", "", "0>1", "");
    rig_fini(&r);
}

static void refused(const struct hash *h, const char *text)
{
    struct rig r;
    to_challenge(&r, h);
    rig_step(&r, "0>1", text, "0 0201", "");
    assert_false(iscsi_login_finished(r.login));
    rig_fini(&r);
}

static void wrong_response(void **st)
{
    (void)st;
    char text[256];
    for (size_t i = 0; i < HASHES; i++) {
        const struct hash *h = &hashes[i];
        (void)snprintf(text, sizeof(text), "CHAP_N=joe|CHAP_R=0x%s|", h->wrong);
        refused(h, text);
        /* right, but for another hash, too short, too long */
        (void)snprintf(text, sizeof(text), "CHAP_N=joe|CHAP_R=0x%s|", hashes[(i + 1) % 4].right);
        refused(h, text);
        (void)snprintf(text, sizeof(text), "CHAP_N=joe|CHAP_R=0x%.*s|", (int)strlen(h->right) - 2,
                       h->right);
        refused(h, text);
        (void)snprintf(text, sizeof(text), "CHAP_N=joe|CHAP_R=0x%s00|", h->right);
        refused(h, text);
    }
    refused(&hashes[0], "CHAP_N=joe|CHAP_R=|");
    refused(&hashes[0], "CHAP_N=joe|CHAP_R=0x|");
    refused(&hashes[0], "CHAP_N=joe|CHAP_R=zz|");
    refused(&hashes[0], "CHAP_N=joe|CHAP_R=0b!|");
}

/* A user the owner does not know fails, also with the response to an empty secret. */
static void unknown_user(void **st)
{
    (void)st;
    for (size_t i = 0; i < HASHES; i++) {
        struct rig r;
        char text[256];
        to_challenge(&r, &hashes[i]);
        r.auth.secret = NULL;
        (void)snprintf(text, sizeof(text), "CHAP_N=joe|CHAP_R=0x%s|", hashes[i].empty);
        rig_step(&r, "0>1", text, "0 0201", "");
        assert_int_equal(r.asked_user, 1);
        rig_fini(&r);
        to_challenge(&r, &hashes[i]);
        (void)snprintf(text, sizeof(text), "CHAP_N=jim|CHAP_R=0x%s|", hashes[i].right);
        rig_step(&r, "0>1", text, "0 0201", "");
        assert_string_equal(r.user, "jim");
        rig_fini(&r);
    }
    struct rig r;
    to_challenge(&r, &hashes[0]);
    r.reject_user = 0x0202;
    rig_step(&r, "0>1", "CHAP_N=joe|CHAP_R=0x9b5eac9fabd18346bd67b1c12cbad739|", "0 0202", "");
    rig_fini(&r);
}

/* Our own challenge sent back would make us the calculator of the right answer to it. */
static void reflection(void **st)
{
    (void)st;
    for (size_t i = 0; i < HASHES; i++) {
        struct rig r;
        char text[256];
        (void)snprintf(text, sizeof(text), "CHAP_N=joe|CHAP_R=0x%s|CHAP_I=142|CHAP_C=0x%s|",
                       hashes[i].right, hashes[i].challenge);
        to_challenge(&r, &hashes[i]);
        rig_step(&r, "0>1", text, "0 0201", "");
        assert_int_equal(r.asked_user, 0);
        rig_fini(&r);
        /* one digit less is another challenge */
        (void)snprintf(text, sizeof(text), "CHAP_N=joe|CHAP_R=0x%s|CHAP_I=142|CHAP_C=0x%.*s|",
                       hashes[i].right, (int)strlen(hashes[i].challenge) - 2, hashes[i].challenge);
        to_challenge(&r, &hashes[i]);
        rig_send(&r, "0>1", text);
        assert_string_equal(r.head, "0>1");
        rig_fini(&r);
    }
}

static void incomplete_answers(void **st)
{
    (void)st;
#define R "CHAP_R=0x9b5eac9fabd18346bd67b1c12cbad739|"
    refused(&hashes[0], "CHAP_N=joe|");
    refused(&hashes[0], R);
    refused(&hashes[0], PEER_C);
    refused(&hashes[0], "");
    refused(&hashes[0], "CHAP_N=|" R);
    refused(&hashes[0], "CHAP_N=joe|" R "CHAP_I=1|");
    refused(&hashes[0], "CHAP_N=joe|" R "CHAP_C=0x1234|");
    refused(&hashes[0], "CHAP_N=joe|" R "CHAP_I=256|CHAP_C=0x1234|");
    refused(&hashes[0], "CHAP_N=joe|" R "CHAP_I=x|CHAP_C=0x1234|");
    refused(&hashes[0], "CHAP_N=joe|" R "CHAP_I=1|CHAP_C=0x|");
    /* mutual, and the target has no secret of its own */
    struct rig r;
    to_challenge(&r, &hashes[0]);
    r.auth.target_secret = NULL;
    rig_step(&r, "0>1", "CHAP_N=joe|" R PEER_C, "0 0201", "");
    rig_fini(&r);
    /* 12.1.3: a challenge has at most 1024 bytes */
    for (size_t bytes = 1024; bytes <= 1025; bytes++) {
        char text[4096];
        size_t n = (size_t)snprintf(text, sizeof(text), "CHAP_N=joe|" R "CHAP_I=1|CHAP_C=0x");
        memset(text + n, 'a', 2 * bytes);
        memcpy(text + n + 2 * bytes, "|", 2);
        to_challenge(&r, &hashes[0]);
        rig_send(&r, "0>1", text);
        assert_string_equal(r.head, bytes == 1024 ? "0>1" : "0 0201");
        rig_fini(&r);
    }
    /* a name has at most 255 bytes */
    for (int bytes = 255; bytes <= 256; bytes++) {
        char text[512], name[257];
        memset(name, 'j', sizeof(name));
        name[bytes] = '\0';
        (void)snprintf(text, sizeof(text), "CHAP_N=%s|" R, name);
        to_challenge(&r, &hashes[0]);
        r.auth.user = NULL;
        rig_step(&r, "0>1", text, bytes == 255 ? "0>1" : "0 0201", "");
        if (bytes == 255)
            assert_string_equal(r.user, name);
        rig_fini(&r);
    }
#undef R
}

static void once(const char *text, bool required, const char *want_head, const char *want_text)
{
    struct rig r;
    rig_init(&r);
    r.auth.required = required;
    rig_step(&r, "0>1", text, want_head, want_text);
    rig_fini(&r);
}

static void methods(void **st)
{
    (void)st;
    once(NAMES "AuthMethod=None,CHAP|", true, "0", TPGT "AuthMethod=CHAP|");
    once(NAMES "AuthMethod=KRB5,SRP,CHAP|", true, "0", TPGT "AuthMethod=CHAP|");
    once(NAMES "AuthMethod=None|", true, "0 0201", "");
    once(NAMES "AuthMethod=KRB5|", true, "0 0201", "");
    once(NAMES "AuthMethod=|", true, "0 0201", "");
    once(NAMES, true, "0 0201", "");
    once(NAMES "AuthMethod=CHAP,None|", false, "0>1", TPGT "AuthMethod=None|");
    once(NAMES "AuthMethod=CHAP|", false, "0 0201", "");
    once(NAMES, false, "0>1", TPGT);
}

static void steps_out_of_order(void **st)
{
    (void)st;
    struct rig r;
    once(NAMES "CHAP_A=5|", true, "0 0201", "");
    once(NAMES "CHAP_N=joe|CHAP_R=0x00|", true, "0 0201", "");
    once(NAMES "AuthMethod=CHAP|CHAP_A=5|", true, "0 0201", "");
    once(NAMES "AuthMethod=None|CHAP_A=5|", false, "0 0201", "");
    once(NAMES "CHAP_A=5|", false, "0 0201", "");
    /* the same request with CHAP_A and the answer to a challenge it cannot know */
    chap_rig(&r);
    rig_step(&r, "0", NAMES "AuthMethod=CHAP|", "0", TPGT "AuthMethod=CHAP|");
    rig_step(&r, "0", "CHAP_A=5|CHAP_N=joe|CHAP_R=0x00|", "0 0201", "");
    rig_fini(&r);
    /* leaving before it is done */
    chap_rig(&r);
    rig_step(&r, "0", NAMES "AuthMethod=CHAP|", "0", TPGT "AuthMethod=CHAP|");
    rig_step(&r, "0>1", "", "0 0201", "");
    rig_fini(&r);
    /* T with CHAP_A is no error, just not granted */
    chap_rig(&r);
    rig_step(&r, "0>1", NAMES "AuthMethod=CHAP|", "0", TPGT "AuthMethod=CHAP|");
    rig_step(&r, "0>1", "CHAP_A=9,5|", "0", "CHAP_A=5|CHAP_I=142|CHAP_C=0x" CHALLENGE_16 "|");
    rig_fini(&r);
    /* no common hash; a second try */
    chap_rig(&r);
    rig_step(&r, "0", NAMES "AuthMethod=CHAP|", "0", TPGT "AuthMethod=CHAP|");
    rig_step(&r, "0", "CHAP_A=9|", "0 0201", "");
    rig_fini(&r);
    to_challenge(&r, &hashes[0]);
    rig_step(&r, "0", "CHAP_A=5|", "0 0200", ""); /* nothing twice */
    rig_fini(&r);
    /* to the operational stage by force */
    to_challenge(&r, &hashes[0]);
    rig_step(&r, "1>3", "", "1 0200", "");
    rig_fini(&r);
}

/* The first acceptable hash of the initiator's list. */
static void hash_preference(void **st)
{
    (void)st;
    struct rig r;
    chap_rig(&r);
    rig_step(&r, "0", NAMES "AuthMethod=CHAP|", "0", TPGT "AuthMethod=CHAP|");
    rig_step(&r, "0", "CHAP_A=7,5|", "0", "CHAP_A=7|CHAP_I=142|CHAP_C=0x" CHALLENGE_32 "|");
    rig_fini(&r);
}

static void discovery(void **st)
{
    (void)st;
    struct rig r;
    chap_rig(&r);
    rig_step(&r, "0>3",
             "InitiatorName=iqn.2001-04.com.example:i|SessionType=Discovery|AuthMethod=CHAP|", "0",
             "AuthMethod=CHAP|");
    rig_step(&r, "0>3", "CHAP_A=5|", "0", "CHAP_A=5|CHAP_I=142|CHAP_C=0x" CHALLENGE_16 "|");
    rig_step(&r, "0>3", "CHAP_N=joe|CHAP_R=0x9b5eac9fabd18346bd67b1c12cbad739|", "0>3", "");
    assert_true(iscsi_login_finished(r.login));
    rig_fini(&r);
}

/* Where authentication is optional the initiator's order decides: the first method it lists. */
static void optional(void **st)
{
    (void)st;
    static const struct {
        const char *offer, *answer;
    } cases[] = {
        { "CHAP", "CHAP" },
        { "CHAP,None", "CHAP" },
        { "None,CHAP", "None" },
        { "None", "None" },
        { "KRB5,CHAP", "CHAP" },
        { "KRB5,None,CHAP", "None" },
        { "X-com.example,None", "None" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rig r;
        char text[256], want[128];
        bool chap = strcmp(cases[i].answer, "CHAP") == 0;
        chap_rig(&r);
        r.auth.required = false;
        r.auth.optional = true;
        (void)snprintf(text, sizeof(text), NAMES "AuthMethod=%s|", cases[i].offer);
        (void)snprintf(want, sizeof(want), TPGT "AuthMethod=%s|", cases[i].answer);
        rig_step(&r, "0>1", text, chap ? "0" : "0>1", want);
        if (chap) {
            rig_step(&r, "0", "CHAP_A=5|", "0", "CHAP_A=5|CHAP_I=142|CHAP_C=0x" CHALLENGE_16 "|");
            rig_step(&r, "0>1", "CHAP_N=joe|CHAP_R=0x9b5eac9fabd18346bd67b1c12cbad739|", "0>1", "");
        }
        rig_step(&r, "1>3", "", "1>3", MRDSL);
        assert_true(iscsi_login_finished(r.login));
        rig_fini(&r);
    }
}

/* Once CHAP is begun it has to be ended well, optional or not. */
static void optional_but_wrong(void **st)
{
    (void)st;
    static const char *const ends[] = {
        "CHAP_N=joe|CHAP_R=0xf29cf7cb0e68d3e788d19322e2492eb5|", /* of another secret */
        "",                                                      /* leaves without an answer */
    };
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        struct rig r;
        chap_rig(&r);
        r.auth.required = false;
        r.auth.optional = true;
        rig_step(&r, "0>1", NAMES "AuthMethod=CHAP|", "0", TPGT "AuthMethod=CHAP|");
        rig_step(&r, "0", "CHAP_A=5|", "0", "CHAP_A=5|CHAP_I=142|CHAP_C=0x" CHALLENGE_16 "|");
        rig_step(&r, "0>1", ends[i], "0 0201", "");
        rig_fini(&r);
    }
    struct rig r; /* neither required nor optional: there is nothing to check against */
    chap_rig(&r);
    r.auth.required = false;
    rig_step(&r, "0>1", NAMES "AuthMethod=CHAP|", "0 0201", "");
    rig_fini(&r);
}

/* A base64 challenge across request PDUs, for the split of texts meets CHAP too. */
static void split_answer(void **st)
{
    (void)st;
    static const char text[] = "CHAP_N=joe\0CHAP_R=0bm16sn6vRg0a9Z7HBLLrXOQ==";
    for (size_t cut = 0; cut <= sizeof(text); cut++) {
        struct rig r;
        to_challenge(&r, &hashes[0]);
        rig_send_bytes(&r, "0+", text, cut);
        assert_string_equal(r.head, "0");
        assert_int_equal(r.asked_user, 0);
        rig_send_bytes(&r, "0>1", text + cut, sizeof(text) - cut);
        assert_string_equal(r.head, "0>1");
        rig_fini(&r);
    }
}

/* Another seed, another challenge. */
static void challenge_depends_on_seed(void **st)
{
    (void)st;
    struct rig r;
    chap_rig(&r);
    r.cfg.seed[0] = 1;
    rig_step(&r, "0", NAMES "AuthMethod=CHAP|", "0", TPGT "AuthMethod=CHAP|");
    rig_send(&r, "0", "CHAP_A=5|");
    assert_string_equal(r.head, "0");
    assert_null(strstr(r.text, CHALLENGE_16));
    assert_non_null(strstr(r.text, "|CHAP_C=0x"));
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_way),
        cmocka_unit_test(mutual),
        cmocka_unit_test(stays_in_stage),
        cmocka_unit_test(wrong_response),
        cmocka_unit_test(unknown_user),
        cmocka_unit_test(reflection),
        cmocka_unit_test(incomplete_answers),
        cmocka_unit_test(methods),
        cmocka_unit_test(steps_out_of_order),
        cmocka_unit_test(hash_preference),
        cmocka_unit_test(discovery),
        cmocka_unit_test(optional),
        cmocka_unit_test(optional_but_wrong),
        cmocka_unit_test(split_answer),
        cmocka_unit_test(challenge_depends_on_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
