/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PDUs as bytes on a stream, for both roles: framing and digests of what is received, queueing
 * and digests of what is sent. Internal to src/iscsi.
 *
 * Receiving. Bytes land either in a buffer the caller shares among connections or, while a data
 * segment is under way and its place is known, right there. wire_rx_next() walks through what
 * landed: HEADER (then the user places or discards the data segment), then DATA once the segment
 * is complete and its digest was checked.
 *
 * Sending. A queue of iovecs in stream order. Headers stand in slots of a block that a connection
 * holds only while it has traffic; payload is borrowed.
 */
#ifndef USAN_ISCSI_WIRE_H
#define USAN_ISCSI_WIRE_H

#include "base/alloc.h"
#include "base/err.h"
#include "iscsi/pdu.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* ---- receiving ---- */

enum wire_rx_result {
    WIRE_RX_MORE,       /* needs bytes; the shared buffer is not referred to any more */
    WIRE_RX_HEADER,     /* rx->bhs (and rx->ahs): valid until the next call */
    WIRE_RX_DATA,       /* the data segment of that header is complete */
    WIRE_RX_BAD_HEADER, /* header digest mismatch: the stream can not be followed any more */
};

enum wire_rx_phase { WIRE_BHS, WIRE_AHS, WIRE_HEADER_SEEN, WIRE_DATA, WIRE_TRAILER };

struct wire_rx {
    enum wire_rx_phase phase;
    bool header_digest, data_digest; /* set by the user at the end of login */
    bool bulk;      /* the last data segment was large: read header and payload apart */
    bool digest_ok; /* with WIRE_RX_DATA */

    const uint8_t *bhs; /* of the current PDU */
    const uint8_t *ahs;
    uint32_t ahs_len, data_len;

    /* the data segment: where it goes */
    struct iovec *place; /* borrowed; NULL = thrown away */
    int place_cnt;
    size_t place_skip; /* bytes of place[0] before the next byte */
    uint32_t data_done;
    uint32_t crc;
    size_t crc_ahead; /* bytes of place that it has, and data_done does not */

    uint8_t trailer[8]; /* pad and data digest */
    unsigned trailer_len, trailer_done;

    /* what landed in the shared buffer and is not consumed */
    const uint8_t *win, *win_end;
    uint8_t *buf;  /* of the last wire_rx_space */
    size_t direct; /* bytes of place offered with it */

    unsigned head_len; /* bytes in head */
    uint8_t head[ISCSI_BHS_LEN + 1020 + ISCSI_DIGEST_LEN];
};

void wire_rx_init(struct wire_rx *rx);
/* As iscsi_tconn_rx_space; iov has room for max. */
int wire_rx_space(struct wire_rx *rx, void *buf, size_t cap, struct iovec *iov, int max);
void wire_rx_landed(struct wire_rx *rx, size_t n);
/* May be called before that: take the data digest of what landed straight in its place, in iov of
 * wire_rx_space. Nothing else of rx is touched. */
void wire_rx_digest(struct wire_rx *rx, const struct iovec *iov, size_t n);
enum wire_rx_result wire_rx_next(struct wire_rx *rx);
/* After HEADER with data_len != 0: put the segment at byte `skip` of place (borrowed until DATA);
 * the iovecs have room for it. Without this call it is thrown away. */
void wire_rx_place(struct wire_rx *rx, struct iovec *place, int cnt, size_t skip);

/* ---- sending ---- */

enum { WIRE_TX_IOVS = 1024, WIRE_TX_SLOTS = 512 };

/* Room for a header with its digest, and for a pad with data digest. */
struct wire_tx_slot {
    uint8_t bhs[ISCSI_BHS_LEN + ISCSI_DIGEST_LEN];
    uint8_t trailer[3 + ISCSI_DIGEST_LEN];
    uint8_t head_iovs; /* of the header; this and data_len while the digest is to be computed */
    uint32_t data_len;
};

struct wire_tx_block {
    struct iovec v[WIRE_TX_IOVS];
    void *mark[WIRE_TX_IOVS]; /* see wire_tx_sent */
    bool slot_end[WIRE_TX_IOVS];
    struct wire_tx_slot slots[WIRE_TX_SLOTS];
};

struct wire_tx {
    const struct alloc *a;
    bool header_digest, data_digest;
    struct wire_tx_block *block; /* NULL while there was nothing to send for a while */
    unsigned head, tail;         /* v[head..tail) is queued */
    unsigned slot_head, slots_used;
    size_t sent;                   /* bytes of v[head] already gone */
    uint64_t bytes;                /* queued in all */
    unsigned to_digest, digest_at; /* PDUs at the end without data digest; their first iovec */
};

void wire_tx_init(struct wire_tx *tx, const struct alloc *a);
void wire_tx_fini(struct wire_tx *tx);
/* Give the block back if it is empty. */
void wire_tx_shrink(struct wire_tx *tx);
/* Make sure that a PDU with n payload iovecs can be queued now: USAN_EAGAIN when the queue has to
 * drain first, USAN_ENOMEM. n <= WIRE_TX_IOVS - 2. */
USAN_MUST_CHECK
int wire_tx_room(struct wire_tx *tx, unsigned n);
/* Begin a PDU: the 48 bytes to fill in. wire_tx_room said yes. */
uint8_t *wire_tx_header(struct wire_tx *tx);
/* Finish it: header and len bytes of payload, beginning at byte skip of iov (borrowed until sent).
 * mark (may be NULL) is handed out by wire_tx_sent when its last byte went. */
void wire_tx_push(struct wire_tx *tx, const struct iovec *iov, int cnt, size_t skip, uint32_t len,
                  void *mark);
/* The same with additional header segments (ahs_len bytes, a multiple of four, borrowed likewise),
 * which take two more iovecs. */
void wire_tx_push_ahs(struct wire_tx *tx, const void *ahs, uint32_t ahs_len,
                      const struct iovec *iov, int cnt, size_t skip, uint32_t len, void *mark);
/* The mark of the PDU that was pushed last. */
void wire_tx_mark(struct wire_tx *tx, void *mark);
/* How many iovecs that payload takes. */
unsigned wire_iov_span(const struct iovec *iov, int cnt, size_t skip, size_t len);

/* Compute the data digests of what was queued: before it is sent. */
void wire_tx_digest(struct wire_tx *tx);
int wire_tx_peek(const struct wire_tx *tx, struct iovec *iov, int max);
/* n bytes went out. Call wire_tx_sent until it returns NULL afterwards. */
void wire_tx_advance(struct wire_tx *tx, size_t n);
/* Consumes the next whole iovec among the bytes advanced over; its mark, or NULL at the end. */
void *wire_tx_sent(struct wire_tx *tx);

static inline bool wire_tx_empty(const struct wire_tx *tx)
{
    return tx->head == tx->tail;
}

#endif
