/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For traces: the headers of PDUs in the bytes that a link delivers. */
#include "sim.h"

#include "iscsi/pdu.h"

enum { LOGIN_TO_FULL_FEATURE = 0x83 };

static const char *const names[64] = {
    [ISCSI_OP_NOP_OUT] = "NOP-Out",
    [ISCSI_OP_SCSI_COMMAND] = "Command",
    [ISCSI_OP_TMF_REQUEST] = "TMF",
    [ISCSI_OP_LOGIN_REQUEST] = "Login",
    [ISCSI_OP_TEXT_REQUEST] = "Text",
    [ISCSI_OP_DATA_OUT] = "Data-Out",
    [ISCSI_OP_LOGOUT_REQUEST] = "Logout",
    [ISCSI_OP_SNACK] = "SNACK",
    [ISCSI_OP_NOP_IN] = "NOP-In",
    [ISCSI_OP_SCSI_RESPONSE] = "Response",
    [ISCSI_OP_TMF_RESPONSE] = "TMF Response",
    [ISCSI_OP_LOGIN_RESPONSE] = "Login Response",
    [ISCSI_OP_TEXT_RESPONSE] = "Text Response",
    [ISCSI_OP_DATA_IN] = "Data-In",
    [ISCSI_OP_LOGOUT_RESPONSE] = "Logout Response",
    [ISCSI_OP_R2T] = "R2T",
    [ISCSI_OP_ASYNC] = "Async",
    [ISCSI_OP_REJECT] = "Reject",
};

static void header(struct sim_pipe *p)
{
    struct sim_link *link = p->link;
    const struct sim_options *o = &link->sim->opt;
    const uint8_t *b = p->bhs;
    uint8_t op = bhs_opcode(b);
    uint32_t len = bhs_data_len(b);
    bool digests = p->framed;
    sim_trace(link->sim,
              "  %s cid %u: %s flags %02x %02x len %u itt %x ttt %x sn %x/%x/%x %x/%x/%x",
              p == &link->to_tgt ? "to tgt" : "to ini", link->cid, names[op] ? names[op] : "?",
              b[1], b[2], len, bhs_itt(b), bhs_ttt(b), be32_get(b + 24), be32_get(b + 28),
              be32_get(b + 32), be32_get(b + 36), be32_get(b + 40), be32_get(b + 44));
    p->skip = bhs_ahs_len(b) + ((len + 3) & ~3u) + (digests && o->header_digest ? 4u : 0) +
              (digests && o->data_digest && len ? 4u : 0);
    if (op == ISCSI_OP_LOGIN_RESPONSE && (b[1] & LOGIN_TO_FULL_FEATURE) == LOGIN_TO_FULL_FEATURE &&
        be16_get(b + 36) == 0)
        link->to_tgt.framed = link->to_ini.framed = true;
}

void sim_watch(struct sim_pipe *p, const uint8_t *bytes, size_t len)
{
    if (!p->link->sim->opt.verbose)
        return;
    while (len) {
        size_t k = p->skip < len ? p->skip : len;
        p->skip -= k;
        bytes += k;
        len -= k;
        k = sizeof(p->bhs) - p->bhs_len < len ? sizeof(p->bhs) - p->bhs_len : len;
        if (p->skip)
            return;
        memcpy(p->bhs + p->bhs_len, bytes, k);
        p->bhs_len += k;
        bytes += k;
        len -= k;
        if (p->bhs_len < sizeof(p->bhs))
            return;
        p->bhs_len = 0;
        header(p);
    }
}
