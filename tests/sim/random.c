/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random worlds, one for each seed, in as many processes as there are processors. One that fails
 * is run again with its trace, of which the end is shown.
 *
 *   sim_random --seeds 20000 [--from 1] [--jobs 2] [--seconds 170]
 *   sim_random --replay 17
 *   --erl 0|1|2 --connections 1|2|4    instead of what the seed says
 */
#include "sim.h"

#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { JOBS_MAX = 64, TAIL_BYTES = 12000 };

struct run {
    uint64_t from, count, replay;
    unsigned jobs;
    double seconds;
    int erl, conns;
    bool replays, progress;
};

/* What a process says: after each piece of its work, and when a seed has failed. */
struct report {
    uint64_t seeds, bad_seed;
    bool bad, over;
    struct sim_stats stats;
};

static uint64_t *at_work; /* shared: the seed each process is at */

enum { STATS = sizeof(struct sim_stats) / sizeof(uint64_t) };

static void add_stats(struct sim_stats *total, const struct sim_stats *s)
{
    uint64_t to[STATS], from[STATS];
    memcpy(to, total, sizeof(to));
    memcpy(from, s, sizeof(from));
    for (size_t i = 0; i < STATS; i++)
        to[i] += from[i];
    memcpy(total, to, sizeof(to));
}

static bool run_seed(const struct run *r, uint64_t seed, bool trace, struct sim_stats *total,
                     char *bad)
{
    struct sim_options opt = sim_options_draw(seed);
    sim_options_force(&opt, r->erl, r->conns);
    opt.verbose = trace;
    struct sim *sim = sim_new(&opt);
    sim_load(sim);
    for (unsigned i = 0; i < opt.inis; i++)
        sim_ini_count(sim->inis[i]);
    sim->stats.denied += sim->alloc.failed + sim->ini_alloc.failed;
    add_stats(total, &sim->stats);
    return sim_end(sim, bad);
}

static double seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* ---- the work of one process: every jobs-th seed ---- */

static void tell(int fd, const struct report *rep)
{
    if (write(fd, rep, sizeof(*rep)) != (ssize_t)sizeof(*rep))
        _exit(1);
}

static void work(const struct run *r, unsigned self, int fd)
{
    double begun = seconds(), told = begun;
    struct report rep = { .bad = false };
    for (uint64_t i = self; i < r->count; i += r->jobs) {
        double now = seconds();
        if (r->seconds > 0 && now - begun > r->seconds)
            break;
        rep.seeds++;
        at_work[self] = r->from + i;
        rep.bad = !run_seed(r, r->from + i, false, &rep.stats, NULL);
        rep.bad_seed = r->from + i;
        if (rep.bad || now - told > 0.2) {
            tell(fd, &rep);
            told = now;
            memset(&rep, 0, sizeof(rep));
        }
    }
    rep.over = true;
    tell(fd, &rep);
}

/* ---- one that failed ---- */

static void show_tail(FILE *f)
{
    long end = ftell(f);
    long at = end > TAIL_BYTES ? end - TAIL_BYTES : 0;
    if (fseek(f, at, SEEK_SET))
        return;
    for (int c; at && (c = getc(f)) != EOF && c != '\n';)
        ;
    for (int c; (c = getc(f)) != EOF;)
        putchar(c);
}

/* In a process of its own, whose output goes to a file. */
static void replay(const struct run *r, const char *self, uint64_t seed, bool whole)
{
    struct sim_stats none = { 0 };
    FILE *f = whole ? NULL : tmpfile();
    char bad[512] = "";
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (f && dup2(fileno(f), STDOUT_FILENO) < 0)
            _exit(1);
        bool good = run_seed(r, seed, true, &none, bad);
        printf("seed %llu: %s\n", (unsigned long long)seed, good ? "all is well" : bad);
        fflush(stdout);
        _exit(good ? 0 : 1);
    }
    int status = 0;
    if (pid > 0)
        waitpid(pid, &status, 0);
    if (f) {
        (void)fseek(f, 0, SEEK_END);
        show_tail(f);
        fclose(f);
    }
    if (WIFSIGNALED(status))
        printf("seed %llu: signal %d\n", (unsigned long long)seed, WTERMSIG(status));
    if (whole)
        return;
    printf("replay: %s --replay %llu", self, (unsigned long long)seed);
    if (r->erl >= 0)
        printf(" --erl %d", r->erl);
    if (r->conns >= 0)
        printf(" --connections %d", r->conns);
    printf("\n");
}

/* ---- all of them ---- */

struct child {
    pid_t pid;
    int fd;
    uint64_t seeds;
    bool over;
};

static void start(const struct run *r, unsigned self, struct child *c)
{
    int fds[2];
    if (pipe(fds))
        exit(1);
    fflush(stdout);
    c->pid = fork();
    if (c->pid < 0)
        exit(1);
    if (c->pid == 0) {
        close(fds[0]);
        work(r, self, fds[1]);
        _exit(0);
    }
    close(fds[1]);
    c->fd = fds[0];
}

static void show_progress(const struct run *r, uint64_t done, double begun)
{
    static double shown;
    double now = seconds();
    if (!r->progress || now - shown < 2)
        return;
    shown = now;
    fprintf(stderr, "%llu seeds, %.0f a second\n", (unsigned long long)done,
            (double)done / (now - begun));
}

