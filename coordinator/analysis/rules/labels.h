/* Sets of labels: sorted by name, no empty values (an empty value is the same as no label), immutable once made.
 * They live in the arena they were made in and borrow their texts. @thread one owner of the arena. */
#ifndef OPS_RULES_LABELS_H
#define OPS_RULES_LABELS_H

#include "base/mem/arena.h"
#include "base/status/status.h"
#include "base/text/strbuf.h"

enum { OPS_RULES_LABELS_MAX = 128 };
#define OPS_RULES_NAME OPS_SLICE("__name__")

/* Labels that an operation which makes another metric of one drops. */
typedef enum ops_rules_meta {
    OPS_RULES_META_NONE,
    OPS_RULES_META_NAME,          /* __name__ */
    OPS_RULES_META_TYPE_AND_UNIT, /* and __type__, __unit__ */
} ops_rules_meta;

typedef struct ops_rules_label {
    ops_slice name, value;
} ops_rules_label;

typedef struct ops_rules_labels {
    uint64_t hash;
    size_t n;
    ops_rules_label v[];
} ops_rules_labels;

/* Sorts `v` in place, of one name the last wins. NULL: the arena is full. */
const ops_rules_labels *ops_rules_labels_make(ops_arena *a, ops_rules_label *v, size_t n);
/* As make, with texts copied into the arena. */
const ops_rules_labels *ops_rules_labels_copy(ops_arena *a, const ops_rules_label *v, size_t n);
ops_slice ops_rules_labels_get(const ops_rules_labels *l, ops_slice name); /* empty when absent */
bool ops_rules_labels_eq(const ops_rules_labels *a, const ops_rules_labels *b);
int ops_rules_labels_cmp(const ops_rules_labels *a, const ops_rules_labels *b);
/* Only those named (keep), or all but those named and, with `meta`, but those that say what the metric is. */
const ops_rules_labels *ops_rules_labels_keep(ops_arena *a, const ops_rules_labels *l, const ops_slice *names,
                                              size_t n);
const ops_rules_labels *ops_rules_labels_drop(ops_arena *a, const ops_rules_labels *l, const ops_slice *names,
                                              size_t n, ops_rules_meta meta);
/* With one label set; an empty value removes it. */
const ops_rules_labels *ops_rules_labels_with(ops_arena *a, const ops_rules_labels *l, ops_slice name,
                                              ops_slice value);
/* As people write it: name{a="b"}; an empty set is {}. */
void ops_rules_labels_print(const ops_rules_labels *l, ops_strbuf *out);
/* A string as Prometheus quotes it. */
void ops_rules_quote(ops_slice s, ops_strbuf *out);

#endif
