/* tokenizer.json of the BERT kind. */
#include <jansson.h>
#include <string.h>

#include "base/coll/map.h"
#include "worker/model/wordpiece_internal.h"

static ops_status unbuilt(ops_err *reterr, const char *what, const char *type)
{
    return ops_fail(reterr, OPS_EUNIMPL, "tokenizer.json: %s of type '%.60s' is not built", what,
                    type != NULL ? type : "none");
}

static const char *type_of(const json_t *j)
{
    return json_string_value(json_object_get(j, "type"));
}

static bool is_type(const json_t *j, const char *want)
{
    const char *type = type_of(j);
    return type != NULL && strcmp(type, want) == 0;
}

static ops_status read_rules(const json_t *root, ops_wordpiece *w, ops_err *reterr)
{
    const json_t *norm = json_object_get(root, "normalizer"), *pre = json_object_get(root, "pre_tokenizer");
    if (!is_type(norm, "BertNormalizer"))
        return unbuilt(reterr, "a normalizer", type_of(norm));
    if (!is_type(pre, "BertPreTokenizer"))
        return unbuilt(reterr, "a pre_tokenizer", type_of(pre));
    const json_t *strip = json_object_get(norm, "strip_accents");
    const struct {
        const char *key;
        bool *at;
    } rows[] = {{"clean_text", &w->rules.clean},
                {"handle_chinese_chars", &w->rules.cjk},
                {"lowercase", &w->rules.lower}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const json_t *v = json_object_get(norm, rows[i].key);
        if (!json_is_boolean(v))
            return ops_fail(reterr, OPS_ECORRUPT, "tokenizer.json: normalizer.%s is no boolean", rows[i].key);
        *rows[i].at = json_is_true(v);
    }
    w->rules.strip = json_is_boolean(strip) ? json_is_true(strip) : w->rules.lower;
    return OPS_OK;
}

static ops_status read_piece(ops_wordpiece *w, const char *piece, const json_t *id, ops_slice prefix,
                             ops_err *reterr)
{
    const json_int_t value = json_integer_value(id);
    if (!json_is_integer(id) || value < 0 || value >= OPS_WORDPIECE_VOCAB_MAX)
        return ops_fail(reterr, OPS_ECORRUPT, "tokenizer.json: id of the piece '%.60s' is not in 0..%d",
                        piece, OPS_WORDPIECE_VOCAB_MAX - 1);
    ops_slice s = ops_slice_str(piece);
    if (value > w->id_max)
        w->id_max = (int32_t)value;
    ops_status st = s.n > 0 ? ops_wordpiece_put_piece(w->first, w, s, (int32_t)value) : OPS_OK;
    if (st == OPS_OK && s.n > prefix.n && ops_slice_starts(s, prefix))
        st = ops_wordpiece_put_piece(w->more, w, ops_slice_sub(s, prefix.n, s.n), (int32_t)value);
    return st == OPS_OK ? OPS_OK : ops_fail(reterr, st, "tokenizer.json: the piece '%.60s'", piece);
}

static ops_status read_model(const json_t *root, ops_wordpiece *w, ops_err *reterr)
{
    const json_t *model = json_object_get(root, "model");
    if (!is_type(model, "WordPiece"))
        return unbuilt(reterr, "a model", type_of(model));
    const char *unk = json_string_value(json_object_get(model, "unk_token"));
    const char *prefix = json_string_value(json_object_get(model, "continuing_subword_prefix"));
    const json_t *chars = json_object_get(model, "max_input_chars_per_word");
    json_t *vocab = json_object_get(model, "vocab");
    if (unk == NULL || prefix == NULL)
        return ops_fail(reterr, OPS_ECORRUPT,
                        "tokenizer.json: model.unk_token or continuing_subword_prefix is absent");
    if (!json_is_integer(chars) || json_integer_value(chars) < 1 ||
        json_integer_value(chars) > OPS_WORDPIECE_WORD_CHARS_MAX)
        return ops_fail(reterr, OPS_ECORRUPT,
                        "tokenizer.json: model.max_input_chars_per_word is not in 1..%d",
                        OPS_WORDPIECE_WORD_CHARS_MAX);
    if (!json_is_object(vocab))
        return ops_fail(reterr, OPS_ECORRUPT, "tokenizer.json: model.vocab is no object");
    if (json_object_size(vocab) > OPS_WORDPIECE_VOCAB_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "tokenizer.json: %zu pieces, at most %d are read",
                        json_object_size(vocab), OPS_WORDPIECE_VOCAB_MAX);
    w->word_chars_max = (size_t)json_integer_value(chars);
    const char *piece;
    json_t *id;
    json_object_foreach(vocab, piece, id)
    {
        const ops_status st = read_piece(w, piece, id, ops_slice_str(prefix), reterr);
        if (st != OPS_OK)
            return st;
    }
    w->unk = ops_wordpiece_id_of(w->first, ops_slice_str(unk));
    if (w->unk < 0)
        return ops_fail(reterr, OPS_ECORRUPT, "tokenizer.json: the vocabulary lacks the unk_token '%.60s'",
                        unk);
    return OPS_OK;
}

