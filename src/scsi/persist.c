/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Persistent reservations: the state, who may pass, and how nexuses come and go (SPC-6 5.14). */
#include "scsi/persist.h"

#include "scsi/command.h"

#include <assert.h>
#include <string.h>

enum { OPCODE_PR_OUT = 0x5f };

bool scsi_pr_type_valid(uint8_t type)
{
    return type == SCSI_PR_WE || type == SCSI_PR_EA || (type >= SCSI_PR_WE_RO && type <= 8);
}

bool scsi_pr_type_all(uint8_t type)
{
    return type == SCSI_PR_WE_AR || type == SCSI_PR_EA_AR;
}

bool scsi_pr_type_shared(uint8_t type)
{
    return type >= SCSI_PR_WE_RO;
}

static bool type_write_exclusive(uint8_t type)
{
    return type == SCSI_PR_WE || type == SCSI_PR_WE_RO || type == SCSI_PR_WE_AR;
}

/* ---- may it pass? (on the way of every command) ---- */

bool scsi_pr_allows_flags(const struct scsi_itl *itl, uint32_t flags)
{
    const struct scsi_pr *pr = itl->lu->pr;
    if (!pr || pr->type == SCSI_PR_NONE || itl->pr_holder)
        return true;
    if (flags & (SCSI_CF_PR_ANY | SCSI_CF_PR_REG))
        return true;
    if (itl->pr_key && scsi_pr_type_shared(pr->type))
        return true;
    return (flags & SCSI_CF_PR_READ) && type_write_exclusive(pr->type);
}

bool scsi_pr_allows(const struct scsi_task *t)
{
    return scsi_pr_allows_flags(t->itl, t->cmd->flags);
}

/* ---- the registrations ---- */

struct scsi_pr *scsi_pr_clone(const struct scsi_lu *lu, unsigned extra)
{
    const struct scsi_pr *from = lu->pr;
    unsigned count = from ? from->count : 0;
    unsigned cap = count + extra;
    struct scsi_pr *pr = alloc_get(lu->a, sizeof(*pr) + cap * sizeof(pr->regs[0]));
    if (!pr)
        return NULL;
    *pr = (struct scsi_pr){ .count = count, .cap = cap };
    if (from) {
        pr->generation = from->generation;
        pr->type = from->type;
        pr->aptpl = from->aptpl;
        memcpy(pr->regs, from->regs, count * sizeof(pr->regs[0]));
    }
    return pr;
}

struct scsi_pr_reg *scsi_pr_find(struct scsi_pr *pr, const uint8_t *tid, size_t tid_len,
                                 uint16_t rel_port)
{
    for (unsigned i = 0; i < pr->count; i++) {
        struct scsi_pr_reg *reg = &pr->regs[i];
        if (reg->rel_port == rel_port && reg->tid_len == tid_len &&
            memcmp(reg->tid, tid, tid_len) == 0)
            return reg;
    }
    return NULL;
}

struct scsi_pr_reg *scsi_pr_find_nexus(struct scsi_pr *pr, const struct scsi_nexus *nexus)
{
    uint8_t tid[SCSI_TRANSPORT_ID_MAX];
    uint16_t len = scsi_tid_of_nexus(nexus, tid);
    return scsi_pr_find(pr, tid, len, nexus->rel_target_port);
}

struct scsi_pr_reg *scsi_pr_add(struct scsi_pr *pr, const uint8_t *tid, size_t tid_len,
                                uint16_t rel_port, uint64_t key)
{
    assert(pr->count < pr->cap && key != 0 && tid_len <= SCSI_TRANSPORT_ID_MAX);
    struct scsi_pr_reg *reg = &pr->regs[pr->count++];
    *reg = (struct scsi_pr_reg){ .key = key, .rel_port = rel_port, .tid_len = (uint16_t)tid_len };
    memcpy(reg->tid, tid, tid_len);
    return reg;
}

void scsi_pr_remove(struct scsi_pr *pr, struct scsi_pr_reg *reg)
{
    *reg = pr->regs[--pr->count];
}

const struct scsi_pr *scsi_pr_pending(const struct scsi_lu *lu)
{
    const struct scsi_pr *pr = lu->pr;
    if (!pr || !pr->pending)
        return pr;
    unsigned gate = atomic_load(&lu->gate);
    const struct scsi_lane *lane = gate ? atomic_load(&lu->lanes[gate - 1]) : NULL;
    const struct scsi_task *holder = lane ? lane->holder : NULL;
    bool at_it =
        holder && holder == pr->pending_by && holder->cmd && holder->cmd->opcode == OPCODE_PR_OUT;
    return at_it ? pr->pending : pr;
}

void scsi_pr_refresh(struct scsi_itl *itl)
{
    struct scsi_pr *pr = itl->lu->pr;
    const struct scsi_pr_reg *reg = pr ? scsi_pr_find_nexus(pr, itl->nexus) : NULL;
    itl->pr_key = reg ? reg->key : 0;
    itl->pr_holder = reg && (reg->holder || scsi_pr_type_all(pr->type));
}

/* ---- called by the engine ---- */

void scsi_pr_itl_added(struct scsi_itl *itl)
{
    scsi_pr_refresh(itl);
}

/* The registration stays: it belongs to the ports (SPC-6 5.14.1). */
void scsi_pr_itl_removed(struct scsi_itl *itl)
{
    itl->pr_key = 0;
    itl->pr_holder = false;
}

void scsi_pr_free(struct scsi_lu *lu)
{
    if (lu->pr)
        alloc_put(lu->a, lu->pr->pending);
    alloc_put(lu->a, lu->pr);
    lu->pr = NULL;
}
