/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/sim_world.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* From the folder of this program: where it was built, and where it is installed. */
static const char *const places[] = { "../../sim", USAN_LIBEXECDIR };

static bool find(const char *world, char path[PATH_MAX])
{
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (len <= 0)
        return false;
    self[len] = 0;
    *strrchr(self, '/') = 0; /* it is an absolute path */
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        bool absolute = places[i][0] == '/';
        int n = snprintf(path, PATH_MAX, "%s%s%s/usan-sim-%s", absolute ? "" : self,
                         absolute ? "" : "/", places[i], world);
        if (n > 0 && n < PATH_MAX && access(path, X_OK) == 0)
            return true;
    }
    return false;
}

int cli_sim_become(const char *world, int argc, char *const *argv, struct err_text *e)
{
    static char name[] = "usan", sim[] = "sim", run[] = "run";
    char path[PATH_MAX];
    if (!find(world, path))
        return err_set(e, USAN_ENOTSUP, "world %s: this usan was built without it (no usan-sim-%s)",
                       world, world);
    char **args = calloc((size_t)argc + 4, sizeof(*args));
    if (!args)
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    args[0] = name;
    args[1] = sim;
    args[2] = run;
    memcpy(args + 3, argv, (size_t)argc * sizeof(*args));
    (void)execv(path, args);
    int err = err_set(e, usan_err_from_errno(errno), "%s: %s", path, strerror(errno));
    free(args);
    return err;
}
