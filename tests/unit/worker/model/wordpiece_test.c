#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "tests/support/golden.h"
#include "tests/unit/worker/bert_golden.h"
#include "worker/model/wordpiece.h"

enum { IDS_MAX = 512 };

static ops_wordpiece *read_words(const char *path)
{
    ops_slice json = golden_read(path);
    assert_non_null(json.p);
    ops_wordpiece *w = NULL;
    assert_int_equal(ops_wordpiece_parse(json, &w, NULL), OPS_OK);
    union {
        const char *in;
        void *out;
    } own = {json.p};
    free(own.out);
    return w;
}

/* Ids as the reference tokenizer gives them, also for bytes that are no UTF-8, cut to 24. */
static void ids_are_the_reference_ids(void **state)
{
    (void)state;
    OPS_AUTO(ops_wordpiece_free) ops_wordpiece *w = read_words("tests/golden/bert_tiny/tokenizer.json");
    json_t *cases = json_load_file("tests/golden/bert_tiny/expect.json", 0, NULL);
    assert_true(json_array_size(cases) >= 20);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        char buf[GOLDEN_TEXT_MAX];
        int32_t want[IDS_MAX], got[IDS_MAX];
        const json_t *one = json_array_get(cases, i);
        const size_t n = golden_ids(one, want, IDS_MAX);
        const ops_slice text = golden_text(one, buf);
        assert_int_equal(ops_wordpiece_encode(w, text, 24, got), n);
        assert_memory_equal(got, want, n * sizeof *got);
        /* Cutting shorter keeps the head and the special tokens. */
        for (size_t max = 2; max < n; max++) {
            assert_int_equal(ops_wordpiece_encode(w, text, max, got), max);
            assert_memory_equal(got, want, (max - 1) * sizeof *got);
            assert_int_equal(got[max - 1], want[n - 1]);
        }
    }
    json_decref(cases);
    int32_t none[1];
    assert_int_equal(ops_wordpiece_specials(w), 2);
    assert_int_equal(ops_wordpiece_encode(w, OPS_SLICE("a"), 1, none), 0);
}

/* Special tokens in a text are characters; the template alone makes them. [SEP] is 3 in the tiny vocabulary. */
static void text_makes_no_special_tokens(void **state)
{
    (void)state;
    OPS_AUTO(ops_wordpiece_free) ops_wordpiece *w = read_words("tests/golden/bert_tiny/tokenizer.json");
    int32_t ids[IDS_MAX];
    const size_t n = ops_wordpiece_encode(w, OPS_SLICE("[SEP][CLS][PAD]"), IDS_MAX, ids);
    for (size_t i = 1; i + 1 < n; i++)
        assert_true(ids[i] > 4);
    assert_int_equal(ids[0], 2);
    assert_int_equal(ids[n - 1], 3);
}

#define NORM                                                                                                 \
    "\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,"         \
    "\"lowercase\":%s}"
#define PRE  "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}"
#define POST "\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"S\",2],\"cls\":[\"C\",1]}"
#define MODEL                                                                                                \
    "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"U\",\"continuing_subword_prefix\":\"##\","            \
    "\"max_input_chars_per_word\":4,\"vocab\":{\"U\":0,\"C\":1,\"S\":2,\"\303\251\":3,\"e\":4,\"##"          \
    "\303\251\":5,"                                                                                          \
    "\"E\":6,\"abcd\":7,\"##b\":8}}"

static size_t encode_with(const char *lower, const char *text, int32_t *ids)
{
    char json[2048];
    (void)snprintf(json, sizeof json, "{" NORM "," PRE "," POST "," MODEL "}", lower);
    OPS_AUTO(ops_wordpiece_free) ops_wordpiece *w = NULL;
    assert_int_equal(ops_wordpiece_parse(ops_slice_str(json), &w, NULL), OPS_OK);
    assert_int_equal(ops_wordpiece_id_max(w), 8);
    return ops_wordpiece_encode(w, ops_slice_str(text), IDS_MAX, ids);
}

/* Worked out by hand: a cased vocabulary keeps accents and case; longer than max_input_chars_per_word is unknown. */
static void rules_come_from_the_file(void **state)
{
    (void)state;
    int32_t ids[IDS_MAX];
    static const int32_t cased[] = {1, 3, 5, 6, 2}, folded[] = {1, 0, 4, 2}, sizes[] = {1, 7, 0, 0, 2};
    assert_int_equal(encode_with("false", "\303\251\303\251 E", ids), 5);
    assert_memory_equal(ids, cased, sizeof cased);
    assert_int_equal(encode_with("true", "\303\251\303\251 E", ids),
                     4); /* "ee" has no "##e": unknown as a whole */
    assert_memory_equal(ids, folded, sizeof folded);
    assert_int_equal(encode_with("false", "abcd abcdb ab", ids), 5);
    assert_memory_equal(ids, sizes, sizeof sizes);
}

