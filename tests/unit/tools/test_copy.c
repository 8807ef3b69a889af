/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copies between stores and streams: every byte, holes that stay holes, sizes that are no whole
 * blocks, the first difference, and what is said when a store fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "tools/copy.h"

#define CHUNK 65536u

static char folder[] = "/tmp/usan-copy-XXXXXX";

/* A file of that many bytes with data in [from, to); the rest is a hole. */
static void make(const char *name, off_t size, off_t from, off_t to)
{
    FILE *f = fopen(name, "w+");
    assert_non_null(f);
    assert_int_equal(fseeko(f, from, SEEK_SET), 0);
    for (off_t i = from; i < to; i++)
        putc((int)(i * 31 + (i >> 9)) | 1, f);
    assert_int_equal(fflush(f), 0);
    assert_int_equal(ftruncate(fileno(f), size), 0);
    fclose(f);
}

static uint8_t *content(const char *name, size_t *ret_len)
{
    FILE *f = fopen(name, "r");
    assert_non_null(f);
    assert_int_equal(fseeko(f, 0, SEEK_END), 0);
    size_t len = (size_t)ftello(f);
    uint8_t *p = malloc(len + 1);
    assert_non_null(p);
    rewind(f);
    assert_int_equal(fread(p, 1, len, f), len);
    fclose(f);
    *ret_len = len;
    return p;
}

static void same_content(const char *a, const char *b, size_t len)
{
    size_t na, nb;
    uint8_t *pa = content(a, &na), *pb = content(b, &nb);
    assert_true(na >= len && nb >= len);
    assert_memory_equal(pa, pb, len);
    free(pa);
    free(pb);
}

static struct store *open_store(const char *spec)
{
    struct err_text e = { "" };
    struct store *s = NULL;
    if (store_open_spec(spec, false, &s, &e))
        fail_msg("%s", e.text);
    return s;
}

static struct copy_config config(struct store *from, struct store *to)
{
    return (struct copy_config){ .from = from,
                                 .to = to,
                                 .from_name = "FROM",
                                 .to_name = "TO",
                                 .bytes = from ? from->info.size_bytes : COPY_ENDLESS,
                                 .verify = to != NULL,
                                 .channels = 2,
                                 .threads = 2,
                                 .depth = 3,
                                 .chunk = CHUNK,
                                 .sparse = 4096,
                                 .loop = { .engine = LOOP_ENGINE_EPOLL, .cpu = -1 } };
}

static int step(struct copy *c, enum copy_step what, struct err_text *e)
{
    struct pollfd p = { .fd = copy_fd(c), .events = POLLIN };
    copy_start(c, what);
    assert_int_equal(poll(&p, 1, 60000), 1);
    return copy_step_end(c, e);
}

static struct copy *new_copy(const struct copy_config *cfg)
{
    struct copy *c = NULL;
    struct err_text e = { "" };
    if (copy_new(cfg, &c, &e))
        fail_msg("%s", e.text);
    return c;
}

static void all_steps(const struct copy_config *cfg, struct copy_progress *ret)
{
    struct err_text e = { "" };
    struct copy *c = new_copy(cfg);
    if (step(c, COPY_DATA, &e))
        fail_msg("%s", e.text);
    copy_progress(c, ret);
    assert_int_equal(ret->done, copy_bytes(c));
    if (step(c, COPY_FLUSH, &e) || (cfg->verify && step(c, COPY_VERIFY, &e)))
        fail_msg("%s", e.text);
    copy_free(c);
}

static void stores(void **state)
{
    (void)state;
    struct copy_progress p;
    make("from", 1 << 20, 300000, 500000);
    make("to", 2 << 20, 0, 2 << 20); /* longer, and full of something else */
    make("old", 2 << 20, 0, 2 << 20);
    struct store *from = open_store("./from"), *to = open_store("./to");
    struct copy_config cfg = config(from, to);
    all_steps(&cfg, &p);
    /* Pages that hold data: 299008 to 503808 at most. */
    assert_in_range(p.written, 200000, 503808 - 299008);
    assert_int_equal(p.written + p.zeroes, 1 << 20);
    store_close(from);
    store_close(to);
    same_content("from", "to", 1 << 20);
    size_t len, old_len;
    uint8_t *now = content("to", &len), *old = content("old", &old_len);
    assert_int_equal(len, old_len);
    assert_memory_equal(now + (1 << 20), old + (1 << 20), 1 << 20);
    free(now);
    free(old);
}

