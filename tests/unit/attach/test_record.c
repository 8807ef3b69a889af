/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records of attached stores and their control sockets: names, who lives, what is asked. */
#include "attach/control.h"
#include "attach/label.h"
#include "attach/record.h"

#include "io/thread.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];

static int begin(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/usan-record-XXXXXX");
    return !mkdtemp(dir) || setenv("USAN_RUN_DIR", dir, 1);
}

/* Nothing is left in it. */
static int end(void **state)
{
    (void)state;
    return rmdir(dir);
}

static void read_back(const char *name, struct attach_record *r)
{
    struct err_text e = { "" };
    assert_int_equal(attach_record_read(dir, name, r, &e), 0);
    assert_string_equal(r->name, name);
}

/* ---- names ---- */

static void expect_label(const char *name, const char *store, const char *want)
{
    const struct attach_config cfg = { .front.name = name, .store = store };
    assert_string_equal(attach_label(&cfg).s, want);
}

static void labels(void **state)
{
    (void)state;
    expect_label("vm1", "/srv/a.img", "vm1");
    expect_label("", "/srv/a.img?direct=1", "a.img");
    expect_label("", "stats+file:/srv/a.img", "a.img");
    expect_label("", "ram:1G", "ram:1G");
    expect_label("", "iscsi://u%secret@h:3260/iqn.2025-01.io.usan:a.img/0?x=1", "a.img/0");
    expect_label("", "iscsi://h/iqn.2025-01.io.usan/7", "iqn.2025-01.io.usan/7");
    expect_label("", "multipath:iscsi://h/iqn.2025-01.io.usan:b/7,10.0.0.2:3261", "b/7");
    expect_label("", "multipath:iscsi://h/iqn.2025-01.a:b/7?x=1,iscsi://k/iqn.2025-01.a:c/7",
                 "b/7");
}

static void expect_name(const char *wish, const char *want)
{
    struct attach_record_file f;
    struct err_text e = { "" };
    assert_int_equal(attach_record_create(&f, wish, &e), 0);
    assert_string_equal(f.name, want);
    attach_record_remove(&f);
}

static void names(void **state)
{
    (void)state;
    expect_name("a.img", "a.img");
    expect_name("a.img/0", "a.img-0");
    expect_name("ram:1G", "ram-1G");
    expect_name("../../etc/passwd", "etc-passwd");
    expect_name("-x y  z-", "x-y-z");
    expect_name("", "store");
    expect_name("///", "store");
    char longest[300];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = 0;
    struct attach_record_file f;
    struct err_text e = { "" };
    assert_int_equal(attach_record_create(&f, longest, &e), 0);
    assert_in_range(strlen(f.name), 20, RECORD_NAME_MAX - 5);
    attach_record_remove(&f);
}

static void names_that_are_none(void **state)
{
    (void)state;
    static const char *const list[] = { "nobody", "../x", "a/b", "" };
    struct attach_record r;
    struct err_text e = { "" };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        assert_int_equal(attach_record_read(dir, list[i], &r, &e), USAN_ENOENT);
}

/* ---- who lives ---- */

static void same_name(void **state)
{
    (void)state;
    struct attach_record_file a, b, c;
    struct err_text e = { "" };
    char **list;
    size_t count;
    assert_int_equal(attach_record_create(&a, "disk", &e), 0);
    assert_int_equal(attach_record_create(&b, "disk", &e), 0);
    assert_string_equal(b.name, "disk-2");
    assert_int_equal(attach_record_names(dir, &list, &count, &e), 0);
    assert_int_equal(count, 2);
    free(list[0]);
    free(list[1]);
    free(list);
    attach_record_remove(&a);
    assert_int_equal(attach_record_create(&c, "disk", &e), 0);
    assert_string_equal(c.name, "disk");
    attach_record_remove(&b);
    attach_record_remove(&c);
}

