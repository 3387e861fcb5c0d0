/* What is looked up when somebody scrapes: positions, lag, sizes. */
#include <stdio.h>
#include <string.h>

#include "base/log/log.h"
#include "base/mem/alloc.h"
#include "coordinator/dispatch/served.h"
#include "opsd/daemon.h"

enum {
    ROW_BUILD,
    ROW_START,
    ROW_READY,
    ROW_NEXT,
    ROW_POSITION,
    ROW_LAG,
    ROW_STREAMS,
    ROW_TEMPLATES,
    ROW_WATCHES,
    ROW_SERIES,
    ROW_SERIES_BYTES,
    ROW_COMPONENTS,
    ROW_COMPONENT_BYTES,
    ROW_COMPONENTS_FULL,
    ROW_SERIES_ADMITTED,
    ROW_PINS_LIMITED,
    ROW_PINS_OFF,
    ROW_PENDING,
    ROW_GROUPS,
    ROW_DUPLICATES,
    ROW_REFUSED,
    ROW_INFLIGHT,
    ROW_REVISION,
    ROW_INCIDENTS,
    ROW_INCIDENT_CHANGES,
    ROW_INCIDENTS_POSITION,
    ROW_WORKERS,
    ROW_MODEL_REQUESTS,
    ROW_MODEL_BLOCKS,
    ROW_MODEL_TOKENS,
    ROW_HTTP_REQUESTS,
    ROW_HTTP_GONE,
    ROW_HTTP_CUT,
    ROW_TASKS,
    ROW_TASK_TOKENS,
    ROW_MEANINGS,
    ROW_SESSION_TRAININGS,
    ROW_SESSION_SCORED,
    ROW_SESSION_REFUSED,
    ROW_SESSION_MODELS,
    ROW_LOG_LINES,
    ROW_COUNT
};

