/* Two bytes length, a tokenizer.json of that length, then a text for it. Ids must be in the vocabulary, and cutting
 * must keep the head; halves of the text side by side must fit. */
#include <string.h>

#include "worker/model/wordpiece.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const ops_slice all = ops_slice_of(data + 2, size - 2);
    const size_t json = (size_t)data[0] | (size_t)data[1] << 8;
    ops_wordpiece *w = NULL;
    if (ops_wordpiece_parse(ops_slice_sub(all, 0, json), &w, NULL) != OPS_OK)
        return 0;
    int32_t whole[64], cut[16];
    const ops_slice text = ops_slice_sub(all, json, all.n);
    const size_t n = ops_wordpiece_encode(w, text, 64, whole), m = ops_wordpiece_encode(w, text, 16, cut);
    if (n > 64 || m > 16 || n < ops_wordpiece_specials(w))
        __builtin_trap();
    for (size_t i = 0; i < n; i++)
        if (whole[i] < 0 || whole[i] > ops_wordpiece_id_max(w))
            __builtin_trap();
    const size_t same = m > OPS_WORDPIECE_AFFIX_MAX ? m - OPS_WORDPIECE_AFFIX_MAX : 0;
    if (memcmp(whole, cut, same * sizeof *cut) != 0)
        __builtin_trap();
    ops_wordpiece_word words[64];
    size_t n_words = 0;
    int32_t again[64];
    if (ops_wordpiece_encode_words(w, text, 64, again, words, &n_words) != n || n_words > n ||
        memcmp(again, whole, n * sizeof *whole) != 0)
        __builtin_trap();
    for (size_t i = 0; i < n_words; i++) /* one after the other, among the ids and in the text */
        if (words[i].token >= n || words[i].begin >= words[i].end || words[i].end > text.n ||
            (i > 0 && (words[i].token <= words[i - 1].token || words[i].begin < words[i - 1].begin)))
            __builtin_trap();
    int32_t pair[24], types[24];
    const ops_slice a = ops_slice_sub(text, 0, text.n / 2), b = ops_slice_sub(text, text.n / 2, text.n);
    const size_t both = ops_wordpiece_encode_pair(w, a, b, 24, pair, types);
    if (both > 24 || (both > 0 && !ops_wordpiece_pairs(w)))
        __builtin_trap();
    for (size_t i = 0; i < both; i++)
        if (pair[i] < 0 || pair[i] > ops_wordpiece_id_max(w) || types[i] < 0 || types[i] > 1 ||
            (i > 0 && types[i] < types[i - 1]))
            __builtin_trap();
    ops_wordpiece_free(w);
    return 0;
}
