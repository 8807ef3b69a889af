/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target_rig.h"

#include "base/alloc_heap.h"
#include "base/bytes.h"
#include "io/clock.h"
#include "io/socket.h"
#include "iscsi/target.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RX_BYTES = 65536, DATA_MAX = 1 << 20 };

/* The core's session, of all its connections. */
struct rig_sess {
    struct list node;
    struct iscsi_tsess *core;
    unsigned conns;
    bool over;
};

struct rig_conn {
    struct list node;
    struct loop_fd lfd;
    struct rig *rig;
    struct rig_portal *portal;
    struct iscsi_tconn *core;
    struct rig_sess *sess;
    bool closing, frozen;
    bool retained;         /* the session goes on without it */
    bool cut, cut_on_data; /* nothing more goes out: now; when the data is there */
    uint8_t rx[RX_BYTES];
};

/* Of a task: data in and out. */
struct rig_task {
    struct iovec iov;
    uint8_t sense[18];
};

/* ---- SCSI ---- */

static struct rig_task *priv(struct iscsi_task *t)
{
    return t->priv;
}

static void respond(struct iscsi_task *t, uint8_t status, const uint8_t *sense, size_t in_len,
                    size_t out_used)
{
    struct rig_task *p = priv(t);
    p->iov.iov_len = in_len;
    const struct iscsi_response rsp = { .status = status,
                                        .sense = sense,
                                        .sense_len = sense ? 18 : 0,
                                        .in = in_len ? &p->iov : NULL,
                                        .in_cnt = in_len ? 1 : 0,
                                        .in_len = in_len < t->in_expected ? in_len : t->in_expected,
                                        .in_used = in_len,
                                        .out_used = out_used };
    iscsi_task_respond(t, &rsp);
}

static void check_condition(struct iscsi_task *t, unsigned kaq)
{
    uint8_t *s = priv(t)->sense;
    memset(s, 0, 18);
    s[0] = 0x70;
    s[2] = (uint8_t)(kaq >> 16);
    s[7] = 10;
    s[12] = (uint8_t)(kaq >> 8);
    s[13] = (uint8_t)kaq;
    if (kaq & RIG_DEFERRED) {
        s[0] = 0xf1;
        be32_put(s + 3, 7);
    }
    respond(t, 2, s, 0, 0);
}

/* Where a medium access goes; false: it is none. */
static bool decode(const uint8_t *cdb, uint64_t *ret_lba, uint32_t *ret_blocks)
{
    switch (cdb[0]) {
    case 0x28:
    case 0x2a:
        *ret_lba = be32_get(cdb + 2);
        *ret_blocks = be16_get(cdb + 7);
        return true;
    case 0x88:
    case 0x8a:
    case 0x93:
        *ret_lba = be64_get(cdb + 2);
        *ret_blocks = be32_get(cdb + 10);
        return true;
    case 0x89:
        *ret_lba = be64_get(cdb + 2);
        *ret_blocks = cdb[13];
        return true;
    case 0x35:
    case 0x42:
        *ret_lba = *ret_blocks = 0;
        return true;
    default:
        return false;
    }
}

static void log_access(struct rig *rig, uint8_t opcode, uint64_t lba, uint32_t blocks)
{
    unsigned i = atomic_load(&rig->log_count);
    if (i < RIG_LOG) {
        rig->log[i].opcode = opcode;
        rig->log[i].lba = lba;
        rig->log[i].blocks = blocks;
    }
    atomic_store(&rig->log_count, i + 1);
}

static void unmap(struct rig *rig, const uint8_t *list, size_t len)
{
    for (size_t at = 8; at + 16 <= len; at += 16) {
        uint64_t lba = be64_get(list + at);
        uint32_t n = be32_get(list + at + 8);
        memset(rig->medium + lba * 512, 0, (size_t)n * 512);
        log_access(rig, 0x42, lba, n);
    }
}

