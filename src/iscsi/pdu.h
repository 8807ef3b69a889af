/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The basic header segments of RFC 7143 section 11: one encode or decode function per PDU, the
 * only place where offsets within a header stand. Internal to src/iscsi.
 */
#ifndef USAN_ISCSI_PDU_H
#define USAN_ISCSI_PDU_H

#include "base/bytes.h"

enum {
    ISCSI_BHS_LEN = 48,
    ISCSI_DIGEST_LEN = 4,
};

#define ISCSI_TAG_NONE 0xffffffffu /* the reserved ITT / TTT */

enum iscsi_opcode {
    ISCSI_OP_NOP_OUT = 0x00,
    ISCSI_OP_SCSI_COMMAND = 0x01,
    ISCSI_OP_TMF_REQUEST = 0x02,
    ISCSI_OP_LOGIN_REQUEST = 0x03,
    ISCSI_OP_TEXT_REQUEST = 0x04,
    ISCSI_OP_DATA_OUT = 0x05,
    ISCSI_OP_LOGOUT_REQUEST = 0x06,
    ISCSI_OP_SNACK = 0x10,
    ISCSI_OP_NOP_IN = 0x20,
    ISCSI_OP_SCSI_RESPONSE = 0x21,
    ISCSI_OP_TMF_RESPONSE = 0x22,
    ISCSI_OP_LOGIN_RESPONSE = 0x23,
    ISCSI_OP_TEXT_RESPONSE = 0x24,
    ISCSI_OP_DATA_IN = 0x25,
    ISCSI_OP_LOGOUT_RESPONSE = 0x26,
    ISCSI_OP_R2T = 0x31,
    ISCSI_OP_ASYNC = 0x32,
    ISCSI_OP_REJECT = 0x3f,
};

/* Reject reasons, 11.17.1 */
enum iscsi_reject {
    ISCSI_REJECT_DATA_DIGEST = 0x02,
    ISCSI_REJECT_SNACK = 0x03,
    ISCSI_REJECT_PROTOCOL_ERROR = 0x04,
    ISCSI_REJECT_NOT_SUPPORTED = 0x05,
    ISCSI_REJECT_TOO_MANY_IMMEDIATE = 0x06,
    ISCSI_REJECT_TASK_IN_PROGRESS = 0x07,
    ISCSI_REJECT_INVALID_DATA_ACK = 0x08,
    ISCSI_REJECT_INVALID_FIELD = 0x09,
    ISCSI_REJECT_OUT_OF_RESOURCES = 0x0a,
    ISCSI_REJECT_WAITING_FOR_LOGOUT = 0x0c,
};

/* ---- fields every PDU has (11.2.1) ---- */

static inline uint8_t bhs_opcode(const uint8_t *b)
{
    return b[0] & 0x3f;
}

static inline bool bhs_immediate(const uint8_t *b)
{
    return b[0] & 0x40;
}

static inline void bhs_set_immediate(uint8_t *b, bool immediate)
{
    b[0] = (uint8_t)((b[0] & ~0x40) | (immediate ? 0x40 : 0));
}

static inline bool bhs_final(const uint8_t *b)
{
    return b[1] & 0x80;
}

/* TotalAHSLength in bytes. */
static inline uint32_t bhs_ahs_len(const uint8_t *b)
{
    return (uint32_t)b[4] * 4;
}

static inline uint32_t bhs_data_len(const uint8_t *b)
{
    return be24_get(b + 5);
}

static inline uint64_t bhs_lun(const uint8_t *b)
{
    return be64_get(b + 8);
}

static inline uint32_t bhs_itt(const uint8_t *b)
{
    return be32_get(b + 16);
}

/* Target Transfer Tag of NOP-Out, Text Request, Data-Out, SNACK. */
static inline uint32_t bhs_ttt(const uint8_t *b)
{
    return be32_get(b + 20);
}

/* CmdSN of every request that has one. */
static inline uint32_t bhs_cmd_sn(const uint8_t *b)
{
    return be32_get(b + 24);
}

static inline uint32_t bhs_exp_stat_sn(const uint8_t *b)
{
    return be32_get(b + 28);
}

/* ---- requests ---- */

struct pdu_scsi_command { /* 11.3 */
    bool final, read, write;
    uint8_t attr, priority;
    uint32_t edtl;
    const uint8_t *cdb; /* 16 bytes within the header */
};

static inline struct pdu_scsi_command pdu_scsi_command_decode(const uint8_t *b)
{
    return (struct pdu_scsi_command){
        .final = b[1] & 0x80,
        .read = b[1] & 0x40,
        .write = b[1] & 0x20,
        .attr = b[1] & 0x07,
        .priority = b[2] & 0x0f, /* RFC 7144 section 4 */
        .edtl = be32_get(b + 20),
        .cdb = b + 32,
    };
}

