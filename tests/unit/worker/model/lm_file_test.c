/* A decoder with all that belongs to it, from a GGUF file and from folders: ids and answers are transformers'. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "tests/support/golden.h"
#include "worker/model/generate.h"
#include "worker/model/lm_file.h"

#define FOLDERS "tests/golden/lm/hf/"

typedef struct desk {
    ops_lm_file *f;
    ops_tokenizer *t;
    ops_kern_dev *dev;
    ops_lm *m;
    ops_strbuf text;
} desk;

static void open_desk(desk *d, const char *path)
{
    ops_err err;
    memset(d, 0, sizeof *d);
    ops_strbuf_init(&d->text, 1 << 16);
    if (ops_lm_file_open(path, &d->f, &err) != OPS_OK || ops_lm_file_tokenizer(d->f, &d->t, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    const ops_kern_cpu_conf conf = {.threads = 1};
    const ops_lm_limits limits = {.tokens = 64, .outputs = 1, .seqs = 1, .block = 16, .blocks = 4};
    assert_int_equal(ops_kern_cpu_open(&conf, &d->dev), OPS_KERN_OK);
    if (ops_lm_file_load(d->f, ops_kern_cpu(), d->dev, &limits, &d->m, &err) != OPS_OK)
        fail_msg("%s", err.msg);
}

static void close_desk(desk *d)
{
    ops_lm_free(d->m);
    ops_kern_cpu()->dev_free(d->dev);
    ops_tokenizer_free(d->t);
    ops_lm_file_free(d->f);
    ops_strbuf_done(&d->text);
}

static bool note(void *ctx, const ops_generate_token *token)
{
    ops_strbuf_slice(ctx, token->text);
    return true;
}

static void prompt_ids(const desk *d, const char *kind, ops_slice text, ops_tokens *out)
{
    ops_err err;
    if (strcmp(kind, "prompt") == 0) {
        assert_int_equal(ops_tokenizer_encode(d->t, text, OPS_TOKENIZER_BOS, out, &err), OPS_OK);
        return;
    }
    ops_chat *chat = NULL;
    ops_chat_prompt p;
    const ops_chat_message m = {.role = OPS_CHAT_USER, .text = text};
    if (ops_lm_file_chat(d->f, d->t, &chat, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    ops_chat_prompt_init(&p);
    assert_int_equal(ops_chat_render(chat, &m, 1, (ops_chat_options){.answer = true}, &p, &err), OPS_OK);
    assert_int_equal(ops_chat_encode(&p, d->t, out, &err), OPS_OK);
    ops_chat_prompt_done(&p);
    ops_chat_free(chat);
}

static void answers_one(desk *d, const char *kind, const json_t *want)
{
    const json_t *ids = json_object_get(want, "ids");
    ops_tokens got;
    ops_tokens_init(&got, 64);
    prompt_ids(d, kind, ops_slice_str(json_string_value(json_object_get(want, "text"))), &got);
    assert_int_equal(got.n, json_array_size(ids));
    for (size_t i = 0; i < got.n; i++)
        assert_int_equal(got.v[i], json_integer_value(json_array_get(ids, i)));
    const json_t *answer = json_object_get(want, "answer");
    const ops_generate_params g = {.sample = ops_sample_defaults(),
                                   .tokens_max = (int)(64 - got.n < 24 ? 64 - got.n : 24)};
    ops_generate_result r;
    ops_strbuf_clear(&d->text);
    assert_int_equal(ops_generate(d->m, d->t, got.v, got.n, &g, note, &d->text, &r, NULL), OPS_OK);
    assert_int_equal(r.tokens, json_array_size(answer));
    assert_true(ops_slice_eq(ops_strbuf_get(&d->text),
                             ops_slice_str(json_string_value(json_object_get(want, "says")))));
    ops_tokens_done(&got);
}

static void folders_answer_as_transformers_does(void **state)
{
    (void)state;
    ops_slice text = golden_read(FOLDERS "answers.json");
    json_t *all = json_loadb(text.p, text.n, 0, NULL), *one, *want;
    const char *name, *kind;
    int asked = 0;
    json_object_foreach(all, name, one)
    {
        char path[96];
        desk d;
        (void)snprintf(path, sizeof path, FOLDERS "%s", name);
        open_desk(&d, path);
        json_object_foreach(one, kind, want)
        {
            answers_one(&d, kind, want);
            asked++;
        }
        close_desk(&d);
    }
    assert_int_equal(asked, 3);
    json_decref(all);
    golden_free(text);
}

static void a_file_is_read_by_the_same_port(void **state)
{
    (void)state;
    ops_lm_file *f = NULL;
    ops_lm_config c;
    ops_tokenizer *t = NULL;
    ops_chat *chat = NULL;
    ops_err err;
    assert_int_equal(ops_lm_file_open("tests/golden/lm/gpt2.gguf", &f, &err), OPS_OK);
    assert_non_null(ops_lm_file_gguf(f));
    assert_null(ops_lm_file_shards(f));
    assert_int_equal(ops_lm_file_json(f).n, 0);
    assert_int_equal(ops_lm_file_config(f, &c, &err), OPS_OK);
    assert_true(c.arch == OPS_LM_GPT2 && c.inner == 96);
    assert_int_equal(ops_lm_file_tokenizer(f, &t, &err), OPS_OK);
    assert_int_equal(ops_lm_file_chat(f, t, &chat, &err), OPS_OK);
    assert_string_equal(ops_chat_name(chat), "chatml");
    ops_chat_free(chat);
    ops_tokenizer_free(t);
    ops_lm_file_free(f);
    f = NULL;
    assert_int_equal(ops_lm_file_open("tests/golden/lm/ids.json", &f, &err), OPS_ECORRUPT);
    assert_int_equal(ops_lm_file_open("tests/golden/lm/none", &f, &err), OPS_ENOTFOUND);
    assert_int_equal(ops_lm_file_open("tests/golden/lm", &f, &err), OPS_ENOTFOUND);
    assert_non_null(strstr(err.msg, "config.json"));
    assert_null(f);
}

/* --- the files beside tokenizer.json --- */
static ops_status with(const char *config, const char *generation, const char *model, ops_tokenizer **ret,
                       ops_err *reterr)
{
    ops_slice json = golden_read(FOLDERS "gpt2/tokenizer.json");
    const ops_tokenizer_files files = {.tokenizer = json,
                                       .config = ops_slice_str(config),
                                       .generation = ops_slice_str(generation),
                                       .model = ops_slice_str(model)};
    *ret = NULL;
    const ops_status st = ops_tokenizer_from_folder(&files, ret, reterr);
    golden_free(json);
    return st;
}

