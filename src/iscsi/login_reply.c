/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi/login_reply.h"

enum { TEXT_FIRST = 1024 }; /* bytes a text begins with */

struct wr login_text_room(struct iscsi_login *login, struct login_text *text, size_t n)
{
    if (n > ISCSI_TEXT_MAX - text->len)
        return wr_init(NULL, 0);
    size_t need = text->len + n, cap = text->cap ? text->cap : TEXT_FIRST;
    while (cap < need)
        cap *= 2;
    if (cap > text->cap) {
        char *p = alloc_get(login->a, cap);
        if (!p)
            return wr_init(NULL, 0);
        if (text->len)
            memcpy(p, text->p, text->len);
        alloc_put(login->a, text->p);
        text->p = p;
        text->cap = cap;
    }
    return wr_init(text->p + text->len, text->cap - text->len);
}

enum iscsi_login_status login_put(struct iscsi_login *login, const char *key, const char *value)
{
    struct wr w = login_text_room(login, &login->out, strlen(key) + strlen(value) + 2);
    if (!w.buf)
        return ISCSI_LOGIN_OUT_OF_RESOURCES;
    iscsi_text_put(&w, key, value);
    login->out.len += w.len;
    return ISCSI_LOGIN_SUCCESS;
}
