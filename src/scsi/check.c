/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The checks between a command's arrival in the section and its handler. */
#include "scsi/check.h"

#include "scsi/alua.h"
#include "scsi/command.h"
#include "scsi/mode.h"
#include "scsi/persist.h"
#include "scsi/reply.h"
#include "scsi/ua.h"

#include <string.h>

/* What is set in the CDB and not in the usage map; 0 in a good one. The CDB has 16 bytes at least,
 * of which cdb_len count, in numbers of 8 bytes. Byte 0 is the opcode. */
static uint64_t excess(const uint8_t *cdb, const uint8_t *usage, unsigned at, unsigned cdb_len)
{
    uint64_t c, u;
    memcpy(&c, cdb + at, 8);
    memcpy(&u, usage + at, 8);
    uint64_t over = c & ~u;
    unsigned left = cdb_len - at;
    if (left < 8)
        over &= (UINT64_C(1) << 8 * left) - 1; /* the first byte is the lowest one */
    return at == 0 ? over & ~UINT64_C(0xff) : over;
}

static bool check_usage(struct scsi_task *t)
{
    const struct scsi_command *cmd = t->cmd;
    uint64_t over = excess(t->cdb, cmd->usage, 0, cmd->cdb_len);
    for (unsigned at = 8; at < cmd->cdb_len; at += 8)
        over |= excess(t->cdb, cmd->usage, at, cmd->cdb_len);
    if (over == 0)
        return true;

    unsigned control = scsi_cdb_control(cmd);
    for (unsigned i = 1; i < cmd->cdb_len; i++) {
        /* NACA is understood for every command (SAM-6 5.2). */
        unsigned bits = t->cdb[i] & ~cmd->usage[i] & (i == control ? ~0x04u : ~0u) & 0xffu;
        if (bits) {
            scsi_check_cdb(t, i, 31 - __builtin_clz(bits));
            return false;
        }
    }
    return true;
}

static bool reservations_allow(struct scsi_task *t)
{
    const struct scsi_lu *lu = t->itl->lu;
    uint32_t f = t->cmd->flags;
    if (!(f & SCSI_CF_RESERVE_ANY) && lu->reserved_by && lu->reserved_by != t->itl)
        return false;
    return (f & SCSI_CF_PR_ANY) || !lu->pr || scsi_pr_allows(t);
}

/* SBC-4 4.9 and SPC-6 NOT READY conditions. false: t was ended. */
static bool medium_ready(struct scsi_task *t)
{
    const struct scsi_lu *lu = t->itl->lu;
    if (!lu->busy_kind && !lu->sanitize_failed && !lu->ejected && !lu->stopped)
        return true;
    if (lu->busy_kind)
        scsi_check_busy(t);
    else if (lu->sanitize_failed)
        scsi_check(t, SENSE_SANITIZE_COMMAND_FAILED);
    else if (lu->ejected)
        scsi_check(t, SENSE_MEDIUM_NOT_PRESENT);
    else
        scsi_check(t, SENSE_INITIALIZING_COMMAND_REQUIRED);
    return false;
}

static bool alua_allows(struct scsi_task *t)
{
    uint32_t kaq = scsi_alua_refuses(t->itl, t->cmd->flags);
    if (kaq)
        scsi_check(t, kaq);
    return kaq == 0;
}

static bool state_allows(struct scsi_task *t)
{
    const struct scsi_lu *lu = t->itl->lu;
    uint32_t f = t->cmd->flags;
    if (!(f & SCSI_CF_ALUA_ANY) && lu->alua_limits && !alua_allows(t))
        return false;
    if ((f & SCSI_CF_MEDIUM) && !medium_ready(t))
        return false;
    if (!(f & SCSI_CF_WRITES))
        return true;
    if (lu->cfg.read_only || t->itl->read_only) {
        scsi_check(t, SENSE_WRITE_PROTECTED);
        return false;
    }
    if (scsi_mode_swp(lu)) {
        scsi_check(t, SENSE_SOFTWARE_WRITE_PROTECTED);
        return false;
    }
    return true;
}

static void report_ua(struct scsi_task *t, uint16_t ua)
{
    scsi_check(t, SCSI_KAQ(SENSE_KEY_UNIT_ATTENTION, ua >> 8, ua & 0xff));
}

bool scsi_check_start(struct scsi_task *t)
{
    bool ua_pending = !(t->cmd->flags & SCSI_CF_UA_PASS) && scsi_ua_pending(t->itl);
    uint16_t ua;
    /* SAM-6 5.3.3: resets are told before RESERVATION CONFLICT, anything else after it. */
    if (ua_pending && (ua = scsi_ua_take(t->itl, true))) {
        report_ua(t, ua);
        return false;
    }
    if (!reservations_allow(t)) {
        scsi_status(t, SCSI_STATUS_RESERVATION_CONFLICT);
        return false;
    }
    if (ua_pending && (ua = scsi_ua_take(t->itl, false))) {
        report_ua(t, ua);
        return false;
    }
    return check_usage(t) && state_allows(t);
}

bool scsi_check_again(struct scsi_task *t)
{
    if (!reservations_allow(t)) {
        scsi_status(t, SCSI_STATUS_RESERVATION_CONFLICT);
        return false;
    }
    return state_allows(t);
}

bool scsi_check_no_lu(struct scsi_task *t, const struct scsi_command *cmd)
{
    /* SPC-6 clause 9: what the REPORT LUNS well known unit answers besides SCSI_CF_NO_LUN's. */
    bool wlun = t->flags & SCSI_TF_WLUN;
    if (cmd && ((cmd->flags & SCSI_CF_NO_LUN) || (wlun && cmd->opcode == 0x00))) {
        t->cmd = cmd;
        return check_usage(t);
    }
    scsi_check(t, wlun ? SENSE_INVALID_OPCODE : SENSE_LUN_NOT_SUPPORTED); /* SAM-6 4.7.1 */
    return false;
}
