/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The text format of login and text negotiation (RFC 7143 6.1): key=value pairs, each ended by a
 * NUL, and the encodings of values. Nothing here knows a key's meaning.
 */
#ifndef USAN_ISCSI_TEXT_H
#define USAN_ISCSI_TEXT_H

#include "base/bytes.h"
#include "base/err.h"

enum {
    ISCSI_KEY_NAME_MAX = 63,     /* RFC 7143 6.1, standard-label */
    ISCSI_VALUE_MAX = 255,       /* a simple value */
    ISCSI_VALUE_LONG_MAX = 8192, /* a list, or a large binary value in its encoded form */
    ISCSI_BINARY_MAX = 1024,     /* a large binary value, decoded */
};

/* One pair, pointing into the text that was parsed. value is NUL-terminated there, key is not. */
struct iscsi_pair {
    const char *key, *value;
    size_t key_len, value_len;
};

/*
 * The next pair at *pos (starts at 0), which moves behind it. Returns 1 and the pair, 0 at the
 * end of the text, USAN_EPROTO when the text is malformed: no NUL at the end, no "=", a key name
 * that is empty, too long or has characters other than letters, digits and .-+@_#, or a value
 * longer than ISCSI_VALUE_LONG_MAX. Surplus NULs are passed over.
 */
USAN_MUST_CHECK
int iscsi_text_next(const void *text, size_t len, size_t *pos, struct iscsi_pair *ret_pair);

bool iscsi_pair_is(const struct iscsi_pair *pair, const char *key);

/* numerical-value: decimal, or hexadecimal with 0x; below 2^64. USAN_EINVAL otherwise. */
USAN_MUST_CHECK
int iscsi_text_number(const char *value, uint64_t *ret_number);
/* boolean-value: "Yes" or "No". USAN_EINVAL otherwise. */
USAN_MUST_CHECK
int iscsi_text_bool(const char *value, bool *ret_bool);
/* binary-value: hexadecimal with 0x or base64 with 0b, into buf. USAN_EINVAL when it is neither
 * or empty, USAN_ERANGE when it is longer than cap. */
USAN_MUST_CHECK
int iscsi_text_binary(const char *value, void *buf, size_t cap, size_t *ret_len);

/*
 * Items of a comma-separated list: the next one at *list, which moves behind it; false at the
 * end. An empty list has one empty item, as an empty value has.
 */
bool iscsi_text_item(const char **list, const char **ret_item, size_t *ret_len);
/* The item is this word. */
bool iscsi_item_is(const char *item, size_t len, const char *word);

/* The decimal digits alone. */
void iscsi_text_decimal(struct wr *w, uint64_t number);
/* "key=value" and a NUL. Truncation shows in w. */
void iscsi_text_put(struct wr *w, const char *key, const char *value);
void iscsi_text_put_n(struct wr *w, const char *key, size_t key_len, const char *value);
void iscsi_text_put_number(struct wr *w, const char *key, uint64_t number);
/* As 0x and hexadecimal digits. */
void iscsi_text_put_binary(struct wr *w, const char *key, const void *bytes, size_t len);

#endif
