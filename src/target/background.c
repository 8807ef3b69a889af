/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/background.h"

#include "scsi/scsi.h"
#include "store/store.h"
#include "target/lun.h"
#include "target/reactor.h"

#include <assert.h>
#include <stdlib.h>

/* scsi_task.user of such a task. */
struct background {
    struct tgt_lane *lane;
    void *buf, *data;
    size_t buf_cap, data_cap;
    struct iovec one;
};

static struct background *get(struct tgt_lane *lane, struct scsi_task *t)
{
    if (t->user)
        return t->user;
    struct background *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    b->lane = lane;
    t->user = b;
    lane->reactor->backgrounds++;
    return b;
}

static void put(struct scsi_task *t)
{
    struct background *b = t->user;
    if (b) {
        struct tgt_reactor *r = b->lane->reactor;
        tgt_buffers_put(&r->buffers, NULL, b->buf, b->buf_cap);
        tgt_buffers_put(&r->buffers, NULL, b->data, b->data_cap);
        r->backgrounds--;
        free(b);
    }
    t->buf = NULL;
    scsi_task_fini(t);
}

static int give_buf(struct background *b, struct scsi_task *t)
{
    struct tgt_reactor *r = b->lane->reactor;
    tgt_buffers_put(&r->buffers, NULL, b->buf, b->buf_cap);
    b->buf = tgt_buffers_get(&r->buffers, NULL, t->want_len, &b->buf_cap);
    t->buf = b->buf;
    t->buf_len = b->buf ? b->buf_cap : 0;
    return b->buf ? 0 : USAN_ENOMEM;
}

static void io_done(struct bio *bio)
{
    struct scsi_task *t = list_entry(bio, struct scsi_task, bio);
    struct background *b = t->user;
    struct tgt_lane *lane = b->lane;
    if (bio->err)
        tgt_lun_io_failed(lane->lun, bio, bio->err);
    scsi_task_resume(t, lane->reactor->draining ? USAN_ECANCELED : bio->err);
    tgt_background_continue(lane, t);
}

static int submit(struct background *b, struct scsi_task *t)
{
    struct tgt_reactor *r = b->lane->reactor;
    struct bio *bio = &t->bio;
    if (r->draining)
        return USAN_ECANCELED;
    int err = tgt_lane_open(b->lane);
    if (err)
        return err;
    if (bio->op == BIO_READ && bio->iovcnt == 0) {
        tgt_buffers_put(&r->buffers, NULL, b->data, b->data_cap);
        b->data = tgt_buffers_get(&r->buffers, NULL, bio->len, &b->data_cap);
        if (!b->data)
            return USAN_ENOMEM;
        b->one = (struct iovec){ b->data, bio->len };
        bio->iov = &b->one;
        bio->iovcnt = 1;
    }
    bio->lent = NULL;
    bio->done = io_done;
    store_submit(b->lane->ch, bio);
    return 0;
}

void tgt_background_continue(struct tgt_lane *lane, struct scsi_task *t)
{
    struct background *b = get(lane, t);
    for (bool go_on = true; go_on;) {
        int err = b ? 0 : USAN_ENOMEM;
        switch (t->want) {
        case SCSI_WANT_BUF:
            scsi_task_resume(t, err ? err : give_buf(b, t));
            break;
        case SCSI_WANT_IO:
            if (!err)
                err = submit(b, t);
            go_on = err != 0;
            if (err)
                scsi_task_resume(t, err);
            break;
        case SCSI_WANT_SAVE:
            tgt_lun_state_save(lane, t);
            go_on = false;
            break;
        case SCSI_WANT_WAIT:
            go_on = false;
            break;
        case SCSI_DONE:
        case SCSI_ABORTED:
            put(t);
            go_on = false;
            break;
        case SCSI_WANT_DATA: /* there is nobody to bring any */
            assert(false);
        }
    }
    tgt_lane_touch(lane);
}
