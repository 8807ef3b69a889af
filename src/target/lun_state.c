/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reservations with APTPL (SPC-6 5.14.5) and saved mode pages, kept in one small file per LUN. */
#include "target/log.h"
#include "target/lun.h"
#include "target/reactor.h"
#include "target/target.h"

#include "scsi/scsi.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* scsi_lu_state() is at most this long. */
enum { STATE_MAX = 128 * 1024 };

static int fail_errno(const char *path, struct err_text *e)
{
    int saved = errno;
    return err_set(e, usan_err_from_errno(saved), "%s: %s", path, strerror(saved));
}

int tgt_lun_state_load(struct tgt_lun *lun, struct err_text *e)
{
    int fd = open(lun->state_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : fail_errno(lun->state_path, e);
    uint8_t *buf = malloc(STATE_MAX + 1);
    size_t len = 0;
    ssize_t n = buf ? 1 : 0;
    while (n > 0 && len <= STATE_MAX) {
        n = read(fd, buf + len, STATE_MAX + 1 - len);
        if (n > 0)
            len += (size_t)n;
    }
    int err = 0;
    if (!buf)
        err = err_set(e, USAN_ENOMEM, "out of memory");
    else if (n < 0)
        err = fail_errno(lun->state_path, e);
    else if (len > STATE_MAX || scsi_lu_restore(lun->lu, buf, len))
        /* Going on would silently forget a reservation that keeps two hosts apart. */
        err = err_set(e, USAN_ECORRUPT,
                      "%s: is not the saved state of a LUN; restore the file, or remove it to "
                      "start without reservations",
                      lun->state_path);
    free(buf);
    close(fd);
    return err;
}

static int sync_dir(const char *path, struct err_text *e)
{
    char *copy = strdup(path);
    if (!copy)
        return err_set(e, USAN_ENOMEM, "out of memory");
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    if (fd < 0)
        return fail_errno(path, e);
    int err = fsync(fd) ? fail_errno(path, e) : 0;
    close(fd);
    return err;
}

static int write_all(int fd, const uint8_t *p, size_t len)
{
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int tgt_state_write(const char *path, const void *data, size_t len, struct err_text *e)
{
    char *tmp;
    if (asprintf(&tmp, "%s.new", path) < 0)
        return err_set(e, USAN_ENOMEM, "out of memory");
    int err = 0;
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write_all(fd, data, len) || fsync(fd))
        err = fail_errno(tmp, e);
    if (fd >= 0 && close(fd) && !err)
        err = fail_errno(tmp, e);
    if (!err && rename(tmp, path))
        err = fail_errno(path, e);
    if (err)
        (void)unlink(tmp);
    else
        err = sync_dir(path, e);
    free(tmp);
    return err;
}

struct save_job {
    struct loop_msg msg;
    struct tgt_lane *lane;
    struct scsi_task *task;
    int err;
    size_t len;
    uint8_t data[];
};

static void saved(struct loop_msg *m)
{
    struct save_job *job = list_entry(m, struct save_job, msg);
    struct tgt_lane *lane = job->lane;
    struct scsi_task *t = job->task;
    int err = job->err;
    free(job);
    scsi_task_resume(t, err);
    tgt_lane_run(lane, t);
}

static void save(struct loop_msg *m)
{
    struct save_job *job = list_entry(m, struct save_job, msg);
    const struct tgt_lun *lun = job->lane->lun;
    struct err_text e = { "" };
    job->err = tgt_state_write(lun->state_path, job->data, job->len, &e);
    if (job->err)
        tgt_log(TGT_LOG_ERROR, "state-not-saved", "target=%s lun=%u why=%s", lun->target_name,
                lun->number, tgt_log_quote(e.text).s);
    job->msg.deliver = saved;
    loop_post(job->lane->reactor->loop, &job->msg);
}

void tgt_lun_state_save(struct tgt_lane *lane, struct scsi_task *t)
{
    struct tgt_lun *lun = lane->lun;
    struct tgt_reactor *r = lane->reactor;
    size_t len = lun->state_path ? scsi_lu_state(lun->lu, NULL, 0) : 0;
    struct save_job *job = len <= STATE_MAX ? malloc(sizeof(*job) + len) : NULL;
    if (!job) {
        scsi_task_resume(t, USAN_ENOMEM);
        tgt_lane_run(lane, t);
        return;
    }
    *job = (struct save_job){ .lane = lane, .task = t, .len = len };
    if (!lun->state_path) {
        job->err = USAN_ENOTSUP;
        job->msg.deliver = saved;
        loop_post(r->loop, &job->msg);
        return;
    }
    /* Taken now: the command holds the logical unit's gate, so nothing changes under it. */
    size_t again = scsi_lu_state(lun->lu, job->data, len);
    assert(again == len);
    (void)again;
    job->msg.deliver = save;
    loop_post(tgt_control_loop(r->tgt), &job->msg);
}
