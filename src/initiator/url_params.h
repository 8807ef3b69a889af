/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The options of a URL that are parameters of iSCSI itself (RFC 7143 section 13): what the session
 * offers. Their table is ini_url_opts. */
#ifndef USAN_INITIATOR_URL_PARAMS_H
#define USAN_INITIATOR_URL_PARAMS_H

#include "base/err.h"
#include "iscsi/params.h"

#include <stdbool.h>

/* False: the key is none of them. Else *ret_err is 0, or USAN_EINVAL with words in e. */
bool ini_url_set_param(struct iscsi_params_cfg *params, const char *key, const char *value,
                       int *ret_err, struct err_text *e);
/* What only shows when all are known: USAN_EINVAL. */
USAN_MUST_CHECK
int ini_url_check_params(const struct iscsi_params_cfg *params, struct err_text *e);

#endif
