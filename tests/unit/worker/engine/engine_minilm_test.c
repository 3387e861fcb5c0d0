/* The real all-MiniLM-L6-v2, as scripts/models.sh brings it, against recorded vectors of the reference. Exits 77
 * (skipped) when the folder is not there. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/golden.h"
#include "tests/unit/worker/bert_golden.h"
#include "worker/engine/engine_bert.h"
#include "worker/model/mapped.h"
#include "worker/model/wordpiece.h"

enum { DIM = 384, CASES_MAX = 64 };
static char folder[4096];

static void ids_are_the_reference_ids(void **state)
{
    (void)state;
    char path[4200];
    (void)snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    OPS_AUTO(ops_mapped_free) ops_mapped *file = NULL;
    OPS_AUTO(ops_wordpiece_free) ops_wordpiece *w = NULL;
    assert_int_equal(ops_mapped_open(path, OPS_WORDPIECE_JSON_MAX, &file, NULL), OPS_OK);
    assert_int_equal(ops_wordpiece_parse(ops_mapped_bytes(file), &w, NULL), OPS_OK);
    json_t *cases = json_load_file("tests/golden/minilm/expect.json", 0, NULL);
    assert_true(json_array_size(cases) >= 20);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        char buf[GOLDEN_TEXT_MAX];
        int32_t want[256], got[256];
        const size_t n = golden_ids(json_array_get(cases, i), want, 256);
        assert_int_equal(ops_wordpiece_encode(w, golden_text(json_array_get(cases, i), buf), 256, got), n);
        assert_memory_equal(got, want, n * sizeof *got);
    }
    json_decref(cases);
}

static void vectors_are_the_reference_vectors(void **state)
{
    (void)state;
    const ops_engine_bert_conf conf = {.path = folder};
    ops_engine *e = NULL;
    ops_err err;
    if (ops_engine_bert_open(&conf, &e, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    const ops_engine_info *info = ops_engine_info_get(e);
    assert_string_equal(info->model, "all-MiniLM-L6-v2");
    assert_int_equal(info->dim, DIM);
    assert_int_equal(info->tokens_max, 256);

    json_t *cases = json_load_file("tests/golden/minilm/expect.json", 0, NULL);
    const size_t n = json_array_size(cases);
    assert_in_range(n, 20, CASES_MAX);
    static char bytes[CASES_MAX][GOLDEN_TEXT_MAX];
    static float got[CASES_MAX * DIM];
    ops_slice texts[CASES_MAX];
    for (size_t i = 0; i < n; i++)
        texts[i] = golden_text(json_array_get(cases, i), bytes[i]);
    assert_int_equal(ops_engine_embed(e, texts, n, got, NULL, NULL, NULL), OPS_OK);

    ops_slice want = golden_read("tests/golden/minilm/vectors.f32");
    assert_int_equal(want.n, n * DIM * sizeof(float));
    double worst = 0;
    for (size_t i = 0; i < n * DIM; i++) {
        float v;
        memcpy(&v, want.p + i * sizeof v, sizeof v);
        worst = fmax(worst, fabs((double)v - (double)got[i]));
    }
    print_message("greatest difference over %zu texts: %g\n", n, worst);
    assert_true(worst < 1e-4);
    union {
        const char *in;
        void *out;
    } own = {want.p};
    free(own.out);
    json_decref(cases);
    ops_engine_free(e);
}

/* The same model as GGUF files, where $OPSD_MINILM_GGUF names a folder with minilm-{f32,f16,q8_0}.gguf in it
 * (bench/embed/to_gguf.py writes them, with `vocabulary`): the vectors are those of the reference, the coarser the types the less. */
static void a_gguf_file_is_the_same_model(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        double least;
    } rows[] = {{"f32", 0.999999}, {"f16", 0.99999}, {"q8_0", 0.999}};
    static float got[CASES_MAX * DIM];
    static char bytes[CASES_MAX][GOLDEN_TEXT_MAX];
    const char *at = getenv("OPSD_MINILM_GGUF");
    if (at == NULL)
        skip();
    json_t *cases = json_load_file("tests/golden/minilm/expect.json", 0, NULL);
    ops_slice texts[CASES_MAX], want = golden_read("tests/golden/minilm/vectors.f32");
    const size_t n = json_array_size(cases);
    assert_in_range(n, 20, CASES_MAX);
    assert_int_equal(want.n, n * DIM * sizeof(float));
    for (size_t i = 0; i < n; i++)
        texts[i] = golden_text(json_array_get(cases, i), bytes[i]);
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        char path[4200];
        (void)snprintf(path, sizeof path, "%s/minilm-%s.gguf", at, rows[r].file);
        const ops_engine_bert_conf conf = {.path = path};
        ops_engine *e = NULL;
        ops_err err;
        if (ops_engine_bert_open(&conf, &e, &err) != OPS_OK)
            fail_msg("%s", err.msg);
        assert_int_equal(ops_engine_embed(e, texts, n, got, NULL, NULL, NULL), OPS_OK);
        double least = 1;
        for (size_t i = 0; i < n; i++) {
            double dot = 0;
            int32_t ids[256];
            for (size_t j = 0; j < DIM; j++) {
                float v;
                memcpy(&v, want.p + (i * DIM + j) * sizeof v, sizeof v);
                dot += (double)v * (double)got[i * DIM + j];
            }
            least = fmin(least, dot);
            assert_int_equal(ops_engine_tokens(e, texts[i]), golden_ids(json_array_get(cases, i), ids, 256));
        }
        print_message("%s: cosine to the reference at least %.7f\n", rows[r].file, least);
        assert_true(least >= rows[r].least);
        ops_engine_free(e);
    }
    golden_free(want);
    json_decref(cases);
}

