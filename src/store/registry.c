/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/registry.h"

#include <string.h>

/* In the order of help texts: back ends, then filters. */
const struct store_ops *const store_registry[] = {
    &file_ops,  &ram_ops,       &null_ops,

    &stats_ops, &ratelimit_ops, &delay_ops, &error_ops, &crash_ops,

    NULL,
};

const struct store_ops *store_find_ops(const char *name)
{
    for (const struct store_ops *const *o = store_registry; *o; o++) {
        if (!strcmp((*o)->name, name))
            return *o;
    }
    return NULL;
}
