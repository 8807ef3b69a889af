/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pipe world: links are first-in-first-out with a rate and a delay, packets never get lost, and
 * a stream is held back by its window only: bytes count from send() until they are acknowledged.
 * What is sent travels in runs of a few packets; a run takes its time on each link with the headers
 * of all its packets, and its acknowledgement takes time on the way back.
 *
 * One initiator has a link to the target. Several have a link to a switch each, and the switch has
 * one to the target; half of the delay is on either side. A run is forwarded when its first packet
 * is there (the links of a switch go on while it comes).
 */
#include "sim/net.h"

#include "base/err.h"
#include "base/list.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    RUN_PACKETS = 4,
    HEADERS = 20 + 32,         /* of IP; of TCP, with time stamps */
    FRAMING = 8 + 14 + 4 + 12, /* of Ethernet: preamble, header, checksum, gap */
    ACK_BYTES = HEADERS + FRAMING,
    ACK_PACKETS = 2,        /* that one acknowledgement is for */
    FIRST_BYTES = 64 << 10, /* of a stream's buffer */
};

/* A link, in one direction. */
struct line {
    uint64_t rate_bps, delay_ns;
    uint64_t free_ns; /* when it can take the next bytes */
    struct sim_link_stats stats;
};

struct host {
    struct line out, in; /* in: from the switch; not used without one */
};

enum kind { RUN_DATA, RUN_ACK, RUN_END };

/* Packets on their way to one end. */
struct run {
    struct sim_timer timer;
    struct sim_sock *to;
    enum kind kind;
    uint32_t len, wire, packets;
    bool forwarded;    /* by the switch */
    uint64_t whole_ns; /* when its last byte is at the switch */
    struct run *next;  /* free ones */
};

struct sim_sock {
    struct sim_net *net;
    struct list node;
    struct sim_sock *peer;
    uint32_t host;
    const struct sim_sock_ops *ops;
    void *ctx;
    struct sim_timer timer; /* up, then writable */
    bool up, full, closed;
    bool ended;       /* nothing more comes: down() was called, or the other end was never there */
    unsigned coming;  /* runs to this end */
    uint64_t unacked; /* bytes sent */
    /* what came and was not taken: a ring */
    uint8_t *buf;
    size_t head, len, arrived, cap; /* len: with what is under way; arrived: what is here */
};

struct sim_net {
    struct sim_clock *clock;
    const struct sim_net_config *cfg;
    struct host *hosts;
    struct list socks;
    const struct sim_listener *listener;
    struct run *free;
    uint32_t mss;
    bool stopped;
    bool failed; /* no memory */
};

/* ---- links ---- */

static uint64_t time_of(const struct line *l, uint64_t bytes)
{
    return (uint64_t)((unsigned __int128)bytes * 8 * NS_PER_SEC / l->rate_bps);
}

/* Sends the run; returns when its first byte goes out, and when its last one has. */
static uint64_t put_on(struct sim_net *n, struct line *l, const struct run *r, uint64_t *ret_end)
{
    uint64_t start = l->free_ns > n->clock->now_ns ? l->free_ns : n->clock->now_ns;
    uint64_t ns = time_of(l, r->wire);
    l->free_ns = start + ns;
    l->stats.busy_ns += ns;
    l->stats.bytes += r->wire;
    l->stats.packets += r->packets;
    *ret_end = l->free_ns;
    return start;
}

static void arrive(struct sim_timer *t);
static void pipe_close_sock(struct sim_sock *s);

static struct run *new_run(struct sim_sock *to, enum kind kind)
{
    struct sim_net *n = to->net;
    struct run *r = n->free;
    if (r)
        n->free = r->next;
    else
        r = malloc(sizeof(*r));
    if (!r) {
        n->failed = n->stopped = true;
        return NULL;
    }
    *r = (struct run){ .to = to, .kind = kind };
    sim_timer_init(&r->timer, arrive);
    to->coming++;
    return r;
}

static void depart(struct sim_net *n, struct run *r, uint32_t from)
{
    struct line *l = &n->hosts[from].out;
    uint64_t end, start = put_on(n, l, r, &end);
    r->forwarded = n->cfg->hosts == 2;
    r->whole_ns = end + l->delay_ns;
    uint64_t first = start + time_of(l, r->wire / r->packets) + l->delay_ns;
    sim_timer_at(n->clock, &r->timer, r->forwarded ? r->whole_ns : first);
}

/* At the switch. */
static void forward(struct sim_net *n, struct run *r)
{
    struct line *l = &n->hosts[r->to->host].in;
    uint64_t end;
    put_on(n, l, r, &end);
    /* not before the last packet has come, and gone out */
    uint64_t last = r->whole_ns + time_of(l, r->wire / r->packets);
    r->forwarded = true;
    sim_timer_at(n->clock, &r->timer, (end > last ? end : last) + l->delay_ns);
}

static void send_ack(struct sim_sock *from, const struct run *r)
{
    struct run *ack = new_run(from->peer, RUN_ACK);
    if (!ack)
        return;
    ack->len = r->len;
    ack->packets = (r->packets + ACK_PACKETS - 1) / ACK_PACKETS;
    ack->wire = ack->packets * ACK_BYTES;
    depart(from->net, ack, from->host);
}

