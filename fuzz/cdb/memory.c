/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include <stdlib.h>

void must(bool holds)
{
    if (!holds)
        abort();
}

void *counted_get(void *ctx, size_t bytes)
{
    struct world *w = ctx;
    if (w->no_memory_in && --w->no_memory_in == 0)
        return NULL;
    void *p = malloc(bytes);
    if (!p)
        abort();
    memset(p, 0xa5, bytes);
    w->allocated++;
    return p;
}

void counted_put(void *ctx, void *ptr)
{
    struct world *w = ctx;
    if (ptr)
        w->allocated--;
    free(ptr);
}

void *exact(size_t bytes)
{
    must(bytes <= BUF_MAX);
    uint8_t *p = malloc(bytes ? bytes : 1);
    if (!p)
        abort();
    memset(p, 0xa5, bytes);
    return p;
}

/* Memory in pieces; empty ones are among them. */
int pieces(struct iovec *iov, int count, size_t len)
{
    for (int i = 0; i < count; i++) {
        size_t n = i == count - 1 ? len : len / 3;
        iov[i] = (struct iovec){ exact(n), n };
        len -= n;
    }
    return count;
}

void free_pieces(struct iovec *iov, int count)
{
    for (int i = 0; i < count; i++) {
        free(iov[i].iov_base);
        iov[i] = (struct iovec){ NULL, 0 };
    }
}

static uint64_t total(const struct iovec *iov, int count)
{
    uint64_t sum = 0;
    for (int i = 0; i < count; i++)
        sum += iov[i].iov_len;
    return sum;
}

/* Between mem and the bytes of iov from offset off on. */
void copy(const struct iovec *iov, int count, uint64_t off, uint8_t *mem, uint64_t len, bool to_iov)
{
    must(total(iov, count) >= off + len);
    for (int i = 0; i < count && len; i++) {
        uint64_t n = iov[i].iov_len;
        if (off >= n) {
            off -= n;
            continue;
        }
        n = n - off < len ? n - off : len;
        uint8_t *p = (uint8_t *)iov[i].iov_base + off;
        memcpy(to_iov ? p : mem, to_iov ? mem : p, n);
        mem += n;
        len -= n;
        off = 0;
    }
}
