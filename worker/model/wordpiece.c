/* A text as ids: the words that the rules make of it, each cut longest piece first. */
#include "worker/model/wordpiece.h"

#include <string.h>

#include "base/coll/map.h"
#include "base/mem/alloc.h"
#include "worker/model/wordpiece_internal.h"

ops_wordpiece *ops_wordpiece_new(void)
{
    OPS_AUTO(ops_wordpiece_free) ops_wordpiece *w = ops_calloc(1, sizeof *w);
    if (w == NULL || (w->first = ops_map_new()) == NULL || (w->more = ops_map_new()) == NULL)
        return NULL;
    w->unk = -1;
    return OPS_STEAL(w);
}

ops_status ops_wordpiece_put_piece(ops_map *m, ops_wordpiece *w, ops_slice piece, int32_t id)
{
    if (piece.n > w->piece_max)
        w->piece_max = piece.n;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): a map of small numbers
    return ops_map_put(m, piece, (void *)(uintptr_t)(id + 1), NULL);
}

int32_t ops_wordpiece_id_of(const ops_map *m, ops_slice piece)
{
    return (int32_t)(uintptr_t)ops_map_get(m, piece) - 1;
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
    size_t chars, bytes;        /* of the word so far; chars goes on counting past what fits */
    ops_wordpiece_word *words;  /* NULL: not asked for */
    size_t n_words, begin, end; /* begin, end: of the word so far, in the text */
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
    if (o->words != NULL && o->n < o->max)
        o->words[o->n_words++] = (ops_wordpiece_word){(uint32_t)o->n, (uint32_t)o->begin, (uint32_t)o->end};
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
            id = ops_wordpiece_id_of(at == 0 ? w->first : w->more, ops_slice_of(o->word + at, n));
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

/* `begin`, `end`: what it was made of in the text. */
static void put_char(out *o, int32_t c, size_t begin, size_t end)
{
    if (ops_wordpiece_blank(c)) {
        end_word(o);
        return;
    }
    const bool alone = ops_wordpiece_punct(c);
    if (alone)
        end_word(o);
    if (o->chars == 0)
        o->begin = begin;
    o->end = end;
    if (o->chars++ < o->w->word_chars_max)
        o->bytes += ops_wordpiece_put(c, o->word + o->bytes);
    if (alone)
        end_word(o);
}

static void put_text(out *o, ops_slice text)
{
    const size_t all = text.n;
    while (text.n > 0 && o->n < o->max) {
        int32_t part[OPS_WORDPIECE_OUT_MAX];
        const size_t begin = all - text.n;
        const size_t parts = ops_wordpiece_normalize(&o->w->rules, ops_wordpiece_next(&text), part);
        for (size_t i = 0; i < parts; i++)
            put_char(o, part[i], begin, all - text.n);
    }
    end_word(o);
}

static void put_affix(out *o, const ops_wordpiece_affix *a)
{
    for (size_t i = 0; i < a->n; i++)
        put_id(o, a->id[i]);
}

static void begin(out *o, const ops_wordpiece *w, size_t max, int32_t *ids)
{
    o->w = w;
    o->ids = ids;
    o->max = max;
    o->n = o->chars = o->bytes = o->n_words = 0;
    o->words = NULL;
}

size_t ops_wordpiece_encode_words(const ops_wordpiece *w, ops_slice text, size_t tokens_max, int32_t *ret_ids,
                                  ops_wordpiece_word *ret_words, size_t *ret_n)
{
    out o;
    *ret_n = 0;
    if (tokens_max < ops_wordpiece_specials(w))
        return 0;
    begin(&o, w, tokens_max - w->tail.n, ret_ids);
    o.words = ret_words;
    put_affix(&o, &w->head);
    put_text(&o, text);
    o.max = tokens_max;
    put_affix(&o, &w->tail);
    *ret_n = o.n_words;
    return o.n;
}

size_t ops_wordpiece_encode(const ops_wordpiece *w, ops_slice text, size_t tokens_max, int32_t *ret_ids)
{
    size_t none;
    return ops_wordpiece_encode_words(w, text, tokens_max, ret_ids, NULL, &none);
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
