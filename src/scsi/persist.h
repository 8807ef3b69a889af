/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Persistent reservations (SPC-6 5.14): what persist*.c share. Internal to src/scsi. */
#ifndef USAN_SCSI_PERSIST_H
#define USAN_SCSI_PERSIST_H

#include "scsi/lu.h"
#include "scsi/task.h"

#endif
