/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/sim.h"

#include "sim/host.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Simulated time in which all logins have to be done, and all logouts. */
enum { PATIENCE_S = 120 };

void sim_fail(struct sim *sim, int err, const char *fmt, ...)
{
    char text[128];
    if (sim->err)
        return;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    sim->err = err_set(sim->why, err, "at %llu.%09llu s: %s",
                       (unsigned long long)(sim->clock.now_ns / NS_PER_SEC),
                       (unsigned long long)(sim->clock.now_ns % NS_PER_SEC), text);
    sim->world->stop(sim->net);
}

int sim_scratch(struct sim *sim, uint64_t bytes, struct iovec iov[SIM_SCRATCH_IOV])
{
    int n = 0;
    for (; bytes; n++) {
        size_t k = bytes < SIM_SCRATCH_BYTES ? (size_t)bytes : SIM_SCRATCH_BYTES;
        iov[n] = (struct iovec){ sim->scratch, k };
        bytes -= k;
    }
    return n;
}

void sim_seed(const struct sim *sim, uint32_t index, uint8_t seed[32])
{
    struct sim_random r;
    sim_random_init(&r, sim->sc->seed, SIM_STREAM_CORE, index);
    for (int i = 0; i < 32; i++)
        seed[i] = (uint8_t)sim_random_64(&r);
}

void sim_steps_init(struct sim *sim, struct iscsi_steps *log)
{
    log->now_ns = &sim->clock.now_ns;
}

void sim_steps_take(struct sim *sim, struct iscsi_steps *log,
                    uint32_t (*who)(void *ctx, const struct iscsi_step *step), void *ctx)
{
    if (!sim->timeline || (!log->count && !log->dropped))
        return;
    int err = sim_timeline_take(sim->timeline, log, who, ctx);
    if (err)
        sim_fail(sim, err, "the time-line: %s", usan_strerror(err));
}

/* ---- phases ---- */

static struct sim_link_stats since(struct sim_link_stats now, const struct sim_link_stats *then)
{
    now.bytes -= then->bytes;
    now.busy_ns -= then->busy_ns;
    now.packets -= then->packets;
    now.lost -= then->lost;
    return now;
}

static void begin_measuring(struct sim *sim)
{
    sim->measuring = true;
    sim->world->link_stats(sim->net, 0, true, &sim->out0);
    sim->world->link_stats(sim->net, 0, false, &sim->in0);
    sim->disk0 = sim_disk_stats(sim_tgt_disk(sim->tgt));
    sim_timer_in(&sim->clock, &sim->phase, sim->sc->duration_ns);
}

static void end_measuring(struct sim *sim)
{
    struct sim_result *r = sim->result;
    struct sim_link_stats out, in;
    sim->measuring = false;
    sim->world->link_stats(sim->net, 0, true, &out);
    sim->world->link_stats(sim->net, 0, false, &in);
    r->measured_ns = sim->sc->duration_ns;
    r->out = since(out, &sim->out0);
    r->in = since(in, &sim->in0);
    r->disk = sim_disk_stats(sim_tgt_disk(sim->tgt));
    r->disk.reads -= sim->disk0.reads;
    r->disk.writes -= sim->disk0.writes;
    r->disk.others -= sim->disk0.others;
    r->disk.busy_ns -= sim->disk0.busy_ns;
    r->disk.bytes_busy_ns -= sim->disk0.bytes_busy_ns;
    r->disk.wait_ns -= sim->disk0.wait_ns;
    sim->ending = true;
    sim_timer_in(&sim->clock, &sim->phase, PATIENCE_S * NS_PER_SEC);
    for (uint32_t i = 0; i < sim->sc->initiator.count; i++)
        sim_ini_end(sim->inis[i]);
}

static void phase(struct sim_timer *t)
{
    struct sim *sim = list_entry(t, struct sim, phase);
    if (sim->ending)
        sim_fail(sim, USAN_EIO, "%u sessions can not be closed",
                 sim->sc->initiator.count - sim->finished);
    else if (sim->measuring)
        end_measuring(sim);
    else if (sim->ready < sim->sc->initiator.count)
        sim_fail(sim, USAN_EIO, "%u initiators have found no unit",
                 sim->sc->initiator.count - sim->ready);
    else
        begin_measuring(sim);
}

static void fault_fired(struct sim_timer *t)
{
    struct sim_fault_timer *f = list_entry(t, struct sim_fault_timer, timer);
    sim_ini_break(f->sim->inis[f->fault->initiator - 1], f->fault->connection);
}

