/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The SCSI device server: what a logical unit answers, knowing neither transport nor storage.
 *
 * It makes no system call. A command is a small machine: start it, look at what it wants, give it
 * that, and go on until it is done.
 *
 *     scsi_task_start(t)
 *     for (;;) switch (t->want) {
 *     case SCSI_WANT_BUF:  give t->buf with at least t->want_len bytes; scsi_task_resume(t, 0)
 *     case SCSI_WANT_DATA: bring t->want_len bytes of data-out into t->out; scsi_task_resume(t, 0)
 *     case SCSI_WANT_IO:   carry out t->bio on the store of t->io_lu; scsi_task_resume(t, bio.err)
 *     case SCSI_WANT_SAVE: store scsi_lu_state(t->itl->lu) durably; scsi_task_resume(t, err)
 *     case SCSI_WANT_WAIT: leave it; scsi_lane_next() hands it out when it can go on
 *     case SCSI_DONE:      send t->status, sense, data-in; scsi_task_fini(t)
 *     case SCSI_ABORTED:   send nothing; scsi_task_fini(t)
 *     }
 *
 * Threads. A logical unit may be used from several reactors. Each has a *lane* of it, and every
 * task, I_T_L nexus and call belongs to one lane. Commands on different lanes do not synchronise,
 * except that a serialising command (reservations, MODE SELECT, COMPARE AND WRITE, reset, ...)
 * closes the LU's gate, waits until every lane has drained, runs alone and opens it again. See
 * lane.h. After any call the caller looks at scsi_lu_take_kicks() of the unit; after a resume from
 * I/O on another unit (io_lu, third-party copies), of that one as well, for the task may have left
 * its section: somebody may have been waiting for just that.
 *
 * Background tasks. Work that goes on when its command has ended (SANITIZE and FORMAT UNIT) is done
 * by a task that the device server makes itself: scsi_lane_next() hands it out with nexus and user
 * NULL. The owner drives it like any other (BUF, IO, ...; what it cannot give it resumes with an
 * error, never scsi_task_fail), sends nothing when it is DONE and calls
 * scsi_task_fini(), which frees it. A lane is not freed before: resume it with USAN_ECANCELED to
 * end it early.
 *
 * Terms are those of SAM-6, SPC-6 and SBC-4.
 */
#ifndef USAN_SCSI_SCSI_H
#define USAN_SCSI_SCSI_H

#include "base/alloc.h"
#include "base/bio.h"
#include "base/err.h"
#include "base/list.h"
#include "scsi/lun.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* ---- limits, all named (peer-controllable resources) ---- */
enum {
    SCSI_MAX_LANES = 64,           /* reactors per logical unit */
    SCSI_MAX_LUNS = 1024,          /* per I_T nexus */
    SCSI_CDB_MAX = 260,            /* variable length CDB, SPC-6 4.2.3 */
    SCSI_SENSE_MAX = 252,          /* SPC-6 4.4.1 */
    SCSI_UA_MAX = 16,              /* unit attentions queued per I_T_L nexus */
    SCSI_REPLY_MAX = 64 * 1024,    /* parameter data-in that is not medium data */
    SCSI_PARAM_MAX = 64 * 1024,    /* parameter list (data-out that is not medium data) */
    SCSI_PR_REGISTRANTS_MAX = 256, /* persistent reservation registrations per LU */
    SCSI_TRANSPORT_ID_MAX = 256,
};

/* ---- status, task attributes, task management ---- */

enum scsi_status { /* SAM-6 5.3.1 */
                   SCSI_STATUS_GOOD = 0x00,
                   SCSI_STATUS_CHECK_CONDITION = 0x02,
                   SCSI_STATUS_CONDITION_MET = 0x04,
                   SCSI_STATUS_BUSY = 0x08,
                   SCSI_STATUS_RESERVATION_CONFLICT = 0x18,
                   SCSI_STATUS_TASK_SET_FULL = 0x28,
                   SCSI_STATUS_ACA_ACTIVE = 0x30,
                   SCSI_STATUS_TASK_ABORTED = 0x40,
};

enum scsi_attr { /* task attribute, SAM-6 8.6; numbers are iSCSI's ATTR field */
                 SCSI_ATTR_UNTAGGED = 0,
                 SCSI_ATTR_SIMPLE = 1,
                 SCSI_ATTR_ORDERED = 2,
                 SCSI_ATTR_HEAD_OF_QUEUE = 3,
                 SCSI_ATTR_ACA = 4,
};

