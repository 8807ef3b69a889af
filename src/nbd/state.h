/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the NBD core share. From bottom to top: state.c, then option.c and request.c,
 * which know nothing of each other, then proto.c.
 */
#ifndef USAN_NBD_STATE_H
#define USAN_NBD_STATE_H

#include "base/bytes.h"
#include "nbd/proto.h"

enum nbd_state {
    NBD_S_CLIENT_FLAGS,
    NBD_S_OPTION,      /* header of an option */
    NBD_S_OPTION_DATA, /* its data */
    NBD_S_OPTION_SKIP, /* likewise, too long to be looked at */
    NBD_S_REQUEST,     /* header of a request */
    NBD_S_WAIT,        /* a WRITE waits for memory */
    NBD_S_PAYLOAD,
    NBD_S_PAYLOAD_SKIP,
    NBD_S_FINISHING, /* DISC or ABORT came: answer what is in hand, then close */
    NBD_S_CLOSED,
};

enum {
    /* All replies to one option: headers, the name twice, the description. */
    NBD_OPT_OUT_MAX = 3 * NBD_STRING_MAX + 512,
    NBD_CONTEXT_ID = 1, /* of base:allocation */
};

/* Only while the handshake lasts. */
struct nbd_handshake {
    uint32_t option, option_len, options;
    size_t out_len, out_sent;
    uint8_t data[NBD_OPTION_DATA_MAX];
    uint8_t out[NBD_OPT_OUT_MAX];
};

/* How one direction moves on. A thing is a header of a request, its payload, or a reply. */
struct nbd_progress {
    uint64_t bytes, things;           /* that are through */
    uint64_t seen_bytes, seen_things; /* at the last look */
    bool seen_waiting;                /* a thing was under way then */
};

struct nbd_proto {
    struct nbd_proto_config cfg;
    const struct alloc *a;
    enum nbd_state state;
    bool no_zeroes, only_export_name, structured, allocation; /* as agreed */
    bool shutdown;
    bool opened;      /* to be reported */
    bool close_now;   /* to be reported */
    bool close_shown; /* was */
    int close_err;
    const char *close_why;
    struct nbd_handshake *hs; /* NULL once its last reply was sent */

    /* Input that is not parsed yet: in the owner's buffer, or in the stash between calls. */
    const uint8_t *in;
    size_t in_len;
    uint8_t *in_shared; /* the owner's buffer, as given to rx_space */
    uint8_t *stash;
    size_t direct_room; /* of the last rx_space: bytes of payload before the buffer */
    size_t have;        /* bytes of an incomplete header, or of option data */
    uint8_t header[NBD_REQUEST_BYTES];
    struct nbd_req *writing; /* in WAIT and PAYLOAD */
    const struct iovec *land;
    int land_cnt;
    size_t land_in; /* bytes of *land that are filled */
    uint64_t left;  /* bytes of payload, or to skip, still to come ... */
    uint64_t whole; /* ... of so many */

    struct list out;  /* replies, in the order they are sent */
    struct list over; /* to be reported, or to be taken back */
    int tx_part;      /* of the first reply: 0 = its header, n = iov[n - 1] */
    size_t tx_in;     /* bytes of that part that are sent */

    struct list idle;     /* requests for the next time */
    struct nbd_req *made; /* all there are */
    uint32_t made_count, busy;

    uint64_t started_ns;
    struct nbd_progress rx, tx;
    uint64_t seen_ns; /* when they were last looked at */
};

/* ---- state.c ---- */
/* The end: reported with CLOSE; only the first reason counts. */
void nbd_proto_fail(struct nbd_proto *c, int err, const char *why);
/* What is left of the handshake to be sent is not. */
void nbd_drop_handshake_out(struct nbd_proto *c);

/* ---- option.c: the handshake ---- */
void nbd_greet(struct nbd_proto *c);
void nbd_client_flags(struct nbd_proto *c, const uint8_t *p);
void nbd_option_header(struct nbd_proto *c, const uint8_t *p);
/* The data is in hs->data; act and answer. */
void nbd_option_do(struct nbd_proto *c);
/* Its data was skipped. */
void nbd_option_refuse(struct nbd_proto *c);
uint16_t nbd_transmission_flags(const struct nbd_proto *c);

/* ---- request.c: requests and replies ---- */
/* A header came; true if the owner has to see the request (then *ret_req is set). */
bool nbd_request_header(struct nbd_proto *c, const uint8_t *p, struct nbd_req **ret_req);
/* Can a request be taken in at all? */
bool nbd_request_room(struct nbd_proto *c);

#endif
