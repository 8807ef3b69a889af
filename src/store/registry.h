/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The back ends and filters that are built in; each folder of src/store defines one. */
#ifndef USAN_STORE_REGISTRY_H
#define USAN_STORE_REGISTRY_H

#include "store/store.h"

extern const struct store_ops file_ops;
extern const struct store_ops ram_ops;
extern const struct store_ops null_ops;

extern const struct store_ops stats_ops;
extern const struct store_ops ratelimit_ops;
extern const struct store_ops delay_ops;
extern const struct store_ops error_ops;
extern const struct store_ops crash_ops;

#endif
