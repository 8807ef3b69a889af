/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an attached store is called where the operator has not said it. */
#ifndef USAN_ATTACH_LABEL_H
#define USAN_ATTACH_LABEL_H

#include "attach/attach.h"

struct attach_label {
    char s[64];
};

/* --name; or the last part of the store's path, of an iSCSI unit (of a multipath store, the first
 * path's) with the target's before it. Use as attach_label(x).s inside the call. */
struct attach_label attach_label(const struct attach_config *cfg);

#endif
