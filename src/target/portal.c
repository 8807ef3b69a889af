/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/portal.h"

#include "io/clock.h"
#include "target/conn.h"
#include "target/log.h"
#include "target/reactor.h"
#include "target/target.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BACKLOG = 1024,
    ACCEPT_ROUNDS = 64, /* connections taken before other descriptors have their turn */
};

#define RETRY_NS (100 * NS_PER_MS)

/* ---- accepting ---- */

struct handover {
    struct loop_msg msg;
    struct tgt_reactor *r;
    int fd;
};

static void take_over(struct loop_msg *m)
{
    struct handover h = *list_entry(m, struct handover, msg);
    free(list_entry(m, struct handover, msg));
    tgt_conn_open(h.r, h.fd);
}

/* The reactor with the fewest connections; NULL when the limit of all is reached. */
static struct tgt_reactor *choose_reactor(const struct tgt *tgt)
{
    struct tgt_reactor *best = NULL;
    unsigned best_count = 0, total = 0;
    for (unsigned i = 0; i < tgt_reactor_count(tgt); i++) {
        struct tgt_reactor *r = tgt_reactor_at(tgt, i);
        unsigned n = atomic_load_explicit(&r->conn_count, memory_order_relaxed);
        total += n;
        if (!best || n < best_count) {
            best = r;
            best_count = n;
        }
    }
    return total < tgt_cfg(tgt)->limits.connections ? best : NULL;
}

static void complain(const struct tgt_portal *p, const char *why)
{
    tgt_log_peer(TGT_LOG_WARN, TGT_LOG_CONNECTION_REFUSED, "portal=%s why=%s", p->text,
                 tgt_log_quote(why).s);
}

static void hand_over(struct tgt_portal *p, int fd)
{
    struct tgt_reactor *r = choose_reactor(p->tgt);
    if (!r) {
        complain(p, "limit of connections is reached");
        close(fd);
        return;
    }
    if (r->index == 0) {
        atomic_fetch_add(&r->conn_count, 1);
        tgt_conn_open(r, fd);
        return;
    }
    struct handover *h = malloc(sizeof(*h));
    if (!h) {
        complain(p, "out of memory");
        close(fd);
        return;
    }
    atomic_fetch_add(&r->conn_count, 1);
    *h = (struct handover){ { .deliver = take_over }, r, fd };
    loop_post(r->loop, &h->msg);
}

/* Nothing can be accepted. The connection stays in the backlog, so the descriptor stays readable:
 * pause it for a while. */
static void look_away(struct tgt_portal *p)
{
    if (!p->starved)
        complain(p, "out of file descriptors or memory; connections wait until there are some");
    p->starved = true;
    if (loop_timer_set(p->lfd.loop, &p->retry, clock_now_ns() + RETRY_NS) == 0) {
        p->lfd.events = 0;
        loop_fd_update(&p->lfd);
    }
}

static bool ready(struct loop_fd *lfd, uint32_t events)
{
    struct tgt_portal *p = list_entry(lfd, struct tgt_portal, lfd);
    (void)events;
    for (int i = 0; i < ACCEPT_ROUNDS; i++) {
        int fd;
        int err = sock_accept(lfd->fd, &fd);
        if (err == 0) {
            p->starved = false;
            hand_over(p, fd);
            continue;
        }
        if (err == USAN_ELIMIT)
            look_away(p);
        return i > 0;
    }
    return true;
}

static void retry(struct loop_timer *t)
{
    struct tgt_portal *p = list_entry(t, struct tgt_portal, retry);
    p->lfd.events = LOOP_IN;
    loop_fd_update(&p->lfd);
}

/* ---- opening ---- */

static bool is_wildcard(const char *address)
{
    return strcmp(address, "::") == 0 || strcmp(address, "0.0.0.0") == 0 ||
           strcmp(address, "*") == 0;
}

int tgt_portal_open(struct tgt_portal *p, struct tgt *tgt, const struct tgt_config_portal *cfg,
                    struct err_text *e)
{
    char addr[SOCK_ADDR_SPEC_BYTES];
    const char *host = strcmp(cfg->address, "::") == 0 ? "*" : cfg->address; /* IPv4 as well */
    bool v6 = strchr(host, ':') != NULL;
    int n = snprintf(addr, sizeof(addr), v6 ? "[%s]:%u" : "%s:%u", host, cfg->port);
    if (n < 0 || (size_t)n >= sizeof(addr))
        return err_set(e, USAN_EINVAL, "portal address '%s' is too long", host);
    int fd;
    int err = sock_listen(addr, BACKLOG, &fd, e);
    if (err)
        return err;
    *p = (struct tgt_portal){ .tgt = tgt, .wildcard = is_wildcard(cfg->address) };
    p->lfd = (struct loop_fd){ .fd = fd, .events = LOOP_IN, .ready = ready };
    loop_timer_init(&p->retry, retry);
    p->port = sock_local_port(fd);
    sock_local_addr(fd, p->text, sizeof(p->text));
    return 0;
}

int tgt_portal_start(struct tgt_portal *p)
{
    int err = loop_fd_add(tgt_reactor_at(p->tgt, 0)->loop, &p->lfd);
    p->watching = err == 0;
    return err;
}

void tgt_portal_close(struct tgt_portal *p)
{
    if (p->watching) {
        loop_timer_cancel(tgt_reactor_at(p->tgt, 0)->loop, &p->retry);
        loop_fd_del(&p->lfd);
        p->watching = false;
    }
    if (p->tgt)
        close(p->lfd.fd);
    *p = (struct tgt_portal){ 0 };
}

/* ---- names for clients ---- */

/* An address other machines may reach this one by; false if there is none. */
static bool machine_address(char *buf, size_t cap)
{
    struct ifaddrs *all;
    if (getifaddrs(&all))
        return false;
    bool found = false;
    for (const struct ifaddrs *i = all; i && !found; i = i->ifa_next) {
        if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || !(i->ifa_flags & IFF_UP) ||
            (i->ifa_flags & IFF_LOOPBACK))
            continue;
        const struct sockaddr_in *in4 = (const struct sockaddr_in *)(const void *)i->ifa_addr;
        found = inet_ntop(AF_INET, &in4->sin_addr, buf, (socklen_t)cap) != NULL;
    }
    freeifaddrs(all);
    return found;
}

void tgt_portal_url_host(const struct tgt_portal *p, char *buf, size_t cap)
{
    char ip[INET6_ADDRSTRLEN] = "127.0.0.1";
    if (!p->wildcard) {
        snprintf(buf, cap, "%s", p->text);
        return;
    }
    (void)machine_address(ip, sizeof(ip));
    snprintf(buf, cap, "%s:%u", ip, p->port);
}
