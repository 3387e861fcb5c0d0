/* The pre-tokenizers: regular expressions of the reference tokenizers, walked by hand, alternative by alternative. They
 * split a text into words that no merge crosses.
 *   gpt-2   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *   smollm  each \p{N} alone, then gpt-2 on what lies between
 *   llama3  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 *   qwen2   the same with \p{N} for \p{N}{1,3} */
#include "worker/model/tok_internal.h"

/* The class at `at` where digits end a text: the reference finds those with tables a version younger (Unicode 17). */
static ops_tok_class class_at(ops_slice text, size_t at, bool digits_end, size_t *ret_bytes)
{
    const ops_tok_class k = ops_tok_class_at(text, at, ret_bytes);
    if (!digits_end || k != OPS_TOK_OTHER || *ret_bytes < 4)
        return k;
    const uint32_t c = ops_tok_code(text.p + at);
    return (c >= 0x11de0 && c <= 0x11de9) || (c >= 0x16ff4 && c <= 0x16ff6) ? OPS_TOK_NUMBER : k;
}

static size_t run(ops_slice text, size_t at, ops_tok_class want, bool digits_end)
{
    size_t n;
    while (class_at(text, at, digits_end, &n) == want && n > 0)
        at += n;
    return at;
}

static bool blank(ops_tok_class k)
{
    return k == OPS_TOK_SPACE || k == OPS_TOK_LINE;
}

/* Bytes of 's, 't, 're, 've, 'm, 'll, 'd at `at`, 0 for none. Without case U+017F is an s, too. */
static size_t contraction(ops_slice text, size_t at, bool any_case)
{
    const ops_slice s = ops_slice_sub(text, at, 3);
    if (s.n < 2 || s.p[0] != '\'')
        return 0;
    if (any_case && s.n == 3 && s.p[1] == '\xc5' && s.p[2] == '\xbf')
        return 3;
    const char fold =
        any_case ? 0x20 : 0; /* letters only are compared: setting the bit of an upper case one lowers it */
    const char a = (char)(s.p[1] | fold), b = s.n == 3 ? (char)(s.p[2] | fold) : '\0';
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return 2;
    return ((a == 'r' || a == 'v') && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

/* A run of blanks: all but its last where a word follows, which takes that one. `digits_end`: a number ends the text. */
static size_t blanks(ops_slice text, size_t at, bool digits_end)
{
    size_t n = 0, last = at, end = at;
    ops_tok_class k;
    while (blank(k = class_at(text, end, digits_end, &n))) {
        last = end;
        end += n;
    }
    const bool at_end = k == OPS_TOK_END || (digits_end && k == OPS_TOK_NUMBER);
    return at_end || last == at ? end : last;
}

static size_t gpt2(ops_slice text, size_t at, bool digits_end)
{
    const size_t short_form = contraction(text, at, false);
    if (short_form > 0)
        return at + short_form;
    size_t n, m;
    const ops_tok_class k = class_at(text, at, digits_end, &n);
    if (k == OPS_TOK_NUMBER && digits_end)
        return at + n;
    if (!blank(k))
        return run(text, at, k, digits_end);
    const ops_tok_class next = class_at(text, at + n, digits_end, &m);
    if (text.p[at] == ' ' && !blank(next) && next != OPS_TOK_END && !(digits_end && next == OPS_TOK_NUMBER))
        return run(text, at + n, next, digits_end);
    return blanks(text, at, digits_end);
}

static size_t numbers(ops_slice text, size_t at, int most)
{
    size_t n;
    for (int i = 0; i < most && ops_tok_class_at(text, at, &n) == OPS_TOK_NUMBER; i++)
        at += n;
    return at;
}

/* \s*[\r\n]+ : up to the last line end of a run of blanks; `at` when it has none. */
static size_t lines(ops_slice text, size_t at)
{
    size_t n = 0, last = at;
    ops_tok_class k;
    for (size_t i = at; blank(k = ops_tok_class_at(text, i, &n)); i += n)
        if (k == OPS_TOK_LINE)
            last = i + n;
    return last;
}

static size_t llama3(ops_slice text, size_t at, int digits)
{
    const size_t short_form = contraction(text, at, true);
    if (short_form > 0)
        return at + short_form;
    size_t n, m;
    const ops_tok_class k = ops_tok_class_at(text, at, &n);
    if (k == OPS_TOK_LETTER)
        return run(text, at, OPS_TOK_LETTER, false);
    if (k == OPS_TOK_NUMBER)
        return numbers(text, at, digits);
    const ops_tok_class next = ops_tok_class_at(text, at + n, &m);
    if (k != OPS_TOK_LINE && next == OPS_TOK_LETTER)
        return run(text, at + n, OPS_TOK_LETTER, false);
    if (k == OPS_TOK_OTHER || (text.p[at] == ' ' && next == OPS_TOK_OTHER))
        return run(text, run(text, k == OPS_TOK_OTHER ? at : at + n, OPS_TOK_OTHER, false), OPS_TOK_LINE,
                   false);
    const size_t line = lines(text, at);
    return line > at ? line : blanks(text, at, false);
}

size_t ops_tok_word(ops_tok_split split, ops_slice text, size_t at)
{
    switch (split) {
    case OPS_SPLIT_GPT2:
        return gpt2(text, at, false);
    case OPS_SPLIT_SMOLLM:
        return gpt2(text, at, true);
    case OPS_SPLIT_LLAMA3:
        return llama3(text, at, 3);
    case OPS_SPLIT_QWEN2:
        return llama3(text, at, 1);
    case OPS_SPLIT_NONE:
        break;
    }
    return text.n;
}
