/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * TCP sockets for the loop: listening, accepting, options, addresses as text. Every descriptor
 * handed out is non-blocking and close-on-exec.
 *
 * An address is "HOST:PORT" or "[V6]:PORT"; HOST is a name or a number, "*" or nothing means all
 * addresses of both families. Port 0 lets the kernel choose one.
 */
#ifndef USAN_IO_SOCKET_H
#define USAN_IO_SOCKET_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for any address as text: [v6%scope]:port and the end. */
#define SOCK_ADDR_TEXT_BYTES 80
/* Longest host name (RFC 1035 section 2.3.4) plus brackets, port and the end. */
#define SOCK_ADDR_SPEC_BYTES 272

/*
 * Split and check addr: the host (empty for all addresses) and the port. Returns USAN_EINVAL with
 * a text that says what is wrong. host_bytes >= SOCK_ADDR_SPEC_BYTES always suffices.
 */
USAN_MUST_CHECK
int sock_addr_split(const char *addr, size_t host_bytes, char *ret_host, uint16_t *ret_port,
                    struct err_text *e);

/*
 * Listen on addr; waits up to two seconds for a port that is in use. Errors, each with a text for
 * the administrator: USAN_EINVAL (address), USAN_ENOENT (unknown host, or an address this machine
 * does not have), USAN_EADDRINUSE, USAN_EPERM (port below 1024), USAN_ELIMIT (out of descriptors).
 */
USAN_MUST_CHECK
int sock_listen(const char *addr, int backlog, int *ret_fd, struct err_text *e);

/*
 * Take one connection. Returns USAN_EAGAIN when there is none (connections that ended before they
 * were accepted are skipped), USAN_ELIMIT when descriptors or memory ran out: the listener stays
 * readable then, so the caller has to pause it.
 */
USAN_MUST_CHECK
int sock_accept(int listen_fd, int *ret_fd);

struct sock_options {
    bool nodelay;              /* TCP_NODELAY: PDUs leave as they are made */
    uint32_t keepalive_idle_s; /* probe after so long without traffic; 0 = no keepalive */
    uint32_t keepalive_intvl_s;
    uint32_t keepalive_count;
    const char *congestion; /* e.g. "cubic"; NULL = the system's; borrowed for the call */
    int send_buffer_bytes;  /* 0 = let the kernel tune it */
    int recv_buffer_bytes;
};

/* Set options of a connected or listening TCP socket (accepted ones inherit them). */
USAN_MUST_CHECK
int sock_set_options(int fd, const struct sock_options *o, struct err_text *e);

/* "10.0.0.1:3260" or "[fd00::1]:3260"; IPv4 in IPv6 is shown as IPv4. "?" when there is none.
 * text is always terminated; SOCK_ADDR_TEXT_BYTES suffices. */
void sock_local_addr(int fd, char *text, size_t bytes);
void sock_peer_addr(int fd, char *text, size_t bytes);
/* 0 when there is none. */
uint16_t sock_local_port(int fd);

#endif