static const ops_metric_desc rows[ROW_COUNT] = {
    [ROW_BUILD] = {"opsd_build_info", "Version; always 1.", OPS_METRIC_GAUGE, .labels = {"version"}},
    [ROW_START] = {"opsd_start_time_seconds", "When the process started, Unix time.", OPS_METRIC_GAUGE},
    [ROW_READY] = {"opsd_ready", "1 when every partition is at work.", OPS_METRIC_GAUGE},
    [ROW_NEXT] = {"opsd_partition_next_offset", "Entries ever appended.", OPS_METRIC_GAUGE,
                  .labels = {"partition"}, .series_max = 256},
    [ROW_POSITION] = {"opsd_partition_position", "Entries analysed, durable in the state.", OPS_METRIC_GAUGE,
                      .labels = {"partition"}, .series_max = 256},
    [ROW_LAG] = {"opsd_partition_lag_seconds", "Age of the newest entry that was read; 0 when all is read.",
                 OPS_METRIC_GAUGE, .labels = {"partition"}, .series_max = 256},
    [ROW_STREAMS] = {"opsd_streams", "Streams known.", OPS_METRIC_GAUGE},
    [ROW_TEMPLATES] = {"opsd_templates", "Templates alive.", OPS_METRIC_GAUGE},
    [ROW_WATCHES] = {"opsd_session_streams", "Streams whose sessions are watched, or learnt to that end.",
                     OPS_METRIC_GAUGE},
    [ROW_SERIES] = {"opsd_series", "Series of metrics known.", OPS_METRIC_GAUGE},
    [ROW_SERIES_BYTES] = {"opsd_series_bytes", "Memory of their baselines.", OPS_METRIC_GAUGE},
    [ROW_COMPONENTS] = {"opsd_components", "Services whose series are seen together.", OPS_METRIC_GAUGE},
    [ROW_COMPONENT_BYTES] = {"opsd_component_bytes", "Memory of what is known of them.", OPS_METRIC_GAUGE},
    [ROW_COMPONENTS_FULL] = {"opsd_components_full",
                             "Times a service found no room within metrics.components_max, since the start.",
                             OPS_METRIC_GAUGE},
    [ROW_SERIES_ADMITTED] = {"opsd_series_admitted",
                             "Series that count against metrics.series_max, of all tenants.",
                             OPS_METRIC_GAUGE},
    [ROW_PINS_LIMITED] = {"opsd_pins_limited",
                          "Matches of pinned regexes given up at their limit, since the pins were set.",
                          OPS_METRIC_GAUGE},
    [ROW_PINS_OFF] = {"opsd_pins_regexes_off",
                      "Pinned regexes that some partition left out for meeting their limit often.",
                      OPS_METRIC_GAUGE},
    [ROW_PENDING] = {"opsd_log_pending_bytes", "Appended and not yet durable.", OPS_METRIC_GAUGE},
    [ROW_GROUPS] = {"opsd_log_groups", "Synced writes since the start.", OPS_METRIC_GAUGE},
    [ROW_DUPLICATES] = {"opsd_log_duplicates", "Entries sent again and stored once, since the start.",
                        OPS_METRIC_GAUGE},
    [ROW_REFUSED] = {"opsd_log_refused", "Appends refused since the start, by reason.", OPS_METRIC_GAUGE,
                     .labels = {"reason"}},
    [ROW_INFLIGHT] = {"opsd_http_inflight_bytes", "Bodies being received or handled on the OTLP port.",
                      OPS_METRIC_GAUGE},
    [ROW_REVISION] = {"opsd_findings_revision", "Revision of the newest finding.", OPS_METRIC_GAUGE},
    [ROW_INCIDENTS] = {"opsd_incidents", "Incidents under way, by state.", OPS_METRIC_GAUGE,
                       .labels = {"state"}},
    [ROW_INCIDENT_CHANGES] = {"opsd_incident_changes",
                              "What became of incidents and of findings in them since the start.",
                              OPS_METRIC_GAUGE, .labels = {"change"}},
    [ROW_INCIDENTS_POSITION] = {"opsd_incidents_position",
                                "Revision of the last finding that was grouped; opsd_findings_revision when "
                                "all are.",
                                OPS_METRIC_GAUGE},
    [ROW_WORKERS] = {"opsd_workers", "Attached workers that have models; 0: statistics only.",
                     OPS_METRIC_GAUGE},
    [ROW_MODEL_REQUESTS] = {"opsd_model_requests",
                            "Requests that models have, over all workers, by what they do.", OPS_METRIC_GAUGE,
                            .labels = {"model", "state"}, .series_max = 256},
    [ROW_MODEL_BLOCKS] =
        {"opsd_model_blocks",
         "Blocks of the caches of models, over all workers, by state; those of layers with a window apart.",
         OPS_METRIC_GAUGE, .labels = {"model", "state"}, .series_max = 256},
    [ROW_MODEL_TOKENS] = {"opsd_model_tokens", "Tokens since models were loaded, over all workers, by kind.",
                          OPS_METRIC_GAUGE, .labels = {"model", "kind"}, .series_max = 256},
    [ROW_HTTP_REQUESTS] =
        {"opsd_http_requests",
         "Requests since the start by route and what became of them: done, refused (4xx), failed "
         "(5xx, or a stream that ended with an error), gone (the client went first), cut (a stream "
         "that was broken off).",
         OPS_METRIC_GAUGE, .labels = {"port", "method", "route", "outcome"}, .series_max = 512},
    [ROW_HTTP_GONE] =
        {"opsd_http_clients_gone",
         "Answers under way whose client went away, since the start; what was done for them ended.",
         OPS_METRIC_GAUGE, .labels = {"port"}},
    [ROW_HTTP_CUT] = {"opsd_http_streams_cut",
                      "Streams broken off since the start: their client did not read, or had gone.",
                      OPS_METRIC_GAUGE, .labels = {"port"}},
    [ROW_TASKS] = {"opsd_tasks", "Tasks for workers since the start, by fate; waiting and running are now.",
                   OPS_METRIC_GAUGE, .labels = {"fate"}, .series_max = 32},
    [ROW_TASK_TOKENS] =
        {"opsd_task_tokens",
         "Tokens of tasks that were done since the start: in (read, cached ones too), cached (not "
         "computed again), out (written).",
         OPS_METRIC_GAUGE, .labels = {"kind"}},
    [ROW_MEANINGS] = {"opsd_meanings", "Templates to be embedded since the start, by fate.", OPS_METRIC_GAUGE,
                      .labels = {"fate"}},
    [ROW_SESSION_TRAININGS] =
        {"opsd_session_trainings",
         "Models of a stream's sessions that workers were asked to train since the start, "
         "by fate.",
         OPS_METRIC_GAUGE, .labels = {"fate"}},
    [ROW_SESSION_SCORED] = {"opsd_session_scores", "Sessions that workers scored since the start.",
                            OPS_METRIC_GAUGE},
    [ROW_SESSION_REFUSED] = {"opsd_session_work_refused",
                             "Session work since the start that no worker did, and answers that did not fit.",
                             OPS_METRIC_GAUGE, .labels = {"why"}},
    [ROW_SESSION_MODELS] = {"opsd_session_models", "Trained models of streams' sessions, by state.",
                            OPS_METRIC_GAUGE, .labels = {"state"}},
    [ROW_LOG_LINES] = {"opsd_log_lines", "opsd's own log lines since the start, by fate.", OPS_METRIC_GAUGE,
                       .labels = {"fate"}},
};

