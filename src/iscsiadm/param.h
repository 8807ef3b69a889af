/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parameters of open-iscsi's records, in the order in which its files have them: the format of
 * /etc/iscsi/nodes and its like.
 */
#ifndef USAN_ISCSIADM_PARAM_H
#define USAN_ISCSIADM_PARAM_H

#include <stdbool.h>
#include <stddef.h>

enum adm_value {
    ADM_TEXT,
    ADM_NUMBER, /* a whole one; may be negative */
    ADM_YES_NO,
    ADM_CHOICE, /* one of the words in `choices` */
};

struct adm_param {
    const char *name; /* NULL ends a table */
    const char *def;  /* "" = nothing */
    enum adm_value type;
    const char *choices; /* "manual|automatic" */
    bool secret;         /* shown as asterisks */
};

enum adm_kind { ADM_NODE, ADM_IFACE, ADM_SENDTARGETS, ADM_KINDS };

/* The i-th parameter of a kind of record; NULL behind the last. */
const struct adm_param *adm_param_at(enum adm_kind kind, size_t i);
/* NULL: there is none of that name. */
const struct adm_param *adm_param_find(enum adm_kind kind, const char *name);
bool adm_param_takes(const struct adm_param *p, const char *value);

#endif
