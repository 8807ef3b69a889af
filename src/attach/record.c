/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/record.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SAME_NAMES_MAX = 1000 };

static const char suffix[] = ".attach";

/* ---- places ---- */

int attach_run_dir(char *ret_dir, size_t cap, struct err_text *e)
{
    const char *dir = getenv("USAN_RUN_DIR"), *xdg = getenv("XDG_RUNTIME_DIR");
    int n;
    if (dir && *dir)
        n = snprintf(ret_dir, cap, "%s", dir);
    else if (geteuid() == 0)
        n = snprintf(ret_dir, cap, "/run/usan");
    else if (xdg && *xdg)
        n = snprintf(ret_dir, cap, "%s/usan", xdg);
    else
        return err_set(e, USAN_ENOENT, "no run directory: set USAN_RUN_DIR or XDG_RUNTIME_DIR");
    if (n < 0 || (size_t)n >= cap)
        return err_set(e, USAN_EINVAL, "the run directory has too long a path");
    if (mkdir(ret_dir, 0755) && errno != EEXIST)
        return err_set(e, usan_err_from_errno(errno), "run directory %s: %s", ret_dir,
                       strerror(errno));
    return 0;
}

static int path_of(const char *dir, const char *name, const char *end, size_t cap, char *ret_path)
{
    int n = snprintf(ret_path, cap, "%s/%s%s", dir, name, end);
    return n < 0 || (size_t)n >= cap ? USAN_EINVAL : 0;
}

int attach_record_socket(const char *dir, const char *name, struct sockaddr_un *ret_sa)
{
    *ret_sa = (struct sockaddr_un){ .sun_family = AF_UNIX };
    return path_of(dir, name, ".sock", sizeof(ret_sa->sun_path), ret_sa->sun_path);
}

static bool plain(char c)
{
    return isalnum((unsigned char)c) || c == '.' || c == '_' || c == '-';
}

/* Names stand in paths and on command lines. */
static void make_name(const char *wish, char ret[RECORD_NAME_MAX - 5])
{
    size_t n = 0;
    for (; *wish && n < RECORD_NAME_MAX - 6; wish++) {
        if (plain(*wish) && !(n == 0 && (*wish == '.' || *wish == '-')))
            ret[n++] = *wish;
        else if (n && ret[n - 1] != '-')
            ret[n++] = '-';
    }
    while (n && ret[n - 1] == '-')
        n--;
    if (n == 0) {
        memcpy(ret, "store", 5);
        n = 5;
    }
    ret[n] = 0;
}

/* Is what was opened still what stands there? Somebody may have removed it, and made another. */
static bool in_place(int fd, const char *path)
{
    struct stat st, now;
    return fstat(fd, &st) == 0 && lstat(path, &now) == 0 && st.st_dev == now.st_dev &&
           st.st_ino == now.st_ino;
}

/* ---- locks ---- */

/*
 * Of the open file (fcntl(2), F_OFD_SETLK), on bytes that need not be there. LIFE is held by the
 * program for as long as it lives, and others only ask who holds it: a lock taken for the question
 * would look like a program that lives to whoever asks at the same time. CHANGE is held for the
 * moment in which a file becomes somebody's, or is removed.
 */
enum lock_byte { LIFE, CHANGE };

