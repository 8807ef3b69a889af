/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sense data: key, additional code and qualifier as one number, and the two wire formats
 * (SPC-6 4.4). */
#ifndef USAN_SCSI_SENSE_H
#define USAN_SCSI_SENSE_H

#include "scsi/scsi.h"

enum {
    SENSE_KEY_NO_SENSE = 0x0,
    SENSE_KEY_RECOVERED_ERROR = 0x1,
    SENSE_KEY_NOT_READY = 0x2,
    SENSE_KEY_MEDIUM_ERROR = 0x3,
    SENSE_KEY_HARDWARE_ERROR = 0x4,
    SENSE_KEY_ILLEGAL_REQUEST = 0x5,
    SENSE_KEY_UNIT_ATTENTION = 0x6,
    SENSE_KEY_DATA_PROTECT = 0x7,
    SENSE_KEY_BLANK_CHECK = 0x8,
    SENSE_KEY_COPY_ABORTED = 0xa,
    SENSE_KEY_ABORTED_COMMAND = 0xb,
    SENSE_KEY_MISCOMPARE = 0xe,
};

/* name, key, asc, ascq: those this device server reports. The names are SPC-6 annex F's. */
#define SCSI_SENSE_LIST(X)                                                                         \
    X(NO_SENSE, 0x0, 0x00, 0x00)                                                                   \
    X(LOGICAL_UNIT_NOT_READY_BECOMING, 0x2, 0x04, 0x01)                                            \
    X(INITIALIZING_COMMAND_REQUIRED, 0x2, 0x04, 0x02)                                              \
    X(FORMAT_IN_PROGRESS, 0x2, 0x04, 0x04)                                                         \
    X(ALUA_TRANSITION, 0x2, 0x04, 0x0a)                                                            \
    X(ALUA_STANDBY, 0x2, 0x04, 0x0b)                                                               \
    X(ALUA_UNAVAILABLE, 0x2, 0x04, 0x0c)                                                           \
    X(LOGICAL_UNIT_OFFLINE, 0x2, 0x04, 0x12)                                                       \
    X(SANITIZE_IN_PROGRESS, 0x2, 0x04, 0x1b)                                                       \
    X(MEDIUM_NOT_PRESENT, 0x2, 0x3a, 0x00)                                                         \
    X(WRITE_ERROR, 0x3, 0x0c, 0x00)                                                                \
    X(UNRECOVERED_READ_ERROR, 0x3, 0x11, 0x00)                                                     \
    X(FORMAT_COMMAND_FAILED, 0x3, 0x31, 0x01)                                                      \
    X(SANITIZE_COMMAND_FAILED, 0x3, 0x31, 0x03)                                                    \
    X(INTERNAL_TARGET_FAILURE, 0x4, 0x44, 0x00)                                                    \
    X(OPERATION_IN_PROGRESS, 0x5, 0x00, 0x16)                                                      \
    X(PARAMETER_LIST_LENGTH_ERROR, 0x5, 0x1a, 0x00)                                                \
    X(INVALID_OPCODE, 0x5, 0x20, 0x00)                                                             \
    X(LBA_OUT_OF_RANGE, 0x5, 0x21, 0x00)                                                           \
    X(UNSUPPORTED_TOKEN_TYPE, 0x5, 0x23, 0x01)                                                     \
    X(INVALID_TOKEN, 0x5, 0x23, 0x04)                                                              \
    X(TOKEN_CORRUPT, 0x5, 0x23, 0x05)                                                              \
    X(TOKEN_REVOKED, 0x5, 0x23, 0x06)                                                              \
    X(INVALID_FIELD_IN_CDB, 0x5, 0x24, 0x00)                                                       \
    X(LUN_NOT_SUPPORTED, 0x5, 0x25, 0x00)                                                          \
    X(INVALID_FIELD_IN_PARAMETER_LIST, 0x5, 0x26, 0x00)                                            \
    X(INVALID_RELEASE_OF_PERSISTENT_RESERVATION, 0x5, 0x26, 0x04)                                  \
    X(TOO_MANY_TARGET_DESCRIPTORS, 0x5, 0x26, 0x06)                                                \
    X(UNSUPPORTED_TARGET_DESCRIPTOR, 0x5, 0x26, 0x07)                                              \
    X(TOO_MANY_SEGMENT_DESCRIPTORS, 0x5, 0x26, 0x08)                                               \
    X(UNSUPPORTED_SEGMENT_DESCRIPTOR, 0x5, 0x26, 0x09)                                             \
    X(INLINE_DATA_LENGTH_EXCEEDED, 0x5, 0x26, 0x0b)                                                \
    X(SAVING_NOT_SUPPORTED, 0x5, 0x39, 0x00)                                                       \
    X(MEDIUM_REMOVAL_PREVENTED, 0x5, 0x53, 0x02)                                                   \
    X(INSUFFICIENT_RESOURCES, 0x5, 0x55, 0x03)                                                     \
    X(INSUFFICIENT_REGISTRATION_RESOURCES, 0x5, 0x55, 0x04)                                        \
    X(SELF_TEST_FAILED, 0x4, 0x3e, 0x03)                                                           \
    X(INVALID_FIELD_IN_IU, 0xb, 0x0e, 0x03)                                                        \
    X(WRITE_PROTECTED, 0x7, 0x27, 0x00)                                                            \
    X(SOFTWARE_WRITE_PROTECTED, 0x7, 0x27, 0x02)                                                   \
    X(SPACE_ALLOCATION_FAILED, 0x7, 0x27, 0x07)                                                    \
    X(COPY_ABORTED, 0xa, 0x00, 0x00)                                                               \
    X(THIRD_PARTY_DEVICE_FAILURE, 0xa, 0x0d, 0x01)                                                 \
    X(COPY_TARGET_NOT_REACHABLE, 0xa, 0x0d, 0x02)                                                  \
    X(COPY_TARGET_WRONG_TYPE, 0xa, 0x0d, 0x03)                                                     \
    X(COPY_TARGET_DATA_UNDERRUN, 0xa, 0x0d, 0x04)                                                  \
    X(UNEXPECTED_INEXACT_SEGMENT, 0xa, 0x26, 0x0a)                                                 \
    X(INVALID_MESSAGE_ERROR, 0xb, 0x49, 0x00)                                                      \
    X(COMMAND_ABORTED, 0xb, 0x00, 0x00)                                                            \
    X(DATA_PHASE_CRC_ERROR, 0xb, 0x47, 0x01)                                                       \
    X(PROTOCOL_SERVICE_CRC_ERROR, 0xb, 0x47, 0x05)                                                 \
    X(MISCOMPARE_DURING_VERIFY, 0xe, 0x1d, 0x00)

