/* The state of a pipeline. Private to the room. */
#ifndef OPS_ANALYSIS_PIPELINE_STATE_H
#define OPS_ANALYSIS_PIPELINE_STATE_H

#include "base/coll/map.h"
#include "base/coll/vec.h"
#include "base/text/strbuf.h"
#include "coordinator/analysis/detect/failure_words.h"
#include "coordinator/analysis/pipeline/pipeline.h"
#include "coordinator/analysis/session/watch.h"
#include "coordinator/analysis/window/series.h"

#define SECOND_NS ((int64_t)1000000000)
#define WINDOW_NS (10 * SECOND_NS)
enum {
    SLOTS = 2,              /* windows of a stream that are open at once */
    EVIDENCE_RING = 8,      /* odd messages kept per stream */
    CATCH_UP_WINDOWS = 360, /* after a leap of event time at most this many empty windows are judged */
    NAME_BYTES_MAX = 256,   /* of a tenant or service; longer ones are cut */
};
#define VALUE_MAX                                                                                            \
    (((int64_t)1 << 62) - 1) /* of a time or window (year 2116): sums and differences stay in range */
#define NEVER_W (-((int64_t)1 << 60)) /* a window before all */

typedef struct tenant {
    char *name;
    uint32_t name_n;
    ops_miner *miner;
    int64_t first_ns;
    uint64_t records, errors;
    bool dirty;
} tenant;

typedef struct row { /* one template in one stream; its errors and its other records are two rows */
    uint64_t id;
    ops_series s;
    uint64_t total;
    int64_t first_w, last_w; /* windows of the first record and of what was learned last */
    int64_t slot_w[SLOTS];
    uint32_t count[SLOTS];
    uint8_t failure; /* ops_failure */
    bool error;      /* its records count as errors */
    bool born_late;  /* first seen when errors of the stream were already judged */
    bool kept;       /* seen in a second window */
    bool dirty, in_slot[SLOTS];
} row;

typedef struct piece { /* an odd message */
    int64_t time_ns;
    uint64_t template_id, log_offset;
    uint32_t index, text_n;
    bool error;
    char *text;
} piece;

typedef struct stretch {    /* of seconds that had errors */
    int64_t first_s, gap_s; /* the most from one to the next */
    uint32_t seconds;
} stretch;

typedef struct episode { /* errors beyond the baseline, until a minute without */
    bool on, told, critical;
    int64_t start_ns, last_ns, last_hot_w, start_w, told_w;
    double score;     /* sum of -log10 p over its hot windows */
    uint32_t windows; /* hot ones */
    int64_t last_s;   /* the last second with an error */
    stretch all,
        run; /* the episode's seconds with errors, and those since the last gap of over ten seconds */
    double best_p, best_value, best_low, best_high;
    uint8_t best_kind;
    uint64_t best_id;
    uint64_t errors;
    uint32_t template_count;
    uint64_t templates[OPS_CANDIDATE_TEMPLATES_MAX];
} episode;

typedef struct slot {
    int64_t w;
    uint32_t total, errors;
    int64_t first_error_ns, last_error_ns;
    uint16_t error_seconds; /* bit i: second i of the window had an error */
    OPS_VEC(row *) rows;
} slot;

typedef struct stream {
    uint32_t tenant;
    char *service;
    uint32_t service_n;
    uint64_t key; /* hash of both names, for records */
    uint64_t records, errors, late;
    int64_t first_ns, last_ns; /* event time of the first and of the furthest record */
    int64_t mark_ns;           /* the pipeline's event clock at the last record */
    int64_t closed_w;          /* every window up to this one is closed */
    ops_series total, error;
    slot slots[SLOTS];
    ops_map64 *rows;
    uint32_t new_recent; /* while learning, births of the last minute, decayed; then those that stayed */
    double new_rate;     /* the same per window, smoothed */
    uint32_t new_in_w, kept_in_w, up_run, down_run;
    int64_t change_w, silent_w, up_w, down_w, learned_w;
    int64_t wait_ns; /* longest that the event clock moved between two of its records */
    bool learned, silent, hushed, born_ill;
    uint32_t fresh_n; /* templates of the change in work */
    uint64_t fresh[OPS_CANDIDATE_TEMPLATES_MAX];
    episode ep;
    piece ring[EVIDENCE_RING];
    uint32_t ring_at;
    ops_session_watch *watch; /* NULL: its sessions are not watched */
    bool dirty;
} stream;

