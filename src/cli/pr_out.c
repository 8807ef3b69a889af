/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/pr_out.h"

#include "base/bytes.h"
#include "base/crc32c.h"

#include <stdio.h>
#include <string.h>

enum { NAME_MAX_BYTES = 223, ISID_DIGITS = 12, ID_MIN_BYTES = 20 };

static const char separator[] = ",i,0x";

void pr_isid(const char *initiator, uint8_t ret_isid[6])
{
    uint32_t hash = crc32c(initiator, strlen(initiator));
    ret_isid[0] = 0x80;
    be24_put(ret_isid + 1, hash & 0xffffff);
    be16_put(ret_isid + 4, (uint16_t)(0x7072 ^ hash >> 24));
}

/* NAME[,i,0xISID] as iSCSI has it in a TransportID of format 01b (SPC-6 7.6.4.6). */
static int name_port(const char *text, char *buf, size_t cap, struct err_text *e)
{
    const char *sep = strstr(text, separator);
    size_t name = sep ? (size_t)(sep - text) : strlen(text);
    const char *digits = sep ? sep + sizeof(separator) - 1 : "";
    size_t n = strlen(digits);
    bool good = name && name <= NAME_MAX_BYTES && strcspn(text, ", \t\n") >= name &&
                (strncmp(text, "iqn.", 4) == 0 || strncmp(text, "eui.", 4) == 0 ||
                 strncmp(text, "naa.", 4) == 0);
    if (sep)
        good &= n && n <= ISID_DIGITS && strspn(digits, "0123456789abcdefABCDEF") == n;
    if (!good)
        return err_set(e, USAN_EINVAL,
                       "'%.80s' is no iSCSI initiator: use its name, or NAME,i,0xISID as show says",
                       text);
    if (sep) {
        (void)snprintf(buf, cap, "%s", text);
    } else {
        uint8_t isid[6];
        pr_isid(text, isid);
        (void)snprintf(buf, cap, "%s%s%02x%02x%02x%02x%02x%02x", text, separator, isid[0], isid[1],
                       isid[2], isid[3], isid[4], isid[5]);
    }
    return 0;
}

/* The string ends with a NUL and is padded to a multiple of four, at least 20. */
static int put_id(const char *text, uint8_t *p, size_t *ret_len, struct err_text *e)
{
    char port[PR_ID_BYTES] = "";
    int err = name_port(text, port, sizeof(port), e);
    if (err)
        return err;
    size_t len = (strlen(port) + 1 + 3) / 4 * 4;
    len = len < ID_MIN_BYTES ? ID_MIN_BYTES : len;
    memset(p, 0, 4 + len);
    p[0] = 0x45; /* format 01b, iSCSI */
    be16_put(p + 2, (uint16_t)len);
    memcpy(p + 4, port, strlen(port));
    *ret_len = 4 + len;
    return 0;
}

int pr_out_build(const struct pr_out_list *l, uint8_t ret_list[PR_OUT_BYTES], size_t *ret_len,
                 struct err_text *e)
{
    bool move = l->code == PR_REGISTER_AND_MOVE, spec_i_pt = !move && l->other_count;
    size_t at = PR_LIST_BYTES + (spec_i_pt ? 4 : 0), ids = at;
    if (l->other_count > PR_IDS_MAX)
        return err_set(e, USAN_ELIMIT, "at most %d initiators at a time", PR_IDS_MAX);
    memset(ret_list, 0, at);
    be64_put(ret_list, l->key);
    be64_put(ret_list + 8, l->service);
    for (size_t i = 0, n; i < l->other_count; i++, at += n) {
        int err = put_id(l->others[i], ret_list + at, &n, e);
        if (err)
            return err;
    }
    if (move) { /* SPC-6 6.17.4 */
        ret_list[17] = (uint8_t)((l->unregister ? 0x02 : 0) | (l->aptpl ? 0x01 : 0));
        be16_put(ret_list + 18, l->to_port);
        be32_put(ret_list + 20, (uint32_t)(at - ids));
    } else { /* SPC-6 6.17.3 */
        ret_list[20] =
            (uint8_t)((spec_i_pt ? 0x08 : 0) | (l->all_ports ? 0x04 : 0) | (l->aptpl ? 0x01 : 0));
        if (spec_i_pt)
            be32_put(ret_list + 24, (uint32_t)(at - ids));
    }
    *ret_len = at;
    return 0;
}
