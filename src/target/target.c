/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/target.h"

#include "io/clock.h"
#include "io/control.h"
#include "scsi/lun.h"
#include "scsi/scsi.h"
#include "store/store.h"
#include "target/access.h"
#include "target/buffers.h"
#include "target/command.h"
#include "target/conn.h"
#include "target/drain.h"
#include "target/log.h"
#include "target/lun.h"
#include "target/portal.h"
#include "target/reactor.h"
#include "target/registry.h"
#include "target/session.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SPACE_INTERVAL_NS (5 * NS_PER_SEC)
struct tgt {
    const struct tgt_config *cfg;
    struct tgt_memory memory;
    struct tgt_registry registry;

    struct tgt_node *nodes;
    size_t node_count;
    struct tgt_reactor **reactors;
    unsigned reactor_count;
    struct tgt_portal *portals;
    size_t portal_count;
    const char **addresses; /* of portals bound to one address; NULL at the end */

    /* The control thread: signals, files of durable state, space, the stop. */
    struct control control;
    struct loop_timer space_timer, give_up;
    bool timed_out, flush_failed;
    unsigned waiting_for; /* reactors, in this phase of the stop */
    _Atomic uint64_t kicks;
    uint64_t kicks_seen; /* at the last look, while settling */
    struct loop_msg flushed_msg, stop_msg;
};

/* ---- for the parts ---- */

const struct tgt_config *tgt_cfg(const struct tgt *tgt)
{
    return tgt->cfg;
}

struct tgt_memory *tgt_memory(struct tgt *tgt)
{
    return &tgt->memory;
}

struct tgt_registry *tgt_registry(struct tgt *tgt)
{
    return &tgt->registry;
}

struct loop *tgt_control_loop(struct tgt *tgt)
{
    return tgt->control.loop;
}

void tgt_count_kick(struct tgt *tgt)
{
    atomic_fetch_add(&tgt->kicks, 1);
}

unsigned tgt_reactor_count(const struct tgt *tgt)
{
    return tgt->reactor_count;
}

struct tgt_reactor *tgt_reactor_at(const struct tgt *tgt, unsigned i)
{
    return tgt->reactors[i];
}

struct tgt_reactor *tgt_reactor_of(const struct tgt *tgt, const struct loop *loop)
{
    unsigned i = 0;
    while (tgt->reactors[i]->loop != loop)
        i++;
    return tgt->reactors[i];
}

struct tgt_node *tgt_nodes(const struct tgt *tgt, size_t *ret_count)
{
    *ret_count = tgt->node_count;
    return tgt->nodes;
}

const char *const *tgt_portal_addresses(const struct tgt *tgt)
{
    return tgt->addresses;
}

/* ---- start ---- */

static int open_state_dir(const char *dir, struct err_text *e)
{
    struct stat st;
    if (!dir || mkdir(dir, 0700) == 0)
        return 0;
    int errnum = errno;
    if (errnum == EEXIST && stat(dir, &st) == 0 && !S_ISDIR(st.st_mode))
        errnum = ENOTDIR;
    if (errnum == EEXIST && access(dir, R_OK | W_OK | X_OK) == 0)
        return 0;
    if (errnum == EEXIST)
        errnum = errno;
    const char *advice = "";
    if (errnum == ENOENT)
        advice = "; create the directory it is in first";
    else if (errnum == EACCES || errnum == EROFS || errnum == EPERM)
        advice = "; it has to be writable by the user the program runs as";
    return err_set(e, usan_err_from_errno(errnum), "state directory %s: %s%s", dir,
                   strerror(errnum), advice);
}

static int open_nodes(struct tgt *tgt, struct err_text *e)
{
    const struct tgt_config *cfg = tgt->cfg;
    tgt->nodes = calloc(cfg->target_count, sizeof(*tgt->nodes));
    if (!tgt->nodes)
        return err_set(e, USAN_ENOMEM, "out of memory");
    for (size_t i = 0; i < cfg->target_count; i++) {
        tgt->node_count++; /* a half-opened one is closed too */
        int err = tgt_node_open(&tgt->nodes[i], cfg, &cfg->targets[i], (uint16_t)(i + 1), e);
        if (err)
            return err;
    }
    return 0;
}

