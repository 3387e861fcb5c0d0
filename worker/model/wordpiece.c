#include "worker/model/wordpiece.h"

#include <jansson.h>
#include <string.h>

#include "base/coll/map.h"
#include "base/mem/alloc.h"
#include "worker/model/wordpiece_internal.h"

typedef struct affix {
    size_t n;
    int32_t id[OPS_WORDPIECE_AFFIX_MAX];
} affix;

struct ops_wordpiece {
    ops_wordpiece_rules rules;
    ops_map *first, *more; /* piece -> id + 1; `more` holds those with the continuing prefix, without it */
    size_t piece_max;      /* bytes of the longest */
    size_t word_chars_max;
    int32_t unk, id_max;
    affix head, tail;
    bool pairs;
};

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
    void *stored =
        (void *)(uintptr_t)(value + 1); // NOLINT(performance-no-int-to-ptr): a map of small numbers
    ops_slice s = ops_slice_str(piece);
    if (value > w->id_max)
        w->id_max = (int32_t)value;
    if (s.n > w->piece_max)
        w->piece_max = s.n;
    ops_status st = s.n > 0 ? ops_map_put(w->first, s, stored, NULL) : OPS_OK;
    if (st == OPS_OK && s.n > prefix.n && ops_slice_starts(s, prefix))
        st = ops_map_put(w->more, ops_slice_sub(s, prefix.n, s.n), stored, NULL);
    return st == OPS_OK ? OPS_OK : ops_fail(reterr, st, "tokenizer.json: the piece '%.60s'", piece);
}

static int32_t id_of(const ops_map *m, ops_slice piece)
{
    return (int32_t)(uintptr_t)ops_map_get(m, piece) - 1;
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
    w->unk = id_of(w->first, ops_slice_str(unk));
    if (w->unk < 0)
        return ops_fail(reterr, OPS_ECORRUPT, "tokenizer.json: the vocabulary lacks the unk_token '%.60s'",
                        unk);
    return OPS_OK;
}

