/* Records per CPU-second of the redactor alone, one thread, 300-byte records.
 *   redactor [seconds] [share of records with a secret, percent]
 * Prints one JSON object. */
#include "base/status/status.h"
#include "coordinator/redact/redact.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RECORDS 4096

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void record(char out[512], unsigned i, unsigned secret_percent)
{
    unsigned x = i * 2654435761u;
    int n = snprintf(
        out, 512,
        "2026-11-24T02:%02u:%02u.%06uZ level=info service=svc-%u trace_id=%08x%08x%08x%08x msg=\"request "
        "handled\" method=GET path=/api/v1/orders/%u/items status=%u duration_ms=%u bytes=%u "
        "peer=10.%u.%u.%u:%u upstream=checkout-%u.internal",
        i % 60, x % 60, x % 1000000, i % 200, x, x * 3, x * 5, x * 7, x % 100000, 200 + i % 5, x % 900,
        x % 65536, x % 255, (x >> 8) % 255, (x >> 16) % 255, 1024 + x % 60000, i % 9);
    if (i % 100 < secret_percent)
        snprintf(out + n, 512 - (size_t)n, " user=u%u@example.com", i);
    else
        snprintf(out + n, 512 - (size_t)n, " agent=\"Mozilla/5.0 (X11)\"");
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 2;
    unsigned percent = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
    static char records[RECORDS][512];
    size_t bytes = 0;
    for (unsigned i = 0; i < RECORDS; i++) {
        record(records[i], i, percent);
        bytes += strlen(records[i]);
    }
    const ops_redact_conf conf = {.kinds = OPS_REDACT_DEFAULT};
    ops_redactor *r = NULL;
    ops_redact_scratch *s = NULL;
    ops_err err = {0};
    if (ops_redactor_new(&conf, &r, &err) != OPS_OK || ops_redact_scratch_new(&s, &err) != OPS_OK) {
        fprintf(stderr, "redactor: %s\n", err.msg);
        return ops_status_exit_code(err.code);
    }
    ops_arena arena;
    ops_arena_init(&arena, 16 << 20);
    uint32_t counts[OPS_REDACT_KIND_COUNT] = {0};
    unsigned long done = 0;
    double start = cpu_s(), spent = 0;
    do {
        ops_arena_clear(&arena);
        for (unsigned i = 0; i < RECORDS; i++) {
            ops_slice got;
            if (ops_redact(r, s, ops_slice_str(records[i]), &arena, &got, counts) != OPS_OK)
                return 1;
        }
        done += RECORDS;
        spent = cpu_s() - start;
    } while (spent < seconds);
    printf("{\"redactor_records_per_cpu_s\": %.0f, \"ns_per_record\": %.0f, \"mb_per_s\": %.0f, "
           "\"record_bytes\": %zu, "
           "\"secret_percent\": %u}\n",
           (double)done / spent, spent * 1e9 / (double)done,
           (double)bytes * ((double)done / RECORDS) / spent / 1e6, bytes / RECORDS, percent);
    ops_arena_done(&arena);
    ops_redact_scratch_free(s);
    ops_redactor_unref(r);
    return 0;
}
