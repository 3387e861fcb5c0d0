/* Ordered key-value store with column families: the port, and its implementations (kv_sim.h has the simulated disk).
 *
 * Keys order bytewise. A batch is atomic: all of it is there after a crash or none. With `sync` it is durable when the
 * call returns, and so is every write before it; what was not synced survives as a prefix of the order of writes. One suite
 * (tests/unit/storage/kv) holds all implementations to this page.
 * @thread any; an iteration sees one moment of the store, whatever is written meanwhile. */
#ifndef OPS_STORAGE_KV_H
#define OPS_STORAGE_KV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"

typedef struct ops_kv ops_kv;
typedef struct ops_kv_batch ops_kv_batch;

enum { OPS_KV_FAMILIES_MAX = 16, OPS_KV_BATCH_BYTES_MAX = 64 * 1024 * 1024 };

/* Called per pair in key order; slices live until it returns. OPS_ECANCELLED ends the walk, which then returns OPS_OK;
 * any other failure ends it and is returned. */
typedef ops_status (*ops_kv_fn)(void *u, ops_slice key, ops_slice val, ops_err *reterr);

/* A batch belongs to one thread until written; it can be cleared and used again. */
ops_kv_batch *ops_kv_batch_new(void); /* NULL when the heap is out */
void ops_kv_batch_free(ops_kv_batch *b);
OPS_AUTO_DEFINE(ops_kv_batch, ops_kv_batch_free)
void ops_kv_batch_clear(ops_kv_batch *b);
/* Failures (heap out, OPS_KV_BATCH_BYTES_MAX) are sticky and come out at the write. Keys and values are copied. */
void ops_kv_batch_put(ops_kv_batch *b, unsigned family, ops_slice key, ops_slice val);
void ops_kv_batch_del(ops_kv_batch *b, unsigned family, ops_slice key);
/* Removes [from, to). */
void ops_kv_batch_del_range(ops_kv_batch *b, unsigned family, ops_slice from, ops_slice to);
size_t ops_kv_batch_bytes(const ops_kv_batch *b);

/* RocksDB in directory `path`, made when missing. `families` names them, in the order of the numbers used above.
 * OPS_ECONFLICT: another process has it open (names its pid). OPS_ECORRUPT: recovery stopped, says where. */
OPS_MUST_USE ops_status ops_kv_open_rocksdb(const char *path, const char *const *families,
                                            unsigned family_count, ops_kv **ret, ops_err *reterr);
/* In memory, for tests and for `opsctl offline`. */
OPS_MUST_USE ops_status ops_kv_open_memory(unsigned family_count, ops_kv **ret, ops_err *reterr);
void ops_kv_close(ops_kv *kv);
OPS_AUTO_DEFINE(ops_kv, ops_kv_close)

/* *ret is the caller's (ops_free); OPS_ENOTFOUND when the key is absent. */
OPS_MUST_USE ops_status ops_kv_get(ops_kv *kv, unsigned family, ops_slice key, char **ret, size_t *ret_bytes,
                                   ops_err *reterr);
/* Keys in [from, to), ascending; an empty `to` means to the end. */
OPS_MUST_USE ops_status ops_kv_scan(ops_kv *kv, unsigned family, ops_slice from, ops_slice to, ops_kv_fn fn,
                                    void *u, ops_err *reterr);
/* The last pair of [from, to), or OPS_ENOTFOUND. */
OPS_MUST_USE ops_status ops_kv_last(ops_kv *kv, unsigned family, ops_slice from, ops_slice to, ops_kv_fn fn,
                                    void *u, ops_err *reterr);
/* Applies the batch, which stays the caller's. */
OPS_MUST_USE ops_status ops_kv_write(ops_kv *kv, const ops_kv_batch *b, bool sync, ops_err *reterr);
/* Makes every earlier write durable. */
OPS_MUST_USE ops_status ops_kv_sync(ops_kv *kv, ops_err *reterr);

#endif
