/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/check.h"

#include "base/bytes.h"
#include "initiator/opcodes.h"
#include "initiator/status.h"
#include "scsi/lun.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_STEP_NS (20 * NS_PER_MS)
#define TRIES_MAX    64 /* unit attentions in a row */

enum step { STEP_IDENTITY, STEP_CAPACITY_16, STEP_CAPACITY_10 };

struct ini_check {
    struct loop *loop;
    struct ini_session *session;
    struct ini_check_config cfg;
    struct ini_cmd cmd;
    struct loop_timer later;
    bool out;   /* the command is with the session */
    bool again; /* and a new login has begun since */
    enum step step;
    unsigned tries;
    uint64_t busy_until_ns;
    char why[160];
    uint8_t cdb[16], sense[96], data[INI_INQUIRY_MAX];
    struct iovec iov;
};

static void done(struct ini_cmd *cmd);

static void end(struct ini_check *c, enum ini_checked result, uint64_t blocks)
{
    c->cfg.done(result, c->why, blocks, c->cfg.user);
}

/* ---- commands ---- */

static void send_step(struct ini_check *c)
{
    const struct ini_disk_info *info = c->cfg.info;
    uint32_t len = 0;
    memset(c->cdb, 0, sizeof(c->cdb));
    memset(c->data, 0, 36);
    c->cmd = (struct ini_cmd){ .scsi = { .lun = scsi_lun_encode(c->cfg.lun),
                                         .cdb = c->cdb,
                                         .attr = 1,
                                         .sense = c->sense,
                                         .sense_cap = sizeof(c->sense) },
                               .again = INI_AGAIN,
                               .probe = true,
                               .done = done };
    switch (c->step) {
    case STEP_IDENTITY:
        len = INI_INQUIRY_MAX;
        c->cmd.scsi.cdb_len = 6;
        c->cdb[0] = INI_OP_INQUIRY;
        c->cdb[1] = 1; /* EVPD */
        c->cdb[2] = *info->id ? 0x83 : 0x80;
        be16_put(c->cdb + 3, (uint16_t)len);
        break;
    case STEP_CAPACITY_16:
        len = 32;
        c->cmd.scsi.cdb_len = 16;
        c->cdb[0] = INI_OP_SERVICE_ACTION_IN_16;
        c->cdb[1] = INI_SA_READ_CAPACITY_16;
        c->cdb[13] = (uint8_t)len;
        break;
    case STEP_CAPACITY_10:
        len = 8;
        c->cmd.scsi.cdb_len = 10;
        c->cdb[0] = INI_OP_READ_CAPACITY_10;
        break;
    }
    c->iov = (struct iovec){ c->data, len };
    c->cmd.scsi.in = &c->iov;
    c->cmd.scsi.in_cnt = 1;
    c->cmd.scsi.in_len = len;
    c->out = true;
    ini_session_submit(c->session, &c->cmd);
}

static void go(struct ini_check *c, enum step step)
{
    c->step = step;
    c->tries = 0;
    c->busy_until_ns = loop_now(c->loop) + c->cfg.busy_timeout_ns;
    send_step(c);
}

/* ---- answers ---- */

/* The page says who it is, or that there is no unit. */
static void identity_came(struct ini_check *c)
{
    const struct ini_disk_info *info = c->cfg.info;
    uint32_t got = c->cmd.scsi.in_got;
    uint32_t len = got >= 4 ? be16_get(c->data + 2) + 4u : 0;
    char now[INI_ID_MAX] = "";
    if (got >= 1 && c->data[0] >> 5 != 0) {
        (void)snprintf(c->why, sizeof(c->why), "LUN %u: the target has no such unit", c->cfg.lun);
        end(c, INI_CHECK_LATER, 0);
        return;
    }
    len = len < got ? len : got;
    if (len >= 4 && c->data[1] == c->cdb[2] && ini_probe_is_unit(info, c->data, len, now)) {
        go(c, STEP_CAPACITY_16);
        return;
    }
    (void)snprintf(c->why, sizeof(c->why), "LUN %u: another unit: %s instead of %s", c->cfg.lun,
                   *now ? now : "one without a name", *info->id ? info->id : info->serial);
    end(c, INI_CHECK_OTHER, 0);
}

