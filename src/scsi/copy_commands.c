/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The third-party copy commands, and what the Third-party Copy VPD page says of them. */
#include "scsi/command.h"
#include "scsi/copy.h"

/* CDB usage data of a length field at byte 10. */
#define USAGE_END [10] = 0xff, 0xff, 0xff, 0xff
#define OUT       (SCSI_CF_OUT | SCSI_CF_COPY)
#define IN        (SCSI_CF_IN | SCSI_CF_COPY)

const struct scsi_command scsi_copy_commands[] = {
    { COPY_OPCODE_OUT,
      COPY_OUT_LID1,
      16,
      OUT,
      "EXTENDED COPY(LID1)",
      copy_extended_copy,
      { 0x83, 0x1f, USAGE_END } },
    { COPY_OPCODE_OUT,
      COPY_OUT_LID4,
      16,
      OUT,
      "EXTENDED COPY(LID4)",
      copy_extended_copy,
      { 0x83, 0x1f, USAGE_END } },
    { COPY_OPCODE_OUT,
      COPY_OUT_POPULATE_TOKEN,
      16,
      OUT | SCSI_CF_MEDIUM | SCSI_CF_PR_READ | SCSI_CF_EXCLUSIVE,
      "POPULATE TOKEN",
      rod_populate_token,
      { 0x83, 0x1f, [6] = 0xff, 0xff, 0xff, 0xff, USAGE_END, 0x3f } },
    { COPY_OPCODE_OUT,
      COPY_OUT_WRITE_USING_TOKEN,
      16,
      OUT | SCSI_CF_MEDIUM | SCSI_CF_WRITES,
      "WRITE USING TOKEN",
      rod_write_using_token,
      { 0x83, 0x1f, [6] = 0xff, 0xff, 0xff, 0xff, USAGE_END, 0x3f } },
    { COPY_OPCODE_OUT,
      COPY_OUT_ABORT,
      16,
      SCSI_CF_COPY,
      "COPY OPERATION ABORT",
      copy_abort,
      { 0x83, 0x1f, 0xff, 0xff, 0xff, 0xff } },
    { COPY_OPCODE_IN,
      COPY_IN_STATUS_LID1,
      16,
      IN,
      "RECEIVE COPY STATUS(LID1)",
      copy_receive_status_lid1,
      { 0x84, 0x1f, 0xff, USAGE_END } },
    { COPY_OPCODE_IN,
      COPY_IN_DATA_LID1,
      16,
      IN,
      "RECEIVE COPY DATA(LID1)",
      copy_receive_data_lid1,
      { 0x84, 0x1f, 0xff, USAGE_END } },
    { COPY_OPCODE_IN,
      COPY_IN_OPERATING_PARAMETERS,
      16,
      IN,
      "RECEIVE COPY OPERATING PARAMETERS",
      copy_receive_operating_parameters,
      { 0x84, 0x1f, 0xff, USAGE_END } },
    { COPY_OPCODE_IN,
      COPY_IN_FAILURE_LID1,
      16,
      IN,
      "RECEIVE COPY FAILURE DETAILS(LID1)",
      copy_receive_failure_lid1,
      { 0x84, 0x1f, 0xff, USAGE_END } },
    { COPY_OPCODE_IN,
      COPY_IN_STATUS_LID4,
      16,
      IN,
      "RECEIVE COPY STATUS(LID4)",
      copy_receive_status_lid4,
      { 0x84, 0x1f, 0xff, 0xff, 0xff, 0xff, USAGE_END } },
    { COPY_OPCODE_IN,
      COPY_IN_ROD_TOKEN_INFO,
      16,
      IN,
      "RECEIVE ROD TOKEN INFORMATION",
      copy_receive_status_lid4,
      { 0x84, 0x1f, 0xff, 0xff, 0xff, 0xff, USAGE_END } },
    { COPY_OPCODE_IN,
      COPY_IN_ALL_ROD_TOKENS,
      16,
      IN,
      "REPORT ALL ROD TOKENS",
      rod_report_all_tokens,
      { 0x84, 0x1f, USAGE_END } },
    { .name = NULL },
};

/* ---- VPD page 8Fh (SPC-6 7.7.17, SBC-4 6.6.8) ---- */

enum { /* third-party copy descriptor types */
       TPC_BLOCK_ROD_LIMITS = 0x0000,
       TPC_COMMANDS = 0x0001,
       TPC_PARAMETERS = 0x0004,
       TPC_DESCRIPTORS = 0x0008,
       TPC_CSCD_IDS = 0x000c,
       TPC_ROD_FEATURES = 0x0106,
       TPC_ROD_TYPES = 0x0108,
       TPC_GENERAL = 0x8001,
};

enum { TOKEN_OUT = 0x01, TOKEN_IN = 0x02 };

static size_t begin(struct wr *w, uint16_t type)
{
    wr_be16(w, type);
    wr_be16(w, 0);
    return w->len;
}

/* Descriptors are multiples of four bytes long. */
static void end(struct wr *w, size_t start)
{
    wr_zero(w, (4 - (w->len - start) % 4) % 4);
    wr_patch_be16(w, start - 2, (uint16_t)(w->len - start));
}