/* Targets of one medium run on threads of their own, and may be at the same block. */
static pthread_mutex_t medium_lock = PTHREAD_MUTEX_INITIALIZER;

static void carry_out_alone(struct rig *rig, struct iscsi_task *t);

/* The data is there, or none is needed. */
static void carry_out(struct rig *rig, struct iscsi_task *t)
{
    if (atomic_load(&rig->slow_ms))
        usleep(1000 * atomic_load(&rig->slow_ms));
    pthread_mutex_lock(&medium_lock);
    carry_out_alone(rig, t);
    pthread_mutex_unlock(&medium_lock);
}

static void carry_out_alone(struct rig *rig, struct iscsi_task *t)
{
    struct rig_task *p = priv(t);
    uint64_t lba = 0;
    uint32_t blocks = 0;
    (void)decode(t->cdb, &lba, &blocks);
    size_t len = (size_t)blocks * 512;
    uint8_t *at = rig->medium + lba * 512, *data = p->iov.iov_base;
    if (t->cdb[0] != 0x42)
        log_access(rig, t->cdb[0], lba, blocks);
    switch (t->cdb[0]) {
    case 0x28:
    case 0x88:
        memcpy(data, at, len);
        respond(t, 0, NULL, len, 0);
        return;
    case 0x2a:
    case 0x8a:
        memcpy(at, data, len);
        break;
    case 0x89:
        if (memcmp(at, data, len) != 0) {
            check_condition(t, 0x0e1d00);
            return;
        }
        memcpy(at, data + len, len);
        len *= 2;
        break;
    case 0x93:
        memset(at, 0, len);
        len = t->out_expected ? 512 : 0;
        break;
    case 0x42:
        unmap(rig, data, (size_t)t->out_expected);
        len = (size_t)t->out_expected;
        break;
    default:
        len = 0;
        break;
    }
    respond(t, 0, NULL, 0, len);
}

static size_t vpd(const struct rig *rig, uint8_t page, uint8_t *d)
{
    d[1] = page;
    switch (page) {
    case 0x00:
        memcpy(d + 4, "\x00\x80\xb0\xb2\x83", 5);
        d[3] = rig->naa ? 5 : 4;
        return 4u + d[3];
    case 0x83:
        if (!rig->naa)
            return 0;
        d[3] = 12 + 8 + 8;
        memcpy(d + 4, "\x01\x03\x00\x08", 4); /* NAA of the unit */
        be64_put(d + 8, rig->naa);
        memcpy(d + 16, "\x51\x94\x00\x04\x00\x00\x00\x01", 8); /* relative port */
        memcpy(d + 24, "\x51\x95\x00\x04\x00\x00\x00\x01", 8); /* port group */
        d[31] = (uint8_t)rig->group;
        return 32;
    case 0x80:
        d[3] = 6;
        memcpy(d + 4, "SERIAL", 6);
        return 10;
    case 0xb0:
        d[3] = 0x3c;
        d[5] = 255;             /* COMPARE AND WRITE */
        be32_put(d + 8, 256);   /* longest transfer */
        be32_put(d + 20, 1024); /* longest unmap */
        be32_put(d + 24, 2);    /* descriptors */
        be32_put(d + 28, 8);    /* granularity */
        be64_put(d + 36, 512);  /* longest WRITE SAME */
        return 64;
    case 0xb2:
        d[3] = 4;
        d[5] = 0xe4; /* LBPU, LBPWS, LBPWS10, LBPRZ */
        return 8;
    default:
        return 0;
    }
}

