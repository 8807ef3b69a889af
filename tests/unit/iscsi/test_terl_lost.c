/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Recovery level 2, target role: connections that are lost, and their commands taken over by
 * others (RFC 7143 7.1.4, 7.2.2). */
#include "terl_rig.h"

#include <string.h>

static uint8_t data[16384];

/* The session's tasks wait: lost, and the login with the same CID has cleaned up. */
static struct rig *come_back(struct rig *lead, uint16_t cid)
{
    struct rig *r = rig_join(lead, cid);
    rig_login(r, KEYS("MaxRecvDataSegmentLength=1024"));
    return r;
}

static void lose(struct rig *r)
{
    rig_cut(r);
    assert_true(r->retained);
    iscsi_tconn_free(r->conn);
    r->conn = NULL;
}

static void test_level_below_2_has_no_reassignment(void **state)
{
    (void)state;
    for (uint8_t level = 0; level < 2; level++) {
        struct rig *r = erl_rig(level, KEYS("ImmediateData=No"));
        r->hold_commands = true;
        uint32_t itt = erl_command(r, false, 0, 1);
        assert_int_equal(erl_reassign(r, itt, 0), ISCSI_TMF_RSP_NO_REASSIGN);
        assert_int_equal(r->tmfs, 0);             /* the owner is not asked */
        assert_int_equal(erl_logout(r, 2, 0), 2); /* recovery is not supported */
        rig_cut(r);
        assert_false(r->retained);
        rig_free(r);
    }
}

/* A read that was with the owner, or answered and not heard of, or half sent. */
static void test_reads_go_on(void **state)
{
    (void)state;
    for (int when = 0; when < 5; when++) {
        struct rig *r = erl_rig(2, KEYS("MaxRecvDataSegmentLength=1024"));
        r->hold_commands = r->deaf = true;
        uint32_t itt = erl_command(r, false, 20, 16), from = 0;
        if (when == 1) /* answered, nothing of it sent */
            rig_serve(r, r->held[0]);
        if (when >= 2) { /* 2: all was sent, 3: some of it, 4: all, and it has three PDUs */
            r->deaf = false;
            rig_serve(r, r->held[0]);
            if (when == 3) {
                struct iovec v[2];
                assert_true(iscsi_tconn_tx(r->conn, v, 2) > 0);
                iscsi_tconn_tx_done(r->conn, v[0].iov_len, r->now_ns);
            } else {
                rig_run(r);
            }
            from = when == 4 ? 3 : 0;
        }
        lose(r);
        assert_string_equal(iscsi_tsess_state(r->sess), "Q4 FAILED");
        assert_int_equal(r->sent_events + r->session_sent, 0);
        if (when == 0) /* the owner goes on, and finds nobody to tell */
            rig_serve(r, r->held[0]);
        struct rig *n = come_back(r, 0);
        assert_int_equal(erl_reassign(n, itt, from), ISCSI_TMF_RSP_COMPLETE);
        (void)erl_read_rest(n, itt, 20, from, from * 1024, 8192);
        erl_expect_nothing(n);
        assert_int_equal(n->sent_events + r->session_sent, 0);
        erl_ack(n, n->exp_stat_sn);
        erl_snack(n, PDU_SNACK_DATA, itt, ISCSI_TAG_NONE, 0, 0); /* all has been acknowledged */
        erl_expect_reject(n, ISCSI_REJECT_PROTOCOL_ERROR);
        assert_int_equal(n->sent_events, 1);
        assert_int_equal(iscsi_tsess_task_count(r->sess), 0);
        rig_free(n);
        rig_free(r);
    }
}

