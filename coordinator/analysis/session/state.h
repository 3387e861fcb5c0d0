/* A watch's insides, shared by the files of this room. */
#ifndef OPS_ANALYSIS_SESSION_STATE_H
#define OPS_ANALYSIS_SESSION_STATE_H

#include "base/coll/map.h"
#include "base/coll/vec.h"
#include "base/text/strbuf.h"
#include "coordinator/analysis/sequence/sequence.h"
#include "coordinator/analysis/session/watch.h"

enum {
    OPEN_MAX = 64,      /* sessions open at once */
    EVENTS_MAX = 64,    /* lines of one; what follows is a session of its own */
    WITNESSES = 4,      /* open sessions whose lines are kept */
    WITNESSES_ODD = 16, /* while an episode is on */
    LINE_MAX = 160,     /* bytes of a line that are kept */
    SESSIONS_MAX = 512, /* learnt; when full, every second one stays and is taken from then on */
    POOL_MAX = 16384,   /* lines of all of them */
    KINDS_MAX = 1024,   /* of lines; others are not looked at */
    CHUNK = 64,         /* learnt sessions of a record */
    CHUNKS = SESSIONS_MAX / CHUNK,
    WORDS_MAX = 400,
    SPARSE_MASK_MAX = 1 << 20,
    WAITING_MAX = 128, /* sessions that wait for a worker's answer */
    SESSION_HELD =
        499 /* normal ones that set the threshold: the next is odder than all of them once in 500 */
};
#define TIME_LONG_AGO (((int64_t)1 << 61) - 1)

typedef struct kept_line {
    int64_t time_ns;
    uint64_t log_offset;
    uint32_t index, n;
    char *text;
} kept_line;

typedef struct open_session {
    uint64_t key;
    int64_t first_ns, last_ns, last_w;
    uint64_t ev[EVENTS_MAX];
    uint64_t failures;   /* bit i: event i speaks of failure */
    uint32_t n, lines_n; /* lines_n: with those that were not taken */
    bool partial;        /* its beginning was not seen: not judged, not learnt */
    bool ended;          /* EVENTS_MAX lines */
    kept_line *lines;    /* of a witness; NULL, or EVENTS_MAX of them */
} open_session;

typedef struct learnt {
    OPS_VEC(uint64_t) kinds;
    ops_map64 *at; /* kind -> place in kinds, plus 1 */
    OPS_VEC(uint16_t) pool;
    OPS_VEC(uint32_t) ends;        /* session i is pool[ends[i - 1]] up to before pool[ends[i]] */
    uint64_t used[KINDS_MAX / 64]; /* bits: kinds in the pool, once a model was made of it */
    uint32_t low, high;            /* lines of windows learnt, least and most; 0 and 0 before the first */
    uint32_t stride, seen;         /* every stride-th of those seen is taken */
    bool kinds_dirty;
    uint8_t chunk_dirty, chunk_saved; /* bits */
} learnt;

typedef struct episode {
    bool on, told;
    int64_t start_ns, last_ns, odd_w, told_w, start_w;
    uint64_t judged, odd;
    uint32_t windows; /* with odd sessions */
    double oddest;    /* score of the session that the words are of */
    bool by_model;    /* they are the trained model's, which only its own of an odder session replace */
    uint64_t events[2];
    uint32_t event_n;
    char *words;
    uint32_t words_n;
    kept_line line[OPS_SESSION_EVIDENCE_MAX];
    uint64_t line_event[OPS_SESSION_EVIDENCE_MAX];
    uint32_t line_n;
    bool witnessed;
} episode;

/* A session that ended, was judged by the detectors and is, or will be, with a worker. */
typedef struct waiting {
    open_session *session;
    double score; /* the detectors' */
    bool odd;     /* to them */
    bool held;    /* may help to set the threshold */
    int64_t judged_w;
} waiting;

/* joined.c: the trained model. */
typedef struct joined {
    uint64_t tickets, out;    /* the last one given; the one that is under way, or 0 */
    size_t out_n;             /* of the waiting ones, the first, that are with it; 0: a training */
    uint32_t out_kinds;       /* of a training */
    int64_t asked_w;          /* when one was last asked for */
    char *model;              /* NULL: there is none */
    size_t model_n, loaded_n; /* loaded_n: as its other record has it, while loading */
    char hash[OPS_SESSION_HASH_MAX];
    uint32_t kinds; /* of the model; the first of those learnt */
    double allowance, tail;
    uint32_t held_n; /* normal sessions that the threshold was taken from */
    double held_max;
    waiting *waiting[WAITING_MAX];
    size_t waiting_n;
    bool dirty, state_dirty,
        saved; /* the model's record and the small one beside it; saved: they are in the store */
    OPS_VEC(uint32_t) ids;
    OPS_VEC(uint32_t) lengths;
} joined;

