/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/mpath_pick.h"

#include <string.h>

/* Every so many commands each path has its turn, so that one that was slow is measured again. */
enum { EXPLORE = 64 };

static const char *const names[] = {
    [INI_POLICY_ROUND_ROBIN] = "round-robin",
    [INI_POLICY_LEAST_OUTSTANDING] = "least-outstanding",
    [INI_POLICY_SERVICE_TIME] = "service-time",
};

bool ini_policy_parse(const char *word, enum ini_policy *ret_policy)
{
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(word, names[i]) == 0) {
            *ret_policy = (enum ini_policy)i;
            return true;
        }
    }
    return false;
}

const char *ini_policy_name(enum ini_policy policy)
{
    return names[policy];
}

/* Less is better; those that are equal take turns. */
static uint64_t cost(enum ini_policy policy, const struct ini_pick *p, uint64_t work, bool explore)
{
    switch (policy) {
    case INI_POLICY_LEAST_OUTSTANDING:
        return p->outstanding;
    case INI_POLICY_SERVICE_TIME:
        /* 2^10 of work at a time; neither factor comes near 2^32 */
        return explore ? 0 : p->pace * ((p->work + work) >> 10);
    case INI_POLICY_ROUND_ROBIN:
        break;
    }
    return 0;
}

int ini_pick(enum ini_policy policy, const struct ini_pick *v, unsigned count, uint64_t work,
             int avoid, unsigned *turn)
{
    int best = -1;
    uint64_t best_cost = 0;
    bool best_avoid = false;
    unsigned start = *turn;
    bool explore = policy == INI_POLICY_SERVICE_TIME && start % EXPLORE < count;
    for (unsigned i = 1; i <= count; i++) {
        unsigned at = (start + i) % count;
        const struct ini_pick *p = &v[at];
        bool shun = (int)at == avoid;
        if (!p->usable)
            continue;
        uint64_t c = cost(policy, p, work, explore);
        if (best >= 0 && (shun > best_avoid ||
                          (shun == best_avoid && (p->rank > v[best].rank ||
                                                  (p->rank == v[best].rank && c >= best_cost)))))
            continue;
        best = (int)at;
        best_cost = c;
        best_avoid = shun;
    }
    *turn = policy == INI_POLICY_SERVICE_TIME ? start + 1 : best >= 0 ? (unsigned)best : start;
    return best;
}
