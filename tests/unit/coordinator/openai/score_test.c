/* Requests for relevance and labels, and what is answered. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/mem/alloc.h"
#include "coordinator/openai/score_answer.h"

typedef ops_status read_fn(ops_slice body, ops_score_ask **ret, const char **ret_param, ops_err *reterr);

static ops_score_ask *ask(read_fn *read, const char *body)
{
    ops_score_ask *a = NULL;
    const char *param;
    ops_err err;
    if (read(ops_slice_str(body), &a, &param, &err) != OPS_OK)
        fail_msg("%s: %s", param, err.msg);
    return a;
}

static void requests_are_read(void **state)
{
    (void)state;
    ops_score_ask *a = ask(ops_score_ask_rerank,
                           "{\"model\":\"m\",\"query\":\"q\",\"documents\":[\"one\",{\"text\":\"two\"}],"
                           "\"top_n\":5,\"return_documents\":true,\"user\":\"x\"}");
    assert_true(ops_slice_eq(a->model, OPS_SLICE("m")) && ops_slice_eq(a->query, OPS_SLICE("q")));
    assert_true(a->n == 2 && a->top_n == 2 && a->with_documents);
    assert_true(ops_slice_eq(a->texts[1], OPS_SLICE("two")));
    void *bytes = NULL;
    size_t n = 0;
    assert_int_equal(ops_score_ask_pack(a, &bytes, &n, NULL), OPS_OK);
    Ops__V1__ScoreTask *t = ops__v1__score_task__unpack(NULL, n, bytes);
    assert_non_null(t);
    assert_string_equal(t->query, "q");
    assert_int_equal(t->n_texts, 2);
    assert_string_equal(t->texts[0], "one");
    ops__v1__score_task__free_unpacked(t, NULL);
    ops_free(bytes);
    ops_score_ask_free(a);
    a = ask(ops_score_ask_classify, "{\"model\":\"m\",\"input\":\"a text\"}");
    assert_true(a->n == 1 && a->query.n == 0 && ops_slice_eq(a->texts[0], OPS_SLICE("a text")));
    ops_score_ask_free(a);
}

static char *longer(size_t n)
{
    char *s = malloc(n + 64);
    assert_non_null(s);
    const int head = sprintf(s, "{\"model\":\"m\",\"input\":\"");
    memset(s + head, 'x', n);
    strcpy(s + (size_t)head + n, "\"}");
    return s;
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        read_fn *read;
        const char *body, *param;
    } rows[] = {
        {ops_score_ask_rerank, "{", ""},
        {ops_score_ask_rerank, "[]", ""},
        {ops_score_ask_rerank, "{\"query\":\"q\",\"documents\":[\"d\"]}", "model"},
        {ops_score_ask_rerank, "{\"model\":\"m\",\"documents\":[\"d\"]}", "query"},
        {ops_score_ask_rerank, "{\"model\":\"m\",\"query\":\"\",\"documents\":[\"d\"]}", "query"},
        {ops_score_ask_rerank, "{\"model\":\"m\",\"query\":\"q\"}", "documents"},
        {ops_score_ask_rerank, "{\"model\":\"m\",\"query\":\"q\",\"documents\":[]}", "documents"},
        {ops_score_ask_rerank, "{\"model\":\"m\",\"query\":\"q\",\"documents\":[\"d\",3]}", "documents"},
        {ops_score_ask_rerank, "{\"model\":\"m\",\"query\":\"q\",\"documents\":[{\"text\":1}]}", "documents"},
        {ops_score_ask_rerank, "{\"model\":\"m\",\"query\":\"q\",\"documents\":[\"d\"],\"top_n\":0}",
         "top_n"},
        {ops_score_ask_rerank,
         "{\"model\":\"m\",\"query\":\"q\",\"documents\":[\"d\"],\"return_documents\":1}",
         "return_documents"},
        {ops_score_ask_classify, "{\"model\":\"m\",\"input\":[1,2]}", "input"},
        {ops_score_ask_classify, "{\"model\":\"m\",\"input\":\"a\\u0000b\"}", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ops_score_ask *a = NULL;
        const char *param = NULL;
        ops_err err = {.msg = ""};
        assert_int_equal(rows[i].read(ops_slice_str(rows[i].body), &a, &param, &err), OPS_EINVAL);
        assert_string_equal(param, rows[i].param);
        assert_true(a == NULL && err.msg[0] != '\0');
    }
    ops_score_ask *a = NULL;
    const char *param;
    char *most = longer(OPS_SCORE_ASK_TEXT_BYTES_MAX), *over = longer(OPS_SCORE_ASK_TEXT_BYTES_MAX + 1);
    assert_int_equal(ops_score_ask_classify(ops_slice_str(most), &a, &param, NULL), OPS_OK);
    ops_score_ask_free(a);
    assert_int_equal(ops_score_ask_classify(ops_slice_str(over), &a, &param, NULL), OPS_ETOOBIG);
    free(most);
    free(over);
}

static char bytes[1 << 16];

/* A ScoreEnd over up to 4 texts of `width` probabilities. */
typedef struct made {
    Ops__V1__ScoreEnd end;
    Ops__V1__TextScore score[4], *scores[4];
    Ops__V1__LabelSpan span[4], *spans[4];
    char *labels[2];
} made;