/* Parameter data; 0: there is none. */
static size_t parameters(const struct rig *rig, const uint8_t *cdb, uint8_t *d)
{
    memset(d, 0, 256);
    switch (cdb[0]) {
    case 0x12:
        if (cdb[1] & 1)
            return rig->no_vpd ? 0 : vpd(rig, cdb[2], d);
        memcpy(d, "\x00\x00\x06\x12\x1f\x00\x00\x02RIG     TEST DISK       1.0 ", 36);
        d[5] = rig->group ? 0x10 : 0; /* TPGS: implicit */
        return 36;
    case 0xa3: /* REPORT TARGET PORT GROUPS */
        if (!rig->group)
            return 0;
        be32_put(d, 12);
        d[4] = (uint8_t)rig->alua;
        d[5] = 0x0f;
        be16_put(d + 6, (uint16_t)rig->group);
        d[11] = 1;
        d[15] = 1;
        return 16;
    case 0x9e:
        if (cdb[1] == 0x12) { /* GET LBA STATUS */
            if (!rig->lba_status)
                return 0;
            be32_put(d, 20);
            memcpy(d + 8, rig->lba_descriptor, 16);
            return 24;
        }
        be64_put(d, rig->blocks - 1);
        be32_put(d + 8, rig->block_bytes);
        d[13] = 3;                     /* eight in a physical block */
        d[14] = rig->thick ? 0 : 0xc0; /* LBPME, LBPRZ */
        return 32;
    case 0x25:
        be32_put(d, (uint32_t)rig->blocks - 1);
        be32_put(d + 4, 512);
        return 8;
    case 0x1a:
        d[0] = 23;
        d[2] = (uint8_t)(0x10 | (rig->protected ? 0x80 : 0)); /* DPOFUA, WP */
        d[4] = 0x08;
        d[5] = 18;
        d[6] = 0x04; /* WCE */
        return 24;
    case 0xa0:
        be32_put(d, 8);
        return 16;
    default:
        return 0;
    }
}

/* What stands in the way of a command, if anything. */
static bool answered(struct rig *rig, struct iscsi_task *t, bool medium)
{
    uint8_t op = t->cdb[0];
    if (atomic_load(&rig->busy) > 0) {
        atomic_fetch_sub(&rig->busy, 1);
        respond(t, 8, NULL, 0, 0);
        return true;
    }
    if (atomic_load(&rig->attention) > 0 && op != 0x12 && op != 0xa0) {
        atomic_fetch_sub(&rig->attention, 1);
        check_condition(t, 0x060000 | atomic_load(&rig->attention_code));
        return true;
    }
    if (medium && rig->group && atomic_load(&rig->alua) > 1) { /* standby, unavailable, ... */
        int state = atomic_load(&rig->alua);
        check_condition(t, state == 2 ? 0x02040b : state == 3 ? 0x02040c : 0x02040a);
        return true;
    }
    if (medium && atomic_load(&rig->bad_sense)) {
        check_condition(t, (unsigned)atomic_load(&rig->bad_sense));
        return true;
    }
    if (op == 0x9e && atomic_load(&rig->capacity_busy) > 0) {
        atomic_fetch_sub(&rig->capacity_busy, 1);
        respond(t, 8, NULL, 0, 0);
        return true;
    }
    if (op == 0xa3 && atomic_load(&rig->groups_busy)) {
        atomic_fetch_add(&rig->groups_asked, 1);
        respond(t, 8, NULL, 0, 0);
        return true;
    }
    if (op == 0x9e && atomic_load(&rig->capacity_fails)) {
        check_condition(t, 0x044400);
        return true;
    }
    if ((t->lun || rig->gone) && op != 0xa0) {
        check_condition(t, 0x052500);
        return true;
    }
    if (op == 0x93 && rig->no_write_same) {
        check_condition(t, 0x052000);
        return true;
    }
    return false;
}

/* Is this the one to be cut at? */
static bool cut_here(struct rig *rig)
{
    int at = atomic_load(&rig->cut_at);
    if (at <= 0)
        return false;
    atomic_store(&rig->cut_at, at - 1);
    return at == 1;
}

