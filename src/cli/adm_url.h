/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a record of a node or a portal to the URL that leads there. */
#ifndef USAN_CLI_ADM_URL_H
#define USAN_CLI_ADM_URL_H

#include "cli/adm.h"
#include "initiator/url.h"

enum { ADM_URL_OPTIONS_MAX = 32, ADM_URL_TEXT_MAX = 8192 };

struct adm_url_option {
    const char *key; /* of the URL */
    char value[ADM_VALUE_MAX + 1];
    bool secret;
};

struct adm_url_options {
    unsigned count;
    struct adm_url_option v[ADM_URL_OPTIONS_MAX];
};

/* What the record says that a URL can say. */
void adm_url_options(const struct adm *a, const struct adm_record *r, struct adm_url_options *ret);
/* Overwrite the secrets. */
void adm_url_options_wipe(struct adm_url_options *o);
/* For a session of this process; target "": for discovery. */
USAN_MUST_CHECK
int adm_url_make(const struct adm *a, const struct adm_record *r, const char *address,
                 uint16_t port, const char *target, struct ini_url *ret_url, struct err_text *e);
/* As text for another process. A secret stands in a file: secret_file(arg, its value) makes it and
 * says where it is, NULL when that fails. USAN_ERANGE: buf is too small; USAN_EIO. */
USAN_MUST_CHECK
int adm_url_text(const struct ini_url *url, const struct adm_url_options *o,
                 const char *(*secret_file)(void *arg, const char *value), void *arg, char *buf,
                 size_t cap);

/* The exit code for a session that did not come about. */
enum adm_code adm_session_code(int err);

#endif
