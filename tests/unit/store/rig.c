/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>

bool rig_engine_works(enum loop_engine_kind engine)
{
    struct loop_config cfg = { .engine = engine, .poll = LOOP_POLL_NEVER, .cpu = -1 };
    struct loop *loop;
    if (loop_new(&cfg, &loop, NULL))
        return false;
    loop_free(loop);
    return true;
}

void rig_open_on(struct rig *r, struct store *s, enum loop_engine_kind engine)
{
    struct loop_config cfg = { .engine = engine, .poll = LOOP_POLL_NEVER, .cpu = -1 };
    *r = (struct rig){ .store = s };
    assert_int_equal(loop_new(&cfg, &r->loop, NULL), 0);
    assert_int_equal(store_channel_open(s, r->loop, &r->ch), 0);
}

void rig_open(struct rig *r, const char *spec, enum loop_engine_kind engine)
{
    struct err_text e = { "" };
    struct store *s = NULL;
    if (store_open_spec(spec, false, &s, &e))
        fail_msg("%s: %s", spec, e.text);
    rig_open_on(r, s, engine);
}

void rig_close(struct rig *r)
{
    assert_int_equal(r->outstanding, 0);
    store_channel_close(r->ch);
    store_close(r->store);
    loop_free(r->loop);
}

static void io_done(struct bio *bio)
{
    struct io *io = list_entry(bio, struct io, bio);
    struct rig *r = io->rig;
    assert_false(io->done);
    io->done = true;
    io->done_ns = loop_now(r->loop);
    if (--r->outstanding == 0)
        loop_stop(r->loop);
}

void rig_submit(struct rig *r, struct io *io)
{
    io->rig = r;
    io->done = false;
    io->bio.done = io_done;
    io->bio.err = 12345; /* every request has to set it */
    r->outstanding++;
    store_submit(r->ch, &io->bio);
    assert_false(io->done);
}

void rig_wait(struct rig *r)
{
    if (r->outstanding)
        loop_run(r->loop);
    assert_int_equal(r->outstanding, 0);
}

int rig_do(struct rig *r, struct io *io)
{
    rig_submit(r, io);
    rig_wait(r);
    assert_true(io->done);
    return io->bio.err;
}

static int transfer(struct rig *r, enum bio_op op, uint64_t off, void *data, size_t len,
                    uint32_t flags)
{
    struct io io = { .bio = { .op = op, .flags = flags, .off = off, .len = len, .iovcnt = 1 },
                     .iov = { .iov_base = data, .iov_len = len } };
    io.bio.iov = &io.iov;
    return rig_do(r, &io);
}

int rig_write(struct rig *r, uint64_t off, const void *data, size_t len, uint32_t flags)
{
    void *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, data, len);
    int err = transfer(r, BIO_WRITE, off, copy, len, flags);
    assert_memory_equal(copy, data, len); /* the store only reads it */
    free(copy);
    return err;
}

int rig_read(struct rig *r, uint64_t off, void *data, size_t len)
{
    return transfer(r, BIO_READ, off, data, len, 0);
}

int rig_op(struct rig *r, enum bio_op op, uint64_t off, uint64_t len, uint32_t flags)
{
    struct io io = { .bio = { .op = op, .flags = flags, .off = off, .len = len } };
    return rig_do(r, &io);
}

int rig_status(struct rig *r, uint64_t off, uint64_t len, bool *ret_mapped, uint64_t *ret_run)
{
    struct io io = { .bio = { .op = BIO_MAP_STATUS, .off = off, .len = len } };
    int err = rig_do(r, &io);
    *ret_mapped = io.bio.mapped;
    *ret_run = io.bio.run_len;
    return err;
}

uint64_t rig_stat(struct rig *r, const char *key)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    store_stats(r->store, out);
    assert_int_equal(fclose(out), 0);
    size_t len = strlen(key);
    for (char *line = text; line && *line;
         line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        if (!strncmp(line, key, len) && line[len] == ' ') {
            uint64_t v = strtoull(line + len, NULL, 10);
            free(text);
            return v;
        }
    }
    print_error("%s", text);
    free(text);
    fail_msg("no statistic '%s'", key);
    return 0;
}

void pattern(void *data, size_t len, uint64_t off, uint64_t version)
{
    uint8_t *p = data;
    for (size_t i = 0; i < len; i++) {
        uint64_t block = (off + i) / 512 * 0x9e3779b97f4a7c15u + version * 0xbf58476d1ce4e5b9u;
        p[i] = (uint8_t)((block >> 32) + (off + i) * 7);
    }
}

uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1du;
}
