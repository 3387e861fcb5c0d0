/* The body of a request for embeddings: what is taken keeps the bounds, what is refused says why. */
#include "coordinator/openai/embeddings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    OPS_AUTO(ops_embeddings_free) ops_embeddings *e = NULL;
    const char *param = NULL;
    ops_err err = {0};
    size_t n = 0;
    if (ops_embeddings_read(ops_slice_of(data, size), &e, &param, &err) != OPS_OK) {
        if (err.msg[0] == '\0' || param == NULL)
            __builtin_trap();
        return 0;
    }
    const ops_slice *texts = ops_embeddings_texts(e, &n);
    if (n == 0 || n > OPS_EMBEDDINGS_TEXTS_MAX || ops_embeddings_model(e).n == 0)
        __builtin_trap();
    for (size_t i = 0; i < n; i++)
        if (texts[i].n == 0 || texts[i].n > OPS_EMBEDDINGS_TEXT_BYTES_MAX)
            __builtin_trap();
    return 0;
}
