/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SCSI commands of the caller's, and task management, through the session of the first channel, or
 * its sessions if it has several paths. */
#include "lib/lib.h"

#include "initiator/iscsi_store.h"
#include "initiator/mpath.h"
#include "initiator/mpath_store.h"
#include "initiator/opcodes.h"
#include "initiator/status.h"

#include <stdlib.h>
#include <string.h>

struct command {
    struct ini_cmd cmd;
    struct request *r;
    struct usan_scsi_result result;
    uint8_t sense[USAN_SENSE_MAX];
    uint8_t cdb[USAN_CDB_MAX];
    struct iovec iov[]; /* in, then out */
};

/* A request on one path. */
struct leg {
    struct ini_tmf tmf;
    struct management *m;
};

struct management {
    struct ini_cmd ready; /* TEST UNIT READY, to wait for the login */
    uint8_t cdb[6], sense[USAN_SENSE_MAX];
    struct request *r;
    enum iscsi_tmf_function function;
    unsigned left; /* legs under way */
    int code;      /* the worst that they have said */
    uint8_t response;
    const char *why;
    struct leg legs[INI_PATHS_MAX];
};

static struct ini_session *session_of(const struct request *r)
{
    return iscsi_channel_session(r->channel->iscsi);
}

static void submit(struct request *r, struct ini_cmd *cmd)
{
    if (r->channel->mpath) {
        ini_mpath_submit(mpath_channel_paths(r->channel->mpath), cmd);
        return;
    }
    cmd->scsi.lun = iscsi_store_lun(r->disk->iscsi);
    ini_session_submit(session_of(r), cmd);
}

/* ---- commands ---- */

/* The code of a result, from what would be done about it. */
static int judge(const struct iscsi_icmd *cmd)
{
    int err = 0;
    switch (ini_scsi_judge(cmd, true, &err)) {
    case INI_GOOD:
        return 0;
    case INI_RETRY:
        return USAN_EAGAIN;
    case INI_RETRY_LATER:
        return USAN_EBUSY;
    case INI_BAD:
        break;
    }
    return err;
}

static int32_t residual(const struct iscsi_icmd *cmd)
{
    int32_t n = cmd->residual < INT32_MAX ? (int32_t)cmd->residual : INT32_MAX;
    switch (cmd->resid) {
    case ISCSI_RESID_UNDERFLOW:
        return n;
    case ISCSI_RESID_OVERFLOW:
        return -n;
    case ISCSI_RESID_NONE:
        break;
    }
    return 0;
}

static void explain(struct request *r, const struct iscsi_icmd *cmd, int code)
{
    char words[200];
    struct failure *f = request_failure(r);
    if (!f)
        return;
    ini_scsi_words(cmd, words, sizeof(words));
    failure_set(f, code, "%.120s: command %02Xh: %s", r->disk->name, cmd->cdb[0], words);
    failure_set_command(f, cmd);
}

static void command_done(struct ini_cmd *ic)
{
    struct command *c = list_entry(ic, struct command, cmd);
    const struct iscsi_icmd *cmd = &ic->scsi;
    int code = judge(cmd);
    c->result = (struct usan_scsi_result){ .status = cmd->status,
                                           .response = cmd->response,
                                           .in_bytes = cmd->in_got,
                                           .out_bytes = cmd->out_sent,
                                           .residual = residual(cmd) };
    if (!cmd->err && cmd->sense_len) {
        c->result.sense = c->sense;
        c->result.sense_len = cmd->sense_len;
    }
    c->r->scsi = cmd->err ? NULL : &c->result;
    if (code)
        explain(c->r, cmd, code);
    request_finish(c->r, code);
}

void command_start(struct request *r)
{
    struct command *c = r->extra;
    submit(r, &c->cmd);
}

int command_cancel(struct request *r)
{
    struct command *c = r->extra;
    if (r->channel->mpath)
        return ini_mpath_way.cancel(&c->cmd, mpath_channel_paths(r->channel->mpath));
    return ini_session_cancel(session_of(r), &c->cmd);
}

void command_over(struct request *r)
{
    free(r->extra);
    r->extra = NULL;
}

/* Bytes of an array of iovecs; false: too many or too long for one command. */
static bool iov_bytes(const struct iovec *iov, int cnt, uint32_t *ret_bytes)
{
    uint64_t sum = 0;
    if (cnt < 0 || cnt > USAN_IOV_MAX)
        return false;
    for (int i = 0; i < cnt; i++) {
        if (iov[i].iov_len > ISCSI_IDATA_MAX - sum)
            return false;
        sum += iov[i].iov_len;
    }
    *ret_bytes = (uint32_t)sum;
    return true;
}

