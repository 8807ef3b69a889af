/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Options of back ends and filters: the texts of a specification against the option table of the
 * ops. store.c checks all options before it opens anything, so an open function only asks for
 * values and gets valid ones.
 *
 * Types
 *   size   bytes: a number with an optional K, M, G, T, P or KiB ... PiB (powers of 1024)
 *   uint   a number
 *   bool   1, 0, yes, no, true, false, on, off; the key alone means 1
 *   time   a number with ns, us, ms or s
 *   ratio  0 to 1, or 0% to 100%; at most nine digits after the point
 *   text   anything; the back end checks it
 */
#ifndef USAN_STORE_OPT_H
#define USAN_STORE_OPT_H

#include "store/store.h"

/* ERANGE when the number does not fit; EINVAL for everything else that is wrong. */
USAN_MUST_CHECK
int opt_parse_size(const char *text, uint64_t *ret_bytes);
USAN_MUST_CHECK
int opt_parse_uint(const char *text, uint64_t *ret_value);
USAN_MUST_CHECK
int opt_parse_bool(const char *text, bool *ret_value);
USAN_MUST_CHECK
int opt_parse_time(const char *text, uint64_t *ret_ns);
/* In parts of a thousand million: 1000000000 is 1. */
USAN_MUST_CHECK
int opt_parse_ratio(const char *text, uint32_t *ret_ppb);

#define OPT_RATIO_ONE 1000000000u

/* The target of a store that is its size: whole blocks of 512 bytes, not none. e says what is wrong
 * and how to write it. */
USAN_MUST_CHECK
int opt_target_size(const char *target, uint64_t *ret_bytes, struct err_text *e);

/* Every option is in the table, at most once, with a value of its type. */
USAN_MUST_CHECK
int opt_check(const struct store_ops *ops, const struct store_opt *opts, size_t count,
              struct err_text *e);

/*
 * The value given for the key, else the default of the table. The key has to be in the table and
 * the options checked. An empty default reads as 0.
 */
const char *opt_text(const struct store_ops *ops, const struct store_open *how, const char *key);
uint64_t opt_size(const struct store_ops *ops, const struct store_open *how, const char *key);
uint64_t opt_uint(const struct store_ops *ops, const struct store_open *how, const char *key);
bool opt_bool(const struct store_ops *ops, const struct store_open *how, const char *key);
uint64_t opt_time(const struct store_ops *ops, const struct store_open *how, const char *key);
uint32_t opt_ratio(const struct store_ops *ops, const struct store_open *how, const char *key);

/* Was it given, even with its default value? */
bool opt_given(const struct store_open *how, const char *key);

#endif