struct pdu_data_out { /* 11.7 */
    uint32_t data_sn, offset;
};

static inline struct pdu_data_out pdu_data_out_decode(const uint8_t *b)
{
    return (struct pdu_data_out){ .data_sn = be32_get(b + 36), .offset = be32_get(b + 40) };
}

struct pdu_tmf_request { /* 11.5 */
    uint8_t function;
    uint32_t ref_itt, ref_cmd_sn, exp_data_sn;
};

static inline struct pdu_tmf_request pdu_tmf_request_decode(const uint8_t *b)
{
    return (struct pdu_tmf_request){
        .function = b[1] & 0x7f,
        .ref_itt = be32_get(b + 20),
        .ref_cmd_sn = be32_get(b + 32),
        .exp_data_sn = be32_get(b + 36),
    };
}

struct pdu_login_request { /* 11.12 */
    bool transit, cont;
    uint8_t csg, nsg, version_max, version_min;
    uint16_t tsih, cid;
    const uint8_t *isid;
};

static inline struct pdu_login_request pdu_login_request_decode(const uint8_t *b)
{
    return (struct pdu_login_request){
        .transit = b[1] & 0x80,
        .cont = b[1] & 0x40,
        .csg = (b[1] >> 2) & 3,
        .nsg = b[1] & 3,
        .version_max = b[2],
        .version_min = b[3],
        .isid = b + 8,
        .tsih = be16_get(b + 14),
        .cid = be16_get(b + 20),
    };
}

struct pdu_logout_request { /* 11.14 */
    uint8_t reason;
    uint16_t cid;
};

static inline struct pdu_logout_request pdu_logout_request_decode(const uint8_t *b)
{
    return (struct pdu_logout_request){ .reason = b[1] & 0x7f, .cid = be16_get(b + 20) };
}

struct pdu_snack { /* 11.16; its TTT or SNACK Tag: bhs_ttt() */
    uint8_t type;
    uint32_t beg_run, run_len;
};

static inline struct pdu_snack pdu_snack_decode(const uint8_t *b)
{
    return (struct pdu_snack){
        .type = b[1] & 0x0f,
        .beg_run = be32_get(b + 40),
        .run_len = be32_get(b + 44),
    };
}

static inline bool pdu_text_request_cont(const uint8_t *b) /* 11.10 */
{
    return b[1] & 0x40;
}

/* ---- responses: each function fills all 48 bytes but the sequence numbers, which are put in
 * when the PDU goes out (bhs_put_sn) ---- */

static inline void bhs_begin(uint8_t *b, enum iscsi_opcode op, uint8_t flags, uint32_t data_len,
                             uint32_t itt)
{
    memset(b, 0, ISCSI_BHS_LEN);
    b[0] = (uint8_t)op;
    b[1] = flags;
    be24_put(b + 5, data_len);
    be32_put(b + 16, itt);
}

static inline void bhs_put_lun(uint8_t *b, uint64_t lun)
{
    be64_put(b + 8, lun);
}

static inline void bhs_put_ttt(uint8_t *b, uint32_t ttt)
{
    be32_put(b + 20, ttt);
}

static inline void bhs_put_sn(uint8_t *b, uint32_t stat_sn, uint32_t exp_cmd_sn,
                              uint32_t max_cmd_sn)
{
    be32_put(b + 24, stat_sn);
    be32_put(b + 28, exp_cmd_sn);
    be32_put(b + 32, max_cmd_sn);
}

enum { /* residual flags of SCSI Response and Data-In */
       PDU_RESID_UNDERFLOW = 0x02,
       PDU_RESID_OVERFLOW = 0x04,
       PDU_RESID_BIDI_UNDERFLOW = 0x08,
       PDU_RESID_BIDI_OVERFLOW = 0x10,
};

static inline void pdu_scsi_response(uint8_t *b, uint32_t itt, uint8_t flags, uint8_t response,
                                     uint8_t status, uint16_t qualifier, uint32_t data_len,
                                     uint32_t exp_data_sn, uint32_t residual,
                                     uint32_t bidi_residual) /* 11.4 */
{
    bhs_begin(b, ISCSI_OP_SCSI_RESPONSE, (uint8_t)(0x80 | flags), data_len, itt);
    b[2] = response;
    b[3] = status;
    be16_put(b + 8, qualifier); /* RFC 7144 section 5 */
    be32_put(b + 36, exp_data_sn);
    be32_put(b + 40, bidi_residual);
    be32_put(b + 44, residual);
}

