/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of the initiator's login share on top of the rig: texts that it sends. */
#ifndef USAN_TEST_ILOGIN_TEXT_H
#define USAN_TEST_ILOGIN_TEXT_H

#include "irig.h"

#include <string.h>

#define FIRST                                                                                      \
    "InitiatorName=iqn.2026-01.test:ini|TargetName=iqn.2026-01.test:disk|SessionType=Normal|"

/* The text of a PDU, in which '|' stands for NUL. */
static inline void expect_text(const struct irig_pdu *pdu, const char *text)
{
    char want[4096];
    size_t len = irig_text(text, want, sizeof want);
    if (pdu->data_len != len || memcmp(pdu->data, want, len) != 0) {
        print_message("# ");
        for (uint32_t i = 0; i < pdu->data_len; i++)
            print_message("%c", pdu->data[i] ? pdu->data[i] : '|');
        print_message("\n");
    }
    assert_int_equal(pdu->data_len, len);
    assert_memory_equal(pdu->data, want, len);
}

/* A request without taking it from the rig. */
static inline struct irig_pdu peek(struct irig *r)
{
    size_t pos = r->out_pos;
    struct irig_pdu pdu = irig_expect(r, ISCSI_OP_LOGIN_REQUEST);
    r->out_pos = pos;
    return pdu;
}

#endif