/* ---- ends of streams ---- */

static void sock_free(struct sim_sock *s)
{
    sim_timer_cancel(s->net->clock, &s->timer);
    if (s->peer)
        s->peer->peer = NULL;
    list_del(&s->node);
    free(s->buf);
    free(s);
}

/* When nobody needs either end any more. */
static void settle(struct sim_sock *s)
{
    struct sim_sock *p = s->peer;
    if (!s->closed || s->coming || (p && (!p->closed || p->coming)))
        return;
    if (p)
        sock_free(p);
    sock_free(s);
}

static void arrive(struct sim_timer *t)
{
    struct run *r = list_entry(t, struct run, timer);
    struct sim_sock *s = r->to;
    struct sim_net *n = s->net;
    if (!r->forwarded) {
        forward(n, r);
        return;
    }
    switch (r->kind) {
    case RUN_DATA:
        s->arrived += r->len;
        send_ack(s, r);
        if (!s->closed)
            s->ops->readable(s->ctx, s);
        break;
    case RUN_ACK:
        s->unacked -= r->len;
        if (s->full && !s->closed) {
            s->full = false;
            s->ops->writable(s->ctx, s);
        }
        break;
    case RUN_END:
        s->ended = true;
        if (!s->ops) { /* it was not accepted yet */
            sim_timer_cancel(n->clock, &s->timer);
            s->closed = true;
        } else if (!s->closed) {
            s->ops->down(s->ctx, s, 0);
        }
        break;
    }
    r->next = n->free;
    n->free = r;
    s->coming--; /* it is not freed before, whatever is called */
    settle(s);
}

/* The handshake is done. */
static void timer(struct sim_timer *t)
{
    struct sim_sock *s = list_entry(t, struct sim_sock, timer);
    const struct sim_listener *l = s->net->listener;
    if (!s->peer) {
        s->ended = true;
        s->ops->down(s->ctx, s, USAN_ECLOSED);
        return;
    }
    if (!s->ops) {
        s->ctx = l->accept(l->ctx, s, s->peer->host);
        if (!s->ctx) {
            pipe_close_sock(s);
            return;
        }
        s->ops = l->ops;
    }
    s->up = true;
    s->ops->up(s->ctx, s);
}

static struct sim_sock *sock_new(struct sim_net *n, uint32_t host)
{
    struct sim_sock *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->net = n;
    s->host = host;
    sim_timer_init(&s->timer, timer);
    list_push_back(&n->socks, &s->node);
    return s;
}

/* ---- the world ---- */

static int pipe_open(const struct sim_net_config *cfg, struct sim_clock *clock,
                     struct sim_net **ret, struct err_text *e)
{
    struct sim_net *n = calloc(1, sizeof(*n));
    struct host *hosts = calloc(cfg->hosts, sizeof(*hosts));
    if (!n || !hosts) {
        free(n);
        free(hosts);
        return err_set(e, USAN_ENOMEM, "out of memory");
    }
    *n = (struct sim_net){
        .clock = clock, .cfg = cfg, .hosts = hosts, .mss = cfg->mtu_bytes - HEADERS
    };
    list_init(&n->socks);
    bool direct = cfg->hosts == 2;
    for (uint32_t i = 0; i < cfg->hosts; i++) {
        hosts[i].out.rate_bps = i || direct ? cfg->rate_bps : cfg->trunk_bps;
        hosts[i].out.delay_ns = direct ? cfg->delay_ns : cfg->delay_ns / 2;
        hosts[i].in = hosts[i].out;
        hosts[i].in.delay_ns = cfg->delay_ns - cfg->delay_ns / 2;
    }
    *ret = n;
    return 0;
}

static void pipe_close(struct sim_net *n)
{
    if (!n)
        return;
    struct sim_timer *t;
    while ((t = n->clock->first)) { /* what was under way */
        sim_timer_cancel(n->clock, t);
        if (t->fire == arrive)
            free(list_entry(t, struct run, timer));
    }
    while (!list_empty(&n->socks))
        sock_free(list_entry(n->socks.next, struct sim_sock, node));
    while (n->free) {
        struct run *r = n->free;
        n->free = r->next;
        free(r);
    }
    free(n->hosts);
    free(n);
}

static void pipe_run(struct sim_net *n)
{
    n->stopped = n->failed;
    while (!n->stopped && sim_clock_next(n->clock) != TIME_NEVER) {
        sim_clock_move(n->clock, sim_clock_next(n->clock));
        while (!n->stopped && sim_clock_fire(n->clock))
            ;
    }
}

static void pipe_stop(struct sim_net *n)
{
    n->stopped = true;
}

static uint64_t pipe_events(struct sim_net *n)
{
    return n->clock->fired;
}

static void pipe_listen(struct sim_net *n, const struct sim_listener *l)
{
    n->listener = l;
}

