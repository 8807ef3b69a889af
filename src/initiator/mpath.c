/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/mpath_priv.h"

#include "initiator/session_task.h"
#include "initiator/status.h"
#include "scsi/sense.h"

#include <stdlib.h>

/* How often paths that are closed are looked at: if there is no other one, and else. */
#define POLL_NS (500 * NS_PER_MS)
#define LOOK_NS (5 * NS_PER_SEC)

/* How often a command may change its path. */
enum { MOVES_MAX = 64 };

const char *ini_path_state_name(enum ini_path_state state)
{
    switch (state) {
    case INI_PATH_DOWN:
        return "down";
    case INI_PATH_UP:
        return "up";
    case INI_PATH_CLOSED:
        return "closed";
    case INI_PATH_WRONG:
        return "wrong";
    }
    return "unknown";
}

static void cmd_done(struct ini_cmd *cmd);

/* ---- the end of a command ---- */

static void deliver(struct ini_cmd *cmd)
{
    cmd->done = cmd->way.done;
    cmd->done(cmd);
}

static void fail_later(struct ini_mpath *mp, struct ini_cmd *cmd, int err, const char *why)
{
    cmd->scsi.err = err;
    cmd->scsi.why = why;
    list_push_back(&mp->over, &cmd->node);
    loop_work_queue(mp->loop, &mp->work);
}

/* One thread writes, others may read. */
static void count(uint64_t *n)
{
    __atomic_store_n(n, *n + 1, __ATOMIC_RELAXED);
}

/* ---- to a path ---- */

static uint64_t work_of(const struct ini_cmd *cmd)
{
    return ini_pick_work((uint64_t)cmd->scsi.in_len + cmd->scsi.out_len);
}

/* avoid: the path it comes from, -1 = none. */
static void dispatch(struct ini_mpath *mp, struct ini_cmd *cmd, int avoid)
{
    uint64_t work = work_of(cmd);
    int i = cmd->way.raw
                ? ini_mpath_own_path(mp)
                : ini_pick(mp->cfg.policy, mp->picks, mp->cfg.count, work, avoid, &mp->turn);
    if (i < 0) {
        if (mp->given_up)
            fail_later(mp, cmd, USAN_ETIMEOUT, "no path to the unit is left");
        else
            list_push_back(&mp->waiting, &cmd->node);
        return;
    }
    struct ini_pick *pick = &mp->picks[i];
    pick->outstanding++;
    pick->work += work;
    cmd->scsi.lun = mp->paths[i].lun;
    cmd->way.path = (unsigned)i;
    cmd->way.work = pick->work;
    cmd->way.start_ns = loop_now(mp->loop);
    count(&mp->paths[i].stats.commands);
    ini_session_submit(mp->paths[i].session, cmd);
}

int ini_mpath_own_path(struct ini_mpath *mp)
{
    if (!mp->picks[mp->own].usable) {
        unsigned turn = mp->cfg.count - 1; /* the first of the best */
        int i = ini_pick(INI_POLICY_ROUND_ROBIN, mp->picks, mp->cfg.count, 0, -1, &turn);
        if (i < 0)
            return -1;
        mp->own = (unsigned)i;
    }
    return (int)mp->own;
}

static void begin(struct ini_mpath *mp, struct ini_cmd *cmd, bool raw)
{
    cmd->way.raw = raw;
    cmd->way.done = cmd->done;
    cmd->way.mpath = mp;
    cmd->way.moves = 0;
    cmd->done = cmd_done;
    cmd->once = true;
    cmd->canceled = false;
    cmd->scsi.sent = false;
    dispatch(mp, cmd, -1);
}

static void submit(struct ini_cmd *cmd, void *user)
{
    begin(user, cmd, false);
}

void ini_mpath_submit(struct ini_mpath *mp, struct ini_cmd *cmd)
{
    begin(mp, cmd, true);
}

