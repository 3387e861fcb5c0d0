/* What a matcher promises: masks and accept agree, taking back, forks, jump-forward, an end exactly where the text is whole,
 * vocabularies that lack bytes, limits, a heap that is out. Which texts a schema gives is judged in test_grammar.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "tests/unit/worker/grammar/walk.h"

enum { WORDS = (WALK_TOKENS + 31) / 32 };

static ops_grammar_vocab *vocab;

static ops_grammar *schema(const char *json, unsigned flags)
{
    ops_grammar *g = NULL;
    ops_err err;
    if (ops_grammar_from_schema(vocab, ops_slice_str(json), flags, &g, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    return g;
}
static ops_grammar *ebnf(const char *text)
{
    ops_grammar *g = NULL;
    ops_err err;
    if (ops_grammar_from_ebnf(vocab, ops_slice_str(text), &g, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    return g;
}
static ops_matcher *matcher(const ops_grammar *g)
{
    ops_matcher *m = NULL;
    assert_int_equal(ops_matcher_new(g, &m, NULL), OPS_OK);
    return m;
}
static int32_t token(const char *text)
{
    if (text[1] == '\0')
        return (uint8_t)text[0];
    for (int i = 0; i < WALK_PIECES; i++)
        if (strcmp(walk_pieces[i], text) == 0)
            return WALK_END + 1 + i;
    fail_msg("no token '%s'", text);
    return -1;
}
static bool reads(ops_matcher *m, const char *bytes)
{
    for (; *bytes != '\0'; bytes++)
        if (ops_matcher_accept(m, (uint8_t)*bytes, NULL) != OPS_OK)
            return false;
    return true;
}
static bool whole(const ops_grammar *g, const char *text)
{
    OPS_AUTO(ops_matcher_free) ops_matcher *m = matcher(g);
    return reads(m, text) && ops_matcher_complete(m) && ops_matcher_accept(m, WALK_END, NULL) == OPS_OK &&
           ops_matcher_finished(m);
}
static void mask(ops_matcher *m, ops_grammar_cache *c, uint32_t *words)
{
    assert_int_equal(ops_matcher_mask(m, c, words, WORDS, NULL), OPS_OK);
}

static void a_mask_says_what_accept_takes(void **state)
{
    (void)state;
    OPS_AUTO(ops_grammar_free)
    ops_grammar *g = schema("{\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":[\"a\"]}", 0);
    OPS_AUTO(ops_matcher_free) ops_matcher *m = matcher(g);
    uint32_t words[WORDS];
    for (int step = 0; step < 3; step++) {
        mask(m, NULL, words);
        for (int32_t id = 0; id < WALK_TOKENS; id++) {
            const bool taken = ops_matcher_accept(m, id, NULL) == OPS_OK;
            assert_int_equal(taken, walk_bit(words, (size_t)id));
            if (taken)
                assert_int_equal(ops_matcher_rollback(m, 1, NULL), OPS_OK);
        }
        assert_true(reads(m, step == 0 ? "{\"a\":" : step == 1 ? "\"x" : "\""));
    }
    mask(m, NULL, words);
    assert_int_equal(ops_matcher_only(words, WORDS), '}');
    assert_true(reads(m, "}"));
    mask(m, NULL, words);
    assert_int_equal(ops_matcher_only(words, WORDS), WALK_END);
}

/* Bits by hand: the layout of OPS_KERN_HEAD. */
static void a_mask_has_the_layout_of_the_head(void **state)
{
    (void)state;
    OPS_AUTO(ops_grammar_free) ops_grammar *g = ebnf("root ::= [A-Ca]");
    OPS_AUTO(ops_matcher_free) ops_matcher *m = matcher(g);
    uint32_t words[WORDS + 2];
    memset(words, 0xff, sizeof words);
    assert_int_equal(ops_matcher_mask(m, NULL, words, WORDS + 2, NULL), OPS_OK);
    for (size_t i = 0; i < WORDS + 2; i++)
        assert_int_equal(words[i], i == 2 ? 0xeU : i == 3 ? 2U : 0U); /* 65, 66, 67; 97 */
    assert_int_equal(ops_matcher_mask(m, NULL, words, WORDS - 1, NULL), OPS_EINVAL);
}

