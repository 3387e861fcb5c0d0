/* Templates from log messages, one line at a time.
 *
 * A message is cut into atoms (words and the parts of words between delimiters) and glue (everything between them).
 * Atoms that are variable by their form (they hold a digit, are a path, an address, a value after `=`, a quoted
 * string) become `<*>` at once. What remains is the shape; lines of one shape share a template. Shapes that differ in
 * exactly one atom are siblings; when enough siblings are seen the atom is a variable too and they fold into one.
 *
 * Ids: hash of the shape at the template's birth, its version OPS_MINER_VERSION mixed in: two miners that never met
 * give one shape the same id, on any machine. A fold gives a template of its own (its id is the hash of the folded shape);
 * the folded ids resolve to it for as long as the lineage is kept, and a template born by folding is never new.
 *
 * Counts are exact: at every prefix the counts of all live templates sum to the lines added. Memory is bounded by the
 * limits: when full, the rarest and longest unseen templates fold into a catch-all `<*>` with their counts.
 *
 * Hostile input: bytes that are no UTF-8 become U+FFFD; control bytes and NUL count as blanks; a line without words
 * has the template of empty text; of a line longer than line_bytes_max only that much is looked at, and it is
 * counted; words longer than 128 bytes are variables; after 96 atoms the rest of a line is one variable.
 *
 * @thread: one owner at a time. Pure: no clock, no I/O. */
#ifndef OPS_ANALYSIS_MINER_H
#define OPS_ANALYSIS_MINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include "base/text/strbuf.h"
#include "coordinator/analysis/template/slots.h"

#define OPS_MINER_VERSION          2u
#define OPS_MINER_EXAMPLES_MAX     3
#define OPS_MINER_FOLD_TEXT_MAX    240
#define OPS_MINER_SLOTS_SAVE_BYTES (1u << 18)

typedef struct ops_miner ops_miner;

/* Zero in any field takes the default. */
typedef struct ops_miner_limits {
    size_t templates_max;     /* live templates, 256 to 1,048,576; default 16,384 */
    size_t line_bytes_max;    /* default 65,536 */
    size_t example_bytes_max; /* default 256 */
    size_t lineage_max;       /* folded ids remembered; default 4 x templates_max */
    bool slots;               /* keep statistics of slots; costs time for every variable of every line */
    size_t
        slots_bytes_max; /* of them all, about; default 8 MiB. Full: those of the longest unseen are dropped */
} ops_miner_limits;

typedef struct ops_template_hit {
    uint64_t id;
    bool is_new;    /* this line gave birth to the template and it descends from none */
    bool truncated; /* the line was longer than line_bytes_max */
    uint64_t count; /* lines of the template, this one included */
} ops_template_hit;

/* A template as it stands. The slices live until the next call that changes the miner. */
typedef struct ops_template_info {
    uint64_t id;
    ops_slice text;
    uint64_t count;
    int64_t first_ns, last_ns; /* as handed in by the caller */
    size_t example_count;
    ops_slice examples[OPS_MINER_EXAMPLES_MAX];
} ops_template_info;

typedef struct ops_miner_stats {
    uint64_t lines, truncated, folds, evicted;
    size_t templates, lineage;
} ops_miner_stats;

/* How one template became part of another. The slice lives until the next call that changes the miner. */
typedef enum ops_miner_fold_why {
    OPS_MINER_FOLD_ALIKE = 0, /* enough of them differ in so little that it is a variable */
    OPS_MINER_FOLD_EVICTED,   /* there was no room: into the catch-all */
    OPS_MINER_FOLD_PINNED     /* an operator said so */
} ops_miner_fold_why;
typedef struct ops_miner_fold_info {
    uint64_t old_id, new_id; /* new_id may have been folded itself since: ops_miner_resolve() */
    int64_t at_ns;           /* time of the line that made it so */
    uint64_t old_count;      /* lines of the old one until then */
    ops_slice old_text;      /* cut at OPS_MINER_FOLD_TEXT_MAX bytes */
    ops_miner_fold_why why;
} ops_miner_fold_info;

/* Called once per changed record; an empty value means that the key is gone. A status other than OK stops and is returned. */
typedef ops_status (*ops_miner_emit)(void *u, ops_slice key, ops_slice val);

OPS_MUST_USE ops_status ops_miner_new(const ops_miner_limits *limits, ops_miner **ret, ops_err *reterr);
void ops_miner_free(ops_miner *m);
OPS_AUTO_DEFINE(ops_miner, ops_miner_free)

/* Adds one line seen at time_ns. On OPS_ENOMEM the miner is as it was before the call. */
OPS_MUST_USE ops_status ops_miner_add(ops_miner *m, ops_slice message, int64_t time_ns,
                                      ops_template_hit *ret);

/* The live id that `id` stands for now; an id that the miner does not know is returned as it is. */
uint64_t ops_miner_resolve(const ops_miner *m, uint64_t id);

/* Appends the text of the template as people read it: where a variable had one value so far, without a digit and no path, the
 * value stands in its place. It gets more general as lines come. `typed`: the other variables as <num>, <ip>, ... where the
 * statistics of slots tell. False when no live template stands behind `id`. */
bool ops_miner_shown(const ops_miner *m, uint64_t id, bool typed, ops_strbuf *b);

/* False when no live template stands behind `id`. */
bool ops_miner_info(const ops_miner *m, uint64_t id, ops_template_info *ret);

/* Statistics of the slots of the template: the k-th `<*>` of its text is slot k. NULL: none are kept. They live until the
 * next call that changes the miner. What was folded into it is in them as far as statistics merge. */
const ops_slots *ops_miner_slots(const ops_miner *m, uint64_t id);
/* Statistics are saved less often than templates: when their lines have grown by an eighth, and at most about
 * OPS_MINER_SLOTS_SAVE_BYTES of them a save, so after a crash they may lack the latest
 * lines. Counts never do. After this call all are due at the next save, up to `bytes`: before an orderly end. */
void ops_miner_slots_due(ops_miner *m, size_t bytes);

/* Live templates in order of birth; start with *iter = 0. */
bool ops_miner_next(const ops_miner *m, size_t *iter, ops_template_info *ret);

/* Folded ids in order of folding; start with *iter = 0. */
bool ops_miner_next_fold(const ops_miner *m, size_t *iter, uint64_t *ret_old, uint64_t *ret_new);

bool ops_miner_next_fold_info(const ops_miner *m, size_t *iter, ops_miner_fold_info *ret);

void ops_miner_stats_get(const ops_miner *m, ops_miner_stats *ret);

/* Hands every record changed since the last save to emit. A miner into which all records were loaded, in any order,
 * followed by ops_miner_load_done, gives the same answers as this one from here on. When emit fails, what was not
 * emitted stays dirty; what was is emitted again only when it changes. */
OPS_MUST_USE ops_status ops_miner_save_dirty(ops_miner *m, ops_miner_emit emit, void *u, ops_err *reterr);
OPS_MUST_USE ops_status ops_miner_load(ops_miner *m, ops_slice key, ops_slice val, ops_err *reterr);
OPS_MUST_USE ops_status ops_miner_load_done(ops_miner *m, ops_err *reterr);

#endif
