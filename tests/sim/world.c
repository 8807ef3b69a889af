/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { EVENTS_MAX = 3000000 }; /* of one run: what takes more does not end */

/* ---- randomness: splitmix64 ---- */

static uint64_t next64(uint64_t *s)
{
    uint64_t z = *s += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

uint64_t sim_rand64(struct sim *sim, uint64_t below)
{
    return below ? next64(&sim->rng) % below : 0;
}

uint32_t sim_rand(struct sim *sim, uint32_t below)
{
    return (uint32_t)sim_rand64(sim, below);
}

bool sim_chance(struct sim *sim, uint32_t permille)
{
    return permille && sim_rand(sim, 1000) < permille;
}

/* ---- the clock ---- */

void sim_event_init(struct sim_event *ev, void (*fire)(struct sim_event *ev))
{
    list_init(&ev->node);
    ev->fire = fire;
}

bool sim_event_set(const struct sim_event *ev)
{
    return !list_empty(&ev->node);
}

void sim_event_cancel(struct sim_event *ev)
{
    list_del(&ev->node);
}

void sim_event_in(struct sim *sim, struct sim_event *ev, uint64_t delay_ns)
{
    list_del(&ev->node);
    ev->at_ns = sim->now_ns + delay_ns;
    struct list *pos = sim->events.prev;
    while (pos != &sim->events && list_entry(pos, struct sim_event, node)->at_ns > ev->at_ns)
        pos = pos->prev;
    list_insert_between(&ev->node, pos, pos->next);
}

bool sim_step(struct sim *sim)
{
    if (sim->bad[0])
        return false;
    struct list *node = list_pop_front(&sim->events);
    if (!node)
        return false;
    struct sim_event *ev = list_entry(node, struct sim_event, node);
    sim->now_ns = ev->at_ns;
    if (++sim->fired == EVENTS_MAX)
        sim_violation(sim, "it does not end");
    ev->fire(ev);
    sim_lanes_run(sim);
    return !sim->bad[0];
}

bool sim_run(struct sim *sim, uint64_t ns)
{
    uint64_t until = sim->now_ns + ns;
    while (!list_empty(&sim->events) &&
           list_entry(sim->events.next, struct sim_event, node)->at_ns <= until) {
        if (!sim_step(sim))
            return false;
    }
    sim->now_ns = until;
    return !sim->bad[0];
}

/* ---- what is told ---- */

void sim_trace(struct sim *sim, const char *fmt, ...)
{
    char line[256];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    uint64_t h = sim->trace_hash ^ sim->now_ns;
    for (int i = 0; i < n && i < (int)sizeof(line) - 1; i++)
        h = (h ^ (uint8_t)line[i]) * 0x100000001b3ull;
    sim->trace_hash = h;
    sim->trace_lines++;
    if (sim->opt.verbose)
        printf("# %9llu.%03llu us %s\n", (unsigned long long)(sim->now_ns / NS_PER_US),
               (unsigned long long)(sim->now_ns % NS_PER_US), line);
}

void sim_violation(struct sim *sim, const char *fmt, ...)
{
    if (sim->bad[0])
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(sim->bad, sizeof(sim->bad), fmt, ap);
    va_end(ap);
    sim_trace(sim, "VIOLATION %s", sim->bad);
}

/* ---- memory ---- */

struct block {
    struct list node;
    uint64_t bytes[];
};

void *sim_get(struct sim *sim, size_t bytes)
{
    struct block *b = malloc(sizeof(*b) + (bytes ? bytes : 1));
    if (!b)
        abort();
    memset(b->bytes, 0xa5, bytes);
    list_push_back(&sim->memory, &b->node);
    return b->bytes;
}

void *sim_get_zero(struct sim *sim, size_t bytes)
{
    return memset(sim_get(sim, bytes), 0, bytes);
}

void sim_put(void *p)
{
    if (!p)
        return;
    struct block *b = (struct block *)(void *)((char *)p - offsetof(struct block, bytes));
    list_del(&b->node);
    free(b);
}

static void *counted_get(void *ctx, size_t bytes)
{
    struct sim_alloc *a = ctx;
    a->calls++;
    if (a->fail_at && (a->calls == a->fail_at || (a->for_ever && a->calls > a->fail_at))) {
        a->failed++;
        return NULL;
    }
    a->live++;
    return sim_get(a->sim, bytes);
}

static void counted_put(void *ctx, void *ptr)
{
    struct sim_alloc *a = ctx;
    if (ptr)
        a->live--;
    sim_put(ptr);
}

/* ---- life ---- */

static void alloc_init(struct sim *sim, struct sim_alloc *a)
{
    a->a = (struct alloc){ counted_get, counted_put, a };
    a->sim = sim;
}

struct sim *sim_new(const struct sim_options *opt)
{
    struct sim *sim = calloc(1, sizeof(*sim));
    if (!sim)
        abort();
    sim->opt = *opt;
    sim->rng = opt->seed;
    sim->now_ns = NS_PER_SEC;
    sim->fenced = sim->holder = -1;
    alloc_init(sim, &sim->alloc);
    alloc_init(sim, &sim->ini_alloc);
    list_init(&sim->memory);
    list_init(&sim->events);
    list_init(&sim->conns);
    list_init(&sim->sessions);
    list_init(&sim->links);
    list_init(&sim->disk.ios);
    for (uint32_t i = 0; i < SIM_BLOCKS; i++)
        sim_fill(sim->disk.data + i * SIM_BLOCK, i, 0);
    memcpy(sim->disk.medium, sim->disk.data, sizeof(sim->disk.medium));
    sim_admin_init(sim);
    if (!sim_target_init(sim))
        sim_violation(sim, "no logical unit");
    for (unsigned i = 0; i < opt->inis; i++)
        sim->inis[i] = sim_ini_new(sim, i);
    return sim;
}

static void nothing_left(struct sim *sim, const struct sim_alloc *a, const char *whose)
{
    if (a->live)
        sim_violation(sim, "%llu allocations of the %s left at the end",
                      (unsigned long long)a->live, whose);
}

static void close_all(struct sim *sim)
{
    sim->alloc.fail_at = sim->ini_alloc.fail_at = 0;
    for (unsigned i = 0; i < sim->opt.inis; i++)
        sim_ini_die(sim->inis[i]);
    list_for_each (&sim->sessions, pos)
        sim_session_end(list_entry(pos, struct sim_session, node), false, "the end");
    list_for_each (&sim->conns, pos)
        sim_conn_close(list_entry(pos, struct sim_conn, node));
    while (!list_empty(&sim->sessions) || !list_empty(&sim->conns) || sim->disk.busy ||
           sim_event_set(&sim->owner)) {
        if (!sim_step(sim)) {
            sim_violation(sim, "teardown stands still: %u requests in the disk", sim->disk.busy);
            return;
        }
    }
    sim_event_cancel(&sim->admin);
    sim_target_fini(sim);
    nothing_left(sim, &sim->alloc, "target");
    nothing_left(sim, &sim->ini_alloc, "initiators");
}

bool sim_end(struct sim *sim, char *bad)
{
    if (!sim->bad[0])
        close_all(sim);
    bool good = !sim->bad[0];
    if (bad)
        memcpy(bad, sim->bad, sizeof(sim->bad));
    while (list_pop_front(&sim->events))
        ;
    for (unsigned i = 0; i < sim->opt.inis; i++)
        sim_ini_free(sim->inis[i]);
    list_for_each_safe (&sim->links, pos)
        sim_link_free(list_entry(pos, struct sim_link, node));
    for (uint32_t i = 0; i < SIM_BLOCKS; i++)
        free(sim->blocks[i].w);
    while (!list_empty(&sim->memory))
        sim_put(list_entry(sim->memory.next, struct block, node)->bytes);
    free(sim->execs);
    free(sim);
    return good;
}
