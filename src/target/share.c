/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/share.h"

#include "iscsi/target.h"
#include "scsi/scsi.h"
#include "target/command.h"
#include "target/conn.h"
#include "target/reactor.h"
#include "target/session.h"
#include "target/target.h"

/* ---- joining ---- */

/* From here on other reactors use it too. All that uses it so far is on this one, and between two
 * calls. */
static void share(struct tgt_session *s)
{
    if (s->shared)
        return;
    atomic_store(&s->held_total, s->home.account.held_bytes);
    s->home.account.total = &s->held_total;
    tgt_core_alloc_share(&s->core);
    list_for_each (&s->conns, pos)
        tgt_core_alloc_share(&list_entry(pos, struct tgt_conn, of_session)->core);
    if (s->nexus)
        scsi_nexus_share(s->nexus);
    s->shared = true;
}

static struct tgt_session *find(const struct tgt_reactor *r, uint16_t tsih)
{
    list_for_each (&r->sessions, pos) {
        struct tgt_session *s = list_entry(pos, struct tgt_session, node);
        if (s->entry.tsih == tsih)
            return s;
    }
    return NULL;
}

static void joined(struct loop_msg *m)
{
    tgt_conn_joined(list_entry(m, struct tgt_conn, join.msg));
}

/* On the session's home reactor. */
static void look_up(struct loop_msg *m)
{
    struct tgt_conn *conn = list_entry(m, struct tgt_conn, join.msg);
    struct tgt_join *join = &conn->join;
    struct tgt_session *s = find(join->home, join->tsih);
    if (s) {
        tgt_session_lock(s);
        bool open = !s->closing;
        s->joining += open;
        tgt_session_unlock(s);
        if (open && conn->reactor != join->home)
            share(s);
        s = open ? s : NULL;
    }
    join->session = s;
    join->msg.deliver = joined;
    loop_post(conn->reactor->loop, &join->msg);
}

bool tgt_session_join(struct tgt_conn *conn, uint16_t tsih)
{
    struct tgt *tgt = conn->reactor->tgt;
    struct loop *loop =
        tgt_registry_find(tgt_registry(tgt), tsih, conn->target, conn->initiator, conn->isid);
    if (!loop)
        return false;
    conn->waiting = true;
    conn->join = (struct tgt_join){
        .msg = { .deliver = look_up },
        .home = tgt_reactor_of(tgt, loop),
        .tsih = tsih,
    };
    loop_post(loop, &conn->join.msg);
    return true;
}

void tgt_session_leave(struct tgt_session *s)
{
    s->joining--;
    tgt_session_settle(s);
}

/* ---- waking others ---- */

void tgt_conn_wake(struct tgt_conn *conn, struct tgt_reactor *here)
{
    if (conn->reactor == here && conn->closed) {
        tgt_conn_settle(conn);
    } else if (conn->reactor == here) {
        tgt_conn_want_flush(conn);
    } else if (!conn->kicked) {
        conn->kicked = true;
        loop_post(conn->reactor->loop, &conn->kick);
    }
}

void tgt_session_kicks(struct tgt_session *s, struct tgt_reactor *here)
{
    struct iscsi_tconn *tconn;
    while ((tconn = iscsi_tsess_take_kick(s->tsess)))
        tgt_conn_wake(iscsi_tconn_user(tconn), here);
}

struct tgt_conn *tgt_task_conn(const struct iscsi_task *it)
{
    const struct iscsi_tconn *tconn = iscsi_task_conn(it);
    return tconn ? iscsi_tconn_user(tconn) : NULL;
}

void tgt_task_note(const struct iscsi_task *it, uint32_t what)
{
    struct tgt_cmd *cmd = tgt_cmd_of(it);
    if (cmd)
        tgt_part_note(cmd, what);
}

void tgt_task_wake(struct tgt_session *s, const struct iscsi_task *it, struct tgt_reactor *here)
{
    struct tgt_conn *conn = tgt_task_conn(it);
    if (conn)
        tgt_conn_wake(conn, here);
    else
        tgt_session_events(s);
}

void tgt_task_wake_unless_awake(struct tgt_session *s, const struct iscsi_task *it,
                                struct tgt_reactor *here)
{
    const struct tgt_conn *conn = tgt_task_conn(it);
    if (!conn || conn->reactor != here || !conn->pumping)
        tgt_task_wake(s, it, here);
}

bool tgt_task_conn_lost(const struct iscsi_task *it)
{
    const struct tgt_conn *conn = tgt_task_conn(it);
    return conn && conn->left > 0;
}

bool tgt_task_drop(struct tgt_session *s, struct iscsi_task *it, struct tgt_reactor *here)
{
    struct tgt_conn *conn = tgt_task_conn(it);
    bool gone = iscsi_task_drop(it);
    if (!conn)
        tgt_session_events(s);
    else if (gone && conn->left > 0 && --conn->left == 0)
        tgt_conn_wake(conn, here);
    else if (iscsi_tconn_tx_pending(conn->tconn))
        tgt_conn_wake(conn, here); /* an answer waited for it */
    if (s->several)
        tgt_session_kicks(s, here);
    return gone;
}
