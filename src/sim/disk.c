/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/disk.h"

#include <assert.h>
#include <stdlib.h>

/* A request in service. */
struct server {
    struct sim_timer timer;
    struct sim_disk *disk;
    struct bio *bio; /* NULL: free */
    bool moved;      /* its bytes have their turn in the channel */
};

struct sim_disk {
    const struct sim_disk_config *cfg;
    struct sim_clock *clock;
    struct sim_random random;
    struct list waiting;
    struct sim_disk_stats stats;
    uint64_t channel_ns; /* when the channel is free */
    uint64_t since_ns;   /* the first server became busy */
    uint32_t busy;
    struct server servers[];
};

/* When it was submitted. */
static uint64_t *came(struct bio *bio)
{
    static_assert(sizeof(bio->store_priv) >= sizeof(uint64_t), "room for a time");
    return (uint64_t *)(void *)bio->store_priv;
}

static void serve(struct sim_disk *d, struct server *s, struct bio *bio)
{
    bool read = bio->op == BIO_READ;
    s->bio = bio;
    s->moved = false;
    if (d->busy++ == 0)
        d->since_ns = d->clock->now_ns;
    d->stats.wait_ns += d->clock->now_ns - *came(bio);
    sim_timer_in(d->clock, &s->timer,
                 sim_dist_draw(read ? &d->cfg->read : &d->cfg->write, &d->random));
}

static bool through_channel(const struct sim_disk *d, const struct bio *bio)
{
    return d->cfg->bandwidth_bps && (bio->op == BIO_READ || bio->op == BIO_WRITE);
}

static void done(struct sim_disk *d, struct server *s)
{
    struct bio *bio = s->bio;
    s->bio = NULL;
    if (--d->busy == 0)
        d->stats.busy_ns += d->clock->now_ns - d->since_ns;
    struct list *next = list_pop_front(&d->waiting);
    if (next)
        serve(d, s, list_entry(next, struct bio, node));
    bio->err = 0;
    bio->mapped = true;
    bio->run_len = bio->len;
    bio->done(bio);
}

static void fired(struct sim_timer *t)
{
    struct server *s = list_entry(t, struct server, timer);
    struct sim_disk *d = s->disk;
    if (!s->moved && through_channel(d, s->bio)) {
        uint64_t ns =
            (uint64_t)((unsigned __int128)s->bio->len * NS_PER_SEC / d->cfg->bandwidth_bps);
        if (d->channel_ns < d->clock->now_ns)
            d->channel_ns = d->clock->now_ns;
        d->channel_ns += ns;
        d->stats.bytes_busy_ns += ns;
        s->moved = true;
        sim_timer_at(d->clock, t, d->channel_ns);
        return;
    }
    done(d, s);
}

struct sim_disk *sim_disk_new(const struct sim_disk_config *cfg, struct sim_clock *clock,
                              uint64_t seed)
{
    struct sim_disk *d = calloc(1, sizeof(*d) + cfg->queue_depth * sizeof(d->servers[0]));
    if (!d)
        return NULL;
    d->cfg = cfg;
    d->clock = clock;
    list_init(&d->waiting);
    sim_random_init(&d->random, seed, SIM_STREAM_DISK, 0);
    for (uint32_t i = 0; i < cfg->queue_depth; i++) {
        d->servers[i].disk = d;
        sim_timer_init(&d->servers[i].timer, fired);
    }
    return d;
}

void sim_disk_free(struct sim_disk *d)
{
    for (uint32_t i = 0; d && i < d->cfg->queue_depth; i++)
        sim_timer_cancel(d->clock, &d->servers[i].timer);
    free(d);
}

static struct server *free_server(struct sim_disk *d)
{
    for (uint32_t i = 0; d->busy < d->cfg->queue_depth; i++) {
        if (!d->servers[i].bio)
            return &d->servers[i];
    }
    return NULL;
}

void sim_disk_submit(struct sim_disk *d, struct bio *bio)
{
    struct server *s = free_server(d);
    if (bio->op == BIO_READ)
        d->stats.reads++;
    else if (bio->op == BIO_WRITE)
        d->stats.writes++;
    else
        d->stats.others++;
    *came(bio) = d->clock->now_ns;
    if (s)
        serve(d, s, bio);
    else
        list_push_back(&d->waiting, &bio->node);
}

struct sim_disk_stats sim_disk_stats(const struct sim_disk *d)
{
    struct sim_disk_stats s = d->stats;
    if (d->busy)
        s.busy_ns += d->clock->now_ns - d->since_ns;
    return s;
}
