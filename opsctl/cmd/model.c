/* model describe FILE|NAME: what a GGUF file holds, read from the file alone. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text/strbuf.h"
#include "base/text/utf8.h"
#include "opsctl/cmd/model_file.h"
#include "opsctl/verb.h"
#include "worker/model/chat.h"

enum { TEXT_BYTES_MAX = 1 << 20, TYPES_MAX = 64 };
static const size_t file_bytes_max = (size_t)1 << 40;

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

static void add_architecture(answer *a, const ops_gguf *g)
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

static void add_tensors(answer *a, const ops_gguf *g)
{
    size_t count[TYPES_MAX] = {0};
    uint64_t parameters = 0, bytes = 0;
    for (size_t i = 0; i < ops_gguf_tensors(g); i++) {
        const ops_gguf_tensor *t = ops_gguf_tensor_at(g, i);
        count[(unsigned)t->type % TYPES_MAX]++;
        parameters += t->count;
        bytes += t->bytes.n;
    }
    ops_strbuf types;
    ops_strbuf_init(&types, TEXT_BYTES_MAX);
    for (unsigned i = 0; i < TYPES_MAX; i++)
        if (count[i] > 0)
            ops_strbuf_printf(&types, "%s%zu x %s", types.n > 0 ? ", " : "", count[i], ops_gguf_type_name(i));
    add_number(a, "parameters", parameters);
    add_number(a, "tensors", ops_gguf_tensors(g));
    add_number(a, "tensor_bytes", bytes);
    add(a, "tensor_types", ops_strbuf_get(&types), false);
    ops_strbuf_done(&types);
}

static void add_token(answer *a, const char *name, const ops_tokenizer *t, int32_t id)
{
    if (id >= 0)
        add_text(a, name, ops_tokenizer_piece(t, id));
}

static void add_tokenizer(answer *a, const ops_gguf *g)
{
    ops_tokenizer *t = NULL;
    ops_chat *c = NULL;
    ops_err err;
    if (ops_tokenizer_from_gguf(g, &t, &err) != OPS_OK) {
        ops_err_prefix(&err, "none");
        add_text(a, "tokenizer", ops_slice_str(err.msg));
        return;
    }
    add_text(a, "tokenizer", ops_slice_str(ops_tokenizer_name(t)));
    add_number(a, "vocabulary", ops_tokenizer_count(t));
    add_token(a, "bos", t, ops_tokenizer_bos(t));
    add_token(a, "eos", t, ops_tokenizer_eos(t));
    add_text(a, "bos_added", ops_tokenizer_add_bos(t) ? OPS_SLICE("yes") : OPS_SLICE("no"));
    if (ops_chat_from_gguf(g, t, &c, &err) == OPS_OK)
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
    OPS_AUTO(ops_mapped_free) ops_mapped *m = NULL;
    OPS_AUTO(ops_gguf_free) ops_gguf *g = NULL;
    ops_status st = ops_mapped_open(path, file_bytes_max, &m, reterr);
    if (st != OPS_OK)
        return st;
    st = ops_gguf_parse(ops_mapped_bytes(m), &g, reterr);
    if (st != OPS_OK) {
        ops_err_prefix(reterr, "%s", path);
        return st;
    }
    add_text(a, "file", ops_slice_str(path));
    add_number(a, "bytes", ops_mapped_bytes(m).n);
    add_number(a, "gguf_version", ops_gguf_version(g));
    add_architecture(a, g);
    add_tensors(a, g);
    add_tokenizer(a, g);
    return OPS_OK;
}

ops_status ops_cmd_model_describe(ops_verb_ctx *ctx, ops_err *reterr)
{
    const char *path = NULL, *output = "table";
    for (int i = 0; i < ctx->argc; i++) {
        if (strcmp(ctx->argv[i], "-o") == 0 && i + 1 < ctx->argc)
            output = ctx->argv[++i];
        else if (ctx->argv[i][0] == '-' || path != NULL)
            return ops_fail(reterr, OPS_EINVAL, "takes one FILE and -o table|json, got '%s'", ctx->argv[i]);
        else
            path = ctx->argv[i];
    }
    if (path == NULL || (strcmp(output, "table") != 0 && strcmp(output, "json") != 0))
        return ops_fail(reterr, OPS_EINVAL, "takes one FILE and -o table|json");
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