/* True: a report was taken; else the process is over. */
static bool take(struct child *c, struct report *ret_rep)
{
    ssize_t n = read(c->fd, ret_rep, sizeof(*ret_rep));
    if (n == (ssize_t)sizeof(*ret_rep))
        return true;
    close(c->fd);
    c->fd = -1;
    return false;
}

static void show(const struct sim_stats *t)
{
    static const char *const words[STATS] = {
        "commands",        "good",
        "failed",          "without answer",
        "task management", "cuts",
        "logins",          "preempts",
        "found aborted",   "unmapped or zeroed",
        "wiped",           "resized",
        "protected",       "reserved",
        "sent again",      "unsure",
        "bits flipped",    "half-open",
        "crashes",         "without power",
        "units gone",      "kills",
        "memory denied",   "SNACKs",
        "retries",         "connections recovered",
        "reassigned",      "sessions continued",
    };
    uint64_t n[STATS];
    memcpy(n, t, sizeof(n));
    for (size_t i = 0; i < STATS; i++)
        printf("%s%llu %s", i ? ", " : "", (unsigned long long)n[i], words[i]);
    printf("\n");
}

static bool run_all(const struct run *r, const char *self)
{
    struct child children[JOBS_MAX] = { { 0 } };
    struct pollfd fds[JOBS_MAX];
    struct sim_stats total = { 0 };
    uint64_t done = 0, failed = 0;
    double begun = seconds();
    for (unsigned i = 0; i < r->jobs; i++)
        start(r, i, &children[i]);
    for (unsigned left = r->jobs; left;) {
        for (unsigned i = 0; i < r->jobs; i++)
            fds[i] = (struct pollfd){ .fd = children[i].fd, .events = POLLIN };
        if (poll(fds, r->jobs, -1) < 0)
            continue;
        for (unsigned i = 0; i < r->jobs; i++) {
            struct child *c = &children[i];
            struct report rep;
            if (c->fd < 0 || !fds[i].revents)
                continue;
            if (!take(c, &rep)) {
                left--;
                if (!c->over) { /* it died */
                    replay(r, self, at_work[i], false);
                    failed++;
                }
                continue;
            }
            c->over = rep.over;
            c->seeds += rep.seeds;
            done += rep.seeds;
            add_stats(&total, &rep.stats);
            if (rep.bad && failed++ < 3)
                replay(r, self, rep.bad_seed, false);
            else if (rep.bad)
                printf("seed %llu\n", (unsigned long long)rep.bad_seed);
            show_progress(r, done, begun);
        }
    }
    for (unsigned i = 0; i < r->jobs; i++)
        waitpid(children[i].pid, NULL, 0);
    printf("%llu seeds in %.1f s, %llu failed\n", (unsigned long long)done, seconds() - begun,
           (unsigned long long)failed);
    show(&total);
    return failed == 0;
}

static bool parse(int argc, char **argv, struct run *r)
{
    static const struct option options[] = {
        { "seeds", required_argument, NULL, 'n' },
        { "from", required_argument, NULL, 'f' },
        { "jobs", required_argument, NULL, 'j' },
        { "seconds", required_argument, NULL, 'd' },
        { "replay", required_argument, NULL, 'r' },
        { "erl", required_argument, NULL, 'e' },
        { "connections", required_argument, NULL, 'c' },
        { "progress", no_argument, NULL, 'p' },
        { 0 },
    };
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'n':
            r->count = strtoull(optarg, NULL, 0);
            break;
        case 'f':
            r->from = strtoull(optarg, NULL, 0);
            break;
        case 'j':
            r->jobs = (unsigned)strtoul(optarg, NULL, 0);
            break;
        case 'd':
            r->seconds = strtod(optarg, NULL);
            break;
        case 'r':
            r->replay = strtoull(optarg, NULL, 0);
            r->replays = true;
            break;
        case 'e':
            r->erl = (int)strtol(optarg, NULL, 0);
            break;
        case 'c':
            r->conns = (int)strtol(optarg, NULL, 0);
            break;
        case 'p':
            r->progress = true;
            break;
        default:
            return false;
        }
    }
    return optind == argc && r->count && r->jobs >= 1 && r->jobs <= JOBS_MAX && r->erl <= 2 &&
           r->conns != 0 && r->conns <= SIM_CONNS;
}

int main(int argc, char **argv)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    struct run r = { .from = 1, .count = 1000, .erl = -1, .conns = -1 };
    r.jobs = cpus < 1 ? 1 : cpus > JOBS_MAX ? JOBS_MAX : (unsigned)cpus;
    if (!parse(argc, argv, &r)) {
        fprintf(stderr,
                "usage: %s [--seeds N] [--from N] [--jobs N] [--seconds S] [--replay SEED]\n"
                "       [--erl 0|1|2] [--connections 1|2|4] [--progress]\n",
                argv[0]);
        return 2;
    }
    if (r.replays) {
        replay(&r, argv[0], r.replay, true);
        return 0;
    }
    at_work = mmap(NULL, JOBS_MAX * sizeof(*at_work), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at_work == MAP_FAILED)
        return 1;
    return run_all(&r, argv[0]) ? 0 : 1;
}
