/* The combinations of normalizer, pre-tokenizer and decoder that the tokenizer.json of GPT-2, Llama 3, Qwen 2 and 3, SmolLM,
 * Gemma 3, Llama 2, Mistral and Unigram models have. Everything else is refused by name.
 * Field names: https://github.com/huggingface/tokenizers (bindings' documentation). */
#include <stdio.h>

#include "worker/model/tok_json.h"

static const char mark[] = "\xe2\x96\x81"; /* U+2581 */

/* The expressions as the files have them, with the way of splitting each is. */
static const struct {
    const char *regex, *name;
    ops_tok_split split;
} regexes[] = {
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
     "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
     "\\s+(?!\\S)|\\s+",
     "bpe/llama-bpe", OPS_SPLIT_LLAMA3},
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
     "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
     "\\s+(?!\\S)|\\s+",
     "bpe/qwen2", OPS_SPLIT_QWEN2},
    {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", "bpe/gpt-2",
     OPS_SPLIT_GPT2},
};

bool ops_tok_json_is(const json_t *j, const char *type)
{
    const char *is = json_string_value(json_object_get(j, "type"));
    return is != NULL && strcmp(is, type) == 0;
}

ops_slice ops_tok_json_text(const json_t *j)
{
    return json_is_string(j) ? ops_slice_of(json_string_value(j), json_string_length(j))
                             : ops_slice_of(NULL, 0);
}

ops_status ops_tok_json_unbuilt(ops_err *reterr, const char *what, const json_t *j)
{
    const char *type = json_string_value(json_object_get(j, "type"));
    return ops_fail(reterr, OPS_EUNIMPL, "tokenizer.json: %s of type '%.60s' in this place is not built",
                    what, type != NULL ? type : "none");
}

static bool absent(const json_t *j)
{
    return j == NULL || json_is_null(j);
}

static bool text_is(const json_t *j, const char *want)
{
    const ops_slice s = ops_tok_json_text(j);
    return s.p != NULL && ops_slice_eq(s, ops_slice_str(want));
}

/* Absent counts as `or`; what is no boolean as the contrary of what is asked for. */
static bool flag(const json_t *j, const char *key, bool or)
{
    const json_t *v = json_object_get(j, key);
    return v == NULL ? or : json_is_true(v);
}

/* The i-th step of a Sequence; a single step counts as a sequence of one. NULL past the end. */
static const json_t *step(const json_t *j, const char *list, size_t i)
{
    if (ops_tok_json_is(j, "Sequence"))
        return json_array_get(json_object_get(j, list), i);
    return i == 0 && !absent(j) ? j : NULL;
}

static bool replaces(const json_t *j, const char *from, const char *to)
{
    return ops_tok_json_is(j, "Replace") &&
           text_is(json_object_get(json_object_get(j, "pattern"), "String"), from) &&
           text_is(json_object_get(j, "content"), to);
}

/* Nothing, NFC, a space mark for spaces, or that after one put in front. */
static ops_status read_normalizer(const json_t *norm, ops_tokenizer *t, ops_err *reterr)
{
    size_t i = 0;
    for (const json_t *s; (s = step(norm, "normalizers", i)) != NULL; i++) {
        if (ops_tok_json_is(s, "NFC") && i == 0)
            t->nfc = true;
        else if (replaces(s, " ", mark) && !t->nfc && !t->spaces)
            t->spaces = true;
        else if (ops_tok_json_is(s, "Prepend") && text_is(json_object_get(s, "prepend"), mark) && i == 0)
            t->prefix = t->prefix_each = true;
        else
            return ops_tok_json_unbuilt(reterr, "a normalizer", s);
    }
    return t->prefix && !t->spaces ? ops_tok_json_unbuilt(reterr, "a lone normalizer", norm) : OPS_OK;
}

static bool byte_level(const json_t *j, bool regex)
{
    return ops_tok_json_is(j, "ByteLevel") && !flag(j, "add_prefix_space", true) &&
           flag(j, "use_regex", true) == regex;
}

static ops_status read_regex(const json_t *j, ops_tokenizer *t, ops_err *reterr)
{
    const json_t *regex = json_object_get(json_object_get(j, "pattern"), "Regex");
    if (!text_is(json_object_get(j, "behavior"), "Isolated") || flag(j, "invert", false))
        return ops_tok_json_unbuilt(reterr, "a pre_tokenizer (behaviour)", j);
    for (size_t i = 0; i < sizeof regexes / sizeof *regexes; i++)
        if (text_is(regex, regexes[i].regex)) {
            t->split = regexes[i].split;
            (void)snprintf(t->name, sizeof t->name, "%s", regexes[i].name);
            return OPS_OK;
        }
    return ops_fail(reterr, OPS_EUNIMPL,
                    "tokenizer.json: a pre_tokenizer of the expression '%.120s' is not built",
                    json_is_string(regex) ? json_string_value(regex) : "none");
}

