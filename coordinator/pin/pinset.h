/* A set of pins, read from YAML (README.md has the form). Immutable and counted: @thread any. */
#ifndef OPS_PIN_PINSET_H
#define OPS_PIN_PINSET_H

#include "base/mem/auto.h"
#include "base/text/strbuf.h"
#include "coordinator/analysis/template/pin.h"

enum {
    OPS_PINSET_FILE_BYTES_MAX = 1 << 20,
    OPS_PINSET_PATTERN_BYTES_MAX = 4096,
    OPS_PINSET_SLOTS_MAX = 64,
    OPS_PINSET_REGEX_BYTES_MAX = 1024
};

typedef struct ops_pinset ops_pinset;

typedef struct ops_pinset_counts {
    size_t one, apart, slots;
} ops_pinset_counts;

/* `name` is for messages. Any bytes may be handed in: OPS_EINVAL says "NAME:LINE: what is wrong". An empty file is an empty
 * set. */
OPS_MUST_USE ops_status ops_pinset_parse(ops_slice yaml, const char *name, ops_pinset **ret, ops_err *reterr);
ops_pinset *ops_pinset_ref(ops_pinset *s);
void ops_pinset_unref(ops_pinset *s); /* NULL is fine */
OPS_AUTO_DEFINE(ops_pinset, ops_pinset_unref)

void ops_pinset_counts_get(const ops_pinset *s, ops_pinset_counts *ret); /* NULL: all 0 */
/* What a person is told of a change: "+one a | b; -slot order ORD-\d+"; NULL is the empty set. Empty text: no change. */
void ops_pinset_changes(const ops_pinset *from, const ops_pinset *to, ops_strbuf *out);

/* Matches the set's regexes. One thread at a time: a miner's owner. Holds the set. */
typedef struct ops_pin_finder ops_pin_finder;
typedef struct ops_pin_finder_stats {
    uint64_t lines, spans, limited; /* limited: matches given up at their limit */
    size_t off;                     /* regexes left out after too many of those */
} ops_pin_finder_stats;
OPS_MUST_USE ops_status ops_pin_finder_new(ops_pinset *s, ops_pin_finder **ret, ops_err *reterr);
void ops_pin_finder_free(ops_pin_finder *f);
OPS_AUTO_DEFINE(ops_pin_finder, ops_pin_finder_free)
/* As ops_miner_pins_set takes it; lives as long as the finder. */
void ops_pin_finder_view(ops_pin_finder *f, ops_pin_set *ret);
void ops_pin_finder_stats_get(const ops_pin_finder *f, ops_pin_finder_stats *ret);

#endif
