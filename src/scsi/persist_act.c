/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The service actions of PERSISTENT RESERVE OUT on a copy of the state (SPC-6 5.14.5 .. 5.14.11).
 */
#include "scsi/persist_act.h"
#include "scsi/sense.h"

static enum pr_verdict bad_param(struct pr_change *c, size_t byte, int bit)
{
    c->bad_byte = (uint16_t)byte;
    c->bad_bit = (int8_t)bit;
    return PR_BAD_PARAM;
}

/* SCOPE and TYPE of a reservation to be made (SPC-6 6.16.3.3, 6.16.3.4). */
static bool scope_type_ok(struct pr_change *c)
{
    c->bad_byte = 2;
    c->bad_bit = c->scope ? 7 : 3;
    return c->scope == 0 && scsi_pr_type_valid(c->type);
}

/* ---- reservation and registrations ---- */

static bool is_holder(const struct scsi_pr *pr, const struct scsi_pr_reg *reg)
{
    return pr->type != SCSI_PR_NONE && (reg->holder || scsi_pr_type_all(pr->type));
}

static void release(struct scsi_pr *pr)
{
    pr->type = SCSI_PR_NONE;
    for (unsigned i = 0; i < pr->count; i++)
        pr->regs[i].holder = false;
}

static void reserve(struct scsi_pr *pr, struct scsi_pr_reg *reg, uint8_t type)
{
    release(pr);
    pr->type = type;
    reg->holder = !scsi_pr_type_all(type);
}

/* Take a registration away, and with it the reservation if nobody is left to hold it (SPC-6
 * 5.14.11.3). */
static void unregister(struct pr_change *c, struct scsi_pr_reg *reg)
{
    struct scsi_pr *pr = c->next;
    bool sole = reg->holder;
    if (sole && scsi_pr_type_shared(pr->type))
        c->kept_ua = UA_RESERVATIONS_RELEASED;
    scsi_pr_remove(pr, reg);
    if (sole || pr->count == 0)
        release(pr);
}

/* ---- REGISTER, REGISTER AND IGNORE EXISTING KEY ---- */

struct ports {
    uint16_t id[SCSI_PR_REGISTRANTS_MAX];
    unsigned count;
};

static void port_note(struct ports *ports, uint16_t id)
{
    for (unsigned i = 0; i < ports->count; i++) {
        if (ports->id[i] == id)
            return;
    }
    if (ports->count < SCSI_PR_REGISTRANTS_MAX)
        ports->id[ports->count++] = id;
}

/* The relative target ports the unit is known to be reached through; `own` comes first. */
static void ports_known(const struct scsi_lu *lu, uint16_t own, struct ports *ret_ports)
{
    ret_ports->count = 0;
    port_note(ret_ports, own);
    for (unsigned g = 0; g < lu->group_count; g++) {
        for (unsigned i = 0; i < lu->groups[g].port_count; i++)
            port_note(ret_ports, lu->groups[g].ports[i]);
    }
    list_for_each (&lu->itls, node) {
        const struct scsi_itl *itl = list_entry(node, struct scsi_itl, lu_node);
        if (itl->nexus)
            port_note(ret_ports, itl->nexus->rel_target_port);
    }
}

static enum pr_verdict add(struct pr_change *c, const uint8_t *tid, size_t tid_len, uint16_t port)
{
    if (c->next->count == SCSI_PR_REGISTRANTS_MAX)
        return PR_FULL;
    (void)scsi_pr_add(c->next, tid, tid_len, port, c->sark);
    return PR_CHANGED;
}

/* The sender's own initiator port through one target port; SPC-6 tables "Register behaviors". */
static enum pr_verdict register_own(struct pr_change *c, const uint8_t *tid, size_t tid_len,
                                    uint16_t port, bool first)
{
    struct scsi_pr_reg *reg = scsi_pr_find(c->next, tid, tid_len, port);
    if (c->sa == PR_OUT_REGISTER) {
        if (reg && reg->key != c->rk)
            return PR_CONFLICT;
        /* With ALL_TG_PT the key speaks for the port it came through; on others the initiator may
         * not have been registered yet. */
        if (!reg && c->rk != 0 && first)
            return PR_CONFLICT;
        if (reg && c->spec_i_pt && first)
            return bad_param(c, 20, 3);
    }
    if (!reg)
        return c->sark ? add(c, tid, tid_len, port) : PR_NOTHING;
    if (c->sark)
        reg->key = c->sark;
    else
        unregister(c, reg);
    return PR_CHANGED;
}

/* One more initiator port, from SPEC_I_PT. A registration with another key is not overwritten:
 * that would take REGISTER from that port. */
static enum pr_verdict register_other(struct pr_change *c, const uint8_t *tid, size_t tid_len,
                                      const struct ports *ports, size_t at)
{
    for (unsigned i = 0; i < ports->count; i++) {
        const struct scsi_pr_reg *reg = scsi_pr_find(c->next, tid, tid_len, ports->id[i]);
        if (reg && reg->key != c->sark)
            return bad_param(c, at, 7);
        if (!reg && add(c, tid, tid_len, ports->id[i]) == PR_FULL)
            return PR_FULL;
    }
    return PR_CHANGED;
}

