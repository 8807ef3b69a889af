/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nbd/server.h"

#include "nbd/conn.h"

/* Of the stop: until then clients are told that we go, then nothing is read any more, and in the
 * end the connections are cut; what the store works on is waited for in any case. */
#define DRAIN_DEAF_NS (300 * NS_PER_MS)
#define DRAIN_CUT_NS  (2000 * NS_PER_MS)

static void drain(struct front_part *p)
{
    struct nbd_server *s = list_entry(p, struct nbd_server, part);
    s->draining = true;
    list_for_each (&s->conns, pos)
        nbd_conn_shutdown(list_entry(pos, struct nbd_conn, node));
}

static void drain_conn(struct nbd_conn *conn, uint64_t age_ns)
{
    if (conn->closed)
        return;
    if (nbd_conn_idle(conn) || age_ns >= DRAIN_CUT_NS)
        nbd_conn_close(conn, "the program stops");
    else if (age_ns >= DRAIN_DEAF_NS)
        nbd_conn_deaf(conn);
}

static bool drained(struct front_part *p, uint64_t age_ns)
{
    struct nbd_server *s = list_entry(p, struct nbd_server, part);
    list_for_each_safe (&s->conns, pos)
        drain_conn(list_entry(pos, struct nbd_conn, node), age_ns);
    return list_empty(&s->conns) && atomic_load(&s->conn_count) == 0;
}

void nbd_server_init(struct nbd_server *s, struct front *f)
{
    *s = (struct nbd_server){ .front = f, .part = { .drain = drain, .drained = drained } };
    list_init(&s->conns);
    list_push_back(&f->parts, &s->part.node);
}

void nbd_server_serve(struct nbd_server *s, int fd)
{
    nbd_conn_open(s, fd);
}
