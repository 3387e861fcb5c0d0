/* The machine's own clocks. */
#include "base/time/clock.h"

#include <time.h>

static int64_t read_ns(clockid_t id)
{
    struct timespec ts;
    if (clock_gettime(id, &ts) != 0)
        return 0;
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int64_t system_wall(ops_clock *self)
{
    (void)self;
    return read_ns(CLOCK_REALTIME);
}

static int64_t system_mono(ops_clock *self)
{
    (void)self;
    return read_ns(CLOCK_MONOTONIC);
}

ops_clock *ops_clock_system(void)
{
    static ops_clock clock = {system_wall, system_mono};
    return &clock;
}
