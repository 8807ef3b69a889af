/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The target program: everything of one configuration, from start to a clean stop.
 */
#ifndef USAN_TARGET_TARGET_H
#define USAN_TARGET_TARGET_H

#include "base/err.h"
#include "target/config.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct loop;
struct tgt;
struct tgt_memory;
struct tgt_node;
struct tgt_reactor;
struct tgt_registry;

/*
 * Open all stores and bind all portals: connections wait from here on. cfg has passed
 * tgt_config_check(), is borrowed and stays as it is. On failure nothing is left open and e says
 * what is wrong and what to do.
 */
USAN_MUST_CHECK
int tgt_new(const struct tgt_config *cfg, struct tgt **ret_tgt, struct err_text *e);
/*
 * Start the reactors and serve until SIGTERM or SIGINT, which the caller has blocked in all
 * threads; SIGUSR1 writes the status to the log, and SIGHUP a line that it does nothing (both
 * blocked too). Then stop: no new connections, initiators are asked to log out, accepted commands
 * are finished, stores flushed. Once only. On failure e says why:
 *   USAN_ETIMEOUT  something hung for 5 s, or a second signal came, at least half a second after
 *                  the first: end the process, do not free
 *   USAN_EIO       not all data could be made durable
 *   others         the threads could not be started
 */
USAN_MUST_CHECK
int tgt_run(struct tgt *tgt, struct err_text *e);
/* From any thread, while tgt_run() runs: what SIGTERM would do. Once; for a program that takes the
 * signals itself (tgt_config.no_signals). */
void tgt_stop(struct tgt *tgt);
/* After tgt_run(), or instead of it. tgt may be NULL. */
void tgt_free(struct tgt *tgt);

/* One "iscsi://HOST:PORT/NAME/LUN" a line, for every LUN through every portal. LUNs from 256 on
 * are shown as clients number them, with 16384 added. */
void tgt_print_urls(const struct tgt *tgt, FILE *out);

/* The most memory commands and their data can take, from the limits: lines for the log. */
void tgt_log_memory_bound(const struct tgt *tgt);

/* ---- for the parts of the program ---- */
const struct tgt_config *tgt_cfg(const struct tgt *tgt);
struct tgt_memory *tgt_memory(struct tgt *tgt);
struct tgt_registry *tgt_registry(struct tgt *tgt);
struct loop *tgt_control_loop(struct tgt *tgt);
/* A reactor is about to ask another one to look at a lane. */
void tgt_count_kick(struct tgt *tgt);
unsigned tgt_reactor_count(const struct tgt *tgt);
struct tgt_reactor *tgt_reactor_at(const struct tgt *tgt, unsigned i);
/* The one that runs this loop. */
struct tgt_reactor *tgt_reactor_of(const struct tgt *tgt, const struct loop *loop);
struct tgt_node *tgt_nodes(const struct tgt *tgt, size_t *ret_count);
/* Addresses discovery answers with besides the one the initiator used: "ip:port" of the portals
 * that are bound to one address; NULL-terminated. */
const char *const *tgt_portal_addresses(const struct tgt *tgt);

#endif
