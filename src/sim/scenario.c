/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/scenario.h"

#include "base/number.h"
#include "iscsi/initiator.h"
#include "iscsi/target.h"
#include "sim/world.h"
#include "yaml/ykey.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- values of their own kinds ---- */

static int set_dist(const char *text, const char *file, void *to, struct err_text *why)
{
    (void)file;
    return sim_dist_parse(text, to, why);
}

/* One of these static strings; list has them too. */
static int set_word(const char *text, const char *const *words, const char *list, const char **to,
                    struct err_text *why)
{
    while (*words && strcmp(*words, text) != 0)
        words++;
    if (!*words)
        return err_set(why, USAN_EINVAL, "'%s' is not one of %s", text, list);
    *to = *words;
    return 0;
}

static int set_world(const char *text, const char *file, void *to, struct err_text *why)
{
    static const char *const words[] = { "pipe", "ns3", NULL };
    (void)file;
    return set_word(text, words, SIM_WORLDS, to, why);
}

static int set_tcp(const char *text, const char *file, void *to, struct err_text *why)
{
    static const char *const words[] = { "cubic", "reno", NULL };
    (void)file;
    return set_word(text, words, SIM_TCPS, to, why);
}

/* "0.1%" or "0.001" */
static int set_share(const char *text, const char *file, void *to, struct err_text *why)
{
    char *end;
    (void)file;
    double v = strtod(text, &end);
    if (strcmp(end, "%") == 0)
        v /= 100;
    else if (*end)
        v = -1;
    if (*text < '0' || *text > '9' || !(v >= 0 && v <= 0.5))
        return err_set(why, USAN_EINVAL, "'%s' is not a share up to 50%%, like 0.1%% or 0.001",
                       text);
    *(double *)to = v;
    return 0;
}

static int set_pattern(const char *text, const char *file, void *to, struct err_text *why)
{
    enum sim_pattern *pattern = to;
    (void)file;
    if (strcmp(text, "random") != 0 && strcmp(text, "sequential") != 0)
        return err_set(why, USAN_EINVAL, "'%s' is not random or sequential", text);
    *pattern = *text == 'r' ? SIM_PATTERN_RANDOM : SIM_PATTERN_SEQUENTIAL;
    return 0;
}

/* "10Gbit", "2.5Gbit", "100Mbit": powers of 1000. */
static int set_rate(const char *text, const char *file, void *to, struct err_text *why)
{
    static const struct {
        const char *unit;
        double bps;
    } units[] = { { "Kbit", 1e3 }, { "Mbit", 1e6 }, { "Gbit", 1e9 } };
    char *end;
    (void)file;
    double v = strtod(text, &end);
    if (*text < '0' || *text > '9') /* no sign, no word */
        v = 0;
    for (size_t i = 0; v > 0 && i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(end, units[i].unit) != 0)
            continue;
        v *= units[i].bps;
        if (v < 1e4 || v > 1e12)
            return err_set(why, USAN_EINVAL, "%s is out of range, use 10Kbit to 1000Gbit", text);
        *(uint64_t *)to = (uint64_t)llround(v);
        return 0;
    }
    return err_set(why, USAN_EINVAL, "'%s' is not a rate like 100Mbit, 2.5Gbit or 10Gbit", text);
}

/* ---- the keys ---- */

#define AT(field)   .at = offsetof(struct sim_scenario, field)
#define LINE(field) .line_at = offsetof(struct sim_scenario, field)

static const struct ykey network_keys[] = {
    { .name = "rate", .kind = YKEY_CALL, AT(network.rate_bps), .set = set_rate },
    { .name = "delay", .kind = YKEY_TIME, AT(network.delay_ns), .max = 10 * NS_PER_SEC },
    { .name = "target-rate", .kind = YKEY_CALL, AT(network.trunk_bps), .set = set_rate },
    { .name = "mtu",
      .kind = YKEY_U32,
      AT(network.mtu_bytes),
      .min = SIM_MTU_MIN,
      .max = SIM_MTU_MAX },
    { .name = "window", .kind = YKEY_SIZE, AT(network.window_bytes), .min = 4096, .max = 1 << 30 },
    { .name = "loss",
      .kind = YKEY_CALL,
      AT(network.loss),
      .set = set_share,
      LINE(network.loss_line) },
    { .name = "queue",
      .kind = YKEY_U32,
      AT(network.queue_packets),
      .min = 1,
      .max = 1 << 20,
      LINE(network.queue_line) },
    { .name = "tcp", .kind = YKEY_CALL, AT(network.tcp), .set = set_tcp, LINE(network.tcp_line) },
    { 0 },
};

