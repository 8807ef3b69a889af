/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the device server does for one READ(10) and one WRITE(10), from scsi_task_start to
 * scsi_task_fini, with neither transport nor store: data are never looked at. Times are processor
 * time; for a figure that does not change from run to run count instructions:
 *
 *   valgrind --tool=callgrind bench/scsi_task 1000
 *
 *   scsi_task [COMMANDS]     of each kind; default 10000000
 */
#include "measure.h"
#include "scsi/scsi.h"

#include "base/alloc_heap.h"
#include "base/bytes.h"

#include <assert.h>
#include <stdio.h>

enum { BLOCK_BYTES = 512, BLOCKS = 8 };

static uint8_t memory[BLOCK_BYTES * BLOCKS];

/* One command to its end; its status. */
static uint8_t run(struct scsi_nexus *nexus, const uint8_t cdb[16], uint64_t out, uint64_t in)
{
    static struct scsi_task t;
    struct iovec data = { memory, sizeof memory };
    t.nexus = nexus;
    t.lun = 0;
    t.cdb = cdb;
    t.cdb_len = 16;
    t.attr = SCSI_ATTR_SIMPLE;
    t.tmf = SCSI_TMF_NONE;
    t.tag++;
    t.out_expected = out;
    t.in_expected = in;
    scsi_task_start(&t);
    while (t.want != SCSI_DONE) {
        if (t.want == SCSI_WANT_DATA) {
            t.out = &data;
            t.out_cnt = 1;
        } else {
            assert(t.want == SCSI_WANT_IO);
            t.bio.iov = &data;
            t.bio.iovcnt = 1;
        }
        scsi_task_resume(&t, 0);
    }
    scsi_task_fini(&t);
    return t.status;
}

static void measure(const char *name, struct scsi_nexus *nexus, uint8_t opcode, uint64_t count)
{
    uint8_t cdb[16] = { opcode, [8] = BLOCKS };
    uint64_t out = opcode == 0x2a ? sizeof memory : 0, in = sizeof memory - out;
    uint64_t start = bench_cpu_self_ns();
    for (uint64_t i = 0; i < count; i++) {
        be32_put(cdb + 2, (uint32_t)(i % 1024) * BLOCKS);
        uint8_t status = run(nexus, cdb, out, in);
        assert(status == SCSI_STATUS_GOOD);
        (void)status;
    }
    printf("%-10s %8.1f ns\n", name, (double)(bench_cpu_self_ns() - start) / (double)count);
}

int main(int argc, char **argv)
{
    uint64_t count = argc > 1 ? bench_number(argv[1], 1, UINT32_MAX) : 10000000;
    const struct alloc *a = &alloc_heap;
    struct scsi_lu_config cfg = { .vendor = "USAN",
                                  .serial = "1",
                                  .naa = { 0x60 },
                                  .naa_len = 16,
                                  .block_bytes = BLOCK_BYTES,
                                  .block_count = 1 << 20,
                                  .volatile_cache = true,
                                  .wce = true };
    struct scsi_nexus_config ncfg = { .initiator_port = "iqn.2026-01.example:i,i,0x1",
                                      .target_port = "iqn.2026-01.example:t,t,0x1",
                                      .target_device = "iqn.2026-01.example:t",
                                      .rel_target_port = 1,
                                      .protocol_id = 5 };
    struct scsi_lu *lu = scsi_lu_new(&cfg, a);
    struct scsi_lane *lane = lu ? scsi_lane_new(lu, 0) : NULL;
    struct scsi_nexus *nexus = scsi_nexus_new(&ncfg, a);
    if (!lane || !nexus || scsi_nexus_map(nexus, 0, lane, false) != 0)
        bench_die("memory");
    static const uint8_t test_unit_ready[16];
    (void)run(nexus, test_unit_ready, 0, 0); /* takes the unit attention of power on */
    measure("READ(10)", nexus, 0x28, count);
    measure("WRITE(10)", nexus, 0x2a, count);
    scsi_nexus_free(nexus);
    scsi_lane_free(lane);
    scsi_lu_free(lu);
    return 0;
}
