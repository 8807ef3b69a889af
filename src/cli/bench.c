/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usan bench: how fast a store is. */
#include "tools/bench.h"
#include "base/number.h"
#include "cli/command.h"
#include "cli/latency.h"
#include "cli/meter.h"
#include "cli/name.h"
#include "cli/report.h"
#include "cli/run.h"
#include "cli/wait.h"
#include "io/clock.h"
#include "target/config.h"
#include "tools/crew.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct bench_args {
    const char *op, *percentiles, *engine, *poll;
    uint64_t read_percent, block, depth, channels, cores, warm_up, seconds, size;
    bool sequential, write, json, quiet;
};

#define AT(field) offsetof(struct bench_args, field)

const struct cli_opt cli_bench_opts[] = {
    { "op", 'o', CLI_CHOICE, "read|write|mix", "read", "what is measured", AT(op), 0, 0 },
    { "read-percent", 0, CLI_UINT, "NUMBER", "70", "share of reads in a mix", AT(read_percent), 1,
      99 },
    { "sequential", 's', CLI_FLAG, NULL, NULL, "one block after the other, not random ones",
      AT(sequential), 0, 0 },
    { "write", 'w', CLI_FLAG, NULL, NULL,
      "yes, what is in the store may be destroyed; needed for write and mix", AT(write), 0, 0 },
    { "block-size", 'b', CLI_SIZE, "BYTES", "4K", "size of a request", AT(block), 512,
      BENCH_BLOCK_MAX },
    { "queue-depth", 'd', CLI_UINT, "NUMBER", "32", "requests of a channel at a time", AT(depth), 1,
      BENCH_DEPTH_MAX },
    { "channels", 'c', CLI_UINT, "NUMBER", "1", "channels; with an iSCSI target, each is a session",
      AT(channels), 1, BENCH_CHANNELS_MAX },
    { "cores", 0, CLI_UINT, "NUMBER", "0",
      "threads; 0 makes one for each channel, at most as many as processors", AT(cores), 0,
      CREW_MAX },
    { "seconds", 't', CLI_TIME, "TIME", "5s", "how long", AT(seconds), 0, 0 },
    { "warm-up", 0, CLI_TIME, "TIME", "0s", "load before it that does not count", AT(warm_up), 0,
      0 },
    { "size", 0, CLI_SIZE, "BYTES", NULL, "only the first so much of the store", AT(size), 0, 0 },
    { "percentiles", 0, CLI_TEXT, "LIST", "50,90,99,99.9,99.99", "of the latency", AT(percentiles),
      0, 0 },
    { "engine", 0, CLI_CHOICE, "auto|io_uring|epoll", "auto", "how the event loops wait",
      AT(engine), 0, 0 },
    { "poll", 0, CLI_CHOICE, "auto|never|always", "auto", "spin instead of sleeping", AT(poll), 0,
      0 },
    { "json", 'j', CLI_FLAG, NULL, NULL, "write JSON", AT(json), 0, 0 },
    { "quiet", 'q', CLI_FLAG, NULL, NULL, "no line that shows how it goes", AT(quiet), 0, 0 },
    { 0 },
};

struct job {
    const struct bench_args *args;
    struct bench_config cfg;
    struct store_spec_text name;
    struct latency_shares percentiles;
};

/* ---- what is asked for ---- */

static int check_args(struct job *j, struct err_text *e)
{
    const struct bench_args *a = j->args;
    if (strcmp(a->op, "read") != 0 && !a->write)
        return err_set(e, USAN_EINVAL,
                       "--op %s destroys what is in the store; add --write if that is wanted",
                       a->op);
    if (!a->seconds)
        return err_set(e, USAN_EINVAL, "--seconds 0: nothing would be measured");
    return latency_parse(a->percentiles, &j->percentiles, e);
}

static uint32_t threads_for(const struct bench_args *a)
{
    uint64_t cpus = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t n = a->cores ? a->cores : cpus < CREW_MAX ? cpus : CREW_MAX;
    return (uint32_t)(n < a->channels ? n : a->channels);
}

