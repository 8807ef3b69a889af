/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* doc/stores.md against the tables: every store, filter and option with its type, default and
 * help text, and none that does not exist. USAN_DOC is the path of the page. */
#include "initiator/iscsi_store.h"
#include "initiator/mpath_store.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char page[1 << 16];

static int load(void **state)
{
    const char *path = getenv("USAN_DOC");
    (void)state;
    assert_non_null(path);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(page, 1, sizeof page - 1, f);
    assert_true(n > 0 && n < sizeof page - 1);
    page[n] = '\0';
    return fclose(f);
}

/* Where the line stands, NULL if it does not. */
static const char *find_line(const char *from, const char *line)
{
    size_t len = strlen(line);
    for (const char *p = strstr(from, line); p; p = strstr(p + 1, line)) {
        if ((p == page || p[-1] == '\n') && p[len] == '\n')
            return p;
    }
    return NULL;
}

static size_t count_lines(const char *start)
{
    size_t n = 0, len = strlen(start);
    for (const char *p = page; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
        n += !strncmp(p, start, len);
    return n;
}

static void every_option(void **state)
{
    char line[512];
    size_t sections = 0, rows = 0, missing = 0;
    (void)state;
    const struct store_ops *o;
    for (size_t i = 0; (o = store_registry_at(i)); i++, sections++) {
        (void)snprintf(line, sizeof line, "## %s: %s", o->name, o->help);
        const char *section = find_line(page, line);
        if (!section) {
            print_error("missing: %s\n", line);
            missing++;
            continue;
        }
        const char *end = strstr(section + 1, "\n## ");
        for (const struct store_opt_desc *d = o->opts; d->key; d++, rows++) {
            (void)snprintf(line, sizeof line, "| `%s` | %s | %s | %s |", d->key, d->type,
                           *d->def ? d->def : "-", d->help);
            const char *row = find_line(section, line);
            if (!row || (end && row > end)) {
                print_error("missing: %s\n", line);
                missing++;
            }
        }
    }
    assert_int_equal(missing, 0);
    assert_int_equal(count_lines("| `"), rows);
    assert_int_equal(count_lines("## "), sections + 1); /* and the one about specifications */
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_option) };
    if (store_registry_add(&iscsi_store_ops) || store_registry_add(&mpath_store_ops))
        return 1;
    return cmocka_run_group_tests(tests, load, NULL);
}
