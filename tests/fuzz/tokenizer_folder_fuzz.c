/* The files beside a tokenizer.json: two bytes of length, tokenizer_config.json, generation_config.json. */
#include <stdlib.h>

#include "worker/model/tokenizer.h"

static const char tokenizer[] =
    "{\"added_tokens\":[{\"id\":3,\"content\":\"<s>\",\"special\":true},{\"id\":4,\"content\":\"</"
    "s>\",\"special\":true}],"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ops_tokenizer *t = NULL;
    if (size < 2)
        return 0;
    const ops_slice all = ops_slice_of(data + 2, size - 2);
    const size_t length = (size_t)data[0] | (size_t)data[1] << 8;
    const ops_tokenizer_files files = {.tokenizer = ops_slice_str(tokenizer),
                                       .config = ops_slice_sub(all, 0, length),
                                       .generation = ops_slice_sub(all, length, all.n)};
    if (ops_tokenizer_from_folder(&files, &t, NULL) != OPS_OK)
        return 0;
    ops_tokens ids;
    ops_tokens_init(&ids, 16);
    if (ops_tokenizer_encode(t, OPS_SLICE("ab<s>"), OPS_TOKENIZER_BOS, &ids, NULL) != OPS_OK)
        abort();
    for (size_t i = 0; i < ids.n; i++)
        if (ids.v[i] < 0 || (size_t)ids.v[i] >= ops_tokenizer_count(t))
            abort();
    const int32_t eos = ops_tokenizer_eos(t);
    if (eos >= 0 && ((size_t)eos >= ops_tokenizer_count(t) || !ops_tokenizer_ends(t, eos)))
        abort();
    ops_tokens_done(&ids);
    ops_tokenizer_free(t);
    return 0;
}
