/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/probe.h"

#include "base/bytes.h"
#include "initiator/opcodes.h"
#include "initiator/status.h"
#include "scsi/lun.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *ini_type_name(uint8_t type)
{
    static const char *const names[32] = {
        [0x00] = "disk",
        [0x01] = "tape",
        [0x03] = "processor",
        [0x04] = "write-once",
        [0x05] = "cd",
        [0x07] = "optical",
        [0x08] = "media changer",
        [0x0c] = "array controller",
        [0x0d] = "enclosure",
        [0x0e] = "simplified disk",
        [0x11] = "object store",
        [0x14] = "zoned disk",
        [0x1e] = "well-known unit",
        [0x1f] = "nothing",
    };
    const char *name = names[type & 0x1f];
    return name ? name : "device of another type";
}

/* A field of n bytes without the blanks at its end; what is not printable becomes '?'. */
static void copy_ascii(char *to, const uint8_t *from, size_t n)
{
    while (n && (from[n - 1] == ' ' || from[n - 1] == 0))
        n--;
    for (size_t i = 0; i < n; i++)
        to[i] = from[i] >= ' ' && from[i] < 0x7f ? (char)from[i] : '?';
    to[n] = '\0';
}

/* ---- INQUIRY ---- */

static int inquiry(struct ini_sync *sync, uint16_t lun, bool evpd, uint8_t page, uint8_t *data,
                   uint32_t len, uint32_t *ret_got, struct err_text *e)
{
    char what[32];
    uint8_t cdb[6] = { INI_OP_INQUIRY, evpd, page, (uint8_t)(len >> 8), (uint8_t)len, 0 };
    memset(data, 0, len);
    (void)snprintf(what, sizeof(what), evpd ? "INQUIRY, page %02xh" : "INQUIRY", page);
    return ini_sync_ask(sync, lun, cdb, sizeof(cdb), data, len, ret_got, what, e);
}

int ini_probe_identity(struct ini_sync *sync, uint16_t lun, struct ini_identity *ret_identity,
                       struct err_text *e)
{
    uint8_t d[255];
    uint32_t got;
    /* Old units answer more than 36 bytes badly, but this is iSCSI, and they are not that old. */
    int err = inquiry(sync, lun, false, 0, d, sizeof(d), &got, e);
    if (err)
        return err == USAN_ECLOSED ? USAN_ENOENT : err;
    if (got < 36)
        return err_set(e, USAN_EPROTO, "LUN %u: INQUIRY: %u bytes instead of 36", lun, got);
    struct ini_identity id = {
        .qualifier = d[0] >> 5, .type = d[0] & 0x1f, .removable = d[1] & 0x80, .version = d[2]
    };
    copy_ascii(id.vendor, d + 8, 8);
    copy_ascii(id.product, d + 16, 16);
    copy_ascii(id.revision, d + 32, 4);
    if (id.qualifier != 0) /* 001b: might be connected; 011b: never, SPC-6 table 149 */
        return err_set(e, USAN_ENOENT, "LUN %u: the target has no such unit", lun);
    *ret_identity = id;
    return 0;
}

int ini_probe_vpd(struct ini_sync *sync, uint16_t lun, uint8_t page,
                  uint8_t ret_data[INI_INQUIRY_MAX], uint32_t *ret_len, struct err_text *e)
{
    uint32_t got;
    int err = inquiry(sync, lun, true, page, ret_data, INI_INQUIRY_MAX, &got, e);
    if (err)
        return err;
    if (got < 4 || ret_data[1] != page)
        return err_set(e, USAN_EPROTO, "LUN %u: VPD page %02xh: the answer is another page", lun,
                       page);
    uint32_t len = be16_get(ret_data + 2) + 4u;
    *ret_len = len < got ? len : got;
    return 0;
}

/* ---- a disk ---- */

static void use_serial(struct ini_disk_info *info, const uint8_t *p, uint32_t len)
{
    uint32_t n = len - 4;
    const uint8_t *s = p + 4;
    for (; n && *s == ' '; n--)
        s++;
    copy_ascii(info->serial, s, n < INI_SERIAL_MAX ? n : INI_SERIAL_MAX);
}

static const struct {
    uint8_t type;
    const char *prefix;
} designators[] = { { 3, "naa." }, { 2, "eui." }, { 1, "t10." } };

enum { DESIGNATORS = 3 };

/* Text of a designation descriptor (SPC-6 7.7.6); its place among the kinds above, DESIGNATORS: it
 * is none of the unit. */
