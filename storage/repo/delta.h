/* FENCE and DELTA: what a stretch of input did to a partition, and the pure rule that says whether it counts.
 *
 * Every reader of a partition's history applies the same rule in the same order:
 *   FENCE(epoch)  the epoch becomes this one, if greater;
 *   DELTA         counts if its epoch, its position `from` and its hash of what came before are the state's own;
 *                 then position := to, hash := the DELTA's hash. Otherwise it is ignored.
 * So each input counts once, all readers agree, and an owner that lost its partition without knowing can do no harm:
 * its epoch is old, or what it built on is not what is there. Effects may be shown only when their DELTA counted.
 * Embedded, a DELTA is folded in one write batch (repo.h); in a cluster it goes through the partition's log first.
 * Pure: no clock, no I/O. */
#ifndef OPS_STORAGE_DELTA_H
#define OPS_STORAGE_DELTA_H

#include <stdint.h>

#include "base/status/status.h"
#include "base/text/slice.h"
#include "base/text/strbuf.h"

typedef struct ops_fold_state {
    uint64_t epoch; /* of the newest fence; 0: none yet */
    uint64_t pos;   /* next input offset */
    uint64_t hash;  /* of the last DELTA that counted; 0: none yet */
    uint64_t seq;   /* how many counted */
} ops_fold_state;

typedef struct ops_delta_write {
    ops_slice key, val; /* an empty value removes the key */
} ops_delta_write;

/* Borrowed throughout. */
typedef struct ops_delta {
    uint32_t part;
    uint64_t epoch, from, to, prev_hash;
    const ops_delta_write *writes;
    size_t write_count;
    const ops_slice *effects; /* opaque here */
    size_t effect_count;
} ops_delta;

enum { OPS_DELTA_WRITES_MAX = 1 << 20, OPS_DELTA_EFFECTS_MAX = 1 << 16 };

/* The parts of the rule. All of them together are the rule; a simulation leaves one out to prove that it would notice. */
enum ops_fold_rule { OPS_FOLD_EPOCH = 1, OPS_FOLD_POSITION = 2, OPS_FOLD_CHAIN = 4, OPS_FOLD_ALL = 7 };

/* Chains prev_hash over everything the DELTA says; never 0. */
uint64_t ops_delta_hash(const ops_delta *d);
/* True when the DELTA counts; *state has then moved past it. */
bool ops_fold_delta(ops_fold_state *state, const ops_delta *d, unsigned rules);
/* True when the fence is newer. */
bool ops_fold_fence(ops_fold_state *state, uint64_t epoch);
/* Which part of the rule a DELTA breaks first, for people; NULL when it counts. */
const char *ops_fold_why_not(const ops_fold_state *state, const ops_delta *d);

/* State as 32 bytes, big-endian, and a CRC-32C. */
enum { OPS_FOLD_STATE_BYTES = 36 };
void ops_fold_state_put(const ops_fold_state *state, uint8_t out[OPS_FOLD_STATE_BYTES]);
OPS_MUST_USE ops_status ops_fold_state_get(ops_slice bytes, ops_fold_state *ret, ops_err *reterr);

#endif