enum scsi_tmf {                    /* SAM-6 7.1 */
                SCSI_TMF_NONE = 0, /* the task is a command */
                SCSI_TMF_ABORT_TASK,
                SCSI_TMF_ABORT_TASK_SET,
                SCSI_TMF_CLEAR_ACA,
                SCSI_TMF_CLEAR_TASK_SET,
                SCSI_TMF_LOGICAL_UNIT_RESET,
                SCSI_TMF_QUERY_TASK,
                SCSI_TMF_QUERY_TASK_SET,
                SCSI_TMF_I_T_NEXUS_RESET,
                SCSI_TMF_QUERY_ASYNC_EVENT,
};

enum scsi_tmf_rsp { /* SAM-6 7.1 service responses */
                    SCSI_TMF_RSP_COMPLETE,
                    SCSI_TMF_RSP_SUCCEEDED,
                    SCSI_TMF_RSP_NO_TASK, /* ABORT TASK: no such task (any more) */
                    SCSI_TMF_RSP_NO_LUN,
                    SCSI_TMF_RSP_NOT_SUPPORTED,
                    SCSI_TMF_RSP_REJECTED,
};

enum scsi_want {
    SCSI_WANT_BUF,
    SCSI_WANT_DATA,
    SCSI_WANT_IO,
    SCSI_WANT_SAVE,
    SCSI_WANT_WAIT,
    SCSI_DONE,
    SCSI_ABORTED,
};

struct scsi_lu;
struct scsi_lane;
struct scsi_nexus;
struct scsi_itl;
struct scsi_task;
struct scsi_seat;
struct scsi_branch;
struct scsi_command; /* entry of the command table, command.h */

/* ---- logical unit ---- */

struct scsi_lu_config {
    char vendor[9], product[17], revision[5]; /* T10 ASCII, NUL terminated */
    char serial[33];                          /* unit serial number, VPD 80h */
    uint8_t naa[16];       /* NAA designator, VPD 83h; naa[0] >> 4 is 2,3,5 or 6 */
    uint8_t naa_len;       /* 8 or 16 */
    uint32_t block_bytes;  /* logical block: 512 or 4096 */
    uint8_t phys_exponent; /* 2^n logical blocks per physical block (512e: 3) */
    uint64_t block_count;
    bool read_only;      /* write-protected */
    bool removable;      /* RMB = 1, START STOP UNIT can eject */
    bool thin;           /* LBPME = 1 */
    bool volatile_cache; /* WCE can be 1; see wce */
    bool wce;            /* initial WCE; false: every write carries FUA */
    bool keeps_state;    /* SCSI_WANT_SAVE can be done: APTPL, saved mode pages and identifying
                            information are offered */
    bool rotational;
    bool unmap_zeroes;          /* LBPRZ */
    bool native_caw;            /* the store's COMPARE AND WRITE is atomic by itself */
    uint32_t unmap_gran_blocks; /* 0 = 1 */
    uint32_t max_xfer_blocks;   /* longest READ/WRITE; 0 = default */
    uint32_t opt_xfer_blocks;
    uint8_t thin_threshold_pct; /* soft threshold: unit attention when used exceeds; 0 = none */
};

/* Copies cfg. NULL when out of memory. */
struct scsi_lu *scsi_lu_new(const struct scsi_lu_config *cfg, const struct alloc *a);
/* All lanes are gone. lu may be NULL. */
void scsi_lu_free(struct scsi_lu *lu);
const struct scsi_lu_config *scsi_lu_config(const struct scsi_lu *lu);
/* The store's size changed: unit attention CAPACITY DATA HAS CHANGED on every nexus. USAN_EAGAIN:
 * commands are running; the new size takes effect when they have left, by itself. Call again, after
 * each scsi_lane_poll() of this lane, to learn when (it returns 0 then). */
USAN_MUST_CHECK
int scsi_lu_set_block_count(struct scsi_lane *lane, uint64_t block_count);
/* Space in use, for thresholds and LOG SENSE; bytes. */
void scsi_lu_set_space(struct scsi_lane *lane, uint64_t used_bytes, uint64_t avail_bytes);
/* Caller's pointer, e.g. its LUN object. */
void scsi_lu_set_user(struct scsi_lu *lu, void *user);
void *scsi_lu_user(const struct scsi_lu *lu);

