/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An iSCSI session on an event loop: it connects, logs in, follows redirects, keeps the connection
 * alive and comes back when it was lost. Commands may be submitted at any time; they wait while
 * there is no session.
 *
 * Redirects (RFC 7143 11.13.5, status class 1) are followed up to INI_REDIRECTS_MAX times in one
 * login. A permanent one is remembered once the login there has succeeded, a temporary one holds
 * for this login; one that leads where this login has been already is a loop, and an error. A
 * host's name in a redirect is looked up there and then, which may block the loop; an address does
 * not.
 *
 * A lost session. Below ErrorRecoveryLevel 2 the session fails with its connection (7.1.4.1), at
 * level 2 when its connections have not come back in time (see below), and all its tasks are
 * terminated. A new login with the same ISID reinstates it (6.3.5), at once or after the negotiated
 * Time2Wait, then after 0.1 s, 0.2 s ... 2 s, again and again. Commands wait for up to
 * reconnect_timeout after the loss; then they fail, as do those submitted later, until a login
 * succeeds. With retry_first the same holds from the beginning, but that the first attempt may take
 * its login_timeout.
 *
 * What becomes of commands that were with the target when the session was lost, and are not known
 * to have been carried out:
 *
 *   INI_AGAIN         sent again. For what changes nothing: READ, INQUIRY, READ CAPACITY, ... and
 *                     SYNCHRONIZE CACHE.
 *   INI_AGAIN_WRITE   sent again if the new login leads to the same address; else it fails with
 *                     USAN_EIO after that login, and may or may not have been written. For what
 *                     leaves the same blocks with the same content when it is done twice: WRITE,
 *                     WRITE SAME, UNMAP. The reinstatement has ended the old task, so it can not
 *                     take effect late, after other writes; only the same portal group promises
 *                     that, hence the address, and hence the failure is not told before. The
 *                     submitter sees to it that nothing else is written to these blocks in the
 *                     meantime: ini_disk holds overlapping writes back until the first is done,
 *                     those of all disks that share its table of ranges, as the channels of an
 *                     iscsi store do. Otherwise a write that was carried out without its answer
 *                     coming would, done twice, undo an acknowledged one of another session. What
 *                     other programs write to the unit nobody here can know. A reservation taken
 *                     away in the meantime (fencing) still stops the write: persistent reservations
 *                     outlive the loss, and it ends with RESERVATION CONFLICT.
 *   INI_AGAIN_NEVER   fails. For what has another effect the second time: COMPARE AND WRITE (it
 *                     would miscompare with its own write), PERSISTENT RESERVE OUT, and all else.
 *
 * Commands the target can not have seen are sent after the login in any case. A command is sent
 * again INI_RESENDS_MAX times at most.
 *
 * One that fails, and was sent (scsi.sent, or seen in a session before), may still be carried out
 * by the target unless `dead` is set: it is not before the next login at the address where it was
 * sent that nothing of it is left (ini_session_reinstated(), ini_session_place()), and it fails
 * before that when it is canceled, is not to be sent again, or has waited for too long. ini_disk
 * keeps its blocks closed for so long.
 *
 * The unit behind the session may have become another one while it was lost. An owner with a
 * check() looks at it after every login with commands of its own (probe) before any other goes out,
 * and ends that with ini_session_checked().
 *
 * A command that is not answered within the URL's command_timeout is aborted (ABORT TASK). If the
 * target does not do that in as much time, or 15 s, the unit is reset (LOGICAL UNIT RESET), and if
 * that fails as well the session is dropped and a new one logged in, which ends all that the old
 * one had. Whatever was ended in this way without an answer is sent again by the rules above; the
 * command itself only once, then it fails with USAN_ETIMEOUT. While ABORT TASK can not be sent, as
 * the command's connection is being recovered (level 2) or there is no slot for it, it is tried
 * again after another command_timeout, and nothing else is done; the same when ABORT TASK or the
 * reset is lost with its connection. A command that has come to another connection has its time
 * anew there. The time of the oldest command begins when the one before it was answered, so that a
 * long queue at a slow disk is none that hangs.
 *
 * A session has as many connections as the URL asks for (connections) and the target allows
 * (MaxConnections); the core spreads commands over them. At recovery levels 0 and 1 the session
 * fails with the first one that fails (7.1.4.1). At level 2 (error_recovery) the session survives
 * all of them for Time2Wait + Time2Retain: they are made again, commands go on where they were, and
 * none is done twice; INI_LOST comes when that has not worked.
 *
 * Everything here is called on the loop's thread. Callbacks come from the loop, never from inside
 * a call, and may submit but not free the session.
 */
#ifndef USAN_INITIATOR_SESSION_H
#define USAN_INITIATOR_SESSION_H

#include "base/err.h"
#include "initiator/portal.h"
#include "initiator/url.h"
#include "io/loop.h"
#include "iscsi/initiator.h"

#include <stdbool.h>
#include <stdint.h>

enum { INI_REDIRECTS_MAX = 8, INI_RESENDS_MAX = 8 };

enum ini_again { INI_AGAIN_NEVER, INI_AGAIN, INI_AGAIN_WRITE };

struct ini_mpath;

