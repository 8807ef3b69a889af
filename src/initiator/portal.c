/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/portal.h"

#include "initiator/url.h"
#include "iscsi/names.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

int ini_portal_resolve(const char *host, uint16_t port, struct ini_portal *ret_portal,
                       struct err_text *e)
{
    char service[8];
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
                              .ai_protocol = IPPROTO_TCP,
                              .ai_flags = AI_NUMERICSERV };
    struct addrinfo *list;
    (void)snprintf(service, sizeof(service), "%u", port);
    int rc = getaddrinfo(host, service, &hints, &list);
    if (rc)
        return err_set(e, rc == EAI_MEMORY ? USAN_ENOMEM : USAN_ENOENT, "host \"%s\": %s", host,
                       rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
    struct ini_portal p = { .count = 0 };
    bool v6 = strchr(host, ':') != NULL;
    (void)snprintf(p.text, sizeof(p.text), "%s%s%s:%u", v6 ? "[" : "", host, v6 ? "]" : "", port);
    for (struct addrinfo *ai = list; ai && p.count < INI_PORTAL_ADDRS; ai = ai->ai_next) {
        if (ai->ai_addrlen <= sizeof(p.addrs[0]))
            memcpy(&p.addrs[p.count++], ai->ai_addr, ai->ai_addrlen);
    }
    freeaddrinfo(list);
    if (p.count == 0)
        return err_set(e, USAN_ENOENT, "host \"%s\": no address", host);
    *ret_portal = p;
    return 0;
}

/* "1" to "65535", up to the end or a comma */
static bool parse_port(const char *text, uint16_t *ret_port)
{
    uint32_t v = 0;
    size_t n = strcspn(text, ",");
    if (n == 0 || n > 5)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!isdigit((unsigned char)text[i]))
            return false;
        v = v * 10 + (uint32_t)(text[i] - '0');
    }
    if (v == 0 || v > UINT16_MAX)
        return false;
    *ret_port = (uint16_t)v;
    return true;
}

int ini_portal_split(const char *address, char ret_host[SOCK_ADDR_SPEC_BYTES], uint16_t *ret_port)
{
    const char *host = address, *end;
    uint16_t port = INI_PORT;
    size_t len;
    if (*address == '[') {
        host++;
        const char *close = strchr(host, ']');
        if (!close)
            return USAN_EINVAL;
        len = (size_t)(close - host);
        end = close + 1;
    } else {
        len = strcspn(address, ":,");
        end = address + len;
    }
    if (len == 0 || len >= SOCK_ADDR_SPEC_BYTES - 8)
        return USAN_EINVAL;
    if (*end == ':' && !parse_port(end + 1, &port))
        return USAN_EINVAL;
    if (*end && *end != ':' && *end != ',')
        return USAN_EINVAL;
    memcpy(ret_host, host, len);
    ret_host[len] = '\0';
    *ret_port = port;
    return 0;
}

void ini_printable(char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
    }
}

static socklen_t addr_len(const struct sockaddr_storage *addr)
{
    return addr->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

int ini_portal_connect(const struct sockaddr_storage *addr, int *ret_fd)
{
    /* PDUs leave as they are made: waiting for more only adds latency. */
    const struct sock_options options = { .nodelay = true };
    int fd = socket(addr->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (fd < 0)
        return errno;
    (void)!sock_set_options(fd, &options, NULL); /* slower without, not wrong */
    if (connect(fd, (const struct sockaddr *)addr, addr_len(addr)) && errno != EINPROGRESS) {
        int err = errno;
        (void)close(fd);
        return err;
    }
    *ret_fd = fd;
    return 0;
}

int ini_portal_connected(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    int err = 0;
    socklen_t len = sizeof(err);
    if (poll(&p, 1, 0) == 0)
        return EINPROGRESS;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) ? errno : err;
}

bool ini_portal_same_addr(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    return a->ss_family == b->ss_family && memcmp(a, b, addr_len(a)) == 0;
}

/* ---- who we are ---- */

static bool name_of_file(char ret_name[ISCSI_NAME_MAX + 1])
{
    char line[512];
    bool found = false;
    FILE *f = fopen("/etc/iscsi/initiatorname.iscsi", "re");
    if (!f)
        return false;
    while (!found && fgets(line, (int)sizeof(line), f)) {
        const char key[] = "InitiatorName=";
        if (strncmp(line, key, sizeof(key) - 1) != 0)
            continue;
        const char *value = line + sizeof(key) - 1;
        found = iscsi_name_prepare(value, strcspn(value, " \t\r\n"), ret_name, NULL) == 0;
    }
    fclose(f);
    return found;
}

void ini_machine_name(char ret_name[ISCSI_NAME_MAX + 1])
{
    char host[128];
    if (name_of_file(ret_name))
        return;
    if (gethostname(host, sizeof(host)))
        host[0] = '\0';
    host[sizeof(host) - 1] = '\0';
    for (char *p = host; *p; p++) {
        char c = (char)tolower((unsigned char)*p);
        bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
        *p = good ? c : '-';
    }
    (void)snprintf(ret_name, ISCSI_NAME_MAX + 1, "iqn.2025-01.io.usan:%s", *host ? host : "host");
}

int ini_make_isid(uint8_t ret_isid[6])
{
    uint8_t r[5];
    if (getrandom(r, sizeof(r), 0) != (ssize_t)sizeof(r))
        return USAN_EIO;
    ret_isid[0] = 0x80; /* T = 10b, random */
    memcpy(ret_isid + 1, r, sizeof(r));
    return 0;
}