static struct flock lock_on(enum lock_byte byte)
{
    return (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
}

static bool lock_held(int fd, enum lock_byte byte)
{
    struct flock l = lock_on(byte);
    return fcntl(fd, F_OFD_GETLK, &l) || l.l_type != F_UNLCK;
}

static int lock_change(int fd)
{
    struct flock l = lock_on(CHANGE);
    int rc;
    do
        rc = fcntl(fd, F_OFD_SETLKW, &l);
    while (rc && errno == EINTR);
    return rc;
}

static void unlock_change(int fd)
{
    struct flock l = lock_on(CHANGE);
    l.l_type = F_UNLCK;
    (void)fcntl(fd, F_OFD_SETLK, &l);
}

/* ---- content ---- */

static void take_line(struct attach_record *r, char *line)
{
    char *value = strchr(line, '=');
    if (!value)
        return;
    *value++ = 0;
    if (strcmp(line, "pid") == 0)
        r->pid = (pid_t)strtol(value, NULL, 10);
    else if (strcmp(line, "since") == 0)
        r->since_s = strtoull(value, NULL, 10);
    else if (strcmp(line, "store") == 0)
        r->store = value;
    else if (strcmp(line, "mount") == 0 && r->mount_count < RECORD_FRONTS_MAX)
        r->mounts[r->mount_count++] = value;
    else if (strcmp(line, "front") == 0 && r->front_count < RECORD_FRONTS_MAX)
        r->fronts[r->front_count++] = value;
}

/* The whole file; NULL. */
static char *read_text(int fd)
{
    char *text = malloc(RECORD_TEXT_MAX + 1);
    ssize_t n = text ? pread(fd, text, RECORD_TEXT_MAX, 0) : -1;
    if (n < 0) {
        free(text);
        return NULL;
    }
    text[n] = 0;
    return text;
}

/* text becomes the record's. */
static struct attach_record parse(int fd, char *text)
{
    struct attach_record r = { .store = "", .text = text, .alive = lock_held(fd, LIFE) };
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n")))
        take_line(&r, line);
    return r;
}

/* ---- our own ---- */

/* What stands in there is of a dead program that has left a mount. */
static bool has_mounts(int fd)
{
    char *text = read_text(fd);
    bool some = !text || parse(fd, text).mount_count;
    free(text);
    return some;
}

/* Ours from now on; USAN_EBUSY: it is of a program that lives, or of a dead one with a mount. */
static int claim(int fd)
{
    struct flock l = lock_on(LIFE);
    if (lock_held(fd, LIFE) || has_mounts(fd) || fcntl(fd, F_OFD_SETLK, &l))
        return USAN_EBUSY;
    return ftruncate(fd, 0) ? usan_err_from_errno(errno) : 0;
}

static int take(struct attach_record_file *f, struct err_text *e)
{
    for (;;) {
        int fd = open(f->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (fd < 0)
            return err_set(e, usan_err_from_errno(errno), "%s: %s", f->path, strerror(errno));
        int err = lock_change(fd) ? usan_err_from_errno(errno) : 0;
        bool there = in_place(fd, f->path); /* else it was removed while we waited */
        if (!err && there)
            err = claim(fd);
        if (err || !there) {
            close(fd);
            if (!err)
                continue;
            return err == USAN_EBUSY ? err : err_set(e, err, "%s: %s", f->path, usan_strerror(err));
        }
        unlock_change(fd);
        (void)unlink(f->sock.sun_path);
        f->fd = fd;
        return 0;
    }
}

int attach_record_create(struct attach_record_file *f, const char *wish, struct err_text *e)
{
    char dir[256], base[RECORD_NAME_MAX - 5];
    *f = (struct attach_record_file){ .fd = -1 };
    int err = attach_run_dir(dir, sizeof(dir), e);
    if (err)
        return err;
    make_name(wish, base);
    for (int i = 1; i <= SAME_NAMES_MAX; i++) {
        if (i == 1)
            (void)snprintf(f->name, sizeof(f->name), "%s", base);
        else
            (void)snprintf(f->name, sizeof(f->name), "%s-%d", base, i);
        if (path_of(dir, f->name, suffix, sizeof(f->path), f->path) ||
            attach_record_socket(dir, f->name, &f->sock))
            return err_set(e, USAN_EINVAL, "the run directory %s has too long a path", dir);
        err = take(f, e);
        if (err != USAN_EBUSY)
            return err;
    }
    return err_set(e, USAN_ELIMIT, "%s: too many attached stores of the name %s", dir, base);
}

int attach_record_write(struct attach_record_file *f, const char *text, struct err_text *e)
{
    size_t n = strlen(text);
    /* In this order: who is killed in between leaves a record all the same. */
    if (pwrite(f->fd, text, n, 0) != (ssize_t)n || ftruncate(f->fd, (off_t)n))
        return err_set(e, usan_err_from_errno(errno), "%s: %s", f->path, strerror(errno));
    return 0;
}

void attach_record_remove(struct attach_record_file *f)
{
    if (f->fd < 0)
        return;
    int rc = lock_change(f->fd); /* nobody is about to make it his; and if it fails, it goes */
    (void)rc;
    (void)unlink(f->sock.sun_path);
    (void)unlink(f->path);
    close(f->fd);
    f->fd = -1;
}

/* ---- those of others ---- */

int attach_record_read(const char *dir, const char *name, struct attach_record *ret_r,
                       struct err_text *e)
{
    char path[512];
    if (strlen(name) > RECORD_NAME_MAX || strchr(name, '/') ||
        path_of(dir, name, suffix, sizeof(path), path))
        return err_set(e, USAN_ENOENT, "'%s' is no name of an attached store", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(
            e, usan_err_from_errno(errno),
            "there is no attached store '%s' in %s; usan attach list shows those there are", name,
            dir);
    char *text = read_text(fd);
    struct attach_record r = { .store = "" };
    if (text)
        r = parse(fd, text);
    close(fd);
    if (!text)
        return err_set(e, USAN_EIO, "%s: cannot be read", path);
    memcpy(r.name, name, strlen(name));
    *ret_r = r;
    return 0;
}

void attach_record_free(struct attach_record *r)
{
    free(r->text);
    r->text = NULL;
}

void attach_record_forget(const char *dir, const char *name)
{
    char path[512];
    struct sockaddr_un sa;
    if (path_of(dir, name, suffix, sizeof(path), path) || attach_record_socket(dir, name, &sa))
        return;
    /* Not if it has become somebody's meanwhile. */
    int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    if (lock_change(fd) == 0 && in_place(fd, path) && !lock_held(fd, LIFE)) {
        (void)unlink(sa.sun_path);
        (void)unlink(path);
    }
    close(fd);
}

static int is_record(const struct dirent *d)
{
    size_t n = strlen(d->d_name), end = sizeof(suffix) - 1;
    return n > end && n - end <= RECORD_NAME_MAX && strcmp(d->d_name + n - end, suffix) == 0;
}

int attach_record_names(const char *dir, char ***ret_names, size_t *ret_count, struct err_text *e)
{
    struct dirent **entries;
    int n = scandir(dir, &entries, is_record, alphasort);
    if (n < 0)
        return err_set(e, usan_err_from_errno(errno), "run directory %s: %s", dir, strerror(errno));
    char **names = calloc((size_t)n + 1, sizeof(char *));
    int err = names ? 0 : USAN_ENOMEM;
    for (int i = 0; i < n; i++) {
        if (!err) {
            entries[i]->d_name[strlen(entries[i]->d_name) - (sizeof(suffix) - 1)] = 0;
            names[i] = strdup(entries[i]->d_name);
            err = names[i] ? 0 : USAN_ENOMEM;
        }
        free(entries[i]);
    }
    free(entries);
    if (err) {
        for (int i = 0; names && i < n; i++)
            free(names[i]);
        free(names);
        return err_set(e, err, "out of memory");
    }
    *ret_names = names;
    *ret_count = (size_t)n;
    return 0;
}
