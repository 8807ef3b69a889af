/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of a multipath unit share. mpath.c moves commands between paths; mpath_path.c is
 * one path: its session, its state, its ghosts.
 */
#ifndef USAN_INITIATOR_MPATH_PRIV_H
#define USAN_INITIATOR_MPATH_PRIV_H

#include "initiator/check.h"
#include "initiator/mpath.h"

struct ini_path {
    struct ini_mpath *mp;
    unsigned index;
    uint64_t lun; /* field */
    struct ini_session *session;
    struct ini_check *check;
    struct ini_alua *alua;
    enum ini_path_state state;
    enum ini_alua_state access;
    uint64_t blocks; /* as the check found */
    bool checking;
    bool given_up; /* its session has not come, or come back, in time */
    struct ini_cmd **ghosts;
    unsigned ghost_count, ghost_cap;
    bool astray; /* it was logged in elsewhere since its oldest ghost: only time ends them */
    struct loop_timer settle; /* when its ghosts are gone at the latest */
    uint64_t keep_ns;         /* Time2Wait + Time2Retain of its session */
    struct ini_path_stats stats;
};

struct ini_mpath {
    struct loop *loop;
    struct ini_mpath_config cfg;
    uint64_t reconnect_timeout_ns;
    struct ini_path paths[INI_PATHS_MAX];
    struct ini_pick picks[INI_PATHS_MAX]; /* of the same places */
    bool many;                            /* paths */
    unsigned turn;
    unsigned own; /* the path of the caller's commands, if it is usable */
    unsigned usable;
    bool given_up;
    struct list waiting; /* ini_cmd.node: for a path */
    struct list over;    /* to be completed from the loop */
    struct loop_work work;
    struct loop_timer give_up, poll;
    unsigned ending; /* paths that have not logged out */
    void (*ended)(void *user);
    void *ended_user;
};

/* ---- mpath_path.c ---- */
USAN_MUST_CHECK
int ini_path_init(struct ini_path *p, const struct ini_mpath_path *how, struct err_text *e);
void ini_path_fini(struct ini_path *p);
/* Its target says that it takes no I/O, or that states have changed. */
void ini_path_look(struct ini_path *p);
void ini_path_close(struct ini_path *p, enum ini_alua_state access);
/* The unit is not there any more: log in anew, as long as it takes. */
void ini_path_drop(struct ini_path *p, const char *why);
/* cmd may still take effect there. USAN_ENOMEM: it must not be sent again. */
USAN_MUST_CHECK
int ini_path_ghost(struct ini_path *p, struct ini_cmd *cmd);

/* ---- mpath.c, for mpath_path.c ---- */
/* A path has another state: ops.path(), and commands that wait may go. */
void ini_mpath_changed(struct ini_path *p, enum ini_path_state state, const char *why);

#endif
