/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/registry.h"

#include <string.h>

/* In the order of help texts: back ends, then filters. */
const struct store_ops *const store_registry[] = {
    &file_ops,  &ram_ops,       &null_ops,

    &stats_ops, &ratelimit_ops, &delay_ops, &error_ops, &crash_ops,

    NULL,
};

static const struct store_ops *added[STORE_ADDED_MAX];
static size_t added_count;

int store_registry_add(const struct store_ops *ops)
{
    if (store_find_ops(ops->name))
        return USAN_EEXIST;
    if (added_count == STORE_ADDED_MAX)
        return USAN_ELIMIT;
    added[added_count++] = ops;
    return 0;
}

const struct store_ops *store_registry_at(size_t i)
{
    size_t built_in = sizeof(store_registry) / sizeof(store_registry[0]) - 1;
    if (i < built_in)
        return store_registry[i];
    return i - built_in < added_count ? added[i - built_in] : NULL;
}

const struct store_ops *store_find_ops(const char *name)
{
    const struct store_ops *ops;
    for (size_t i = 0; (ops = store_registry_at(i)); i++) {
        if (!strcmp(ops->name, name))
            return ops;
    }
    return NULL;
}
