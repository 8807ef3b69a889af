/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/crc32c.h"
#include "iscsi/wire.h"

#include <assert.h>

void wire_tx_init(struct wire_tx *tx, const struct alloc *a)
{
    memset(tx, 0, sizeof *tx);
    tx->a = a;
}

void wire_tx_fini(struct wire_tx *tx)
{
    alloc_put(tx->a, tx->block);
    tx->block = NULL;
}

void wire_tx_shrink(struct wire_tx *tx)
{
    if (tx->block && tx->head == tx->tail) {
        alloc_put(tx->a, tx->block);
        tx->block = NULL;
    }
}

/* Close the gap in front of the queue. Payload and slots stay where they are. */
static void compact(struct wire_tx *tx)
{
    struct wire_tx_block *b = tx->block;
    unsigned n = tx->tail - tx->head;

    memmove(b->v, b->v + tx->head, n * sizeof b->v[0]);
    memmove(b->mark, b->mark + tx->head, n * sizeof b->mark[0]);
    memmove(b->slot_end, b->slot_end + tx->head, n * sizeof b->slot_end[0]);
    tx->digest_at -= tx->to_digest ? tx->head : 0;
    tx->head = 0;
    tx->tail = n;
}

int wire_tx_room(struct wire_tx *tx, unsigned n)
{
    n += 2; /* header, trailer */
    assert(n <= WIRE_TX_IOVS);
    if (!tx->block) {
        tx->block = alloc_get(tx->a, sizeof *tx->block);
        if (!tx->block)
            return USAN_ENOMEM;
        tx->head = tx->tail = tx->slot_head = tx->slots_used = tx->to_digest = 0;
    }
    if (tx->slots_used == WIRE_TX_SLOTS)
        return USAN_EAGAIN;
    if (tx->tail + n > WIRE_TX_IOVS) {
        if (tx->tail - tx->head + n > WIRE_TX_IOVS)
            return USAN_EAGAIN;
        compact(tx);
    }
    return 0;
}

uint8_t *wire_tx_header(struct wire_tx *tx)
{
    struct wire_tx_block *b = tx->block;
    unsigned i = (tx->slot_head + tx->slots_used) % WIRE_TX_SLOTS;
    return b->slots[i].bhs;
}

unsigned wire_iov_span(const struct iovec *iov, int cnt, size_t skip, size_t len)
{
    unsigned n = 0;
    for (int i = 0; i < cnt && len > 0; i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        size_t k = iov[i].iov_len - skip;
        skip = 0;
        len -= k < len ? k : len;
        n++;
    }
    return n;
}

static void push(struct wire_tx *tx, const void *p, size_t len)
{
    struct wire_tx_block *b = tx->block;
    assert(tx->tail < WIRE_TX_IOVS);
    union {
        const void *in;
        void *out; /* sendmsg only reads, struct iovec does not say so */
    } u = { .in = p };
    b->v[tx->tail].iov_base = u.out;
    b->v[tx->tail].iov_len = len;
    b->mark[tx->tail] = NULL;
    b->slot_end[tx->tail] = false;
    tx->tail++;
    tx->bytes += len;
}

/* The iovecs it takes. */
static uint8_t push_header(struct wire_tx *tx, struct wire_tx_slot *slot, const void *ahs,
                           uint32_t ahs_len)
{
    uint8_t *digest = slot->bhs + ISCSI_BHS_LEN;

    if (tx->header_digest) { /* over the additional segments too, 13.1 */
        uint32_t crc = crc32c_update(CRC32C_INIT, slot->bhs, ISCSI_BHS_LEN);
        if (ahs_len)
            crc = crc32c_update(crc, ahs, ahs_len);
        crc = crc32c_final(crc);
        memcpy(digest, &crc, sizeof crc);
    }
    if (ahs_len == 0) {
        push(tx, slot->bhs, ISCSI_BHS_LEN + (tx->header_digest ? ISCSI_DIGEST_LEN : 0u));
        return 1;
    }
    push(tx, slot->bhs, ISCSI_BHS_LEN);
    push(tx, ahs, ahs_len);
    if (tx->header_digest)
        push(tx, digest, ISCSI_DIGEST_LEN);
    return tx->header_digest ? 3 : 2;
}

