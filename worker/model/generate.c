#include "worker/model/generate.h"

#include <string.h>

#include "base/mem/alloc.h"

enum { TEXT_MAX = 1 << 20 }; /* what is held back is far less */

typedef struct writer {
    ops_lm *m;
    const ops_tokenizer *t;
    const ops_generate_params *p;
    ops_generate_fn *fn;
    void *ctx;
    ops_sampler *sampler;
    ops_detok detok;
    ops_strbuf text; /* not shown yet */
    float *logits;
    int32_t *table, *rows; /* one row of the table; [tokens][2] */
    ops_sample_choice *top;
    int at, last; /* position of the next token; the first that may not be */
    ops_err *reterr;
} writer;

/* Computes n tokens from w->at on; logits of the last. */
static ops_status compute(writer *w, const int32_t *ids, int n, bool wanted)
{
    for (int i = 0; i < n; i++) {
        w->rows[2 * i] = 0;
        w->rows[2 * i + 1] = w->at + i;
    }
    const int32_t out = n - 1;
    const ops_lm_batch b = {.tokens = n,
                            .seqs = 1,
                            .outputs = wanted,
                            .ids = ids,
                            .rows = w->rows,
                            .table = w->table,
                            .out = &out};
    w->at += n;
    return ops_lm_step(w->m, &b, w->logits, w->reterr);
}

static ops_status read_prompt(writer *w, const int32_t *prompt, int n)
{
    const int chunk = ops_lm_limits_of(w->m)->tokens;
    for (int from = 0; from < n; from += chunk) {
        const int count = n - from < chunk ? n - from : chunk;
        const ops_status st = compute(w, prompt + from, count, from + count == n);
        if (st != OPS_OK)
            return st;
        for (int i = from; i < from + count; i++)
            ops_sampler_saw(w->sampler, prompt[i]);
    }
    return OPS_OK;
}

/* Shows what can be shown. *ret_go_on: neither a stop text nor called off. */
static ops_status show(writer *w, ops_sample_choice choice, bool last, ops_generate_end *ret_end,
                       bool *ret_go_on)
{
    bool stopped = false;
    if (w->text.failed)
        return ops_fail(w->reterr, OPS_ENOMEM, "text of the answer");
    size_t until = ops_stops_shown(ops_strbuf_get(&w->text), w->p->stop, w->p->n_stop, &stopped);
    if (last && !stopped)
        until = w->text.n;
    const ops_generate_token token = {choice, choice.id >= 0 ? w->top : NULL, {w->text.p, until}};
    *ret_go_on = choice.id < 0 && until == 0 ? true : w->fn(w->ctx, &token);
    *ret_end = stopped ? OPS_GENERATE_STOPPED : *ret_go_on ? *ret_end : OPS_GENERATE_CALLED_OFF;
    *ret_go_on = *ret_go_on && !stopped;
    if (until > 0) {
        memmove(w->text.p, w->text.p + until, w->text.n - until + 1);
        w->text.n -= until;
    }
    return OPS_OK;
}

static ops_status write_answer(writer *w, ops_generate_result *r)
{
    bool go_on = true;
    ops_sample_choice c = {-1, 0};
    r->end = OPS_GENERATE_LENGTH;
    while (go_on && w->at < w->last) {
        ops_status st = ops_sampler_choose(w->sampler, w->logits, &c, w->top, w->p->n_top, w->reterr);
        if (st != OPS_OK)
            return st;
        r->tokens++;
        if (ops_tokenizer_ends(w->t, c.id)) {
            r->end = OPS_GENERATE_EOG;
            break;
        }
        ops_sampler_saw(w->sampler, c.id);
        ops_detok_put(&w->detok, c.id, &w->text);
        st = show(w, c, false, &r->end, &go_on);
        if (st == OPS_OK && go_on) {
            if (w->at + 1 < w->last)
                st = compute(w, &c.id, 1, true);
            else
                w->at++; /* nothing comes after it */
        }
        if (st != OPS_OK)
            return st;
    }
    if (!go_on)
        return OPS_OK;
    ops_detok_end(&w->detok, &w->text);
    return show(w, (ops_sample_choice){-1, 0}, true, &r->end, &go_on);
}