/* TPID FORMAT 00b stands for all ports of that iSCSI node that are known here (SPC-6 7.6.4.6). */
static enum pr_verdict register_device(const struct scsi_lu *lu, struct pr_change *c,
                                       const uint8_t *dev, const struct ports *ports, size_t at)
{
    bool any = false;
    list_for_each (&lu->itls, node) {
        const struct scsi_itl *itl = list_entry(node, struct scsi_itl, lu_node);
        uint8_t tid[SCSI_TRANSPORT_ID_MAX];
        if (!itl->nexus)
            continue;
        uint16_t tid_len = scsi_tid_of_nexus(itl->nexus, tid);
        if (!scsi_tid_port_of(tid, dev))
            continue;
        any = true;
        enum pr_verdict v = register_other(c, tid, tid_len, ports, at);
        if (v != PR_CHANGED)
            return v;
    }
    return any ? PR_CHANGED : bad_param(c, at, 7);
}

static enum pr_verdict register_listed(const struct scsi_lu *lu, struct pr_change *c,
                                       const struct ports *ports)
{
    size_t at = 0;
    while (at < c->tids_len) {
        uint8_t tid[SCSI_TRANSPORT_ID_MAX];
        uint16_t tid_len;
        size_t used = scsi_tid_parse(c->tids + at, c->tids_len - at, tid, &tid_len);
        if (!used)
            return bad_param(c, c->tids_at + at, 7);
        enum pr_verdict v = scsi_tid_is_device(tid)
                                ? register_device(lu, c, tid, ports, c->tids_at + at)
                                : register_other(c, tid, tid_len, ports, c->tids_at + at);
        if (v != PR_CHANGED)
            return v;
        at += used;
    }
    return PR_CHANGED;
}

static enum pr_verdict do_register(const struct scsi_task *t, struct pr_change *c)
{
    const struct scsi_lu *lu = scsi_task_lu(t);
    uint8_t tid[SCSI_TRANSPORT_ID_MAX];
    uint16_t tid_len = scsi_tid_of_nexus(t->nexus, tid);
    struct ports ports = { .id = { t->nexus->rel_target_port }, .count = 1 };
    if (c->all_tg_pt)
        ports_known(lu, t->nexus->rel_target_port, &ports);
    enum pr_verdict all = PR_NOTHING;
    for (unsigned i = 0; i < ports.count; i++) {
        enum pr_verdict v = register_own(c, tid, tid_len, ports.id[i], i == 0);
        if (v != PR_CHANGED && v != PR_NOTHING)
            return v;
        if (v == PR_CHANGED)
            all = PR_CHANGED;
    }
    if (c->spec_i_pt) {
        if (!c->sark) /* nothing to register others with */
            return bad_param(c, 20, 3);
        enum pr_verdict v = register_listed(lu, c, &ports);
        if (v != PR_CHANGED)
            return v;
    }
    if (all == PR_CHANGED) {
        c->next->aptpl = c->aptpl;
        c->next->generation++;
    }
    return all;
}

/* ---- RESERVE, RELEASE, CLEAR ---- */

/* SPC-6 5.14.9: by the holder with the same scope and type it is no error and no change. */
static enum pr_verdict do_reserve(struct pr_change *c, struct scsi_pr_reg *self)
{
    if (!scope_type_ok(c))
        return PR_BAD_CDB;
    if (c->next->type != SCSI_PR_NONE)
        return is_holder(c->next, self) && c->next->type == c->type ? PR_NOTHING : PR_CONFLICT;
    reserve(c->next, self, c->type);
    return PR_CHANGED;
}

/* SPC-6 5.14.11.2 */
static enum pr_verdict do_release(struct pr_change *c, const struct scsi_pr_reg *self)
{
    struct scsi_pr *pr = c->next;
    if (!is_holder(pr, self))
        return PR_NOTHING;
    if (c->scope != 0 || c->type != pr->type)
        return PR_BAD_RELEASE;
    if (scsi_pr_type_shared(pr->type))
        c->kept_ua = UA_RESERVATIONS_RELEASED;
    release(pr);
    return PR_CHANGED;
}

/* SPC-6 5.14.11.6 */
static enum pr_verdict do_clear(struct pr_change *c)
{
    release(c->next);
    c->next->count = 0;
    c->next->generation++;
    c->lost_ua = UA_RESERVATIONS_PREEMPTED;
    return PR_CHANGED;
}

/* ---- PREEMPT, PREEMPT AND ABORT (SPC-6 5.14.11.4, 5.14.11.5) ---- */

/* Remove the registrations with key (0: all), but not `keep`. Returns how many there were.
 * The place of `keep` may change. */
