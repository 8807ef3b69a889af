/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *usan_strerror(int err)
{
    switch (err) {
    case 0:
        return "success";
#define X(name, num, text)                                                                         \
    case USAN_E##name:                                                                             \
        return text;
        USAN_ERR_LIST(X)
#undef X
    default:
        return "unknown error";
    }
}

int usan_err_from_errno(int errnum)
{
    switch (errnum) {
    case 0:
        return 0;
    case ENOMEM:
        return USAN_ENOMEM;
    case EINVAL:
        return USAN_EINVAL;
    case EPERM:
    case EACCES:
        return USAN_EPERM;
    case ENOENT:
        return USAN_ENOENT;
    case EEXIST:
        return USAN_EEXIST;
    case EBUSY:
    case ETXTBSY:
        return USAN_EBUSY;
    case ENOSPC:
    case EDQUOT:
        return USAN_ENOSPC;
    case EROFS:
        return USAN_ERDONLY;
    case EOPNOTSUPP:
    case ENOSYS:
        return USAN_ENOTSUP;
    case ETIMEDOUT:
        return USAN_ETIMEOUT;
    case ECANCELED:
        return USAN_ECANCELED;
    case EAGAIN:
        return USAN_EAGAIN;
    case EADDRINUSE:
        return USAN_EADDRINUSE;
    case ECONNRESET:
    case EPIPE:
        return USAN_ECLOSED;
    default:
        return USAN_EIO;
    }
}

int err_set(struct err_text *e, int code, const char *fmt, ...)
{
    if (e) {
        va_list ap;
        va_start(ap, fmt);
        (void)vsnprintf(e->text, sizeof e->text, fmt, ap);
        va_end(ap);
    }
    return code;
}

void err_prefix(struct err_text *e, const char *fmt, ...)
{
    if (!e)
        return;
    char old[sizeof e->text];
    memcpy(old, e->text, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n + 3 < sizeof e->text && old[0])
        (void)snprintf(e->text + n, sizeof e->text - (size_t)n, ": %s", old);
}
