/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of NBD requests share on top of the rig: a connection that is in transmission,
 * with its bytes in pieces of several sizes. */
#ifndef USAN_TEST_NBD_REQUEST_TEST_H
#define USAN_TEST_NBD_REQUEST_TEST_H

#include "nbd_rig.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

static struct rig *rig;

enum { KIB = 1024, MIB = 1 << 20 };

static inline size_t chunk_of(void **state)
{
    return *(const size_t *)*state;
}

static inline void begin(void **state, bool structured)
{
    struct nbd_proto_config cfg = rig_config();
    rig_open(rig, &cfg, chunk_of(state));
    rig_go(rig, structured, structured);
}

static inline void pattern(uint8_t *p, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(seed + i * 7 + i / 256);
}

/* A test with its pieces. */
#define T(name, chunk) cmocka_unit_test_prestate(name, &chunk)

#endif
