/* model describe FILE|FOLDER|NAME: what a GGUF file or a Hugging Face folder holds, read from it alone. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text/strbuf.h"
#include "base/text/utf8.h"
#include "opsctl/cmd/model_file.h"
#include "opsctl/verb.h"
#include "worker/model/bert_file.h"

enum { TEXT_BYTES_MAX = 1 << 20, TYPES_MAX = 64 };

/* One answer: names and values in the order they are added, as a table or as one JSON object. */
typedef struct answer {
    bool json;
    size_t n;
    ops_strbuf b;
} answer;

static void add(answer *a, const char *name, ops_slice value, bool number)
{
    if (!a->json) {
        ops_strbuf_printf(&a->b, "%-14s ", name);
        ops_utf8_clean(&a->b, value);
        ops_strbuf_char(&a->b, '\n');
        return;
    }
    ops_strbuf_str(&a->b, a->n++ > 0 ? "," : "{");
    ops_strbuf_json(&a->b, ops_slice_str(name));
    ops_strbuf_char(&a->b, ':');
    if (number)
        ops_strbuf_slice(&a->b, value);
    else
        ops_strbuf_json(&a->b, value);
}

static void add_text(answer *a, const char *name, ops_slice value)
{
    for (size_t i = 0; i < value.n; i++) /* a terminal is no place for what a file says between the lines */
        if ((unsigned char)value.p[i] < 32 || value.p[i] == 127)
            value.n = i;
    add(a, name, value, false);
}

static void add_number(answer *a, const char *name, uint64_t value)
{
    char digits[24];
    (void)snprintf(digits, sizeof digits, "%" PRIu64, value);
    add(a, name, ops_slice_str(digits), true);
}

/* Keys of a GGUF file, whatever the architecture is. */
static void add_keys(answer *a, const ops_gguf *g)
{
    static const struct {
        const char *name, *key;
    } rows[] = {{"context", "context_length"},
                {"embedding", "embedding_length"},
                {"blocks", "block_count"},
                {"feed_forward", "feed_forward_length"},
                {"heads", "attention.head_count"},
                {"kv_heads", "attention.head_count_kv"},
                {"head_width", "attention.key_length"},
                {"window", "attention.sliding_window"}};
    ops_slice arch = {0}, text;
    if (ops_gguf_text(g, "general.name", &text))
        add_text(a, "name", text);
    if (!ops_gguf_text(g, "general.architecture", &arch))
        return;
    add_text(a, "architecture", arch);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char key[160];
        uint64_t v;
        (void)snprintf(key, sizeof key, OPS_SLICE_FMT ".%s", OPS_SLICE_ARG(ops_slice_sub(arch, 0, 60)),
                       rows[i].key);
        if (ops_gguf_u64(g, key, &v))
            add_number(a, rows[i].name, v);
    }
}

static void add_sizes(answer *a, const char *arch, const ops_lm_config *c)
{
    const struct {
        const char *name;
        int value; /* 0: not told */
    } rows[] = {{"context", c->context},    {"embedding", c->hidden}, {"blocks", c->layers},
                {"feed_forward", c->inner}, {"heads", c->heads},      {"kv_heads", c->kv_heads},
                {"head_width", c->width},   {"window", c->window}};
    add_text(a, "architecture", ops_slice_str(arch));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].value > 0)
            add_number(a, rows[i].name, (uint64_t)rows[i].value);
}

static void add_encoder(answer *a, const ops_bert_config *b)
{
    add_sizes(a, "bert",
              &(ops_lm_config){.context = b->tokens_max,
                               .hidden = b->hidden,
                               .layers = b->layers,
                               .inner = b->inner,
                               .heads = b->heads});
    add_text(a, "pooling", b->pooling == OPS_BERT_CLS ? OPS_SLICE("first") : OPS_SLICE("mean"));
    if (b->head != OPS_BERT_NO_HEAD) {
        add_text(a, "head", b->head == OPS_BERT_TOKEN_HEAD ? OPS_SLICE("tokens") : OPS_SLICE("text"));
        add_number(a, "labels", (uint64_t)b->labels);
    }
}