/* Names of RFC 7143 section 13 as other programs of ours write them. */
#define SIDE_KEYS(of)                                                                              \
    { .name = "max-recv-data-segment",                                                             \
      .kind = YKEY_SIZE32,                                                                         \
      AT(of.side.params.max_recv_data_segment),                                                    \
      .min = 512,                                                                                  \
      .max = (1 << 24) - 1 },                                                                      \
        { .name = "max-burst",                                                                     \
          .kind = YKEY_SIZE32,                                                                     \
          AT(of.side.params.max_burst),                                                            \
          .min = 512,                                                                              \
          .max = (1 << 24) - 1 },                                                                  \
        { .name = "first-burst",                                                                   \
          .kind = YKEY_SIZE32,                                                                     \
          AT(of.side.params.first_burst),                                                          \
          .min = 512,                                                                              \
          .max = (1 << 24) - 1,                                                                    \
          LINE(of.side.first_burst_line) },                                                        \
        { .name = "max-outstanding-r2t",                                                           \
          .kind = YKEY_U16,                                                                        \
          AT(of.side.params.max_outstanding_r2t),                                                  \
          .min = 1,                                                                                \
          .max = ISCSI_IR2T_MAX },                                                                 \
        { .name = "initial-r2t", .kind = YKEY_BOOL, AT(of.side.params.initial_r2t) },              \
        { .name = "immediate-data", .kind = YKEY_BOOL, AT(of.side.params.immediate_data) },        \
        { .name = "header-digest", .kind = YKEY_BOOL, AT(of.side.params.header_digest) },          \
        { .name = "data-digest", .kind = YKEY_BOOL, AT(of.side.params.data_digest) },              \
    {                                                                                              \
        .name = "recovery-level", .kind = YKEY_U8, AT(of.side.params.error_recovery_level),        \
        .max = 2                                                                                   \
    }

static const struct ykey disk_keys[] = {
    { .name = "size",
      .kind = YKEY_SIZE,
      AT(target.disk.size_bytes),
      .min = 1 << 20,
      .max = 1ull << 50,
      LINE(target.size_line) },
    { .name = "read-latency", .kind = YKEY_CALL, AT(target.disk.read), .set = set_dist },
    { .name = "write-latency", .kind = YKEY_CALL, AT(target.disk.write), .set = set_dist },
    { .name = "bandwidth",
      .kind = YKEY_SIZE,
      AT(target.disk.bandwidth_bps),
      .min = 4096,
      .max = 1ull << 40 },
    { .name = "queue-depth",
      .kind = YKEY_U32,
      AT(target.disk.queue_depth),
      .min = 1,
      .max = SIM_DISK_DEPTH_MAX },
    { 0 },
};

static const struct ykey target_keys[] = {
    SIDE_KEYS(target),
    { .name = "queue-depth",
      .kind = YKEY_U32,
      AT(target.queue_depth),
      .min = 1,
      .max = ISCSI_QUEUE_DEPTH_MAX },
    { .name = "disk", .kind = YKEY_MAP, .sub = disk_keys },
    { 0 },
};

static const struct ykey initiator_keys[] = {
    SIDE_KEYS(initiator),
    { .name = "count", .kind = YKEY_U32, AT(initiator.count), .min = 1, .max = SIM_INITIATORS_MAX },
    { .name = "connections",
      .kind = YKEY_U32,
      AT(initiator.connections),
      .min = 1,
      .max = SIM_CONNECTIONS_MAX },
    { 0 },
};

