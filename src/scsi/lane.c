/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scsi/lane.h"

#include "scsi/itl.h"
#include "scsi/lu_change.h"
#include "scsi/step.h"
#include "scsi/tmf_wait.h"

#include <assert.h>

/* Have that lane polled by its reactor. */
static void kick(struct scsi_lu *lu, unsigned lane_index)
{
    atomic_fetch_or(&lu->kicks, UINT64_C(1) << lane_index);
}

uint64_t scsi_lu_take_kicks(struct scsi_lu *lu)
{
    if (atomic_load_explicit(&lu->kicks, memory_order_relaxed) == 0)
        return 0;
    return atomic_exchange(&lu->kicks, 0);
}

/* Nobody is inside a section. Meaningful only after the gate was closed. */
static bool all_quiet(struct scsi_lu *lu)
{
    for (unsigned i = 0; i < SCSI_MAX_LANES; i++) {
        struct scsi_lane *lane = atomic_load(&lu->lanes[i]);
        if (lane && atomic_load(&lane->inside) != 0)
            return false;
    }
    return true;
}

/* ---- lists of waiting tasks ---- */

void scsi_lane_block(struct scsi_lane *lane, struct scsi_task *t)
{
    struct scsi_lu *lu = lane->lu;
    assert(!(t->flags & SCSI_TF_LISTED));
    t->flags |= SCSI_TF_LISTED;
    list_push_back(&lane->blocked, &t->lane_node);
    if (lane->closed || lane->gate_use != SCSI_GATE_NONE)
        return; /* this lane opens the gate itself, and looks at its list then */
    atomic_fetch_or(&lu->waiting, UINT64_C(1) << lane->index);
    /* It may have been opened just before the bit was set. */
    if (atomic_load(&lu->gate) == 0)
        list_splice_back(&lane->ready, &lane->blocked);
}

/* ---- what is done under the gate without a task ---- */

static bool have_changes(const struct scsi_lane *lane)
{
    return !list_empty(&lane->changes) || lane->size_pending || lane->space_pending;
}

static void apply_change(struct scsi_seat *seat)
{
    uint8_t change = seat->change;
    seat->change = 0;
    if (change & SCSI_CHANGE_DETACH) {
        scsi_seat_detach(seat); /* frees it */
        return;
    }
    if (change & SCSI_CHANGE_ATTACH)
        scsi_itl_attach(seat->itl);
    if (change & SCSI_CHANGE_LOSS) {
        scsi_itl_loss(seat);
        scsi_tmf_wake(seat->branch);
    }
}

void scsi_lane_apply_changes(struct scsi_lane *lane)
{
    struct list *node;
    while ((node = list_pop_front(&lane->changes)))
        apply_change(list_entry(node, struct scsi_seat, change_node));
    lane->closed = false;
    if (lane->size_pending) {
        lane->size_pending = false;
        lane->size_late = true;
        scsi_lu_apply_size(lane->lu, lane->new_block_count);
    }
    if (lane->space_pending) {
        lane->space_pending = false;
        scsi_lu_apply_space(lane->lu);
    }
}

/* ---- the gate ---- */

/* Close it for this lane. When somebody else has it, this lane will be kicked as it opens. */
static bool gate_close(struct scsi_lane *lane, enum scsi_gate_use use)
{
    struct scsi_lu *lu = lane->lu;
    assert(lane->gate_use == SCSI_GATE_NONE);
    for (;;) {
        unsigned open = 0;
        if (atomic_compare_exchange_strong(&lu->gate, &open, lane->index + 1)) {
            lane->gate_use = (uint8_t)use;
            lane->gate_wait = true;
            return true;
        }
        atomic_fetch_or(&lu->waiting, UINT64_C(1) << lane->index);
        if (atomic_load(&lu->gate) != 0)
            return false;
    }
}

/* Has what the gate's holder waits for come about? It stays so until the gate opens. */
static bool gate_granted(struct scsi_lane *lane)
{
    if (atomic_load(&lane->lu->acks) != 0 || !all_quiet(lane->lu))
        return false;
    lane->gate_wait = false;
    return true;
}

/* Something moved: go on with what this lane closed the gate for, if it can go on. */
static void gate_progress(struct scsi_lane *lane)
{
    if (!lane->gate_wait || !gate_granted(lane))
        return;
    switch ((enum scsi_gate_use)lane->gate_use) {
    case SCSI_GATE_TASK:
        lane->holder->flags &= ~(uint32_t)SCSI_TF_DRAINING;
        lane->holder->flags |= SCSI_TF_GATE;
        scsi_lane_ready(lane, lane->holder);
        break;
    case SCSI_GATE_CHANGES:
        scsi_gate_open(lane); /* makes them first */
        break;
    case SCSI_GATE_LOCK:
        kick(lane->lu, lane->index); /* the owner repeats its call */
        break;
    case SCSI_GATE_NONE:
        assert(false);
    }
}

void scsi_lane_try_changes(struct scsi_lane *lane)
{
    if (!have_changes(lane) || lane->gate_use != SCSI_GATE_NONE)
        return; /* whoever has the gate on this lane makes them when it opens it */
    if (gate_close(lane, SCSI_GATE_CHANGES))
        gate_progress(lane);
}

bool scsi_gate_close(struct scsi_lane *lane, struct scsi_task *t)
{
    assert(!(t->flags & (SCSI_TF_INSIDE | SCSI_TF_GATE)));
    t->want = SCSI_WANT_WAIT;
    if (lane->gate_use != SCSI_GATE_NONE || lane->closed || !gate_close(lane, SCSI_GATE_TASK)) {
        scsi_lane_block(lane, t);
        return false;
    }
    lane->holder = t;
    return true;
}

