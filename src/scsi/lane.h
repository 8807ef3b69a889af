/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sections and the gate of a logical unit: how commands on different lanes (reactors) share it.
 * Internal to src/scsi.
 *
 *   section   A command that looks at shared state counts itself into its lane (`inside`), then
 *             looks at the gate. Open: go on, count out at the end. Closed: count out, wait.
 *   gate      An exclusive command stores its lane's number into lu->gate (compare-and-swap from
 *             0), then waits until the counts of all lanes are 0. Both sides store first and load
 *             then, sequentially consistent, so at least one of them sees the other.
 *   kicks     Whoever makes somebody else's waiting pointless (the last one to leave while the gate
 *             is closed; the one who opens it) sets that lane's bit in lu->kicks; the owner has the
 *             lane's reactor call scsi_lane_poll(). A lane that waits for the gate has its bit in
 *             lu->waiting, so opening kicks no others.
 *   asks      With the gate held, a lane has others abort their tasks: it fills lu->abort, counts
 *             the lanes in lu->acks, sets their ask bit and kicks them. A task on a lane is never
 *             touched by another thread.
 *   calls     Of a nexus with several branches, a seat on another lane is called the same way
 *             (scsi_lane_call), for set.h and ask.h.
 *   changes   I_T_L nexuses come and go under the gate as well; when it is not free, that is put
 *             off and the lane keeps its own commands out until it is done (`closed`).
 *
 * Lists and flags of a lane are touched by its own thread only.
 */
#ifndef USAN_SCSI_LANE_H
#define USAN_SCSI_LANE_H

#include "scsi/task.h"

/* What a lane that has the gate has it for. */
enum scsi_gate_use {
    SCSI_GATE_NONE,    /* it has not */
    SCSI_GATE_TASK,    /* lane->holder */
    SCSI_GATE_CHANGES, /* lane->changes, size_pending, space_pending */
    SCSI_GATE_LOCK,    /* scsi_lane_lock */
};

void scsi_section_refused(struct scsi_lane *lane);
void scsi_section_left(struct scsi_lane *lane, unsigned gate, unsigned left);

/* false: the gate is closed (or about to be, for this lane). */
static inline bool scsi_section_enter(struct scsi_lane *lane)
{
    if (lane->closed)
        return false;
    atomic_fetch_add(&lane->inside, 1);
    if (atomic_load(&lane->lu->gate) == 0)
        return true;
    scsi_section_refused(lane);
    return false;
}

static inline void scsi_section_leave(struct scsi_lane *lane)
{
    unsigned left = atomic_fetch_sub(&lane->inside, 1) - 1;
    unsigned gate = atomic_load(&lane->lu->gate);
    if (gate)
        scsi_section_left(lane, gate, left);
}

/* Put t, whose want is WAIT, where it is found when the gate opens. */
void scsi_lane_block(struct scsi_lane *lane, struct scsi_task *t);
/* Take the gate for t (not inside a section). true: held and all lanes are quiet. false: t has been
 * put where it waits. */
bool scsi_gate_take(struct scsi_lane *lane, struct scsi_task *t);
/* The two halves of that: close it for t (false: t has been put where it waits), then say whether
 * what t waits for behind it has come about (false: not yet). */
bool scsi_gate_close(struct scsi_lane *lane, struct scsi_task *t);
bool scsi_gate_wait(struct scsi_task *t, bool granted);
/* Open it; t's lane had it or was draining for it. */
void scsi_gate_open(struct scsi_lane *lane);

/* The gate is this lane's. Have every other lane that lu->abort concerns do what that says. */
void scsi_gate_ask(struct scsi_lane *lane);
/* This lane itself has done so. true: all have. false: lane->holder is run when they have. */
bool scsi_gate_answered(struct scsi_lane *lane);
/* What others want of this lane, struct scsi_lane.asks. Each once. */
enum {
    SCSI_LANE_ABORT = 1u << 0, /* what lu->abort says */
    SCSI_LANE_CALLS = 1u << 1, /* look at the calls of its seats */
};
unsigned scsi_lane_take_asks(struct scsi_lane *lane);
/* SCSI_LANE_ABORT has been done. */
void scsi_lane_answer(struct scsi_lane *lane);
/* From any lane: have the seat looked at by its own one, for SCSI_CALL_... */
void scsi_lane_call(struct scsi_seat *seat, unsigned calls);
/* A marked task of this lane has ended. */
void scsi_lane_unmarked(struct scsi_lane *lane);
/* Have it changed under the gate, now or soon. Nothing of it may run on its lane in between. */
void scsi_lane_change(struct scsi_seat *seat, uint8_t change);
/* Changes, a new size or space are pending: make them now, or when the gate can be had. */
void scsi_lane_try_changes(struct scsi_lane *lane);
/* Make them: the gate is held. */
void scsi_lane_apply_changes(struct scsi_lane *lane);
/* Something moved: go on with what waits for the gate on this lane. */
void scsi_lane_progress(struct scsi_lane *lane);

/*
 * The gate for calls of the owner that are not tasks. 0: it is held and nobody runs; do what is to
 * be done and unlock. USAN_EAGAIN: commands are running; new ones wait from here on until the call
 * was repeated successfully: repeat it after each scsi_lane_poll() of the lane.
 */
USAN_MUST_CHECK
int scsi_lane_lock(struct scsi_lane *lane);
void scsi_lane_unlock(struct scsi_lane *lane);

#endif