/* Lines as programs write them, made up here: a sentence of some service with numbers, paths, addresses and names that
 * vary, from a few tokens to more than a model takes. */
static size_t make_line(uint32_t *seed, char *to, size_t cap)
{
    static const char *const whats[] = {"connection to %s refused after %u attempts",
                                        "user %s logged in from 10.%u.3.7 port 22",
                                        "GET /api/v1/%s?id=%u HTTP/1.1 200 in 13 ms",
                                        "disk /dev/%s has %u blocks left, writes are throttled",
                                        "panic: runtime error in %s: index out of range [%u]",
                                        "checkpoint complete: wrote %s, %u buffers",
                                        "Traceback: File \"/srv/%s.py\", line %u, in handle: KeyError",
                                        "\xe7\xa3\x81\xe7\x9b\x98 %s \xe6\x95\x85\xe9\x9a\x9c %u",
                                        "{\"level\":\"warn\",\"component\":\"%s\",\"retry\":%u,\"ok\":false}",
                                        "%s: %u: 0x7ffd3c0 <unknown>",
                                        "Warning: certificate of %s expires in %u days",
                                        "replica %s lags behind by %u ms; electing a leader"};
    static const char *const names[] = {
        "orders", "db-primary", "kubelet", "nginx",           "cache_7f9c",         "billing.worker",
        "sda1",   "Zookeeper",  "x",       "payments/refund", "edge-gw-eu-west-1b", "oom"};
    const size_t n_whats = sizeof whats / sizeof *whats, n_names = sizeof names / sizeof *names;
    size_t n = 0;
    *seed = *seed * 1664525 + 1013904223;
    const unsigned sentences = (*seed >> 28) == 0 ? 40 : 1 + (*seed >> 26) % 4;
    for (unsigned i = 0; i < sentences && n + 1 < cap; i++) {
        char format[160];
        *seed = *seed * 1664525 + 1013904223;
        const unsigned pick = *seed >> 8;
        (void)snprintf(format, sizeof format, "%s", whats[pick % n_whats]);
        char *const name = strstr(format, "%s"), *const number = strstr(format, "%u");
        *name = *number = '\0';
        const int wrote = snprintf(to + n, cap - n, "%s%s%s%u%s ", format, names[pick / n_whats % n_names],
                                   name + 2, (*seed >> 12) % 5000, number + 2);
        n = wrote > 0 && (size_t)wrote < cap - n ? n + (size_t)wrote : cap - 1;
    }
    return n;
}

enum { LINES = 400, LINE_MAX_BYTES = 4096 };

static float *embed_lines(ops_kern_type weights, const ops_slice *lines)
{
    const ops_engine_bert_conf conf = {.path = folder, .weights = weights};
    ops_engine *e = NULL;
    assert_int_equal(ops_engine_bert_open(&conf, &e, NULL), OPS_OK);
    float *rows = calloc((size_t)LINES * DIM, sizeof *rows);
    assert_non_null(rows);
    assert_int_equal(ops_engine_embed(e, lines, LINES, rows, NULL, NULL, NULL), OPS_OK);
    ops_engine_free(e);
    return rows;
}

/* What coarser weights cost: the least and the mean cosine to the vectors of f32. */
static void coarser_weights_keep_the_meaning(void **state)
{
    (void)state;
    static char bytes[LINES][LINE_MAX_BYTES];
    ops_slice lines[LINES];
    uint32_t seed = 11;
    for (size_t i = 0; i < LINES; i++)
        lines[i] = ops_slice_of(bytes[i], make_line(&seed, bytes[i], LINE_MAX_BYTES));
    float *want = embed_lines(OPS_KERN_F32, lines);
    static const struct {
        ops_kern_type weights;
        double least;
    } rows[] = {{OPS_KERN_F16, 0.99999}, {OPS_KERN_BF16, 0.999}, {OPS_KERN_I8, 0.995}};
    for (size_t t = 0; t < sizeof rows / sizeof *rows; t++) {
        float *got = embed_lines(rows[t].weights, lines);
        double least = 1, sum = 0;
        for (size_t i = 0; i < LINES; i++) {
            double dot = 0;
            for (size_t j = 0; j < DIM; j++)
                dot += (double)want[i * DIM + j] * (double)got[i * DIM + j];
            least = fmin(least, dot);
            sum += dot;
        }
        print_message("weights %d: cosine to f32 at least %.5f, mean %.5f\n", (int)rows[t].weights, least,
                      sum / LINES);
        assert_true(least >= rows[t].least);
        free(got);
    }
    free(want);
}

int main(void)
{
    if (ops_engine_bert_folder("all-MiniLM-L6-v2", folder, sizeof folder, NULL) != OPS_OK ||
        access(folder, R_OK) != 0) {
        printf("no model in '%s': run scripts/models.sh\n", folder);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_the_reference_ids),
        cmocka_unit_test(vectors_are_the_reference_vectors),
        cmocka_unit_test(a_gguf_file_is_the_same_model),
        cmocka_unit_test(coarser_weights_keep_the_meaning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
