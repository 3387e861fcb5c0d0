/* Folders of weights in one file and in several, and indexes that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem/alloc.h"
#include "base/text/strbuf.h"
#include "tests/support/golden.h"
#include "worker/model/lm.h"
#include "worker/model/shards.h"

#define FOLDER "tests/golden/lm/hf/llama"
#define INDEX  "model.safetensors.index.json"
static const char *const files[] = {"model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                                    "model-00003-of-00003.safetensors"};

/* --- a copy of the folder, to be spoiled --- */
typedef struct copy {
    char folder[64], index[8192];
} copy;

static void put(const copy *c, const char *name, ops_slice bytes)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", c->folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes.p, 1, bytes.n, f), bytes.n);
    assert_int_equal(fclose(f), 0);
}

static void make_copy(copy *c)
{
    (void)snprintf(c->folder, sizeof c->folder, "/tmp/ops-shards-XXXXXX");
    assert_non_null(mkdtemp(c->folder));
    for (int i = 0; i < 3; i++) {
        char path[160];
        (void)snprintf(path, sizeof path, "%s/%s", FOLDER, files[i]);
        ops_slice bytes = golden_read(path);
        put(c, files[i], bytes);
        golden_free(bytes);
    }
    ops_slice index = golden_read(FOLDER "/" INDEX);
    assert_true(index.n > 0 && index.n < sizeof c->index);
    (void)snprintf(c->index, sizeof c->index, OPS_SLICE_FMT, OPS_SLICE_ARG(index));
    golden_free(index);
}

