/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading and writing a disk behind a session: struct bio requests become SCSI commands, on the
 * memory that the bio names.
 *
 * A request longer than the unit takes is cut into commands that follow each other. Writes that
 * overlap (WRITE, WRITE SAME, UNMAP, COMPARE AND WRITE) are carried out one after the other, as
 * session.h demands of what is sent again after a loss: those of this ini_disk, and those of all
 * others that share its table (ranges), as all ini_disks of one unit in a program should. Reads
 * pass freely: one that is under way together with a write gets the old or the new content of each
 * block.
 *
 * Ghosts. A write may have ended with an error (USAN_ECLOSED, USAN_ETIMEOUT, USAN_ECANCELED,
 * USAN_EIO) without anybody knowing what became of it: its session was lost, the target may not
 * have noticed that, and may carry it out at some later time. Its blocks then stay closed: other
 * writes to them wait, so that what is written and acknowledged afterwards is not undone. The ghost
 * is gone
 *   - when the session has logged in again where the write was sent, which ends all tasks of the
 *     old one (RFC 7143 6.3.5); or
 *   - ghost_timeout and the negotiated Time2Wait + Time2Retain after the request has ended, for
 *     then the target has noticed the loss and has ended them itself (7.5): ghost_timeout has to be
 *     longer than it takes to notice.
 * A write that the target answered, or is known to have aborted, or can not have seen leaves no
 * ghost.
 *
 * Unit attentions are taken note of and the command is sent again; 2Ah/09h, CAPACITY DATA HAS
 * CHANGED, leads to READ CAPACITY and resized(). A busy target or unit is asked again, after 1 ms
 * to 128 ms, for busy_timeout_ns.
 *
 * Nothing is sent between that attention and the answer to READ CAPACITY. If it shows blocks of
 * another size, or if after a login another unit is found in the place of this one, the disk has
 * failed: the numbers of its blocks mean other places now. failed() is called, and every request
 * ends with USAN_EIO from then on. If READ CAPACITY fails, what waited for it fails as well, and
 * the next request asks again.
 */
#ifndef USAN_INITIATOR_DISK_H
#define USAN_INITIATOR_DISK_H

#include "base/bio.h"
#include "initiator/probe.h"
#include "initiator/session.h"

struct ini_disk;

struct ini_disk_ops {
    /* bio is over, err 0 or as store.h says; may be called from inside ini_disk_submit(). */
    void (*complete)(struct bio *bio, int err, void *user);
    /* optional: the unit has another size now */
    void (*resized)(uint64_t blocks, void *user);
    /* optional: the disk has failed for good, and why */
    void (*failed)(const char *why, void *user);
    /* optional: after a login the unit was not there, and why; it is tried again */
    void (*absent)(const char *why, void *user);
    /* optional: complete() with an error follows, and this command is why; borrowed. */
    void (*bad)(const struct bio *bio, const struct iscsi_icmd *cmd, void *user);
};

/* What carries commands instead of a session. */
struct ini_way_ops {
    /* as ini_session_submit() */
    void (*submit)(struct ini_cmd *cmd, void *user);
    /* as ini_session_cancel() */
    int (*cancel)(struct ini_cmd *cmd, void *user);
};

struct ini_ranges;

struct ini_disk_config {
    struct ini_session *session;
    const struct ini_way_ops *way; /* NULL: the session */
    void *way_user;
    struct ini_ranges *ranges;        /* shared with other disks of the same unit; NULL: its own */
    const struct ini_disk_info *info; /* copied */
    uint16_t lun;
    uint64_t busy_timeout_ns;
    uint64_t ghost_timeout_ns; /* see above; with a way: counted from ini_disk_free() */
    const struct ini_disk_ops *ops;
    void *user;
};

/* NULL when out of memory. */
struct ini_disk *ini_disk_new(struct loop *loop, const struct ini_disk_config *cfg);
/* Another time for the ghosts to come; with a way: for those that it leaves behind. */
void ini_disk_set_ghost_timeout(struct ini_disk *disk, uint64_t ghost_timeout_ns);
/* Nothing is in flight. The session is freed before it: a command of its own may be under way. disk
 * may be NULL. */
void ini_disk_free(struct ini_disk *disk);
/* Start READ, WRITE, FLUSH, UNMAP, WRITE_ZEROES, COMPARE_AND_WRITE or MAP_STATUS, in whole blocks.
 * Of a unit that has no GET LBA STATUS all is mapped. */
void ini_disk_submit(struct ini_disk *disk, struct bio *bio);
/*
 * End a request that was submitted and is not complete. What waits here ends at once, with
 * USAN_ECANCELED; a command under way as ini_session_cancel() says, and nothing is sent after it.
 * Either way complete() comes once. USAN_EAGAIN: too many cancellations at a time, this one is
 * none.
 */
USAN_MUST_CHECK
int ini_disk_cancel(struct ini_disk *disk, struct bio *bio);

/* The session has logged in: for its check(). It ends with ini_session_checked(). If the unit is
 * another one, the disk has failed. */
void ini_disk_check(struct ini_disk *disk);

/* Commands fail at once from now on, as session or way do not come back: requests that wait for
 * blocks of others end with err, as do those that would have to. why: a static string. */
void ini_disk_unreachable(struct ini_disk *disk, int err, const char *why);
void ini_disk_reachable(struct ini_disk *disk);

/* It is known to have so many blocks now: as if the unit had said so. */
void ini_disk_set_blocks(struct ini_disk *disk, uint64_t blocks);

/* For a way. A command of the disk (submitted to it) may take effect although it is over or was
 * sent again elsewhere: its blocks stay closed to other writes, also when the request has ended,
 * until ini_disk_ghost_gone() was called as often. */
void ini_disk_ghost(struct ini_cmd *cmd);
void ini_disk_ghost_gone(struct ini_cmd *cmd);

struct ini_disk_stats {
    uint64_t commands, retries, busy, held, attentions;
    uint64_t ghosts; /* at the moment */
};
/* Of these, from any thread; disk may be NULL. */
uint64_t ini_disk_ghosts(const struct ini_disk *disk);
const struct ini_disk_stats *ini_disk_stats(const struct ini_disk *disk);

#endif
