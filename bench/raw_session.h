/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One session of the load generator: a bare iSCSI initiator (RFC 7143) of one connection that
 * keeps a fixed number of READ(10) or WRITE(10) commands in flight. It has no recovery and no
 * authentication, takes one R2T at a time for each command and throws read data away after the
 * kernel copied it, so that the target is what is measured.
 */
#ifndef USAN_BENCH_RAW_SESSION_H
#define USAN_BENCH_RAW_SESSION_H

#include "measure.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define RAW_DEPTH_MAX   1024u
#define RAW_RECV_BYTES  (512u * 1024u)
#define RAW_BHS_BYTES   48u
#define RAW_HDR_ROOM    52u  /* with header digest */
#define RAW_DATA_OUTS   128u /* PDUs of one burst at most */
#define RAW_LOGIN_BYTES 8192u

struct raw_config {
    struct sockaddr_in portal;
    const char *target_name;
    const char *congestion; /* NULL: the system's */
    uint8_t lun;
    uint32_t io_bytes, depth;
    uint32_t write_percent;
    bool sequential;
    bool send_each; /* a call for each PDU */
    bool header_digest, data_digest;
    uint32_t burst_bytes; /* MaxBurstLength and FirstBurstLength offered */
    uint32_t mrdsl;       /* our MaxRecvDataSegmentLength */
    uint64_t span_bytes;  /* use that much of the LUN; 0 = all */
};

/* What all sessions count together. */
struct raw_totals {
    uint64_t done, errors;
    struct hist latency;
};

struct raw_slot {
    uint8_t hdr[RAW_HDR_ROOM];
    uint8_t (*data_out)[RAW_HDR_ROOM];
    uint64_t sent_ns;
    bool busy;
};

struct raw_session {
    const struct raw_config *cfg;
    struct raw_totals *totals;
    const uint8_t *payload; /* of every write */
    int fd;
    uint8_t id;
    uint32_t cmd_sn, max_cmd_sn, exp_stat_sn;
    /* negotiated */
    bool header_digest, data_digest, initial_r2t, immediate;
    uint32_t target_mrdsl, first_burst;
    /* the LUN */
    uint32_t block_bytes;
    uint64_t blocks, pos, rng;
    struct raw_slot *slots;
    uint32_t *free_slots;
    uint32_t free_count;
    /* to be sent */
    struct iovec *iov;
    size_t iov_count, iov_head, iov_room;
    uint8_t payload_digest[4][4];
    uint32_t payload_digest_len[4];
    unsigned payload_digest_next;
    /* received */
    uint8_t *rx;
    size_t rx_bytes, rx_skip;
    bool finishing; /* a command is done when rx_skip bytes have passed */
    uint32_t finishing_itt;
    uint8_t finishing_status;
    uint32_t events; /* what epoll was told to watch */
};

/* Connect, log in, read the capacity. Ends the process on failure. */
void raw_login(struct raw_session *s);

/* Fill the window with commands; they leave with the next raw_flush(). */
void raw_issue(struct raw_session *s, uint64_t now_ns);
/* Send what is queued; true when something is left because the socket is full. */
bool raw_flush(struct raw_session *s);
/* Take what has arrived. */
void raw_receive(struct raw_session *s);

/* Queue a PDU whose header is *hdr (room for a digest) with `len` bytes of the payload. Both stay
 * in place until they are sent. */
void raw_queue_pdu(struct raw_session *s, uint8_t *hdr, uint32_t payload_off, uint32_t len);

#endif
