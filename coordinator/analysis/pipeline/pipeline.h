/* The analysis of one partition: template -> window -> detect. The shard's owner thread calls it with every record.
 *
 * Event time rules. A record belongs to the 10 s window of its time_ns, clamped to recv_ns + 60 s. Windows close when the watermark
 * (the greatest event time seen, minus lateness) passes their end. When nothing arrives the watermark moves with the
 * clock that ops_pipeline_tick is handed: by as much as that clock has moved since the last record, counted in its own
 * units, so a replay of old records never meets the wall clock. ops_pipeline_advance moves it to an event time known from
 * elsewhere (another partition of the same replay), which is how a stream that fell silent alone in its partition
 * is noticed at replay speed.
 *
 * Determinism: the same calls in the same order give the same candidates; a pipeline loaded from a snapshot continues as
 * the one that saved it. @thread: one owner at a time. Pure: no clock, no I/O. */
#ifndef OPS_ANALYSIS_PIPELINE_H
#define OPS_ANALYSIS_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include "coordinator/analysis/detect/candidate.h"
#include "coordinator/analysis/session/watch.h"
#include "coordinator/analysis/template/miner.h"
#include "coordinator/analysis/template/pin.h"
#include "coordinator/analysis/template/slots.h"

typedef struct ops_pipeline ops_pipeline;

typedef void (*ops_pipeline_on_candidate)(void *u, const ops_candidate *c);

/* Zero in any field takes the default. */
typedef struct ops_pipeline_limits {
    size_t tenants_max; /* default 64; further ones are one tenant "(other)" */
    size_t streams_max; /* default 4,096; further ones of a tenant are one stream "(other)" */
    size_t
        series_per_stream_max; /* (stream, template) pairs; default 2,048; further ones count in the stream only */
    size_t templates_per_tenant_max; /* default 16,384 */
    int64_t lateness_ns;             /* default 3 s */
    size_t watches_max;    /* streams whose sessions are watched; default 32; those learnt later are not */
    bool sessions_ignored; /* no sessions at all */
    ops_pipeline_on_candidate on_candidate;
    void *u;
} ops_pipeline_limits;

typedef struct ops_event {
    ops_slice tenant, service, message;
    ops_slice session;        /* key of the request or trace it belongs to; empty: the message may name one */
    int64_t time_ns, recv_ns; /* unix ns */
    uint8_t severity; /* OpenTelemetry severity number: 0 unknown, 1..24; 13 WARN, 17 ERROR, 21 FATAL */
    bool
        echo; /* tells of what the service's own log may tell too: judged by its template, not in the count of errors */
    uint64_t log_offset; /* where the stream log holds it, handed through to evidence */
    uint32_t index;
} ops_event;

typedef struct ops_stream_info {
    ops_slice tenant, service;
    uint64_t records, errors, late;
    int64_t first_ns, last_ns;
    size_t templates;
    bool learning;
} ops_stream_info;

typedef struct ops_pipeline_stats {
    uint64_t records, late, clamped, series_full, streams_full, candidates, windows_closed;
    size_t streams, tenants, templates;
    size_t watches;         /* streams whose sessions are watched, or learnt to that end */
    size_t trained, joined; /* of those: with a trained model, and with one that judges */
} ops_pipeline_stats;

/* What a stream's sessions want of a worker; see ops_session_work. Lives until the pipeline changes. */
typedef struct ops_pipeline_work {
    uint64_t stream; /* names it to ops_pipeline_answer(), over restarts */
    ops_slice tenant, service;
    ops_session_work work;
} ops_pipeline_work;

OPS_MUST_USE ops_status ops_pipeline_new(const ops_pipeline_limits *limits, ops_pipeline **ret,
                                         ops_err *reterr);
void ops_pipeline_free(ops_pipeline *p);
OPS_AUTO_DEFINE(ops_pipeline, ops_pipeline_free)

/* May close windows, and so call on_candidate, before it returns. ret_hit may be NULL. */
OPS_MUST_USE ops_status ops_pipeline_add(ops_pipeline *p, const ops_event *e, ops_template_hit *ret_hit,
                                         ops_err *reterr);
