/* config.json and its side files: what is accepted keeps the promises of the header. */
#include "worker/model/bert_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const ops_slice json = ops_slice_of(data, size);
    ops_bert_config c = {.tokens_max = 512, .positions = 512};
    if (ops_bert_config_sentence(json, &c, NULL) == OPS_OK && (c.tokens_max < 2 || c.tokens_max > 512))
        __builtin_trap();
    if (ops_bert_config_pooling(json, &c, NULL) == OPS_OK && c.pooling != OPS_BERT_MEAN &&
        c.pooling != OPS_BERT_CLS)
        __builtin_trap();
    (void)(ops_bert_config_modules(json, NULL) == OPS_OK);
    if (ops_bert_config_parse(json, &c, NULL) == OPS_OK &&
        (c.hidden < 1 || c.heads < 1 || c.hidden % c.heads != 0 || c.tokens_max != c.positions ||
         (c.labels > 0) != (c.head != OPS_BERT_NO_HEAD) || c.labels > OPS_BERT_LABELS_MAX || !(c.eps > 0)))
        __builtin_trap();
    return 0;
}
