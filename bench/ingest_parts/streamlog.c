/* Records per CPU-second of the stream log alone: batches of 300-byte records appended to RocksDB on this disk, group
 * commit and fsync as in the daemon, then read back. The CPU time is the whole process's, RocksDB's threads too.
 *   streamlog [records]
 * Prints one JSON object. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/codec/record.h"
#include "storage/kv/kv.h"
#include "storage/streamlog/streamlog.h"

enum { BATCH_BYTES = 64 << 10, PARTITIONS = 16, BATCHES = 64, DEFAULT_RECORDS = 2000000 };
#define T0 INT64_C(1764000000000000000)

struct pending {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t durable, failed;
};

static double cpu_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void on_durable(void *u, ops_status st, uint64_t offset)
{
    struct pending *p = u;
    (void)offset;
    (void)pthread_mutex_lock(&p->lock);
    p->durable++;
    p->failed += st != OPS_OK;
    (void)pthread_cond_signal(&p->changed);
    (void)pthread_mutex_unlock(&p->lock);
}

/* One batch as the packer makes it; how many records it holds. */
static uint32_t fill(ops_record_writer *w, unsigned seed, ops_slice *ret)
{
    char text[400];
    unsigned x = seed * 2654435761u + 1;
    if (ops_record_writer_begin(w, OPS_SLICE("default"), T0) != OPS_OK)
        return 0;
    for (;;) {
        x = x * 1664525u + 1013904223u;
        const int n = snprintf(text, sizeof text,
                               "request handled method=GET path=/api/v1/orders/%u/items status=%u "
                               "duration_ms=%u bytes=%u trace=%08x%08x "
                               "peer=10.%u.%u.%u:%u upstream=checkout-%u.internal pool=%u queue=%u "
                               "retries=%u cache=miss region=eu-1 "
                               "build=4711 thread=http-nio-8080-exec-%u",
                               x % 100000, 200 + x % 5, x % 900, x % 65536, x, x * 7, x % 255, x % 251,
                               x % 239, x % 60000, x % 9, x % 31, x % 97, x % 3, x % 64);
        const ops_attr attrs[] = {{OPS_SLICE("host.name"), OPS_SLICE("node-17")}};
        const ops_record r = {.time_ns = T0 + x % 1000000,
                              .recv_ns = T0,
                              .severity = 9,
                              .service = OPS_SLICE("orders"),
                              .message = ops_slice_of(text, (size_t)n),
                              .attrs = attrs,
                              .attr_count = 1};
        if (ops_record_writer_add(w, &r) != OPS_OK)
            break;
    }
    *ret = ops_record_writer_bytes(w);
    return ops_record_writer_count(w);
}

static ops_status count(void *u, uint64_t offset, const ops_streamlog_entry *e, ops_err *reterr)
{
    (void)offset;
    (void)reterr;
    *(uint64_t *)u += e->record_count;
    return OPS_OK;
}

static int failed(const ops_err *err)
{
    fprintf(stderr, "streamlog: %s\n", err->msg);
    return 1;
}

int main(int argc, char **argv)
{
    const uint64_t want = argc > 1 ? strtoull(argv[1], NULL, 10) : DEFAULT_RECORDS;
    char folder[] = "/var/tmp/opsd-bench-streamlog-XXXXXX", command[128];
    static char *payload[BATCHES];
    static size_t payload_n[BATCHES];
    static uint32_t records[BATCHES];
    struct pending p = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    ops_err err = {0};
    ops_kv *kv = NULL;
    ops_streamlog *sl = NULL;
    ops_record_writer *w = ops_record_writer_new(BATCH_BYTES);

    if (w == NULL || mkdtemp(folder) == NULL)
        return 1;
    for (unsigned i = 0; i < BATCHES; i++) {
        ops_slice bytes = {0};
        records[i] = fill(w, i, &bytes);
        payload[i] = malloc(bytes.n);
        if (records[i] == 0 || payload[i] == NULL)
            return 1;
        memcpy(payload[i], bytes.p, bytes.n);
        payload_n[i] = bytes.n;
    }
    const ops_streamlog_conf conf = {.partitions = PARTITIONS};
    if (ops_kv_open_rocksdb(folder, ops_streamlog_families, OPS_STREAMLOG_FAMILIES, &kv, &err) != OPS_OK ||
        ops_streamlog_open(kv, &conf, &sl, &err) != OPS_OK)
        return failed(&err);

    uint64_t sent = 0, appended = 0, bytes = 0;
    double from = cpu_s();
    for (unsigned i = 0; appended < want; i = (i + 1) % BATCHES) {
        const ops_streamlog_entry e = {.part = i % PARTITIONS,
                                       .payload = ops_slice_of(payload[i], payload_n[i]),
                                       .record_count = records[i],
                                       .recv_ns = T0,
                                       .min_time_ns = T0,
                                       .max_time_ns = T0 + 1000000};
        ops_status st = ops_streamlog_append(sl, &e, on_durable, &p, &err);
        if (st == OPS_EAGAIN) { /* as much waits as may: until some of it is durable */
            (void)pthread_mutex_lock(&p.lock);
            const uint64_t seen = p.durable;
            while (p.durable == seen && p.durable < sent)
                (void)pthread_cond_wait(&p.changed, &p.lock);
            (void)pthread_mutex_unlock(&p.lock);
            i = (i + BATCHES - 1) % BATCHES;
            continue;
        }
        if (st != OPS_OK)
            return failed(&err);
        sent++;
        appended += records[i];
        bytes += payload_n[i];
    }
    (void)pthread_mutex_lock(&p.lock);
    while (p.durable < sent)
        (void)pthread_cond_wait(&p.changed, &p.lock);
    (void)pthread_mutex_unlock(&p.lock);
    const double append_s = cpu_s() - from;

    uint64_t read = 0;
    from = cpu_s();
    for (uint32_t part = 0; part < PARTITIONS; part++)
        if (ops_streamlog_read(sl, part, 0, SIZE_MAX / 2, count, &read, &err) != OPS_OK)
            return failed(&err);
    const double read_s = cpu_s() - from;
    ops_streamlog_close(sl);
    ops_kv_close(kv);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0 || p.failed != 0 || read != appended)
        return 1;
    printf("{\"part\": \"streamlog\", \"records\": %llu, \"record_bytes\": %.0f, "
           "\"append_records_per_cpu_s\": %.0f, "
           "\"read_records_per_cpu_s\": %.0f}\n",
           (unsigned long long)appended, (double)bytes / (double)appended, (double)appended / append_s,
           (double)read / read_s);
    ops_record_writer_free(w);
    for (unsigned i = 0; i < BATCHES; i++)
        free(payload[i]);
    return 0;
}
