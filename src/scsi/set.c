/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scsi/set.h"

#include "scsi/lane.h"
#include "scsi/reply.h"
#include "scsi/step.h"

/* Must a task of this attribute wait for those that are before it in the set? */
static bool waits_for(uint8_t attr, bool hoq, bool first, bool ordered_before)
{
    switch ((enum scsi_attr)attr) {
    case SCSI_ATTR_HEAD_OF_QUEUE:
    case SCSI_ATTR_ACA:
        return false;
    case SCSI_ATTR_ORDERED:
        return hoq || !first;
    case SCSI_ATTR_UNTAGGED:
    case SCSI_ATTR_SIMPLE:
        break;
    }
    return hoq || ordered_before;
}

/* The same among all seats. */
static bool waits_shared(const struct scsi_task *t)
{
    struct scsi_itl *itl = t->itl;
    bool first = true, ordered_before = false;
    for (struct scsi_seat *s = &itl->home; s; s = atomic_load(&s->next)) {
        first &= atomic_load(&s->oldest) >= t->seq;
        ordered_before |= atomic_load(&s->oldest_ordered) < t->seq;
    }
    return waits_for(t->attr, atomic_load(&itl->hoq) != 0, first, ordered_before);
}

void scsi_set_wake(struct scsi_seat *seat)
{
    const struct scsi_itl *itl = seat->itl;
    bool first = true, ordered_before = false;
    list_for_each (&seat->tasks, pos) {
        struct scsi_task *t = list_entry(pos, struct scsi_task, node);
        bool held = itl->shared ? (t->flags & SCSI_TF_DORMANT) && waits_shared(t)
                                : waits_for(t->attr, seat->hoq != 0, first, ordered_before);
        held |= atomic_load_explicit(&itl->aca, memory_order_relaxed) && t->attr != SCSI_ATTR_ACA;
        if ((t->flags & SCSI_TF_DORMANT) && !held) {
            t->flags &= ~(uint32_t)SCSI_TF_DORMANT;
            seat->dormant--;
            scsi_lane_ready(seat->lane, t);
        }
        first = false;
        ordered_before |= t->attr == SCSI_ATTR_ORDERED;
    }
}

static void call_others(struct scsi_seat *seat)
{
    for (struct scsi_seat *s = &seat->itl->home; s; s = atomic_load(&s->next)) {
        if (s != seat)
            scsi_lane_call(s, SCSI_CALL_LOOK);
    }
}

void scsi_set_wake_all(struct scsi_seat *seat)
{
    scsi_set_wake(seat);
    if (seat->itl->shared)
        call_others(seat);
}

static bool has_aca_task(const struct scsi_seat *seat)
{
    if (seat->itl->shared)
        return atomic_load(&seat->itl->aca_tasks) != 0;
    list_for_each (&seat->tasks, pos) {
        if (list_entry(pos, struct scsi_task, node)->attr == SCSI_ATTR_ACA)
            return true;
    }
    return false;
}

bool scsi_set_admits(struct scsi_task *t)
{
    if (!atomic_load_explicit(&t->itl->aca, memory_order_relaxed)) {
        if (t->attr != SCSI_ATTR_ACA)
            return true;
        scsi_check(t, SENSE_INVALID_MESSAGE_ERROR);
        return false;
    }
    if (t->attr == SCSI_ATTR_ACA && !has_aca_task(t->seat))
        return true;
    scsi_status(t, SCSI_STATUS_ACA_ACTIVE);
    return false;
}

void scsi_set_sleep(struct scsi_task *t)
{
    t->want = SCSI_WANT_WAIT;
    t->flags |= SCSI_TF_DORMANT;
    t->seat->dormant++;
}

