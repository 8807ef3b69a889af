/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/session_state.h"

#include <stdio.h>

void ini_session_set_error(struct ini_session *s, int code, const char *fmt, ...)
{
    char why[200];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    s->error_code = code;
    const char *target = s->discovery ? "" : s->url.target;
    (void)err_set(&s->error, code, "%s%s%s: %s", s->attempt.at.text, *target ? ", " : "", target,
                  why);
    ini_printable(s->error.text); /* a TargetAddress may hold anything */
}

void ini_session_changed(struct ini_session *s, enum ini_change change)
{
    if (s->ops && s->ops->changed)
        s->ops->changed(s, change, s->user);
}
