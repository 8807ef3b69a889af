/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests and their replies (NBD "Transmission phase"). */
#include "nbd/state.h"

#include <assert.h>
#include <string.h>

/* ---- requests ---- */

/* One that is not in use; NULL when out of memory or the queue is full. */
static struct nbd_req *get(struct nbd_proto *c)
{
    struct list *node = list_pop_front(&c->idle);
    if (node)
        return list_entry(node, struct nbd_req, node);
    if (c->made_count == c->cfg.queue_depth)
        return NULL;
    struct nbd_req *req = alloc_zero(c->a, sizeof(*req) + c->cfg.priv_bytes);
    if (!req)
        return NULL;
    req->c = c;
    req->priv = req + 1;
    list_init(&req->node);
    req->next_made = c->made;
    c->made = req;
    c->made_count++;
    return req;
}

bool nbd_request_room(struct nbd_proto *c)
{
    if (!list_empty(&c->idle))
        return true;
    struct nbd_req *req = get(c);
    if (req) {
        list_push_back(&c->idle, &req->node);
        return true;
    }
    /* Short of memory, fewer requests do as well; without any there is nothing to wait for. */
    if (c->made_count == 0)
        nbd_proto_fail(c, USAN_ENOMEM, "out of memory");
    return false;
}

/* ---- errors ---- */

enum nbd_error nbd_error_of(enum nbd_cmd cmd, int err)
{
    switch (err) {
    case 0:
        return NBD_OK;
    case USAN_EPERM:
    case USAN_ERDONLY:
        return NBD_EPERM;
    case USAN_ENOMEM:
        return NBD_ENOMEM;
    case USAN_EINVAL:
        return NBD_EINVAL;
    case USAN_ERANGE: /* NBD "Error values": past the end */
        return cmd == NBD_CMD_WRITE || cmd == NBD_CMD_WRITE_ZEROES ? NBD_ENOSPC : NBD_EINVAL;
    case USAN_ENOSPC:
        return NBD_ENOSPC;
    case USAN_ENOTSUP: /* only a fast WRITE_ZEROES may be told so */
        return cmd == NBD_CMD_WRITE_ZEROES ? NBD_ENOTSUP : NBD_EINVAL;
    case USAN_ECLOSED: /* the device is gone, or the program goes */
        return NBD_ESHUTDOWN;
    default:
        return NBD_EIO;
    }
}

/* ---- replies ---- */

static void queue(struct nbd_req *req)
{
    struct nbd_proto *c = req->c;
    assert(!req->answered);
    req->answered = true;
    list_push_back(c->state == NBD_S_CLOSED ? &c->over : &c->out, &req->node);
}

static void put_chunk(struct wr *w, const struct nbd_req *req, unsigned type, size_t bytes)
{
    wr_be32(w, NBD_STRUCTURED_REPLY_MAGIC);
    wr_be16(w, NBD_REPLY_FLAG_DONE);
    wr_be16(w, (uint16_t)type);
    wr_be64(w, req->cookie);
    wr_be32(w, (uint32_t)bytes);
}

static void put_simple(struct wr *w, const struct nbd_req *req, enum nbd_error error)
{
    wr_be32(w, NBD_SIMPLE_REPLY_MAGIC);
    wr_be32(w, error);
    wr_be64(w, req->cookie);
}

static void header_end(struct nbd_req *req, const struct wr *w)
{
    assert(!wr_truncated(w));
    req->header_len = (uint32_t)w->len;
}

void nbd_req_reply(struct nbd_req *req, const struct iovec *iov, int iovcnt)
{
    struct wr w = wr_init(req->header, sizeof(req->header));
    bool read = req->cmd == NBD_CMD_READ;
    if (!read || !req->c->structured) {
        put_simple(&w, req, NBD_OK);
    } else if (req->len == 0) { /* a chunk of data has at least one byte */
        put_chunk(&w, req, NBD_REPLY_TYPE_NONE, 0);
    } else {
        put_chunk(&w, req, NBD_REPLY_TYPE_OFFSET_DATA, 8 + (size_t)req->len);
        wr_be64(&w, req->off);
    }
    header_end(req, &w);
    req->iov = iov;
    req->iovcnt = read ? iovcnt : 0;
    queue(req);
}

