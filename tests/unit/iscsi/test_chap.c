/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Digests here were computed with another implementation (Python's hashlib). */
#include "iscsi/chap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct vector {
    enum iscsi_chap_alg alg;
    size_t len;
    const char *response, *challenge;
} vectors[] = {
    { ISCSI_CHAP_MD5, 16, "0x84dfe2350816ccd2b7ec4cd9eb26e04c",
      "0x98ba80035d003440931a2b43a73537e0" },
    { ISCSI_CHAP_SHA1, 20, "0x837e8e8a642b3de6c53226d31758bc566be775a8",
      "0x98ba80035d003440931a2b43a73537e0a0a254db" },
    { ISCSI_CHAP_SHA256, 32, "0xa053df373af72841056c966ce5a310b6842d20bed9523bab1ce91133059845f6",
      "0x98ba80035d003440931a2b43a73537e0a0a254db7d7f405de237721ae201d2b5" },
    { ISCSI_CHAP_SHA3_256, 32, "0xb451b09497d0eaa39e1ab2d164df3b2f7f04d613ba5e210273168cc4198def21",
      "0x98ba80035d003440931a2b43a73537e0a0a254db7d7f405de237721ae201d2b5" },
};
#define VECTORS (sizeof(vectors) / sizeof(vectors[0]))

static const char secret[] = "secret secret 16";
static const uint8_t challenge[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

static void responses(void **st)
{
    (void)st;
    for (size_t i = 0; i < VECTORS; i++) {
        uint8_t want[32], got[ISCSI_CHAP_DIGEST_MAX];
        size_t len;
        assert_int_equal(iscsi_text_binary(vectors[i].response, want, sizeof(want), &len), 0);
        assert_int_equal(len, vectors[i].len);
        assert_int_equal(iscsi_chap_digest_len(vectors[i].alg), len);
        assert_true(iscsi_chap_available(vectors[i].alg));
        assert_int_equal(iscsi_chap_respond(vectors[i].alg, 0x17, secret, challenge, 16, got), 0);
        assert_memory_equal(got, want, len);
    }
}

static void verify(void **st)
{
    (void)st;
    for (size_t i = 0; i < VECTORS; i++) {
        enum iscsi_chap_alg alg = vectors[i].alg;
        uint8_t r[33] = { 0 };
        size_t len;
        assert_int_equal(iscsi_text_binary(vectors[i].response, r, sizeof(r), &len), 0);
        assert_int_equal(iscsi_chap_verify(alg, 0x17, secret, challenge, 16, r, len), 0);
        assert_int_equal(iscsi_chap_verify(alg, 0x18, secret, challenge, 16, r, len), USAN_EAUTH);
        assert_int_equal(iscsi_chap_verify(alg, 0x17, "other", challenge, 16, r, len), USAN_EAUTH);
        assert_int_equal(iscsi_chap_verify(alg, 0x17, secret, challenge, 15, r, len), USAN_EAUTH);
        assert_int_equal(iscsi_chap_verify(alg, 0x17, secret, challenge, 16, r, len - 1),
                         USAN_EAUTH);
        assert_int_equal(iscsi_chap_verify(alg, 0x17, secret, challenge, 16, r, len + 1),
                         USAN_EAUTH);
        assert_int_equal(iscsi_chap_verify(alg, 0x17, secret, challenge, 16, r, 0), USAN_EAUTH);
        for (size_t byte = 0; byte < len; byte++) {
            r[byte] ^= 0x10;
            assert_int_equal(iscsi_chap_verify(alg, 0x17, secret, challenge, 16, r, len),
                             USAN_EAUTH);
            r[byte] ^= 0x10;
        }
    }
}

static void challenges(void **st)
{
    (void)st;
    uint8_t seed[32], want[32], got[ISCSI_CHAP_DIGEST_MAX], id;
    size_t len;
    for (size_t i = 0; i < sizeof(seed); i++)
        seed[i] = (uint8_t)i;
    for (size_t i = 0; i < VECTORS; i++) {
        assert_int_equal(iscsi_text_binary(vectors[i].challenge, want, sizeof(want), &len), 0);
        assert_int_equal(len, vectors[i].len);
        memset(got, 0, sizeof(got));
        assert_int_equal(iscsi_chap_challenge(seed, 0, vectors[i].alg, got, &id), 0);
        assert_memory_equal(got, want, len);
        assert_int_equal(id, 142);
    }
    /* another number, another challenge; another seed as well */
    assert_int_equal(iscsi_chap_challenge(seed, 1, ISCSI_CHAP_MD5, got, &id), 0);
    assert_memory_not_equal(got, want, 16);
    assert_int_equal(id, 116);
    seed[31] ^= 1;
    assert_int_equal(iscsi_chap_challenge(seed, 0, ISCSI_CHAP_MD5, got, &id), 0);
    assert_memory_not_equal(got, want, 16);
}

static void choice(void **st)
{
    (void)st;
    assert_int_equal(iscsi_chap_choose("5"), ISCSI_CHAP_MD5);
    assert_int_equal(iscsi_chap_choose("7,5"), ISCSI_CHAP_SHA256);
    assert_int_equal(iscsi_chap_choose("5,7"), ISCSI_CHAP_MD5);
    assert_int_equal(iscsi_chap_choose("9,128,0x8,6"), ISCSI_CHAP_SHA3_256);
    assert_int_equal(iscsi_chap_choose("foo,12345678,,6"), ISCSI_CHAP_SHA1);
    assert_int_equal(iscsi_chap_choose("0"), ISCSI_CHAP_NONE);
    assert_int_equal(iscsi_chap_choose("4,9"), ISCSI_CHAP_NONE);
    assert_int_equal(iscsi_chap_choose(""), ISCSI_CHAP_NONE);
    assert_int_equal(iscsi_chap_choose("261"), ISCSI_CHAP_NONE); /* 256 + 5 */
    assert_int_equal(iscsi_chap_digest_len((enum iscsi_chap_alg)4), 0);
    assert_false(iscsi_chap_available((enum iscsi_chap_alg)4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(responses),
        cmocka_unit_test(verify),
        cmocka_unit_test(challenges),
        cmocka_unit_test(choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
