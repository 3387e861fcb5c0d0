/* The stream log: one ordered, durable log per partition, over the key-value port.
 *
 * An entry is one payload (a record batch) under one offset; offsets of a partition are 0, 1, 2, ... without gaps.
 * Appends of all producers are gathered into one synced write (group commit); the acknowledgement comes after it.
 * An entry with a dedupe key that was appended within `dedupe_window_ns` is acknowledged with the first one's offset and
 * not stored again: a client that retries after a lost answer doubles nothing.
 *
 * Stored value (version 1): u8 version, u8 coding (0 plain, 1 LZ4), u32 CRC-32C of the plain payload, u32 plain bytes,
 * u32 records, u64 receive, least and greatest event time, payload; integers big-endian. Key: u32 partition, u64 offset.
 * Beside it, under the same key in a family of its own, a footer: times, sizes, and which tenant, services and severities
 * are inside; so a query looks into what can match only, and a range's size is the difference of two footers.
 *
 * Family `notes`: key and value as the writer gave them.
 *
 * @thread any, unless a function says otherwise */
#ifndef OPS_STORAGE_STREAMLOG_H
#define OPS_STORAGE_STREAMLOG_H

#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include "base/time/clock.h"
#include "storage/kv/kv.h"

typedef struct ops_streamlog ops_streamlog;

enum { OPS_STREAMLOG_ENTRY_BYTES_MAX = 8 * 1024 * 1024, OPS_STREAMLOG_DEDUPE_BYTES = 16 };
/* Families that the store handed to ops_streamlog_open must have, in this order. */
extern const char *const ops_streamlog_families[];
enum { OPS_STREAMLOG_FAMILIES = 4, OPS_STREAMLOG_NOTE_KEY_MAX = 4096, OPS_STREAMLOG_NOTE_BYTES_MAX = 65536 };

/* What stands for a tenant's or a service's name in a footer; never 0. */
uint32_t ops_streamlog_mark(ops_slice name);
/* An entry of more services than this is looked into by every query. */
enum { OPS_STREAMLOG_SERVICES_MAX = 64 };

typedef struct ops_streamlog_entry {
    uint32_t part;
    ops_slice payload;
    uint32_t record_count;
    int64_t recv_ns, min_time_ns, max_time_ns;
    const uint8_t *
        dedupe; /* OPS_STREAMLOG_DEDUPE_BYTES, or NULL; entries of one append_all may share it, one a partition */
    /* For queries; what is left 0 matches all of them. Not handed back by ops_streamlog_read. */
    uint32_t tenant;          /* ops_streamlog_mark */
    uint32_t severities;      /* bit n: a record of severity n (0..24) is inside */
    const uint32_t *services; /* ops_streamlog_mark of each record's service; may repeat */
    size_t service_count;
    /* Written in the same batch, in place of what the key had before: how far a source has read. Empty key: none. */
    ops_slice note_key, note;
} ops_streamlog_entry;

/* Free and total bytes of the disk; a port so that a test can fill it. false: unknown, taken as enough. */
typedef bool (*ops_streamlog_space)(void *u, uint64_t *ret_free, uint64_t *ret_total);

typedef struct ops_streamlog_conf {
    uint32_t partitions;       /* 1..256 */
    size_t pending_bytes_max;  /* appended and not yet durable; default 32 MiB; beyond it OPS_EAGAIN */
    int64_t dedupe_window_ns;  /* default 15 min of receive time */
    size_t dedupe_max;         /* keys remembered, oldest forgotten first; default 1,048,576 */
    unsigned refuse_percent;   /* appends are refused below this share of free disk; default 5 */
    uint64_t refuse_bytes;     /* and below this many free bytes; default 256 MiB */
    ops_streamlog_space space; /* NULL: no guard */
    void *space_u;
    ops_clock *clock; /* NULL: the system's */
    /* No commit thread: ops_streamlog_step does its work, on the caller's. For simulations, where order must be chosen. */
    bool stepped;
} ops_streamlog_conf;

