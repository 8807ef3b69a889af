/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of reservation commands. */
#include "scsi/command.h"
#include "scsi/persist.h"
#include "scsi/reserve.h"

#define PR_IN_FLAGS   (SCSI_CF_IN | SCSI_CF_PR_ANY | SCSI_CF_ALUA_STANDBY)
#define PR_OUT_FLAGS  (SCSI_CF_OUT | SCSI_CF_PR_REG | SCSI_CF_ALUA_STANDBY | SCSI_CF_EXCLUSIVE)
#define RESERVE_FLAGS (SCSI_CF_PR_REG | SCSI_CF_EXCLUSIVE)
#define RELEASE_FLAGS (RESERVE_FLAGS | SCSI_CF_RESERVE_ANY)
#define PR_IN(sa, text)                                                                            \
    {                                                                                              \
        0x5e, sa, 10, PR_IN_FLAGS, text, scsi_persistent_reserve_in,                               \
        {                                                                                          \
            0x5e, 0x1f, [7] = 0xff, 0xff                                                           \
        }                                                                                          \
    }
/* SCOPE and TYPE are evaluated or ignored, by service action, but never refused as reserved. */
#define PR_OUT(sa, text)                                                                           \
    {                                                                                              \
        0x5f, sa, 10, PR_OUT_FLAGS, text, scsi_persistent_reserve_out,                             \
        {                                                                                          \
            0x5f, 0x1f, 0xff, [5] = 0xff, 0xff, 0xff, 0xff                                         \
        }                                                                                          \
    }

const struct scsi_command scsi_reserve_commands[] = {
    PR_IN(0x00, "PERSISTENT RESERVE IN, READ KEYS"),
    PR_IN(0x01, "PERSISTENT RESERVE IN, READ RESERVATION"),
    PR_IN(0x02, "PERSISTENT RESERVE IN, REPORT CAPABILITIES"),
    PR_IN(0x03, "PERSISTENT RESERVE IN, READ FULL STATUS"),
    PR_OUT(0x00, "PERSISTENT RESERVE OUT, REGISTER"),
    PR_OUT(0x01, "PERSISTENT RESERVE OUT, RESERVE"),
    PR_OUT(0x02, "PERSISTENT RESERVE OUT, RELEASE"),
    PR_OUT(0x03, "PERSISTENT RESERVE OUT, CLEAR"),
    PR_OUT(0x04, "PERSISTENT RESERVE OUT, PREEMPT"),
    PR_OUT(0x05, "PERSISTENT RESERVE OUT, PREEMPT AND ABORT"),
    PR_OUT(0x06, "PERSISTENT RESERVE OUT, REGISTER AND IGNORE EXISTING KEY"),
    PR_OUT(0x07, "PERSISTENT RESERVE OUT, REGISTER AND MOVE"),
    /* Third-party and extent reservations (byte 1) are not supported. The reservation
     * identification and the length of a parameter list mean nothing without them. */
    { 0x16, -1, 6, RESERVE_FLAGS, "RESERVE(6)", scsi_reserve, { 0x16, 0x00, 0xff, 0xff, 0xff } },
    { 0x17, -1, 6, RELEASE_FLAGS, "RELEASE(6)", scsi_release, { 0x17, 0x00, 0xff, 0xff, 0xff } },
    { 0x56,
      -1,
      10,
      RESERVE_FLAGS,
      "RESERVE(10)",
      scsi_reserve,
      { 0x56, 0x00, 0xff, 0xff, [7] = 0xff, 0xff } },
    { 0x57,
      -1,
      10,
      RELEASE_FLAGS,
      "RELEASE(10)",
      scsi_release,
      { 0x57, 0x00, 0xff, 0xff, [7] = 0xff, 0xff } },
    { .name = NULL },
};