static void command(struct rig_conn *c, struct iscsi_task *t)
{
    struct rig *rig = c->rig;
    struct rig_task *p = priv(t);
    uint64_t lba;
    uint32_t blocks;
    bool medium = decode(t->cdb, &lba, &blocks);
    atomic_fetch_add(&rig->commands, 1);
    if (cut_here(rig)) {
        c->cut_on_data = rig->cut_after && medium && t->write;
        c->cut = !c->cut_on_data;
        bool stays = atomic_load(&rig->recovery) == 2; /* the session, and the command with it */
        if (c->cut && rig->cut_after && !stays)
            carry_out(rig, t);
        if (c->cut && !stays)
            return;
    }
    if (answered(rig, t, medium))
        return;
    if (medium && atomic_load(&rig->mute) > 0 && atomic_fetch_sub(&rig->mute, 1) == 1) {
        atomic_fetch_add(&rig->muted, 1);
        return; /* for ever */
    }
    if (medium && lba + blocks > rig->blocks) {
        check_condition(t, 0x052100);
        return;
    }
    if (medium && t->write) {
        p->iov.iov_len = (size_t)t->out_expected;
        iscsi_task_want_data(t, &p->iov, 1, t->out_expected);
        return;
    }
    if (medium || t->cdb[0] == 0x00) {
        carry_out(rig, t);
        return;
    }
    size_t len = parameters(rig, t->cdb, p->iov.iov_base);
    if (len)
        respond(t, 0, NULL, len < t->in_expected ? len : (size_t)t->in_expected, 0);
    else
        check_condition(t, 0x052400);
}

/* ---- logins ---- */

static struct iscsi_auth auth(const struct rig *rig, bool known)
{
    return (struct iscsi_auth){ .required = rig->user != NULL,
                                .user = known ? rig->user : NULL,
                                .secret = known ? rig->secret : NULL,
                                .target_user = rig->target_user,
                                .target_secret = rig->target_secret };
}

static void login_target(struct rig_conn *c, const struct iscsi_event *ev)
{
    struct rig_portal *p = c->portal;
    int to = atomic_load(&p->redirect_to), refuse = atomic_load(&p->refuse);
    struct iscsi_auth a = auth(c->rig, false);
    if (refuse) {
        iscsi_tconn_login_reject(c->core, (uint16_t)refuse);
    } else if (!ev->discovery && strcmp(ev->target_name, RIG_TARGET) != 0) {
        iscsi_tconn_login_reject(c->core, 0x0203);
    } else if (to >= 0 && !ev->discovery) {
        char address[64];
        snprintf(address, sizeof(address), "127.0.0.1:%u,1", c->rig->portals[to].port);
        const char *text = atomic_load(&p->redirect_text);
        iscsi_tconn_login_redirect(c->core, text ? text : address, p->permanent);
    } else {
        iscsi_tconn_login_accept(c->core, &a, NULL);
    }
}

static void send_targets(struct rig_conn *c)
{
    char a[64], b[64];
    snprintf(a, sizeof(a), "127.0.0.1:%u,1", c->rig->portals[0].port);
    snprintf(b, sizeof(b), "127.0.0.1:%u,2", c->rig->portals[1].port);
    const char *const both[] = { a, b, NULL }, *const one[] = { b, NULL };
    iscsi_tconn_target_record(c->core, RIG_TARGET, both);
    iscsi_tconn_target_record(c->core, RIG_TARGET "2", one);
    iscsi_tconn_targets_end(c->core);
}

static void free_session(struct rig *rig, struct rig_sess *s);

static struct rig_sess *find_session(const struct rig *rig, uint16_t tsih)
{
    list_for_each (&rig->sessions, pos) {
        struct rig_sess *s = list_entry(pos, struct rig_sess, node);
        if (iscsi_tsess_tsih(s->core) == tsih)
            return s;
    }
    return NULL;
}

/* A new login of the initiator port ends its old session (RFC 7143 6.3.5). */
static void end_old_session(struct rig *rig)
{
    list_for_each_safe (&rig->sessions, pos) {
        struct rig_sess *s = list_entry(pos, struct rig_sess, node);
        if (s->conns == 0)
            free_session(rig, s);
    }
}

