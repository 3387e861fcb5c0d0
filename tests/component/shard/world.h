/* The shard over stores in memory: what component tests of it share. */
#ifndef OPS_TESTS_SHARD_WORLD_H
#define OPS_TESTS_SHARD_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <pthread.h>
#include <time.h>

#include "base/mem/alloc.h"
#include "coordinator/shard/finder.h"
#include "coordinator/shard/intake.h"
#include "coordinator/shard/owner.h"

enum { PARTITIONS = 4, SECOND = 1000000000 };

struct world {
    ops_kv *log_kv, *db_kv;
    ops_streamlog *log;
    ops_repo *repo;
    ops_ledger *ledger;
    ops_deadletters *dead;
    ops_redactor *redactor;
    ops_intake *intake;
    ops_owners *owners;
    ops_finder *finder;
    bool (*can_work)(void *u); /* NULL: no worker */
    bool (*on_work)(void *u, uint32_t part, const ops_pipeline_work *work);
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int answers;
    ops_status last_st;
    uint64_t accepted, rejected;
    char message[256];
};

static inline void on_answer(void *u, const ops_intake_answer *a)
{
    struct world *w = u;
    (void)pthread_mutex_lock(&w->lock);
    w->answers++;
    w->last_st = a->st;
    w->accepted += a->accepted;
    w->rejected += a->rejected;
    (void)snprintf(w->message, sizeof w->message, "%.255s", a->message);
    (void)pthread_cond_broadcast(&w->changed);
    (void)pthread_mutex_unlock(&w->lock);
}

static inline void wait_answers(struct world *w, int n)
{
    (void)pthread_mutex_lock(&w->lock);
    while (w->answers < n)
        (void)pthread_cond_wait(&w->changed, &w->lock);
    (void)pthread_mutex_unlock(&w->lock);
}

static inline void ok(ops_status st, const ops_err *err)
{
    if (st != OPS_OK)
        fail_msg("%s", err->msg);
}

static inline void on_effects(void *u)
{
    struct world *w = u;
    if (w->finder != NULL)
        ops_finder_wake(w->finder);
}

static inline int64_t event_ns(void *u)
{
    return ops_owners_event_ns(((struct world *)u)->owners);
}

static inline void start_readers(struct world *w)
{
    ops_err err = {0};
    const ops_owners_conf oc = {.log = w->log,
                                .repo = w->repo,
                                .ledger = w->ledger,
                                .partitions = PARTITIONS,
                                .threads = 2,
                                .commit_interval_ns = 20 * 1000000,
                                .on_effects = on_effects,
                                .can_work = w->can_work,
                                .on_work = w->on_work,
                                .u = w};
    ok(ops_owners_new(&oc, &w->owners, &err), &err);
    const ops_finder_conf fc = {
        .repo = w->repo, .ledger = w->ledger, .partitions = PARTITIONS, .event_ns = event_ns, .u = w};
    ok(ops_finder_new(&fc, &w->finder, &err), &err);
    ok(ops_owners_start(w->owners, &err), &err);
    ok(ops_finder_start(w->finder, &err), &err);
}

static inline void stop_readers(struct world *w)
{
    ops_owners_stop(w->owners);
    ops_finder_stop(w->finder);
    ops_finder_free(OPS_STEAL(w->finder));
    ops_owners_free(OPS_STEAL(w->owners));
}

static inline int set_up(void **state)
{
    struct world *w = ops_calloc(1, sizeof *w);
    ops_err err = {0};
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->changed, NULL);
    ok(ops_kv_open_memory(OPS_STREAMLOG_FAMILIES, &w->log_kv, &err), &err);
    ok(ops_kv_open_memory(OPS_REPO_FAMILIES, &w->db_kv, &err), &err);
    const ops_streamlog_conf lc = {.partitions = PARTITIONS};
    ok(ops_streamlog_open(w->log_kv, &lc, &w->log, &err), &err);
    ok(ops_repo_open(w->db_kv, PARTITIONS, &w->repo, &err), &err);
    ok(ops_ledger_new(&w->ledger, &err), &err);
    ok(ops_deadletters_new(NULL, 100, &w->dead, &err), &err);
    const ops_redact_conf rc = {.kinds = OPS_REDACT_DEFAULT};
    ok(ops_redactor_new(&rc, &w->redactor, &err), &err);
    ops_intake_conf ic = {.log = w->log,
                          .ledger = w->ledger,
                          .dead = w->dead,
                          .redactor = w->redactor,
                          .partitions = PARTITIONS,
                          .inline_bytes_max = 4096};
    ops_ingest_limits_default(&ic.limits);
    ic.limits.past_ns_max = -1;
    ok(ops_intake_new(&ic, &w->intake, &err), &err);
    start_readers(w);
    *state = w;
    return 0;
}

static inline int tear_down(void **state)
{
    struct world *w = *state;
    stop_readers(w);
    ops_intake_free(w->intake);
    ops_streamlog_close(w->log);
    ops_repo_free(w->repo);
    ops_kv_close(w->log_kv);
    ops_kv_close(w->db_kv);
    ops_redactor_unref(w->redactor);
    ops_ledger_free(w->ledger);
    ops_deadletters_free(w->dead);
    (void)pthread_cond_destroy(&w->changed);
    (void)pthread_mutex_destroy(&w->lock);
    ops_free(w);
    return 0;
}

static inline void send_json(struct world *w, const char *body)
{
    ops_err err = {0};
    int before = w->answers;
    ok(ops_intake_request(w->intake, OPS_SLICE("default"), "otlp-http", OPS_INTAKE_LOGS_JSON,
                          ops_slice_str(body), on_answer, w, &err),
       &err);
    wait_answers(w, before + 1);
}

/* OTLP JSON of n records of one service, a tenth of a second apart. */
static inline void send_records(struct world *w, const char *service, int64_t from_s, int n, const char *head,
                                const char *tail, int severity)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 16 << 20);
    ops_strbuf_printf(&b,
                      "{\"resourceLogs\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":"
                      "{\"stringValue\":\"%s\"}}]},\"scopeLogs\":[{\"logRecords\":[",
                      service);
    for (int i = 0; i < n; i++) {
        char line[256];
        (void)snprintf(line, sizeof line, "%s %d %s", head, i, tail);
        ops_strbuf_printf(
            &b, "%s{\"timeUnixNano\":\"%lld\",\"severityNumber\":%d,\"body\":{\"stringValue\":\"%s\"}}",
            i > 0 ? "," : "", (long long)(from_s * SECOND + (int64_t)i * SECOND / 10), severity, line);
    }
    ops_strbuf_str(&b, "]}]}]}");
    assert_false(b.failed);
    send_json(w, b.p);
    ops_strbuf_done(&b);
    assert_int_equal(w->last_st, OPS_OK);
}

static inline void nap(void)
{
    const struct timespec ts = {0, 2000000};
    (void)nanosleep(&ts, NULL);
}

static inline void wait_analysed(struct world *w, uint64_t records)
{
    for (int i = 0; i < 10000 && ops_ledger_total(w->ledger, OPS_FATE_ANALYSED) < records; i++)
        nap();
    assert_int_equal(ops_ledger_total(w->ledger, OPS_FATE_ANALYSED), records);
}

#endif
