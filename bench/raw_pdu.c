/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PDUs of the load: commands and data out, responses and data in. */
#include "raw_session.h"

#include "base/bytes.h"
#include "base/crc32c.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define IOV_PER_SEND    512u
#define ERRORS_REPORTED 3u
#define NO_TAG          0xffffffffu

static void push(struct raw_session *s, const void *p, size_t len)
{
    if (s->iov_count == s->iov_room) {
        s->iov_room = s->iov_room ? s->iov_room * 2 : 4096;
        s->iov = realloc(s->iov, s->iov_room * sizeof(*s->iov));
        if (!s->iov)
            bench_die("realloc");
    }
    s->iov[s->iov_count++] = (struct iovec){ .iov_base = (void *)(uintptr_t)p, .iov_len = len };
}

bool raw_flush(struct raw_session *s)
{
    while (s->iov_head < s->iov_count) {
        size_t n = s->iov_count - s->iov_head;
        struct msghdr m = { .msg_iov = s->iov + s->iov_head,
                            .msg_iovlen = n < IOV_PER_SEND ? n : IOV_PER_SEND };
        ssize_t sent = sendmsg(s->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno == EAGAIN || errno == EINTR)
                return true;
            bench_die("send");
        }
        for (size_t left = (size_t)sent; left;) {
            struct iovec *v = &s->iov[s->iov_head];
            if (left < v->iov_len) {
                v->iov_base = (uint8_t *)v->iov_base + left;
                v->iov_len -= left;
                break;
            }
            left -= v->iov_len;
            s->iov_head++;
        }
    }
    s->iov_head = s->iov_count = 0;
    return false;
}

/* The payload is constant, so its digest depends on its place and length only, and both repeat. */
static const uint8_t *payload_digest(struct raw_session *s, uint32_t len)
{
    for (unsigned i = 0; i < 4; i++) {
        if (s->payload_digest_len[i] == len)
            return s->payload_digest[i];
    }
    unsigned i = s->payload_digest_next++ % 4;
    uint32_t crc = crc32c(s->payload, len);
    s->payload_digest_len[i] = len;
    memcpy(s->payload_digest[i], &crc, 4);
    return s->payload_digest[i];
}

void raw_queue_pdu(struct raw_session *s, uint8_t *hdr, uint32_t payload_off, uint32_t len)
{
    static const uint8_t pad[4];
    be24_put(hdr + 5, len);
    if (s->header_digest) {
        uint32_t crc = crc32c(hdr, RAW_BHS_BYTES);
        memcpy(hdr + RAW_BHS_BYTES, &crc, 4);
    }
    push(s, hdr, s->header_digest ? RAW_HDR_ROOM : RAW_BHS_BYTES);
    if (len) {
        push(s, s->payload + payload_off, len);
        if (len & 3)
            push(s, pad, 4 - (len & 3));
        if (s->data_digest)
            push(s, payload_digest(s, len), 4);
    }
    if (s->cfg->send_each)
        (void)raw_flush(s);
}

static void data_out(struct raw_session *s, uint32_t itt, uint32_t ttt, uint32_t off, uint32_t len)
{
    uint32_t data_sn = 0;
    while (len) {
        uint32_t n = len < s->target_mrdsl ? len : s->target_mrdsl;
        errno = 0;
        if (data_sn == RAW_DATA_OUTS)
            bench_die("the target's MaxRecvDataSegmentLength is too small for this request size");
        uint8_t *h = s->slots[itt].data_out[data_sn];
        memset(h, 0, RAW_BHS_BYTES);
        h[0] = 0x05;
        h[1] = n == len ? 0x80 : 0;
        h[9] = s->cfg->lun;
        be32_put(h + 16, itt);
        be32_put(h + 20, ttt);
        be32_put(h + 28, s->exp_stat_sn);
        be32_put(h + 36, data_sn++);
        be32_put(h + 40, off);
        raw_queue_pdu(s, h, off, n);
        off += n;
        len -= n;
    }
}

static void write_command(struct raw_session *s, uint8_t *h, uint32_t itt)
{
    uint32_t io = s->cfg->io_bytes;
    uint32_t unsolicited = io < s->first_burst ? io : s->first_burst;
    uint32_t immediate = 0;
    if (s->immediate)
        immediate = unsolicited < s->target_mrdsl ? unsolicited : s->target_mrdsl;
    bool more = !s->initial_r2t && unsolicited > immediate;
    if (more)
        h[1] &= 0x7f;
    raw_queue_pdu(s, h, 0, immediate);
    if (more)
        data_out(s, itt, NO_TAG, immediate, unsolicited - immediate);
}