static void tokens_that_cross_rules_are_taken(void **state)
{
    (void)state;
    OPS_AUTO(ops_grammar_free)
    ops_grammar *g = schema("{\"type\":\"array\",\"items\":{\"properties\":{\"name\":{\"type\":\"string\"},"
                            "\"id\":{\"type\":\"string\"}},"
                            "\"required\":[\"name\",\"id\"]}}",
                            0);
    OPS_AUTO(ops_matcher_free) ops_matcher *m = matcher(g);
    OPS_AUTO(ops_grammar_cache_free) ops_grammar_cache *c = NULL;
    assert_int_equal(ops_grammar_cache_new(vocab, 1 << 20, &c, NULL), OPS_OK);
    static const char *const way[] = {"[{\"", "name", "\":\"", "the ", "\",\"", "id", "\":\"", "\"}", "]"};
    uint32_t words[WORDS];
    for (size_t i = 0; i < sizeof way / sizeof *way; i++) {
        mask(m, c, words);
        assert_true(walk_bit(words, (size_t)token(way[i])));
        assert_false(walk_bit(words, WALK_END));
        assert_int_equal(walk_bit(words, (size_t)token("]]")),
                         i == 3 || i == 4 || i == 7); /* inside a string */
        assert_int_equal(ops_matcher_accept(m, token(way[i]), NULL), OPS_OK);
    }
    assert_true(ops_matcher_complete(m));
    assert_int_equal(ops_matcher_accept(m, token("]"), NULL), OPS_EINVAL);
}

static void what_was_taken_can_be_taken_back(void **state)
{
    (void)state;
    OPS_AUTO(ops_grammar_free) ops_grammar *g = NULL;
    assert_int_equal(ops_grammar_from_json_object(vocab, OPS_GRAMMAR_SPACED, &g, NULL), OPS_OK);
    OPS_AUTO(ops_matcher_free) ops_matcher *m = matcher(g);
    uint32_t words[512][WORDS];
    uint64_t seed = 42;
    int at = 0;
    mask(m, NULL, words[0]);
    for (int i = 0; i < 3000 && at < 511; i++) {
        const size_t n = walk_random(&seed) % 8;
        if (n < 6 || (int)n > at) {
            size_t id = walk_random(&seed) % WALK_TOKENS;
            while (!walk_bit(words[at], id) || id == WALK_END)
                id = (id + 1) % WALK_TOKENS;
            assert_int_equal(ops_matcher_accept(m, (int32_t)id, NULL), OPS_OK);
            at++;
            mask(m, NULL, words[at]);
            if (ops_matcher_complete(m)) { /* go on elsewhere */
                assert_int_equal(ops_matcher_rollback(m, 1, NULL), OPS_OK);
                at--;
            }
        } else {
            uint32_t again[WORDS];
            assert_int_equal(ops_matcher_rollback(m, n, NULL), OPS_OK);
            at -= (int)n;
            mask(m, NULL, again);
            assert_memory_equal(again, words[at], sizeof again);
        }
    }
    assert_int_equal(ops_matcher_rollback(m, OPS_MATCHER_ROLLBACK_MAX + 1, NULL), OPS_ERANGE);
    ops_matcher_restart(m);
    assert_int_equal(ops_matcher_rollback(m, 1, NULL), OPS_ERANGE);
    mask(m, NULL, words[1]);
    assert_memory_equal(words[0], words[1], sizeof words[0]);
}

