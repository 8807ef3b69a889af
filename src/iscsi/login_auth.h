/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The security stage of a login, target side. */
#ifndef USAN_ISCSI_LOGIN_AUTH_H
#define USAN_ISCSI_LOGIN_AUTH_H

#include "iscsi/login_reply.h"

/* A key of the security stage; the status to fail with, or SUCCESS. */
enum iscsi_login_status login_auth_key(struct iscsi_login *login, enum iscsi_key_id id,
                                       const struct iscsi_pair *pair);
/* All keys of the request are taken: does CHAP want the user looked up, or fail? */
enum iscsi_login_status login_auth_keys_end(struct iscsi_login *login, bool *ret_want_user);
/* The owner's answer; writes the keys for mutual CHAP. */
enum iscsi_login_status login_auth_check(struct iscsi_login *login, const struct iscsi_auth *auth);
/* May the security stage end? */
bool login_auth_may_end(const struct iscsi_login *login);

#endif
