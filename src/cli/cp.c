/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usan cp: from a file, a stream or any store to another. */
#include "cli/command.h"
#include "cli/cp_end.h"
#include "cli/meter.h"
#include "cli/output.h"
#include "cli/run.h"
#include "cli/wait.h"
#include "io/clock.h"
#include "target/config.h"
#include "tools/copy.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

struct cp_args {
    bool in_place, resume, verify, quiet;
    uint64_t channels, depth, chunk, sparse;
    const char *engine;
};

#define AT(field) offsetof(struct cp_args, field)

const struct cli_opt cli_cp_opts[] = {
    { "in-place", 'n', CLI_FLAG, NULL, NULL,
      "write into the file there is, and leave its size as it is", AT(in_place), 0, 0 },
    { "resume", 0, CLI_FLAG, NULL, NULL,
      "read the destination, and write in place only what differs", AT(resume), 0, 0 },
    { "verify", 0, CLI_FLAG, NULL, NULL, "read everything back and compare", AT(verify), 0, 0 },
    { "queue-depth", 'd', CLI_UINT, "NUMBER", "16", "requests of a channel at a time", AT(depth), 1,
      COPY_DEPTH_MAX },
    { "channels", 'c', CLI_UINT, "NUMBER", "1",
      "threads, each with its own sessions with iSCSI targets", AT(channels), 1,
      COPY_CHANNELS_MAX },
    { "chunk", 0, CLI_SIZE, "BYTES", "512K", "size of a request", AT(chunk), COPY_CHUNK_MIN,
      COPY_CHUNK_MAX },
    { "sparse", 0, CLI_SIZE, "BYTES", "64K", "leave out zeroes that long; 0 writes them all",
      AT(sparse), 0, 0 },
    { "engine", 0, CLI_CHOICE, "auto|io_uring|epoll", "auto", "how the event loops wait",
      AT(engine), 0, 0 },
    { "quiet", 'q', CLI_FLAG, NULL, NULL, "say nothing unless something fails", AT(quiet), 0, 0 },
    { 0 },
};

struct cp {
    const struct cli_command *cmd;
    const struct cp_args *args;
    struct cp_end from, to;
    struct copy *copy;
    struct cli_wait wait;
    struct meter meter;
    int code;
};

static bool power_of_two(uint64_t v)
{
    return v && !(v & (v - 1));
}

static void failed(struct cp *cp, int code, const char *text)
{
    if (!cp->code)
        cp->code = cli_fail(cp->cmd, code, text);
}

/* ---- what is to be done ---- */

static uint64_t blocks_of(const struct cp_end *to, uint64_t bytes)
{
    uint64_t block = to->store ? to->store->info.block_bytes : 1;
    return (bytes + block - 1) / block * block;
}

static bool check_destination(struct cp *cp)
{
    struct err_text e = { "" };
    if (cp->to.store && cp->to.store->info.read_only) {
        (void)err_set(&e, USAN_ERDONLY, "%.200s is read-only", cp->to.name);
        failed(cp, CLI_FAILED, e.text);
        return false;
    }
    if (!cp->to.store || !cp->from.store ||
        blocks_of(&cp->to, cp->from.bytes) <= cp->to.store->info.size_bytes)
        return true;
    (void)err_set(&e, USAN_ENOSPC, "%.80s has room for %llu bytes, %.80s has %llu", cp->to.name,
                  (unsigned long long)cp->to.store->info.size_bytes, cp->from.name,
                  (unsigned long long)cp->from.bytes);
    failed(cp, CLI_FAILED, e.text);
    return false;
}

/* What both stores take. */
static uint64_t chunk_for(const struct cp *cp)
{
    uint64_t chunk = cp->args->chunk;
    const struct store *both[] = { cp->from.store, cp->to.store };
    for (size_t i = 0; i < 2; i++) {
        while (both[i] && both[i]->info.max_io_bytes && chunk > both[i]->info.max_io_bytes &&
               chunk > COPY_CHUNK_MIN)
            chunk /= 2;
    }
    return chunk;
}

