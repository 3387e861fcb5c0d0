/* model.safetensors.index.json: names that are accepted are plain names, and every tensor has one of them. */
#include <stdlib.h>
#include <string.h>

#include "worker/model/shards.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ops_shard_index x;
    ops_err err = {.msg = ""};
    if (ops_shard_index_parse(ops_slice_of(data, size), &x, &err) != OPS_OK) {
        if (err.msg[0] == '\0')
            abort();
        return 0;
    }
    if (x.files < 1 || x.files > OPS_SHARDS_MAX || x.tensors < x.files ||
        ops_map_count(x.file_of) != x.tensors)
        abort();
    for (size_t i = 0; i < x.files; i++)
        if (strchr(x.file[i], '/') != NULL || x.file[i][0] == '.')
            abort();
    size_t at = 0;
    ops_slice tensor;
    for (void *file; ops_map_next(x.file_of, &at, &tensor, &file);)
        if (file < (void *)x.file || file >= (void *)(x.file + x.files))
            abort();
    ops_shard_index_done(&x);
    return 0;
}
