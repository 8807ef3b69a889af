/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/label.h"

#include "store/store.h"

#include <stdio.h>
#include <string.h>

static const char *last_part(const char *s)
{
    const char *slash = strrchr(s, '/');
    return slash && slash[1] ? slash + 1 : s;
}

/* "TARGET/LUN": what stands behind the last colon of the target's name; of the first path of a
 * multipath store. */
static const char *unit(char *s)
{
    static const char multipath[] = "multipath:";
    size_t skip = strncmp(s, multipath, strlen(multipath)) == 0 ? strlen(multipath) : 0;
    if (strncmp(s + skip, "iscsi:", 6) != 0)
        return NULL;
    if (skip)
        s[strcspn(s, ",")] = 0;
    const char *lun = last_part(s), *colon = s;
    for (const char *p = s; p < lun; p++) {
        if (*p == ':' || (*p == '/' && p + 1 < lun))
            colon = p + 1;
    }
    return colon;
}

struct attach_label attach_label(const struct attach_config *cfg)
{
    struct attach_label l;
    struct store_spec_text spec = store_spec_text(cfg->store);
    spec.s[strcspn(spec.s, "?")] = 0;
    const char *name = *cfg->front.name ? cfg->front.name : unit(spec.s);
    if (!name)
        name = last_part(spec.s);
    (void)snprintf(l.s, sizeof(l.s), "%.63s", name);
    return l;
}
