/* The state of a miner. Private to the room. */
#ifndef OPS_ANALYSIS_MINER_STATE_H
#define OPS_ANALYSIS_MINER_STATE_H

#include "base/coll/map.h"
#include "base/coll/vec.h"
#include "base/text/strbuf.h"
#include "coordinator/analysis/template/miner.h"
#include "coordinator/analysis/template/shape.h"

enum {
    MINER_CACHE_SLOTS = 16384,
    MINER_SETS_PER_LENGTH_MAX = 64, /* distinct sets of folded places per number of atoms */
    MINER_FOLDS_MAX = 12            /* folded places of one template */
};

typedef struct tmpl_atom {
    uint64_t hash;
    uint32_t off, len; /* in the text; glue is what stands between */
    uint8_t kind;
    bool folded; /* became variable by folding, not by its form */
} tmpl_atom;

typedef struct tmpl tmpl;
struct tmpl {
    uint64_t id, hash;
    uint64_t seq; /* order of birth */
    uint64_t count, last_line;
    int64_t first_ns, last_ns;
    char *text;
    uint32_t text_n;
    uint16_t n;
    bool dirty, saved, catch_all;
    uint8_t example_count;
    uint32_t example_n[OPS_MINER_EXAMPLES_MAX];
    char *examples[OPS_MINER_EXAMPLES_MAX];
    tmpl *prev, *next; /* order of birth */
    tmpl *dirty_prev, *dirty_next;
    tmpl_atom atoms[];
};

/* A set of places folded away, and how many live templates have it. */
typedef struct fold_set {
    uint32_t refs;
    uint8_t n;
    uint8_t at[MINER_FOLDS_MAX];
} fold_set;

typedef struct fold_sets {
    fold_set *v; /* sorted by n, then places */
    uint32_t n, cap;
} fold_sets;

typedef struct fold_row {
    uint64_t old_id, new_id, seq;
} fold_row;

typedef struct cache_slot {
    uint64_t hash, epoch;
    tmpl *t;
} cache_slot;

struct ops_miner {
    ops_miner_limits lim;
    ops_map64 *by_id;    /* live templates */
    ops_map64 *siblings; /* shape hash with one word made variable -> number of live templates */
    ops_map64 *lineage;  /* old id -> new id, as pointer-sized numbers */
    ops_map64 *dead;     /* saved ids whose templates are gone */
    ops_map64 *dead_folds;
    fold_row *folds; /* ring of lim.lineage_max */
    size_t folds_at, folds_n, folds_cap;
    uint64_t folds_saved_seq, fold_seq; /* rows below folds_saved_seq are saved */
    fold_sets sets[OPS_SHAPE_ATOMS_MAX + 1];
    tmpl *first, *last, *catch_all;
    size_t live;
    tmpl *dirty;
    bool meta_dirty, loading;
    uint64_t seq, lines, truncated, fold_count, evicted, epoch;
    cache_slot *cache;
    ops_shape shape; /* scratch */
    ops_strbuf clean, text;
};

/* fold.c */
ops_status ops_miner_fold_register(ops_miner *m, tmpl *t);
void ops_miner_fold_unregister(ops_miner *m, tmpl *t);
tmpl *ops_miner_fold_match(ops_miner *m, const ops_shape *sh);
/* Folds what t's birth made foldable; returns what stands for t now. Never fails: without memory nothing folds. */
tmpl *ops_miner_fold_try(ops_miner *m, tmpl *t);
ops_status ops_miner_fold_row(ops_miner *m, uint64_t old_id, uint64_t new_id);
void ops_miner_evict(ops_miner *m);

/* miner.c */
uint64_t ops_miner_id_of(uint64_t hash);
tmpl *ops_miner_find(const ops_miner *m, uint64_t id);
void ops_miner_link(ops_miner *m, tmpl *t);
void ops_miner_drop(ops_miner *m, tmpl *t);
void ops_miner_clean(ops_miner *m, tmpl *t);
void ops_miner_touch(ops_miner *m, tmpl *t);
void ops_miner_absorb(ops_miner *m, tmpl *into, tmpl *from);
tmpl *ops_miner_catch_all(ops_miner *m);
void ops_tmpl_free(tmpl *t);
tmpl *ops_tmpl_new(size_t atoms, const char *text, size_t text_n);

#endif