static ops_status add_special(ops_wordpiece *w, ops_wordpiece_affix *a, const char *name, ops_err *reterr)
{
    const int32_t id = name != NULL ? ops_wordpiece_id_of(w->first, ops_slice_str(name)) : -1;
    if (id < 0)
        return ops_fail(reterr, OPS_ECORRUPT,
                        "tokenizer.json: post_processor names '%.60s', which is no piece",
                        name != NULL ? name : "");
    if (a->n == OPS_WORDPIECE_AFFIX_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "tokenizer.json: more than %d special tokens on one side",
                        OPS_WORDPIECE_AFFIX_MAX);
    a->id[a->n++] = id;
    return OPS_OK;
}

/* "single": special tokens, the sequence, special tokens. */
static ops_status read_template(const json_t *post, ops_wordpiece *w, ops_err *reterr)
{
    const json_t *single = json_object_get(post, "single");
    size_t sequences = 0;
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *part = json_array_get(single, i), *special = json_object_get(part, "SpecialToken");
        if (special == NULL) {
            sequences += json_object_get(part, "Sequence") != NULL;
            continue;
        }
        const char *name = json_string_value(json_object_get(special, "id"));
        const ops_status st = add_special(w, sequences == 0 ? &w->head : &w->tail, name, reterr);
        if (st != OPS_OK)
            return st;
    }
    if (sequences != 1)
        return ops_fail(reterr, OPS_ECORRUPT,
                        "tokenizer.json: post_processor.single does not hold one sequence");
    return OPS_OK;
}

/* The special token or sequence at place i of a template: its id, or -1 for the sequence `name`; -2 for anything else. */
static int32_t part_of(const ops_wordpiece *w, const json_t *pair, size_t i, const char *name, int type)
{
    const json_t *part = json_array_get(pair, i), *special = json_object_get(part, "SpecialToken");
    const json_t *is = special != NULL ? special : json_object_get(part, "Sequence");
    const char *id = json_string_value(json_object_get(is, "id"));
    const json_t *said = json_object_get(is, "type_id");
    if (id == NULL || !json_is_integer(said) || json_integer_value(said) != type)
        return -2;
    if (special == NULL)
        return strcmp(id, name) == 0 ? -1 : -2;
    const int32_t known = ops_wordpiece_id_of(w->first, ops_slice_str(id));
    return known >= 0 ? known : -2;
}

/* Is "pair" the first text as if alone, then the second and what follows a text? */
static bool knows_pairs(const ops_wordpiece *w, const json_t *pair)
{
    size_t at = 0;
    bool ok = json_array_size(pair) == w->head.n + 2 * w->tail.n + 2;
    for (size_t i = 0; ok && i < w->head.n; i++)
        ok = part_of(w, pair, at++, "A", 0) == w->head.id[i];
    for (int type = 0; ok && type < 2; type++) {
        ok = part_of(w, pair, at++, type == 0 ? "A" : "B", type) == -1;
        for (size_t i = 0; ok && i < w->tail.n; i++)
            ok = part_of(w, pair, at++, "", type) == w->tail.id[i];
    }
    return ok;
}

static ops_status read_post(const json_t *root, ops_wordpiece *w, ops_err *reterr)
{
    const json_t *post = json_object_get(root, "post_processor");
    if (is_type(post, "TemplateProcessing")) {
        const ops_status read = read_template(post, w, reterr);
        w->pairs = read == OPS_OK && knows_pairs(w, json_object_get(post, "pair"));
        return read;
    }
    if (!is_type(post, "BertProcessing"))
        return unbuilt(reterr, "a post_processor", type_of(post));
    const char *cls = json_string_value(json_array_get(json_object_get(post, "cls"), 0));
    const char *sep = json_string_value(json_array_get(json_object_get(post, "sep"), 0));
    const ops_status st = add_special(w, &w->head, cls, reterr);
    w->pairs = true;
    return st == OPS_OK ? add_special(w, &w->tail, sep, reterr) : st;
}

ops_status ops_wordpiece_parse(ops_slice json, ops_wordpiece **ret, ops_err *reterr)
{
    if (json.n > OPS_WORDPIECE_JSON_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "tokenizer.json: %zu bytes, at most %d are read", json.n,
                        OPS_WORDPIECE_JSON_MAX);
    json_error_t e;
    json_t *root = json_loadb(json.p != NULL ? json.p : "", json.n, 0, &e);
    if (root == NULL)
        return ops_fail(reterr, OPS_ECORRUPT, "tokenizer.json: line %d: %.160s", e.line, e.text);
    ops_status st;
    OPS_AUTO(ops_wordpiece_free) ops_wordpiece *w = ops_wordpiece_new();
    if (w == NULL)
        st = ops_fail(reterr, OPS_ENOMEM, "tokenizer.json");
    else
        st = read_rules(root, w, reterr);
    if (st == OPS_OK)
        st = read_model(root, w, reterr);
    if (st == OPS_OK)
        st = read_post(root, w, reterr);
    json_decref(root);
    if (st != OPS_OK)
        return st;
    *ret = OPS_STEAL(w);
    return OPS_OK;
}
