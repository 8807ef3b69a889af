/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Error codes of the whole project. Functions return 0 or one of these (negative).
 *
 * One X-macro list holds codes and texts, so they cannot drift apart. What a peer is told
 * (SCSI sense, iSCSI reject reason, login status) is never one of these: it is data in an event.
 */
#ifndef USAN_BASE_ERR_H
#define USAN_BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>

#define USAN_ERR_LIST(X)                                                                           \
    X(NOMEM, 1, "out of memory")                                                                   \
    X(INVAL, 2, "invalid argument")                                                                \
    X(PROTO, 3, "protocol error by the peer")                                                      \
    X(CLOSED, 4, "closed")                                                                         \
    X(TIMEOUT, 5, "timed out")                                                                     \
    X(LIMIT, 6, "a configured limit is reached")                                                   \
    X(NOTSUP, 7, "not supported")                                                                  \
    X(NOENT, 8, "not found")                                                                       \
    X(EXIST, 9, "already exists")                                                                  \
    X(PERM, 10, "permission denied")                                                               \
    X(BUSY, 11, "busy")                                                                            \
    X(IO, 12, "input/output error")                                                                \
    X(NOSPC, 13, "no space left")                                                                  \
    X(RANGE, 14, "out of range")                                                                   \
    X(RDONLY, 15, "read-only")                                                                     \
    X(MISCOMPARE, 16, "data does not compare equal")                                               \
    X(DIGEST, 17, "digest mismatch")                                                               \
    X(AUTH, 18, "authentication failed")                                                           \
    X(CANCELED, 19, "canceled")                                                                    \
    X(AGAIN, 20, "not ready yet")                                                                  \
    X(CORRUPT, 21, "stored data is damaged")                                                       \
    X(ADDRINUSE, 22, "address already in use")

enum usan_err {
    USAN_OK = 0,
#define X(name, num, text) USAN_E##name = -(num),
    USAN_ERR_LIST(X)
#undef X
};

/* Text of a code; a static string, never NULL. */
const char *usan_strerror(int err);

/* The code that fits an errno value (positive). EIO for what has no better one. */
int usan_err_from_errno(int errnum);

/*
 * Detail for humans, owned by the caller. Each layer that passes an error on may prefix it
 * ("open /x: permission denied"). An empty text means nothing was said.
 */
struct err_text {
    char text[256];
};

/* Set the text and return code, so that `return err_set(e, USAN_EINVAL, "...")` reads well.
 * e may be NULL. */
__attribute__((format(printf, 3, 4))) int err_set(struct err_text *e, int code, const char *fmt,
                                                  ...);
/* Put "prefix: " in front of what is already there. e may be NULL. */
__attribute__((format(printf, 2, 3))) void err_prefix(struct err_text *e, const char *fmt, ...);

#define USAN_MUST_CHECK __attribute__((warn_unused_result))

#endif
