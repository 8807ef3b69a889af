/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/cp_end.h"

#include "cli/name.h"
#include "tools/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int system_error(struct err_text *e, const char *path, const char *what)
{
    int n = errno;
    return err_set(e, usan_err_from_errno(n), "%s: %s: %s", path, what, strerror(n));
}

static bool is_stream(struct cp_end *end, const char *word, const char *name)
{
    if (strcmp(word, "-") != 0)
        return false;
    end->name = name;
    end->bytes = COPY_ENDLESS;
    return true;
}

static int open_store(struct cp_end *end, const char *word, bool read_only, struct err_text *e)
{
    const char *meant = cli_meant(word);
    if (meant)
        return err_set(e, USAN_EINVAL, "there is no file '%s'; did you mean %s?", word, meant);
    char *spec = cli_make_spec(word);
    if (!spec)
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    end->text = store_spec_text(spec);
    end->name = end->text.s;
    int err = store_check_spec(spec, e);
    if (err)
        err = USAN_EINVAL;
    else
        err = store_open_spec(spec, read_only, &end->store, e);
    if (err == USAN_EINVAL && !end->store && !*e->text)
        (void)err_set(e, err, "%s", usan_strerror(err));
    free(spec);
    return err;
}

/* ---- the source ---- */

/* A store has whole blocks; a file may end in the middle of one. */
static int read_tail(struct cp_end *end, const char *word, struct err_text *e)
{
    struct store_spec_file file;
    struct stat st;
    uint64_t size = end->store->info.size_bytes;
    end->bytes = size;
    char *spec = cli_make_spec(word);
    bool is_file = spec && store_spec_file(spec, &file) && stat(file.path, &st) == 0;
    free(spec);
    if (is_file)
        (void)snprintf(end->path, sizeof(end->path), "%s", file.path);
    if (!is_file || !S_ISREG(st.st_mode) || (uint64_t)st.st_size <= size ||
        (uint64_t)st.st_size - size >= end->store->info.block_bytes)
        return 0;
    size_t len = (size_t)((uint64_t)st.st_size - size);
    end->tail = malloc(len);
    int fd = end->tail ? open(file.path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = fd >= 0 ? pread(fd, end->tail, len, (off_t)size) : -1;
    int err = n == (ssize_t)len ? 0 : system_error(e, file.path, "its last bytes");
    if (fd >= 0)
        close(fd);
    if (!err)
        end->bytes = (uint64_t)st.st_size;
    return err;
}

int cp_end_open_from(struct cp_end *end, const char *word, struct err_text *e)
{
    if (is_stream(end, word, "standard input"))
        return 0;
    int err = open_store(end, word, true, e);
    return err ? err : read_tail(end, word, e);
}

/* ---- the destination ---- */

/* A plain path that leads to a regular file, or to nothing: its file is ours to make. */
static bool is_new_file(const char *word, bool in_place)
{
    struct stat st;
    if (stat(word, &st) == 0)
        return S_ISREG(st.st_mode) && !in_place;
    char *spec = cli_make_spec(word);
    bool plain = spec && (*spec == '/' || *spec == '.') && !strchr(spec, '?');
    free(spec);
    return plain && !in_place;
}

/* The real file, where a link leads to one. */
static int resolve(struct cp_end *end, const char *word, struct err_text *e)
{
    char copy[PATH_MAX], base[NAME_MAX + 1];
    if (realpath(word, end->path))
        return 0;
    if (errno != ENOENT || strlen(word) >= sizeof(copy))
        return system_error(e, word, "not to be made");
    (void)snprintf(copy, sizeof(copy), "%s", word);
    (void)snprintf(base, sizeof(base), "%s", basename(copy));
    (void)snprintf(copy, sizeof(copy), "%s", word);
    if (!realpath(dirname(copy), end->path))
        return system_error(e, word, "its folder");
    size_t n = strlen(end->path);
    if (n + strlen(base) + 2 > sizeof(end->path))
        return err_set(e, USAN_EINVAL, "%s: is too long", word);
    (void)snprintf(end->path + n, sizeof(end->path) - n, "%s%s", n > 1 ? "/" : "", base);
    return 0;
}

/* As large as the source; of a stream, as large as can be. */
static int make_size(const char *path, int fd, uint64_t bytes, struct err_text *e)
{
    if (bytes != COPY_ENDLESS)
        return ftruncate(fd, (off_t)((bytes + 511) / 512 * 512)) ? system_error(e, path, "its size")
                                                                 : 0;
    for (uint64_t most = 1ull << 62; most >= 1ull << 30; most /= 2) {
        if (ftruncate(fd, (off_t)most) == 0)
            return 0;
    }
    return system_error(e, path, "its size");
}

static void unlock_old(struct cp_end *end)
{
    if (end->old_lock >= 0)
        close(end->old_lock);
    end->old_lock = -1;
}

/* A program that serves the old file would go on with it, and nobody could find that any more. Its
 * lock is that of the file back end; one of a program that was killed is about to go. */
static int lock_old(struct cp_end *end, struct err_text *e)
{
    enum { TRIES = 20, PAUSE_US = 50000 };
    int fd = open(end->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return system_error(e, end->path, "not to be read");
    for (int tries = TRIES; flock(fd, LOCK_EX | LOCK_NB); (void)usleep(PAUSE_US)) {
        if (errno == EWOULDBLOCK && --tries > 0)
            continue;
        int err = errno == EWOULDBLOCK
                      ? err_set(e, USAN_EBUSY,
                                "%s: in use by another process, which has locked it; end that "
                                "first, or copy to what it serves",
                                end->path)
                      : system_error(e, end->path, "its lock");
        close(fd);
        return err;
    }
    end->old_lock = fd;
    return 0;
}

static int make_part(struct cp_end *end, uint64_t bytes, struct err_text *e)
{
    struct stat st;
    int n = snprintf(end->part, sizeof(end->part), "%s.part-%ld", end->path, (long)getpid());
    if (n < 0 || n >= (int)sizeof(end->part))
        return err_set(e, USAN_EINVAL, "%s: is too long", end->path);
    bool replaces = stat(end->path, &st) == 0;
    if (replaces && access(end->path, W_OK))
        return system_error(e, end->path, "not to be written");
    end->old_lock = -1;
    int err = replaces ? lock_old(end, e) : 0;
    if (err)
        return err;
    int fd = open(end->part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        err = system_error(e, end->part, "not to be made");
        unlock_old(end);
        return err;
    }
    end->made = true;
    err = make_size(end->path, fd, bytes, e);
    /* Whoever could read the old one can read the new one. */
    if (!err && replaces) {
        if (fchown(fd, st.st_uid, st.st_gid) && errno != EPERM)
            err = system_error(e, end->part, "its owner");
        else if (fchmod(fd, st.st_mode & 07777))
            err = system_error(e, end->part, "its mode");
    }
    close(fd);
    return err;
}

int cp_end_open_to(struct cp_end *end, const char *word, const struct cp_end *from, bool in_place,
                   struct err_text *e)
{
    if (is_stream(end, word, "standard output"))
        return 0;
    struct store_spec_file file;
    char *spec = from->store ? cli_make_spec(word) : NULL;
    bool same = spec && store_spec_file(spec, &file) && cli_same_file(file.path, from->path);
    free(spec);
    if (same)
        return err_set(e, USAN_EINVAL, "source and destination are the same file");
    if (!is_new_file(word, in_place))
        return open_store(end, word, false, e);
    int err = resolve(end, word, e);
    if (!err)
        err = make_part(end, from->bytes, e);
    if (!err)
        err = open_store(end, end->part, false, e);
    end->text = store_spec_text(end->path);
    return err;
}

static int sync_folder(const char *path, struct err_text *e)
{
    char copy[PATH_MAX];
    (void)snprintf(copy, sizeof(copy), "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : fsync(fd);
    int err = rc ? system_error(e, path, "its folder") : 0;
    if (fd >= 0)
        close(fd);
    return err;
}

int cp_end_keep(struct cp_end *end, uint64_t bytes, struct err_text *e)
{
    store_close(end->store);
    end->store = NULL;
    if (!end->made)
        return 0;
    int fd = open(end->part, O_RDWR | O_CLOEXEC);
    int err = 0;
    if (fd < 0 || ftruncate(fd, (off_t)bytes) || fsync(fd))
        err = system_error(e, end->path, "its end");
    if (fd >= 0)
        close(fd);
    if (!err && rename(end->part, end->path))
        err = system_error(e, end->path, "renaming");
    if (err)
        return err;
    end->made = false;
    unlock_old(end);
    return sync_folder(end->path, e);
}

void cp_end_discard(struct cp_end *end)
{
    if (end->made) {
        (void)unlink(end->part);
        unlock_old(end);
    }
    end->made = false;
}

void cp_end_close(struct cp_end *end)
{
    store_close(end->store);
    free(end->tail);
}