typedef struct ops_streamlog_stats {
    uint64_t entries, records, payload_bytes, groups, duplicates, refused_full, refused_space;
    uint64_t trimmed; /* entries that left */
    uint64_t
        held_back; /* times that retention found its reader overtaken and kept the entries: an alarm when it grows */
    size_t pending_bytes;
    bool broken; /* a write failed: refuses until opened again */
} ops_streamlog_stats;

/* Told once per append that returned OPS_OK: OPS_OK and the offset when durable, else why not. On the commit thread: must
 * not block and must not append. */
typedef void (*ops_streamlog_ack)(void *u, ops_status st, uint64_t offset);

/* Borrows `kv`, which must outlive the log. Finds each partition's end and the dedupe keys still in their window. */
OPS_MUST_USE ops_status ops_streamlog_open(ops_kv *kv, const ops_streamlog_conf *conf, ops_streamlog **ret,
                                           ops_err *reterr);
/* Commits what is pending, acknowledges it, stops. */
void ops_streamlog_close(ops_streamlog *sl);
OPS_AUTO_DEFINE(ops_streamlog, ops_streamlog_close)
/* Stepped logs only: commits and acknowledges one group; false when nothing waited. */
bool ops_streamlog_step(ops_streamlog *sl);

/* OPS_ENOSPC, with the figures, while appends are refused for want of disk. @thread any */
OPS_MUST_USE ops_status ops_streamlog_space_left(ops_streamlog *sl, ops_err *reterr);

/* Queues one entry; the payload is copied. On failure nothing was queued and `ack` is never called:
 * OPS_EAGAIN too much pending, OPS_ENOSPC disk nearly full, OPS_ETOOBIG, OPS_EIO after a write that failed (reopen).
 * Entries of one thread keep their order within a partition. */
OPS_MUST_USE ops_status ops_streamlog_append(ops_streamlog *sl, const ops_streamlog_entry *e,
                                             ops_streamlog_ack ack, void *u, ops_err *reterr);
/* The same for all entries or none, so that a request of many partitions is refused as a whole; `ack` is called once per
 * entry. Payloads and keys are copied. OPS_EAGAIN does not apply to what alone exceeds the bound on an empty queue. */
OPS_MUST_USE ops_status ops_streamlog_append_all(ops_streamlog *sl, const ops_streamlog_entry *entries,
                                                 size_t count, ops_streamlog_ack ack, void *u,
                                                 ops_err *reterr);

/* What was noted last under `key`; the caller's (ops_free). OPS_ENOTFOUND. */
OPS_MUST_USE ops_status ops_streamlog_note_get(ops_streamlog *sl, ops_slice key, char **ret,
                                               size_t *ret_bytes, ops_err *reterr);

/* The first offset kept and the next one to be given. */
OPS_MUST_USE ops_status ops_streamlog_bounds(ops_streamlog *sl, uint32_t part, uint64_t *ret_first,
                                             uint64_t *ret_next, ops_err *reterr);

/* Slices live until the call returns; `dedupe` is NULL. OPS_ECANCELLED ends the read, which then returns OPS_OK. */
typedef ops_status (*ops_streamlog_fn)(void *u, uint64_t offset, const ops_streamlog_entry *e,
                                       ops_err *reterr);
/* Entries from `from` on, in order, until about `bytes_max` of payload were handed over or the end. OPS_ERANGE: `from`
 * was trimmed away (names what is kept); OPS_ECORRUPT: a damaged entry or a gap, named. */
OPS_MUST_USE ops_status ops_streamlog_read(ops_streamlog *sl, uint32_t part, uint64_t from, size_t bytes_max,
                                           ops_streamlog_fn fn, void *u, ops_err *reterr);
