/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Example 1: read one block, and wait for it.
 *
 *     cc 1-read.c $(pkg-config --cflags --libs usan)
 *     ./a.out iscsi://10.0.0.1/iqn.2025-01.io.usan:disk/0 [BLOCK]
 */
#include <stdio.h>
#include <stdlib.h>
#include <usan/usan.h>

int main(int argc, char **argv)
{
    struct usan_disk *disk = NULL;
    struct usan_disk_info info = { .size = sizeof(info) };
    unsigned char *block;
    uint64_t n;
    int rc = 1;

    if (argc < 2) {
        fprintf(stderr, "usage: %s URL|./FILE|STORE [BLOCK]\n", argv[0]);
        return 2;
    }
    n = argc > 2 ? strtoull(argv[2], NULL, 0) : 0;
    if (usan_open_wait(NULL, argv[1], NULL, &disk)) {
        fprintf(stderr, "%s\n", usan_error_text(NULL));
        return 1;
    }
    usan_disk_info(disk, &info);
    printf("%llu bytes in blocks of %u\n", (unsigned long long)info.size_bytes, info.block_bytes);

    block = malloc(info.block_bytes);
    if (block && usan_pread(disk, block, info.block_bytes, n * info.block_bytes) == 0) {
        for (unsigned i = 0; i < info.block_bytes; i++)
            printf("%02x%c", block[i], i % 16 == 15 ? '\n' : ' ');
        rc = 0;
    } else {
        fprintf(stderr, "%s\n", usan_error_text(NULL));
    }
    free(block);
    usan_close_wait(disk);
    return rc;
}