static void dispatch_waiting(struct ini_mpath *mp)
{
    struct list go;
    list_init(&go);
    list_splice_back(&go, &mp->waiting);
    while (!list_empty(&go))
        dispatch(mp, list_entry(list_pop_front(&go), struct ini_cmd, node), -1);
}

/* From a callback of a session or a timer. */
static void work(struct loop_work *w)
{
    struct ini_mpath *mp = list_entry(w, struct ini_mpath, work);
    struct list over;
    list_init(&over);
    list_splice_back(&over, &mp->over);
    while (!list_empty(&over))
        deliver(list_entry(list_pop_front(&over), struct ini_cmd, node));
    if (mp->usable)
        dispatch_waiting(mp);
}

/* ---- back from it ---- */

/* How long a piece of work takes, each answer counting an eighth. */
static void measure(struct ini_mpath *mp, const struct ini_cmd *cmd, struct ini_pick *pick)
{
    uint64_t ns = loop_now(mp->loop) - cmd->way.start_ns;
    uint64_t pace = ns / ((cmd->way.work >> 10) + 1);
    pace = pace < UINT32_MAX ? pace + 1 : UINT32_MAX;
    pick->pace = pick->pace ? (7 * pick->pace + pace) / 8 : pace;
}

/* The target did not carry it out, because of where it came: true, and the path knows. */
static bool refused_here(struct ini_path *p, const struct ini_cmd *cmd)
{
    const struct iscsi_icmd *c = &cmd->scsi;
    if (c->err || c->status != SCSI_STATUS_CHECK_CONDITION)
        return false;
    struct ini_sense s = ini_sense_parse(c->sense, c->sense_len);
    if (!s.valid || s.deferred)
        return false;
    switch (SCSI_KAQ(s.key, s.asc, s.ascq)) {
    case SENSE_ALUA_STANDBY:
        ini_path_close(p, INI_ALUA_STANDBY);
        return true;
    case SENSE_ALUA_UNAVAILABLE:
        ini_path_close(p, INI_ALUA_UNAVAILABLE);
        return true;
    case SENSE_ALUA_TRANSITION:
        ini_path_close(p, INI_ALUA_TRANSITIONING);
        return true;
    case SENSE_LUN_NOT_SUPPORTED:
        ini_path_drop(p, "the unit is not there any more");
        return p->mp->usable > 0; /* if it is nowhere else, that is the answer */
    case SCSI_KAQ(SENSE_KEY_UNIT_ATTENTION, 0x2a, 0x06): /* ASYMMETRIC ACCESS STATE CHANGED */
    case SCSI_KAQ(SENSE_KEY_UNIT_ATTENTION, 0x2a, 0x07): /* ... TRANSITION FAILED */
        for (unsigned i = 0; i < p->mp->cfg.count; i++)  /* which group it is does not say */
            ini_path_look(&p->mp->paths[i]);
        return false;
    default:
        return false;
    }
}

/* It was not answered. False: it may not be sent by another path. */
static bool may_move(struct ini_path *p, struct ini_cmd *cmd)
{
    bool may_act = cmd->scsi.sent && !cmd->dead && cmd->again != INI_AGAIN;
    int err = may_act && !cmd->way.raw ? ini_path_ghost(p, cmd) : 0;
    if (err || (may_act && cmd->again == INI_AGAIN_NEVER && !cmd->canceled)) {
        cmd->scsi.err = err ? err : USAN_EIO;
        cmd->scsi.why = "its path was lost: it may or may not have been carried out";
        return false;
    }
    return !cmd->canceled && (cmd->again != INI_AGAIN_NEVER || !cmd->scsi.sent);
}

