/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The arithmetic of CHAP (RFC 1994 as used by RFC 7143 12.1.3): hashes, challenges, responses.
 * Hashes come from libcrypto; one its providers refuse (MD5 under FIPS) counts as unsupported.
 */
#ifndef USAN_ISCSI_CHAP_H
#define USAN_ISCSI_CHAP_H

#include "base/err.h"
#include "iscsi/text.h"

#include <stdint.h>

/* Values of CHAP_A. X(enumerator, value, name in libcrypto, digest bytes) */
#define ISCSI_CHAP_LIST(X)                                                                         \
    X(MD5, 5, "MD5", 16)                                                                           \
    X(SHA1, 6, "SHA1", 20)                                                                         \
    X(SHA256, 7, "SHA256", 32)                                                                     \
    X(SHA3_256, 8, "SHA3-256", 32)

enum iscsi_chap_alg {
    ISCSI_CHAP_NONE = 0,
#define X(name, value, ...) ISCSI_CHAP_##name = value,
    ISCSI_CHAP_LIST(X)
#undef X
};

enum { ISCSI_CHAP_DIGEST_MAX = 32 };

/* Digest bytes of the algorithm; 0 for one we do not know. */
size_t iscsi_chap_digest_len(enum iscsi_chap_alg alg);
/* Known, and libcrypto can do it here. */
bool iscsi_chap_available(enum iscsi_chap_alg alg);
/* The first available one of a CHAP_A list, which is in the initiator's order of preference;
 * ISCSI_CHAP_NONE when there is none. */
enum iscsi_chap_alg iscsi_chap_choose(const char *list);

/*
 * A challenge of digest length and its identifier, from a seed nobody else knows and a number
 * that is used once with it. USAN_EIO when libcrypto fails.
 */
USAN_MUST_CHECK
int iscsi_chap_challenge(const uint8_t seed[32], uint32_t number, enum iscsi_chap_alg alg,
                         uint8_t ret_challenge[ISCSI_CHAP_DIGEST_MAX], uint8_t *ret_id);

/* The response to a challenge: digest of id, secret, challenge (RFC 1994 4.1). USAN_EIO when
 * libcrypto fails. The caller wipes what it no longer needs. */
USAN_MUST_CHECK
int iscsi_chap_respond(enum iscsi_chap_alg alg, uint8_t id, const char *secret,
                       const void *challenge, size_t challenge_len,
                       uint8_t ret_response[ISCSI_CHAP_DIGEST_MAX]);

/* Is response the right one? Takes the same time for every response of the right length.
 * USAN_EAUTH when not, USAN_EIO when libcrypto fails. */
USAN_MUST_CHECK
int iscsi_chap_verify(enum iscsi_chap_alg alg, uint8_t id, const char *secret,
                      const void *challenge, size_t challenge_len, const void *response,
                      size_t response_len);

#endif
