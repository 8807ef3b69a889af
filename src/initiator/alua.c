/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/alua.h"

#include "base/bytes.h"
#include "initiator/opcodes.h"
#include "initiator/status.h"
#include "scsi/lun.h"

#include <stdlib.h>
#include <string.h>

enum { DATA_BYTES = 4096, TRIES_MAX = 64 };

#define BUSY_NS      (5 * NS_PER_SEC)
#define BUSY_STEP_NS (20 * NS_PER_MS)

struct ini_alua {
    struct loop *loop;
    struct ini_session *session;
    uint16_t lun;
    ini_alua_done *done;
    void *user;
    struct ini_cmd cmd;
    struct loop_timer later;
    bool out, again; /* the command is with the session; ask once more */
    bool probe;
    bool groups; /* the second step */
    uint16_t group;
    unsigned tries;
    uint64_t busy_until_ns;
    uint8_t cdb[12], sense[96], data[DATA_BYTES];
    struct iovec iov;
};

/* ---- data ---- */

const char *ini_alua_name(enum ini_alua_state state)
{
    switch (state) {
    case INI_ALUA_OPTIMIZED:
        return "optimized";
    case INI_ALUA_NONOPTIMIZED:
        return "non-optimized";
    case INI_ALUA_STANDBY:
        return "standby";
    case INI_ALUA_UNAVAILABLE:
        return "unavailable";
    case INI_ALUA_LBA_DEPENDENT:
        return "lba-dependent";
    case INI_ALUA_OFFLINE:
        return "offline";
    case INI_ALUA_TRANSITIONING:
        return "transitioning";
    }
    return "unknown";
}

/* Designator type 5 with association 01b: the target port group of the port (SPC-6 7.7.6.8). */
int ini_alua_group(const uint8_t *p, uint32_t len)
{
    uint32_t end = len >= 4 && be16_get(p + 2) + 4u < len ? be16_get(p + 2) + 4u : len;
    for (uint32_t at = 4; at + 4 <= end && at + 4 + p[at + 3] <= end; at += 4u + p[at + 3]) {
        if ((p[at + 1] & 0x3f) == 0x15 && p[at + 3] == 4)
            return be16_get(p + at + 6);
    }
    return -1;
}

bool ini_alua_find(const uint8_t *p, uint32_t len, uint16_t group, enum ini_alua_state *ret)
{
    uint32_t told = len >= 4 ? be32_get(p) : 0;
    uint32_t end = len >= 4 && told < len - 4 ? told + 4 : len;
    for (uint32_t at = 4; at + 8 <= end; at += 8 + 4u * p[at + 7]) {
        if (be16_get(p + at + 2) != group)
            continue;
        *ret = (enum ini_alua_state)(p[at] & 0x0f);
        return true;
    }
    return false;
}

/* ---- commands ---- */

static void cmd_done(struct ini_cmd *cmd);

static void send_step(struct ini_alua *a)
{
    memset(a->cdb, 0, sizeof(a->cdb));
    if (a->groups) {
        a->cdb[0] = INI_OP_MAINTENANCE_IN;
        a->cdb[1] = INI_SA_REPORT_TARGET_PORT_GROUPS;
        be32_put(a->cdb + 6, DATA_BYTES);
    } else {
        a->cdb[0] = INI_OP_INQUIRY;
        a->cdb[1] = 1; /* EVPD */
        a->cdb[2] = 0x83;
        be16_put(a->cdb + 3, DATA_BYTES);
    }
    a->iov = (struct iovec){ a->data, sizeof(a->data) };
    a->cmd = (struct ini_cmd){ .scsi = { .lun = scsi_lun_encode(a->lun),
                                         .cdb = a->cdb,
                                         .cdb_len = a->groups ? 12 : 6,
                                         .attr = 1,
                                         .in = &a->iov,
                                         .in_cnt = 1,
                                         .in_len = sizeof(a->data),
                                         .sense = a->sense,
                                         .sense_cap = sizeof(a->sense) },
                               .again = INI_AGAIN,
                               .once = true,
                               .probe = a->probe,
                               .done = cmd_done };
    a->out = true;
    ini_session_submit(a->session, &a->cmd);
}

static void begin(struct ini_alua *a)
{
    a->groups = a->again = false;
    a->tries = 0;
    a->busy_until_ns = loop_now(a->loop) + BUSY_NS;
    send_step(a);
}

static void answered(struct ini_alua *a)
{
    enum ini_alua_state state = INI_ALUA_OPTIMIZED;
    if (!a->groups) {
        int group = ini_alua_group(a->data, a->cmd.scsi.in_got);
        if (group >= 0) {
            a->group = (uint16_t)group;
            a->groups = true;
            send_step(a);
            return;
        }
    } else {
        (void)ini_alua_find(a->data, a->cmd.scsi.in_got, a->group, &state);
    }
    a->done(INI_ALUA_TOLD, state, a->user);
}

static void cmd_done(struct ini_cmd *cmd)
{
    struct ini_alua *a = list_entry(cmd, struct ini_alua, cmd);
    int err = USAN_EIO;
    a->out = false;
    bool lost = cmd->scsi.err && !cmd->scsi.response && !cmd->dead;
    if (a->again) {
        begin(a);
        return;
    }
    if (lost) {
        if (cmd->probe && ini_session_checking(a->session)) /* it is not, and waits for an end */
            a->done(INI_ALUA_NOT_ASKED, INI_ALUA_OPTIMIZED, a->user);
        return;
    }
    enum ini_verdict v = ini_scsi_judge(&cmd->scsi, true, &err);
    bool late = loop_now(a->loop) >= a->busy_until_ns || a->tries++ == TRIES_MAX;
    if (v == INI_GOOD)
        answered(a);
    else if (v == INI_RETRY && !late)
        send_step(a);
    else if (v == INI_RETRY_LATER && !late &&
             !loop_timer_set(a->loop, &a->later, loop_now(a->loop) + BUSY_STEP_NS))
        return;
    else if (v == INI_BAD && err == USAN_ENOTSUP) /* it knows nothing of groups */
        a->done(INI_ALUA_TOLD, INI_ALUA_OPTIMIZED, a->user);
    else
        a->done(INI_ALUA_NOT_TOLD, INI_ALUA_OPTIMIZED, a->user);
}

static void later(struct loop_timer *t)
{
    send_step(list_entry(t, struct ini_alua, later));
}

void ini_alua_start(struct ini_alua *a, struct ini_session *s, bool probe)
{
    a->session = s;
    a->probe = probe;
    if (a->out) {
        a->again = true;
        return;
    }
    loop_timer_cancel(a->loop, &a->later);
    begin(a);
}

/* ---- life ---- */

struct ini_alua *ini_alua_new(struct loop *loop, uint16_t lun, ini_alua_done *done, void *user)
{
    struct ini_alua *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->loop = loop;
    a->lun = lun;
    a->done = done;
    a->user = user;
    loop_timer_init(&a->later, later);
    return a;
}

void ini_alua_free(struct ini_alua *a)
{
    if (!a)
        return;
    loop_timer_cancel(a->loop, &a->later);
    free(a);
}