static void cmd_done(struct ini_cmd *cmd)
{
    struct ini_mpath *mp = cmd->way.mpath;
    struct ini_path *p = &mp->paths[cmd->way.path];
    struct ini_pick *pick = &mp->picks[cmd->way.path];
    bool answered = cmd->scsi.err == 0 || cmd->scsi.response;
    pick->outstanding--;
    pick->work -= work_of(cmd);
    if (answered && cmd->scsi.status == SCSI_STATUS_GOOD)
        measure(mp, cmd, pick);
    bool move =
        answered ? refused_here(p, cmd) && !cmd->canceled && !cmd->way.raw : may_move(p, cmd);
    if (!move || cmd->way.moves >= MOVES_MAX) {
        deliver(cmd);
        return;
    }
    /* One that is not answered anywhere takes its time on each path. */
    cmd->way.moves += !answered && cmd->dead ? MOVES_MAX / 4 : 1;
    count(&p->stats.moved);
    dispatch(mp, cmd, (int)cmd->way.path);
}

static int cancel(struct ini_cmd *cmd, void *user)
{
    struct ini_mpath *mp = user;
    list_for_each (&mp->over, pos) {
        if (pos == &cmd->node)
            return 0;
    }
    list_for_each (&mp->waiting, pos) {
        if (pos != &cmd->node)
            continue;
        list_del(&cmd->node);
        fail_later(mp, cmd, USAN_ECANCELED, "canceled");
        return 0;
    }
    return ini_session_cancel(mp->paths[cmd->way.path].session, cmd);
}

int ini_mpath_tmf(struct ini_mpath *mp, unsigned path, struct ini_tmf *tmf)
{
    const struct ini_path *p = &mp->paths[path];
    if (path >= mp->cfg.count || !ini_session_up(p->session))
        return USAN_ECLOSED;
    tmf->scsi.lun = p->lun;
    return ini_session_tmf(p->session, tmf);
}

const struct ini_way_ops ini_mpath_way = { .submit = submit, .cancel = cancel };

/* ---- paths ---- */

/* None is worth waiting for. */
static bool all_gone(const struct ini_mpath *mp)
{
    for (unsigned i = 0; i < mp->cfg.count; i++) {
        if (mp->paths[i].state != INI_PATH_WRONG && !mp->paths[i].given_up)
            return false;
    }
    return true;
}

static void give_up(struct ini_mpath *mp)
{
    mp->given_up = true;
    while (!list_empty(&mp->waiting))
        fail_later(mp, list_entry(list_pop_front(&mp->waiting), struct ini_cmd, node),
                   USAN_ETIMEOUT, "no path to the unit came back in time");
    mp->cfg.ops->reachable(false, mp->cfg.user);
}

void ini_mpath_changed(struct ini_path *p, enum ini_path_state state, const char *why)
{
    struct ini_mpath *mp = p->mp;
    struct ini_pick *pick = &mp->picks[p->index];
    unsigned before = mp->usable;
    uint64_t now = loop_now(mp->loop);
    p->state = state;
    mp->usable -= pick->usable;
    pick->usable = state == INI_PATH_UP;
    mp->usable += pick->usable;
    if (state == INI_PATH_DOWN)
        pick->pace = 0;
    mp->cfg.ops->path(p->index, state, why, mp->cfg.user);
    if (state == INI_PATH_CLOSED) /* without it, what it says by itself has to do */
        (void)!loop_timer_set(mp->loop, &mp->poll, now + (mp->usable ? LOOK_NS : POLL_NS));
    if (mp->usable) {
        if (mp->given_up)
            mp->cfg.ops->reachable(true, mp->cfg.user);
        mp->given_up = false;
        loop_timer_cancel(mp->loop, &mp->give_up);
        if (!list_empty(&mp->waiting))
            loop_work_queue(mp->loop, &mp->work);
        return;
    }
    if (before && loop_timer_set(mp->loop, &mp->give_up, now + mp->reconnect_timeout_ns))
        give_up(mp);
    if (before) /* those that are closed, as long as there was another one, had time */
        (void)!loop_timer_set(mp->loop, &mp->poll, now + POLL_NS);
    if (all_gone(mp))
        give_up(mp);
}

/* ---- time ---- */

static void give_up_fired(struct loop_timer *t)
{
    give_up(list_entry(t, struct ini_mpath, give_up));
}