struct opsd_gauges {
    ops_metrics *metrics;
};

ops_status opsd_gauges_new(opsd_daemon *d, ops_err *reterr)
{
    d->gauges = ops_calloc(1, sizeof *d->gauges);
    if (d->gauges == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "gauges");
    return ops_metrics_new(rows, ROW_COUNT, &d->gauges->metrics, reterr);
}

void opsd_gauges_free(opsd_gauges *g)
{
    if (g == NULL)
        return;
    ops_metrics_free(g->metrics);
    ops_free(g);
}

static void set(opsd_daemon *d, size_t row, const char *label, double value)
{
    ops_metric_set(ops_metric_at(d->gauges->metrics, row, label), value);
}

static void partitions(opsd_daemon *d)
{
    double streams = 0, templates = 0, watches = 0, limited = 0, off = 0, series = 0, bytes = 0, views = 0,
           view_bytes = 0, full = 0;
    double trained = 0, joined = 0, misfits = 0;
    uint32_t n = (uint32_t)ops_conf_uint(d->conf, KEY_STORAGE_PARTITIONS);
    for (uint32_t i = 0; i < n; i++) {
        ops_partition_info info;
        char label[16];
        if (ops_owners_partition(d->owners, i, &info, NULL) != OPS_OK)
            continue;
        (void)snprintf(label, sizeof label, "%u", i);
        set(d, ROW_NEXT, label, (double)info.next);
        set(d, ROW_POSITION, label, (double)info.position);
        set(d, ROW_LAG, label, (double)info.lag_ns / 1e9);
        streams += (double)info.stats.streams;
        templates += (double)info.stats.templates;
        watches += (double)info.stats.watches;
        trained += (double)info.stats.trained;
        joined += (double)info.stats.joined;
        misfits += (double)info.answers_refused;
        series += (double)info.series.series;
        bytes += (double)info.series.baseline_bytes;
        views += (double)info.series.views;
        view_bytes += (double)info.series.view_bytes;
        full += (double)info.series.views_full;
        limited += (double)info.pins.limited;
        off = (double)info.pins.off > off ? (double)info.pins.off : off;
    }
    set(d, ROW_STREAMS, NULL, streams);
    set(d, ROW_TEMPLATES, NULL, templates);
    set(d, ROW_WATCHES, NULL, watches);
    set(d, ROW_SESSION_MODELS, "trained", trained);
    set(d, ROW_SESSION_MODELS, "judging", joined);
    set(d, ROW_SESSION_REFUSED, "answer_misfit", misfits);
    set(d, ROW_SERIES, NULL, series);
    set(d, ROW_SERIES_BYTES, NULL, bytes);
    set(d, ROW_COMPONENTS, NULL, views);
    set(d, ROW_COMPONENT_BYTES, NULL, view_bytes);
    set(d, ROW_COMPONENTS_FULL, NULL, full);
    set(d, ROW_SERIES_ADMITTED, NULL, (double)ops_intake_series(d->intake));
    set(d, ROW_PINS_LIMITED, NULL, limited);
    set(d, ROW_PINS_OFF, NULL, off);
}

