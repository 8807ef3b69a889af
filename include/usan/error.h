/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Codes, and what is known of a failure. See usan/usan.h. */
#ifndef USAN_ERROR_H
#define USAN_ERROR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define USAN_API       __attribute__((visibility("default")))
#define USAN_API_CHECK __attribute__((visibility("default"), warn_unused_result))

/* What functions return and results carry: 0, or one of these. */
enum usan_code {
    USAN_ERR_NOMEM = -1,       /* out of memory */
    USAN_ERR_INVAL = -2,       /* an argument is wrong; off or length is not in whole blocks */
    USAN_ERR_PROTO = -3,       /* the target broke the rules of the protocol */
    USAN_ERR_CLOSED = -4,      /* there is no session, or the device is gone */
    USAN_ERR_TIMEOUT = -5,     /* the target did not answer, or did not come back, in time */
    USAN_ERR_LIMIT = -6,       /* a limit is reached, such as the requests of a context */
    USAN_ERR_NOTSUP = -7,      /* the disk cannot do that */
    USAN_ERR_NOENT = -8,       /* no such host, target, unit, file or request */
    USAN_ERR_EXIST = -9,       /* it exists already */
    USAN_ERR_PERM = -10,       /* permission denied */
    USAN_ERR_BUSY = -11,       /* it is in use */
    USAN_ERR_IO = -12,         /* the disk or the network failed; the text says how */
    USAN_ERR_NOSPC = -13,      /* a thin disk has no space left */
    USAN_ERR_RANGE = -14,      /* past the end of the disk; a number is out of range */
    USAN_ERR_RDONLY = -15,     /* the disk is read-only */
    USAN_ERR_MISCOMPARE = -16, /* compare and write: the data was not equal, nothing is written */
    USAN_ERR_DIGEST = -17,     /* a checksum was wrong */
    USAN_ERR_AUTH = -18,       /* the target refuses our credentials, or has no good ones itself */
    USAN_ERR_CANCELED = -19,   /* by usan_cancel(), or by task management */
    USAN_ERR_AGAIN = -20,      /* not now; try again */
    USAN_ERR_CORRUPT = -21,    /* stored data is damaged */
    USAN_ERR_ADDRINUSE = -22   /* the address is in use */
};

/* What is known of one failure. Made by the library. */
struct usan_error {
    int code; /* USAN_ERR_...; 0: there is none */
    /* One line in words, for people: what was tried with whom, and why it failed: the reason of a
     * refused login, the meaning of sense data. Never NULL, without a newline. */
    const char *text;
    /* Of data: the first byte that is bad (IO) or differs (MISCOMPARE), from the start of the disk;
     * where the request began if that is not known. */
    uint64_t offset;
    int status;           /* SCSI status (SAM-6 5.3.1) of the command that failed; -1: none came */
    int has_sense;        /* the next three mean something */
    uint8_t key;          /* sense key, SPC-6 4.4 */
    uint8_t asc;          /* additional sense code */
    uint8_t ascq;         /* its qualifier */
    uint8_t unused;       /* 0 */
    const uint8_t *sense; /* sense data as it came, either format; NULL: none */
    size_t sense_len;     /* bytes of it */
};

/*
 * The last failure of this library in the calling thread: of a function that returned a code, or of
 * the request whose result is being handed to a callback of this thread. Never NULL. The struct and
 * what it points to stay as they are until the next failure in this thread.
 */
USAN_API const struct usan_error *usan_last_error(void);
/* The text of e; NULL: of usan_last_error(). Never NULL, "" if there was no failure. */
USAN_API const char *usan_error_text(const struct usan_error *e);
/* What a code means, a few words; static, never NULL. */
USAN_API const char *usan_code_text(int code);

/* Version of the library that runs: "0.1.0"; static. */
USAN_API const char *usan_version(void);

#ifdef __cplusplus
}
#endif

#endif