static int open_reactors(struct tgt *tgt, struct err_text *e)
{
    unsigned n = tgt->cfg->cores;
    if (n == 0) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        n = online < 1 ? 1 : online > TGT_REACTORS_MAX ? TGT_REACTORS_MAX : (unsigned)online;
    }
    tgt->reactors = calloc(n, sizeof(struct tgt_reactor *));
    if (!tgt->reactors)
        return err_set(e, USAN_ENOMEM, "out of memory");
    tgt->reactor_count = n; /* they ask for it while they are made */
    for (unsigned i = 0; i < n; i++) {
        int err = tgt_reactor_new(tgt, i, &tgt->reactors[i], e);
        if (err)
            return err;
    }
    for (size_t i = 0; i < tgt->node_count; i++) {
        int err = tgt_node_make_lanes(&tgt->nodes[i], tgt->reactors, n);
        if (err)
            return err_set(e, err, "LUNs of %s: %s", tgt->nodes[i].cfg->name, usan_strerror(err));
    }
    return 0;
}

static int open_portals(struct tgt *tgt, struct err_text *e)
{
    const struct tgt_config *cfg = tgt->cfg;
    tgt->portals = calloc(cfg->portal_count, sizeof(*tgt->portals));
    tgt->addresses = calloc(cfg->portal_count + 1, sizeof(char *));
    if (!tgt->portals || !tgt->addresses)
        return err_set(e, USAN_ENOMEM, "out of memory");
    size_t n = 0;
    for (size_t i = 0; i < cfg->portal_count; i++) {
        struct tgt_portal *p = &tgt->portals[i];
        int err = tgt_portal_open(p, tgt, &cfg->portals[i], e);
        if (err)
            return err;
        tgt->portal_count++;
        if (!p->wildcard)
            tgt->addresses[n++] = p->text;
    }
    return 0;
}

int tgt_new(const struct tgt_config *cfg, struct tgt **ret_tgt, struct err_text *e)
{
    struct tgt *tgt = calloc(1, sizeof(*tgt));
    if (!tgt)
        return err_set(e, USAN_ENOMEM, "out of memory");
    tgt->cfg = cfg;
    tgt->memory.max_bytes = cfg->limits.memory_bytes;
    tgt_registry_init(&tgt->registry, cfg->limits.sessions);
    int err = control_open(&tgt->control, !cfg->no_signals, e);
    if (!err)
        err = open_state_dir(cfg->state_dir, e);
    if (!err)
        err = open_nodes(tgt, e);
    if (!err)
        err = open_reactors(tgt, e);
    if (!err)
        err = open_portals(tgt, e);
    if (err) {
        tgt_free(tgt);
        return err;
    }
    *ret_tgt = tgt;
    return 0;
}

void tgt_free(struct tgt *tgt)
{
    if (!tgt)
        return;
    for (unsigned i = 0; tgt->reactors && i < tgt->reactor_count; i++) {
        if (tgt->reactors[i])
            tgt_reactor_stop(tgt->reactors[i]);
    }
    for (size_t i = 0; i < tgt->portal_count; i++)
        tgt_portal_close(&tgt->portals[i]);
    for (size_t i = 0; i < tgt->node_count; i++)
        tgt_node_free_lanes(&tgt->nodes[i]);
    for (unsigned i = 0; tgt->reactors && i < tgt->reactor_count; i++)
        tgt_reactor_free(tgt->reactors[i]);
    for (size_t i = 0; i < tgt->node_count; i++)
        tgt_node_close(&tgt->nodes[i]);
    control_close(&tgt->control);
    tgt_registry_fini(&tgt->registry);
    assert(atomic_load(&tgt->memory.taken_bytes) == 0);
    free(tgt->addresses);
    free(tgt->portals);
    free(tgt->reactors);
    free(tgt->nodes);
    free(tgt);
}

