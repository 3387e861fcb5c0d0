/* Writes texts under grammars by chance, for tests that judge them. Input: lines `schema JSON`, `spaced JSON`, `ebnf JSON string`
 * or `object {}`. Output, for each line: `error MESSAGE`, or as many lines `text JSON-string` as were asked for, then `end`.
 * usage: grammar_walk TEXTS TOKENS SEED [model.gguf]: up to about TOKENS tokens are chosen freely, then the way out is sought: by
 * what masks allow in texts 0, 2, ..., by the shortest end in texts 1, 3, ... */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/mem/alloc.h"
#include "tests/unit/worker/grammar/walk.h"
#include "worker/model/mapped.h"

typedef struct setting {
    ops_grammar_vocab *v;
    const ops_tokenizer *t;
    ops_grammar_cache *c;
    uint32_t *words, *plain;
    size_t n_words;
    int texts, tokens;
    uint64_t seed;
} setting;

static ops_slice piece(const setting *s, int32_t id)
{
    static char byte;
    if (s->t != NULL)
        return ops_tokenizer_piece(s->t, id);
    byte = (char)id;
    return id < WALK_END ? ops_slice_of(&byte, 1)
                         : ops_slice_str(id == WALK_END ? "" : walk_pieces[id - WALK_END - 1]);
}
static bool ends(const setting *s, int32_t id)
{
    return s->t != NULL ? ops_tokenizer_ends(s->t, id) : id == WALK_END;
}

/* A bit by chance: from a random place on, the first that is set. When it is time to end: the end, then mostly what closes. */
static int32_t choose(setting *s, bool closing)
{
    const size_t n = ops_grammar_vocab_count(s->v);
    if (closing) {
        static const char out[] = "\"}]0:,1aAZ-T.+ef";
        for (size_t id = 0; id < n; id++)
            if (ends(s, (int32_t)id) && walk_bit(s->words, id))
                return (int32_t)id;
        for (size_t i = 0; walk_random(&s->seed) % 8 != 0 && i + 1 < sizeof out; i++)
            for (size_t id = 0; id < n; id++)
                if (walk_bit(s->words, id) && piece(s, (int32_t)id).n == 1 &&
                    piece(s, (int32_t)id).p[0] == out[i])
                    return (int32_t)id;
    }
    const size_t from = walk_random(&s->seed) % n;
    for (size_t i = 0; i < n; i++)
        if (walk_bit(s->words, (from + i) % n))
            return (int32_t)((from + i) % n);
    return -1;
}

static bool broken(const char *what, ops_err *err, ops_strbuf *text)
{
    printf("broken %s: %s after ", what, err->msg);
    ops_strbuf j;
    ops_strbuf_init(&j, 1 << 24);
    ops_strbuf_json(&j, ops_strbuf_get(text));
    printf("%s\n", j.p != NULL ? j.p : "");
    ops_strbuf_done(&j);
    return false;
}

/* The shortest end, as it is told. */
static bool end_short(ops_matcher *m, ops_strbuf *text)
{
    static char bytes[1 << 16];
    ops_err err = {.msg = "the shortest end is not that short"};
    const size_t told = ops_matcher_ending(m), n = ops_matcher_end_bytes(m, bytes, sizeof bytes);
    if (n != told || (n == 0) != ops_matcher_complete(m))
        return broken("ending", &err, text);
    ops_strbuf_put(text, bytes, n);
    return true;
}

/* One text. With and without the cache the mask must be the same; a token that it denies must be refused. */
static bool walk(setting *s, const ops_grammar *g, bool shortest, ops_strbuf *text)
{
    OPS_AUTO(ops_matcher_free) ops_matcher *m = NULL;
    ops_err err = {.msg = ""};
    if (ops_matcher_new(g, &m, &err) != OPS_OK)
        return broken("matcher", &err, text);
    const int limit = 16 * s->tokens + 2000;
    for (int i = 0; i < limit && !ops_matcher_finished(m); i++) {
        if (ops_matcher_mask(m, s->c, s->words, s->n_words, &err) != OPS_OK)
            return broken("mask", &err, text);
        if (i < 8 || i % 16 == 0) {
            if (ops_matcher_mask(m, NULL, s->plain, s->n_words, &err) != OPS_OK)
                return broken("mask", &err, text);
            if (memcmp(s->words, s->plain, s->n_words * sizeof *s->words) != 0)
                return broken("cache", &err, text);
            const int32_t other = (int32_t)(walk_random(&s->seed) % ops_grammar_vocab_count(s->v));
            const bool open = walk_bit(s->words, (size_t)other);
            if ((ops_matcher_accept(m, other, &err) == OPS_OK) != open)
                return broken("a mask that accept does not share", &err, text);
            if (open && ops_matcher_rollback(m, 1, &err) != OPS_OK)
                return broken("rollback", &err, text);
        }
        if (shortest && i >= s->tokens)
            return end_short(m, text);
        const int32_t id = choose(s, i >= s->tokens);
        if (id < 0)
            return broken("dead end", &err, text);
        if (ops_matcher_accept(m, id, &err) != OPS_OK)
            return broken("accept", &err, text);
        if (!ends(s, id))
            ops_strbuf_slice(text, piece(s, id));
    }
    return ops_matcher_finished(m) || broken("no end", &err, text);
}

