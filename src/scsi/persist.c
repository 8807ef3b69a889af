/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scsi/persist.h"

bool scsi_pr_allows(const struct scsi_task *t)
{
    return !scsi_task_lu(t)->pr;
}

void scsi_pr_itl_added(struct scsi_itl *itl)
{
    itl->pr_key = 0;
    itl->pr_holder = false;
}

void scsi_pr_itl_removed(struct scsi_itl *itl)
{
    itl->pr_key = 0;
    itl->pr_holder = false;
}

void scsi_pr_free(struct scsi_lu *lu)
{
    (void)lu;
}

void scsi_pr_lu_reset(struct scsi_lu *lu)
{
    (void)lu;
}

void scsi_pr_save(const struct scsi_lu *lu, struct wr *w)
{
    (void)lu;
    (void)w;
}

int scsi_pr_load(struct scsi_lu *lu, struct rd *r)
{
    (void)lu;
    (void)r;
    return 0;
}