/* Waits until `part` has more than `next` entries or timeout_ms passed; false on the latter. */
bool ops_streamlog_wait(ops_streamlog *sl, uint32_t part, uint64_t next, int timeout_ms);
/* Waits until any partition grew since the last call with this *change (0 at first), which is then updated; false when
 * timeout_ms passed without. */
bool ops_streamlog_wait_any(ops_streamlog *sl, uint64_t *change, int timeout_ms);
/* Forgets entries below `below` (clipped to the end); durable when it returns. The last entry always stays. */
OPS_MUST_USE ops_status ops_streamlog_trim(ops_streamlog *sl, uint32_t part, uint64_t below, ops_err *reterr);

/* How much of a partition is kept; 0: without limit. */
typedef struct ops_streamlog_keep {
    int64_t age_ns; /* of receive time */
    uint64_t bytes; /* as stored */
} ops_streamlog_keep;
/* Trims what is older or more than `keep` allows, but never at or above durable_pos, which is where a restarted reader
 * would go on. *ret_held (may be NULL): entries that `keep` would have dropped and the reader still needs; when there are
 * any, stats.held_back grows too. */
OPS_MUST_USE ops_status ops_streamlog_retain(ops_streamlog *sl, uint32_t part, uint64_t durable_pos,
                                             int64_t now_ns, const ops_streamlog_keep *keep,
                                             uint64_t *ret_held, ops_err *reterr);
typedef struct ops_streamlog_size {
    uint64_t entries, records, bytes; /* as stored */
} ops_streamlog_size;
/* What offsets [from, to) hold, without reading them; both are clipped to what is kept. */
OPS_MUST_USE ops_status ops_streamlog_range_size(ops_streamlog *sl, uint32_t part, uint64_t from, uint64_t to,
                                                 ops_streamlog_size *ret, ops_err *reterr);

typedef struct ops_streamlog_filter {
    int64_t since_ns, until_ns; /* event time, [since, until); 0: open */
    ops_slice tenant, service;  /* empty: any */
    unsigned severity_min;      /* OpenTelemetry's 1..24; 0: any */
    bool newest_first;
    /* NULL, or one offset a partition: where to begin, and on return where to go on (oldest first only). */
    uint64_t *positions;
} ops_streamlog_filter;
/* Entries that may hold a match, over all partitions in order of receive time; the rest is skipped by its footer, unread.
 * Footers speak for whole entries: the caller still filters the records inside. Slices live until the call returns.
 * OPS_ECANCELLED ends the query, which then returns OPS_OK. Entries trimmed meanwhile are passed over. */
typedef ops_status (*ops_streamlog_query_fn)(void *u, uint64_t offset, const ops_streamlog_entry *e,
                                             ops_err *reterr);
OPS_MUST_USE ops_status ops_streamlog_query(ops_streamlog *sl, const ops_streamlog_filter *filter,
                                            ops_streamlog_query_fn fn, void *u, ops_err *reterr);

/* Offsets [from, to) of one partition that cannot be read. */
typedef struct ops_streamlog_damage {
    uint32_t part;
    uint64_t from, to;
} ops_streamlog_damage;
enum { OPS_STREAMLOG_DAMAGE_MAX = 16 };
typedef struct ops_streamlog_report {
    uint64_t entries, records, bytes, damaged; /* damaged: entries or footers */
    char first_damage[160];                    /* empty when sound */
    ops_streamlog_damage damage[OPS_STREAMLOG_DAMAGE_MAX];
    size_t damage_count; /* ranges; the first OPS_STREAMLOG_DAMAGE_MAX are above */
} ops_streamlog_report;
/* Reads everything and checks it: checksums, order, gaps, footers. OPS_OK also when damage was found: see the report. */
OPS_MUST_USE ops_status ops_streamlog_fsck(ops_streamlog *sl, ops_streamlog_report *ret, ops_err *reterr);

void ops_streamlog_stats_get(ops_streamlog *sl, ops_streamlog_stats *ret);

#endif
