/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A storage network in one thread without real time: the initiator's core (src/iscsi) with an owner
 * that connects and re-issues, byte streams that are slow, stall, break and damage, the target's
 * two cores (src/iscsi, src/scsi) with an owner that glues them, and a disk that delays, reorders,
 * fails and loses what was not flushed. Everything that happens is an event on a virtual clock,
 * drawn from a seed: the same seed gives the same trace.
 *
 *   world.c    clock, randomness, allocators, trace, teardown
 *   options.c  what differs between runs
 *   net.c      links: two byte queues
 *   watch.c    which PDUs there are in them, for traces
 *   disk.c     the store, which also knows which writes may no longer take effect
 *   model.c    what a reader may see: versions per block
 *   conn.c     connections of the target's owner
 *   target.c   its sessions, and the logical unit
 *   command.c  its commands: SCSI task <-> iSCSI task <-> disk
 *   admin.c    what it does on its own account: background tasks, another size, no unit, restart
 *   ini.c      initiators: sessions, connections, when to connect again
 *   issue.c    what an initiator asks for
 *   answer.c   what it is told
 *   load.c     random work
 *   faults.c   random faults, administrators
 *
 * What must not be is a violation: the first one is kept in sim->bad, and the world stands still.
 */
#ifndef TESTS_SIM_H
#define TESTS_SIM_H

#include "base/alloc.h"
#include "base/bio.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/list.h"
#include "iscsi/initiator.h"
#include "iscsi/target.h"
#include "scsi/scsi.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    SIM_BLOCK = 512,
    SIM_BLOCKS = 64,
    SIM_INIS = 3,  /* at most */
    SIM_CONNS = 4, /* of one session, at most */
    SIM_LANES = 2,
    SIM_VERSIONS = 1 << 14,  /* writes of one run */
    SIM_OP_BLOCKS = 16,      /* longest READ or WRITE of the load */
    SIM_DEPTH = 16,          /* command window of a session */
    SIM_SHARED = 32,         /* blocks from here on are each of one initiator alone, ... */
    SIM_OWN = 10,            /* ... who has so many of them */
    SIM_RESENDS = 8,         /* a command is sent again */
    SIM_ZERO = SIM_VERSIONS, /* "version" of a block of zeroes: whoever's that is */
};

struct sim;
struct sim_ini;
struct sim_op;
struct sim_conn;

/* ---- world ---- */

struct sim_event {
    struct list node; /* in sim.events, by time */
    uint64_t at_ns;
    void (*fire)(struct sim_event *ev);
};

struct sim_alloc {
    struct alloc a;
    struct sim *sim;
    uint64_t live, calls;
    uint64_t fail_at; /* this call fails, 0 = none */
    bool for_ever;    /* and all after it */
    uint64_t failed;
};

/* What the world itself does wrong, to see that the checks see it. */
enum sim_mutant {
    SIM_HONEST,
    /* the disk */
    SIM_LOSES,   /* a write that succeeds does not happen */
    SIM_TEARS,   /* half a block is written */
    SIM_REPEATS, /* a write takes effect once more, later */
    SIM_LATE,    /* the same, where only readers see it */
    SIM_FORGETS, /* what was flushed is lost with the power */
    /* the target's owner */
    SIM_EARLY,  /* it acknowledges a write before the disk has it */
    SIM_STALE,  /* it answers a read with what was there before */
    SIM_TWICE,  /* it carries a command out twice */
    SIM_LEAKS,  /* it lets everybody write under a reservation */
    SIM_SILENT, /* it never answers a command */
    SIM_HOARDS, /* it keeps memory of a session */
    SIM_LEAVES, /* it lets a write go on whose connection is logged out */
    /* the initiator's owner */
    SIM_REISSUES, /* it does again what others may have replaced since */
    SIM_TRUSTS,   /* it takes a command that was lost for one that was carried out */
    SIM_MUTANTS
};

