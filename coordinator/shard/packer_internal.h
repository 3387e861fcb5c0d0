/* The packer's insides, for its own files. */
#ifndef OPS_SHARD_PACKER_INTERNAL_H
#define OPS_SHARD_PACKER_INTERNAL_H

#include "base/coll/vec.h"
#include "coordinator/shard/packer.h"
#include "proto/otlp/walk.h"

enum {
    CHUNK_BYTES = 64 * 1024, /* a batch is closed at the record that reaches this */
    ARENA_BYTES = 16 * 1024 * 1024,
    SERVICE_BYTES_MAX = 256
};

/* Finished bytes of an entry; the writer's own when `owned` is NULL. */
typedef struct chunk {
    uint32_t part, count;
    int64_t min_ns, max_ns;
    char *owned;
    ops_slice bytes;
    uint32_t severities;
    size_t marks_at, mark_count; /* in the packer's marks */
} chunk;

/* What a batch under construction holds, for the entry's footer. */
typedef struct holding {
    uint32_t severities;
    uint32_t marks[OPS_STREAMLOG_SERVICES_MAX + 1]; /* one too many says: too many */
    size_t mark_count;
} holding;

struct ops_packer {
    uint32_t partitions;
    int32_t zone_offset_s;
    ops_ingest_limits limits;
    ops_record_writer **writers; /* by partition, made at first use */
    bool *begun;
    ops_sample_writer **sample_writers; /* likewise */
    bool *samples_begun;
    holding *holdings;
    OPS_VEC(uint32_t) marks;
    OPS_VEC(chunk) chunks;
    OPS_VEC(ops_streamlog_entry) entries;
    uint8_t (*keys)[OPS_STREAMLOG_DEDUPE_BYTES];
    size_t keys_cap;
    ops_redact_scratch *scratch;
    ops_walk *walk; /* made when the first traces come */
    ops_arena arena, line_arena;
    ops_attr attrs[OPS_RECORD_ATTRS_MAX];
    /* of the request under way */
    ops_redactor *redactor;
    ops_slice tenant;
    int64_t recv_ns;
    uint64_t records, oversized;
    bool timeless;
    uint32_t redactions[OPS_REDACT_KIND_COUNT];
    /* the last service seen: requests come grouped by resource */
    char service_in[SERVICE_BYTES_MAX], service_out[SERVICE_BYTES_MAX + 64];
    size_t service_in_n, service_out_n;
    uint32_t service_part, service_mark;
    bool service_known;
};

/* The service's name as it may be stored, and its partition. */
ops_status ops_packer_place(ops_packer *p, ops_slice service, ops_slice *ret_service, uint32_t *ret_part,
                            ops_err *reterr);
/* What is packed of samples and not yet a chunk becomes one. */
ops_status ops_packer_samples_finish(ops_packer *p, ops_err *reterr);

#endif