/* now_ns: any steady clock in ns, the same at every call (replays hand in their own). */
OPS_MUST_USE ops_status ops_pipeline_tick(ops_pipeline *p, int64_t now_ns, ops_err *reterr);
OPS_MUST_USE ops_status ops_pipeline_advance(ops_pipeline *p, int64_t event_ns, ops_err *reterr);
/* The input has ended: closes each stream's windows up to its last record. Nobody is called silent by it. */
void ops_pipeline_finish(ops_pipeline *p);
/* The greatest event time seen, INT64_MIN before the first record. */
int64_t ops_pipeline_event_ns(const ops_pipeline *p);

/* A stream is one record with all its series: save every second or so, not with every batch, and replay the log from the
 * position saved beside it.
 * As ops_miner_save_dirty: an empty value means the key is gone. Keys are short binary strings, unique in a pipeline. */
OPS_MUST_USE ops_status ops_pipeline_save_dirty(ops_pipeline *p, ops_miner_emit emit, void *u,
                                                ops_err *reterr);
/* Into a fresh pipeline: every record, then load_done once. OPS_ECORRUPT names the key. */
OPS_MUST_USE ops_status ops_pipeline_load(ops_pipeline *p, ops_slice key, ops_slice val, ops_err *reterr);
OPS_MUST_USE ops_status ops_pipeline_load_done(ops_pipeline *p, ops_err *reterr);

/* What operators say of templates, for every tenant there is and will be, in place of what was set before. The set's pins,
 * `find` and `u` must outlive the pipeline or the next call. On failure some tenants may have it already: call again. */
OPS_MUST_USE ops_status ops_pipeline_pins_set(ops_pipeline *p, const ops_pin_set *pins, ops_err *reterr);

/* Start with *iter = 0. Slices live until the pipeline changes. */
bool ops_pipeline_next_stream(const ops_pipeline *p, size_t *iter, ops_stream_info *ret);
/* Templates of all tenants: *iter = {0}. */
typedef struct ops_pipeline_template_iter {
    size_t tenant, at;
} ops_pipeline_template_iter;
bool ops_pipeline_next_template(const ops_pipeline *p, ops_pipeline_template_iter *iter,
                                ops_slice *ret_tenant, ops_template_info *ret);
bool ops_pipeline_template(const ops_pipeline *p, ops_slice tenant, uint64_t id, ops_template_info *ret);
uint64_t ops_pipeline_resolve(const ops_pipeline *p, ops_slice tenant, uint64_t id);
/* Live templates of one tenant; *iter = 0. */
bool ops_pipeline_next_template_of(const ops_pipeline *p, ops_slice tenant, size_t *iter,
                                   ops_template_info *ret);
/* Statistics of a live template's slots; NULL when there are none. */
const ops_slots *ops_pipeline_slots(const ops_pipeline *p, ops_slice tenant, uint64_t id);
/* What was folded into what, oldest first; *iter = 0. */
bool ops_pipeline_next_fold(const ops_pipeline *p, ops_slice tenant, size_t *iter, ops_miner_fold_info *ret);
/* The streams in which the live template `id` occurs, with its records there and how many of them count as errors; those
 * past a stream's series_per_stream_max are not known. */
typedef void (*ops_pipeline_on_occurrence)(void *u, ops_slice service, uint64_t records, uint64_t errors);
void ops_pipeline_template_streams(const ops_pipeline *p, ops_slice tenant, uint64_t id,
                                   ops_pipeline_on_occurrence fn, void *u);
/* Statistics of slots are saved less often than the rest (see ops_miner_slots_due): after this call all are due, up to
 * `bytes` of them. */
void ops_pipeline_slots_due(ops_pipeline *p, size_t bytes);
void ops_pipeline_stats_get(const ops_pipeline *p, ops_pipeline_stats *ret);

/* Only for somebody who can ask a worker. *iter = 0 at first, then as it is left: whatever is not handed out in one go comes first in
 * the next. False: no stream wants anything now. */
bool ops_pipeline_next_work(ops_pipeline *p, size_t *iter, ops_pipeline_work *ret);
/* As ops_session_watch_answer(); OPS_ENOTFOUND also when there is no such stream. */
OPS_MUST_USE ops_status ops_pipeline_answer(ops_pipeline *p, uint64_t stream, uint64_t ticket,
                                            const ops_session_answer *a);

#endif
