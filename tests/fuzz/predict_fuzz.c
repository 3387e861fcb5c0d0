/* The body of a prediction request: what is taken keeps the bounds, what is refused says why. */
#include <stdint.h>

#include "coordinator/vertex/predict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    OPS_AUTO(ops_predict_free) ops_predict *p = NULL;
    ops_err err = {0};
    size_t n = 0;
    if (ops_predict_read(ops_slice_of(data, size), &p, &err) != OPS_OK) {
        if (err.msg[0] == '\0')
            __builtin_trap();
        return 0;
    }
    const ops_slice *texts = ops_predict_texts(p, &n);
    if (n == 0 || n > OPS_PREDICT_INSTANCES_MAX)
        __builtin_trap();
    for (size_t i = 0; i < n; i++)
        if (texts[i].n == 0 || texts[i].n > OPS_PREDICT_TEXT_BYTES_MAX)
            __builtin_trap();
    return 0;
}
