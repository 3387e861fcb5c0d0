/* The store over a disk that forgets: deterministic, seeded, for tests of what runs on the port.
 *
 * A write goes to a journal of 64-byte pages, in a frame with its length and checksum. A sync makes the journal so far
 * durable. At a power cut each page since then survives or not on its own, and the last may be torn; a restart takes the
 * journal's frames up to the first that is not whole. So: synced batches stay, unsynced ones survive as a prefix of the
 * order in which they were written, and no batch is there in part: what the port promises, and no more.
 * @thread any for the port's calls; those below when no other call runs */
#ifndef OPS_STORAGE_KV_SIM_H
#define OPS_STORAGE_KV_SIM_H

#include "storage/kv/kv.h"

typedef struct ops_kv_sim_conf {
    uint64_t seed;
    /* Told, before each synced write, how long the disk takes, up to delay_ns_max: a test moves its clock. NULL: at once. */
    void (*delay)(void *u, int64_t ns);
    void *delay_u;
    int64_t delay_ns_max;
    /* A sync answers and makes nothing durable: what acknowledging before the sync amounts to. To prove that a test
     * would notice. */
    bool sync_lies;
} ops_kv_sim_conf;

OPS_MUST_USE ops_status ops_kv_open_sim(unsigned family_count, const ops_kv_sim_conf *conf, ops_kv **ret,
                                        ops_err *reterr);

enum ops_kv_sim_crash {
    OPS_KV_SIM_KILL,  /* the process ends: the page cache keeps everything that was written */
    OPS_KV_SIM_POWER, /* the machine ends */
};
/* Every call but restart and close fails with OPS_EIO from here on. */
void ops_kv_sim_crash(ops_kv *kv, enum ops_kv_sim_crash how);
/* Opens again with what the disk has; all of it is durable then. Also ends the refusal after a fault. */
OPS_MUST_USE ops_status ops_kv_sim_restart(ops_kv *kv, ops_err *reterr);

enum ops_kv_sim_fault {
    OPS_KV_SIM_ERROR, /* nothing is written; the store goes on */
    OPS_KV_SIM_LOST_SYNC, /* written, not durable; refuses with OPS_EIO until restarted, which may find it or not */
    OPS_KV_SIM_TORN, /* a part is written; refuses until restarted, which drops it */
};
/* The write after the next `after` ones fails with `st`; one fault waits at a time. */
void ops_kv_sim_fail_write(ops_kv *kv, unsigned after, enum ops_kv_sim_fault fault, ops_status st);
/* The read (get, scan, last) after the next `after` ones fails with `st`. */
void ops_kv_sim_fail_read(ops_kv *kv, unsigned after, ops_status st);

typedef struct ops_kv_sim_stats {
    uint64_t writes, syncs, crashes, dropped; /* dropped: batches that a restart did not find whole */
    size_t unsynced_bytes;
} ops_kv_sim_stats;
void ops_kv_sim_stats_get(ops_kv *kv, ops_kv_sim_stats *ret);

#endif
