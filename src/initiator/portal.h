/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a target is reached: addresses of a portal, connecting to them; who this initiator is. */
#ifndef USAN_INITIATOR_PORTAL_H
#define USAN_INITIATOR_PORTAL_H

#include "base/err.h"
#include "io/socket.h"
#include "iscsi/params.h"

#include <stdint.h>
#include <sys/socket.h>

enum { INI_PORTAL_ADDRS = 8, INI_PORTAL_TEXT = SOCK_ADDR_SPEC_BYTES + 8 };

struct ini_portal {
    char text[INI_PORTAL_TEXT]; /* "host:port", as it was named */
    unsigned count;
    struct sockaddr_storage addrs[INI_PORTAL_ADDRS]; /* in the order to be tried */
};

/* host is a name or a number, without brackets. A name is looked up, which may block.
 * USAN_ENOENT: there is no such host; e says so. */
USAN_MUST_CHECK
int ini_portal_resolve(const char *host, uint16_t port, struct ini_portal *ret_portal,
                       struct err_text *e);
/* TargetAddress of RFC 7143 13.8, "host[:port][,tag]", split; the tag is dropped. Host without
 * brackets. USAN_EINVAL: it is none. */
USAN_MUST_CHECK
int ini_portal_split(const char *address, char ret_host[SOCK_ADDR_SPEC_BYTES], uint16_t *ret_port);
/* What a peer has sent, for lines of a log and for terminals: control characters become '?'. */
void ini_printable(char *text);

/* Begin to connect; *ret_fd becomes writable when that is over. Returns 0 or an errno value. */
USAN_MUST_CHECK
int ini_portal_connect(const struct sockaddr_storage *addr, int *ret_fd);
/* How it ended: 0, an errno value, or EINPROGRESS. */
int ini_portal_connected(int fd);
bool ini_portal_same_addr(const struct sockaddr_storage *a, const struct sockaddr_storage *b);

/* The name this machine uses towards targets: of /etc/iscsi/initiatorname.iscsi, where other
 * initiators keep it, else made from the host's name. */
void ini_machine_name(char ret_name[ISCSI_NAME_MAX + 1]);
/* A random one, RFC 7143 11.12.5. USAN_EIO: the system gives no random numbers. */
USAN_MUST_CHECK
int ini_make_isid(uint8_t ret_isid[6]);

#endif