static void an_end_can_be_taken_back(void **state)
{
    (void)state;
    OPS_AUTO(ops_grammar_free) ops_grammar *g = ebnf("root ::= 'a' 'b'?");
    OPS_AUTO(ops_matcher_free) ops_matcher *m = matcher(g);
    uint32_t words[WORDS];
    assert_int_equal(ops_matcher_accept(m, WALK_END, NULL), OPS_EINVAL);
    assert_true(reads(m, "a"));
    assert_int_equal(ops_matcher_accept(m, WALK_END, NULL), OPS_OK);
    assert_true(ops_matcher_finished(m));
    assert_int_equal(ops_matcher_mask(m, NULL, words, WORDS, NULL), OPS_EINVAL);
    assert_int_equal(ops_matcher_accept(m, 'b', NULL), OPS_EINVAL);
    assert_int_equal(ops_matcher_rollback(m, 1, NULL), OPS_OK);
    assert_false(ops_matcher_finished(m));
    assert_true(reads(m, "b"));
}

static void forks_go_their_own_ways(void **state)
{
    (void)state;
    OPS_AUTO(ops_grammar_free) ops_grammar *g = ebnf("root ::= 'a' root? 'b' | 'x'");
    OPS_AUTO(ops_matcher_free) ops_matcher *m = matcher(g);
    OPS_AUTO(ops_matcher_free) ops_matcher *f = NULL;
    assert_true(reads(m, "aaa"));
    assert_int_equal(ops_matcher_fork(m, &f, NULL), OPS_OK);
    assert_true(reads(m, "bb"));
    assert_true(reads(f, "axbbb"));
    assert_false(ops_matcher_complete(m));
    assert_false(ops_matcher_complete(f));
    assert_true(reads(m, "b"));
    assert_true(reads(f, "b"));
    assert_true(ops_matcher_complete(m) && ops_matcher_complete(f));
    assert_int_equal(ops_matcher_rollback(f, 9, NULL), OPS_OK);
    assert_true(reads(f, "x"));
    assert_true(ops_matcher_complete(f));
}

static void forced_bytes_are_told(void **state)
{
    (void)state;
    OPS_AUTO(ops_grammar_free)
    ops_grammar *g = schema(
        "{\"properties\":{\"component\":{\"enum\":[\"checkout\",\"checkpoint\"]},\"x\":{\"const\":null}},"
        "\"required\":[\"component\",\"x\"]}",
        0);
    OPS_AUTO(ops_matcher_free) ops_matcher *m = matcher(g);
    char to[64];
    assert_int_equal(ops_matcher_forced(m, to, sizeof to), strlen("{\"component\":\"check"));
    assert_memory_equal(to, "{\"component\":\"check", strlen("{\"component\":\"check"));
    assert_int_equal(ops_matcher_forced(m, to, 4), 4);
    assert_true(reads(m, "{\"component\":\"check"));
    assert_int_equal(ops_matcher_forced(m, to, sizeof to), 0);
    assert_true(reads(m, "p"));
    assert_int_equal(ops_matcher_forced(m, to, sizeof to), strlen("oint\",\"x\":null}"));
    assert_memory_equal(to, "oint\",\"x\":null}", strlen("oint\",\"x\":null}"));
}

static void the_shortest_end_is_told(void **state)
{
    (void)state;
    OPS_AUTO(ops_grammar_free)
    ops_grammar *g =
        schema("{\"properties\":{\"a\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"minItems\":2},"
               "\"b\":{\"enum\":[\"long one\",\"ok\"]}},\"required\":[\"a\",\"b\"]}",
               0);
    OPS_AUTO(ops_matcher_free) ops_matcher *m = matcher(g);
    char to[64];
    assert_int_equal(ops_matcher_ending(m), strlen("{\"a\":[\"\",\"\"],\"b\":\"ok\"}"));
    assert_true(reads(m, "{\"a\":[\"xy"));
    assert_int_equal(ops_matcher_end_bytes(m, to, sizeof to), strlen("\",\"\"],\"b\":\"ok\"}"));
    assert_memory_equal(to, "\",\"\"],\"b\":\"ok\"}", strlen("\",\"\"],\"b\":\"ok\"}"));
    assert_int_equal(ops_matcher_end_bytes(m, to, 5), 0); /* no room to tell it */
    assert_true(reads(m, "\",\"\",\"\"],\"b\":\"l"));
    assert_int_equal(ops_matcher_ending(m), strlen("ong one\"}"));
    assert_true(reads(m, "ong one\"}"));
    assert_int_equal(ops_matcher_ending(m), 0);
    assert_int_equal(ops_matcher_end_bytes(m, to, sizeof to), 0);
}

