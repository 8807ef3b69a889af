/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The login machine, fed with Login Requests cut from the input, and the text negotiation of full
 * feature phase.
 *
 * The first byte says how the target is set up (SETUP_...). Then follow the requests, each
 *   1 byte   T, C, CSG, NSG as in byte 1 of the PDU (RFC 7143 11.12)
 *   1 byte   CHANGE_...: header fields that differ from those of the first request
 *   2 bytes  length of the text, most significant first; the last text ends with the input
 * With SETUP_TEXT all that follows the first byte is one text in full feature phase.
 */
#include "base/alloc_heap.h"
#include "base/bytes.h"
#include "iscsi/keys.h"
#include "iscsi/login.h"
#include "iscsi/nego.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    SETUP_AUTH = 1 << 0,     /* CHAP is required */
    SETUP_DIGESTS = 1 << 1,  /* and both digests */
    SETUP_NARROW = 1 << 2,   /* small limits, so that the target makes offers */
    SETUP_JOIN = 1 << 3,     /* TSIH is not 0 */
    SETUP_NO_USER = 1 << 4,  /* the owner does not know the user */
    SETUP_REFUSE = 1 << 5,   /* the owner refuses to bind */
    SETUP_REDIRECT = 1 << 6, /* the owner redirects */
    SETUP_TEXT = 1 << 7,
    CHANGE_TSIH = 1 << 0,
    CHANGE_ISID = 1 << 1,
    CHANGE_VERSION = 1 << 2,
};

/* A property that must hold whatever the input is. */
static void must(bool holds)
{
    if (!holds)
        abort();
}

static struct iscsi_tconn_config setup_config(unsigned setup)
{
    bool narrow = setup & SETUP_NARROW, digests = setup & SETUP_DIGESTS;
    struct iscsi_tconn_config cfg = {
        .params = { .max_recv_data_segment = narrow ? 512 : 262144,
                    .max_burst = narrow ? 4096 : 1048576,
                    .first_burst = narrow ? 512 : 262144,
                    .max_outstanding_r2t = 4,
                    .max_connections = 2,
                    .time2wait = narrow ? 5 : 2,
                    .time2retain = narrow ? 0 : 20,
                    .error_recovery_level = 2,
                    .immediate_data = !narrow,
                    .data_pdu_in_order = true,
                    .data_sequence_in_order = true,
                    .header_digest = true,
                    .data_digest = true,
                    .header_digest_required = digests,
                    .data_digest_required = digests,
                    .response_fence = true,
                    .fast_abort = !narrow },
        .portal_group_tag = 1,
    };
    for (size_t i = 0; i < sizeof(cfg.seed); i++)
        cfg.seed[i] = (uint8_t)i;
    return cfg;
}

static void check_params(const struct iscsi_params *p, const struct iscsi_params_cfg *cfg)
{
    for (size_t i = 0; i < ISCSI_KEY_COUNT; i++) {
        const struct iscsi_key *key = &iscsi_keys[i];
        if (!key->params_bytes)
            continue;
        uint32_t v = iscsi_key_get(key, p);
        must(key->type == ISCSI_KEY_TYPE_LIST ? v <= 1 : v >= key->min && v <= key->max);
    }
    must(p->first_burst <= p->max_burst);
    must(p->header_digest || !cfg->header_digest_required);
    must(p->data_digest || !cfg->data_digest_required);
}

