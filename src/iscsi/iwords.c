/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Codes of RFC 7143 in words. */
#include "iscsi/initiator.h"

const char *iscsi_login_status_text(uint16_t status)
{
    switch ((enum iscsi_login_status)status) {
    case ISCSI_LOGIN_SUCCESS:
        return "success";
    case ISCSI_LOGIN_MOVED_TEMPORARILY:
        return "the target has moved temporarily";
    case ISCSI_LOGIN_MOVED_PERMANENTLY:
        return "the target has moved permanently";
    case ISCSI_LOGIN_INITIATOR_ERROR:
        return "login refused: the target sees an error of the initiator";
    case ISCSI_LOGIN_AUTH_FAILED:
        return "login refused: authentication failed (wrong user or secret, or one is required)";
    case ISCSI_LOGIN_FORBIDDEN:
        return "login refused: this initiator is not allowed to use the target";
    case ISCSI_LOGIN_NOT_FOUND:
        return "login refused: no such target here";
    case ISCSI_LOGIN_REMOVED:
        return "login refused: the target was removed and has no new address";
    case ISCSI_LOGIN_UNSUPPORTED_VERSION:
        return "login refused: the target does not know this version of iSCSI";
    case ISCSI_LOGIN_TOO_MANY_CONNECTIONS:
        return "login refused: too many connections in this session";
    case ISCSI_LOGIN_MISSING_PARAMETER:
        return "login refused: a parameter is missing";
    case ISCSI_LOGIN_CANNOT_JOIN_SESSION:
        return "login refused: the connection can not join the session";
    case ISCSI_LOGIN_SESSION_TYPE:
        return "login refused: the target does not do this type of session";
    case ISCSI_LOGIN_NO_SUCH_SESSION:
        return "login refused: the session does not exist";
    case ISCSI_LOGIN_INVALID_DURING_LOGIN:
        return "login refused: a request that has no place in the login";
    case ISCSI_LOGIN_TARGET_ERROR:
        return "login refused: an error in the target";
    case ISCSI_LOGIN_SERVICE_UNAVAILABLE:
        return "login refused: the target is not in service now";
    case ISCSI_LOGIN_OUT_OF_RESOURCES:
        return "login refused: the target is out of resources";
    default:
        break;
    }
    return status >> 8 == 1   ? "the target has moved"
           : status >> 8 == 2 ? "login refused: an error of the initiator"
           : status >> 8 == 3 ? "login refused: an error in the target"
                              : "login refused: unknown status";
}

const char *iscsi_tmf_response_text(uint8_t response)
{
    static const char *const text[] = {
        "function complete",
        "the task does not exist",
        "the LUN does not exist",
        "the task is still allegiant",
        "the target can not reassign tasks",
        "the target does not support the function",
        "the function is not authorized",
        "function succeeded",
    };
    if (response == 255)
        return "the target rejects the function";
    return response < sizeof(text) / sizeof(text[0]) ? text[response] : "unknown response";
}

const char *iscsi_reject_text(uint8_t reason)
{
    static const char *const text[] = {
        [0x02] = "the target rejects a request: data digest error",
        [0x03] = "the target rejects a request: SNACK",
        [0x04] = "the target rejects a request: protocol error",
        [0x05] = "the target rejects a request: not supported",
        [0x06] = "the target rejects a request: too many immediate commands",
        [0x07] = "the target rejects a request: task in progress",
        [0x08] = "the target rejects a request: invalid data acknowledgement",
        [0x09] = "the target rejects a request: invalid field in the PDU",
        [0x0a] = "the target rejects a request: out of resources",
        [0x0b] = "the target rejects a request: negotiation reset",
        [0x0c] = "the target rejects a request: it waits for a logout",
    };
    const char *s = reason < sizeof(text) / sizeof(text[0]) ? text[reason] : NULL;
    return s ? s : "the target rejects a request: unknown reason";
}

const char *iscsi_async_text(uint8_t event)
{
    static const char *const text[] = {
        "SCSI asynchronous event",           "the target asks for a logout",
        "the target will drop a connection", "the target will drop all connections of the session",
        "the target asks for a negotiation", "the target terminates the tasks of a logical unit",
    };
    if (event == ISCSI_ASYNC_VENDOR)
        return "vendor-specific event";
    return event < sizeof(text) / sizeof(text[0]) ? text[event] : "unknown event";
}
