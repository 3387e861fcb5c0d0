/* The state of a miner. Private to the room. */
#ifndef OPS_ANALYSIS_MINER_STATE_H
#define OPS_ANALYSIS_MINER_STATE_H

#include "base/coll/map.h"
#include "base/coll/vec.h"
#include "base/text/strbuf.h"
#include "coordinator/analysis/template/miner.h"
#include "coordinator/analysis/template/pin.h"
#include "coordinator/analysis/template/shape.h"

enum {
    MINER_SLOTS_LEAST = 1024,   /* of the memo and of the cache of shapes; they grow while lines miss them */
    MINER_SLOTS_USUAL = 16384,  /* so far for any number of templates, */
    MINER_SLOTS_MOST = 1 << 19, /* and so far for twice as many as there are */
    MINER_SETS_PER_LENGTH_MAX = 64, /* distinct sets of folded places per number of atoms */
    MINER_FOLDS_MAX = 12,           /* folded places of one template */
    MINER_MEMO_BYTES =
        250, /* lines up to this length are remembered: offsets fit a byte, no bound of the cut is near */
    MINER_EFFORT_LINE = 256, /* cells of alignments that each line earns */
    MINER_EFFORT_MAX = 1 << 22,
    MINER_WALK_MAX = 32,   /* links of a chain that are looked at */
    MINER_BIGRAMS_MAX = 6, /* pairs of neighbouring words by which a template is found */
    MINER_TAILS_NEEDED =
        6,              /* texts after one colon that make a variable of them: reasons are few, values many */
    MINER_TAILS_MAX = 3 /* places after a colon where a tail may begin */
};

typedef struct tmpl_atom {
    uint64_t hash;
    uint32_t off, len; /* in the text; glue is what stands between */
    uint32_t glue;     /* hash of the glue before it */
    uint8_t kind;
    bool folded; /* became variable by folding, not by its form */
} tmpl_atom;

typedef struct tmpl tmpl;

/* One key under which a template is found; links of one key are a chain, newest first. */
typedef struct tmpl_link tmpl_link;
struct tmpl_link {
    uint64_t key;
    tmpl *t;
    tmpl_link *prev, *next;
};

typedef enum tmpl_key {
    KEY_SIBLING = 1, /* the shape with one word made variable */
    KEY_BIGRAM,      /* two neighbouring words */
    KEY_TAIL,        /* the text up to a colon */
    KEY_ANCHOR       /* of a template with gaps: two words, or one, that a line of it must have */
} tmpl_key;

struct tmpl { /* what every line touches comes first, a cache line of it */
    uint64_t id, count, last_line;
    int64_t first_ns, last_ns;
    uint16_t plain_n;
    bool dirty, saved, catch_all;
    uint8_t example_count;
    ops_slots *slots;   /* NULL until a value was noted */
    uint64_t hash, seq; /* seq: order of birth */
    char *text;
    uint32_t text_n;
    uint16_t n;
    uint32_t tail_glue; /* hash of the glue after the last atom */
    bool apart;         /* an operator holds its words: it takes no part in folding */
    bool gaps;          /* has an atom of kind OPS_ATOM_GAP: found by its anchors, not by its hash */
    uint8_t links_n;
    tmpl_link *links;
    uint64_t slots_saved; /* count when they were saved last */
    uint32_t slots_bytes; /* as last counted into the miner's */
    char
        *plain; /* variables that had one value so far: a byte for the place, one for the length, the value */
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
    uint64_t old_id, new_id, seq, old_count;
    int64_t at_ns;
    char *text; /* of the old one; may be missing */
    uint8_t text_n, why;
} fold_row;

/* A pin as templates whose variables are gaps. */
typedef struct pin_rule {
    ops_pin_kind kind;
    size_t n;
    tmpl **patterns;
    uint64_t target; /* of a ONE: id of its first pattern as a template */
} pin_rule;

typedef struct cache_slot {
    uint64_t hash, exact, epoch;
    tmpl *t;
} cache_slot;

/* The values of a line: where its variables lie. */
typedef struct line_spans {
    size_t n;
    ops_shape_span v[OPS_SHAPE_ATOMS_MAX];
} line_spans;

