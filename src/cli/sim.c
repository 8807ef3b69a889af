/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usan sim: simulated hosts and networks. */
#include "sim/sim.h"
#include "base/number.h"
#include "cli/command.h"
#include "cli/latency.h"
#include "cli/meter.h"
#include "cli/report.h"
#include "cli/sim_world.h"
#include "sim/world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ARGS_MAX = 64 };

struct run_args {
    const char *percentiles, *seed, *pcap;
    bool json, cost, timeline;
};

#define AT(field) offsetof(struct run_args, field)

const struct cli_opt cli_sim_run_opts[] = {
    { "seed", 's', CLI_TEXT, "NUMBER", NULL, "of all that is random, instead of the scenario's",
      AT(seed), 0, 0 },
    { "percentiles", 0, CLI_TEXT, "LIST", LATENCY_SHARES, "of the latency", AT(percentiles), 0, 0 },
    { "pcap", 'p', CLI_TEXT, "FILE", NULL,
      "write the packets of the target's link to a file; world ns3 only", AT(pcap), 0, 0 },
    { "timeline", 't', CLI_FLAG, NULL, NULL,
      "write every change of state of sessions and connections as well", AT(timeline), 0, 0 },
    { "json", 'j', CLI_FLAG, NULL, NULL, "write JSON", AT(json), 0, 0 },
    { "cost", 'c', CLI_FLAG, NULL, NULL, "say on standard error what the run has cost", AT(cost), 0,
      0 },
    { 0 },
};

const struct cli_opt cli_sim_check_opts[] = { { 0 } };

/* ---- for people ---- */

static void print_what(const struct sim_scenario *sc, const char *name)
{
    const struct sim_load_config *l = &sc->load;
    const char *op = l->read_percent == 100 ? "reads"
                     : l->read_percent      ? "reads and writes"
                                            : "writes";
    printf("%s: %u initiator%s, %u connection%s each, %s %s of %s, depth %u, %s, world %s\n", name,
           sc->initiator.count, sc->initiator.count == 1 ? "" : "s", sc->initiator.connections,
           sc->initiator.connections == 1 ? "" : "s",
           l->pattern == SIM_PATTERN_RANDOM ? "random" : "sequential", op,
           num_size_text(l->block_bytes).s, l->depth, num_time_text(sc->duration_ns).s, sc->world);
}

static double percent(uint64_t part, uint64_t of)
{
    return of ? 100 * (double)part / (double)of : 0;
}

static void print_params(const struct iscsi_params *p)
{
    printf("iscsi  MaxRecvDataSegmentLength %u (initiator), %u (target)\n", p->rx_data_segment,
           p->tx_data_segment);
    printf("       MaxBurstLength %u  FirstBurstLength %u  MaxOutstandingR2T %u\n", p->max_burst,
           p->first_burst, p->max_outstanding_r2t);
    printf("       InitialR2T %s  ImmediateData %s  ErrorRecoveryLevel %u  digests %s\n",
           p->initial_r2t ? "Yes" : "No", p->immediate_data ? "Yes" : "No", p->error_recovery_level,
           p->header_digest && p->data_digest ? "of headers and data"
           : p->header_digest                 ? "of headers"
           : p->data_digest                   ? "of data"
                                              : "none");
}

static void print(const struct sim_scenario *sc, const struct sim_result *r, const char *name,
                  const struct latency_shares *shares)
{
    static const char *const kinds[SIM_OPS] = { "read", "write" };
    double seconds = (double)r->measured_ns / (double)NS_PER_SEC;
    uint64_t ios = r->disk.reads + r->disk.writes + r->disk.others;
    print_what(sc, name);
    for (int i = 0; i < SIM_OPS; i++) {
        if (r->latency[i].count)
            latency_print(kinds[i], &r->latency[i], sc->load.block_bytes, seconds, shares);
    }
    if (!r->latency[SIM_READ].count && !r->latency[SIM_WRITE].count)
        puts("no request ended in that time");
    if (r->repeated || r->failed)
        printf("       %llu requests were repeated, %llu failed\n", (unsigned long long)r->repeated,
               (unsigned long long)r->failed);
    if (r->packets_lost)
        printf("       %llu packets got lost\n", (unsigned long long)r->packets_lost);
    printf("link   of the target: %.1f %% used outwards, %.1f %% inwards\n",
           percent(r->out.busy_ns, r->measured_ns), percent(r->in.busy_ns, r->measured_ns));
    printf("disk   busy %.1f %% of the time, its channel %.1f %%; a request waited %s\n",
           percent(r->disk.busy_ns, r->measured_ns), percent(r->disk.bytes_busy_ns, r->measured_ns),
           latency_text(ios ? r->disk.wait_ns / ios : 0).s);
    print_params(&r->params);
}

