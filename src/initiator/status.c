/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/status.h"

#include "base/bytes.h"
#include "scsi/lun.h"
#include "scsi/sense.h"

#include <stdio.h>
#include <string.h>

#define KAQ(s) ((uint32_t)(s)->key << 16 | (uint32_t)(s)->asc << 8 | (s)->ascq)

/* ---- sense data ---- */

/* Descriptors of format 72h; the one of type 0 is the information. */
static void find_information(const uint8_t *p, size_t len, struct ini_sense *s)
{
    size_t end = (size_t)p[7] + 8 < len ? (size_t)p[7] + 8 : len;
    for (size_t at = 8; at + 2 <= end && at + 2 + p[at + 1] <= end; at += 2u + p[at + 1]) {
        if (p[at] == 0x00 && p[at + 1] == 0x0a && (p[at + 2] & 0x80)) {
            s->has_information = true;
            s->information = be64_get(p + at + 4);
            return;
        }
    }
}

struct ini_sense ini_sense_parse(const void *sense, size_t len)
{
    const uint8_t *p = sense;
    struct ini_sense s = { .valid = false };
    uint8_t format = len ? p[0] & 0x7f : 0;
    if ((format == 0x70 || format == 0x71) && len >= 8) {
        s.valid = true;
        s.deferred = format == 0x71;
        s.key = p[2] & 0x0f;
        s.asc = len > 12 ? p[12] : 0;
        s.ascq = len > 13 ? p[13] : 0;
        s.has_information = p[0] & 0x80;
        s.information = be32_get(p + 3);
    } else if ((format == 0x72 || format == 0x73) && len >= 8) {
        s.valid = true;
        s.deferred = format == 0x73;
        s.key = p[1] & 0x0f;
        s.asc = p[2];
        s.ascq = p[3];
        find_information(p, len, &s);
    }
    return s;
}

/* ---- what it means ---- */

static int illegal_request(const struct ini_sense *s)
{
    switch (s->asc << 8 | s->ascq) {
    case 0x2000: /* INVALID COMMAND OPERATION CODE */
    case 0x2400: /* INVALID FIELD IN CDB */
    case 0x2600: /* INVALID FIELD IN PARAMETER LIST */
        return USAN_ENOTSUP;
    case 0x2100: /* LOGICAL BLOCK ADDRESS OUT OF RANGE */
        return USAN_ERANGE;
    case 0x2500: /* LOGICAL UNIT NOT SUPPORTED */
        return USAN_ECLOSED;
    default:
        return USAN_EIO;
    }
}

static enum ini_verdict judge_sense(const struct ini_sense *s, bool again, int *ret_err)
{
    if (s->deferred) {
        if (s->key == SENSE_KEY_NO_SENSE || s->key == SENSE_KEY_RECOVERED_ERROR)
            return INI_RETRY;
        *ret_err = USAN_EIO;
        return INI_BAD;
    }
    switch (s->key) {
    case SENSE_KEY_RECOVERED_ERROR:
    case SENSE_KEY_NO_SENSE:
        return INI_GOOD;
    case SENSE_KEY_UNIT_ATTENTION:
        return INI_RETRY;
    case SENSE_KEY_NOT_READY:
        if (s->asc == 0x04 && (s->ascq == 0x01 || s->ascq == 0x0a))
            return INI_RETRY_LATER;
        *ret_err = USAN_EIO;
        return INI_BAD;
    case SENSE_KEY_ABORTED_COMMAND:
        if (again)
            return INI_RETRY_LATER;
        *ret_err = USAN_EIO;
        return INI_BAD;
    case SENSE_KEY_ILLEGAL_REQUEST:
        *ret_err = illegal_request(s);
        return INI_BAD;
    case SENSE_KEY_DATA_PROTECT:
        *ret_err = s->asc == 0x27 && s->ascq == 0x07 ? USAN_ENOSPC : USAN_ERDONLY;
        return INI_BAD;
    case SENSE_KEY_MISCOMPARE:
        *ret_err = USAN_EMISCOMPARE;
        return INI_BAD;
    default:
        *ret_err = USAN_EIO;
        return INI_BAD;
    }
}

enum ini_verdict ini_scsi_judge(const struct iscsi_icmd *cmd, bool again, int *ret_err)
{
    struct ini_sense s;
    if (cmd->err) {
        *ret_err = cmd->err;
        return INI_BAD;
    }
    switch (cmd->status) {
    case SCSI_STATUS_GOOD:
    case SCSI_STATUS_CONDITION_MET:
        return INI_GOOD;
    case SCSI_STATUS_BUSY:
    case SCSI_STATUS_TASK_SET_FULL:
        return INI_RETRY_LATER;
    case SCSI_STATUS_TASK_ABORTED:
        if (again)
            return INI_RETRY_LATER;
        break;
    case SCSI_STATUS_CHECK_CONDITION:
        s = ini_sense_parse(cmd->sense, cmd->sense_len);
        if (s.valid)
            return judge_sense(&s, again, ret_err);
        break;
    default:
        break;
    }
    *ret_err = USAN_EIO;
    return INI_BAD;
}

bool ini_scsi_capacity_changed(const struct iscsi_icmd *cmd)
{
    if (cmd->err || cmd->status != SCSI_STATUS_CHECK_CONDITION)
        return false;
    struct ini_sense s = ini_sense_parse(cmd->sense, cmd->sense_len);
    return s.valid && !s.deferred && s.key == SENSE_KEY_UNIT_ATTENTION &&
           (s.asc << 8 | s.ascq) == UA_CAPACITY_CHANGED;
}

/* ---- words ---- */

static const char *status_name(uint8_t status)
{
    switch (status) {
    case SCSI_STATUS_GOOD:
        return "GOOD";
    case SCSI_STATUS_CHECK_CONDITION:
        return "CHECK CONDITION without sense data";
    case SCSI_STATUS_CONDITION_MET:
        return "CONDITION MET";
    case SCSI_STATUS_BUSY:
        return "BUSY";
    case SCSI_STATUS_RESERVATION_CONFLICT:
        return "RESERVATION CONFLICT: another initiator has reserved it";
    case SCSI_STATUS_TASK_SET_FULL:
        return "TASK SET FULL";
    case SCSI_STATUS_ACA_ACTIVE:
        return "ACA ACTIVE";
    case SCSI_STATUS_TASK_ABORTED:
        return "TASK ABORTED by another initiator";
    default:
        return NULL;
    }
}

void ini_scsi_words(const struct iscsi_icmd *cmd, char *buf, size_t cap)
{
    struct ini_sense s = { .valid = false };
    const char *name = status_name(cmd->status);
    if (cmd->err) {
        (void)snprintf(buf, cap, "%s", cmd->why ? cmd->why : usan_strerror(cmd->err));
        return;
    }
    if (cmd->status == SCSI_STATUS_CHECK_CONDITION)
        s = ini_sense_parse(cmd->sense, cmd->sense_len);
    if (s.valid) {
        (void)snprintf(buf, cap, "%s%s (%xh/%02xh/%02xh)",
                       s.deferred ? "of an earlier command: " : "", scsi_sense_text(KAQ(&s)), s.key,
                       s.asc, s.ascq);
        for (char *p = buf; (p = strchr(p, '_')); p++)
            *p = ' ';
    } else if (name) {
        (void)snprintf(buf, cap, "%s", name);
    } else {
        (void)snprintf(buf, cap, "status %02xh", cmd->status);
    }
}

uint64_t ini_lun_field(uint16_t lun)
{
    return scsi_lun_encode(lun);
}
