/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pipe world. Times follow from 1 ns a byte (8 Gbit/s), 1000 bytes of data a packet, and 90
 * bytes of headers and framing with each. */
#include "test.h"

#include "base/err.h"
#include "sim/net.h"

#include <stdlib.h>
#include <string.h>

enum { HEAD = 90, DELAY = 10000, MTU = 1052 };

static struct sim_clock the_clock;
static struct sim_net *net;
static struct sim_net_config cfg;

struct end {
    struct sim_sock *sock;
    uint64_t up_ns, first_ns, last_ns, writable_ns, down_ns;
    size_t got;
    int err;
    uint8_t data[1 << 16];
};
static struct end ends[8];

static void up(void *ctx, struct sim_sock *s)
{
    struct end *e = ctx;
    assert_ptr_equal(e->sock, s);
    e->up_ns = the_clock.now_ns;
}

static void readable(void *ctx, struct sim_sock *s)
{
    struct end *e = ctx;
    size_t n;
    struct iovec iov[2] = { { e->data + e->got, 10 }, { e->data + e->got + 10, 200 } };
    if (!e->first_ns)
        e->first_ns = the_clock.now_ns;
    e->last_ns = the_clock.now_ns;
    while ((n = sim_world_pipe.recv(s, iov, 2)) > 0) {
        e->got += n;
        iov[0].iov_base = e->data + e->got;
        iov[1].iov_base = e->data + e->got + 10;
    }
}

static void writable(void *ctx, struct sim_sock *s)
{
    (void)s;
    ((struct end *)ctx)->writable_ns = the_clock.now_ns;
}

static void down(void *ctx, struct sim_sock *s, int err)
{
    struct end *e = ctx;
    (void)s;
    e->down_ns = the_clock.now_ns;
    e->err = err;
}

static const struct sim_sock_ops ops = { up, readable, writable, down };

static void *accept_it(void *ctx, struct sim_sock *s, uint32_t from_host)
{
    (void)ctx;
    ends[4 + from_host].sock = s;
    return &ends[4 + from_host];
}

static void *refuse(void *ctx, struct sim_sock *s, uint32_t from_host)
{
    (void)ctx;
    (void)s;
    (void)from_host;
    return NULL;
}

static const struct sim_listener listener = { &ops, accept_it, NULL };

static void start(uint32_t hosts, uint64_t window)
{
    struct err_text e;
    memset(ends, 0, sizeof(ends));
    the_clock = (struct sim_clock){ .now_ns = 0 };
    cfg = (struct sim_net_config){
        .hosts = hosts,
        .rate_bps = 8000000000,
        .trunk_bps = 8000000000,
        .delay_ns = DELAY,
        .mtu_bytes = MTU,
        .window_bytes = window,
    };
    assert_int_equal(sim_world_pipe.open(&cfg, &the_clock, &net, &e), 0);
    sim_world_pipe.listen(net, &listener);
}

static struct end *join(uint32_t host)
{
    struct end *e = &ends[host];
    e->sock = sim_world_pipe.connect(net, host, &ops, e);
    assert_non_null(e->sock);
    return e;
}

static size_t put(struct end *e, const void *p, size_t len)
{
    uint8_t *copy = malloc(len);
    assert_non_null(copy);
    memcpy(copy, p, len);
    struct iovec iov[2] = { { copy, len / 3 }, { copy + len / 3, len - len / 3 } };
    size_t n = sim_world_pipe.send(e->sock, iov, 2);
    free(copy); /* the world has its own */
    return n;
}

static uint8_t pattern[1 << 16];

static void fill(void)
{
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(i * 7 + (i >> 8));
}

/* Three packets until the other end is there, two until this one knows. */
static void handshake(void **state)
{
    (void)state;
    start(2, 1 << 16);
    struct end *a = join(1), *b = &ends[5];
    sim_world_pipe.run(net);
    assert_int_equal(a->up_ns, 2 * DELAY);
    assert_int_equal(b->up_ns, 3 * DELAY);
    sim_world_pipe.close_sock(a->sock);
    sim_world_pipe.run(net);
    assert_int_equal(b->down_ns, 3 * DELAY + HEAD + DELAY);
    assert_int_equal(b->err, 0);
    sim_world_pipe.close_sock(b->sock);
    sim_world_pipe.close(net);
}

/* Who does not want it accepts and closes. */
static void refused(void **state)
{
    static const struct sim_listener nobody = { &ops, refuse, NULL };
    (void)state;
    start(2, 1 << 16);
    sim_world_pipe.listen(net, &nobody);
    struct end *a = join(1);
    sim_world_pipe.run(net);
    assert_int_equal(a->up_ns, 2 * DELAY);
    assert_int_equal(a->down_ns, 3 * DELAY + HEAD + DELAY);
    assert_int_equal(a->err, 0);
    sim_world_pipe.close_sock(a->sock);
    sim_world_pipe.close(net);
}

