/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The world of fuzz_cdb: two units, two reactors with a lane of each, an initiator a reactor, the
 * commands it has under way, and a store of plain memory. fuzz_cdb.c reads the input and says what
 * happens; the files here do it, one for each part of the world:
 *   memory.c      memory in blocks of just its size, what is allocated, what must hold
 *   store.c       what storage requests do, and how they fail
 *   command.c     commands of initiators: what they want is given, what they said is looked at
 *   background.c  tasks that the device server has of its own
 *   reactor.c     lanes that have something to say, kicks that are followed or held back
 *   initiator.c   nexuses and their branches on the other reactor
 *   unit.c        units and the state they start from
 */
#ifndef USAN_FUZZ_CDB_WORLD_H
#define USAN_FUZZ_CDB_WORLD_H

#include "base/bytes.h"
#include "scsi/task.h"

enum {
    UNITS = 2,
    REACTORS = 2, /* reactor i has lane i of each unit, and nexus i */
    COMMANDS = 24,
    COMMANDS_AT_END = 8, /* more, to end the others with */
    BACKGROUNDS = 16,
    DISK_BYTES = 1024 * 1024,
    MAX_XFER_BYTES = 128 * 1024,
    BUF_MAX = 1024 * 1024, /* the device server asks for no more at once */
    STATE_MAX = 128 * 1024,
    STATE_CRC = 4,
    REPLY_KEPT = 1024,
    TOKEN_END = 528,     /* in the parameter list of WRITE USING TOKEN */
    STEPS_MAX = 1000000, /* in all: more is a loop */

    SETUP_NATIVE_CAW = 1 << 0,
    SETUP_CACHE = 1 << 1,
    SETUP_ZEROES = 1 << 2,
    SETUP_READ_ONLY = 1 << 3, /* nexus 1 may only read */
    SETUP_RESTORE = 1 << 4,
    SETUP_UA = 1 << 5,     /* the unit attentions of power on stay for the input to see */
    SETUP_SHARED = 1 << 6, /* every nexus has a branch on the other reactor */
    SETUP_ABORT = 1 << 7,  /* what is left at the end is aborted */
};

enum life { LIFE_GOOD, LIFE_TO_FREE, LIFE_TO_UNMAP };

enum admin { ADMIN_NONE, ADMIN_SIZE, ADMIN_ALUA };

struct unit {
    struct scsi_lu *lu;
    struct scsi_lane *lanes[REACTORS];
    uint64_t polls; /* kicks not yet followed */
    struct {
        enum admin what; /* a call that returned USAN_EAGAIN */
        uint64_t value;
    } admin[REACTORS];
    uint32_t block_bytes;
    bool written;
    uint8_t *disk;
};

struct initiator {
    struct scsi_nexus *nexus;
    struct scsi_branch *branch; /* on the other reactor; NULL: none */
    enum life life;
    unsigned unmap; /* LIFE_TO_UNMAP */
};

struct command {
    struct scsi_task *t;
    struct scsi_branch *branch; /* NULL: the home one */
    unsigned reactor;
    bool hold;
    uint8_t *cdb;
    uint8_t *content; /* of data-out; zeroes follow */
    size_t content_len;
    struct iovec out[3], in[2];
};

struct world {
    struct unit units[UNITS];
    struct initiator initiators[REACTORS];
    struct command *commands[COMMANDS + COMMANDS_AT_END];
    unsigned count;
    struct scsi_task *backgrounds[BACKGROUNDS];
    unsigned background_count;
    unsigned setup, steps, next_tag;
    bool hold_polls, hold_backgrounds, ending;
    unsigned no_memory_in; /* allocations until one fails; 0 = none does */
    unsigned allocated;
    struct alloc a;
    uint8_t reply[REPLY_KEPT];
    size_t reply_len;
};

/* ---- memory.c ---- */

/* A property that must hold whatever the input is; its caller is what one looks for. */
void must(bool holds);
/* An allocator whose ctx is the world: counts, and fails when the input says so. */
void *counted_get(void *ctx, size_t bytes);
void counted_put(void *ctx, void *ptr);
/* Memory of just this size, with content that nobody expects; to be freed with free(). */
void *exact(size_t bytes);
/* Memory in pieces, empty ones among them; returns count. */
int pieces(struct iovec *iov, int count, size_t len);
void free_pieces(struct iovec *iov, int count);
/* Between mem and the bytes of iov from offset off on. */
void copy(const struct iovec *iov, int count, uint64_t off, uint8_t *mem, uint64_t len,
          bool to_iov);

/* ---- store.c ---- */

/* Carry out the request of a task (c: of a command, NULL: a background task), or fail it as `how`
 * says (0: not), and go on with the task. */
void do_io(struct scsi_task *t, struct command *c, uint8_t how);
/* The state of a unit is kept; returns 0, or USAN_EIO when `how` says so. */
int save(struct world *w, const struct scsi_lu *lu, uint8_t how);

/* ---- command.c ---- */

bool ended(const struct scsi_task *t);
/* A command of a reactor's initiator that is not started; NULL: there is no room, or no nexus. */
struct command *command_new(struct world *w, unsigned reactor);
void start(struct world *w, struct command *c);
/* Give what it wants; `how` not 0: or an error. */
void give(struct world *w, struct command *c, uint8_t how);
/* On with a command that the owner has in hand; frees it when it has ended. */
void drive(struct world *w, struct command *c);
/* The LUN field of a unit, in every addressing method (SAM-6 4.7). */
uint64_t lun_field(unsigned which);
/* TEST UNIT READY, or a task management function. */
void simple(struct world *w, unsigned reactor, unsigned unit, uint8_t tmf);

/* ---- background.c ---- */

void background_give(struct world *w, struct scsi_task *t, uint8_t how);
void background_drive(struct world *w, struct scsi_task *t);

/* ---- reactor.c ---- */

/* An administrator's call that is to be made again. */
void admin_try(struct unit *u, unsigned reactor);
/* Follow all kicks. */
void poll_all(struct world *w);
/* After any call on lanes of this reactor. */
void settle(struct world *w, unsigned reactor);

/* ---- initiator.c ---- */

void initiator_new(struct world *w, unsigned reactor);
void initiator_map(struct world *w, unsigned reactor, unsigned unit);
bool initiator_idle(const struct initiator *it);
/* UINT64_MAX: of every LUN. */
void initiator_abort(struct world *w, unsigned reactor, uint64_t lun);
void initiator_free(struct world *w, unsigned reactor);
/* What had to wait until a nexus has no tasks. */
void bury(struct world *w, unsigned reactor);

/* ---- unit.c ---- */

void unit_new(struct world *w, unsigned i, struct rd *in);
/* Restore a unit from a state of which `count` bytes are changed and the checksum put right. */
int restore_changed(struct rd *in, unsigned count, uint8_t *state, size_t len, struct scsi_lu *lu);

#endif
