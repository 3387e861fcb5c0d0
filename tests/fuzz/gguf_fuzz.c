/* A GGUF file; where it parses, every array is walked, every tensor's ends are read, and a tokenizer made of it must give
 * ids of its vocabulary. */
#include <string.h>

#include "worker/model/tokenizer.h"

static volatile char sink;

static void walk(ops_gguf_array a) // NOLINT(misc-no-recursion): OPS_GGUF_DEPTH_MAX levels
{
    ops_gguf_value v;
    uint64_t n = a.n;
    while (ops_gguf_next(&a, &v)) {
        n--;
        if (v.kind == OPS_GGUF_ARRAY)
            walk(v.array);
        else if (v.kind == OPS_GGUF_TEXT && v.text.n > 0)
            sink = v.text.p[v.text.n - 1];
    }
    if (n != 0)
        __builtin_trap();
}

static void encode(const ops_gguf *g)
{
    ops_tokenizer *t = NULL;
    if (ops_tokenizer_from_gguf(g, &t, NULL) != OPS_OK)
        return;
    ops_tokens ids;
    ops_tokens_init(&ids, 256);
    if (ops_tokenizer_encode(t, OPS_SLICE("a b\xc3\xa9 the 12 \xff<s>"), OPS_TOKENIZER_BOS, &ids, NULL) ==
        OPS_OK)
        for (size_t i = 0; i < ids.n; i++)
            if (ids.v[i] < 0 || (size_t)ids.v[i] >= ops_tokenizer_count(t))
                __builtin_trap();
    ops_tokens_done(&ids);
    ops_tokenizer_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ops_gguf *g = NULL;
    if (ops_gguf_parse(ops_slice_of(data, size), &g, NULL) != OPS_OK)
        return 0;
    for (size_t i = 0; i < ops_gguf_keys(g); i++)
        if (ops_gguf_key_at(g, i)->value.kind == OPS_GGUF_ARRAY)
            walk(ops_gguf_key_at(g, i)->value.array);
    for (size_t i = 0; i < ops_gguf_tensors(g); i++) {
        const ops_slice b = ops_gguf_tensor_at(g, i)->bytes;
        if (b.n == 0)
            __builtin_trap();
        sink = (char)(b.p[0] + b.p[b.n - 1]);
    }
    encode(g);
    ops_gguf_free(g);
    return 0;
}