/* On a connection with other segments: from the byte that was acknowledged. */
static void test_other_segments(void **state)
{
    (void)state;
    for (uint32_t exp = 0; exp < 9; exp++) {
        struct rig *r = erl_rig(2, KEYS("MaxRecvDataSegmentLength=1024\0MaxBurstLength=2048"));
        uint32_t itt = erl_command(r, false, 20, 16);
        r->loose = true;
        r->exp_stat_sn = 0;
        lose(r);
        struct rig *n = rig_join(r, 0);
        rig_login(n, KEYS("MaxRecvDataSegmentLength=1536"));
        assert_int_equal(erl_reassign(n, itt, exp), ISCSI_TMF_RSP_COMPLETE);
        struct rig_pdu p = erl_read_rest(n, itt, 20, exp, exp * 1024, 8192);
        assert_int_equal(p.opcode, exp == 8 ? ISCSI_OP_SCSI_RESPONSE : ISCSI_OP_DATA_IN);
        n->loose = true;
        n->exp_stat_sn = bhs_stat_sn(p.bhs);
        if (exp < 8) { /* SNACK works on the new PDUs */
            erl_snack(n, PDU_SNACK_DATA, itt, ISCSI_TAG_NONE, exp, 1);
            assert_int_equal(be32_get(rig_expect(n, ISCSI_OP_DATA_IN).bhs + 40), exp * 1024);
        }
        erl_snack(n, PDU_SNACK_STATUS, ISCSI_TAG_NONE, ISCSI_TAG_NONE, bhs_stat_sn(p.bhs), 1);
        struct rig_pdu q = rig_expect(n, p.opcode);
        assert_int_equal(bhs_stat_sn(q.bhs), bhs_stat_sn(p.bhs));
        rig_free(n);
        rig_free(r);
    }
}

/* ExpDataSN that was never sent is ignored; a DataACK from before still holds. */
static void test_exp_data_sn(void **state)
{
    (void)state;
    struct rig *r = erl_rig(2, KEYS("MaxRecvDataSegmentLength=1024\0MaxBurstLength=2048"));
    r->loose = true;
    uint32_t itt = erl_command(r, false, 20, 16), ttt = ISCSI_TAG_NONE;
    for (struct rig_pdu p; rig_next(r, &p);)
        if (p.bhs[1] & PDU_DATA_IN_ACK)
            ttt = bhs_ttt(p.bhs);
    erl_snack(r, PDU_SNACK_DATA_ACK, ISCSI_TAG_NONE, ttt, 2, 0);
    lose(r);
    struct rig *n = come_back(r, 0);
    assert_int_equal(erl_reassign(n, itt, 99), ISCSI_TMF_RSP_COMPLETE);
    (void)erl_read_rest(n, itt, 20, 2, 2048, 8192);
    lose(n);
    struct rig *m = come_back(r, 0);
    assert_int_equal(erl_reassign(m, itt, 1), ISCSI_TMF_RSP_COMPLETE);
    (void)erl_read_rest(m, itt, 20, 2, 2048, 8192);
    rig_free(m);
    rig_free(n);
    rig_free(r);
}

/* ---- writes ---- */

static void send_data(struct rig *r, uint32_t itt, uint32_t ttt, uint32_t sn, uint32_t off,
                      uint32_t len, bool final)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    rig_data_out(bhs, itt, ttt, sn, off, final);
    rig_send(r, bhs, NULL, 0, data + off, len);
}

/* What came is not asked for again; what was asked for, and did not come, is. */
static void test_writes_go_on(void **state)
{
    (void)state;
    for (int when = 0; when < 4; when++) {
        struct rig *r = erl_rig(2, KEYS("InitialR2T=Yes\0ImmediateData=Yes\0MaxBurstLength=1024\0"
                                        "MaxOutstandingR2T=2\0DataSequenceInOrder=No"));
        uint8_t bhs[ISCSI_BHS_LEN];
        struct pdu_r2t q[2];
        r->hold_commands = when == 3; /* the owner has not even said where it goes */
        rig_rw(r, bhs, true, true, 10, 8);
        uint32_t itt = bhs_itt(bhs), off = 512, exp = 0;
        rig_send(r, bhs, NULL, 0, data, 512);
        for (unsigned i = 0; i < 2 && when < 3; i++)
            q[i] = pdu_r2t_decode(rig_expect(r, ISCSI_OP_R2T).bhs);
        if (when == 1) { /* one sequence came, the other in part */
            send_data(r, itt, q[0].ttt, 0, q[0].offset, q[0].len, true);
            send_data(r, itt, q[1].ttt, 0, q[1].offset, 512, false);
            off = 2048;
            exp = 2; /* a third R2T was sent, but say it was not heard of */
        }
        if (when == 2) { /* the initiator says nothing about R2Ts: go on behind the one answered */
            send_data(r, itt, q[0].ttt, 0, q[0].offset, q[0].len, true);
            off = 1536;
        }
        lose(r);
        if (when == 3)
            rig_serve(r, r->held[0]);
        struct rig *n = come_back(r, 0);
        assert_int_equal(erl_reassign(n, itt, exp), ISCSI_TMF_RSP_COMPLETE);
        uint32_t sn = when == 1 ? 2 : when == 2 ? 1 : 0;
        struct rig_pdu p;
        while (rig_next(n, &p) && p.opcode == ISCSI_OP_R2T) {
            q[0] = pdu_r2t_decode(p.bhs);
            assert_int_equal(q[0].r2t_sn, sn++);
            assert_int_equal(q[0].offset, off);
            off += q[0].len;
            send_data(n, itt, q[0].ttt, 0, q[0].offset, q[0].len, true);
        }
        assert_int_equal(off, 4096);
        assert_int_equal(p.opcode, ISCSI_OP_SCSI_RESPONSE);
        assert_int_equal(p.bhs[3], 0);
        assert_memory_equal(r->disk + 10 * RIG_BLOCK, data, 4096);
        assert_int_equal(r->commands + n->commands, 1);
        rig_free(n);
        rig_free(r);
    }
}