/* The tag of the last R-Data SNACK for the command, 11.4.4. */
static inline void pdu_scsi_response_snack_tag(uint8_t *b, uint32_t tag)
{
    be32_put(b + 20, tag);
}

enum { PDU_DATA_IN_FINAL = 0x80, PDU_DATA_IN_ACK = 0x40, PDU_DATA_IN_STATUS = 0x01 };

static inline void pdu_data_in(uint8_t *b, uint32_t itt, uint8_t flags, uint8_t status,
                               uint32_t data_len, uint32_t data_sn, uint32_t offset,
                               uint32_t residual) /* 11.7 */
{
    bhs_begin(b, ISCSI_OP_DATA_IN, flags, data_len, itt);
    b[3] = status;
    bhs_put_ttt(b, ISCSI_TAG_NONE);
    be32_put(b + 36, data_sn);
    be32_put(b + 40, offset);
    be32_put(b + 44, residual);
}

static inline void pdu_r2t(uint8_t *b, uint64_t lun, uint32_t itt, uint32_t ttt, uint32_t r2t_sn,
                           uint32_t offset, uint32_t len) /* 11.8 */
{
    bhs_begin(b, ISCSI_OP_R2T, 0x80, 0, itt);
    bhs_put_lun(b, lun);
    bhs_put_ttt(b, ttt);
    be32_put(b + 36, r2t_sn);
    be32_put(b + 40, offset);
    be32_put(b + 44, len);
}

static inline void pdu_tmf_response(uint8_t *b, uint32_t itt, uint8_t response,
                                    uint32_t info) /* 11.6 */
{
    bhs_begin(b, ISCSI_OP_TMF_RESPONSE, 0x80, 0, itt);
    b[2] = response;
    be24_put(b + 8, info); /* additional response information, RFC 7144 */
}

static inline void pdu_nop_in(uint8_t *b, uint32_t itt, uint32_t ttt, uint64_t lun,
                              uint32_t data_len) /* 11.19 */
{
    bhs_begin(b, ISCSI_OP_NOP_IN, 0x80, data_len, itt);
    bhs_put_lun(b, lun);
    bhs_put_ttt(b, ttt);
}

static inline void pdu_logout_response(uint8_t *b, uint32_t itt, uint8_t response,
                                       uint16_t time2wait, uint16_t time2retain) /* 11.15 */
{
    bhs_begin(b, ISCSI_OP_LOGOUT_RESPONSE, 0x80, 0, itt);
    b[2] = response;
    be16_put(b + 40, time2wait);
    be16_put(b + 42, time2retain);
}

static inline void pdu_text_response(uint8_t *b, uint32_t itt, uint32_t ttt, uint64_t lun,
                                     bool final, bool cont, uint32_t data_len) /* 11.11 */
{
    bhs_begin(b, ISCSI_OP_TEXT_RESPONSE, (uint8_t)((final ? 0x80 : 0) | (cont ? 0x40 : 0)),
              data_len, itt);
    bhs_put_lun(b, lun);
    bhs_put_ttt(b, ttt);
}

static inline void pdu_reject(uint8_t *b, uint8_t reason, uint32_t data_len) /* 11.17 */
{
    bhs_begin(b, ISCSI_OP_REJECT, 0x80, data_len, ISCSI_TAG_NONE);
    b[2] = reason;
}

/* The next DataSN or R2TSN of the task, when a SNACK for its data breaks the protocol; 11.17. */
static inline void pdu_reject_data_sn(uint8_t *b, uint32_t data_sn)
{
    be32_put(b + 36, data_sn);
}

static inline void pdu_async(uint8_t *b, uint64_t lun, uint8_t event, uint16_t param1,
                             uint16_t param2, uint16_t param3, uint32_t data_len) /* 11.9 */
{
    bhs_begin(b, ISCSI_OP_ASYNC, 0x80, data_len, ISCSI_TAG_NONE);
    bhs_put_lun(b, lun);
    b[36] = event;
    be16_put(b + 38, param1);
    be16_put(b + 40, param2);
    be16_put(b + 42, param3);
}

struct pdu_login_response { /* 11.13 */
    bool transit, cont;
    uint8_t csg, nsg, version_max, version_active;
    const uint8_t *isid;
    uint16_t tsih, status;
};

