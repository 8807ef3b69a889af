/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What both roles share in their public headers: limits, and the parameters of RFC 7143 section 13
 * as they are offered and as they were negotiated. */
#ifndef USAN_ISCSI_PARAMS_H
#define USAN_ISCSI_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

/* ---- limits ---- */
enum {
    ISCSI_NAME_MAX = 223,      /* bytes of an iSCSI name, RFC 7143 4.2.7.1 */
    ISCSI_TEXT_MAX = 65536,    /* text of one login or text negotiation, over all its PDUs */
    ISCSI_LOGIN_PDUS_MAX = 32, /* request PDUs of one login */
    ISCSI_CDB_MAX = 260,
    ISCSI_QUEUE_DEPTH_MAX = 1024,
    ISCSI_OUT_IOV_MAX = 256, /* iovecs one write buffer may consist of */
    ISCSI_SENSE_MAX = 252,
    /* tasks a session may have in hand beyond its queue depth: immediate ones, answers under way,
     * and (recovery level 1 and up) those that are kept */
    ISCSI_EXTRA_TASKS_MAX = 112,
};

/* What this end offers or declares; values of RFC 7143 section 13. */
struct iscsi_params_cfg {
    uint32_t max_recv_data_segment; /* ours, 512 .. 2^24-1 */
    uint32_t max_burst;
    uint32_t first_burst;
    uint16_t max_outstanding_r2t;
    uint16_t max_connections;
    uint16_t time2wait, time2retain; /* seconds */
    bool retain_at_level_2; /* target: below ErrorRecoveryLevel 2, time2retain counts as 0 */
    uint8_t error_recovery_level;
    bool initial_r2t, immediate_data;
    bool data_pdu_in_order, data_sequence_in_order;
    bool header_digest, data_digest; /* willing to do CRC32C; _required: refuse None */
    bool header_digest_required, data_digest_required;
    bool response_fence, fast_abort; /* willing to do TaskReporting beyond RFC3720 (13.23) */
};

/* What was negotiated; RFC 7143 section 13, "us" is this end. */
struct iscsi_params {
    uint32_t tx_data_segment; /* the peer's MaxRecvDataSegmentLength */
    uint32_t rx_data_segment; /* ours */
    uint32_t max_burst, first_burst;
    uint16_t max_outstanding_r2t, max_connections;
    uint16_t time2wait, time2retain;
    uint8_t error_recovery_level;
    uint8_t protocol_level; /* iSCSIProtocolLevel, 1 or 2 */
    bool initial_r2t, immediate_data;
    bool data_pdu_in_order, data_sequence_in_order;
    bool header_digest, data_digest;
    bool task_reporting_fast_abort, task_reporting_rsp_fence;
};

#endif