static void the_files_beside_say_what_begins_and_ends(void **state)
{
    (void)state;
    ops_tokenizer *t = NULL;
    ops_err err;
    assert_int_equal(with(NULL, NULL, NULL, &t, &err), OPS_OK);
    assert_true(ops_tokenizer_bos(t) < 0 && ops_tokenizer_eos(t) < 0 && !ops_tokenizer_add_bos(t));
    assert_false(ops_tokenizer_ends(t, 7));
    ops_tokenizer_free(t);
    assert_int_equal(with("{\"bos_token\":{\"content\":\"<|im_start|>\"},\"eos_token\":\"<|im_end|>\","
                          "\"add_bos_token\":true,\"add_eos_token\":true,\"pad_token\":null}",
                          "{\"eos_token_id\":[7,2,9]}", "{\"eos_token_id\":11}", &t, &err),
                     OPS_OK);
    assert_true(ops_tokenizer_bos(t) == 1 && ops_tokenizer_eos(t) == 2);
    assert_true(ops_tokenizer_add_bos(t) && ops_tokenizer_add_eos(t));
    assert_true(ops_tokenizer_ends(t, 7) && ops_tokenizer_ends(t, 2) && ops_tokenizer_ends(t, 9));
    assert_false(ops_tokenizer_ends(t, 11)); /* generation_config.json is there and says otherwise */
    ops_tokenizer_free(t);
    assert_int_equal(with("{\"add_bos_token\":true}", NULL, "{\"eos_token_id\":11}", &t, &err), OPS_OK);
    assert_true(ops_tokenizer_ends(t, 11) && ops_tokenizer_eos(t) == 11);
    assert_false(ops_tokenizer_add_bos(t)); /* which one, nobody says */
    ops_tokenizer_free(t);
}

static void files_beside_that_lie_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *config, *generation, *model, *part;
        ops_status st;
    } rows[] = {
        {"[]", NULL, NULL, "tokenizer_config.json is no object", OPS_ECORRUPT},
        {"{\"bos_token\":\"<bos>\"}", NULL, NULL, "the bos_token '<bos>' is not in the vocabulary",
         OPS_ECORRUPT},
        {"{\"eos_token\":3}", NULL, NULL, "eos_token is no text", OPS_ECORRUPT},
        {"{\"add_bos_token\":1}", NULL, NULL, "add_bos_token", OPS_ECORRUPT},
        {NULL, "{\"eos_token_id\":82}", NULL, "generation_config.json: an eos_token_id", OPS_ECORRUPT},
        {NULL, "{\"eos_token_id\":[1,\"x\"]}", NULL, "generation_config.json", OPS_ECORRUPT},
        {NULL, NULL, "{\"eos_token_id\":-1}", "config.json: an eos_token_id", OPS_ECORRUPT},
        {NULL, "{\"eos_token_id\":[20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37]}", NULL,
         "more than 16", OPS_ETOOBIG},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ops_tokenizer *t = NULL;
        ops_err err = {.msg = ""};
        assert_int_equal(with(rows[i].config, rows[i].generation, rows[i].model, &t, &err), rows[i].st);
        assert_null(t);
        if (strstr(err.msg, rows[i].part) == NULL)
            fail_msg("\"%s\" lacks \"%s\"", err.msg, rows[i].part);
    }
}

static ops_status take_all(void)
{
    ops_lm_file *f = NULL;
    ops_tokenizer *t = NULL;
    ops_chat *chat = NULL;
    ops_status st = ops_lm_file_open(FOLDERS "qwen2", &f, NULL);
    if (st == OPS_OK)
        st = ops_lm_file_tokenizer(f, &t, NULL);
    if (st == OPS_OK)
        st = ops_lm_file_chat(f, t, &chat, NULL);
    ops_chat_free(chat);
    ops_tokenizer_free(t);
    ops_lm_file_free(f);
    return st;
}

static void frees_what_it_took_when_memory_ends(void **state)
{
    (void)state;
    const long before = ops_alloc_live();
    ops_status st = OPS_ENOMEM;
    for (long nth = 1; st != OPS_OK; nth++) {
        ops_alloc_fail_at(nth);
        st = take_all();
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK || st == OPS_ENOMEM);
        assert_int_equal(ops_alloc_live(), before);
        assert_true(nth < 5000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_answer_as_transformers_does),
        cmocka_unit_test(a_file_is_read_by_the_same_port),
        cmocka_unit_test(the_files_beside_say_what_begins_and_ends),
        cmocka_unit_test(files_beside_that_lie_are_refused),
        cmocka_unit_test(frees_what_it_took_when_memory_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