/* A write whose status was not heard of: only the answer is there. */
static void test_status_goes_over(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct rig *r = erl_rig(2, KEYS("ImmediateData=Yes"));
        uint8_t bhs[ISCSI_BHS_LEN];
        rig_rw(r, bhs, true, true, 10, 1);
        if (how == 1)
            bhs[32] = 0; /* CHECK CONDITION with sense data */
        uint32_t itt = bhs_itt(bhs);
        rig_send(r, bhs, NULL, 0, data, 512);
        struct rig_pdu first = rig_expect(r, ISCSI_OP_SCSI_RESPONSE);
        assert_int_equal(iscsi_tsess_task_count(r->sess), 0);
        lose(r);
        struct rig *n = come_back(r, 0);
        if (how == 2) { /* lost once more before it is sent */
            n->deaf = true;
            rig_request(n, bhs, ISCSI_OP_TMF_REQUEST, true);
            bhs[1] = 0x80 | ISCSI_TMF_TASK_REASSIGN;
            be32_put(bhs + 20, itt);
            rig_send(n, bhs, NULL, 0, NULL, 0);
            lose(n);
            rig_free(n);
            n = come_back(r, 0);
        }
        assert_int_equal(erl_reassign(n, itt, 0), ISCSI_TMF_RSP_COMPLETE);
        struct rig_pdu p = rig_expect(n, ISCSI_OP_SCSI_RESPONSE);
        assert_int_equal(bhs_itt(p.bhs), itt);
        assert_int_equal(p.bhs[3], how == 1 ? 2 : 0);
        assert_int_equal(p.data_len, first.data_len);
        assert_memory_equal(p.data, first.data, p.data_len);
        n->loose = true;
        n->exp_stat_sn--;
        erl_snack(n, PDU_SNACK_STATUS, ISCSI_TAG_NONE, ISCSI_TAG_NONE, bhs_stat_sn(p.bhs), 1);
        struct rig_pdu again = rig_expect(n, ISCSI_OP_SCSI_RESPONSE);
        assert_memory_equal(again.bhs, p.bhs, 24);
        erl_ack(n, n->exp_stat_sn + 1);
        assert_int_equal(erl_reassign(n, itt, 0), ISCSI_TMF_RSP_NO_TASK);
        assert_int_equal(r->commands, 1);
        rig_free(n);
        rig_free(r);
    }
}

/* ---- who may take it over ---- */

static void test_responses_to_reassignment(void **state)
{
    (void)state;
    struct rig *r = erl_rig(2, KEYS("ImmediateData=No"));
    struct rig *o = rig_join(r, 7);
    rig_login(o, KEYS("ImmediateData=No"));
    r->hold_commands = o->hold_commands = true;
    uint32_t itt = erl_command(r, false, 0, 1);
    assert_int_equal(erl_reassign(r, 0x7777, 0), ISCSI_TMF_RSP_NO_TASK);
    assert_int_equal(erl_reassign(r, itt, 0), ISCSI_TMF_RSP_STILL_ALLEGIANT);
    assert_int_equal(erl_reassign(o, itt, 0), ISCSI_TMF_RSP_STILL_ALLEGIANT);
    lose(r);
    assert_string_equal(iscsi_tsess_state(r->sess), "Q3 LOGGED_IN");
    /* "a successful recovery Logout ... was not performed" */
    assert_int_equal(erl_reassign(o, itt, 0), ISCSI_TMF_RSP_STILL_ALLEGIANT);
    assert_int_equal(erl_logout(o, 2, 5), 1); /* there is no such connection */
    assert_int_equal(erl_logout(o, 2, 0), 0);
    assert_int_equal(erl_reassign(o, itt, 0), ISCSI_TMF_RSP_COMPLETE);
    assert_ptr_equal(iscsi_task_conn(r->held[0]), o->conn);
    assert_int_equal(erl_reassign(o, itt, 0), ISCSI_TMF_RSP_STILL_ALLEGIANT);
    rig_serve(r, r->held[0]);
    rig_run(o);
    (void)rig_expect(o, ISCSI_OP_DATA_IN);
    rig_free(o);
    rig_free(r);
}

