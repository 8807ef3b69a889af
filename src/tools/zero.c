/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/zero.h"

#include <string.h>

bool zero_all(const uint8_t *p, size_t len)
{
    static const uint8_t zeroes[16];
    size_t head = len < sizeof(zeroes) ? len : sizeof(zeroes);
    /* Then each byte is compared with the one sixteen before it. */
    return memcmp(p, zeroes, head) == 0 && memcmp(p, p + head, len - head) == 0;
}

size_t zero_run(const uint8_t *p, size_t len, size_t unit, bool *ret_zero)
{
    if (!unit) {
        *ret_zero = false;
        return len;
    }
    size_t at = 0;
    bool zero = false;
    while (at < len) {
        size_t n = len - at < unit ? len - at : unit;
        bool z = zero_all(p + at, n);
        if (at && z != zero)
            break;
        zero = z;
        at += n;
    }
    *ret_zero = zero;
    return at;
}

size_t zero_differ(const uint8_t *a, const uint8_t *b, size_t len)
{
    size_t at = 0;
    while (at + 4096 <= len && memcmp(a + at, b + at, 4096) == 0)
        at += 4096;
    while (at < len && a[at] == b[at])
        at++;
    return at;
}
