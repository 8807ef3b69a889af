/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * iSCSI names (RFC 7143 4.2.7, prepared as in RFC 3722), SCSI port names (RFC 7143 4.2.7.7 and
 * 4.2.7.8) and the SPC-6 TransportID of an iSCSI initiator port.
 */
#ifndef USAN_ISCSI_NAMES_H
#define USAN_ISCSI_NAMES_H

#include "base/err.h"
#include "iscsi/target.h"

enum iscsi_name_type { ISCSI_NAME_IQN, ISCSI_NAME_EUI, ISCSI_NAME_NAA };

enum {
    /* NUL included: name, ",i,0x", 12 digits */
    ISCSI_PORT_NAME_MAX = ISCSI_NAME_MAX + 5 + 12 + 1,
    /* 4 header bytes, port name, NUL, padded to a multiple of four */
    ISCSI_TRANSPORT_ID_MAX = 248,
};

/*
 * Check the name (len bytes, not NUL-terminated) and write its normal form, NUL-terminated, to
 * ret_name: ASCII letters lower-cased, other characters as they are. Names compare by bytes after
 * that. USAN_EINVAL when it is no iSCSI name: wrong type, too long, malformed UTF-8, a character
 * RFC 3722 prohibits, or wrong form for its type. ret_type may be NULL.
 */
USAN_MUST_CHECK
int iscsi_name_prepare(const char *name, size_t len, char ret_name[ISCSI_NAME_MAX + 1],
                       enum iscsi_name_type *ret_type);
/* The same check of a NUL-terminated name. */
bool iscsi_name_valid(const char *name);

/* "name,i,0x" and the ISID in 12 hexadecimal digits. */
void iscsi_initiator_port_name(const char *name, const uint8_t isid[6],
                               char ret_name[ISCSI_PORT_NAME_MAX]);
/* "name,t,0x" and the portal group tag in 4 hexadecimal digits. */
void iscsi_target_port_name(const char *name, uint16_t portal_group_tag,
                            char ret_name[ISCSI_PORT_NAME_MAX]);

/*
 * TransportID (SPC-6 7.6.4.6): with an ISID (6 bytes) of an initiator port (format 01b), with
 * isid NULL of an initiator device (format 00b). name is a valid name. Returns its length, a
 * multiple of four, or 0 when cap is too small (ISCSI_TRANSPORT_ID_MAX always suffices).
 */
size_t iscsi_transport_id(const char *name, const uint8_t *isid, void *buf, size_t cap);

#endif