static void run(setting *s, const ops_grammar *g)
{
    ops_strbuf text, out;
    ops_strbuf_init(&text, 1 << 22);
    ops_strbuf_init(&out, 1 << 24);
    for (int i = 0; i < s->texts; i++) {
        ops_strbuf_clear(&text);
        ops_strbuf_clear(&out);
        if (!walk(s, g, i % 2 == 1, &text))
            continue;
        json_t *j = json_stringn(text.p != NULL ? text.p : "", text.n); /* refuses what is no UTF-8 */
        char *line = j != NULL ? json_dumps(j, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
        printf(line != NULL ? "text %s\n" : "broken utf-8%s\n", line != NULL ? line : "");
        free(line); // NOLINT: of jansson
        json_decref(j);
    }
    ops_strbuf_done(&text);
    ops_strbuf_done(&out);
}

static void serve(setting *s, char *line)
{
    char *rest = strchr(line, ' ');
    OPS_AUTO(ops_grammar_free) ops_grammar *g = NULL;
    ops_err err = {.msg = "no such kind"};
    ops_status st = OPS_EINVAL;
    if (rest == NULL)
        rest = line + strlen(line);
    else
        *rest++ = '\0';
    if (strcmp(line, "schema") == 0 || strcmp(line, "spaced") == 0)
        st = ops_grammar_from_schema(s->v, ops_slice_str(rest), line[1] == 'p' ? OPS_GRAMMAR_SPACED : 0, &g,
                                     &err);
    else if (strcmp(line, "object") == 0)
        st = ops_grammar_from_json_object(s->v, 0, &g, &err);
    else if (strcmp(line, "ebnf") == 0) {
        json_t *j = json_loads(rest, JSON_DECODE_ANY, NULL);
        if (json_is_string(j))
            st = ops_grammar_from_ebnf(s->v, ops_slice_str(json_string_value(j)), &g, &err);
        json_decref(j);
    }
    if (st != OPS_OK)
        printf("error %s %s\n", ops_status_name(st), err.msg);
    else
        run(s, g);
    printf("end\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    setting s = {.texts = (int)strtol(argv[1], NULL, 10),
                 .tokens = (int)strtol(argv[2], NULL, 10),
                 .seed = strtoull(argv[3], NULL, 10) * 2654435761U + 1};
    OPS_AUTO(ops_mapped_free) ops_mapped *file = NULL;
    OPS_AUTO(ops_gguf_free) ops_gguf *gguf = NULL;
    OPS_AUTO(ops_tokenizer_free) ops_tokenizer *t = NULL;
    ops_err err = {.msg = ""};
    ops_status st = OPS_OK;
    if (argc > 4) {
        if (ops_mapped_open(argv[4], (size_t)8 << 30, &file, &err) != OPS_OK ||
            ops_gguf_parse(ops_mapped_bytes(file), &gguf, &err) != OPS_OK ||
            ops_tokenizer_from_gguf(gguf, &t, &err) != OPS_OK) {
            (void)fprintf(stderr, "%s\n", err.msg);
            return 1;
        }
        s.t = t;
        st = ops_grammar_vocab_new(t, &s.v, &err);
    } else
        s.v = walk_vocab();
    if (st != OPS_OK || s.v == NULL || ops_grammar_cache_new(s.v, 16 << 20, &s.c, &err) != OPS_OK)
        return 1;
    s.n_words = ops_grammar_mask_words(ops_grammar_vocab_count(s.v));
    s.words = ops_calloc(s.n_words, sizeof *s.words);
    s.plain = ops_calloc(s.n_words, sizeof *s.plain);
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while (s.words != NULL && s.plain != NULL && (n = getline(&line, &cap, stdin)) > 0) {
        line[strcspn(line, "\n")] = '\0';
        serve(&s, line);
    }
    free(line); // NOLINT: of getline
    ops_free(s.words);
    ops_free(s.plain);
    ops_grammar_cache_free(s.c);
    ops_grammar_vocab_free(s.v);
    return 0;
}