void sim_ini_ready(struct sim *sim)
{
    if (++sim->ready < sim->sc->initiator.count)
        return;
    sim_timer_in(&sim->clock, &sim->phase, sim->sc->warm_up_ns);
    for (uint32_t i = 0; i < sim->sc->fault_count; i++) {
        struct sim_fault_timer *f = &sim->faults[i];
        *f = (struct sim_fault_timer){ .sim = sim, .fault = &sim->sc->faults[i] };
        sim_timer_init(&f->timer, fault_fired);
        sim_timer_in(&sim->clock, &f->timer, f->fault->at_ns);
    }
}

void sim_ini_finished(struct sim *sim)
{
    if (++sim->finished == sim->sc->initiator.count)
        sim->world->stop(sim->net);
}

/* ---- all of it ---- */

static int make_hosts(struct sim *sim)
{
    sim->tgt = sim_tgt_new(sim);
    sim->inis = calloc(sim->sc->initiator.count, sizeof(struct sim_ini *));
    bool ok = sim->tgt && sim->inis;
    for (uint32_t i = 0; ok && i < sim->sc->initiator.count; i++)
        ok = (sim->inis[i] = sim_ini_new(sim, i)) != NULL;
    return ok ? 0 : err_set(sim->why, USAN_ENOMEM, "out of memory");
}

static void free_hosts(struct sim *sim)
{
    for (uint32_t i = 0; sim->inis && i < sim->sc->initiator.count; i++)
        sim_ini_free(sim->inis[i]);
    free(sim->inis);
    sim_tgt_free(sim->tgt);
    sim_timer_cancel(&sim->clock, &sim->phase);
    for (uint32_t i = 0; i < sim->sc->fault_count; i++)
        sim_timer_cancel(&sim->clock, &sim->faults[i].timer);
}

static uint64_t lost(struct sim *sim)
{
    uint32_t hosts = 1 + sim->sc->initiator.count;
    uint64_t sum = 0;
    for (uint32_t i = hosts == 2 ? 1 : 0; i < hosts; i++) { /* two hosts have one link */
        struct sim_link_stats out, in;
        sim->world->link_stats(sim->net, i, true, &out);
        sim->world->link_stats(sim->net, i, false, &in);
        sum += out.lost + in.lost;
    }
    return sum;
}

static void run(struct sim *sim)
{
    sim_timer_init(&sim->phase, phase);
    sim_timer_in(&sim->clock, &sim->phase, PATIENCE_S * NS_PER_SEC);
    sim->world->run(sim->net);
    if (!sim->err && sim->finished < sim->sc->initiator.count)
        sim_fail(sim, USAN_ENOMEM, "out of memory"); /* the world stopped by itself */
    sim->result->events = sim->world->events(sim->net);
    sim->result->packets_lost = lost(sim);
    sim->result->end_ns = sim->clock.now_ns;
}

int sim_run(const struct sim_scenario *sc, const struct sim_world *world,
            const struct sim_look *look, struct sim_result *ret, struct err_text *e)
{
    struct sim *sim = calloc(1, sizeof(*sim));
    struct sim_result *result = calloc(1, sizeof(*result));
    if (!sim || !result) {
        free(sim);
        free(result);
        return err_set(e, USAN_ENOMEM, "out of memory");
    }
    const struct sim_net_config net = {
        .hosts = 1 + sc->initiator.count,
        .rate_bps = sc->network.rate_bps,
        .delay_ns = sc->network.delay_ns,
        .trunk_bps = sc->network.trunk_bps,
        .mtu_bytes = sc->network.mtu_bytes,
        .window_bytes = sc->network.window_bytes,
        .seed = sc->seed,
        .loss = sc->network.loss,
        .queue_packets = sc->network.queue_packets,
        .tcp = sc->network.tcp,
        .pcap = look->pcap,
    };
    sim->sc = sc;
    sim->world = world;
    sim->result = result;
    sim->timeline = look->timeline;
    sim->why = e;
    sim->err = world->open(&net, &sim->clock, &sim->net, e);
    if (!sim->err) {
        sim->err = make_hosts(sim);
        if (!sim->err)
            run(sim);
        free_hosts(sim);
        world->close(sim->net);
    }
    int err = sim->err;
    if (!err)
        *ret = *result;
    free(result);
    free(sim);
    return err;
}