bool scsi_gate_wait(struct scsi_task *t, bool granted)
{
    t->flags |= granted ? SCSI_TF_GATE : SCSI_TF_DRAINING;
    return granted;
}

bool scsi_gate_take(struct scsi_lane *lane, struct scsi_task *t)
{
    return scsi_gate_close(lane, t) && scsi_gate_wait(t, gate_granted(lane));
}

void scsi_gate_open(struct scsi_lane *lane)
{
    struct scsi_lu *lu = lane->lu;
    assert(lane->gate_use != SCSI_GATE_NONE);
    lane->holder = NULL;
    if (!lane->gate_wait && have_changes(lane))
        scsi_lane_apply_changes(lane);
    lane->gate_wait = false;
    lane->gate_use = SCSI_GATE_NONE;
    atomic_store(&lu->gate, 0);

    uint64_t others = atomic_exchange(&lu->waiting, 0) & ~(UINT64_C(1) << lane->index);
    if (others)
        atomic_fetch_or(&lu->kicks, others);
    list_splice_back(&lane->ready, &lane->blocked);
    scsi_lane_try_changes(lane);
    if (lane->lock_wanted && lane->gate_use == SCSI_GATE_NONE && gate_close(lane, SCSI_GATE_LOCK)) {
        lane->lock_wanted = false;
        gate_progress(lane);
    }
}

void scsi_section_left(struct scsi_lane *lane, unsigned gate, unsigned left)
{
    if (left != 0)
        return;
    if (gate - 1 == lane->index)
        gate_progress(lane);
    else
        kick(lane->lu, gate - 1);
}

void scsi_section_refused(struct scsi_lane *lane)
{
    scsi_section_leave(lane);
}

/* ---- what the gate's holder asks of other lanes ---- */

static void ack(struct scsi_lu *lu)
{
    if (atomic_fetch_sub(&lu->acks, 1) == 1)
        kick(lu, atomic_load(&lu->gate) - 1);
}

unsigned scsi_lane_take_asks(struct scsi_lane *lane)
{
    return atomic_load(&lane->asks) ? atomic_exchange(&lane->asks, 0) : 0;
}

void scsi_lane_call(struct scsi_seat *seat, unsigned calls)
{
    struct scsi_lane *lane = seat->lane;
    atomic_fetch_or(&seat->calls, calls);
    atomic_fetch_or(&lane->asks, SCSI_LANE_CALLS);
    kick(lane->lu, lane->index);
}

/* Done only when the tasks that have I/O under way have ended. */
void scsi_lane_answer(struct scsi_lane *lane)
{
    if (lane->marked)
        lane->ack_due = true;
    else
        ack(lane->lu);
}

void scsi_lane_unmarked(struct scsi_lane *lane)
{
    assert(lane->marked > 0);
    if (--lane->marked == 0 && lane->ack_due) {
        lane->ack_due = false;
        ack(lane->lu);
        gate_progress(lane);
    }
}

void scsi_gate_ask(struct scsi_lane *lane)
{
    struct scsi_lu *lu = lane->lu;
    const struct scsi_itl *itl = lu->abort.itl;
    assert(atomic_load(&lu->acks) == 0);
    /* One for ourselves, so that it does not reach 0 while lanes are still being asked. */
    atomic_store(&lu->acks, 1);
    for (unsigned i = 0; i < SCSI_MAX_LANES; i++) {
        struct scsi_lane *other = atomic_load(&lu->lanes[i]);
        if (!other || other == lane || (itl && !itl->shared && itl->home.lane != other))
            continue;
        atomic_fetch_add(&lu->acks, 1);
        atomic_fetch_or(&other->asks, SCSI_LANE_ABORT);
        kick(lu, i);
    }
    lane->gate_wait = true;
}

bool scsi_gate_answered(struct scsi_lane *lane)
{
    if (lane->marked) {
        lane->ack_due = true;
        return false;
    }
    if (atomic_fetch_sub(&lane->lu->acks, 1) != 1)
        return false;
    return gate_granted(lane);
}

/* ---- moving on ---- */

void scsi_lane_progress(struct scsi_lane *lane)
{
    if (lane->gate_use != SCSI_GATE_NONE) {
        gate_progress(lane);
        return;
    }
    scsi_lane_try_changes(lane);
    if (lane->gate_use == SCSI_GATE_NONE && lane->lock_wanted && gate_close(lane, SCSI_GATE_LOCK)) {
        lane->lock_wanted = false;
        gate_progress(lane);
    }
    if (lane->gate_use == SCSI_GATE_NONE)
        list_splice_back(&lane->ready, &lane->blocked);
}

void scsi_lane_change(struct scsi_seat *seat, uint8_t change)
{
    struct scsi_lane *lane = seat->lane;
    if (!seat->change)
        list_push_back(&lane->changes, &seat->change_node);
    seat->change |= change;
    lane->closed = true;
    scsi_lane_try_changes(lane);
}

/* ---- calls of the owner ---- */

int scsi_lane_lock(struct scsi_lane *lane)
{
    if (lane->gate_use == SCSI_GATE_NONE) {
        if (!lane->closed && gate_close(lane, SCSI_GATE_LOCK))
            lane->gate_wait = !gate_granted(lane);
        else
            lane->lock_wanted = true;
    } else if (lane->gate_use != SCSI_GATE_LOCK) {
        lane->lock_wanted = true;
    }
    if (lane->gate_use != SCSI_GATE_LOCK || lane->gate_wait)
        return USAN_EAGAIN;
    lane->lock_wanted = false;
    return 0;
}

void scsi_lane_unlock(struct scsi_lane *lane)
{
    assert(lane->gate_use == SCSI_GATE_LOCK);
    scsi_gate_open(lane);
}