static void block_rod_limits(const struct scsi_lu *lu, struct wr *w)
{
    size_t at = begin(w, TPC_BLOCK_ROD_LIMITS);
    wr_zero(w, 6);
    wr_be16(w, ROD_RANGES_MAX);
    wr_be32(w, ROD_TIMEOUT_MAX);
    wr_be32(w, ROD_TIMEOUT_DEFAULT);
    wr_be64(w, ROD_TRANSFER_BYTES_MAX / lu->cfg.block_bytes);
    wr_be64(w, ROD_TRANSFER_BYTES_BEST / lu->cfg.block_bytes);
    end(w, at);
}

/* From the table, so that it can not name what there is not. */
static void commands(struct wr *w)
{
    static const uint8_t opcodes[] = { COPY_OPCODE_OUT, COPY_OPCODE_IN };
    size_t at = begin(w, TPC_COMMANDS);
    wr_u8(w, 0);
    for (size_t i = 0; i < sizeof(opcodes); i++) {
        size_t of = w->len;
        wr_u8(w, opcodes[i]);
        wr_u8(w, 0);
        for (const struct scsi_command *c = scsi_copy_commands; c->name; c++) {
            if (c->opcode == opcodes[i])
                wr_u8(w, (uint8_t)c->sa);
        }
        uint8_t count = (uint8_t)(w->len - of - 2);
        wr_patch(w, of + 1, &count, 1);
    }
    uint8_t len = (uint8_t)(w->len - at - 1);
    wr_patch(w, at, &len, 1);
    end(w, at);
}

static void parameters(struct wr *w)
{
    size_t at = begin(w, TPC_PARAMETERS);
    wr_zero(w, 4);
    wr_be16(w, COPY_CSCD_MAX);
    wr_be16(w, COPY_SEGMENT_MAX);
    wr_be32(w, COPY_DESCRIPTORS_MAX);
    wr_be32(w, 0); /* inline data */
    wr_zero(w, 12);
    end(w, at);
}

static void descriptors(struct wr *w)
{
    size_t at = begin(w, TPC_DESCRIPTORS);
    wr_u8(w, 2);
    wr_u8(w, COPY_TYPE_BLOCK);
    wr_u8(w, COPY_TYPE_IDENT);
    end(w, at);
    at = begin(w, TPC_CSCD_IDS);
    wr_be16(w, 2);
    wr_be16(w, COPY_CSCD_SELF);
    end(w, at);
}

static void rod_features(struct wr *w)
{
    size_t at = begin(w, TPC_ROD_FEATURES);
    wr_u8(w, 0); /* REMOTE TOKENS: tokens of other copy managers are not understood */
    wr_zero(w, 11);
    wr_be32(w, 0); /* MINIMUM TOKEN LIFETIME: none is promised */
    wr_be32(w, ROD_TIMEOUT_MAX);
    wr_be32(w, ROD_TIMEOUT_MAX);
    wr_zero(w, 18);
    wr_be16(w, 48);
    /* block ROD device type specific features: format 000b, peripheral device type 00h */
    wr_be16(w, 0);
    wr_be16(w, 44);
    wr_zero(w, 2);
    wr_be16(w, 0); /* OPTIMAL BLOCK ROD LENGTH GRANULARITY: none */
    wr_be64(w, ROD_TRANSFER_BYTES_MAX);
    wr_be64(w, ROD_TRANSFER_BYTES_BEST);
    wr_be64(w, ROD_TRANSFER_BYTES_BEST);
    wr_be64(w, ROD_TRANSFER_BYTES_BEST);
    wr_zero(w, 8);
    end(w, at);
}

static void rod_type(struct wr *w, uint32_t type, uint8_t flags)
{
    wr_be32(w, type);
    wr_u8(w, flags); /* ECPY_INT = 0: not in EXTENDED COPY */
    wr_zero(w, 59);
}

static void rod_types(struct wr *w)
{
    size_t at = begin(w, TPC_ROD_TYPES);
    wr_zero(w, 2);
    wr_be16(w, 4 * 64);
    rod_type(w, ROD_TYPE_PIT_DEFAULT, TOKEN_OUT);
    rod_type(w, ROD_TYPE_PIT_VULNERABLE, TOKEN_OUT | TOKEN_IN);
    rod_type(w, ROD_TYPE_PIT_ANY, TOKEN_OUT);
    rod_type(w, ROD_TYPE_ZERO, TOKEN_IN);
    end(w, at);
}

static void general(const struct scsi_lu *lu, struct wr *w)
{
    size_t at = begin(w, TPC_GENERAL);
    wr_be32(w, COPY_HELD_MAX);
    wr_be32(w, COPY_HELD_MAX);
    wr_be32(w, COPY_SEGMENT_BLOCKS_MAX * lu->cfg.block_bytes);
    wr_u8(w, 0); /* data segment granularity: 2^0 bytes */
    wr_u8(w, 0);
    wr_zero(w, 18);
    end(w, at);
}

size_t scsi_vpd_third_party_copy(const struct scsi_lu *lu, struct wr *w)
{
    size_t start = w->len;
    wr_u8(w, 0); /* peripheral: block device, connected */
    wr_u8(w, 0x8f);
    wr_be16(w, 0);
    block_rod_limits(lu, w);
    commands(w);
    parameters(w);
    descriptors(w);
    rod_features(w);
    rod_types(w);
    general(lu, w);
    wr_patch_be16(w, start + 2, (uint16_t)(w->len - start - 4));
    return w->len - start;
}
