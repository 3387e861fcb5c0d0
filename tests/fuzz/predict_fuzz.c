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
    size_t asked = 0;
    const ops_ask *asks = ops_predict_asks(p, &asked);
    const ops_slice *texts = ops_predict_texts(p, &n);
    if ((n == 0) == (asked == 0) || n > OPS_PREDICT_INSTANCES_MAX || asked > OPS_ASK_TASKS_MAX)
        __builtin_trap();
    for (size_t i = 0; i < asked; i++) {
        ops_strbuf b;
        ops_strbuf_init(&b, 16 << 20);
        ops_ask_pack(&asks[i], 0, &b);
        if (b.failed || ops_ask_tasks(&asks[i]) != 1)
            __builtin_trap();
        ops_strbuf_done(&b);
    }
    for (size_t i = 0; i < n; i++)
        if (texts[i].n == 0 || texts[i].n > OPS_PREDICT_TEXT_BYTES_MAX)
            __builtin_trap();
    return 0;
}
