/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A store that becomes another size by itself: initiators are told, and get at the rest. */
#include "cmocka_all.h"

#include "client.h"
#include "program.h"

#include "base/bytes.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- a back end that doubles with each FLUSH ---- */

static const struct store_opt_desc no_opts[] = { { .key = NULL } };

static int grow_open(const struct store_open *how, struct store **ret_store, struct err_text *e)
{
    struct store *s = calloc(1, sizeof(*s));
    if (!s)
        return err_set(e, USAN_ENOMEM, "%s", how->target);
    s->info = (struct store_info){
        .size_bytes = 1 << 20, .block_bytes = 512, .phys_block_bytes = 512, .volatile_cache = true
    };
    *ret_store = s;
    return 0;
}

static void grow_close(struct store *s)
{
    free(s);
}

static int grow_channel_open(struct store *s, struct loop *loop, struct store_channel **ret_ch)
{
    (void)s;
    (void)loop;
    *ret_ch = calloc(1, sizeof(**ret_ch));
    return *ret_ch ? 0 : USAN_ENOMEM;
}

static void grow_channel_close(struct store_channel *ch)
{
    free(ch);
}

static void grow_submit(struct store_channel *ch, struct bio *bio)
{
    struct store *s = ch->store;
    for (int i = 0; bio->op == BIO_READ && i < bio->iovcnt; i++)
        memset(bio->iov[i].iov_base, 7, bio->iov[i].iov_len);
    if (bio->op == BIO_FLUSH) {
        __atomic_store_n(&s->info.size_bytes, 2 * s->info.size_bytes, __ATOMIC_RELAXED);
        store_tell(s, STORE_NEWS_SIZE, NULL);
        store_tell(s, STORE_NEWS_TEXT, "it has doubled");
    }
    store_complete(ch, bio, 0);
}

static const struct store_ops grow_ops = { .struct_bytes = sizeof(struct store_ops),
                                           .name = "grow",
                                           .help = "doubles with each flush",
                                           .opts = no_opts,
                                           .open = grow_open,
                                           .close = grow_close,
                                           .channel_open = grow_channel_open,
                                           .channel_close = grow_channel_close,
                                           .submit = grow_submit };

/* ---- the test ---- */

static uint32_t capacity(struct client *c, uint8_t lun)
{
    static const uint8_t cdb[10] = { 0x25 };
    uint8_t data[8] = { 0 };
    assert_int_equal(
        client_finish(c, client_send_cdb(c, lun, cdb, true, false, 8, NULL, 0), data, sizeof(data)),
        0);
    return be32_get(data) + 1;
}

static uint8_t test_unit_ready(struct client *c, uint8_t lun, uint8_t sense[32])
{
    static const uint8_t cdb[10] = { 0 };
    return client_finish(c, client_send_cdb(c, lun, cdb, false, false, 0, NULL, 0), sense, 32);
}

static void grows(void **state)
{
    static const uint8_t flush[10] = { 0x35 };
    struct program *p = *state;
    struct client a, b;
    uint8_t data[512], sense[32];
    client_login(&a, p->port, HOST, TARGET_A, 1);
    client_login(&b, p->port, HOST, TARGET_A, 2);
    client_ready(&a, 3);
    client_ready(&b, 3);
    assert_int_equal(capacity(&a, 3), 2048);
    assert_int_equal(client_finish(&a, client_send_read(&a, 3, 2048, 1), data, sizeof(data)), 2);
    assert_int_equal(
        client_finish(&a, client_send_cdb(&a, 3, flush, false, false, 0, NULL, 0), NULL, 0), 0);
    uint64_t end = now_ms() + 10000; /* as soon as what is running has left */
    while (test_unit_ready(&b, 3, sense) != 2) {
        assert_true(now_ms() < end);
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
    assert_int_equal(capacity(&b, 3), 4096);
    client_ready(&a, 3);
    assert_int_equal(capacity(&a, 3), 4096);
    assert_int_equal(client_finish(&a, client_send_read(&a, 3, 2048, 1), data, sizeof(data)), 0);
    assert_int_equal(data[511], 7);
    client_close(&a);
    client_close(&b);
}

static char *copy_of(const char *text)
{
    char *copy = strdup(text);
    assert_non_null(copy);
    return copy;
}

static int setup(void **state)
{
    struct program *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    program_configure(&p->cfg);
    struct tgt_config_lun *lun = tgt_config_add_lun(&p->cfg.targets[0]);
    lun->lun = 3;
    lun->store = copy_of("stats+grow:");
    program_start(p);
    *state = p;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(grows, setup, program_teardown),
    };
    program_block_signals();
    if (store_registry_add(&grow_ops))
        return 1;
    return cmocka_run_group_tests(tests, program_make_file, program_remove_file);
}
