/* Which model a path is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "worker/serve/open_model.h"

static void paths_lead_into_the_models_folder(void **state)
{
    (void)state;
    char at[64];
    assert_int_equal(setenv("OPSD_MODELS", "/models", 1), 0);
    const struct {
        const char *path, *want;
        ops_status st;
    } rows[] = {{"name", "/models/name", OPS_OK},
                {"tests/name", "/models/tests/name", OPS_OK},
                {"/some/where", "/some/where", OPS_OK},
                {"./here", "./here", OPS_OK},
                {"../up", "../up", OPS_OK},
                {"name/../../etc", NULL, OPS_EINVAL},
                {"name/..", NULL, OPS_EINVAL},
                {"", NULL, OPS_EINVAL}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(ops_model_path(rows[i].path, at, sizeof at, NULL), rows[i].st);
        if (rows[i].want != NULL)
            assert_string_equal(at, rows[i].want);
    }
    char longer[100];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(ops_model_path(longer, at, sizeof at, NULL), OPS_ETOOBIG);
    longer[0] = '/';
    assert_int_equal(ops_model_path(longer, at, sizeof at, NULL), OPS_ETOOBIG);
}

static ops_status open_it(const char *path, const char *name, ops_engine **e, ops_writer **w, ops_err *err)
{
    const ops_model_conf conf = {.threads = 1, .seqs = 2, .context = 128, .cache_bytes = 1 << 20};
    *e = NULL;
    *w = NULL;
    return ops_model_open(&conf, path, name, e, w, err);
}

static const char *name_of(const ops_engine *e, const ops_writer *w)
{
    return e != NULL ? e->info.model : w != NULL ? w->info->model : "";
}

static void what_is_there_is_told_by_what_it_says(void **state)
{
    (void)state;
    const struct {
        const char *path, *model;
        bool writes;
    } rows[] = {{"tests/golden/bert_tiny", "bert_tiny", false},
                {"tests/golden/bert_gguf/tiny-f32.gguf", "tiny-f32", false},
                {"tests/golden/lm/writer.gguf", "writer", true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ops_engine *e = NULL;
        ops_writer *w = NULL;
        ops_err err = {.msg = ""};
        if (open_it(rows[i].path, "", &e, &w, &err) != OPS_OK)
            fail_msg("%s", err.msg);
        assert_int_equal(w != NULL, rows[i].writes);
        assert_int_equal(e != NULL, !rows[i].writes);
        assert_string_equal(name_of(e, w), rows[i].model);
        ops_engine_free(e);
        ops_writer_free(w);
        assert_int_equal(open_it(rows[i].path, "called so", &e, &w, &err), OPS_OK);
        assert_string_equal(name_of(e, w), "called so");
        ops_engine_free(e);
        ops_writer_free(w);
    }
    assert_int_equal(ops_alloc_live(), 0);
}

static void what_is_no_model_is_named(void **state)
{
    (void)state;
    ops_engine *e = NULL;
    ops_writer *w = NULL;
    ops_err err = {.msg = ""};
    assert_int_equal(open_it("tests/golden/none", "", &e, &w, &err), OPS_ENOTFOUND);
    assert_non_null(strstr(err.msg, "tests/golden/none"));
    assert_int_equal(open_it("tests/golden/otlp", "", &e, &w, &err),
                     OPS_ENOTFOUND); /* a folder of other things */
    assert_true(open_it("tests/golden/lm/ids.json", "", &e, &w, &err) != OPS_OK);
    /* A decoder's folder, as its reader finds it and not the one of encoders: only its tokenizer is absent. */
    assert_int_equal(open_it("tests/golden/lm/hf/llama", "", &e, &w, &err), OPS_ENOTFOUND);
    assert_non_null(strstr(err.msg, "tokenizer.json"));
    assert_true(e == NULL && w == NULL);
    assert_int_equal(ops_alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_lead_into_the_models_folder),
        cmocka_unit_test(what_is_there_is_told_by_what_it_says),
        cmocka_unit_test(what_is_no_model_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
