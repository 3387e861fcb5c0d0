/* From a request to a sequence that can be computed, in the thread of whoever asks. */
#include <string.h>

#include "base/mem/alloc.h"
#include "worker/engine/generator_internal.h"

enum { TEXT_MAX = 1 << 20 }; /* what is held back is far less */

static ops_status chat_ids(const ops_generator *g, const ops_generator_request *q, ops_tokens *out,
                           ops_err *reterr)
{
    if (g->parts.chat == NULL)
        return ops_fail(reterr, OPS_EUNIMPL, "%s takes prompts only: %s", g->info.model, g->parts.chat_why);
    ops_chat_prompt p;
    ops_chat_prompt_init(&p);
    const ops_chat_options options = {
        .answer = true, .tools = q->tools, .n_tools = q->n_tools, .call = q->call, .call_name = q->call_name};
    ops_status st = ops_chat_render(g->parts.chat, q->messages, q->n_messages, options, &p, reterr);
    if (st == OPS_OK)
        st = ops_chat_encode(&p, g->parts.tokenizer, out, reterr);
    ops_chat_prompt_done(&p);
    return st;
}

/* The prompt's ids, and room for the answer. */
static ops_status read_ids(const ops_generator *g, const ops_generator_request *q, ops_generation *r,
                           ops_err *reterr)
{
    const uint32_t context = g->info.context;
    ops_tokens ids;
    ops_tokens_init(&ids, context);
    ops_status st = q->n_messages > 0 ? chat_ids(g, q, &ids, reterr)
                                      : ops_tokenizer_encode(g->parts.tokenizer, q->prompt, OPS_TOKENIZER_BOS,
                                                             &ids, reterr);
    const size_t n = ids.n;
    if (st == OPS_ETOOBIG)
        st = ops_fail(reterr, OPS_ECONTEXT,
                      "the prompt has more than %u tokens: this model's maximum context length is %u tokens",
                      context, context);
    else if (st == OPS_OK && n == 0)
        st = ops_fail(reterr, OPS_EINVAL, "the prompt is empty");
    else if (st == OPS_OK && (n >= context || q->tokens_max > context - n))
        st =
            ops_fail(reterr, OPS_ECONTEXT,
                     "the prompt has %zu tokens and the answer up to %u: this model's maximum context length "
                     "is %u tokens",
                     n, q->tokens_max > 0 ? q->tokens_max : 1, context);
    if (st == OPS_OK) {
        r->prompt = (int)n;
        r->last = (int)(q->tokens_max > 0 ? n + q->tokens_max : context);
        r->ids = ops_malloc(((size_t)r->last + 1 + (size_t)g->guesses_max) * sizeof *r->ids);
        const size_t blocks = (size_t)r->last / g->info.block_tokens + 2;
        r->blocks = ops_malloc(blocks * sizeof *r->blocks);
        r->windows = g->info.window_blocks > 0 ? ops_malloc(blocks * sizeof *r->windows) : NULL;
        if (r->ids == NULL || r->blocks == NULL || (g->info.window_blocks > 0 && r->windows == NULL))
            st = ops_fail(reterr, OPS_ENOMEM, "a request of %zu tokens", n);
        else
            memcpy(r->ids, ids.v, n * sizeof *r->ids);
    }
    ops_tokens_done(&ids);
    return st;
}

static ops_status read_stops(const ops_generator_request *q, ops_generation *r, ops_err *reterr)
{
    const ops_status st = ops_stops_check(q->stop, q->n_stop, reterr);
    if (st != OPS_OK)
        return st;
    for (size_t i = 0; i < q->n_stop; i++)
        ops_strbuf_slice(&r->stop_bytes, q->stop[i]);
    if (r->stop_bytes.failed)
        return ops_fail(reterr, OPS_ENOMEM, "stop texts");
    size_t at = 0;
    for (size_t i = 0; i < q->n_stop; at += q->stop[i].n, i++)
        r->stop[i] = ops_slice_of(r->stop_bytes.p + at, q->stop[i].n);
    r->n_stop = q->n_stop;
    return OPS_OK;
}

