/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tasks the device server makes itself (SANITIZE, FORMAT UNIT after its status): memory and
 * storage for them, nobody to be answered. */
#ifndef USAN_TARGET_BACKGROUND_H
#define USAN_TARGET_BACKGROUND_H

struct scsi_task;
struct tgt_lane;

/* Do what the task wants until it waits for something, or is over (then it is gone). While the
 * reactor drains, it is told to end early. */
void tgt_background_continue(struct tgt_lane *lane, struct scsi_task *t);

#endif
