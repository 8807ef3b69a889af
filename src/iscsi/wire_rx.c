/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/crc32c.h"
#include "iscsi/wire.h"

#include <assert.h>

enum {
    /* From this size on a payload is received straight into its place: the read for a header
     * stops at the header, so that none of the payload has to be copied out of the buffer. */
    WIRE_BULK_BYTES = 16 * 1024,
};

static uint32_t rx_header_len(const struct wire_rx *rx)
{
    return ISCSI_BHS_LEN + (rx->header_digest ? (uint32_t)ISCSI_DIGEST_LEN : 0);
}

static size_t window(const struct wire_rx *rx)
{
    return (size_t)(rx->win_end - rx->win);
}

void wire_rx_init(struct wire_rx *rx)
{
    /* not the head buffer */
    memset(rx, 0, offsetof(struct wire_rx, head));
}

int wire_rx_space(struct wire_rx *rx, void *buf, size_t cap, struct iovec *iov, int max)
{
    assert(window(rx) == 0 && max >= 2);
    int n = 0;
    uint32_t trailer = 0;

    rx->buf = buf;
    rx->direct = 0;
    if (rx->phase == WIRE_DATA && rx->place) {
        size_t left = rx->data_len - rx->data_done;
        size_t skip = rx->place_skip;
        for (int i = 0; i < rx->place_cnt && left > 0 && n < max - 1; i++, skip = 0) {
            size_t len = rx->place[i].iov_len - skip;
            if (len > left)
                len = left;
            if (len == 0)
                continue;
            iov[n].iov_base = (uint8_t *)rx->place[i].iov_base + skip;
            iov[n++].iov_len = len;
            rx->direct += len;
            left -= len;
        }
        if (left > 0)
            return n; /* more pieces than iovecs: nothing may land behind them yet */
        trailer = rx->trailer_len;
    } else if (rx->phase == WIRE_DATA) { /* thrown away: by way of the buffer */
        trailer = rx->data_len - rx->data_done + rx->trailer_len;
    }
    if (rx->bulk && rx->phase != WIRE_AHS) {
        size_t want = trailer + rx_header_len(rx) - rx->head_len;
        if (want < cap)
            cap = want;
    }
    iov[n].iov_base = buf;
    iov[n++].iov_len = cap;
    return n;
}

/* Move the place on by n bytes that landed in it. */
static void place_advance(struct wire_rx *rx, size_t n)
{
    rx->data_done += (uint32_t)n;
    while (n > 0) {
        assert(rx->place_cnt > 0);
        size_t len = rx->place->iov_len - rx->place_skip;
        size_t k = n < len ? n : len;
        size_t known = k < rx->crc_ahead ? k : rx->crc_ahead;
        rx->crc_ahead -= known;
        if (rx->data_digest)
            rx->crc = crc32c_update(
                rx->crc, (uint8_t *)rx->place->iov_base + rx->place_skip + known, k - known);
        rx->place_skip += k;
        n -= k;
        if (rx->place_skip == rx->place->iov_len) {
            rx->place++;
            rx->place_cnt--;
            rx->place_skip = 0;
        }
    }
}

void wire_rx_digest(struct wire_rx *rx, const struct iovec *iov, size_t n)
{
    size_t left = n < rx->direct ? n : rx->direct;

    if (!rx->data_digest)
        return;
    rx->crc_ahead = left;
    for (; left > 0; iov++) {
        size_t k = iov->iov_len < left ? iov->iov_len : left;
        rx->crc = crc32c_update(rx->crc, iov->iov_base, k);
        left -= k;
    }
}

void wire_rx_landed(struct wire_rx *rx, size_t n)
{
    if (rx->direct > 0) {
        size_t k = n < rx->direct ? n : rx->direct;
        rx->direct = 0;
        place_advance(rx, k);
        n -= k;
    }
    rx->win = rx->buf;
    rx->win_end = rx->buf + n;
}

/* Have `len` bytes of header at one place: in the window when they are all there, else in head.
 * NULL when bytes are missing. */
static const uint8_t *gather(struct wire_rx *rx, uint32_t len)
{
    if (rx->head_len == 0 && window(rx) >= len) {
        const uint8_t *p = rx->win;
        rx->win += len;
        return p;
    }
    assert(len <= sizeof rx->head);
    size_t k = len - rx->head_len;
    if (k > window(rx))
        k = window(rx);
    memcpy(rx->head + rx->head_len, rx->win, k);
    rx->head_len += (unsigned)k;
    rx->win += k;
    return rx->head_len == len ? rx->head : NULL;
}

static enum wire_rx_result header_complete(struct wire_rx *rx, const uint8_t *p)
{
    uint32_t ahs_len = bhs_ahs_len(p);

