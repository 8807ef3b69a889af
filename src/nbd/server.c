/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nbd/server.h"

#include "nbd/conn.h"

/* Of the stop: until then clients are told that we go, then nothing is read any more, and in the
 * end the connections are cut; what the store works on is waited for in any case. */
#define DRAIN_DEAF_NS (300 * NS_PER_MS)
#define DRAIN_CUT_NS  (2000 * NS_PER_MS)

void nbd_server_init(struct nbd_server *s, struct front *f)
{
    *s = (struct nbd_server){ .front = f };
    list_init(&s->conns);
}

void nbd_server_serve(struct nbd_server *s, int fd)
{
    nbd_conn_open(s, fd);
}

void nbd_server_drain(struct nbd_server *s)
{
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

bool nbd_server_drain_step(struct nbd_server *s, uint64_t age_ns)
{
    list_for_each_safe (&s->conns, pos)
        drain_conn(list_entry(pos, struct nbd_conn, node), age_ns);
    return list_empty(&s->conns) && atomic_load(&s->conn_count) == 0;
}
