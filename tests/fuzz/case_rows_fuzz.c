/* A recorded case from any bytes: each line is a row of one of the three files by its first byte, the middle of the
 * samples' time is the fault, and the whole is ranked. */
#include <stdlib.h>

#include "coordinator/analysis/incident/rank.h"
#include "coordinator/bundle/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const ops_bundle_limits lim = {.components_max = 64, .names_max = 256, .text_bytes_max = 1 << 20};
    ops_slice rest = ops_slice_of(data, size), line;
    ops_bundle *b = NULL;
    ops_rank *r = NULL;
    ops_bundle_stats s;
    ops_err err;
    if (ops_bundle_new(&lim, &b, &err) != OPS_OK)
        return 0;
    while (rest.p != NULL && ops_slice_split(&rest, '\n', &line)) {
        if (line.n == 0)
            continue;
        ops_slice row = ops_slice_sub(line, 1, line.n);
        (void)(line.p[0] == 'm'   ? ops_rows_metric(b, row, &err)
               : line.p[0] == 'l' ? ops_rows_line(b, row, &err)
                                  : ops_rows_span(b, row, &err));
    }
    ops_bundle_stats_get(b, &s);
    if (ops_bundle_seal(b, &err) != OPS_OK)
        abort();
    if (ops_rank_new(b, s.first_s / 2 + s.last_s / 2, &r, &err) != OPS_OK)
        abort();
    if (ops_rank_count(r) != s.components)
        abort();
    ops_rank_free(r);
    ops_bundle_free(b);
    return 0;
}
