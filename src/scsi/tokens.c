/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ROD tokens of a unit. */
#include "scsi/tokens.h"

struct rod_token *rod_token_find(const struct scsi_lu *lu, uint64_t id)
{
    for (unsigned i = 0; lu->tokens && i < ROD_TOKENS_MAX; i++) {
        struct rod_token *k = lu->tokens->held[i];
        if (k && k->id == id) {
            atomic_store(&k->used, atomic_fetch_add(&lu->tokens->uses, 1) + 1);
            return k;
        }
    }
    return NULL;
}

/* A free place, or that of an invalid token, or of the one unused longest. */
static struct rod_token **place(struct scsi_tokens *tokens)
{
    struct rod_token **best = NULL;
    for (unsigned i = 0; i < ROD_TOKENS_MAX; i++) {
        struct rod_token **at = &tokens->held[i];
        if (!*at || atomic_load(&(*at)->invalid))
            return at;
        if (!best || atomic_load(&(*at)->used) < atomic_load(&(*best)->used))
            best = at;
    }
    return best;
}

void scsi_tokens_free(struct scsi_lu *lu)
{
    for (unsigned i = 0; lu->tokens && i < ROD_TOKENS_MAX; i++)
        alloc_put(lu->a, lu->tokens->held[i]);
    alloc_put(lu->a, lu->tokens);
    lu->tokens = NULL;
}

static bool overlaps(const struct rod_token *k, uint64_t off, uint64_t end)
{
    if (end <= k->low || off >= k->high)
        return false;
    for (unsigned i = 0; i < k->range_count; i++) {
        const struct copy_range *r = &k->range[i];
        if (off < r->off + r->len && r->off < end)
            return true;
    }
    return false;
}

void scsi_tokens_written(struct scsi_lu *lu, uint64_t off, uint64_t len)
{
    for (unsigned i = 0; lu->tokens && i < ROD_TOKENS_MAX; i++) {
        struct rod_token *k = lu->tokens->held[i];
        if (k && !atomic_load(&k->invalid) && overlaps(k, off, off + len))
            atomic_store(&k->invalid, true);
    }
}

struct rod_token *rod_token_new(struct scsi_lu *lu, const struct copy_range *range, unsigned count,
                                uint64_t bytes)
{
    if (!lu->tokens) {
        lu->tokens = alloc_zero(lu->a, sizeof(*lu->tokens));
        if (!lu->tokens)
            return NULL;
    }
    struct rod_token *k = alloc_zero(lu->a, sizeof(*k) + count * sizeof(k->range[0]));
    if (!k)
        return NULL;
    k->id = ++lu->tokens->last_id;
    k->bytes = bytes;
    k->low = UINT64_MAX;
    k->range_count = count;
    for (unsigned i = 0; i < count; i++) {
        k->range[i] = range[i];
        k->low = range[i].off < k->low ? range[i].off : k->low;
        k->high = range[i].off + range[i].len > k->high ? range[i].off + range[i].len : k->high;
    }
    atomic_store(&k->used, atomic_fetch_add(&lu->tokens->uses, 1) + 1);
    struct rod_token **at = place(lu->tokens);
    alloc_put(lu->a, *at);
    *at = k;
    return k;
}
