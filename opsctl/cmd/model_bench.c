/* model bench FILE|FOLDER|NAME: how fast this machine runs a model that writes or embeds. bench/run decode is the measure beside a rival. */
#include <errno.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "base/time/clock.h"
#include "opsctl/cmd/model_file.h"
#include "opsctl/verb.h"
#include "worker/model/bert_file.h"

enum { PROMPT = 512, ANSWER = 128, BLOCK = 32, TURNS = 3, TEXTS = 16, TEXT_TOKENS = 64 };

typedef struct run {
    ops_lm *m;
    int32_t ids[PROMPT], rows[PROMPT * 2], table[PROMPT / BLOCK];
    float *logits;
} run;

/* Tokens [from, from + n) of a made-up text in one step. */
static ops_status step(run *r, int from, int n, ops_err *reterr)
{
    const int vocab = ops_lm_config_of(r->m)->vocab;
    for (int i = 0; i < n; i++) {
        r->ids[i] = (int32_t)((int64_t)(from + i) * 7919 % vocab);
        r->rows[2 * i] = 0;
        r->rows[2 * i + 1] = from + i;
    }
    const int32_t out = n - 1;
    const ops_lm_batch b = {
        .tokens = n, .seqs = 1, .outputs = 1, .ids = r->ids, .rows = r->rows, .table = r->table, .out = &out};
    return ops_lm_step(r->m, &b, r->logits, reterr);
}

/* Tokens a second of the quickest of some turns. */
static ops_status measure(run *r, int tokens, int a_step, double *ret, ops_err *reterr)
{
    double best = 0;
    for (int turn = 0; turn < TURNS; turn++) {
        const int64_t begun = ops_clock_mono_ns(ops_clock_system());
        for (int at = 0; at < tokens; at += a_step) {
            const ops_status st = step(r, at, a_step, reterr);
            if (st != OPS_OK)
                return st;
        }
        const double speed = tokens * 1e9 / (double)(ops_clock_mono_ns(ops_clock_system()) - begun + 1);
        best = speed > best ? speed : best;
    }
    *ret = best;
    return OPS_OK;
}

