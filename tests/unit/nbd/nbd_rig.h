/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A client of the NBD core for tests: sends bytes in pieces of a given size, keeps what comes back
 * and the events. WRITE payloads land in `memory` at the offset of the request, in iovecs of odd
 * lengths, unless the test says that there is none.
 */
#ifndef USAN_TEST_NBD_RIG_H
#define USAN_TEST_NBD_RIG_H

#include <setjmp.h>
#include <stdarg.h>

#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "nbd/proto.h"

enum { RIG_EVENTS = 256, RIG_MEMORY = 1 << 16, RIG_OUT = 1 << 20, RIG_IOV = 5 };

#define RIG_TIMEOUT_NS (15 * NS_PER_SEC)
#define RIG_STALL_NS   (30 * NS_PER_SEC)

struct rig {
    struct nbd_proto *c;
    size_t chunk; /* bytes a call */
    bool no_memory;
    bool unread; /* the client takes nothing in */

    struct nbd_event ev[RIG_EVENTS];
    unsigned ev_count, ev_seen;
    bool closed;
    int close_err;
    uint8_t out[RIG_OUT]; /* what the server said and the test has not looked at */
    size_t out_len, out_at;
    uint8_t memory[RIG_MEMORY];
    struct iovec iov[RIG_IOV];
    uint8_t buf[512]; /* for received bytes; smaller than many requests */
    const struct alloc *a;
};

/* 1 MiB, blocks of 512 bytes, named "disk"; queue depth 4. */
struct nbd_proto_config rig_config(void);
void rig_open(struct rig *r, const struct nbd_proto_config *cfg, size_t chunk);
/* Ends the connection if it is open, fails what is in hand, checks that all is released. */
void rig_close(struct rig *r);

/* As much as is taken in; the number of bytes. */
size_t rig_try_send(struct rig *r, const void *p, size_t n);
void rig_send(struct rig *r, const void *p, size_t n);
void rig_pump(struct rig *r);

/* The next n bytes of the server. */
const uint8_t *rig_got(struct rig *r, size_t n);
uint16_t rig_got16(struct rig *r);
uint32_t rig_got32(struct rig *r);
uint64_t rig_got64(struct rig *r);
/* It said nothing more. */
void rig_silent(struct rig *r);

/* The next event has to be this one. */
struct nbd_req *rig_event(struct rig *r, enum nbd_ev type);
void rig_no_event(struct rig *r);
/* The connection is over, with this reason. */
void rig_closed(struct rig *r, int err);

/* ---- the client's side of the protocol ---- */
void rig_greeted(struct rig *r);
void rig_client_flags(struct rig *r, uint32_t flags);
void rig_option(struct rig *r, uint32_t option, const void *data, size_t n);
/* The header of a reply; its data follows. */
uint32_t rig_reply(struct rig *r, uint32_t option, uint32_t type);
/* The same for one without data. */
void rig_acked(struct rig *r, uint32_t option);
/* An error with a text. */
void rig_refused(struct rig *r, uint32_t option, uint32_t type);
/* Greeting, flags, and GO, after structured replies and base:allocation if wanted. */
void rig_go(struct rig *r, bool structured, bool allocation);
void rig_request(struct rig *r, unsigned flags, unsigned type, uint64_t cookie, uint64_t off,
                 uint32_t len);
void rig_simple(struct rig *r, uint64_t cookie, uint32_t error);
/* The header of a chunk; returns the number of bytes that follow. */
uint32_t rig_chunk(struct rig *r, uint64_t cookie, unsigned type);
/* An error chunk; its offset, UINT64_MAX if it has none. */
uint64_t rig_error(struct rig *r, uint64_t cookie, uint32_t error);

#endif
