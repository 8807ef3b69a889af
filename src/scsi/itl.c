/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scsi/itl.h"

#include "scsi/copy_result.h"
#include "scsi/persist.h"
#include "scsi/set.h"
#include "scsi/ua.h"

#include <string.h>

void scsi_seat_init(struct scsi_seat *seat, struct scsi_itl *itl, struct scsi_branch *branch,
                    struct scsi_lane *lane)
{
    seat->itl = itl;
    seat->branch = branch;
    seat->nexus = itl->nexus;
    seat->lane = lane;
    list_init(&seat->lane_node);
    list_init(&seat->tasks);
    list_init(&seat->change_node);
    atomic_store(&seat->oldest, UINT64_MAX);
    atomic_store(&seat->oldest_ordered, UINT64_MAX);
}

unsigned scsi_seat_index(const struct scsi_branch *branch, uint64_t number)
{
    unsigned low = 0, high = branch->count;
    while (low < high) {
        unsigned mid = low + (high - low) / 2;
        if (branch->seats[mid]->itl->lun < number)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct scsi_seat *scsi_seat_find(const struct scsi_branch *branch, uint64_t number)
{
    unsigned i = scsi_seat_index(branch, number);
    return i < branch->count && branch->seats[i]->itl->lun == number ? branch->seats[i] : NULL;
}

struct scsi_seat *scsi_seat_look_up(struct scsi_branch *branch, uint64_t field)
{
    uint64_t number;
    struct scsi_seat *seat =
        scsi_lun_decode(field, &number) ? scsi_seat_find(branch, number) : NULL;
    if (seat) {
        branch->last = seat;
        branch->last_field = field;
    }
    return seat;
}

static bool make_room(struct scsi_branch *branch)
{
    if (branch->count < branch->cap)
        return true;
    const struct alloc *a = branch->nexus->a;
    unsigned cap = branch->cap ? branch->cap * 2 : 4;
    struct scsi_seat **seats = alloc_get(a, cap * sizeof(struct scsi_seat *));
    if (!seats)
        return false;
    if (branch->count)
        memcpy(seats, branch->seats, branch->count * sizeof(struct scsi_seat *));
    alloc_put(a, branch->seats);
    branch->seats = seats;
    branch->cap = cap;
    return true;
}

bool scsi_seat_enter(struct scsi_seat *seat)
{
    struct scsi_branch *branch = seat->branch;
    if (!make_room(branch))
        return false;
    unsigned at = scsi_seat_index(branch, seat->itl->lun);
    memmove(&branch->seats[at + 1], &branch->seats[at],
            (branch->count - at) * sizeof(struct scsi_seat *));
    branch->seats[at] = seat;
    branch->count++;
    atomic_fetch_add(&branch->nexus->refs, 1);
    list_push_back(&seat->lane->seats, &seat->lane_node);
    return true;
}

void scsi_nexus_unref(struct scsi_nexus *nexus)
{
    if (atomic_fetch_sub(&nexus->refs, 1) > 1)
        return;
    const struct alloc *a = nexus->a;
    alloc_put(a, nexus->initiator_port);
    alloc_put(a, nexus->target_port);
    alloc_put(a, nexus->target_device);
    alloc_put(a, nexus->home.seats);
    alloc_put(a, nexus);
}

/* ---- with the gate held ---- */

void scsi_itl_attach(struct scsi_itl *itl)
{
    if (itl->attached)
        return;
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

void scsi_itl_loss(struct scsi_seat *seat)
{
    struct scsi_itl *itl = seat->itl;
    scsi_itl_release(itl);
    atomic_store(&itl->aca, false);
    scsi_set_wake_all(seat);
    scsi_ua_add(itl, UA_I_T_NEXUS_LOSS);
}

static void itl_detach(struct scsi_itl *itl)
{
    scsi_itl_release(itl);
    if (itl->attached) {
        scsi_pr_itl_removed(itl);
        list_del(&itl->lu_node);
    }
    alloc_put(itl->nexus->a, itl);
}

void scsi_seat_detach(struct scsi_seat *seat)
{
    struct scsi_nexus *nexus = seat->nexus;
    if (seat->branch)
        itl_detach(seat->itl);
    else
        alloc_put(nexus->a, seat);
    scsi_nexus_unref(nexus);
}
