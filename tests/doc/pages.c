/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pages of doc/ that are made from tables of the program, so that they can not differ from what
 * it does.
 *
 *     pages PAGE          prints the page
 *     pages PAGE FILE     fails unless the file is that page
 */
#include "base/bytes.h"
#include "iscsi/conn_fsm.h"
#include "iscsi/keys.h"
#include "iscsi/sess_fsm.h"
#include "scsi/table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { PAGE_MAX = 256 * 1024, COMMANDS_MAX = 256 };

static const char made_by[] =
    "Made from the tables in the source by `./dev docs`; a test compares.\n\n";

static void put(struct wr *w, const char *s)
{
    wr_bytes(w, s, strlen(s));
}

static void put_hex(struct wr *w, unsigned v)
{
    char text[8];
    (void)snprintf(text, sizeof text, "%02Xh", v & 0xffffu);
    put(w, text);
}

/* ---- commands ---- */

static int by_opcode(const void *a, const void *b)
{
    const struct scsi_command *x = *(const struct scsi_command *const *)a;
    const struct scsi_command *y = *(const struct scsi_command *const *)b;
    return x->opcode != y->opcode ? x->opcode - y->opcode : x->sa - y->sa;
}

static size_t all_commands(const struct scsi_command **ret_commands)
{
    const char *name;
    uint8_t cdb[16] = { 0 };
    int sa;
    size_t n = 0;
    while (n < COMMANDS_MAX && scsi_command_info(n, &name, &cdb[0], &sa)) {
        bool bad_sa;
        cdb[1] = sa < 0 ? 0 : (uint8_t)sa;
        ret_commands[n] = scsi_command_find(cdb, sizeof cdb, &bad_sa);
        if (!ret_commands[n])
            return 0;
        n++;
    }
    qsort(ret_commands, n, sizeof(struct scsi_command *), by_opcode);
    return n;
}

static const char *direction(uint32_t flags)
{
    static const char *const names[] = { "", "in", "out", "both" };
    return names[(flags & SCSI_CF_IN ? 1 : 0) + (flags & SCSI_CF_OUT ? 2 : 0)];
}

static const char *persistent(uint32_t flags)
{
    if (flags & SCSI_CF_PR_ANY)
        return "always";
    if (flags & SCSI_CF_PR_READ)
        return "write exclusive";
    return flags & SCSI_CF_PR_REG ? "by its own rules" : "never";
}

static const char *access_states(uint32_t flags)
{
    if (flags & SCSI_CF_ALUA_ANY)
        return "any";
    return flags & SCSI_CF_ALUA_STANDBY ? "active, standby" : "active";
}

static void put_notes(struct wr *w, uint32_t flags)
{
    static const struct {
        uint32_t flag;
        const char *text;
    } notes[] = {
        { SCSI_CF_REMOVABLE, "removable units only" },
        { SCSI_CF_THIN, "thin units only" },
        { SCSI_CF_MEDIUM, "needs a medium" },
        { SCSI_CF_WRITES, "needs write access" },
        { SCSI_CF_EXCLUSIVE, "runs alone" },
        { SCSI_CF_UA_PASS, "reports no unit attention" },
        { SCSI_CF_NO_LUN, "also where there is no unit" },
    };
    const char *comma = "";
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++) {
        if (!(flags & notes[i].flag))
            continue;
        put(w, comma);
        put(w, notes[i].text);
        comma = ", ";
    }
}

static void put_command(struct wr *w, const struct scsi_command *c)
{
    char len[8];
    (void)snprintf(len, sizeof len, "%u", c->cdb_len & 0xffu);
    put(w, "| ");
    put(w, c->name);
    put(w, " | ");
    put_hex(w, c->opcode);
    put(w, " | ");
    if (c->sa >= 0)
        put_hex(w, (unsigned)c->sa);
    put(w, " | ");
    put(w, len);
    put(w, " | ");
    put(w, direction(c->flags));
    put(w, " | ");
    put(w, persistent(c->flags));
    put(w, " | ");
    put(w, c->flags & SCSI_CF_RESERVE_ANY ? "yes" : "no");
    put(w, " | ");
    put(w, access_states(c->flags));
    put(w, " | ");
    put_notes(w, c->flags);
    put(w, " |\n");
}

