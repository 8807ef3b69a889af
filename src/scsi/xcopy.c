/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scsi/copy.h"

const struct scsi_command scsi_copy_commands[] = {
    { .name = NULL },
};

size_t scsi_vpd_third_party_copy(const struct scsi_lu *lu, struct wr *w)
{
    (void)lu;
    size_t at = w->len;
    wr_u8(w, 0);
    wr_u8(w, 0x8f);
    wr_be16(w, 0);
    return w->len - at;
}
