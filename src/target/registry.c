/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/registry.h"

#include <assert.h>
#include <string.h>

void tgt_registry_init(struct tgt_registry *reg, uint32_t max)
{
    *reg = (struct tgt_registry){ .max = max };
    pthread_mutex_init(&reg->lock, NULL);
    list_init(&reg->entries);
}

void tgt_registry_fini(struct tgt_registry *reg)
{
    assert(list_empty(&reg->entries));
    pthread_mutex_destroy(&reg->lock);
}

static struct tgt_entry *find_tsih(struct tgt_registry *reg, uint16_t tsih)
{
    list_for_each (&reg->entries, pos) {
        struct tgt_entry *e = list_entry(pos, struct tgt_entry, node);
        if (e->tsih == tsih)
            return e;
    }
    return NULL;
}

static struct tgt_entry *find_name(struct tgt_registry *reg, const struct tgt_entry *name)
{
    list_for_each (&reg->entries, pos) {
        struct tgt_entry *e = list_entry(pos, struct tgt_entry, node);
        if (e->target == name->target && memcmp(e->isid, name->isid, sizeof(e->isid)) == 0 &&
            strcmp(e->initiator, name->initiator) == 0)
            return e;
    }
    return NULL;
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
        list_push_back(&reg->entries, &entry->node);
        reg->count++;
    }
    pthread_mutex_unlock(&reg->lock);
    return err;
}

void tgt_registry_release(struct tgt_registry *reg, struct tgt_entry *entry)
{
    struct list woken;
    list_init(&woken);
    pthread_mutex_lock(&reg->lock);
    list_del(&entry->node);
    assert(reg->count > 0);
    reg->count--;
    list_splice_back(&woken, &entry->waiters);
    pthread_mutex_unlock(&reg->lock);
    struct list *node;
    while ((node = list_pop_front(&woken))) {
        struct tgt_waiter *w = list_entry(node, struct tgt_waiter, node);
        loop_post(w->loop, &w->msg); /* w may be gone from here on */
    }
}

bool tgt_registry_has(struct tgt_registry *reg, uint16_t tsih, const char *initiator,
                      const uint8_t *isid)
{
    pthread_mutex_lock(&reg->lock);
    const struct tgt_entry *e = find_tsih(reg, tsih);
    bool has = e && strcmp(e->initiator, initiator) == 0 && memcmp(e->isid, isid, 6) == 0;
    pthread_mutex_unlock(&reg->lock);
    return has;
}

uint32_t tgt_registry_count(struct tgt_registry *reg)
{
    pthread_mutex_lock(&reg->lock);
    uint32_t n = reg->count;
    pthread_mutex_unlock(&reg->lock);
    return n;
}
