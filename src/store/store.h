/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stores: what a LUN's blocks are kept in. Back ends (null, ram, file, ...) and filters (stats,
 * ratelimit, delay, ...) implement the same struct store_ops; a filter holds the store below it.
 *
 * store.c is the only caller of the ops: it checks range, alignment and capability, emulates what
 * a back end lacks and collects completions. Everybody else uses the functions of this header.
 *
 * Threads: a store is opened once; each reactor opens its own channel and submits on that only.
 */
#ifndef USAN_STORE_STORE_H
#define USAN_STORE_STORE_H

#include "base/bio.h"
#include "base/err.h"
#include "io/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct store;
struct store_channel;
struct store_emu;

/* What a store can do; filled by open. Only size_bytes changes later: by store_resize(), or by
 * itself (STORE_NEWS_SIZE). */
struct store_info {
    uint64_t size_bytes;
    uint32_t block_bytes;      /* smallest unit of I/O the back end accepts (power of two) */
    uint32_t phys_block_bytes; /* preferred unit; >= block_bytes */
    uint32_t opt_io_bytes;     /* optimal transfer size; 0 = not stated */
    uint32_t unmap_gran_bytes; /* unmap granularity; 0 = unmap is not supported */
    uint64_t max_io_bytes;     /* longest READ or WRITE; 0 = no limit */
    bool unmap_zeroes;         /* unmapped ranges read as zeroes */
    bool volatile_cache;       /* completed writes need FLUSH or FUA to be durable */
    bool rotational;
    bool read_only;
    bool can_map_status;        /* else everything counts as mapped */
    bool can_write_zeroes;      /* else store.c writes zeroes, also when it answers ENOTSUP */
    bool can_fua;               /* honours BIO_F_FUA, else store.c flushes after the request */
    bool can_compare_and_write; /* natively atomic, also between nodes */
    bool can_lend;              /* honours BIO_F_LEND */
    bool can_grant;             /* has a write_grant op */
};

/* Space accounting of a thin store, for thresholds and LOG SENSE. */
struct store_space {
    uint64_t used_bytes;
    uint64_t avail_bytes; /* in the pool behind it; UINT64_MAX = unknown */
};

/* key=value options of a store specification, e.g. "file:/x?direct=1" or "ram:64M". */
struct store_opt {
    const char *key;
    const char *value;
};

/* One option a back end understands; for parsing, help text and man pages. */
struct store_opt_desc {
    const char *key;
    const char *type; /* "size", "bool", "uint", "text", "time", "ratio" (0 to 1); see opt.h */
    const char *def;  /* as if it had been given; "" = the help text says */
    const char *help;
};

struct store_open {
    const char *target; /* what stands after "name:", e.g. a path or a size; borrowed */
    const struct store_opt *opts;
    size_t opt_count;
    bool read_only;
    struct store *lower; /* filters only: the store below; transferred on success */
};

/*
 * What a back end or filter provides. Instances embed struct store (and struct store_channel) as
 * their first member.
 */
struct store_ops {
    size_t struct_bytes; /* sizeof(struct store_ops) when compiled */
    const char *name;
    const char *help;                  /* one line */
    const struct store_opt_desc *opts; /* ends with key == NULL */
    bool is_filter;
    bool raw_target; /* %HH in the target is for open to replace: it is a URL */

    /* optional. What can be said of the target and the values of the options without touching
     * anything; they were checked against the table. how->lower is not set. Comes before open. */
    int (*check)(const struct store_open *how, struct err_text *e);
    /* required. Fills ret_store->info. */
    int (*open)(const struct store_open *how, struct store **ret_store, struct err_text *e);
    /* required. All channels are closed by then. A filter closes its lower store. */
    void (*close)(struct store *s);
    /* required. A filter opens a channel of its lower store too. */
    int (*channel_open)(struct store *s, struct loop *loop, struct store_channel **ret_ch);
    /* required. Nothing is in flight any more. */
    void (*channel_close)(struct store_channel *ch);
    /* required. Start the request. Complete it with store_complete(), now or later. */
    void (*submit)(struct store_channel *ch, struct bio *bio);
    /* optional: end a request soon, as store_cancel(). bio was submitted and is not handed back; it
     * may have been completed. */
    int (*cancel)(struct store_channel *ch, struct bio *bio);