/* Do prompt and answer fit? Sets w->last. */
static ops_status fit(writer *w, size_t n, ops_err *reterr)
{
    const ops_lm_limits *l = ops_lm_limits_of(w->m);
    const int64_t room =
        (int64_t)l->block * l->blocks < l->positions ? (int64_t)l->block * l->blocks : l->positions;
    const int64_t wanted = w->p->tokens_max > 0 ? w->p->tokens_max : 1;
    if (n == 0 || w->p->tokens_max < 0)
        return ops_fail(reterr, OPS_EINVAL, "a prompt of %zu tokens, an answer of %d", n, w->p->tokens_max);
    if (n > (size_t)room || (int64_t)n + wanted > room)
        return ops_fail(reterr, OPS_ETOOBIG,
                        "the prompt has %zu tokens and the answer up to %lld: a sequence has at most %lld", n,
                        (long long)wanted, (long long)room);
    w->last = w->p->tokens_max > 0 ? (int)n + w->p->tokens_max : (int)room;
    const ops_status st = ops_stops_check(w->p->stop, w->p->n_stop, reterr);
    if (st != OPS_OK)
        return st;
    return w->p->n_top >= 0 && w->p->n_top <= OPS_SAMPLE_TOP_MAX
               ? OPS_OK
               : ops_fail(reterr, OPS_EINVAL, "the %d likeliest tokens, at most %d", w->p->n_top,
                          OPS_SAMPLE_TOP_MAX);
}

static ops_status open_writer(writer *w)
{
    const int vocab = ops_lm_config_of(w->m)->vocab, table = ops_lm_table(w->m);
    const int blocks = ops_lm_limits_of(w->m)->blocks;
    const ops_status st = ops_sampler_new(&w->p->sample, vocab, &w->sampler, w->reterr);
    if (st != OPS_OK)
        return st;
    w->logits = ops_calloc((size_t)vocab, sizeof *w->logits);
    w->table = ops_calloc((size_t)table, sizeof *w->table);
    w->rows = ops_calloc((size_t)ops_lm_limits_of(w->m)->tokens * 2, sizeof *w->rows);
    w->top = ops_calloc((size_t)w->p->n_top + 1, sizeof *w->top);
    if (w->logits == NULL || w->table == NULL || w->rows == NULL || w->top == NULL)
        return ops_fail(w->reterr, OPS_ENOMEM, "a generation");
    for (int i = 0; i < table; i++)
        w->table[i] = i < blocks ? i : -1;
    ops_detok_init(&w->detok, w->t);
    return OPS_OK;
}

ops_status ops_generate(ops_lm *m, const ops_tokenizer *t, const int32_t *prompt, size_t n,
                        const ops_generate_params *params, ops_generate_fn *fn, void *ctx,
                        ops_generate_result *ret, ops_err *reterr)
{
    writer w = {.m = m, .t = t, .p = params, .fn = fn, .ctx = ctx, .reterr = reterr};
    ops_generate_result r = {.tokens = 0};
    ops_status st = fit(&w, n, reterr);
    if (st != OPS_OK)
        return st;
    ops_strbuf_init(&w.text, TEXT_MAX);
    st = open_writer(&w);
    if (st == OPS_OK)
        st = read_prompt(&w, prompt, (int)n);
    if (st == OPS_OK)
        st = write_answer(&w, &r);
    ops_sampler_free(w.sampler);
    ops_free(w.logits);
    ops_free(w.table);
    ops_free(w.rows);
    ops_free(w.top);
    ops_strbuf_done(&w.text);
    if (st == OPS_OK)
        *ret = r;
    return st;
}