void raw_issue(struct raw_session *s, uint64_t now_ns)
{
    const struct raw_config *cfg = s->cfg;
    uint32_t blocks = cfg->io_bytes / s->block_bytes;
    uint64_t places = s->blocks / blocks;
    while (s->free_count && (int32_t)(s->max_cmd_sn - s->cmd_sn) >= 0) {
        uint32_t itt = s->free_slots[--s->free_count];
        struct raw_slot *slot = &s->slots[itt];
        uint64_t place = cfg->sequential ? s->pos++ : bench_random(&s->rng);
        bool write = cfg->write_percent && bench_random(&s->rng) % 100 < cfg->write_percent;
        slot->sent_ns = now_ns;
        slot->busy = true;
        uint8_t *h = slot->hdr;
        memset(h, 0, RAW_BHS_BYTES);
        h[0] = 0x01;
        h[1] = write ? 0xa1 : 0xc1; /* F, W or R, simple task */
        h[9] = cfg->lun;
        be32_put(h + 16, itt);
        be32_put(h + 20, cfg->io_bytes);
        be32_put(h + 24, s->cmd_sn++);
        be32_put(h + 28, s->exp_stat_sn);
        h[32] = write ? 0x2a : 0x28;
        be32_put(h + 34, (uint32_t)(place % places * blocks));
        be16_put(h + 39, (uint16_t)blocks);
        if (write)
            write_command(s, h, itt);
        else
            raw_queue_pdu(s, h, 0, 0);
    }
}

static void complete(struct raw_session *s, uint32_t itt, uint8_t status, uint64_t now_ns)
{
    errno = 0;
    if (itt >= s->cfg->depth || !s->slots[itt].busy)
        bench_die("response with a tag that is not in flight");
    if (status && s->totals->errors++ < ERRORS_REPORTED)
        fprintf(stderr, "SCSI status 0x%02x\n", status);
    s->slots[itt].busy = false;
    s->free_slots[s->free_count++] = itt;
    s->totals->done++;
    hist_add(&s->totals->latency, now_ns - s->slots[itt].sent_ns);
}

static void take_stat_sn(struct raw_session *s, const uint8_t *h)
{
    s->exp_stat_sn = be32_get(h + 24) + 1;
    s->max_cmd_sn = be32_get(h + 32);
}

static void answer_ping(struct raw_session *s, const uint8_t *in)
{
    static uint8_t h[RAW_HDR_ROOM];
    memset(h, 0, sizeof(h));
    h[0] = 0x40; /* NOP-Out, immediate */
    h[1] = 0x80;
    memcpy(h + 8, in + 8, 8);
    be32_put(h + 16, NO_TAG);
    memcpy(h + 20, in + 20, 4);
    be32_put(h + 24, s->cmd_sn);
    be32_put(h + 28, s->exp_stat_sn);
    raw_queue_pdu(s, h, 0, 0);
}

static void take_pdu(struct raw_session *s, const uint8_t *h, uint64_t now_ns)
{
    switch (h[0] & 0x3f) {
    case 0x25: /* SCSI Data-In */
        if (h[1] & 1) {
            take_stat_sn(s, h);
            s->finishing = true;
            s->finishing_itt = be32_get(h + 16);
            s->finishing_status = h[3];
        }
        break;
    case 0x21: /* SCSI Response */
        take_stat_sn(s, h);
        complete(s, be32_get(h + 16), h[2] ? 0xff : h[3], now_ns);
        break;
    case 0x31: { /* R2T */
        uint32_t itt = be32_get(h + 16), off = be32_get(h + 40), len = be32_get(h + 44);
        errno = 0;
        if (itt >= s->cfg->depth || off > s->cfg->io_bytes || len > s->cfg->io_bytes - off)
            bench_die("R2T for data that was not announced");
        data_out(s, itt, be32_get(h + 20), off, len);
        break;
    }
    case 0x20: /* NOP-In */
        if (be32_get(h + 20) != NO_TAG)
            answer_ping(s, h);
        break;
    default:
        fprintf(stderr, "unexpected PDU, opcode 0x%02x, byte 2 0x%02x\n", h[0], h[2]);
        exit(1);
    }
}

/* Work through s->rx; returns how many bytes are done with. */
static size_t take_bytes(struct raw_session *s)
{
    uint64_t now_ns = bench_now_ns();
    size_t hdr = s->header_digest ? RAW_HDR_ROOM : RAW_BHS_BYTES;
    size_t off = 0;
    for (;;) {
        size_t left = s->rx_bytes - off;
        size_t skip = s->rx_skip < left ? s->rx_skip : left;
        s->rx_skip -= skip;
        off += skip;
        if (s->rx_skip)
            return off;
        if (s->finishing) {
            s->finishing = false;
            complete(s, s->finishing_itt, s->finishing_status, now_ns);
        }
        if (s->rx_bytes - off < hdr)
            return off;
        const uint8_t *h = s->rx + off;
        uint32_t len = be24_get(h + 5);
        s->rx_skip = ((len + 3) & ~3u) + (len && s->data_digest ? 4u : 0u);
        off += hdr;
        take_pdu(s, h, now_ns);
    }
}

void raw_receive(struct raw_session *s)
{
    bool full;
    do {
        size_t room = RAW_RECV_BYTES - s->rx_bytes;
        ssize_t n = recv(s->fd, s->rx + s->rx_bytes, room, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n == 0)
            errno = 0;
        if (n <= 0)
            bench_die("the target closed the connection");
        full = (size_t)n == room;
        s->rx_bytes += (size_t)n;
        size_t used = take_bytes(s);
        memmove(s->rx, s->rx + used, s->rx_bytes - used);
        s->rx_bytes -= used;
    } while (full);
}
