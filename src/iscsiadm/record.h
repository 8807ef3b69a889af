/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A record: named values, in a file as lines "NAME = VALUE" between two lines of comment. What a
 * file has that is not in the tables is kept and written back as it was.
 */
#ifndef USAN_ISCSIADM_RECORD_H
#define USAN_ISCSIADM_RECORD_H

#include "base/err.h"
#include "iscsiadm/param.h"

#include <stdbool.h>
#include <stdio.h>

enum {
    ADM_FIELDS_MAX = 256,
    ADM_NAME_MAX = 255,
    ADM_VALUE_MAX = 1023,
};

struct adm_record {
    enum adm_kind kind;
    unsigned count;
    struct adm_field {
        char *name, *value;
        const struct adm_param *param; /* NULL: only the file knows it */
    } v[ADM_FIELDS_MAX];
};

/* With the values a new one has. USAN_ENOMEM. */
USAN_MUST_CHECK
int adm_record_new(enum adm_kind kind, struct adm_record **ret);
/* Overwrites secrets. r may be NULL. */
void adm_record_free(struct adm_record *r);
/* "" when there is none. */
const char *adm_record_get(const struct adm_record *r, const char *name);
/* The number; def when there is none. */
long adm_record_number(const struct adm_record *r, const char *name, long def);
/* Whatever it is; added if there is none. USAN_ENOMEM, USAN_ELIMIT. */
USAN_MUST_CHECK
int adm_record_put(struct adm_record *r, const char *name, const char *value);
/* What somebody wants: USAN_EINVAL with words if there is no such name, or no such value. */
USAN_MUST_CHECK
int adm_record_set(struct adm_record *r, const char *name, const char *value, struct err_text *e);

/* Lines of a file put into the record; only_known: of others nothing is kept, as for iscsid.conf.
 * USAN_EINVAL: a line is none. path is for messages. */
USAN_MUST_CHECK
int adm_record_load(struct adm_record *r, FILE *f, const char *path, bool only_known,
                    struct err_text *e);
/* As a file: without those that have no value. */
void adm_record_save(const struct adm_record *r, FILE *f);
/* For people and scripts: all, "<empty>" where there is no value, and asterisks for secrets. */
void adm_record_show(const struct adm_record *r, bool secrets, FILE *f);

#endif
