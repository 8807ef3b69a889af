/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "program.h"

#include "cmocka_all.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void program_block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static void *run(void *arg)
{
    struct program *p = arg;
    p->result = tgt_run(p->tgt, NULL);
    return NULL;
}

static char *copy_of(const char *s)
{
    char *c = strdup(s);
    assert_non_null(c);
    return c;
}

static void add_lun(struct tgt_config_target *t, uint32_t number, const char *store)
{
    struct tgt_config_lun *l = tgt_config_add_lun(t);
    l->lun = number;
    l->store = copy_of(store);
}

static char file_path[] = "/tmp/usan-test-disk.XX"
                          "XX"
                          "XX";

int program_make_file(void **state)
{
    (void)state;
    int fd = mkstemp(file_path);
    int err = fd < 0 || ftruncate(fd, 4 << 20);
    return err ? -1 : close(fd);
}

int program_remove_file(void **state)
{
    (void)state;
    return unlink(file_path);
}

void program_configure(struct tgt_config *c)
{
    tgt_config_init(c);
    struct tgt_config_portal *portal = tgt_config_add_portal(c);
    portal->address = copy_of("127.0.0.1");
    portal->port = 0;
    struct tgt_config_target *t = tgt_config_add_target(c);
    t->name = copy_of(TARGET_A);
    add_lun(t, 0, "ram:4M");
    add_lun(t, 1, "delay(time=300ms)+ram:4M");
    add_lun(t, 2, file_path);
    t = tgt_config_add_target(c);
    t->name = copy_of(TARGET_B);
    add_lun(t, 0, "ram:4M");
    t = tgt_config_add_target(c);
    t->name = copy_of(GONE);
    t->redirect = copy_of("127.0.0.9:3261");
    c->cores = 2;
    c->limits.sessions = 8;
    c->limits.time2retain_ns = 3600 * NS_PER_SEC; /* what the client asks for counts */
    c->poll = LOOP_POLL_NEVER;
    c->stop_timeout_ns = 60 * NS_PER_SEC; /* this machine may be slow */
}

static void find_port(struct program *p)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    tgt_print_urls(p->tgt, out);
    fclose(out);
    static const char begin[] = "iscsi://127.0.0.1:";
    assert_memory_equal(text, begin, sizeof(begin) - 1);
    p->port = (uint16_t)strtoul(text + sizeof(begin) - 1, NULL, 10);
    assert_non_null(strstr(text, "/" TARGET_A "/2\n"));
    assert_null(strstr(text, GONE));
    free(text);
}

/* What a former program did not take any more must not stop the next one. */
static void forget_signals(void)
{
    static const struct timespec at_once = { 0 };
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    while (sigtimedwait(&set, NULL, &at_once) > 0)
        ;
}

void program_start(struct program *p)
{
    forget_signals();
    struct err_text e = { "" };
    if (tgt_config_check(&p->cfg, &e) || tgt_new(&p->cfg, &p->tgt, &e))
        fail_msg("%s", e.text);
    find_port(p);
    assert_int_equal(pthread_create(&p->thread, NULL, run, p), 0);
}

uint64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int program_stop(struct program *p)
{
    kill(getpid(), SIGTERM);
    pthread_join(p->thread, NULL);
    if (p->result == USAN_ETIMEOUT) /* tgt_run(): nothing may be freed */
        return p->result;
    tgt_free(p->tgt);
    tgt_config_fini(&p->cfg);
    return p->result;
}

int program_setup(void **state)
{
    struct program *p = calloc(1, sizeof(*p));
    program_configure(&p->cfg);
    program_start(p);
    *state = p;
    return 0;
}

int program_teardown(void **state)
{
    struct program *p = *state;
    int result = p->thread ? program_stop(p) : 0;
    free(p);
    return result;
}

void program_wait_for_sessions(struct program *p, uint32_t count)
{
    for (int i = 0; i < 6000; i++) {
        if (tgt_registry_count(tgt_registry(p->tgt)) == count)
            return;
        usleep(10000);
    }
    assert_int_equal(tgt_registry_count(tgt_registry(p->tgt)), count);
}

unsigned program_connections(const struct program *p)
{
    return atomic_load(&tgt_reactor_at(p->tgt, 0)->conn_count) +
           atomic_load(&tgt_reactor_at(p->tgt, 1)->conn_count);
}
