/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/registry.h"

#include <assert.h>
#include <string.h>

void tgt_registry_init(struct tgt_registry *reg, uint32_t max)
{
    memset(reg, 0, sizeof(*reg));
    reg->max = max;
    pthread_mutex_init(&reg->lock, NULL);
}

void tgt_registry_fini(struct tgt_registry *reg)
{
    assert(reg->count == 0);
    pthread_mutex_destroy(&reg->lock);
}

static struct tgt_entry **tsih_bucket(struct tgt_registry *reg, uint16_t tsih)
{
    return &reg->by_tsih[tsih % TGT_REGISTRY_BUCKETS]; /* they are given in turn */
}

/* FNV-1a. Whoever makes up names that fall into one bucket slows down logins only, and has to be
 * let in by as many sessions as it takes. */
static struct tgt_entry **name_bucket(struct tgt_registry *reg, const struct tgt_entry *name)
{
    uint64_t h = 0xcbf29ce484222325;
    for (const char *p = name->initiator; *p; p++)
        h = (h ^ (uint8_t)*p) * 0x100000001b3;
    for (size_t i = 0; i < sizeof(name->isid); i++)
        h = (h ^ name->isid[i]) * 0x100000001b3;
    return &reg->by_name[(h ^ h >> 32) % TGT_REGISTRY_BUCKETS];
}

static struct tgt_entry *find_tsih(struct tgt_registry *reg, uint16_t tsih)
{
    struct tgt_entry *e = *tsih_bucket(reg, tsih);
    while (e && e->tsih != tsih)
        e = e->next_tsih;
    return e;
}

static struct tgt_entry *find_name(struct tgt_registry *reg, const struct tgt_entry *name)
{
    struct tgt_entry *e = *name_bucket(reg, name);
    while (e && (e->target != name->target || memcmp(e->isid, name->isid, sizeof(e->isid)) != 0 ||
                 strcmp(e->initiator, name->initiator) != 0))
        e = e->next_name;
    return e;
}

static void enter(struct tgt_registry *reg, struct tgt_entry *entry)
{
    struct tgt_entry **bucket = tsih_bucket(reg, entry->tsih);
    entry->next_tsih = *bucket;
    *bucket = entry;
    if (entry->target) {
        bucket = name_bucket(reg, entry);
        entry->next_name = *bucket;
        *bucket = entry;
    }
    reg->count++;
}

static void leave(struct tgt_registry *reg, struct tgt_entry *entry)
{
    struct tgt_entry **at = tsih_bucket(reg, entry->tsih);
    while (*at != entry)
        at = &(*at)->next_tsih;
    *at = entry->next_tsih;
    if (entry->target) {
        at = name_bucket(reg, entry);
        while (*at != entry)
            at = &(*at)->next_name;
        *at = entry->next_name;
    }
    assert(reg->count > 0);
    reg->count--;
}

/* Handles go round, so that one is not given again soon after its session ended. */
static uint16_t choose_tsih(struct tgt_registry *reg)
{
    do {
        reg->last_tsih++;
    } while (reg->last_tsih == 0 || find_tsih(reg, reg->last_tsih));
    return reg->last_tsih;
}

int tgt_registry_claim(struct tgt_registry *reg, struct tgt_entry *entry, struct tgt_waiter *waiter,
                       struct loop **ret_loop, uint16_t *ret_tsih)
{
    int err = 0;
    pthread_mutex_lock(&reg->lock);
    struct tgt_entry *old = entry->target ? find_name(reg, entry) : NULL;
    if (old) {
        list_push_back(&old->waiters, &waiter->node);
        *ret_loop = old->loop;
        *ret_tsih = old->tsih;
        err = USAN_EAGAIN;
    } else if (reg->count >= reg->max) {
        err = USAN_ELIMIT;
    } else {
        entry->tsih = choose_tsih(reg);
        list_init(&entry->waiters);
        enter(reg, entry);
    }
    pthread_mutex_unlock(&reg->lock);
    return err;
}

void tgt_registry_release(struct tgt_registry *reg, struct tgt_entry *entry)
{
    struct list woken;
    list_init(&woken);
    pthread_mutex_lock(&reg->lock);
    leave(reg, entry);
    list_splice_back(&woken, &entry->waiters);
    pthread_mutex_unlock(&reg->lock);
    struct list *node;
    while ((node = list_pop_front(&woken))) {
        struct tgt_waiter *w = list_entry(node, struct tgt_waiter, node);
        loop_post(w->loop, &w->msg); /* w may be gone from here on */
    }
}

struct loop *tgt_registry_find(struct tgt_registry *reg, uint16_t tsih, const void *target,
                               const char *initiator, const uint8_t *isid)
{
    pthread_mutex_lock(&reg->lock);
    const struct tgt_entry *e = find_tsih(reg, tsih);
    bool has = e && e->target == target && strcmp(e->initiator, initiator) == 0 &&
               memcmp(e->isid, isid, 6) == 0;
    struct loop *loop = has ? e->loop : NULL;
    pthread_mutex_unlock(&reg->lock);
    return loop;
}

uint32_t tgt_registry_count(struct tgt_registry *reg)
{
    pthread_mutex_lock(&reg->lock);
    uint32_t n = reg->count;
    pthread_mutex_unlock(&reg->lock);
    return n;
}