/* ---- stop: drain, settle, flush, close; each phase on all reactors, counted by the control thread
 * ---- */

static void end_control(struct tgt *tgt)
{
    loop_timer_cancel(tgt->control.loop, &tgt->give_up);
    loop_stop(tgt->control.loop);
}

static void reactor_closed(struct loop_msg *m)
{
    struct tgt *tgt = list_entry(m, struct tgt_reactor, drain.done_msg)->tgt;
    if (--tgt->waiting_for == 0)
        end_control(tgt);
}

static void close_channels(struct tgt_reactor *r, void *arg)
{
    struct tgt *tgt = arg;
    for (size_t i = 0; i < tgt->node_count; i++) {
        for (size_t j = 0; j < tgt->nodes[i].lun_count; j++)
            tgt_lane_close(&tgt->nodes[i].luns[j]->lanes[r->index]);
    }
    r->drain.done_msg.deliver = reactor_closed;
    loop_post(tgt->control.loop, &r->drain.done_msg);
}

static void give_up_now(struct tgt *tgt, const char *why)
{
    tgt_log(TGT_LOG_ERROR, "stop-incomplete", "why=%s", tgt_log_quote(why).s);
    tgt->timed_out = true;
    end_control(tgt);
}

static void on_all(struct tgt *tgt, void (*fn)(struct tgt_reactor *r, void *arg))
{
    tgt->waiting_for = tgt->reactor_count;
    for (unsigned i = 0; i < tgt->reactor_count; i++) {
        if (tgt_reactor_call(tgt->reactors[i], fn, tgt)) {
            give_up_now(tgt, "out of memory");
            return;
        }
    }
}

static void stores_flushed(struct loop_msg *m)
{
    on_all(list_entry(m, struct tgt, flushed_msg), close_channels);
}

static void flush_done(struct tgt_reactor *r, bool ok)
{
    struct tgt *tgt = r->tgt;
    tgt->flush_failed = !ok;
    tgt->flushed_msg.deliver = stores_flushed;
    loop_post(tgt->control.loop, &tgt->flushed_msg);
}

static void flush_stores(struct tgt_reactor *r, void *arg)
{
    (void)arg;
    tgt_flush_stores(r, flush_done);
}

static void reactor_settled(struct loop_msg *m);

static void settle(struct tgt_reactor *r, void *arg)
{
    struct tgt *tgt = arg;
    r->drain.done_msg.deliver = reactor_settled;
    loop_post(tgt->control.loop, &r->drain.done_msg);
}

/*
 * The ends of sessions make reactors ask each other to look at their lanes. Every reactor has
 * answered one more message: what was asked before that has been done, and if nothing was asked
 * since, nothing is on its way.
 */
static void all_settled(struct tgt *tgt)
{
    uint64_t kicks = atomic_load(&tgt->kicks);
    if (kicks != tgt->kicks_seen) {
        tgt->kicks_seen = kicks;
        on_all(tgt, settle);
    } else if (tgt_reactor_call(tgt->reactors[0], flush_stores, NULL)) {
        give_up_now(tgt, "out of memory");
    }
}

static void reactor_settled(struct loop_msg *m)
{
    struct tgt *tgt = list_entry(m, struct tgt_reactor, drain.done_msg)->tgt;
    if (--tgt->waiting_for == 0)
        all_settled(tgt);
}

static void reactor_drained(struct loop_msg *m)
{
    struct tgt *tgt = list_entry(m, struct tgt_reactor, drain.done_msg)->tgt;
    if (--tgt->waiting_for == 0) {
        tgt->kicks_seen = atomic_load(&tgt->kicks);
        on_all(tgt, settle);
    }
}

static void drained(struct tgt_reactor *r)
{
    r->drain.done_msg.deliver = reactor_drained;
    loop_post(r->tgt->control.loop, &r->drain.done_msg);
}

