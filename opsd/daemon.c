#include "opsd/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log/log.h"
#include "base/mem/alloc.h"

enum { NS_PER_MS = 1000000 };

static ops_status make_redactor(const ops_conf *c, ops_redactor **ret, ops_err *reterr)
{
    char *key = NULL;
    size_t n = 0;
    *ret = NULL;
    if (!ops_conf_bool(c, KEY_REDACT_ENABLED))
        return OPS_OK;
    const char *path = ops_conf_str(c, KEY_REDACT_KEY_FILE);
    ops_status st = path[0] != '\0' ? opsd_file_read(path, &key, &n, reterr) : OPS_OK;
    ops_redact_conf rc = {.kinds = OPS_REDACT_DEFAULT, .hash_key = ops_slice_trim(ops_slice_of(key, n))};
    if (ops_conf_bool(c, KEY_REDACT_NATIONAL_ID))
        rc.kinds |= 1u << OPS_REDACT_NATIONAL_ID;
    if (st == OPS_OK)
        st = ops_redactor_new(&rc, ret, reterr);
    ops_free(key);
    return st;
}

static void apply_log(const ops_conf *c)
{
    ops_log_init((ops_log_level)ops_conf_uint(c, KEY_LOG_LEVEL), -1,
                 ops_conf_uint(c, KEY_LOG_FORMAT) == 1 ? OPS_LOG_JSON : OPS_LOG_LOGFMT);
}

static void on_effects(void *u)
{
    ops_finder_wake(((opsd_daemon *)u)->finder);
}

static void on_template(void *u, ops_slice tenant, ops_slice service, uint64_t id, ops_slice text)
{
    opsd_meaning_want(((opsd_daemon *)u)->meaning, tenant, service, id, text);
}

static void on_samples(void *u, ops_slice tenant, const ops_series_id *id, const ops_sample *samples,
                       size_t n)
{
    opsd_rules_samples(((opsd_daemon *)u)->rules, tenant, id, samples, n);
}

static bool can_work(void *u)
{
    return ops_learner_can(((opsd_daemon *)u)->learner);
}

static bool on_work(void *u, uint32_t part, const ops_pipeline_work *w)
{
    return ops_learner_want(((opsd_daemon *)u)->learner, part, w);
}

static int64_t event_ns(void *u)
{
    return ops_owners_event_ns(((opsd_daemon *)u)->owners);
}

static void on_findings(void *u, uint64_t revision)
{
    opsd_daemon *d = u;
    (void)revision;
    if (d->api != NULL)
        ops_api_notify(d->api);
    ops_notify_wake(d->notify);
    ops_correlator_wake(d->incidents);
}

static void on_incidents(void *u, uint64_t revision)
{
    opsd_daemon *d = u;
    (void)revision;
    if (d->api != NULL)
        ops_api_notify(d->api);
    ops_notify_wake(d->notify);
}

static ops_status open_stores(opsd_daemon *d, ops_err *reterr)
{
    const ops_conf *c = d->conf;
    ops_streamlog_conf lc = {
        .partitions = (uint32_t)ops_conf_uint(c, KEY_STORAGE_PARTITIONS),
        .pending_bytes_max = ops_conf_uint(c, KEY_STORAGE_PENDING),
        .dedupe_window_ns = (int64_t)ops_conf_uint(c, KEY_STORAGE_DEDUPE) * NS_PER_MS,
        .refuse_percent = (unsigned)ops_conf_uint(c, KEY_STORAGE_REFUSE_PERCENT),
        .refuse_bytes = ops_conf_uint(c, KEY_STORAGE_REFUSE_FREE),
    };
    return opsd_stores_open(d->options->data, &lc, &d->stores, reterr);
}

static void on_call(void *u, ops_slice tenant, ops_slice caller, ops_slice callee)
{
    ops_correlator_call(((opsd_daemon *)u)->incidents, tenant, caller, callee);
}

