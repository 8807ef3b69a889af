/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/crew.h"

#include "io/thread.h"

#include <assert.h>
#include <stdlib.h>

struct crew {
    unsigned count;
    struct member {
        struct loop *loop;
        struct thread thread;
        bool runs;
    } v[];
};

int crew_new(unsigned count, const struct loop_config *cfg, struct crew **ret_crew,
             struct err_text *e)
{
    assert(count >= 1 && count <= CREW_MAX);
    struct crew *crew = calloc(1, sizeof(*crew) + count * sizeof(crew->v[0]));
    if (!crew)
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    for (; crew->count < count; crew->count++) {
        int err = loop_new(cfg, &crew->v[crew->count].loop, e);
        if (err) {
            crew_free(crew);
            return err;
        }
    }
    *ret_crew = crew;
    return 0;
}

struct loop *crew_loop(const struct crew *crew, unsigned i)
{
    return crew->v[i % crew->count].loop;
}

int crew_start(struct crew *crew, struct err_text *e)
{
    int err = 0;
    for (unsigned i = 0; !err && i < crew->count; i++) {
        struct member *m = &crew->v[i];
        err = thread_start_loop(&m->thread, "usan-tool", m->loop, e);
        m->runs = !err;
    }
    if (err)
        crew_stop(crew);
    return err;
}

void crew_stop(struct crew *crew)
{
    for (unsigned i = 0; i < crew->count; i++) {
        if (crew->v[i].runs)
            loop_stop(crew->v[i].loop);
    }
    for (unsigned i = 0; i < crew->count; i++) {
        if (crew->v[i].runs)
            thread_join(&crew->v[i].thread);
        crew->v[i].runs = false;
    }
}

void crew_free(struct crew *crew)
{
    if (!crew)
        return;
    for (unsigned i = 0; i < crew->count; i++)
        loop_free(crew->v[i].loop);
    free(crew);
}