static void names_what_it_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *json, *says;
        ops_status want;
    } rows[] = {
        {"", "line", OPS_ECORRUPT},
        {"{}", "normalizer", OPS_EUNIMPL},
        {"{\"normalizer\":{\"type\":\"Sequence\"}}", "'Sequence'", OPS_EUNIMPL},
        {"{\"normalizer\":{\"type\":\"BertNormalizer\"}," PRE "}", "clean_text", OPS_ECORRUPT},
        {"{\"normalizer\":{\"type\":\"BertNormalizer\"},\"pre_tokenizer\":{\"type\":\"ByteLevel\"}}",
         "ByteLevel", OPS_EUNIMPL},
        {"{N,P,\"model\":{\"type\":\"BPE\"}}", "'BPE'", OPS_EUNIMPL},
        {"{N,P,\"model\":{\"type\":\"WordPiece\"}}", "unk_token", OPS_ECORRUPT},
        {"{N,P,\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"U\",\"continuing_subword_prefix\":\"##\"}}",
         "max_input_chars_per_word", OPS_ECORRUPT},
        {"{N,P,\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"U\",\"continuing_subword_prefix\":\"##\","
         "\"max_input_chars_per_word\":100000}}",
         "max_input_chars_per_word", OPS_ECORRUPT},
        {"{N,P,\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"U\",\"continuing_subword_prefix\":\"##\","
         "\"max_input_chars_per_word\":9,\"vocab\":[]}}",
         "vocab", OPS_ECORRUPT},
        {"{N,P,\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"U\",\"continuing_subword_prefix\":\"##\","
         "\"max_input_chars_per_word\":9,\"vocab\":{\"U\":-1}}}",
         "'U'", OPS_ECORRUPT},
        {"{N,P,\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"U\",\"continuing_subword_prefix\":\"##\","
         "\"max_input_chars_per_word\":9,\"vocab\":{\"A\":1048576}}}",
         "'A'", OPS_ECORRUPT},
        {"{N,P,\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"U\",\"continuing_subword_prefix\":\"##\","
         "\"max_input_chars_per_word\":9,\"vocab\":{\"A\":1}}}",
         "lacks the unk_token", OPS_ECORRUPT},
        {"{N,P,M}", "post_processor", OPS_EUNIMPL},
        {"{N,P,M,\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"Z\",2],\"cls\":[\"C\",1]}}",
         "'Z'", OPS_ECORRUPT},
        {"{N,P,M,\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":"
         "\"C\"}}]}}",
         "one sequence", OPS_ECORRUPT},
        {"{N,P,M,\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":"
         "\"C\"}},"
         "{\"SpecialToken\":{\"id\":\"C\"}},{\"SpecialToken\":{\"id\":\"C\"}},{\"SpecialToken\":{\"id\":"
         "\"C\"}},"
         "{\"SpecialToken\":{\"id\":\"C\"}}]}}",
         "more than 4", OPS_ETOOBIG},
    };
    char norm[512], json[4096];
    (void)snprintf(norm, sizeof norm, NORM, "true");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = 0;
        for (const char *p = rows[i].json; *p != '\0';
             p++) { /* the letters N, P, M after a brace or comma stand for parts */
            const bool part =
                p != rows[i].json && (p[-1] == '{' || p[-1] == ',') && (p[1] == ',' || p[1] == '}');
            const char *put = !part ? NULL : *p == 'N' ? norm : *p == 'P' ? PRE : *p == 'M' ? MODEL : NULL;
            if (put == NULL)
                json[n++] = *p;
            else
                n += (size_t)snprintf(json + n, sizeof json - n, "%s", put);
        }
        ops_wordpiece *w = NULL;
        ops_err err = {0};
        assert_int_equal(ops_wordpiece_parse(ops_slice_of(json, n), &w, &err), rows[i].want);
        assert_null(w);
        if (strstr(err.msg, rows[i].says) == NULL)
            fail_msg("'%s' does not say '%s'", err.msg, rows[i].says);
    }
}

static void survives_every_failed_allocation(void **state)
{
    (void)state;
    ops_slice json = golden_read("tests/golden/bert_tiny/tokenizer.json");
    ops_status st = OPS_ENOMEM;
    for (long nth = 1; st != OPS_OK; nth++) {
        ops_wordpiece *w = NULL;
        ops_alloc_fail_at(nth);
        st = ops_wordpiece_parse(json, &w, NULL);
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK || (st == OPS_ENOMEM && w == NULL));
        ops_wordpiece_free(w);
        assert_int_equal(ops_alloc_live(), 0);
    }
    union {
        const char *in;
        void *out;
    } own = {json.p};
    free(own.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_the_reference_ids),        cmocka_unit_test(text_makes_no_special_tokens),
        cmocka_unit_test(rules_come_from_the_file),         cmocka_unit_test(names_what_it_refuses),
        cmocka_unit_test(survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
