/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disks: open, close, read, write and the like. See usan/usan.h. */
#ifndef USAN_DISK_H
#define USAN_DISK_H

#include <usan/ctx.h>

#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct usan_disk;
struct usan_scsi_result;
struct usan_target;

/* How a request ended. Everything is borrowed for the call. */
struct usan_result {
    uint64_t id;                         /* of the request */
    int code;                            /* 0 or USAN_ERR_... */
    const struct usan_error *error;      /* with code: what is known of it; else NULL */
    struct usan_disk *disk;              /* usan_open(): the caller's, until usan_close() */
    const struct usan_scsi_result *scsi; /* usan_scsi(): the answer; NULL if none came */
    const struct usan_target *targets;   /* usan_discover() */
    size_t target_count;
    int tmf_response; /* usan_tmf(): RESPONSE field, RFC 7143 11.6.1 */
};

/*
 * Called once for every request that was begun, whatever happens; never from inside the function
 * that begins it. It may call any function of the library but usan_ctx_free(), usan_ctx_process(),
 * usan_ctx_wait() and those of usan/sync.h.
 */
typedef void usan_done_fn(void *user, const struct usan_result *result);

/* ---- opening ---- */

enum usan_event {
    USAN_EVENT_LOST = 1,    /* a session was lost; requests wait while it is made again */
    USAN_EVENT_BACK = 2,    /* all sessions are there again */
    USAN_EVENT_GAVE_UP = 3, /* it did not come back in time: requests fail, it is tried further */
    USAN_EVENT_RESIZED = 4, /* usan_disk_info() tells the new size */
    USAN_EVENT_FAILED = 5,  /* it is another disk now: every request fails from here on */
    USAN_EVENT_PATH = 6     /* of a disk with several paths: what one of them does now */
};

/* why: one line, borrowed for the call. Called like a usan_done_fn, and may do the same. Several of
 * one kind may be told as one. */
typedef void usan_event_fn(void *user, struct usan_disk *disk, enum usan_event event,
                           const char *why);

enum { USAN_OPEN_READ_ONLY = 1 };

struct usan_open_options {
    size_t size;          /* sizeof(struct usan_open_options) */
    unsigned flags;       /* USAN_OPEN_... */
    unsigned channels;    /* 1 .. USAN_CHANNELS_MAX; 0: one. See usan_open() */
    usan_event_fn *event; /* NULL: nobody is told */
    void *event_user;
};

#define USAN_CHANNELS_MAX 64u

/*
 * Open a disk:
 *
 *   iscsi://[USER[%SECRET]@]HOST[:PORT]/TARGET/LUN[?KEY=VALUE&...]
 *   multipath:URL,HOST[:PORT],...[?KEY=VALUE&...]
 *   /path/of/a/file/or/device   ./file?direct=1   ram:64M   null:1T   stats+FILTERED
 *
 * (usan-serve(1) has all stores and filters, usan-discover(1) the keys of URLs). A thread of the
 * library looks names up, logs in and reads what the disk is like, so that the caller does not
 * wait; the result has the disk, or says why there is none.
 *
 * A disk has one channel or several: iSCSI sessions of their own, on the reactors in turn. Requests
 * go to them in turn. A write that was under way when a session was lost is done again, after which
 * overlapping writes of this disk may go; what others write to the same blocks meanwhile (another
 * usan_open(), another program) nobody here can know. Reservations hold for one channel only.
 *
 * spec and options are borrowed for the call. ret_id may be NULL. USAN_ERR_INVAL, USAN_ERR_NOMEM,
 * USAN_ERR_LIMIT: then done is not called.
 * In the result: USAN_ERR_INVAL (the specification is wrong), USAN_ERR_NOENT, USAN_ERR_AUTH,
 * USAN_ERR_TIMEOUT, USAN_ERR_PERM, USAN_ERR_AGAIN (no room for a thread), USAN_ERR_IO, ...; a URL's
 * secret stands in no text.
 */
USAN_API_CHECK int usan_open(struct usan_ctx *ctx, const char *spec,
                             const struct usan_open_options *options, usan_done_fn *done,
                             void *user, uint64_t *ret_id);
/*
 * Log out and close. Requests under way are waited for; none is begun any more. done (may be NULL)
 * is called when the last one is done and disk does not exist any more: at once, or a fifth of a
 * second later if a target does not answer the logout. Nothing is kept waiting for that.
 */
USAN_API void usan_close(struct usan_disk *disk, usan_done_fn *done, void *user);

/* ---- what it is like ---- */

enum usan_disk_flag {
    USAN_DISK_READ_ONLY = 1,
    USAN_DISK_ROTATIONAL = 2,
    USAN_DISK_FLUSH = 4,              /* writes need usan_flush() or USAN_FUA to be durable */
    USAN_DISK_FUA = 8,                /* USAN_FUA is done by the disk itself, without a flush */
    USAN_DISK_TRIM = 16,              /* usan_trim() is supported */
    USAN_DISK_TRIM_ZEROES = 32,       /* trimmed blocks read as zeroes */
    USAN_DISK_COMPARE_AND_WRITE = 64, /* usan_compare_and_write() is */
    USAN_DISK_SCSI = 128              /* usan_scsi() and usan_tmf() are */
};

