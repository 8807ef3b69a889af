/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of disk commands holds together, and its reservation flags are those of SBC-4. */
#include "block_test.h"

#include "scsi/command.h"

static void rows_are_well_formed(void **state)
{
    (void)state;
    for (const struct scsi_command *c = scsi_block_commands; c->name; c++) {
        unsigned control = c->opcode == 0x7f ? 1 : c->cdb_len - 1u;
        static const uint8_t len_of_group[] = { 6, 10, 10, 32, 16, 12 };
        assert_int_equal(c->cdb_len, len_of_group[c->opcode >> 5]);
        assert_int_equal(c->usage[0], c->opcode);
        assert_int_equal(c->usage[control], 0x04);
        for (unsigned i = c->cdb_len; i < sizeof c->usage; i++)
            assert_int_equal(c->usage[i], 0);
        if (c->opcode == 0x7f)
            assert_int_equal(be16_get(c->usage + 8), c->sa);
        else if (c->sa >= 0)
            assert_int_equal(c->usage[1] & 0x1f, c->sa);
        assert_non_null(c->start);
        /* what changes the medium is refused on a protected one, and needs one */
        if (c->flags & SCSI_CF_WRITES)
            assert_false(c->flags & (SCSI_CF_PR_READ | SCSI_CF_PR_ANY | SCSI_CF_IN));
    }
}

static void no_command_twice(void **state)
{
    (void)state;
    for (const struct scsi_command *a = scsi_block_commands; a->name; a++) {
        for (const struct scsi_command *b = a + 1; b->name; b++)
            assert_false(a->opcode == b->opcode && a->sa == b->sa);
    }
}

/* SBC-4, commands allowed in the presence of reservations: others may do this under Write
 * Exclusive (W), always (A); anything else is a conflict. */
static void reservation_flags(void **state)
{
    (void)state;
    static const char *const allowed[] = {
        "W READ(6)",
        "W READ(10)",
        "W READ(12)",
        "W READ(16)",
        "W VERIFY(10)",
        "W VERIFY(12)",
        "W VERIFY(16)",
        "W PRE-FETCH(10)",
        "W PRE-FETCH(16)",
        "W GET LBA STATUS(16)",
        "W GET LBA STATUS(32)",
        "W READ DEFECT DATA(10)",
        "W READ DEFECT DATA(12)",
        "A READ CAPACITY(10)",
        "A READ CAPACITY(16)",
    };
    for (const struct scsi_command *c = scsi_block_commands; c->name; c++) {
        char is = ' ';
        for (unsigned i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
            if (strcmp(allowed[i] + 2, c->name) == 0)
                is = allowed[i][0];
        }
        assert_int_equal(!!(c->flags & SCSI_CF_PR_READ), is == 'W');
        assert_int_equal(!!(c->flags & SCSI_CF_PR_ANY), is == 'A');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_well_formed),
        cmocka_unit_test(no_command_twice),
        cmocka_unit_test(reservation_flags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
