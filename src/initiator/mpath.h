/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One logical unit through several sessions ("paths") of one loop: to several portals of a target,
 * or to several targets. It carries commands as a session does (struct ini_way_ops of disk.h).
 *
 * Every path logs in by itself, again and again, and is used when the unit behind it has turned out
 * to be the right one (check.h) in a state that takes I/O (alua.h): optimized ones before all
 * others. One is taken for each command by a policy (mpath_pick.h). When a target says that states
 * have changed, they are read anew; while none takes I/O, every half second.
 *
 * What becomes of a command whose path is lost, or that is not answered (session.h,
 * command_timeout), and is not known to have been carried out:
 *
 *   INI_AGAIN         goes to another path, at once.
 *   INI_AGAIN_WRITE   the same. But the old one may still take effect, and must not do so after
 *                     another write to the same blocks: it is a ghost (ini_disk_ghost()), and its
 *                     blocks stay closed to other writes, though the command may be done and
 *                     reported, until the ghost is known to be gone. Until then it writes what is
 *                     there already.
 *   INI_AGAIN_NEVER   fails, as with a session; its ghost closes its blocks just so.
 *
 * A ghost is gone when its path has logged in again at the same address, without having been logged
 * in elsewhere in between, which ends the tasks of the old session (RFC 7143 6.3.5), or at the
 * latest settle_timeout and the negotiated Time2Wait + Time2Retain after the loss: a target ends
 * them Time2Wait + Time2Retain after it has noticed the loss (7.5), and settle_timeout has to be
 * longer than it takes to notice. A command that the target has aborted leaves no ghost. The table
 * of blocks is common to all channels of a store, so this holds between them as well; what other
 * programs write nobody here can know.
 *
 * Commands wait for a path for reconnect_timeout after the last one was lost, then they fail, as do
 * those submitted later, until there is one. At the beginning the first attempt of each path may
 * take its login_timeout.
 */
#ifndef USAN_INITIATOR_MPATH_H
#define USAN_INITIATOR_MPATH_H

#include "initiator/alua.h"
#include "initiator/disk.h"
#include "initiator/mpath_pick.h"

enum { INI_PATHS_MAX = 16 };

/* What a path is doing, for messages and statistics. */
enum ini_path_state {
    INI_PATH_DOWN,   /* no session */
    INI_PATH_UP,     /* takes I/O */
    INI_PATH_CLOSED, /* a session, but its state takes no I/O */
    INI_PATH_WRONG,  /* another unit: not used any more */
};

const char *ini_path_state_name(enum ini_path_state state);

struct ini_mpath;
struct ini_tmf;

struct ini_mpath_ops {
    /* A path has another state now, and why: words about a loss, the name of an ALUA state. */
    void (*path)(unsigned path, enum ini_path_state state, const char *why, void *user);
    /* A path that logged in says how many blocks there are. */
    void (*blocks)(uint64_t blocks, void *user);
    /* Commands do not wait for a path any more; or there is one again. */
    void (*reachable)(bool yes, void *user);
};

struct ini_mpath_path {
    const struct ini_url *url;
    const struct ini_portal *portal;
};

struct ini_mpath_config {
    const struct ini_mpath_path *paths; /* copied; the first one's time-outs count */
    unsigned count;                     /* 1 .. INI_PATHS_MAX */
    const struct ini_disk_info *info;   /* the unit; borrowed */
    enum ini_policy policy;
    uint64_t busy_timeout_ns, settle_timeout_ns;
    const struct ini_mpath_ops *ops;
    void *user;
};

USAN_MUST_CHECK
int ini_mpath_new(struct loop *loop, const struct ini_mpath_config *cfg,
                  struct ini_mpath **ret_mpath, struct err_text *e);
/* Commands that are still with it are forgotten; ghosts stay with the disk. mpath may be NULL. */
void ini_mpath_free(struct ini_mpath *mpath);
/* Log out on all paths, as ini_session_end(). */
void ini_mpath_end(struct ini_mpath *mpath, void (*ended)(void *user), void *user);
/* For struct ini_disk_config; the user is the mpath. */
extern const struct ini_way_ops ini_mpath_way;

/* A command of one's own, which ini_mpath_way.cancel() cancels. All of them take one path, the same
 * as long as it takes I/O, so that what belongs to a nexus stays together. Nothing is done about
 * answers, and no blocks are kept closed; one that was lost with its path goes to another one if it
 * is INI_AGAIN or was not sent. */
void ini_mpath_submit(struct ini_mpath *mpath, struct ini_cmd *cmd);
/* ini_session_tmf() on this path, whose LUN is put in. USAN_ECLOSED: it is not logged in. */
USAN_MUST_CHECK
int ini_mpath_tmf(struct ini_mpath *mpath, unsigned path, struct ini_tmf *tmf);
/* The one that commands of one's own take now; -1: none is usable. */
int ini_mpath_own_path(struct ini_mpath *mpath);

struct ini_path_stats {
    uint64_t commands, moved; /* sent by it; taken from it to others */
    uint64_t ghosts;          /* at the moment */
};
/* What to add to settle_timeout: the longest Time2Wait + Time2Retain of its paths. */
uint64_t ini_mpath_keep_ns(const struct ini_mpath *mpath);
/* From any thread. */
void ini_mpath_stats(const struct ini_mpath *mpath, unsigned path, struct ini_path_stats *ret);

#endif
