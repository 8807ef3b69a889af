/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/clock.h"

#include <time.h>

uint64_t clock_now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail with this clock and pointer */
    return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}
