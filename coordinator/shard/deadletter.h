/* Dead letters: what came in and could not be kept, with the reason; the newest `count_max` of them.
 * Heads are redacted by whoever adds them. @thread any
 *
 * In a file they survive the process, whatever ends it, and a power cut but for what the kernel had not written yet. The file is a header and
 * count_max slots of one size, mapped; each slot carries its CRC-32C, so a torn one is left out and no more. */
#ifndef OPS_SHARD_DEADLETTER_H
#define OPS_SHARD_DEADLETTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"

enum { OPS_DEADLETTER_HEAD_BYTES = 256, OPS_DEADLETTER_DETAIL_BYTES = 256 };

typedef struct ops_deadletters ops_deadletters;

typedef struct ops_deadletter {
    uint64_t number; /* 1 for the first, without gaps but for torn ones */
    int64_t time_ns; /* Unix, when it was given up */
    ops_slice tenant;
    const char *door, *reason;
    ops_slice detail, head; /* cut at the limits above */
} ops_deadletter;

/* `path` NULL: in memory. A file of another count_max is taken over, newest first; one that is no such file, or of a later
 * version, is OPS_ECORRUPT and left alone. */
OPS_MUST_USE ops_status ops_deadletters_new(const char *path, size_t count_max, ops_deadletters **ret,
                                            ops_err *reterr);
void ops_deadletters_free(ops_deadletters *d);
OPS_AUTO_DEFINE(ops_deadletters, ops_deadletters_free)

/* Never fails: when full the oldest makes room and is counted. `number` is given here. */
void ops_deadletters_add(ops_deadletters *d, const ops_deadletter *letter);

/* Newest first, those with a number below `before` (0: all), until fn returns false. fn runs under the queue's lock:
 * it must not call back. Returns how many older ones made room so far. */
uint64_t ops_deadletters_each(ops_deadletters *d, uint64_t before,
                              bool (*fn)(void *u, const ops_deadletter *letter), void *u);

#endif
