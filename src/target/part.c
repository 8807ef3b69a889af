/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/part.h"

#include "scsi/scsi.h"
#include "target/access.h"
#include "target/command.h"
#include "target/lun.h"
#include "target/reactor.h"
#include "target/session.h"
#include "target/target.h"

#include <assert.h>
#include <stdlib.h>

/* ---- making one ---- */

static int make_cmds(struct tgt_part *part)
{
    uint32_t n = tgt_cfg(part->reactor->tgt)->limits.queue_depth + ISCSI_EXTRA_TASKS_MAX;
    part->cmds = calloc(n, sizeof(*part->cmds));
    if (!part->cmds)
        return USAN_ENOMEM;
    part->cmd_count = n;
    return 0;
}

static int map_lun(struct tgt_part *part, struct tgt_lun *lun)
{
    struct tgt_session *s = part->session;
    struct tgt_lane *lane = &lun->lanes[part->reactor->index];
    int err = tgt_lane_open(lane);
    if (err)
        return err;
    err = part == &s->home ? scsi_nexus_map(s->nexus, lun->number, lane->lane, false)
                           : scsi_branch_map(part->branch, lun->number, lane->lane);
    if (err)
        return err;
    part->lanes[lun->number] = lane;
    tgt_lane_touch(lane);
    return 0;
}

static int map_luns(struct tgt_part *part)
{
    const struct tgt_node *target = part->session->target;
    uint32_t top = 0;
    for (size_t i = 0; i < target->lun_count; i++) {
        uint32_t n = target->luns[i]->number;
        top = n >= top ? n + 1 : top;
    }
    part->lanes = calloc(top, sizeof(struct tgt_lane *));
    if (!part->lanes)
        return USAN_ENOMEM;
    part->lane_count = top;
    int err = 0;
    for (size_t i = 0; !err && i < target->lun_count; i++)
        err = map_lun(part, target->luns[i]);
    return err;
}

static void run_idle(struct loop_work *w)
{
    struct tgt_part *part = list_entry(w, struct tgt_part, idle);
    struct tgt_session *s = part->session;
    assert(part->closing && part->busy == 0);
    tgt_session_lock(s);
    if (!part->told_idle) {
        part->told_idle = true;
        s->idle_parts++;
        tgt_session_settle(s);
    }
    tgt_session_unlock(s);
}

static void run_answer(struct loop_work *w)
{
    struct tgt_part *part = list_entry(w, struct tgt_part, answer);
    struct tgt_cmd *first = part->answers;
    part->answers = NULL;
    part->answers_end = &part->answers;
    if (first)
        tgt_cmd_respond(first);
}

void tgt_part_answer(struct tgt_cmd *cmd)
{
    struct tgt_part *part = cmd->part;
    *part->answers_end = cmd;
    part->answers_end = &cmd->next_event;
    loop_work_queue(part->reactor->loop, &part->answer);
}

static void deliver_mail(struct loop_msg *m);

int tgt_part_init(struct tgt_part *part)
{
    struct tgt_session *s = part->session;
    list_init(&part->mail);
    part->answers_end = &part->answers;
    loop_work_init(&part->answer, run_answer);
    loop_work_init(&part->idle, run_idle);
    part->mail_msg.deliver = deliver_mail;
    list_push_back(&part->reactor->parts, &part->node);
    list_push_back(&s->parts, &part->of_session);
    s->part_count++;
    if (!s->target)
        return 0;
    int err = make_cmds(part);
    if (err)
        return err;
    part->branch = part == &s->home ? scsi_nexus_home(s->nexus) : scsi_branch_new(s->nexus);
    return part->branch ? map_luns(part) : USAN_ENOMEM;
}

void tgt_part_fini(struct tgt_part *part)
{
    assert(part->busy == 0 && part->account.held_bytes == 0);
    tgt_part_touch(part); /* losing a nexus may let others go on */
    if (part != &part->session->home)
        scsi_branch_free(part->branch);
    assert(!part->answers);
    loop_work_cancel(&part->answer);
    loop_work_cancel(&part->idle);
    list_del(&part->node);
    tgt_buffers_uncharge(&part->reactor->buffers, NULL, part->cmds_made * sizeof(*part->cmds));
    tgt_reactor_watch_memory(part->reactor);
    free(part->lanes);
    free(part->cmds);
}