static ops_status open_intake(opsd_daemon *d, ops_err *reterr)
{
    const ops_conf *c = d->conf;
    ops_intake_conf ic = {.log = d->stores.log,
                          .ledger = d->ledger,
                          .dead = d->dead,
                          .redactor = d->redactor,
                          .partitions = (uint32_t)ops_conf_uint(c, KEY_STORAGE_PARTITIONS),
                          .threads = (unsigned)ops_conf_uint(c, KEY_INGEST_THREADS),
                          .queue_max = ops_conf_uint(c, KEY_INGEST_QUEUE),
                          .on_call = on_call,
                          .u = d,
                          .zone_offset_s = d->options->zone_offset_s};
    ops_ingest_limits_default(&ic.limits);
    ops_sample_limits_default(&ic.sample_limits);
    ic.sample_limits.labels_max = (uint32_t)ops_conf_uint(c, KEY_METRICS_LABELS);
    ic.sample_limits.value_bytes_max = ops_conf_uint(c, KEY_METRICS_LABEL_BYTES);
    ic.series_max = ops_conf_uint(c, KEY_METRICS_SERIES);
    ic.failed_spans = ops_conf_bool(c, KEY_INGEST_FAILED_SPANS);
    ic.limits.request_bytes_max = ops_conf_uint(c, KEY_INGEST_REQUEST_MAX);
    ic.limits.records_max = ops_conf_uint(c, KEY_INGEST_RECORDS_MAX);
    ic.limits.line_bytes_max = ops_conf_uint(c, KEY_INGEST_LINE_MAX);
    ic.limits.past_ns_max = (int64_t)ops_conf_uint(c, KEY_INGEST_PAST_MAX) * NS_PER_MS;
    ic.limits.future_ns_max = (int64_t)ops_conf_uint(c, KEY_INGEST_FUTURE_MAX) * NS_PER_MS;
    return ops_intake_new(&ic, &d->intake, reterr);
}

static ops_status open_owners(opsd_daemon *d, ops_err *reterr)
{
    const ops_conf *c = d->conf;
    uint32_t partitions = (uint32_t)ops_conf_uint(c, KEY_STORAGE_PARTITIONS);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned threads = (unsigned)ops_conf_uint(c, KEY_ANALYSIS_THREADS);
    if (threads == 0)
        threads = cores > 0 ? (unsigned)cores : 1;
    const ops_owners_conf oc = {
        .log = d->stores.log,
        .repo = d->stores.repo,
        .ledger = d->ledger,
        .partitions = partitions,
        .threads = threads < partitions ? threads : partitions,
        .commit_interval_ns = (int64_t)ops_conf_uint(c, KEY_ANALYSIS_COMMIT) * NS_PER_MS,
        .limits = {.streams_max = ops_conf_uint(c, KEY_ANALYSIS_STREAMS),
                   .templates_per_tenant_max = ops_conf_uint(c, KEY_ANALYSIS_TEMPLATES),
                   .lateness_ns = (int64_t)ops_conf_uint(c, KEY_ANALYSIS_LATENESS) * NS_PER_MS,
                   .watches_max = ops_conf_uint(c, KEY_ANALYSIS_SESSIONS),
                   .sessions_ignored = ops_conf_uint(c, KEY_ANALYSIS_SESSIONS) == 0},
        /* What the intake let in within two generations may have come and gone. */
        .series_max = 2 * ops_conf_uint(c, KEY_METRICS_SERIES),
        .views_max = ops_conf_uint(c, KEY_METRICS_COMPONENTS),
        .views_off = ops_conf_uint(c, KEY_METRICS_COMPONENTS) == 0,
        .on_effects = on_effects,
        .on_template = on_template,
        .on_samples = on_samples,
        .can_work = ops_conf_bool(c, KEY_ANALYSIS_TRAINED) ? can_work : NULL,
        .on_work = on_work,
        .u = d};
    return ops_owners_new(&oc, &d->owners, reterr);
}

static ops_status open_finder(opsd_daemon *d, ops_err *reterr)
{
    const ops_conf *c = d->conf;
    size_t receivers = 0;
    (void)ops_conf_list(c, KEY_NOTIFY_RECEIVERS, &receivers);
    const ops_finder_conf fc = {
        .repo = d->stores.repo,
        .ledger = d->ledger,
        .limits = {.quiet_per_day = (uint32_t)ops_conf_uint(c, KEY_FINDINGS_QUIET),
                   .close_after_ns = (int64_t)ops_conf_uint(c, KEY_FINDINGS_CLOSE) * NS_PER_MS},
        .partitions = (uint32_t)ops_conf_uint(c, KEY_STORAGE_PARTITIONS),
        .notices = receivers > 0 && ops_conf_uint(c, KEY_NOTIFY_TELL) != OPSD_TELL_INCIDENTS,
        .rule_notices = receivers > 0,
        .alerts_open_max = ops_conf_uint(c, KEY_ALERTS_OPEN),
        .alerts_stale_ns = (int64_t)ops_conf_uint(c, KEY_ALERTS_STALE) * NS_PER_MS,
        .event_ns = event_ns,
        .on_findings = on_findings,
        .u = d};
    return ops_finder_new(&fc, &d->finder, reterr);
}