/* With what the store says about itself. */
static int make_config(struct job *j, struct store *s, struct err_text *e)
{
    const struct bench_args *a = j->args;
    const struct store_info *info = &s->info;
    uint64_t range = a->size && a->size < info->size_bytes ? a->size : info->size_bytes;
    j->cfg = (struct bench_config){
        .store = s,
        .channels = (uint32_t)a->channels,
        .threads = threads_for(a),
        .depth = (uint32_t)a->depth,
        .block_bytes = a->block,
        .range_bytes = range,
        .read_percent = strcmp(a->op, "read") == 0    ? 100
                        : strcmp(a->op, "write") == 0 ? 0
                                                      : (uint32_t)a->read_percent,
        .sequential = a->sequential,
        .seed = 1,
        .loop = { .cpu = -1 },
    };
    if (a->block % info->block_bytes)
        return err_set(e, USAN_EINVAL, "--block-size %s: the store has blocks of %u bytes",
                       num_size_text(a->block).s, info->block_bytes);
    if (info->max_io_bytes && a->block > info->max_io_bytes)
        return err_set(e, USAN_EINVAL, "--block-size %s: the store takes %s at most",
                       num_size_text(a->block).s, num_size_text(info->max_io_bytes).s);
    if (range < a->block)
        return err_set(e, USAN_EINVAL, "--block-size %s: is more than the %s that are to be used",
                       num_size_text(a->block).s, num_size_text(range).s);
    if (a->channels * a->depth > BENCH_MEMORY_MAX / a->block)
        return err_set(e, USAN_EINVAL, "so many requests of that size need more than %s of memory",
                       num_size_text(BENCH_MEMORY_MAX).s);
    if (j->cfg.read_percent < 100 && info->read_only)
        return err_set(e, USAN_EINVAL, "the store is read-only");
    int err = tgt_config_parse_engine(a->engine, &j->cfg.loop.engine);
    return err ? err : tgt_config_parse_poll(a->poll, &j->cfg.loop.poll);
}

/* ---- measuring ---- */

static void live(const struct job *j, uint64_t ops, uint64_t *last_ops, uint64_t ns,
                 uint64_t *last_ns)
{
    double seconds = (double)(ns - *last_ns) / (double)NS_PER_SEC;
    double rate = (double)(ops - *last_ops) / seconds;
    fprintf(stderr, "\r%s  %.0f IOPS  %s/s\033[K", meter_time((double)ns / (double)NS_PER_SEC).s,
            rate, meter_size(rate * (double)j->cfg.block_bytes).s);
    *last_ops = ops;
    *last_ns = ns;
}

/* Until the time is over, a signal comes or a request fails. */
static int measure(const struct job *j, struct bench *b, struct bench_result *ret,
                   struct err_text *e)
{
    struct cli_wait wait;
    bool show = !j->args->quiet && isatty(STDERR_FILENO);
    uint64_t last_ops = 0, last_ns = 0, now = 0, stopped = 0;
    bool measuring = false;
    int err = cli_wait_init(&wait, e);
    if (err)
        return err;
    wait.fd = bench_fd(b);
    bench_start(b);
    uint64_t start = clock_now_ns();
    for (;;) {
        if (!measuring && now >= j->args->warm_up) {
            bench_measure(b);
            measuring = true;
        }
        uint64_t until = j->args->warm_up + (measuring ? j->args->seconds : 0);
        uint64_t left = until > now ? until - now : 0;
        int ms = left / NS_PER_MS < 500 ? (int)(left / NS_PER_MS) + 1 : 500;
        enum cli_waited w = cli_wait(&wait, stopped ? 500 : ms);
        now = clock_now_ns() - start;
        if (w == CLI_WAIT_READY)
            break;
        bool again = stopped && (w == CLI_WAIT_SIGNAL || now - stopped > 5 * NS_PER_SEC);
        if (again) { /* requests that do not come back */
            (void)fputs("usan bench: requests are still under way\n", stderr);
            _exit(CLI_FAILED);
        }
        if (!stopped && ((measuring && now >= until) || w == CLI_WAIT_SIGNAL)) {
            bench_stop(b);
            stopped = now;
        } else if (show && !stopped && now - last_ns >= NS_PER_SEC / 2) {
            live(j, bench_ops(b), &last_ops, now, &last_ns);
        }
    }
    if (show && last_ns)
        fputs("\r\033[K", stderr);
    cli_wait_fini(&wait);
    err = bench_end(b, ret, e);
    if (!err && !ret->ns)
        err = err_set(e, USAN_ECANCELED, "stopped before --warm-up was over: nothing was measured");
    return err;
}

/* ---- what came out ---- */

