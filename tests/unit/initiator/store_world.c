/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store_world.h"

#include "io/clock.h"
#include "iscsi/initiator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PATIENCE_NS (30 * NS_PER_SEC)

struct store_world sw;

static void guard_fired(struct loop_timer *t)
{
    (void)t;
    sw.late = true;
    loop_stop(sw.loop);
}

void sw_begin(const char *spec)
{
    struct err_text e = { "" };
    const struct loop_config lc = { .engine = LOOP_ENGINE_EPOLL,
                                    .poll = LOOP_POLL_NEVER,
                                    .cpu = -1 };
    memset(&sw, 0, sizeof(sw));
    if (store_open_spec(spec, false, &sw.store, &e))
        fail_msg("%s", e.text);
    assert_int_equal(loop_new(&lc, &sw.loop, NULL), 0);
    loop_timer_init(&sw.guard, guard_fired);
    assert_int_equal(store_channel_open(sw.store, sw.loop, &sw.ch), 0);
}

void sw_end(void)
{
    store_channel_close(sw.ch);
    store_close(sw.store);
    loop_timer_cancel(sw.loop, &sw.guard);
    loop_free(sw.loop);
}

void sw_wait(void)
{
    assert_int_equal(loop_timer_set(sw.loop, &sw.guard, clock_now_ns() + PATIENCE_NS), 0);
    while (sw.pending && !sw.late)
        loop_run(sw.loop);
    assert_false(sw.late);
    loop_timer_cancel(sw.loop, &sw.guard);
}

void sw_run_for(uint64_t ns)
{
    assert_int_equal(loop_timer_set(sw.loop, &sw.guard, clock_now_ns() + ns), 0);
    while (!sw.late)
        loop_run(sw.loop);
    sw.late = false;
}

static void bio_done(struct bio *bio)
{
    (void)bio;
    if (--sw.pending == 0)
        loop_stop(sw.loop);
}

void sw_start(struct bio *bio)
{
    bio->done = bio_done;
    sw.pending++;
    store_submit(sw.ch, bio);
}

int sw_run(enum bio_op op, uint32_t flags, uint64_t block, uint64_t blocks, void *data)
{
    struct iovec iov = { data, blocks * STORE_BLOCK * (op == BIO_COMPARE_AND_WRITE ? 2 : 1) };
    struct bio bio = { .op = op,
                       .flags = flags,
                       .off = block * STORE_BLOCK,
                       .len = blocks * STORE_BLOCK,
                       .iov = data ? &iov : NULL,
                       .iovcnt = data ? 1 : 0 };
    sw_start(&bio);
    sw_wait();
    return bio.err;
}

struct sw_text sw_stat(const char *name)
{
    struct sw_text t = { "" };
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    store_stats(sw.store, out);
    assert_int_equal(fclose(out), 0);
    const char *at = strstr(text, name);
    if (at) {
        at += strlen(name);
        at += *at == ' ';
        snprintf(t.s, sizeof(t.s), "%.*s", (int)strcspn(at, "\n"), at);
    }
    free(text);
    return t;
}

/* ---- commands without memory ---- */

static int fail_opcode = -1;

int __real_iscsi_isess_submit(struct iscsi_isess *sess, struct iscsi_icmd *cmd);
int __wrap_iscsi_isess_submit(struct iscsi_isess *sess, struct iscsi_icmd *cmd);

int __wrap_iscsi_isess_submit(struct iscsi_isess *sess, struct iscsi_icmd *cmd)
{
    if (fail_opcode < 0 || cmd->cdb[0] != fail_opcode)
        return __real_iscsi_isess_submit(sess, cmd);
    fail_opcode = -1;
    return USAN_ENOMEM;
}

void sw_fail_submit(uint8_t opcode)
{
    fail_opcode = opcode;
}

bool sw_submit_failed(void)
{
    return fail_opcode < 0;
}