static const struct ykey load_keys[] = {
    { .name = "pattern", .kind = YKEY_CALL, AT(load.pattern), .set = set_pattern },
    { .name = "read-percent", .kind = YKEY_U32, AT(load.read_percent), .max = 100 },
    { .name = "block-size",
      .kind = YKEY_SIZE32,
      AT(load.block_bytes),
      .min = 512,
      .max = SIM_BLOCK_MAX,
      LINE(load.block_line) },
    { .name = "queue-depth", .kind = YKEY_U32, AT(load.depth), .min = 1, .max = SIM_DEPTH_MAX },
    { .name = "think-time", .kind = YKEY_CALL, AT(load.think), .set = set_dist },
    { 0 },
};

static void *add_fault(void *scenario)
{
    struct sim_scenario *sc = scenario;
    if (sc->fault_count > SIM_FAULTS_MAX) /* one too many is seen by the check */
        sc->fault_count = SIM_FAULTS_MAX;
    struct sim_fault *f = &sc->faults[sc->fault_count++];
    *f = (struct sim_fault){ .initiator = 1, .connection = SIM_ALL };
    return f;
}

#define FAULT(field) .at = offsetof(struct sim_fault, field)

static const struct ykey fault_keys[] = {
    { .name = "at", .kind = YKEY_TIME, FAULT(at_ns), .max = 3600 * NS_PER_SEC },
    { .name = "initiator",
      .kind = YKEY_U32,
      FAULT(initiator),
      .min = 1,
      .max = SIM_INITIATORS_MAX },
    { .name = "connection", .kind = YKEY_U32, FAULT(connection), .max = SIM_CONNECTIONS_MAX - 1 },
    { 0 },
};

static const struct ykey top_keys[] = {
    { .name = "world", .kind = YKEY_CALL, AT(world), .set = set_world },
    { .name = "seed", .kind = YKEY_U32, AT(seed), .max = UINT32_MAX },
    { .name = "warm-up", .kind = YKEY_TIME, AT(warm_up_ns), .max = 3600 * NS_PER_SEC },
    { .name = "duration",
      .kind = YKEY_TIME,
      AT(duration_ns),
      .min = NS_PER_US,
      .max = 3600 * NS_PER_SEC },
    { .name = "network", .kind = YKEY_MAP, .sub = network_keys },
    { .name = "target", .kind = YKEY_MAP, .sub = target_keys },
    { .name = "initiator", .kind = YKEY_MAP, .sub = initiator_keys },
    { .name = "workload", .kind = YKEY_MAP, .sub = load_keys },
    { .name = "faults",
      .kind = YKEY_LIST,
      .sub = fault_keys,
      .add = add_fault,
      .line_at = offsetof(struct sim_fault, line) },
    { 0 },
};

bool sim_scenario_key(size_t i, char *buf, size_t cap)
{
    return ykey_name(top_keys, i, buf, cap);
}

/* ---- defaults ---- */

void sim_scenario_init(struct sim_scenario *sc)
{
    *sc = (struct sim_scenario){
        .world = "pipe",
        .seed = 1,
        .warm_up_ns = 100 * NS_PER_MS,
        .duration_ns = NS_PER_SEC,
        .network = { .rate_bps = 10000000000,
                     .delay_ns = 50 * NS_PER_US,
                     .mtu_bytes = 1500,
                     .window_bytes = 4 << 20,
                     .queue_packets = 1000,
                     .tcp = "cubic" },
        .target = { .side.params = iscsi_params_default,
                    .queue_depth = 128,
                    .disk = { .size_bytes = 1ull << 40,
                              .block_bytes = 512,
                              .read = { .a_ns = 80 * NS_PER_US },
                              .write = { .a_ns = 20 * NS_PER_US },
                              .queue_depth = 64 } },
        .initiator = { .side.params = iscsi_iparams_default, .count = 1, .connections = 1 },
        .load = { .read_percent = 100, .block_bytes = 4096, .depth = 32 },
    };
}

/* ---- what does not go together ---- */

static int check_side(const struct sim_side *s, const char *name, struct err_text *e)
{
    if (s->params.first_burst > s->params.max_burst) /* RFC 7143 13.14 */
        return err_set(e, USAN_EINVAL, "%s:%u: first-burst is more than max-burst, %s", name,
                       s->first_burst_line, num_size_text(s->params.max_burst).s);
    return 0;
}

