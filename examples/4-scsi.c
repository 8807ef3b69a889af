/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Example 4: SCSI commands of one's own: INQUIRY, REPORT LUNS, PERSISTENT RESERVE IN and OUT; what
 * fails is said with sense data in words.
 *
 *     cc 4-scsi.c $(pkg-config --cflags --libs usan)
 *     ./a.out iscsi://10.0.0.1/iqn.2025-01.io.usan:disk/0 [KEY]
 *
 * With a KEY (a number) that is registered, the unit is reserved with it, and all is undone again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <usan/usan.h>

static uint64_t be64(const unsigned char *p)
{
    uint64_t v = 0;

    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

static void put_be64(unsigned char *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (unsigned char)(v >> (56 - 8 * i));
}

/* Why the last command failed. */
static void complain(const char *what)
{
    const struct usan_error *e = usan_last_error();

    printf("%s: %s\n", what, e->text);
    if (e->status >= 0)
        printf("  status %02Xh", (unsigned)e->status);
    if (e->has_sense)
        printf(", sense key %Xh, additional sense code %02Xh, qualifier %02Xh", e->key, e->asc,
               e->ascq);
    if (e->status >= 0)
        printf("\n");
}

/* Send a command with data from the unit; a unit attention is news, not a failure of it. */
static ssize_t ask(struct usan_disk *disk, const unsigned char *cdb, size_t cdb_len, void *buf,
                   size_t len)
{
    struct iovec iov = { buf, len };
    struct usan_scsi cmd = { .size = sizeof(cmd),
                             .cdb = cdb,
                             .cdb_len = cdb_len,
                             .in = &iov,
                             .in_cnt = 1,
                             .flags = USAN_SCSI_REPEATABLE };
    ssize_t n;

    while ((n = usan_scsi_wait(disk, &cmd)) == USAN_ERR_AGAIN)
        printf("(%s)\n", usan_error_text(NULL));
    return n;
}

static void inquiry(struct usan_disk *disk)
{
    unsigned char data[96] = { 0 };
    const unsigned char cdb[6] = { 0x12, 0, 0, 0, sizeof(data), 0 };

    if (ask(disk, cdb, sizeof(cdb), data, sizeof(data)) < 36)
        complain("INQUIRY");
    else
        printf("INQUIRY: %.8s %.16s %.4s\n", data + 8, data + 16, data + 32);
}

static void report_luns(struct usan_disk *disk)
{
    unsigned char data[8 + 8 * 256] = { 0 };
    const unsigned char cdb[12] = { 0xa0, [8] = sizeof(data) >> 8, [9] = sizeof(data) & 0xff };
    ssize_t n = ask(disk, cdb, sizeof(cdb), data, sizeof(data));

    if (n < 8)
        complain("REPORT LUNS");
    for (ssize_t at = 8; at + 8 <= n; at += 8)
        printf("REPORT LUNS: %016llx\n", (unsigned long long)be64(data + at));
}

static void read_keys(struct usan_disk *disk)
{
    unsigned char data[8 + 8 * 64] = { 0 };
    const unsigned char cdb[10] = { 0x5e,
                                    0x00, [7] = sizeof(data) >> 8, [8] = sizeof(data) & 0xff };
    ssize_t n = ask(disk, cdb, sizeof(cdb), data, sizeof(data));

    if (n < 8)
        complain("READ KEYS");
    else
        printf("READ KEYS: %u registered\n", (unsigned)be64(data) / 8);
}

static int reserve_out(struct usan_disk *disk, const char *what, unsigned action, uint64_t key,
                       uint64_t new_key)
{
    unsigned char list[24] = { 0 };
    const unsigned char cdb[10] = { 0x5f, (unsigned char)action, 0x03, /* exclusive access */
                                    [8] = sizeof(list) };
    struct iovec iov = { list, sizeof(list) };
    struct usan_scsi cmd = {
        .size = sizeof(cmd), .cdb = cdb, .cdb_len = sizeof(cdb), .out = &iov, .out_cnt = 1
    };

    put_be64(list, key);
    put_be64(list + 8, new_key);
    if (usan_scsi_wait(disk, &cmd) < 0) {
        complain(what);
        return 1;
    }
    printf("%s: done\n", what);
    return 0;
}

int main(int argc, char **argv)
{
    const unsigned char unknown[6] = { 0xc0 };
    struct usan_scsi cmd = { .size = sizeof(cmd), .cdb = unknown, .cdb_len = sizeof(unknown) };
    struct usan_disk *disk = NULL;
    uint64_t key = argc > 2 ? strtoull(argv[2], NULL, 0) : 0;
    int rc = 0;

    if (argc < 2 || (argc > 2 && key == 0)) { /* 0 registers nothing */
        fprintf(stderr, "usage: %s URL [KEY]\n", argv[0]);
        return 2;
    }
    if (usan_open_wait(NULL, argv[1], NULL, &disk)) {
        fprintf(stderr, "%s\n", usan_error_text(NULL));
        return 1;
    }
    inquiry(disk);
    report_luns(disk);
    read_keys(disk);
    if (usan_scsi_wait(disk, &cmd) < 0) /* nobody knows this one */
        complain("a command that does not exist");
    if (argc > 2) {
        rc |= reserve_out(disk, "REGISTER", 0, 0, key);
        read_keys(disk);
        rc |= reserve_out(disk, "RESERVE", 1, key, 0);
        reserve_out(disk, "RELEASE with a wrong key", 2, key + 1, 0);
        rc |= reserve_out(disk, "RELEASE", 2, key, 0);
        rc |= reserve_out(disk, "UNREGISTER", 0, key, 0);
    }
    usan_close_wait(disk);
    return rc;
}