/* A line for each, in columns. */
static void print_timeline(const struct sim_timeline *t)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct sim_step *s = &t->v[i];
        char what[32];
        if (s->session)
            (void)snprintf(what, sizeof(what), "session");
        else if (s->cid < 0)
            (void)snprintf(what, sizeof(what), "connection");
        else
            (void)snprintf(what, sizeof(what), "connection %d", s->cid);
        printf("%5llu.%09llu  %-9s %4u  %-13s %-4s %-20s -> %-20s %s\n",
               (unsigned long long)(s->at_ns / NS_PER_SEC),
               (unsigned long long)(s->at_ns % NS_PER_SEC),
               s->role == ISCSI_ROLE_TARGET ? "target" : "initiator", s->initiator, what,
               s->transition, s->from, s->to, s->event);
    }
}

/* ---- for programs ---- */

static void json_timeline(struct report *r, const struct sim_timeline *t)
{
    report_begin_list(r, "timeline", NULL);
    for (size_t i = 0; i < t->count; i++) {
        const struct sim_step *s = &t->v[i];
        report_begin(r, NULL, NULL);
        report_number(r, "time_ns", NULL, s->at_ns, NULL);
        report_text(r, "role", NULL, s->role == ISCSI_ROLE_TARGET ? "target" : "initiator");
        report_number(r, "initiator", NULL, s->initiator, NULL);
        report_text(r, "machine", NULL, s->session ? "session" : "connection");
        if (s->cid >= 0)
            report_number(r, "cid", NULL, (uint64_t)s->cid, NULL);
        report_text(r, "transition", NULL, s->transition);
        report_text(r, "from", NULL, s->from);
        report_text(r, "to", NULL, s->to);
        report_text(r, "event", NULL, s->event);
        report_end(r);
    }
    report_end(r);
}

static void json_link(struct report *r, const char *key, const struct sim_link_stats *l)
{
    report_begin(r, key, NULL);
    report_number(r, "bytes", NULL, l->bytes, NULL);
    report_number(r, "packets", NULL, l->packets, NULL);
    report_number(r, "busy_ns", NULL, l->busy_ns, NULL);
    report_end(r);
}

static void json_params(struct report *r, const struct iscsi_params *p)
{
    report_begin(r, "negotiated", NULL);
    report_number(r, "max_recv_data_segment_initiator", NULL, p->rx_data_segment, NULL);
    report_number(r, "max_recv_data_segment_target", NULL, p->tx_data_segment, NULL);
    report_number(r, "max_burst", NULL, p->max_burst, NULL);
    report_number(r, "first_burst", NULL, p->first_burst, NULL);
    report_number(r, "max_outstanding_r2t", NULL, p->max_outstanding_r2t, NULL);
    report_number(r, "max_connections", NULL, p->max_connections, NULL);
    report_number(r, "error_recovery_level", NULL, p->error_recovery_level, NULL);
    report_bool(r, "initial_r2t", NULL, p->initial_r2t);
    report_bool(r, "immediate_data", NULL, p->immediate_data);
    report_bool(r, "header_digest", NULL, p->header_digest);
    report_bool(r, "data_digest", NULL, p->data_digest);
    report_end(r);
}

static void json_load(struct report *r, const struct sim_scenario *sc)
{
    const struct sim_load_config *l = &sc->load;
    report_number(r, "seed", NULL, sc->seed, NULL);
    report_number(r, "initiators", NULL, sc->initiator.count, NULL);
    report_number(r, "connections", NULL, sc->initiator.connections, NULL);
    report_bool(r, "sequential", NULL, l->pattern == SIM_PATTERN_SEQUENTIAL);
    report_number(r, "read_percent", NULL, l->read_percent, NULL);
    report_number(r, "block_bytes", NULL, l->block_bytes, NULL);
    report_number(r, "queue_depth", NULL, l->depth, NULL);
}

static void print_json(const struct sim_scenario *sc, const struct sim_result *res,
                       const struct sim_timeline *t, const char *name,
                       const struct latency_shares *shares)
{
    struct report r;
    double seconds = (double)res->measured_ns / (double)NS_PER_SEC;
    report_init(&r, stdout, true);
    report_begin(&r, NULL, NULL);
    report_text(&r, "scenario", NULL, name);
    report_text(&r, "world", NULL, sc->world);
    json_load(&r, sc);
    report_number(&r, "time_ns", NULL, res->measured_ns, NULL);
    latency_json(&r, "read", &res->latency[SIM_READ], sc->load.block_bytes, seconds, shares);
    latency_json(&r, "write", &res->latency[SIM_WRITE], sc->load.block_bytes, seconds, shares);
    report_number(&r, "repeated", NULL, res->repeated, NULL);
    report_number(&r, "failed", NULL, res->failed, NULL);
    json_link(&r, "target_link_out", &res->out);
    json_link(&r, "target_link_in", &res->in);
    report_number(&r, "packets_lost", NULL, res->packets_lost, NULL);
    report_begin(&r, "disk", NULL);
    report_number(&r, "reads", NULL, res->disk.reads, NULL);
    report_number(&r, "writes", NULL, res->disk.writes, NULL);
    report_number(&r, "busy_ns", NULL, res->disk.busy_ns, NULL);
    report_number(&r, "channel_busy_ns", NULL, res->disk.bytes_busy_ns, NULL);
    report_number(&r, "wait_ns", NULL, res->disk.wait_ns, NULL);
    report_end(&r);
    json_params(&r, &res->params);
    report_number(&r, "logins", NULL, res->logins, NULL);
    report_number(&r, "events", NULL, res->events, NULL);
    if (t)
        json_timeline(&r, t);
    report_end(&r);
}

