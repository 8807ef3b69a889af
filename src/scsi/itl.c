/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scsi/itl.h"

#include "scsi/copy_result.h"
#include "scsi/persist.h"
#include "scsi/set.h"
#include "scsi/ua.h"

#include <assert.h>

unsigned scsi_itl_index(const struct scsi_nexus *nexus, uint64_t number)
{
    unsigned low = 0, high = nexus->itl_count;
    while (low < high) {
        unsigned mid = low + (high - low) / 2;
        if (nexus->itls[mid]->lun < number)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct scsi_itl *scsi_itl_find(const struct scsi_nexus *nexus, uint64_t number)
{
    unsigned i = scsi_itl_index(nexus, number);
    return i < nexus->itl_count && nexus->itls[i]->lun == number ? nexus->itls[i] : NULL;
}

struct scsi_itl *scsi_itl_look_up(struct scsi_nexus *nexus, uint64_t field)
{
    uint64_t number;
    struct scsi_itl *itl = scsi_lun_decode(field, &number) ? scsi_itl_find(nexus, number) : NULL;
    if (itl) {
        nexus->last = itl;
        nexus->last_field = field;
    }
    return itl;
}

void scsi_nexus_unref(struct scsi_nexus *nexus)
{
    assert(nexus->refs > 0);
    if (--nexus->refs)
        return;
    const struct alloc *a = nexus->a;
    alloc_put(a, nexus->initiator_port);
    alloc_put(a, nexus->target_port);
    alloc_put(a, nexus->target_device);
    alloc_put(a, nexus->itls);
    alloc_put(a, nexus);
}

/* ---- with the gate held ---- */

void scsi_itl_attach(struct scsi_itl *itl)
{
    list_push_back(&itl->lu->itls, &itl->lu_node);
    itl->attached = true;
    scsi_pr_itl_added(itl);
}

void scsi_itl_release(struct scsi_itl *itl)
{
    if (itl->lu->reserved_by == itl)
        itl->lu->reserved_by = NULL;
    scsi_copies_drop(itl);
    if (itl->prevent) { /* SPC-6 6.18 */
        itl->prevent = false;
        itl->lu->prevent_count--;
    }
}

void scsi_itl_loss(struct scsi_itl *itl)
{
    scsi_itl_release(itl);
    itl->aca = false;
    scsi_set_wake(itl);
    scsi_ua_add(itl, UA_I_T_NEXUS_LOSS);
}

void scsi_itl_detach(struct scsi_itl *itl)
{
    struct scsi_nexus *nexus = itl->nexus;
    scsi_itl_release(itl);
    if (itl->attached) {
        scsi_pr_itl_removed(itl);
        list_del(&itl->lu_node);
    }
    alloc_put(nexus->a, itl);
    scsi_nexus_unref(nexus);
}
