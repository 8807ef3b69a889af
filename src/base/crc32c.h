/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CRC32C (Castagnoli), the digest of iSCSI (RFC 7143 section 13.1), computed by ISA-L. */
#ifndef USAN_BASE_CRC32C_H
#define USAN_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Start value of a running digest. */
#define CRC32C_INIT 0xffffffffu

/* Continue a running digest over len bytes. */
uint32_t crc32c_update(uint32_t crc, const void *p, size_t len);

/* The finished digest; as little-endian bytes it is what stands on the wire. */
static inline uint32_t crc32c_final(uint32_t crc)
{
    return ~crc;
}

/* Digest of one piece. */
static inline uint32_t crc32c(const void *p, size_t len)
{
    return crc32c_final(crc32c_update(CRC32C_INIT, p, len));
}

#endif
