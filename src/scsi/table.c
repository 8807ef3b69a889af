/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command table. */
#include "scsi/table.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "scsi/reply.h"

static const struct scsi_command *const tables[] = {
    scsi_spc_commands,  scsi_block_commands, scsi_reserve_commands,
    scsi_copy_commands, scsi_alua_commands,
};

enum { TABLE_COUNT = sizeof tables / sizeof tables[0] };

/* SPC-6 4.3.4.1 */
static void start_unknown_opcode(struct scsi_task *t)
{
    scsi_check(t, SENSE_INVALID_OPCODE);
}

/* SPC-6 4.3.4.1: an unsupported service action is an invalid field; it is bits 4..0 of byte 1, or
 * bytes 8 and 9 of a variable length CDB. */
static void start_unknown_sa(struct scsi_task *t)
{
    if (t->cdb[0] == 0x7f)
        scsi_check_cdb(t, 8, 7);
    else
        scsi_check_cdb(t, 1, 4);
}

/* Stand in for commands that do not exist, so that unit attentions and ACA go first for them as for
 * any other. */
static const struct scsi_command unknown_opcode = {
    .sa = -1,
    .cdb_len = 0, /* where its CONTROL byte would be is not known */
    .flags = SCSI_CF_PR_ANY | SCSI_CF_RESERVE_ANY | SCSI_CF_ALUA_ANY,
    .name = "(unknown opcode)",
    .start = start_unknown_opcode,
};

static const struct scsi_command unknown_sa = {
    .sa = -1,
    .cdb_len = 0, /* where its CONTROL byte would be is not known */
    .flags = SCSI_CF_PR_ANY | SCSI_CF_RESERVE_ANY | SCSI_CF_ALUA_ANY,
    .name = "(unknown service action)",
    .start = start_unknown_sa,
};

static int service_action(const uint8_t *cdb, size_t cdb_len)
{
    if (cdb[0] == 0x7f)
        return cdb_len >= 10 ? be16_get(cdb + 8) : 0;
    return cdb[1] & 0x1f;
}

static bool unit_has(const struct scsi_lu_config *cfg, const struct scsi_command *c)
{
    return (!(c->flags & SCSI_CF_REMOVABLE) || cfg->removable) &&
           (!(c->flags & SCSI_CF_THIN) || cfg->thin) &&
           (!(c->flags & SCSI_CF_DURABLE) || cfg->keeps_state);
}

/* Place c among the `count` commands of its opcode, by service action. */
static void insert(const struct scsi_command **at, unsigned count, const struct scsi_command *c)
{
    unsigned i = count;
    while (i > 0 && at[i - 1]->sa > c->sa) {
        at[i] = at[i - 1];
        i--;
    }
    at[i] = c;
}

struct scsi_index *scsi_index_new(const struct scsi_lu_config *cfg, const struct alloc *a)
{
    uint16_t of_opcode[256] = { 0 };
    size_t count = 0;
    for (unsigned i = 0; i < TABLE_COUNT; i++) {
        for (const struct scsi_command *c = tables[i]; c->name; c++) {
            if (unit_has(cfg, c)) {
                of_opcode[c->opcode]++;
                count++;
            }
        }
    }
    struct scsi_index *ix = alloc_zero(a, sizeof *ix + count * sizeof(const struct scsi_command *));
    if (!ix)
        return NULL;
    for (unsigned i = 0; i < 256; i++) {
        ix->first[i + 1] = (uint16_t)(ix->first[i] + of_opcode[i]);
        of_opcode[i] = 0;
    }
    for (unsigned i = 0; i < TABLE_COUNT; i++) {
        for (const struct scsi_command *c = tables[i]; c->name; c++) {
            if (unit_has(cfg, c))
                insert(&ix->cmd[ix->first[c->opcode]], of_opcode[c->opcode]++, c);
        }
    }
    return ix;
}

const struct scsi_command *scsi_index_find(const struct scsi_index *ix, const uint8_t *cdb,
                                           size_t cdb_len)
{
    unsigned i = ix->first[cdb[0]], end = ix->first[cdb[0] + 1u];
    if (i == end)
        return &unknown_opcode;
    if (ix->cmd[i]->sa < 0)
        return ix->cmd[i];
    int sa = service_action(cdb, cdb_len);
    for (; i < end; i++) {
        if (ix->cmd[i]->sa == sa && ix->cmd[i]->cdb_len <= cdb_len)
            return ix->cmd[i];
    }
    return &unknown_sa;
}

const struct scsi_command *scsi_command_find(const uint8_t *cdb, size_t cdb_len, bool *ret_bad_sa)
{
    int sa = service_action(cdb, cdb_len);
    bool bad_sa = false;
    for (unsigned i = 0; i < TABLE_COUNT; i++) {
        for (const struct scsi_command *c = tables[i]; c->name; c++) {
            if (c->opcode != cdb[0])
                continue;
            if (c->cdb_len <= cdb_len && (c->sa < 0 || c->sa == sa))
                return c;
            bad_sa = true;
        }
    }
    *ret_bad_sa = bad_sa;
    return NULL;
}

bool scsi_command_info(size_t i, const char **ret_name, uint8_t *ret_opcode, int *ret_sa)
{
    for (unsigned table = 0; table < TABLE_COUNT; table++) {
        for (const struct scsi_command *c = tables[table]; c->name; c++) {
            if (i-- == 0) {
                *ret_name = c->name;
                *ret_opcode = c->opcode;
                *ret_sa = c->sa;
                return true;
            }
        }
    }
    return false;
}