/* What differs between runs; sim_options_draw() takes all of it from the seed. */
struct sim_options {
    uint64_t seed;
    bool verbose; /* print the trace */
    enum sim_mutant mutant;
    unsigned inis, conns; /* initiators; connections of each session */
    uint8_t erl;          /* ErrorRecoveryLevel */
    /* network */
    uint32_t piece_bytes; /* largest piece that travels at once */
    uint32_t pipe_bytes;  /* what the target's send buffer holds */
    uint64_t net_ns;      /* longest delay of a piece */
    uint32_t stall_permille;
    uint32_t flip_bytes;    /* a bit is flipped every so many bytes or less; 0 = never */
    uint32_t half_permille; /* of breaks, one end does not notice */
    /* disk */
    uint64_t disk_ns;
    uint32_t error_permille;
    uint32_t no_buffer_permille; /* the owner has no memory for a command */
    bool native_caw, wce;
    /* session */
    bool header_digest, data_digest, initial_r2t, immediate_data;
    uint32_t ini_segment, tgt_segment, max_burst, first_burst, r2ts;
    uint64_t nop_ns;
    uint16_t time2wait, time2retain;
    /* load */
    uint32_t ops, tmf_permille, cut_permille, pr_permille, alloc_permille;
    uint32_t admin_permille; /* another size, software write protection, FORMAT UNIT, SANITIZE */
    uint32_t owner_permille; /* the unit goes, a session is killed, the target crashes */
    uint32_t attr_permille, logout_permille; /* ORDERED or HEAD OF QUEUE; logout amid work */
    bool tas;                                /* TASK ABORTED status instead of silence */
    bool one_lane;                           /* both initiators on the same reactor */
};

struct sim_disk {
    uint8_t data[SIM_BLOCK * SIM_BLOCKS];   /* what is read */
    uint8_t medium[SIM_BLOCK * SIM_BLOCKS]; /* what a loss of power leaves */
    bool dirty[SIM_BLOCKS];                 /* it may leave data as well */
    struct list ios;
    uint32_t busy;
    uint64_t reads, writes, errors;
    /* scripted: the next request of this op on this block fails */
    bool fail_next;
    enum bio_op fail_op;
    int fail_err;
    uint32_t fail_block;
};

/* A write of a block, as far as readers are concerned. Times are sim.steps. */
struct sim_write {
    uint32_t version;
    uint64_t start, end; /* end UINT64_MAX: may still take effect */
    uint64_t eff;        /* has taken effect at the latest; UINT64_MAX: nobody knows */
    bool never;          /* the target said it did not happen */
    bool durable;        /* in force, and no loss of power undoes it */
    bool applied;        /* it has been on the medium */
    bool left;           /* after a loss of power: this is what may be there */
    uint64_t undone;     /* the step at which it was lost with the power; 0 = not */
    bool zero;           /* writes zeroes, which do not tell whose they are */
    uint8_t attr, writer;
    bool replaced; /* a COMPARE AND WRITE found it and wrote another */
};

struct sim_block {
    struct sim_write *w;
    size_t count, cap;
};

struct sim_stats {
    uint64_t ops, acked, failed, lost, tmfs, cuts, logins, preempts, noticed_lost;
    uint64_t zeroes, wipes, sizes, protects, excluded;
    uint64_t resent, unsure, flips, halves, crashes, power, units, kills, denied;
    uint64_t snacks, retries, conns_lost, reassigned, continued;
};

struct sim {
    struct sim_options opt;
    uint64_t now_ns;
    uint64_t steps; /* moves with everything an initiator does or sees: a total order */
    uint64_t rng;
    struct list events;
    uint64_t fired;
    struct sim_alloc alloc, ini_alloc; /* of the target's cores, of the initiators' */
    struct list memory; /* all blocks of sim_get(), for worlds that end with a violation */
    uint64_t trace_hash, trace_lines;
    char bad[512]; /* the first violation; "" = none */

