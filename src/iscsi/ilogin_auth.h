/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The security stage of a login, initiator side (RFC 7143 12.1). Internal to src/iscsi. */
#ifndef USAN_ISCSI_ILOGIN_AUTH_H
#define USAN_ISCSI_ILOGIN_AUTH_H

#include "iscsi/ilogin_state.h"

/* Can libcrypto do one of the hashes that are to be offered? */
bool ilogin_auth_possible(const struct iscsi_iauth *cfg);
/* Offer methods. */
void ilogin_auth_offer(struct ilogin *login, struct wr *w);
/* A key of the security stage: ILOGIN_SEND or ILOGIN_FAILED. */
enum ilogin_result ilogin_auth_key(struct ilogin *login, enum iscsi_key_id id,
                                   const struct iscsi_pair *pair);
/* All keys of a response are taken; transit: it ends the stage. Writes our next step. */
enum ilogin_result ilogin_auth_step(struct ilogin *login, bool transit, struct wr *w);

#endif