struct ops_session_watch {
    ops_session_phase phase;
    bool keyed;
    int64_t phase_w; /* when it began */
    uint32_t longer; /* times that learning takes */
    uint64_t lines, keyed_lines;
    uint64_t mask,
        wider; /* keys whose bits under the mask are 0 are followed; `wider`: the mask before the last change */
    int64_t
        mask_w; /* when that was: sessions of keys that were not followed before begin in their middle for a while */
    open_session *open[OPEN_MAX];
    size_t open_n;
    learnt learnt;
    ops_sequence *model; /* made of `learnt` when first wanted */
    uint64_t folds;
    double judged, odd; /* while not told: slowly forgotten */
    double recent,
        recent_fresh; /* sessions of the last ten minutes, and those with kinds that the model lacks */
    uint32_t peak;    /* most odd ones of an episode that was not told */
    uint32_t w_judged, w_odd, w_fresh; /* of the window being closed */
    uint32_t late_odd;                 /* of earlier ones, found since */
    int64_t now_w;                     /* the last that was closed */
    joined joined;
    episode ep;
    bool dirty;
    char *chunk[CHUNKS]; /* of a load that is not done */
    size_t chunk_n[CHUNKS];
    ops_strbuf text;
    OPS_VEC(uint64_t) ids; /* scratch */
};

/* open.c */
void session_open_free(open_session *s);
/* The open session of the line, NULL when it is not followed. */
open_session *session_open_of(ops_session_watch *w, uint64_t key, const ops_session_line *l);
void session_open_push(ops_session_watch *w, open_session *s, const ops_session_line *l);
void session_open_widen(ops_session_watch *w, int64_t window);
void session_lines_done(kept_line *lines, size_t n);
/* False without memory: *to is as it was. */
bool session_line_copy(const kept_line *from, kept_line *to);

/* learnt.c */
bool session_learnt_init(learnt *l);
void session_learnt_done(learnt *l);
void session_learnt_clear(learnt *l);
size_t session_learnt_n(const learnt *l);
/* Place of a kind in l->kinds, or SIZE_MAX. With `add` an unknown one gets a place while there is room. */
size_t session_kind(learnt *l, uint64_t kind, bool add);
/* Takes in a session of resolved kinds. False: no memory, nothing changed. */
bool session_learn(learnt *l, const uint64_t *kinds, size_t n);
/* Kinds as the view sees them now. True when any changed: the model must be made again. False also without memory. */
bool session_learnt_refold(learnt *l, const ops_session_view *view);
ops_sequence *session_learnt_fit(learnt *l);
/* Of a model that was made: false for a kind of normal sessions that are not among those kept. */
bool session_kind_used(const learnt *l, size_t place);

/* episode.c */
void session_episode_clear(ops_session_watch *w);
/* One more odd session; place: of its worst event (s->n: the end). */
void session_episode_odd(ops_session_watch *w, const open_session *s, const ops_session_view *view,
                         double score, size_t place, ops_slice words);
/* The trained model's words for an odd session that is counted already. */
void session_episode_reword(ops_session_watch *w, const open_session *s, const ops_session_view *view,
                            double score, size_t place, ops_slice words);
bool session_episode_due(const ops_session_watch *w, int64_t window, double share, double *ret_p);
void session_episode_tell(ops_session_watch *w, int64_t window, double share, double p, ops_session_odd *ret);

/* watch.c */
/* Kinds of the session that the model knows, and those that speak of failure, into w->ids. *ret_fresh: others were left out;
 * at[i] is the place in the session of w->ids.v[i]. False without memory. */
bool session_known_kinds(ops_session_watch *w, const open_session *s, const ops_session_view *view,
                         uint8_t at[EVENTS_MAX + 1], bool *ret_fresh);

/* joined.c */
void session_joined_init(joined *j);
void session_joined_done(joined *j);
/* What was learnt is learnt no more. */
void session_joined_clear(joined *j);
bool session_joined_judges(const joined *j);
/* An episode was told. */
void session_joined_told(joined *j);
/* A session that the detectors judged; false: it stays the caller's. */
bool session_joined_take(ops_session_watch *w, open_session *take_s, double score, bool odd, bool held);
void session_joined_close(ops_session_watch *w, int64_t window);

/* words.c */
ops_slice session_words_cut(ops_slice words);
ops_slice session_name_of(void *view, uint64_t event);
/* The model has something to say of it. */
bool session_joined_says(const ops_session_surprise *s);
/* Words for the session in w->ids, the model's before the detectors', into w->text. False without memory. */
bool session_joined_words(ops_session_watch *w, const ops_session_surprise *s, const ops_session_view *view);

/* store_joined.c: records "j" and "m". */
ops_status session_joined_save(ops_session_watch *w, ops_session_emit emit, void *u);
ops_status session_joined_load(joined *j, char key, ops_slice val);
/* Both are there or neither is. */
ops_status session_joined_loaded(ops_session_watch *w);

#endif
