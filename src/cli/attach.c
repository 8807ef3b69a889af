/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usan attach: a store as a network block device. */
#include "attach/attach.h"
#include "cli/background.h"
#include "cli/command.h"
#include "cli/name.h"
#include "cli/output.h"
#include "cli/run.h"
#include "nbd/proto.h"
#include "target/config.h"
#include "target/log.h"

#include <stdlib.h>
#include <unistd.h>

struct attach_args {
    struct cli_texts as;
    const char *name, *mode;
    bool read_only, loop;
    uint64_t cores, queue_depth, connections, memory;
    const char *engine, *poll, *pid_file;
    uint64_t handshake_timeout, stall_timeout;
    const char *log;
    bool background, verbose;
};

#define AT(field) offsetof(struct attach_args, field)

const struct cli_opt cli_attach_opts[] = {
    { "as", 'a', CLI_TEXTS, "FRONT", NULL,
      "nbd:unix:PATH, nbd:tcp:HOST:PORT, fuse:DIR or iscsi:HOST:PORT; repeatable", AT(as), 0, 0 },
    { "name", 'n', CLI_TEXT, "EXPORT", NULL, "name of the export; clients may always leave it out",
      AT(name), 0, 0 },
    { "read-only", 'r', CLI_FLAG, NULL, NULL, "let nobody write", AT(read_only), 0, 0 },
    { "loop", 'l', CLI_FLAG, NULL, NULL, "make a block device of each file of fuse:DIR (root)",
      AT(loop), 0, 0 },
    { "mode", 0, CLI_TEXT, "MODE", "0600", "permissions of Unix sockets and files, in octal",
      AT(mode), 0, 0 },
    { "cores", 'c', CLI_UINT, "NUMBER", "1", "event loops; 0 makes one for each processor",
      AT(cores), 0, ATTACH_REACTORS_MAX },
    { "engine", 0, CLI_CHOICE, "auto|io_uring|epoll", "auto", "how the event loops wait",
      AT(engine), 0, 0 },
    { "poll", 0, CLI_CHOICE, "auto|never|always", "auto", "spin instead of sleeping", AT(poll), 0,
      0 },
    { "queue-depth", 'q', CLI_UINT, "NUMBER", "128", "requests a connection may have outstanding",
      AT(queue_depth), 1, NBD_QUEUE_DEPTH_MAX },
    { "max-connections", 0, CLI_UINT, "NUMBER", "256", "connections at one time", AT(connections),
      1, ATTACH_CONNECTIONS_MAX },
    { "memory", 'm', CLI_SIZE, "BYTES", "512M", "most memory for the data of requests", AT(memory),
      ATTACH_MEMORY_MIN, 1ull << 50 },
    { "handshake-timeout", 0, CLI_TIME, "TIME", "15s", "a handshake has to be complete by then",
      AT(handshake_timeout), 0, 0 },
    { "stall-timeout", 0, CLI_TIME, "TIME", "30s",
      "give a client up that stops in the middle of something for so long", AT(stall_timeout), 0,
      0 },
    { "pid-file", 0, CLI_TEXT, "FILE", NULL, "write the process id here when ready", AT(pid_file),
      0, 0 },
    { "background", 'b', CLI_FLAG, NULL, NULL, "return when ready, and go on in the background",
      AT(background), 0, 0 },
    { "log", 0, CLI_TEXT, "FILE", NULL, "where a program in the background writes its log", AT(log),
      0, 0 },
    { "verbose", 'v', CLI_FLAG, NULL, NULL, "log clients that come and go", AT(verbose), 0, 0 },
    { 0 },
};

static void report(enum front_level level, const char *event, const char *details)
{
    static const enum tgt_log_level levels[] = {
        [FRONT_STATUS] = TGT_LOG_STATUS, [FRONT_ERROR] = TGT_LOG_ERROR, [FRONT_WARN] = TGT_LOG_WARN,
        [FRONT_INFO] = TGT_LOG_INFO,     [FRONT_DEBUG] = TGT_LOG_DEBUG,
    };
    tgt_log(levels[level], event, "%s", details);
}

static int parse_mode(const char *text, mode_t *ret_mode, struct err_text *e)
{
    mode_t mode = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '7' && mode <= 0777; p++)
        mode = mode * 8 + (mode_t)(*p - '0');
    if (*p || p == text || mode > 0777)
        return err_set(e, USAN_EINVAL, "--mode %s: is not a mode like 0660", text);
    *ret_mode = mode;
    return 0;
}

