/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A program `usan attach` in the background, for a disk of a session. */
#include "cli/adm_units.h"
#include "cli/adm_url.h"
#include "cli/wait.h"

#include "attach/record.h"
#include "io/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FRONT_MAX = 512, READY_MS = 60000 };

/* Of a session's record: where its units are attached, with %s and %l. A rescan goes by it. */
static const char front_key[] = "usan.front";

struct start {
    const struct adm_sessions *s;
    char name[RECORD_NAME_MAX + 1];
    char front[FRONT_MAX];
    char log[1100];
    char secrets[2][1100]; /* files, to be removed when they have been read */
    unsigned secret_count;
    char url[ADM_URL_TEXT_MAX];
    char ready[1024]; /* the first line of its output */
};

/* ---- what it is told ---- */

/* %s the session, %l the LUN, %% a percent sign. */
static int make_front(struct start *st, const char *pattern, unsigned sid, unsigned lun,
                      struct err_text *e)
{
    size_t n = 0;
    for (const char *p = pattern; *p; p++) {
        int w;
        if (*p != '%')
            w = snprintf(st->front + n, sizeof(st->front) - n, "%c", *p);
        else if (*++p == 's' || *p == 'l')
            w = snprintf(st->front + n, sizeof(st->front) - n, "%u", *p == 's' ? sid : lun);
        else if (*p == '%')
            w = snprintf(st->front + n, sizeof(st->front) - n, "%%");
        else
            return err_set(e, USAN_EINVAL, "--front %s: there is only %%s, %%l and %%%%", pattern);
        n += (size_t)w;
        if (n >= sizeof(st->front))
            return err_set(e, USAN_EINVAL, "--front: is too long");
    }
    return 0;
}

static const char *secret_file(void *arg, const char *value)
{
    struct start *st = arg;
    if (st->secret_count == 2)
        return NULL;
    char *path = st->secrets[st->secret_count++];
    (void)snprintf(path, sizeof(st->secrets[0]), "%s/iscsiadm/%s.secret%u", st->s->dir, st->name,
                   st->secret_count);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return NULL;
    size_t len = strlen(value);
    bool good = write(fd, value, len) == (ssize_t)len && write(fd, "\n", 1) == 1;
    close(fd);
    return good ? path : NULL;
}

static int make_url(const struct adm *a, struct start *st, const struct adm_session *ses,
                    unsigned lun, struct err_text *e)
{
    struct ini_url url = { .port = 0 };
    struct adm_url_options *o = malloc(sizeof(*o));
    if (!o)
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    int err = adm_url_make(a, ses->r, ses->key.address, ses->key.port, ses->key.target, &url, e);
    adm_url_options(a, ses->r, o);
    url.has_lun = true;
    url.lun = (uint16_t)lun;
    if (!err && adm_url_text(&url, o, secret_file, st, st->url, sizeof(st->url)))
        err = err_set(e, USAN_EIO, "%s: the URL with all options can not be made", ses->key.target);
    ini_url_wipe(&url);
    adm_url_options_wipe(o);
    free(o);
    return err;
}

/* ---- the program ---- */

/* In the child. */
static _Noreturn void become(struct start *st, int out)
{
    sigset_t none;
    char *argv[] = { (char[]){ "usan" },
                     (char[]){ "attach" },
                     (char[]){ "--as" },
                     st->front,
                     (char[]){ "--name" },
                     st->name,
                     st->url,
                     NULL };
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int log = open(st->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    (void)setsid();
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (null >= 0 && log >= 0 && dup2(null, 0) == 0 && dup2(out, 1) == 1 && dup2(log, 2) == 2)
        (void)execv("/proc/self/exe", argv);
    _exit(127);
}

/* Until it says where clients connect, or ends; or we are to end, *ret_interrupted. */
static bool wait_ready(struct cli_wait *w, int fd, char *line, size_t cap, bool *ret_interrupted)
{
    uint64_t end = clock_now_ns() + READY_MS * NS_PER_MS;
    size_t n = 0;
    w->fd = fd;
    while (n + 1 < cap) {
        uint64_t now = clock_now_ns();
        enum cli_waited what =
            now < end ? cli_wait(w, (int)((end - now) / NS_PER_MS) + 1) : CLI_WAIT_TIME;
        *ret_interrupted = what == CLI_WAIT_SIGNAL;
        if (what == CLI_WAIT_TIME && now < end)
            continue;
        if (what != CLI_WAIT_READY)
            return false;
        ssize_t got = read(fd, line + n, cap - 1 - n);
        if (got <= 0)
            return false;
        n += (size_t)got;
        line[n] = 0;
        char *newline = strchr(line, '\n');
        if (newline) {
            *newline = 0;
            return true;
        }
    }
    return false;
}

/* The last line it has written to its log, which says why it has ended. */
static int last_words(const struct start *st, struct err_text *e)
{
    char line[512], last[512] = "it has ended";
    FILE *f = fopen(st->log, "re");
    while (f && fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = 0;
        if (*line)
            memcpy(last, line, sizeof(last));
    }
    if (f)
        (void)fclose(f);
    return err_set(e, USAN_EIO, "%s", last);
}

static int launch(struct start *st, struct cli_wait *w, pid_t *ret_pid, struct err_text *e)
{
    int out[2];
    bool interrupted = false;
    if (pipe2(out, O_CLOEXEC))
        return err_set(e, usan_err_from_errno(errno), "pipe: %s", strerror(errno));
    pid_t pid = fork();
    if (pid == 0)
        become(st, out[1]);
    close(out[1]);
    int err = pid < 0 ? err_set(e, usan_err_from_errno(errno), "fork: %s", strerror(errno)) : 0;
    if (!err && !wait_ready(w, out[0], st->ready, sizeof(st->ready), &interrupted)) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        err = interrupted ? err_set(e, USAN_ECANCELED, "interrupted") : last_words(st, e);
    }
    close(out[0]);
    *ret_pid = pid;
    return err;
}

