/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target_rig_parts.h"

#include "base/bytes.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

static void respond(struct iscsi_task *t, uint8_t status, const uint8_t *sense, size_t in_len,
                    size_t out_used)
{
    struct rig_task *p = rig_priv(t);
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
    uint8_t *s = rig_priv(t)->sense;
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
void rig_carry_out(struct rig *rig, struct iscsi_task *t)
{
    if (atomic_load(&rig->slow_ms))
        usleep(1000 * atomic_load(&rig->slow_ms));
    pthread_mutex_lock(&medium_lock);
    carry_out_alone(rig, t);
    pthread_mutex_unlock(&medium_lock);
}

static void carry_out_alone(struct rig *rig, struct iscsi_task *t)
{
    struct rig_task *p = rig_priv(t);
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

void rig_command(struct rig_conn *c, struct iscsi_task *t)
{
    struct rig *rig = c->rig;
    struct rig_task *p = rig_priv(t);
    uint64_t lba;
    uint32_t blocks;
    bool medium = decode(t->cdb, &lba, &blocks);
    atomic_fetch_add(&rig->commands, 1);
    if (cut_here(rig)) {
        c->cut_on_data = rig->cut_after && medium && t->write;
        c->cut = !c->cut_on_data;
        bool stays = atomic_load(&rig->recovery) == 2; /* the session, and the command with it */
        if (c->cut && rig->cut_after && !stays)
            rig_carry_out(rig, t);
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
        rig_carry_out(rig, t);
        return;
    }
    size_t len = parameters(rig, t->cdb, p->iov.iov_base);
    if (len)
        respond(t, 0, NULL, len < t->in_expected ? len : (size_t)t->in_expected, 0);
    else
        check_condition(t, 0x052400);
}
