/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include <stdlib.h>

void background_give(struct world *w, struct scsi_task *t, uint8_t how)
{
    must(++w->steps < STEPS_MAX);
    if (t->want == SCSI_WANT_BUF) {
        free(t->buf);
        t->buf = how & 1 ? NULL : exact(t->want_len);
        t->buf_len = t->buf ? t->want_len : 0;
        scsi_task_resume(t, t->buf ? 0 : USAN_ENOMEM);
    } else if (t->want == SCSI_WANT_SAVE) {
        scsi_task_resume(t, save(w, t->itl->lu, how));
    } else {
        must(t->want == SCSI_WANT_IO && (t->bio.iovcnt || t->bio.op != BIO_READ));
        do_io(t, NULL, w->ending ? 5 : how);
    }
}

static void background_forget(struct world *w, const struct scsi_task *t)
{
    for (unsigned i = 0; i < w->background_count; i++) {
        if (w->backgrounds[i] == t)
            w->backgrounds[i] = w->backgrounds[--w->background_count];
    }
}

void background_drive(struct world *w, struct scsi_task *t)
{
    background_forget(w, t);
    while (!w->hold_backgrounds && t->want != SCSI_WANT_WAIT && !ended(t))
        background_give(w, t, 0);
    if (ended(t)) {
        free(t->buf);
        scsi_task_fini(t);
    } else if (t->want != SCSI_WANT_WAIT) {
        must(w->background_count < BACKGROUNDS);
        w->backgrounds[w->background_count++] = t;
    }
}
