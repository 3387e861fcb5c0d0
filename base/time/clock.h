/* The clock port. Nothing but ingest's clamp compares event time with wall time; timeouts use the monotonic side. */
#ifndef OPS_BASE_CLOCK_H
#define OPS_BASE_CLOCK_H

#include <stdint.h>

typedef struct ops_clock ops_clock;
struct ops_clock {
    int64_t (*wall_ns)(ops_clock *self); /* Unix nanoseconds */
    int64_t (*mono_ns)(ops_clock *self); /* never goes back; origin unspecified */
};

ops_clock *ops_clock_system(void); /* shared, lives for ever. @thread any */

static inline int64_t ops_clock_wall_ns(ops_clock *c)
{
    return c->wall_ns(c);
}
static inline int64_t ops_clock_mono_ns(ops_clock *c)
{
    return c->mono_ns(c);
}
static inline int64_t ops_clock_now_ns(ops_clock *c)
{
    return c->wall_ns(c);
}

#endif