/* What a program writes and then dies. */
static void die_with(const char *text)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        struct attach_record_file f;
        struct err_text e;
        if (attach_record_create(&f, "disk", &e) || attach_record_write(&f, text, &e))
            _exit(1);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void content(void **state)
{
    (void)state;
    struct attach_record_file f;
    struct attach_record r;
    struct err_text e = { "" };
    assert_int_equal(attach_record_create(&f, "disk", &e), 0);
    assert_int_equal(attach_record_write(&f, "pid=1\nlonger=than the next\n", &e), 0);
    assert_int_equal(attach_record_write(&f,
                                         "pid=77\nsince=9\nstore=a=b\nodd\nmount=/m\n"
                                         "front=/m/x\nfront=/dev/loop1\n",
                                         &e),
                     0);
    read_back("disk", &r);
    assert_true(r.alive);
    assert_int_equal(r.pid, 77);
    assert_int_equal(r.since_s, 9);
    assert_string_equal(r.store, "a=b");
    assert_int_equal(r.mount_count, 1);
    assert_string_equal(r.mounts[0], "/m");
    assert_int_equal(r.front_count, 2);
    assert_string_equal(r.fronts[1], "/dev/loop1");
    attach_record_forget(dir, "disk"); /* not one that lives */
    attach_record_free(&r);
    read_back("disk", &r);
    attach_record_free(&r);
    attach_record_remove(&f);
}

static void dead(void **state)
{
    (void)state;
    struct attach_record_file f;
    struct attach_record r;
    struct err_text e = { "" };
    die_with("pid=5\nmount=/m\n");
    read_back("disk", &r);
    assert_false(r.alive);
    attach_record_free(&r);
    /* it has left a mount, so its record stays */
    assert_int_equal(attach_record_create(&f, "disk", &e), 0);
    assert_string_equal(f.name, "disk-2");
    attach_record_remove(&f);
    attach_record_forget(dir, "disk");
    assert_int_equal(attach_record_read(dir, "disk", &r, &e), USAN_ENOENT);
    die_with("pid=6\n");
    assert_int_equal(attach_record_create(&f, "disk", &e), 0);
    assert_string_equal(f.name, "disk");
    attach_record_remove(&f);
}

/* Who only looks, or clears what is dead, is in nobody's way: the name goes to the one program that
 * wants it. */
static void *look_on(void *arg)
{
    atomic_bool *over = arg;
    struct attach_record r;
    while (!atomic_load(over)) {
        if (attach_record_read(dir, "disk", &r, NULL) == 0)
            attach_record_free(&r);
        attach_record_forget(dir, "disk");
    }
    return NULL;
}

static void watched(void **state)
{
    (void)state;
    pthread_t thread[2];
    atomic_bool over = false;
    unsigned others = 0, lost = 0;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, look_on, &over), 0);
    for (int i = 0; i < 5000; i++) {
        struct attach_record_file f;
        struct attach_record r;
        struct err_text e = { "" };
        assert_int_equal(attach_record_create(&f, "disk", &e), 0);
        others += strcmp(f.name, "disk") != 0;
        lost += attach_record_read(dir, f.name, &r, &e) != 0;
        if (!lost) {
            lost += !r.alive;
            attach_record_free(&r);
        }
        attach_record_remove(&f);
    }
    atomic_store(&over, true);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_int_equal(others, 0);
    assert_int_equal(lost, 0);
}

static void no_directory(void **state)
{
    (void)state;
    char got[8];
    struct err_text e = { "" };
    assert_int_equal(attach_run_dir(got, sizeof(got), &e), USAN_EINVAL);
    assert_int_equal(setenv("USAN_RUN_DIR", "/proc/nowhere/x", 1), 0);
    struct attach_record_file f;
    assert_true(attach_record_create(&f, "disk", &e) < 0);
    assert_non_null(strstr(e.text, "/proc/nowhere/x"));
}

/* ---- the socket ---- */

struct server {
    struct attach_control control;
    struct loop *loop;
    struct thread thread;
    struct sockaddr_un sa;
    bool refuse, force;
    unsigned lines; /* besides the usual ones */
    atomic_uint detached;
};

static void show(struct attach_control *c, FILE *out)
{
    struct server *s = list_entry(c, struct server, control);
    fputs("a=1\nb=two\n", out);
    for (unsigned i = 0; i < s->lines; i++)
        fprintf(out, "%06u=%s\n", i, "as many bytes as are in this line");
}

static bool detach(struct attach_control *c, bool force, struct err_text *e)
{
    struct server *s = list_entry(c, struct server, control);
    if (s->refuse && !force) {
        (void)err_set(e, USAN_EBUSY, "it is in use");
        return false;
    }
    s->force = force;
    atomic_fetch_add(&s->detached, 1);
    loop_stop(s->loop);
    return true;
}

