/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Task management: iSCSI function codes (RFC 7143 11.5, RFC 7144 5) and SAM's functions. TASK
 * REASSIGN is the iSCSI core's own. */
#include "iscsi/tmf.h"
#include "scsi/lun.h"
#include "target/command.h"
#include "target/conn.h"
#include "target/log.h"
#include "target/lun.h"
#include "target/reactor.h"
#include "target/session.h"
#include "target/share.h"

static const struct {
    enum scsi_tmf scsi; /* NONE: not a function of one logical unit */
    const char *name;
} functions[] = {
    [ISCSI_TMF_ABORT_TASK] = { SCSI_TMF_ABORT_TASK, "abort-task" },
    [ISCSI_TMF_ABORT_TASK_SET] = { SCSI_TMF_ABORT_TASK_SET, "abort-task-set" },
    [ISCSI_TMF_CLEAR_ACA] = { SCSI_TMF_CLEAR_ACA, "clear-aca" },
    [ISCSI_TMF_CLEAR_TASK_SET] = { SCSI_TMF_CLEAR_TASK_SET, "clear-task-set" },
    [ISCSI_TMF_LOGICAL_UNIT_RESET] = { SCSI_TMF_LOGICAL_UNIT_RESET, "logical-unit-reset" },
    [ISCSI_TMF_TARGET_WARM_RESET] = { SCSI_TMF_LOGICAL_UNIT_RESET, "target-warm-reset" },
    [ISCSI_TMF_TARGET_COLD_RESET] = { SCSI_TMF_LOGICAL_UNIT_RESET, "target-cold-reset" },
    [ISCSI_TMF_QUERY_TASK] = { SCSI_TMF_QUERY_TASK, "query-task" },
    [ISCSI_TMF_QUERY_TASK_SET] = { SCSI_TMF_QUERY_TASK_SET, "query-task-set" },
    [ISCSI_TMF_I_T_NEXUS_RESET] = { SCSI_TMF_I_T_NEXUS_RESET, "i-t-nexus-reset" },
    [ISCSI_TMF_QUERY_ASYNC_EVENT] = { SCSI_TMF_QUERY_ASYNC_EVENT, "query-async-event" },
};

static uint8_t response_code(uint8_t rsp)
{
    switch ((enum scsi_tmf_rsp)rsp) {
    case SCSI_TMF_RSP_COMPLETE:
        return ISCSI_TMF_RSP_COMPLETE;
    case SCSI_TMF_RSP_SUCCEEDED:
        return ISCSI_TMF_RSP_SUCCEEDED;
    case SCSI_TMF_RSP_NO_TASK:
        return ISCSI_TMF_RSP_NO_TASK;
    case SCSI_TMF_RSP_NO_LUN:
        return ISCSI_TMF_RSP_NO_LUN;
    case SCSI_TMF_RSP_NOT_SUPPORTED:
        return ISCSI_TMF_RSP_NOT_SUPPORTED;
    case SCSI_TMF_RSP_REJECTED:
        break;
    }
    return ISCSI_TMF_RSP_REJECTED;
}

static bool is_target_reset(uint8_t function)
{
    return function == ISCSI_TMF_TARGET_WARM_RESET || function == ISCSI_TMF_TARGET_COLD_RESET;
}

/* The next LUN of the target from index `at` on; lane_count when there is none. */
static uint32_t next_lun(const struct tgt_part *part, uint32_t at)
{
    while (at < part->lane_count && !part->lanes[at])
        at++;
    return at;
}

/* TARGET WARM RESET is a reset of every logical unit, one after the other. Inside the lock. */
static void reset_lun(struct tgt_cmd *cmd, uint32_t at)
{
    cmd->reset_at = (uint16_t)at;
    cmd->lane = cmd->part->lanes[at];
    cmd->task.lun = scsi_lun_encode(at);
    cmd->task.tmf = SCSI_TMF_LOGICAL_UNIT_RESET;
    tgt_cmd_begin(cmd);
}