void wire_tx_push_ahs(struct wire_tx *tx, const void *ahs, uint32_t ahs_len,
                      const struct iovec *iov, int cnt, size_t skip, uint32_t len, void *mark)
{
    struct wire_tx_block *b = tx->block;
    struct wire_tx_slot *slot = &b->slots[(tx->slot_head + tx->slots_used) % WIRE_TX_SLOTS];
    uint32_t left = len;

    if (tx->data_digest && tx->to_digest++ == 0)
        tx->digest_at = tx->tail;
    tx->slots_used++;
    slot->head_iovs = push_header(tx, slot, ahs, ahs_len);
    slot->data_len = len;
    for (int i = 0; left > 0; i++) {
        assert(i < cnt);
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        size_t k = iov[i].iov_len - skip;
        if (k > left)
            k = left;
        push(tx, (const uint8_t *)iov[i].iov_base + skip, k);
        left -= (uint32_t)k;
        skip = 0;
    }
    if (len > 0) {
        unsigned n = (-len & 3u) + (tx->data_digest ? ISCSI_DIGEST_LEN : 0u);
        memset(slot->trailer, 0, -len & 3u);
        if (n > 0)
            push(tx, slot->trailer, n);
    }
    b->mark[tx->tail - 1] = mark;
    b->slot_end[tx->tail - 1] = true;
}

void wire_tx_push(struct wire_tx *tx, const struct iovec *iov, int cnt, size_t skip, uint32_t len,
                  void *mark)
{
    wire_tx_push_ahs(tx, NULL, 0, iov, cnt, skip, len, mark);
}

void wire_tx_mark(struct wire_tx *tx, void *mark)
{
    assert(tx->tail > tx->head);
    tx->block->mark[tx->tail - 1] = mark;
}

/* That of one PDU, which begins with v[at]. Where the next one begins. */
static unsigned digest_one(struct wire_tx_block *b, struct wire_tx_slot *slot, unsigned at)
{
    uint32_t crc = CRC32C_INIT, left = slot->data_len, pad = -left & 3u;

    at += slot->head_iovs;
    if (left == 0)
        return at;
    for (; left > 0; at++) {
        crc = crc32c_update(crc, b->v[at].iov_base, b->v[at].iov_len);
        left -= (uint32_t)b->v[at].iov_len;
    }
    crc = crc32c_final(crc32c_update(crc, slot->trailer, pad));
    memcpy(slot->trailer + pad, &crc, sizeof crc);
    return at + 1;
}

void wire_tx_digest(struct wire_tx *tx)
{
    unsigned slot = tx->slot_head + tx->slots_used - tx->to_digest;

    for (unsigned at = tx->digest_at; tx->to_digest > 0; tx->to_digest--)
        at = digest_one(tx->block, &tx->block->slots[slot++ % WIRE_TX_SLOTS], at);
}

int wire_tx_peek(const struct wire_tx *tx, struct iovec *iov, int max)
{
    unsigned n = tx->tail - tx->head;

    if (n > (unsigned)max)
        n = (unsigned)max;
    if (n == 0)
        return 0;
    memcpy(iov, tx->block->v + tx->head, n * sizeof *iov);
    iov[0].iov_base = (uint8_t *)iov[0].iov_base + tx->sent;
    iov[0].iov_len -= tx->sent;
    return (int)n;
}

void wire_tx_advance(struct wire_tx *tx, size_t n)
{
    assert(n <= tx->bytes);
    tx->sent += n;
    tx->bytes -= n;
}

void *wire_tx_sent(struct wire_tx *tx)
{
    struct wire_tx_block *b = tx->block;

    while (tx->head < tx->tail && tx->sent >= b->v[tx->head].iov_len) {
        unsigned i = tx->head++;
        tx->sent -= b->v[i].iov_len;
        if (b->slot_end[i]) {
            tx->slot_head = (tx->slot_head + 1) % WIRE_TX_SLOTS;
            tx->slots_used--;
        }
        if (tx->head == tx->tail)
            tx->head = tx->tail = tx->to_digest = 0;
        if (b->mark[i])
            return b->mark[i];
    }
    return NULL;
}
