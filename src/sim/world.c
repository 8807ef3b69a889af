/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/world.h"

#include <assert.h>
#include <string.h>

enum { WORLDS_MAX = 4 };

static const struct sim_world *worlds[WORLDS_MAX] = { &sim_world_pipe };

void sim_world_add(const struct sim_world *w)
{
    size_t i = 0;
    while (worlds[i])
        i++;
    assert(i + 1 < WORLDS_MAX);
    worlds[i] = w;
}

const struct sim_world *sim_world_find(const char *name)
{
    for (size_t i = 0; worlds[i]; i++) {
        if (strcmp(worlds[i]->name, name) == 0)
            return worlds[i];
    }
    return NULL;
}
