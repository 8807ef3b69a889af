/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tools_store_words(struct store *s, char *buf, size_t cap)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    *buf = 0;
    if (!f)
        return;
    store_stats(s, f);
    if (fclose(f) == 0) {
        const char *at = strstr(text, ".error ");
        if (at)
            (void)snprintf(buf, cap, " (%.*s)", (int)strcspn(at + 7, "\n"), at + 7);
    }
    free(text);
}
