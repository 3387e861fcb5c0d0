/* Which dedupe keys were appended lately, and where. Bounded: the oldest is forgotten first. Private to storage/streamlog.
 * Not locked: the log's lock covers it. */
#ifndef OPS_STREAMLOG_DEDUPE_INTERNAL_H
#define OPS_STREAMLOG_DEDUPE_INTERNAL_H

#include "storage/streamlog/streamlog.h"

typedef struct ops_dedupe ops_dedupe;

ops_dedupe *ops_dedupe_new(size_t keys_max); /* NULL when the heap is out */
void ops_dedupe_free(ops_dedupe *d);
/* The partition is part of the key. */
bool ops_dedupe_find(const ops_dedupe *d, uint32_t part, const uint8_t *key, int64_t not_before_ns,
                     uint64_t *ret_offset);
/* Adds or replaces. Failure (heap out) means only that this retry would be stored twice. */
ops_status ops_dedupe_add(ops_dedupe *d, uint32_t part, const uint8_t *key, int64_t recv_ns, uint64_t offset);

#endif
