/* Any bytes as the CSV of the offline command: refused by line, or as many answers as rows. */
#include <math.h>
#include <stdlib.h>

#include "base/text/slice.h"
#include "coordinator/analysis/metric/csv.h"
#include "coordinator/analysis/metric/offline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct input {
    ops_slice rest;
    size_t rows, answers;
} input;

static ops_status next_line(void *u, ops_slice *ret, ops_err *reterr)
{
    input *in = u;
    (void)reterr;
    if (!ops_slice_split(&in->rest, '\n', ret))
        return OPS_ENOTFOUND;
    in->rows++;
    return OPS_OK;
}

static ops_status count_rows(void *u, ops_slice rows, ops_err *reterr)
{
    input *in = u;
    (void)reterr;
    for (size_t i = 0; i < rows.n; i++)
        in->answers += rows.p[i] == '\n';
    return OPS_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {.rest = ops_slice_of(data, size)};
    ops_status st = ops_metric_offline(next_line, &in, count_rows, &in, size % 50, NULL);
    if (st == OPS_OK ? in.answers + 1 != in.rows : st != OPS_EINVAL && st != OPS_ETOOBIG)
        abort();
    return 0;
}
