/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The handshake: greeting, client flags, options (NBD "Fixed newstyle negotiation"). */
#include "nbd/state.h"

#include <assert.h>
#include <string.h>

static const char context_name[] = "base:allocation";
static const char context_base[] = "base:";

/* ---- replies ---- */

static struct wr out_at(struct nbd_handshake *hs)
{
    return wr_init(hs->out + hs->out_len, sizeof(hs->out) - hs->out_len);
}

static void out_end(struct nbd_handshake *hs, const struct wr *w)
{
    assert(!wr_truncated(w));
    hs->out_len += w->len;
}

static void put_reply(struct wr *w, const struct nbd_handshake *hs, uint32_t type, size_t bytes)
{
    wr_be64(w, NBD_OPT_REPLY_MAGIC);
    wr_be32(w, hs->option);
    wr_be32(w, type);
    wr_be32(w, (uint32_t)bytes);
}

static void reply(struct nbd_proto *c, uint32_t type, const void *data, size_t bytes)
{
    struct wr w = out_at(c->hs);
    put_reply(&w, c->hs, type, bytes);
    wr_bytes(&w, data, bytes);
    out_end(c->hs, &w);
}

static void ack(struct nbd_proto *c)
{
    reply(c, NBD_REP_ACK, NULL, 0);
}

static void refuse(struct nbd_proto *c, uint32_t type, const char *text)
{
    reply(c, type, text, strlen(text));
}

/* ---- the export ---- */

uint16_t nbd_transmission_flags(const struct nbd_proto *c)
{
    const struct nbd_export *e = &c->cfg.export;
    /* One store is behind all connections: a FLUSH on one of them covers the writes of all. */
    unsigned f = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA |
                 NBD_FLAG_CAN_MULTI_CONN | NBD_FLAG_SEND_CACHE;
    if (e->rotational)
        f |= NBD_FLAG_ROTATIONAL;
    if (c->structured)
        f |= NBD_FLAG_SEND_DF;
    if (e->read_only)
        return (uint16_t)(f | NBD_FLAG_READ_ONLY);
    f |= NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO;
    if (e->trim)
        f |= NBD_FLAG_SEND_TRIM;
    return (uint16_t)f;
}

/* Our export, by its name or as the default one. */
static bool is_ours(const struct nbd_proto *c, const void *name, size_t len)
{
    const char *ours = c->cfg.export.name;
    return len == 0 || (len == strlen(ours) && memcmp(name, ours, len) == 0);
}

static void open_export(struct nbd_proto *c)
{
    c->state = NBD_S_REQUEST;
    c->opened = true;
}

static void do_export_name(struct nbd_proto *c)
{
    struct nbd_handshake *hs = c->hs;
    /* This option has no way to refuse but to hang up. */
    if (!is_ours(c, hs->data, hs->option_len)) {
        nbd_proto_fail(c, USAN_ENOENT, "the client asked for an export that there is not");
        return;
    }
    if (c->shutdown) {
        nbd_proto_fail(c, USAN_ECLOSED, "the program stops");
        return;
    }
    struct wr w = out_at(hs);
    wr_be64(&w, c->cfg.export.size_bytes);
    wr_be16(&w, nbd_transmission_flags(c));
    if (!c->no_zeroes)
        wr_zero(&w, NBD_EXPORT_NAME_ZEROES);
    out_end(hs, &w);
    open_export(c);
}

static void do_list(struct nbd_proto *c)
{
    const struct nbd_export *e = &c->cfg.export;
    size_t name = strlen(e->name), text = e->description ? strlen(e->description) : 0;
    struct wr w = out_at(c->hs);
    put_reply(&w, c->hs, NBD_REP_SERVER, 4 + name + text);
    wr_be32(&w, (uint32_t)name);
    wr_bytes(&w, e->name, name);
    wr_bytes(&w, e->description, text);
    out_end(c->hs, &w);
    ack(c);
}

/* ---- INFO and GO ---- */

static void put_info_text(struct nbd_proto *c, enum nbd_info info, const char *text)
{
    size_t len = strlen(text);
    struct wr w = out_at(c->hs);
    put_reply(&w, c->hs, NBD_REP_INFO, 2 + len);
    wr_be16(&w, (uint16_t)info);
    wr_bytes(&w, text, len);
    out_end(c->hs, &w);
}

static void put_info_export(struct nbd_proto *c)
{
    struct wr w = out_at(c->hs);
    put_reply(&w, c->hs, NBD_REP_INFO, 12);
    wr_be16(&w, NBD_INFO_EXPORT);
    wr_be64(&w, c->cfg.export.size_bytes);
    wr_be16(&w, nbd_transmission_flags(c));
    out_end(c->hs, &w);
}