static void nobody_listens(void **state)
{
    (void)state;
    start(2, 1 << 16);
    sim_world_pipe.listen(net, NULL);
    struct end *a = join(1);
    sim_world_pipe.run(net);
    assert_int_equal(a->up_ns, 0);
    assert_int_equal(a->down_ns, 2 * DELAY);
    assert_int_equal(a->err, USAN_ECLOSED);
    sim_world_pipe.close_sock(a->sock);
    sim_world_pipe.close(net);
}

/* It never was, for the target. */
static void closed_in_the_handshake(void **state)
{
    (void)state;
    start(2, 1 << 16);
    struct end *a = join(1), *b = &ends[5];
    sim_world_pipe.close_sock(a->sock);
    sim_world_pipe.run(net);
    assert_null(b->sock);
    assert_int_equal(a->up_ns, 0);
    sim_world_pipe.close(net);
}

/* 10,000 bytes: runs of 4, 4 and 2 packets. */
static void arrives(void **state)
{
    struct sim_link_stats s;
    (void)state;
    fill();
    start(2, 1 << 16);
    struct end *a = join(1), *b = &ends[5];
    sim_world_pipe.run(net);
    uint64_t t = the_clock.now_ns;
    assert_int_equal(put(a, pattern, 10000), 10000);
    sim_world_pipe.run(net);
    assert_int_equal(b->first_ns, t + 4 * (1000 + HEAD) + DELAY);
    assert_int_equal(b->last_ns, t + 10 * (1000 + HEAD) + DELAY);
    assert_int_equal(b->got, 10000);
    assert_memory_equal(b->data, pattern, 10000);
    sim_world_pipe.link_stats(net, 0, false, &s); /* into the target */
    assert_int_equal(s.bytes, 10 * (1000 + HEAD));
    assert_int_equal(s.busy_ns, 10 * (1000 + HEAD));
    assert_int_equal(s.packets, 10);
    sim_world_pipe.link_stats(net, 0, true, &s); /* an acknowledgement for two packets */
    assert_int_equal(s.packets, 5);
    assert_int_equal(s.bytes, 5 * HEAD);
    sim_world_pipe.close(net); /* with both ends open */
}

/* What was sent arrives before the end of the stream. */
static void closed_behind_data(void **state)
{
    (void)state;
    fill();
    start(2, 1 << 16);
    struct end *a = join(1), *b = &ends[5];
    sim_world_pipe.run(net);
    assert_int_equal(put(a, pattern, 5000), 5000);
    sim_world_pipe.close_sock(a->sock);
    sim_world_pipe.run(net);
    assert_int_equal(b->got, 5000);
    assert_memory_equal(b->data, pattern, 5000);
    assert_true(b->down_ns > b->last_ns);
    sim_world_pipe.close_sock(b->sock);
    sim_world_pipe.run(net);
    sim_world_pipe.close(net);
}

/* A window of 3000 bytes: no more until the acknowledgement is back. */
static void window(void **state)
{
    (void)state;
    fill();
    start(2, 3000);
    struct end *a = join(1), *b = &ends[5];
    sim_world_pipe.run(net);
    uint64_t t = the_clock.now_ns;
    assert_int_equal(put(a, pattern, 5000), 3000);
    assert_int_equal(put(a, pattern + 3000, 2000), 0);
    sim_world_pipe.run(net);
    /* three packets there, two acknowledgements back */
    assert_int_equal(a->writable_ns, t + 3 * (1000 + HEAD) + DELAY + 2 * HEAD + DELAY);
    assert_int_equal(put(a, pattern + 3000, 2000), 2000);
    sim_world_pipe.run(net);
    assert_int_equal(b->got, 5000);
    assert_memory_equal(b->data, pattern, 5000);
    sim_world_pipe.close(net);
}

/* Two initiators at a switch: the target's link is theirs together. */
static void shared(void **state)
{
    (void)state;
    fill();
    start(3, 1 << 16);
    struct end *a = join(1), *b = join(2);
    sim_world_pipe.run(net);
    uint64_t t = the_clock.now_ns;
    assert_int_equal(put(a, pattern, 4000), 4000);
    assert_int_equal(put(b, pattern, 4000), 4000);
    sim_world_pipe.run(net);
    /* The first one goes on with its first packet, and its last is one packet behind; the second
     * one waits for the first. */
    uint64_t packet = 1000 + HEAD;
    assert_int_equal(ends[5].last_ns, t + 5 * packet + DELAY);
    assert_int_equal(ends[6].last_ns, t + 9 * packet + DELAY);
    sim_world_pipe.close(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshake),      cmocka_unit_test(refused),
        cmocka_unit_test(nobody_listens), cmocka_unit_test(closed_in_the_handshake),
        cmocka_unit_test(arrives),        cmocka_unit_test(closed_behind_data),
        cmocka_unit_test(window),         cmocka_unit_test(shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
