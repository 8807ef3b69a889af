/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * idle - what sessions that only wait cost a target: opens many, waits until they have been silent
 * for a while, and prints the memory of the target's process for each of them and what a command
 * on one session takes before and after the others are there. One line of key=value.
 *
 * Memory is what the process has to itself (Pss of its private pages); buffers of sockets in the
 * kernel are not in it.
 */
#include "measure.h"

#include "base/bytes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BHS_BYTES    48u
#define DATA_MAX     65536u
#define WARM_UP      16u /* sessions before the first look, to fill the target's pools */
#define SESSIONS_MAX 60000u
#define READS_MAX    100000u

static const char usage[] = "usage: idle [OPTIONS] ADDRESS PORT TARGET-NAME LUN\n"
                            "  -n NUMBER  of sessions (1000)\n"
                            "  -r NUMBER  of reads of 4 KiB before and after (2000)\n"
                            "  -s SECS    of silence before the second look (7)\n"
                            "  -P PID     of the target; without it no memory is shown\n";

struct options {
    struct sockaddr_in portal;
    const char *target;
    uint8_t lun;
    uint32_t sessions, reads;
    double silence;
    pid_t pid;
};

struct session {
    int fd;
    uint32_t cmd_sn, itt;
};

static void send_all(const struct session *s, const void *data, size_t len)
{
    for (const uint8_t *p = data; len;) {
        ssize_t n = send(s->fd, p, len, MSG_NOSIGNAL);
        if (n <= 0)
            bench_die("send");
        p += n;
        len -= (size_t)n;
    }
}

static void receive_all(const struct session *s, void *data, size_t len)
{
    for (uint8_t *p = data; len;) {
        ssize_t n = recv(s->fd, p, len, 0);
        if (n == 0)
            errno = 0;
        if (n <= 0)
            bench_die("the target closed the connection");
        p += n;
        len -= (size_t)n;
    }
}

/* The next PDU; its data is thrown away. */
static void receive_pdu(const struct session *s, uint8_t bhs[BHS_BYTES])
{
    static uint8_t data[DATA_MAX];
    receive_all(s, bhs, BHS_BYTES);
    size_t len = (be24_get(bhs + 5) + 3u) & ~3u;
    errno = 0;
    if (len > sizeof(data))
        bench_die("longer data than was negotiated");
    receive_all(s, data, len);
}

static void send_login(struct session *s, const struct options *o, uint32_t number)
{
    char text[1024];
    /* Every session is of an initiator of its own: with one name they would be paths of one. */
    int len = snprintf(text, sizeof(text),
                       "InitiatorName=iqn.2025-01.io.usan.bench:idle-%u%cSessionType=Normal%c"
                       "TargetName=%s%cDefaultTime2Retain=0%c",
                       number, 0, 0, o->target, 0, 0);
    uint8_t bhs[BHS_BYTES] = { 0x43, 0x87 }; /* immediate Login; T, CSG 1, NSG 3 */
    be24_put(bhs + 5, (uint32_t)len);
    bhs[8] = 0x80; /* ISID: random format */
    be32_put(bhs + 10, number);
    be32_put(bhs + 16, s->itt++);
    be32_put(bhs + 24, s->cmd_sn);
    send_all(s, bhs, sizeof(bhs));
    send_all(s, text, (size_t)len);
    send_all(s, "\0\0\0", -(size_t)len & 3);
}

/* One command with data-in of at most DATA_MAX bytes; returns its SCSI status. */
static uint8_t command(struct session *s, uint8_t lun, const uint8_t cdb[10], uint32_t in_len)
{
    uint8_t bhs[BHS_BYTES] = { 0x01, 0x81 }; /* final, SIMPLE */
    bhs[1] |= in_len ? 0x40 : 0;
    bhs[9] = lun;
    be32_put(bhs + 16, s->itt++);
    be32_put(bhs + 20, in_len);
    be32_put(bhs + 24, s->cmd_sn++);
    memcpy(bhs + 32, cdb, 10);
    send_all(s, bhs, sizeof(bhs));
    for (;;) {
        receive_pdu(s, bhs);
        uint8_t op = bhs[0] & 0x3f;
        if (op == 0x21 || (op == 0x25 && bhs[1] & 1))
            return bhs[3];
    }
}