    /* optional: the memory lent with this bio is no longer read by anyone. The bio may be a copy
     * of the one that was submitted (a filter made it); it has the same off, len, iov, iovcnt,
     * lent and store_priv. The same goes for write_revoke and the WRITE of a grant. */
    void (*lend_end)(struct store_channel *ch, struct bio *bio);
    /* optional: hand out memory in which the payload of a WRITE of [bio->off, +len) can be
     * built, so that the write needs no copy. Sets iov/iovcnt and bio->lent. Returns 0, or
     * USAN_E... when the caller has to use memory of its own. */
    int (*write_grant)(struct store_channel *ch, struct bio *bio);
    /* optional: give granted memory back without writing. */
    void (*write_revoke)(struct store_channel *ch, struct bio *bio);
    /* optional: change the size; updates info. */
    int (*resize)(struct store *s, uint64_t size_bytes, struct err_text *e);
    /* optional */
    void (*space)(struct store *s, struct store_space *ret_space);
    /* optional: counters as "key value" lines for metrics and logs */
    void (*stats)(struct store *s, FILE *out);
};

/* What a store has to tell by itself. */
enum store_news {
    STORE_NEWS_SIZE, /* info.size_bytes is another one, without store_resize() */
    STORE_NEWS_TEXT, /* something for the log: one line */
};

/* Who wants to know; embedded by the owner of a store. */
struct store_watcher {
    /* On the thread of any loop that has a channel of the store. text is borrowed, NULL with SIZE.
     */
    void (*news)(struct store_watcher *w, enum store_news what, const char *text);
    struct store *top; /* kept by store.c */
};

struct store {
    const struct store_ops *ops;
    struct store_info info;
    struct store *lower; /* NULL for a back end */
    struct store_watcher *watcher;
};

struct store_channel {
    const struct store_ops *ops;
    struct store *store;
    struct loop *loop;
    struct store_channel *lower; /* set by channel_open of a filter; NULL for a back end */

    /* kept by store.c */
    uint32_t in_flight;         /* bios submitted and not yet handed back */
    uint32_t held;              /* lends and grants that are not given back */
    struct list done;           /* bios completed, not yet handed back */
    struct loop_work done_work; /* queued while `done` is not empty */
    struct store_emu *spare;    /* records for emulated requests */
};

/* Every back end and filter that is built in; ends with NULL. */
extern const struct store_ops *const store_registry[];
/* Add a back end or filter that a program brings along, before it opens the first store and while
 * it has one thread. USAN_ELIMIT: there are STORE_ADDED_MAX; USAN_EEXIST: the name is taken. */
enum { STORE_ADDED_MAX = 8 };
USAN_MUST_CHECK
int store_registry_add(const struct store_ops *ops);
/* All of them, those that were added last; NULL at the end. */
const struct store_ops *store_registry_at(size_t i);
const struct store_ops *store_find_ops(const char *name);

/*
 * Open a store from its specification: FILTER,...+BACKEND:TARGET?key=value&key=value
 *
 *   /path/to/disk.img          a file or block device ("file:" is implied)
 *   ram:1G   null:10T          memory, nothing
 *   ratelimit(iops=1000)+stats+file:/x?direct=1
 *
 * The result is closed with store_close. On failure e says which part is wrong and why.
 */
USAN_MUST_CHECK
int store_open_spec(const char *spec, bool read_only, struct store **ret_store, struct err_text *e);
/* The same mistakes found without opening anything: names, syntax, options and their values, sizes.
 * What then is left for opening to find is how things are: files, devices, networks, memory. */
USAN_MUST_CHECK
int store_check_spec(const char *spec, struct err_text *e);
/* The file or device that is served; false when the back end is another one or the specification is
 * wrong. */