enum scsi_kaq {
#define X(name, key, asc, ascq) SENSE_##name = SCSI_KAQ(key, asc, ascq),
    SCSI_SENSE_LIST(X)
#undef X
};

/* Unit attention conditions: asc << 8 | ascq (the key is UNIT ATTENTION). */
enum scsi_ua {
    UA_POWER_ON_RESET = 0x2900,
    UA_BUS_DEVICE_RESET = 0x2903,
    UA_I_T_NEXUS_LOSS = 0x2907,
    UA_MEDIUM_CHANGED = 0x2800,
    UA_MODE_PARAMETERS_CHANGED = 0x2a01,
    UA_LOG_PARAMETERS_CHANGED = 0x2a02,
    UA_RESERVATIONS_PREEMPTED = 0x2a03,
    UA_RESERVATIONS_RELEASED = 0x2a04,
    UA_REGISTRATIONS_PREEMPTED = 0x2a05,
    UA_ALUA_STATE_CHANGED = 0x2a06,
    UA_CAPACITY_CHANGED = 0x2a09,
    UA_COMMANDS_CLEARED = 0x2f00,
    UA_THIN_THRESHOLD = 0x3807,
    UA_INQUIRY_CHANGED = 0x3f03,
    UA_IDENTIFIER_CHANGED = 0x3f05,
    UA_REPORTED_LUNS_CHANGED = 0x3f0e,
};

struct scsi_sense_info {
    uint32_t kaq;
    bool has_information;
    uint64_t information;
    bool has_field; /* sense-key specific: field pointer */
    bool field_in_cdb;
    uint16_t field_byte;
    int field_bit;     /* -1: not stated */
    bool has_progress; /* sense-key specific: progress indication */
    uint16_t progress;
};

/* Fixed (70h) or, with descriptors, 72h. Returns the length, <= cap cut. */
size_t scsi_sense_build(const struct scsi_sense_info *s, bool descriptor, uint8_t *buf, size_t cap);
/* "ILLEGAL REQUEST, LOGICAL BLOCK ADDRESS OUT OF RANGE"-like text for logs and tools; static. */
const char *scsi_sense_text(uint32_t kaq);

#endif
