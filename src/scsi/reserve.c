/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scsi/task.h"

const struct scsi_command scsi_reserve_commands[] = {
    { .name = NULL },
};

void scsi_reserve_release(struct scsi_itl *itl)
{
    if (itl->lu->reserved_by == itl)
        itl->lu->reserved_by = NULL;
}