bool scsi_set_rank(struct scsi_task *t)
{
    struct scsi_seat *seat = t->seat;
    bool wait = waits_for(t->attr, seat->hoq != 0, list_empty(&seat->tasks), seat->ordered != 0);
    if (t->attr == SCSI_ATTR_ORDERED)
        seat->ordered++;
    else if (t->attr == SCSI_ATTR_HEAD_OF_QUEUE)
        seat->hoq++;
    if (wait)
        scsi_set_sleep(t);
    return !wait;
}

/* ---- a part of it on each seat ---- */

static bool is_ranked(const struct scsi_task *t)
{
    return t->attr == SCSI_ATTR_ORDERED || t->attr == SCSI_ATTR_HEAD_OF_QUEUE;
}

static void publish_oldest(struct scsi_seat *seat)
{
    struct list *first = seat->tasks.next;
    uint64_t seq =
        first == &seat->tasks ? UINT64_MAX : list_entry(first, struct scsi_task, node)->seq;
    atomic_store(&seat->oldest, seq);
}

static void publish_ordered(struct scsi_seat *seat)
{
    uint64_t seq = UINT64_MAX;
    list_for_each (&seat->tasks, pos) {
        const struct scsi_task *t = list_entry(pos, struct scsi_task, node);
        if (t->attr == SCSI_ATTR_ORDERED) {
            seq = t->seq;
            break;
        }
    }
    atomic_store(&seat->oldest_ordered, seq);
}

void scsi_set_publish(struct scsi_seat *seat)
{
    struct scsi_itl *itl = seat->itl;
    list_for_each (&seat->tasks, pos) {
        struct scsi_task *t = list_entry(pos, struct scsi_task, node);
        t->seq = itl->nexus->next_seq++;
        atomic_fetch_add(&itl->aca_tasks, t->attr == SCSI_ATTR_ACA);
    }
    publish_oldest(seat);
    publish_ordered(seat);
    atomic_store(&itl->hoq, seat->hoq);
    atomic_store(&itl->ranked, seat->ordered + seat->hoq);
}

bool scsi_set_join_shared(struct scsi_task *t)
{
    struct scsi_itl *itl = t->itl;
    struct scsi_seat *seat = t->seat;

    list_push_back(&seat->tasks, &t->node);
    t->flags |= SCSI_TF_IN_SET;
    if (seat->tasks.next == &t->node)
        atomic_store(&seat->oldest, t->seq);
    if (t->attr == SCSI_ATTR_ORDERED && seat->ordered++ == 0)
        atomic_store(&seat->oldest_ordered, t->seq);
    if (t->attr == SCSI_ATTR_HEAD_OF_QUEUE) {
        seat->hoq++;
        atomic_fetch_add(&itl->hoq, 1);
    }
    if (t->attr == SCSI_ATTR_ACA)
        atomic_fetch_add(&itl->aca_tasks, 1);
    if (is_ranked(t))
        atomic_fetch_add(&itl->ranked, 1);
    if (atomic_load(&itl->ranked) == 0 || !waits_shared(t))
        return true;
    scsi_set_sleep(t);
    return false;
}

void scsi_set_leave_shared(struct scsi_task *t)
{
    struct scsi_itl *itl = t->itl;
    struct scsi_seat *seat = t->seat;

    if (atomic_load_explicit(&seat->oldest, memory_order_relaxed) == t->seq)
        publish_oldest(seat);
    bool look = is_ranked(t) || t->attr == SCSI_ATTR_ACA;
    if (t->attr == SCSI_ATTR_ORDERED)
        publish_ordered(seat);
    if (t->attr == SCSI_ATTR_HEAD_OF_QUEUE)
        atomic_fetch_sub(&itl->hoq, 1);
    if (t->attr == SCSI_ATTR_ACA)
        atomic_fetch_sub(&itl->aca_tasks, 1);
    look |= atomic_load(&itl->ranked) != 0;
    if (is_ranked(t))
        atomic_fetch_sub(&itl->ranked, 1);
    if (seat->dormant)
        scsi_set_wake(seat);
    if (look)
        call_others(seat);
}
