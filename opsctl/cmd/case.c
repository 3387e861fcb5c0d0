#include "opsctl/cmd/case.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "coordinator/bundle/rows.h"
#include "opsctl/cmd/reader.h"
#include "opsctl/cmd/records.h"

enum { PATH_BYTES = 4096 };

typedef ops_status (*row_fn)(ops_bundle *b, ops_slice line, ops_err *reterr);

/* The file as it is, or packed; false when there is none. */
static bool find(const char *dir, const char *name, char path[PATH_BYTES])
{
    static const char *const ends[] = {"", ".gz", ".zst"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        int n = snprintf(path, PATH_BYTES, "%s/%s%s", dir, name, ends[i]);
        if (n > 0 && n < PATH_BYTES && access(path, F_OK) == 0)
            return true;
    }
    return false;
}

static ops_status read_rows(ops_bundle *b, const char *path, row_fn row, FILE *err, ops_err *reterr)
{
    OPS_AUTO(ops_reader_close) ops_reader *r = NULL;
    unsigned long long number = 0, bad = 0, first = 0;
    ops_err why = {0}, reason = {0};
    ops_slice line;
    bool end = false;
    ops_status st = ops_reader_open(path, &r, reterr);
    while (st == OPS_OK && (st = ops_reader_line(r, &line, &end, reterr)) == OPS_OK && !end) {
        number++;
        ops_status got = row(b, line, &why);
        if (got == OPS_EINVAL && bad++ == 0) {
            first = number;
            reason = why;
        } else if (got != OPS_OK && got != OPS_EINVAL) {
            return ops_fail(reterr, got, "'%s', line %llu: %s", path, number, why.msg);
        }
    }
    if (bad > 0)
        (void)fprintf(err, "'%s': %llu of %llu rows left out; the first is line %llu: %s\n", path, bad,
                      number, first, reason.msg);
    return st;
}

/* logs/COMPONENT.log as the services wrote them; redacted, as all that is read so. */
static ops_status read_raw_logs(ops_bundle *b, const char *dir, ops_err *reterr)
{
    OPS_AUTO(ops_records_free) ops_records *r = NULL;
    ops_records_row row;
    ops_status st = ops_records_new(OPS_RECORDS_CASE, NULL, &r, reterr);
    if (st == OPS_OK)
        st = ops_records_open(r, dir, (ops_slice){NULL, 0}, reterr);
    while (st == OPS_OK && (st = ops_records_next(r, &row, reterr)) == OPS_OK)
        st = ops_bundle_add_line(b, row.service, row.message, (double)row.time_ns * 1e-9, reterr);
    return st == OPS_ENOTFOUND ? OPS_OK : st;
}

ops_status ops_case_read(const char *dir, FILE *err, ops_bundle **ret, ops_err *reterr)
{
    static const struct {
        const char *name;
        row_fn row;
    } files[] = {
        {"metrics.csv", ops_rows_metric}, {"logs.jsonl", ops_rows_line}, {"traces.jsonl", ops_rows_span}};
    OPS_AUTO(ops_bundle_free) ops_bundle *b = NULL;
    char path[PATH_BYTES];
    size_t found = 0;
    ops_status st = ops_bundle_new(NULL, &b, reterr);
    for (size_t i = 0; st == OPS_OK && i < sizeof files / sizeof files[0]; i++)
        if (find(dir, files[i].name, path)) {
            found++;
            st = read_rows(b, path, files[i].row, err, reterr);
        }
    if (st == OPS_OK && !find(dir, "logs.jsonl", path) && find(dir, "logs", path)) {
        found++;
        st = read_raw_logs(b, dir, reterr);
    }
    if (st == OPS_OK && found == 0)
        return ops_fail(reterr, OPS_ENOTFOUND,
                        "'%s' holds neither metrics.csv, logs.jsonl, traces.jsonl nor logs/", dir);
    if (st == OPS_OK)
        st = ops_bundle_seal(b, reterr);
    if (st != OPS_OK)
        return st;
    ops_bundle_stats s;
    ops_bundle_stats_get(b, &s);
    if (s.dropped > 0 || s.refused > 0)
        (void)fprintf(
            err,
            "'%s': %llu rows beyond the limits were left out, %llu without a finite number or a component\n",
            dir, (unsigned long long)s.dropped, (unsigned long long)s.refused);
    *ret = OPS_STEAL(b);
    return OPS_OK;
}

ops_status ops_case_at(const char *dir, double *ret_s, ops_err *reterr)
{
    char path[PATH_BYTES];
    OPS_AUTO(ops_reader_close) ops_reader *r = NULL;
    ops_slice line = {0};
    bool end = false;
    if (!find(dir, "at.txt", path))
        return ops_fail(reterr, OPS_ENOTFOUND, "'%s' holds no at.txt", dir);
    ops_status st = ops_reader_open(path, &r, reterr);
    if (st == OPS_OK)
        st = ops_reader_line(r, &line, &end, reterr);
    if (st != OPS_OK)
        return st;
    double at = 0;
    if (end || !ops_slice_to_f64(ops_slice_trim(line), &at) || !isfinite(at))
        return ops_fail(reterr, OPS_EINVAL, "'%s', line 1: not a time in Unix seconds", path);
    *ret_s = at;
    return OPS_OK;
}