struct naming {
    ops_slice tenant;
    void (*fn)(void *fu, ops_slice name);
    void *fu;
};

static bool on_stream(void *u, const ops_stream_info *s)
{
    const struct naming *n = u;
    if (ops_slice_eq(s->tenant, n->tenant))
        n->fn(n->fu, s->service);
    return true;
}

static void components(void *u, ops_slice tenant, void (*fn)(void *fu, ops_slice name), void *fu)
{
    opsd_daemon *d = u;
    struct naming n = {tenant, fn, fu};
    for (uint32_t i = 0; i < (uint32_t)ops_conf_uint(d->conf, KEY_STORAGE_PARTITIONS); i++)
        ops_owners_streams(d->owners, i, on_stream, &n);
}

static ops_status open_incidents(opsd_daemon *d, ops_err *reterr)
{
    const ops_conf *c = d->conf;
    size_t receivers = 0;
    (void)ops_conf_list(c, KEY_NOTIFY_RECEIVERS, &receivers);
    const ops_correlator_conf cc = {
        .repo = d->stores.repo,
        .open_max = ops_conf_uint(c, KEY_INCIDENTS_OPEN),
        .level_min = (int)ops_conf_uint(c, KEY_INCIDENTS_SEVERITY) + OPS_LEVEL_INFO,
        .resolve_after_ns = (int64_t)ops_conf_uint(c, KEY_INCIDENTS_RESOLVE) * NS_PER_MS,
        .reopen_within_ns = (int64_t)ops_conf_uint(c, KEY_INCIDENTS_REOPEN) * NS_PER_MS,
        .notices = receivers > 0 && ops_conf_uint(c, KEY_NOTIFY_TELL) != OPSD_TELL_FINDINGS,
        .components = components,
        .event_ns = event_ns,
        .on_incidents = on_incidents,
        .u = d};
    return ops_correlator_new(&cc, &d->incidents, reterr);
}

static ops_status read_tls(opsd_daemon *d, ops_err *reterr)
{
    return opsd_pem_read(d->conf, KEY_TLS_CERT, KEY_TLS_KEY, KEY_TLS_CLIENT_CA, &d->tls, reterr);
}

/* In the data folder, once that is known to be ours alone. */
static ops_status open_deadletters(opsd_daemon *d, ops_err *reterr)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s/deadletters", d->stores.path) >= sizeof path)
        return ops_fail(reterr, OPS_EINVAL, "data folder: a path of %zu bytes", strlen(d->stores.path));
    return ops_deadletters_new(path, ops_conf_uint(d->conf, KEY_INGEST_DEADLETTERS), &d->dead, reterr);
}

/* In the order in which each needs the ones before. */
static ops_status (*const steps[])(opsd_daemon *d, ops_err *reterr) = {
    read_tls,         open_stores,      open_deadletters,  open_intake,    open_owners,
    opsd_pins_open,   opsd_notify_open, open_incidents,    open_finder,    opsd_rules_open,
    opsd_models_open, opsd_gauges_new,  opsd_door_web,     opsd_door_otlp, opsd_door_otlp_rpc,
    opsd_door_api,    opsd_lines_start, opsd_scrape_start,
};

void opsd_http_conf(const opsd_daemon *d, size_t address_key, ops_http_conf *ret)
{
    const ops_conf *c = d->conf;
    *ret = (ops_http_conf){.address = ops_conf_str(c, address_key),
                           .threads = (unsigned)ops_conf_uint(c, KEY_HTTP_THREADS),
                           .connections_max = (unsigned)ops_conf_uint(c, KEY_HTTP_CONNECTIONS),
                           .inflight_bytes_max = ops_conf_uint(c, KEY_INGEST_INFLIGHT),
                           .idle_timeout_s = (unsigned)(ops_conf_uint(c, KEY_HTTP_IDLE) / 1000),
                           .access = d->access,
                           .cert_pem = d->tls.cert,
                           .key_pem = d->tls.key,
                           .client_ca_pem = d->tls.ca};
}

