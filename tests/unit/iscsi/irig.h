/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An initiator connection on a desk: the test plays the target, PDU by PDU. Bytes go in in pieces
 * of a size drawn from a seed. Further connections of the session are rigs of their own; what is
 * seen of the session counts in the first.
 */
#ifndef TESTS_IRIG_H
#define TESTS_IRIG_H

#include "counted_alloc.h"

#include "iscsi/initiator.h"
#include "iscsi/pdu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it */
#include <cmocka.h>

enum { IRIG_OUT = 4 << 20, IRIG_TSIH = 0x1234, IRIG_PEERS = 8 };

struct irig_pdu {
    uint8_t bhs[ISCSI_BHS_LEN];
    const uint8_t *data; /* behind the header and its additional segments */
    uint32_t data_len, ahs_len;
    const uint8_t *ahs;
};

struct irig {
    struct irig *main; /* the session's first, which stays */
    struct irig *peer[IRIG_PEERS];
    unsigned peers;
    struct counted_alloc alloc;
    struct iscsi_isess_config cfg;
    struct iscsi_isess *sess;
    struct iscsi_iconn *conn;
    uint64_t rng, now_ns;
    size_t max_piece;
    bool header_digest, data_digest;
    bool bad_header, bad_data; /* the next PDU is sent with a wrong digest */
    uint8_t *out;              /* what the initiator sent and nobody looked at */
    size_t out_len, out_pos;
    /* the target's numbers; exp_cmd_sn and window of the session's first count */
    uint32_t stat_sn, exp_cmd_sn, window;
    bool again;           /* commands come with numbers that were used before */
    uint32_t exp_stat_sn; /* as the initiator said last */
    /* seen */
    bool logged_in, closed;
    int err;
    const char *why, *key;
    uint16_t status;
    unsigned done, tmfs, targets, text_done, asyncs, down, recover, recovered;
    uint16_t cid; /* of the last RECOVER or RECOVERED */
    bool last_conn;
    unsigned reassigned;
    int text_err, down_err;
    struct iscsi_icmd *last;
    struct iscsi_iasync async;
    char address[300];
    bool redirected, permanent;
};

/* Nothing is made yet: cfg can be changed. */
struct irig *irig_new(void);
/* Session and connection; the first Login Request is in `out`. */
void irig_connect(struct irig *r);
void irig_free(struct irig *r);
/* One more connection of a session: TCP is there, and its first Login Request. */
struct irig *irig_join(struct irig *r, uint16_t cid);
/* The rest of its login. */
void irig_join_login(struct irig *r, const char *keys);
/* The connection is lost, and freed. */
void irig_cut(struct irig *r);
/* Log in; `keys` are the target's answers of the operational stage ('|' stands for NUL). Window of
 * 32 commands. */
void irig_login(struct irig *r, const char *keys);
/* Bytes as they are; a PDU with lengths and digests put in; a PDU with StatSN (taking it if
 * `status`), ExpCmdSN and MaxCmdSN put in as well. */
void irig_feed(struct irig *r, const void *bytes, size_t len);
void irig_send_raw(struct irig *r, const uint8_t *bhs, const void *data, uint32_t len);
void irig_send(struct irig *r, uint8_t *bhs, bool status, const void *data, uint32_t len);
/* A Login Response: flags as byte 1. */
void irig_login_rsp(struct irig *r, uint8_t flags, uint16_t status, const char *text);
/* Events and output without new bytes. */
void irig_run(struct irig *r);
bool irig_next(struct irig *r, struct irig_pdu *ret_pdu);
/* Next PDU, which must be there and be this one. */
struct irig_pdu irig_expect(struct irig *r, uint8_t opcode);
void irig_tick(struct irig *r, uint64_t ns);
/* '|' becomes NUL; the length. */
size_t irig_text(const char *text, char *ret, size_t cap);

#endif