    struct sim_disk disk;
    struct sim_block blocks[SIM_BLOCKS];
    uint32_t versions;
    bool ended[SIM_VERSIONS]; /* its initiator has seen the end of this write */
    uint8_t writer[SIM_VERSIONS];
    uint8_t same[SIM_VERSIONS]; /* WRITE SAME: 1 + the LBA that all of its blocks name */
    int fenced;                 /* writes of this initiator must not take effect; -1 = none */
    int holder;                 /* has a reservation for himself (-1 = none): nor of others ... */
    uint64_t held_since;        /* ... from this step on */
    bool goes_on[SIM_VERSIONS]; /* FORMAT UNIT, SANITIZE: no later reservation stops them */
    unsigned pr_open;           /* PERSISTENT RESERVE OUT commands that have no answer yet, ... */
    uint64_t pr_sent;           /* ... and how many there were */
    bool shrunk;                /* the disk is smaller than SIM_BLOCKS */
    bool was_shrunk;            /* it was, since the last wipe began */
    struct sim_event admin;
    uint8_t control_page[16]; /* MODE SELECT(6) list of the Control mode page */

    /* target */
    struct scsi_lu *lu;
    struct scsi_lane *lanes[SIM_LANES];
    bool dirty[SIM_LANES];
    struct sim_event kicks[SIM_LANES]; /* messages between reactors */
    bool kicked[SIM_LANES];
    struct list conns, sessions;
    uint16_t next_tsih;
    uint64_t *execs; /* commands that were begun: a hash table */
    size_t exec_count, exec_cap;
    struct sim_event owner; /* the end of what an administrator has begun */
    bool down;              /* no target: connections are refused */
    bool unit_gone;         /* it has no unit */
    bool in_state;          /* what is saved of the unit is: */
    uint8_t state[4096];
    size_t state_len;
    /* Commands of others may be aborted silently: last time that may have been, how many are under
     * way that do so. */
    uint64_t power_step; /* when power was lost last */
    uint64_t vanish_step;
    unsigned vanishing;

    struct sim_ini *inis[SIM_INIS];
    struct list links;
    struct sim_stats stats;
};

/* Defaults: orderly, quick, no faults. */
struct sim_options sim_options_plain(uint64_t seed);
struct sim_options sim_options_draw(uint64_t seed);
/* For one recovery level and number of connections; -1 = as the seed says. */
void sim_options_force(struct sim_options *o, int erl, int conns);

struct sim *sim_new(const struct sim_options *opt);
/* Closes all and checks that nothing is left; after a violation it only frees what it can. Returns
 * false, with the text copied to bad (512 bytes, may be NULL), if there was a violation. */
bool sim_end(struct sim *sim, char *bad);

uint32_t sim_rand(struct sim *sim, uint32_t below);
uint64_t sim_rand64(struct sim *sim, uint64_t below);
bool sim_chance(struct sim *sim, uint32_t permille);

void sim_event_init(struct sim_event *ev, void (*fire)(struct sim_event *ev));
/* Set, or move, to now + delay. */
void sim_event_in(struct sim *sim, struct sim_event *ev, uint64_t delay_ns);
void sim_event_cancel(struct sim_event *ev);
bool sim_event_set(const struct sim_event *ev);

/* Memory of the world, filled with junk; never NULL. */
void *sim_get(struct sim *sim, size_t bytes);
void *sim_get_zero(struct sim *sim, size_t bytes);
void sim_put(void *p);

/* One event; false when there is none, or after a violation. */
bool sim_step(struct sim *sim);
/* Until the time; true if all was well. */
bool sim_run(struct sim *sim, uint64_t ns);

__attribute__((format(printf, 2, 3))) void sim_trace(struct sim *sim, const char *fmt, ...);
__attribute__((format(printf, 2, 3))) void sim_violation(struct sim *sim, const char *fmt, ...);

/* ---- disk and model ---- */

struct sim_io; /* disk.c */
void sim_disk_submit(struct sim *sim, struct bio *bio);
/* Content of a block that was written as this version. */
void sim_fill(uint8_t *block, uint32_t lba, uint32_t version);