struct store_spec_file {
    char path[4096];
    bool locked; /* others are kept off */
};
bool store_spec_file(const char *spec, struct store_spec_file *ret);
/* The specification for logs and messages, cut when it is too long: without what stands between %
 * and
 * @ in a URL, and without the values of options whose names end in "password". Use as
 * store_spec_text(x).s inside the call. */
struct store_spec_text {
    char s[256];
};
struct store_spec_text store_spec_text(const char *spec);
/* Target and options of one back end or filter, as store_check_spec(). */
USAN_MUST_CHECK
int store_check_one(const struct store_ops *ops, const struct store_open *how, struct err_text *e);
/* Open one back end or filter, after store_check_one(). */
USAN_MUST_CHECK
int store_open_one(const struct store_ops *ops, const struct store_open *how,
                   struct store **ret_store, struct err_text *e);
/* All channels are closed. s may be NULL. */
void store_close(struct store *s);

USAN_MUST_CHECK
int store_channel_open(struct store *s, struct loop *loop, struct store_channel **ret_ch);
/* Asserts that nothing is in flight, lent or granted. ch may be NULL. */
void store_channel_close(struct store_channel *ch);

/*
 * Start a request; bio->done is called later from the channel's loop (never from in here), once,
 * whatever happens. Fields that are not set for the request are zero.
 *
 * bio->err: 0, or ERANGE (past the end), EINVAL (not in whole blocks, or longer than
 * max_io_bytes), ERDONLY, ENOTSUP (the store cannot do it, or not fast), ENOSPC, EIO (see err_off),
 * EMISCOMPARE (likewise), ENOMEM, ECLOSED (the device is gone).
 *
 * A READ with iovcnt 0 and BIO_F_LEND is answered in memory of the store when info.can_lend (else
 * it fails with ENOTSUP): on done, iov/iovcnt describe it and the submitter must call
 * store_lend_end(), and leaves the bio and its iovecs as they are until then. The memory does not
 * change while it is lent.
 *
 * A WRITE whose iov came from store_write_grant() consumes the grant, also when it fails. It has
 * the off, len, iov and iovcnt of the grant.
 */
void store_submit(struct store_channel *ch, struct bio *bio);
/*
 * Ask that a request ends soon: one that was submitted on this channel, and whose done was not
 * called. done is called once in any case, with USAN_ECANCELED if the request was ended early (a
 * write may or may not have been carried out), or with its own result; never from in here. 0: it
 * was asked for, or the request is ending anyway. USAN_EAGAIN: not now, ask again; a filter still
 * holds it, or there are too many cancellations. USAN_ENOTSUP: the store, or one that a filter
 * stands on, carries everything out that it has begun.
 */
USAN_MUST_CHECK
int store_cancel(struct store_channel *ch, struct bio *bio);
/* Does nothing for a READ that failed or was empty. */
void store_lend_end(struct store_channel *ch, struct bio *bio);
/* ENOTSUP when the range does not suit, ENOMEM; both mean: use other memory. */
USAN_MUST_CHECK
int store_write_grant(struct store_channel *ch, struct bio *bio);
void store_write_revoke(struct store_channel *ch, struct bio *bio);

/* Be told what the store, and those below it, have to tell; before the first channel is opened. w
 * stays in place as long as the store. */
void store_watch(struct store *s, struct store_watcher *w);

USAN_MUST_CHECK
int store_resize(struct store *s, uint64_t size_bytes, struct err_text *e);
/* Of the back end at the bottom, or of the first filter that keeps account of its own. */
void store_space(struct store *s, struct store_space *ret_space);
/* Lines "name.key value" of every layer that counts, topmost first. */
void store_stats(struct store *s, FILE *out);
/* The same for a log: a call for each group of them, as what = "stats.read" and
 * values = "ops=5 bytes=20480". Nothing without memory. */
void store_report(struct store *s, void (*line)(void *arg, const char *what, const char *values),
                  void *arg);

/* For back ends and filters. With SIZE the new size stands in s->info already; stores above s that
 * do not care about sizes get it as well. */
void store_tell(struct store *s, enum store_news what, const char *text);
/* For back ends: the request is finished (bio->err set). May be called from inside submit. */
void store_complete(struct store_channel *ch, struct bio *bio, int err);

#endif
