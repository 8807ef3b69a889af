/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The order of commands over several connections: what task attributes promise (SAM-6 8.6). */
#include "irig_cmd.h"

#include "base/bytes.h"

enum { ATTR_SIMPLE = 1, ATTR_ORDERED = 2, ATTR_HEAD_OF_QUEUE = 3, CONNS = 3 };

static struct irig *rig[CONNS];

static void begin(char level)
{
    rig[0] = irig_erl(level, false);
    for (uint16_t i = 1; i < CONNS; i++)
        rig[i] = irig_joined(rig[0], i);
}

static void submit(struct irig_cmd *m, uint8_t attr, uint32_t len)
{
    irig_make(m, len, 0);
    m->c.attr = attr;
    assert_int_equal(iscsi_isess_submit(rig[0]->sess, &m->c), 0);
}

/* What this connection alone has to send now: commands without data, by ATTR and CmdSN. */
static unsigned sent(unsigned i, uint8_t attr[], uint32_t cmd_sn[])
{
    struct iovec iov[8];
    unsigned n = 0;
    for (int count; (count = iscsi_iconn_tx(rig[i]->conn, iov, 8)) > 0;) {
        for (int k = 0; k < count; k++) {
            const uint8_t *bhs = iov[k].iov_base;
            assert_int_equal(iov[k].iov_len, ISCSI_BHS_LEN);
            assert_int_equal(bhs[0] & 0x3f, ISCSI_OP_SCSI_COMMAND);
            attr[n] = bhs[1] & 7;
            cmd_sn[n++] = be32_get(bhs + 24);
            iscsi_iconn_tx_done(rig[i]->conn, ISCSI_BHS_LEN, rig[0]->now_ns);
        }
    }
    return n;
}

/* The same of all of them, after they have run. */
static unsigned came(uint8_t attr[], uint32_t cmd_sn[])
{
    struct irig_pdu p;
    unsigned n = 0;
    irig_run(rig[0]);
    for (unsigned i = 0; i < CONNS; i++) {
        while (irig_next(rig[i], &p)) {
            assert_int_equal(p.bhs[0] & 0x3f, ISCSI_OP_SCSI_COMMAND);
            attr[n] = p.bhs[1] & 7;
            cmd_sn[n++] = be32_get(p.bhs + 24);
        }
    }
    return n;
}

/* Each connection has one command that it has not sent; then comes one of this attribute, and more.
 * Connections send last first. */
static void overtaken(uint8_t attr, bool overtakes)
{
    static struct irig_cmd m[CONNS + 4];
    uint8_t attrs[8];
    uint32_t first, sn[8], at = 0, highest = 0;
    unsigned before = 0, after = 0;
    begin('2');
    first = rig[0]->exp_cmd_sn;
    for (unsigned i = 0; i < CONNS; i++)
        submit(&m[i], ATTR_SIMPLE, 100);
    submit(&m[CONNS], attr, 100);
    for (unsigned i = 1; i < 4; i++)
        submit(&m[CONNS + i], ATTR_SIMPLE, 200);
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = CONNS; i-- > 0;) {
            unsigned n = sent(i, attrs, sn);
            for (unsigned k = 0; k < n; k++) {
                highest = sn[k] - first > highest ? sn[k] - first : highest;
                if (attrs[k] == attr) {
                    at = sn[k] - first;
                    assert_int_equal(after, 0);
                    after = 1;
                } else if (after) {
                    assert_true(sn[k] - first > at);
                    after++;
                } else {
                    before++;
                }
            }
        }
    }
    assert_int_equal(highest, CONNS + 3); /* all went out, one after the other */
    assert_int_equal(after, 4);
    assert_true(overtakes ? before <= CONNS : before == CONNS);
    irig_free(rig[0]);
}

static void ordered(void **st)
{
    (void)st;
    overtaken(ATTR_ORDERED, false);
}

static void head_of_queue(void **st)
{
    (void)st;
    overtaken(ATTR_HEAD_OF_QUEUE, true);
}

/* One that waits goes on when those before it are taken back, or their connection is gone. */
static void set_free(void **st)
{
    (void)st;
    for (unsigned cut = 0; cut < 2; cut++) {
        static struct irig_cmd m[2];
        uint8_t attrs[8];
        uint32_t sn[8];
        begin('2');
        submit(&m[0], ATTR_SIMPLE, 100);
        submit(&m[1], ATTR_ORDERED, 100);
        assert_int_equal(iscsi_isess_queued(rig[0]->sess), 1);
        if (cut) { /* the first one comes back, and is sent before the other still */
            struct irig *first = NULL;
            for (unsigned i = 0; i < CONNS; i++)
                first = iscsi_iconn_load(rig[i]->conn) ? rig[i] : first;
            assert_non_null(first);
            irig_cut(first);
        } else {
            assert_int_equal(iscsi_isess_cancel(rig[0]->sess, &m[0].c, rig[0]->now_ns), 0);
            assert_int_equal(iscsi_isess_queued(rig[0]->sess), 0);
        }
        unsigned n = came(attrs, sn), last = n == 2 && sn[0] == sn[1] + 1 ? 0 : n - 1;
        assert_int_equal(n, cut ? 2 : 1);
        assert_int_equal(attrs[last], ATTR_ORDERED);
        irig_free(rig[0]);
    }
}

/* Their session fails, all connections with it, when they have numbers and nothing has gone out:
 * the next login sends them as they were submitted, whichever connection had them. */
static void come_back(void **st)
{
    (void)st;
    for (unsigned special = 0; special < 2 * CONNS; special++) {
        static struct irig_cmd m[2 * CONNS];
        struct iovec iov[8];
        begin('1');
        struct irig *r = rig[0];
        for (unsigned i = 0; i < 2 * CONNS; i++) {
            irig_make(&m[i], 100, 0);
            m[i].c.lun = (uint64_t)i << 48;
            m[i].c.attr = i == special ? ATTR_ORDERED : ATTR_SIMPLE;
            assert_int_equal(iscsi_isess_submit(r->sess, &m[i].c), 0);
            for (unsigned k = 0; k < CONNS; k++)
                (void)iscsi_iconn_tx(rig[k]->conn, iov, 8);
        }
        assert_int_equal(iscsi_isess_queued(r->sess), 0);
        for (unsigned k = 0; k < CONNS; k++)
            iscsi_iconn_lost(rig[k]->conn, USAN_ECLOSED);
        irig_cut(r);
        assert_int_equal(r->down, 1);
        assert_int_equal(r->done, 0);
        assert_int_equal(iscsi_isess_queued(r->sess), 2 * CONNS);
        struct irig *c = irig_join(r, CONNS);
        r->exp_cmd_sn += CONNS << 16; /* a new session has new numbers */
        irig_join_login(c, IRIG_ERL("1"));
        for (unsigned i = 0; i < 2 * CONNS; i++) {
            const struct irig_pdu p = irig_expect(c, ISCSI_OP_SCSI_COMMAND);
            assert_int_equal(bhs_lun(p.bhs) >> 48, i);
            assert_int_equal(p.bhs[1] & 7, m[i].c.attr);
        }
        irig_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordered),
        cmocka_unit_test(head_of_queue),
        cmocka_unit_test(set_free),
        cmocka_unit_test(come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