/* State that survives a restart (APTPL reservations, saved mode pages): a byte string of at most
 * 128 KiB. scsi_lu_state writes it into buf and returns its length; with cap 0 only the length.
 * scsi_lu_restore is called before the first lane exists; USAN_ECORRUPT if the bytes are not a
 * state, with nothing changed. */
size_t scsi_lu_state(const struct scsi_lu *lu, void *buf, size_t cap);
USAN_MUST_CHECK
int scsi_lu_restore(struct scsi_lu *lu, const void *buf, size_t len);

/* ---- target port groups (ALUA, SPC-6 5.18) ---- */
enum scsi_alua_state {
    SCSI_ALUA_ACTIVE_OPTIMIZED = 0x0,
    SCSI_ALUA_ACTIVE_NON_OPTIMIZED = 0x1,
    SCSI_ALUA_STANDBY = 0x2,
    SCSI_ALUA_UNAVAILABLE = 0x3,
    SCSI_ALUA_OFFLINE = 0xe,
    SCSI_ALUA_TRANSITIONING = 0xf,
};
/* Add a relative target port to a group of this LU, making the group (active/optimized) if new. */
USAN_MUST_CHECK
int scsi_lu_add_port(struct scsi_lu *lu, uint16_t group_id, uint16_t rel_port_id);
/* Unit attention ASYMMETRIC ACCESS STATE CHANGED on every nexus. USAN_EAGAIN: commands are running;
 * new ones wait from here on until the call has been repeated successfully: it has to be repeated
 * after each scsi_lane_poll() of this lane. */
USAN_MUST_CHECK
int scsi_lu_set_alua(struct scsi_lane *lane, uint16_t group_id, enum scsi_alua_state state);

/* ---- lanes ---- */

/* One per reactor that uses the LU; index < SCSI_MAX_LANES, unique. NULL when out of memory. */
struct scsi_lane *scsi_lane_new(struct scsi_lu *lu, unsigned index);
/* No I_T_L nexus is left on it. May spin while commands of other lanes run, so those lanes have to
 * be driven by other threads, or have settled. lane may be NULL. */
void scsi_lane_free(struct scsi_lane *lane);
/* Let everything that a lane was about to do by itself be done, such as a change of the unit that
 * waited for the others. For an owner whose threads drive no lane any more. */
void scsi_lu_settle(struct scsi_lu *lu);
/* Bit i set: the reactor of lane i must call scsi_lane_poll() soon. Clears what it returns.
 * Cheap when nothing is set. */
uint64_t scsi_lu_take_kicks(struct scsi_lu *lu);
/* Look at what other lanes asked of this one (abort tasks, gate opened, ...). */
void scsi_lane_poll(struct scsi_lane *lane);
/* The next task of this lane that left WAIT, or that was aborted, without a call of the owner's;
 * NULL when there is none. Call until NULL after any other call on the lane. t->want says what is
 * to be done with it. A task with I/O or data transfer under way is handed out (ABORTED) only
 * after the owner resumed it, except in WANT_DATA and WANT_BUF, which are given up at once: what
 * the owner had begun for them is to be undone. A third-party copy may come out of a lane of the
 * other unit it works on (same reactor); a task management function that waits for other lanes is
 * handed out when these have answered, even if its nexus was aborted meanwhile. */
struct scsi_task *scsi_lane_next(struct scsi_lane *lane);

/* ---- nexus ---- */

struct scsi_nexus_config {
    /* SCSI port names: for iSCSI "iqn...,i,0x<isid>" and "iqn...,t,0x<tpgt>"; copied. */
    const char *initiator_port;
    const char *target_port;
    const char *target_device; /* SCSI device name, e.g. the target's IQN; copied */
    uint16_t rel_target_port;  /* relative target port identifier, >= 1 */
    uint16_t target_port_group;
    uint8_t protocol_id; /* SPC-6 table: 5 = iSCSI, 0 = FCP */
    /* TransportID of the initiator port (SPC-6 7.6.4), for reservations; copied. */
    const void *transport_id;
    uint16_t transport_id_len;
};

