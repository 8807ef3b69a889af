/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim.h"

#include <stdlib.h>

static uint64_t delay(struct sim *sim)
{
    if (sim_chance(sim, sim->opt.stall_permille))
        return sim_rand64(sim, 50 * NS_PER_MS);
    return sim_rand64(sim, sim->opt.net_ns);
}

static void schedule(struct sim_pipe *p)
{
    if (!sim_event_set(&p->ev))
        sim_event_in(p->link->sim, &p->ev, delay(p->link->sim));
}

void sim_pipe_write(struct sim_pipe *p, const void *bytes, size_t len)
{
    if (p->link->cut || p->end)
        return;
    if (p->head + p->len + len > p->cap) {
        if (p->len)
            memmove(p->buf, p->buf + p->head, p->len);
        p->head = 0;
        if (p->len + len > p->cap) {
            p->cap = 2 * (p->len + len);
            p->buf = realloc(p->buf, p->cap);
            if (!p->buf)
                abort();
        }
    }
    memcpy(p->buf + p->head + p->len, bytes, len);
    p->len += len;
    schedule(p);
}

static void next_flip(struct sim_pipe *p)
{
    struct sim *sim = p->link->sim;
    p->flip = sim->opt.flip_bytes ? p->total + sim_rand(sim, sim->opt.flip_bytes) : UINT64_MAX;
}

/* Takes the next piece off the queue; its length. The copy is the caller's. */
static size_t take(struct sim_pipe *p, uint64_t cut_at, uint8_t **ret_piece)
{
    struct sim *sim = p->link->sim;
    size_t n = 1 + sim_rand(sim, sim->opt.piece_bytes);
    if (n > p->len)
        n = p->len;
    if (n > cut_at - p->total)
        n = (size_t)(cut_at - p->total);
    uint8_t *piece = malloc(n ? n : 1);
    if (!piece)
        abort();
    if (n)
        memcpy(piece, p->buf + p->head, n);
    if (p->flip >= p->total && p->flip < p->total + n) {
        piece[p->flip - p->total] ^= (uint8_t)(1u << sim_rand(sim, 8));
        p->link->flipped = true;
        sim->stats.flips++;
        sim_trace(sim, "byte %llu to the %s is damaged", (unsigned long long)p->flip,
                  p == &p->link->to_tgt ? "target" : "initiator");
        p->total += n;
        next_flip(p);
        p->total -= n;
    }
    sim_watch(p, piece, n);
    p->head += n;
    p->len -= n;
    p->total += n;
    *ret_piece = piece;
    return n;
}

static void to_tgt(struct sim_event *ev)
{
    struct sim_pipe *p = list_entry(ev, struct sim_pipe, ev);
    struct sim_link *link = p->link;
    uint8_t *piece;
    size_t n = take(p, link->cut_to_tgt, &piece);
    if (n && link->conn)
        sim_conn_rx(link->conn, piece, n);
    free(piece);
    if (link->cut)
        return;
    if (p->total >= link->cut_to_tgt) {
        sim_link_cut(link);
        return;
    }
    if (link->path)
        sim_path_want_tx(link->path); /* there is room again */
    if (p->len)
        schedule(p);
    else if (p->end && link->conn)
        sim_conn_close(link->conn);
}

static void to_ini(struct sim_event *ev)
{
    struct sim_pipe *p = list_entry(ev, struct sim_pipe, ev);
    struct sim_link *link = p->link;
    uint8_t *piece;
    size_t n = take(p, link->cut_to_ini, &piece);
    if (n && link->path)
        sim_path_rx(link->path, piece, n);
    free(piece);
    if (link->cut)
        return;
    if (p->total >= link->cut_to_ini) {
        sim_link_cut(link);
        return;
    }
    if (link->conn)
        sim_conn_want_tx(link->conn);
    if (p->len)
        schedule(p);
    else if (p->end && link->path)
        sim_path_down(link->path);
}

static void tgt_eof(struct sim_event *ev)
{
    struct sim_link *link = list_entry(ev, struct sim_link, tgt_eof);
    if (link->conn)
        sim_conn_close(link->conn);
}

static void ini_eof(struct sim_event *ev)
{
    struct sim_link *link = list_entry(ev, struct sim_link, ini_eof);
    if (link->path)
        sim_path_down(link->path);
}

void sim_link_cut(struct sim_link *link)
{
    struct sim *sim = link->sim;
    if (link->cut)
        return;
    link->cut = true;
    sim_trace(sim, "cut after %llu and %llu bytes%s%s", (unsigned long long)link->to_tgt.total,
              (unsigned long long)link->to_ini.total, link->tgt_deaf ? ", the target deaf" : "",
              link->ini_deaf ? ", the initiator deaf" : "");
    sim_event_cancel(&link->to_tgt.ev);
    sim_event_cancel(&link->to_ini.ev);
    link->to_tgt.len = link->to_ini.len = 0;
    /* One end may notice long before the other. */
    if (!link->tgt_deaf)
        sim_event_in(sim, &link->tgt_eof, sim_rand64(sim, 1 + sim_rand64(sim, 20 * NS_PER_MS)));
    if (!link->ini_deaf)
        sim_event_in(sim, &link->ini_eof, sim_rand64(sim, 1 + sim_rand64(sim, 20 * NS_PER_MS)));
}

void sim_link_close(struct sim_link *link, bool by_tgt)
{
    struct sim_pipe *p = by_tgt ? &link->to_ini : &link->to_tgt;
    p->end = true;
    if (!link->cut && !sim_event_set(&p->ev))
        sim_event_in(link->sim, &p->ev, 0);
}

void sim_link_arm(struct sim_link *link)
{
    next_flip(&link->to_tgt);
    next_flip(&link->to_ini);
}

bool sim_link_bad(const struct sim_link *link)
{
    return link->cut || link->flipped;
}

struct sim_link *sim_link_new(struct sim *sim, struct sim_path *path)
{
    struct sim_link *link = calloc(1, sizeof(*link));
    if (!link)
        abort();
    link->sim = sim;
    link->path = path;
    link->cid = path->cid;
    link->cut_to_tgt = link->cut_to_ini = UINT64_MAX;
    link->to_tgt.link = link->to_ini.link = link;
    link->to_tgt.flip = link->to_ini.flip = UINT64_MAX;
    sim_event_init(&link->to_tgt.ev, to_tgt);
    sim_event_init(&link->to_ini.ev, to_ini);
    sim_event_init(&link->tgt_eof, tgt_eof);
    sim_event_init(&link->ini_eof, ini_eof);
    list_push_back(&sim->links, &link->node);
    unsigned lane = sim->opt.one_lane ? 0 : (path->ini->index + path->index) % SIM_LANES;
    link->conn = sim->down ? NULL : sim_conn_new(sim, link, lane);
    if (!link->conn)
        sim_link_cut(link);
    return link;
}

void sim_link_free(struct sim_link *link)
{
    sim_event_cancel(&link->to_tgt.ev);
    sim_event_cancel(&link->to_ini.ev);
    sim_event_cancel(&link->tgt_eof);
    sim_event_cancel(&link->ini_eof);
    list_del(&link->node);
    free(link->to_tgt.buf);
    free(link->to_ini.buf);
    free(link);
}