static void commands_page(struct wr *w)
{
    const struct scsi_command *commands[COMMANDS_MAX];
    size_t n = all_commands(commands);
    put(w, "# SCSI commands\n\n");
    put(w, made_by);
    put(w,
        "Every command a disk answers; any other operation code ends with INVALID COMMAND\n"
        "OPERATION CODE. The device server is that of SAM-6, SPC-6 and SBC-4.\n\n"
        "- *persistent*: allowed for others while a persistent reservation is held: always, with\n"
        "  the write exclusive types only, or never\n"
        "- *reserve*: allowed in spite of another initiator's RESERVE(6) or RESERVE(10)\n"
        "- *access*: asymmetric access states of the port group it is allowed in\n\n"
        "| command | code | action | CDB bytes | data | persistent | reserve | access | notes |\n"
        "|---|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < n; i++)
        put_command(w, commands[i]);
}

/* ---- iSCSI ---- */

static void put_machine(struct wr *w, const char *title,
                        void (*list)(enum iscsi_role role, struct wr *w),
                        void (*graph)(enum iscsi_role role, struct wr *w))
{
    static const struct {
        enum iscsi_role role;
        const char *name;
    } roles[] = { { ISCSI_ROLE_TARGET, "target" }, { ISCSI_ROLE_INITIATOR, "initiator" } };
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        put(w, "\n## ");
        put(w, title);
        put(w, ", ");
        put(w, roles[i].name);
        put(w, "\n\n");
        list(roles[i].role, w);
        put(w, "\n```dot\n");
        graph(roles[i].role, w);
        put(w, "```\n");
    }
}

static void iscsi_page(struct wr *w)
{
    put(w, "# iSCSI: keys and state machines\n\n");
    put(w, made_by);
    put(w,
        "The graphs are Graphviz text: `dot -Tsvg`.\n\n## Keys (RFC 7143, clauses 6.3 and 13)\n\n");
    iscsi_keys_print(w);
    put_machine(w, "Connection (RFC 7143, clauses 8.1 and 8.2)", iscsi_conn_fsm_print_list,
                iscsi_conn_fsm_print_graph);
    put_machine(w, "Session (RFC 7143, clause 8.3)", iscsi_sess_fsm_print_list,
                iscsi_sess_fsm_print_graph);
}

/* ---- */

/* 0: the file holds just these bytes. */
static int compare(const char *page, const char *path, const uint8_t *text, size_t len)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    size_t at = 0, line = 1;
    int c;
    while ((c = getc(f)) != EOF && at < len && c == text[at])
        line += text[at++] == '\n';
    bool same = c == EOF && at == len && !ferror(f);
    fclose(f);
    if (!same)
        fprintf(stderr, "%s:%zu: is not the page \"%s\" of this program: run ./dev docs\n", path,
                line, page);
    return same ? 0 : 1;
}

int main(int argc, char **argv)
{
    static uint8_t text[PAGE_MAX];
    struct wr w = wr_init(text, sizeof text);
    if (argc >= 2 && strcmp(argv[1], "commands") == 0)
        commands_page(&w);
    else if (argc >= 2 && strcmp(argv[1], "iscsi") == 0)
        iscsi_page(&w);
    if (argc < 2 || argc > 3 || w.len == 0 || wr_truncated(&w)) {
        fprintf(stderr, "usage: %s commands|iscsi [FILE]\n", argv[0]);
        return 2;
    }
    if (argc == 3)
        return compare(argv[1], argv[2], text, w.len);
    return fwrite(text, 1, w.len, stdout) == w.len ? 0 : 1;
}