struct scsi_nexus *scsi_nexus_new(const struct scsi_nexus_config *cfg, const struct alloc *a);
/* I_T nexus loss: what SAM says happens (prevent-allow released, RESERVE(6) released, ...) . All
 * tasks have been aborted and finished. nexus may be NULL. */
void scsi_nexus_free(struct scsi_nexus *nexus);
/* Make lu visible under lun (a number up to SCSI_LUN_MAX, not a LUN field) on this nexus, using the
 * lane of the nexus' reactor. A new mapping on
 * a used nexus queues REPORTED LUNS DATA HAS CHANGED. `first` POWER ON unit attention is queued. */
USAN_MUST_CHECK
int scsi_nexus_map(struct scsi_nexus *nexus, uint64_t lun, struct scsi_lane *lane, bool read_only);
/* All tasks of that lun have finished, and so have third-party copies that were at work on its unit
 * (scsi_nexus_abort first, then pull). */
void scsi_nexus_unmap(struct scsi_nexus *nexus, uint64_t lun);
/* Abort every task of this nexus (on one lun, or all with lun UINT64_MAX), e.g. because the
 * connection is gone. Then pull scsi_lane_next() of its lanes. With one lun, third-party copies
 * that were addressed to other units and are at work on its unit fail: they end with a status. */
void scsi_nexus_abort(struct scsi_nexus *nexus, uint64_t lun);
/* Tasks started and not yet finished with scsi_task_fini. */
unsigned scsi_nexus_tasks(const struct scsi_nexus *nexus);

/* ---- a nexus on several reactors ---- */

/*
 * The calls above, and scsi_task_start, concern the reactor that the nexus was made on. When tasks
 * of it are to run on others too, it is shared first; then each of them makes a branch, maps all
 * units to its own lanes and starts tasks there. The map of LUNs is fixed from then on. At the end
 * all tasks of the nexus finish first, on all reactors, and their lanes are pulled; then each
 * branch is freed on its own reactor, and the nexus last.
 *
 * The starts of tasks of a shared nexus do not overlap, whatever the branch (the owner has a lock):
 * their order is the order of the task set that ORDERED, HEAD OF QUEUE and task management go by.
 * Making, mapping and sharing do not overlap with them either. All else runs freely.
 */
void scsi_nexus_share(struct scsi_nexus *nexus);
struct scsi_branch *scsi_nexus_home(struct scsi_nexus *nexus);
/* NULL: out of memory. */
struct scsi_branch *scsi_branch_new(struct scsi_nexus *nexus);
/* lane: of the unit that the nexus has under lun. USAN_ENOENT: it has none. */
USAN_MUST_CHECK
int scsi_branch_map(struct scsi_branch *branch, uint64_t lun, struct scsi_lane *lane);
/* All tasks have finished. branch may be NULL; not the home one. */
void scsi_branch_free(struct scsi_branch *branch);
/* As scsi_task_start: t->nexus is set here. */
void scsi_branch_start(struct scsi_branch *branch, struct scsi_task *t);
/* As scsi_nexus_abort and scsi_nexus_tasks, for one branch. */
void scsi_branch_abort(struct scsi_branch *branch, uint64_t lun);
unsigned scsi_branch_tasks(const struct scsi_branch *branch);
/* Abort one task, on its own reactor, e.g. because its connection is gone; then pull. */
void scsi_branch_abort_task(struct scsi_task *t);

/* ---- tasks ---- */

struct scsi_task {
    /* in, set by the owner before scsi_task_start */
    struct scsi_nexus *nexus;
    uint64_t lun;          /* the 8-byte LUN field as a number, see lun.h */
    const uint8_t *cdb;    /* borrowed until scsi_task_fini; at least 16 bytes */
    uint16_t cdb_len;      /* 16, or more with an extended CDB */
    uint8_t attr;          /* enum scsi_attr */
    uint8_t priority;      /* SAM-6 8.7, 0 = none */
    uint8_t tmf;           /* enum scsi_tmf; then cdb is unused */
    uint64_t tag;          /* initiator's tag; unique per nexus among started tasks */
    uint64_t ref_tag;      /* ABORT TASK, QUERY TASK: the task meant */
    uint64_t out_expected; /* data-out bytes the initiator is ready to send */
    uint64_t in_expected;  /* data-in bytes the initiator is ready to take */