void nbd_extent_put(void *buf, unsigned i, uint32_t len, uint32_t state)
{
    uint8_t *p = (uint8_t *)buf + (size_t)i * NBD_EXTENT_BYTES;
    be32_put(p, len);
    be32_put(p + 4, state);
}

void nbd_req_reply_extents(struct nbd_req *req, void *buf, unsigned count)
{
    assert(count >= 1 && count <= NBD_EXTENTS_MAX);
    size_t bytes = (size_t)count * NBD_EXTENT_BYTES;
    struct wr w = wr_init(req->header, sizeof(req->header));
    put_chunk(&w, req, NBD_REPLY_TYPE_BLOCK_STATUS, 4 + bytes);
    wr_be32(&w, NBD_CONTEXT_ID);
    header_end(req, &w);
    req->one = (struct iovec){ buf, bytes };
    req->iov = &req->one;
    req->iovcnt = 1;
    queue(req);
}

static void fail(struct nbd_req *req, enum nbd_error error, const char *text, uint64_t err_off)
{
    struct wr w = wr_init(req->header, sizeof(req->header));
    size_t len = strlen(text);
    /* An offset has to lie in the request; FLUSH has no range. */
    bool at = err_off >= req->off && err_off - req->off < req->len;
    if (!req->c->structured) {
        put_simple(&w, req, error);
    } else {
        put_chunk(&w, req, at ? NBD_REPLY_TYPE_ERROR_OFFSET : NBD_REPLY_TYPE_ERROR,
                  6 + len + (at ? 8 : 0));
        wr_be32(&w, error);
        wr_be16(&w, (uint16_t)len);
        wr_bytes(&w, text, len);
        if (at)
            wr_be64(&w, err_off);
    }
    header_end(req, &w);
    req->iovcnt = 0;
    queue(req);
}

void nbd_req_fail(struct nbd_req *req, int err, uint64_t err_off)
{
    struct nbd_proto *c = req->c;
    if (c->writing == req) {
        assert(c->state == NBD_S_WAIT);
        c->writing = NULL;
        c->left = c->whole = req->len;
        c->state = NBD_S_PAYLOAD_SKIP;
    }
    if (req->answered)
        return;
    fail(req, nbd_error_of(req->cmd, err), usan_strerror(err), err_off);
}

void nbd_req_want_data(struct nbd_req *req, const struct iovec *iov, int iovcnt)
{
    struct nbd_proto *c = req->c;
    if (c->writing != req) /* the connection has ended; OVER comes */
        return;
    assert(c->state == NBD_S_WAIT);
    c->land = iov;
    c->land_cnt = iovcnt;
    c->land_in = 0;
    c->left = c->whole = req->len;
    c->state = NBD_S_PAYLOAD;
}

/* ---- what comes in ---- */

static bool writes(enum nbd_cmd cmd)
{
    return cmd == NBD_CMD_WRITE || cmd == NBD_CMD_TRIM || cmd == NBD_CMD_WRITE_ZEROES;
}

/* NBD "Command flags": FUA is to be taken with every command. */
static unsigned flags_of(const struct nbd_proto *c, enum nbd_cmd cmd)
{
    switch (cmd) {
    case NBD_CMD_READ:
        return NBD_CMD_FLAG_FUA | (c->structured ? NBD_CMD_FLAG_DF : 0u);
    case NBD_CMD_WRITE_ZEROES:
        return NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FAST_ZERO;
    case NBD_CMD_BLOCK_STATUS:
        return NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_REQ_ONE;
    case NBD_CMD_WRITE:
    case NBD_CMD_FLUSH:
    case NBD_CMD_TRIM:
    case NBD_CMD_CACHE:
    case NBD_CMD_DISC:
    case NBD_CMD_COUNT:
        break;
    }
    return NBD_CMD_FLAG_FUA;
}

static enum nbd_error refused(const char *text, enum nbd_error error, const char **ret_text)
{
    *ret_text = text;
    return error;
}

