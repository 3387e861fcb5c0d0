/* Hash maps with open addressing, linear probing and backward-shift deletion (no tombstones).
 * ops_map: byte-string keys (copied in). ops_map64: integer keys. Values are the caller's; NULL values are allowed.
 * Iteration order is unspecified but the same for the same history. Not thread-safe: one owner. */
#ifndef OPS_BASE_MAP_H
#define OPS_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"

typedef struct ops_map ops_map;
typedef struct ops_map64 ops_map64;

ops_map *ops_map_new(void);    /* NULL when the heap is out */
void ops_map_free(ops_map *m); /* keys too; values are the caller's */
/* A NULL map reads as empty. */
bool ops_map_has(const ops_map *m, ops_slice key);
void *ops_map_get(const ops_map *m, ops_slice key); /* NULL when absent */
/* Adds or replaces; *ret_old (may be NULL) gets the value replaced or NULL. OPS_ENOMEM: nothing changed. */
OPS_MUST_USE ops_status ops_map_put(ops_map *m, ops_slice key, void *value, void **ret_old);
void *ops_map_del(ops_map *m, ops_slice key); /* the value removed, NULL when absent */
/* *iter starts at 0; false at the end. The map must not change meanwhile. The key is borrowed. */
bool ops_map_next(const ops_map *m, size_t *iter, ops_slice *ret_key, void **ret_value);
size_t ops_map_count(const ops_map *m);
OPS_AUTO_DEFINE(ops_map, ops_map_free)

ops_map64 *ops_map64_new(void);
void ops_map64_free(ops_map64 *m);
bool ops_map64_has(const ops_map64 *m, uint64_t key);
void *ops_map64_get(const ops_map64 *m, uint64_t key);
OPS_MUST_USE ops_status ops_map64_put(ops_map64 *m, uint64_t key, void *value, void **ret_old);
void *ops_map64_del(ops_map64 *m, uint64_t key);
bool ops_map64_next(const ops_map64 *m, size_t *iter, uint64_t *ret_key, void **ret_value);
size_t ops_map64_count(const ops_map64 *m);
OPS_AUTO_DEFINE(ops_map64, ops_map64_free)

#endif
