/* A session in small numbers, and what is counted of it. Inside the room only.
 *
 * Events get dense ids in order of first appearance. Id 0 stands before a session, 1 behind it, 2 for every event that has
 * no id: unknown, or beyond the bound. @thread: as the model. */
#ifndef OPS_ANALYSIS_SEQUENCE_SESSION_H
#define OPS_ANALYSIS_SEQUENCE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/coll/map.h"
#include "base/coll/vec.h"
#include "base/status/status.h"

enum { SEQ_BEGIN = 0, SEQ_END = 1, SEQ_NONE = 2, SEQ_FIRST = 3, SEQ_NEW_NAMED = 4 };

/* One kind of event in a session; positions count from 0. */
typedef struct seq_item {
    uint32_t id, count, first, last;
} seq_item;

typedef struct seq_vocab {
    ops_map64 *ids;             /* event -> dense id */
    OPS_VEC(uint64_t) events;   /* by dense id */
    OPS_VEC(uint32_t) sessions; /* by dense id: learnt sessions that hold it */
    OPS_VEC(uint32_t) slot;     /* scratch by dense id */
    size_t over;                /* events that found no place */
} seq_vocab;

/* A session cut to its bound. Reused from call to call. */
typedef struct seq_session {
    OPS_VEC(uint32_t) ev;
    OPS_VEC(seq_item) items; /* ascending id, without ids below SEQ_FIRST */
    size_t new_kinds;        /* distinct events without an id, counted up to SEQ_NEW_NAMED of them */
    uint64_t new_events[SEQ_NEW_NAMED];
} seq_session;

ops_status seq_vocab_init(seq_vocab *v);
void seq_vocab_done(seq_vocab *v);
void seq_session_done(seq_session *s);

/* Dense ids of n events into s->ev; with `add`, unknown events get one. False when the heap is out. */
bool seq_session_map(seq_session *s, seq_vocab *v, const uint64_t *events, size_t n, bool add);
/* Fills s->items from n dense ids. False when the heap is out. */
bool seq_session_items(seq_session *s, seq_vocab *v, const uint32_t *ev, size_t n);
/* Kinds of the session that no learnt session holds (an event of the vocabulary may be held by none while one is out). */
size_t seq_session_new(const seq_session *s, const seq_vocab *v);

#endif