static uint8_t attribute(unsigned flags)
{
    if (flags & USAN_SCSI_HEAD_OF_QUEUE)
        return 3;
    return flags & USAN_SCSI_ORDERED ? 2 : 1;
}

static struct command *command_new(const struct usan_scsi *s, uint32_t in_len, uint32_t out_len)
{
    size_t iovs = (size_t)s->in_cnt + (size_t)s->out_cnt;
    struct command *c = calloc(1, sizeof(*c) + iovs * sizeof(c->iov[0]));
    if (!c)
        return NULL;
    memcpy(c->cdb, s->cdb, s->cdb_len);
    if (s->in_cnt)
        memcpy(c->iov, s->in, (size_t)s->in_cnt * sizeof(c->iov[0]));
    if (s->out_cnt)
        memcpy(c->iov + s->in_cnt, s->out, (size_t)s->out_cnt * sizeof(c->iov[0]));
    c->cmd = (struct ini_cmd){
        .scsi = { .cdb = c->cdb,
                  .cdb_len = (uint16_t)s->cdb_len,
                  .attr = attribute(s->flags),
                  .in = in_len ? c->iov : NULL,
                  .in_cnt = in_len ? s->in_cnt : 0,
                  .in_len = in_len,
                  .out = out_len ? c->iov + s->in_cnt : NULL,
                  .out_cnt = out_len ? s->out_cnt : 0,
                  .out_len = out_len,
                  .sense = c->sense,
                  .sense_cap = sizeof(c->sense) },
        .again = s->flags & USAN_SCSI_REPEATABLE ? INI_AGAIN : INI_AGAIN_NEVER,
        .done = command_done,
    };
    return c;
}

/* What holds for the nexus of one path, and has to be done on each of them: half of that protects
 * nobody. */
static bool reserves(uint8_t opcode)
{
    return opcode == INI_OP_PERSISTENT_RESERVE_OUT || opcode == INI_OP_RESERVE_6 ||
           opcode == INI_OP_RELEASE_6 || opcode == INI_OP_RESERVE_10 || opcode == INI_OP_RELEASE_10;
}

