/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/config_files.h"

#include "store/store.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A LUN with a file: what it is known by, so that equal ones are side by side when sorted. */
struct entry {
    bool there, device;
    dev_t dev; /* of the file system, or the device itself */
    ino_t ino;
    struct store_spec_file file; /* the path is what tells files that are not there apart */
    size_t target, lun;
};

static int compare_files(const struct entry *x, const struct entry *y)
{
    if (x->there != y->there)
        return x->there ? 1 : -1;
    if (!x->there)
        return strcmp(x->file.path, y->file.path);
    if (x->device != y->device)
        return x->device ? 1 : -1;
    if (x->dev != y->dev)
        return x->dev > y->dev ? 1 : -1;
    return x->ino == y->ino ? 0 : x->ino > y->ino ? 1 : -1;
}

static int compare(const void *a, const void *b)
{
    const struct entry *x = *(struct entry *const *)a, *y = *(struct entry *const *)b;
    int order = compare_files(x, y);
    if (!order && x->target != y->target)
        order = x->target > y->target ? 1 : -1;
    return order ? order : (x->lun > y->lun) - (x->lun < y->lun);
}

/* NULL in *ret when the LUN has no file. */
static int make_entry(const struct tgt_config *cfg, size_t target, size_t lun, struct entry **ret)
{
    struct entry *x = calloc(1, sizeof(*x));
    if (!x)
        return USAN_ENOMEM;
    struct stat st;
    *ret = NULL;
    if (!store_spec_file(cfg->targets[target].luns[lun].store, &x->file)) {
        free(x);
        return 0;
    }
    if (stat(x->file.path, &st) == 0) {
        x->there = true;
        x->device = S_ISBLK(st.st_mode); /* two nodes may be one device */
        x->dev = x->device ? st.st_rdev : st.st_dev;
        x->ino = x->device ? 0 : st.st_ino;
    }
    x->target = target;
    x->lun = lun;
    *ret = x;
    return 0;
}

static int clash(const struct tgt_config *cfg, const struct entry *first,
                 const struct entry *second, struct err_text *e)
{
    const struct tgt_config_target *t = &cfg->targets[first->target];
    const struct tgt_config_target *u = &cfg->targets[second->target];
    int err = err_set(e, USAN_EINVAL,
                      "%.200s is LUN %u of target %s already; a file can be one disk only",
                      second->file.path, t->luns[first->lun].lun, t->name);
    err_prefix(e, "target %s: LUN %u", u->name, u->luns[second->lun].lun);
    tgt_config_place(cfg, u->luns[second->lun].line, e);
    return err;
}

/* v is sorted. What may be shared is told in the run of those that are one file. */
static int check_sorted(const struct tgt_config *cfg, struct entry *const *v, size_t count,
                        struct err_text *e)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count && compare_files(v[i], v[j]) == 0; j++) {
            bool reading = cfg->targets[v[i]->target].luns[v[i]->lun].read_only &&
                           cfg->targets[v[j]->target].luns[v[j]->lun].read_only;
            if (!reading && v[i]->file.locked && v[j]->file.locked)
                return clash(cfg, v[i], v[j], e);
        }
    }
    return 0;
}

int tgt_config_check_files(const struct tgt_config *cfg, struct err_text *e)
{
    size_t luns = 0, count = 0;
    for (size_t i = 0; i < cfg->target_count; i++)
        luns += cfg->targets[i].lun_count;
    struct entry **v = calloc(luns + 1, sizeof(struct entry *));
    int err = v ? 0 : USAN_ENOMEM;
    for (size_t i = 0; !err && i < cfg->target_count; i++) {
        for (size_t j = 0; !err && j < cfg->targets[i].lun_count; j++) {
            err = make_entry(cfg, i, j, &v[count]);
            count += !err && v[count];
        }
    }
    if (err) {
        err_set(e, err, "out of memory");
    } else {
        qsort(v, count, sizeof(struct entry *), compare);
        err = check_sorted(cfg, v, count, e);
    }
    for (size_t i = 0; v && i < count; i++)
        free(v[i]);
    free(v);
    return err;
}