static void open_session(struct session *s, const struct options *o, uint32_t number)
{
    static const uint8_t test_unit_ready[10];
    int on = 1;
    uint8_t bhs[BHS_BYTES];
    *s = (struct session){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .cmd_sn = 1 };
    if (s->fd < 0)
        bench_die("socket");
    if (connect(s->fd, (const struct sockaddr *)&o->portal, sizeof(o->portal)))
        bench_die("connect");
    if (setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
        bench_die("TCP_NODELAY");
    send_login(s, o, number);
    receive_pdu(s, bhs);
    if (be16_get(bhs + 36)) {
        fprintf(stderr, "login %u refused, status 0x%04x\n", number, be16_get(bhs + 36));
        exit(1);
    }
    for (int i = 0; i < 8 && command(s, o->lun, test_unit_ready, 0); i++)
        continue; /* unit attentions of a new session */
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The median of the time of reads of 4 KiB, one after the other. */
static double read_us(struct session *s, const struct options *o)
{
    static uint64_t took_ns[READS_MAX];
    static const uint8_t read_10[10] = { 0x28, [8] = 8 };
    for (uint32_t i = 0; i < o->reads; i++) {
        uint64_t begin = bench_now_ns();
        errno = 0;
        if (command(s, o->lun, read_10, 4096))
            bench_die("a read failed");
        took_ns[i] = bench_now_ns() - begin;
    }
    qsort(took_ns, o->reads, sizeof(took_ns[0]), compare);
    return (double)took_ns[o->reads / 2] / 1e3;
}

/* Bytes the process has to itself. */
static uint64_t private_bytes(pid_t pid)
{
    char path[64], line[256];
    uint64_t kib = 0;
    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        bench_die(path);
    while (fgets(line, sizeof(line), f)) {
        if (!strncmp(line, "Private_Clean:", 14) || !strncmp(line, "Private_Dirty:", 14))
            kib += strtoull(line + 14, NULL, 10);
    }
    fclose(f);
    return kib * 1024;
}

static void want_descriptors(uint32_t n)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l))
        bench_die("RLIMIT_NOFILE");
    if (l.rlim_cur < n && l.rlim_max >= n) {
        l.rlim_cur = n;
        (void)setrlimit(RLIMIT_NOFILE, &l);
    }
}

static void parse(struct options *o, int argc, char **argv)
{
    *o = (struct options){ .sessions = 1000, .reads = 2000, .silence = 7 };
    for (int c; (c = getopt(argc, argv, "n:r:s:P:")) != -1;) {
        if (c == 'n')
            o->sessions = (uint32_t)bench_number(optarg, 1, SESSIONS_MAX);
        else if (c == 'r')
            o->reads = (uint32_t)bench_number(optarg, 1, READS_MAX);
        else if (c == 's')
            o->silence = bench_seconds(optarg);
        else if (c == 'P')
            o->pid = (pid_t)bench_number(optarg, 1, INT32_MAX);
        else
            argc = 0;
    }
    o->portal.sin_family = AF_INET;
    if (argc - optind != 4 || inet_pton(AF_INET, argv[optind], &o->portal.sin_addr) != 1) {
        fputs(usage, stderr);
        exit(2);
    }
    o->portal.sin_port = htons((uint16_t)bench_number(argv[optind + 1], 1, 65535));
    o->target = argv[optind + 2];
    o->lun = (uint8_t)bench_number(argv[optind + 3], 0, 255);
}

int main(int argc, char **argv)
{
    struct options o;
    parse(&o, argc, argv);
    want_descriptors(o.sessions + WARM_UP + 64);
    struct session *s = calloc(o.sessions + WARM_UP, sizeof(*s));
    if (!s)
        bench_die("calloc");
    for (uint32_t i = 0; i < WARM_UP; i++)
        open_session(&s[i], &o, i);
    double before_us = read_us(&s[0], &o);
    uint64_t before = o.pid ? private_bytes(o.pid) : 0, begin = bench_now_ns();
    for (uint32_t i = WARM_UP; i < WARM_UP + o.sessions; i++)
        open_session(&s[i], &o, i);
    double login_us = (double)(bench_now_ns() - begin) / 1e3 / o.sessions;
    usleep((useconds_t)(o.silence * 1e6));
    uint64_t after = o.pid ? private_bytes(o.pid) : 0;
    double after_us = read_us(&s[0], &o);
    printf("sessions=%u", o.sessions);
    if (o.pid)
        printf(" bytes_per_session=%.0f", ((double)after - (double)before) / o.sessions);
    printf(" login_us=%.1f read_us_before=%.1f read_us_after=%.1f\n", login_us, before_us,
           after_us);
    free(s);
    return 0;
}