static unsigned designator(const uint8_t *d, char ret_text[INI_ID_MAX])
{
    unsigned k = 0;
    /* association 00b: the logical unit */
    while (k < DESIGNATORS && ((d[1] & 0x3f) != designators[k].type || d[3] == 0 || d[3] > 24))
        k++;
    if (k == DESIGNATORS)
        return k;
    size_t n = strlen(designators[k].prefix);
    memcpy(ret_text, designators[k].prefix, n + 1);
    if (designators[k].type == 1)
        copy_ascii(ret_text + n, d + 4, d[3]);
    for (unsigned i = 0; designators[k].type != 1 && i < d[3]; i++, n += 2)
        (void)snprintf(ret_text + n, INI_ID_MAX - n, "%02x", d[4 + i]);
    return k;
}

/* The best of them, or the one that is asked for: true. */
static bool find_designator(const uint8_t *p, uint32_t len, const char *wanted,
                            char ret_best[INI_ID_MAX])
{
    unsigned best = DESIGNATORS;
    for (uint32_t at = 4; at + 4 <= len && at + 4 + p[at + 3] <= len; at += 4u + p[at + 3]) {
        char text[INI_ID_MAX];
        unsigned k = designator(p + at, text);
        if (k < DESIGNATORS && wanted && strcmp(text, wanted) == 0)
            return true;
        if (k < best) {
            best = k;
            memcpy(ret_best, text, sizeof(text));
        }
    }
    return false;
}

bool ini_probe_is_unit(const struct ini_disk_info *info, const uint8_t *page, uint32_t len,
                       char ret_now[INI_ID_MAX])
{
    struct ini_disk_info now = { .rotational = false };
    ret_now[0] = '\0';
    if (page[1] == 0x83)
        return find_designator(page, len, info->id, ret_now);
    use_serial(&now, page, len);
    (void)snprintf(ret_now, INI_ID_MAX, "%.*s", INI_ID_MAX - 1, now.serial);
    return strcmp(now.serial, info->serial) == 0;
}

static void use_limits(struct ini_disk_info *info, const uint8_t *p)
{
    info->max_compare_and_write_blocks = p[5];
    info->max_transfer_blocks = be32_get(p + 8);
    info->opt_transfer_blocks = be32_get(p + 12);
    info->max_unmap_blocks = be32_get(p + 20);
    info->unmap_gran_blocks = be32_get(p + 28);
    info->max_write_same_blocks = be64_get(p + 36);
}

static void use_page(struct ini_disk_info *info, uint8_t page, const uint8_t *p, uint32_t len)
{
    switch (page) {
    case 0x80:
        use_serial(info, p, len);
        break;
    case 0x83:
        (void)find_designator(p, len, NULL, info->id);
        break;
    case 0xb0: /* SBC-4 6.6.4; the fields that an older unit does not send are zero */
        use_limits(info, p);
        break;
    case 0xb1: /* SBC-4 6.6.2: 0001h is a medium that does not rotate */
        info->rotational = be16_get(p + 4) > 1;
        break;
    case 0xb2: /* SBC-4 6.6.7 */
        info->can_unmap = p[5] & 0x80;
        info->can_write_same_unmap = p[5] & 0x40;
        break;
    default:
        break;
    }
}

/* Pages that are there; a unit without them, or with a bad one, is used without what they say. */
static int read_pages(struct ini_sync *sync, uint16_t lun, struct ini_disk_info *info)
{
    uint8_t list[INI_INQUIRY_MAX], data[INI_INQUIRY_MAX];
    uint32_t count = 0, len = 0;
    if (ini_probe_vpd(sync, lun, 0x00, list, &count, NULL))
        return ini_session_up(ini_sync_session(sync)) ? 0 : USAN_ECLOSED;
    for (uint32_t i = 4; i < count; i++) {
        bool wanted = list[i] == 0x80 || list[i] == 0x83 || (list[i] >= 0xb0 && list[i] <= 0xb2);
        if (wanted && ini_probe_vpd(sync, lun, list[i], data, &len, NULL) == 0)
            use_page(info, list[i], data, len);
    }
    return 0;
}

static int read_capacity(struct ini_sync *sync, uint16_t lun, struct ini_disk_info *info,
                         struct err_text *e)
{
    uint8_t d[32] = { 0 };
    const uint8_t cdb16[16] = { INI_OP_SERVICE_ACTION_IN_16,
                                INI_SA_READ_CAPACITY_16, [13] = sizeof(d) };
    const uint8_t cdb10[10] = { INI_OP_READ_CAPACITY_10 };
    uint32_t got;
    int err =
        ini_sync_ask(sync, lun, cdb16, sizeof(cdb16), d, sizeof(d), &got, "READ CAPACITY(16)", e);
    if (err == USAN_ENOTSUP) {
        err = ini_sync_ask(sync, lun, cdb10, sizeof(cdb10), d, 8, &got, "READ CAPACITY(10)", e);
        if (!err && got < 8)
            return err_set(e, USAN_EPROTO, "LUN %u: READ CAPACITY(10): too short", lun);
        info->blocks = (uint64_t)be32_get(d) + 1;
        info->block_bytes = info->phys_block_bytes = be32_get(d + 4);
        return err;
    }
    if (!err && got < 12)
        return err_set(e, USAN_EPROTO, "LUN %u: READ CAPACITY(16): too short", lun);
    info->blocks = be64_get(d) + 1;
    info->block_bytes = be32_get(d + 8);
    info->phys_block_bytes = info->block_bytes << (d[13] & 0x0f);
    info->thin = info->lba_status = d[14] & 0x80;
    info->unmap_zeroes = d[14] & 0x40;
    return err;
}

