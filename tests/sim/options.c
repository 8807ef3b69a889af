/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim.h"

/* splitmix64 */
static uint64_t next64(uint64_t *s)
{
    uint64_t z = *s += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

struct sim_options sim_options_plain(uint64_t seed)
{
    return (struct sim_options){
        .seed = seed,
        .inis = 2,
        .conns = 1,
        .time2retain = 20,
        .piece_bytes = 65536,
        .pipe_bytes = 65536,
        .net_ns = 50 * NS_PER_US,
        .disk_ns = 200 * NS_PER_US,
        .immediate_data = true,
        .ini_segment = 8192,
        .tgt_segment = 8192,
        .max_burst = 16384,
        .first_burst = 8192,
        .r2ts = 1,
    };
}

struct sim_options sim_options_draw(uint64_t seed)
{
    static const uint32_t pieces[] = { 5, 64, 300, 1500, 1500, 9000, 9000, 65536, 65536, 65536 };
    static const uint32_t sizes[] = { 512, 1024, 2048, 4096, 8192 };
    uint64_t s = seed * 2 + 1;
    struct sim_options o = sim_options_plain(seed);
#define PICK(array) array[next64(&s) % (sizeof(array) / sizeof((array)[0]))]
#define DRAW(n)     (uint32_t)(next64(&s) % (n))
    o.piece_bytes = PICK(pieces);
    o.pipe_bytes = 48 + DRAW(4) * DRAW(20000);
    o.net_ns = 1 + DRAW(200000);
    o.stall_permille = DRAW(3) ? 0 : DRAW(20);
    o.disk_ns = 1 + DRAW(5000000);
    o.error_permille = DRAW(3) ? 0 : DRAW(60);
    o.no_buffer_permille = DRAW(3) ? 0 : DRAW(40);
    o.native_caw = DRAW(2);
    o.wce = DRAW(2);
    o.header_digest = DRAW(3) == 0;
    o.data_digest = DRAW(3) == 0;
    o.initial_r2t = DRAW(2);
    o.immediate_data = DRAW(2);
    o.ini_segment = PICK(sizes);
    o.tgt_segment = PICK(sizes);
    o.max_burst = PICK(sizes);
    o.first_burst = PICK(sizes);
    if (o.first_burst > o.max_burst)
        o.first_burst = o.max_burst;
    o.r2ts = 1 + DRAW(4);
    o.nop_ns = DRAW(2) ? 0 : 20000000 + DRAW(3) * DRAW(1000000000);
    o.ops = 15 + DRAW(40);
    o.tmf_permille = DRAW(2) ? 0 : DRAW(100);
    o.cut_permille = DRAW(2) ? 0 : 5 + DRAW(25);
    o.pr_permille = DRAW(2) ? 0 : DRAW(120);
    o.alloc_permille = DRAW(6) ? 0 : DRAW(40);
    o.attr_permille = DRAW(2) ? 0 : DRAW(300);
    o.logout_permille = DRAW(4) ? 0 : DRAW(10);
    o.tas = DRAW(3) == 0;
    o.one_lane = DRAW(4) == 0;
    o.admin_permille = DRAW(2) ? 0 : DRAW(25);
    o.inis = 1 + DRAW(SIM_INIS);
    o.erl = (uint8_t)(seed % 3);
    o.conns = 1u << seed / 3 % 3;
    o.time2wait = DRAW(3) ? 0 : (uint16_t)DRAW(3);
    o.time2retain = DRAW(4) ? 20 : (uint16_t)DRAW(3);
    o.half_permille = o.nop_ns && DRAW(2) ? DRAW(500) : 0;
    o.owner_permille = DRAW(2) ? 0 : DRAW(25);
    if (DRAW(3) == 0) {
        o.header_digest = o.data_digest = true;
        o.flip_bytes = 5000 + DRAW(3) * DRAW(50000);
        /* The gap between two flips is shorter than that: the longest data segment has to get
         * through now and then, or a session that is always continued asks for it without end. */
        uint32_t most = o.ini_segment > o.tgt_segment ? o.ini_segment : o.tgt_segment;
        if (o.flip_bytes < 2 * most)
            o.flip_bytes = 2 * most;
        if (!o.nop_ns) /* a length that is damaged makes an end wait: somebody has to ask */
            o.nop_ns = 500 * NS_PER_MS;
    }
    return o;
}

void sim_options_force(struct sim_options *o, int erl, int conns)
{
    if (erl >= 0)
        o->erl = (uint8_t)erl;
    if (conns >= 0)
        o->conns = (unsigned)conns;
}