static void make(made *m, float *v, size_t n, size_t width)
{
    static char no[] = "NO", yes[] = "YES";
    *m = (made){.end = OPS__V1__SCORE_END__INIT, .labels = {no, yes}};
    for (size_t i = 0; i < n; i++) {
        ops__v1__text_score__init(&m->score[i]);
        m->score[i].n_probabilities = width;
        m->score[i].probabilities = v + i * width;
        m->scores[i] = &m->score[i];
    }
    m->end.n_labels = width;
    m->end.labels = m->labels;
    m->end.n_scores = n;
    m->end.scores = m->scores;
    m->end.tokens = 42;
}

static void add_span(made *m, uint32_t text, uint32_t from, uint32_t to)
{
    static char label[] = "DB";
    Ops__V1__LabelSpan *s = &m->span[m->end.n_spans];
    ops__v1__label_span__init(s);
    s->text = text;
    s->begin = from;
    s->end = to;
    s->label = label;
    s->probability = 0.5f;
    m->spans[m->end.n_spans++] = s;
    m->end.spans = m->spans;
}

static const char *written(ops_strbuf *b)
{
    (void)snprintf(bytes, sizeof bytes, OPS_SLICE_FMT, OPS_SLICE_ARG(ops_strbuf_get(b)));
    ops_strbuf_done(b);
    return bytes;
}

static void documents_come_best_first(void **state)
{
    (void)state;
    float v[] = {0.25f, 0.75f, 0.125f, 0.75f};
    made m;
    ops_strbuf b;
    ops_score_ask *a =
        ask(ops_score_ask_rerank, "{\"model\":\"m\",\"query\":\"q\",\"documents\":[\"a\",\"b\","
                                  "\"c\",\"\\\"d\\\"\"],\"top_n\":3,\"return_documents\":true}");
    make(&m, v, 4, 1);
    ops_strbuf_init(&b, sizeof bytes);
    assert_true(ops_score_answer_rerank(a, &m.end, OPS_SLICE("m"), &b));
    assert_string_equal(written(&b),
                        "{\"object\":\"list\",\"model\":\"m\",\"results\":["
                        "{\"index\":1,\"relevance_score\":0.75,\"document\":{\"text\":\"b\"}},"
                        "{\"index\":3,\"relevance_score\":0.75,\"document\":{\"text\":\"\\\"d\\\"\"}},"
                        "{\"index\":0,\"relevance_score\":0.25,\"document\":{\"text\":\"a\"}}],"
                        "\"usage\":{\"prompt_tokens\":42,\"total_tokens\":42}}");
    ops_strbuf_init(&b, sizeof bytes);
    make(&m, v, 3, 1); /* one too few */
    assert_false(ops_score_answer_rerank(a, &m.end, OPS_SLICE("m"), &b));
    make(&m, v, 2, 2);
    m.end.n_scores = 4;
    m.scores[2] = m.scores[3] = m.scores[0];
    assert_false(ops_score_answer_rerank(a, &m.end, OPS_SLICE("m"), &b));
    make(&m, v, 4, 1);
    v[2] = NAN; /* no place in an order, and no number of JSON */
    assert_false(ops_score_answer_rerank(a, &m.end, OPS_SLICE("m"), &b));
    assert_int_equal(b.n, 0);
    ops_score_ask_free(a);
}

