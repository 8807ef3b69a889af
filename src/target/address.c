/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *tgt_address_port(const char *a)
{
    const char *colon = strrchr(a, ':');
    bool one = colon && colon == strchr(a, ':'); /* IPv6 has two or more */
    bool bracket = colon && colon > a && a[0] == '[' && colon[-1] == ']';
    return (one || bracket) && colon[1] && !colon[1 + strspn(colon + 1, "0123456789")] ? colon + 1
                                                                                       : NULL;
}

static bool good_host(const char *host)
{
    struct in6_addr in;
    size_t len = strlen(host);
    if (*host == '[') {
        char inner[INET6_ADDRSTRLEN];
        if (len < 3 || host[len - 1] != ']' || len - 2 >= sizeof(inner))
            return false;
        memcpy(inner, host + 1, len - 2);
        inner[len - 2] = 0;
        return inet_pton(AF_INET6, inner, &in) == 1;
    }
    if (!len ||
        strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") < len)
        return false;
    bool number = strspn(host, "0123456789.") == len;
    return !number || inet_pton(AF_INET, host, &in) == 1;
}

/* Of digits, as tgt_address_port() found it. */
static bool good_port(const char *port)
{
    unsigned long n = strlen(port) > 5 ? 0 : strtoul(port, NULL, 10);
    return n >= 1 && n <= 65535;
}

int tgt_address_redirect(const char *text, char ret[TGT_ADDRESS_BYTES])
{
    struct in6_addr in;
    char host[TGT_ADDRESS_BYTES];
    const char *port = tgt_address_port(text);
    size_t len = port ? (size_t)(port - 1 - text) : strlen(text);
    if (len >= sizeof(host))
        return USAN_EINVAL;
    memcpy(host, text, len);
    host[len] = 0;
    bool bare = inet_pton(AF_INET6, text, &in) == 1;
    if (!bare && !good_host(host))
        return USAN_EINVAL;
    if (port && !good_port(port))
        return USAN_EINVAL;
    int n =
        snprintf(ret, TGT_ADDRESS_BYTES, bare ? "[%s]:%s" : "%s:%s", host, port ? port : "3260");
    return n < TGT_ADDRESS_BYTES ? 0 : USAN_EINVAL;
}

bool tgt_address_same(const char *a, const char *b)
{
    struct in6_addr a6, b6;
    if (inet_pton(AF_INET6, a, &a6) == 1 && inet_pton(AF_INET6, b, &b6) == 1)
        return memcmp(&a6, &b6, sizeof(a6)) == 0;
    return strcasecmp(a, b) == 0;
}