typedef struct memo_slot {
    uint64_t key, epoch;
    tmpl *t;
} memo_slot;
typedef struct memo_spans {
    uint8_t n, off[OPS_SLOTS_MAX], len[OPS_SLOTS_MAX];
} memo_spans;
typedef struct memo_look {
    uint64_t key;
    memo_slot *slot;
    memo_spans *spans; /* NULL: none are kept */
} memo_look;

struct ops_miner {
    ops_miner_limits lim;
    ops_map64 *by_id;   /* live templates */
    ops_map64 *chains;  /* key -> newest link */
    ops_map64 *lineage; /* old id -> new id, as pointer-sized numbers */
    ops_map64 *dead;    /* saved ids whose templates are gone */
    ops_map64 *dead_folds;
    fold_row *folds; /* ring of lim.lineage_max */
    size_t folds_at, folds_n, folds_cap;
    uint64_t folds_saved_seq, fold_seq; /* rows below folds_saved_seq are saved */
    fold_sets sets[OPS_SHAPE_ATOMS_MAX + 1];
    tmpl *first, *last, *catch_all;
    size_t live, gap_templates;
    tmpl *dirty;
    bool meta_dirty, loading;
    uint64_t seq, lines, truncated, fold_count, evicted, epoch;
    uint64_t effort; /* cells of alignments that may be worked out now */
    int64_t now_ns;  /* time of the line in work */
    size_t slots_bytes;
    size_t slots_due;        /* bytes of them that the next save may take; 0: the usual */
    ops_map64 *loaded_slots; /* of records whose template is not loaded yet */
    cache_slot *cache;       /* by the hash of the shape; half as many as the memo has */
    size_t slots;            /* of the memo, a power of two */
    uint64_t missed;         /* lines that the memo did not know since it grew last */
    memo_slot *memo;
    memo_spans *memo_spans; /* with statistics of slots only */
    pin_rule *pins;
    size_t pins_n;
    size_t (*find)(void *u, ops_slice line, ops_pin_span *ret, size_t max); /* may be NULL */
    void *find_u;
    ops_shape shape, other; /* scratch */
    ops_strbuf clean, text;
};

/* index.c */
static inline uint64_t ops_tmpl_key(tmpl_key kind, uint64_t h)
{
    return ops_hash_mix(h + (uint64_t)kind * 0xa0761d6478bd642full);
}
/* Puts t under all of its keys; what follows from its text and atoms alone. */
uint64_t ops_miner_bigram(uint64_t a, uint64_t b);
ops_status ops_miner_index(ops_miner *m, tmpl *t);
void ops_miner_unindex(ops_miner *m, tmpl *t);
static inline tmpl_link *ops_miner_chain(const ops_miner *m, uint64_t key)
{
    return ops_map64_get(m->chains, key);
}
static inline bool ops_atom_constant(uint8_t kind)
{
    return kind == OPS_ATOM_WORD || kind == OPS_ATOM_HELD;
}
/* Places after a colon and a blank where what follows may be a text of its own: ascending, at most MINER_TAILS_MAX. */
size_t ops_tmpl_tails(const tmpl *t, uint8_t at[static MINER_TAILS_MAX],
                      uint64_t keys[static MINER_TAILS_MAX]);

/* memo.c: lines that differ in digits only. */
/* Gives the memo `slots` slots and the cache of shapes half as many, all empty; on failure they stay as they are. */
ops_status ops_miner_memo_size(ops_miner *m, size_t slots);
void ops_miner_memo_free(ops_miner *m);
/* True: ret->slot->t is the line's template. Else ret is where a put goes; its slot is NULL for lines that are not kept. */
bool ops_miner_memo_get(ops_miner *m, ops_slice line, memo_look *ret);
void ops_miner_memo_put(ops_miner *m, const memo_look *look, tmpl *t, const line_spans *spans);

/* plain.c: variables that have had one value so far, which is shown in their place. */
ops_status ops_tmpl_plain_take(tmpl *t, ops_slice line, const ops_shape *sh);
/* Forgets each value that the line has not; true when some was forgotten. */
bool ops_tmpl_plain_check(tmpl *t, ops_slice line, const ops_shape *sh);
/* t's values become those that both have, at the same places. */
void ops_tmpl_plain_meet(tmpl *t, const tmpl *other);
/* The values of `from` as those of t, which has the same places but for those that became variables. */
ops_status ops_tmpl_plain_copy(tmpl *t, const tmpl *from);
ops_status ops_tmpl_plain_load(tmpl *t, ops_slice record);
void ops_tmpl_plain_forget(tmpl *t);
/* slots: NULL, or what tells the types of the variables. */
void ops_tmpl_shown(const tmpl *t, const ops_slots *slots, ops_strbuf *b);

