/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TransportIDs (SPC-6 7.6.4): reading them and telling whether two name the same port. */
#include "scsi/persist.h"

#include <string.h>

enum {
    TID_BYTES = 24,             /* every format but iSCSI's; also the shortest iSCSI one */
    TID_PROTOCOL_ISCSI = 0x05,  /* SPC-6 table "PROTOCOL IDENTIFIER values" */
    TID_FORMAT_ISCSI_PORT = 01, /* name and ISID */
    ISCSI_NAME_MAX = 223,       /* RFC 7143 4.2.7.1 */
    ISID_DIGITS = 12,           /* 6 bytes */
};

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static int hex_digit(uint8_t c)
{
    c = lower(c);
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Length of the name in front of ",i,0x", or of all when there is no such separator. */
static size_t name_length(const uint8_t *s, size_t len)
{
    static const char sep[] = ",i,0x";
    size_t n = sizeof(sep) - 1;
    for (size_t i = 0; i + n <= len; i++) {
        size_t j = 0;
        while (j < n && lower(s[i + j]) == (uint8_t)sep[j])
            j++;
        if (j == n)
            return i;
    }
    return len;
}

/* The part after ",i,0x" as a number; false if it is not 1 to 12 hexadecimal digits. */
static bool isid_parse(const uint8_t *s, size_t len, uint64_t *ret_isid)
{
    uint64_t v = 0;
    if (len == 0 || len > ISID_DIGITS)
        return false;
    for (size_t i = 0; i < len; i++) {
        int d = hex_digit(s[i]);
        if (d < 0)
            return false;
        v = v << 4 | (uint64_t)d;
    }
    *ret_isid = v;
    return true;
}

/* iSCSI: 4 bytes, then a NUL-terminated, NUL-padded string (SPC-6 7.6.4.6). */
static bool iscsi_canon(const uint8_t *p, size_t add_len, struct wr *w)
{
    const uint8_t *s = p + 4;
    const uint8_t *nul = memchr(s, 0, add_len);
    if (!nul)
        return false;
    size_t len = (size_t)(nul - s);
    size_t name = name_length(s, len);
    if (name == 0 || name > ISCSI_NAME_MAX)
        return false;
    bool port = p[0] >> 6 == TID_FORMAT_ISCSI_PORT;
    if (port == (name == len))
        return false; /* a port needs the ISID, a device must not have one */
    wr_bytes(w, (const uint8_t[]){ p[0], 0, 0, 0 }, 4);
    for (size_t i = 0; i < name; i++)
        wr_u8(w, lower(s[i]));
    if (port) {
        uint64_t isid;
        if (!isid_parse(s + name + 5, len - name - 5, &isid))
            return false;
        wr_bytes(w, ",i,0x", 5);
        for (unsigned d = ISID_DIGITS; d-- > 0;)
            wr_u8(w, (uint8_t) "0123456789abcdef"[isid >> (4 * d) & 0xf]);
    }
    wr_u8(w, 0);
    wr_zero(w, w->len < TID_BYTES ? TID_BYTES - w->len : (4 - w->len % 4) % 4);
    wr_patch_be16(w, 2, (uint16_t)(w->len - 4));
    return !wr_truncated(w);
}

size_t scsi_tid_parse(const uint8_t *p, size_t left, uint8_t ret_tid[static SCSI_TRANSPORT_ID_MAX],
                      uint16_t *ret_len)
{
    if (left < TID_BYTES)
        return 0;
    uint8_t tid[SCSI_TRANSPORT_ID_MAX] = { 0 };
    struct wr w = wr_init(tid, sizeof(tid));
    size_t used = TID_BYTES;
    if ((p[0] & 0x0f) == TID_PROTOCOL_ISCSI) {
        size_t add_len = be16_get(p + 2);
        /* SPC-6 7.6.4.6: at least 20 and a multiple of four */
        if (p[0] >> 6 > TID_FORMAT_ISCSI_PORT || add_len < 20 || add_len % 4 != 0 ||
            add_len > left - 4)
            return 0;
        used = 4 + add_len;
        if (!iscsi_canon(p, add_len, &w))
            return 0;
    } else {
        if (p[0] >> 6 != 0)
            return 0;
        wr_bytes(&w, p, TID_BYTES);
    }
    memcpy(ret_tid, tid, sizeof(tid));
    *ret_len = (uint16_t)w.len;
    return used;
}

uint16_t scsi_tid_of_nexus(const struct scsi_nexus *nexus,
                           uint8_t ret_tid[static SCSI_TRANSPORT_ID_MAX])
{
    uint16_t len;
    if (scsi_tid_parse(nexus->transport_id, nexus->transport_id_len, ret_tid, &len))
        return len;
    /* A transport whose IDs are not in SPC's form still has its ports told apart. */
    memset(ret_tid, 0, SCSI_TRANSPORT_ID_MAX);
    memcpy(ret_tid, nexus->transport_id, nexus->transport_id_len);
    return nexus->transport_id_len;
}

bool scsi_tid_is_device(const uint8_t *tid)
{
    return tid[0] == TID_PROTOCOL_ISCSI;
}

bool scsi_tid_port_of(const uint8_t *tid, const uint8_t *dev)
{
    if ((tid[0] & 0x0f) != TID_PROTOCOL_ISCSI || scsi_tid_is_device(tid))
        return false;
    size_t port_len = strlen((const char *)tid + 4), dev_len = strlen((const char *)dev + 4);
    return name_length(tid + 4, port_len) == dev_len && memcmp(tid + 4, dev + 4, dev_len) == 0;
}
