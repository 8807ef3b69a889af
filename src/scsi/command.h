/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is known of a command: one const entry per opcode (and service action), from which dispatch,
 * the checks before a handler runs, REPORT SUPPORTED OPERATION CODES and the conformance page are
 * all made. Internal to src/scsi.
 */
#ifndef USAN_SCSI_COMMAND_H
#define USAN_SCSI_COMMAND_H

#include "scsi/scsi.h"

enum {
    SCSI_CF_IN = 1u << 0,  /* data-in */
    SCSI_CF_OUT = 1u << 1, /* data-out */
    /* Runs even if a unit attention is pending, and does not report it (SAM-6 5.14). */
    SCSI_CF_UA_PASS = 1u << 2,
    /* Answered for LUNs that do not exist too. */
    SCSI_CF_NO_LUN = 1u << 3,
    /* Persistent reservations, SPC-6 table "commands allowed in the presence of various
     * reservations": with none of these the command conflicts with both kinds. */
    SCSI_CF_PR_ANY = 1u << 4,      /* allowed whatever is reserved */
    SCSI_CF_PR_READ = 1u << 5,     /* allowed for others under Write Exclusive types */
    SCSI_CF_PR_REG = 1u << 6,      /* handler does its own checks (PERSISTENT RESERVE OUT) */
    SCSI_CF_RESERVE_ANY = 1u << 7, /* allowed in spite of another's RESERVE(6)/(10) */
    SCSI_CF_MEDIUM = 1u << 8, /* needs a medium that is loaded and not being formatted/sanitised */
    SCSI_CF_WRITES = 1u << 9, /* refused on a write-protected unit: DATA PROTECT */
    SCSI_CF_EXCLUSIVE = 1u << 10,    /* runs alone: the gate is closed for it */
    SCSI_CF_ALUA_ANY = 1u << 11,     /* allowed in standby, unavailable and transitioning */
    SCSI_CF_ALUA_STANDBY = 1u << 12, /* allowed in standby */
    SCSI_CF_REMOVABLE = 1u << 13,    /* only on removable units; else INVALID OPCODE */
    SCSI_CF_THIN = 1u << 14,         /* only on thin units */
    SCSI_CF_DURABLE = 1u << 16,      /* only on units that keep state over a restart */
    SCSI_CF_NO_SECTION = 1u << 15, /* touches no shared state: runs even while the gate is closed */
    SCSI_CF_COPY = 1u << 17,       /* a third-party copy, or asks for its result */
};

struct scsi_command {
    uint8_t opcode;
    int16_t sa;      /* service action, -1 = the opcode has none */
    uint8_t cdb_len; /* 6, 10, 12, 16, 32 */
    uint32_t flags;
    const char *name; /* as in the standard: "READ(10)" */
    void (*start)(struct scsi_task *t);
    /* CDB usage data (SPC-6 6.35.3): bit set = evaluated. Byte 0 is the opcode. A CDB with a bit
     * outside is answered INVALID FIELD IN CDB with the field pointer. */
    uint8_t usage[32];
};

/* The tables, each above the handlers of its family; they end with name == NULL. */
extern const struct scsi_command scsi_spc_commands[];     /* spc.c: all device types */
extern const struct scsi_command scsi_block_commands[];   /* block_commands.c: disks */
extern const struct scsi_command scsi_reserve_commands[]; /* reserve_commands.c */
extern const struct scsi_command scsi_copy_commands[];    /* copy_commands.c */
extern const struct scsi_command scsi_alua_commands[];    /* alua.c */

/* Commands of one logical unit, ordered by opcode, then by service action. Made by table.c. */
struct scsi_index {
    uint16_t first[257]; /* commands of opcode i: [first[i], first[i + 1]) */
    const struct scsi_command *cmd[];
};

/* The CONTROL byte's place in a CDB (SPC-6 4.2). */
static inline unsigned scsi_cdb_control(const struct scsi_command *cmd)
{
    return cmd->opcode == 0x7f ? 1 : cmd->cdb_len - 1u;
}

#endif
