/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Operation codes and service actions that are sent to units (SPC-6, SBC-4). */
#ifndef USAN_INITIATOR_OPCODES_H
#define USAN_INITIATOR_OPCODES_H

enum {
    INI_OP_INQUIRY = 0x12,
    INI_OP_MODE_SENSE_6 = 0x1a,
    INI_OP_READ_CAPACITY_10 = 0x25,
    INI_OP_READ_10 = 0x28,
    INI_OP_WRITE_10 = 0x2a,
    INI_OP_SYNCHRONIZE_CACHE_10 = 0x35,
    INI_OP_UNMAP = 0x42,
    INI_OP_READ_16 = 0x88,
    INI_OP_COMPARE_AND_WRITE = 0x89,
    INI_OP_WRITE_16 = 0x8a,
    INI_OP_WRITE_SAME_16 = 0x93,
    INI_OP_SERVICE_ACTION_IN_16 = 0x9e,
    INI_OP_REPORT_LUNS = 0xa0,
    INI_OP_MAINTENANCE_IN = 0xa3,
};

enum { INI_SA_READ_CAPACITY_16 = 0x10, INI_SA_REPORT_TARGET_PORT_GROUPS = 0x0a };

#endif
