/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The negotiation of operational keys (RFC 7143 6.2, 6.3, 13): answers to the peer's offers, the
 * peer's answers to ours, and our offers: of an initiator all it has to say, of a target what it
 * cannot leave at the default. Which key is allowed when, what it may hold and how the result is
 * found comes from the table in keys.c.
 */
#ifndef USAN_ISCSI_NEGO_H
#define USAN_ISCSI_NEGO_H

#include "iscsi/keys.h"

/* The longest answer to one pair beyond its key name: "=", 8 bytes of digits or a word, NUL. */
enum { ISCSI_ANSWER_MAX = 32 };

struct iscsi_nego {
    const struct iscsi_params_cfg *cfg; /* borrowed */
    struct iscsi_params *params;        /* borrowed; results go here */
    uint64_t seen;                      /* bit per key: the peer sent it */
    uint64_t offered;                   /* bit per key: we did, and the answer is awaited */
    uint64_t declared;                  /* bit per key: we declared it */
    bool initiator;                     /* we are one; set after iscsi_nego_init */
    bool leading;                       /* leading connection of its session */
    bool discovery;                     /* discovery session */
    bool full_feature;                  /* not a login but a later text negotiation */
    bool offers_made;
};

/* params gets the defaults unless full_feature. */
void iscsi_nego_init(struct iscsi_nego *nego, const struct iscsi_params_cfg *cfg,
                     struct iscsi_params *params, bool full_feature);

/*
 * May the peer send this key now? stage is ISCSI_KEY_F_SECURITY or _OPERATIONAL. Marks it seen.
 * USAN_EPROTO: not from this peer, not in this stage, or a second time (RFC 7143 6.3). Sets
 * *ret_ignore for the peer's "NotUnderstood" (or Irrelevant, Reject) to a key we declared.
 */
USAN_MUST_CHECK
int iscsi_nego_admit(struct iscsi_nego *nego, const struct iscsi_key *key,
                     const struct iscsi_pair *pair, unsigned stage, bool *ret_ignore);

/*
 * Take an operational key that was admitted, write the answer to w. USAN_EPROTO when the peer
 * breaks the negotiation in a way no answer mends.
 */
USAN_MUST_CHECK
int iscsi_nego_take(struct iscsi_nego *nego, const struct iscsi_key *key,
                    const struct iscsi_pair *pair, struct wr *w);
/* The answer to a key that is in no table: NotUnderstood (RFC 7143 6.2). */
void iscsi_nego_unknown(const struct iscsi_pair *pair, struct wr *w);

/* Declare our MaxRecvDataSegmentLength, once. */
void iscsi_nego_declare(struct iscsi_nego *nego, struct wr *w);
/*
 * Offer what the peer has left to defaults that do not suit us; only once, later calls write
 * nothing. Returns the number of keys offered: the stage cannot end before they are answered.
 */
unsigned iscsi_nego_offer(struct iscsi_nego *nego, struct wr *w);
/* An initiator's offers: every key that has a meaning on this connection. */
void iscsi_nego_offer_all(struct iscsi_nego *nego, struct wr *w);
/* At the end of the login: USAN_EPROTO when a digest we require was not agreed on. */
USAN_MUST_CHECK
int iscsi_nego_finish(struct iscsi_nego *nego);

/*
 * Text negotiation in full feature phase (RFC 7143 7.3): answer the keys in `in` (without
 * SendTargets, which the caller handles) into `out`, updating params for what may change then
 * (MaxRecvDataSegmentLength). Returns USAN_EPROTO for text that is malformed
 * or has a key twice, USAN_ELIMIT when the answer does not fit; nothing is changed then.
 */
USAN_MUST_CHECK
int iscsi_text_negotiate(const void *in, size_t in_len, const struct iscsi_params_cfg *cfg,
                         struct iscsi_params *params, char *out, size_t out_cap,
                         size_t *ret_out_len);

#endif
