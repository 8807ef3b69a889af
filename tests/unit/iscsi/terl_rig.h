/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What tests of recovery have in common, on top of tconn_rig: PDUs that are damaged, SNACK, TASK
 * REASSIGN. */
#ifndef TESTS_TERL_RIG_H
#define TESTS_TERL_RIG_H

#include "tconn_rig.h"

#define KEYS(s) s, sizeof(s)

/* A connection that is logged in at this level, with the disk filled. */
struct rig *erl_rig(uint8_t level, const char *keys, size_t len);
void erl_fill(uint8_t *p, size_t len, unsigned seed);
/* As rig_send without AHS, but the digest of the data is wrong. */
void erl_send_bad(struct rig *r, const uint8_t *bhs, const void *data, uint32_t len);
/* The next one acknowledges what rig_next has seen, when r->exp_stat_sn is left alone. */
void erl_snack(struct rig *r, uint8_t type, uint32_t itt, uint32_t ttt, uint32_t beg, uint32_t run);
/* A Reject with this reason is next; nothing comes after it. */
void erl_expect_reject(struct rig *r, uint8_t reason);
void erl_expect_nothing(struct rig *r);
/* An empty NOP-Out that wants no answer: all it does is to acknowledge up to exp_stat_sn. */
void erl_ack(struct rig *r, uint32_t exp_stat_sn);
/* Read or write without immediate data: sends it. Its ITT. */
uint32_t erl_command(struct rig *r, bool write, uint32_t lba, uint16_t blocks);
void erl_send_logout(struct rig *r, uint8_t reason, uint16_t cid);
/* Logout of a connection (reason 1, 2) or the session; its response code. */
uint8_t erl_logout(struct rig *r, uint8_t reason, uint16_t cid);
/* TASK REASSIGN, immediate; the response code. */
uint8_t erl_reassign(struct rig *r, uint32_t itt, uint32_t exp_data_sn);
/* All Data-In PDUs of one task from DataSN sn and offset off on, checked against the disk at lba;
 * with the status in the last one or a response of its own behind. Returns the last PDU. */
struct rig_pdu erl_read_rest(struct rig *r, uint32_t itt, uint32_t lba, uint32_t sn, uint32_t off,
                             uint32_t len);

#endif
