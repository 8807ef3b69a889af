/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The world of ns-3: its hosts, links, queues and TCP. One simulation a process. */
#ifndef USAN_SIM_NET_NS3_H
#define USAN_SIM_NET_NS3_H

#include "sim/net.h"

#ifdef __cplusplus
extern "C" {
#endif
extern const struct sim_world sim_world_ns3;
#ifdef __cplusplus
}
#endif
#endif