static ops_status read_form(ops_generator *g, const ops_generator_request *q, ops_generation *r,
                            ops_err *reterr)
{
    if (q->form == OPS_GENERATOR_TEXT)
        return OPS_OK;
    ops_status st = ops_forms_get(g->forms, q, &r->form, reterr);
    if (st == OPS_OK)
        st = ops_matcher_new(ops_form_grammar(r->form), &r->matcher, reterr);
    r->mask = ops_calloc(g->mask_words, sizeof *r->mask);
    return st == OPS_OK && r->mask == NULL ? ops_fail(reterr, OPS_ENOMEM, "the form of an answer") : st;
}

static ops_status read_numbers(const ops_generator *g, const ops_generator_request *q, ops_generation *r,
                               ops_err *reterr)
{
    if (q->line >= OPS_GENERATOR_LINES || q->n_top > OPS_GENERATOR_TOP_MAX ||
        q->salt.n > OPS_GENERATOR_SALT_MAX)
        return ops_fail(reterr, OPS_EINVAL,
                        "line %u of %d, the %u likeliest of at most %d, a salt of %zu bytes of at most %d",
                        q->line, OPS_GENERATOR_LINES, q->n_top, OPS_GENERATOR_TOP_MAX, q->salt.n,
                        OPS_GENERATOR_SALT_MAX);
    r->n_top = q->n_top;
    r->seed = q->sample.seed;
    r->deadline_ns =
        q->deadline_ms > 0 ? ops_clock_mono_ns(g->clock) + (int64_t)q->deadline_ms * 1000000 : INT64_MAX;
    r->tell = q->tell;
    r->done = q->done;
    r->ctx = q->ctx;
    return OPS_OK;
}

static ops_status read_all(ops_generator *g, const ops_generator_request *q, ops_generation *r,
                           ops_err *reterr)
{
    ops_status st = read_numbers(g, q, r, reterr);
    if (st == OPS_OK)
        st = read_stops(q, r, reterr);
    if (st == OPS_OK)
        st = read_ids(g, q, r, reterr);
    if (st == OPS_OK)
        st = ops_sampler_new(&q->sample, (int)g->info.vocab, &r->sampler, reterr);
    if (st == OPS_OK)
        st = read_form(g, q, r, reterr);
    if (st == OPS_OK && r->matcher == NULL && g->guesses_max > 0)
        st = ops_lookup_new(r->last, &r->lookup, reterr);
    return st;
}

ops_status generation_read(ops_generator *g, const ops_generator_request *q, ops_generation **ret,
                           ops_err *reterr)
{
    ops_generation *r = ops_calloc(1, sizeof *r);
    if (r == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a request");
    ops_strbuf_init(&r->text, TEXT_MAX);
    ops_strbuf_init(&r->stop_bytes, OPS_STOPS_MAX * OPS_STOP_BYTES_MAX);
    ops_detok_init(&r->detok, g->parts.tokenizer);
    const ops_status st = read_all(g, q, r, reterr);
    if (st != OPS_OK) {
        ops_form *form = r->form;
        generation_free(r);
        ops_forms_let_go(g->forms, form);
        return st;
    }
    for (int i = 0; i < r->prompt; i++)
        ops_sampler_saw(r->sampler, r->ids[i]);
    r->seq = (ops_seq){.ids = r->ids,
                       .n = r->prompt,
                       .blocks = r->blocks,
                       .windows = r->windows,
                       .start = ops_kv_start(q->salt, g->salt_key),
                       .line = q->line,
                       .owner = r};
    *ret = r;
    return OPS_OK;
}

void generation_free(ops_generation *r)
{
    ops_matcher_free(r->matcher);
    ops_sampler_free(r->sampler);
    ops_lookup_free(r->lookup);
    ops_free(r->mask);
    ops_free(r->ids);
    ops_free(r->blocks);
    ops_free(r->windows);
    ops_strbuf_done(&r->text);
    ops_strbuf_done(&r->stop_bytes);
    ops_free(r);
}
