/* The footer of an entry: what a query and retention know of it without reading it. Private to storage/streamlog.
 *
 * Stored (version 1, big-endian): u8 version, u64 order time, u64 least and greatest event time, u64 bytes and records of the
 * partition before this entry, u32 stored bytes, u32 records, u32 tenant, u32 severities, u8 services, u32 each,
 * u32 CRC-32C of all that. */
#ifndef OPS_STREAMLOG_FOOTER_INTERNAL_H
#define OPS_STREAMLOG_FOOTER_INTERNAL_H

#include "storage/streamlog/streamlog.h"

enum { FOOTER_BYTES_MAX = 62 + 4 * OPS_STREAMLOG_SERVICES_MAX };
/* Ingest moves event times to at most 10 minutes past the receive time (anything later only costs a query time). */
#define FOOTER_AHEAD_NS ((int64_t)10 * 60 * 1000000000)

typedef struct ops_footer {
    /* Receive time made to never go back within a partition, and never more than FOOTER_AHEAD_NS below max_ns: that is
     * what can be searched by halving, whatever clocks did. */
    int64_t at_ns;
    int64_t min_ns, max_ns;
    uint64_t bytes_before, records_before;
    uint32_t bytes, records;
    uint32_t tenant, severities;                   /* 0: unknown */
    uint8_t service_count;                         /* 0: unknown */
    uint32_t services[OPS_STREAMLOG_SERVICES_MAX]; /* ascending, each once */
} ops_footer;

/* All but order time and sums. */
void ops_footer_describe(ops_footer *f, const ops_streamlog_entry *e, size_t stored_bytes);
/* Places f behind `last` (all zero at a partition's start). */
void ops_footer_follow(ops_footer *f, const ops_footer *last, int64_t recv_ns);
size_t ops_footer_put(const ops_footer *f, uint8_t out[FOOTER_BYTES_MAX]);
ops_status ops_footer_get(ops_slice bytes, ops_footer *ret, ops_err *reterr);
/* Whether the entry may hold a record that the filter wants; the marks are the filter's names', 0 for any. */
bool ops_footer_may_match(const ops_footer *f, const ops_streamlog_filter *filter, uint32_t tenant,
                          uint32_t service);

#endif