static void the_log(opsd_daemon *d)
{
    ops_streamlog_stats s;
    ops_streamlog_stats_get(d->stores.log, &s);
    set(d, ROW_PENDING, NULL, (double)s.pending_bytes);
    set(d, ROW_GROUPS, NULL, (double)s.groups);
    set(d, ROW_DUPLICATES, NULL, (double)s.duplicates);
    set(d, ROW_REFUSED, "full", (double)s.refused_full);
    set(d, ROW_REFUSED, "disk", (double)s.refused_space);
}

static void set_two(opsd_daemon *d, size_t row, const char *model, const char *label, double value)
{
    const ops_slice labels[] = {ops_slice_str(model), ops_slice_str(label)};
    ops_metric_set(ops_metric_at_n(d->gauges->metrics, row, labels, 2), value);
}

static bool set_use(void *u, const ops_served *s)
{
    opsd_daemon *d = u;
    const ops_dispatch_use *use = &s->model.use;
    const char *name = s->model.name;
    if (strcmp(s->model.job, "generate") != 0)
        return true;
    set_two(d, ROW_MODEL_REQUESTS, name, "running", use->running);
    set_two(d, ROW_MODEL_REQUESTS, name, "waiting", use->waiting);
    set_two(d, ROW_MODEL_BLOCKS, name, "all", use->blocks);
    set_two(d, ROW_MODEL_BLOCKS, name, "used", use->blocks_used);
    set_two(d, ROW_MODEL_BLOCKS, name, "cached", use->blocks_cached);
    if (use->window_blocks > 0) {
        set_two(d, ROW_MODEL_BLOCKS, name, "window_all", use->window_blocks);
        set_two(d, ROW_MODEL_BLOCKS, name, "window_used", use->window_blocks_used);
        set_two(d, ROW_MODEL_BLOCKS, name, "window_cached", use->window_blocks_cached);
    }
    set_two(d, ROW_MODEL_TOKENS, name, "prompt", (double)use->prompt_tokens);
    set_two(d, ROW_MODEL_TOKENS, name, "cached", (double)use->cached_tokens);
    set_two(d, ROW_MODEL_TOKENS, name, "completion", (double)use->completion_tokens);
    return true;
}

static void models(opsd_daemon *d)
{
    opsd_meaning_stats m;
    opsd_meaning_stats_get(d->meaning, &m);
    set(d, ROW_WORKERS, NULL, (double)ops_dispatch_counts_get(d->dispatch).with_models);
    (void)(ops_served_walk(d->dispatch, set_use, d, NULL) == OPS_OK); /* when not, they stay as they were */
    set(d, ROW_MEANINGS, "asked", (double)m.asked);
    set(d, ROW_MEANINGS, "embedded", (double)m.embedded);
    set(d, ROW_MEANINGS, "cached", (double)m.cached);
    set(d, ROW_MEANINGS, "dropped", (double)m.dropped);
    set(d, ROW_MEANINGS, "failed", (double)m.failed);
    set(d, ROW_MEANINGS, "waiting", (double)m.waiting);
}

static void tasks(opsd_daemon *d)
{
    const ops_dispatch_counts c = ops_dispatch_counts_get(d->dispatch);
    const struct {
        const char *fate;
        uint64_t n;
    } fates[] = {{"submitted", c.submitted}, {"done", c.done},         {"failed", c.failed},
                 {"expired", c.expired},     {"poisoned", c.poisoned}, {"cancelled", c.cancelled},
                 {"retried", c.retried},     {"refused", c.refused},   {"late", c.late_answers},
                 {"waiting", c.queued},      {"running", c.running}};
    for (size_t i = 0; i < sizeof fates / sizeof *fates; i++)
        set(d, ROW_TASKS, fates[i].fate, (double)fates[i].n);
    set(d, ROW_TASK_TOKENS, "in", (double)c.tokens_in);
    set(d, ROW_TASK_TOKENS, "cached", (double)c.tokens_cached);
    set(d, ROW_TASK_TOKENS, "out", (double)c.tokens_out);
}

