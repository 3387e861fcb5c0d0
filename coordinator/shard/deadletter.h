/* Dead letters: what came in and could not be kept, with the reason; the newest `count_max` of them.
 * Heads are redacted by whoever adds them. @thread any */
#ifndef OPS_SHARD_DEADLETTER_H
#define OPS_SHARD_DEADLETTER_H

#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"

enum { OPS_DEADLETTER_HEAD_BYTES = 256, OPS_DEADLETTER_DETAIL_BYTES = 256 };

typedef struct ops_deadletters ops_deadletters;

typedef struct ops_deadletter {
    uint64_t number; /* 1 for the first, without gaps */
    int64_t time_ns; /* Unix, when it was given up */
    ops_slice tenant;
    const char *door;       /* static */
    const char *reason;     /* static */
    ops_slice detail, head; /* cut at the limits above */
} ops_deadletter;

OPS_MUST_USE ops_status ops_deadletters_new(size_t count_max, ops_deadletters **ret, ops_err *reterr);
void ops_deadletters_free(ops_deadletters *d);
OPS_AUTO_DEFINE(ops_deadletters, ops_deadletters_free)

/* Never fails: when full the oldest makes room and is counted. `number` is given here. */
void ops_deadletters_add(ops_deadletters *d, const ops_deadletter *letter);

/* Newest first, those with a number below `before` (0: all), until fn returns false. fn runs under the queue's lock:
 * it must not call back. Returns how many older ones made room so far. */
uint64_t ops_deadletters_each(ops_deadletters *d, uint64_t before,
                              bool (*fn)(void *u, const ops_deadletter *letter), void *u);

#endif
