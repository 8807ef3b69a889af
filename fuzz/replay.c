/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a fuzz target over saved inputs: every file named, and every file in every folder named.
 * This is how a corpus, and each input that once crashed, takes part in `meson test`.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 20 };

static unsigned inputs;

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *all = malloc(INPUT_MAX);
    if (!f || !all) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        free(all);
        if (f)
            fclose(f);
        return 1;
    }
    size_t n = fread(all, 1, INPUT_MAX, f);
    fclose(f);
    /* An allocation of just its size, so that sanitizers see a read past the end. */
    uint8_t *data = malloc(n ? n : 1);
    if (data) {
        memcpy(data, all, n);
        fprintf(stderr, "%s: %zu bytes\n", path, n);
        (void)LLVMFuzzerTestOneInput(data, n);
        inputs++;
    }
    free(data);
    free(all);
    return data ? 0 : 1;
}

static int replay(const char *path)
{
    struct stat st;
    if (stat(path, &st)) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    if (!S_ISDIR(st.st_mode))
        return replay_file(path);
    struct dirent **names;
    int n = scandir(path, &names, NULL, alphasort), failed = 0;
    if (n < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    for (int i = 0; i < n; i++) {
        char sub[4096];
        int len = snprintf(sub, sizeof(sub), "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.' && len < (int)sizeof(sub))
            failed |= replay(sub);
        free(names[i]);
    }
    free(names);
    return failed;
}

int main(int argc, char **argv)
{
    int failed = 0;
    for (int i = 1; i < argc; i++)
        failed |= replay(argv[i]);
    if (!inputs) {
        fprintf(stderr, "usage: %s FILE|FOLDER...: no input found\n", argv[0]);
        return 2;
    }
    return failed;
}
