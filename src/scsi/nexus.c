/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The owner's calls for I_T nexuses: their life, and their map of units. */
#include "scsi/abort.h"
#include "scsi/itl.h"
#include "scsi/lane.h"
#include "scsi/sense.h"
#include "scsi/set.h"
#include "scsi/ua.h"

#include <assert.h>
#include <string.h>

static void branch_init(struct scsi_branch *branch, struct scsi_nexus *nexus)
{
    branch->nexus = nexus;
    list_init(&branch->tmfs);
}

struct scsi_nexus *scsi_nexus_new(const struct scsi_nexus_config *cfg, const struct alloc *a)
{
    assert(cfg->transport_id_len <= SCSI_TRANSPORT_ID_MAX);
    struct scsi_nexus *nexus = alloc_zero(a, sizeof *nexus);
    if (!nexus)
        return NULL;
    nexus->a = a;
    atomic_store(&nexus->refs, 1);
    branch_init(&nexus->home, nexus);
    nexus->initiator_port = alloc_strdup(a, cfg->initiator_port);
    nexus->target_port = alloc_strdup(a, cfg->target_port);
    nexus->target_device = alloc_strdup(a, cfg->target_device);
    if (!nexus->initiator_port || !nexus->target_port || !nexus->target_device) {
        scsi_nexus_unref(nexus);
        return NULL;
    }
    nexus->rel_target_port = cfg->rel_target_port;
    nexus->target_port_group = cfg->target_port_group;
    nexus->protocol_id = cfg->protocol_id;
    nexus->transport_id_len = cfg->transport_id_len;
    if (cfg->transport_id_len)
        memcpy(nexus->transport_id, cfg->transport_id, cfg->transport_id_len);
    return nexus;
}

/* Out of sight at once; the unit forgets it under the gate. */
static void drop_seat(struct scsi_seat *seat)
{
    assert(list_empty(&seat->tasks));
    list_del(&seat->lane_node);
    scsi_lane_change(seat, SCSI_CHANGE_DETACH);
}

static void drop_seats(struct scsi_branch *branch)
{
    assert(branch->tasks == 0 && list_empty(&branch->tmfs));
    branch->last = NULL;
    while (branch->count) {
        struct scsi_seat *seat = branch->seats[--branch->count];
        if (branch != &branch->nexus->home)
            seat->branch = NULL; /* the seat may have to wait for the gate, the branch does not */
        drop_seat(seat);
    }
}

void scsi_nexus_free(struct scsi_nexus *nexus)
{
    if (!nexus)
        return;
    drop_seats(&nexus->home);
    scsi_nexus_unref(nexus);
}

unsigned scsi_nexus_tasks(const struct scsi_nexus *nexus)
{
    return nexus->home.tasks;
}

/* ---- LUN map ---- */

static struct scsi_itl *itl_new(struct scsi_nexus *nexus, uint64_t lun, struct scsi_lane *lane,
                                bool read_only)
{
    struct scsi_itl *itl = alloc_zero(nexus->a, sizeof *itl);
    if (!itl)
        return NULL;
    itl->nexus = nexus;
    itl->lu = lane->lu;
    itl->lun = lun;
    itl->read_only = read_only;
    list_init(&itl->lu_node);
    atomic_flag_clear(&itl->copies_busy);
    scsi_seat_init(&itl->home, itl, &nexus->home, lane);
    return itl;
}

/* SPC-6 6.32: other units of a nexus in use report that the inventory is another one. */
static void luns_changed(struct scsi_nexus *nexus, struct scsi_itl *new_itl)
{
    if (nexus->used)
        atomic_fetch_add(&nexus->luns_gen, 1);
    if (new_itl)
        atomic_store(&new_itl->luns_seen, atomic_load(&nexus->luns_gen));
}

int scsi_nexus_map(struct scsi_nexus *nexus, uint64_t lun, struct scsi_lane *lane, bool read_only)
{
    if (lun > SCSI_LUN_MAX)
        return USAN_ERANGE;
    if (scsi_seat_find(&nexus->home, lun))
        return USAN_EEXIST;
    if (nexus->home.count >= SCSI_MAX_LUNS)
        return USAN_ELIMIT;
    assert(!nexus->shared);
    struct scsi_itl *itl = itl_new(nexus, lun, lane, read_only);
    if (!itl || !scsi_seat_enter(&itl->home)) {
        alloc_put(nexus->a, itl);
        return USAN_ENOMEM;
    }
    luns_changed(nexus, itl);
    /* 29h/00h rather than 29h/01h: the one that tools look for before they try again. Nobody else
     * knows of the nexus yet. */
    scsi_ua_add(itl, UA_POWER_ON_RESET);
    scsi_lane_change(&itl->home, SCSI_CHANGE_ATTACH);
    return 0;
}