static void labels_have_their_form(void **state)
{
    (void)state;
    float v[] = {0.25f, 0.75f, 1, 0};
    made m;
    ops_strbuf b;
    ops_score_ask *a =
        ask(ops_score_ask_classify, "{\"model\":\"m\",\"input\":[\"\xc3\xa4 db\xc3\xa4 x\",\"y\"]}");
    make(&m, v, 2, 2);
    ops_strbuf_init(&b, sizeof bytes);
    assert_true(ops_score_answer_classify(a, &m.end, OPS_SLICE("m"), &b));
    assert_string_equal(written(&b),
                        "{\"object\":\"list\",\"model\":\"m\",\"labels\":[\"NO\",\"YES\"],\"data\":["
                        "{\"index\":0,\"label\":\"YES\",\"probs\":[0.25,0.75],\"num_classes\":2},"
                        "{\"index\":1,\"label\":\"NO\",\"probs\":[1,0],\"num_classes\":2}],"
                        "\"usage\":{\"prompt_tokens\":42,\"total_tokens\":42}}");
    make(&m, v, 0, 2);
    add_span(&m, 0, 0, 2);
    add_span(&m, 0, 3, 7);
    ops_strbuf_init(&b, sizeof bytes);
    assert_true(ops_score_answer_classify(a, &m.end, OPS_SLICE("m"), &b));
    assert_non_null(strstr(written(&b),
                           "{\"index\":0,\"spans\":["
                           "{\"label\":\"DB\",\"start\":0,\"end\":1,\"text\":\"\xc3\xa4\",\"score\":0.5},"
                           "{\"label\":\"DB\",\"start\":2,\"end\":5,\"text\":\"db\xc3\xa4\",\"score\":0.5}"
                           "],\"num_classes\":2},{\"index\":1,\"spans\":[],\"num_classes\":2}"));
    m.span[1].probability = NAN;
    assert_false(ops_score_answer_classify(a, &m.end, OPS_SLICE("m"), &b));
    v[3] = INFINITY;
    make(&m, v, 2, 2);
    assert_false(ops_score_answer_classify(a, &m.end, OPS_SLICE("m"), &b));
    ops_score_ask_free(a);
}

/* What a worker says is checked: spans inside their text, whole characters, in order. */
static void spans_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const uint32_t rows[][3] = {{0, 0, 9}, {0, 1, 3}, {0, 3, 6}, {2, 0, 1},
                                       {0, 3, 3}, {0, 8, 7}, {0, 2, 3}};
    ops_score_ask *a =
        ask(ops_score_ask_classify, "{\"model\":\"m\",\"input\":[\"\xc3\xa4 db\xc3\xa4 \",\"y\"]}");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        made m;
        ops_strbuf b;
        ops_strbuf_init(&b, sizeof bytes);
        make(&m, NULL, 0, 2);
        add_span(&m, i == 6 ? 1 : 0, 0, i == 6 ? 1 : 2); /* at last: the second lies before the first */
        add_span(&m, rows[i][0], rows[i][1], rows[i][2]);
        assert_false(ops_score_answer_classify(a, &m.end, OPS_SLICE("m"), &b));
        ops_strbuf_done(&b);
    }
    ops_score_ask_free(a);
}

static void survives_every_failed_allocation(void **state)
{
    (void)state;
    ops_status st = OPS_ENOMEM;
    for (long nth = 1; st != OPS_OK; nth++) {
        ops_score_ask *a = NULL;
        const char *param;
        void *packed = NULL;
        size_t n;
        ops_alloc_fail_at(nth);
        st = ops_score_ask_classify(OPS_SLICE("{\"model\":\"m\",\"input\":\"x\"}"), &a, &param, NULL);
        if (st == OPS_OK)
            st = ops_score_ask_pack(a, &packed, &n, NULL);
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK || st == OPS_ENOMEM);
        ops_free(packed);
        ops_score_ask_free(a);
        assert_int_equal(ops_alloc_live(), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_read),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(documents_come_best_first),
        cmocka_unit_test(labels_have_their_form),
        cmocka_unit_test(spans_that_do_not_fit_are_refused),
        cmocka_unit_test(survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