static ops_status read_byte_level(const json_t *pre, ops_tokenizer *t, ops_err *reterr)
{
    const json_t *first = step(pre, "pretokenizers", 0), *second = step(pre, "pretokenizers", 1);
    t->byte_level = true;
    if (step(pre, "pretokenizers", 2) != NULL)
        return ops_tok_json_unbuilt(reterr, "a pre_tokenizer of three steps", pre);
    if (second == NULL && byte_level(first, true)) {
        t->split = OPS_SPLIT_GPT2;
        (void)snprintf(t->name, sizeof t->name, "bpe/gpt-2");
        return OPS_OK;
    }
    if (ops_tok_json_is(first, "Digits") && flag(first, "individual_digits", false) &&
        byte_level(second, true)) {
        t->split = OPS_SPLIT_SMOLLM;
        (void)snprintf(t->name, sizeof t->name, "bpe/smollm");
        return OPS_OK;
    }
    if (ops_tok_json_is(first, "Split") && byte_level(second, false))
        return read_regex(first, t, reterr);
    return ops_tok_json_unbuilt(reterr, "a pre_tokenizer", absent(second) ? first : second);
}

/* Metaspace: `prepend_scheme` in newer files, `add_prefix_space` in older ones. */
static ops_status read_metaspace(const json_t *pre, ops_tokenizer *t, ops_err *reterr)
{
    const json_t *scheme = json_object_get(pre, "prepend_scheme");
    if (!text_is(json_object_get(pre, "replacement"), mark) || t->prefix || t->nfc)
        return ops_tok_json_unbuilt(reterr, "a pre_tokenizer", pre);
    t->spaces = true;
    t->split_spaces = flag(pre, "split", true);
    t->prefix_if = scheme != NULL ? !text_is(scheme, "never") : flag(pre, "add_prefix_space", true);
    t->prefix_each = scheme == NULL || text_is(scheme, "always");
    return OPS_OK;
}

static bool has_byte_level(const json_t *pre)
{
    for (size_t i = 0; step(pre, "pretokenizers", i) != NULL; i++)
        if (ops_tok_json_is(step(pre, "pretokenizers", i), "ByteLevel"))
            return true;
    return false;
}

static ops_status read_pre(const json_t *pre, ops_tokenizer *t, ops_err *reterr)
{
    if (has_byte_level(pre))
        return t->spaces ? ops_tok_json_unbuilt(reterr, "a pre_tokenizer after this normalizer", pre)
                         : read_byte_level(pre, t, reterr);
    (void)snprintf(t->name, sizeof t->name, "%s", t->model == OPS_TOK_UNIGRAM ? "unigram" : "bpe/spaces");
    if (t->nfc)
        return ops_tok_json_unbuilt(reterr, "a pre_tokenizer after NFC", pre);
    if (ops_tok_json_is(pre, "Metaspace"))
        return read_metaspace(pre, t, reterr);
    /* Splitting at spaces that the normalizer has replaced does nothing. */
    const bool idle = ops_tok_json_is(pre, "Split") &&
                      text_is(json_object_get(json_object_get(pre, "pattern"), "String"), " ");
    return t->spaces && (absent(pre) || idle) ? OPS_OK : ops_tok_json_unbuilt(reterr, "a pre_tokenizer", pre);
}

static ops_status read_decoder(const json_t *decoder, const ops_tokenizer *t, ops_err *reterr)
{
    for (size_t i = 0; step(decoder, "decoders", i) != NULL; i++) {
        const json_t *s = step(decoder, "decoders", i);
        const bool known = t->byte_level
                               ? ops_tok_json_is(s, "ByteLevel")
                               : replaces(s, mark, " ") || ops_tok_json_is(s, "ByteFallback") ||
                                     ops_tok_json_is(s, "Fuse") || ops_tok_json_is(s, "Metaspace") ||
                                     (ops_tok_json_is(s, "Strip") && (t->prefix || t->prefix_if));
        if (!known)
            return ops_tok_json_unbuilt(reterr, "a decoder", s);
    }
    return OPS_OK;
}

ops_status ops_tok_json_rules(const json_t *root, ops_tokenizer *t, ops_err *reterr)
{
    t->raw_user = true;
    ops_status st = read_normalizer(json_object_get(root, "normalizer"), t, reterr);
    if (st == OPS_OK)
        st = read_pre(json_object_get(root, "pre_tokenizer"), t, reterr);
    return st == OPS_OK ? read_decoder(json_object_get(root, "decoder"), t, reterr) : st;
}

static ops_status read_around(const json_t *single, ops_tokenizer *t, ops_err *reterr)
{
    bool after = false;
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *special = json_object_get(json_array_get(single, i), "SpecialToken");
        if (special == NULL) {
            after = true;
            continue;
        }
        const ops_slice name = ops_tok_json_text(json_object_get(special, "id"));
        const int32_t id = ops_tokenizer_find(t, name);
        if (id < 0 || (after ? t->add_eos : t->add_bos))
            return ops_fail(reterr, id < 0 ? OPS_ECORRUPT : OPS_EUNIMPL,
                            "tokenizer.json: post_processor: '" OPS_SLICE_FMT
                            "' is no special token or the second on its side",
                            OPS_SLICE_ARG(ops_slice_sub(name, 0, 60)));
        *(after ? &t->eos : &t->bos) = id;
        *(after ? &t->add_eos : &t->add_bos) = true;
    }
    return OPS_OK;
}

ops_status ops_tok_json_post(const json_t *root, ops_tokenizer *t, ops_err *reterr)
{
    const json_t *post = json_object_get(root, "post_processor");
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && step(post, "processors", i) != NULL; i++) {
        const json_t *s = step(post, "processors", i);
        if (ops_tok_json_is(s, "TemplateProcessing"))
            st = read_around(json_object_get(s, "single"), t, reterr);
        else if (!ops_tok_json_is(s, "ByteLevel")) /* offsets only */
            return ops_tok_json_unbuilt(reterr, "a post_processor", s);
    }
    return st;
}