static void bind_session(struct rig_conn *c, const struct iscsi_event *ev)
{
    struct rig *rig = c->rig;
    c->sess = ev->tsih ? find_session(rig, ev->tsih) : NULL;
    if (ev->tsih && !c->sess) {
        iscsi_tconn_login_reject(c->core, 0x020a); /* session does not exist */
        return;
    }
    if (!c->sess) {
        end_old_session(rig);
        c->sess = calloc(1, sizeof(*c->sess));
        assert(c->sess);
        c->sess->core = iscsi_tsess_new(c->core, ++rig->tsih, &alloc_heap);
        assert(c->sess->core);
        list_push_back(&rig->sessions, &c->sess->node);
        uint64_t isid = 0;
        for (unsigned i = 0; i < 6; i++)
            isid = isid << 8 | ev->isid[i];
        atomic_store(&rig->isid, isid);
    }
    c->sess->conns++;
    iscsi_tconn_bind(c->core, c->sess->core);
    atomic_fetch_add(&c->portal->logins, 1);
}

static void drop_task(struct iscsi_task *t)
{
    free(priv(t)->iov.iov_base);
    priv(t)->iov.iov_base = NULL;
    bool gone = iscsi_task_drop(t);
    assert(gone);
    (void)gone;
}

/* Of the session's tasks only those that are never answered are still there. */
static void task_management(struct rig_conn *c, struct iscsi_task *tmf)
{
    struct rig *rig = c->rig;
    int response = atomic_load(tmf->tmf == 1 ? &rig->abort_response : &rig->reset_response);
    atomic_fetch_add(tmf->tmf == 1 ? &rig->aborts : &rig->resets, 1);
    if (response < 0)
        return;
    struct iscsi_task *next = NULL;
    for (struct iscsi_task *t = iscsi_tsess_next_task(c->sess->core, NULL); !response && t;
         t = next) {
        next = iscsi_tsess_next_task(c->sess->core, t);
        if (t != tmf && !t->tmf && (tmf->tmf == 5 || t->itt == tmf->ref_itt))
            drop_task(t);
    }
    iscsi_task_respond_tmf(tmf, (uint8_t)response);
}

static void on_event(struct rig_conn *c, const struct iscsi_event *ev)
{
    struct iscsi_auth a;
    switch (ev->type) {
    case ISCSI_EV_LOGIN_TARGET:
        login_target(c, ev);
        break;
    case ISCSI_EV_LOGIN_USER:
        a = auth(c->rig, c->rig->user && strcmp(c->rig->user, ev->user) == 0);
        iscsi_tconn_login_secret(c->core, &a);
        break;
    case ISCSI_EV_LOGIN_BIND:
        bind_session(c, ev);
        break;
    case ISCSI_EV_SEND_TARGETS:
        send_targets(c);
        break;
    case ISCSI_EV_COMMAND:
        priv(ev->task)->iov.iov_base = malloc(DATA_MAX);
        assert(priv(ev->task)->iov.iov_base);
        command(c, ev->task);
        break;
    case ISCSI_EV_DATA:
        carry_out(c->rig, ev->task);
        c->cut = c->cut || c->cut_on_data;
        break;
    case ISCSI_EV_TMF:
        task_management(c, ev->task);
        break;
    case ISCSI_EV_SENT:
        free(priv(ev->task)->iov.iov_base);
        priv(ev->task)->iov.iov_base = NULL;
        break;
    case ISCSI_EV_LOGGED_IN:
    case ISCSI_EV_LOGOUT_OTHER:
        break;
    case ISCSI_EV_CLOSE:
        c->closing = true;
        c->retained = ev->retained;
        break;
    }
}

/* ---- sessions without connections ---- */

static void session_events(struct rig *rig, struct rig_sess *s)
{
    struct iscsi_tsess_event ev;
    while (iscsi_tsess_next(s->core, &ev)) {
        switch (ev.type) {
        case ISCSI_TSESS_EV_SENT:
            free(priv(ev.task)->iov.iov_base);
            priv(ev.task)->iov.iov_base = NULL;
            break;
        case ISCSI_TSESS_EV_DATA:
            carry_out(rig, ev.task);
            break;
        case ISCSI_TSESS_EV_TASK_LOST:
            drop_task(ev.task);
            break;
        case ISCSI_TSESS_EV_DOWN:
            s->over = true;
            break;
        }
    }
}

