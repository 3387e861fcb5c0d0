/* Two bytes length, a tokenizer.json of that length, then a text for it. Ids must be in the vocabulary and none a control
 * token, and what they decode to must be UTF-8. */
#include "base/text/utf8.h"
#include "worker/model/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const ops_slice all = ops_slice_of(data + 2, size - 2);
    const size_t json = (size_t)data[0] | (size_t)data[1] << 8;
    ops_tokenizer *t = NULL;
    if (ops_tokenizer_from_json(ops_slice_sub(all, 0, json), &t, NULL) != OPS_OK)
        return 0;
    ops_tokens ids;
    ops_tokens_init(&ids, 4096);
    ops_strbuf text;
    ops_strbuf_init(&text, 1 << 24);
    ops_detok d;
    ops_detok_init(&d, t);
    if (ops_tokenizer_encode(t, ops_slice_sub(all, json, all.n), 0, &ids, NULL) == OPS_OK)
        for (size_t i = 0; i < ids.n; i++) {
            if (ops_tokenizer_kind(t, ids.v[i]) == OPS_PIECE_NONE ||
                ops_tokenizer_kind(t, ids.v[i]) == OPS_PIECE_CONTROL)
                __builtin_trap();
            ops_detok_put(&d, ids.v[i], &text);
        }
    ops_detok_end(&d, &text);
    if (!text.failed && !ops_utf8_valid(ops_strbuf_get(&text)))
        __builtin_trap();
    ops_strbuf_done(&text);
    ops_tokens_done(&ids);
    ops_tokenizer_free(t);
    return 0;
}