/* Caching page and device-specific parameter (SBC-4 6.5.6, 6.5.1). A unit that has neither is
 * taken for one with a cache and without protection. */
static void read_mode(struct ini_sync *sync, uint16_t lun, struct ini_disk_info *info)
{
    uint8_t d[64] = { 0 };
    const uint8_t cdb[6] = { INI_OP_MODE_SENSE_6, 0x08 /* DBD */,
                             0x08 /* caching */,  0,
                             sizeof(d),           0 };
    uint32_t got;
    info->write_cache = true;
    if (ini_sync_ask(sync, lun, cdb, sizeof(cdb), d, sizeof(d), &got, "MODE SENSE(6)", NULL) ||
        got < 4)
        return;
    info->write_protected = d[2] & 0x80;
    info->fua = d[2] & 0x10;
    uint32_t page = 4u + d[3];
    if (page + 3 <= got && (d[page] & 0x3f) == 0x08)
        info->write_cache = d[page + 2] & 0x04;
}

bool ini_probe_size_ok(uint64_t blocks, uint32_t block_bytes)
{
    return blocks > 0 && blocks <= INT64_MAX / block_bytes;
}

static int check_disk(const struct ini_disk_info *info, uint16_t lun, struct err_text *e)
{
    uint32_t b = info->block_bytes;
    if (b < 512 || b > 65536 || (b & (b - 1)))
        return err_set(e, USAN_ENOTSUP, "LUN %u: blocks of %u bytes are not supported", lun, b);
    if (!ini_probe_size_ok(info->blocks, b))
        return err_set(e, USAN_EPROTO, "LUN %u: a capacity that no disk has", lun);
    return 0;
}

int ini_probe_disk(struct ini_sync *sync, uint16_t lun, struct ini_disk_info *ret_info,
                   struct err_text *e)
{
    struct ini_disk_info info = { .rotational = false };
    int err = ini_probe_identity(sync, lun, &info.identity, e);
    if (err)
        return err;
    if (info.identity.type != 0x00 && info.identity.type != 0x0e)
        return err_set(e, USAN_ENOTSUP, "LUN %u: is no disk but a %s", lun,
                       ini_type_name(info.identity.type));
    err = read_capacity(sync, lun, &info, e);
    if (!err)
        err = check_disk(&info, lun, e);
    if (err)
        return err;
    read_mode(sync, lun, &info);
    if (read_pages(sync, lun, &info))
        return err_set(e, USAN_ECLOSED, "%s", ini_session_error(ini_sync_session(sync)));
    if (info.phys_block_bytes < info.block_bytes)
        info.phys_block_bytes = info.block_bytes;
    *ret_info = info;
    return 0;
}

/* ---- LUNs ---- */

static int compare_luns(const void *a, const void *b)
{
    return *(const uint16_t *)a - *(const uint16_t *)b;
}

int ini_probe_luns(struct ini_sync *sync, uint16_t ret_luns[INI_LUNS_MAX], unsigned *ret_count,
                   struct err_text *e)
{
    uint32_t cap = 8 + 8 * INI_LUNS_MAX, got;
    uint8_t *d = calloc(1, cap), cdb[12] = { INI_OP_REPORT_LUNS };
    if (!d)
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    be32_put(cdb + 6, cap);
    int err = ini_sync_ask(sync, 0, cdb, sizeof(cdb), d, cap, &got, "REPORT LUNS", e);
    unsigned n = 0;
    if (!err) {
        uint32_t end = got >= 8 && be32_get(d) < got - 8 ? be32_get(d) + 8 : got;
        for (uint32_t at = 8; at + 8 <= end; at += 8) {
            uint64_t lun;
            if (scsi_lun_decode(be64_get(d + at), &lun))
                ret_luns[n++] = (uint16_t)lun;
        }
        qsort(ret_luns, n, sizeof(*ret_luns), compare_luns);
        *ret_count = n;
    }
    free(d);
    return err;
}
