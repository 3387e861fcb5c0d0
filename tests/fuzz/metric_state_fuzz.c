/* Any bytes as a saved baseline and component: refused, or a state that can go on. */
#include <math.h>
#include <stdlib.h>

#include "base/text/slice.h"
#include "coordinator/analysis/metric/baseline.h"
#include "coordinator/analysis/metric/component.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void live_on(ops_baseline *b)
{
    for (int64_t i = 0; i < 200; i++) {
        ops_baseline_verdict v;
        if (ops_baseline_add(b, INT64_MAX / 2 + i * 60000000000, (double)(i % 7), &v) != OPS_OK ||
            !(v.score >= 0 && v.score <= 12))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ops_slice saved = ops_slice_of(data, size);
    ops_baseline *b = NULL;
    ops_component *c = NULL;
    ops_status st = ops_baseline_load(saved, &b, NULL);
    if (st == OPS_OK)
        live_on(b);
    else if (st != OPS_ECORRUPT || b != NULL)
        abort();
    ops_baseline_free(b);
    st = ops_component_load(saved, &c, NULL);
    if (st != OPS_OK && (st != OPS_ECORRUPT || c != NULL))
        abort();
    for (int64_t i = 0; st == OPS_OK && i < 20; i++) {
        const double row[OPS_COMPONENT_COLUMNS_MAX] = {1, 2, 3};
        ops_component_verdict v;
        if (ops_component_add(c, INT64_MAX / 2 + i, row, &v) != OPS_OK)
            abort();
    }
    ops_component_free(c);
    return 0;
}
