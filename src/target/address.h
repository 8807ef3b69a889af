/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Addresses as people write them in a configuration. No look-ups. */
#ifndef USAN_TARGET_ADDRESS_H
#define USAN_TARGET_ADDRESS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum { TGT_ADDRESS_BYTES = 256 }; /* RFC 7143 6.1: a text value has at most 255 */

/*
 * Where logins are sent on to, as TargetAddress has it (RFC 7143 13.8): HOST, a dotted IPv4 address
 * or an IPv6 address in brackets, then ":PORT". The port is 3260 if there is none, and an IPv6
 * address without brackets and port is put in brackets. USAN_EINVAL: it is none of these.
 */
USAN_MUST_CHECK
int tgt_address_redirect(const char *text, char ret[TGT_ADDRESS_BYTES]);

/* "1.2.3.4:3260", "host:3260" or "[::1]:3260": the port of an address, else NULL. */
const char *tgt_address_port(const char *address);

/* The same address, however it is written; names are compared as texts. */
bool tgt_address_same(const char *a, const char *b);

#endif