/* The source ends in the middle of a block; those of the destination are longer. */
static void tail(void **state)
{
    (void)state;
    static const uint8_t end[100] = { 1, 2, 3, [99] = 4 };
    struct copy_progress p;
    make("from", 512 * 129, 0, 512 * 129);
    struct store *from = open_store("./from"), *to = open_store("ram:1M");
    struct store *back = open_store("./back?create=1M");
    to->info.block_bytes = to->info.phys_block_bytes = 4096; /* what it takes as well */
    struct copy_config cfg = config(from, to);
    cfg.bytes = 512 * 129 + sizeof(end);
    cfg.tail = end;
    all_steps(&cfg, &p);
    assert_int_equal(p.done, cfg.bytes);
    struct copy_config again = config(to, back);
    all_steps(&again, &p);
    store_close(from);
    store_close(to);
    store_close(back);
    same_content("from", "back", 512 * 129);
    size_t len;
    uint8_t *b = content("back", &len);
    assert_memory_equal(b + 512 * 129, end, sizeof(end));
    for (size_t i = cfg.bytes; i < len; i++)
        assert_int_equal(b[i], 0);
    free(b);
}

/* Zeroes that are looked for in pieces shorter than a block. */
static void short_zeroes(void **state)
{
    (void)state;
    struct copy_progress p;
    make("from", 1 << 20, 299520, 500224);
    struct store *from = open_store("./from"), *to = open_store("ram:1M");
    to->info.block_bytes = to->info.phys_block_bytes = 4096;
    struct copy_config cfg = config(from, to);
    cfg.sparse = 512;
    all_steps(&cfg, &p);
    assert_int_equal(p.written + p.zeroes, 1 << 20);
    store_close(from);
    store_close(to);
}

/* Nobody reads what is written: that is an error, and no end that somebody wished for. */
static void no_reader(void **state)
{
    (void)state;
    struct err_text e = { "" };
    int out[2];
    make("from", 1 << 20, 0, 1 << 20);
    assert_int_equal(pipe(out), 0);
    close(out[0]);
    struct store *from = open_store("./from");
    struct copy_config cfg = config(from, NULL);
    cfg.to_fd = out[1];
    struct copy *c = new_copy(&cfg);
    assert_int_equal(step(c, COPY_DATA, &e), USAN_EIO);
    assert_non_null(strstr(e.text, "TO: writing at 0"));
    copy_free(c);
    close(out[1]);
    store_close(from);
}

static void difference(void **state)
{
    (void)state;
    static const off_t at[] = { 0, 65535, 65536, 700001, (1 << 20) - 1 };
    struct err_text e;
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        make("from", 1 << 20, 0, 1 << 20);
        make("to", 1 << 20, 0, 1 << 20);
        FILE *f = fopen("to", "r+");
        assert_non_null(f);
        for (size_t k = i; k < sizeof(at) / sizeof(at[0]); k++) { /* and others behind it */
            fseeko(f, at[k], SEEK_SET);
            putc(0, f); /* which no byte of the other is */
        }
        fclose(f);
        struct store *from = open_store("./from"), *to = open_store("./to");
        struct copy_config cfg = config(from, to);
        struct copy *c = new_copy(&cfg);
        char want[64];
        (void)snprintf(want, sizeof(want), "FROM and TO differ at byte %lld", (long long)at[i]);
        assert_int_equal(step(c, COPY_VERIFY, &e), USAN_EMISCOMPARE);
        assert_string_equal(e.text, want);
        copy_free(c);
        store_close(from);
        store_close(to);
    }
}

/* In what the source has as a hole, longer than a request: asked for, or read. */
static void difference_in_hole(void **state)
{
    (void)state;
    static const off_t at[] = { 100, 300000, (1 << 20) - 1 };
    struct err_text e;
    for (size_t i = 0; i < 6; i++) {
        make("from", 1 << 20, 0, 0);
        make("to", 1 << 20, at[i / 2], at[i / 2] + 1);
        struct store *from = open_store("./from"), *to = open_store("./to");
        to->info.can_map_status = i & 1;
        struct copy_config cfg = config(from, to);
        struct copy *c = new_copy(&cfg);
        char want[64];
        (void)snprintf(want, sizeof(want), "FROM and TO differ at byte %lld", (long long)at[i / 2]);
        assert_int_equal(step(c, COPY_VERIFY, &e), USAN_EMISCOMPARE);
        assert_string_equal(e.text, want);
        copy_free(c);
        store_close(from);
        store_close(to);
    }
}