ops_status opsd_daemon_start(const opsd_options *o, opsd_daemon **ret, ops_err *reterr)
{
    opsd_daemon *d = ops_calloc(1, sizeof *d);
    if (d == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "opsd");
    d->options = o;
    d->conf = o->conf;
    d->start_ns = ops_clock_wall_ns(ops_clock_system());
    apply_log(d->conf);
    const char *tokens = ops_conf_str(d->conf, KEY_ACCESS_TOKENS);
    ops_status st = ops_access_new(tokens[0] != '\0' ? tokens : NULL, &d->access, reterr);
    if (st == OPS_OK)
        st = make_redactor(d->conf, &d->redactor, reterr);
    if (st == OPS_OK)
        st = ops_ledger_new(&d->ledger, reterr);
    for (size_t i = 0; st == OPS_OK && i < sizeof steps / sizeof *steps; i++)
        st = steps[i](d, reterr);
    if (st == OPS_OK)
        st = ops_correlator_start(d->incidents, reterr);
    if (st == OPS_OK)
        st = ops_finder_start(d->finder, reterr);
    if (st == OPS_OK)
        st = ops_notify_start(d->notify, reterr);
    if (st == OPS_OK)
        st = opsd_rules_start(d, reterr);
    if (st == OPS_OK)
        st = ops_owners_start(d->owners, reterr);
    if (st == OPS_OK)
        st = opsd_models_start(d, reterr);
    if (st == OPS_OK && d->otlp_rpc != NULL)
        st = ops_rpc_server_start(d->otlp_rpc, reterr);
    if (st == OPS_OK && d->api_rpc != NULL)
        st = ops_rpc_server_start(d->api_rpc, reterr);
    if (st == OPS_OK && d->otlp != NULL)
        st = ops_http_start(d->otlp, reterr);
    if (st == OPS_OK && d->web != NULL)
        st = ops_http_start(d->web, reterr);
    if (st != OPS_OK) {
        opsd_daemon_stop(d);
        return st;
    }
    opsd_rpc_serving(d, true);
    *ret = d;
    return OPS_OK;
}

void opsd_daemon_stop(opsd_daemon *d)
{
    if (d == NULL)
        return;
    unsigned grace_ms = (unsigned)ops_conf_uint(d->conf, KEY_DRAIN);
    opsd_rpc_serving(d, false);
    if (d->otlp != NULL)
        ops_http_drain(d->otlp, grace_ms);
    if (d->otlp_rpc != NULL)
        ops_rpc_server_stop(d->otlp_rpc, grace_ms);
    opsd_lines_stop(d->lines);
    ops_scrape_free(d->scrape);
    ops_http_free(d->otlp);
    ops_intake_free(d->intake);
    if (d->owners != NULL)
        ops_owners_stop(d->owners);
    opsd_models_stop(d);
    opsd_rules_stop(d->rules);
    if (d->finder != NULL)
        ops_finder_stop(d->finder);
    if (d->incidents != NULL)
        ops_correlator_stop(d->incidents);
    if (d->notify != NULL)
        ops_notify_stop(d->notify);
    /* Watchers have seen the last findings; now their streams end. */
    if (d->api != NULL)
        ops_api_stop(d->api);
    if (d->api_rpc != NULL)
        ops_rpc_server_stop(d->api_rpc, 1000);
    ops_api_free(d->api);
    ops_http_free(d->web); /* its handlers ask the dispatch; what they asked is answered when that ends */
    opsd_models_close(d);
    ops_rpc_server_free(d->api_rpc);
    ops_rpc_server_free(d->otlp_rpc);
    ops_otlp_service_free(d->otlp_service);
    opsd_gauges_free(d->gauges);
    opsd_alerts_free(d->alerts);
    ops_finder_free(d->finder);
    opsd_rules_free(d->rules);
    ops_correlator_free(d->incidents);
    ops_notify_free(d->notify);
    ops_silences_free(d->silences);
    ops_owners_free(d->owners);
    opsd_pins_close(d->pins);
    opsd_stores_close(&d->stores);
    ops_redactor_unref(d->redactor);
    ops_deadletters_free(d->dead);
    ops_ledger_free(d->ledger);
    ops_access_free(d->access);
    ops_conf_free(d->live);
    opsd_pem_done(&d->tls);
    ops_free(d);
}

