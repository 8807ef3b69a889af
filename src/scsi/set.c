/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scsi/set.h"

#include "scsi/reply.h"
#include "scsi/step.h"

/* Must a task of this attribute wait for those that are before it in the set? */
static bool waits_for(uint8_t attr, const struct scsi_itl *itl, bool first, bool ordered_before)
{
    switch ((enum scsi_attr)attr) {
    case SCSI_ATTR_HEAD_OF_QUEUE:
    case SCSI_ATTR_ACA:
        return false;
    case SCSI_ATTR_ORDERED:
        return itl->hoq || !first;
    case SCSI_ATTR_UNTAGGED:
    case SCSI_ATTR_SIMPLE:
        break;
    }
    return itl->hoq || ordered_before;
}

void scsi_set_wake(struct scsi_itl *itl)
{
    bool first = true, ordered_before = false;
    list_for_each (&itl->tasks, pos) {
        struct scsi_task *t = list_entry(pos, struct scsi_task, node);
        bool held = waits_for(t->attr, itl, first, ordered_before) ||
                    (itl->aca && t->attr != SCSI_ATTR_ACA);
        if ((t->flags & SCSI_TF_DORMANT) && !held) {
            t->flags &= ~(uint32_t)SCSI_TF_DORMANT;
            itl->dormant--;
            scsi_lane_ready(itl->lane, t);
        }
        first = false;
        ordered_before |= t->attr == SCSI_ATTR_ORDERED;
    }
}

static bool has_aca_task(const struct scsi_itl *itl)
{
    list_for_each (&itl->tasks, pos) {
        if (list_entry(pos, struct scsi_task, node)->attr == SCSI_ATTR_ACA)
            return true;
    }
    return false;
}

bool scsi_set_admits(struct scsi_task *t)
{
    if (!t->itl->aca) {
        if (t->attr != SCSI_ATTR_ACA)
            return true;
        scsi_check(t, SENSE_INVALID_MESSAGE_ERROR);
        return false;
    }
    if (t->attr == SCSI_ATTR_ACA && !has_aca_task(t->itl))
        return true;
    scsi_status(t, SCSI_STATUS_ACA_ACTIVE);
    return false;
}

void scsi_set_sleep(struct scsi_task *t)
{
    t->want = SCSI_WANT_WAIT;
    t->flags |= SCSI_TF_DORMANT;
    t->itl->dormant++;
}

bool scsi_set_rank(struct scsi_task *t)
{
    struct scsi_itl *itl = t->itl;
    bool wait = waits_for(t->attr, itl, list_empty(&itl->tasks), itl->ordered != 0);
    if (t->attr == SCSI_ATTR_ORDERED)
        itl->ordered++;
    else if (t->attr == SCSI_ATTR_HEAD_OF_QUEUE)
        itl->hoq++;
    if (wait)
        scsi_set_sleep(t);
    return !wait;
}
