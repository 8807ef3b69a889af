/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A storage network in one thread without real time: initiators, byte streams that are slow, stall
 * and break, the target's two cores (src/iscsi, src/scsi) with an owner that glues them, and a disk
 * that delays, reorders and fails. Everything that happens is an event on a virtual clock, drawn
 * from a seed: the same seed gives the same trace.
 *
 *   world.c    clock, randomness, allocator, trace, teardown
 *   net.c      links: two byte queues
 *   disk.c     the store, which also knows which writes may no longer take effect
 *   model.c    what a reader may see: versions per block
 *   target.c   connections and sessions of the target's owner
 *   command.c  the owner's commands: SCSI task <-> iSCSI task <-> disk
 *   admin.c    what the owner does on its own account: background tasks, another size
 *   ini.c      initiators: login, PDUs, sequence numbers
 *   op.c       what an initiator asks for, and the answers
 *   load.c     random work and random faults
 *
 * What must not be is a violation: the first one is kept in sim->bad, and the world stands still.
 */
#ifndef TESTS_SIM_H
#define TESTS_SIM_H

#include "base/alloc.h"
#include "base/bio.h"
#include "base/clock.h"
#include "base/list.h"
#include "iscsi/pdu.h"
#include "iscsi/target.h"
#include "scsi/scsi.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SIM_BLOCK = 512,
    SIM_BLOCKS = 64,
    SIM_INIS = 2,
    SIM_LANES = 2,
    SIM_VERSIONS = 1 << 16,  /* writes of one run */
    SIM_OP_BLOCKS = 16,      /* longest READ or WRITE of the load */
    SIM_DEPTH = 16,          /* command window of a session */
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

/* What differs between runs; sim_options_draw() takes all of it from the seed. */
struct sim_options {
    uint64_t seed;
    bool verbose; /* print the trace */
    /* network */
    uint32_t piece_bytes; /* largest piece that travels at once */
    uint32_t pipe_bytes;  /* what the target's send buffer holds */
    uint64_t net_ns;      /* longest delay of a piece */
    uint32_t stall_permille;
    /* disk */
    uint64_t disk_ns;
    uint32_t error_permille;
    uint32_t no_buffer_permille; /* the owner has no memory for a command */
    bool native_caw, wce;
    /* session */
    bool header_digest, data_digest, initial_r2t, immediate_data;
    uint32_t ini_segment, tgt_segment, max_burst, first_burst, r2ts;
    uint64_t nop_ns;
    /* load */
    uint32_t ops, tmf_permille, cut_permille, pr_permille, alloc_permille;
    uint32_t admin_permille; /* another size, software write protection, FORMAT UNIT, SANITIZE */
    uint32_t attr_permille, logout_permille; /* ORDERED or HEAD OF QUEUE; logout amid work */
    bool tas;                                /* TASK ABORTED status instead of silence */
    bool one_lane;                           /* both initiators on the same reactor */
};

/* One planted fault of the disk, to see that the checks see it. */
enum sim_sabotage { SIM_HONEST, SIM_LOSES, SIM_TEARS, SIM_REPEATS, SIM_LATE, SIM_SABOTAGES };

struct sim_disk {
    uint8_t data[SIM_BLOCK * SIM_BLOCKS];
    uint32_t busy;
    uint64_t reads, writes, errors;
    /* scripted: the next request of this op on this block fails */
    bool fail_next;
    enum bio_op fail_op;
    int fail_err;
    uint32_t fail_block;
    enum sim_sabotage sabotage;
};

/* A write of a block, as far as readers are concerned. Times are sim.steps. */
struct sim_write {
    uint32_t version;
    uint64_t start, end; /* end UINT64_MAX: may still take effect */
    uint64_t eff;        /* has taken effect at the latest; UINT64_MAX: nobody knows */
    bool never;          /* the target said it did not happen */
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
};

struct sim {
    struct sim_options opt;
    uint64_t now_ns;
    uint64_t steps; /* moves with everything an initiator does or sees: a total order */
    uint64_t rng;
    struct list events;
    uint64_t fired;
    struct sim_alloc alloc;
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
    int excluded;               /* nor of this one: the other holds a reservation for himself ... */
    uint64_t excluded_since;    /* ... from this step on */
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
    /* Commands of others may be aborted silently: last time that may have been, how many are under
     * way that do so. */
    uint64_t vanish_step;
    unsigned vanishing;

