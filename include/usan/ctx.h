/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Contexts: where the work of the library is done. See usan/usan.h. */
#ifndef USAN_CTX_H
#define USAN_CTX_H

#include <usan/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct usan_ctx;

enum usan_mode {
    /* In the caller's loop: one descriptor and one deadline to watch. No thread works for it but
     * those that open disks. All callbacks come from inside usan_ctx_process(). */
    USAN_LOOP = 0,
    /* In threads of the library. The callbacks come from inside usan_ctx_process() of the caller,
     * who watches one descriptor. */
    USAN_QUEUE = 1,
    /* In threads of the library; the callbacks come on these threads. They must not block. */
    USAN_REACTORS = 2
};

enum usan_engine {
    USAN_ENGINE_AUTO = 0, /* USAN_LOOP: epoll; else io_uring where it can be used */
    USAN_ENGINE_URING = 1,
    USAN_ENGINE_EPOLL = 2
};

struct usan_ctx_options {
    size_t size;             /* sizeof(struct usan_ctx_options) */
    enum usan_mode mode;     /* who does the work */
    unsigned reactors;       /* threads of the library, up to USAN_REACTORS_MAX; 0: one */
    enum usan_engine engine; /* USAN_LOOP: not URING */
    unsigned requests_max;   /* requests under way at a time; 0: 65536 */
};

#define USAN_REACTORS_MAX 256u
#define USAN_NEVER        UINT64_MAX

/*
 * Make a context. options is borrowed for the call; NULL: USAN_LOOP with all its defaults.
 * USAN_ERR_INVAL, USAN_ERR_RANGE; USAN_ERR_NOTSUP, USAN_ERR_PERM: the engine cannot be used here;
 * USAN_ERR_NOMEM, USAN_ERR_AGAIN: no room for another thread.
 */
USAN_API_CHECK int usan_ctx_new(const struct usan_ctx_options *options, struct usan_ctx **ret_ctx);
/*
 * End it; waits for threads of it, also for those of opens that were cancelled. Not from inside a
 * callback. ctx may be NULL. USAN_ERR_BUSY: a disk of it is open, or a request under way; nothing
 * has happened then.
 */
USAN_API int usan_ctx_free(struct usan_ctx *ctx);

/* The descriptor that becomes readable when usan_ctx_process() has something to do. The same as
 * long as the context lives; the caller polls it and does nothing else with it. -1 in mode
 * USAN_REACTORS. */
USAN_API int usan_ctx_fd(const struct usan_ctx *ctx);
/* When usan_ctx_process() is to be called although the descriptor is not readable: nanoseconds of
 * CLOCK_MONOTONIC, 0: now, USAN_NEVER. Changes only within usan_ctx_process(). */
USAN_API uint64_t usan_ctx_deadline(const struct usan_ctx *ctx);
/* The same as milliseconds from now, rounded up: the argument of poll(); -1: never. */
USAN_API int usan_ctx_timeout_ms(const struct usan_ctx *ctx);
/*
 * Do what there is to do, without waiting. Returns how many callbacks were called, >= 0, or
 * USAN_ERR_INVAL: from inside a callback, or in mode USAN_REACTORS.
 */
USAN_API int usan_ctx_process(struct usan_ctx *ctx);
/* Wait at most timeout_ms (-1: without end) for something to do, and do it; as
 * usan_ctx_process(). A signal ends the wait. */
USAN_API int usan_ctx_wait(struct usan_ctx *ctx, int timeout_ms);

#ifdef __cplusplus
}
#endif

#endif
