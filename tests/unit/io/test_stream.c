/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes of a stream socket: what is told of more to come, of a full socket, of its end. */
#include "io/stream.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { BIG = 1 << 20 };

static int fd[2];

static int begin(void **state)
{
    (void)state;
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd);
}

static int end(void **state)
{
    (void)state;
    close(fd[0]);
    close(fd[1]);
    return 0;
}

static void received(void **state)
{
    (void)state;
    char a[4], b[4];
    struct iovec iov[2] = { { a, 4 }, { b, 4 } };
    bool more;
    assert_int_equal(stream_recv(fd[1], iov, 2, &more), -EAGAIN);
    assert_int_equal(send(fd[0], "123456789", 9, 0), 9);
    assert_int_equal(stream_recv(fd[1], iov, 2, &more), 8);
    assert_true(more);
    assert_memory_equal(a, "1234", 4);
    assert_memory_equal(b, "5678", 4);
    assert_int_equal(stream_recv(fd[1], iov, 1, &more), 1);
    assert_false(more);
    assert_int_equal(shutdown(fd[0], SHUT_WR), 0);
    assert_int_equal(stream_recv(fd[1], iov, 2, &more), 0);
    assert_false(more);
}

/* The last iovec of a full array is left for the next call. */
static void sent(void **state)
{
    (void)state;
    char a[] = "abc", b[] = "def", got[8];
    struct iovec iov[2] = { { a, 3 }, { b, 3 } };
    bool full = true;
    assert_int_equal(stream_send(fd[0], iov, 2, 3, &full), 6);
    assert_false(full);
    assert_int_equal(stream_send(fd[0], iov, 2, 2, &full), 3);
    assert_false(full);
    assert_int_equal(recv(fd[1], got, sizeof(got), 0), 8);
    assert_memory_equal(got, "abcdefab", 8);
}

static void full_and_gone(void **state)
{
    (void)state;
    char *big = calloc(1, BIG);
    struct iovec iov = { big, BIG };
    bool full = false;
    assert_non_null(big);
    assert_in_range(stream_send(fd[0], &iov, 1, 2, &full), 1, BIG - 1);
    assert_true(full);
    /* what it took may be freed by the kernel piece by piece, but there is never room for it all */
    ssize_t n;
    while ((n = stream_send(fd[0], &iov, 1, 2, &full)) > 0)
        assert_true(full);
    assert_int_equal(n, -EAGAIN);
    close(fd[1]);
    fd[1] = dup(fd[0]);
    n = stream_send(fd[0], &iov, 1, 2, &full);
    assert_true(n == -EPIPE || n == -ECONNRESET);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(received, begin, end),
        cmocka_unit_test_setup_teardown(sent, begin, end),
        cmocka_unit_test_setup_teardown(full_and_gone, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
