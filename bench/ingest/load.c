/* OTLP/gRPC load, open loop: requests go out on a schedule whatever the answers do, and latency counts from the moment a
 * request was due, so that a server that stalls is charged for what waited.
 *
 *   bench_load --target 127.0.0.1:4317 --rate 50000 --seconds 60 [--batch 500] [--services 200] [--templates 10]
 *
 * Records of about 300 bytes on the wire: body, severity, four attributes; each service has its own templates, which differ in
 * several words. Requests are encoded beforehand; only their time stamps are written when they go. Prints one JSON line. */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/coll/vec.h"
#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "base/text/hash.h"
#include "base/text/strbuf.h"
#include "base/time/clock.h"
#include "rpc/client.h"

enum { PREPARED = 128, RESOURCES = 10, CHANNELS = 2, REQUEST_BYTES_MAX = 8 << 20, TIMEOUT_MS = 30000 };

typedef struct prepared {
    ops_strbuf bytes;
    OPS_VEC(size_t) times; /* offsets of fixed64 time_unix_nano */
} prepared;

typedef struct load {
    const char *target;
    uint64_t rate, seconds, batch, services, templates, inflight_max;
    prepared requests[PREPARED];
    ops_rpc_channel *channels[CHANNELS];
    double *latency_ms;
    size_t latency_cap;
    atomic_size_t answered;
    _Atomic uint64_t acked, refused, failed, retried_hint;
    atomic_uint inflight;
    uint64_t overruns;
    pthread_mutex_t lock;
    char first_error[256];
} load;

typedef struct flight {
    load *l;
    int64_t due_ns;
    uint64_t records;
} flight;

static void put_varint(ops_strbuf *b, uint64_t v)
{
    uint8_t tmp[OPS_VARINT_BYTES_MAX];
    ops_strbuf_put(b, tmp, ops_varint_put(tmp, v));
}

static void put_field(ops_strbuf *b, unsigned number, ops_slice s)
{
    put_varint(b, (uint64_t)number << 3 | 2);
    put_varint(b, s.n);
    ops_strbuf_slice(b, s);
}

static void put_string_attr(ops_strbuf *b, unsigned number, const char *key, const char *val)
{
    ops_strbuf any, kv;
    ops_strbuf_init(&any, 4096);
    ops_strbuf_init(&kv, 4096);
    put_field(&any, 1, ops_slice_str(val));
    put_field(&kv, 1, ops_slice_str(key));
    put_field(&kv, 2, ops_strbuf_get(&any));
    put_field(b, number, ops_strbuf_get(&kv));
    ops_strbuf_done(&any);
    ops_strbuf_done(&kv);
}

/* A made-up word of three syllables for a number: words of different numbers differ. */
static void word(char out[16], uint64_t n)
{
    static const char *const syllables[] = {"ba", "ce", "di", "fo", "gu", "ha", "ke", "li", "mo",  "nu",
                                            "pa", "re", "si", "to", "vu", "wa", "ye", "zi", "cho", "shu"};
    uint64_t h = ops_hash_mix(n + 1);
    (void)snprintf(out, 16, "%s%s%s", syllables[h % 20], syllables[h / 20 % 20], syllables[h / 400 % 20]);
}

static void put_record(load *l, ops_strbuf *out, uint64_t service, uint64_t seq, size_t *ret_time_at)
{
    char text[512], a[16], b[16], c[16], val[64];
    uint64_t h = ops_hash_mix(seq), kind = service * l->templates + h % l->templates;
    ops_strbuf r, any;
    ops_strbuf_init(&r, 8192);
    ops_strbuf_init(&any, 8192);
    word(a, kind * 3);
    word(b, kind * 3 + 1);
    word(c, kind * 3 + 2);
    (void)snprintf(text, sizeof text,
                   "%s %s request %" PRIu64 " from 10.%" PRIu64 ".%" PRIu64 ".%" PRIu64
                   " was handled by the %s stage of the pipeline in %" PRIu64 " ms with status ok",
                   a, b, h % 1000000, h % 250, h / 250 % 250, h / 62500 % 250, c, h % 900);
    ops_strbuf_char(&r, 1 << 3 | 1); /* time_unix_nano, fixed64 */
    *ret_time_at = r.n;
    ops_strbuf_put(&r, "\0\0\0\0\0\0\0\0", 8);
    ops_strbuf_char(&r, 2 << 3); /* severity_number INFO */
    ops_strbuf_char(&r, 9);
    put_field(&any, 1, ops_slice_str(text));
    put_field(&r, 5, ops_strbuf_get(&any));
    (void)snprintf(val, sizeof val, "/api/v1/%s/%s", b, c);
    put_string_attr(&r, 6, "http.route", val);
    (void)snprintf(val, sizeof val, "%" PRIu64, 200 + h % 3);
    put_string_attr(&r, 6, "http.status_code", val);
    (void)snprintf(val, sizeof val, "pod-%s-%" PRIu64, a, service % 40);
    put_string_attr(&r, 6, "k8s.pod.name", val);
    put_string_attr(&r, 6, "user_agent.original", "fleet-client/2.7 (linux; amd64)");
    /* Within its ScopeLogs: tag and length come before. */
    size_t before = out->n;
    put_field(out, 2, ops_strbuf_get(&r));
    *ret_time_at += out->n - before - r.n + before;
    ops_strbuf_done(&r);
    ops_strbuf_done(&any);
}