/* A third-party copy that was addressed to another unit is at work on this one. */
static bool has_visitors(const struct scsi_seat *seat)
{
    const struct scsi_branch *branch = seat->branch;
    for (unsigned i = 0; i < branch->count; i++) {
        list_for_each (&branch->seats[i]->tasks, pos) {
            if (list_entry(pos, struct scsi_task, node)->in_section == seat)
                return true;
        }
    }
    return false;
}

void scsi_nexus_unmap(struct scsi_nexus *nexus, uint64_t lun)
{
    struct scsi_branch *home = &nexus->home;
    unsigned at = scsi_seat_index(home, lun);
    if (at >= home->count || home->seats[at]->itl->lun != lun)
        return;
    struct scsi_seat *seat = home->seats[at];
    assert(!nexus->shared && !has_visitors(seat));
    home->count--;
    memmove(&home->seats[at], &home->seats[at + 1],
            (home->count - at) * sizeof(struct scsi_seat *));
    home->last = NULL;
    luns_changed(nexus, NULL);
    drop_seat(seat);
}

void scsi_nexus_abort(struct scsi_nexus *nexus, uint64_t lun)
{
    scsi_branch_abort(&nexus->home, lun);
}

/* ---- branches ---- */

struct scsi_branch *scsi_nexus_home(struct scsi_nexus *nexus)
{
    return &nexus->home;
}

void scsi_nexus_share(struct scsi_nexus *nexus)
{
    if (nexus->shared)
        return;
    for (unsigned i = 0; i < nexus->home.count; i++) {
        scsi_set_publish(nexus->home.seats[i]);
        nexus->home.seats[i]->itl->shared = true;
    }
    nexus->used = true;
    nexus->shared = true;
}

struct scsi_branch *scsi_branch_new(struct scsi_nexus *nexus)
{
    assert(nexus->shared);
    struct scsi_branch *branch = alloc_zero(nexus->a, sizeof *branch);
    if (branch)
        branch_init(branch, nexus);
    return branch;
}

int scsi_branch_map(struct scsi_branch *branch, uint64_t lun, struct scsi_lane *lane)
{
    const struct scsi_seat *home = scsi_seat_find(&branch->nexus->home, lun);
    if (!home)
        return USAN_ENOENT;
    struct scsi_itl *itl = home->itl;
    assert(lane->lu == itl->lu);
    struct scsi_seat *seat = alloc_zero(branch->nexus->a, sizeof *seat);
    if (!seat)
        return USAN_ENOMEM;
    scsi_seat_init(seat, itl, branch, lane);
    if (!scsi_seat_enter(seat)) {
        alloc_put(branch->nexus->a, seat);
        return USAN_ENOMEM;
    }
    /* Nothing runs here before the unit knows the nexus: it might not see a reservation. */
    scsi_lane_change(seat, SCSI_CHANGE_ATTACH);
    struct scsi_seat *next = atomic_load(&itl->home.next);
    do {
        atomic_store(&seat->next, next);
    } while (!atomic_compare_exchange_weak(&itl->home.next, &next, seat));
    return 0;
}

void scsi_branch_free(struct scsi_branch *branch)
{
    if (!branch)
        return;
    struct scsi_nexus *nexus = branch->nexus;
    assert(branch != &nexus->home);
    drop_seats(branch);
    alloc_put(nexus->a, branch->seats);
    alloc_put(nexus->a, branch);
}

unsigned scsi_branch_tasks(const struct scsi_branch *branch)
{
    return branch->tasks;
}

void scsi_branch_abort(struct scsi_branch *branch, uint64_t lun)
{
    for (unsigned i = 0; i < branch->count; i++) {
        struct scsi_seat *seat = branch->seats[i];
        if (lun != UINT64_MAX && seat->itl->lun != lun)
            continue;
        scsi_abort_set(seat, NULL, false);
        if (lun != UINT64_MAX)
            scsi_abort_visitors(seat, true);
    }
    list_for_each_safe (&branch->tmfs, pos) {
        struct scsi_task *t = list_entry(pos, struct scsi_task, node);
        if (lun == UINT64_MAX || t->itl->lun == lun)
            scsi_task_abort(t, false);
    }
}

void scsi_branch_abort_task(struct scsi_task *t)
{
    if (t->flags & SCSI_TF_IN_SET)
        scsi_task_abort(t, false);
}
