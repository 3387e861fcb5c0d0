/* The sessions of one live stream: learns its own normal traffic, then says when too many of them are unlike it.
 *
 * A session is the lines that share a key (a request, a trace), in order; it ends when a whole window went by without one.
 * A stream whose lines have no keys is cut by windows instead: each kind of line of a window once, in the order of their first
 * ones, so that load does not count. Sessions are judged by ops_sequence; kinds of line that the model does not know count
 * only when they speak of failure, for a deploy brings new kinds to every session.
 *
 * Phases. Looking (one minute): do lines have keys? Learning: sessions are taken in until there are enough of them, from at
 * least five minutes. Proving: they are judged and nobody is told; where more than one in 20 is odd, the stream is no stream
 * of like sessions and is learnt again, for twice as long. Watching: an episode of odd sessions is told when their number has a
 * chance of 10^-6 or less under the share that is usual, over two windows and 10 s at least, and is twice what an episode
 * that was not told ever had. A stream that changed for good is learnt anew.
 *
 * A worker, when there is one, trains a model of the learnt sessions and says how surprising later ones are: what it is
 * wanted for is asked with ops_session_watch_work(), what it says is given back, or not. The surprise joins the detectors'
 * score by a norm, beside their own verdict; 499 normal sessions set its threshold.
 *
 * Bounds: see the README. What does not fit is not looked at; no call fails of it. The same calls give the same answers, also
 * over a save and load, but for the texts of lines of sessions that were open then, and sessions that waited for a worker.
 * @thread: one owner at a time. Pure: no clock, no I/O. */
#ifndef OPS_ANALYSIS_SESSION_WATCH_H
#define OPS_ANALYSIS_SESSION_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"

enum {
    OPS_SESSION_EVIDENCE_MAX = 5,
    OPS_SESSION_RECORD_KEY_MAX = 16,
    OPS_SESSION_MODEL_MAX = 1 << 20, /* bytes of a trained model */
    OPS_SESSION_HASH_MAX = 65,
    OPS_SESSION_EXPECTED_MAX = 2,
};

typedef struct ops_session_watch ops_session_watch;

typedef struct ops_session_line {
    uint64_t key;   /* hash of the session's key; 0: the line has none */
    uint64_t event; /* the template's id */
    bool failure;   /* it speaks of failure */
    int64_t window; /* of 10 s, not closed yet */
    int64_t time_ns;
    uint64_t log_offset;
    uint32_t index;
    ops_slice text;
} ops_session_line;

/* How the templates' owner sees them. `folds` changes whenever `resolve` may answer otherwise than before. Slices of `name`
 * live until its next call. */
typedef struct ops_session_view {
    uint64_t (*resolve)(void *u, uint64_t event);
    ops_slice (*name)(void *u, uint64_t event);
    void *u;
    uint64_t folds;
    bool ill; /* something is wrong with the stream already: nothing is learnt of it now */
} ops_session_view;

typedef struct ops_session_evidence {
    uint64_t event, log_offset;
    int64_t time_ns;
    uint32_t index;
    ops_slice text; /* empty: not kept */
} ops_session_evidence;

/* What is to be told. All of it lives until the next call. */
typedef struct ops_session_odd {
    uint64_t odd, judged; /* sessions of the episode so far */
    double share;         /* of odd ones that is usual, as it was judged by */
    double p_value;       /* of that many */
    ops_slice words;      /* of the oddest: "after A expected B or C, saw D" */
    int64_t start_ns, last_ns;
    uint64_t events[2]; /* at the odd place, and before it */
    size_t event_n;
    bool keyed;
    size_t evidence_n;
    ops_session_evidence
        evidence[OPS_SESSION_EVIDENCE_MAX]; /* lines of one odd session around the odd place */
} ops_session_odd;

typedef enum ops_session_phase {
    OPS_SESSION_LOOKING,
    OPS_SESSION_LEARNING,
    OPS_SESSION_PROVING,
    OPS_SESSION_WATCHING
} ops_session_phase;

typedef struct ops_session_info {
    ops_session_phase phase;
    bool keyed;
    size_t open, learnt, kinds;
    double share; /* of odd sessions that is taken as usual */
    bool trained; /* a trained model is there */
    bool joined;  /* and its threshold: it judges */
} ops_session_info;

/* What a worker is wanted for. Sessions are numbers of kinds, one session behind the other: 0 .. kinds - 1, or `kinds` for a
 * kind without a number. Lives until the next call. */
typedef struct ops_session_work {
    uint64_t ticket;
    bool train; /* else: score */
    uint32_t kinds;
    const uint32_t *ids, *lengths; /* id_n of them, and n, at most 512 of at most 64 each */
    size_t id_n, n;
    uint64_t seed;               /* train */
    ops_slice model_hash, model; /* score */
    double allowance;
} ops_session_work;

typedef struct ops_session_surprise {
    double surprise;
    uint32_t place; /* of the line that surprised most; the session's length: its end */
    float seen;     /* chance of what came there */
    uint32_t expected[OPS_SESSION_EXPECTED_MAX]; /* likeliest first; a number, or kinds + 1: the end */
    float chance[OPS_SESSION_EXPECTED_MAX];
    uint32_t expected_n;
} ops_session_surprise;

/* Of a training the first fields, of a scoring the last. Nothing of it is trusted. */
typedef struct ops_session_answer {
    ops_slice model_hash, model;
    double allowance;
    const double *tail; /* surprises of sessions held out, the greatest first */
    size_t tail_n;
    const ops_session_surprise *scores; /* as many as were asked for */
    size_t n;
} ops_session_answer;

/* `window`: the first that it will see lines of. */
OPS_MUST_USE ops_status ops_session_watch_new(int64_t window, ops_session_watch **ret, ops_err *reterr);
void ops_session_watch_free(ops_session_watch *w);
OPS_AUTO_DEFINE(ops_session_watch, ops_session_watch_free)

/* Without memory the line's session is not judged. */
void ops_session_watch_add(ops_session_watch *w, const ops_session_line *line);
/* The window is closed. True: *ret is to be told. */
bool ops_session_watch_close(ops_session_watch *w, int64_t window, const ops_session_view *view,
                             ops_session_odd *ret);
void ops_session_watch_info(const ops_session_watch *w, ops_session_info *ret);

/* True: *ret is wanted of a worker; until it is answered nothing else is. Only for somebody who can ask one: what is
 * handed out and not answered goes without after a minute, a training after twenty. */
bool ops_session_watch_work(ops_session_watch *w, const ops_session_view *view, ops_session_work *ret);
/* What became of it; NULL: nobody could. OPS_ENOTFOUND: not wanted any more; OPS_EINVAL: no answer to what was asked, and
 * nothing of it was taken; OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_session_watch_answer(ops_session_watch *w, uint64_t ticket,
                                                 const ops_session_answer *a, const ops_session_view *view);

/* Records that changed since the last call; keys of one byte or two, an empty value means gone. Stops at the first status
 * that is not OPS_OK and may be called again. */
typedef ops_status (*ops_session_emit)(void *u, ops_slice key, ops_slice val);
OPS_MUST_USE ops_status ops_session_watch_save(ops_session_watch *w, ops_session_emit emit, void *u);
/* Into a fresh watch: every record, in any order, then load_done once. OPS_ECORRUPT, OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_session_watch_load(ops_session_watch *w, ops_slice key, ops_slice val);
OPS_MUST_USE ops_status ops_session_watch_load_done(ops_session_watch *w);

#endif