/* One request: RESOURCES services, each with its share of the batch. */
static void prepare(load *l, size_t index)
{
    prepared *p = &l->requests[index];
    ops_strbuf_init(&p->bytes, REQUEST_BYTES_MAX);
    uint64_t per = l->batch / RESOURCES;
    for (uint64_t k = 0; k < RESOURCES; k++) {
        uint64_t service = ops_hash_mix(index * RESOURCES + k) % l->services;
        char name[32];
        OPS_VEC(size_t) at = {0};
        ops_strbuf scope, resource, logs;
        ops_strbuf_init(&scope, REQUEST_BYTES_MAX);
        ops_strbuf_init(&resource, 8192);
        ops_strbuf_init(&logs, REQUEST_BYTES_MAX);
        (void)snprintf(name, sizeof name, "service-%03" PRIu64, service);
        put_string_attr(&resource, 1, "service.name", name);
        put_string_attr(&resource, 1, "deployment.environment", "bench");
        for (uint64_t i = 0; i < per; i++) {
            size_t t;
            put_record(l, &scope, service, (index * RESOURCES + k) * per + i, &t);
            if (!ops_vec_push(&at, t))
                abort();
        }
        put_field(&logs, 1, ops_strbuf_get(&resource));
        put_field(&logs, 2, ops_strbuf_get(&scope));
        size_t scope_at = logs.n - scope.n, before = p->bytes.n;
        put_field(&p->bytes, 1, ops_strbuf_get(&logs));
        size_t logs_at = before + (p->bytes.n - before - logs.n);
        for (size_t i = 0; i < at.n; i++)
            if (!ops_vec_push(&p->times, logs_at + scope_at + at.v[i]))
                abort();
        ops_vec_done(&at);
        ops_strbuf_done(&scope);
        ops_strbuf_done(&resource);
        ops_strbuf_done(&logs);
    }
    if (p->bytes.failed)
        abort();
}

static void on_told(void *u, const ops_rpc_answer *a)
{
    flight *f = u;
    load *l = f->l;
    double ms = (double)(ops_clock_mono_ns(ops_clock_system()) - f->due_ns) / 1e6;
    size_t i = atomic_fetch_add(&l->answered, 1);
    if (i < l->latency_cap)
        l->latency_ms[i] = a->st == OPS_OK ? ms : -1;
    if (a->st == OPS_OK)
        atomic_fetch_add(&l->acked, f->records);
    else if (a->st == OPS_EAGAIN)
        atomic_fetch_add(&l->refused, f->records);
    else
        atomic_fetch_add(&l->failed, f->records);
    if (a->st != OPS_OK) {
        (void)pthread_mutex_lock(&l->lock);
        if (l->first_error[0] == '\0')
            (void)snprintf(l->first_error, sizeof l->first_error, "%s: %.200s", ops_status_name(a->st),
                           a->message);
        (void)pthread_mutex_unlock(&l->lock);
    }
    atomic_fetch_sub(&l->inflight, 1);
    ops_free(f);
}

