/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What goes into a login and comes out of it. */
#ifndef USAN_ISCSI_LOGIN_TYPES_H
#define USAN_ISCSI_LOGIN_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Status class << 8 | detail of a Login Response (RFC 7143 11.13.5). */
enum iscsi_login_status {
    ISCSI_LOGIN_SUCCESS = 0x0000,
    ISCSI_LOGIN_MOVED_TEMPORARILY = 0x0101,
    ISCSI_LOGIN_MOVED_PERMANENTLY = 0x0102,
    ISCSI_LOGIN_INITIATOR_ERROR = 0x0200,
    ISCSI_LOGIN_AUTH_FAILED = 0x0201,
    ISCSI_LOGIN_FORBIDDEN = 0x0202,
    ISCSI_LOGIN_NOT_FOUND = 0x0203,
    ISCSI_LOGIN_REMOVED = 0x0204,
    ISCSI_LOGIN_UNSUPPORTED_VERSION = 0x0205,
    ISCSI_LOGIN_TOO_MANY_CONNECTIONS = 0x0206,
    ISCSI_LOGIN_MISSING_PARAMETER = 0x0207,
    ISCSI_LOGIN_CANNOT_JOIN_SESSION = 0x0208,
    ISCSI_LOGIN_SESSION_TYPE = 0x0209,
    ISCSI_LOGIN_NO_SUCH_SESSION = 0x020a,
    ISCSI_LOGIN_INVALID_DURING_LOGIN = 0x020b,
    ISCSI_LOGIN_TARGET_ERROR = 0x0300,
    ISCSI_LOGIN_SERVICE_UNAVAILABLE = 0x0301,
    ISCSI_LOGIN_OUT_OF_RESOURCES = 0x0302,
};

/* The fields of a Login Request header that matter to the negotiation (RFC 7143 11.12). */
struct iscsi_login_req {
    bool transit, cont;
    uint8_t csg, nsg;
    uint8_t version_max, version_min;
    uint8_t isid[6];
    uint16_t tsih, cid;
    const void *text; /* borrowed for the call */
    size_t text_len;
};

/* The Login Response to send (RFC 7143 11.13). */
struct iscsi_login_rsp {
    bool transit, cont;
    uint8_t csg, nsg;
    uint8_t version_max, version_active;
    uint16_t status;  /* class << 8 | detail */
    const void *text; /* borrowed until the next call on the login; at most what the initiator's
                         MaxRecvDataSegmentLength (8192 until declared) takes */
    size_t text_len;
};

#endif