static int make_config(struct attach_config *cfg, const struct attach_args *a, const char *spec,
                       struct err_text *e)
{
    *cfg = (struct attach_config){
        .store = spec,
        .fronts = a->as.v,
        .front_count = a->as.count,
        .front.name = a->name ? a->name : "",
        .read_only = a->read_only,
        .loop = a->loop,
        .cores = (uint32_t)a->cores,
        .front.queue_depth = (uint32_t)a->queue_depth,
        .connections = (uint32_t)a->connections,
        .memory_bytes = a->memory,
        .front.handshake_timeout_ns = a->handshake_timeout,
        .front.stall_timeout_ns = a->stall_timeout,
        .front.report = report,
    };
    if (!a->handshake_timeout || !a->stall_timeout)
        return err_set(e, USAN_EINVAL, "a time-out of 0 would end every connection");
    if (!a->background != !a->log)
        return err_set(e, USAN_EINVAL, "--background and --log FILE belong together");
    int err = parse_mode(a->mode, &cfg->mode, e);
    if (err)
        return err;
    /* The words were checked by the option table. */
    err = tgt_config_parse_engine(a->engine, &cfg->engine);
    if (!err)
        err = tgt_config_parse_poll(a->poll, &cfg->poll);
    return err ? err : attach_check(cfg, e);
}

static int run(struct attach *at, struct cli_background *bg, struct err_text *e)
{
    int err = attach_start(at, e);
    if (err)
        return err;
    const char *uri;
    for (size_t i = 0; (uri = attach_uri(at, i)); i++)
        puts(uri);
    err = cli_output_announce(e);
    if (!err) {
        cli_background_ready(bg);
        return attach_run(at, e);
    }
    struct err_text end;
    attach_ask_to_stop(at);
    return attach_run(at, &end) == USAN_ETIMEOUT ? USAN_ETIMEOUT : err;
}

static int serve(const struct cli_command *cmd, struct attach *at, const char *pid_file,
                 struct cli_background *bg)
{
    struct err_text e = { "" };
    if (pid_file && cli_write_pid_file(pid_file, &e)) {
        attach_free(at);
        return cli_fail(cmd, CLI_FAILED, e.text);
    }
    int err = run(at, bg, &e);
    if (pid_file)
        (void)unlink(pid_file);
    if (err == USAN_ETIMEOUT) {
        /* Requests hang in the store; their memory can not be taken from them. */
        fflush(NULL);
        _exit(cli_fail(cmd, CLI_FAILED, e.text));
    }
    attach_free(at);
    return err ? cli_fail(cmd, CLI_FAILED, e.text) : CLI_OK;
}

int cli_attach(const struct cli_command *cmd, int argc, char **argv)
{
    struct attach_args a = { 0 };
    int words, code;
    if (!cli_begin(cmd, &a, argc, argv, &words, &code))
        return code;
    if (words != 1)
        return cli_fail(cmd, CLI_USAGE,
                        words ? "takes one store" : "nothing to attach; name a file or a store");
    const char *meant = cli_meant(argv[0]);
    struct err_text e = { "" };
    if (meant) {
        (void)err_set(&e, USAN_EINVAL, "there is no file '%s'; did you mean %s?", argv[0], meant);
        return cli_fail(cmd, CLI_USAGE, e.text);
    }
    if (a.verbose)
        tgt_log_set_level(TGT_LOG_DEBUG);
    struct cli_background bg = { .ready_fd = -1 };
    struct attach_config cfg;
    struct attach *at;
    char *spec = cli_make_spec(argv[0]);
    if (!spec)
        return cli_fail(cmd, CLI_FAILED, usan_strerror(USAN_ENOMEM));
    cli_block_signals();
    if (make_config(&cfg, &a, spec, &e))
        code = cli_fail(cmd, CLI_USAGE, e.text);
    else if ((a.background && cli_background_start(a.log, &bg, &e)) || attach_new(&cfg, &at, &e))
        code = cli_fail(cmd, CLI_FAILED, e.text);
    else
        code = serve(cmd, at, a.pid_file, &bg);
    free(spec);
    return code;
}
