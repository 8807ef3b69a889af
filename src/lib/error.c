/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/lib.h"

#include "initiator/status.h"
#include "scsi/sense.h"

#include <stdio.h>
#include <string.h>

static _Thread_local struct failure last = { .e = { .status = -1 } };

/* The codes of the header are those of the whole project. */
#define X(name, num, text)                                                                         \
    _Static_assert((int)USAN_ERR_##name == (int)USAN_E##name, "usan/error.h differs");
USAN_ERR_LIST(X)
#undef X

struct failure *failure_last(void)
{
    return &last;
}

__attribute__((format(printf, 3, 0))) static void set(struct failure *f, int code, const char *fmt,
                                                      va_list ap)
{
    f->e = (struct usan_error){ .code = code, .text = f->text, .status = -1 };
    (void)vsnprintf(f->text, sizeof(f->text), fmt, ap);
}

void failure_set(struct failure *f, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set(f, code, fmt, ap);
    va_end(ap);
}

int fail(int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set(&last, code, fmt, ap);
    va_end(ap);
    return code;
}

void failure_set_command(struct failure *f, const struct iscsi_icmd *cmd)
{
    if (cmd->err)
        return; /* no status came */
    f->e.status = cmd->status;
    if (cmd->status != SCSI_STATUS_CHECK_CONDITION || !cmd->sense_len)
        return;
    struct ini_sense s = ini_sense_parse(cmd->sense, cmd->sense_len);
    f->e.sense_len = cmd->sense_len < sizeof(f->sense) ? cmd->sense_len : sizeof(f->sense);
    memcpy(f->sense, cmd->sense, f->e.sense_len);
    f->e.sense = f->sense;
    f->e.has_sense = s.valid;
    f->e.key = s.key;
    f->e.asc = s.asc;
    f->e.ascq = s.ascq;
}

void failure_copy(struct failure *to, const struct failure *from)
{
    *to = *from;
    to->e.text = to->text;
    to->e.sense = from->e.sense ? to->sense : NULL;
}

/* ---- the header ---- */

const struct usan_error *usan_last_error(void)
{
    last.e.text = last.text;
    return &last.e;
}

const char *usan_error_text(const struct usan_error *e)
{
    return e ? e->text : last.text;
}

const char *usan_code_text(int code)
{
    return usan_strerror(code);
}

const char *usan_version(void)
{
    return USAN_VERSION;
}
