/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ipair_load.h"

#include "base/bytes.h"

#include <stdlib.h>

enum { LANE_BLOCKS = PAIR_BLOCKS / 8, MOST_BLOCKS = 200 };

struct lane {
    struct pair_cmd cmd;
    bool busy, write;
    uint32_t lba;
    uint16_t blocks;
    uint32_t len; /* of the buffer the initiator gave */
    uint8_t *buf;
};

static void begin(struct pair *p, struct lane *l, unsigned index, uint8_t *model)
{
    l->blocks = (uint16_t)(1 + pair_draw(p, MOST_BLOCKS));
    l->lba = index * LANE_BLOCKS + pair_draw(p, LANE_BLOCKS - MOST_BLOCKS);
    l->write = pair_draw(p, 2);
    l->len = l->blocks * (uint32_t)PAIR_BLOCK;
    if (pair_draw(p, 5) == 0) /* a buffer that is longer or shorter than the blocks */
        l->len = pair_draw(p, 2) ? l->len + 4 * pair_draw(p, 100) : l->len - pair_draw(p, 500);
    l->buf = malloc(l->len);
    assert_non_null(l->buf);
    for (uint32_t i = 0; i < l->len; i++)
        l->buf[i] = (uint8_t)pair_draw(p, 256);
    pair_rw(&l->cmd, l->write, l->lba, l->blocks, l->buf, l->len);
    assert_int_equal(iscsi_isess_submit(p->sess, &l->cmd.c), 0);
    l->busy = true;
    (void)model;
}

static void end(struct pair *p, struct lane *l, uint8_t *model)
{
    uint32_t bytes = l->blocks * (uint32_t)PAIR_BLOCK, both = bytes < l->len ? bytes : l->len;
    const struct iscsi_icmd *c = &l->cmd.c;
    uint8_t *at = model + (size_t)l->lba * PAIR_BLOCK;

    assert_true(l->cmd.done);
    if (c->err)
        print_message("# error: %s\n", c->why);
    assert_int_equal(c->err, 0);
    assert_int_equal(c->status, 0);
    assert_true(c->sent);
    if (l->write)
        memcpy(at, l->buf, both);
    else
        assert_memory_equal(at, l->buf, both);
    assert_int_equal(c->in_got, l->write ? 0 : both);
    assert_int_equal(c->residual, bytes > l->len ? bytes - l->len : l->len - bytes);
    assert_int_equal(c->resid, bytes > l->len   ? ISCSI_RESID_OVERFLOW
                               : bytes < l->len ? ISCSI_RESID_UNDERFLOW
                                                : ISCSI_RESID_NONE);
    assert_memory_equal(p->disk + (size_t)l->lba * PAIR_BLOCK, at, bytes);
    free(l->buf);
    l->busy = false;
}

void pair_load(struct pair *p, unsigned rounds)
{
    static uint8_t model[sizeof p->disk];
    struct lane lane[PAIR_LANES];
    memset(lane, 0, sizeof lane);
    memcpy(model, p->disk, sizeof model);
    for (unsigned r = 0; r < rounds; r++) {
        unsigned n = 1 + pair_draw(p, PAIR_LANES);
        for (unsigned i = 0; i < n; i++)
            begin(p, &lane[i], i, model);
        pair_run(p);
        for (unsigned i = 0; i < n; i++)
            end(p, &lane[i], model);
    }
    assert_int_equal(iscsi_isess_active(p->sess), 0);
    assert_int_equal(iscsi_isess_queued(p->sess), 0);
    for (int i = 0; i < PAIR_CONNS; i++)
        if (p->conn[i].i && !p->conn[i].iclosed)
            assert_int_equal(iscsi_iconn_load(p->conn[i].i), 0);
}

void pair_log_out(struct pair *p)
{
    assert_int_equal(iscsi_isess_logout(p->sess, p->now_ns), 0);
    pair_run(p);
    for (int i = 0; i < PAIR_CONNS; i++)
        if (p->conn[i].i) {
            assert_true(p->conn[i].iclosed);
            assert_int_equal(p->conn[i].ierr, 0);
            assert_string_equal(iscsi_iconn_state(p->conn[i].i), "S1 FREE");
        }
    assert_int_equal(p->session_down, 1);
    assert_int_equal(p->down_err, 0);
    assert_string_equal(iscsi_isess_state(p->sess), "Q1 FREE");
}