static enum nbd_error check_range(const struct nbd_req *req, const char **ret_text)
{
    const struct nbd_export *e = &req->c->cfg.export;
    bool payload = req->cmd == NBD_CMD_READ || req->cmd == NBD_CMD_WRITE;
    if (req->len > e->size_bytes || req->off > e->size_bytes - req->len)
        return refused("past the end of the export", nbd_error_of(req->cmd, USAN_ERANGE), ret_text);
    if ((req->off | req->len) & (e->min_block - 1))
        return refused("not in whole blocks", NBD_EINVAL, ret_text);
    /* What has no payload is carried out however long it is. */
    if (payload && req->len > NBD_PAYLOAD_MAX)
        return refused("longer than the largest block",
                       req->flags & NBD_CMD_FLAG_DF ? NBD_EOVERFLOW : NBD_EINVAL, ret_text);
    if (req->len == 0 && req->cmd == NBD_CMD_BLOCK_STATUS)
        return refused("nothing asked for", NBD_EINVAL, ret_text);
    return NBD_OK;
}

static enum nbd_error check(const struct nbd_req *req, const char **ret_text)
{
    const struct nbd_proto *c = req->c;
    if (req->cmd >= NBD_CMD_COUNT)
        return refused("unknown command", NBD_EINVAL, ret_text);
    if (req->flags & ~flags_of(c, req->cmd))
        return refused("a flag that this command does not have", NBD_EINVAL, ret_text);
    if (c->shutdown)
        return refused("the server stops", NBD_ESHUTDOWN, ret_text);
    if (writes(req->cmd) && c->cfg.export.read_only)
        return refused("the export is read-only", NBD_EPERM, ret_text);
    if (req->cmd == NBD_CMD_TRIM && !c->cfg.export.trim)
        return refused("trim is not offered", NBD_EINVAL, ret_text);
    if (req->cmd == NBD_CMD_BLOCK_STATUS && !c->allocation)
        return refused("no metadata context was chosen", NBD_EINVAL, ret_text);
    if (req->cmd == NBD_CMD_FLUSH) /* offset and length are reserved */
        return req->off || req->len ? refused("a flush has no range", NBD_EINVAL, ret_text)
                                    : NBD_OK;
    return check_range(req, ret_text);
}

/* The payload of a WRITE that is refused or empty; false if it is too long to be skipped. */
static bool skip_payload(struct nbd_proto *c, const struct nbd_req *req)
{
    if (req->cmd != NBD_CMD_WRITE || req->len == 0)
        return true;
    if (req->len > NBD_PAYLOAD_SKIP_MAX) {
        nbd_proto_fail(c, USAN_EPROTO, "the payload of a write is much too long");
        return false;
    }
    c->left = c->whole = req->len;
    c->state = NBD_S_PAYLOAD_SKIP;
    return true;
}

/* Answer without the owner what is refused or has nothing to do. */
static void answer_here(struct nbd_req *req, enum nbd_error error, const char *text)
{
    req->with_owner = false;
    if (!skip_payload(req->c, req)) {
        list_push_back(&req->c->over, &req->node);
        return;
    }
    if (error)
        fail(req, error, text, UINT64_MAX);
    else
        nbd_req_reply(req, NULL, 0);
}

bool nbd_request_header(struct nbd_proto *c, const uint8_t *p, struct nbd_req **ret_req)
{
    if (be32_get(p) != NBD_REQUEST_MAGIC) {
        nbd_proto_fail(c, USAN_EPROTO, "a request does not begin with its magic number");
        return false;
    }
    unsigned type = be16_get(p + 6);
    if (type == NBD_CMD_DISC) {
        c->state = NBD_S_FINISHING;
        return false;
    }
    struct nbd_req *req = get(c); /* there is one: nbd_request_room() */
    assert(req);
    c->busy++;
    req->cmd = type < NBD_CMD_COUNT ? (enum nbd_cmd)type : NBD_CMD_COUNT;
    req->flags = be16_get(p + 4);
    req->cookie = be64_get(p + 8);
    req->off = be64_get(p + 16);
    req->len = be32_get(p + 24);
    req->answered = false;
    req->with_owner = true;
    const char *text = NULL;
    enum nbd_error error = check(req, &text);
    if (error || (req->len == 0 && req->cmd != NBD_CMD_FLUSH)) {
        answer_here(req, error, text);
        return false;
    }
    if (req->cmd == NBD_CMD_WRITE) {
        c->writing = req;
        c->state = NBD_S_WAIT;
    }
    *ret_req = req;
    return true;
}