static void drop_copy(const copy *c)
{
    static const char *const more[] = {INDEX, "model.safetensors"};
    char path[160];
    for (int i = 0; i < 5; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", c->folder, i < 3 ? files[i] : more[i - 3]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(c->folder), 0);
}

static void refused(const copy *c, ops_status want, const char *part)
{
    ops_shards *s = NULL;
    ops_err err = {.msg = ""};
    const long before = ops_alloc_live();
    put(c, INDEX, ops_slice_str(c->index));
    assert_int_equal(ops_shards_open(c->folder, &s, &err), want);
    assert_null(s);
    assert_int_equal(ops_alloc_live(), before);
    if (strstr(err.msg, part) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.msg, part);
}

/* --- tests --- */
static void several_files_are_one_set(void **state)
{
    (void)state;
    ops_shards *s = NULL;
    ops_err err;
    if (ops_shards_open(FOLDER, &s, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(ops_shards_files(s), 3);
    assert_int_equal(ops_shards_count(s), 20); /* 9 of each of two layers, the table and the last norm */
    for (size_t i = 0; i < 20; i++) {
        const ops_safetensor *t = ops_shards_at(s, i);
        assert_ptr_equal(ops_shards_find(s, t->name), t);
    }
    assert_null(ops_shards_at(s, 20));
    assert_null(ops_shards_find(s, "model.embed_tokens.bias"));
    ops_shards_free(s);
}

static void an_index_that_lies_is_refused(void **state)
{
    (void)state;
    copy c;
    make_copy(&c);
    char *at = strstr(c.index, "model.layers.0.mlp.up_proj.weight");
    assert_non_null(at);
    char *digit = at + strlen("model.layers.");
    *digit = '9'; /* a tensor that no file has, and one that is nowhere */
    refused(&c, OPS_ECORRUPT,
            "'model.layers.0.mlp.up_proj.weight', which model.safetensors.index.json puts nowhere");
    *digit = '0';
    at = strstr(at, "-of-") - 1; /* the last digit of the number of its file */
    const char is = *at;
    *at = is == '1' ? '2' : '1';
    refused(&c, OPS_ECORRUPT, "puts into model-0000");
    *at = is;
    at = strstr(c.index, "\"weight_map\": {");
    assert_non_null(at);
    char rest[8192];
    (void)snprintf(rest, sizeof rest, "%s", at + 15);
    (void)snprintf(at + 15, sizeof c.index - (size_t)(at + 15 - c.index), "\"more\": \"%s\",%.7000s",
                   files[0], rest);
    refused(&c, OPS_ECORRUPT, "names 21 tensors, its files have 20");
    drop_copy(&c);
}

static void a_file_that_is_broken_or_gone_is_named(void **state)
{
    (void)state;
    copy c;
    make_copy(&c);
    put(&c, files[1], OPS_SLICE("short"));
    refused(&c, OPS_ECORRUPT, "model-00002-of-00003.safetensors: safetensors: 5 bytes");
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", c.folder, files[0]);
    assert_int_equal(unlink(path), 0);
    refused(&c, OPS_ENOTFOUND, "model-00001-of-00003.safetensors");
    drop_copy(&c);
    ops_shards *s = NULL;
    ops_err err;
    assert_int_equal(ops_shards_open("tests/golden/chat", &s, &err), OPS_ENOTFOUND);
    assert_non_null(strstr(err.msg, "neither model.safetensors nor " INDEX));
}

static void refuses_indexes_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *json, *part;
        ops_status st;
    } rows[] = {
        {"[]", "no object", OPS_ECORRUPT},
        {"{", "line 1", OPS_ECORRUPT},
        {"{\"weight_map\":{}}", "names no tensor", OPS_ECORRUPT},
        {"{\"weight_map\":[]}", "names no tensor", OPS_ECORRUPT},
        {"{\"weight_map\":{\"a\":1}}", "'a'", OPS_ECORRUPT},
        {"{\"weight_map\":{\"a\":\"../x.safetensors\"}}", "'a' is no plain name", OPS_ECORRUPT},
        {"{\"weight_map\":{\"a\":\"/etc/x.safetensors\"}}", "'a' is no plain name", OPS_ECORRUPT},
        {"{\"weight_map\":{\"a\":\"d/x.safetensors\"}}", "'a' is no plain name", OPS_ECORRUPT},
        {"{\"weight_map\":{\"a\":\".safetensors\"}}", "'a' is no plain name", OPS_ECORRUPT},
        {"{\"weight_map\":{\"a\":\"\"}}", "'a' is no plain name", OPS_ECORRUPT},
        {"{\"weight_map\":{\"a\":\"x.bin\"}}", "'a' is no plain name", OPS_ECORRUPT},
        {"{\"weight_map\":{\"a\":\"x.safetensors\",\"a\":\"x.safetensors\"}}", "line 1", OPS_ECORRUPT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ops_shard_index x = {.files = 7};
        ops_err err = {.msg = ""};
        assert_int_equal(ops_shard_index_parse(ops_slice_str(rows[i].json), &x, &err), rows[i].st);
        if (strstr(err.msg, rows[i].part) == NULL)
            fail_msg("\"%s\" lacks \"%s\"", err.msg, rows[i].part);
        assert_int_equal(x.files, 7);
    }
}

static void there_is_an_end_to_files(void **state)
{
    (void)state;
    ops_strbuf b;
    ops_err err;
    ops_shard_index x;
    for (int files_in = OPS_SHARDS_MAX; files_in <= OPS_SHARDS_MAX + 1; files_in++) {
        ops_strbuf_init(&b, 1 << 20);
        ops_strbuf_str(&b, "{\"weight_map\":{\"t\":\"0.safetensors\"");
        for (int i = 0; i < files_in; i++)
            ops_strbuf_printf(&b, ",\"%d\":\"%d.safetensors\"", i, i);
        ops_strbuf_str(&b, "}}");
        const ops_status st = ops_shard_index_parse(ops_strbuf_get(&b), &x, &err);
        assert_int_equal(st, files_in == OPS_SHARDS_MAX ? OPS_OK : OPS_ETOOBIG);
        if (st == OPS_OK) {
            assert_int_equal(x.files, OPS_SHARDS_MAX);
            assert_int_equal(x.tensors, OPS_SHARDS_MAX + 1);
            assert_string_equal(ops_map_get(x.file_of, OPS_SLICE("t")), "0.safetensors");
            ops_shard_index_done(&x);
        }
        ops_strbuf_done(&b);
    }
}

static void frees_what_it_took_when_memory_ends(void **state)
{
    (void)state;
    const long before = ops_alloc_live();
    ops_status st = OPS_ENOMEM;
    for (long nth = 1; st != OPS_OK; nth++) {
        ops_shards *s = NULL;
        ops_alloc_fail_at(nth);
        st = ops_shards_open(FOLDER, &s, NULL);
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK || st == OPS_ENOMEM);
        ops_shards_free(s);
        assert_int_equal(ops_alloc_live(), before);
        assert_true(nth < 1000);
    }
}

/* --- what a decoder asks of the set --- */
static void load_refused(const char *folder, const char *change, const char *to, const char *part)
{
    char path[96];
    (void)snprintf(path, sizeof path, "tests/golden/lm/hf/%s/config.json", folder);
    ops_slice json = golden_read(path);
    const ptrdiff_t at = ops_slice_find(json, ops_slice_str(change));
    assert_true(at >= 0);
    if (json.p != NULL)
        memcpy((char *)(uintptr_t)json.p + at, to, strlen(to));
    (void)snprintf(path, sizeof path, "tests/golden/lm/hf/%s", folder);
    ops_shards *s = NULL;
    ops_lm_config c;
    ops_lm *m = NULL;
    ops_err err = {.msg = ""};
    assert_int_equal(ops_lm_config_parse(json, &c, &err), OPS_OK);
    assert_int_equal(ops_shards_open(path, &s, &err), OPS_OK);
    const ops_lm_source source = ops_lm_source_shards(s);
    const ops_lm_limits limits = {.tokens = 8, .outputs = 1, .seqs = 1, .block = 16, .blocks = 4};
    ops_alloc_fail_at(1); /* told before anything is taken: else this would be ENOMEM */
    const ops_status st = ops_lm_load_from(&c, &source, ops_kern_cpu(), NULL, &limits, &m, &err);
    ops_alloc_fail_at(0);
    assert_int_equal(st, OPS_ECORRUPT);
    if (strstr(err.msg, part) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.msg, part);
    ops_shards_free(s);
    golden_free(json);
}

static void a_decoder_takes_just_its_own_tensors(void **state)
{
    (void)state;
    load_refused("llama", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1", "layers.1.");
    load_refused("llama", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3",
                 "lacks the tensor 'model.layers.2.input_layernorm.weight'");
    load_refused(
        "llama", "\"intermediate_size\": 64", "\"intermediate_size\": 63",
        "'model.layers.0.mlp.gate_proj.weight' has rank 2 and 64 rows of 32, the hyperparameters say 63");
    load_refused("llama", "\"tie_word_embeddings\": true", "\"tie_word_embeddings\":false",
                 "'lm_head.weight'");
    load_refused("qwen2", "\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true ",
                 "ties the head to the table, but 'lm_head.weight' is not");
    load_refused("qwen2", "\"qwen2\"", "\"llama\"",
                 "'model.layers.0.self_attn.k_proj.bias' is none of llama's");
    load_refused("qwen3", "\"head_dim\": 16", "\"head_dim\": 8 ", "q_proj.weight");
    load_refused("gpt2", "\"n_inner\": 96", "\"n_inner\": 95",
                 "'transformer.h.0.mlp.c_fc.weight' has rank 2");
    load_refused("gpt2", "\"n_positions\": 64", "\"n_positions\": 65", "'transformer.wpe.weight'");
}

/* Loads what `config` and `weights` say; OPS_OK, or the error in `err`. */
static ops_status try_load(ops_slice config, ops_slice weights, ops_err *err)
{
    const ops_kern_cpu_conf conf = {.threads = 1};
    const ops_lm_limits limits = {.tokens = 8, .outputs = 1, .seqs = 1, .block = 16, .blocks = 4};
    ops_shards *s = NULL;
    ops_lm_config c;
    ops_lm *m = NULL;
    ops_kern_dev *dev = NULL;
    assert_int_equal(ops_lm_config_parse(config, &c, err), OPS_OK);
    assert_int_equal(ops_shards_parse(weights, &s, err), OPS_OK);
    assert_int_equal(ops_kern_cpu_open(&conf, &dev), OPS_KERN_OK);
    const ops_lm_source source = ops_lm_source_shards(s);
    const ops_status st = ops_lm_load_from(&c, &source, ops_kern_cpu(), dev, &limits, &m, err);
    ops_lm_free(m);
    ops_kern_cpu()->dev_free(dev);
    ops_shards_free(s);
    return st;
}

/* Writes over what was read. */
static void over(ops_slice bytes, size_t at, const void *with, size_t n)
{
    assert_true(at + n <= bytes.n);
    if (bytes.p != NULL)
        memcpy((char *)(uintptr_t)bytes.p + at, with, n);
}

/* The folder of Qwen 2 has a head of its own: with the table's numbers in it, it may be called tied. */
static void a_tied_head_may_lie_there_twice(void **state)
{
    (void)state;
    static const char own[] = "\"tie_word_embeddings\": false", tied[] = "\"tie_word_embeddings\": true ";
    ops_slice config = golden_read("tests/golden/lm/hf/qwen2/config.json");
    ops_slice weights = golden_read("tests/golden/lm/hf/qwen2/model.safetensors");
    ops_shards *s = NULL;
    ops_err err = {.msg = ""};
    over(config, (size_t)ops_slice_find(config, ops_slice_str(own)), tied, sizeof tied - 1);
    assert_int_equal(try_load(config, weights, &err), OPS_ECORRUPT);
    assert_int_equal(ops_shards_parse(weights, &s, &err), OPS_OK);
    const ops_slice table = ops_shards_find(s, "model.embed_tokens.weight")->bytes;
    const ops_slice head = ops_shards_find(s, "lm_head.weight")->bytes;
    over(weights, (size_t)(head.p - weights.p), table.p, table.n);
    ops_shards_free(s);
    assert_int_equal(try_load(config, weights, &err), OPS_OK);
    golden_free(config);
    golden_free(weights);
}

/* Constants that old versions saved lie beside GPT-2's weights; something else may not. */
static void constants_may_lie_there(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt2", "gpt2_bare"};
    for (int i = 0; i < 2; i++) {
        char path[64];
        ops_err err = {.msg = ""};
        (void)snprintf(path, sizeof path, "tests/fuzz/corpus/lm_folder/%s", names[i]);
        ops_slice both = golden_read(path);
        assert_true(both.p != NULL && both.n > 2);
        uint16_t n = 0;
        memcpy(&n, both.p != NULL ? both.p : "", sizeof n);
        const ops_slice config = ops_slice_sub(both, 2, n), weights = ops_slice_sub(both, 2 + n, both.n);
        assert_int_equal(try_load(config, weights, &err), OPS_OK);
        const ptrdiff_t at = ops_slice_find(both, OPS_SLICE("masked_bias"));
        assert_true(at > 0);
        over(both, (size_t)at, "marked", 6);
        assert_int_equal(try_load(config, weights, &err), OPS_ECORRUPT);
        assert_non_null(strstr(err.msg, "h.0.attn.marked_bias' is none of gpt2's"));
        golden_free(both);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_files_are_one_set),
        cmocka_unit_test(an_index_that_lies_is_refused),
        cmocka_unit_test(a_file_that_is_broken_or_gone_is_named),
        cmocka_unit_test(refuses_indexes_by_name),
        cmocka_unit_test(there_is_an_end_to_files),
        cmocka_unit_test(frees_what_it_took_when_memory_ends),
        cmocka_unit_test(a_decoder_takes_just_its_own_tensors),
        cmocka_unit_test(a_tied_head_may_lie_there_twice),
        cmocka_unit_test(constants_may_lie_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
