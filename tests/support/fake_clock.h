/* A clock that stands still until a test moves it. */
#ifndef OPS_TESTS_FAKE_CLOCK_H
#define OPS_TESTS_FAKE_CLOCK_H

#include "base/time/clock.h"

struct fake_clock {
    ops_clock base;
    int64_t wall_ns, mono_ns;
};

static inline int64_t fake_clock_wall(ops_clock *c)
{
    return ((struct fake_clock *)c)->wall_ns;
}
static inline int64_t fake_clock_mono(ops_clock *c)
{
    return ((struct fake_clock *)c)->mono_ns;
}
static inline void fake_clock_advance(struct fake_clock *c, int64_t ns)
{
    c->wall_ns += ns;
    c->mono_ns += ns;
}
#define FAKE_CLOCK(start_ns)                                                                                 \
    {                                                                                                        \
        .base = {fake_clock_wall, fake_clock_mono}, .wall_ns = (start_ns), .mono_ns = 0                      \
    }

#endif
