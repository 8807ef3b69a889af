/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Time. One unit everywhere: nanoseconds of a monotonic clock, as uint64_t named `..._ns`.
 * Cores never read a clock; they are told the time.
 */
#ifndef USAN_BASE_CLOCK_H
#define USAN_BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_US  1000ull
#define NS_PER_MS  1000000ull
#define NS_PER_SEC 1000000000ull

/* A deadline that never comes. */
#define TIME_NEVER UINT64_MAX

static inline uint64_t time_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

#endif