/* feed.c: values into the statistics of slots. */
void ops_miner_feed(ops_miner *m, tmpl *t, ops_slice line, const line_spans *spans);
/* Where the values of a line of t lie, in the order of t's slots. */
void ops_tmpl_values(const tmpl *t, const ops_shape *sh, line_spans *ret);
/* What was folded: from's values, and what of its text became variable. */
void ops_miner_feed_fold(ops_miner *m, tmpl *into, const tmpl *from);
void ops_miner_feed_drop(ops_miner *m, tmpl *t);

/* fold.c */
ops_status ops_miner_fold_register(ops_miner *m, tmpl *t);
void ops_miner_fold_unregister(ops_miner *m, tmpl *t);
tmpl *ops_miner_fold_match(ops_miner *m, const ops_shape *sh);
/* Folds what t's birth made foldable; returns what stands for t now. Never fails: without memory nothing folds. */
tmpl *ops_miner_fold_try(ops_miner *m, tmpl *t);
/* Folds the live templates v[0..n) into f, which stands in no map yet and is freed when it can not; NULL then. */
tmpl *ops_miner_fold_into(ops_miner *m, tmpl *take_f, tmpl *const *v, size_t n);
/* Is there room for a template of that many atoms with t's folded places? */
bool ops_miner_fold_room(ops_miner *m, const tmpl *t);

/* gap.c: templates whose variable parts vary in their number of words. */
tmpl *ops_miner_gap_match(const ops_miner *m, const ops_shape *sh);
tmpl *ops_miner_gap_try(ops_miner *m, tmpl *t);
/* Where the variables of t lie in a line: atoms [from, to) of sh for the k-th atom of t that is one. */
typedef struct tmpl_span {
    uint8_t from, to;
} tmpl_span;
/* False when sh is no line of t. `ret` has room for t->n. free_gaps: a gap may hold anything, also what tells outcomes. */
bool ops_tmpl_spans(const tmpl *t, const ops_shape *sh, bool free_gaps, tmpl_span *ret);
/* t as if its text were a line. */
void ops_tmpl_shape(const tmpl *t, ops_shape *ret);
uint64_t ops_tmpl_hash(const tmpl *t);

/* skeleton.c: templates that share most of their words in one order. */
tmpl *ops_miner_skeleton_try(ops_miner *m, tmpl *t);

/* pin.c */
void ops_miner_pins_free(pin_rule *v, size_t n);
/* Cuts the line, with the spans that operators call slots. */
void ops_miner_cut(ops_miner *m, ops_slice line);
/* The template that operators say the line belongs to. */
tmpl *ops_miner_pinned(ops_miner *m, const ops_shape *sh);
/* Holds the words that operators say are constant; true when there are some. */
bool ops_miner_hold_apart(const ops_miner *m, ops_shape *sh);

/* lineage.c */
/* Takes the row of old_id out, if there is one. */
void ops_miner_unfold(ops_miner *m, uint64_t old_id);
/* Takes the row and its text; seq is set when it is new. On failure the row is freed. */
ops_status ops_miner_fold_row(ops_miner *m, fold_row *take_row);
/* Moves what t has counted to `into` and retires t. Without memory for the row nothing happens. */
ops_status ops_miner_fold_one(ops_miner *m, tmpl *t, tmpl *into, ops_miner_fold_why why);
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
/* The template that the shape of `line` gives birth to; in no map yet. */
tmpl *ops_tmpl_of(ops_miner *m, ops_slice line, const ops_shape *sh);
/* Puts t, which lives under no id yet, into the maps and lists; on failure t is freed. */
ops_status ops_miner_enter(ops_miner *m, tmpl *take_t);
void ops_tmpl_free(tmpl *t);
tmpl *ops_tmpl_new(size_t atoms, const char *text, size_t text_n);

#endif
