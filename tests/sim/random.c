/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random worlds, one for each seed.
 *
 *   sim_random --seconds 20        as many seeds as fit, from 1 on
 *   sim_random --count 1000 [--from 1]
 *   sim_random --seed 17 [--trace]
 */
#include "sim.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct sim_stats total;

static void add_stats(const struct sim_stats *s)
{
    total.ops += s->ops;
    total.acked += s->acked;
    total.failed += s->failed;
    total.lost += s->lost;
    total.tmfs += s->tmfs;
    total.cuts += s->cuts;
    total.logins += s->logins;
    total.preempts += s->preempts;
    total.noticed_lost += s->noticed_lost;
    total.zeroes += s->zeroes;
    total.wipes += s->wipes;
    total.sizes += s->sizes;
    total.protects += s->protects;
    total.excluded += s->excluded;
}

static bool run(const char *self, uint64_t seed, bool trace)
{
    char bad[512];
    struct sim_options opt = sim_options_draw(seed);
    opt.verbose = trace;
    struct sim *sim = sim_new(&opt);
    sim_load(sim);
    add_stats(&sim->stats);
    if (sim_end(sim, bad))
        return true;
    printf("seed %llu: %s\nreplay: %s --seed %llu --trace\n", (unsigned long long)seed, bad, self,
           (unsigned long long)seed);
    return false;
}

static double seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "seed", required_argument, NULL, 's' },    { "count", required_argument, NULL, 'n' },
        { "from", required_argument, NULL, 'f' },    { "trace", no_argument, NULL, 't' },
        { "seconds", required_argument, NULL, 'd' }, { 0 },
    };
    uint64_t from = 1, count = 100, done = 0;
    double limit = 0, begun = seconds();
    bool trace = false, good = true;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 's':
            from = strtoull(optarg, NULL, 0);
            count = 1;
            break;
        case 'n':
            count = strtoull(optarg, NULL, 0);
            break;
        case 'f':
            from = strtoull(optarg, NULL, 0);
            break;
        case 't':
            trace = true;
            break;
        case 'd':
            limit = strtod(optarg, NULL);
            count = UINT64_MAX;
            break;
        default:
            fprintf(stderr, "usage: %s [--seed N [--trace] | --count N | --seconds S] [--from N]\n",
                    argv[0]);
            return 2;
        }
    }
    while (good && done < count && (limit <= 0 || seconds() - begun < limit)) {
        good = run(argv[0], from + done, trace);
        done++;
    }
    printf("%llu seeds: %llu commands, %llu good, %llu failed, %llu lost; %llu task management, "
           "%llu cuts, %llu logins, %llu preempts, %llu found aborted by others\n",
           (unsigned long long)done, (unsigned long long)total.ops, (unsigned long long)total.acked,
           (unsigned long long)total.failed, (unsigned long long)total.lost,
           (unsigned long long)total.tmfs, (unsigned long long)total.cuts,
           (unsigned long long)total.logins, (unsigned long long)total.preempts,
           (unsigned long long)total.noticed_lost);
    printf("%llu unmapped or zeroed, %llu formatted or sanitized, %llu sizes, %llu protections, "
           "%llu reservations for oneself\n",
           (unsigned long long)total.zeroes, (unsigned long long)total.wipes,
           (unsigned long long)total.sizes, (unsigned long long)total.protects,
           (unsigned long long)total.excluded);
    return good ? 0 : 1;
}