/* A length nobody has written follows one that is shorter. */
static void shorten(struct sim_side *s)
{
    if (!s->first_burst_line && s->params.first_burst > s->params.max_burst)
        s->params.first_burst = s->params.max_burst;
}

/* What follows from other keys. */
static void complete(struct sim_scenario *sc)
{
    shorten(&sc->target.side);
    shorten(&sc->initiator.side);
    if (!sc->network.trunk_bps)
        sc->network.trunk_bps = sc->network.rate_bps;
    /* as many as the scenario asks for: 13.2 */
    sc->target.side.params.max_connections = SIM_CONNECTIONS_MAX;
    /* as the target program */
    sc->target.side.params.time2wait = 0;
    sc->target.side.params.retain_at_level_2 = true;
    sc->initiator.side.params.max_connections = (uint16_t)sc->initiator.connections;
}

/* The pipe world has no packets to lose. */
static int check_network(const struct sim_scenario *sc, const char *name, struct err_text *e)
{
    const struct sim_network *n = &sc->network;
    const struct {
        uint32_t line;
        const char *key;
    } keys[] = { { n->loss_line, "loss" }, { n->queue_line, "queue" }, { n->tcp_line, "tcp" } };
    for (size_t i = 0; strcmp(sc->world, "pipe") == 0 && i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (keys[i].line)
            return err_set(e, USAN_EINVAL,
                           "%s:%u: %s: is nothing the pipe world has; add world: ns3", name,
                           keys[i].line, keys[i].key);
    }
    return 0;
}

static int check_faults(const struct sim_scenario *sc, const char *name, struct err_text *e)
{
    if (sc->fault_count > SIM_FAULTS_MAX)
        return err_set(e, USAN_EINVAL, "%s: more than %d faults", name, SIM_FAULTS_MAX);
    for (uint32_t i = 0; i < sc->fault_count; i++) {
        const struct sim_fault *f = &sc->faults[i];
        if (f->initiator > sc->initiator.count)
            return err_set(e, USAN_EINVAL, "%s:%u: initiator: the last one is %u", name, f->line,
                           sc->initiator.count);
        if (f->connection != SIM_ALL && f->connection >= sc->initiator.connections)
            return err_set(e, USAN_EINVAL, "%s:%u: connection: the last one is %u", name, f->line,
                           sc->initiator.connections - 1);
    }
    return 0;
}

static int check(const struct sim_scenario *sc, const char *name, struct err_text *e)
{
    const struct sim_load_config *l = &sc->load;
    const struct sim_disk_config *d = &sc->target.disk;
    int err = check_side(&sc->target.side, name, e);
    if (!err)
        err = check_side(&sc->initiator.side, name, e);
    if (!err)
        err = check_network(sc, name, e);
    if (!err)
        err = check_faults(sc, name, e);
    if (err)
        return err;
    if (l->block_bytes % d->block_bytes)
        return err_set(e, USAN_EINVAL, "%s:%u: block-size: the disk has blocks of %u bytes", name,
                       l->block_line, d->block_bytes);
    if (d->size_bytes % d->block_bytes)
        return err_set(e, USAN_EINVAL, "%s:%u: size: is no multiple of %u bytes", name,
                       sc->target.size_line, d->block_bytes);
    if (d->size_bytes / sc->initiator.count < l->block_bytes)
        return err_set(e, USAN_EINVAL,
                       "%s:%u: size: each initiator needs room for one request of %s", name,
                       sc->target.size_line, num_size_text(l->block_bytes).s);
    return 0;
}

int sim_scenario_parse(struct sim_scenario *sc, FILE *in, const char *name, struct err_text *e)
{
    int err = ykey_parse(top_keys, sc, in, name, "the scenario", e);
    if (err)
        return err;
    complete(sc);
    return check(sc, name, e);
}

int sim_scenario_load(struct sim_scenario *sc, const char *path, struct err_text *e)
{
    int err = ykey_load(top_keys, sc, path, "the scenario", e);
    if (err)
        return err;
    complete(sc);
    return check(sc, path, e);
}
