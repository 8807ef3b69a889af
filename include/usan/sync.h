/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The same for callers that wait. Each function begins the request of the same name in
 * usan/disk.h or usan/scsi.h, waits for it and returns its code; usan_last_error() has the rest.
 *
 * In mode USAN_LOOP they process the context meanwhile: callbacks of other requests are called. In
 * the other modes the library's threads do the work, and several threads may wait at a time. From
 * inside a callback they return USAN_ERR_INVAL.
 */
#ifndef USAN_SYNC_H
#define USAN_SYNC_H

#include <usan/scsi.h>

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ctx NULL: the disk gets a context of its own, mode USAN_REACTORS with one thread, which
 * usan_close_wait() ends. */
USAN_API_CHECK int usan_open_wait(struct usan_ctx *ctx, const char *spec,
                                  const struct usan_open_options *options,
                                  struct usan_disk **ret_disk);
/* disk may be NULL. A disk with a context of its own is closed with this one. Does nothing from
 * inside a callback. */
USAN_API void usan_close_wait(struct usan_disk *disk);

/* All of len bytes or an error. buf is the caller's; no copy is made. */
USAN_API_CHECK int usan_pread(struct usan_disk *disk, void *buf, size_t len, uint64_t off);
USAN_API_CHECK int usan_pwrite(struct usan_disk *disk, const void *buf, size_t len, uint64_t off,
                               unsigned flags);
USAN_API_CHECK int usan_preadv(struct usan_disk *disk, const struct iovec *iov, int iovcnt,
                               uint64_t off);
USAN_API_CHECK int usan_pwritev(struct usan_disk *disk, const struct iovec *iov, int iovcnt,
                                uint64_t off, unsigned flags);
USAN_API_CHECK int usan_pflush(struct usan_disk *disk);
USAN_API_CHECK int usan_ptrim(struct usan_disk *disk, uint64_t off, uint64_t len, unsigned flags);
USAN_API_CHECK int usan_pwrite_zeroes(struct usan_disk *disk, uint64_t off, uint64_t len,
                                      unsigned flags);
/* compare and write have len bytes each. */
USAN_API_CHECK int usan_pcompare_and_write(struct usan_disk *disk, const void *compare,
                                           const void *write, size_t len, uint64_t off,
                                           unsigned flags);
/* Bytes of data-in that came, >= 0, or a code; status and sense data are in usan_last_error(). */
USAN_API_CHECK ssize_t usan_scsi_wait(struct usan_disk *disk, const struct usan_scsi *command);
USAN_API_CHECK int usan_tmf_wait(struct usan_disk *disk, enum usan_tmf function);

/* A list of targets, for usan_targets_free(). */
struct usan_targets {
    const struct usan_target *targets;
    size_t count;
};

/* Needs no context: the calling thread does it. */
USAN_API_CHECK int usan_discover_wait(const char *url, struct usan_targets **ret_targets);
/* targets may be NULL. */
USAN_API void usan_targets_free(struct usan_targets *targets);

#ifdef __cplusplus
}
#endif

#endif
