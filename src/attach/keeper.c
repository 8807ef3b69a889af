/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/keeper.h"

#include "fuse/unmount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum what { MOUNTED, OPEN_LOOP, RESIZED, STOP };

struct ask {
    enum what what;
    uint32_t block_bytes;
    bool read_only;
    char path[4096];
};

struct answer {
    int err;
    bool lazily;
    char path[LOOPDEV_PATH_BYTES];
    struct err_text e;
};

/* ---- the keeper ---- */

struct kept {
    struct loopdev loop;
    char dir[4096]; /* "" = nothing is mounted */
};

static void open_loop(struct kept *kept, const struct ask *a, struct answer *r)
{
    r->err = loopdev_open(&kept->loop, a->path, a->block_bytes, a->read_only, &r->e);
    memcpy(r->path, kept->loop.path, sizeof(r->path));
}

static void let_go(struct kept *kept, struct answer *r)
{
    r->err = loopdev_flush(&kept->loop);
    loopdev_close(&kept->loop);
    if (*kept->dir)
        r->lazily = !fuse_unmount(kept->dir);
    kept->dir[0] = 0;
}

/* False: no answer. */
static bool act(struct kept *kept, const struct ask *a, struct answer *r)
{
    *r = (struct answer){ .err = 0 };
    switch (a->what) {
    case MOUNTED:
        memcpy(kept->dir, a->path, sizeof(kept->dir));
        return false;
    case RESIZED:
        loopdev_resized(&kept->loop);
        return false;
    case OPEN_LOOP:
        open_loop(kept, a, r);
        break;
    case STOP:
        let_go(kept, r);
        break;
    }
    return true;
}

__attribute__((noreturn)) static void keep(int fd)
{
    static struct ask a;
    static struct answer r;
    static struct kept kept = { .loop.fd = -1 };
    (void)prctl(PR_SET_NAME, "usan-keeper");
    /* Who reads what the program writes shall not wait for us. */
    int null = open("/dev/null", O_RDWR);
    for (int i = 0; i <= STDERR_FILENO && null >= 0; i++)
        (void)dup2(null, i);
    while (recv(fd, &a, sizeof(a), 0) == (ssize_t)sizeof(a)) {
        if (act(&kept, &a, &r) && send(fd, &r, sizeof(r), MSG_NOSIGNAL) < 0)
            break;
    }
    loopdev_close(&kept.loop);
    int err = *kept.dir ? fuse_clear_mount(kept.dir, NULL) : 0;
    _exit(err ? 1 : 0);
}

/* ---- the program's side ---- */

int keeper_start(struct keeper *k, struct err_text *e)
{
    int fd[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd))
        return err_set(e, usan_err_from_errno(errno), "socketpair: %s", strerror(errno));
    pid_t pid = fork();
    if (pid == 0) {
        close(fd[0]);
        keep(fd[1]);
    }
    int errnum = errno;
    close(fd[1]);
    if (pid < 0) {
        close(fd[0]);
        return err_set(e, usan_err_from_errno(errnum), "fork: %s", strerror(errnum));
    }
    *k = (struct keeper){ pid, fd[0] };
    return 0;
}

static bool ask(const struct keeper *k, enum what what, const char *path, uint32_t block_bytes,
                bool read_only)
{
    struct ask a = { .what = what, .block_bytes = block_bytes, .read_only = read_only };
    int n = snprintf(a.path, sizeof(a.path), "%s", path);
    return n >= 0 && (size_t)n < sizeof(a.path) &&
           send(k->fd, &a, sizeof(a), MSG_NOSIGNAL) == (ssize_t)sizeof(a);
}

static bool hear(const struct keeper *k, struct answer *ret)
{
    ssize_t n;
    do
        n = recv(k->fd, ret, sizeof(*ret), 0);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(*ret);
}

void keeper_mounted(const struct keeper *k, const char *dir)
{
    (void)ask(k, MOUNTED, dir, 0, false);
}

int keeper_open_loop(const struct keeper *k, const char *file, uint32_t block_bytes, bool read_only,
                     char ret_path[LOOPDEV_PATH_BYTES], struct err_text *e)
{
    struct answer r;
    if (!ask(k, OPEN_LOOP, file, block_bytes, read_only) || !hear(k, &r))
        return err_set(e, USAN_ECLOSED, "the process that holds the loop device is gone");
    if (r.err)
        return err_set(e, r.err, "%s", r.e.text);
    memcpy(ret_path, r.path, sizeof(r.path));
    return 0;
}

void keeper_resized(const struct keeper *k)
{
    (void)ask(k, RESIZED, "", 0, false);
}

int keeper_stop(const struct keeper *k, bool *ret_lazily)
{
    struct answer r;
    if (!ask(k, STOP, "", 0, false) || !hear(k, &r))
        return USAN_ECLOSED;
    *ret_lazily = r.lazily;
    return r.err;
}

void keeper_end(struct keeper *k)
{
    if (!k->pid)
        return;
    close(k->fd);
    while (waitpid(k->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    k->pid = 0;
}
