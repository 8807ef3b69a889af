/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What hosts of a simulation need of a network: byte streams between them, and somebody who moves
 * the clock. A world is one implementation of it.
 *
 * Host 0 is the target, hosts 1 to `hosts` - 1 are initiators. Streams are reliable and in order;
 * how fast and how late is the world's business.
 *
 * The functions of struct sim_sock_ops are called from run(), never from inside another call of
 * the world. Plain C: a world may be written in C++ (see sim/).
 */
#ifndef USAN_SIM_NET_H
#define USAN_SIM_NET_H

#include "sim/clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct err_text;
struct sim_net;  /* a network, of some world */
struct sim_sock; /* one end of a stream in it */

struct sim_net_config {
    uint32_t hosts;
    uint64_t rate_bps;  /* of the link of an initiator, in each direction */
    uint64_t delay_ns;  /* from a host to another one, one way */
    uint64_t trunk_bps; /* of the target's link, if there is more than one initiator */
    uint32_t mtu_bytes;
    uint64_t window_bytes; /* a stream has so many bytes under way at most */
    uint64_t seed;
    /* of worlds with packets */
    double loss;            /* share of packets that get lost, in each direction */
    uint32_t queue_packets; /* in front of each link */
    const char *tcp;        /* congestion control: a word of SIM_TCPS */
    const char *pcap;       /* the target's link goes to this file; NULL = nowhere */
};

#define SIM_TCPS "cubic|reno"

struct sim_sock_ops {
    /* Connected; for the end that connected, and for one that was accepted. */
    void (*up)(void *ctx, struct sim_sock *s);
    /* Bytes are there; take them until recv() gives none: it is not said twice. */
    void (*readable)(void *ctx, struct sim_sock *s);
    /* There is room again, after send() took less than it was given. */
    void (*writable)(void *ctx, struct sim_sock *s);
    /* The stream has ended: err 0, its other end has closed; else USAN_E... Only close() may
     * follow. */
    void (*down)(void *ctx, struct sim_sock *s, int err);
};

/* Who accepts: returns the ctx of the new end's functions, or NULL to refuse. */
struct sim_listener {
    const struct sim_sock_ops *ops;
    void *(*accept)(void *ctx, struct sim_sock *s, uint32_t from_host);
    void *ctx;
};

struct sim_link_stats {
    uint64_t bytes;   /* with all headers */
    uint64_t busy_ns; /* time in which bytes were sent */
    uint64_t packets, lost;
};

struct sim_world {
    const char *name;
    /* cfg and clock are borrowed until close(). */
    int (*open)(const struct sim_net_config *cfg, struct sim_clock *clock, struct sim_net **ret,
                struct err_text *e);
    void (*close)(struct sim_net *n);
    /* Until stop(), or until nothing is left to happen. Moves the clock and fires its timers. */
    void (*run)(struct sim_net *n);
    void (*stop)(struct sim_net *n);
    /* What has happened so far, for the cost of a run. */
    uint64_t (*events)(struct sim_net *n);
    /* The target takes connections; l is borrowed. */
    void (*listen)(struct sim_net *n, const struct sim_listener *l);
    /* From this host to the target; up() or down() follows. NULL: out of memory. */
    struct sim_sock *(*connect)(struct sim_net *n, uint32_t host, const struct sim_sock_ops *ops,
                                void *ctx);
    /* Bytes taken, copied; 0 = no room. */
    size_t (*send)(struct sim_sock *s, const struct iovec *iov, int iovcnt);
    /* Bytes given. */
    size_t (*recv)(struct sim_sock *s, const struct iovec *iov, int iovcnt);
    /* s is the world's; what was sent still arrives, then the other end is told. */
    void (*close_sock)(struct sim_sock *s);
    /* What the link of a host has carried so far: out of it, or into it. */
    void (*link_stats)(struct sim_net *n, uint32_t host, bool out, struct sim_link_stats *ret);
};

/* Links with a rate and a delay, and streams with a window, without packets that get lost. */
extern const struct sim_world sim_world_pipe;

#ifdef __cplusplus
}
#endif
#endif
