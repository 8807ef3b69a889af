/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include "sim/scenario.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

static int parse(const char *text, struct sim_scenario *sc, struct err_text *e)
{
    char *copy = strdup(text);
    assert_non_null(copy);
    FILE *in = fmemopen(copy, strlen(copy), "r");
    assert_non_null(in);
    sim_scenario_init(sc);
    int err = sim_scenario_parse(sc, in, "s.yaml", e);
    fclose(in);
    free(copy);
    return err;
}

static void all_keys(void **state)
{
    struct sim_scenario sc;
    struct err_text e = { "" };
    (void)state;
    static const char text[] =
        "seed: 4294967295\n"
        "warm-up: 0\n"
        "duration: 250ms\n"
        "world: ns3\n"
        "network: { rate: 2.5Gbit, delay: 5ms, target-rate: 40Gbit, mtu: 9000, window: 512K,\n"
        "  loss: 0.25%, queue: 50, tcp: reno }\n"
        "target:\n"
        "  max-recv-data-segment: 8K\n"
        "  max-burst: 64K\n"
        "  max-outstanding-r2t: 2\n"
        "  initial-r2t: yes\n"
        "  immediate-data: no\n"
        "  header-digest: yes\n"
        "  data-digest: no\n"
        "  recovery-level: 1\n"
        "  queue-depth: 64\n"
        "  disk:\n"
        "    size: 1G\n"
        "    read-latency: lognormal 80us 2ms\n"
        "    write-latency: 10us\n"
        "    bandwidth: 500M\n"
        "    queue-depth: 16\n"
        "initiator: { first-burst: 128K, count: 12, connections: 4, recovery-level: 2 }\n"
        "workload: { pattern: sequential, read-percent: 30, block-size: 64K, queue-depth: 8,\n"
        "  think-time: exponential 1ms }\n"
        "faults: [{ at: 5ms, initiator: 3, connection: 2 }, {}]\n";
    assert_int_equal(parse(text, &sc, &e), 0);
    assert_int_equal(sc.seed, UINT32_MAX);
    assert_int_equal(sc.warm_up_ns, 0);
    assert_int_equal(sc.duration_ns, 250 * NS_PER_MS);
    assert_int_equal(sc.network.rate_bps, 2500000000);
    assert_int_equal(sc.network.delay_ns, 5 * NS_PER_MS);
    assert_int_equal(sc.network.trunk_bps, 40000000000);
    assert_int_equal(sc.network.mtu_bytes, 9000);
    assert_int_equal(sc.network.window_bytes, 512 << 10);
    assert_string_equal(sc.world, "ns3");
    assert_true(sc.network.loss > 0.002499 && sc.network.loss < 0.002501);
    assert_int_equal(sc.network.queue_packets, 50);
    assert_string_equal(sc.network.tcp, "reno");
    const struct iscsi_params_cfg *t = &sc.target.side.params;
    assert_int_equal(t->max_recv_data_segment, 8192);
    assert_int_equal(t->max_burst, 65536);
    assert_int_equal(t->first_burst, 65536); /* nobody wrote it: no longer than max-burst */
    assert_int_equal(t->max_outstanding_r2t, 2);
    assert_int_equal(t->max_connections, SIM_CONNECTIONS_MAX);
    assert_true(t->initial_r2t && !t->immediate_data && t->header_digest && !t->data_digest);
    assert_int_equal(t->error_recovery_level, 1);
    assert_int_equal(sc.target.queue_depth, 64);
    assert_int_equal(sc.target.disk.size_bytes, 1 << 30);
    assert_int_equal(sc.target.disk.read.kind, SIM_DIST_LOGNORMAL);
    assert_int_equal(sc.target.disk.write.a_ns, 10000);
    assert_int_equal(sc.target.disk.bandwidth_bps, 500 << 20);
    assert_int_equal(sc.target.disk.queue_depth, 16);
    assert_int_equal(sc.initiator.side.params.first_burst, 131072);
    assert_int_equal(sc.initiator.side.params.max_connections, 4);
    assert_int_equal(sc.initiator.count, 12);
    assert_int_equal(sc.load.pattern, SIM_PATTERN_SEQUENTIAL);
    assert_int_equal(sc.load.read_percent, 30);
    assert_int_equal(sc.load.block_bytes, 65536);
    assert_int_equal(sc.load.depth, 8);
    assert_int_equal(sc.load.think.kind, SIM_DIST_EXPONENTIAL);
    assert_int_equal(sc.fault_count, 2);
    assert_int_equal(sc.faults[0].at_ns, 5 * NS_PER_MS);
    assert_int_equal(sc.faults[0].initiator, 3);
    assert_int_equal(sc.faults[0].connection, 2);
    assert_int_equal(sc.faults[1].initiator, 1);
    assert_int_equal(sc.faults[1].connection, SIM_ALL);
}

