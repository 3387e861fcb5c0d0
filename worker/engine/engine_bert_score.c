/* Verdicts of a head: on a text, on a query and a text, on the words of a text. A word has the label of its first id, which is
 * what such models are trained on; words side by side of one label are one span, where "B-" before a label begins another. */
#include <math.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "worker/engine/engine_bert_internal.h"

ops_status engine_bert_prepare_score(bert_engine *e, const ops_bert_file *f, ops_err *reterr)
{
    ops_engine_info *info = &e->base.info;
    const bool words = e->c.head == OPS_BERT_TOKEN_HEAD;
    const size_t ids = (size_t)info->batch_tokens_max + info->tokens_max, labels = (size_t)e->c.labels;
    const char *names = ops_bert_file_labels(f);
    size_t bytes = 0;
    info->does = words ? OPS_ENGINE_TAGS : e->c.labels > 1 ? OPS_ENGINE_CLASSIFIES : OPS_ENGINE_RERANKS;
    if (info->does == OPS_ENGINE_RERANKS && (!ops_wordpiece_pairs(e->words) || e->c.types < 2))
        return ops_fail(reterr, OPS_EUNIMPL,
                        "a head with one label over a tokenizer that knows no pairs is not built");
    for (size_t i = 0; i < labels; i++)
        bytes += strlen(names + bytes) + 1;
    e->labels = ops_memdup(names, bytes);
    e->types = ops_calloc(ids, sizeof *e->types);
    e->logits = ops_calloc((words ? (size_t)info->batch_tokens_max : (size_t)e->seqs_max) * labels,
                           sizeof *e->logits);
    e->at_words = words ? ops_calloc(ids, sizeof *e->at_words) : NULL;
    e->word_counts = ops_calloc((size_t)e->seqs_max, sizeof *e->word_counts);
    if (e->labels == NULL || e->types == NULL || e->logits == NULL || e->word_counts == NULL ||
        (words && e->at_words == NULL))
        return ops_fail(reterr, OPS_ENOMEM, "a head of %zu labels", labels);
    info->dim = 0;
    info->labels = e->labels;
    info->label_count = (uint32_t)labels;
    return OPS_OK;
}

/* Logits to what they are the logarithms of; in place. */
static void to_probabilities(const ops_bert_config *c, float *v)
{
    double sum = 0, most = (double)v[0];
    for (int i = 1; i < c->labels; i++)
        most = fmax(most, (double)v[i]);
    if (c->labels == 1 || (c->multi && c->head == OPS_BERT_SEQUENCE_HEAD)) {
        for (int i = 0; i < c->labels; i++)
            v[i] = (float)(1 / (1 + exp(-(double)v[i])));
        return;
    }
    for (int i = 0; i < c->labels; i++)
        sum += exp((double)v[i] - most);
    for (int i = 0; i < c->labels; i++)
        v[i] = (float)(exp((double)v[i] - most) / sum);
}

static const char *label_at(const bert_engine *e, int i)
{
    const char *name = e->labels;
    while (i-- > 0)
        name += strlen(name) + 1;
    return name;
}

static ops_status add_span(ops_engine_spans *s, ops_engine_span span, ops_err *reterr)
{
    if (s->n == s->cap) {
        const size_t cap = s->cap > 0 ? 2 * s->cap : 64;
        void *more = ops_realloc(s->v, cap * sizeof *s->v);
        if (more == NULL)
            return ops_fail(reterr, OPS_ENOMEM, "%zu spans", s->n);
        s->v = more;
        s->cap = cap;
    }
    s->v[s->n++] = span;
    return OPS_OK;
}

/* The words of one text; `row`: the logits of its first id. */
static ops_status tag(const bert_engine *e, uint32_t text, const ops_wordpiece_word *words, size_t n,
                      float *row, ops_engine_spans *spans, ops_err *reterr)
{
    const int labels = e->c.labels;
    ops_engine_span span = {.label = ""};
    size_t held = 0; /* words of the span */
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i <= n; i++) {
        const char *tag = "O";
        bool begins = true;
        float p = 0;
        if (i < n) {
            float *v = row + (size_t)words[i].token * (size_t)labels;
            int best = 0;
            to_probabilities(&e->c, v);
            for (int k = 1; k < labels; k++)
                best = v[k] > v[best] ? k : best;
            p = v[best];
            tag = label_at(e, best);
            begins = strncmp(tag, "B-", 2) == 0;
            if (begins || strncmp(tag, "I-", 2) == 0)
                tag += 2;
        }
        if (held > 0 && !begins && strcmp(tag, span.label) == 0) {
            span.end = words[i].end;
            span.probability += p;
            held++;
            continue;
        }
        if (held > 0) {
            span.probability /= (float)held;
            st = add_span(spans, span, reterr);
        }
        held = i < n && strcmp(tag, "O") != 0;
        if (held > 0)
            span = (ops_engine_span){text, words[i].begin, words[i].end, tag, p};
    }
    return st;
}

/* As many texts from `at` as fill a batch; how many ids they have. */
static size_t fill(bert_engine *e, const ops_engine_question *q, size_t at, int *ret_seqs)
{
    const size_t budget = e->base.info.batch_tokens_max, each = e->base.info.tokens_max;
    size_t filled = 0;
    int seqs = 0;
    e->starts[0] = 0;
    while (at + (size_t)seqs < q->n && seqs < e->seqs_max) {
        const ops_slice text = q->texts[at + (size_t)seqs];
        int32_t *ids = e->ids + filled, *types = e->types + filled;
        size_t got;
        if (q->query != NULL) {
            got = ops_wordpiece_encode_pair(e->words, *q->query, text, each, ids, types);
        } else {
            got = ops_wordpiece_encode_words(e->words, text, each, ids,
                                             e->at_words != NULL ? e->at_words + filled : NULL,
                                             &e->word_counts[seqs]);
            memset(types, 0, got * sizeof *types);
        }
        if (seqs > 0 && filled + got > budget)
            break; /* it is read again: the next batch begins with it */
        filled += got;
        e->starts[++seqs] = (int32_t)filled;
    }
    *ret_seqs = seqs;
    return filled;
}

ops_status engine_bert_score(ops_engine *base, const ops_engine_question *q, float *ret,
                             ops_engine_spans *spans, uint64_t *ret_tokens, const ops_engine_stop *stop,
                             ops_err *reterr)
{
    bert_engine *e = (bert_engine *)base;
    const size_t labels = (size_t)e->c.labels;
    for (size_t done = 0; done < q->n;) {
        if (stop != NULL && stop->asked(stop->ctx))
            return ops_fail(reterr, OPS_ECANCELLED, "stopped after %zu of %zu texts", done, q->n);
        int seqs = 0;
        const size_t filled = fill(e, q, done, &seqs);
        ops_status st = ops_bert_classify(e->bert, e->ids, e->types, e->starts, seqs, e->logits, reterr);
        for (size_t i = 0; st == OPS_OK && i < (size_t)seqs; i++) {
            const size_t start = (size_t)e->starts[i];
            if (base->info.does == OPS_ENGINE_TAGS) {
                st = tag(e, q->first + (uint32_t)(done + i), e->at_words + start, e->word_counts[i],
                         e->logits + start * labels, spans, reterr);
                continue;
            }
            to_probabilities(&e->c, e->logits + i * labels);
            memcpy(ret + (done + i) * labels, e->logits + i * labels, labels * sizeof *ret);
        }
        if (st != OPS_OK)
            return st;
        *ret_tokens += filled;
        done += (size_t)seqs;
    }
    return OPS_OK;
}