int tgt_part_get(struct tgt_session *s, struct tgt_reactor *r, struct tgt_part **ret_part)
{
    list_for_each (&s->parts, pos) {
        struct tgt_part *part = list_entry(pos, struct tgt_part, of_session);
        if (part->reactor != r)
            continue;
        if (part->broken)
            return USAN_ENOMEM;
        *ret_part = part;
        return 0;
    }
    struct tgt_part *part = calloc(1, sizeof(*part));
    if (!part)
        return USAN_ENOMEM;
    part->session = s;
    part->reactor = r;
    part->account.total = &s->held_total;
    int err = tgt_part_init(part);
    part->broken = err != 0; /* other reactors may look at what of it was made */
    if (err)
        return err;
    *ret_part = part;
    return 0;
}

/* ---- life ---- */

static void idle_soon(struct tgt_part *part)
{
    if (part->closing && part->busy == 0)
        loop_work_queue(part->reactor->loop, &part->idle);
}

void tgt_part_cmd_done(struct tgt_part *part)
{
    assert(part->busy > 0);
    part->busy--;
    idle_soon(part);
}

void tgt_part_touch(struct tgt_part *part)
{
    for (uint32_t i = 0; i < part->lane_count; i++) {
        if (part->lanes[i])
            tgt_lane_touch(part->lanes[i]);
    }
}

void tgt_part_close(struct tgt_part *part)
{
    part->closing = true;
    if (part->branch) {
        scsi_branch_abort(part->branch, UINT64_MAX);
        tgt_part_touch(part);
    }
    idle_soon(part);
}

/* ---- mail ---- */

static void post_mail(struct tgt_part *part)
{
    if (part->mail_posted)
        return;
    part->mail_posted = true;
    loop_post(part->reactor->loop, &part->mail_msg);
}

void tgt_part_ask(struct tgt_part *part, uint32_t what)
{
    part->asks |= what;
    post_mail(part);
}

void tgt_part_note(struct tgt_cmd *cmd, uint32_t what)
{
    struct tgt_part *part = cmd->part;
    if (!cmd->notes)
        list_push_back(&part->mail, &cmd->mail);
    cmd->notes |= what;
    post_mail(part);
}

/* The next command with a note; NULL: no more. */
static struct tgt_cmd *take_note(struct tgt_part *part, uint32_t *ret_notes)
{
    struct tgt_session *s = part->session;
    tgt_session_lock(s);
    struct list *pos = list_pop_front(&part->mail);
    struct tgt_cmd *cmd = pos ? list_entry(pos, struct tgt_cmd, mail) : NULL;
    if (cmd) {
        *ret_notes = cmd->notes;
        cmd->notes = 0;
    }
    tgt_session_unlock(s);
    return cmd;
}

/* For the last line about the session. Nothing runs on either any more. */
static void hand_counts(const struct tgt_part *from, struct tgt_part *to)
{
    tgt_count(&to->commands, atomic_load(&from->commands));
    tgt_count(&to->read_ios, atomic_load(&from->read_ios));
    tgt_count(&to->read_bytes, atomic_load(&from->read_bytes));
    tgt_count(&to->write_ios, atomic_load(&from->write_ios));
    tgt_count(&to->write_bytes, atomic_load(&from->write_bytes));
}

/* The session goes: this part is on another reactor than it. */
static void free_part(struct tgt_part *part)
{
    struct tgt_session *s = part->session;
    tgt_session_lock(s);
    list_del(&part->of_session);
    hand_counts(part, &s->home);
    tgt_session_unlock(s);
    tgt_part_fini(part);
    free(part);
    tgt_session_lock(s);
    if (--s->part_count == 1) /* the last one: s may be gone after the lock */
        tgt_part_ask(&s->home, TGT_PART_FREE);
    tgt_session_unlock(s);
}

static void answer_asks(struct tgt_part *part, uint32_t asks)
{
    struct tgt_session *s = part->session;
    if ((asks & TGT_PART_CLOSE) && !part->closing)
        tgt_part_close(part);
    if (asks & TGT_PART_LOOK)
        tgt_session_set_clock(s);
    if (asks & TGT_PART_FREE) {
        if (part == &s->home)
            tgt_session_free(s);
        else
            free_part(part);
    }
}

static void deliver_mail(struct loop_msg *m)
{
    struct tgt_part *part = list_entry(m, struct tgt_part, mail_msg);
    struct tgt_session *s = part->session;
    tgt_session_lock(s);
    part->mail_posted = false;
    uint32_t asks = part->asks;
    part->asks = 0;
    tgt_session_unlock(s);
    uint32_t notes;
    struct tgt_cmd *cmd;
    while ((cmd = take_note(part, &notes)))
        tgt_cmd_noted(cmd, notes);
    answer_asks(part, asks);
}