    struct sim_ini *inis[SIM_INIS];
    struct list links;
    struct sim_stats stats;
};

/* Defaults: orderly, quick, no faults. */
struct sim_options sim_options_plain(uint64_t seed);
struct sim_options sim_options_draw(uint64_t seed);

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
/* A read that was started at step `start` gave these bytes. */
void sim_read_check(struct sim *sim, uint32_t lba, uint32_t n, const uint8_t *data, uint64_t start);
/* A COMPARE AND WRITE found `expect` in the block: nobody else can have. */
void sim_caw_check(struct sim *sim, uint32_t lba, uint32_t expect, uint64_t start);
/* The version of a block, torn or foreign content is a violation. */
uint32_t sim_block_version(struct sim *sim, uint32_t lba, const uint8_t *block);

/* ---- network ---- */

struct sim_pipe {
    struct sim_link *link;
    struct sim_event ev;
    uint8_t *buf;
    size_t head, len, cap;
    uint64_t total; /* bytes delivered */
    bool end;       /* orderly end of the stream behind them */
};

struct sim_link {
    struct sim *sim;
    struct list node;
    struct sim_ini *ini; /* NULL: it has given the link up */
    struct sim_conn *conn;
    struct sim_pipe to_tgt, to_ini;
    bool cut;
    uint64_t cut_to_tgt, cut_to_ini; /* break after so many bytes; UINT64_MAX = never */
    struct sim_event tgt_eof, ini_eof;
};

struct sim_link *sim_link_new(struct sim *sim, struct sim_ini *ini);
void sim_link_free(struct sim_link *link);
void sim_pipe_write(struct sim_pipe *p, const void *bytes, size_t len);
/* Both directions break; either end learns of it some time later. */
void sim_link_cut(struct sim_link *link);

/* ---- target ---- */

struct sim_session {
    struct sim *sim;
    struct list node;
    char initiator[ISCSI_NAME_MAX + 1];
    uint8_t isid[6];
    struct iscsi_tsess *tsess;
    struct scsi_nexus *nexus;
    struct sim_conn *conn;
    unsigned lane;
    unsigned busy; /* commands */
    bool closing;
    struct sim_event finish;
};

struct sim_conn {
    struct sim *sim;
    struct list node;
    struct sim_link *link;
    struct iscsi_tconn *tconn;
    struct sim_session *session;
    unsigned lane;
    bool closed, flushed, waiting;
    char initiator[ISCSI_NAME_MAX + 1];
    uint8_t isid[6];
    struct sim_event tx, timer, reap;
};

bool sim_target_init(struct sim *sim);
void sim_target_fini(struct sim *sim);
/* NULL: no memory for it. */
struct sim_conn *sim_conn_new(struct sim *sim, struct sim_link *link, unsigned lane);
void sim_conn_rx(struct sim_conn *conn, const uint8_t *bytes, size_t len);
void sim_conn_close(struct sim_conn *conn);
void sim_conn_pump(struct sim_conn *conn);
void sim_conn_want_tx(struct sim_conn *conn);
void sim_session_cmd_done(struct sim_session *s);
/* Run what became ready on dirty lanes. */
void sim_lanes_run(struct sim *sim);

/* command.c */
void sim_cmd_event(struct sim_conn *conn, const struct iscsi_event *ev);
void sim_cmd_continue(struct scsi_task *t);

/* admin.c */

void sim_admin_init(struct sim *sim);
/* A task without nexus, from scsi_lane_next. */
void sim_background(struct sim *sim, struct scsi_task *t);
void sim_background_done(struct bio *bio);
/* FORMAT UNIT or SANITIZE is under way. */
bool sim_wiping(const struct sim *sim);
/* The unit gets smaller, or gets its size back. */
void sim_resize(struct sim *sim, bool smaller);

/* ---- initiators ---- */

enum sim_ini_state { SIM_INI_DOWN, SIM_INI_LOGIN, SIM_INI_UP, SIM_INI_LOGOUT };

struct sim_ini {
    struct sim *sim;
    unsigned index;
    enum sim_ini_state state;
    struct sim_link *link;
    bool reject_ok; /* Reject PDUs are no violation */
    bool login_failed;
    uint32_t cmd_sn, exp_stat_sn, exp_cmd_sn, max_cmd_sn, itt;
    bool full_feature;
    uint16_t status; /* of the last Login Response */
    bool header_digest, data_digest;
    uint8_t *rx;
    size_t rx_len;
    struct list ops;       /* all of them, oldest first */
    unsigned open;         /* not done */
    struct sim_event work; /* load.c */
    uint32_t to_do;
};