static void look_after_sessions(struct rig *rig)
{
    uint64_t at = TIME_NEVER;
    list_for_each_safe (&rig->sessions, pos) {
        struct rig_sess *s = list_entry(pos, struct rig_sess, node);
        session_events(rig, s);
        if (s->over && s->conns == 0)
            free_session(rig, s);
        else
            at = time_min(at, iscsi_tsess_deadline(s->core));
    }
    int err = loop_timer_set(rig->loop, &rig->clock, at);
    assert(!err);
    (void)err;
}

static void clock_fired(struct loop_timer *t)
{
    struct rig *rig = list_entry(t, struct rig, clock);
    list_for_each_safe (&rig->sessions, pos)
        iscsi_tsess_tick(list_entry(pos, struct rig_sess, node)->core, clock_now_ns());
    look_after_sessions(rig);
}

/* ---- connections ---- */

static void pull(struct rig_conn *c)
{
    struct iscsi_event ev;
    while (iscsi_tconn_next(c->core, &ev))
        on_event(c, &ev);
}

static void send_all(struct rig_conn *c)
{
    struct iovec iov[64];
    int n;
    while ((n = iscsi_tconn_tx(c->core, iov, 64)) > 0) {
        struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)n };
        ssize_t sent = sendmsg(c->lfd.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            c->lfd.events = LOOP_IN | LOOP_OUT;
            loop_fd_update(&c->lfd);
            return;
        }
        if (sent < 0) {
            c->closing = true;
            return;
        }
        iscsi_tconn_tx_done(c->core, (size_t)sent, clock_now_ns());
        pull(c);
    }
    if (c->lfd.events & LOOP_OUT) {
        c->lfd.events = LOOP_IN;
        loop_fd_update(&c->lfd);
    }
}

/* Those of a connection, or without one (NULL). */
static void drop_tasks(struct rig_sess *s, const struct iscsi_tconn *conn)
{
    struct iscsi_task *next = NULL;
    for (struct iscsi_task *t = iscsi_tsess_next_task(s->core, NULL); t; t = next) {
        next = iscsi_tsess_next_task(s->core, t);
        if (iscsi_task_conn(t) == conn)
            drop_task(t);
    }
}

static void free_session(struct rig *rig, struct rig_sess *s)
{
    if (!s->over)
        iscsi_tsess_close(s->core, false, "ended");
    session_events(rig, s);
    drop_tasks(s, NULL);
    list_del(&s->node);
    iscsi_tsess_free(s->core);
    free(s);
}

static void conn_cut(struct rig_conn *c)
{
    struct rig *rig = c->rig;
    loop_fd_del(&c->lfd);
    close(c->lfd.fd);
    iscsi_tconn_rx_eof(c->core);
    pull(c);
    if (c->sess && !c->retained)
        drop_tasks(c->sess, c->core);
    iscsi_tconn_free(c->core);
    list_del(&c->node);
    if (c->sess && --c->sess->conns == 0 && !c->retained)
        free_session(rig, c->sess);
    free(c);
    look_after_sessions(rig);
}

/* What happens on one connection may make others of its session busy. */
static void look_after_others(struct rig_conn *c)
{
    struct iscsi_tconn *other;
    while (c->sess && (other = iscsi_tsess_take_kick(c->sess->core))) {
        list_for_each (&c->rig->conns, pos) {
            struct rig_conn *o = list_entry(pos, struct rig_conn, node);
            if (o->core != other || o == c)
                continue;
            pull(o);
            if (!o->cut)
                send_all(o);
            if (o->closing)
                (void)shutdown(o->lfd.fd, SHUT_RDWR);
        }
    }
}

