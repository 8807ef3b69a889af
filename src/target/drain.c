/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/drain.h"

#include "base/bio.h"
#include "io/clock.h"
#include "store/store.h"
#include "target/access.h"
#include "target/conn.h"
#include "target/linger.h"
#include "target/log.h"
#include "target/lun.h"
#include "target/portal.h"
#include "target/reactor.h"
#include "target/session.h"
#include "target/target.h"

#include <stdlib.h>

#define DRAIN_STEP_NS (20 * NS_PER_MS)

static void drain_conn(struct tgt_conn *conn, uint64_t age_ns)
{
    bool idle = !conn->session || conn->part->busy == 0;
    if (age_ns >= TGT_DRAIN_ABORT_NS || (idle && age_ns >= TGT_DRAIN_IDLE_NS) || !conn->session) {
        tgt_conn_close(conn, "the program stops");
        return;
    }
    if (age_ns >= TGT_DRAIN_DEAF_NS)
        tgt_conn_deaf(conn);
}

/* Sessions that wait for an initiator to come back. */
static void end_lost(struct tgt_reactor *r)
{
    list_for_each_safe (&r->sessions, pos) {
        struct tgt_session *s = list_entry(pos, struct tgt_session, node);
        tgt_session_lock(s);
        bool lost = s->live == 0 && s->joining == 0;
        tgt_session_unlock(s);
        if (lost)
            tgt_session_end(s, false, "the program stops");
    }
}

static void drain_step(struct loop_timer *t)
{
    struct tgt_reactor *r = list_entry(t, struct tgt_reactor, drain.timer);
    uint64_t age = clock_now_ns() - r->drain.started_ns;
    list_for_each_safe (&r->conns, pos)
        drain_conn(list_entry(pos, struct tgt_conn, node), age);
    end_lost(r);
    if (list_empty(&r->conns) && list_empty(&r->parts) && r->backgrounds == 0 &&
        atomic_load(&r->conn_count) == 0) {
        r->drain.done(r);
        return;
    }
    /* The timer's memory was there for the first time already. */
    if (loop_timer_set(r->loop, &r->drain.timer, clock_now_ns() + DRAIN_STEP_NS))
        tgt_log(TGT_LOG_ERROR, "stop-stuck", "why=\"out of memory\"");
}

void tgt_drain_start(struct tgt_reactor *r, void (*done)(struct tgt_reactor *r))
{
    r->draining = true;
    r->drain.done = done;
    r->drain.started_ns = clock_now_ns();
    loop_timer_init(&r->drain.timer, drain_step);
    list_for_each_safe (&r->conns, pos)
        tgt_conn_ask_logout(list_entry(pos, struct tgt_conn, node), 1);
    tgt_linger_hurry(r);
    drain_step(&r->drain.timer);
}

/* ---- stores ---- */

struct flush_all {
    struct tgt_reactor *r;
    size_t left;
    bool failed;
    void (*done)(struct tgt_reactor *r, bool ok);
};

struct flush_one {
    struct bio bio;
    struct flush_all *all;
    const struct tgt_lun *lun;
};

static void one_less(struct flush_all *all)
{
    if (--all->left > 0)
        return;
    struct flush_all a = *all;
    free(all);
    a.done(a.r, !a.failed);
}

static void flush_failed(struct flush_all *all, const struct tgt_lun *lun, int err)
{
    all->failed = true;
    tgt_log(TGT_LOG_ERROR, "flush-failed", "target=%s lun=%u store=%s why=%s", lun->target_name,
            lun->number, tgt_log_quote(store_spec_text(lun->cfg->store).s).s,
            tgt_log_quote(usan_strerror(err)).s);
}

static void flushed(struct bio *bio)
{
    struct flush_one *one = list_entry(bio, struct flush_one, bio);
    struct flush_all *all = one->all;
    if (bio->err)
        flush_failed(all, one->lun, bio->err);
    free(one);
    one_less(all);
}

static void flush_lun(struct flush_all *all, struct tgt_lun *lun)
{
    struct tgt_lane *lane = &lun->lanes[all->r->index];
    struct flush_one *one = calloc(1, sizeof(*one));
    int err = one ? tgt_lane_open(lane) : USAN_ENOMEM;
    if (err) {
        free(one);
        flush_failed(all, lun, err);
        return;
    }
    one->all = all;
    one->lun = lun;
    one->bio.op = BIO_FLUSH;
    one->bio.done = flushed;
    all->left++;
    store_submit(lane->ch, &one->bio);
}

void tgt_flush_stores(struct tgt_reactor *r, void (*done)(struct tgt_reactor *r, bool ok))
{
    struct flush_all *all = malloc(sizeof(*all));
    if (!all) {
        tgt_log(TGT_LOG_ERROR, "flush-failed", "why=\"out of memory\"");
        done(r, false);
        return;
    }
    /* One for this function, so that `all` lives through the loop. */
    *all = (struct flush_all){ .r = r, .left = 1, .done = done };
    size_t count;
    struct tgt_node *nodes = tgt_nodes(r->tgt, &count);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < nodes[i].lun_count; j++) {
            if (!nodes[i].luns[j]->store->info.read_only)
                flush_lun(all, nodes[i].luns[j]);
        }
    }
    one_less(all);
}
