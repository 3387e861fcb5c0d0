/* A file of pins from any bytes, then its regexes over the same bytes: refused, or spans in order within the line. */
#include <stdlib.h>

#include "coordinator/pin/pinset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    OPS_AUTO(ops_pinset_unref) ops_pinset *s = NULL;
    OPS_AUTO(ops_pin_finder_free) ops_pin_finder *f = NULL;
    ops_slice in = ops_slice_of(data, size);
    ops_pin_set view;
    ops_pin_span v[16];
    ops_err err;
    if (ops_pinset_parse(in, "pins", &s, &err) != OPS_OK || ops_pin_finder_new(s, &f, &err) != OPS_OK)
        return 0;
    ops_pin_finder_view(f, &view);
    for (size_t i = 0; i < view.n; i++)
        if (view.pins[i].n < (view.pins[i].kind == OPS_PIN_ONE ? 2u : 1u))
            abort();
    size_t n = view.find != NULL ? view.find(view.u, in, v, 16) : 0;
    for (size_t i = 0, end = 0; i < n; end = v[i].off + v[i].len, i++)
        if (v[i].len == 0 || v[i].off < end || v[i].off + v[i].len > size)
            abort();
    return 0;
}
