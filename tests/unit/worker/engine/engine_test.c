/* One suite over every implementation of the engine port. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "worker/engine/engine_bert.h"
#include "worker/engine/engine_fake.h"

#define TINY "tests/golden/bert_tiny"
enum { DIM_MAX = 64 };

static ops_engine *open_fake(void)
{
    ops_engine *e = NULL;
    assert_int_equal(ops_engine_fake_new(DIM_MAX, &e, NULL), OPS_OK);
    return e;
}

static ops_engine *open_bert_at(bool delayed, uint32_t batch)
{
    ops_engine *e = NULL;
    ops_err err;
    const ops_engine_bert_conf conf = {.path = TINY "/", .delayed = delayed, .batch_tokens_max = batch};
    if (ops_engine_bert_open(&conf, &e, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    return e;
}

static ops_engine *open_bert(void)
{
    return open_bert_at(false, 0);
}

static ops_engine *open_bert_late(void)
{
    return open_bert_at(true, 0);
}

static ops_engine *open_bert_small(void) /* one text a batch, nearly */
{
    return open_bert_at(false, 1);
}

static ops_engine *open_bert_int8(void)
{
    ops_engine *e = NULL;
    const ops_engine_bert_conf conf = {.path = TINY "/", .weights = OPS_KERN_I8, .threads = 2};
    assert_int_equal(ops_engine_bert_open(&conf, &e, NULL), OPS_OK);
    return e;
}

static ops_engine *(*const engines[])(void) = {open_fake, open_bert, open_bert_late, open_bert_small,
                                               open_bert_int8};
#define EACH_ENGINE(e)                                                                                       \
    for (size_t i_ = 0; i_ < sizeof engines / sizeof *engines; i_++)                                         \
        for (ops_engine *e = engines[i_](); e != NULL; ops_engine_free(e), e = NULL)

static const ops_slice texts[] = {
    {"connection error", 16},
    {"", 0},
    {"the database is out of memory the database is out of memory the database is", 75},
    {"\xff\xfe", 2},
    {"\0", 1},
    {"connection error", 16},
    {"a", 1},
    {"   ", 3},
    {"\xe7\xa3\x81\xe7\x9b\x98", 6},
    {"[SEP]", 5},
};
enum { TEXTS = sizeof texts / sizeof *texts };

static void vectors_have_length_one_and_depend_on_their_text_alone(void **state)
{
    (void)state;
    EACH_ENGINE(e)
    {
        const ops_engine_info *info = ops_engine_info_get(e);
        assert_in_range(info->dim, 1, DIM_MAX);
        assert_in_range(info->tokens_max, 2, info->batch_tokens_max);
        assert_true(info->model[0] != '\0');
        assert_int_equal(strlen(info->content_hash), OPS_ENGINE_HASH_HEX);
        float all[TEXTS * DIM_MAX], one[DIM_MAX];
        uint64_t tokens = 0, sum = 0;
        assert_int_equal(ops_engine_embed(e, texts, TEXTS, all, &tokens, NULL, NULL), OPS_OK);
        for (size_t i = 0; i < TEXTS; i++) {
            double norm = 0;
            for (size_t j = 0; j < info->dim; j++)
                norm += (double)all[i * info->dim + j] * (double)all[i * info->dim + j];
            assert_true(fabs(norm - 1) < 1e-5);
            assert_int_equal(ops_engine_embed(e, &texts[i], 1, one, NULL, NULL, NULL), OPS_OK);
            assert_memory_equal(one, all + i * info->dim, info->dim * sizeof *one);
            const uint32_t cost = ops_engine_tokens(e, texts[i]);
            assert_in_range(cost, 2, info->tokens_max);
            sum += cost;
        }
        assert_int_equal(tokens, sum);
        assert_memory_equal(all, all + 5 * info->dim, info->dim * sizeof *all); /* the same text twice */
        assert_memory_not_equal(all, all + info->dim, info->dim * sizeof *all);
    }
}