enum sim_fate { SIM_DONE, SIM_MAYBE, SIM_NEVER };
/* A new version, written to n blocks from lba on; attr is enum scsi_attr. */
uint32_t sim_write_begin(struct sim *sim, unsigned writer, uint8_t attr, uint32_t lba, uint32_t n);
/* The same, of zeroes. */
uint32_t sim_zero_begin(struct sim *sim, unsigned writer, uint8_t attr, uint32_t lba, uint32_t n);
/* Zeroes reach the medium: somebody must be about to write them, and allowed to. */
void sim_zero_check(struct sim *sim, uint32_t lba);
/* What this version of the block looks like. */
void sim_content(struct sim *sim, uint8_t *block, uint32_t lba, uint32_t version);
/* A COMPARE AND WRITE found that byte to be the first that differs from `expect`. */
void sim_miscompare_check(struct sim *sim, uint32_t lba, const uint8_t *expect, uint32_t at);
void sim_write_end(struct sim *sim, uint32_t lba, uint32_t n, uint32_t version, enum sim_fate fate);
/* It is sent again, after others: its attribute says nothing any more. */
void sim_write_unordered(struct sim *sim, uint32_t lba, uint32_t n, uint32_t version);
/* It was acknowledged as durable. */
void sim_write_durable(struct sim *sim, uint32_t lba, uint32_t n, uint32_t version);
/* A flush that began at step `start` is done: what was in force then is durable. */
void sim_flush_done(struct sim *sim, uint64_t start);
/* This version reaches the medium, in the place of `old`. */
void sim_applied(struct sim *sim, uint32_t lba, uint32_t version, uint32_t old);
/* Power was lost, and this is what is left. */
void sim_power_lost(struct sim *sim, uint32_t lba, const uint8_t *block);
/* May this write not happen because of another's reservation? */
bool sim_excluded(const struct sim *sim, unsigned writer);
/* A read that was started at step `start` gave these bytes. */
void sim_read_check(struct sim *sim, uint32_t lba, uint32_t n, const uint8_t *data, uint64_t start);
/* A COMPARE AND WRITE found `expect` in the block: nobody else can have. */
void sim_caw_check(struct sim *sim, uint32_t lba, uint32_t expect, uint64_t start);
/* The version of a block, torn or foreign content is a violation. */
uint32_t sim_block_version(struct sim *sim, uint32_t lba, const uint8_t *block);

/* All requests end at once, carried out, or partly, or not; without power what is dirty as well. */
void sim_disk_crash(struct sim *sim, bool power);

/* ---- network ---- */

struct sim_pipe {
    struct sim_link *link;
    struct sim_event ev;
    uint8_t *buf;
    size_t head, len, cap;
    uint64_t total; /* bytes delivered */
    uint64_t flip;  /* a bit of this byte is flipped; UINT64_MAX = none */
    /* watch.c */
    uint8_t bhs[48];
    size_t bhs_len, skip;
    bool framed; /* full feature phase: there may be digests */
    bool end;    /* orderly end of the stream behind them */
};

struct sim_link {
    struct sim *sim;
    struct list node;
    struct sim_path *path; /* NULL: the initiator has given the link up */
    struct sim_conn *conn;
    struct sim_pipe to_tgt, to_ini;
    uint16_t cid;
    bool cut;
    bool tgt_deaf, ini_deaf;         /* this end does not learn of the cut */
    bool flipped;                    /* some bit was */
    uint64_t cut_to_tgt, cut_to_ini; /* break after so many bytes; UINT64_MAX = never */
    struct sim_event tgt_eof, ini_eof;
};

