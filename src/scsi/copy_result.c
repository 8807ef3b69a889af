/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Held results of third-party copies. */
#include "scsi/copy_result.h"

#include "scsi/command.h"
#include "scsi/reply.h"

#include <assert.h>

struct scsi_copies {
    uint64_t last_serial;
    struct copy_result held[COPY_HELD_MAX];
};

static bool is_lid1(uint8_t sa)
{
    return sa == COPY_OUT_LID1;
}

/* Where a copy has the serial of its result, for who looks at its task from outside. */
enum { SCRATCH_SERIAL = 7 };

/* Steps of copy commands of one I_T_L nexus may run on several lanes: one after the other. They
 * wait for nothing, so neither does this for long. */
static void lock(struct scsi_itl *itl)
{
    while (itl->shared &&
           atomic_flag_test_and_set_explicit(&itl->copies_busy, memory_order_acquire))
        ;
}

static void unlock(struct scsi_itl *itl)
{
    if (itl->shared)
        atomic_flag_clear_explicit(&itl->copies_busy, memory_order_release);
}

void scsi_copy_step(struct scsi_task *t, scsi_step *step, int err)
{
    struct scsi_itl *itl = t->itl;
    lock(itl);
    if (step)
        step(t, err);
    else
        t->cmd->start(t);
    unlock(itl);
}

/* One that was aborted, or refused half-way, did not say so. */
void scsi_copy_ended(struct scsi_task *t)
{
    lock(t->itl);
    struct copy_result *r = copy_result_of(t->itl, t->scratch[SCRATCH_SERIAL]);
    if (t->cmd->opcode == COPY_OPCODE_OUT && r && r->state == COPY_RUNNING) {
        r->state = COPY_ABORTED;
        r->status = SCSI_STATUS_TASK_ABORTED;
    }
    unlock(t->itl);
}

struct copy_result *copy_result_find(const struct scsi_itl *itl, bool lid1, uint32_t list_id)
{
    for (unsigned i = 0; itl->copies && i < COPY_HELD_MAX; i++) {
        struct copy_result *r = &itl->copies->held[i];
        if (r->serial && r->list_id == list_id && is_lid1(r->sa) == lid1)
            return r;
    }
    return NULL;
}

/* A free place, or that of the oldest which has ended; NULL: all are running. */
static struct copy_result *find_place(const struct scsi_itl *itl)
{
    struct copy_result *best = NULL;
    for (unsigned i = 0; i < COPY_HELD_MAX; i++) {
        struct copy_result *r = &itl->copies->held[i];
        if ((!r->serial || r->state != COPY_RUNNING) && (!best || r->serial < best->serial))
            best = r;
    }
    return best;
}

uint32_t copy_result_begin(struct scsi_task *t, uint8_t sa, uint32_t list_id, uint64_t *ret_serial)
{
    struct scsi_itl *itl = t->itl;
    if (!itl->copies) {
        itl->copies = alloc_zero(itl->nexus->a, sizeof(*itl->copies));
        if (!itl->copies)
            return SENSE_INSUFFICIENT_RESOURCES;
    }
    struct copy_result *r = copy_result_find(itl, is_lid1(sa), list_id);
    if (r && r->state == COPY_RUNNING) /* SPC-6 5.18.3 */
        return SENSE_OPERATION_IN_PROGRESS;
    if (!r)
        r = find_place(itl);
    if (!r)
        return SENSE_INSUFFICIENT_RESOURCES;
    *r = (struct copy_result){ .serial = ++itl->copies->last_serial,
                               .list_id = list_id,
                               .sa = sa,
                               .state = COPY_RUNNING,
                               .block_bytes = itl->lu->cfg.block_bytes };
    t->scratch[SCRATCH_SERIAL] = r->serial;
    *ret_serial = r->serial;
    return 0;
}

struct copy_result *copy_result_of(const struct scsi_itl *itl, uint64_t serial)
{
    for (unsigned i = 0; serial && itl->copies && i < COPY_HELD_MAX; i++) {
        if (itl->copies->held[i].serial == serial)
            return &itl->copies->held[i];
    }
    return NULL;
}

void copy_result_end(struct scsi_task *t, uint64_t serial, enum copy_state state,
                     const struct scsi_sense_info *sense)
{
    struct copy_result *r = copy_result_of(t->itl, serial);
    bool good = state == COPY_DONE || state == COPY_RESIDUAL;
    assert(state != COPY_RUNNING && (sense || state != COPY_FAILED));
    if (r) {
        r->state = (uint8_t)state;
        r->status = good ? SCSI_STATUS_GOOD : SCSI_STATUS_CHECK_CONDITION;
        if (sense)
            r->sense = *sense;
        if (r->drop)
            r->serial = 0;
    }
    if (good)
        scsi_good(t);
    else if (!sense)
        scsi_check(t, SENSE_COPY_ABORTED);
    else if (sense->has_information)
        scsi_check_info(t, sense->kaq, sense->information);
    else if (sense->has_field)
        scsi_check_param(t, sense->field_byte, sense->field_bit);
    else
        scsi_check(t, sense->kaq);
}

void scsi_copies_drop(struct scsi_itl *itl)
{
    lock(itl);
    alloc_put(itl->nexus->a, itl->copies);
    itl->copies = NULL;
    unlock(itl);
}
