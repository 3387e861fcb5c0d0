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
    const ops_engine_bert_conf conf = {.folder = folder};
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