/* Digits other than 0 to 4 have no token: no text may need them, and what only they could write is refused. */
static void bytes_without_a_token_are_no_bytes(void **state)
{
    (void)state;
    const ops_slice pieces[] = {OPS_SLICE("0"), OPS_SLICE("1"),  OPS_SLICE("2"), OPS_SLICE("37"),
                                {NULL, 0},      OPS_SLICE("23"), OPS_SLICE("x")};
    const int32_t end = 4;
    OPS_AUTO(ops_grammar_vocab_free) ops_grammar_vocab *v = NULL;
    assert_int_equal(ops_grammar_vocab_from_pieces(pieces, 7, &end, 1, &v, NULL), OPS_OK);
    OPS_AUTO(ops_grammar_free) ops_grammar *g = NULL, *none = NULL;
    assert_int_equal(ops_grammar_from_ebnf(v, OPS_SLICE("root ::= [0-9]{2} ('7' | '2' 'x')?"), &g, NULL),
                     OPS_OK);
    OPS_AUTO(ops_matcher_free) ops_matcher *m = NULL;
    assert_int_equal(ops_matcher_new(g, &m, NULL), OPS_OK);
    uint32_t words[1];
    assert_int_equal(ops_matcher_mask(m, NULL, words, 1, NULL), OPS_OK);
    assert_int_equal(words[0], 0x7); /* not 37 and not 23: a 3 is no byte of it */
    ops_err err;
    assert_int_equal(ops_grammar_from_ebnf(v, OPS_SLICE("root ::= '37'"), &none, &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "token of their own"));
}

static void numbers_in_a_range_are_all_of_them(void **state)
{
    (void)state;
    static const int bounds[][2] = {{-12, 123}, {0, 9}, {7, 7}, {95, 1005}, {-1005, -95}, {-3, 0}, {99, 100}};
    for (size_t b = 0; b < sizeof bounds / sizeof *bounds; b++) {
        char text[100];
        (void)snprintf(text, sizeof text, "{\"type\":\"integer\",\"minimum\":%d,\"exclusiveMaximum\":%d}",
                       bounds[b][0], bounds[b][1] + 1);
        OPS_AUTO(ops_grammar_free) ops_grammar *g = schema(text, 0);
        for (int i = -1300; i < 1300; i++) {
            (void)snprintf(text, sizeof text, "%d", i);
            assert_int_equal(whole(g, text), i >= bounds[b][0] && i <= bounds[b][1]);
        }
        assert_false(whole(g, "007"));
    }
    OPS_AUTO(ops_grammar_free)
    ops_grammar *unit = schema("{\"type\":\"number\",\"minimum\":0,\"maximum\":1}", 0);
    assert_true(whole(unit, "0") && whole(unit, "0.37") && whole(unit, "1") && whole(unit, "1.00"));
    assert_false(whole(unit, "1.01") || whole(unit, "-0.1") || whole(unit, "2") || whole(unit, "1e0"));
}