static inline void pdu_login_response_encode(uint8_t *b, uint32_t itt, uint32_t data_len,
                                             const struct pdu_login_response *r)
{
    bhs_begin(b, ISCSI_OP_LOGIN_RESPONSE,
              (uint8_t)((r->transit ? 0x80 : 0) | (r->cont ? 0x40 : 0) | r->csg << 2 | r->nsg),
              data_len, itt);
    b[2] = r->version_max;
    b[3] = r->version_active;
    memcpy(b + 8, r->isid, 6);
    be16_put(b + 14, r->tsih);
    be16_put(b + 36, r->status);
}

/* ---- the other direction: requests, without CmdSN and ExpStatSN ---- */

static inline void pdu_scsi_command_encode(uint8_t *b, uint32_t itt, uint64_t lun, bool immediate,
                                           uint32_t data_len, const struct pdu_scsi_command *q,
                                           uint32_t cdb_len) /* 11.3 */
{
    bhs_begin(b, ISCSI_OP_SCSI_COMMAND,
              (uint8_t)((q->final ? 0x80 : 0) | (q->read ? 0x40 : 0) | (q->write ? 0x20 : 0) |
                        (q->attr & 7)),
              data_len, itt);
    if (immediate)
        b[0] |= 0x40;
    b[2] = q->priority & 0x0f;
    bhs_put_lun(b, lun);
    be32_put(b + 20, q->edtl);
    memcpy(b + 32, q->cdb, cdb_len);
}

static inline void pdu_tmf_request_encode(uint8_t *b, uint32_t itt, uint64_t lun,
                                          const struct pdu_tmf_request *q) /* 11.5 */
{
    bhs_begin(b, ISCSI_OP_TMF_REQUEST, (uint8_t)(0x80 | q->function), 0, itt);
    b[0] |= 0x40;
    bhs_put_lun(b, lun);
    be32_put(b + 20, q->ref_itt);
    be32_put(b + 32, q->ref_cmd_sn);
    be32_put(b + 36, q->exp_data_sn);
}

static inline void pdu_data_out_encode(uint8_t *b, uint32_t itt, uint32_t ttt, uint64_t lun,
                                       bool final, uint32_t data_len, uint32_t data_sn,
                                       uint32_t offset) /* 11.7 */
{
    bhs_begin(b, ISCSI_OP_DATA_OUT, final ? 0x80 : 0, data_len, itt);
    bhs_put_lun(b, lun);
    bhs_put_ttt(b, ttt);
    be32_put(b + 36, data_sn);
    be32_put(b + 40, offset);
}

static inline void pdu_login_request_encode(uint8_t *b, uint32_t itt, uint32_t data_len,
                                            const struct pdu_login_request *q) /* 11.12 */
{
    bhs_begin(b, ISCSI_OP_LOGIN_REQUEST,
              (uint8_t)((q->transit ? 0x80 : 0) | (q->cont ? 0x40 : 0) | q->csg << 2 | q->nsg),
              data_len, itt);
    b[0] |= 0x40;
    b[2] = q->version_max;
    b[3] = q->version_min;
    memcpy(b + 8, q->isid, 6);
    be16_put(b + 14, q->tsih);
    be16_put(b + 20, q->cid);
}

static inline void pdu_logout_request(uint8_t *b, uint32_t itt, uint8_t reason,
                                      uint16_t cid) /* 11.14 */
{
    bhs_begin(b, ISCSI_OP_LOGOUT_REQUEST, (uint8_t)(0x80 | reason), 0, itt);
    b[0] |= 0x40;
    be16_put(b + 20, cid);
}

static inline void pdu_nop_out(uint8_t *b, uint32_t itt, uint32_t ttt, uint64_t lun) /* 11.18 */
{
    bhs_begin(b, ISCSI_OP_NOP_OUT, 0x80, 0, itt);
    b[0] |= 0x40;
    bhs_put_lun(b, lun);
    bhs_put_ttt(b, ttt);
}

static inline void pdu_text_request(uint8_t *b, uint32_t itt, uint32_t ttt, uint64_t lun,
                                    uint32_t data_len) /* 11.10 */
{
    bhs_begin(b, ISCSI_OP_TEXT_REQUEST, 0x80, data_len, itt);
    b[0] |= 0x40;
    bhs_put_lun(b, lun);
    bhs_put_ttt(b, ttt);
}

/* 11.16.1 */
enum pdu_snack_type {
    PDU_SNACK_DATA = 0, /* Data-In and R2T PDUs */
    PDU_SNACK_STATUS = 1,
    PDU_SNACK_DATA_ACK = 2,
    PDU_SNACK_RDATA = 3,
};

static inline enum pdu_snack_type pdu_snack_type(const uint8_t *b)
{
    return (enum pdu_snack_type)(b[1] & 0x0f);
}

