/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A bare initiator on a blocking socket, for tests of the whole program: every PDU is sent and
 * received by the test itself. All calls fail the test when something takes longer than 5 s.
 */
#ifndef USAN_TESTS_UNIT_TARGET_CLIENT_H
#define USAN_TESTS_UNIT_TARGET_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client {
    int fd;
    uint32_t itt, cmd_sn;
    uint16_t tsih;        /* of the session, after login */
    uint16_t cid;         /* set before the login; 0 at first */
    uint16_t connections; /* likewise: MaxConnections to offer; 0: none */
    uint16_t retain;      /* likewise: DefaultTime2Retain */
    uint8_t level;        /* likewise: ErrorRecoveryLevel */
    bool acks;            /* what has come is acknowledged by what is sent */
    uint32_t exp_stat_sn;
    uint8_t attr;           /* of the commands to be sent, ATTR field; 0: SIMPLE */
    struct client *session; /* tags and CmdSN are those of this one; NULL: its own */
    uint16_t status;        /* of the last login response: class << 8 | detail */
    /* Another connection of the session, which is looked after while this one is waited for: the
     * target's NOP-Ins are answered, what else comes is kept in `early`. */
    struct client *peer;
    struct pdu *early; /* the oldest first, by `next` */
};

struct pdu {
    uint8_t bhs[48];
    uint8_t data[262144];
    uint32_t len;
    struct pdu *next;
};

void client_connect(struct client *c, uint16_t port);
/* The two halves of that. */
void client_socket(struct client *c);
void client_connect_socket(struct client *c, uint16_t port);
void client_close(struct client *c);
/* The other end has closed the connection (what it still sent is thrown away). */
void client_expect_close(struct client *c);
/* Likewise, and in an orderly way: a reset fails the test. */
void client_expect_end(struct client *c);
/* Bytes as they are. */
void client_send_raw(struct client *c, const void *data, size_t len);

/* Send the one Login Request of a login without authentication; isid is its last byte. */
void client_send_login(struct client *c, const char *initiator, const char *target, uint8_t isid,
                       uint16_t tsih);
/* Take the Login Response; fills tsih and status. */
void client_recv_login(struct client *c);
/* Connect and log in; the test fails if that is refused. */
void client_login(struct client *c, uint16_t port, const char *initiator, const char *target,
                  uint8_t isid);

/* Connect another one to the session of c, with this CID; further gets c's tags and CmdSN. */
void client_join(struct client *further, struct client *c, uint16_t port, const char *initiator,
                 const char *target, uint8_t isid, uint16_t cid);

/* Send a SCSI command with 10-byte CDB; returns its tag. out: write data of len bytes as immediate
 * data. lun is a number below 256. */
uint32_t client_send_cdb(struct client *c, uint8_t lun, const uint8_t cdb[10], bool in, bool out,
                         uint32_t edtl, const void *data, uint32_t len);
uint32_t client_send_read(struct client *c, uint8_t lun, uint32_t lba, uint16_t blocks);
uint32_t client_send_write(struct client *c, uint8_t lun, uint32_t lba, const void *data,
                           uint16_t blocks);
/* A task management request; returns its tag. */
uint32_t client_send_tmf(struct client *c, uint8_t function, uint8_t lun, uint32_t ref_itt);

/* a and b are each other's peers, and acknowledge what has come. */
void client_pair(struct client *a, struct client *b);
/* The next PDU; false when the connection has ended. */
bool client_recv(struct client *c, struct pdu *p);
/* Take the R2T of this command (others are thrown away) and send what it asks for of data. */
void client_answer_r2t(struct client *c, uint32_t itt, const void *data);
/* Log out (RFC 7143 11.14.1: reason 0 the session, 1 the connection cid); the response. */
uint8_t client_logout(struct client *c, uint8_t reason, uint16_t cid);
/* PDUs until the one that ends the command with this tag; others are thrown away. Returns the SCSI
 * status; data-in of up to cap bytes is copied to buf. */
uint8_t client_finish(struct client *c, uint32_t itt, void *buf, size_t cap);
/* The same for a task management response; returns its response code. */
uint8_t client_finish_tmf(struct client *c, uint32_t itt);
/* TEST UNIT READY until there is no unit attention left. */
void client_ready(struct client *c, uint8_t lun);

#endif