static bool ready(struct loop_fd *lfd, uint32_t events)
{
    struct rig_conn *c = list_entry(lfd, struct rig_conn, lfd);
    struct iovec iov[ISCSI_RX_IOV_MAX];
    (void)atomic_load(&c->rig->turn);
    if (c->frozen || atomic_load(&c->rig->freeze)) { /* it stays so, whatever comes */
        c->frozen = true;
        lfd->events = 0;
        loop_fd_update(lfd);
        return true;
    }
    if (events & (LOOP_IN | LOOP_HUP)) {
        int n = iscsi_tconn_rx_space(c->core, c->rx, RX_BYTES, iov);
        struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)n };
        ssize_t got = n ? recvmsg(lfd->fd, &msg, MSG_DONTWAIT) : 0;
        if (got < 0 && errno == EAGAIN)
            return false;
        if (got <= 0) {
            conn_cut(c);
            return true;
        }
        iscsi_tconn_rx(c->core, (size_t)got, clock_now_ns());
        pull(c);
    }
    atomic_fetch_add(&c->rig->turn, 1); /* before it can be seen: rig_disk() */
    look_after_others(c);
    look_after_sessions(c->rig);
    if (!c->cut)
        send_all(c);
    if (c->closing || c->cut)
        conn_cut(c);
    return true;
}

static bool accept_one(struct loop_fd *lfd, uint32_t events)
{
    struct rig_portal *p = list_entry(lfd, struct rig_portal, lfd);
    int fd;
    (void)events;
    if (sock_accept(lfd->fd, &fd))
        return false;
    struct rig_conn *c = calloc(1, sizeof(*c));
    assert(c);
    struct iscsi_tconn_config cfg = { .params = iscsi_params_default,
                                      .portal_group_tag = 1,
                                      .queue_depth = 64,
                                      .task_priv_bytes = sizeof(struct rig_task),
                                      .login_timeout_ns = 10 * NS_PER_SEC,
                                      .seed = { 1 },
                                      .address = "127.0.0.1:1" };
    cfg.params.time2wait = (uint16_t)atomic_load(&p->rig->time2wait);
    cfg.params.error_recovery_level = (uint8_t)atomic_load(&p->rig->recovery);
    cfg.params.time2retain = cfg.params.error_recovery_level == 2 ? 5 : 0;
    cfg.params.max_connections = (uint16_t)atomic_load(&p->rig->max_connections);
    cfg.params.header_digest = cfg.params.data_digest = true;
    atomic_fetch_add(&p->connections, 1);
    c->rig = p->rig;
    c->portal = p;
    c->core = iscsi_tconn_new(&cfg, &alloc_heap, clock_now_ns());
    c->lfd = (struct loop_fd){ .fd = fd, .events = LOOP_IN, .ready = ready };
    assert(c->core);
    int err = loop_fd_add(p->rig->loop, &c->lfd);
    assert(!err);
    (void)err;
    list_push_back(&p->rig->conns, &c->node);
    return true;
}

/* ---- the whole ---- */

static void listen_on(struct rig *rig, struct rig_portal *p)
{
    char address[32];
    int fd;
    snprintf(address, sizeof(address), "127.0.0.1:%u", p->port);
    int err = sock_listen(address, 16, &fd, NULL);
    assert(!err);
    p->port = sock_local_port(fd);
    p->lfd = (struct loop_fd){ .fd = fd, .events = LOOP_IN, .ready = accept_one };
    err = loop_fd_add(rig->loop, &p->lfd);
    assert(!err);
    (void)err;
}

static void close_all(struct rig *rig)
{
    for (unsigned i = 0; i < RIG_PORTALS; i++) {
        if (rig->portals[i].lfd.fd < 0)
            continue;
        loop_fd_del(&rig->portals[i].lfd);
        close(rig->portals[i].lfd.fd);
        rig->portals[i].lfd.fd = -1;
    }
    while (!list_empty(&rig->conns))
        conn_cut(list_entry(rig->conns.next, struct rig_conn, node));
    while (!list_empty(&rig->sessions))
        free_session(rig, list_entry(rig->sessions.next, struct rig_sess, node));
    loop_timer_cancel(rig->loop, &rig->clock);
}

