/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files of sessions, and what runs for them. */
#include "cli/adm_units.h"

#include "attach/control.h"
#include "attach/record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static void session_path(const struct adm_sessions *s, unsigned sid, char *buf, size_t cap)
{
    (void)snprintf(buf, cap, "%s/iscsiadm/%u", s->dir, sid);
}

/* ---- locks ---- */

static int open_lock(const char *path, struct err_text *e)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        (void)err_set(e, usan_err_from_errno(errno), "%s: %s", path, strerror(errno));
    return fd;
}

static int wait_lock(int fd)
{
    int rc;
    do
        rc = flock(fd, LOCK_EX);
    while (rc && errno == EINTR);
    return rc;
}

/* The one of the directory, to be closed soon; -1 with a text. */
static int lock_all(const struct adm_sessions *s, struct err_text *e)
{
    char path[1110];
    (void)snprintf(path, sizeof(path), "%s/iscsiadm/lock", s->dir);
    int fd = open_lock(path, e);
    if (fd >= 0 && wait_lock(fd)) {
        (void)err_set(e, usan_err_from_errno(errno), "%s: %s", path, strerror(errno));
        close(fd);
        fd = -1;
    }
    return fd;
}

static void lock_path(const struct adm_sessions *s, unsigned sid, char *buf, size_t cap)
{
    (void)snprintf(buf, cap, "%s/iscsiadm/%u.lock", s->dir, sid);
}

/* While the directory is locked: that of a session, opened, if nobody holds it; else -1. */
static int try_lock(const struct adm_sessions *s, unsigned sid)
{
    char path[1110];
    lock_path(s, sid, path, sizeof(path));
    int fd = open_lock(path, NULL);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* Its files are removed. The directory is locked, and the session. */
static void forget(const struct adm_sessions *s, unsigned sid)
{
    char path[1110];
    session_path(s, sid, path, sizeof(path));
    (void)unlink(path);
    lock_path(s, sid, path, sizeof(path));
    (void)unlink(path);
}

/* ---- units ---- */

static const char *unit_field(const struct adm_session *ses, unsigned i, const char *what)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "usan.unit[%u].%s", i, what);
    return adm_record_get(ses->r, name);
}

struct adm_unit adm_unit_at(const struct adm_session *ses, unsigned i)
{
    const char *name = i < ADM_UNITS_MAX ? unit_field(ses, i, "name") : "";
    if (!*name)
        return (struct adm_unit){ .name = NULL };
    return (struct adm_unit){ .lun = (unsigned)strtoul(unit_field(ses, i, "lun"), NULL, 10),
                              .pid = (pid_t)strtol(unit_field(ses, i, "pid"), NULL, 10),
                              .name = name,
                              .front = unit_field(ses, i, "front") };
}

bool adm_unit_alive(const struct adm_sessions *s, const struct adm_unit *u)
{
    struct attach_record r;
    if (attach_record_read(s->dir, u->name, &r, NULL))
        return false;
    bool alive = r.alive && r.pid == u->pid;
    attach_record_free(&r);
    return alive;
}

struct attach_state adm_unit_state(const struct adm_sessions *s, const struct adm_unit *u)
{
    return adm_unit_alive(s, u) ? attach_control_state(s->dir, u->name)
                                : (struct attach_state){ "dead" };
}

bool adm_session_has(const struct adm_sessions *s, const struct adm_session *ses, unsigned lun)
{
    for (unsigned i = 0; i < ADM_UNITS_MAX; i++) {
        struct adm_unit u = adm_unit_at(ses, i);
        if (u.name && u.lun == lun && adm_unit_alive(s, &u))
            return true;
    }
    return false;
}

static bool lives(const struct adm_sessions *s, const struct adm_session *ses)
{
    for (unsigned i = 0; i < ADM_UNITS_MAX; i++) {
        struct adm_unit u = adm_unit_at(ses, i);
        if (u.name && adm_unit_alive(s, &u))
            return true;
    }
    return false;
}

/* ---- sessions ---- */

static void set_key(struct adm_session *ses)
{
    const struct adm_record *r = ses->r;
    struct adm_key *k = &ses->key;
    (void)snprintf(k->target, sizeof(k->target), "%s", adm_record_get(r, "node.name"));
    (void)snprintf(k->address, sizeof(k->address), "%s", adm_record_get(r, "node.conn[0].address"));
    (void)snprintf(k->iface, sizeof(k->iface), "%s", adm_record_get(r, "iface.iscsi_ifacename"));
    k->port = (uint16_t)adm_record_number(r, "node.conn[0].port", ADM_PORT);
    k->tpgt = (int)adm_record_number(r, "node.tpgt", -1);
}

