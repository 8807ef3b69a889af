/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The commands of disks (SBC-4), as table rows. Reservation flags are those of SBC-4, table "SBC-4
 * commands that are allowed in the presence of various reservations".
 */
#include "scsi/block.h"
#include "scsi/command.h"

/* CDB usage data, SPC-6 REPORT SUPPORTED OPERATION CODES: the bits that may be 1. GROUP is accepted
 * and ignored, as no grouping function is supported. */
#define B2    0xff, 0xff
#define B4    B2, B2
#define B8    B4, B4
#define GROUP 0x3f
#define CTL   0x04 /* CONTROL byte: NACA */

enum {
    DPO_FUA = BLOCK_CDB_DPO | BLOCK_CDB_FUA,
    DPO_BYTCHK = BLOCK_CDB_DPO | BLOCK_CDB_BYTCHK,

    CF_READ = SCSI_CF_IN | SCSI_CF_PR_READ | SCSI_CF_MEDIUM,
    CF_WRITE = SCSI_CF_OUT | SCSI_CF_MEDIUM | SCSI_CF_WRITES,
    CF_VERIFY = SCSI_CF_OUT | SCSI_CF_PR_READ | SCSI_CF_MEDIUM,
    CF_CAPACITY = SCSI_CF_IN | SCSI_CF_PR_ANY | SCSI_CF_MEDIUM,
    CF_SANITIZE = SCSI_CF_WRITES | SCSI_CF_EXCLUSIVE,
};

