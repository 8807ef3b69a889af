/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The process heap (malloc/free) as an allocator. */
#ifndef USAN_BASE_ALLOC_HEAP_H
#define USAN_BASE_ALLOC_HEAP_H

#include "base/alloc.h"

extern const struct alloc alloc_heap;

#endif
