/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/alloc.h"

#include <string.h>

void *alloc_zero(const struct alloc *a, size_t bytes)
{
    void *p = alloc_get(a, bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}

char *alloc_strdup(const struct alloc *a, const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = alloc_get(a, n);
    if (p)
        memcpy(p, s, n);
    return p;
}