static void capacity_came(struct ini_check *c)
{
    bool ten = c->step == STEP_CAPACITY_10;
    bool told = c->cmd.scsi.in_got >= (ten ? 8 : 12);
    uint64_t blocks = (ten ? be32_get(c->data) : be64_get(c->data)) + 1ull;
    uint32_t bytes = be32_get(c->data + (ten ? 4 : 8));
    if (told && bytes != c->cfg.info->block_bytes) {
        (void)snprintf(c->why, sizeof(c->why),
                       "LUN %u: blocks of %u bytes instead of %u: it is another disk", c->cfg.lun,
                       bytes, c->cfg.info->block_bytes);
        end(c, INI_CHECK_OTHER, 0);
    } else {
        end(c, INI_CHECK_GOOD, told && ini_probe_size_ok(blocks, bytes) ? blocks : 0);
    }
}

static void failed(struct ini_check *c, int err)
{
    char words[96];
    ini_scsi_words(&c->cmd.scsi, words, sizeof(words));
    (void)snprintf(c->why, sizeof(c->why), "LUN %u: cannot be looked at: %s", c->cfg.lun, words);
    if (c->step == STEP_CAPACITY_16 && err == USAN_ENOTSUP)
        go(c, STEP_CAPACITY_10);
    else if (c->step == STEP_IDENTITY)
        end(c, err == USAN_ENOTSUP ? INI_CHECK_OTHER : INI_CHECK_LATER, 0);
    else /* it is the same unit; why it does not tell its size, other commands will show */
        end(c, INI_CHECK_GOOD, 0);
}

/* Nobody else would end the check. */
static void not_asked(struct ini_check *c)
{
    char words[96];
    ini_scsi_words(&c->cmd.scsi, words, sizeof(words));
    (void)snprintf(c->why, sizeof(c->why), "LUN %u: cannot be looked at: %s", c->cfg.lun, words);
    end(c, INI_CHECK_LATER, 0);
}

static void done(struct ini_cmd *cmd)
{
    struct ini_check *c = list_entry(cmd, struct ini_check, cmd);
    int err = USAN_EIO;
    c->out = false;
    if (c->again) {
        c->again = false;
        ini_check_start(c, c->session);
        return;
    }
    if (cmd->scsi.err && !cmd->scsi.response && !cmd->dead) {
        if (ini_session_checking(c->session))
            not_asked(c);
        return; /* or the session was lost, and the next login brings the next check */
    }
    enum ini_verdict v = ini_scsi_judge(&cmd->scsi, true, &err);
    bool late = loop_now(c->loop) >= c->busy_until_ns || c->tries++ == TRIES_MAX;
    if (v == INI_GOOD && c->step == STEP_IDENTITY)
        identity_came(c);
    else if (v == INI_GOOD)
        capacity_came(c);
    else if (v == INI_RETRY && !late)
        send_step(c);
    else if (v == INI_RETRY_LATER && !late &&
             !loop_timer_set(c->loop, &c->later, loop_now(c->loop) + BUSY_STEP_NS))
        return;
    else
        failed(c, err);
}

static void later(struct loop_timer *t)
{
    send_step(list_entry(t, struct ini_check, later));
}

/* ---- life ---- */

void ini_check_start(struct ini_check *c, struct ini_session *s)
{
    c->session = s;
    if (c->out) { /* of the session before, about to come back */
        c->again = true;
        return;
    }
    loop_timer_cancel(c->loop, &c->later);
    c->why[0] = '\0';
    go(c, *c->cfg.info->id || *c->cfg.info->serial ? STEP_IDENTITY : STEP_CAPACITY_16);
}

struct ini_check *ini_check_new(struct loop *loop, const struct ini_check_config *cfg)
{
    struct ini_check *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->loop = loop;
    c->cfg = *cfg;
    loop_timer_init(&c->later, later);
    return c;
}

void ini_check_free(struct ini_check *c)
{
    if (!c)
        return;
    loop_timer_cancel(c->loop, &c->later);
    free(c);
}