/* A SCSI command. In place, with all it points to, from ini_session_submit() until done. */
struct ini_cmd {
    struct iscsi_icmd scsi; /* in: its "in" fields; out: its "out" fields */
    enum ini_again again;
    /* It does not wait for a session, nor is it sent again: done at once with scsi.err, and
     * scsi.sent if the target may have carried it out. */
    bool once;
    bool probe; /* of check(): goes out before all others; once as well */
    void (*done)(struct ini_cmd *cmd);
    /* out, with scsi.err: the target has ended it, so it can not take effect any more */
    bool dead;
    /* kept by the session */
    struct list node;
    uint64_t at_ns;  /* when the core got it */
    uint32_t resent; /* times */
    uint8_t late;    /* times that it was not answered */
    struct {         /* kept by what spreads commands over several sessions: mpath.h */
        void (*done)(struct ini_cmd *cmd);
        struct ini_mpath *mpath;
        uint64_t start_ns, work;
        unsigned path, moves;
        bool raw;
    } way;
    unsigned place; /* ini_session_place() when it was sent last */
    bool canceled;  /* by ini_session_cancel(): not to be sent again */
    bool seen;      /* the target may have seen it, in this session or an earlier one */
};

enum ini_change {
    INI_LOGGED_IN, /* for the first time, or again */
    INI_LOST,      /* was logged in; it tries to come back */
    INI_TIMED_OUT, /* did not come back in time: commands fail now; it goes on trying */
    /* The first login failed, without retry_first, or the unit is another one, or there is no
     * memory for a timer: it will not try again. */
    INI_FAILED,
};

/* What a check of the unit has shown. */
enum ini_checked {
    INI_CHECK_GOOD,  /* go on */
    INI_CHECK_LATER, /* it is not there, or does not answer: as if the login had failed */
    INI_CHECK_OTHER, /* it is another one: commands fail with USAN_EIO, for good */
};

struct ini_session;

struct ini_session_ops {
    /* optional; ini_session_error() says why */
    void (*changed)(struct ini_session *s, enum ini_change change, void *user);
    /* discovery: a target and one of its addresses, "host[:port],tag"; NULL: the portal's own */
    void (*target)(struct ini_session *s, const char *name, const char *address, void *user);
    /* discovery: SendTargets is over; err 0 or USAN_E... */
    void (*targets_done)(struct ini_session *s, int err, void *user);
    /* optional: after each login, before commands that wait go out: look at the unit, with commands
     * that have probe set. ini_session_checked() ends it; if the session is lost before that, the
     * commands come back with an error, and check() is called again after the next login. */
    void (*check)(struct ini_session *s, void *user);
};

struct ini_session_config {
    const struct ini_url *url;       /* who, whereto, options; copied */
    const struct ini_portal *portal; /* addresses of the url's host; copied */
    bool discovery;
    bool
        one_of_many; /* without any connection it is lost, though it might be continued (level 2) */
    bool retry_first; /* try the first login again as if the session had been lost */
    const struct ini_session_ops *ops;
    void *user;
};

/* Start to connect; url is complete (a target, unless discovery). USAN_ENOMEM, USAN_EINVAL,
 * USAN_EIO, with words. */
USAN_MUST_CHECK
int ini_session_new(struct loop *loop, const struct ini_session_config *cfg,
                    struct ini_session **ret_session, struct err_text *e);
/* Log out, for which it waits a fifth of a second at most, and close. Commands that are still with
 * it are forgotten: done is not called. s may be NULL. */
void ini_session_free(struct ini_session *s);
/* Log out without keeping the loop waiting: ended() comes once, from the loop, when that is done,
 * within a fifth of a second; then the session is only good for ini_session_free(), which waits for
 * nothing. Until then it may be freed as well. Nothing is submitted from here on. */
void ini_session_end(struct ini_session *s, void (*ended)(void *user), void *user);

/* cmd->done follows, always. */
void ini_session_submit(struct ini_session *s, struct ini_cmd *cmd);
/* All targets of a discovery session. USAN_ECLOSED: not logged in. */
USAN_MUST_CHECK
int ini_session_send_targets(struct ini_session *s);

/* The end of check(). why is used with the other two results, in the session's error. */
void ini_session_checked(struct ini_session *s, enum ini_checked result, const char *why);
/* It is logged in, and the check() after that is not over. */
bool ini_session_checking(const struct ini_session *s);
/* Have so many connections from now on, 1 .. INI_CONNECTIONS_MAX, if the target allows: more are
 * opened; those that are too many get no more commands and are closed when they have none. */
void ini_session_set_connections(struct ini_session *s, unsigned count);
/* Give its connections up and log in anew. why: static, for ini_session_error(). */
void ini_session_drop(struct ini_session *s, const char *why);
/* The session that there is, or is being checked, was logged in where the one before it was, and
 * has thereby ended all that that one had (RFC 7143 6.3.5). */
bool ini_session_reinstated(const struct ini_session *s);
/* Another number each time that commands go to another address than before. When a session has just
 * been reinstated, all that was sent with this number is over. */
unsigned ini_session_place(const struct ini_session *s);
/* Those that are logged in. */
unsigned ini_session_connections(const struct ini_session *s);

bool ini_session_up(const struct ini_session *s);
/* What went wrong last: which portal and target, why; "" if nothing did. */
const char *ini_session_error(const struct ini_session *s);
/* Its code, USAN_E...; 0 if nothing did. */
int ini_session_error_code(const struct ini_session *s);
/* "10.0.0.1:3260": where it is logged in, or was. */
const char *ini_session_peer(const struct ini_session *s);
const struct iscsi_params *ini_session_params(const struct ini_session *s);

struct ini_session_stats {
    uint64_t logins, losses, resent, redirects;
    uint64_t unsure; /* writes that failed instead of being sent again */
    /* commands that were not answered in time; what was done about it */
    uint64_t late, resets, drops;
    uint64_t recoveries; /* connections that were lost, of a session that went on */
};
const struct ini_session_stats *ini_session_stats(const struct ini_session *s);

#endif