/* The target accepts, or the initiator soon learns that it did not. */
struct sim_link *sim_link_new(struct sim *sim, struct sim_path *path);
void sim_link_free(struct sim_link *link);
void sim_pipe_write(struct sim_pipe *p, const void *bytes, size_t len);
/* Both directions break; either end learns of it some time later. */
void sim_link_cut(struct sim_link *link);
/* One end closes in order: the other reads what was sent and then the end. */
void sim_link_close(struct sim_link *link, bool by_tgt);
/* Both ends are in full feature phase with digests: bits may be flipped from here on. */
void sim_link_arm(struct sim_link *link);
/* watch.c: these bytes are delivered. */
void sim_watch(struct sim_pipe *p, const uint8_t *bytes, size_t len);
/* Is anything wrong with it, so that an end may blame the other? */
bool sim_link_bad(const struct sim_link *link);

/* ---- target ---- */

struct sim_session {
    struct sim *sim;
    struct list node;
    char initiator[ISCSI_NAME_MAX + 1];
    uint8_t isid[6];
    struct iscsi_tsess *tsess;
    struct scsi_nexus *nexus;
    struct scsi_branch *branch[SIM_LANES];
    unsigned home;
    bool shared;
    bool mapped;       /* it has the unit */
    struct list conns; /* sim_conn.of_session */
    unsigned live;     /* that are not closed */
    struct list cmds;
    bool opened; /* logged in once */
    bool down;   /* the core says that it is over */
    bool closing;
    struct sim_event finish, clock;
};

struct sim_conn {
    struct sim *sim;
    struct list node, of_session;
    struct sim_link *link;
    struct iscsi_tconn *tconn;
    struct sim_session *session;
    unsigned lane;
    bool closed;   /* the socket is */
    bool flushed;  /* event CLOSE came: to be closed when all is sent */
    bool retained; /* its tasks stay with the session */
    bool waiting;  /* for an old session to end */
    char initiator[ISCSI_NAME_MAX + 1];
    uint8_t isid[6];
    struct sim_event tx, timer, reap, wake;
};

/* target.c */
bool sim_target_init(struct sim *sim);
void sim_target_fini(struct sim *sim);
/* NULL: no memory for it. */
struct sim_session *sim_session_new(struct sim_conn *conn);
struct sim_session *sim_session_find(const struct sim_conn *conn, uint16_t tsih);
/* False: no memory. */
bool sim_session_join(struct sim_session *s, struct sim_conn *conn);
void sim_session_end(struct sim_session *s, bool reinstated, const char *why);
void sim_session_conn_closed(struct sim_conn *conn);
/* After any call on the session: what became due. */
void sim_session_look(struct sim_session *s);
/* It may be over. */
void sim_session_settle(struct sim_session *s);
/* Run what became ready on dirty lanes. */
void sim_lanes_run(struct sim *sim);

/* conn.c: NULL: no memory for it. */
struct sim_conn *sim_conn_new(struct sim *sim, struct sim_link *link, unsigned lane);
void sim_conn_free(struct sim_conn *conn);
void sim_conn_rx(struct sim_conn *conn, const uint8_t *bytes, size_t len);
void sim_conn_close(struct sim_conn *conn);
void sim_conn_pump(struct sim_conn *conn);
void sim_conn_want_tx(struct sim_conn *conn);
void sim_conn_wake(struct sim_conn *conn);
/* The session it waited for is gone. */
void sim_conn_retry(struct sim_conn *conn);

/* command.c */
void sim_cmd_event(struct sim_conn *conn, const struct iscsi_event *ev);
void sim_cmd_continue(struct scsi_task *t);
/* Events of a task without connection. */
void sim_cmd_data(struct iscsi_task *it);
void sim_cmd_sent(struct iscsi_task *it);
void sim_cmd_abort(struct iscsi_task *it);
/* Likewise, as its connection is logged out. */
void sim_cmd_lost(struct iscsi_task *it);

