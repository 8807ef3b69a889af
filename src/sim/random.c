/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/random.h"

#include "base/clock.h"
#include "base/number.h"

#include <math.h>
#include <string.h>

/* splitmix64 */
static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

void sim_random_init(struct sim_random *r, uint64_t seed, enum sim_stream who, uint32_t index)
{
    r->state = mix(mix(seed + 0x9e3779b97f4a7c15ull) + ((uint64_t)who << 32 | index));
}

uint64_t sim_random_64(struct sim_random *r)
{
    return mix(r->state += 0x9e3779b97f4a7c15ull);
}

uint64_t sim_random_below(struct sim_random *r, uint64_t below)
{
    /* the upper half of a product: no division, and a bias nobody can see */
    return (uint64_t)((unsigned __int128)sim_random_64(r) * below >> 64);
}

/* In (0, 1]. */
static double unit(struct sim_random *r)
{
    return (double)((sim_random_64(r) >> 11) + 1) * 0x1p-53;
}

/* ---- times ---- */

static const struct {
    const char *name;
    enum sim_dist_kind kind;
    unsigned times;
} kinds[] = {
    { "", SIM_DIST_CONSTANT, 1 },
    { "uniform ", SIM_DIST_UNIFORM, 2 },
    { "exponential ", SIM_DIST_EXPONENTIAL, 1 },
    { "lognormal ", SIM_DIST_LOGNORMAL, 2 },
};

/* The next word of *text as a time; *text moves behind it. */
static int take_time(const char **text, uint64_t *ret_ns)
{
    char word[32];
    const char *p = *text + strspn(*text, " ");
    size_t len = strcspn(p, " ");
    if (len == 0 || len >= sizeof(word))
        return USAN_EINVAL;
    memcpy(word, p, len);
    word[len] = 0;
    *text = p + len;
    int err = num_parse_time(word, ret_ns);
    return !err && *ret_ns > SIM_DIST_MAX_S * NS_PER_SEC ? USAN_ERANGE : err;
}

int sim_dist_parse(const char *text, struct sim_dist *ret, struct err_text *why)
{
    size_t i = sizeof(kinds) / sizeof(kinds[0]) - 1;
    while (i && strncmp(text, kinds[i].name, strlen(kinds[i].name)) != 0)
        i--;
    const char *p = text + strlen(kinds[i].name);
    struct sim_dist d = { .kind = kinds[i].kind };
    int err = take_time(&p, &d.a_ns);
    if (!err && kinds[i].times == 2)
        err = take_time(&p, &d.b_ns);
    if (err == USAN_ERANGE)
        return err_set(why, USAN_EINVAL, "'%s' is too long, %d s are the most", text,
                       SIM_DIST_MAX_S);
    if (err || p[strspn(p, " ")])
        return err_set(why, USAN_EINVAL,
                       "'%s' is not a time like 80us, 'uniform 50us 200us', 'exponential 80us' or "
                       "'lognormal 80us 2ms'",
                       text);
    if (kinds[i].times == 2 && d.b_ns < d.a_ns)
        return err_set(why, USAN_EINVAL, "'%s': the second time is the longer one", text);
    if (d.kind == SIM_DIST_LOGNORMAL && !d.a_ns)
        return err_set(why, USAN_EINVAL, "'%s': the first time is more than 0", text);
    *ret = d;
    return 0;
}

/* Normal distribution, by Box and Muller. */
static double normal(struct sim_random *r)
{
    double u = unit(r), v = unit(r);
    return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

/* No more than the longest that can be written, times 1000. */
static uint64_t to_ns(double ns)
{
    double most = (double)SIM_DIST_MAX_S * 1000 * (double)NS_PER_SEC;
    return (uint64_t)(ns < most ? ns : most);
}

uint64_t sim_dist_draw(const struct sim_dist *d, struct sim_random *r)
{
    static const double z99 = 2.3263478740408408; /* 99 % of normal values are below it */
    switch (d->kind) {
    case SIM_DIST_CONSTANT:
        break;
    case SIM_DIST_UNIFORM:
        return d->a_ns + sim_random_below(r, d->b_ns - d->a_ns + 1);
    case SIM_DIST_EXPONENTIAL:
        return to_ns(-log(unit(r)) * (double)d->a_ns);
    case SIM_DIST_LOGNORMAL: {
        double sigma = log((double)d->b_ns / (double)d->a_ns) / z99;
        return to_ns((double)d->a_ns * exp(sigma * normal(r)));
    }
    }
    return d->a_ns;
}