struct usan_disk_info {
    size_t size;               /* in: sizeof(struct usan_disk_info) */
    uint64_t size_bytes;       /* of the disk */
    uint32_t block_bytes;      /* offsets and lengths are multiples of it; a power of two */
    uint32_t phys_block_bytes; /* the disk's preferred unit, >= block_bytes */
    uint32_t opt_io_bytes;     /* best length of a request; 0: not stated */
    uint32_t trim_bytes;       /* granularity of usan_trim(); 0: not supported */
    unsigned flags;            /* USAN_DISK_... */
    unsigned channels;         /* see usan_open() */
    /* What an iSCSI unit says of itself, else empty: INQUIRY, SPC-6 6.7.2; VPD pages 80h and 83h */
    char vendor[16], product[24], revision[8], serial[80];
    char id[80]; /* "naa.600...", the same on every path to the unit */
};

/* Fill in what fits in info->size. USAN_ERR_INVAL: info->size is no size of such a struct. */
USAN_API int usan_disk_info(const struct usan_disk *disk, struct usan_disk_info *info);
/* Bytes of the disk now. */
USAN_API uint64_t usan_disk_size(const struct usan_disk *disk);
/* The context it was opened in. */
USAN_API struct usan_ctx *usan_disk_ctx(const struct usan_disk *disk);

/* ---- requests ----
 *
 * off and the length (the sum of the iovecs) are in bytes and whole blocks of the disk. The array
 * of iovecs is copied; the memory it points to is borrowed until done is called, for the data goes
 * there from the network or comes from there directly. A request of any length is one request; the
 * library cuts it if need be. Requests that are under way at the same time may be carried out in
 * any order; those that overlap leave each block as one of them has written it.
 *
 * done must not be NULL. ret_id may be; it is for usan_cancel(). Return 0, and then done is called;
 * or USAN_ERR_INVAL (arguments), USAN_ERR_CLOSED (usan_close() was called), USAN_ERR_NOMEM,
 * USAN_ERR_LIMIT (requests_max): then done is not called. Codes in the result: see enum usan_code.
 */

enum {
    USAN_FUA = 1,       /* durable when done; write, write zeroes, trim, compare and write */
    USAN_DONTCACHE = 2, /* the data is not worth caching; read, write */
    USAN_MAY_TRIM = 4,  /* write zeroes: blocks may be deallocated */
    USAN_FAST_ZERO = 8  /* write zeroes: rather USAN_ERR_NOTSUP than writing zeroes */
};

#define USAN_IOV_MAX 1024

USAN_API_CHECK int usan_read(struct usan_disk *disk, const struct iovec *iov, int iovcnt,
                             uint64_t off, unsigned flags, usan_done_fn *done, void *user,
                             uint64_t *ret_id);
USAN_API_CHECK int usan_write(struct usan_disk *disk, const struct iovec *iov, int iovcnt,
                              uint64_t off, unsigned flags, usan_done_fn *done, void *user,
                              uint64_t *ret_id);
/* All writes that are done become durable. */
USAN_API_CHECK int usan_flush(struct usan_disk *disk, usan_done_fn *done, void *user,
                              uint64_t *ret_id);
/* The content is not needed any more: it becomes zero (USAN_DISK_TRIM_ZEROES) or undefined. In the
 * result USAN_ERR_NOTSUP without USAN_DISK_TRIM. */
USAN_API_CHECK int usan_trim(struct usan_disk *disk, uint64_t off, uint64_t len, unsigned flags,
                             usan_done_fn *done, void *user, uint64_t *ret_id);
USAN_API_CHECK int usan_write_zeroes(struct usan_disk *disk, uint64_t off, uint64_t len,
                                     unsigned flags, usan_done_fn *done, void *user,
                                     uint64_t *ret_id);
/*
 * Atomically (SBC-4 5.3): if the blocks at off hold the first half of the iovecs' bytes, write the
 * second half there; else USAN_ERR_MISCOMPARE, and error->offset is the first byte that differs.
 * USAN_ERR_NOTSUP: the disk cannot, or not so many blocks at a time. Is never sent twice, so a lost
 * session may leave it unknown whether it was done (USAN_ERR_CLOSED and the like).
 */
USAN_API_CHECK int usan_compare_and_write(struct usan_disk *disk, const struct iovec *iov,
                                          int iovcnt, uint64_t off, unsigned flags,
                                          usan_done_fn *done, void *user, uint64_t *ret_id);

/*
 * Ask that a request ends soon. Its done function is called once in any case: with
 * USAN_ERR_CANCELED if it was ended early (a write may or may not have been carried out), or with
 * its own result. What waits in the library ends at once; for a command that is with an iSCSI
 * target ABORT TASK is sent, also if filters stand in front of it, as soon as they have let the
 * request through; a request to a file or to memory is not stopped. From any thread that may use
 * the context. USAN_ERR_NOENT: it is done, or there never was such a request.
 */
USAN_API int usan_cancel(struct usan_ctx *ctx, uint64_t id);

#ifdef __cplusplus
}
#endif

#endif