/* admin.c */
void sim_admin_init(struct sim *sim);
/* A task without nexus, from scsi_lane_next. */
void sim_background(struct sim *sim, struct scsi_task *t);
void sim_background_done(struct bio *bio);
/* FORMAT UNIT or SANITIZE is under way. */
bool sim_wiping(const struct sim *sim);
/* The unit gets smaller, or gets its size back. */
void sim_resize(struct sim *sim, bool smaller);
/* The target's program ends at once, with the power or without, and comes back some time later. */
void sim_target_crash(struct sim *sim, bool power);
/* The unit is taken away from all sessions, and comes back some time later. */
void sim_unit_remove(struct sim *sim);
/* No answer will come of what is aborted: the unit is being taken away. */
bool sim_unit_going(const struct sim *sim);

/* ---- initiators ---- */

enum sim_ini_state { SIM_INI_DOWN, SIM_INI_LOGIN, SIM_INI_UP, SIM_INI_LOGOUT };

/* A connection of an initiator, or the place for one. */
struct sim_path {
    struct sim_ini *ini;
    unsigned index;
    uint16_t cid;
    struct sim_link *link;
    struct iscsi_iconn *conn; /* NULL: none */
    bool up;
    struct sim_event open, tx, timer, join; /* join: TCP has connected */
};

struct sim_ini {
    struct sim *sim;
    unsigned index;
    enum sim_ini_state state;
    struct iscsi_isess *sess;
    struct sim_path paths[SIM_CONNS];
    struct sim_link *link; /* of the last leading login */
    bool login_failed;
    bool logged_out; /* the session was, in order: nothing of it is at work any more */
    bool pulling;
    uint16_t next_cid;
    uint16_t status;        /* of the last login that was refused */
    uint64_t not_before_ns; /* Time2Wait */
    uint32_t itt;           /* the world's own numbers of commands */
    struct list ops;        /* all of them, oldest first */
    struct list open_ops;
    struct list unsorted;   /* ended without an answer, it is not yet known why */
    struct list lost_ops;   /* the session was lost with them: fate is open until the next login */
    unsigned open;          /* not done */
    uint64_t set_step;      /* a function that ends many commands was done */
    struct sim_event work;  /* load.c */
    struct sim_event clock; /* of the session */
    uint32_t to_do;
};

enum sim_op_kind { SIM_OP_READ, SIM_OP_WRITE, SIM_OP_CAW, SIM_OP_CDB, SIM_OP_TMF, SIM_OP_LOGOUT };

struct sim_op {
    struct list node;  /* in ini->ops */
    struct list queue; /* in open_ops, lost_ops, or on its way between them */
    struct sim_ini *ini;
    enum sim_op_kind kind;
    struct iscsi_icmd cmd;
    struct iscsi_itmf tmf;
    struct iovec iov[2];
    uint32_t itt;
    uint32_t lba, n, version;
    uint8_t cdb[16];
    uint8_t *out, *in;
    uint32_t out_len, in_len;
    uint64_t start_step, start_ns;
    uint8_t attr;
    uint8_t function; /* TMF */
    uint32_t expect;  /* COMPARE AND WRITE */
    bool own;         /* writes blocks that nobody else does: may be done again */
    bool seen;        /* the target may have had it before the session was lost */
    uint32_t resent;
    bool vanishes;    /* it may abort commands of others */
    bool wipe;        /* FORMAT UNIT, SANITIZE: goes on when it has ended */
    bool settle_late; /* ... and is settled, as `fate` says, when that has */
    enum sim_fate fate;
    bool pr_pending;   /* PERSISTENT RESERVE OUT that is counted in pr_open */
    uint64_t excludes; /* RESERVE for oneself: pr_sent when it was sent */
    struct sim_op *ref;
    unsigned abort_tasks; /* functions that refer to it */
    /* end */
    bool done, lost; /* lost: no answer will come */
    bool aborted;    /* by task management of ours */
    bool settled;    /* and the write can no longer take effect, as far as the model goes */
    uint8_t status, response;
    uint8_t sense[SCSI_SENSE_MAX];
    uint32_t sense_len;
};