static void put_info_block_size(struct nbd_proto *c)
{
    const struct nbd_export *e = &c->cfg.export;
    struct wr w = out_at(c->hs);
    put_reply(&w, c->hs, NBD_REP_INFO, 14);
    wr_be16(&w, NBD_INFO_BLOCK_SIZE);
    wr_be32(&w, e->min_block);
    wr_be32(&w, e->preferred_block);
    wr_be32(&w, NBD_PAYLOAD_MAX);
    out_end(c->hs, &w);
}

/* NBD "Option types", INFO and GO: name, then the kinds of information that are wanted. */
static void do_info(struct nbd_proto *c)
{
    const struct nbd_handshake *hs = c->hs;
    struct rd r = rd_init(hs->data, hs->option_len);
    uint32_t len = rd_be32(&r);
    const uint8_t *name = rd_bytes(&r, len);
    unsigned count = rd_be16(&r);
    if (r.bad || rd_left(&r) != 2u * count || len > NBD_STRING_MAX) {
        refuse(c, NBD_REP_ERR_INVALID, "malformed option");
        return;
    }
    if (!is_ours(c, name, len)) {
        refuse(c, NBD_REP_ERR_UNKNOWN, "there is no such export");
        return;
    }
    bool want_name = false, want_description = false;
    for (unsigned i = 0; i < count; i++) {
        unsigned info = rd_be16(&r);
        want_name |= info == NBD_INFO_NAME;
        want_description |= info == NBD_INFO_DESCRIPTION;
    }
    put_info_export(c);
    if (want_name)
        put_info_text(c, NBD_INFO_NAME, c->cfg.export.name);
    if (want_description && c->cfg.export.description)
        put_info_text(c, NBD_INFO_DESCRIPTION, c->cfg.export.description);
    /* Unasked too: what is no multiple of the smallest block is refused later. */
    put_info_block_size(c);
    ack(c);
    if (hs->option == NBD_OPT_GO)
        open_export(c);
}

/* ---- metadata contexts ---- */

static bool text_is(const uint8_t *p, size_t len, const char *text)
{
    return len == strlen(text) && memcmp(p, text, len) == 0;
}

/* The queries; *ret_match: one of them is for base:allocation. False if they are malformed. */
static bool read_queries(struct rd *r, bool list, bool *ret_match)
{
    uint32_t count = rd_be32(r);
    bool match = list && count == 0;
    for (uint32_t i = 0; i < count && !r->bad; i++) {
        uint32_t len = rd_be32(r);
        const uint8_t *query = rd_bytes(r, len);
        if (!query || len > NBD_STRING_MAX)
            return false;
        match |= text_is(query, len, context_name) || (list && text_is(query, len, context_base));
    }
    *ret_match = match;
    return !r->bad && rd_left(r) == 0;
}

static void do_meta_context(struct nbd_proto *c)
{
    const struct nbd_handshake *hs = c->hs;
    bool list = hs->option == NBD_OPT_LIST_META_CONTEXT, match;
    if (!list)
        c->allocation = false; /* replaces what was set, even if it fails */
    if (!c->structured) {
        refuse(c, NBD_REP_ERR_INVALID, "negotiate structured replies first");
        return;
    }
    struct rd r = rd_init(hs->data, hs->option_len);
    uint32_t len = rd_be32(&r);
    const uint8_t *name = rd_bytes(&r, len);
    if (!name || len > NBD_STRING_MAX || !read_queries(&r, list, &match)) {
        refuse(c, NBD_REP_ERR_INVALID, "malformed option");
        return;
    }
    if (!is_ours(c, name, len)) {
        refuse(c, NBD_REP_ERR_UNKNOWN, "there is no such export");
        return;
    }
    if (match && c->cfg.export.allocation) {
        struct wr w = out_at(c->hs);
        put_reply(&w, hs, NBD_REP_META_CONTEXT, 4 + strlen(context_name));
        wr_be32(&w, list ? 0 : NBD_CONTEXT_ID);
        wr_bytes(&w, context_name, strlen(context_name));
        out_end(c->hs, &w);
        if (!list)
            c->allocation = true;
    }
    ack(c);
}

/* ---- options ---- */

static void do_abort(struct nbd_proto *c)
{
    ack(c);
    c->state = NBD_S_FINISHING;
}

static void do_structured_reply(struct nbd_proto *c)
{
    c->structured = true;
    ack(c);
}