static void what_is_wrong_and_where(void **state)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        { "", "s.yaml: is empty" },
        { "seed: 1\nspeed: 1\n", "s.yaml:2:1: there is no key 'speed' in the scenario" },
        { "network:\n  rate: 10Gbit\n  rate: 1Gbit\n", "s.yaml:3:3: rate: is given twice" },
        { "network:\n  rate: -1Gbit\n",
          "s.yaml:2:9: rate: '-1Gbit' is not a rate like 100Mbit, 2.5Gbit or 10Gbit" },
        { "network: { rate: 1e9 }\n",
          "s.yaml:1:18: rate: '1e9' is not a rate like 100Mbit, 2.5Gbit or 10Gbit" },
        { "network: { rate: 2000Gbit }\n",
          "s.yaml:1:18: rate: 2000Gbit is out of range, use 10Kbit to 1000Gbit" },
        { "network: { delay: 11s }\n", "s.yaml:1:19: delay: 11s is out of range, use 0s to 10s" },
        { "network: { mtu: 100 }\n", "s.yaml:1:17: mtu: 100 is out of range, use 576 to 65535" },
        { "duration: 0\n", "s.yaml:1:11: duration: 0 is out of range, use 1us to 1h" },
        { "network: 10Gbit\n", "s.yaml:1:10: network: needs keys and values here" },
        { "workload:\n  pattern: both\n",
          "s.yaml:2:12: pattern: 'both' is not random or sequential" },
        { "workload:\n  read-percent: 101\n",
          "s.yaml:2:17: read-percent: 101 is out of range, use 0 to 100" },
        { "workload:\n  block-size: 1000\n",
          "s.yaml:2: block-size: the disk has blocks of 512 bytes" },
        { "target:\n  disk:\n    size: 1048577\n", "s.yaml:3: size: is no multiple of 512 bytes" },
        { "initiator: { count: 100 }\nworkload: { block-size: 1M }\n"
          "target: { disk: { size: 10M } }\n",
          "s.yaml:3: size: each initiator needs room for one request of 1M" },
        { "initiator:\n  max-burst: 64K\n  first-burst: 128K\n",
          "s.yaml:3: first-burst is more than max-burst, 64K" },
        { "world: real\n", "s.yaml:1:8: world: 'real' is not one of pipe|ns3" },
        { "world: ns3\nnetwork: { loss: 51% }\n",
          "s.yaml:2:18: loss: '51%' is not a share up to 50%, like 0.1% or 0.001" },
        { "world: ns3\nnetwork: { tcp: vegas }\n",
          "s.yaml:2:17: tcp: 'vegas' is not one of cubic|reno" },
        { "network:\n  loss: 0.001\n",
          "s.yaml:2: loss: is nothing the pipe world has; add world: ns3" },
        { "network:\n  queue: 10\nworld: pipe\n",
          "s.yaml:2: queue: is nothing the pipe world has; add world: ns3" },
        { "faults:\n  - at: 1s\n  - { at: 1s, initiator: 2 }\n",
          "s.yaml:3: initiator: the last one is 1" },
        { "faults: [{ connection: 1 }]\n", "s.yaml:1: connection: the last one is 0" },
        { "seed: [\n", "s.yaml:2:1: did not find expected node content" },
        { "seed: 4294967296\n",
          "s.yaml:1:7: seed: 4294967296 is out of range, use 0 to 4294967295" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sim_scenario sc;
        struct err_text e = { "" };
        assert_int_equal(parse(bad[i].text, &sc, &e), USAN_EINVAL);
        assert_string_equal(e.text, bad[i].why);
    }
}

