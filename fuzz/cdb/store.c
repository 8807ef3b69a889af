/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include <stdlib.h>

static int compare_and_write(struct unit *u, struct bio *bio)
{
    uint8_t *want = exact(bio->len);
    copy(bio->iov, bio->iovcnt, 0, want, bio->len, false);
    uint64_t i = 0;
    while (i < bio->len && want[i] == u->disk[bio->off + i])
        i++;
    free(want);
    if (i < bio->len) {
        bio->err_off = bio->off + i;
        return USAN_EMISCOMPARE;
    }
    copy(bio->iov, bio->iovcnt, bio->len, u->disk + bio->off, bio->len, false);
    return 0;
}

static int carry_out(struct unit *u, struct bio *bio, uint8_t how)
{
    static const int errors[] = { 0,           USAN_EIO,     USAN_ENOSPC,
                                  USAN_ENOMEM, USAN_ENOTSUP, USAN_ECANCELED,
                                  USAN_ERANGE, USAN_ERDONLY };
    const uint64_t chunk = 16 * 4096;
    must(bio->op != BIO_FLUSH || (bio->off == 0 && bio->len == 0));
    must(bio->off <= DISK_BYTES && bio->len <= DISK_BYTES - bio->off);
    must(bio->off % u->block_bytes == 0 && bio->len % u->block_bytes == 0);
    if (how & 7) {
        bio->err_off = bio->off + (uint64_t)how * 64 % (bio->len + 1);
        return errors[how & 7];
    }
    u->written |= bio->op != BIO_READ;
    switch (bio->op) {
    case BIO_READ:
        copy(bio->iov, bio->iovcnt, 0, u->disk + bio->off, bio->len, true);
        break;
    case BIO_WRITE:
        copy(bio->iov, bio->iovcnt, 0, u->disk + bio->off, bio->len, false);
        break;
    case BIO_UNMAP:
    case BIO_WRITE_ZEROES:
        memset(u->disk + bio->off, 0, bio->len);
        break;
    case BIO_COMPARE_AND_WRITE:
        return compare_and_write(u, bio);
    case BIO_MAP_STATUS:
        bio->mapped = bio->off / chunk & 1;
        bio->run_len = chunk - bio->off % chunk;
        bio->run_len = bio->run_len < bio->len ? bio->run_len : bio->len;
        break;
    case BIO_FLUSH:
    case BIO_OP_COUNT:
        break;
    }
    return 0;
}

void do_io(struct scsi_task *t, struct command *c, uint8_t how)
{
    struct unit *u = scsi_lu_user(t->io_lu);
    struct bio *bio = &t->bio;
    /* Commands are inside the section here, so that the size stays what it is. */
    uint64_t size = scsi_lu_config(u->lu)->block_count * u->block_bytes;
    must(!c || (bio->off <= size && bio->len <= size - bio->off));
    if (bio->iovcnt == 0 && bio->op == BIO_READ) {
        must(c != NULL);
        free_pieces(c->in, 2);
        bio->iovcnt = pieces(c->in, 2, bio->len);
        bio->iov = c->in;
    } else if (bio->iovcnt == 0 && bio->op == BIO_WRITE) {
        bio->iov = t->out;
        bio->iovcnt = t->out_cnt;
    }
    scsi_task_resume(t, carry_out(u, bio, how));
}

int save(struct world *w, const struct scsi_lu *lu, uint8_t how)
{
    size_t len = scsi_lu_state(lu, NULL, 0);
    must(len <= STATE_MAX);
    uint8_t *state = exact(len);
    must(scsi_lu_state(lu, state, len) == len);
    free(state);
    w->steps++;
    return how & 1 ? USAN_EIO : 0;
}
