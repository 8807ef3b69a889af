/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What cmocka.h wants to be included before it. */
#ifndef USAN_TESTS_UNIT_SIM_TEST_H
#define USAN_TESTS_UNIT_SIM_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