static void drain(struct tgt_reactor *r, void *arg)
{
    struct tgt *tgt = arg;
    for (size_t i = 0; r->index == 0 && i < tgt->portal_count; i++)
        tgt_portal_close(&tgt->portals[i]);
    tgt_drain_start(r, drained);
}

static void gave_up(struct loop_timer *t)
{
    give_up_now(list_entry(t, struct tgt, give_up), "commands or stores did not finish in time");
}

static void begin_stop(struct tgt *tgt)
{
    enum control_wish wish = control_told_to_stop(&tgt->control);
    if (wish == CONTROL_STOP_AT_ONCE)
        give_up_now(tgt, "told to stop a second time");
    if (wish != CONTROL_STOP)
        return;
    tgt_log(TGT_LOG_INFO, "stopping", "sessions=%u", tgt_registry_count(&tgt->registry));
    loop_timer_cancel(tgt->control.loop, &tgt->space_timer);
    if (loop_timer_set(tgt->control.loop, &tgt->give_up,
                       clock_now_ns() + tgt->cfg->stop_timeout_ns))
        give_up_now(tgt, "out of memory");
    else
        on_all(tgt, drain);
}

static void asked_to_stop(struct loop_msg *m)
{
    begin_stop(list_entry(m, struct tgt, stop_msg));
}

void tgt_stop(struct tgt *tgt)
{
    tgt->stop_msg.deliver = asked_to_stop;
    loop_post(tgt->control.loop, &tgt->stop_msg);
}

/* ---- the control thread ---- */

static void report(struct tgt_reactor *r, void *arg)
{
    (void)arg;
    list_for_each (&r->sessions, pos)
        tgt_session_report(list_entry(pos, struct tgt_session, node), TGT_LOG_STATUS, "session");
    list_for_each (&r->conns, pos)
        tgt_conn_report(list_entry(pos, struct tgt_conn, node));
    tgt_log(TGT_LOG_STATUS, "reactor",
            "reactor=%u engine=%s connections=%u buffers_used=%llu buffers_kept=%llu", r->index,
            loop_engine_name(r->loop), atomic_load(&r->conn_count),
            (unsigned long long)r->buffers.used_bytes, (unsigned long long)r->buffers.cached_bytes);
}

static void report_all(struct tgt *tgt)
{
    tgt_log(TGT_LOG_STATUS, "status", "sessions=%u memory_taken=%llu memory_limit=%llu",
            tgt_registry_count(&tgt->registry),
            (unsigned long long)atomic_load(&tgt->memory.taken_bytes),
            (unsigned long long)tgt->memory.max_bytes);
    for (size_t i = 0; i < tgt->node_count; i++) {
        for (size_t j = 0; j < tgt->nodes[i].lun_count; j++)
            tgt_lun_report_stats(tgt->nodes[i].luns[j]);
    }
    for (unsigned i = 0; i < tgt->reactor_count; i++) {
        if (tgt_reactor_call(tgt->reactors[i], report, NULL))
            return;
    }
}

static void on_signal(struct control *c, int number)
{
    struct tgt *tgt = list_entry(c, struct tgt, control);
    if (number == SIGUSR1)
        report_all(tgt);
    else if (number == SIGHUP)
        tgt_log(TGT_LOG_WARN, "hangup-ignored",
                "why=\"reload is not supported yet; restart to apply a changed configuration\"");
    else
        begin_stop(tgt);
}

static void poll_space(struct loop_timer *t)
{
    struct tgt *tgt = list_entry(t, struct tgt, space_timer);
    bool any = false;
    for (size_t i = 0; i < tgt->node_count; i++) {
        for (size_t j = 0; j < tgt->nodes[i].lun_count; j++) {
            struct tgt_lun *lun = tgt->nodes[i].luns[j];
            if (lun->cfg->thin) {
                tgt_lun_report_space(lun);
                any = true;
            }
        }
    }
    if (any &&
        loop_timer_set(tgt->control.loop, t, loop_now(tgt->control.loop) + SPACE_INTERVAL_NS))
        tgt_log(TGT_LOG_ERROR, "space-not-watched", "why=\"out of memory\"");
}