static void strings_are_utf8_and_counted_in_code_points(void **state)
{
    (void)state;
    OPS_AUTO(ops_grammar_free)
    ops_grammar *g = schema("{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}", 0);
    static const char *const good[] = {"\"ab\"", "\"\xc3\xa9\xf0\x9f\x98\x80\"", "\"\\n\\u00e9\\\"\"",
                                       "\"\xe2\x82\xac\xed\x9f\xbf\""};
    static const char *const bad[] = {"\"a\"",
                                      "\"abcd\"",
                                      "\"\xc3\xc3\"",
                                      "\"\xed\xa0\x80\x61\"",
                                      "\"\xc0\x80\x61\"",
                                      "\"a\n\"",
                                      "\"\\ud800a\"",
                                      "\"\xf4\x90\x80\x80\x61\"",
                                      "\"\x80\x61\""};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(whole(g, good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(whole(g, bad[i]));
}

static void thousands_of_texts_are_a_choice(void **state)
{
    (void)state;
    enum { N = 5000 };
    static char text[N][16];
    static ops_slice slices[N];
    for (int i = 0; i < N; i++)
        slices[i] = ops_slice_of(text[i], (size_t)snprintf(text[i], sizeof text[i], "svc-%d", i * 7));
    OPS_AUTO(ops_grammar_free) ops_grammar *g = NULL;
    assert_int_equal(ops_grammar_from_texts(vocab, slices, N, &g, NULL), OPS_OK);
    for (int i = 0; i < N; i += 97)
        assert_true(whole(g, text[i]));
    assert_false(whole(g, "svc-1") || whole(g, "svc-") || whole(g, "svc-70000"));
    assert_int_equal(ops_grammar_from_texts(vocab, slices, 0, &g, NULL), OPS_EINVAL);
}

/* Nested to the limit, every mask still has a way out, and closing is always possible. */
static void nesting_stops_where_it_can_still_be_closed(void **state)
{
    (void)state;
    OPS_AUTO(ops_grammar_free) ops_grammar *g = NULL;
    assert_int_equal(ops_grammar_from_json_object(vocab, 0, &g, NULL), OPS_OK);
    OPS_AUTO(ops_matcher_free) ops_matcher *m = matcher(g);
    OPS_AUTO(ops_grammar_cache_free) ops_grammar_cache *c = NULL;
    assert_int_equal(ops_grammar_cache_new(vocab, 1 << 20, &c, NULL), OPS_OK);
    uint32_t words[WORDS], plain[WORDS];
    int deep = 0;
    assert_true(reads(m, "{\"a\":"));
    for (;; deep++) {
        mask(m, c, words);
        mask(m, NULL, plain);
        assert_memory_equal(words, plain, sizeof words);
        if (!walk_bit(words, '['))
            break;
        assert_true(reads(m, "["));
    }
    assert_in_range(deep, 40, OPS_GRAMMAR_DEPTH_MAX);
    assert_true(walk_bit(words, ']'));
    for (; deep > 0; deep--)
        assert_true(reads(m, "]"));
    assert_true(reads(m, "}"));
    assert_true(ops_matcher_complete(m));
}

/* Every 'a' doubles the ways of reading: past the limit the token is refused and nothing has changed. */
static void too_many_ways_are_refused(void **state)
{
    (void)state;
    OPS_AUTO(ops_grammar_free) ops_grammar *g = ebnf("root ::= 'a' root 'b' | 'a' root 'c' | 'x'");
    OPS_AUTO(ops_matcher_free) ops_matcher *m = matcher(g);
    int n = 0;
    while (n < 60 && ops_matcher_accept(m, 'a', NULL) == OPS_OK)
        n++;
    assert_in_range(n, 9, 60);
    assert_true(reads(m, "x"));
    for (; n > 0; n--)
        assert_true(reads(m, "c") || reads(m, "b"));
    assert_true(ops_matcher_complete(m));
}

static void a_cache_is_bounded_and_changes_nothing(void **state)
{
    (void)state;
    OPS_AUTO(ops_grammar_cache_free) ops_grammar_cache *c = NULL;
    assert_int_equal(ops_grammar_cache_new(vocab, 100, &c, NULL), OPS_EINVAL);
    assert_int_equal(ops_grammar_cache_new(vocab, 20000, &c, NULL), OPS_OK); /* two masks */
    OPS_AUTO(ops_grammar_free) ops_grammar *g = ebnf("root ::= (. [^a] [^b] [^c] .)*");
    OPS_AUTO(ops_matcher_free) ops_matcher *m = matcher(g);
    uint32_t words[WORDS], plain[WORDS];
    for (int i = 0; i < 100; i++) {
        mask(m, c, words);
        mask(m, NULL, plain);
        assert_memory_equal(words, plain, sizeof words);
        assert_true(reads(m, "z"));
    }
    const ops_grammar_cache_counts n = ops_grammar_cache_counts_get(c);
    assert_int_equal(n.hits + n.misses + n.cheap, 100);
    assert_true(n.misses > 2);
}

static void a_long_text_keeps_its_bounds(void **state)
{
    (void)state;
    OPS_AUTO(ops_grammar_free) ops_grammar *g = NULL;
    assert_int_equal(ops_grammar_from_json_object(vocab, 0, &g, NULL), OPS_OK);
    OPS_AUTO(ops_matcher_free) ops_matcher *m = matcher(g);
    assert_true(reads(m, "{\"a\":["));
    uint64_t seed = 9;
    for (int i = 0; i < 4000; i++) { /* many shapes of nesting, each left again */
        char close[32];
        int n = 0;
        for (; n < 12; n++) {
            const bool array = (walk_random(&seed) & 1) != 0;
            assert_true(reads(m, array ? "[" : "{\"k\":"));
            close[n] = array ? ']' : '}';
        }
        assert_true(reads(m, "1"));
        while (n > 0)
            assert_int_equal(ops_matcher_accept(m, (uint8_t)close[--n], NULL), OPS_OK);
        assert_true(reads(m, ","));
    }
    assert_true(reads(m, "2]}"));
    assert_true(ops_matcher_complete(m));
}

static void schemas_stand_in_an_ebnf(void **state)
{
    (void)state;
    OPS_AUTO(ops_grammar_free)
    ops_grammar *g =
        ebnf("root ::= 'a: ' one | 'b: ' %json {\"$defs\":{\"n\":{\"enum\":[\"}#\\\"\",2]}},\n"
             " \"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/n\"}}'!' # a comment\n"
             "one ::= %json{\"properties\":{\"x\":{\"type\":\"boolean\"}},\"required\":[\"x\"]}+");
    static const char *const good[] = {"a: {\"x\":true}", "a: { \"x\": false}{\"x\":true}", "b: []!",
                                       "b: [\"}#\\\"\", 2]!"};
    static const char *const bad[] = {"a: {}", "a: {\"x\":true}!", "b: [2]", "b: [3]!", "{\"x\":true}"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!whole(g, good[i]))
            fail_msg("'%s' is refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (whole(g, bad[i]))
            fail_msg("'%s' is taken", bad[i]);
    static const struct {
        const char *text, *said;
        ops_status st;
    } wrong[] = {
        {"root ::= %json", "1:15: after %json a JSON Schema", OPS_EINVAL},
        {"root ::= %json {\"type\":\"string\"", "after %json a JSON Schema", OPS_EINVAL},
        {"root ::= %json [1]", "after %json a JSON Schema", OPS_EINVAL},
        {"root ::= 'x' t\nt ::= %json {\"properties\":{\"a\":{\"not\":{}}}}",
         "grammar 2:12: in 't': schema at '#/properties/a': not: this keyword is not built", OPS_EUNIMPL},
        {"root ::= 'x' %json {\"type\":}", "grammar 1:19: in 'root': schema: no JSON at line 1", OPS_EINVAL},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ops_grammar *none = NULL;
        ops_err err = {.msg = ""};
        assert_int_equal(ops_grammar_from_ebnf(vocab, ops_slice_str(wrong[i].text), &none, &err),
                         wrong[i].st);
        assert_null(none);
        if (strstr(err.msg, wrong[i].said) == NULL)
            fail_msg("\"%s\" lacks \"%s\"", err.msg, wrong[i].said);
    }
}

static void a_heap_that_is_out_changes_nothing(void **state)
{
    (void)state;
    static const char json[] =
        "{\"properties\":{\"a\":{\"pattern\":\"^[a-z]+$\"},\"b\":{\"anyOf\":[{\"$ref\":\"#\"},{\"type\":"
        "\"null\"}]}},"
        "\"allOf\":[{\"required\":[\"a\"]}],\"additionalProperties\":{\"enum\":[1,2,3,4,5,6]}}";
    static const char *const texts[] = {"root ::= x+ y\nx ::= 'a' | [b-d]\ny ::= ('q' x)?",
                                        "root ::= 'x' %json {\"properties\":{\"a\":{\"enum\":[1,2]}}} y\n"
                                        "y ::= %json {\"type\":\"string\",\"maxLength\":3}"};
    for (int kind = 0; kind < 3; kind++)
        for (long n = 1;; n++) {
            const long live = ops_alloc_live();
            ops_grammar *g = NULL;
            ops_err err = {.code = OPS_OK};
            ops_alloc_fail_at(n);
            const ops_status st =
                kind == 0 ? ops_grammar_from_schema(vocab, ops_slice_str(json), 0, &g, &err)
                          : ops_grammar_from_ebnf(vocab, ops_slice_str(texts[kind - 1]), &g, &err);
            ops_alloc_fail_at(0);
            if (st == OPS_OK) {
                ops_grammar_free(g);
                break;
            }
            assert_int_equal(st, OPS_ENOMEM);
            assert_int_equal(err.code, OPS_ENOMEM);
            assert_null(g);
            assert_int_equal(ops_alloc_live(), live);
        }
    OPS_AUTO(ops_grammar_free) ops_grammar *g = schema(json, 0);
    for (long n = 1;; n++) {
        const long live = ops_alloc_live();
        ops_matcher *m = NULL;
        uint32_t words[WORDS];
        ops_alloc_fail_at(n);
        bool good = ops_matcher_new(g, &m, NULL) == OPS_OK;
        good = good && ops_matcher_mask(m, NULL, words, WORDS, NULL) == OPS_OK;
        good = good && reads(m, "{\"a\":\"x\",\"b\":{\"a\":\"y\"}");
        ops_alloc_fail_at(0);
        if (m != NULL && !good) { /* goes on as if nothing had been */
            ops_matcher_restart(m);
            assert_true(reads(m, "{\"a\":\"x\""));
        }
        ops_matcher_free(m);
        assert_int_equal(ops_alloc_live(), live);
        if (good)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mask_says_what_accept_takes),
        cmocka_unit_test(a_mask_has_the_layout_of_the_head),
        cmocka_unit_test(tokens_that_cross_rules_are_taken),
        cmocka_unit_test(what_was_taken_can_be_taken_back),
        cmocka_unit_test(an_end_can_be_taken_back),
        cmocka_unit_test(forks_go_their_own_ways),
        cmocka_unit_test(forced_bytes_are_told),
        cmocka_unit_test(the_shortest_end_is_told),
        cmocka_unit_test(bytes_without_a_token_are_no_bytes),
        cmocka_unit_test(numbers_in_a_range_are_all_of_them),
        cmocka_unit_test(strings_are_utf8_and_counted_in_code_points),
        cmocka_unit_test(thousands_of_texts_are_a_choice),
        cmocka_unit_test(nesting_stops_where_it_can_still_be_closed),
        cmocka_unit_test(too_many_ways_are_refused),
        cmocka_unit_test(a_cache_is_bounded_and_changes_nothing),
        cmocka_unit_test(a_long_text_keeps_its_bounds),
        cmocka_unit_test(schemas_stand_in_an_ebnf),
        cmocka_unit_test(a_heap_that_is_out_changes_nothing),
    };
    vocab = walk_vocab();
    const int bad = vocab == NULL ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
    ops_grammar_vocab_free(vocab);
    return bad;
}
