/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A LUN as it is served: the store, the SCSI logical unit over it, and for each reactor a lane
 * (of the logical unit) and a channel (of the store).
 */
#ifndef USAN_TARGET_LUN_H
#define USAN_TARGET_LUN_H

#include "base/err.h"
#include "base/list.h"
#include "io/loop.h"
#include "store/store.h"
#include "target/config.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct scsi_lane;
struct scsi_lu;
struct scsi_task;
struct tgt_lun;
struct tgt_reactor;

/* What one reactor has of a LUN. */
struct tgt_lane {
    struct tgt_lun *lun;
    struct tgt_reactor *reactor;
    struct scsi_lane *lane;
    struct store_channel *ch; /* NULL until the reactor first uses the LUN */
    bool dirty;               /* in the reactor's list of lanes to be looked at */
    struct list dirty_node;
    /* Other reactors ask this one to look at the lane. */
    struct loop_msg kick;
    atomic_bool kicked;
    struct loop_msg space; /* the control thread's report of space in use */
    atomic_bool space_posted;
    _Atomic uint64_t used_bytes, avail_bytes;
    struct loop_msg size; /* the store has another size */
    atomic_bool size_posted;
};

struct tgt_lun {
    const struct tgt_config_lun *cfg; /* borrowed */
    char *target_name;
    uint32_t number;
    struct store *store;
    struct scsi_lu *lu;
    bool can_lend, can_grant; /* of the store, cached */
    char *state_path;         /* NULL = no durable state */
    struct store_watcher watcher;
    struct tgt_lane *lanes; /* one per reactor, by its index */
    unsigned lane_count;
};

/*
 * Open the store and make the logical unit. target_name is copied; rel_port is the relative target
 * port identifier it is reached through. state_dir may be NULL. e says what failed and what to do.
 */
USAN_MUST_CHECK
int tgt_lun_open(const struct tgt_config_lun *cfg, const char *target_name, uint16_t rel_port,
                 const char *state_dir, struct tgt_lun **ret_lun, struct err_text *e);
/* All lanes are closed. lun may be NULL. */
void tgt_lun_close(struct tgt_lun *lun);
/* Make a lane for each of the reactors, before they run. */
USAN_MUST_CHECK
int tgt_lun_make_lanes(struct tgt_lun *lun, struct tgt_reactor **reactors, unsigned count);
/* After the reactors stopped. */
void tgt_lun_free_lanes(struct tgt_lun *lun);

/* The channel of this lane, opened now if it is not yet. On the lane's reactor. */
USAN_MUST_CHECK
int tgt_lane_open(struct tgt_lane *lane);
/* Nothing is in flight any more. On the lane's reactor. */
void tgt_lane_close(struct tgt_lane *lane);
/* Go on with a task of the lane: a command, or one of the device server's own. */
void tgt_lane_run(struct tgt_lane *lane, struct scsi_task *t);
/* Hand out what became ready on the lane, and wake other reactors that have to look at theirs. */
void tgt_lane_pull(struct tgt_lane *lane);
/* On the control thread: tell the logical unit, on reactor 0, how much space the store uses. */
void tgt_lun_report_space(struct tgt_lun *lun);
/* Log what the store counts. */
void tgt_lun_report_stats(const struct tgt_lun *lun);
/* A request of the store failed: log it, unless that is an answer the initiator asked for or one
 * that everybody expects of stores. Before the task gets it back. On any thread. */
void tgt_lun_io_failed(const struct tgt_lun *lun, const struct bio *bio, int err);
/* tgt_lane_pull() soon: once for a whole batch of commands, later in this iteration of the loop.
 * Every call into the logical unit is followed by one of these. */
void tgt_lane_touch(struct tgt_lane *lane);

/*
 * The NAA designator (8 bytes, locally assigned, SPC-6 7.8.6.6.4) and serial number of a LUN that
 * has none configured: made from the two texts, the same for ever.
 */
void tgt_lun_identity(const char *target_name, uint32_t lun, uint8_t ret_naa[8],
                      char ret_serial[17]);

/* ---- lun_state.c: what survives a restart ---- */

/* Read the state file into the logical unit; a missing file is a fresh start. */
USAN_MUST_CHECK
int tgt_lun_state_load(struct tgt_lun *lun, struct err_text *e);
/* Make the state of the lane's LUN durable, then go on with the task that wants it, on its
 * reactor. Done on the control thread: the file is written beside, synced, and renamed
 * over. Without memory the task is told at once. */
void tgt_lun_state_save(struct tgt_lane *lane, struct scsi_task *t);
/* Replace `path` with these bytes, durably: no reader and no crash sees half of it. */
USAN_MUST_CHECK
int tgt_state_write(const char *path, const void *data, size_t len, struct err_text *e);

#endif