/* Logout for recovery of a connection that is up, by itself and by another one. */
static void test_logout_for_recovery(void **state)
{
    (void)state;
    for (int self = 0; self < 2; self++) {
        struct rig *r = erl_rig(2, KEYS("ImmediateData=No"));
        struct rig *o = rig_join(r, 7);
        rig_login(o, KEYS("ImmediateData=No"));
        r->hold_commands = true;
        uint32_t itt = erl_command(r, false, 0, 1);
        assert_int_equal(erl_logout(self ? r : o, 2, 0), 0);
        rig_run(r);
        assert_true(r->closed);
        assert_true(r->retained);
        assert_false(o->closed);
        assert_null(iscsi_task_conn(r->held[0]));
        assert_int_equal(erl_reassign(o, itt, 0), ISCSI_TMF_RSP_COMPLETE);
        rig_serve(r, r->held[0]);
        rig_run(o);
        (void)rig_expect(o, ISCSI_OP_DATA_IN);
        rig_free(o);
        rig_free(r);
    }
}

/* A logout that closes the lost connection ends its commands. */
static void test_logout_without_recovery(void **state)
{
    (void)state;
    for (uint8_t reason = 0; reason < 2; reason++) {
        struct rig *r = erl_rig(2, KEYS("ImmediateData=No"));
        struct rig *o = rig_join(r, 7);
        rig_login(o, KEYS("ImmediateData=No"));
        (void)erl_command(r, false, 0, 1); /* answered, not acknowledged */
        r->hold_commands = true;
        uint32_t itt = erl_command(r, false, 0, 1);
        lose(r);
        assert_int_equal(r->session_lost + r->session_sent, 0);
        assert_int_equal(erl_logout(o, reason, 0), 0);
        rig_run(o);
        assert_int_equal(r->session_lost, 1);
        assert_int_equal(r->session_sent, 1);
        if (reason == 1)
            assert_int_equal(erl_reassign(o, itt, 0), ISCSI_TMF_RSP_NO_TASK);
        else
            assert_true(o->closed);
        rig_free(o);
        rig_free(r);
    }
}

/* ---- time ---- */

/* DefaultTime2Wait 2 and DefaultTime2Retain 20 seconds. */
static void test_time_passes(void **state)
{
    (void)state;
    for (int other = 0; other < 2; other++) {
        struct rig *r = erl_rig(2, KEYS("ImmediateData=No"));
        struct rig *o = other ? rig_join(r, 7) : NULL;
        if (o)
            rig_login(o, KEYS("ImmediateData=No"));
        r->loose = true;
        uint32_t read = erl_command(r, false, 0, 1); /* kept */
        r->hold_commands = true;
        uint32_t itt = erl_command(r, false, 0, 1);
        r->now_ns += 40 * NS_PER_SEC; /* of silence: they do not count */
        if (o)
            o->now_ns = r->now_ns;
        lose(r);
        assert_int_equal(iscsi_tsess_deadline(r->sess), r->now_ns + 22 * NS_PER_SEC);
        rig_pass(o ? o : r, 22 * NS_PER_SEC - 1);
        assert_int_equal(r->session_lost + r->session_sent, 0);
        assert_false(r->session_down);
        rig_pass(o ? o : r, 1);
        assert_int_equal(r->session_lost, 1);
        assert_int_equal(r->session_sent, 1);
        assert_int_equal(iscsi_tsess_task_count(r->sess), 0);
        assert_int_equal(iscsi_tsess_deadline(r->sess), TIME_NEVER);
        assert_int_equal(r->session_down, !other);
        if (o) {
            assert_int_equal(erl_logout(o, 2, 0), 1);
            assert_int_equal(erl_reassign(o, itt, 0), ISCSI_TMF_RSP_NO_TASK);
            assert_int_equal(erl_reassign(o, read, 0), ISCSI_TMF_RSP_NO_TASK);
            rig_free(o);
        } else {
            struct rig *n = rig_join(r, 0);
            assert_false(rig_try_login(n, KEYS("ImmediateData=No")));
            assert_int_equal(n->login_status, 0x020a); /* session does not exist */
            rig_free(n);
        }
        rig_free(r);
    }
}