#define CMD(opcode_, len_, flags_, name_, start_, ...)                                             \
    {                                                                                              \
        .opcode = (opcode_), .sa = -1, .cdb_len = (len_), .flags = (flags_), .name = (name_),      \
        .start = (start_), .usage = {                                                              \
            (opcode_),                                                                             \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define CMD_SA(opcode_, sa_, len_, flags_, name_, start_, ...)                                     \
    {                                                                                              \
        .opcode = (opcode_), .sa = (sa_), .cdb_len = (len_), .flags = (flags_), .name = (name_),   \
        .start = (start_), .usage = {                                                              \
            (opcode_),                                                                             \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

/* clang-format off */
const struct scsi_command scsi_block_commands[] = {
    CMD(0x04, 6, CF_WRITE | SCSI_CF_EXCLUSIVE, "FORMAT UNIT", block_format_unit,
        0x3f, 0, 0, 0, CTL),
    CMD(0x08, 6, CF_READ, "READ(6)", block_read6, 0x1f, B2, 0xff, CTL),
    CMD(0x0a, 6, CF_WRITE, "WRITE(6)", block_write6, 0x1f, B2, 0xff, CTL),
    CMD(0x1b, 6, SCSI_CF_PR_REG | SCSI_CF_EXCLUSIVE, "START STOP UNIT", block_start_stop,
        0x01, 0, 0x0f, 0xf7, CTL),
    CMD(0x1e, 6, SCSI_CF_PR_REG | SCSI_CF_EXCLUSIVE | SCSI_CF_REMOVABLE,
        "PREVENT ALLOW MEDIUM REMOVAL", block_prevent_allow, 0, 0, 0, 0x01, CTL),
    CMD(0x25, 10, CF_CAPACITY, "READ CAPACITY(10)", block_read_capacity10,
        0, B4, 0, 0, 0x01, CTL),
    CMD(0x28, 10, CF_READ, "READ(10)", block_read10, DPO_FUA, B4, GROUP, B2, CTL),
    CMD(0x2a, 10, CF_WRITE, "WRITE(10)", block_write10, DPO_FUA, B4, GROUP, B2, CTL),
    CMD(0x2e, 10, CF_WRITE, "WRITE AND VERIFY(10)", block_write_verify,
        DPO_BYTCHK, B4, GROUP, B2, CTL),
    CMD(0x2f, 10, CF_VERIFY, "VERIFY(10)", block_verify, DPO_BYTCHK, B4, GROUP, B2, CTL),
    CMD(0x34, 10, SCSI_CF_PR_READ | SCSI_CF_MEDIUM, "PRE-FETCH(10)", block_prefetch,
        0x02, B4, GROUP, B2, CTL),
    /* IMMED, and SYNC_NV: obsolete, but hosts still set it */
    CMD(0x35, 10, SCSI_CF_MEDIUM, "SYNCHRONIZE CACHE(10)", block_sync_cache,
        0x06, B4, GROUP, B2, CTL),
    CMD(0x37, 10, CF_READ, "READ DEFECT DATA(10)", block_read_defects10,
        0, 0x1f, 0, 0, 0, 0, B2, CTL),
    CMD(0x41, 10, CF_WRITE, "WRITE SAME(10)", block_write_same10, 0x08, B4, GROUP, B2, CTL),
    CMD(0x42, 10, CF_WRITE | SCSI_CF_THIN, "UNMAP", block_unmap, 0, 0, 0, 0, 0, GROUP, B2, CTL),
    CMD_SA(0x48, 0x01, 10, CF_SANITIZE | SCSI_CF_OUT, "SANITIZE (overwrite)",
           block_sanitize_overwrite, 0xa1, 0, 0, 0, 0, 0, B2, CTL),
    CMD_SA(0x48, 0x02, 10, CF_SANITIZE | SCSI_CF_THIN, "SANITIZE (block erase)",
           block_sanitize_block_erase, 0xa2, 0, 0, 0, 0, 0, B2, CTL),
    CMD_SA(0x48, 0x1f, 10, SCSI_CF_EXCLUSIVE, "SANITIZE (exit failure mode)",
           block_sanitize_exit_failure, 0xbf, 0, 0, 0, 0, 0, B2, CTL),
    CMD(0x88, 16, CF_READ, "READ(16)", block_read16, DPO_FUA, B8, B4, GROUP, CTL),
    CMD(0x89, 16, CF_WRITE, "COMPARE AND WRITE", block_compare_and_write,
        DPO_FUA, B8, 0, 0, 0, 0xff, GROUP, CTL),
    CMD(0x8a, 16, CF_WRITE, "WRITE(16)", block_write16, DPO_FUA, B8, B4, GROUP, CTL),
    CMD(0x8b, 16, CF_WRITE, "ORWRITE(16)", block_orwrite, DPO_FUA, B8, B4, GROUP, CTL),
    CMD(0x8e, 16, CF_WRITE, "WRITE AND VERIFY(16)", block_write_verify,
        DPO_BYTCHK, B8, B4, GROUP, CTL),
    CMD(0x8f, 16, CF_VERIFY, "VERIFY(16)", block_verify, DPO_BYTCHK, B8, B4, GROUP, CTL),
    CMD(0x90, 16, SCSI_CF_PR_READ | SCSI_CF_MEDIUM, "PRE-FETCH(16)", block_prefetch,
        0x02, B8, B4, GROUP, CTL),
    CMD(0x91, 16, SCSI_CF_MEDIUM, "SYNCHRONIZE CACHE(16)", block_sync_cache,
        0x06, B8, B4, GROUP, CTL),
    CMD(0x93, 16, CF_WRITE, "WRITE SAME(16)", block_write_same16, 0x09, B8, B4, GROUP, CTL),
    CMD(0x9c, 16, CF_WRITE, "WRITE ATOMIC(16)", block_write_atomic,
        DPO_FUA, B8, 0, 0, B2, GROUP, CTL),
    CMD_SA(0x9e, 0x10, 16, CF_CAPACITY, "READ CAPACITY(16)", block_read_capacity16,
           0x10, B8, B4, 0x01, CTL),
    CMD_SA(0x9e, 0x12, 16, CF_READ, "GET LBA STATUS(16)", block_get_lba_status,
           0x12, B8, B4, 0, CTL),
    CMD(0xa8, 12, CF_READ, "READ(12)", block_read12, DPO_FUA, B4, B4, GROUP, CTL),
    CMD(0xaa, 12, CF_WRITE, "WRITE(12)", block_write12, DPO_FUA, B4, B4, GROUP, CTL),
    CMD(0xae, 12, CF_WRITE, "WRITE AND VERIFY(12)", block_write_verify,
        DPO_BYTCHK, B4, B4, GROUP, CTL),
    CMD(0xaf, 12, CF_VERIFY, "VERIFY(12)", block_verify, DPO_BYTCHK, B4, B4, GROUP, CTL),
    CMD(0xb7, 12, CF_READ, "READ DEFECT DATA(12)", block_read_defects12,
        0x1f, B4, B4, 0, CTL),
    { .name = NULL },
};
/* clang-format on */