static void sleep_until(int64_t mono_ns)
{
    const struct timespec ts = {mono_ns / 1000000000, mono_ns % 1000000000};
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static void stamp(prepared *p, int64_t wall_ns)
{
    for (size_t i = 0; i < p->times.n; i++) {
        int64_t t = wall_ns - (int64_t)(p->times.n - i) * 1000;
        memcpy(p->bytes.p + p->times.v[i], &t, sizeof t);
    }
}

static void run(load *l)
{
    uint64_t total = l->rate * l->seconds / l->batch;
    int64_t start = ops_clock_mono_ns(ops_clock_system()) + 10000000;
    for (uint64_t i = 0; i < total; i++) {
        int64_t due = start + (int64_t)((double)i * (double)l->batch / (double)l->rate * 1e9);
        sleep_until(due);
        while (atomic_load(&l->inflight) >= l->inflight_max) { /* bounded; the wait is in the latency */
            l->overruns++;
            sleep_until(ops_clock_mono_ns(ops_clock_system()) + 1000000);
        }
        prepared *p = &l->requests[i % PREPARED];
        stamp(p, ops_clock_wall_ns(ops_clock_system()));
        flight *f = ops_malloc(sizeof *f);
        if (f == NULL)
            abort();
        *f = (flight){l, due, p->times.n};
        atomic_fetch_add(&l->inflight, 1);
        ops_err err;
        if (ops_rpc_unary_async(l->channels[i % CHANNELS],
                                "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
                                ops_strbuf_get(&p->bytes), TIMEOUT_MS, on_told, f, &err) != OPS_OK)
            abort();
    }
    while (atomic_load(&l->inflight) > 0)
        sleep_until(ops_clock_mono_ns(ops_clock_system()) + 1000000);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(load *l, double seconds)
{
    size_t n = atomic_load(&l->answered), good = 0, bytes = 0;
    n = n < l->latency_cap ? n : l->latency_cap;
    for (size_t i = 0; i < n; i++)
        if (l->latency_ms[i] >= 0)
            l->latency_ms[good++] = l->latency_ms[i];
    qsort(l->latency_ms, good, sizeof *l->latency_ms, by_value);
    for (size_t i = 0; i < PREPARED; i++)
        bytes += l->requests[i].bytes.n;
    struct timespec cpu;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
#define AT(q) (good > 0 ? l->latency_ms[(size_t)((double)(good - 1) * (q))] : -1)
    (void)printf(
        "{\"acked\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"failed\": %" PRIu64
        ", \"seconds\": %.3f, \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f, \"overruns\": %" PRIu64
        ", \"record_bytes\": %.1f, \"cpu_s\": %.2f, \"error\": \"%s\"}\n",
        l->acked, l->refused, l->failed, seconds, AT(0.5), AT(0.99), AT(1.0), l->overruns,
        (double)bytes / PREPARED / (double)l->batch, (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9,
        l->first_error);
}

int main(int argc, char **argv)
{
    static load l = {.target = "127.0.0.1:4317",
                     .rate = 50000,
                     .seconds = 10,
                     .batch = 500,
                     .services = 200,
                     .templates = 10,
                     .inflight_max = 256,
                     .lock = PTHREAD_MUTEX_INITIALIZER};
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t v = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--target") == 0)
            l.target = argv[i + 1];
        else if (strcmp(argv[i], "--rate") == 0)
            l.rate = v;
        else if (strcmp(argv[i], "--seconds") == 0)
            l.seconds = v;
        else if (strcmp(argv[i], "--batch") == 0)
            l.batch = v / RESOURCES * RESOURCES;
        else if (strcmp(argv[i], "--services") == 0)
            l.services = v;
        else if (strcmp(argv[i], "--templates") == 0)
            l.templates = v;
        else if (strcmp(argv[i], "--inflight") == 0)
            l.inflight_max = v;
        else {
            (void)fprintf(stderr, "bench_load: unknown option %s\n", argv[i]);
            return 2;
        }
    }
    if (l.rate == 0 || l.seconds == 0 || l.batch == 0 || l.services == 0 || l.templates == 0 ||
        l.inflight_max == 0) {
        (void)fputs("bench_load: every number must be above 0\n", stderr);
        return 2;
    }
    l.latency_cap = l.rate * l.seconds / l.batch + 1;
    l.latency_ms = ops_calloc(l.latency_cap, sizeof *l.latency_ms);
    for (size_t i = 0; i < PREPARED; i++)
        prepare(&l, i);
    for (size_t i = 0; i < CHANNELS; i++) {
        const ops_rpc_channel_conf cc = {.target = l.target};
        if (ops_rpc_channel_new(&cc, &l.channels[i], NULL) != OPS_OK)
            return 1;
    }
    int64_t start = ops_clock_mono_ns(ops_clock_system());
    run(&l);
    report(&l, (double)(ops_clock_mono_ns(ops_clock_system()) - start) / 1e9);
    for (size_t i = 0; i < CHANNELS; i++)
        ops_rpc_channel_free(l.channels[i]);
    for (size_t i = 0; i < PREPARED; i++) {
        ops_strbuf_done(&l.requests[i].bytes);
        ops_vec_done(&l.requests[i].times);
    }
    ops_free(l.latency_ms);
    return 0;
}