/* Threads that share a session look at the clock at different times: the one that was lost first
 * may have the later end. */
static void test_times_that_differ(void **state)
{
    (void)state;
    struct rig *r = erl_rig(2, KEYS("ImmediateData=No"));
    struct rig *o = rig_join(r, 7);
    rig_login(o, KEYS("ImmediateData=No"));
    r->hold_commands = o->hold_commands = true;
    (void)erl_command(o, false, 0, 1);
    (void)erl_command(r, false, 0, 1);
    iscsi_tconn_tick(o->conn, r->now_ns + NS_PER_SEC);
    lose(o);
    lose(r);
    rig_pass(r, 22 * NS_PER_SEC);
    assert_int_equal(r->session_lost, 2);
    assert_int_equal(iscsi_tsess_task_count(r->sess), 0);
    assert_true(r->session_down);
    rig_free(o);
    rig_free(r);
}

/* The initiator asked for nothing to be kept. */
static void test_no_time(void **state)
{
    (void)state;
    struct rig *r = erl_rig(2, KEYS("DefaultTime2Retain=0"));
    (void)erl_command(r, false, 0, 1);
    rig_cut(r);
    assert_false(r->retained);
    assert_int_equal(r->sent_events, 1);
    iscsi_tconn_free(r->conn);
    r->conn = NULL;
    assert_true(r->session_down);
    r->closed = true;
    rig_free(r);
}

/* What a target can say that keeps sessions at level 2 only: whatever the order of the keys. */
static void test_time_by_level(void **state)
{
    (void)state;
    static const char keys[][56] = { "DefaultTime2Retain=15\0ErrorRecoveryLevel=0",
                                     "DefaultTime2Retain=15\0ErrorRecoveryLevel=1",
                                     "DefaultTime2Retain=15\0ErrorRecoveryLevel=2",
                                     "ErrorRecoveryLevel=2\0DefaultTime2Retain=30" };
    static const uint16_t want[] = { 0, 0, 15, 20 };
    for (unsigned i = 0; i < 4; i++) {
        struct rig *r = rig_new_at(i, 2);
        r->cfg.params.retain_at_level_2 = true;
        iscsi_tconn_free(r->conn);
        r->conn = iscsi_tconn_new(&r->cfg, &r->alloc.a, r->now_ns);
        rig_login(r, keys[i], 43);
        assert_int_equal(iscsi_tconn_params(r->conn)->time2retain, want[i]);
        rig_free(r);
    }
}

/* The owner ends the session while commands wait: those with it, those answered, those that were
 * early and never came up. */
static void test_owner_ends_it(void **state)
{
    (void)state;
    struct rig *r = erl_rig(2, KEYS("ImmediateData=No"));
    uint8_t bhs[ISCSI_BHS_LEN];
    r->hold_commands = true;
    (void)erl_command(r, false, 0, 1);
    (void)erl_command(r, false, 0, 1);
    r->cmd_sn++;
    (void)erl_command(r, false, 0, 1); /* early */
    rig_request(r, bhs, ISCSI_OP_NOP_OUT, false);
    rig_send(r, bhs, NULL, 0, "late", 4);
    rig_request(r, bhs, ISCSI_OP_TMF_REQUEST, true);
    bhs[1] = 0x80 | ISCSI_TMF_LOGICAL_UNIT_RESET; /* waits for what is before it */
    rig_send(r, bhs, NULL, 0, NULL, 0);
    r->deaf = true;
    rig_serve(r, r->held[0]);
    lose(r);
    assert_int_equal(r->held_count, 2);
    iscsi_tsess_close(r->sess, true, "a new login");
    rig_run(r);
    assert_int_equal(r->session_lost, 1);
    assert_int_equal(r->session_sent, 1);
    assert_true(r->session_down);
    rig_free(r);
}

