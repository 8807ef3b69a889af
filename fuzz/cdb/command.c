/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "scsi/sense.h"

#include <stdlib.h>

bool ended(const struct scsi_task *t)
{
    return t->want == SCSI_DONE || t->want == SCSI_ABORTED;
}

static void give_data(struct command *c)
{
    struct scsi_task *t = c->t;
    uint64_t len = t->want_len, from_content = len < c->content_len ? len : c->content_len;
    must(len <= t->out_expected);
    free_pieces(c->out, 3);
    t->out_cnt = pieces(c->out, 3, len);
    t->out = c->out;
    for (int i = 0; i < 3; i++)
        memset(c->out[i].iov_base, 0, c->out[i].iov_len);
    copy(c->out, 3, 0, c->content, from_content, true);
    scsi_task_resume(t, 0);
}

/* Give what it wants; `how` not 0: or an error. */
void give(struct world *w, struct command *c, uint8_t how)
{
    struct scsi_task *t = c->t;
    must(++w->steps < STEPS_MAX);
    switch (t->want) {
    case SCSI_WANT_BUF:
        if (how & 1) {
            scsi_task_fail(t, how & 2 ? SCSI_STATUS_BUSY : SCSI_STATUS_TASK_SET_FULL, 0);
            break;
        }
        free(t->buf);
        t->buf = exact(t->want_len);
        t->buf_len = t->want_len;
        scsi_task_resume(t, 0);
        break;
    case SCSI_WANT_DATA:
        if (how & 1)
            scsi_task_fail(t, SCSI_STATUS_CHECK_CONDITION, SENSE_COMMAND_ABORTED);
        else
            give_data(c);
        break;
    case SCSI_WANT_IO:
        do_io(t, c, how);
        break;
    case SCSI_WANT_SAVE:
        scsi_task_resume(t, save(w, t->itl->lu, how));
        break;
    case SCSI_WANT_WAIT:
    case SCSI_DONE:
    case SCSI_ABORTED:
        must(false);
    }
}

static void look_at_result(struct world *w, const struct scsi_task *t)
{
    must(t->sense_len <= SCSI_SENSE_MAX);
    must(t->status != SCSI_STATUS_CHECK_CONDITION || t->sense_len >= 8);
    must(t->in_len <= t->in_expected);
    if (t->in_len == 0)
        return;
    uint8_t *in = exact(t->in_len);
    copy(t->in, t->in_cnt, 0, in, t->in_len, false);
    w->reply_len = t->in_len < REPLY_KEPT ? t->in_len : REPLY_KEPT;
    memcpy(w->reply, in, w->reply_len);
    free(in);
}

static void finish(struct world *w, struct command *c)
{
    struct scsi_task *t = c->t;
    must(!(t->flags & SCSI_TF_LISTED));
    if (t->want == SCSI_DONE && !t->tmf)
        look_at_result(w, t);
    scsi_task_fini(t);
    for (unsigned i = 0; i < w->count; i++) {
        if (w->commands[i] == c)
            w->commands[i] = w->commands[--w->count];
    }
    free(t->buf);
    free_pieces(c->out, 3);
    free_pieces(c->in, 2);
    free(c->cdb);
    free(c->content);
    free(t);
    free(c);
}

/* On with a command that the owner has in hand. */
void drive(struct world *w, struct command *c)
{
    while (!c->hold && c->t->want != SCSI_WANT_WAIT && !ended(c->t))
        give(w, c, 0);
    if (ended(c->t))
        finish(w, c);
}

struct command *command_new(struct world *w, unsigned reactor)
{
    /* Every other two of a shared world are on the branch here of the other initiator. */
    bool away = (w->setup & SETUP_SHARED) && (w->next_tag & 2) && !w->ending;
    struct initiator *it = &w->initiators[away ? 1 - reactor : reactor];
    unsigned max = w->ending ? COMMANDS + COMMANDS_AT_END : COMMANDS;
    if (w->count >= max || !it->nexus || (it->life != LIFE_GOOD && !w->ending) ||
        (away && !it->branch)) {
        w->next_tag++;
        return NULL;
    }
    struct command *c = calloc(1, sizeof *c);
    must(c != NULL);
    c->t = exact(sizeof *c->t);
    c->reactor = reactor;
    c->branch = away ? it->branch : NULL;
    c->t->nexus = it->nexus;
    c->t->attr = SCSI_ATTR_SIMPLE;
    c->t->priority = 0;
    c->t->tmf = SCSI_TMF_NONE;
    c->t->tag = w->next_tag++;
    c->t->ref_tag = 0;
    c->t->lun = 0;
    c->t->out_expected = c->t->in_expected = 0;
    c->t->cdb = NULL;
    c->t->cdb_len = 0;
    c->t->user = c;
    w->commands[w->count++] = c;
    return c;
}

void start(struct world *w, struct command *c)
{
    unsigned reactor = c->reactor;
    if (c->branch)
        scsi_branch_start(c->branch, c->t);
    else
        scsi_task_start(c->t);
    drive(w, c);
    settle(w, reactor);
}

uint64_t lun_field(unsigned which)
{
    static const uint64_t fields[] = { 0, UINT64_C(1) << 48, UINT64_C(0xc101) << 48,
                                       UINT64_C(0x4005) << 48 };
    return fields[which & 3];
}

void simple(struct world *w, unsigned reactor, unsigned unit, uint8_t tmf)
{
    struct command *c = command_new(w, reactor);
    if (!c)
        return;
    c->t->lun = lun_field(unit);
    c->t->tmf = tmf;
    c->cdb = exact(16);
    memset(c->cdb, 0, 16); /* TEST UNIT READY */
    c->t->cdb = c->cdb;
    c->t->cdb_len = 16;
    start(w, c);
}
