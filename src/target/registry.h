/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who is logged in: the one place all reactors share about sessions. Touched at login and logout
 * only, under a mutex.
 *
 * A session is named by initiator name, ISID and target (RFC 7143 4.4: the I_T nexus). There is
 * one of each name at any time: a login with a name in use reinstates the session (6.3.5), so the
 * old one has to be gone first, whatever reactor it lives on.
 */
#ifndef USAN_TARGET_REGISTRY_H
#define USAN_TARGET_REGISTRY_H

#include "base/err.h"
#include "base/list.h"
#include "io/loop.h"
#include "iscsi/target.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { TGT_REGISTRY_BUCKETS = 4096 };

struct tgt_registry {
    pthread_mutex_t lock;
    struct tgt_entry *by_name[TGT_REGISTRY_BUCKETS]; /* but discovery sessions, which have none */
    struct tgt_entry *by_tsih[TGT_REGISTRY_BUCKETS];
    uint32_t count, max;
    uint16_t last_tsih;
};

/* Embedded in a session, in place from claim to release. */
struct tgt_entry {
    /* the name, set by the owner; target NULL: a discovery session, which never has a namesake */
    const void *target;
    char initiator[ISCSI_NAME_MAX + 1];
    uint8_t isid[6];
    struct loop *loop;                       /* where the session lives, set by the owner */
    uint16_t tsih;                           /* given by claim; unique, not 0 */
    struct tgt_entry *next_name, *next_tsih; /* in their buckets */
    struct list waiters;
};

/* Embedded in a login that waits for a session to end, in place until msg was delivered. */
struct tgt_waiter {
    struct loop *loop;   /* where msg is delivered; set by the owner */
    struct loop_msg msg; /* deliver set by the owner */
    struct list node;
};

void tgt_registry_init(struct tgt_registry *reg, uint32_t max);
/* Asserts that it is empty. */
void tgt_registry_fini(struct tgt_registry *reg);

/*
 * Enter a session. Returns
 *   0            entered; entry->tsih is set
 *   USAN_EAGAIN  the name is in use: the caller asks the session *ret_tsih on *ret_loop to close;
 *                waiter->msg is posted to waiter->loop once it is released, then claim again
 *   USAN_ELIMIT  there are as many sessions as may be
 */
USAN_MUST_CHECK
int tgt_registry_claim(struct tgt_registry *reg, struct tgt_entry *entry, struct tgt_waiter *waiter,
                       struct loop **ret_loop, uint16_t *ret_tsih);
/* The session is gone. */
void tgt_registry_release(struct tgt_registry *reg, struct tgt_entry *entry);
/* Where the session of that initiator port with that target lives which has this handle; NULL:
 * there is none. It may be gone when that is read. */
struct loop *tgt_registry_find(struct tgt_registry *reg, uint16_t tsih, const void *target,
                               const char *initiator, const uint8_t *isid);
uint32_t tgt_registry_count(struct tgt_registry *reg);

#endif
