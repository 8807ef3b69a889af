/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Login (RFC 7143 section 6.3) and the few commands before the load, all blocking. */
#include "raw_session.h"

#include "base/bytes.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOGIN_ROUNDS_MAX 6

static void read_all(int fd, void *p, size_t n)
{
    while (n) {
        ssize_t r = recv(fd, p, n, 0);
        if (r == 0)
            errno = 0;
        if (r <= 0)
            bench_die("the target closed the connection during login");
        p = (uint8_t *)p + r;
        n -= (size_t)r;
    }
}

static void write_all(int fd, const void *p, size_t n)
{
    while (n) {
        ssize_t r = send(fd, p, n, MSG_NOSIGNAL);
        if (r <= 0)
            bench_die("send during login");
        p = (const uint8_t *)p + r;
        n -= (size_t)r;
    }
}

static void add_key(struct wr *w, const char *key, const char *value)
{
    wr_bytes(w, key, strlen(key));
    wr_u8(w, '=');
    wr_bytes(w, value, strlen(value) + 1);
}

static void add_number(struct wr *w, const char *key, uint32_t value)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", value);
    add_key(w, key, text);
}

static void offer_keys(const struct raw_session *s, struct wr *w)
{
    const struct raw_config *cfg = s->cfg;
    char name[64];
    snprintf(name, sizeof(name), "iqn.2025-01.io.usan.bench:rawload-%d", (int)getpid());
    add_key(w, "InitiatorName", name);
    add_key(w, "TargetName", cfg->target_name);
    add_key(w, "SessionType", "Normal");
    add_key(w, "HeaderDigest", cfg->header_digest ? "CRC32C" : "None");
    add_key(w, "DataDigest", cfg->data_digest ? "CRC32C" : "None");
    add_key(w, "InitialR2T", "No");
    add_key(w, "ImmediateData", "Yes");
    add_number(w, "MaxBurstLength", cfg->burst_bytes);
    add_number(w, "FirstBurstLength", cfg->burst_bytes);
    add_number(w, "MaxRecvDataSegmentLength", cfg->mrdsl);
    add_number(w, "MaxOutstandingR2T", 1);
    add_number(w, "MaxConnections", 1);
    add_number(w, "DefaultTime2Wait", 2);
    add_number(w, "DefaultTime2Retain", 0);
    add_key(w, "DataPDUInOrder", "Yes");
    add_key(w, "DataSequenceInOrder", "Yes");
    add_number(w, "ErrorRecoveryLevel", 0);
}

/* The value of a key in an answer, or NULL. The text ends with a zero byte. */
static const char *find_key(const char *text, size_t len, const char *key)
{
    size_t kl = strlen(key);
    for (size_t i = 0; i < len; i += strlen(text + i) + 1) {
        if (!strncmp(text + i, key, kl) && text[i + kl] == '=')
            return text + i + kl + 1;
    }
    return NULL;
}

static void take_bool(const char *text, size_t len, const char *key, const char *yes, bool *ret)
{
    const char *v = find_key(text, len, key);
    if (v)
        *ret = !strcmp(v, yes);
}

static void take_number(const char *text, size_t len, const char *key, uint32_t *ret)
{
    const char *v = find_key(text, len, key);
    if (v)
        *ret = (uint32_t)bench_number(v, 1, (1u << 24) - 1);
}

static void take_answers(struct raw_session *s, const char *text, size_t len)
{
    take_bool(text, len, "InitialR2T", "Yes", &s->initial_r2t);
    take_bool(text, len, "ImmediateData", "Yes", &s->immediate);
    take_bool(text, len, "HeaderDigest", "CRC32C", &s->header_digest);
    take_bool(text, len, "DataDigest", "CRC32C", &s->data_digest);
    take_number(text, len, "FirstBurstLength", &s->first_burst);
    take_number(text, len, "MaxRecvDataSegmentLength", &s->target_mrdsl);
}

/* One Login request and its answer; true when full feature phase is reached. */
static bool login_round(struct raw_session *s, const struct wr *keys, uint16_t *tsih)
{
    uint8_t h[RAW_BHS_BYTES] = { 0 };
    static char text[RAW_LOGIN_BYTES + 1];
    h[0] = 0x43; /* Login, immediate */
    h[1] = 0x87; /* T, CSG operational, NSG full feature */
    be24_put(h + 5, (uint32_t)keys->len);
    h[8] = 0x80; /* ISID of random format */
    be32_put(h + 9, (uint32_t)getpid() << 8);
    h[13] = s->id;
    be16_put(h + 14, *tsih);
    be32_put(h + 16, 1);
    be32_put(h + 24, s->cmd_sn);
    be32_put(h + 28, s->exp_stat_sn);
    write_all(s->fd, h, sizeof(h));
    write_all(s->fd, keys->buf, keys->len);
    write_all(s->fd, "\0\0\0", -keys->len & 3);

    read_all(s->fd, h, sizeof(h));
    uint32_t len = be24_get(h + 5);
    if (len > RAW_LOGIN_BYTES - 3 || (h[0] & 0x3f) != 0x23) {
        errno = 0;
        bench_die("no Login response");
    }
    read_all(s->fd, text, (len + 3) & ~3u);
    text[len] = 0;
    if (h[36]) {
        fprintf(stderr, "login refused, status 0x%02x%02x\n", h[36], h[37]);
        exit(1);
    }
    s->exp_stat_sn = be32_get(h + 24) + 1;
    s->max_cmd_sn = be32_get(h + 32);
    *tsih = be16_get(h + 14);
    take_answers(s, text, len);
    return (h[1] & 0x83) == 0x83;
}