static const struct option {
    void (*act)(struct nbd_proto *c);
    bool no_data; /* and it is an error to send some */
    bool always;  /* even when the program stops */
} options[] = {
    [NBD_OPT_EXPORT_NAME] = { .act = do_export_name, .always = true },
    [NBD_OPT_ABORT] = { .act = do_abort, .always = true },
    [NBD_OPT_LIST] = { .act = do_list, .no_data = true },
    [NBD_OPT_INFO] = { .act = do_info },
    [NBD_OPT_GO] = { .act = do_info },
    [NBD_OPT_STRUCTURED_REPLY] = { .act = do_structured_reply, .no_data = true },
    [NBD_OPT_LIST_META_CONTEXT] = { .act = do_meta_context },
    [NBD_OPT_SET_META_CONTEXT] = { .act = do_meta_context },
};

/* NULL for one that is not known. */
static const struct option *find(uint32_t number)
{
    if (number >= sizeof(options) / sizeof(options[0]) || !options[number].act)
        return NULL;
    return &options[number];
}

static void refuse_unknown(struct nbd_proto *c)
{
    refuse(c, NBD_REP_ERR_UNSUP,
           c->hs->option == NBD_OPT_STARTTLS
               ? "there is no TLS here: use a Unix socket, or a network of trusted machines"
               : "this option is not supported");
}

void nbd_option_do(struct nbd_proto *c)
{
    const struct nbd_handshake *hs = c->hs;
    const struct option *o = find(hs->option);
    c->state = NBD_S_OPTION;
    if (!o)
        refuse_unknown(c);
    else if (c->shutdown && !o->always)
        refuse(c, NBD_REP_ERR_SHUTDOWN, "the server stops");
    else if (o->no_data && hs->option_len)
        refuse(c, NBD_REP_ERR_INVALID, "this option has no data");
    else
        o->act(c);
}

void nbd_option_refuse(struct nbd_proto *c)
{
    c->state = NBD_S_OPTION;
    if (c->hs->option == NBD_OPT_ABORT) /* its data does not matter */
        do_abort(c);
    else if (find(c->hs->option))
        refuse(c, NBD_REP_ERR_TOO_BIG, "the data of this option is too long");
    else
        refuse_unknown(c);
}

void nbd_option_header(struct nbd_proto *c, const uint8_t *p)
{
    struct nbd_handshake *hs = c->hs;
    hs->out_len = hs->out_sent = 0;
    hs->option = be32_get(p + 8);
    hs->option_len = be32_get(p + 12);
    if (be64_get(p) != NBD_OPTION_MAGIC) {
        nbd_proto_fail(c, USAN_EPROTO, "an option does not begin with its magic number");
        return;
    }
    if (++hs->options > NBD_OPTIONS_MAX) {
        nbd_proto_fail(c, USAN_ELIMIT, "too many options in one handshake");
        return;
    }
    bool name = hs->option == NBD_OPT_EXPORT_NAME;
    if (c->only_export_name && !name) {
        nbd_proto_fail(c, USAN_EPROTO, "an option that needs the fixed newstyle handshake");
        return;
    }
    if (hs->option_len > (name ? NBD_STRING_MAX : NBD_OPTION_SKIP_MAX)) {
        nbd_proto_fail(c, USAN_EPROTO, "the data of an option is much too long");
        return;
    }
    if (hs->option_len > NBD_OPTION_DATA_MAX) {
        c->left = hs->option_len;
        c->state = NBD_S_OPTION_SKIP;
    } else if (hs->option_len) {
        c->state = NBD_S_OPTION_DATA;
    } else {
        nbd_option_do(c);
    }
}

/* ---- the beginning ---- */

void nbd_greet(struct nbd_proto *c)
{
    struct wr w = out_at(c->hs);
    wr_be64(&w, NBD_MAGIC);
    wr_be64(&w, NBD_OPTION_MAGIC);
    wr_be16(&w, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
    out_end(c->hs, &w);
    c->state = NBD_S_CLIENT_FLAGS;
}

void nbd_client_flags(struct nbd_proto *c, const uint8_t *p)
{
    uint32_t flags = be32_get(p);
    /* NBD "Client flags": unknown ones end the connection. */
    if (flags & ~(uint32_t)(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES)) {
        nbd_proto_fail(c, USAN_EPROTO, "unknown client flags");
        return;
    }
    c->only_export_name = !(flags & NBD_FLAG_FIXED_NEWSTYLE);
    c->no_zeroes = flags & NBD_FLAG_NO_ZEROES;
    c->state = NBD_S_OPTION;
}
