/* model bench FILE|FOLDER|NAME: how fast this machine runs a model. bench/run decode is the measure beside a rival. */
#include <errno.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "base/time/clock.h"
#include "opsctl/cmd/model_file.h"
#include "opsctl/verb.h"

enum { PROMPT = 512, ANSWER = 128, BLOCK = 32, TURNS = 3 };

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
    ops_model_open o = {.file = NULL};
    const ops_lm_limits limits = {
        .tokens = PROMPT, .outputs = 1, .seqs = 1, .positions = PROMPT, .block = BLOCK};
    ops_status st = ops_model_open_lm(file, (int)threads, limits, &o, reterr);
    if (st == OPS_OK) {
        const int longest = ops_lm_limits_of(o.lm)->positions;
        st = bench(ctx, &o, longest < PROMPT ? longest : PROMPT, reterr);
    }
    ops_model_open_done(&o);
    return st;
}
