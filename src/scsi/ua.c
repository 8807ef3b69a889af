/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Unit attention conditions of an I_T_L nexus (SAM-6 5.14).
 *
 * A condition is queued once however often it comes about. The reset kind stands in front of the
 * others and clears those of the reset kind that are older, since the newest one says it all.
 * There are fewer conditions than room; should that change, the last place is taken by POWER ON,
 * RESET, OR BUS DEVICE RESET OCCURRED, which tells the initiator to look at everything again.
 */
#include "scsi/ua.h"

#include "scsi/sense.h"

#include <string.h>

/* ASC 29h: the conditions that go before RESERVATION CONFLICT (SAM-6 5.3.3). */
static bool is_reset(uint16_t asc_ascq)
{
    return asc_ascq >> 8 == 0x29;
}

static void remove_at(struct scsi_itl *itl, unsigned i)
{
    itl->ua_count--;
    memmove(&itl->ua[i], &itl->ua[i + 1], (itl->ua_count - i) * sizeof itl->ua[0]);
}

/* What was taken off the front goes: nobody else looks. */
static void close_up(struct scsi_itl *itl)
{
    unsigned taken = atomic_load(&itl->ua_taken);
    itl->ua_count -= taken;
    memmove(&itl->ua[0], &itl->ua[taken], itl->ua_count * sizeof itl->ua[0]);
    atomic_store(&itl->ua_taken, 0);
}

void scsi_ua_add(struct scsi_itl *itl, uint16_t asc_ascq)
{
    close_up(itl);
    if (is_reset(asc_ascq)) {
        if (itl->ua_count && is_reset(itl->ua[0]))
            remove_at(itl, 0);
        if (itl->ua_count == SCSI_UA_MAX)
            itl->ua_count--;
        memmove(&itl->ua[1], &itl->ua[0], itl->ua_count * sizeof itl->ua[0]);
        itl->ua[0] = asc_ascq;
        itl->ua_count++;
        return;
    }
    for (unsigned i = 0; i < itl->ua_count; i++) {
        if (itl->ua[i] == asc_ascq)
            return;
    }
    if (itl->ua_count == SCSI_UA_MAX) {
        itl->ua[SCSI_UA_MAX - 1] = UA_POWER_ON_RESET;
        return;
    }
    itl->ua[itl->ua_count++] = asc_ascq;
}

void scsi_ua_add_all(struct scsi_lu *lu, const struct scsi_itl *except, uint16_t asc_ascq)
{
    list_for_each (&lu->itls, pos) {
        struct scsi_itl *itl = list_entry(pos, struct scsi_itl, lu_node);
        if (itl != except)
            scsi_ua_add(itl, asc_ascq);
    }
}

uint16_t scsi_ua_peek(const struct scsi_itl *itl)
{
    unsigned taken = atomic_load(&itl->ua_taken);
    if (taken < itl->ua_count)
        return itl->ua[taken];
    return atomic_load(&itl->luns_seen) != atomic_load(&itl->nexus->luns_gen)
               ? UA_REPORTED_LUNS_CHANGED
               : 0;
}

uint16_t scsi_ua_take(struct scsi_itl *itl, bool reset_only)
{
    unsigned taken = atomic_load(&itl->ua_taken);
    while (taken < itl->ua_count) {
        uint16_t ua = itl->ua[taken];
        if (reset_only && !is_reset(ua))
            return 0;
        if (atomic_compare_exchange_weak(&itl->ua_taken, &taken, taken + 1))
            return ua;
    }
    if (reset_only)
        return 0;
    uint32_t gen = atomic_load(&itl->nexus->luns_gen);
    return atomic_exchange(&itl->luns_seen, gen) != gen ? UA_REPORTED_LUNS_CHANGED : 0;
}

void scsi_ua_add_cleared(struct scsi_lu *lu)
{
    list_for_each (&lu->itls, pos) {
        struct scsi_itl *itl = list_entry(pos, struct scsi_itl, lu_node);
        /* SAM-6 5.6.3: told by a status, or by this. */
        if (atomic_exchange(&itl->cleared, 0) && !lu->abort.tas)
            scsi_ua_add(itl, UA_COMMANDS_CLEARED);
    }
}
