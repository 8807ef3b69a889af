/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside libusan. Each row uses rows above it only:
 *
 *   error.c              failures in words, the last one of each thread
 *   ctx.c                contexts, reactors, who calls back where
 *   request.c            the table of requests: begun, found by id, finished, cancelled
 *   disk.c               channels of a disk, closing, events
 *   job.c                what blocks, in threads: opening (open.c), discovery (discover.c)
 *   io.c, command.c      requests for stores; SCSI commands and task management
 *   sync.c               the same for callers that wait
 *
 * Threads. A request, a channel and a job belong to one reactor; what is marked [lock] may be
 * touched by any thread under usan_ctx.lock, which is a leaf: no function of a lower layer is
 * called under it. In mode USAN_LOOP there is one thread and the lock is not taken.
 */
#ifndef USAN_LIB_LIB_H
#define USAN_LIB_LIB_H

#include "initiator/session_task.h"
#include "io/thread.h"
#include "store/store.h"

#include <usan/usan.h>

#include <pthread.h>
#include <stdatomic.h>

/* ---- error.c ---- */

/* A failure with all it points to. */
struct failure {
    struct usan_error e;
    char text[384];
    uint8_t sense[USAN_SENSE_MAX];
};

/* Code and text; the rest says that nothing is known. */
__attribute__((format(printf, 3, 4))) void failure_set(struct failure *f, int code, const char *fmt,
                                                       ...);
/* What a command ended with: status and sense data. */
void failure_set_command(struct failure *f, const struct iscsi_icmd *cmd);
void failure_copy(struct failure *to, const struct failure *from);
/* The last one of this thread. */
struct failure *failure_last(void);
/* failure_set() of it; returns code. */
__attribute__((format(printf, 2, 3))) int fail(int code, const char *fmt, ...);

/* ---- ctx.c ---- */

/* Something the caller is told, on the thread of its callbacks. */
struct notice {
    struct list node;
    void (*deliver)(struct notice *n);
};

struct reactor {
    struct usan_ctx *ctx;
    struct loop *loop;
    struct thread thread; /* not in mode USAN_LOOP */
    struct loop_msg stop_msg;
    struct list again; /* request.again_node: cancellations the session had no room for */
    struct loop_timer again_timer;
};

enum { REQUEST_CHUNK = 64, REQUESTS_DEFAULT = 65536 };

struct usan_ctx {
    enum usan_mode mode;
    unsigned reactor_count;
    struct reactor *reactors;
    int notice_fd; /* mode USAN_QUEUE: eventfd, written when notices are no longer none; else -1 */
    /* mode USAN_LOOP */
    bool inside;   /* usan_ctx_process() */
    int delivered; /* callbacks that it has called */

    pthread_mutex_t lock;
    pthread_cond_t idle;         /* [lock] jobs is 0 */
    struct list notices;         /* [lock] mode USAN_QUEUE */
    unsigned notice_count;       /* [lock] */
    unsigned disks;              /* [lock] open */
    unsigned jobs;               /* [lock] under way */
    unsigned next_reactor;       /* [lock] of the next disk's first channel */
    struct request **chunks;     /* [lock] REQUEST_CHUNK each */
    unsigned chunk_count;        /* [lock] */
    struct request *spare;       /* [lock] */
    unsigned busy, requests_max; /* [lock] requests: taken; at most */
};

static inline void ctx_lock(struct usan_ctx *ctx)
{
    if (ctx->mode != USAN_LOOP)
        (void)pthread_mutex_lock(&ctx->lock);
}

static inline void ctx_unlock(struct usan_ctx *ctx)
{
    if (ctx->mode != USAN_LOOP)
        (void)pthread_mutex_unlock(&ctx->lock);
}

/* The calling thread works for this reactor now; NULL: for none. */
struct reactor *reactor_here(void);
/* Is the calling thread inside of a callback, or may be, of this context? */
bool ctx_is_inside(const struct usan_ctx *ctx);
/* Hand n to the caller: at once, or on the thread of its callbacks. On a reactor's thread. */
void ctx_notify(struct usan_ctx *ctx, struct notice *n);
/* [lock] mode USAN_QUEUE: the same, and undo it; false: it is being delivered, or was not there. */
void notice_push(struct usan_ctx *ctx, struct notice *n);
bool notice_take_back(struct usan_ctx *ctx, struct notice *n);

/* ---- request.c ---- */

enum request_kind { REQUEST_IO, REQUEST_COMMAND, REQUEST_TMF, REQUEST_JOB, REQUEST_CLOSE };

enum { REQUEST_IOV = 4 };

struct request {
    struct loop_msg start_msg, cancel_msg;
    struct notice notice;
    struct list again_node;
    struct usan_ctx *ctx;
    struct reactor *reactor;
    uint32_t index, generation;
    enum request_kind kind;
    bool taken;     /* [lock] its done function has not returned */
    bool canceling; /* [lock] usan_cancel() was called */
    bool finished;  /* code is the result */
    bool direct;    /* done is called on the reactor's thread in every mode */
    unsigned holds; /* [lock] by its life, and by a cancellation */
    struct request *next_spare;

    usan_done_fn *done;
    void *user;
    struct usan_disk *disk; /* NULL: REQUEST_JOB */
    struct channel *channel;
    int code;
    struct failure *failure; /* NULL: nothing but the code is known */

    struct bio bio; /* REQUEST_IO */
    struct iovec iov[REQUEST_IOV];
    struct iovec *more; /* for more iovecs; kept */
    int more_cap;
    void *extra; /* struct command, struct management, struct job */
    /* of the result */
    struct usan_disk *opened;
    const struct usan_scsi_result *scsi;
    const struct usan_target *targets;
    size_t target_count;
    int tmf_response;
};

