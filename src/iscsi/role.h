/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The two ends of a connection. */
#ifndef USAN_ISCSI_ROLE_H
#define USAN_ISCSI_ROLE_H

enum iscsi_role { ISCSI_ROLE_INITIATOR, ISCSI_ROLE_TARGET, ISCSI_ROLE_COUNT };

#endif