static void poll_fired(struct loop_timer *t)
{
    struct ini_mpath *mp = list_entry(t, struct ini_mpath, poll);
    bool any = false;
    for (unsigned i = 0; i < mp->cfg.count; i++) {
        if (mp->paths[i].state != INI_PATH_CLOSED)
            continue;
        ini_path_look(&mp->paths[i]);
        any = true;
    }
    if (any)
        (void)!loop_timer_set(mp->loop, &mp->poll,
                              loop_now(mp->loop) + (mp->usable ? LOOK_NS : POLL_NS));
}

/* ---- life ---- */

int ini_mpath_new(struct loop *loop, const struct ini_mpath_config *cfg,
                  struct ini_mpath **ret_mpath, struct err_text *e)
{
    struct ini_mpath *mp = calloc(1, sizeof(*mp));
    if (!mp)
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    const struct ini_url *first = cfg->paths[0].url;
    mp->loop = loop;
    mp->cfg = *cfg;
    mp->cfg.count = 0;
    mp->many = cfg->count > 1;
    mp->reconnect_timeout_ns = first->reconnect_timeout_ns;
    list_init(&mp->waiting);
    list_init(&mp->over);
    loop_work_init(&mp->work, work);
    loop_timer_init(&mp->give_up, give_up_fired);
    loop_timer_init(&mp->poll, poll_fired);
    uint64_t wait = first->reconnect_timeout_ns > first->login_timeout_ns
                        ? first->reconnect_timeout_ns
                        : first->login_timeout_ns;
    int err = 0;
    if (loop_timer_set(loop, &mp->give_up, loop_now(loop) + wait))
        err = err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    while (!err && mp->cfg.count < cfg->count) {
        unsigned i = mp->cfg.count++;
        mp->paths[i].mp = mp;
        mp->paths[i].index = i;
        err = ini_path_init(&mp->paths[i], &cfg->paths[i], e);
    }
    mp->cfg.paths = NULL;
    if (err) {
        ini_mpath_free(mp);
        return err;
    }
    *ret_mpath = mp;
    return 0;
}

void ini_mpath_free(struct ini_mpath *mp)
{
    if (!mp)
        return;
    for (unsigned i = 0; i < mp->cfg.count; i++)
        ini_path_fini(&mp->paths[i]);
    loop_work_cancel(&mp->work);
    loop_timer_cancel(mp->loop, &mp->give_up);
    loop_timer_cancel(mp->loop, &mp->poll);
    free(mp);
}

static void path_ended(void *user)
{
    struct ini_mpath *mp = user;
    if (--mp->ending == 0)
        mp->ended(mp->ended_user);
}

void ini_mpath_end(struct ini_mpath *mp, void (*ended)(void *user), void *user)
{
    loop_timer_cancel(mp->loop, &mp->give_up);
    loop_timer_cancel(mp->loop, &mp->poll);
    mp->ended = ended;
    mp->ended_user = user;
    mp->ending = mp->cfg.count;
    for (unsigned i = 0; i < mp->cfg.count; i++)
        ini_session_end(mp->paths[i].session, path_ended, mp);
}

uint64_t ini_mpath_keep_ns(const struct ini_mpath *mp)
{
    uint64_t longest = 0;
    for (unsigned i = 0; i < mp->cfg.count; i++)
        longest = mp->paths[i].keep_ns > longest ? mp->paths[i].keep_ns : longest;
    return longest;
}

void ini_mpath_stats(const struct ini_mpath *mp, unsigned path, struct ini_path_stats *ret)
{
    const struct ini_path_stats *s = &mp->paths[path].stats;
    ret->commands = __atomic_load_n(&s->commands, __ATOMIC_RELAXED);
    ret->moved = __atomic_load_n(&s->moved, __ATOMIC_RELAXED);
    ret->ghosts = __atomic_load_n(&s->ghosts, __ATOMIC_RELAXED);
}