    /* what it wants */
    enum scsi_want want;
    uint64_t want_len; /* BUF: bytes of buf; DATA: bytes of data-out (<= out_expected) */

    /* memory, from the owner */
    uint8_t *buf; /* after WANT_BUF; kept until fini */
    size_t buf_len;
    struct iovec *out; /* after WANT_DATA: the data-out bytes; kept until fini */
    int out_cnt;
    /* WANT_DATA for medium data: the bytes will be written, as they are, to the store of io_lu at
     * out_off (so the owner may use store_write_grant); UINT64_MAX otherwise. */
    uint64_t out_off;

    /* WANT_IO: bio.op/flags/off/len (and iov, except for a READ that goes to the initiator or a
     * WRITE of `out`: then iovcnt is 0 and the owner attaches memory: out itself for a WRITE, any
     * memory or BIO_F_LEND for a READ). On resume after such a READ, bio.iov is the data-in. */
    struct bio bio;
    struct scsi_lu *io_lu; /* whose store; differs from the addressed LU in EXTENDED COPY */

    /* result, with SCSI_DONE */
    uint8_t status;    /* enum scsi_status */
    uint8_t tmf_rsp;   /* enum scsi_tmf_rsp, for a TMF */
    uint32_t tmf_info; /* QUERY ASYNC EVENT: additional response information, SAM-6 7.10 */
    uint16_t status_qualifier;
    uint16_t sense_len;
    uint8_t sense[SCSI_SENSE_MAX];
    const struct iovec *in; /* data-in to send; NULL = none; memory of buf, bio.iov or the task */
    int in_cnt;
    uint64_t in_len;      /* data-in bytes to send: <= in_expected */
    uint64_t in_residual; /* SCSI transfer wanted more (overflow) than in_expected, bytes */
    uint64_t out_used;    /* data-out bytes the command calls for, whether or not they fit in
                             out_expected; residuals follow from the difference */
    uint64_t in_used;     /* the same for data-in */

    /* for the device server */
    struct scsi_itl *itl;
    struct scsi_seat *seat;       /* of itl, on the task's lane */
    struct scsi_branch *branch;   /* of nexus */
    struct scsi_seat *in_section; /* whose unit's section it uses; seat, see scsi_want_section */
    uint64_t seq;                 /* of a shared nexus: its place in the order of the set */
    const struct scsi_command *cmd;
    struct list node;                            /* in the seat's tasks, oldest first */
    struct list lane_node;                       /* in the lane's blocked or ready list */
    void (*step)(struct scsi_task *t, int err);  /* what resume continues with */
    void (*after)(struct scsi_task *t, int err); /* what scsi_want_aborts continues with */
    uint64_t lba;
    uint64_t blocks;
    uint64_t pos;
    uint32_t flags; /* SCSI_TF_..., task.h */
    uint16_t phase;
    uint8_t ask; /* enum scsi_ask, task.h */
    struct scsi_seat *ask_section;
    struct iovec in_one;
    uint64_t scratch[8]; /* per-command state; zeroes at start */

    /* for the owner */
    void *user;
};

/* The four calls that drive a task; each leaves t->want set. */
void scsi_task_start(struct scsi_task *t);
void scsi_task_resume(struct scsi_task *t, int err);
/* The owner can not go on (no memory, data-out failed its digest, ...): end it with this status.
 * sense is key/asc/ascq; 0 with a status that carries none. Not while want is IO. */
void scsi_task_fail(struct scsi_task *t, uint8_t status, uint32_t sense_kaq);
/* Leave the task set. The struct may be reused afterwards. */
void scsi_task_fini(struct scsi_task *t);

#define SCSI_KAQ(key, asc, ascq) ((uint32_t)(key) << 16 | (uint32_t)(asc) << 8 | (uint32_t)(ascq))

/* Direction of a CDB by the command table, for transports that must know before the LUN does. */
enum scsi_dir { SCSI_DIR_NONE, SCSI_DIR_IN, SCSI_DIR_OUT, SCSI_DIR_BIDI, SCSI_DIR_UNKNOWN };

/* ---- the conformance page ---- */
/* Walk the command table: i-th entry's name, opcode, service action (-1 = none); false at the end.
 */
bool scsi_command_info(size_t i, const char **ret_name, uint8_t *ret_opcode, int *ret_sa);

#endif
