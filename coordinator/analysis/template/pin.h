/* What operators say about templates, as the miner takes it. Where pins come from (a file, its syntax, its regexes) is
 * not this room's.
 *
 * A pattern is the text of a template; `<*>` in it stands for any one variable part. */
#ifndef OPS_ANALYSIS_PIN_H
#define OPS_ANALYSIS_PIN_H

#include <stddef.h>
#include <stdint.h>

#include "base/status/status.h"
#include "base/text/slice.h"

typedef struct ops_miner ops_miner;

typedef enum ops_pin_kind {
    OPS_PIN_ONE,  /* lines of every pattern belong to patterns[0] */
    OPS_PIN_APART /* the constant words of each pattern are never made variable in lines that match it */
} ops_pin_kind;

typedef struct ops_pin {
    ops_pin_kind kind;
    const ops_slice *patterns;
    size_t n;
} ops_pin;

typedef struct ops_pin_span {
    uint32_t off, len;
} ops_pin_span;

/* `find` gives the spans of `line` that the operator's regexes call a slot, ascending and not overlapping, at most `max`,
 * and returns how many; it may be NULL. */
typedef struct ops_pin_set {
    const ops_pin *pins;
    size_t n;
    size_t (*find)(void *u, ops_slice line, ops_pin_span *ret, size_t max);
    void *u;
} ops_pin_set;

enum { OPS_PINS_MAX = 256, OPS_PIN_PATTERNS_MAX = 64, OPS_PIN_SPANS_MAX = 32 };

/* At once: live templates that a ONE pin covers fold into its first pattern (a line of the lineage each says so), and lines
 * of APART pins get templates of their own from here on, also where they were folded before; what was counted together
 * stays so. Taking a pin away undoes nothing.
 * OPS_EINVAL names the pin: no pattern, too many, or a pattern without a constant word; OPS_ENOMEM. Nothing changed then,
 * but that after OPS_ENOMEM some templates may have been folded already.
 *
 * Copies the pins in place of those before; an empty set takes them away. `find` and `u` must outlive the miner or the
 * next call. */
OPS_MUST_USE ops_status ops_miner_pins_set(ops_miner *m, const ops_pin_set *pins, ops_err *reterr);

#endif
