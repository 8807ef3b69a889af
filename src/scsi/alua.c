/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scsi/task.h"

const struct scsi_command scsi_alua_commands[] = {
    { .name = NULL },
};

bool scsi_alua_allows(struct scsi_task *t)
{
    return t->itl != NULL;
}

uint16_t scsi_alua_group_of(const struct scsi_lu *lu, uint16_t rel_port)
{
    for (unsigned i = 0; i < lu->group_count; i++) {
        for (unsigned j = 0; j < lu->groups[i].port_count; j++) {
            if (lu->groups[i].ports[j] == rel_port)
                return lu->groups[i].id;
        }
    }
    return 0;
}
