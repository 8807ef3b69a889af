/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asymmetric logical unit access (SPC-6 5.18): target port groups of a unit, REPORT and SET TARGET
 * PORT GROUPS, and which commands a group's state lets through.
 */
#include "scsi/alua.h"

#include "scsi/command.h"
#include "scsi/lane.h"
#include "scsi/reply.h"
#include "scsi/step.h"
#include "scsi/ua.h"

#include <assert.h>

enum { /* SPC-6 table "STATUS CODE field" of the target port group descriptor */
       STATUS_BY_SET_TPG = 1,
       STATUS_IMPLICIT = 2,
};

enum {
    PORTS_PER_GROUP = sizeof(((struct scsi_alua_group *)0)->ports) / sizeof(uint16_t),
    /* T_SUP, O_SUP = 0, LBD_SUP = 0, U_SUP, S_SUP, AN_SUP, AO_SUP */
    STATES_SUPPORTED = 0x80 | 0x08 | 0x04 | 0x02 | 0x01,
    STPG_HEADER_BYTES = 4,
    STPG_DESCRIPTOR_BYTES = 4,
    FORMAT_LENGTH_ONLY = 0,
    FORMAT_EXTENDED = 1,
};

/* ---- the groups of a unit ---- */

static struct scsi_alua_group *group_find(struct scsi_lu *lu, uint16_t id)
{
    for (unsigned i = 0; i < lu->group_count; i++) {
        if (lu->groups[i].id == id)
            return &lu->groups[i];
    }
    return NULL;
}

static const struct scsi_alua_group *group_of_port(const struct scsi_lu *lu, uint16_t rel_port)
{
    for (unsigned i = 0; i < lu->group_count; i++) {
        for (unsigned j = 0; j < lu->groups[i].port_count; j++) {
            if (lu->groups[i].ports[j] == rel_port)
                return &lu->groups[i];
        }
    }
    return NULL;
}

uint16_t scsi_alua_group_of(const struct scsi_lu *lu, uint16_t rel_port)
{
    const struct scsi_alua_group *g = group_of_port(lu, rel_port);
    return g ? g->id : 0;
}

int scsi_lu_add_port(struct scsi_lu *lu, uint16_t group_id, uint16_t rel_port_id)
{
    if (group_of_port(lu, rel_port_id))
        return USAN_EEXIST;
    struct scsi_alua_group *g = group_find(lu, group_id);
    if (!g) {
        if (lu->group_count == SCSI_ALUA_GROUPS_MAX)
            return USAN_ELIMIT;
        g = &lu->groups[lu->group_count++];
        *g = (struct scsi_alua_group){ .id = group_id, .state = SCSI_ALUA_ACTIVE_OPTIMIZED };
    }
    if (g->port_count == PORTS_PER_GROUP)
        return USAN_ELIMIT;
    g->ports[g->port_count++] = rel_port_id;
    return 0;
}

/* Holds the gate. */
static void group_set(struct scsi_lu *lu, struct scsi_alua_group *g, uint8_t state, uint8_t code)
{
    g->state = state;
    g->status_code = code;
    lu->alua_limits = false;
    for (unsigned i = 0; i < lu->group_count; i++)
        lu->alua_limits |= lu->groups[i].state > SCSI_ALUA_ACTIVE_NON_OPTIMIZED;
}

int scsi_lu_set_alua(struct scsi_lane *lane, uint16_t group_id, enum scsi_alua_state state)
{
    struct scsi_lu *lu = lane->lu;
    struct scsi_alua_group *g = group_find(lu, group_id);
    if (!g)
        return USAN_ENOENT;
    int err = scsi_lane_lock(lane);
    if (err)
        return err;
    if (g->state != state) {
        group_set(lu, g, (uint8_t)state, STATUS_IMPLICIT);
        scsi_ua_add_all(lu, NULL, UA_ALUA_STATE_CHANGED);
    }
    scsi_lane_unlock(lane);
    return 0;
}

/* ---- may it pass? (on the way of every command) ---- */

/* The sense for a command with these flags in that state; 0 = it may run (SPC-6 5.18.2.4). */
static uint32_t state_refuses(uint8_t state, uint32_t flags)
{
    if (flags & SCSI_CF_ALUA_ANY)
        return 0;
    switch (state) {
    case SCSI_ALUA_ACTIVE_OPTIMIZED:
    case SCSI_ALUA_ACTIVE_NON_OPTIMIZED:
        return 0;
    case SCSI_ALUA_STANDBY:
        return flags & SCSI_CF_ALUA_STANDBY ? 0 : SENSE_ALUA_STANDBY;
    case SCSI_ALUA_TRANSITIONING:
        return SENSE_ALUA_TRANSITION;
    case SCSI_ALUA_OFFLINE:
        return SENSE_LOGICAL_UNIT_OFFLINE;
    default:
        return SENSE_ALUA_UNAVAILABLE;
    }
}

uint32_t scsi_alua_refuses(const struct scsi_itl *itl, uint32_t flags)
{
    if (!itl->lu->alua_limits)
        return 0;
    const struct scsi_alua_group *g = group_of_port(itl->lu, itl->nexus->rel_target_port);
    return g ? state_refuses(g->state, flags) : 0;
}