static void listen_all(struct rig *rig)
{
    for (unsigned i = 0; i < RIG_PORTALS; i++)
        listen_on(rig, &rig->portals[i]);
}

struct rig *rig_start(void)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert(rig);
    const struct loop_config lc = { .engine = LOOP_ENGINE_EPOLL,
                                    .poll = LOOP_POLL_NEVER,
                                    .cpu = -1 };
    list_init(&rig->conns);
    list_init(&rig->sessions);
    loop_timer_init(&rig->clock, clock_fired);
    rig->medium = rig->disk;
    atomic_store(&rig->blocks, RIG_BLOCKS);
    atomic_store(&rig->block_bytes, 512);
    atomic_store(&rig->max_connections, 8);
    int err = loop_new(&lc, &rig->loop, NULL);
    assert(!err);
    for (unsigned i = 0; i < RIG_PORTALS; i++) {
        rig->portals[i].rig = rig;
        atomic_store(&rig->portals[i].redirect_to, -1);
    }
    listen_all(rig);
    err = thread_start_loop(&rig->thread, "rig", rig->loop, NULL);
    assert(!err);
    (void)err;
    return rig;
}

struct rig *rig_start_beside(struct rig *other)
{
    struct rig *rig = rig_start();
    rig->medium = other->medium;
    rig_touched(rig);
    return rig;
}

void rig_stop(struct rig *rig)
{
    loop_stop(rig->loop);
    thread_join(&rig->thread);
    close_all(rig);
    loop_free(rig->loop);
    free(rig);
}

struct call {
    struct loop_msg msg;
    struct rig *rig;
    void (*f)(struct rig *rig);
    atomic_bool over;
};

static void deliver(struct loop_msg *m)
{
    struct call *call = list_entry(m, struct call, msg);
    call->f(call->rig);
    atomic_store(&call->over, true);
}

void rig_call(struct rig *rig, void (*f)(struct rig *rig))
{
    struct call call = { .msg.deliver = deliver, .rig = rig, .f = f };
    loop_post(rig->loop, &call.msg);
    while (!atomic_load(&call.over))
        usleep(100);
}

void rig_ask_logout(struct rig *rig)
{
    list_for_each (&rig->conns, pos) {
        struct rig_conn *c = list_entry(pos, struct rig_conn, node);
        bool busy = false;
        for (struct iscsi_task *t = c->sess ? iscsi_tsess_next_task(c->sess->core, NULL) : NULL; t;
             t = iscsi_tsess_next_task(c->sess->core, t))
            busy |= iscsi_task_conn(t) == c->core;
        if (!busy)
            continue;
        iscsi_tconn_ask_logout(c->core, 1);
        send_all(c);
    }
}

void rig_slow(struct rig *rig, unsigned ms)
{
    atomic_store(&rig->slow_ms, ms);
}

void rig_down(struct rig *rig)
{
    rig_call(rig, close_all);
}

void rig_up(struct rig *rig)
{
    rig_call(rig, listen_all);
}

uint8_t *rig_disk(struct rig *rig)
{
    (void)atomic_load(&rig->turn);
    return rig->disk;
}

void rig_touched(struct rig *rig)
{
    atomic_fetch_add(&rig->turn, 1);
}

void rig_url(const struct rig *rig, unsigned portal, const char *options, struct ini_url *ret_url)
{
    char text[512];
    struct err_text e = { "" };
    snprintf(text, sizeof(text), "iscsi://127.0.0.1:%u/" RIG_TARGET "/0%s",
             rig->portals[portal].port, options);
    int err = ini_url_parse(text, ret_url, &e);
    if (err)
        fprintf(stderr, "%s: %s\n", text, e.text);
    assert(!err);
}
