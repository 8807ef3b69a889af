/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Logins as scripts: a request and the response it must get are each a word for the header and a
 * text whose pairs end in '|'.
 *
 *   header of a request:  "0"  CSG 0      "0>1" CSG 0, T, NSG 1     "0+" CSG 0, C
 *   header of a response: the same, and " 0201" behind it for a status other than success
 */
#ifndef USAN_TESTS_LOGIN_RIG_H
#define USAN_TESTS_LOGIN_RIG_H

#include "iscsi/login.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct rig {
    struct iscsi_tconn_config cfg;
    struct iscsi_login *login;
    struct iscsi_login_req req; /* header fields the script does not spell */
    /* what the owner answers */
    struct iscsi_auth auth;
    const char *alias, *redirect;
    bool permanent;
    uint16_t reject_target, reject_user, reject_bind;
    /* what it was asked */
    unsigned asked_target, asked_user, asked_bind;
    bool discovery;
    char initiator[256], target[256], user[256];
    /* the response */
    char head[16], text[70000];
    size_t text_len;
    uint16_t status;
};

/* A login with the defaults of RFC 7143, so that the target has nothing to offer by itself. */
void rig_init(struct rig *rig);
void rig_fini(struct rig *rig);
/* Send a request; len bytes of text as they are. Fills head, text ('|' for NUL), status. */
void rig_send_bytes(struct rig *rig, const char *head, const void *text, size_t len);
/* The same with a text in script form. */
void rig_send(struct rig *rig, const char *head, const char *text);
/* Send a request and compare the response. */
void rig_step_at(struct rig *rig, const char *head, const char *text, const char *want_head,
                 const char *want_text, const char *file, int line);
#define rig_step(rig, head, text, want_head, want_text)                                            \
    rig_step_at(rig, head, text, want_head, want_text, __FILE__, __LINE__)
/* A whole login of one request gets this status. */
void rig_once_at(const char *head, const char *text, const char *want_head, const char *file,
                 int line);
#define rig_once(head, text, want_head) rig_once_at(head, text, want_head, __FILE__, __LINE__)

#define NAMES                           "InitiatorName=iqn.2001-04.com.example:i|TargetName=iqn.2001-04.com.example:t|"
#define FINISH                          "1>3"
#define MRDSL                           "MaxRecvDataSegmentLength=65536|"
#define TPGT                            "TargetPortalGroupTag=3|"

#endif