static inline void pdu_snack_encode(uint8_t *b, enum pdu_snack_type type, uint32_t itt,
                                    uint32_t ttt, uint64_t lun, uint32_t begin,
                                    uint32_t run) /* 11.16 */
{
    bhs_begin(b, ISCSI_OP_SNACK, (uint8_t)(0x80 | type), 0, itt);
    bhs_put_lun(b, lun);
    bhs_put_ttt(b, ttt); /* or the SNACK tag */
    be32_put(b + 40, begin);
    be32_put(b + 44, run);
}

/* ---- and responses ---- */

/* StatSN, ExpCmdSN, MaxCmdSN of every response but Data-In without status, R2T excepted. */
static inline uint32_t bhs_stat_sn(const uint8_t *b)
{
    return be32_get(b + 24);
}

static inline uint32_t bhs_exp_cmd_sn(const uint8_t *b)
{
    return be32_get(b + 28);
}

static inline uint32_t bhs_max_cmd_sn(const uint8_t *b)
{
    return be32_get(b + 32);
}

struct pdu_scsi_status { /* 11.4, and what of it Data-In has (11.7) */
    uint8_t flags, response, status;
    uint16_t qualifier;
    uint32_t residual, bidi_residual;
    uint32_t exp_data_sn, snack_tag; /* 0 of Data-In */
};

static inline struct pdu_scsi_status pdu_scsi_response_decode(const uint8_t *b)
{
    return (struct pdu_scsi_status){ .flags = b[1],
                                     .response = b[2],
                                     .status = b[3],
                                     .qualifier = be16_get(b + 8),
                                     .snack_tag = bhs_ttt(b),
                                     .exp_data_sn = be32_get(b + 36),
                                     .bidi_residual = be32_get(b + 40),
                                     .residual = be32_get(b + 44) };
}

static inline struct pdu_scsi_status pdu_data_in_status(const uint8_t *b)
{
    return (struct pdu_scsi_status){
        .flags = b[1] & (PDU_RESID_UNDERFLOW | PDU_RESID_OVERFLOW),
        .status = b[3],
        .residual = be32_get(b + 44),
    };
}

struct pdu_data_in { /* 11.7 */
    bool final, status, ack;
    uint32_t data_sn, offset;
};

static inline struct pdu_data_in pdu_data_in_decode(const uint8_t *b)
{
    return (struct pdu_data_in){
        .final = b[1] & PDU_DATA_IN_FINAL,
        .status = b[1] & PDU_DATA_IN_STATUS,
        .ack = b[1] & PDU_DATA_IN_ACK,
        .data_sn = be32_get(b + 36),
        .offset = be32_get(b + 40),
    };
}

struct pdu_r2t { /* 11.8 */
    uint32_t ttt, r2t_sn, offset, len;
};

static inline struct pdu_r2t pdu_r2t_decode(const uint8_t *b)
{
    return (struct pdu_r2t){ .ttt = bhs_ttt(b),
                             .r2t_sn = be32_get(b + 36),
                             .offset = be32_get(b + 40),
                             .len = be32_get(b + 44) };
}

static inline struct pdu_login_response pdu_login_response_decode(const uint8_t *b) /* 11.13 */
{
    return (struct pdu_login_response){
        .transit = b[1] & 0x80,
        .cont = b[1] & 0x40,
        .csg = (b[1] >> 2) & 3,
        .nsg = b[1] & 3,
        .version_max = b[2],
        .version_active = b[3],
        .isid = b + 8,
        .tsih = be16_get(b + 14),
        .status = be16_get(b + 36),
    };
}

struct pdu_async { /* 11.9 */
    uint8_t event, vendor_code;
    uint16_t param1, param2, param3;
};

static inline struct pdu_async pdu_async_decode(const uint8_t *b)
{
    return (struct pdu_async){ .event = b[36],
                               .vendor_code = b[37],
                               .param1 = be16_get(b + 38),
                               .param2 = be16_get(b + 40),
                               .param3 = be16_get(b + 42) };
}

/* Additional response information, RFC 7144. */
static inline uint32_t pdu_tmf_response_info(const uint8_t *b)
{
    return be24_get(b + 8);
}

/* Time2Wait of a Logout Response, seconds; 11.15.3. */
static inline uint16_t pdu_logout_time2wait(const uint8_t *b)
{
    return be16_get(b + 40);
}

/* Response code of Task Management, Logout; reason of Reject. */
static inline uint8_t pdu_response_code(const uint8_t *b)
{
    return b[2];
}

/* Serial-number arithmetic of 4.2.2.1 (RFC 1982). */
static inline bool sn_lt(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

#endif
