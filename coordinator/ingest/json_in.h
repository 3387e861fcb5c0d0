/* coordinator/ingest/json_in.h: what the JSON decoders of this room share: a bounded load, and integers as OTLP and
 * protobuf's JSON mapping write them. */
#ifndef OPS_COORDINATOR_INGEST_JSON_IN_H
#define OPS_COORDINATOR_INGEST_JSON_IN_H

#include "base/status/status.h"
#include "base/text/slice.h"
#include "coordinator/ingest/normal.h"

#include <jansson.h>

/* A tree costs far more than its text. The cost is estimated from the text first; above this many times the limit of a
 * request the text is refused unread, so that a body of nothing but "{}," takes no gigabytes. */
enum { JSON_IN_TREE_RATIO_MAX = 16 };

/* The tree of a whole request, to be given back with json_decref(). OPS_EINVAL names the byte; OPS_ETOOBIG; OPS_ENOMEM. */
OPS_MUST_USE ops_status json_in_load(const uint8_t *p, size_t n, const ops_ingest_limits *limits,
                                     json_t **ret, ops_err *reterr);

static inline ops_slice json_in_str(const json_t *v)
{
    return ops_slice_of(json_string_value(v), json_string_length(v));
}

/* 64-bit integers come as strings or numbers; 1.7e18 is one too, as it is whole. */
bool json_in_u64(const json_t *v, uint64_t *ret);
bool json_in_i64(const json_t *v, int64_t *ret);
/* Numbers, or strings: decimal, "NaN", "Infinity", "-Infinity". */
bool json_in_f64(const json_t *v, double *ret);

#endif
