/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "base/crc32c.h"

#include <stdlib.h>

/* Bytes of the state of the first unit are changed; the checksum is put right. */
int restore_changed(struct rd *in, unsigned count, uint8_t *state, size_t len, struct scsi_lu *lu)
{
    for (unsigned i = 0; i < count && len > STATE_CRC; i++) {
        uint16_t at = rd_be16(in);
        state[at % len] = rd_u8(in);
    }
    if (len >= STATE_CRC)
        be32_put(state + len - STATE_CRC, crc32c(state, len - STATE_CRC));
    return scsi_lu_restore(lu, state, len);
}

void unit_new(struct world *w, unsigned i, struct rd *in)
{
    static uint8_t *disks[UNITS];
    struct unit *u = &w->units[i];
    struct scsi_lu_config cfg = {
        .vendor = "USAN",
        .product = "FUZZ",
        .revision = "1",
        .serial = "fuzz",
        .naa = { 0x30, 0, 0, 0, 0, 0, 0, (uint8_t)(1 + i) },
        .naa_len = 8,
        .block_bytes = i == 0 ? 512 : 4096,
        .removable = i == 0,
        .thin = i == 0,
        .thin_threshold_pct = 50,
        .native_caw = w->setup & SETUP_NATIVE_CAW,
        .volatile_cache = w->setup & SETUP_CACHE,
        .wce = w->setup & SETUP_CACHE,
        .unmap_zeroes = w->setup & SETUP_ZEROES,
        .keeps_state = i == 0,
    };
    cfg.block_count = DISK_BYTES / cfg.block_bytes;
    cfg.max_xfer_blocks = MAX_XFER_BYTES / cfg.block_bytes;
    u->block_bytes = cfg.block_bytes;
    if (!disks[i])
        disks[i] = calloc(1, DISK_BYTES);
    u->disk = disks[i];
    u->lu = scsi_lu_new(&cfg, &w->a);
    must(u->disk && u->lu);
    scsi_lu_set_user(u->lu, u);
    for (uint16_t port = 1; port <= REACTORS; port++)
        must(scsi_lu_add_port(u->lu, port, port) == 0);
    if (i == 0 && (w->setup & SETUP_RESTORE)) {
        size_t len = rd_be16(in);
        len = len < rd_left(in) ? len : rd_left(in);
        uint8_t *state = exact(len);
        const uint8_t *p = rd_bytes(in, len);
        if (p)
            memcpy(state, p, len);
        int err = restore_changed(in, 0, state, len, u->lu);
        must(err == 0 || err == USAN_ECORRUPT);
        free(state);
    }
    for (unsigned lane = 0; lane < REACTORS; lane++) {
        u->lanes[lane] = scsi_lane_new(u->lu, lane);
        must(u->lanes[lane] != NULL);
    }
}