static ops_status add_special(ops_wordpiece *w, affix *a, const char *name, ops_err *reterr)
{
    const int32_t id = name != NULL ? id_of(w->first, ops_slice_str(name)) : -1;
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
    const int32_t known = id_of(w->first, ops_slice_str(id));
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
    OPS_AUTO(ops_wordpiece_free) ops_wordpiece *w = ops_calloc(1, sizeof *w);
    if (w == NULL || (w->first = ops_map_new()) == NULL || (w->more = ops_map_new()) == NULL)
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

void ops_wordpiece_free(ops_wordpiece *w)
{
    if (w == NULL)
        return;
    ops_map_free(w->first);
    ops_map_free(w->more);
    ops_free(w);
}

int32_t ops_wordpiece_id_max(const ops_wordpiece *w)
{
    return w->id_max;
}

size_t ops_wordpiece_specials(const ops_wordpiece *w)
{
    return w->head.n + w->tail.n;
}

typedef struct out {
    const ops_wordpiece *w;
    int32_t *ids;
    size_t n, max;
    size_t chars, bytes; /* of the word so far; chars goes on counting past what fits */
    char word[OPS_WORDPIECE_WORD_CHARS_MAX * 4];
} out;

/* Without `ids` they are only counted. */
static void put_id(out *o, int32_t id)
{
    if (o->n >= o->max)
        return;
    if (o->ids != NULL)
        o->ids[o->n] = id;
    o->n++;
}

/* Longest piece first from the left; a word with a rest that no piece starts is unknown as a whole. */
static void end_word(out *o)
{
    const ops_wordpiece *w = o->w;
    const size_t bytes = o->bytes, chars = o->chars, start = o->n;
    o->bytes = o->chars = 0;
    if (chars == 0)
        return;
    if (chars > w->word_chars_max) {
        put_id(o, w->unk);
        return;
    }
    for (size_t at = 0; at < bytes;) {
        size_t n = bytes - at < w->piece_max ? bytes - at : w->piece_max;
        int32_t id = -1;
        for (; n > 0; n--) {
            if (at + n < bytes && (o->word[at + n] & 0xc0) == 0x80)
                continue; /* inside a character: pieces are whole UTF-8 */
            id = id_of(at == 0 ? w->first : w->more, ops_slice_of(o->word + at, n));
            if (id >= 0)
                break;
        }
        if (id < 0) {
            o->n = start;
            put_id(o, w->unk);
            return;
        }
        put_id(o, id);
        at += n;
    }
}

static void put_char(out *o, int32_t c)
{
    if (ops_wordpiece_blank(c)) {
        end_word(o);
        return;
    }
    const bool alone = ops_wordpiece_punct(c);
    if (alone)
        end_word(o);
    if (o->chars++ < o->w->word_chars_max)
        o->bytes += ops_wordpiece_put(c, o->word + o->bytes);
    if (alone)
        end_word(o);
}

static void put_text(out *o, ops_slice text)
{
    while (text.n > 0 && o->n < o->max) {
        int32_t part[OPS_WORDPIECE_OUT_MAX];
        const size_t parts = ops_wordpiece_normalize(&o->w->rules, ops_wordpiece_next(&text), part);
        for (size_t i = 0; i < parts; i++)
            put_char(o, part[i]);
    }
    end_word(o);
}

static void put_affix(out *o, const affix *a)
{
    for (size_t i = 0; i < a->n; i++)
        put_id(o, a->id[i]);
}

static void begin(out *o, const ops_wordpiece *w, size_t max, int32_t *ids)
{
    o->w = w;
    o->ids = ids;
    o->max = max;
    o->n = o->chars = o->bytes = 0;
}

size_t ops_wordpiece_encode(const ops_wordpiece *w, ops_slice text, size_t tokens_max, int32_t *ret_ids)
{
    out o;
    if (tokens_max < ops_wordpiece_specials(w))
        return 0;
    begin(&o, w, tokens_max - w->tail.n, ret_ids);
    put_affix(&o, &w->head);
    put_text(&o, text);
    o.max = tokens_max;
    put_affix(&o, &w->tail);
    return o.n;
}

bool ops_wordpiece_pairs(const ops_wordpiece *w)
{
    return w->pairs;
}

/* How many ids of two texts stay where there is room for so many. */
static void share(size_t room, size_t n[2])
{
    if (n[0] + n[1] <= room)
        return;
    const int shorter = n[0] <= n[1] ? 0 : 1;
    if (n[shorter] > room / 2) {
        n[shorter] = room / 2;
        n[1 - shorter] = room / 2 + room % 2;
    } else {
        n[1 - shorter] = room - n[shorter];
    }
}

size_t ops_wordpiece_encode_pair(const ops_wordpiece *w, ops_slice first, ops_slice second, size_t tokens_max,
                                 int32_t *ret_ids, int32_t *ret_types)
{
    const ops_slice texts[2] = {first, second};
    const size_t specials = w->head.n + 2 * w->tail.n;
    size_t n[2];
    out o;
    if (!w->pairs || tokens_max < specials)
        return 0;
    for (int i = 0; i < 2; i++) {
        begin(&o, w, SIZE_MAX, NULL);
        put_text(&o, texts[i]);
        n[i] = o.n;
    }
    share(tokens_max - specials, n);
    begin(&o, w, tokens_max, ret_ids);
    put_affix(&o, &w->head);
    for (int32_t type = 0, from = 0; type < 2; type++, from = (int32_t)o.n) {
        o.max = o.n + n[type];
        put_text(&o, texts[type]);
        o.max = tokens_max;
        put_affix(&o, &w->tail);
        for (size_t i = (size_t)from; i < o.n; i++)
            ret_types[i] = type;
    }
    return o.n;
}
