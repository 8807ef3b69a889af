/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/crc32c.h"

#include <isa-l/crc.h>
#include <limits.h>

uint32_t crc32c_update(uint32_t crc, const void *p, size_t len)
{
    /* ISA-L takes a non-const pointer and an int length, yet only reads. */
    union {
        const void *in;
        unsigned char *out;
    } u = { .in = p };
    while (len > INT_MAX) {
        crc = crc32_iscsi(u.out, INT_MAX, crc);
        u.out += INT_MAX;
        len -= INT_MAX;
    }
    return crc32_iscsi(u.out, (int)len, crc);
}