int command_begin(struct usan_disk *disk, const struct usan_scsi *command, const struct begin *b)
{
    struct usan_scsi s = { .size = sizeof(s) };
    uint32_t in_len, out_len;
    struct request *r;
    if (command->size < sizeof(s.size) || command->size > 4096)
        return fail(USAN_EINVAL, "usan_scsi: size is not set");
    memcpy(&s, command, command->size < sizeof(s) ? command->size : sizeof(s));
    if (!s.cdb || !s.cdb_len || s.cdb_len > USAN_CDB_MAX || s.flags > 7)
        return fail(USAN_EINVAL, "usan_scsi: no CDB, too long a one, or unknown flags");
    if (!iov_bytes(s.in, s.in_cnt, &in_len) || !iov_bytes(s.out, s.out_cnt, &out_len))
        return fail(USAN_EINVAL, "usan_scsi: too many iovecs, or too long");
    if (!disk->iscsi && !disk->mpath)
        return fail(USAN_ENOTSUP, "%s is no SCSI unit", disk->name);
    if (disk->mpath && reserves(*(const uint8_t *)s.cdb))
        return fail(USAN_ENOTSUP,
                    "%s: a reservation is one of each path: make it through disks of single paths",
                    disk->name);
    int err = request_begin(disk->ctx, disk, b, &r);
    if (err)
        return err;
    struct command *c = command_new(&s, in_len, out_len);
    if (!c) {
        request_withdraw(r);
        return fail(USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    }
    c->r = r;
    r->extra = c;
    request_start(r);
    return 0;
}

int usan_scsi(struct usan_disk *disk, const struct usan_scsi *command, usan_done_fn *done,
              void *user, uint64_t *ret_id)
{
    const struct begin b = {
        .kind = REQUEST_COMMAND, .done = done, .user = user, .ret_id = ret_id
    };
    return command_begin(disk, command, &b);
}

/* ---- task management ---- */

static void explain_tmf(struct request *r, int code, const char *why)
{
    if (request_failure(r))
        failure_set(r->failure, code, "%.120s: task management: %s", r->disk->name, why);
}

static void leg_over(struct management *m, int code, uint8_t response, const char *why)
{
    struct request *r = m->r;
    if (code && !m->code) {
        m->code = code;
        m->response = response;
        m->why = why;
    }
    if (--m->left)
        return;
    r->tmf_response = m->response;
    if (m->code)
        explain_tmf(r, m->code, m->why);
    request_finish(r, m->code);
}

static void management_done(struct ini_tmf *tmf)
{
    struct leg *leg = list_entry(tmf, struct leg, tmf);
    const struct iscsi_itmf *t = &tmf->scsi;
    if (t->err)
        leg_over(leg->m, t->err, 0, t->why);
    else if (t->response != ISCSI_TMF_RSP_COMPLETE)
        leg_over(leg->m, USAN_EIO, t->response, iscsi_tmf_response_text(t->response));
    else
        leg_over(leg->m, 0, 0, NULL);
}

/* On every path that there is, but for what works on the unit as a whole. USAN_E...: on none. */
static int send_by_paths(struct management *m)
{
    struct ini_mpath *mp = mpath_channel_paths(m->r->channel->mpath);
    int only = m->function == ISCSI_TMF_LOGICAL_UNIT_RESET ? ini_mpath_own_path(mp) : -1;
    for (unsigned i = 0; i < INI_PATHS_MAX; i++) {
        if (only >= 0 && i != (unsigned)only)
            continue;
        int err = ini_mpath_tmf(mp, i, &m->legs[i].tmf);
        m->left += err == 0;
        if (err && err != USAN_ECLOSED) { /* those that are not there have nothing to be ended */
            m->code = err;
            m->why = usan_strerror(err);
        }
    }
    if (m->left)
        return 0;
    return m->code ? m->code : USAN_ECLOSED;
}

static int send_management(struct management *m)
{
    if (m->r->channel->mpath)
        return send_by_paths(m);
    m->legs[0].tmf.scsi.lun = iscsi_store_lun(m->r->disk->iscsi);
    int err = ini_session_tmf(session_of(m->r), &m->legs[0].tmf);
    m->left = err == 0;
    return err;
}

/* Logged in, or that takes too long. */
static void ready(struct ini_cmd *cmd)
{
    struct management *m = list_entry(cmd, struct management, ready);
    int err = cmd->scsi.err;
    const char *why = cmd->scsi.why;
    if (!err) {
        err = send_management(m);
        why = usan_strerror(err);
    }
    if (err) {
        explain_tmf(m->r, err, why);
        request_finish(m->r, err);
    }
}

static bool logged_in(const struct request *r)
{
    if (r->channel->mpath)
        return ini_mpath_own_path(mpath_channel_paths(r->channel->mpath)) >= 0;
    return ini_session_up(session_of(r));
}

void management_start(struct request *r)
{
    struct management *m = r->extra;
    if (!logged_in(r)) {
        submit(r, &m->ready);
        return;
    }
    int err = send_management(m);
    if (err) {
        explain_tmf(r, err, usan_strerror(err));
        request_finish_later(r, err);
    }
}

int management_begin(struct usan_disk *disk, enum usan_tmf function, const struct begin *b)
{
    struct request *r;
    if (function < USAN_TMF_ABORT_TASK_SET || function > USAN_TMF_TARGET_COLD_RESET)
        return fail(USAN_EINVAL, "usan_tmf: there is no function %d", (int)function);
    if (!disk->iscsi && !disk->mpath)
        return fail(USAN_ENOTSUP, "%s is no SCSI unit", disk->name);
    int err = request_begin(disk->ctx, disk, b, &r);
    if (err)
        return err;
    struct management *m = calloc(1, sizeof(*m));
    if (!m) {
        request_withdraw(r);
        return fail(USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    }
    m->r = r;
    m->function = (enum iscsi_tmf_function)function;
    for (unsigned i = 0; i < INI_PATHS_MAX; i++)
        m->legs[i] =
            (struct leg){ .tmf = { .scsi = { .function = m->function }, .done = management_done },
                          .m = m };
    m->ready = (struct ini_cmd){ .scsi = { .cdb = m->cdb,
                                           .cdb_len = sizeof(m->cdb),
                                           .attr = 1,
                                           .sense = m->sense,
                                           .sense_cap = sizeof(m->sense) },
                                 .again = INI_AGAIN,
                                 .done = ready };
    r->extra = m;
    request_start(r);
    return 0;
}

int usan_tmf(struct usan_disk *disk, enum usan_tmf function, usan_done_fn *done, void *user,
             uint64_t *ret_id)
{
    const struct begin b = { .kind = REQUEST_TMF, .done = done, .user = user, .ret_id = ret_id };
    return management_begin(disk, function, &b);
}