static void print(const struct job *j, const struct bench_result *r)
{
    const struct bench_config *c = &j->cfg;
    uint64_t ops = r->latency[BENCH_READ].count + r->latency[BENCH_WRITE].count;
    double seconds = (double)r->ns / (double)NS_PER_SEC;
    printf("%s: %s %s, %s each, depth %u, %u channel%s, %.1f s\n", j->name.s,
           c->sequential ? "sequential" : "random", j->args->op, num_size_text(c->block_bytes).s,
           c->depth, c->channels, c->channels == 1 ? "" : "s", seconds);
    if (r->latency[BENCH_READ].count)
        latency_print("read", &r->latency[BENCH_READ], c->block_bytes, seconds, &j->percentiles);
    if (r->latency[BENCH_WRITE].count)
        latency_print("write", &r->latency[BENCH_WRITE], c->block_bytes, seconds, &j->percentiles);
    if (ops)
        printf("cpu    %.2f us each, %.0f %% of a processor\n",
               (double)r->cpu_ns / (double)ops / 1000, (double)r->cpu_ns / (double)r->ns * 100);
    else
        puts("nothing came to its end in that time");
}

static void print_json(const struct job *j, const struct bench_result *res)
{
    struct report r;
    const struct bench_config *c = &j->cfg;
    uint64_t ops = res->latency[BENCH_READ].count + res->latency[BENCH_WRITE].count;
    double seconds = (double)res->ns / (double)NS_PER_SEC;
    report_init(&r, stdout, true);
    report_begin(&r, NULL, NULL);
    report_text(&r, "store", NULL, j->name.s);
    report_text(&r, "op", NULL, j->args->op);
    report_bool(&r, "sequential", NULL, c->sequential);
    report_number(&r, "block_bytes", NULL, c->block_bytes, NULL);
    report_number(&r, "queue_depth", NULL, c->depth, NULL);
    report_number(&r, "channels", NULL, c->channels, NULL);
    report_number(&r, "threads", NULL, c->threads, NULL);
    report_number(&r, "time_ns", NULL, res->ns, NULL);
    report_number(&r, "cpu_ns", NULL, res->cpu_ns, NULL);
    report_number(&r, "cpu_ns_per_io", NULL, ops ? res->cpu_ns / ops : 0, NULL);
    if (c->read_percent)
        latency_json(&r, "read", &res->latency[BENCH_READ], c->block_bytes, seconds,
                     &j->percentiles);
    if (c->read_percent < 100)
        latency_json(&r, "write", &res->latency[BENCH_WRITE], c->block_bytes, seconds,
                     &j->percentiles);
    report_end(&r);
}

/* ---- the command ---- */

static int run(struct job *j, struct store *s, struct err_text *e)
{
    struct bench *b;
    struct bench_result *r;
    int err = make_config(j, s, e);
    if (err)
        return err;
    err = bench_new(&j->cfg, &b, e);
    if (err)
        return err == USAN_EINVAL ? USAN_EIO : err; /* not what the command line says */
    r = calloc(1, sizeof(*r));
    if (!r) {
        bench_free(b);
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    }
    err = measure(j, b, r, e);
    if (!err && j->args->json)
        print_json(j, r);
    else if (!err)
        print(j, r);
    bench_free(b);
    free(r);
    if (err)
        err_prefix(e, "%s", j->name.s);
    return err == USAN_EINVAL ? USAN_EIO : err;
}

int cli_bench(const struct cli_command *cmd, int argc, char **argv)
{
    struct bench_args a = { 0 };
    struct job j = { .args = &a };
    struct err_text e = { "" };
    struct store *s = NULL;
    int words, code;
    if (!cli_begin(cmd, &a, argc, argv, &words, &code))
        return code;
    if (words != 1)
        return cli_fail(cmd, CLI_USAGE,
                        words ? "takes one store" : "needs a file, a URL or a store");
    const char *meant = cli_meant(argv[0]);
    int err = check_args(&j, &e);
    if (!err && meant)
        err = err_set(&e, USAN_EINVAL, "there is no file '%s'; did you mean %s?", argv[0], meant);
    char *spec = cli_make_spec(argv[0]);
    if (!err && !spec)
        err = err_set(&e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    cli_block_signals();
    if (!err && store_check_spec(spec, &e))
        err = USAN_EINVAL;
    if (!err) {
        j.name = store_spec_text(spec);
        if (store_open_spec(spec, strcmp(a.op, "read") == 0, &s, &e))
            err = USAN_EIO;
    }
    if (!err)
        err = run(&j, s, &e);
    store_close(s);
    free(spec);
    if (!err)
        return CLI_OK;
    return cli_fail(cmd, err == USAN_EINVAL ? CLI_USAGE : CLI_FAILED, e.text);
}
