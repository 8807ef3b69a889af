/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "blockcheck.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A load prints "under way" once a hundred writes are done. */
static const char usage[] =
    "usage: blockcheck load [OPTIONS] -m MODEL URL      a random load, checked while it runs\n"
    "       blockcheck verify [-a] [-g] -m MODEL URL         the whole disk against the model\n"
    "  -m FILE     what the disk may hold; made by the first load (on a disk of zeroes)\n"
    "  -t SECS     how long (5)            -q DEPTH    requests in flight (32)\n"
    "  -w PERCENT  of writes (60)          -f PERCENT  of writes with FUA (0)\n"
    "  -s SECS     between two SYNCHRONIZE CACHE (0: none)\n"
    "  -u PERCENT  of writes are UNMAPs (0)  -c PERCENT  are COMPARE AND WRITEs (0)\n"
    "  -x PERCENT  of reads are aborted (0)  -d          header digests\n"
    "  -k          the target may go away or fail, that is no error; not with -u\n"
    "  -a          acknowledged writes count as durable\n"
    "  -g          what was not durable may be damaged\n";

__attribute__((noreturn)) static void wrong_use(void)
{
    fputs(usage, stderr);
    exit(2);
}

static double number(const char *text, double min, double max)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !(v >= min && v <= max))
        wrong_use();
    return v;
}

int main(int argc, char **argv)
{
    struct load_config cfg = { .depth = 32, .write_percent = 60, .seconds = 5 };
    const char *path = NULL;
    struct verify_config verify = { 0 };
    bool digests = false;
    int c;
    while ((c = getopt(argc, argv, "m:t:q:w:f:s:u:c:x:dkag")) != -1) {
        switch (c) {
        case 'm':
            path = optarg;
            break;
        case 't':
            cfg.seconds = number(optarg, 0, 1e6);
            break;
        case 'q':
            cfg.depth = (uint32_t)number(optarg, 1, DEPTH_MAX);
            break;
        case 'w':
            cfg.write_percent = (uint32_t)number(optarg, 0, 100);
            break;
        case 'f':
            cfg.fua_percent = (uint32_t)number(optarg, 0, 100);
            break;
        case 's':
            cfg.sync_seconds = number(optarg, 0, 1e6);
            break;
        case 'u':
            cfg.unmap_percent = (uint32_t)number(optarg, 0, 100);
            break;
        case 'c':
            cfg.compare_percent = (uint32_t)number(optarg, 0, 100);
            break;
        case 'x':
            cfg.abort_percent = (uint32_t)number(optarg, 0, 100);
            break;
        case 'd':
            digests = true;
            break;
        case 'k':
            cfg.may_die = true;
            break;
        case 'a':
            verify.acked = true;
            break;
        case 'g':
            verify.garbage = true;
            break;
        default:
            wrong_use();
        }
    }
    if (argc - optind != 2 || !path || (cfg.may_die && cfg.unmap_percent))
        wrong_use();
    const char *what = argv[optind];
    bool load = !strcmp(what, "load");
    if (!load && strcmp(what, "verify") != 0)
        wrong_use();
    cfg.url = argv[optind + 1];
    struct disk *d = disk_open(cfg.url, digests);
    struct model m;
    model_load(&m, path, disk_cells(d));
    int rc = load ? disk_load(d, &m, &cfg) : disk_verify(d, &m, &verify);
    model_save(&m, path);
    free(m.cells);
    disk_close(d);
    return rc;
}
