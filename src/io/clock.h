/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The clock programs tell the cores the time of. */
#ifndef USAN_IO_CLOCK_H
#define USAN_IO_CLOCK_H

#include "base/clock.h"

/* CLOCK_MONOTONIC in nanoseconds; costs no system call. */
uint64_t clock_now_ns(void);

#endif
