/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A configuration from a YAML file; its keys are described in usan-target.yaml(5). */
#ifndef USAN_TARGET_CONFIG_YAML_H
#define USAN_TARGET_CONFIG_YAML_H

#include "target/config.h"

#include <stddef.h>
#include <stdio.h>

/*
 * Read the file into cfg, which has been initialised, and check it. Names of secret files are
 * relative to the file's directory. Errors read "FILE:LINE:COLUMN: what is wrong".
 */
USAN_MUST_CHECK
int tgt_config_load(struct tgt_config *cfg, const char *path, struct err_text *e);
/* The same from a stream; `name` stands for the file in errors and for its directory. Without the
 * final tgt_config_check(). */
USAN_MUST_CHECK
int tgt_config_parse(struct tgt_config *cfg, FILE *in, const char *name, struct err_text *e);

/* Walk the keys there are, as "targets.luns.store"; false at the end. For the test that compares
 * them with the man page. */
bool tgt_config_key(size_t i, char *buf, size_t cap);

#endif