enum sim_op_kind {
    SIM_OP_READ,
    SIM_OP_WRITE,
    SIM_OP_CAW,
    SIM_OP_CDB,
    SIM_OP_TMF,
    SIM_OP_NOP,
    SIM_OP_LOGOUT
};

/* Data-Out PDUs still to be sent: unsolicited ones, or what an R2T asked for. */
struct sim_burst {
    uint32_t ttt, off, len, data_sn;
};

enum { SIM_BURSTS = 8 };

struct sim_op {
    struct list node;
    struct sim_ini *ini;
    enum sim_op_kind kind;
    uint32_t itt, cmd_sn;
    uint32_t lba, n, version;
    uint8_t cdb[16];
    uint8_t *out, *in;
    uint32_t out_len, in_len, in_got, data_sn, r2t_sn;
    uint64_t start_step, start_ns;
    uint8_t attr;
    uint8_t function; /* TMF */
    uint32_t expect;  /* COMPARE AND WRITE */
    bool vanishes;    /* it may abort commands of others */
    bool wipe;        /* FORMAT UNIT, SANITIZE: goes on when it has ended */
    bool settle_late; /* ... and is settled, as `fate` says, when that has */
    enum sim_fate fate;
    bool pr_pending;   /* PERSISTENT RESERVE OUT that is counted in pr_open */
    uint64_t excludes; /* RESERVE for oneself: pr_sent when it was sent */
    struct sim_op *ref;
    struct sim_event tx;
    struct sim_burst bursts[SIM_BURSTS];
    unsigned burst_count;
    /* end */
    bool done, lost; /* lost: no answer will come */
    bool settled;    /* and the write can no longer take effect, as far as the model goes */
    uint8_t status, response;
    uint8_t sense[SCSI_SENSE_MAX];
    uint32_t sense_len;
};

struct sim_ini *sim_ini_new(struct sim *sim, unsigned index);
void sim_ini_free(struct sim_ini *ini);
/* Connect and log in; ini->state tells how it went. */
void sim_ini_login(struct sim_ini *ini);
/* The connection is gone. */
void sim_ini_down(struct sim_ini *ini);
void sim_ini_rx(struct sim_ini *ini, const uint8_t *bytes, size_t len);
void sim_ini_send(struct sim_ini *ini, uint8_t *bhs, const void *data, uint32_t len);
/* May a command be sent? */
bool sim_ini_ready(const struct sim_ini *ini);
/* Run until logged in; true if so. */
bool sim_ini_up(struct sim_ini *ini);

/* op.c: NULL if the initiator can not send it now. Ops live as long as the world. */
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
/* A wipe has ended: those that began it. */
void sim_wipes_settle(struct sim *sim);
struct sim_op *sim_tmf(struct sim_ini *ini, uint8_t function, struct sim_op *ref);
struct sim_op *sim_nop(struct sim_ini *ini);
struct sim_op *sim_logout(struct sim_ini *ini);
/* PERSISTENT RESERVE OUT. */
struct sim_op *sim_pr_out(struct sim_ini *ini, uint8_t action, uint8_t type, uint64_t key,
                          uint64_t new_key);
/* Sense key << 16 | ASC << 8 | ASCQ; 0 without sense. */
uint32_t sim_op_kaq(const struct sim_op *op);
bool sim_op_information(const struct sim_op *op, uint32_t *ret_info);
/* Run until it is done, or nothing happens any more; true if it is done and was not lost. */
bool sim_wait(struct sim *sim, struct sim_op *op);
/* Sends until there is no unit attention; true when GOOD came. */
bool sim_clear_ua(struct sim_ini *ini);
void sim_op_pdu(struct sim_ini *ini, const uint8_t *bhs, const uint8_t *data, uint32_t len);
void sim_op_end(struct sim_op *op);
/* The session is gone and a new one is there: what had no answer will not take effect. */
void sim_ops_settle(struct sim_ini *ini);
void sim_ops_lost(struct sim_ini *ini);

/* ---- load ---- */

/* Random work as the options say, then quiet, and all blocks read by both. */
void sim_load(struct sim *sim);
/* Read every block through this initiator. */
void sim_verify(struct sim_ini *ini);

#endif
