/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The owner's calls for I_T nexuses: their life, and their map of units. */
#include "scsi/abort.h"
#include "scsi/itl.h"
#include "scsi/lane.h"
#include "scsi/sense.h"
#include "scsi/ua.h"

#include <assert.h>
#include <string.h>

struct scsi_nexus *scsi_nexus_new(const struct scsi_nexus_config *cfg, const struct alloc *a)
{
    assert(cfg->transport_id_len <= SCSI_TRANSPORT_ID_MAX);
    struct scsi_nexus *nexus = alloc_zero(a, sizeof *nexus);
    if (!nexus)
        return NULL;
    nexus->a = a;
    nexus->refs = 1;
    list_init(&nexus->tmfs);
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
static void drop_itl(struct scsi_itl *itl)
{
    assert(list_empty(&itl->tasks));
    list_del(&itl->lane_node);
    scsi_lane_change(itl, SCSI_CHANGE_DETACH);
}

void scsi_nexus_free(struct scsi_nexus *nexus)
{
    if (!nexus)
        return;
    assert(nexus->tasks == 0 && list_empty(&nexus->tmfs));
    nexus->last = NULL;
    while (nexus->itl_count)
        drop_itl(nexus->itls[--nexus->itl_count]);
    scsi_nexus_unref(nexus);
}

unsigned scsi_nexus_tasks(const struct scsi_nexus *nexus)
{
    return nexus->tasks;
}

/* ---- LUN map ---- */

static bool make_room(struct scsi_nexus *nexus)
{
    if (nexus->itl_count < nexus->itl_cap)
        return true;
    unsigned cap = nexus->itl_cap ? nexus->itl_cap * 2 : 4;
    struct scsi_itl **itls = alloc_get(nexus->a, cap * sizeof(struct scsi_itl *));
    if (!itls)
        return false;
    if (nexus->itl_count)
        memcpy(itls, nexus->itls, nexus->itl_count * sizeof(struct scsi_itl *));
    alloc_put(nexus->a, nexus->itls);
    nexus->itls = itls;
    nexus->itl_cap = cap;
    return true;
}

static struct scsi_itl *itl_new(struct scsi_nexus *nexus, uint64_t lun, struct scsi_lane *lane,
                                bool read_only)
{
    struct scsi_itl *itl = alloc_zero(nexus->a, sizeof *itl);
    if (!itl)
        return NULL;
    itl->nexus = nexus;
    itl->lu = lane->lu;
    itl->lane = lane;
    itl->lun = lun;
    itl->read_only = read_only;
    list_init(&itl->lu_node);
    list_init(&itl->lane_node);
    list_init(&itl->tasks);
    list_init(&itl->change_node);
    return itl;
}

/* SPC-6 6.32: other units of a nexus in use report that the inventory is another one. */
static void luns_changed(struct scsi_nexus *nexus, struct scsi_itl *new_itl)
{
    if (nexus->used)
        nexus->luns_gen++;
    if (new_itl)
        new_itl->luns_seen = nexus->luns_gen;
}

int scsi_nexus_map(struct scsi_nexus *nexus, uint64_t lun, struct scsi_lane *lane, bool read_only)
{
    if (lun > SCSI_LUN_MAX)
        return USAN_ERANGE;
    if (scsi_itl_find(nexus, lun))
        return USAN_EEXIST;
    if (nexus->itl_count >= SCSI_MAX_LUNS)
        return USAN_ELIMIT;
    struct scsi_itl *itl = make_room(nexus) ? itl_new(nexus, lun, lane, read_only) : NULL;
    if (!itl)
        return USAN_ENOMEM;
    unsigned at = scsi_itl_index(nexus, lun);
    memmove(&nexus->itls[at + 1], &nexus->itls[at],
            (nexus->itl_count - at) * sizeof(struct scsi_itl *));
    nexus->itls[at] = itl;
    nexus->itl_count++;
    nexus->refs++;
    luns_changed(nexus, itl);
    /* 29h/00h rather than 29h/01h: the one that tools look for before they try again. Nobody else
     * knows of the nexus yet. */
    scsi_ua_add(itl, UA_POWER_ON_RESET);
    list_push_back(&lane->itls, &itl->lane_node);
    scsi_lane_change(itl, SCSI_CHANGE_ATTACH);
    return 0;
}

/* A third-party copy that was addressed to another unit is at work on this one. */
static bool has_visitors(const struct scsi_itl *itl)
{
    const struct scsi_nexus *nexus = itl->nexus;
    for (unsigned i = 0; i < nexus->itl_count; i++) {
        list_for_each (&nexus->itls[i]->tasks, pos) {
            if (list_entry(pos, struct scsi_task, node)->in_section == itl)
                return true;
        }
    }
    return false;
}

void scsi_nexus_unmap(struct scsi_nexus *nexus, uint64_t lun)
{
    unsigned at = scsi_itl_index(nexus, lun);
    if (at >= nexus->itl_count || nexus->itls[at]->lun != lun)
        return;
    struct scsi_itl *itl = nexus->itls[at];
    assert(!has_visitors(itl));
    nexus->itl_count--;
    memmove(&nexus->itls[at], &nexus->itls[at + 1],
            (nexus->itl_count - at) * sizeof(struct scsi_itl *));
    nexus->last = NULL;
    luns_changed(nexus, NULL);
    drop_itl(itl);
}

void scsi_nexus_abort(struct scsi_nexus *nexus, uint64_t lun)
{
    for (unsigned i = 0; i < nexus->itl_count; i++) {
        struct scsi_itl *itl = nexus->itls[i];
        if (lun != UINT64_MAX && itl->lun != lun)
            continue;
        list_for_each_safe (&itl->tasks, pos)
            scsi_task_abort(list_entry(pos, struct scsi_task, node), false);
        if (lun != UINT64_MAX)
            scsi_abort_visitors(itl, true);
    }
    list_for_each_safe (&nexus->tmfs, pos) {
        struct scsi_task *t = list_entry(pos, struct scsi_task, node);
        if (lun == UINT64_MAX || t->itl->lun == lun)
            scsi_task_abort(t, false);
    }
}
