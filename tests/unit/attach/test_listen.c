/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sockets that are in the way of a front end: whose are they, and does looking ever end? */
#include "attach/listen.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
    char dir[32];
    struct sockaddr_un sa;
} w;

static int begin(void **st)
{
    (void)st;
    memset(&w, 0, sizeof(w));
    (void)snprintf(w.dir, sizeof(w.dir), "/tmp/usan-listen-XXXXXX");
    if (!mkdtemp(w.dir))
        return -1;
    w.sa.sun_family = AF_UNIX;
    (void)snprintf(w.sa.sun_path, sizeof(w.sa.sun_path), "%s/s", w.dir);
    return 0;
}

static int end(void **st)
{
    (void)st;
    (void)unlink(w.sa.sun_path);
    return rmdir(w.dir);
}

static int other(int type, int backlog)
{
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&w.sa, sizeof(w.sa)), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

static void tries(int want, const char *text)
{
    const struct attach_config cfg = { .front.name = "", .mode = 0600 };
    struct attach_listener l;
    struct err_text e = { "" };
    char front[160];
    (void)snprintf(front, sizeof(front), "nbd:unix:%s", w.sa.sun_path);
    assert_int_equal(attach_listener_open(&l, &cfg, front, &e), want);
    if (!strstr(e.text, text))
        fail_msg("'%s' does not say '%s'", e.text, text);
    attach_listener_free(&l);
    assert_int_equal(access(w.sa.sun_path, F_OK), want ? 0 : -1);
}

static void stale(void **st)
{
    (void)st;
    close(other(SOCK_STREAM, 1));
    tries(0, "");
}

static void silent(void **st)
{
    (void)st;
    int fd = other(SOCK_STREAM, 8);
    tries(USAN_EADDRINUSE, "the socket is in use");
    close(fd);
}

static void backlog_full(void **st)
{
    (void)st;
    int fd = other(SOCK_STREAM, 0), waiting[8], n = 0, rc = 0;
    while (n < 8 && !rc) {
        waiting[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        rc = connect(waiting[n++], (struct sockaddr *)&w.sa, sizeof(w.sa)) ? errno : 0;
    }
    assert_int_equal(rc, EAGAIN);
    tries(USAN_EADDRINUSE, "the socket is in use");
    while (n > 0)
        close(waiting[--n]);
    close(fd);
}

static void datagrams(void **st)
{
    (void)st;
    int fd = other(SOCK_DGRAM, 0);
    tries(usan_err_from_errno(EPROTOTYPE), strerror(EPROTOTYPE));
    close(fd);
}

static void *hang_up(void *arg)
{
    for (;;) {
        int fd = accept(*(int *)arg, NULL, NULL);
        if (fd < 0)
            return NULL;
        close(fd);
    }
}

/* A server that has no room for one more client takes connections only to close them. */
static void ends_all(void **st)
{
    (void)st;
    pthread_t thread;
    int fd = other(SOCK_STREAM, 8);
    assert_int_equal(pthread_create(&thread, NULL, hang_up, &fd), 0);
    tries(USAN_EADDRINUSE, "the socket is in use");
    assert_int_equal(shutdown(fd, SHUT_RDWR), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stale, begin, end),
        cmocka_unit_test_setup_teardown(silent, begin, end),
        cmocka_unit_test_setup_teardown(backlog_full, begin, end),
        cmocka_unit_test_setup_teardown(datagrams, begin, end),
        cmocka_unit_test_setup_teardown(ends_all, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
