/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What handlers ask for, written down. */
#include "scsi/step.h"

#include "scsi/itl.h"
#include "scsi/mode.h"
#include "scsi/reply.h"
#include "scsi/tokens.h"

#include <assert.h>

void scsi_want_buf(struct scsi_task *t, uint64_t len, scsi_step *next)
{
    if (len <= t->buf_len) {
        next(t, 0);
        return;
    }
    t->want = SCSI_WANT_BUF;
    t->want_len = len;
    t->step = next;
}

void scsi_want_reply_buf(struct scsi_task *t, uint64_t alloc_len, scsi_step *next)
{
    scsi_want_buf(t, alloc_len < SCSI_REPLY_MAX ? alloc_len : SCSI_REPLY_MAX, next);
}

void scsi_want_data(struct scsi_task *t, uint64_t len, scsi_step *next)
{
    if (t->out_used < len)
        t->out_used = len;
    if (t->out_expected < len) { /* SPC-6 4.2.5.6, FCP-4 and RFC 7143 11.4.5.2 leave it to us */
        scsi_check(t, SENSE_INVALID_FIELD_IN_IU);
        return;
    }
    if (len == 0) {
        next(t, 0);
        return;
    }
    t->want = SCSI_WANT_DATA;
    t->want_len = len;
    t->step = next;
}

void scsi_want_io(struct scsi_task *t, scsi_step *next)
{
    bool changes = t->bio.op != BIO_READ && t->bio.op != BIO_MAP_STATUS;
    if (t->io_lu->tokens && changes)
        scsi_tokens_written(t->io_lu, t->bio.off, t->bio.len);
    t->want = SCSI_WANT_IO;
    t->step = next;
}

void scsi_want_save(struct scsi_task *t, scsi_step *next)
{
    t->want = SCSI_WANT_SAVE;
    t->step = next;
}

static void ask(struct scsi_task *t, enum scsi_ask what, scsi_step *next)
{
    t->want = SCSI_WANT_WAIT;
    t->ask = (uint8_t)what;
    t->step = next;
}

void scsi_want_exclusive(struct scsi_task *t, scsi_step *next)
{
    if (t->flags & SCSI_TF_GATE)
        next(t, 0);
    else
        ask(t, SCSI_ASK_EXCLUSIVE, next);
}

void scsi_want_wake(struct scsi_task *t, struct list *where, scsi_step *next)
{
    ask(t, SCSI_ASK_SLEEP, next);
    t->flags |= SCSI_TF_LISTED;
    list_push_back(where, &t->lane_node);
}

void scsi_wake(struct scsi_task *t)
{
    assert(t->want == SCSI_WANT_WAIT && (t->flags & SCSI_TF_LISTED));
    t->flags &= ~(uint32_t)SCSI_TF_LISTED;
    list_del(&t->lane_node);
    scsi_lane_ready(t->in_section->lane, t);
}

void scsi_want_section(struct scsi_task *t, struct scsi_itl *itl, scsi_step *next)
{
    assert(itl->nexus == t->nexus);
    t->ask_section = itl == t->itl ? t->seat : scsi_seat_find(t->branch, itl->lun);
    assert(t->ask_section);
    ask(t, SCSI_ASK_SECTION, next);
}

void scsi_want_aborts(struct scsi_task *t, struct scsi_itl *itl, scsi_step *next)
{
    struct scsi_lu *lu = t->in_section->itl->lu;
    assert(t->flags & SCSI_TF_GATE);
    lu->abort.by = t->nexus;
    lu->abort.itl = itl;
    lu->abort.tas = scsi_mode_tas(lu);
    lu->abort.reset = false;
    ask(t, SCSI_ASK_ABORTS, NULL);
    t->after = next;
}

void scsi_lane_ready(struct scsi_lane *lane, struct scsi_task *t)
{
    assert(!(t->flags & SCSI_TF_LISTED));
    t->flags |= SCSI_TF_LISTED;
    list_push_back(&lane->ready, &t->lane_node);
}