/* ini.c */
struct sim_ini *sim_ini_new(struct sim *sim, unsigned index);
void sim_ini_free(struct sim_ini *ini);
/* What its core says of recovery goes to the world's statistics. */
void sim_ini_count(struct sim_ini *ini);
/* Connect and log in; ini->state tells how it went. */
void sim_ini_login(struct sim_ini *ini);
/* Give all up at once, as if its program had ended. */
void sim_ini_die(struct sim_ini *ini);
void sim_path_rx(struct sim_path *path, const uint8_t *bytes, size_t len);
/* The stream of this connection is over. */
void sim_path_down(struct sim_path *path);
void sim_path_want_tx(struct sim_path *path);
/* After any call on the session: events, things to send, timers. */
void sim_ini_pump(struct sim_ini *ini);
/* May a command be sent? */
bool sim_ini_ready(const struct sim_ini *ini);
/* Run until logged in; true if so. */
bool sim_ini_up(struct sim_ini *ini);

/* issue.c: NULL if the initiator can not send it now. Ops live as long as the world. */
struct sim_op *sim_read(struct sim_ini *ini, uint32_t lba, uint32_t n);
struct sim_op *sim_write(struct sim_ini *ini, uint32_t lba, uint32_t n);
/* COMPARE AND WRITE of one block: expects `expect` (a version). */
struct sim_op *sim_caw(struct sim_ini *ini, uint32_t lba, uint32_t expect);
struct sim_op *sim_cdb(struct sim_ini *ini, const uint8_t *cdb, const void *out, uint32_t out_len,
                       uint32_t in_len);
/* WRITE SAME(16): zeroes (NDOB), or one block that names the first LBA. */
struct sim_op *sim_write_same(struct sim_ini *ini, uint32_t lba, uint32_t n, bool zero);
struct sim_op *sim_unmap(struct sim_ini *ini, uint32_t lba, uint32_t n);
/* FORMAT UNIT, or SANITIZE BLOCK ERASE. */
struct sim_op *sim_wipe(struct sim_ini *ini, bool format, bool immed);
struct sim_op *sim_tmf(struct sim_ini *ini, uint8_t function, struct sim_op *ref);
struct sim_op *sim_logout(struct sim_ini *ini);
/* PERSISTENT RESERVE OUT. */
struct sim_op *sim_pr_out(struct sim_ini *ini, uint8_t action, uint8_t type, uint64_t key,
                          uint64_t new_key);
/* Send it; false: it ended at once. */
bool sim_op_submit(struct sim_op *op);
/* Is a write of ours to these blocks under way? */
bool sim_overlaps(const struct sim_ini *ini, uint32_t lba, uint32_t n);

/* answer.c */
/* A wipe has ended: those that began it. */
void sim_wipes_settle(struct sim *sim);
/* Sense key << 16 | ASC << 8 | ASCQ; 0 without sense. */
uint32_t sim_op_kaq(const struct sim_op *op);
bool sim_op_information(const struct sim_op *op, uint32_t *ret_info);
/* Run until it is done, or nothing happens any more; true if it is done and was not lost. */
bool sim_wait(struct sim *sim, struct sim_op *op);
/* Sends until there is no unit attention; true when GOOD came. */
bool sim_clear_ua(struct sim_ini *ini);
/* Event DONE, TMF_DONE, the end of a logout. */
void sim_op_done(struct sim_op *op);
void sim_tmf_done(struct sim_op *op);
void sim_logout_done(struct sim_ini *ini, int err);
/* The connections have been looked after: what ended without an answer has ended by itself, or
 * with the session. */
void sim_ops_sort(struct sim_ini *ini, bool session_lost);
/* The session is gone and a new one is there: what had no answer is sent again where that is safe,
 * and will not take effect otherwise. */
void sim_ops_settle(struct sim_ini *ini);

/* ---- load ---- */

/* Random work as the options say, then quiet, and all blocks read by both. */
void sim_load(struct sim *sim);
/* Read every block through this initiator. */
void sim_verify(struct sim_ini *ini);

/* faults.c: something bad, perhaps. */
void sim_random_fault(struct sim_ini *ini);
/* From here on there are none. */
void sim_peace(struct sim *sim);

#endif
