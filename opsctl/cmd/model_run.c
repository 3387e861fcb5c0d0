/* model run FILE|FOLDER|NAME: an answer from a model on this machine, as it is written. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "opsctl/cmd/model_file.h"
#include "opsctl/verb.h"
#include "worker/model/chat.h"
#include "worker/model/generate.h"

enum {
    PROMPT_TOKENS_MAX = 1 << 20,
    STEP_TOKENS = 512,
    BLOCK = 32,
    CONTEXT_MAX = 32768,
    TOKENS_DEFAULT = 256
};

typedef struct request {
    const char *file, *prompt, *chat, *system;
    int threads, context;
    ops_generate_params g;
    ops_slice stop[OPS_STOPS_MAX];
} request;

static ops_status whole(const char *name, const char *text, double min, double max, double *ret,
                        ops_err *reterr)
{
    double v = 0;
    if (!ops_slice_to_f64(ops_slice_str(text), &v) || !(v >= min && v <= max))
        return ops_fail(reterr, OPS_EINVAL, "%s takes a number from %g to %g, got '%s'", name, min, max,
                        text);
    *ret = v;
    return OPS_OK;
}

static ops_status take_number(request *r, const char *name, const char *text, bool *ret_known,
                              ops_err *reterr)
{
    const struct {
        const char *name;
        double min, max;
        int *to;
        float *to_f;
    } rows[] = {{"--tokens", 1, OPS_LM_CONTEXT_MAX, &r->g.tokens_max, NULL},
                {"--threads", 0, OPS_KERN_THREADS_MAX, &r->threads, NULL},
                {"--context", 1, OPS_LM_CONTEXT_MAX, &r->context, NULL},
                {"--top-k", 0, OPS_SAMPLE_TOP_MAX, &r->g.sample.top_k, NULL},
                {"--temperature", 0, 100, NULL, &r->g.sample.temperature},
                {"--top-p", 1e-6, 1, NULL, &r->g.sample.top_p},
                {"--min-p", 0, 1, NULL, &r->g.sample.min_p},
                {"--repeat-penalty", 1e-6, 100, NULL, &r->g.sample.repeat}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double v = 0;
        if (strcmp(name, rows[i].name) != 0)
            continue;
        *ret_known = true;
        const ops_status st = whole(name, text, rows[i].min, rows[i].max, &v, reterr);
        if (st == OPS_OK && rows[i].to != NULL)
            *rows[i].to = (int)v;
        else if (st == OPS_OK)
            *rows[i].to_f = (float)v;
        return st;
    }
    return OPS_OK;
}

static ops_status take_flag(request *r, const char *name, const char *value, ops_err *reterr)
{
    const struct {
        const char *name;
        const char **to;
    } texts[] = {{"--prompt", &r->prompt}, {"--chat", &r->chat}, {"--system", &r->system}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(name, texts[i].name) == 0) {
            *texts[i].to = value;
            return OPS_OK;
        }
    if (strcmp(name, "--seed") == 0)
        return ops_slice_to_u64(ops_slice_str(value), &r->g.sample.seed)
                   ? OPS_OK
                   : ops_fail(reterr, OPS_EINVAL, "--seed takes a whole number, got '%s'", value);
    if (strcmp(name, "--stop") == 0) {
        if (r->g.n_stop == OPS_STOPS_MAX)
            return ops_fail(reterr, OPS_EINVAL, "--stop at most %d times", OPS_STOPS_MAX);
        r->stop[r->g.n_stop++] = ops_slice_str(value);
        return OPS_OK;
    }
    bool known = false;
    const ops_status st = take_number(r, name, value, &known, reterr);
    return st == OPS_OK && !known ? ops_fail(reterr, OPS_EINVAL, "unknown option '%s'", name) : st;
}

static ops_status read_request(const ops_verb_ctx *ctx, request *r, ops_err *reterr)
{
    *r = (request){.g = {.sample = ops_sample_defaults(), .tokens_max = TOKENS_DEFAULT}};
    for (int i = 0; i < ctx->argc; i++) {
        if (ctx->argv[i][0] != '-' && r->file == NULL) {
            r->file = ctx->argv[i];
            continue;
        }
        if (ctx->argv[i][0] != '-' || i + 1 == ctx->argc)
            return ops_fail(reterr, OPS_EINVAL, "'%s' is one argument too many, or lacks its value",
                            ctx->argv[i]);
        const ops_status st = take_flag(r, ctx->argv[i], ctx->argv[i + 1], reterr);
        if (st != OPS_OK)
            return st;
        i++;
    }
    if (r->file == NULL || (r->prompt == NULL) == (r->chat == NULL) || (r->system != NULL && r->chat == NULL))
        return ops_fail(
            reterr, OPS_EINVAL,
            "takes a FILE, FOLDER or NAME and either --prompt TEXT or --chat TEXT [--system TEXT]");
    r->g.stop = r->stop;
    return OPS_OK;
}

static ops_status chat_ids(const request *r, const ops_lm_file *f, const ops_tokenizer *t, ops_tokens *out,
                           ops_err *reterr)
{
    OPS_AUTO(ops_chat_free) ops_chat *chat = NULL;
    const ops_chat_message m[2] = {{.role = OPS_CHAT_SYSTEM, .text = ops_slice_str(r->system)},
                                   {.role = OPS_CHAT_USER, .text = ops_slice_str(r->chat)}};
    const size_t skip = r->system == NULL;
    ops_status st = ops_lm_file_chat(f, t, &chat, reterr);
    if (st != OPS_OK)
        return st;
    ops_chat_prompt p;
    ops_chat_prompt_init(&p);
    st = ops_chat_render(chat, m + skip, 2 - skip, (ops_chat_options){.answer = true}, &p, reterr);
    if (st == OPS_OK)
        st = ops_chat_encode(&p, t, out, reterr);
    ops_chat_prompt_done(&p);
    return st;
}

static bool tell(void *ctx, const ops_generate_token *token)
{
    FILE *out = ctx;
    return token->text.n == 0 ||
           (fwrite(token->text.p, 1, token->text.n, out) == token->text.n && fflush(out) == 0);
}

static ops_status answer(const ops_verb_ctx *ctx, const request *r, const ops_model_open *o,
                         const ops_tokenizer *t, ops_err *reterr)
{
    ops_tokens ids;
    ops_generate_result result;
    ops_tokens_init(&ids, PROMPT_TOKENS_MAX);
    ops_status st = r->chat != NULL
                        ? chat_ids(r, o->file, t, &ids, reterr)
                        : ops_tokenizer_encode(t, ops_slice_str(r->prompt), OPS_TOKENIZER_BOS, &ids, reterr);
    if (st == OPS_OK)
        st = ops_generate(o->lm, t, ids.v, ids.n, &r->g, tell, ctx->out, &result, reterr);
    ops_tokens_done(&ids);
    if (st == OPS_OK && (result.end == OPS_GENERATE_CALLED_OFF || fputc('\n', ctx->out) == EOF))
        st = ops_fail(reterr, OPS_EIO, "standard output: %s", strerror(errno));
    return st;
}

ops_status ops_cmd_model_run(ops_verb_ctx *ctx, ops_err *reterr)
{
    request r;
    ops_model_open o = {.file = NULL};
    OPS_AUTO(ops_tokenizer_free) ops_tokenizer *t = NULL;
    ops_status st = read_request(ctx, &r, reterr);
    if (st != OPS_OK)
        return st;
    const ops_lm_limits limits = {.tokens = STEP_TOKENS,
                                  .outputs = 1,
                                  .seqs = 1,
                                  .positions = r.context > 0 ? r.context : CONTEXT_MAX,
                                  .block = BLOCK};
    st = ops_model_open_lm(r.file, r.threads, limits, &o, reterr);
    if (st == OPS_OK)
        st = ops_lm_file_tokenizer(o.file, &t, reterr);
    if (st == OPS_OK && ops_tokenizer_count(t) > (size_t)ops_lm_config_of(o.lm)->vocab)
        st = ops_fail(reterr, OPS_ECORRUPT, "%s: a tokenizer of %zu pieces, embeddings of %d", r.file,
                      ops_tokenizer_count(t), ops_lm_config_of(o.lm)->vocab);
    if (st == OPS_OK)
        st = answer(ctx, &r, &o, t, reterr);
    ops_model_open_done(&o);
    return st;
}
