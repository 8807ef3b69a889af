/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The owner's calls for lanes: what a reactor tells them, and pulls from them. */
#include "scsi/abort.h"
#include "scsi/ask.h"
#include "scsi/drive.h"
#include "scsi/lane.h"
#include "scsi/lu_change.h"

#include <assert.h>

struct scsi_task *scsi_lane_next(struct scsi_lane *lane)
{
    for (;;) {
        struct list *node = list_pop_front(&lane->ready);
        if (!node)
            return NULL;
        struct scsi_task *t = list_entry(node, struct scsi_task, lane_node);
        t->flags &= ~(uint32_t)SCSI_TF_LISTED;
        if (t->want == SCSI_WANT_WAIT)
            scsi_task_run(t);
        if (t->want != SCSI_WANT_WAIT)
            return t;
    }
}

void scsi_lane_poll(struct scsi_lane *lane)
{
    unsigned asks = scsi_lane_take_asks(lane);
    if (asks & SCSI_LANE_ABORT) {
        scsi_lane_abort(lane, NULL);
        scsi_lane_answer(lane);
    }
    if (asks & SCSI_LANE_CALLS)
        scsi_ask_calls(lane);
    scsi_lane_progress(lane);
}

int scsi_lu_set_block_count(struct scsi_lane *lane, uint64_t block_count)
{
    if (lane->size_late && lane->new_block_count == block_count) {
        lane->size_late = false;
        return 0;
    }
    lane->new_block_count = block_count;
    lane->size_pending = true;
    scsi_lane_try_changes(lane);
    if (lane->size_pending)
        return USAN_EAGAIN;
    lane->size_late = false;
    return 0;
}

void scsi_lu_set_space(struct scsi_lane *lane, uint64_t used_bytes, uint64_t avail_bytes)
{
    struct scsi_lu *lu = lane->lu;
    atomic_store(&lu->used_bytes, used_bytes);
    atomic_store(&lu->avail_bytes, avail_bytes);
    if (scsi_lu_space_over(lu) != atomic_load(&lu->threshold_hit)) {
        lane->space_pending = true;
        scsi_lane_try_changes(lane);
    }
}

struct scsi_lane *scsi_lane_new(struct scsi_lu *lu, unsigned index)
{
    assert(index < SCSI_MAX_LANES && !atomic_load(&lu->lanes[index]));
    struct scsi_lane *lane = alloc_zero(lu->a, sizeof *lane);
    if (!lane)
        return NULL;
    lane->lu = lu;
    lane->index = index;
    list_init(&lane->blocked);
    list_init(&lane->ready);
    list_init(&lane->seats);
    list_init(&lane->changes);
    atomic_store(&lu->lanes[index], lane);
    return lane;
}

void scsi_lu_settle(struct scsi_lu *lu)
{
    /* In the second round those that had to wait for one that was asked after them. */
    for (unsigned i = 0; i < 2 * SCSI_MAX_LANES; i++) {
        struct scsi_lane *lane = atomic_load(&lu->lanes[i % SCSI_MAX_LANES]);
        if (lane)
            scsi_lane_poll(lane);
    }
}

void scsi_lane_free(struct scsi_lane *lane)
{
    if (!lane)
        return;
    struct scsi_lu *lu = lane->lu;
    assert(list_empty(&lane->seats) && list_empty(&lane->blocked) && list_empty(&lane->ready));
    /* Only commands of other lanes can be in the way, and those do not need this one. */
    while (scsi_lane_lock(lane) != 0)
        scsi_lane_poll(lane);
    scsi_lane_apply_changes(lane);
    lu->past[0] += lane->reads;
    lu->past[1] += lane->writes;
    lu->past[2] += lane->read_bytes;
    lu->past[3] += lane->write_bytes;
    atomic_store(&lu->lanes[lane->index], NULL);
    scsi_lane_unlock(lane);
    alloc_put(lu->a, lane);
}