static struct sim_sock *pipe_connect(struct sim_net *n, uint32_t host,
                                     const struct sim_sock_ops *ops, void *ctx)
{
    struct sim_sock *s = sock_new(n, host), *p = sock_new(n, 0);
    if (!s || !p) {
        if (s)
            sock_free(s);
        if (p)
            sock_free(p);
        return NULL;
    }
    s->ops = ops;
    s->ctx = ctx;
    if (n->listener) {
        p->peer = s;
        s->peer = p;
        sim_timer_in(n->clock, &p->timer, 3 * n->cfg->delay_ns); /* three packets */
    } else {
        sock_free(p);
    }
    sim_timer_in(n->clock, &s->timer, 2 * n->cfg->delay_ns);
    return s;
}

/* Room for len more bytes in the ring. */
static bool grow(struct sim_sock *s, size_t len)
{
    if (s->len + len <= s->cap)
        return true;
    size_t cap = s->cap ? s->cap : FIRST_BYTES;
    while (cap < s->len + len)
        cap *= 2;
    uint8_t *buf = malloc(cap);
    if (!buf)
        return false;
    size_t first = s->cap - s->head < s->len ? s->cap - s->head : s->len;
    if (s->len) {
        memcpy(buf, s->buf + s->head, first);
        memcpy(buf + first, s->buf, s->len - first);
    }
    free(s->buf);
    s->buf = buf;
    s->cap = cap;
    s->head = 0;
    return true;
}

static void ring_put(struct sim_sock *s, const uint8_t *p, size_t len)
{
    size_t at = (s->head + s->len) & (s->cap - 1);
    size_t first = s->cap - at < len ? s->cap - at : len;
    memcpy(s->buf + at, p, first);
    memcpy(s->buf, p + first, len - first);
    s->len += len;
}

static void ring_take(struct sim_sock *s, uint8_t *p, size_t len)
{
    size_t first = s->cap - s->head < len ? s->cap - s->head : len;
    memcpy(p, s->buf + s->head, first);
    memcpy(p + first, s->buf, len - first);
    s->head = (s->head + len) & (s->cap - 1);
    s->len -= len;
    s->arrived -= len;
}

static void depart_data(struct sim_sock *s, size_t len)
{
    struct sim_net *n = s->net;
    while (len) {
        struct run *r = new_run(s->peer, RUN_DATA);
        if (!r)
            return;
        r->len = len < RUN_PACKETS * n->mss ? (uint32_t)len : RUN_PACKETS * n->mss;
        r->packets = (r->len + n->mss - 1) / n->mss;
        r->wire = r->len + r->packets * (HEADERS + FRAMING);
        len -= r->len;
        depart(n, r, s->host);
    }
}

static size_t pipe_send(struct sim_sock *s, const struct iovec *iov, int iovcnt)
{
    assert(s->up && !s->closed);
    uint64_t window = s->net->cfg->window_bytes;
    size_t room = window > s->unacked ? (size_t)(window - s->unacked) : 0, len = 0;
    if (!s->peer || s->peer->closed)
        return 0; /* its end is on the way */
    for (int i = 0; i < iovcnt && len < room; i++) {
        size_t k = iov[i].iov_len < room - len ? iov[i].iov_len : room - len;
        if (!grow(s->peer, k)) {
            s->net->failed = s->net->stopped = true;
            break;
        }
        ring_put(s->peer, iov[i].iov_base, k);
        len += k;
        s->full = k < iov[i].iov_len;
    }
    s->full |= len == room;
    s->unacked += len;
    depart_data(s, len);
    return len;
}

static size_t pipe_recv(struct sim_sock *s, const struct iovec *iov, int iovcnt)
{
    size_t got = 0;
    for (int i = 0; i < iovcnt && s->arrived; i++) {
        size_t k = iov[i].iov_len < s->arrived ? iov[i].iov_len : s->arrived;
        ring_take(s, iov[i].iov_base, k);
        got += k;
    }
    return got;
}

static void pipe_close_sock(struct sim_sock *s)
{
    s->closed = true;
    sim_timer_cancel(s->net->clock, &s->timer);
    struct run *r = s->peer && !s->peer->closed ? new_run(s->peer, RUN_END) : NULL;
    if (r) {
        r->packets = 1;
        r->wire = ACK_BYTES;
        depart(s->net, r, s->host);
    }
    settle(s);
}

static void pipe_link_stats(struct sim_net *n, uint32_t host, bool out, struct sim_link_stats *ret)
{
    if (n->cfg->hosts == 2)
        *ret = n->hosts[out ? host : !host].out.stats;
    else
        *ret = out ? n->hosts[host].out.stats : n->hosts[host].in.stats;
}

const struct sim_world sim_world_pipe = {
    .name = "pipe",
    .open = pipe_open,
    .close = pipe_close,
    .run = pipe_run,
    .stop = pipe_stop,
    .events = pipe_events,
    .listen = pipe_listen,
    .connect = pipe_connect,
    .send = pipe_send,
    .recv = pipe_recv,
    .close_sock = pipe_close_sock,
    .link_stats = pipe_link_stats,
};