static void long_texts_are_cut(void **state)
{
    (void)state;
    EACH_ENGINE(e)
    {
        const ops_engine_info *info = ops_engine_info_get(e);
        char text[4096];
        float a[DIM_MAX], b[DIM_MAX];
        for (size_t i = 0; i + 2 <= sizeof text; i += 2) {
            text[i] = (char)('a' + (i / 2) % 3);
            text[i + 1] = ' ';
        }
        const ops_slice whole = ops_slice_of(text, sizeof text),
                        head = ops_slice_of(text, 2 * (size_t)info->tokens_max);
        assert_int_equal(ops_engine_tokens(e, whole), info->tokens_max);
        assert_int_equal(ops_engine_embed(e, &whole, 1, a, NULL, NULL, NULL), OPS_OK);
        assert_int_equal(ops_engine_embed(e, &head, 1, b, NULL, NULL, NULL), OPS_OK);
        assert_memory_equal(a, b, info->dim * sizeof *a);
    }
}

static void bounds_are_told(void **state)
{
    (void)state;
    EACH_ENGINE(e)
    {
        OPS_AUTO(ops_free) void *many = ops_calloc(OPS_ENGINE_TEXTS_MAX + 1, sizeof(ops_slice));
        OPS_AUTO(ops_free) void *rows = ops_calloc(OPS_ENGINE_TEXTS_MAX, DIM_MAX * sizeof(float));
        ops_err err;
        assert_int_equal(ops_engine_embed(e, many, 0, rows, NULL, NULL, NULL), OPS_EINVAL);
        assert_int_equal(ops_engine_embed(e, many, OPS_ENGINE_TEXTS_MAX + 1, rows, NULL, NULL, &err),
                         OPS_ETOOBIG);
        assert_non_null(strstr(err.msg, "1025"));
        assert_int_equal(ops_engine_embed(e, many, OPS_ENGINE_TEXTS_MAX, rows, NULL, NULL, NULL), OPS_OK);
    }
}

static bool stop_now(void *ctx)
{
    (*(int *)ctx)++;
    return true;
}

static void stops_when_asked(void **state)
{
    (void)state;
    EACH_ENGINE(e)
    {
        float all[TEXTS * DIM_MAX];
        int asked = 0;
        const ops_engine_stop stop = {stop_now, &asked};
        assert_int_equal(ops_engine_embed(e, texts, TEXTS, all, NULL, &stop, NULL), OPS_ECANCELLED);
        assert_int_equal(asked, 1);
        assert_int_equal(ops_engine_embed(e, texts, TEXTS, all, NULL, NULL, NULL), OPS_OK);
    }
}

static void fake_texts_that_share_words_are_near(void **state)
{
    (void)state;
    ops_engine *e = open_fake();
    const ops_slice three[] = {OPS_SLICE("connection to database lost"),
                               OPS_SLICE("Connection to database  refused"),
                               OPS_SLICE("disk is nearly full")};
    float v[3 * DIM_MAX];
    assert_int_equal(ops_engine_embed(e, three, 3, v, NULL, NULL, NULL), OPS_OK);
    double near = 0, far = 0;
    for (size_t i = 0; i < DIM_MAX; i++) {
        near += (double)(v[i] * v[DIM_MAX + i]);
        far += (double)(v[i] * v[2 * DIM_MAX + i]);
    }
    assert_true(near > 0.5 && far < 0.4);
    ops_engine_free(e);
    assert_int_equal(ops_engine_fake_new(0, &e, NULL), OPS_EINVAL);
    assert_int_equal(ops_engine_fake_new(OPS_ENGINE_FAKE_DIM_MAX + 1, &e, NULL), OPS_EINVAL);
}