static void *feed(void *arg)
{
    int fd = *(int *)arg;
    size_t len;
    uint8_t *p = content("from", &len);
    for (size_t at = 0; at < len;) { /* in pieces that fit nothing */
        ssize_t n = write(fd, p + at, len - at < 7001 ? len - at : 7001);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    free(p);
    close(fd);
    return NULL;
}

static void streams(void **state)
{
    (void)state;
    struct copy_progress p;
    int in[2];
    pthread_t t;
    make("from", 1000001, 100000, 900000);
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pthread_create(&t, NULL, feed, &in[1]), 0);
    struct store *to = open_store("./streamed?create=2M");
    struct copy_config cfg = config(NULL, to);
    cfg.from_fd = in[0];
    cfg.channels = 1;
    all_steps(&cfg, &p);
    assert_int_equal(p.done, 1000001);
    pthread_join(t, NULL);
    close(in[0]);
    store_close(to);
    same_content("from", "streamed", 1000001);
    /* and out again */
    FILE *out = fopen("out", "w");
    assert_non_null(out);
    struct store *from = open_store("./streamed");
    struct copy_config back = config(from, NULL);
    back.to_fd = fileno(out);
    back.bytes = 1000001;
    all_steps(&back, &p);
    store_close(from);
    fclose(out);
    same_content("from", "out", 1000001);
    size_t len;
    free(content("out", &len));
    assert_int_equal(len, 1000001);
    /* less than there is, up to the middle of a block that holds data */
    out = fopen("out", "w");
    assert_non_null(out);
    from = open_store("./streamed");
    back = config(from, NULL);
    back.to_fd = fileno(out);
    back.bytes = 850001;
    all_steps(&back, &p);
    store_close(from);
    fclose(out);
    same_content("from", "out", 850001);
    free(content("out", &len));
    assert_int_equal(len, 850001);
}

static void too_much(void **state)
{
    (void)state;
    struct err_text e = { "" };
    int in[2];
    pthread_t t;
    make("from", 1000001, 0, 1000001);
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pthread_create(&t, NULL, feed, &in[1]), 0);
    struct store *to = open_store("ram:512K");
    struct copy_config cfg = config(NULL, to);
    cfg.from_fd = in[0];
    cfg.channels = 1;
    struct copy *c = new_copy(&cfg);
    assert_int_equal(step(c, COPY_DATA, &e), USAN_ENOSPC);
    assert_non_null(strstr(e.text, "TO: more comes than it has room for at 524288"));
    copy_free(c);
    close(in[0]);
    pthread_join(t, NULL);
    store_close(to);
}

static void failing(void **state)
{
    (void)state;
    struct err_text e = { "" };
    make("from", 1 << 20, 0, 1 << 20);
    struct store *from = open_store("./from"), *to = open_store("error(op=write,err=nospc)+ram:1M");
    struct copy_config cfg = config(from, to);
    struct copy *c = new_copy(&cfg);
    assert_int_equal(step(c, COPY_DATA, &e), USAN_ENOSPC);
    assert_non_null(strstr(e.text, "TO: writing at "));
    copy_free(c);
    store_close(from);
    store_close(to);
}

static void cancelled(void **state)
{
    (void)state;
    struct err_text e = { "" };
    struct copy_progress p;
    int in[2];
    assert_int_equal(pipe(in), 0); /* nothing ever comes */
    struct store *to = open_store("ram:1M");
    struct copy_config cfg = config(NULL, to);
    cfg.from_fd = in[0];
    struct copy *c = new_copy(&cfg);
    struct pollfd f = { .fd = copy_fd(c), .events = POLLIN };
    copy_start(c, COPY_DATA);
    assert_int_equal(poll(&f, 1, 50), 0);
    copy_cancel(c);
    assert_int_equal(poll(&f, 1, 60000), 1);
    assert_int_equal(copy_step_end(c, &e), USAN_ECANCELED);
    copy_progress(c, &p);
    assert_int_equal(p.done, 0);
    copy_free(c);
    store_close(to);
    close(in[0]);
    close(in[1]);
}

static int enter(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    return !mkdtemp(folder) || chdir(folder);
}

static int leave(void **state)
{
    (void)state;
    static const char *const names[] = { "from", "to", "old", "back", "streamed", "out" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        (void)unlink(names[i]);
    return chdir("/") || rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stores),       cmocka_unit_test(tail),
        cmocka_unit_test(difference),   cmocka_unit_test(difference_in_hole),
        cmocka_unit_test(short_zeroes), cmocka_unit_test(no_reader),
        cmocka_unit_test(streams),      cmocka_unit_test(too_much),
        cmocka_unit_test(failing),      cmocka_unit_test(cancelled),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