    if (rx->header_digest) {
        uint32_t crc = crc32c(p, ISCSI_BHS_LEN + ahs_len);
        uint32_t wire; /* the digest stands little-endian on the wire, 13.1 */
        memcpy(&wire, p + ISCSI_BHS_LEN + ahs_len, sizeof wire);
        if (crc != wire)
            return WIRE_RX_BAD_HEADER;
    }
    rx->bhs = p;
    rx->ahs = p + ISCSI_BHS_LEN;
    rx->ahs_len = ahs_len;
    rx->data_len = bhs_data_len(p);
    rx->data_done = 0;
    rx->place = NULL;
    rx->crc = CRC32C_INIT;
    rx->crc_ahead = 0;
    rx->head_len = 0;
    rx->trailer_done = 0;
    if (rx->data_len)
        rx->trailer_len = (-rx->data_len & 3u) + (rx->data_digest ? ISCSI_DIGEST_LEN : 0u);
    rx->bulk = rx->data_len >= WIRE_BULK_BYTES;
    rx->phase = WIRE_HEADER_SEEN;
    return WIRE_RX_HEADER;
}

static enum wire_rx_result next_header(struct wire_rx *rx)
{
    uint32_t digest = rx->header_digest ? ISCSI_DIGEST_LEN : 0;
    const uint8_t *p;

    if (rx->phase == WIRE_BHS) {
        if (rx->head_len == 0 && window(rx) >= ISCSI_BHS_LEN + digest && rx->win[4] == 0)
            return header_complete(rx, gather(rx, ISCSI_BHS_LEN + digest));
        /* in pieces, or with additional header segments */
        size_t k = ISCSI_BHS_LEN - rx->head_len;
        if (k > window(rx))
            k = window(rx);
        memcpy(rx->head + rx->head_len, rx->win, k);
        rx->head_len += (unsigned)k;
        rx->win += k;
        if (rx->head_len < ISCSI_BHS_LEN)
            return WIRE_RX_MORE;
        rx->phase = WIRE_AHS;
    }
    p = gather(rx, ISCSI_BHS_LEN + bhs_ahs_len(rx->head) + digest);
    return p ? header_complete(rx, p) : WIRE_RX_MORE;
}

void wire_rx_place(struct wire_rx *rx, struct iovec *place, int cnt, size_t skip)
{
    assert(rx->phase == WIRE_HEADER_SEEN);
    while (cnt > 0 && skip >= place->iov_len) {
        skip -= place->iov_len;
        place++;
        cnt--;
    }
    rx->place = place;
    rx->place_cnt = cnt;
    rx->place_skip = skip;
}

/* Payload that is in the window: to its place, or away. */
static void take_window(struct wire_rx *rx)
{
    size_t left = rx->data_len - rx->data_done;
    size_t n = window(rx) < left ? window(rx) : left;

    if (n == 0)
        return;
    if (!rx->place) {
        if (rx->data_digest)
            rx->crc = crc32c_update(rx->crc, rx->win, n);
        rx->data_done += (uint32_t)n;
        rx->win += n;
        return;
    }
    while (n > 0) {
        assert(rx->place_cnt > 0);
        size_t k = rx->place->iov_len - rx->place_skip;
        if (k == 0) { /* an empty piece */
            rx->place++;
            rx->place_cnt--;
            continue;
        }
        if (k > n)
            k = n;
        memcpy((uint8_t *)rx->place->iov_base + rx->place_skip, rx->win, k);
        rx->win += k;
        n -= k;
        place_advance(rx, k);
    }
}

static enum wire_rx_result next_data(struct wire_rx *rx)
{
    if (rx->phase == WIRE_DATA) {
        take_window(rx);
        if (rx->data_done < rx->data_len)
            return WIRE_RX_MORE;
        rx->phase = WIRE_TRAILER;
    }
    while (rx->trailer_done < rx->trailer_len) {
        if (window(rx) == 0)
            return WIRE_RX_MORE;
        rx->trailer[rx->trailer_done++] = *rx->win++;
    }
    rx->digest_ok = true;
    if (rx->data_digest) {
        unsigned pad = rx->trailer_len - ISCSI_DIGEST_LEN; /* the digest covers the pad bytes */
        uint32_t crc = crc32c_final(crc32c_update(rx->crc, rx->trailer, pad));
        rx->digest_ok = memcmp(&crc, rx->trailer + pad, sizeof crc) == 0;
    }
    rx->phase = WIRE_BHS;
    return WIRE_RX_DATA;
}

enum wire_rx_result wire_rx_next(struct wire_rx *rx)
{
    if (rx->phase == WIRE_HEADER_SEEN)
        rx->phase = rx->data_len ? WIRE_DATA : WIRE_BHS;
    if (window(rx) == 0 && (rx->phase == WIRE_BHS || rx->phase == WIRE_AHS))
        return WIRE_RX_MORE;
    if (rx->phase == WIRE_BHS || rx->phase == WIRE_AHS)
        return next_header(rx);
    return next_data(rx);
}
