/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The server side of the NBD protocol without I/O: one struct nbd_proto for each connection. The
 * owner moves bytes and time in and pulls events and bytes out; nothing here calls back.
 *
 *   received:  nbd_proto_rx_space() says where the next bytes are to land, nbd_proto_rx() that
 *              they did; then nbd_proto_next() until it returns false.
 *   to send:   nbd_proto_tx() gives iovecs, nbd_proto_tx_done() says how much went out; then
 *              nbd_proto_next() again.
 *   time:      nbd_proto_deadline(), nbd_proto_tick().
 *
 * Requests come up as events, checked: the range lies in the export and in whole blocks, the
 * flags fit the command. The payload of a WRITE lands where the owner says. Requests may be
 * answered in any order.
 *
 * Baseline and structured replies, base:allocation, block sizes; no TLS, no extended headers.
 */
#ifndef USAN_NBD_PROTO_H
#define USAN_NBD_PROTO_H

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "nbd/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* ---- limits ---- */
enum {
    NBD_STRING_MAX = 4096,                /* bytes of a name; NBD "Conventions" */
    NBD_OPTION_DATA_MAX = 16384,          /* data of one option that is looked at */
    NBD_OPTION_SKIP_MAX = 1 << 20,        /* data of one option that is skipped, refusing it */
    NBD_OPTIONS_MAX = 1024,               /* options of one handshake */
    NBD_PAYLOAD_MAX = 32 << 20,           /* longest READ and WRITE; NBD "Block size constraints" */
    NBD_PAYLOAD_SKIP_MAX = 64 << 20,      /* payload of a refused WRITE that is skipped */
    NBD_QUEUE_DEPTH_MAX = 1024,           /* requests of one connection in hand */
    NBD_EXTENTS_MAX = 512,                /* descriptors of one BLOCK_STATUS reply */
    NBD_RX_IOV_MAX = 256,                 /* iovecs of one receive */
    NBD_STALLS_MAX = 16,                  /* stall time-outs that a request or reply may take */
    NBD_HEADER_MAX = NBD_CHUNK_BYTES + 92 /* of a reply, with the text of an error */
};

/* What is served, as the client is told. */
struct nbd_export {
    const char *name;        /* "" is fine; the name "" is always understood too; borrowed */
    const char *description; /* for people; NULL = none; borrowed */
    uint64_t size_bytes;
    uint32_t min_block;       /* power of two, at most 65536 */
    uint32_t preferred_block; /* power of two, >= min_block and >= 512 */
    bool read_only, rotational;
    bool trim;       /* TRIM can be carried out */
    bool allocation; /* BLOCK_STATUS can be answered: base:allocation is offered */
};

struct nbd_proto_config {
    struct nbd_export export;      /* strings outlive the connection */
    uint32_t queue_depth;          /* 1 to NBD_QUEUE_DEPTH_MAX; beyond it nothing is taken in */
    uint32_t priv_bytes;           /* room for the owner in every request */
    uint64_t handshake_timeout_ns; /* for the whole handshake */
    /* A client that stops in the middle of a request, or does not take a reply in, is given up
     * after one to two times this; and so is one that moves a request or a reply on by less than
     * one NBD_STALLS_MAXth of it in such a time. */
    uint64_t stall_timeout_ns;
};

struct nbd_proto;

/* A request in hand. Memory belongs to the connection; valid from its event until OVER. */
struct nbd_req {
    enum nbd_cmd cmd; /* never DISC */
    uint16_t flags;   /* NBD_CMD_FLAG_... */
    uint64_t off;
    uint32_t len; /* not 0, but for FLUSH */
    /* priv_bytes; zeroed once: what the owner keeps there it finds again with a later request. */
    void *priv;

    /* kept by the core */
    struct nbd_proto *c;
    struct list node;
    struct nbd_req *next_made;
    uint64_t cookie;
    bool with_owner; /* an event has shown it */
    bool answered;
    uint32_t header_len;
    uint8_t header[NBD_HEADER_MAX];
    const struct iovec *iov; /* what follows the header */
    int iovcnt;
    struct iovec one;
};

