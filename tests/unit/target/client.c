/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client.h"

#include "cmocka_all.h"

#include "base/bytes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

void client_socket(struct client *c)
{
    struct timeval limit = { .tv_sec = 60 };
    *c = (struct client){ .fd = socket(AF_INET, SOCK_STREAM, 0), .itt = 0x10, .cmd_sn = 1 };
    assert_true(c->fd >= 0);
    assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    static const int on = 1; /* header and data are sent apart */
    assert_int_equal(setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
}

void client_connect_socket(struct client *c, uint16_t port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&a, sizeof(a)), 0);
}

void client_connect(struct client *c, uint16_t port)
{
    client_socket(c);
    client_connect_socket(c, port);
}

void client_close(struct client *c)
{
    while (c->early) {
        struct pdu *p = c->early;
        c->early = p->next;
        free(p);
    }
    if (c->peer)
        c->peer->peer = NULL;
    c->peer = NULL;
    close(c->fd);
    c->fd = -1;
}

static void send_all(struct client *c, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (len) {
        ssize_t n = send(c->fd, p, len, MSG_NOSIGNAL);
        assert_true(n > 0);
        p += n;
        len -= (size_t)n;
    }
}

/* False at the end of the stream (before the first byte). */
static bool recv_all(struct client *c, void *data, size_t len)
{
    uint8_t *p = data;
    while (len) {
        ssize_t n = recv(c->fd, p, len, 0);
        if (n < 0 && errno == EINTR) /* the end of an earlier ring of this thread */
            continue;
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return false;
        if (n < 0)
            fail_msg("receive: %s", strerror(errno));
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static void send_pdu(struct client *c, uint8_t bhs[48], const void *data, uint32_t len)
{
    static const uint8_t zeroes[4];
    be24_put(bhs + 5, len);
    if (c->acks)
        be32_put(bhs + 28, c->exp_stat_sn);
    send_all(c, bhs, 48);
    if (len)
        send_all(c, data, len);
    if (len % 4)
        send_all(c, zeroes, 4 - len % 4);
}

static uint32_t *cmd_sn(struct client *c)
{
    return c->session ? &c->session->cmd_sn : &c->cmd_sn;
}

static bool recv_pdu(struct client *c, struct pdu *p)
{
    if (!recv_all(c, p->bhs, 48))
        return false;
    p->len = be24_get(p->bhs + 5);
    assert_true(p->len <= sizeof(p->data) - 4);
    if (!recv_all(c, p->data, (p->len + 3) & ~3u))
        return false;
    uint8_t op = p->bhs[0] & 0x3f;
    /* R2T, NOP-In of the target's and Data-In without status only say what is next. */
    bool counts = op != 0x31 && !(op == 0x25 && !(p->bhs[1] & 0x01)) &&
                  !(op == 0x20 && be32_get(p->bhs + 16) == UINT32_MAX);
    if (counts)
        c->exp_stat_sn = be32_get(p->bhs + 24) + 1;
    return true;
}

/* A NOP-In that asks for an answer, RFC 7143 11.19. */
static bool answer_ping(struct client *c, const struct pdu *p)
{
    uint8_t bhs[48] = { 0x40, 0x80 };
    if ((p->bhs[0] & 0x3f) != 0x20 || be32_get(p->bhs + 20) == UINT32_MAX)
        return false;
    be32_put(bhs + 16, UINT32_MAX);
    memcpy(bhs + 20, p->bhs + 20, 4);
    be32_put(bhs + 24, *cmd_sn(c));
    send_pdu(c, bhs, NULL, 0);
    return true;
}

/* false: it has ended. */
static bool keep_early(struct client *c)
{
    struct pdu *p = malloc(sizeof(*p)), **end = &c->early;
    assert_non_null(p);
    if (!recv_pdu(c, p)) {
        free(p);
        return false;
    }
    if (answer_ping(c, p)) {
        free(p);
        return true;
    }
    p->next = NULL;
    while (*end)
        end = &(*end)->next;
    *end = p;
    return true;
}

/* Until something comes for c. */
static void look_after_peer(struct client *c)
{
    struct pollfd fds[] = { { .fd = c->fd, .events = POLLIN },
                            { .fd = c->peer->fd, .events = POLLIN } };
    while (c->peer && !fds[0].revents) {
        assert_true(poll(fds, 2, 60000) > 0);
        if (fds[1].revents && !keep_early(c->peer))
            c->peer = NULL;
    }
}

void client_pair(struct client *a, struct client *b)
{
    a->peer = b;
    b->peer = a;
    a->acks = b->acks = true;
}

bool client_recv(struct client *c, struct pdu *p)
{
    for (;;) {
        struct pdu *early = c->early;
        if (early) {
            c->early = early->next;
            memcpy(p, early, sizeof(*p));
            free(early);
            return true;
        }
        if (c->peer)
            look_after_peer(c);
        if (!recv_pdu(c, p))
            return false;
        if (!c->peer || !answer_ping(c, p))
            return true;
    }
}

void client_expect_close(struct client *c)
{
    static struct pdu p;
    while (client_recv(c, &p))
        ;
}

void client_expect_end(struct client *c)
{
    static uint8_t buf[65536];
    ssize_t n;
    do /* EINTR: the end of an earlier ring of this thread */
        n = recv(c->fd, buf, sizeof(buf), 0);
    while (n > 0 || (n < 0 && errno == EINTR));
    if (n < 0)
        fail_msg("instead of the end: %s", strerror(errno));
}

void client_send_raw(struct client *c, const void *data, size_t len)
{
    send_all(c, data, len);
}

/* ---- numbers of the session ---- */

static uint32_t next_itt(struct client *c)
{
    return c->session ? c->session->itt++ : c->itt++;
}

/* ---- login ---- */

void client_send_login(struct client *c, const char *initiator, const char *target, uint8_t isid,
                       uint16_t tsih)
{
    char text[1024];
    int len = snprintf(text, sizeof(text),
                       "InitiatorName=%s%cSessionType=Normal%cTargetName=%s%c"
                       "InitialR2T=No%cImmediateData=Yes%cMaxRecvDataSegmentLength=262140%c"
                       "DefaultTime2Retain=%u%c",
                       initiator, 0, 0, target, 0, 0, 0, 0, c->retain, 0);
    if (c->level)
        len += snprintf(text + len, sizeof(text) - (size_t)len, "ErrorRecoveryLevel=%u%c", c->level,
                        0);
    if (c->connections)
        len += snprintf(text + len, sizeof(text) - (size_t)len, "MaxConnections=%u%c",
                        c->connections, 0);
    uint8_t bhs[48] = { 0x43, 0x87 }; /* immediate Login; T, CSG 1, NSG 3 */
    bhs[8] = 0x80;                    /* ISID: random format */
    bhs[13] = isid;
    be16_put(bhs + 14, tsih);
    be32_put(bhs + 16, next_itt(c));
    be16_put(bhs + 20, c->cid);
    be32_put(bhs + 24, *cmd_sn(c));
    send_pdu(c, bhs, text, (uint32_t)len);
}

void client_recv_login(struct client *c)
{
    static _Thread_local struct pdu p;
    assert_true(client_recv(c, &p));
    assert_int_equal(p.bhs[0], 0x23);
    c->tsih = be16_get(p.bhs + 14);
    c->status = be16_get(p.bhs + 36);
    if (c->status == 0) /* one exchange is all it takes: straight to full feature phase */
        assert_int_equal(p.bhs[1] & 0x83, 0x83);
}

void client_login(struct client *c, uint16_t port, const char *initiator, const char *target,
                  uint8_t isid)
{
    client_connect(c, port);
    client_send_login(c, initiator, target, isid, 0);
    client_recv_login(c);
    assert_int_equal(c->status, 0);
}

void client_join(struct client *further, struct client *c, uint16_t port, const char *initiator,
                 const char *target, uint8_t isid, uint16_t cid)
{
    client_connect(further, port);
    further->session = c;
    further->acks = c->acks;
    further->cid = cid;
    client_send_login(further, initiator, target, isid, c->tsih);
    client_recv_login(further);
    assert_int_equal(further->status, 0);
    assert_int_equal(further->tsih, c->tsih);
}

/* ---- commands ---- */

uint32_t client_send_cdb(struct client *c, uint8_t lun, const uint8_t cdb[10], bool in, bool out,
                         uint32_t edtl, const void *data, uint32_t len)
{
    uint8_t bhs[48] = { 0x01, (uint8_t)(0x80 | (c->attr ? c->attr : 1)) }; /* final, SIMPLE */
    bhs[1] |= (uint8_t)((in ? 0x40 : 0) | (out ? 0x20 : 0));
    bhs[9] = lun;
    uint32_t itt = next_itt(c);
    be32_put(bhs + 16, itt);
    be32_put(bhs + 20, edtl);
    be32_put(bhs + 24, (*cmd_sn(c))++);
    memcpy(bhs + 32, cdb, 10);
    send_pdu(c, bhs, data, len);
    return itt;
}

uint32_t client_send_read(struct client *c, uint8_t lun, uint32_t lba, uint16_t blocks)
{
    uint8_t cdb[10] = { 0x28 };
    be32_put(cdb + 2, lba);
    be16_put(cdb + 7, blocks);
    return client_send_cdb(c, lun, cdb, true, false, blocks * 512u, NULL, 0);
}

uint32_t client_send_write(struct client *c, uint8_t lun, uint32_t lba, const void *data,
                           uint16_t blocks)
{
    uint8_t cdb[10] = { 0x2a };
    be32_put(cdb + 2, lba);
    be16_put(cdb + 7, blocks);
    return client_send_cdb(c, lun, cdb, false, true, blocks * 512u, data, data ? blocks * 512u : 0);
}

uint32_t client_send_tmf(struct client *c, uint8_t function, uint8_t lun, uint32_t ref_itt)
{
    uint8_t bhs[48] = { 0x42, (uint8_t)(0x80 | function) }; /* immediate */
    bhs[9] = lun;
    uint32_t itt = next_itt(c);
    be32_put(bhs + 16, itt);
    be32_put(bhs + 20, ref_itt);
    be32_put(bhs + 24, *cmd_sn(c));
    send_pdu(c, bhs, NULL, 0);
    return itt;
}

void client_answer_r2t(struct client *c, uint32_t itt, const void *data)
{
    static _Thread_local struct pdu p;
    do {
        assert_true(client_recv(c, &p));
    } while ((p.bhs[0] & 0x3f) != 0x31 || be32_get(p.bhs + 16) != itt);
    uint32_t off = be32_get(p.bhs + 40), len = be32_get(p.bhs + 44);
    uint8_t bhs[48] = { 0x05, 0x80 }; /* Data-Out, final */
    bhs[9] = p.bhs[9];
    be32_put(bhs + 16, itt);
    memcpy(bhs + 20, p.bhs + 20, 4); /* Target Transfer Tag */
    be32_put(bhs + 40, off);
    send_pdu(c, bhs, (const uint8_t *)data + off, len);
}

uint8_t client_logout(struct client *c, uint8_t reason, uint16_t cid)
{
    static _Thread_local struct pdu p;
    uint8_t bhs[48] = { 0x46, (uint8_t)(0x80 | reason) }; /* immediate */
    uint32_t itt = next_itt(c);
    be32_put(bhs + 16, itt);
    be16_put(bhs + 20, cid);
    be32_put(bhs + 24, *cmd_sn(c));
    send_pdu(c, bhs, NULL, 0);
    do {
        assert_true(client_recv(c, &p));
    } while ((p.bhs[0] & 0x3f) != 0x26 || be32_get(p.bhs + 16) != itt);
    return p.bhs[2];
}

uint8_t client_finish(struct client *c, uint32_t itt, void *buf, size_t cap)
{
    static _Thread_local struct pdu p;
    for (;;) {
        assert_true(client_recv(c, &p));
        uint8_t op = p.bhs[0] & 0x3f;
        if (be32_get(p.bhs + 16) != itt || (op != 0x21 && op != 0x25))
            continue;
        uint32_t off = be32_get(p.bhs + 40);
        if (op == 0x25 && buf && off < cap)
            memcpy((uint8_t *)buf + off, p.data, p.len < cap - off ? p.len : cap - off);
        if (op == 0x21 || (p.bhs[1] & 0x01)) /* response, or Data-In with status */
            return p.bhs[3];
    }
}

uint8_t client_finish_tmf(struct client *c, uint32_t itt)
{
    static _Thread_local struct pdu p;
    for (;;) {
        assert_true(client_recv(c, &p));
        if ((p.bhs[0] & 0x3f) == 0x22 && be32_get(p.bhs + 16) == itt)
            return p.bhs[2];
    }
}

void client_ready(struct client *c, uint8_t lun)
{
    static const uint8_t test_unit_ready[10];
    for (int i = 0; i < 10; i++) {
        uint32_t itt = client_send_cdb(c, lun, test_unit_ready, false, false, 0, NULL, 0);
        if (client_finish(c, itt, NULL, 0) == 0)
            return;
    }
    fail_msg("the unit does not become ready");
}