/* Name and hash: the folder's last part, and equal for equal files only. */
static void a_model_is_known_by_its_content(void **state)
{
    (void)state;
    ops_engine *a = open_bert(), *b = open_bert_late();
    assert_string_equal(ops_engine_info_get(a)->model, "bert_tiny");
    assert_string_equal(ops_engine_info_get(a)->content_hash, ops_engine_info_get(b)->content_hash);
    assert_int_equal(ops_engine_info_get(a)->tokens_max, 24);
    ops_engine *c = open_bert_int8(); /* other vectors: another model */
    assert_string_not_equal(ops_engine_info_get(a)->content_hash, ops_engine_info_get(c)->content_hash);
    ops_engine_free(a);
    ops_engine_free(b);
    ops_engine_free(c);
    const ops_engine_bert_conf crowd = {.path = TINY, .threads = OPS_KERN_THREADS_MAX + 1};
    ops_err err = {0};
    assert_int_equal(ops_engine_bert_open(&crowd, &a, &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "65 threads"));
}

static void copy(const char *from, const char *to, size_t bytes_max)
{
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_non_null(in);
    assert_non_null(out);
    int c;
    for (size_t n = 0; n < bytes_max && (c = getc(in)) != EOF; n++)
        putc(c, out);
    fclose(in);
    fclose(out);
}

static void a_folder_that_is_not_whole_is_refused(void **state)
{
    (void)state;
    char folder[] = "/tmp/opsd-engine-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    const struct {
        const char *file;
        size_t bytes; /* of it that are there */
        ops_status want;
        const char *says;
    } steps[] = {
        {"config.json", 0, OPS_ENOTFOUND, "config.json"},
        {"config.json", 10, OPS_ECORRUPT, "config.json"},
        {"config.json", SIZE_MAX, OPS_ENOTFOUND, "tokenizer.json"},
        {"tokenizer.json", 100, OPS_ENOTFOUND, "safetensors"},
        {"model.safetensors", 30000, OPS_ECORRUPT, "tensor"},
        {"model.safetensors", SIZE_MAX, OPS_ECORRUPT, "line 1"},
        {"tokenizer.json", SIZE_MAX, OPS_OK, ""},
    };
    const ops_engine_bert_conf conf = {.path = folder, .name = "mine"};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        char from[128];
        (void)snprintf(from, sizeof from, TINY "/%s", steps[i].file);
        (void)snprintf(path, sizeof path, "%s/%s", folder, steps[i].file);
        if (steps[i].bytes > 0)
            copy(from, path, steps[i].bytes);
        ops_engine *e = NULL;
        ops_err err = {0};
        assert_int_equal(ops_engine_bert_open(&conf, &e, &err), steps[i].want);
        if (strstr(err.msg, steps[i].says) == NULL ||
            (steps[i].want != OPS_OK && strstr(err.msg, folder) == NULL))
            fail_msg("'%s' does not say '%s'", err.msg, steps[i].says);
        if (steps[i].want == OPS_OK) {
            assert_string_equal(ops_engine_info_get(e)->model, "mine");
            assert_int_equal(ops_engine_info_get(e)->tokens_max, 32); /* no side file: all positions */
        }
        ops_engine_free(e);
    }
    const char *all[] = {"config.json", "tokenizer.json", "model.safetensors"};
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, all[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(folder), 0);
}