static int push(struct adm_sessions *s, const struct adm_session *ses)
{
    if (s->count == ADM_SESSIONS_MAX)
        return USAN_ELIMIT;
    struct adm_session *v = reallocarray(s->v, s->count + 1, sizeof(*v));
    if (!v)
        return USAN_ENOMEM;
    s->v = v;
    s->v[s->count++] = *ses;
    return 0;
}

static int read_record(const struct adm_sessions *s, unsigned sid, struct adm_record **ret,
                       struct err_text *e)
{
    char path[1100];
    struct adm_record *r;
    session_path(s, sid, path, sizeof(path));
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(e, usan_err_from_errno(errno), "%s: %s", path, strerror(errno));
    int err = adm_record_new(ADM_NODE, &r);
    if (!err)
        err = adm_record_load(r, f, path, false, e);
    (void)fclose(f);
    if (err)
        adm_record_free(r);
    else
        *ret = r;
    return err;
}

/* With `all` those that begin, too; else what has ended is removed. */
static int load_one(struct adm_sessions *s, unsigned sid, bool all, struct err_text *e)
{
    struct adm_session ses = { .sid = sid, .lock = -1 };
    int err = read_record(s, sid, &ses.r, e);
    if (err)
        return err;
    if (!lives(s, &ses)) {
        int lock = try_lock(s, sid);
        if (lock >= 0) {
            forget(s, sid);
            close(lock);
        }
        if (lock >= 0 || !all) {
            adm_record_free(ses.r);
            return 0;
        }
    }
    set_key(&ses);
    err = push(s, &ses);
    if (err)
        adm_record_free(ses.r);
    return err;
}

static int is_number(const struct dirent *d)
{
    size_t n = strspn(d->d_name, "0123456789");
    return n && n < 10 && !d->d_name[n];
}

static int load_all(struct adm_sessions *s, bool all, struct err_text *e)
{
    char dir[1100];
    (void)snprintf(dir, sizeof(dir), "%s/iscsiadm", s->dir);
    struct dirent **entries;
    int n = scandir(dir, &entries, is_number, versionsort), err = 0;
    if (n < 0)
        return err_set(e, usan_err_from_errno(errno), "%s: %s", dir, strerror(errno));
    for (int i = 0; i < n; i++) {
        if (!err)
            err = load_one(s, (unsigned)strtoul(entries[i]->d_name, NULL, 10), all, e);
        free(entries[i]);
    }
    free(entries);
    return err;
}

int adm_sessions_load(struct adm_sessions *s, struct err_text *e)
{
    char dir[1100];
    *s = (struct adm_sessions){ .count = 0 };
    int err = attach_run_dir(s->dir, sizeof(s->dir), e);
    if (err)
        return err;
    (void)snprintf(dir, sizeof(dir), "%s/iscsiadm", s->dir);
    if (mkdir(dir, 0700) && errno != EEXIST)
        return err_set(e, usan_err_from_errno(errno), "%s: %s", dir, strerror(errno));
    int lock = lock_all(s, e);
    if (lock < 0)
        return USAN_EIO;
    err = load_all(s, false, e);
    close(lock);
    if (err)
        adm_sessions_fini(s);
    return err;
}

void adm_sessions_fini(struct adm_sessions *s)
{
    for (size_t i = 0; i < s->count; i++) {
        adm_record_free(s->v[i].r);
        if (s->v[i].lock >= 0)
            close(s->v[i].lock);
    }
    free(s->v);
    *s = (struct adm_sessions){ .count = 0 };
}

/* The lowest number that is free, among all that there are; held. USAN_EBUSY: it is there. */
static int take_number(const struct adm_sessions *s, struct adm_session *ses, struct err_text *e)
{
    struct adm_sessions now = { .count = 0 };
    memcpy(now.dir, s->dir, sizeof(now.dir));
    int err = load_all(&now, true, e);
    for (size_t i = 0; !err && i < now.count; i++) {
        const struct adm_key *k = &now.v[i].key;
        if (adm_key_matches(k, &ses->key) && k->tpgt == ses->key.tpgt)
            err = err_set(e, USAN_EBUSY, "session %u is there already", now.v[i].sid);
        ses->sid = now.v[i].sid == ses->sid ? ses->sid + 1 : ses->sid;
    }
    adm_sessions_fini(&now);
    if (err)
        return err;
    ses->lock = try_lock(s, ses->sid);
    if (ses->lock < 0)
        return err_set(e, USAN_EIO, "session %u: its lock can not be had", ses->sid);
    return 0;
}