/* As many as there is room for, and one more. */
static void too_many_faults(void **state)
{
    static char text[16 << 10];
    (void)state;
    for (unsigned n = SIM_FAULTS_MAX; n <= SIM_FAULTS_MAX + 3; n++) {
        struct sim_scenario sc;
        struct err_text e = { "" };
        size_t len = (size_t)snprintf(text, sizeof(text), "faults:\n");
        for (unsigned i = 0; i < n; i++)
            len += (size_t)snprintf(text + len, sizeof(text) - len, "  - at: 1s\n");
        assert_int_equal(parse(text, &sc, &e), n == SIM_FAULTS_MAX ? 0 : USAN_EINVAL);
        if (n > SIM_FAULTS_MAX)
            assert_string_equal(e.text, "s.yaml: more than 256 faults");
    }
}

static void no_file(void **state)
{
    struct sim_scenario sc;
    struct err_text e = { "" };
    (void)state;
    sim_scenario_init(&sc);
    assert_int_equal(sim_scenario_load(&sc, "/nowhere/s.yaml", &e), USAN_ENOENT);
    assert_string_equal(e.text, "/nowhere/s.yaml: No such file or directory");
}

static char *read_page(void)
{
    char path[4096];
    const char *dir = getenv("USAN_MAN_DIR");
    assert_non_null(dir);
    (void)snprintf(path, sizeof(path), "%s/usan-sim.yaml.5", dir);
    FILE *in = fopen(path, "re");
    assert_non_null(in);
    char *text = calloc(1, 1 << 16);
    assert_non_null(text);
    assert_in_range(fread(text, 1, (1 << 16) - 1, in), 1, (1 << 16) - 2);
    fclose(in);
    return text;
}

/* Each key stands in an item of the man page. */
static void keys_are_described(void **state)
{
    char *page = read_page(), key[128], item[160], last[160];
    (void)state;
    for (size_t i = 0; sim_scenario_key(i, key, sizeof(key)); i++) {
        (void)snprintf(item, sizeof(item), "Cm %s ", key);
        (void)snprintf(last, sizeof(last), "Cm %s\n", key);
        if (!strstr(page, item) && !strstr(page, last))
            fail_msg("usan-sim.yaml.5 has no item for %s", key);
    }
    free(page);
}

/* Those that are shipped. */
static void examples(void **state)
{
    const char *dir = getenv("USAN_EXAMPLES");
    unsigned count = 0;
    (void)state;
    assert_non_null(dir);
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (const struct dirent *f; (f = readdir(d));) {
        char path[4096];
        struct sim_scenario sc;
        struct err_text e = { "" };
        const char *dot = strrchr(f->d_name, '.');
        if (!dot || strcmp(dot, ".yaml") != 0)
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", dir, f->d_name);
        sim_scenario_init(&sc);
        if (sim_scenario_load(&sc, path, &e))
            fail_msg("%s", e.text);
        count++;
    }
    closedir(d);
    assert_int_not_equal(count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_keys),
        cmocka_unit_test(what_is_wrong_and_where),
        cmocka_unit_test(no_file),
        cmocka_unit_test(too_many_faults),
        cmocka_unit_test(keys_are_described),
        cmocka_unit_test(examples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
