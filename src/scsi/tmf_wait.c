/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scsi/tmf_wait.h"

#include "scsi/step.h"

bool scsi_tmf_finished(const struct scsi_task *t)
{
    if (t->tmf != SCSI_TMF_I_T_NEXUS_RESET)
        return t->itl->marked == 0;
    const struct scsi_nexus *nexus = t->nexus;
    for (unsigned i = 0; i < nexus->itl_count; i++) {
        if (nexus->itls[i]->marked || (nexus->itls[i]->change & SCSI_CHANGE_LOSS))
            return false;
    }
    return true;
}

void scsi_tmf_wake(struct scsi_nexus *nexus)
{
    list_for_each (&nexus->tmfs, pos) {
        struct scsi_task *t = list_entry(pos, struct scsi_task, node);
        if (t->phase == SCSI_TMF_WAITS && t->want == SCSI_WANT_WAIT && scsi_tmf_finished(t)) {
            t->phase = SCSI_TMF_ENDS;
            scsi_lane_ready(t->itl->lane, t);
        }
    }
}