/* Vectors a second of texts that fill a batch. */
static ops_status measure_texts(ops_bert *b, int vocab, int tokens, double *ret, ops_err *reterr)
{
    OPS_AUTO(ops_free) void *rows = ops_calloc((size_t)TEXTS * OPS_BERT_HIDDEN_MAX, sizeof(float));
    int32_t ids[TEXTS * TEXT_TOKENS], starts[TEXTS + 1] = {0};
    double best = 0;
    if (rows == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a bench");
    for (int i = 0; i < TEXTS * tokens; i++)
        ids[i] = (int32_t)((int64_t)i * 7919 % vocab);
    for (int i = 0; i < TEXTS; i++)
        starts[i + 1] = (i + 1) * tokens;
    for (int turn = 0; turn < TURNS; turn++) {
        const int64_t begun = ops_clock_mono_ns(ops_clock_system());
        const ops_status st = ops_bert_embed(b, ids, starts, TEXTS, rows, reterr);
        if (st != OPS_OK)
            return st;
        const double speed = TEXTS * 1e9 / (double)(ops_clock_mono_ns(ops_clock_system()) - begun + 1);
        best = speed > best ? speed : best;
    }
    *ret = best;
    return OPS_OK;
}

static ops_status bench_loaded(const ops_verb_ctx *ctx, const ops_bert_file *f, ops_kern_dev *dev,
                               ops_err *reterr)
{
    OPS_AUTO(ops_bert_free) ops_bert *b = NULL;
    const ops_bert_config *c = ops_bert_file_config(f);
    ops_bert_config bare = *c;
    const int tokens = c->tokens_max < TEXT_TOKENS ? c->tokens_max : TEXT_TOKENS;
    double speed = 0;
    bare.head = OPS_BERT_NO_HEAD;
    bare.labels = 0;
    ops_status st =
        ops_bert_file_load(f, &bare, ops_kern_cpu(), dev, OPS_KERN_F32, TEXTS * tokens, TEXTS, &b, reterr);
    if (st == OPS_OK)
        st = measure_texts(b, c->vocab, tokens, &speed, reterr);
    if (st == OPS_OK &&
        fprintf(ctx->out, "%-14s %.1f texts/s of %d tokens\n%-14s %d\n%-14s %s\n", "embed", speed, tokens,
                "threads", ops_kern_cpu_threads(dev), "level", ops_kern_cpu_level(dev)) < 0)
        st = ops_fail(reterr, OPS_EIO, "standard output: %s", strerror(errno));
    return st;
}

static ops_status bench_encoder(const ops_verb_ctx *ctx, const char *path, int threads, ops_err *reterr)
{
    OPS_AUTO(ops_bert_file_free) ops_bert_file *f = NULL;
    ops_kern_dev *dev = NULL;
    const ops_kern_cpu_conf conf = {.threads = threads};
    ops_status st = ops_bert_file_open(path, &f, reterr);
    if (st == OPS_OK && ops_kern_cpu_open(&conf, &dev) != OPS_KERN_OK)
        st = ops_fail(reterr, OPS_EINVAL, "OPS_KERN_LEVEL is none of this processor's, or memory is out");
    if (st == OPS_OK) {
        st = bench_loaded(ctx, f, dev, reterr);
        ops_kern_cpu()->dev_free(dev);
    }
    if (st != OPS_OK)
        ops_err_prefix(reterr, "%s", path);
    return st;
}

static ops_status bench(const ops_verb_ctx *ctx, const ops_model_open *o, int prompt, ops_err *reterr)
{
    OPS_AUTO(ops_free) void *block = ops_calloc(1, sizeof(run));
    OPS_AUTO(ops_free) void *logits = ops_calloc((size_t)ops_lm_config_of(o->lm)->vocab, sizeof(float));
    run *r = block;
    double pp = 0, tg = 0;
    if (r == NULL || logits == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a bench");
    r->m = o->lm;
    r->logits = logits;
    for (int i = 0; i < PROMPT / BLOCK; i++)
        r->table[i] = i;
    const int answer = prompt < ANSWER ? prompt : ANSWER;
    ops_status st = measure(r, prompt, prompt, &pp, reterr);
    if (st == OPS_OK)
        st = measure(r, answer, 1, &tg, reterr);
    if (st != OPS_OK)
        return st;
    char name[2][16];
    (void)snprintf(name[0], sizeof name[0], "pp%d", prompt);
    (void)snprintf(name[1], sizeof name[1], "tg%d", answer);
    if (fprintf(ctx->out, "%-14s %.1f tokens/s\n%-14s %.1f tokens/s\n%-14s %d\n%-14s %s\n", name[0], pp,
                name[1], tg, "threads", ops_kern_cpu_threads(o->dev), "level",
                ops_kern_cpu_level(o->dev)) < 0)
        return ops_fail(reterr, OPS_EIO, "standard output: %s", strerror(errno));
    return OPS_OK;
}

ops_status ops_cmd_model_bench(ops_verb_ctx *ctx, ops_err *reterr)
{
    const char *file = NULL;
    uint64_t threads = 0;
    for (int i = 0; i < ctx->argc; i++) {
        if (strcmp(ctx->argv[i], "--threads") == 0 && i + 1 < ctx->argc) {
            if (!ops_slice_to_u64(ops_slice_str(ctx->argv[++i]), &threads) || threads > OPS_KERN_THREADS_MAX)
                return ops_fail(reterr, OPS_EINVAL, "--threads takes a number up to %d, got '%s'",
                                OPS_KERN_THREADS_MAX, ctx->argv[i]);
        } else if (ctx->argv[i][0] == '-' || file != NULL) {
            return ops_fail(reterr, OPS_EINVAL, "takes one FILE, FOLDER or NAME and --threads N, got '%s'",
                            ctx->argv[i]);
        } else {
            file = ctx->argv[i];
        }
    }
    if (file == NULL)
        return ops_fail(reterr, OPS_EINVAL, "takes one FILE, FOLDER or NAME and --threads N");
    char path[OPS_STORE_PATH_MAX];
    ops_status st = ops_model_file_find(file, path, reterr);
    if (st != OPS_OK || ops_bert_file_is(path))
        return st == OPS_OK ? bench_encoder(ctx, path, (int)threads, reterr) : st;
    ops_model_open o = {.file = NULL};
    const ops_lm_limits limits = {
        .tokens = PROMPT, .outputs = 1, .seqs = 1, .positions = PROMPT, .block = BLOCK};
    st = ops_model_open_lm(file, (int)threads, limits, &o, reterr);
    if (st == OPS_OK) {
        const int longest = ops_lm_limits_of(o.lm)->positions;
        st = bench(ctx, &o, longest < PROMPT ? longest : PROMPT, reterr);
    }
    ops_model_open_done(&o);
    return st;
}
