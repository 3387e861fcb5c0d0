/* Times of events, and event time as it stands now: the newest that was seen, moved on by the clock while nothing arrives. One owner. */
#ifndef OPS_BASE_EVENT_H
#define OPS_BASE_EVENT_H

#include <stdint.h>

/* How much later than `b` is `a`; times of others may lie centuries apart, so it saturates. */
static inline int64_t ops_time_after(int64_t a, int64_t b)
{
    int64_t d;
    return __builtin_sub_overflow(a, b, &d) ? (a > b ? INT64_MAX : INT64_MIN) : d;
}

typedef struct ops_event_time {
    int64_t seen_ns, mono_ns;
} ops_event_time;

#define OPS_EVENT_TIME                                                                                       \
    {                                                                                                        \
        .seen_ns = INT64_MIN                                                                                 \
    }

/* `newest_ns`: INT64_MIN while none is known, which is then the answer. */
static inline int64_t ops_event_time_now(ops_event_time *e, int64_t newest_ns, int64_t mono_ns)
{
    if (newest_ns == INT64_MIN)
        return INT64_MIN;
    if (newest_ns != e->seen_ns)
        *e = (ops_event_time){newest_ns, mono_ns};
    return newest_ns + (mono_ns - e->mono_ns);
}

#endif