/* On standard error, as it differs from run to run. */
static void print_cost(const struct sim_scenario *sc, const struct sim_result *r)
{
    double cpu = (double)clock() / CLOCKS_PER_SEC;
    double bytes = (double)(r->latency[SIM_READ].count + r->latency[SIM_WRITE].count) *
                   (double)sc->load.block_bytes;
    fprintf(stderr, "cost   %.3f s of a processor for %.3f s of %llu events", cpu,
            (double)r->end_ns / (double)NS_PER_SEC, (unsigned long long)r->events);
    if (bytes > 0)
        fprintf(stderr, ", %.2f s for a GiB", cpu / bytes * (1 << 30));
    fputc('\n', stderr);
}

/* ---- the commands ---- */

static int load(struct sim_scenario *sc, const struct run_args *a, const char *path,
                struct err_text *e)
{
    uint64_t seed;
    sim_scenario_init(sc);
    int err = sim_scenario_load(sc, path, e);
    if (err || !a->seed)
        return err;
    if (num_parse_uint(a->seed, 0, UINT32_MAX, &seed))
        return err_set(e, USAN_EINVAL, "--seed %s: is not a number up to %u", a->seed, UINT32_MAX);
    sc->seed = (uint32_t)seed;
    return 0;
}

/* Before the world finds out in its own way. */
static int check_pcap(const struct sim_scenario *sc, const char *path, struct err_text *e)
{
    if (!path)
        return 0;
    if (strcmp(sc->world, "pipe") == 0)
        return err_set(e, USAN_EINVAL, "--pcap: the pipe world has no packets");
    FILE *f = fopen(path, "we");
    if (!f)
        return err_set(e, USAN_EINVAL, "--pcap %s: %s", path, strerror(errno));
    fclose(f);
    return 0;
}

static int run(const struct run_args *a, const struct sim_scenario *sc, const char *path,
               const struct latency_shares *shares, struct err_text *e)
{
    struct sim_timeline steps = { .v = NULL };
    const struct sim_look look = { .pcap = a->pcap, .timeline = a->timeline ? &steps : NULL };
    struct sim_result *r = malloc(sizeof(*r));
    if (!r)
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    int err = sim_run(sc, sim_world_find(sc->world), &look, r, e);
    if (err)
        err_prefix(e, "%s", path);
    else if (a->json)
        print_json(sc, r, look.timeline, path, shares);
    else
        print(sc, r, path, shares);
    if (!a->json) /* also of a run that failed: what led to it */
        print_timeline(&steps);
    if (!err && a->cost)
        print_cost(sc, r);
    sim_timeline_free(&steps);
    free(r);
    return err;
}

static int prepare(const struct run_args *a, const char *path, struct sim_scenario *sc,
                   struct latency_shares *shares, struct err_text *e)
{
    int err = latency_parse(a->percentiles, shares, e);
    if (!err)
        err = load(sc, a, path, e);
    return err ? err : check_pcap(sc, a->pcap, e);
}

int cli_sim_run(const struct cli_command *cmd, int argc, char **argv)
{
    struct run_args a = { 0 };
    struct latency_shares shares;
    struct sim_scenario sc;
    struct err_text e = { "" };
    char *given[ARGS_MAX]; /* the parser changes their order */
    int words, code;
    if (argc > ARGS_MAX)
        return cli_fail(cmd, CLI_USAGE, "too many arguments");
    memcpy(given, argv, (size_t)argc * sizeof(*given));
    if (!cli_begin(cmd, &a, argc, argv, &words, &code))
        return code;
    if (words != 1)
        return cli_fail(cmd, CLI_USAGE, words ? "takes one scenario" : "needs a scenario");
    if (prepare(&a, argv[0], &sc, &shares, &e))
        return cli_fail(cmd, CLI_USAGE, e.text);
    int err = sim_world_find(sc.world) ? run(&a, &sc, argv[0], &shares, &e)
                                       : cli_sim_become(sc.world, argc, given, &e);
    return err ? cli_fail(cmd, CLI_FAILED, e.text) : CLI_OK;
}

int cli_sim_check(const struct cli_command *cmd, int argc, char **argv)
{
    int words, code, worst = CLI_OK;
    if (!cli_begin(cmd, NULL, argc, argv, &words, &code))
        return code;
    if (!words)
        return cli_fail(cmd, CLI_USAGE, "needs a scenario");
    for (int i = 0; i < words; i++) {
        struct sim_scenario sc;
        struct err_text e = { "" };
        sim_scenario_init(&sc);
        if (sim_scenario_load(&sc, argv[i], &e))
            worst = cli_fail(cmd, CLI_USAGE, e.text);
    }
    return worst;
}