static bool prepare(struct cp *cp)
{
    const struct cp_args *a = cp->args;
    struct err_text e = { "" };
    struct copy_config cfg = {
        .from = cp->from.store,
        .to = cp->to.store,
        .from_fd = STDIN_FILENO,
        .to_fd = STDOUT_FILENO,
        .from_name = cp->from.name,
        .to_name = cp->to.name,
        .bytes = cp->from.bytes,
        .tail = cp->from.tail,
        .to_zero = cp->to.made,
        .verify = a->verify,
        .differing = a->resume,
        .channels = cp->from.store ? (uint32_t)a->channels : 1,
        .depth = (uint32_t)a->depth,
        .chunk = chunk_for(cp),
        .loop = { .cpu = -1 },
    };
    cfg.sparse = a->sparse < cfg.chunk ? a->sparse : cfg.chunk;
    cfg.threads = cfg.channels;
    int err = tgt_config_parse_engine(a->engine, &cfg.loop.engine);
    if (!err &&
        cfg.channels * cfg.depth > COPY_MEMORY_MAX / cfg.chunk / (a->verify || a->resume ? 2 : 1))
        err = err_set(&e, USAN_ELIMIT, "so many requests of that size need more than %s of memory",
                      meter_size((double)COPY_MEMORY_MAX).s);
    if (!err)
        err = copy_new(&cfg, &cp->copy, &e);
    if (err)
        failed(cp, err == USAN_ELIMIT ? CLI_USAGE : CLI_FAILED, e.text);
    return !err;
}

/* ---- doing it ---- */

/* What may be left behind is not: the new file is removed, and nobody is waited for. */
static void give_up(struct cp *cp)
{
    cp_end_discard(&cp->to);
    fprintf(stderr, "usan cp: interrupted\n");
    fflush(NULL);
    _exit(CLI_FAILED);
}

static int run_step(struct cp *cp, enum copy_step step, const char *what, struct err_text *e)
{
    uint64_t total = copy_bytes(cp->copy), cancelled = 0;
    struct copy_progress p;
    meter_init(&cp->meter, stderr, cp->args->quiet, total == COPY_ENDLESS ? 0 : total,
               clock_now_ns());
    copy_start(cp->copy, step);
    for (;;) {
        enum cli_waited w = cli_wait(&cp->wait, METER_REDRAW_MS);
        if (w == CLI_WAIT_READY)
            break;
        bool late = cancelled && clock_now_ns() - cancelled > 5 * NS_PER_SEC;
        if (late || (w == CLI_WAIT_SIGNAL && cancelled))
            give_up(cp);
        if (w == CLI_WAIT_SIGNAL) {
            cancelled = clock_now_ns();
            copy_cancel(cp->copy);
        }
        copy_progress(cp->copy, &p);
        if (step != COPY_FLUSH)
            meter_show(&cp->meter, what, p.done, clock_now_ns());
    }
    meter_clear(&cp->meter);
    return copy_step_end(cp->copy, e);
}

static void summary(const struct cp *cp, const struct copy_progress *p, double seconds)
{
    char zeroes[64] = "", same[64] = "";
    unsigned long long bytes = p->written;
    if (cp->args->quiet)
        return;
    bytes += p->zeroes + p->same;
    if (cp->args->resume)
        (void)snprintf(same, sizeof(same), " (%s of them were there)",
                       meter_size((double)p->same).s);
    if (p->zeroes)
        (void)snprintf(zeroes, sizeof(zeroes), " (%s of them zeroes)",
                       meter_size((double)p->zeroes).s);
    fprintf(stderr, "usan cp: %llu bytes%s%s in %.2f s, %s/s%s\n", bytes, zeroes, same, seconds,
            meter_size((double)bytes / (seconds > 1e-6 ? seconds : 1e-6)).s,
            cp->args->verify ? "; compared equal" : "");
}