static unsigned remove_key(struct pr_change *c, uint64_t key, struct scsi_pr_reg **keep)
{
    struct scsi_pr *pr = c->next;
    unsigned removed = 0;
    for (unsigned i = pr->count; i-- > 0;) {
        struct scsi_pr_reg *reg = &pr->regs[i];
        if ((key && reg->key != key) || (keep && reg == *keep))
            continue;
        /* The last one takes the removed one's place. */
        if (keep && *keep == &pr->regs[pr->count - 1])
            *keep = reg;
        scsi_pr_remove(pr, reg);
        removed++;
    }
    return removed;
}

/* Take the reservation over. */
static enum pr_verdict preempt_reservation(struct pr_change *c, struct scsi_pr_reg *self)
{
    if (!scope_type_ok(c))
        return PR_BAD_CDB;
    uint8_t old_type = c->next->type;
    release(c->next);
    (void)remove_key(c, c->sark, &self);
    reserve(c->next, self, c->type);
    c->lost_ua = UA_REGISTRATIONS_PREEMPTED;
    if (old_type != c->type)
        c->kept_ua = UA_RESERVATIONS_RELEASED;
    c->next->generation++;
    return PR_CHANGED;
}

/* Only take registrations away; SCOPE and TYPE are ignored. The sender's own may be among them. */
static enum pr_verdict preempt_registrations(struct pr_change *c)
{
    if (remove_key(c, c->sark, NULL) == 0)
        return PR_CONFLICT;
    if (c->next->count == 0)
        release(c->next);
    c->lost_ua = UA_REGISTRATIONS_PREEMPTED;
    c->next->generation++;
    return PR_CHANGED;
}

static enum pr_verdict do_preempt(struct pr_change *c, struct scsi_pr_reg *self)
{
    const struct scsi_pr *pr = c->next;
    if (c->sark == 0) /* only an all-registrants reservation has no key of its own */
        return scsi_pr_type_all(pr->type) ? preempt_reservation(c, self) : bad_param(c, 8, 7);
    for (unsigned i = 0; i < pr->count; i++) {
        if (pr->regs[i].holder && pr->regs[i].key == c->sark)
            return preempt_reservation(c, self);
    }
    return preempt_registrations(c);
}

/* ---- REGISTER AND MOVE (SPC-6 5.14.8) ---- */

static bool port_is_known(const struct scsi_task *t, uint16_t id)
{
    struct ports ports;
    ports_known(scsi_task_lu(t), t->nexus->rel_target_port, &ports);
    for (unsigned i = 0; i < ports.count; i++) {
        if (ports.id[i] == id)
            return true;
    }
    return false;
}

static enum pr_verdict do_move(const struct scsi_task *t, struct pr_change *c,
                               struct scsi_pr_reg *self)
{
    struct scsi_pr *pr = c->next;
    uint8_t tid[SCSI_TRANSPORT_ID_MAX];
    uint16_t tid_len;
    /* SPC-6 5.14.8: only the one holder can move it */
    if (!self->holder)
        return PR_CONFLICT;
    if (c->sark == 0)
        return bad_param(c, 8, 7);
    if (!port_is_known(t, c->rel_port))
        return bad_param(c, 18, 7);
    if (scsi_tid_parse(c->tids, c->tids_len, tid, &tid_len) != c->tids_len ||
        scsi_tid_is_device(tid))
        return bad_param(c, c->tids_at, 7);
    struct scsi_pr_reg *to = scsi_pr_find(pr, tid, tid_len, c->rel_port);
    if (to == self)
        return bad_param(c, c->tids_at, 7);
    if (!to) {
        if (pr->count == SCSI_PR_REGISTRANTS_MAX)
            return PR_FULL;
        to = scsi_pr_add(pr, tid, tid_len, c->rel_port, c->sark);
    }
    to->key = c->sark;
    to->holder = true;
    self->holder = false;
    if (c->unreg)
        scsi_pr_remove(pr, self);
    pr->aptpl = c->aptpl;
    pr->generation++;
    return PR_CHANGED;
}

enum pr_verdict scsi_pr_act(const struct scsi_task *t, struct pr_change *c)
{
    if (c->sa == PR_OUT_REGISTER || c->sa == PR_OUT_REGISTER_AND_IGNORE)
        return do_register(t, c);
    /* All others: from a registered nexus that knows its key (SPC-6 5.14.1). */
    struct scsi_pr_reg *self = scsi_pr_find_nexus(c->next, t->nexus);
    if (!self || self->key != c->rk)
        return PR_CONFLICT;
    switch (c->sa) {
    case PR_OUT_RESERVE:
        return do_reserve(c, self);
    case PR_OUT_RELEASE:
        return do_release(c, self);
    case PR_OUT_CLEAR:
        return do_clear(c);
    case PR_OUT_PREEMPT:
    case PR_OUT_PREEMPT_AND_ABORT:
        return do_preempt(c, self);
    default: /* the command table lets no other service action through */
        return do_move(t, c, self);
    }
}