static void start(struct server *s)
{
    const struct loop_config lc = { .engine = LOOP_ENGINE_EPOLL, .cpu = -1 };
    struct err_text e = { "" };
    attach_control_init(&s->control);
    s->control.show = show;
    s->control.detach = detach;
    assert_int_equal(loop_new(&lc, &s->loop, &e), 0);
    assert_int_equal(attach_record_socket(dir, "disk", &s->sa), 0);
    assert_int_equal(attach_control_open(&s->control, s->loop, &s->sa, &e), 0);
    assert_int_equal(thread_start_loop(&s->thread, "control", s->loop, &e), 0);
}

static void expect(const struct server *s, const char *line, const char *want)
{
    struct err_text e = { "" };
    char *answer = NULL;
    assert_int_equal(attach_control_ask(&s->sa, line, 30000, &answer, &e), 0);
    assert_string_equal(answer, want);
    free(answer);
}

/* A line that is too long, and more clients that say nothing than there is room for. */
static void never_ending(const struct server *s)
{
    int fd[CONTROL_CLIENTS_MAX + 1];
    char line[CONTROL_LINE_MAX] = { 0 }, byte;
    for (int i = 0; i <= CONTROL_CLIENTS_MAX; i++) {
        fd[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd[i], (const struct sockaddr *)&s->sa, sizeof(s->sa)), 0);
    }
    assert_int_equal(recv(fd[CONTROL_CLIENTS_MAX], &byte, 1, 0), 0);
    assert_int_equal(send(fd[0], line, sizeof(line), 0), sizeof(line));
    assert_int_equal(recv(fd[0], &byte, 1, 0), 0);
    expect(s, "show", "a=1\nb=two\n"); /* in the place of that one */
    for (int i = 0; i <= CONTROL_CLIENTS_MAX; i++)
        close(fd[i]);
}

/* More than a socket holds: all of it comes, however slowly it is taken. */
static void long_answer(struct server *s)
{
    enum { LINES = 50000, LINE = 41 };
    struct err_text e = { "" };
    char *answer = NULL, last[64];
    s->lines = LINES;
    assert_int_equal(attach_control_ask(&s->sa, "show", 30000, &answer, &e), 0);
    assert_int_equal(strlen(answer), 10 + LINES * LINE);
    (void)snprintf(last, sizeof(last), "\n%06u=as many bytes as are in this line\n", LINES - 1);
    assert_string_equal(answer + strlen(answer) - strlen(last), last);
    free(answer);
    s->lines = CONTROL_ANSWER_MAX / LINE + 1;
    assert_int_equal(attach_control_ask(&s->sa, "show", 30000, &answer, &e), USAN_ELIMIT);
    s->lines = 0;
}

static void *ask_for_the_end(void *arg)
{
    expect(arg, "detach force", "error it broke\n");
    return NULL;
}

static void asked(void **state)
{
    (void)state;
    static struct server s;
    struct stat st;
    pthread_t asker;
    s = (struct server){ .refuse = true };
    start(&s);
    assert_int_equal(stat(s.sa.sun_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    expect(&s, "show", "a=1\nb=two\n");
    expect(&s, "nonsense", "error unknown request\n");
    expect(&s, "detach", "error it is in use\n");
    long_answer(&s);
    never_ending(&s);
    assert_int_equal(atomic_load(&s.detached), 0);
    /* who asks for the end hears of it */
    assert_int_equal(pthread_create(&asker, NULL, ask_for_the_end, &s), 0);
    thread_join(&s.thread);
    assert_int_equal(atomic_load(&s.detached), 1);
    assert_true(s.force);
    attach_control_close(&s.control);
    attach_control_end(&s.control, "it broke");
    assert_int_equal(pthread_join(asker, NULL), 0);
    struct err_text e = { "" };
    char *answer;
    assert_int_equal(attach_control_ask(&s.sa, "show", 1000, &answer, &e), USAN_ECLOSED);
    loop_free(s.loop);
    assert_int_equal(unlink(s.sa.sun_path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels),
        cmocka_unit_test_setup_teardown(names, begin, end),
        cmocka_unit_test_setup_teardown(names_that_are_none, begin, end),
        cmocka_unit_test_setup_teardown(same_name, begin, end),
        cmocka_unit_test_setup_teardown(content, begin, end),
        cmocka_unit_test_setup_teardown(dead, begin, end),
        cmocka_unit_test_setup_teardown(watched, begin, end),
        cmocka_unit_test_setup_teardown(no_directory, begin, end),
        cmocka_unit_test_setup_teardown(asked, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