/* config.json of a folder: a decoder's, or the reason why it is not. */
static void add_config(answer *a, const ops_lm_file *f)
{
    ops_lm_config c;
    ops_err err;
    if (ops_lm_file_config(f, &c, &err) == OPS_OK) {
        add_sizes(a, ops_lm_arch_name(c.arch), &c);
        return;
    }
    ops_err_prefix(&err, "none");
    add_text(a, "architecture", ops_slice_str(err.msg));
}

/* How many tensors there are of each type, by its name. */
typedef struct types {
    size_t n;
    struct {
        const char *name;
        size_t count;
    } v[TYPES_MAX];
} types;

static void count_type(types *t, const char *name)
{
    size_t i = 0;
    while (i < t->n && strcmp(t->v[i].name, name) != 0)
        i++;
    if (i == TYPES_MAX)
        return; /* more than there are */
    if (i == t->n) {
        t->v[i].name = name;
        t->n++;
    }
    t->v[i].count++;
}

static int by_name(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static void add_tensors(answer *a, const ops_lm_file *f)
{
    const ops_lm_source s = ops_lm_file_source(f);
    uint64_t parameters = 0, bytes = 0;
    types t = {.n = 0};
    ops_lm_tensor x;
    for (size_t i = 0; s.at(s.from, i, &x); i++) {
        count_type(&t, x.type_name);
        parameters += x.count;
        bytes += x.bytes.n;
    }
    qsort(t.v, t.n, sizeof *t.v, by_name);
    ops_strbuf text;
    ops_strbuf_init(&text, TEXT_BYTES_MAX);
    for (size_t i = 0; i < t.n; i++)
        ops_strbuf_printf(&text, "%s%zu x %s", i > 0 ? ", " : "", t.v[i].count, t.v[i].name);
    add_number(a, "parameters", parameters);
    add_number(a, "tensors", s.count);
    add_number(a, "tensor_bytes", bytes);
    add(a, "tensor_types", ops_strbuf_get(&text), false);
    ops_strbuf_done(&text);
}

static void add_token(answer *a, const char *name, const ops_tokenizer *t, int32_t id)
{
    if (id >= 0)
        add_text(a, name, ops_tokenizer_piece(t, id));
}

static void add_wordpiece(answer *a, const ops_bert_file *f)
{
    OPS_AUTO(ops_wordpiece_free) ops_wordpiece *w = NULL;
    ops_err err;
    if (ops_bert_file_words(f, &w, &err) == OPS_OK) {
        add_text(a, "tokenizer", OPS_SLICE("wordpiece"));
        add_number(a, "vocabulary", (uint64_t)ops_wordpiece_id_max(w) + 1);
        return;
    }
    ops_err_prefix(&err, "none");
    add_text(a, "tokenizer", ops_slice_str(err.msg));
}

static void add_tokenizer(answer *a, const ops_lm_file *f)
{
    ops_tokenizer *t = NULL;
    ops_chat *c = NULL;
    ops_err err;
    if (ops_lm_file_tokenizer(f, &t, &err) != OPS_OK) {
        ops_err_prefix(&err, "none");
        add_text(a, "tokenizer", ops_slice_str(err.msg));
        return;
    }
    add_text(a, "tokenizer", ops_slice_str(ops_tokenizer_name(t)));
    add_number(a, "vocabulary", ops_tokenizer_count(t));
    add_token(a, "bos", t, ops_tokenizer_bos(t));
    add_token(a, "eos", t, ops_tokenizer_eos(t));
    add_text(a, "bos_added", ops_tokenizer_add_bos(t) ? OPS_SLICE("yes") : OPS_SLICE("no"));
    if (ops_lm_file_chat(f, t, &c, &err) == OPS_OK)
        add_text(a, "chat_template", ops_slice_str(ops_chat_name(c)));
    else {
        ops_err_prefix(&err, "none");
        add_text(a, "chat_template", ops_slice_str(err.msg));
    }
    ops_chat_free(c);
    ops_tokenizer_free(t);
}

static ops_status describe(const char *path, answer *a, ops_err *reterr)
{
    OPS_AUTO(ops_lm_file_free) ops_lm_file *f = NULL;
    const ops_status st = ops_lm_file_open(path, &f, reterr);
    if (st != OPS_OK) {
        ops_err_prefix(reterr, "%s", path);
        return st;
    }
    const ops_gguf *g = ops_lm_file_gguf(f);
    OPS_AUTO(ops_bert_file_free) ops_bert_file *encoder = NULL;
    ops_bert_config bare;
    ops_err why = {.msg = ""};
    if (ops_bert_file_is(path) && ops_bert_file_open(path, &encoder, &why) != OPS_OK)
        ops_err_prefix(&why, "none");
    add_text(a, g != NULL ? "file" : "folder", ops_slice_str(path));
    add_number(a, "bytes", ops_lm_file_bytes(f));
    if (g != NULL)
        add_number(a, "gguf_version", ops_gguf_version(g));
    else
        add_number(a, "safetensors", ops_shards_files(ops_lm_file_shards(f)));
    ops_slice name;
    if (encoder != NULL && g != NULL && ops_gguf_text(g, "general.name", &name))
        add_text(a, "name", name);
    if (encoder != NULL)
        add_encoder(a, ops_bert_file_config(encoder));
    else if (ops_bert_config_parse(ops_lm_file_json(f), &bare, NULL) == OPS_OK)
        add_encoder(a, &bare); /* it can not be loaded, but says what it is */
    else if (why.msg[0] != '\0')
        add_text(a, "architecture", ops_slice_str(why.msg));
    else if (g != NULL)
        add_keys(a, g);
    else
        add_config(a, f);
    add_tensors(a, f);
    if (encoder != NULL)
        add_wordpiece(a, encoder);
    else if (why.msg[0] != '\0')
        add_text(a, "tokenizer", ops_slice_str(why.msg));
    else
        add_tokenizer(a, f);
    return OPS_OK;
}

ops_status ops_cmd_model_describe(ops_verb_ctx *ctx, ops_err *reterr)
{
    const char *path = NULL, *output = "table";
    for (int i = 0; i < ctx->argc; i++) {
        if (strcmp(ctx->argv[i], "-o") == 0 && i + 1 < ctx->argc)
            output = ctx->argv[++i];
        else if (ctx->argv[i][0] == '-' || path != NULL)
            return ops_fail(reterr, OPS_EINVAL, "takes one FILE, FOLDER or NAME and -o table|json, got '%s'",
                            ctx->argv[i]);
        else
            path = ctx->argv[i];
    }
    if (path == NULL || (strcmp(output, "table") != 0 && strcmp(output, "json") != 0))
        return ops_fail(reterr, OPS_EINVAL, "takes one FILE, FOLDER or NAME and -o table|json");
    answer a = {.json = strcmp(output, "json") == 0};
    ops_strbuf_init(&a.b, TEXT_BYTES_MAX);
    char file[OPS_STORE_PATH_MAX];
    ops_status st = ops_model_file_find(path, file, reterr);
    if (st == OPS_OK)
        st = describe(file, &a, reterr);
    if (st == OPS_OK && a.json)
        ops_strbuf_str(&a.b, "}\n");
    if (st == OPS_OK && a.b.failed)
        st = ops_fail(reterr, OPS_ENOMEM, "%s", path);
    if (st == OPS_OK && fwrite(a.b.p, 1, a.b.n, ctx->out) != a.b.n)
        st = ops_fail(reterr, OPS_EIO, "standard output: %s", strerror(errno));
    ops_strbuf_done(&a.b);
    return st;
}
