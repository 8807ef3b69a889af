/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/chap.h"

#include <assert.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

static const char *digest_name(enum iscsi_chap_alg alg)
{
    switch (alg) {
#define X(name, value, evp, len)                                                                   \
    case ISCSI_CHAP_##name:                                                                        \
        return evp;
        ISCSI_CHAP_LIST(X)
#undef X
    case ISCSI_CHAP_NONE:
    default:
        return NULL;
    }
}

size_t iscsi_chap_digest_len(enum iscsi_chap_alg alg)
{
    switch (alg) {
#define X(name, value, evp, len)                                                                   \
    case ISCSI_CHAP_##name:                                                                        \
        return len;
        ISCSI_CHAP_LIST(X)
#undef X
    case ISCSI_CHAP_NONE:
    default:
        return 0;
    }
}

bool iscsi_chap_available(enum iscsi_chap_alg alg)
{
    const char *name = digest_name(alg);
    EVP_MD *md = name ? EVP_MD_fetch(NULL, name, NULL) : NULL;
    EVP_MD_free(md);
    return md != NULL;
}

enum iscsi_chap_alg iscsi_chap_choose(const char *list)
{
    const char *item;
    size_t len;
    while (iscsi_text_item(&list, &item, &len)) {
        char word[4];
        uint64_t n;
        if (len >= sizeof(word))
            continue;
        memcpy(word, item, len);
        word[len] = '\0';
        if (!iscsi_text_number(word, &n) && n <= ISCSI_CHAP_SHA3_256 &&
            iscsi_chap_available((enum iscsi_chap_alg)n))
            return (enum iscsi_chap_alg)n;
    }
    return ISCSI_CHAP_NONE;
}

struct part {
    const void *p;
    size_t len;
};

/* Digest of three parts, one after the other. */
static int digest(const char *name, struct part a, struct part b, struct part c, uint8_t *ret)
{
    EVP_MD *md = EVP_MD_fetch(NULL, name, NULL);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = md && ctx && EVP_DigestInit_ex2(ctx, md, NULL) == 1 &&
              EVP_DigestUpdate(ctx, a.p, a.len) == 1 && EVP_DigestUpdate(ctx, b.p, b.len) == 1 &&
              EVP_DigestUpdate(ctx, c.p, c.len) == 1 && EVP_DigestFinal_ex(ctx, ret, NULL) == 1;
    EVP_MD_CTX_free(ctx); /* wipes its state */
    EVP_MD_free(md);
    return ok ? 0 : USAN_EIO;
}

int iscsi_chap_challenge(const uint8_t seed[32], uint32_t number, enum iscsi_chap_alg alg,
                         uint8_t ret_challenge[ISCSI_CHAP_DIGEST_MAX], uint8_t *ret_id)
{
    /* The seed goes through a one-way function: a challenge tells nothing about the seed, nor
     * about the identifier, which comes from another digest of it. */
    uint8_t count[4], hash[ISCSI_CHAP_DIGEST_MAX], id[ISCSI_CHAP_DIGEST_MAX];
    size_t len = iscsi_chap_digest_len(alg);
    assert(len > 0 && len <= sizeof(hash));
    be32_put(count, number);
    struct part s = { seed, 32 }, n = { count, sizeof(count) };
    int err = digest("SHA256", s, n, (struct part){ "challenge", 9 }, hash);
    if (!err)
        err = digest("SHA256", s, n, (struct part){ "identifier", 10 }, id);
    if (!err) {
        memcpy(ret_challenge, hash, len);
        *ret_id = id[0];
    }
    return err;
}

int iscsi_chap_respond(enum iscsi_chap_alg alg, uint8_t id, const char *secret,
                       const void *challenge, size_t challenge_len,
                       uint8_t ret_response[ISCSI_CHAP_DIGEST_MAX])
{
    const char *name = digest_name(alg);
    assert(name);
    return digest(name, (struct part){ &id, 1 }, (struct part){ secret, strlen(secret) },
                  (struct part){ challenge, challenge_len }, ret_response);
}

int iscsi_chap_verify(enum iscsi_chap_alg alg, uint8_t id, const char *secret,
                      const void *challenge, size_t challenge_len, const void *response,
                      size_t response_len)
{
    uint8_t want[ISCSI_CHAP_DIGEST_MAX];
    size_t len = iscsi_chap_digest_len(alg);
    int err = iscsi_chap_respond(alg, id, secret, challenge, challenge_len, want);
    if (!err && (response_len != len || CRYPTO_memcmp(want, response, len) != 0))
        err = USAN_EAUTH;
    OPENSSL_cleanse(want, sizeof(want));
    return err;
}