/* A command that came early on a connection that was lost comes up on another, in its turn. */
static void test_early_command_of_a_lost_connection(void **state)
{
    (void)state;
    struct rig *r = erl_rig(2, KEYS("ImmediateData=No"));
    struct rig *o = rig_join(r, 7);
    uint8_t first[ISCSI_BHS_LEN];
    rig_login(o, KEYS("ImmediateData=No"));
    r->hold_commands = o->hold_commands = true;
    rig_rw(o, first, false, true, 0, 1);
    uint32_t itt = erl_command(r, false, 4, 1);
    lose(r);
    assert_int_equal(erl_logout(o, 2, 0), 0);
    rig_send(o, first, NULL, 0, NULL, 0);
    assert_int_equal(o->held_count, 2);
    assert_int_equal(o->held[1]->itt, itt);
    assert_null(iscsi_task_conn(o->held[1]));
    rig_serve(o, o->held[1]);
    rig_serve(o, o->held[0]);
    rig_run(o);
    (void)rig_expect(o, ISCSI_OP_DATA_IN);
    erl_expect_nothing(o);
    assert_int_equal(erl_reassign(o, itt, 0), ISCSI_TMF_RSP_COMPLETE);
    (void)erl_read_rest(o, itt, 4, 0, 0, 512);
    rig_free(o);
    rig_free(r);
}

/* The transport still moves bytes of a connection that was replaced: what is reassigned meanwhile
 * is answered when that is over. */
static void test_transport_has_not_let_go(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct rig *r = erl_rig(2, KEYS("MaxRecvDataSegmentLength=1024"));
        uint8_t bhs[ISCSI_BHS_LEN];
        struct iovec v[2];
        r->deaf = true;
        uint32_t itt = erl_command(r, false, 20, 16);
        assert_true(iscsi_tconn_tx(r->conn, v, 2) > 0);
        iscsi_tconn_lend(r->conn, true);
        struct rig *n = come_back(r, 0);
        assert_true(r->closed && r->retained);
        rig_request(n, bhs, ISCSI_OP_TMF_REQUEST, how != 1);
        bhs[1] = 0x80 | ISCSI_TMF_TASK_REASSIGN;
        be32_put(bhs + 20, itt);
        rig_send(n, bhs, NULL, 0, NULL, 0);
        erl_expect_nothing(n);
        if (how == 2)
            rig_cut(n);
        iscsi_tconn_lend(r->conn, false);
        rig_run(n);
        if (how < 2) {
            assert_int_equal(rig_expect(n, ISCSI_OP_TMF_RESPONSE).bhs[2], ISCSI_TMF_RSP_COMPLETE);
            (void)erl_read_rest(n, itt, 20, 0, 0, 8192);
        }
        assert_int_equal(n->tmfs, 0);
        rig_free(n);
        rig_free(r);
    }
}

/* The connection that asked ends for want of memory when it is to be answered. */
static void test_no_memory_when_transport_lets_go(void **state)
{
    (void)state;
    struct rig *r = erl_rig(2, KEYS("MaxRecvDataSegmentLength=1024"));
    uint8_t bhs[ISCSI_BHS_LEN];
    struct iovec v[2];
    r->deaf = true;
    uint32_t itt = erl_command(r, false, 20, 16);
    assert_true(iscsi_tconn_tx(r->conn, v, 2) > 0);
    iscsi_tconn_lend(r->conn, true);
    struct rig *n = come_back(r, 0);
    rig_request(n, bhs, ISCSI_OP_TMF_REQUEST, true);
    bhs[1] = 0x80 | ISCSI_TMF_TASK_REASSIGN;
    be32_put(bhs + 20, itt);
    rig_send(n, bhs, NULL, 0, NULL, 0);
    assert_int_equal(iscsi_tsess_task_count(r->sess), 2);
    iscsi_tconn_lend(r->conn, false);
    n->alloc.fail_at = n->alloc.calls + 1;
    rig_run(n);
    assert_true(n->closed);
    assert_int_equal(n->close_err, USAN_ENOMEM);
    assert_int_equal(iscsi_tsess_task_count(r->sess), 1);
    rig_free(n);
    rig_free(r);
}