static void write_text(const char *folder, const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static ops_status open_folder(const char *folder, ops_engine **ret, ops_err *err)
{
    const ops_engine_bert_conf conf = {.path = folder};
    *ret = NULL;
    return ops_engine_bert_open(&conf, ret, err);
}

/* A vector is what the side files of sentence-transformers say, and a step that is not built is not left out. */
static void side_files_say_what_a_vector_is(void **state)
{
    (void)state;
    static const char *const all[] = {"config.json", "tokenizer.json", "model.safetensors", "modules.json",
                                      "1_Pooling/config.json"};
    char folder[] = "/tmp/opsd-engine-XXXXXX", path[128], from[128];
    assert_non_null(mkdtemp(folder));
    for (int i = 0; i < 3; i++) {
        (void)snprintf(from, sizeof from, TINY "/%s", all[i]);
        (void)snprintf(path, sizeof path, "%s/%s", folder, all[i]);
        copy(from, path, SIZE_MAX);
    }
    (void)snprintf(path, sizeof path, "%s/1_Pooling", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    ops_engine *mean = NULL, *first = NULL, *none = NULL;
    ops_err err = {0};
    assert_int_equal(open_folder(folder, &mean, &err), OPS_OK); /* the mean where nothing is said */
    write_text(folder, "1_Pooling/config.json",
               "{\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":false}");
    write_text(folder, "modules.json",
               "[{\"type\":\"sentence_transformers.models.Transformer\"},"
               "{\"type\":\"sentence_transformers.models.Pooling\"}]");
    assert_int_equal(open_folder(folder, &first, &err), OPS_OK);
    float a[DIM_MAX], b[DIM_MAX];
    double near = 0, norm = 0;
    assert_int_equal(ops_engine_embed(mean, texts, 1, a, NULL, NULL, NULL), OPS_OK);
    assert_int_equal(ops_engine_embed(first, texts, 1, b, NULL, NULL, NULL), OPS_OK);
    for (uint32_t i = 0; i < ops_engine_info_get(mean)->dim; i++) {
        near += (double)a[i] * (double)b[i];
        norm += (double)b[i] * (double)b[i];
    }
    assert_true(fabs(norm - 1) < 1e-5 && near < 0.999);
    assert_string_not_equal(ops_engine_info_get(mean)->content_hash,
                            ops_engine_info_get(first)->content_hash);
    ops_engine_free(mean);
    ops_engine_free(first);
    write_text(folder, "modules.json", "[{\"type\":\"sentence_transformers.models.Dense\"}]");
    assert_int_equal(open_folder(folder, &none, &err), OPS_EUNIMPL);
    assert_non_null(strstr(err.msg, "'sentence_transformers.models.Dense' is not built"));
    assert_null(none);
    for (int i = 0; i < 5; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, all[i]);
        assert_int_equal(unlink(path), 0);
    }
    (void)snprintf(path, sizeof path, "%s/1_Pooling", folder);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void models_have_a_place(void **state)
{
    (void)state;
    char got[256];
    assert_int_equal(setenv("OPSD_MODELS", "/m", 1), 0);
    assert_int_equal(ops_engine_bert_folder("x", got, sizeof got, NULL), OPS_OK);
    assert_string_equal(got, "/m/x");
    assert_int_equal(ops_engine_bert_folder("x", got, 4, NULL), OPS_ETOOBIG);
    assert_int_equal(setenv("OPSD_MODELS", "", 1), 0);
    assert_int_equal(setenv("XDG_DATA_HOME", "/d", 1), 0);
    assert_int_equal(ops_engine_bert_folder("x", got, sizeof got, NULL), OPS_OK);
    assert_string_equal(got, "/d/opsd/models/x");
    assert_int_equal(unsetenv("XDG_DATA_HOME"), 0);
    assert_int_equal(setenv("HOME", "/h", 1), 0);
    assert_int_equal(ops_engine_bert_folder("x", got, sizeof got, NULL), OPS_OK);
    assert_string_equal(got, "/h/.local/share/opsd/models/x");
    assert_int_equal(unsetenv("HOME"), 0);
    assert_int_equal(ops_engine_bert_folder("x", got, sizeof got, NULL), OPS_ENOTFOUND);
}

static void survives_every_failed_allocation(void **state)
{
    (void)state;
    const ops_engine_bert_conf conf = {.path = TINY};
    ops_status st = OPS_ENOMEM;
    const long live = ops_alloc_live();
    for (long nth = 1; st != OPS_OK; nth++) {
        ops_engine *e = NULL;
        ops_alloc_fail_at(nth);
        st = ops_engine_bert_open(&conf, &e, NULL);
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK || (st == OPS_ENOMEM && e == NULL));
        ops_engine_free(e);
        assert_int_equal(ops_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_have_length_one_and_depend_on_their_text_alone),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(bounds_are_told),
        cmocka_unit_test(stops_when_asked),
        cmocka_unit_test(fake_texts_that_share_words_are_near),
        cmocka_unit_test(a_model_is_known_by_its_content),
        cmocka_unit_test(a_folder_that_is_not_whole_is_refused),
        cmocka_unit_test(side_files_say_what_a_vector_is),
        cmocka_unit_test(survives_every_failed_allocation),
        cmocka_unit_test(models_have_a_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
