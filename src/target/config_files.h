/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files and devices that a configuration names. Nothing is opened; names are looked up. */
#ifndef USAN_TARGET_CONFIG_FILES_H
#define USAN_TARGET_CONFIG_FILES_H

#include "target/config.h"

/* One file as two disks of this program: USAN_EINVAL with e naming both LUNs. It is not one where
 * both only read it, or where both have lock=no. The stores have been checked. */
USAN_MUST_CHECK
int tgt_config_check_files(const struct tgt_config *cfg, struct err_text *e);

#endif