/* Reactor 0, which accepts, comes last: until then nothing can have happened. */
static int start_reactors(struct tgt *tgt, struct err_text *e)
{
    int err = 0;
    for (size_t i = 0; !err && i < tgt->portal_count; i++) {
        err = tgt_portal_start(&tgt->portals[i]);
        if (err)
            err_set(e, err, "portal %s: %s", tgt->portals[i].text, usan_strerror(err));
    }
    for (unsigned i = tgt->reactor_count; !err && i-- > 0;)
        err = tgt_reactor_start(tgt->reactors[i], e);
    return err;
}

static int start_control(struct tgt *tgt, struct err_text *e)
{
    loop_timer_init(&tgt->space_timer, poll_space);
    loop_timer_init(&tgt->give_up, gave_up);
    tgt->control.on_signal = on_signal;
    return control_start(&tgt->control, e);
}

int tgt_run(struct tgt *tgt, struct err_text *e)
{
    int err = start_control(tgt, e);
    if (!err)
        err = start_reactors(tgt, e);
    if (!err) {
        poll_space(&tgt->space_timer);
        loop_run(tgt->control.loop);
    }
    control_end(&tgt->control);
    if (err)
        return err;
    if (tgt->timed_out)
        return err_set(e, USAN_ETIMEOUT, "stopped without finishing everything; see the log");
    tgt_log(TGT_LOG_INFO, "stopped", "flushed=%s", tgt->flush_failed ? "no" : "yes");
    if (tgt->flush_failed)
        return err_set(e, USAN_EIO, "not all data could be made durable; see the log");
    return 0;
}

/* ---- what the operator is told ---- */

/* Clients take the number in a URL for the first two bytes of the LUN field, and above 255 those
 * hold flat addressing (SAM-6 4.7.7.4). */
static unsigned url_lun(uint32_t number)
{
    return (unsigned)(scsi_lun_encode(number) >> 48);
}

void tgt_print_urls(const struct tgt *tgt, FILE *out)
{
    for (size_t p = 0; p < tgt->portal_count; p++) {
        char host[96];
        tgt_portal_url_host(&tgt->portals[p], host, sizeof(host));
        for (size_t i = 0; i < tgt->node_count; i++) {
            const struct tgt_node *node = &tgt->nodes[i];
            for (size_t j = 0; j < node->lun_count; j++)
                fprintf(out, "iscsi://%s/%s/%u\n", host, node->cfg->name,
                        url_lun(node->luns[j]->number));
        }
    }
}

void tgt_log_memory_bound(const struct tgt *tgt)
{
    const struct tgt_limits *l = &tgt->cfg->limits;
    /* The contexts of one reactor: they are made as they are used, and a session's tasks use so
     * many at a time, wherever; each reactor keeps what it has made. */
    unsigned parts =
        l->session_connections < tgt->reactor_count ? l->session_connections : tgt->reactor_count;
    uint64_t commands =
        (uint64_t)parts * (l->queue_depth + ISCSI_EXTRA_TASKS_MAX) * sizeof(struct tgt_cmd);
    /* What is made once, and the few objects of a session that are not counted. */
    uint64_t beside = (uint64_t)tgt->reactor_count * (TGT_RX_BYTES + sizeof(struct tgt_reactor)) +
                      (uint64_t)l->sessions * sizeof(struct tgt_session) +
                      (uint64_t)l->connections * sizeof(struct tgt_conn);
    tgt_log(TGT_LOG_INFO, "memory-bound",
            "limit_bytes=%llu beside_bytes=%llu sessions=%u connections=%u "
            "connections_per_session=%u queue_depth=%u commands_per_session_bytes=%llu",
            (unsigned long long)l->memory_bytes, (unsigned long long)beside, l->sessions,
            l->connections, l->session_connections, l->queue_depth, (unsigned long long)commands);
}