/* What a request is begun with. */
struct begin {
    enum request_kind kind;
    usan_done_fn *done;
    void *user;
    uint64_t *ret_id;
    bool direct;
};

/* Take a request of a disk (its next channel, or the first for what is not REQUEST_IO), or of the
 * context. Codes as in usan/disk.h, with the failure set. */
USAN_MUST_CHECK
int request_begin(struct usan_ctx *ctx, struct usan_disk *disk, const struct begin *b,
                  struct request **ret_request);
/* It was begun and is not to be: nobody is told. */
void request_withdraw(struct request *r);
/* Start it on its reactor. */
void request_start(struct request *r);
/* The result is there. On its reactor's thread, not from inside request_start(). */
void request_finish(struct request *r, int code);
/* The same from inside request_start(). */
void request_finish_later(struct request *r, int code);
/* Put r->failure in place; NULL when out of memory. */
struct failure *request_failure(struct request *r);
void requests_init(struct reactor *r);
void requests_fini(struct usan_ctx *ctx);

/* ---- disk.c ---- */

enum { BADS = 8 };

/* Why a request of the store failed; kept until the request itself is over. */
struct bad {
    const struct bio *bio;
    uint64_t off;
    struct failure failure; /* code 0: none */
};

struct channel {
    struct usan_disk *disk;
    struct reactor *reactor;
    struct store_channel *ch;
    struct store_channel *iscsi; /* ch, or what is below it; NULL: no iSCSI */
    struct store_channel *mpath; /* likewise, several paths */
    bool lost;
    struct bad *bads; /* BADS of them, from the first failure on */
    unsigned next_bad;
};

struct usan_disk {
    struct usan_ctx *ctx;
    struct store *store;
    struct store *iscsi; /* store, or what is below it; NULL: no iSCSI */
    struct store *mpath; /* likewise, several paths */
    struct store_watcher watcher;
    bool own_ctx;
    bool counted; /* in usan_ctx.disks */
    char *name;   /* of the specification, without secrets */
    unsigned channel_count;
    struct channel *channels;
    usan_event_fn *event;
    void *event_user;
    atomic_uint lost;   /* channels */
    atomic_bool failed; /* and told */
    atomic_bool known;  /* the caller has it: events may be told */

    bool closing;          /* [lock] */
    unsigned in_flight;    /* [lock] */
    unsigned next_channel; /* [lock] */
    struct request close;  /* not in the table */

    struct notice event_notice; /* [lock] mode USAN_QUEUE; counts as a request while it is there */
    unsigned events;            /* [lock] bit n: enum usan_event n is to be told */
    char why[256];              /* [lock] */

    /* going from channel to channel, each on its reactor */
    struct loop_msg walk_msg;
    unsigned walk_at;
    int walk_err;
    void (*opened)(struct usan_disk *disk, int err, void *arg);
    void *opened_arg;
};

/* Make a disk of the store (taken over in any case) and open its channels; opened() is called on
 * the thread of the context's first reactor. With an error there is no disk any more. USAN_ENOMEM:
 * it is not called. */
USAN_MUST_CHECK
int disk_open_channels(struct usan_ctx *ctx, struct store *store, const char *spec,
                       const struct usan_open_options *options,
                       void (*opened)(struct usan_disk *disk, int err, void *arg), void *arg);
/* A request of it is over; [lock] is not held. */
void disk_request_over(struct usan_disk *disk);
/* What is known of the failure of this bio, to be used up; NULL: nothing. */
const struct failure *channel_take_bad(struct channel *c, const struct bio *bio);
void disk_close(struct usan_disk *disk, usan_done_fn *done, void *user, bool direct);

/* ---- job.c ---- */

/* Something that blocks, in a thread of its own. Embedded. */
struct job {
    struct usan_ctx *ctx;
    struct request *request; /* NULL: cancelled. Of the context's first reactor */
    struct thread thread;
    struct loop_msg msg;
    void (*work)(struct job *job); /* in the thread */
    /* instead, on the first reactor: there is no thread */
    void (*failed)(struct job *job, int err, const struct err_text *e);
    void (*over)(struct job *job); /* then, on the first reactor */
};

/* Start it for a request, which takes it as its extra. */
void job_start(struct job *job, struct usan_ctx *ctx, struct request *request);
/* The last thing: the caller frees it. */
void job_end(struct job *job);

/* ---- io.c, command.c: on the reactor ---- */
void io_start(struct request *r);
void command_start(struct request *r);
void management_start(struct request *r);
/* USAN_EAGAIN: later. */
USAN_MUST_CHECK
int command_cancel(struct request *r);
/* Free extra. */
void command_over(struct request *r);

/* A request of usan/disk.h. */
struct io {
    enum bio_op op;
    unsigned flags; /* USAN_FUA, ... */
    const struct iovec *iov;
    int iovcnt;
    uint64_t off, len; /* len: only without iovecs */
};

/* What the functions that wait use as well. */
USAN_MUST_CHECK
int io_begin(struct usan_disk *disk, const struct io *io, const struct begin *b);
USAN_MUST_CHECK
int command_begin(struct usan_disk *disk, const struct usan_scsi *command, const struct begin *b);
USAN_MUST_CHECK
int management_begin(struct usan_disk *disk, enum usan_tmf function, const struct begin *b);
USAN_MUST_CHECK
int open_begin(struct usan_ctx *ctx, const char *spec, const struct usan_open_options *options,
               const struct begin *b);

#endif
