/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/mpath_priv.h"

#include "scsi/lun.h"

#include <stdlib.h>

/* ---- ghosts ---- */

static void ghosts_gone(struct ini_path *p)
{
    loop_timer_cancel(p->mp->loop, &p->settle);
    p->astray = false;
    while (p->ghost_count)
        ini_disk_ghost_gone(p->ghosts[--p->ghost_count]);
    __atomic_store_n(&p->stats.ghosts, 0, __ATOMIC_RELAXED);
}

static void settled(struct loop_timer *t)
{
    ghosts_gone(list_entry(t, struct ini_path, settle));
}

int ini_path_ghost(struct ini_path *p, struct ini_cmd *cmd)
{
    struct loop *loop = p->mp->loop;
    if (p->ghost_count == p->ghost_cap) {
        unsigned cap = p->ghost_cap ? 2 * p->ghost_cap : 64;
        struct ini_cmd **v = reallocarray(p->ghosts, cap, sizeof(struct ini_cmd *));
        if (!v)
            return USAN_ENOMEM;
        p->ghosts = v;
        p->ghost_cap = cap;
    }
    /* The last one's time counts for all. */
    if (loop_timer_set(loop, &p->settle,
                       loop_now(loop) + p->mp->cfg.settle_timeout_ns + p->keep_ns))
        return USAN_ENOMEM;
    p->ghosts[p->ghost_count++] = cmd;
    __atomic_store_n(&p->stats.ghosts, p->ghost_count, __ATOMIC_RELAXED);
    ini_disk_ghost(cmd);
    return 0;
}

/* ---- states ---- */

static bool takes_io(enum ini_alua_state access)
{
    return access == INI_ALUA_OPTIMIZED || access == INI_ALUA_NONOPTIMIZED ||
           access == INI_ALUA_LBA_DEPENDENT;
}

static void use_access(struct ini_path *p, enum ini_alua_state access)
{
    bool same = access == p->access;
    p->access = access;
    p->mp->picks[p->index].rank = access != INI_ALUA_OPTIMIZED;
    enum ini_path_state state = takes_io(access) ? INI_PATH_UP : INI_PATH_CLOSED;
    if (!same || state != p->state)
        ini_mpath_changed(p, state, ini_alua_name(access));
}

void ini_path_close(struct ini_path *p, enum ini_alua_state access)
{
    if (p->state != INI_PATH_UP && p->state != INI_PATH_CLOSED)
        return;
    use_access(p, access);
    ini_path_look(p);
}

void ini_path_look(struct ini_path *p)
{
    if (p->state == INI_PATH_UP || p->state == INI_PATH_CLOSED)
        ini_alua_start(p->alua, p->session, false);
}

void ini_path_drop(struct ini_path *p, const char *why)
{
    if (p->state != INI_PATH_UP && p->state != INI_PATH_CLOSED)
        return;
    ini_mpath_changed(p, INI_PATH_DOWN, why);
    ini_session_drop(p->session, why);
}

static void unit_known(enum ini_checked result, const char *why, uint64_t blocks, void *user);

static void access_known(enum ini_alua_answer answer, enum ini_alua_state access, void *user)
{
    struct ini_path *p = user;
    if (answer != INI_ALUA_TOLD)
        access = p->access;
    if (p->checking && answer == INI_ALUA_NOT_ASKED) {
        unit_known(INI_CHECK_LATER, "the state of the path cannot be asked for", 0, p);
        return;
    }
    if (!p->checking) {
        if (p->state == INI_PATH_UP || p->state == INI_PATH_CLOSED)
            use_access(p, access);
        return;
    }
    p->checking = false;
    p->access = access;
    ini_session_checked(p->session, INI_CHECK_GOOD, NULL);
    if (p->blocks)
        p->mp->cfg.ops->blocks(p->blocks, p->mp->cfg.user);
}

static void unit_known(enum ini_checked result, const char *why, uint64_t blocks, void *user)
{
    struct ini_path *p = user;
    p->blocks = blocks;
    if (result == INI_CHECK_GOOD) {
        ini_alua_start(p->alua, p->session, true);
        return;
    }
    p->checking = false;
    if (result == INI_CHECK_OTHER)
        ini_mpath_changed(p, INI_PATH_WRONG, why);
    else
        ini_mpath_changed(p, INI_PATH_DOWN, why);
    ini_session_checked(p->session, result, why);
}

/* ---- the session ---- */

static void check(struct ini_session *s, void *user)
{
    struct ini_path *p = user;
    if (!ini_session_reinstated(s))
        p->astray = p->ghost_count > 0;
    else if (!p->astray)
        ghosts_gone(p);
    const struct iscsi_params *params = ini_session_params(s);
    p->keep_ns = ((uint64_t)params->time2wait + params->time2retain) * NS_PER_SEC;
    p->checking = true;
    ini_check_start(p->check, s);
}

static void changed(struct ini_session *s, enum ini_change change, void *user)
{
    struct ini_path *p = user;
    switch (change) {
    case INI_LOGGED_IN:
        p->given_up = false;
        use_access(p, p->access);
        break;
    case INI_LOST:
        ini_mpath_changed(p, INI_PATH_DOWN, ini_session_error(s));
        break;
    case INI_TIMED_OUT:
    case INI_FAILED:
        p->given_up = true;
        if (p->state != INI_PATH_WRONG)
            ini_mpath_changed(p, INI_PATH_DOWN, ini_session_error(s));
        break;
    }
}

static const struct ini_session_ops session_ops = { .changed = changed, .check = check };

int ini_path_init(struct ini_path *p, const struct ini_mpath_path *how, struct err_text *e)
{
    struct ini_mpath *mp = p->mp;
    const struct ini_session_config sc = { .url = how->url,
                                           .portal = how->portal,
                                           .one_of_many = mp->many,
                                           .retry_first = true,
                                           .ops = &session_ops,
                                           .user = p };
    const struct ini_check_config cc = { .info = mp->cfg.info,
                                         .lun = how->url->lun,
                                         .busy_timeout_ns = mp->cfg.busy_timeout_ns,
                                         .done = unit_known,
                                         .user = p };
    loop_timer_init(&p->settle, settled);
    p->lun = scsi_lun_encode(how->url->lun);
    p->check = ini_check_new(mp->loop, &cc);
    p->alua = ini_alua_new(mp->loop, how->url->lun, access_known, p);
    if (!p->check || !p->alua)
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    return ini_session_new(mp->loop, &sc, &p->session, e);
}

void ini_path_fini(struct ini_path *p)
{
    ini_session_free(p->session);
    ini_check_free(p->check);
    ini_alua_free(p->alua);
    loop_timer_cancel(p->mp->loop, &p->settle);
    free(p->ghosts);
}
