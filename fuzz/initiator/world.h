/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The world of fuzz_initiator: a session with its connections, and what its owner has under way.
 * fuzz_initiator.c reads the input and says what happens; here is what is looked at meanwhile:
 *   events.c    events of the cores: each may come only when it can be
 *   sent.c      bytes that go out: whether they are well-formed
 *   received.c  bytes and PDUs of the target, with numbers and digests as they should be
 */
#ifndef USAN_FUZZ_INITIATOR_WORLD_H
#define USAN_FUZZ_INITIATOR_WORLD_H

#include "base/bytes.h"
#include "iscsi/initiator.h"
#include "iscsi/pdu.h"

enum {
    SETUP_LOGGED_IN = 1 << 0, /* the login is done as it should be */
    SETUP_DISCOVERY = 1 << 1,
    SETUP_CHAP = 1 << 2,
    SETUP_DIGESTS = 1 << 3,
    SETUP_ANY_ORDER = 1 << 4,
    SETUP_SOLICITED = 1 << 5, /* InitialR2T=Yes, ImmediateData=No */
    SETUP_SMALL = 1 << 6,     /* window of two commands */
    SETUP_RECOVERY = 1 << 7,  /* at a recovery level; logged in */
    LINKS = 4,
    CMDS = 8,
    CMD_MAX = 64 * 255,
    TMFS = 4,
    ITTS = 16,
};

struct cmd {
    struct iscsi_icmd c;
    bool busy;
    uint8_t *in, *out;
    struct iovec iin[2], iout[2];
    uint8_t cdb[32], sense[20];
};

/* A connection. */
struct link {
    struct iscsi_iconn *conn; /* NULL = none */
    bool logged_in, closed;
    uint32_t stat_sn;
    /* the stream the initiator sends: where its next header is */
    uint8_t head[ISCSI_BHS_LEN];
    size_t head_len, skip;
};

struct world {
    struct alloc a;
    long live;
    unsigned setup;
    uint8_t level;
    uint64_t now_ns;
    struct iscsi_isess *sess;
    struct link link[LINKS], *at;
    bool was_up;
    struct cmd cmd[CMDS];
    struct iscsi_itmf tmf[TMFS];
    bool tmf_busy[TMFS];
    uint32_t itt[ITTS], itts;
    uint32_t cmd_sn;
};

/* A property that must hold whatever the input is. */
void must(bool holds);

/* Take and check the events of all connections and the session. */
void events(struct world *w);
/* So many bytes of the connection in use go out, at most. */
void send_out(struct world *w, size_t most);
/* Bytes from the target, as they are. */
void receive(struct world *w, const uint8_t *p, size_t len);
/* A PDU, with StatSN (off by off_sn), ExpCmdSN (one less if `less`), MaxCmdSN, lengths and digests
 * (that of the data wrong if bad_digest) put in. */
void receive_pdu(struct world *w, uint8_t *bhs, const uint8_t *data, uint32_t len, int off_sn,
                 bool less, bool bad_digest);
/* A Login Response to the last request; '|' stands for NUL. */
void login_rsp(struct world *w, uint8_t flags, uint16_t status, const char *text, size_t text_len);
/* A login as it should be. */
void log_in(struct world *w);

#endif