/* ---- REPORT TARGET PORT GROUPS (SPC-6 6.36) ---- */

static void write_group(struct wr *w, const struct scsi_alua_group *g)
{
    wr_u8(w, g->state); /* PREF = 0 */
    wr_u8(w, STATES_SUPPORTED);
    wr_be16(w, g->id);
    wr_u8(w, 0);
    wr_u8(w, g->status_code);
    wr_u8(w, 0);
    wr_u8(w, (uint8_t)g->port_count);
    for (unsigned i = 0; i < g->port_count; i++) {
        wr_be16(w, 0);
        wr_be16(w, g->ports[i]);
    }
}

static void rtpg_reply(struct scsi_task *t, int err)
{
    (void)err;
    const struct scsi_lu *lu = scsi_task_lu(t);
    struct wr w = scsi_reply_begin(t);
    wr_be32(&w, 0);
    if (t->cdb[1] >> 5 == FORMAT_EXTENDED) {
        wr_u8(&w, FORMAT_EXTENDED << 4);
        wr_u8(&w, 0); /* IMPLICIT TRANSITION TIME: not stated */
        wr_be16(&w, 0);
    }
    for (unsigned i = 0; i < lu->group_count; i++)
        write_group(&w, &lu->groups[i]);
    if (lu->group_count == 0) {
        /* A unit nobody made groups for has the one that its designators name. */
        struct scsi_alua_group own = { .id = t->nexus->target_port_group,
                                       .ports = { t->nexus->rel_target_port },
                                       .port_count = 1 };
        write_group(&w, &own);
    }
    wr_patch_be32(&w, 0, (uint32_t)(w.len - 4));
    scsi_reply(t, &w, be32_get(t->cdb + 6));
}

static void rtpg_start(struct scsi_task *t)
{
    if (t->cdb[1] >> 5 > FORMAT_EXTENDED) {
        scsi_check_cdb(t, 1, 7);
        return;
    }
    scsi_want_reply_buf(t, be32_get(t->cdb + 6), rtpg_reply);
}

/* ---- SET TARGET PORT GROUPS (SPC-6 6.45) ---- */

struct stpg_descriptor {
    uint8_t state;
    struct scsi_alua_group *group; /* NULL: there is none with that number */
};

static struct stpg_descriptor stpg_read(const struct scsi_task *t, size_t at)
{
    uint8_t d[STPG_DESCRIPTOR_BYTES] = { 0 };
    (void)scsi_out_copy(t, at, d, sizeof(d)); /* it is there: want_data brought the whole list */
    return (struct stpg_descriptor){ .state = d[0] & 0x0f,
                                     .group = group_find(scsi_task_lu(t), be16_get(d + 2)) };
}

static void stpg_data(struct scsi_task *t, int err)
{
    (void)err;
    struct scsi_lu *lu = scsi_task_lu(t);
    size_t len = be32_get(t->cdb + 6);
    /* All or nothing. */
    for (size_t at = STPG_HEADER_BYTES; at < len; at += STPG_DESCRIPTOR_BYTES) {
        struct stpg_descriptor d = stpg_read(t, at);
        if (d.state > SCSI_ALUA_UNAVAILABLE) { /* transitioning and offline can not be asked for */
            scsi_check_param(t, (unsigned)at, 3);
            return;
        }
        if (!d.group) {
            scsi_check_param(t, (unsigned)at + 2, 7);
            return;
        }
    }
    bool changed = false;
    for (size_t at = STPG_HEADER_BYTES; at < len; at += STPG_DESCRIPTOR_BYTES) {
        struct stpg_descriptor d = stpg_read(t, at);
        assert(d.group); /* the first round found it */
        changed |= d.group->state != d.state;
        group_set(lu, d.group, d.state, STATUS_BY_SET_TPG);
    }
    if (changed)
        scsi_ua_add_all(lu, t->itl, UA_ALUA_STATE_CHANGED);
    scsi_good(t);
}

static void stpg_start(struct scsi_task *t)
{
    uint32_t len = be32_get(t->cdb + 6);
    if (len == 0) { /* SPC-6 6.45: not an error */
        scsi_good(t);
        return;
    }
    if (len < STPG_HEADER_BYTES || (len - STPG_HEADER_BYTES) % STPG_DESCRIPTOR_BYTES != 0 ||
        len > SCSI_PARAM_MAX) {
        scsi_check(t, SENSE_PARAMETER_LIST_LENGTH_ERROR);
        return;
    }
    scsi_want_data(t, len, stpg_data);
}

const struct scsi_command scsi_alua_commands[] = {
    { 0xa3,
      0x0a,
      12,
      SCSI_CF_IN | SCSI_CF_PR_ANY | SCSI_CF_RESERVE_ANY | SCSI_CF_ALUA_ANY,
      "REPORT TARGET PORT GROUPS",
      rtpg_start,
      { 0xa3, 0xff, [6] = 0xff, 0xff, 0xff, 0xff } },
    { 0xa4,
      0x0a,
      12,
      SCSI_CF_OUT | SCSI_CF_ALUA_ANY | SCSI_CF_EXCLUSIVE,
      "SET TARGET PORT GROUPS",
      stpg_start,
      { 0xa4, 0x1f, [6] = 0xff, 0xff, 0xff, 0xff } },
    { .name = NULL },
};