static void respond(struct tgt_cmd *cmd, uint8_t response)
{
    struct tgt_session *s = cmd->part->session;
    tgt_session_lock(s);
    bool lost = tgt_task_conn_lost(cmd->it);
    bool gone = lost && tgt_task_drop(s, cmd->it, cmd->part->reactor);
    if (!lost) {
        iscsi_task_respond_tmf(cmd->it, response);
        tgt_task_wake(s, cmd->it, cmd->part->reactor);
        if (s->several) /* it may wait for others */
            tgt_session_kicks(s, cmd->part->reactor);
    }
    tgt_session_unlock(s);
    if (gone)
        tgt_cmd_release(cmd);
}

void tgt_tmf_done(struct tgt_cmd *cmd)
{
    struct tgt_part *part = cmd->part;
    uint8_t rsp = cmd->task.tmf_rsp;
    cmd->it->tmf_info = cmd->task.tmf_info;
    scsi_task_fini(&cmd->task);
    tgt_part_touch(part);
    if (is_target_reset(cmd->iscsi_tmf)) {
        uint32_t at = next_lun(part, (uint32_t)cmd->reset_at + 1);
        if (at < part->lane_count) {
            tgt_session_lock(part->session);
            reset_lun(cmd, at);
            tgt_session_unlock(part->session);
            tgt_cmd_continue(cmd);
            return;
        }
        /* RFC 7143 11.5.1: after a cold reset all connections are terminated. The response is
         * sent first: tgt_cmd_sent() does it. */
        cmd->cold_reset = cmd->iscsi_tmf == ISCSI_TMF_TARGET_COLD_RESET;
    }
    cmd->state = TGT_CMD_SENDING;
    respond(cmd, response_code(rsp));
}

/* The response to a function that needs no SCSI task; ISCSI_TMF_RSP_COMPLETE: it needs one. */
static uint8_t refuse(const struct tgt_conn *conn, const struct iscsi_task *it)
{
    if (it->tmf >= sizeof(functions) / sizeof(functions[0]) || !functions[it->tmf].name)
        return ISCSI_TMF_RSP_NOT_SUPPORTED;
    /* RFC 7144 7.1.1: the newer functions need iSCSIProtocolLevel 2. */
    if (it->tmf >= ISCSI_TMF_QUERY_TASK && iscsi_tconn_params(conn->tconn)->protocol_level < 2)
        return ISCSI_TMF_RSP_NOT_SUPPORTED;
    return ISCSI_TMF_RSP_COMPLETE;
}

void tgt_tmf_log(const struct tgt_cmd *cmd)
{
    const struct tgt_session *s = cmd->part->session;
    const struct iscsi_task *it = cmd->it;
    uint64_t lun = it->lun;
    bool number = scsi_lun_decode(it->lun, &lun);
    tgt_log(TGT_LOG_INFO, "task-management",
            number ? "function=%s target=%s initiator=%s lun=%llu"
                   : "function=%s target=%s initiator=%s lun=0x%016llx",
            functions[it->tmf].name, s->target->cfg->name, tgt_log_quote(s->entry.initiator).s,
            (unsigned long long)lun);
}

struct tgt_cmd *tgt_tmf_admit(struct tgt_conn *conn, struct iscsi_task *it)
{
    struct tgt_part *part = conn->part;
    uint8_t no = refuse(conn, it);
    struct tgt_cmd *cmd = NULL;
    if (no == ISCSI_TMF_RSP_COMPLETE && part->branch)
        cmd = tgt_cmd_get(part, it);
    if (!cmd) {
        ((struct tgt_cmd_ref *)it->priv)->cmd = NULL;
        iscsi_task_respond_tmf(it, no == ISCSI_TMF_RSP_COMPLETE ? ISCSI_TMF_RSP_REJECTED : no);
        tgt_task_wake(part->session, it, part->reactor);
        return NULL;
    }
    cmd->iscsi_tmf = it->tmf;
    if (is_target_reset(it->tmf)) {
        reset_lun(cmd, next_lun(part, 0)); /* a target has at least one LUN */
    } else {
        cmd->lane = tgt_part_lane(part, it->lun);
        cmd->task.tmf = (uint8_t)functions[it->tmf].scsi;
        cmd->task.ref_tag = it->ref_itt;
        tgt_cmd_begin(cmd);
        tgt_part_touch(part);
    }
    return cmd;
}