/* One command before the load; returns its SCSI status. */
static uint8_t command(struct raw_session *s, const uint8_t *cdb, size_t cdb_len, uint8_t *in,
                       uint32_t in_len)
{
    uint8_t h[RAW_HDR_ROOM] = { 0 }, data[4096];
    h[0] = 0x01;
    h[1] = in_len ? 0xc1 : 0x81; /* F, R, simple task */
    h[9] = s->cfg->lun;
    be32_put(h + 16, 0x7000);
    be32_put(h + 20, in_len);
    be32_put(h + 24, s->cmd_sn++);
    be32_put(h + 28, s->exp_stat_sn);
    memcpy(h + 32, cdb, cdb_len);
    raw_queue_pdu(s, h, 0, 0);
    while (raw_flush(s))
        continue;
    for (;;) {
        read_all(s->fd, h, s->header_digest ? 52 : 48);
        uint32_t len = be24_get(h + 5);
        size_t whole = ((len + 3) & ~3u) + (len && s->data_digest ? 4u : 0u);
        errno = 0;
        if (whole > sizeof(data))
            bench_die("answer of unexpected length before the load");
        read_all(s->fd, data, whole);
        uint8_t opcode = h[0] & 0x3f;
        if (opcode == 0x25)
            memcpy(in, data, len < in_len ? len : in_len);
        if (opcode == 0x21 || (opcode == 0x25 && (h[1] & 1))) {
            s->exp_stat_sn = be32_get(h + 24) + 1;
            s->max_cmd_sn = be32_get(h + 32);
            return h[3];
        }
    }
}

static void read_capacity(struct raw_session *s)
{
    static const uint8_t test_unit_ready[6] = { 0 };
    static const uint8_t read_capacity_16[16] = { 0x9e, 0x10, [13] = 32 };
    uint8_t in[32] = { 0 };
    /* unit attentions of a new session are reported once each (SAM-6 section 5.14) */
    for (int i = 0; i < 8 && command(s, test_unit_ready, 6, in, 0); i++)
        continue;
    errno = 0;
    if (command(s, read_capacity_16, 16, in, sizeof(in)))
        bench_die("READ CAPACITY(16) failed");
    s->blocks = be64_get(in) + 1;
    s->block_bytes = be32_get(in + 8);
    if (!s->block_bytes || s->cfg->io_bytes % s->block_bytes)
        bench_die("the request size is no multiple of the block size");
    if (s->cfg->span_bytes && s->blocks > s->cfg->span_bytes / s->block_bytes)
        s->blocks = s->cfg->span_bytes / s->block_bytes;
    if (s->blocks > UINT32_MAX)
        s->blocks = UINT32_MAX; /* READ(10) reaches no further */
    if (s->blocks < s->cfg->io_bytes / s->block_bytes)
        bench_die("the disk is smaller than one request");
}

void raw_login(struct raw_session *s)
{
    const struct raw_config *cfg = s->cfg;
    int on = 1;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        bench_die("socket");
    if (cfg->congestion && setsockopt(s->fd, IPPROTO_TCP, TCP_CONGESTION, cfg->congestion,
                                      (socklen_t)strlen(cfg->congestion)))
        bench_die("TCP_CONGESTION");
    if (connect(s->fd, (const struct sockaddr *)&cfg->portal, sizeof(cfg->portal)))
        bench_die("connect");
    if (setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
        bench_die("TCP_NODELAY");
    /* what holds when an answer does not mention a key (RFC 7143 section 13) */
    s->cmd_sn = 1;
    s->initial_r2t = true;
    s->immediate = true;
    s->first_burst = 65536;
    s->target_mrdsl = 8192;
    static uint8_t buf[RAW_LOGIN_BYTES];
    struct wr keys = wr_init(buf, sizeof(buf));
    offer_keys(s, &keys);
    uint16_t tsih = 0;
    for (int round = 0; !login_round(s, &keys, &tsih); round++) {
        errno = 0;
        if (round == LOGIN_ROUNDS_MAX)
            bench_die("login does not finish");
        keys.len = 0;
    }
    if (s->first_burst > cfg->burst_bytes)
        s->first_burst = cfg->burst_bytes;
    read_capacity(s);
}
