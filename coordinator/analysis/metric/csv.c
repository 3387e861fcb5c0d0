#include "coordinator/analysis/metric/csv.h"

#include <math.h>

/* Seconds that fit into nanoseconds of 64 bits. */
#define SECONDS_MAX 9.2e9

static ops_slice bare(ops_slice line)
{
    if (ops_slice_ends(line, OPS_SLICE("\r")))
        line.n--;
    return line;
}

ops_status ops_metric_csv_header(ops_slice line, size_t *ret_columns, ops_err *reterr)
{
    ops_slice rest = bare(line), part;
    size_t n = 0;
    while (ops_slice_split(&rest, ',', &part))
        if (n++ == 0 && !ops_slice_eq(ops_slice_trim(part), OPS_SLICE("timestamp")))
            return ops_fail(reterr, OPS_EINVAL, "line 1: the first column must be 'timestamp'");
    if (n < 2)
        return ops_fail(reterr, OPS_EINVAL, "line 1: no value column after 'timestamp'");
    if (n - 1 > OPS_METRIC_COLUMNS_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "line 1: %zu value columns, at most %d are taken", n - 1,
                        OPS_METRIC_COLUMNS_MAX);
    *ret_columns = n - 1;
    return OPS_OK;
}

ops_status ops_metric_csv_row(ops_slice line, size_t number, size_t columns, int64_t *ret_time_ns,
                              double *ret_values, ops_err *reterr)
{
    ops_slice rest = bare(line), part;
    double seconds = 0, v;
    size_t n = 0;
    while (ops_slice_split(&rest, ',', &part)) {
        part = ops_slice_trim(part);
        if (n == 0 && (!ops_slice_to_f64(part, &seconds) || !(fabs(seconds) < SECONDS_MAX)))
            return ops_fail(reterr, OPS_EINVAL, "line %zu: '" OPS_SLICE_FMT "' is no Unix time in seconds",
                            number, OPS_SLICE_ARG(ops_slice_sub(part, 0, 40)));
        if (n > 0 && n <= columns)
            ret_values[n - 1] = ops_slice_to_f64(part, &v) ? v : NAN;
        n++;
    }
    if (n != columns + 1)
        return ops_fail(reterr, OPS_EINVAL, "line %zu: %zu columns where the header has %zu", number, n,
                        columns + 1);
    *ret_time_ns =
        (int64_t)floor(seconds) * INT64_C(1000000000) + (int64_t)((seconds - floor(seconds)) * 1e9);
    return OPS_OK;
}