enum nbd_ev {
    /* The handshake is over. */
    NBD_EV_OPENED,
    /* ev.req: answer it with nbd_req_reply(), nbd_req_reply_extents() or nbd_req_fail(). For a
     * WRITE first say where the payload goes: nbd_req_want_data(); until then nothing further is
     * taken in. */
    NBD_EV_REQUEST,
    /* ev.req: the payload is there. */
    NBD_EV_DATA,
    /* ev.req: its reply was handed to the transport whole, or never will be: the connection has
     * ended. It is gone with the next call of nbd_proto_next(). */
    NBD_EV_OVER,
    /* Close the socket when nbd_proto_tx() has nothing left; ev.err says why, 0 = the client said
     * it was done. Comes once. Requests in hand still have to be answered, and OVER follows. */
    NBD_EV_CLOSE,
};

struct nbd_event {
    enum nbd_ev type;
    struct nbd_req *req;
    int err;
    const char *why; /* CLOSE: for the log; static string */
};

/* Copies cfg. now starts the clock of the handshake. NULL when out of memory. a outlives it. */
struct nbd_proto *nbd_proto_new(const struct nbd_proto_config *cfg, const struct alloc *a,
                                uint64_t now_ns);
/* All requests are over. c may be NULL. */
void nbd_proto_free(struct nbd_proto *c);

/*
 * Where the next received bytes have to go, filled in order. The last one is (a part of) buf,
 * which the owner may share among connections: it is free for others as soon as nbd_proto_next()
 * returned false. Returns 0 when nothing is taken in now: too many requests are in hand, or the
 * client has not taken in what it asked for, or a WRITE waits for nbd_req_want_data(); or never
 * again, when the connection is closing.
 */
int nbd_proto_rx_space(struct nbd_proto *c, void *buf, size_t cap,
                       struct iovec iov[NBD_RX_IOV_MAX]);
/* n bytes landed there. */
void nbd_proto_rx(struct nbd_proto *c, size_t n);
/* Next event; false when there is none. */
bool nbd_proto_next(struct nbd_proto *c, struct nbd_event *ev);
/* The transport ended, both ways. */
void nbd_proto_rx_eof(struct nbd_proto *c);

/* Bytes to send, at most max iovecs; returns their number. The memory stays valid until
 * nbd_proto_tx_done() covers it; calling again without gives the same bytes, and more. */
int nbd_proto_tx(struct nbd_proto *c, struct iovec *iov, int max);
void nbd_proto_tx_done(struct nbd_proto *c, size_t n);
bool nbd_proto_tx_pending(const struct nbd_proto *c);

uint64_t nbd_proto_deadline(const struct nbd_proto *c);
void nbd_proto_tick(struct nbd_proto *c, uint64_t now_ns);

/* The program stops: what is asked for from now on is answered with ESHUTDOWN. */
void nbd_proto_shutdown(struct nbd_proto *c);
/* Requests in hand: not OVER. */
uint32_t nbd_proto_busy(const struct nbd_proto *c);

/* ---- answers ---- */

/* Land the payload of a WRITE in iov (borrowed until DATA or OVER). */
void nbd_req_want_data(struct nbd_req *req, const struct iovec *iov, int iovcnt);
/* Success. For a READ iov describes its len bytes; borrowed until OVER. */
void nbd_req_reply(struct nbd_req *req, const struct iovec *iov, int iovcnt);
/*
 * Success of a BLOCK_STATUS: count descriptors (1 to NBD_EXTENTS_MAX; 1 with the flag REQ_ONE)
 * made with nbd_extent_put() in buf, borrowed until OVER. Their lengths are multiples of
 * min_block, and all but the last end before the request does.
 */
void nbd_req_reply_extents(struct nbd_req *req, void *buf, unsigned count);
/* The i-th descriptor: len bytes with these NBD_STATE_ flags. */
void nbd_extent_put(void *buf, unsigned i, uint32_t len, uint32_t state);
/* Failure: a code of base/err.h; err_off is the first bad byte, UINT64_MAX = not known. A WRITE
 * may fail before its payload was wanted: that is skipped then. */
void nbd_req_fail(struct nbd_req *req, int err, uint64_t err_off);

/* The error value that tells a client of err; NBD "Error values". */
enum nbd_error nbd_error_of(enum nbd_cmd cmd, int err);

#endif
