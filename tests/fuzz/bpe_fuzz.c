/* One byte that picks the way of splitting, then a text for a byte-level BPE over all 256 bytes with a few merges. The ids
 * must decode to the text (its broken parts as U+FFFD); words must be whole and go forward; scan and heap must agree. */
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "worker/model/tok_internal.h"

static const char *const merges[] = {"\xc4\xa0 t",
                                     "h e",
                                     "\xc4\xa0t he",
                                     "i n",
                                     "e r",
                                     "a a",
                                     "aa aa",
                                     "aa a",
                                     "l l",
                                     "' ll",
                                     "1 2",
                                     "\xc4\x8a \xc4\x8a",
                                     "\xc4\xa0 \xc4\xa0",
                                     "\xc4\xa0\xc4\xa0 \xc4\xa0\xc4\xa0",
                                     "\xc3\xa3 \xc4\xa3",
                                     "o r",
                                     "er or",
                                     "er r",
                                     "err or"};
enum { MERGES = sizeof merges / sizeof *merges };

/* The code point that stands for a byte, as GPT-2 has it. */
static void put_alphabet(ops_strbuf *b, int byte)
{
    static const char *const hex = "0123456789abcdef";
    int c = byte, n = 0;
    for (int i = 0; i <= byte; i++) {
        const int printable = (i >= 33 && i <= 126) || (i >= 161 && i <= 172) || i >= 174;
        if (i == byte && !printable)
            c = 256 + n;
        n += !printable;
    }
    ops_strbuf_printf(b, "\"\\u0%c%c%c\":%d", hex[c >> 8], hex[c >> 4 & 15], hex[c & 15], byte);
}

static ops_tokenizer *make(void)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 16);
    ops_strbuf_str(&b, "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},\"model\":{"
                       "\"type\":\"BPE\",\"vocab\":{");
    for (int i = 0; i < 256; i++) {
        put_alphabet(&b, i);
        ops_strbuf_char(&b, ',');
    }
    for (int i = 0; i < MERGES; i++) {
        const char *gap = strchr(merges[i], ' ');
        ops_strbuf_printf(&b, "%s\"%.*s%s\":%d", i > 0 ? "," : "", (int)(gap - merges[i]), merges[i], gap + 1,
                          256 + i);
    }
    ops_strbuf_str(&b, "},\"merges\":[");
    for (int i = 0; i < MERGES; i++)
        ops_strbuf_printf(&b, "%s\"%s\"", i > 0 ? "," : "", merges[i]);
    ops_strbuf_str(&b, "]}}");
    ops_tokenizer *t = NULL;
    ops_err err;
    if (ops_tokenizer_from_json(ops_strbuf_get(&b), &t, &err) != OPS_OK) {
        (void)fprintf(stderr, "%s\n", err.msg);
        __builtin_trap();
    }
    ops_strbuf_done(&b);
    return t;
}

static void check_twins(const ops_tokenizer *t, ops_slice word)
{
    ops_tokens a, b;
    ops_tokens_init(&a, word.n);
    ops_tokens_init(&b, word.n);
    ops_tok_out out_a = {&a, false}, out_b = {&b, false};
    if (ops_tok_merge(t, word, OPS_TOK_SCAN_MAX, &out_a, NULL) != OPS_OK ||
        ops_tok_merge(t, word, 0, &out_b, NULL) != OPS_OK || a.n != b.n ||
        memcmp(a.v, b.v, a.n * sizeof *a.v) != 0)
        __builtin_trap();
    ops_tokens_done(&a);
    ops_tokens_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ops_tokenizer *t;
    if (t == NULL)
        t = make();
    if (size == 0)
        return 0;
    t->split = (ops_tok_split)(OPS_SPLIT_GPT2 + data[0] % 4);
    const ops_slice raw = ops_slice_of(data + 1, size - 1);
    ops_strbuf clean, text, composed;
    ops_strbuf_init(&clean, 3 * size + 1);
    ops_strbuf_init(&text, 3 * size + 1);
    ops_strbuf_init(&composed, 16 * size + 64);
    ops_tok_clean(&clean, raw, NULL);
    const ops_slice s = ops_strbuf_get(&clean);
    for (size_t at = 0, end; at < s.n; at = end) {
        end = ops_tok_word(t->split, s, at);
        if (end <= at || end > s.n)
            __builtin_trap();
        check_twins(t, ops_slice_sub(s, at, end - at));
    }
    ops_tokens ids;
    ops_tokens_init(&ids, 3 * size);
    ops_detok d;
    ops_detok_init(&d, t);
    if (ops_tokenizer_encode(t, raw, 0, &ids, NULL) != OPS_OK || ops_tok_nfc(s, &composed, NULL) != OPS_OK)
        __builtin_trap();
    for (size_t i = 0; i < ids.n; i++)
        ops_detok_put(&d, ids.v[i], &text);
    ops_detok_end(&d, &text);
    if (!ops_slice_eq(ops_strbuf_get(&text), s))
        __builtin_trap();
    ops_tokens_done(&ids);
    ops_strbuf_done(&clean);
    ops_strbuf_done(&text);
    ops_strbuf_done(&composed);
    return 0;
}
