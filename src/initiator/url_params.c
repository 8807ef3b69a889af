/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/url_params.h"

#include "iscsi/initiator.h"
#include "store/opt.h"

#include <string.h>

enum { BYTES_MIN = 512, BYTES_MAX = (1 << 24) - 1 }; /* 13.12 to 13.14 */

static int set_bytes(const char *key, const char *value, uint32_t *to, struct err_text *e)
{
    uint64_t bytes;
    if (opt_parse_size(value, &bytes) || bytes < BYTES_MIN || bytes > BYTES_MAX)
        return err_set(e, USAN_EINVAL, "%s: '%.32s' is not a size from %d to %d bytes", key, value,
                       BYTES_MIN, BYTES_MAX);
    *to = (uint32_t)bytes;
    return 0;
}

static int set_bool(const char *key, const char *value, bool *to, struct err_text *e)
{
    if (opt_parse_bool(value, to))
        return err_set(e, USAN_EINVAL, "%s: '%.32s' is neither yes nor no", key, value);
    return 0;
}

bool ini_url_set_param(struct iscsi_params_cfg *params, const char *key, const char *value,
                       int *ret_err, struct err_text *e)
{
    const struct {
        const char *key;
        uint32_t *to;
    } sizes[] = { { "max_segment", &params->max_recv_data_segment },
                  { "max_burst", &params->max_burst },
                  { "first_burst", &params->first_burst } };
    const struct {
        const char *key;
        bool *to;
    } bools[] = { { "initial_r2t", &params->initial_r2t },
                  { "immediate_data", &params->immediate_data },
                  { "data_pdu_in_order", &params->data_pdu_in_order },
                  { "data_sequence_in_order", &params->data_sequence_in_order } };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        if (strcmp(key, sizes[i].key) == 0) {
            *ret_err = set_bytes(key, value, sizes[i].to, e);
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(bools) / sizeof(bools[0]); i++) {
        if (strcmp(key, bools[i].key) == 0) {
            *ret_err = set_bool(key, value, bools[i].to, e);
            return true;
        }
    }
    if (strcmp(key, "max_r2t") != 0)
        return false;
    uint64_t n;
    *ret_err = 0;
    if (opt_parse_uint(value, &n) || n < 1 || n > ISCSI_IR2T_MAX)
        *ret_err = err_set(e, USAN_EINVAL, "%s: '%.32s' is not a number from 1 to %d", key, value,
                           ISCSI_IR2T_MAX);
    else
        params->max_outstanding_r2t = (uint16_t)n;
    return true;
}

int ini_url_check_params(const struct iscsi_params_cfg *params, struct err_text *e)
{
    if (params->first_burst > params->max_burst) /* 13.14 */
        return err_set(e, USAN_EINVAL, "first_burst: %u is more than max_burst, %u",
                       params->first_burst, params->max_burst);
    return 0;
}