/* The owner's answers to one request. */
static unsigned answer(struct iscsi_login *login, unsigned setup, enum iscsi_login_want want)
{
    const struct iscsi_auth auth = { .required = setup & SETUP_AUTH,
                                     .secret = setup & SETUP_NO_USER ? NULL : "initiator-secret",
                                     .target_user = "disk",
                                     .target_secret = "target-secret-01" };
    unsigned users = 0;
    while (want != ISCSI_LOGIN_WANT_RESPOND) {
        must(iscsi_login_initiator_name(login) != NULL);
        must(iscsi_login_target_name(login) || iscsi_login_discovery(login));
        if (want == ISCSI_LOGIN_WANT_TARGET) {
            want = setup & SETUP_REDIRECT ? iscsi_login_redirect(login, "192.0.2.1:3260,1", false)
                                          : iscsi_login_accept(login, &auth, "alias");
        } else if (want == ISCSI_LOGIN_WANT_USER) {
            must((setup & SETUP_AUTH) && iscsi_login_user(login));
            users++;
            want = iscsi_login_secret(login, &auth);
        } else {
            must(want == ISCSI_LOGIN_WANT_BIND);
            want = setup & SETUP_REFUSE ? iscsi_login_reject(login, ISCSI_LOGIN_NO_SUCH_SESSION)
                                        : iscsi_login_bound(login);
        }
    }
    return users;
}

static void run_login(struct rd *r, unsigned setup)
{
    struct iscsi_tconn_config cfg = setup_config(setup);
    struct iscsi_login *login = iscsi_login_new(&cfg, &alloc_heap);
    unsigned users = 0;
    bool over = !login;
    while (!over && rd_left(r)) {
        uint8_t flags = rd_u8(r), change = rd_u8(r);
        size_t len = rd_be16(r);
        len = len < rd_left(r) ? len : rd_left(r);
        struct iscsi_login_req req = {
            .transit = flags & 0x80,
            .cont = flags & 0x40,
            .csg = flags >> 2 & 3,
            .nsg = flags & 3,
            .version_min = change & CHANGE_VERSION ? 1 : 0,
            .isid = { 0, 2, 0x3d, 0, 0, (uint8_t)(change & CHANGE_ISID) },
            .tsih = (uint16_t)(!!(setup & SETUP_JOIN) + !!(change & CHANGE_TSIH)),
            .text = rd_bytes(r, len),
            .text_len = len,
        };
        struct iscsi_login_rsp rsp;
        users += answer(login, setup, iscsi_login_request(login, &req));
        iscsi_login_response(login, &rsp);
        const struct iscsi_params *p = iscsi_login_params(login);
        must(rsp.text_len <= p->tx_data_segment);
        must(!(rsp.transit && rsp.cont) && (!rsp.transit || req.transit));
        must(!rsp.status || (!rsp.transit && !iscsi_login_finished(login)));
        over = rsp.status || iscsi_login_finished(login);
        if (!iscsi_login_finished(login))
            continue;
        must(rsp.transit && rsp.nsg == 3 && req.nsg == 3);
        must(!(setup & SETUP_AUTH) || (users == 1 && !(setup & SETUP_NO_USER)));
        must(!(setup & (SETUP_REFUSE | SETUP_REDIRECT)));
        check_params(p, &cfg.params);
    }
    iscsi_login_free(login);
}

static void run_text(struct rd *r, unsigned setup)
{
    struct iscsi_tconn_config cfg = setup_config(setup);
    struct iscsi_params params;
    char out[4096];
    size_t len = rd_left(r), out_len = sizeof(out) + 1, pos = 0;
    iscsi_params_init(&params);
    const struct iscsi_params before = params;
    int err = iscsi_text_negotiate(rd_bytes(r, len), len, &cfg.params, &params, out, sizeof(out),
                                   &out_len);
    must(!err || err == USAN_EPROTO || err == USAN_ELIMIT);
    if (err) {
        /* all that can change by then */
        must(params.tx_data_segment == before.tx_data_segment);
        return;
    }
    struct iscsi_pair pair;
    int more;
    must(out_len <= sizeof(out));
    while ((more = iscsi_text_next(out, out_len, &pos, &pair)) > 0)
        must(!strcmp(pair.value, "Reject") || !strcmp(pair.value, "NotUnderstood"));
    must(more == 0); /* what we say is well-formed */
    must(params.max_burst == before.max_burst && params.first_burst == before.first_burst);
    must(params.tx_data_segment >= 512 && params.tx_data_segment <= 0xffffff);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rd r = rd_init(data, size);
    unsigned setup = rd_u8(&r);
    if (setup & SETUP_TEXT)
        run_text(&r, setup);
    else
        run_login(&r, setup);
    return 0;
}
