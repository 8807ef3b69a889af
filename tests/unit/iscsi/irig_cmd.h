/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands on the desk of irig.h, and the PDUs a target answers them with. */
#ifndef TESTS_IRIG_CMD_H
#define TESTS_IRIG_CMD_H

#include "irig.h"

enum { IRIG_LEN = 4096 };

#define IRIG_PLAIN                                                                                 \
    "MaxRecvDataSegmentLength=1024|InitialR2T=No|ImmediateData=Yes|MaxBurstLength=2048|"           \
    "FirstBurstLength=1536|MaxOutstandingR2T=2|iSCSIProtocolLevel=2|"

#define IRIG_ERL(level)                                                                            \
    "ErrorRecoveryLevel=" level "|MaxRecvDataSegmentLength=1024|InitialR2T=No|ImmediateData=Yes|"  \
    "MaxBurstLength=2048|FirstBurstLength=1536|MaxOutstandingR2T=1|iSCSIProtocolLevel=2|"          \
    "DefaultTime2Wait=2|DefaultTime2Retain=20|MaxConnections=4|"

struct irig_cmd {
    struct iscsi_icmd c;
    uint8_t cdb[16], in[IRIG_LEN], out[IRIG_LEN], sense[32];
    struct iovec iin[2], iout[2];
};

/* A command that reads `in` bytes and writes `out`, each in two pieces. */
void irig_make(struct irig_cmd *m, uint32_t in, uint32_t out);
/* Submit, and the PDU that comes of it. */
struct irig_pdu irig_submit(struct irig *r, struct irig_cmd *m);
/* A session with the parameters of IRIG_PLAIN and a command that was sent. */
struct irig_pdu irig_begin(struct irig **ret_r, struct irig_cmd *m, uint32_t in, uint32_t out);
/* What a target sends; byte i of data-in is (uint8_t)i, of LUN 3. */
void irig_data_in(struct irig *r, uint32_t itt, uint8_t flags, uint32_t sn, uint32_t off,
                  uint32_t len, uint32_t residual);
void irig_response(struct irig *r, uint32_t itt, uint8_t flags, uint8_t status, uint32_t residual);
void irig_r2t(struct irig *r, uint32_t itt, uint32_t ttt, uint32_t sn, uint32_t off, uint32_t len);
/* A session at this recovery level ('1', '2'), with both digests or none; recovery_timeout_ns is
 * one second, Time2Wait 2 s, Time2Retain 20 s. */
struct irig *irig_erl(char level, bool digests);
/* The next PDU must be this SNACK. */
struct irig_pdu irig_expect_snack(struct irig *r, enum pdu_snack_type type, uint32_t itt,
                                  uint32_t begin, uint32_t run);
/* No PDU is left, and the connection lives. */
void irig_expect_quiet(struct irig *r);
/* The command is done well, with all its data. */
void irig_expect_good(const struct irig_cmd *m);
/* A Reject of this PDU. */
void irig_reject(struct irig *r, uint8_t reason, const uint8_t *bhs);
/* One more connection, logged in. */
struct irig *irig_joined(struct irig *r, uint16_t cid);
/* Make a command and submit it: it goes to the connection with the least to do. */
struct irig_pdu irig_submit_on(struct irig *r, struct irig_cmd *m, uint32_t in, uint32_t out);
/* Expect the recovery logout of a lost connection, and answer it. */
void irig_logged_out(struct irig *on, uint16_t cid, uint8_t response, uint16_t time2wait);
/* Expect the TASK REASSIGN of a task, which has come so far, and answer it. */
void irig_reassigned(struct irig *on, uint32_t itt, uint32_t exp_data_sn, uint8_t response);
/* Data-In PDU sn of a command, 512 bytes each. */
void irig_piece(struct irig *r, uint32_t itt, uint32_t sn, uint8_t flags);
/* The connection must have ended like this. */
void irig_expect_closed(struct irig *r, int err, const char *why);
/* Data-Out PDUs up to `end`, with the data of the command. */
void irig_expect_data_out(struct irig *r, const struct irig_cmd *m, uint32_t itt, uint32_t ttt,
                          uint32_t off, uint32_t end, uint32_t segment);

#endif