int adm_session_add(struct adm_sessions *s, const struct adm_key *key, struct adm_record *r,
                    struct adm_session **ret, struct err_text *e)
{
    struct adm_session ses = { .sid = 1, .key = *key, .r = r, .lock = -1 };
    int lock = lock_all(s, e);
    if (lock < 0)
        return USAN_EIO;
    int err = take_number(s, &ses, e);
    if (!err)
        err = adm_session_write(s, &ses, e);
    if (!err && push(s, &ses))
        err = err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    if (err && ses.lock >= 0) {
        forget(s, ses.sid);
        close(ses.lock);
    }
    close(lock);
    if (!err)
        *ret = &s->v[s->count - 1];
    return err;
}

/* What was opened may have been removed while we waited. */
static bool still_there(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

int adm_session_hold(const struct adm_sessions *s, struct adm_session *ses, struct err_text *e)
{
    char path[1110], file[1110];
    struct adm_record *r = NULL;
    lock_path(s, ses->sid, path, sizeof(path));
    session_path(s, ses->sid, file, sizeof(file));
    int all = lock_all(s, e);
    if (all < 0)
        return USAN_EIO;
    bool there = access(file, F_OK) == 0;
    int fd = there ? open_lock(path, e) : -1;
    close(all);
    if (there && fd < 0)
        return USAN_EIO;
    if (there && (wait_lock(fd) || !still_there(fd, path)))
        there = false;
    int err =
        there ? read_record(s, ses->sid, &r, e) : err_set(e, USAN_ENOENT, "it has ended meanwhile");
    if (err) {
        if (fd >= 0)
            close(fd);
        return err;
    }
    adm_record_free(ses->r);
    ses->r = r;
    ses->lock = fd;
    return 0;
}

int adm_session_write(const struct adm_sessions *s, const struct adm_session *ses,
                      struct err_text *e)
{
    char path[1100], part[1110];
    session_path(s, ses->sid, path, sizeof(path));
    (void)snprintf(part, sizeof(part), "%s.new", path);
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    if (!f)
        return err_set(e, usan_err_from_errno(errno), "%s: %s", part, strerror(errno));
    adm_record_save(ses->r, f);
    if (fclose(f) || rename(part, path))
        return err_set(e, usan_err_from_errno(errno), "%s: %s", path, strerror(errno));
    return 0;
}

/* ---- the end ---- */

static int detach_unit(const struct adm_sessions *s, const struct adm_unit *u, struct err_text *e)
{
    struct sockaddr_un sa;
    char *answer = NULL;
    int err = attach_record_socket(s->dir, u->name, &sa);
    if (!err)
        err = attach_control_ask(&sa, "detach", -1, &answer, e);
    if (!err && strncmp(answer, "error ", 6) == 0)
        err =
            err_set(e, USAN_EBUSY, "%s: %.*s", u->name, (int)strcspn(answer + 6, "\n"), answer + 6);
    free(answer);
    return err;
}

static void remove_log(const struct adm_sessions *s, unsigned sid, unsigned lun)
{
    char path[1100];
    (void)snprintf(path, sizeof(path), "%s/iscsiadm/iscsi-%u-%u.log", s->dir, sid, lun);
    (void)unlink(path);
}

int adm_session_detach(const struct adm_sessions *s, const struct adm_session *ses,
                       struct err_text *e)
{
    int err = 0;
    for (unsigned i = 0; i < ADM_UNITS_MAX; i++) {
        struct adm_unit u = adm_unit_at(ses, i);
        if (!u.name || !adm_unit_alive(s, &u))
            continue;
        int one = detach_unit(s, &u, e);
        if (!one)
            remove_log(s, ses->sid, u.lun);
        err = err ? err : one;
    }
    int lock = err ? -1 : lock_all(s, e);
    if (lock >= 0) {
        forget(s, ses->sid);
        close(lock);
    }
    return err;
}