static void tell_change(void *u, size_t row, bool reloadable)
{
    (void)u;
    if (reloadable)
        OPS_LOG(OPS_LOG_INFO, "setting_changed", OPS_KV_STR("key", opsd_rows[row].key));
    else
        OPS_LOG(OPS_LOG_WARN, "setting_needs_restart", OPS_KV_STR("key", opsd_rows[row].key));
}

/* All ports in turn. The gRPC ones look at the PEM first, so that what does not read changes nothing. */
static ops_status reload_tls(opsd_daemon *d, const ops_conf *fresh, ops_err *reterr)
{
    opsd_pem pem;
    ops_rpc_server *rpc[] = {d->otlp_rpc, d->api_rpc};
    ops_http *http[] = {d->otlp, d->web};
    if (d->tls.cert == NULL)
        return OPS_OK;
    ops_status st = opsd_pem_read(fresh, KEY_TLS_CERT, KEY_TLS_KEY, KEY_TLS_CLIENT_CA, &pem, reterr);
    const ops_rpc_tls tls = {.cert = pem.cert, .key = pem.key, .client_ca = pem.ca};
    for (size_t i = 0; st == OPS_OK && i < sizeof rpc / sizeof *rpc; i++)
        if (rpc[i] != NULL)
            st = ops_rpc_server_reload_tls(rpc[i], &tls, reterr);
    for (size_t i = 0; st == OPS_OK && i < sizeof http / sizeof *http; i++)
        if (http[i] != NULL)
            st = ops_http_reload_tls(http[i], pem.cert, pem.key, pem.ca, reterr);
    opsd_pem_done(&pem);
    return st;
}

ops_status opsd_daemon_reload(opsd_daemon *d, ops_err *reterr)
{
    OPS_AUTO(ops_conf_free) ops_conf *fresh = NULL;
    OPS_AUTO(ops_ruler_set_free) ops_ruler_set *rules = NULL;
    ops_redactor *redactor = NULL;
    ops_status st = opsd_options_again(d->options, &fresh, reterr);
    if (st == OPS_OK)
        st = opsd_options_check(fresh, reterr);
    if (st == OPS_OK)
        st = make_redactor(fresh, &redactor, reterr);
    if (st == OPS_OK)
        st = opsd_pins_check(fresh, reterr);
    if (st == OPS_OK)
        st = opsd_notify_check(fresh, reterr);
    if (st == OPS_OK)
        st = opsd_rules_read(fresh, &rules, reterr);
    if (st == OPS_OK)
        st = reload_tls(d, fresh, reterr);
    if (st == OPS_OK)
        st = ops_access_reload(d->access, reterr);
    if (st != OPS_OK) {
        ops_redactor_unref(redactor);
        return st;
    }
    ops_conf_diff(d->live != NULL ? d->live : d->conf, fresh, tell_change, NULL);
    ops_intake_set_redactor(d->intake, redactor);
    opsd_alerts_set_redactor(d->alerts, redactor);
    opsd_rules_set_redactor(d->rules, redactor);
    opsd_rules_use(d, OPS_STEAL(rules));
    ops_redactor_unref(d->redactor);
    d->redactor = redactor;
    apply_log(fresh);
    ops_conf_free(d->live);
    d->live = OPS_STEAL(fresh);
    opsd_pins_look(d, true);
    return OPS_OK;
}

bool opsd_daemon_ready(opsd_daemon *d, ops_strbuf *why_not)
{
    uint32_t partitions = (uint32_t)ops_conf_uint(d->conf, KEY_STORAGE_PARTITIONS);
    ops_err err;
    if (ops_streamlog_space_left(d->stores.log, &err) != OPS_OK) {
        ops_strbuf_printf(why_not, "the disk is nearly full: %s", err.msg);
        return false;
    }
    for (uint32_t i = 0; i < partitions; i++) {
        ops_partition_info info;
        if (ops_owners_partition(d->owners, i, &info, &err) != OPS_OK) {
            ops_strbuf_printf(why_not, "partition %u: %s", i, err.msg);
            return false;
        }
        if (info.failure[0] != '\0') {
            ops_strbuf_printf(why_not, "partition %u stopped: %s", i, info.failure);
            return false;
        }
    }
    return true;
}
