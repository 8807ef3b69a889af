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

/* "TARGET/LUN": what stands behind the last colon of the target's name. */
static const char *unit(const char *s)
{
    const char *lun = last_part(s), *colon = s;
    if (strncmp(s, "iscsi:", 6) != 0)
        return NULL;
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