/* ---- what is remembered ---- */

static int put(struct adm_session *ses, unsigned i, const char *what, const char *value)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "usan.unit[%u].%s", i, what);
    return adm_record_put(ses->r, name, value);
}

/* The name it is listed under may not be the one it wished for. */
static int listed_as(const char *dir, pid_t pid, char *buf, size_t cap)
{
    char **names;
    size_t count;
    int err = attach_record_names(dir, &names, &count, NULL);
    if (err)
        return err;
    err = USAN_ENOENT;
    for (size_t i = 0; i < count; i++) {
        struct attach_record r;
        if (err && attach_record_read(dir, names[i], &r, NULL) == 0) {
            if (r.alive && r.pid == pid) {
                (void)snprintf(buf, cap, "%s", names[i]);
                err = 0;
            }
            attach_record_free(&r);
        }
        free(names[i]);
    }
    free(names);
    return err;
}

static int remember(const struct adm_sessions *s, struct adm_session *ses, unsigned lun, pid_t pid,
                    const char *pattern, const char *front, struct err_text *e)
{
    char name[RECORD_NAME_MAX + 1], number[24], process[24];
    unsigned i = 0;
    while (i < ADM_UNITS_MAX) { /* a place of its own, or that of one that is gone */
        struct adm_unit u = adm_unit_at(ses, i);
        if (!u.name || !adm_unit_alive(s, &u))
            break;
        i++;
    }
    if (i == ADM_UNITS_MAX)
        return err_set(e, USAN_ELIMIT, "a session has %d units at most", ADM_UNITS_MAX);
    (void)snprintf(number, sizeof(number), "%u", lun);
    (void)snprintf(process, sizeof(process), "%ld", (long)pid);
    if (listed_as(s->dir, pid, name, sizeof(name)) || put(ses, i, "name", name) ||
        put(ses, i, "lun", number) || put(ses, i, "pid", process) || put(ses, i, "front", front) ||
        adm_record_put(ses->r, front_key, pattern))
        return err_set(e, USAN_EIO, "what runs for LUN %u can not be remembered", lun);
    return adm_session_write(s, ses, e);
}

/* With the signals that end us blocked: what was started is either remembered, or ended. */
static int start_and_remember(const struct adm_sessions *s, struct adm_session *ses, unsigned lun,
                              const char *pattern, struct start *st, struct err_text *e)
{
    struct cli_wait w;
    sigset_t ending, before;
    pid_t pid = -1;
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &ending, &before);
    int err = cli_wait_init(&w, e);
    if (!err)
        err = launch(st, &w, &pid, e);
    if (!err) {
        err = remember(s, ses, lun, pid, pattern, st->ready, e);
        if (err)
            (void)kill(pid, SIGTERM);
    }
    cli_wait_fini(&w);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return err;
}

int adm_unit_attach(const struct adm *a, const struct adm_sessions *s, struct adm_session *ses,
                    unsigned lun, struct err_text *e)
{
    char pattern[FRONT_MAX + sizeof(s->dir)];
    const char *known = a->args->front ? a->args->front : adm_record_get(ses->r, front_key);
    struct start *st = calloc(1, sizeof(*st));
    if (!st)
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    st->s = s;
    (void)snprintf(st->name, sizeof(st->name), "iscsi-%u-%u", ses->sid, lun);
    (void)snprintf(st->log, sizeof(st->log), "%s/iscsiadm/%s.log", s->dir, st->name);
    if (*known)
        (void)snprintf(pattern, sizeof(pattern), "%s", known);
    else
        (void)snprintf(pattern, sizeof(pattern), "nbd:unix:%s/iscsi-%%s-%%l.nbd", s->dir);
    int err = make_front(st, pattern, ses->sid, lun, e);
    if (!err)
        err = make_url(a, st, ses, lun, e);
    if (!err)
        err = start_and_remember(s, ses, lun, pattern, st, e);
    for (unsigned i = 0; i < st->secret_count; i++)
        (void)unlink(st->secrets[i]);
    explicit_bzero(st, sizeof(*st));
    free(st);
    return err;
}