/* What an initiator that has come back does not take over makes room for what it reads now. */
static void test_room_after_coming_back(void **state)
{
    (void)state;
    struct rig *r = erl_rig(2, KEYS("ImmediateData=No"));
    r->loose = true;
    for (unsigned i = 0; i < 64; i++) /* TSESS_KEEP_TASKS */
        (void)erl_read_rest(r, erl_command(r, false, i, 1), i, 0, 0, 512);
    lose(r);
    assert_int_equal(r->sent_events + r->session_sent, 0);
    struct rig *n = rig_join(r, 9); /* another one: the lost one is not logged out yet */
    rig_login(n, KEYS("MaxRecvDataSegmentLength=1024"));
    n->loose = true;
    (void)erl_read_rest(n, erl_command(n, false, 0, 1), 0, 0, 0, 512);
    assert_int_equal(n->sent_events, 1); /* not kept */
    assert_int_equal(erl_logout(n, 2, 0), 0);
    (void)erl_read_rest(n, erl_command(n, false, 0, 1), 0, 0, 0, 512);
    assert_int_equal(n->sent_events, 2); /* the oldest one went */
    assert_int_equal(r->session_sent, 0);
    lose(n);
    assert_int_equal(n->sent_events + r->session_sent, 2);
    rig_free(n);
    rig_free(r);
}

/* One that was taken over, and lost again before its answer went out, does not make room: there is
 * nothing else of it. */
static void test_lost_twice_is_no_room(void **state)
{
    (void)state;
    struct rig *r = erl_rig(2, KEYS("ImmediateData=No"));
    uint8_t bhs[ISCSI_BHS_LEN];
    r->loose = true;
    uint32_t itt = erl_command(r, false, 0, 2048); /* more PDUs than are sent at a time */
    (void)erl_read_rest(r, itt, 0, 0, 0, 1 << 20);
    lose(r);
    struct rig *n = come_back(r, 0);
    n->deaf = true;
    rig_request(n, bhs, ISCSI_OP_TMF_REQUEST, true);
    bhs[1] = 0x80 | ISCSI_TMF_TASK_REASSIGN;
    be32_put(bhs + 20, itt);
    rig_send(n, bhs, NULL, 0, NULL, 0);
    lose(n);
    struct rig *m = come_back(r, 0);
    m->loose = true;
    for (unsigned i = 0; i < 65; i++) /* TSESS_KEEP_TASKS and more */
        (void)erl_read_rest(m, erl_command(m, false, i, 1), i, 0, 0, 512);
    assert_int_equal(m->sent_events, 2); /* the oldest of its own went */
    m->out_len = m->out_pos = 0;
    assert_int_equal(erl_reassign(m, itt, 0), ISCSI_TMF_RSP_COMPLETE);
    (void)erl_read_rest(m, itt, 0, 0, 0, 1 << 20);
    rig_free(m);
    rig_free(n);
    rig_free(r);
}

/* Many connections are lost, one after the other: what the oldest ones left goes. */
static void test_limit_of_lost_connections(void **state)
{
    (void)state;
    struct rig *r = erl_rig(2, KEYS("ImmediateData=No"));
    r->hold_commands = true;
    (void)erl_command(r, false, 0, 1);
    lose(r);
    for (unsigned i = 0; i < 64; i++) {
        struct rig *n = come_back(r, 0);
        assert_int_equal(r->session_lost, 0);
        lose(n);
        rig_free(n);
    }
    rig_run(r);
    assert_int_equal(r->session_lost, 1);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_level_below_2_has_no_reassignment),
        cmocka_unit_test(test_reads_go_on),
        cmocka_unit_test(test_other_segments),
        cmocka_unit_test(test_exp_data_sn),
        cmocka_unit_test(test_writes_go_on),
        cmocka_unit_test(test_status_goes_over),
        cmocka_unit_test(test_responses_to_reassignment),
        cmocka_unit_test(test_logout_for_recovery),
        cmocka_unit_test(test_logout_without_recovery),
        cmocka_unit_test(test_time_passes),
        cmocka_unit_test(test_times_that_differ),
        cmocka_unit_test(test_no_time),
        cmocka_unit_test(test_time_by_level),
        cmocka_unit_test(test_owner_ends_it),
        cmocka_unit_test(test_early_command_of_a_lost_connection),
        cmocka_unit_test(test_transport_has_not_let_go),
        cmocka_unit_test(test_no_memory_when_transport_lets_go),
        cmocka_unit_test(test_room_after_coming_back),
        cmocka_unit_test(test_lost_twice_is_no_room),
        cmocka_unit_test(test_limit_of_lost_connections),
    };
    erl_fill(data, sizeof data, 33);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