/* The sentence that says what is left of it. */
static void explain(struct cp *cp, int err, struct err_text *e, uint64_t done)
{
    const char *left = cp->to.made ? "; nothing was kept"
                                   : "; it is incomplete now, and usan cp --resume goes on with it";
    char text[sizeof(e->text) + 128];
    if (err == USAN_ECANCELED)
        (void)snprintf(text, sizeof(text), "interrupted after %s%s%s%s", meter_size((double)done).s,
                       cp->to.store ? " to " : "", cp->to.store ? cp->to.name : "",
                       cp->to.store ? left : "");
    else
        (void)snprintf(text, sizeof(text), "%s%s", e->text, cp->to.store && done ? left : "");
    failed(cp, err == USAN_EMISCOMPARE ? CLI_DIFFERS : CLI_FAILED, text);
}

static void run(struct cp *cp)
{
    struct err_text e = { "" };
    struct copy_progress p = { 0 };
    uint64_t start = clock_now_ns();
    cp->wait.fd = copy_fd(cp->copy);
    int err = run_step(cp, COPY_DATA, "", &e);
    copy_progress(cp->copy, &p);
    if (!err)
        err = run_step(cp, COPY_FLUSH, "", &e);
    if (!err && cp->args->verify)
        err = run_step(cp, COPY_VERIFY, "verify ", &e);
    double seconds = (double)(clock_now_ns() - start) / (double)NS_PER_SEC;
    uint64_t bytes = copy_bytes(cp->copy);
    bool left = copy_reader_left(cp->copy);
    copy_free(cp->copy);
    cp->copy = NULL;
    if (left)
        cli_output_left();
    if (err) {
        explain(cp, err, &e, p.done);
        return;
    }
    if (cp_end_keep(&cp->to, bytes, &e))
        failed(cp, CLI_FAILED, e.text);
    else
        summary(cp, &p, seconds);
}

static bool check_args(struct cp *cp, int words, char **argv)
{
    const struct cp_args *a = cp->args;
    bool wrong = words != 2;
    if (wrong)
        failed(cp, CLI_USAGE, words < 2 ? "needs a source and a destination" : "takes two");
    else if (!*argv[0] || !*argv[1])
        failed(cp, CLI_USAGE, "a source or destination without a name");
    else if (!power_of_two(a->chunk))
        failed(cp, CLI_USAGE, "--chunk: is not a power of two");
    else if (a->sparse && (a->sparse < 512 || !power_of_two(a->sparse)))
        failed(cp, CLI_USAGE, "--sparse: is not 0 or a power of two from 512");
    else if (a->verify && strcmp(argv[1], "-") == 0)
        failed(cp, CLI_USAGE, "--verify: standard output can not be read back");
    else if (a->resume && strcmp(argv[1], "-") == 0)
        failed(cp, CLI_USAGE, "--resume: standard output can not be read");
    else if (strcmp(argv[0], argv[1]) == 0 && strcmp(argv[0], "-") != 0)
        failed(cp, CLI_USAGE, "source and destination are the same");
    return !cp->code;
}

int cli_cp(const struct cli_command *cmd, int argc, char **argv)
{
    struct cp_args a = { 0 };
    struct cp cp = { .cmd = cmd, .args = &a };
    struct err_text e = { "" };
    int words, err;
    if (!cli_begin(cmd, &a, argc, argv, &words, &cp.code))
        return cp.code;
    if (!check_args(&cp, words, argv))
        return cp.code;
    cli_block_signals();
    err = cli_wait_init(&cp.wait, &e);
    if (!err)
        err = cp_end_open_from(&cp.from, argv[0], &e);
    if (!err)
        err = cp_end_open_to(&cp.to, argv[1], &cp.from, a.in_place || a.resume, &e);
    if (err)
        failed(&cp, err == USAN_EINVAL ? CLI_USAGE : CLI_FAILED, e.text);
    else if (check_destination(&cp) && prepare(&cp))
        run(&cp);
    cp_end_discard(&cp.to);
    cp_end_close(&cp.from);
    cp_end_close(&cp.to);
    cli_wait_fini(&cp.wait);
    return cp.code;
}
