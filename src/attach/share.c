/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/share.h"

#include "store/filter.h"

#include <stdlib.h>

/* Set before there are threads. */
static struct store *shared;

static const struct store_opt_desc no_opts[] = { { .key = NULL } };

static int share_open(const struct store_open *how, struct store **ret_store, struct err_text *e)
{
    (void)how;
    if (!shared)
        return err_set(e, USAN_ENOENT, "nothing is attached");
    struct store *s = calloc(1, sizeof(*s));
    if (!s)
        return err_set(e, USAN_ENOMEM, "out of memory");
    s->info = filter_info(shared);
    *ret_store = s;
    return 0;
}

/* The one that is shared stays open. */
static void share_close(struct store *s)
{
    free(s);
}

/* Only now: who opens a back end takes it for one without a store below. */
static int share_channel_open(struct store *s, struct loop *loop, struct store_channel **ret_ch)
{
    s->lower = shared;
    return filter_channel_open(s, loop, ret_ch);
}

static void share_submit(struct store_channel *ch, struct bio *bio)
{
    struct filter_req *req = filter_req_get(ch, bio);
    if (req)
        filter_send(req, filter_passed);
    else
        filter_refuse(ch, bio, USAN_ENOMEM);
}

const struct store_ops attach_share_ops = {
    .struct_bytes = sizeof(struct store_ops),
    .name = "attached",
    .help = "the store that this program has attached",
    .opts = no_opts,
    .open = share_open,
    .close = share_close,
    .channel_open = share_channel_open,
    .channel_close = filter_channel_close,
    .submit = share_submit,
    .lend_end = filter_lend_end,
    .write_grant = filter_write_grant,
    .write_revoke = filter_write_revoke,
};

void attach_share(struct store *s)
{
    shared = s;
}