struct ops_pipeline {
    ops_pipeline_limits lim;
    OPS_VEC(tenant *) tenants;
    OPS_VEC(stream *) streams;
    ops_map *tenant_of;       /* name -> tenant index + 1 */
    ops_map *stream_of;       /* tenant NUL service -> stream */
    int64_t event_ns;         /* greatest event time seen */
    int64_t alive_ns;         /* the same, moved on by advance */
    int64_t tick_ns, idle_ns; /* the clock of tick, and how far it moved since anything arrived */
    bool ticked, meta_dirty;
    ops_pipeline_stats stats;
    ops_strbuf text, words;
    ops_pin_set pins; /* the caller's */
    bool pinned;
    size_t watches;
    ops_map64 *loading; /* stream's key -> watch, between load and load_done */
};

static inline int64_t window_of(int64_t ns)
{
    return ns >= 0 ? ns / WINDOW_NS : -((-ns + WINDOW_NS - 1) / WINDOW_NS);
}

/* stream.c */
tenant *ops_pipeline_tenant(ops_pipeline *p, ops_slice name, int64_t time_ns, uint32_t *ret_index);
stream *ops_pipeline_stream(ops_pipeline *p, uint32_t tenant_index, ops_slice service, int64_t time_ns);
tenant *ops_pipeline_tenant_put(ops_pipeline *p, ops_slice name);
stream *ops_pipeline_stream_put(ops_pipeline *p, uint32_t tenant_index, ops_slice service);
row *ops_stream_row_put(stream *s, uint64_t id, bool error);
void ops_stream_free(stream *s);
row *ops_stream_row(ops_pipeline *p, stream *s, uint64_t id, int64_t w, uint8_t failure, bool error);
row *ops_stream_row_get(const stream *s, uint64_t id, bool error);
/* What the words of a template say: from its rows, else from the message. */
ops_failure ops_stream_failure(const stream *s, uint64_t id, ops_slice message);
void ops_stream_keep(stream *s, const ops_event *e, uint64_t id, bool error);
size_t ops_stream_slot(const stream *s, int64_t w);

/* judge.c */
/* Closes every window up to upto_w; others_alive: event time moved because something else still speaks. */
void ops_stream_close(ops_pipeline *p, stream *s, int64_t upto_w, bool others_alive);
/* An error of window w was counted while an episode waits to be told: tells it when what is there of w suffices. */
void ops_stream_judge_open(ops_pipeline *p, stream *s, int64_t w, int64_t time_ns);
/* Nothing came for quiet_ns of the event clock: too early for a finding of its own, soon enough to bear out another. */
void ops_stream_judge_hush(ops_pipeline *p, stream *s, int64_t quiet_ns);
/* Adds who it is of and evidence, and hands the candidate out; its words are in p->words. */
void ops_stream_tell(ops_pipeline *p, stream *s, ops_candidate *c);
/* Errors are judged from here on. */
bool ops_stream_judged(const stream *s, int64_t w);

/* sessions.c */
/* A line of window w, which is open. */
void ops_stream_sessions_add(stream *s, const ops_event *e, uint64_t id, int64_t w, bool failure);
void ops_stream_sessions_close(ops_pipeline *p, stream *s, int64_t w);
ops_status ops_stream_sessions_save(stream *s, ops_miner_emit emit, void *u);
ops_status ops_pipeline_sessions_load(ops_pipeline *p, ops_slice key, ops_slice val);
ops_status ops_pipeline_sessions_load_done(ops_pipeline *p);
void ops_pipeline_sessions_free(ops_pipeline *p);
void ops_pipeline_sessions_count(const ops_pipeline *p, ops_pipeline_stats *ret);

#endif
