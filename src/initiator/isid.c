/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/isid.h"

#include "base/bytes.h"
#include "base/list.h"
#include "initiator/portal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ini_isid {
    struct list node;
    uint8_t bytes[6];
    char initiator[ISCSI_NAME_MAX + 1], target[ISCSI_NAME_MAX + 1];
};

/* lock protects all of these. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list taken = { &taken, &taken };
static uint8_t own[6]; /* where this process begins to count */
static pid_t own_pid;

/* A child that goes on without exec is another initiator port. */
static int process_isid(uint8_t ret_isid[6])
{
    if (own_pid != getpid()) {
        int err = ini_make_isid(own);
        if (err)
            return err;
        own[4] = own[5] = 0; /* with T = 10b the two lowest bytes are a qualifier */
        own_pid = getpid();
    }
    memcpy(ret_isid, own, sizeof(own));
    return 0;
}

static bool is_taken(const struct ini_isid *isid)
{
    list_for_each (&taken, pos) {
        const struct ini_isid *other = list_entry(pos, struct ini_isid, node);
        if (memcmp(other->bytes, isid->bytes, sizeof(isid->bytes)) == 0 &&
            strcmp(other->target, isid->target) == 0 &&
            strcmp(other->initiator, isid->initiator) == 0)
            return true;
    }
    return false;
}

static int choose(struct ini_isid *isid)
{
    uint16_t first = be16_get(isid->bytes + 4);
    for (uint32_t i = 0; i <= UINT16_MAX; i++) {
        be16_put(isid->bytes + 4, (uint16_t)(first + i));
        if (!is_taken(isid)) {
            list_push_back(&taken, &isid->node);
            return 0;
        }
    }
    return USAN_ELIMIT;
}

int ini_isid_take(const struct ini_url *url, struct ini_isid **ret_isid)
{
    struct ini_isid *isid = calloc(1, sizeof(*isid));
    if (!isid)
        return USAN_ENOMEM;
    memcpy(isid->initiator, url->initiator, sizeof(isid->initiator));
    memcpy(isid->target, url->target, sizeof(isid->target));
    memcpy(isid->bytes, url->isid, sizeof(isid->bytes));
    pthread_mutex_lock(&lock);
    int err = url->has_isid ? 0 : process_isid(isid->bytes);
    if (!err)
        err = choose(isid);
    pthread_mutex_unlock(&lock);
    if (err) {
        free(isid);
        return err;
    }
    *ret_isid = isid;
    return 0;
}

void ini_isid_give(struct ini_isid *isid)
{
    if (!isid)
        return;
    pthread_mutex_lock(&lock);
    list_del(&isid->node);
    pthread_mutex_unlock(&lock);
    free(isid);
}

const uint8_t *ini_isid_bytes(const struct ini_isid *isid)
{
    return isid->bytes;
}