/* Outcomes that never were are left out: most routes have one. */
static void door(opsd_daemon *d, ops_http *h, const char *port)
{
    ops_http_stats s;
    ops_http_route_stats r;
    if (h == NULL)
        return;
    ops_http_stats_get(h, &s);
    set(d, ROW_HTTP_GONE, port, (double)s.clients_gone);
    set(d, ROW_HTTP_CUT, port, (double)s.streams_cut);
    for (size_t i = 0; ops_http_route_stats_get(h, i, &r); i++)
        for (int o = 0; o < OPS_HTTP_OUTCOME_COUNT; o++) {
            const ops_slice labels[] = {ops_slice_str(port), ops_slice_str(r.method), ops_slice_str(r.path),
                                        ops_slice_str(ops_http_outcome_name((ops_http_outcome)o))};
            if (r.requests[o] > 0)
                ops_metric_set(ops_metric_at_n(d->gauges->metrics, ROW_HTTP_REQUESTS, labels, 4),
                               (double)r.requests[o]);
        }
}

static void sessions(opsd_daemon *d)
{
    ops_learner_stats s = {0};
    if (d->learner != NULL)
        ops_learner_stats_get(d->learner, &s);
    set(d, ROW_SESSION_TRAININGS, "asked", (double)s.trainings);
    set(d, ROW_SESSION_TRAININGS, "done", (double)s.trained);
    set(d, ROW_SESSION_SCORED, NULL, (double)s.scored);
    set(d, ROW_SESSION_REFUSED, "not_done", (double)s.failed);
    set(d, ROW_SESSION_REFUSED, "answer_unlike_question", (double)s.refused);
}

static void incidents(opsd_daemon *d)
{
    ops_correlator_stats s;
    ops_correlator_stats_get(d->incidents, &s);
    set(d, ROW_INCIDENTS, "open", (double)s.open);
    set(d, ROW_INCIDENTS, "acknowledged", (double)s.acknowledged);
    set(d, ROW_INCIDENT_CHANGES, "opened", (double)s.opened);
    set(d, ROW_INCIDENT_CHANGES, "joined", (double)s.joined);
    set(d, ROW_INCIDENT_CHANGES, "resolved", (double)s.resolved);
    set(d, ROW_INCIDENT_CHANGES, "reopened", (double)s.reopened);
    set(d, ROW_INCIDENT_CHANGES, "left_out", (double)s.left_out);
    set(d, ROW_INCIDENT_CHANGES, "refused", (double)s.refused);
    set(d, ROW_INCIDENTS_POSITION, NULL, (double)s.position);
}

void opsd_gauges_text(opsd_daemon *d, ops_strbuf *out)
{
    ops_strbuf why;
    ops_log_counts lines = ops_log_counts_get();
    ops_strbuf_init(&why, 1024);
    set(d, ROW_BUILD, OPS_VERSION, 1);
    set(d, ROW_START, NULL, (double)d->start_ns / 1e9);
    set(d, ROW_READY, NULL, opsd_daemon_ready(d, &why) ? 1 : 0);
    ops_strbuf_done(&why);
    partitions(d);
    the_log(d);
    if (d->otlp != NULL) {
        ops_http_stats h;
        ops_http_stats_get(d->otlp, &h);
        set(d, ROW_INFLIGHT, NULL, (double)h.inflight_bytes);
    }
    models(d);
    tasks(d);
    door(d, d->otlp, "otlp");
    door(d, d->web, "web");
    sessions(d);
    incidents(d);
    set(d, ROW_REVISION, NULL, (double)ops_repo_revision(d->stores.repo));
    set(d, ROW_LOG_LINES, "written", (double)lines.written);
    set(d, ROW_LOG_LINES, "suppressed", (double)lines.suppressed);
    set(d, ROW_LOG_LINES, "lost", (double)lines.lost);
    ops_metrics_text(d->gauges->metrics, out);
}
