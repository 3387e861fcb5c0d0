/* Statistics of the variable parts (slots) of one template: how often seen, how many distinct values, the commonest ones,
 * what kind of thing they are, and for numbers and durations their quantiles.
 *
 * Slots are numbered from 0 in the order of the `<*>` of the template's text. Of the first OPS_SLOTS_MAX statistics are
 * kept; values of further ones are only counted. A slot starts with about 200 bytes and grows to at most about 1.5 KiB.
 * The sketches' errors are those of base/sketch.
 *
 * The type of a slot is inferred from its values: all of up to 49, later 98 % of them must have the form. Plain numbers among
 * hex values count as hex, addresses among host names as hosts. Numbers and durations are never mixed.
 *
 * Without memory a value is counted as seen and left out of the rest; `lost` tells how many.
 * @thread: one owner at a time. Pure. */
#ifndef OPS_ANALYSIS_SLOTS_H
#define OPS_ANALYSIS_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/sketch/topk.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include "base/text/strbuf.h"

enum { OPS_SLOTS_MAX = 16 };
#define OPS_SLOTS_NONE SIZE_MAX

typedef struct ops_slots ops_slots;

typedef enum ops_slot_type {
    OPS_SLOT_ANY = 0, /* mixed, or nothing with a form */
    OPS_SLOT_NUM,
    OPS_SLOT_HEX,
    OPS_SLOT_UUID,
    OPS_SLOT_IP,
    OPS_SLOT_HOST,
    OPS_SLOT_PATH,
    OPS_SLOT_DURATION,
    OPS_SLOT_TIME,
    OPS_SLOT_DATE,
    OPS_SLOT_URL,
    OPS_SLOT_EMAIL,
    OPS_SLOT_TYPES
} ops_slot_type;

/* The slices live until the slots change. */
typedef struct ops_slot_info {
    ops_slot_type type;
    uint64_t seen;     /* weight of all values */
    uint64_t distinct; /* estimate; exact up to 32 */
    size_t top_n;
    ops_topk_entry top[OPS_TOPK_ENTRIES_MAX]; /* commonest first */
    bool numeric;                             /* NUM or DURATION (in seconds): the rest is set */
    double min, p50, p90, p99, max;
    double error; /* of the quantiles, relative: 0.01 is 1 % */
} ops_slot_info;

ops_slots *ops_slots_new(void); /* NULL without memory */
void ops_slots_free(ops_slots *s);
OPS_AUTO_DEFINE(ops_slots, ops_slots_free)

/* One value of slot `ordinal`, seen `weight` times. Any bytes are fine. */
void ops_slots_note(ops_slots *s, size_t ordinal, ops_slice value, uint64_t weight);
/* A slot appears before the one that was `ordinal`: that one and those after it move up. When the last one tracked falls
 * off, its values are counted among the further ones. OPS_ENOMEM: nothing changed. */
OPS_MUST_USE ops_status ops_slots_insert(ops_slots *s, size_t ordinal);
/* Adds what `from` knows of its slot i to slot map[i] of `into`; OPS_SLOTS_NONE leaves it out. `map` has
 * ops_slots_count(from) entries; NULL maps each to itself. OPS_ENOMEM: a part may be missing, both are whole. */
OPS_MUST_USE ops_status ops_slots_merge(ops_slots *into, const ops_slots *from, const size_t *map);

size_t ops_slots_count(const ops_slots *s);     /* tracked: up to the last one noted; 0 for NULL */
uint64_t ops_slots_further(const ops_slots *s); /* values of slots past OPS_SLOTS_MAX */
uint64_t ops_slots_lost(const ops_slots *s);
size_t ops_slots_bytes(const ops_slots *s); /* on the heap, itself included */
/* False when the slot is not tracked (then *ret is untouched). */
bool ops_slots_info(const ops_slots *s, size_t ordinal, ops_slot_info *ret);

/* "num", "ip", ...; "*" for OPS_SLOT_ANY. */
const char *ops_slot_type_name(ops_slot_type t);
/* Appends `text` with each `<*>` that has a type written as it: `<ip>`, `<num>`; one without that had a single value so far, a
 * word, as that word: it gets more general as lines come. `s` may be NULL. */
void ops_slots_render(ops_slice text, const ops_slots *s, ops_strbuf *out);

/* Appends one record: a version byte, then what slots_codec.c says; at most about 1.6 KiB a slot. */
void ops_slots_save(const ops_slots *s, ops_strbuf *out);
/* The whole of `record` must be one. OPS_ECORRUPT with the place otherwise. */
OPS_MUST_USE ops_status ops_slots_load(ops_slice record, ops_slots **ret, ops_err *reterr);

#endif
