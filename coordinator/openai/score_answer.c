#include "coordinator/openai/score_answer.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

static void begin(ops_slice model, ops_strbuf *out)
{
    ops_strbuf_str(out, "{\"object\":\"list\",\"model\":");
    ops_strbuf_json(out, model);
}

static void end_usage(uint32_t tokens, ops_strbuf *out)
{
    ops_strbuf_printf(out, "],\"usage\":{\"prompt_tokens\":%" PRIu32 ",\"total_tokens\":%" PRIu32 "}}",
                      tokens, tokens);
}

typedef struct ranked {
    size_t index;
    float score;
} ranked;

static int best_first(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->score > y->score || x->score < y->score)
        return x->score > y->score ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

bool ops_score_answer_rerank(const ops_score_ask *a, const Ops__V1__ScoreEnd *end, ops_slice model,
                             ops_strbuf *out)
{
    ranked r[OPS_SCORE_ASK_TEXTS_MAX];
    if (end->n_scores != a->n || a->n > OPS_SCORE_ASK_TEXTS_MAX)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (end->scores[i]->n_probabilities != 1 || !isfinite(end->scores[i]->probabilities[0]))
            return false;
        r[i] = (ranked){i, end->scores[i]->probabilities[0]};
    }
    qsort(r, a->n, sizeof *r, best_first);
    begin(model, out);
    ops_strbuf_str(out, ",\"results\":[");
    for (size_t i = 0; i < a->top_n; i++) {
        ops_strbuf_printf(out, "%s{\"index\":%zu,\"relevance_score\":%.9g", i > 0 ? "," : "", r[i].index,
                          (double)r[i].score);
        if (a->with_documents) {
            ops_strbuf_str(out, ",\"document\":{\"text\":");
            ops_strbuf_json(out, a->texts[r[i].index]);
            ops_strbuf_char(out, '}');
        }
        ops_strbuf_char(out, '}');
    }
    end_usage(end->tokens, out);
    return true;
}

static bool is_boundary(ops_slice text, size_t at)
{
    return at == text.n || (at < text.n && ((unsigned char)text.p[at] & 0xc0) != 0x80);
}

static bool span_fits(const ops_score_ask *a, const Ops__V1__ScoreEnd *end, size_t i)
{
    const Ops__V1__LabelSpan *s = end->spans[i];
    return s->text < a->n && s->begin < s->end && isfinite(s->probability) &&
           is_boundary(a->texts[s->text], s->begin) && is_boundary(a->texts[s->text], s->end) &&
           (i == 0 || s->text > end->spans[i - 1]->text ||
            (s->text == end->spans[i - 1]->text && s->begin >= end->spans[i - 1]->end));
}

static bool score_fits(const Ops__V1__TextScore *s, size_t labels)
{
    for (size_t k = 0; k < s->n_probabilities; k++)
        if (!isfinite(s->probabilities[k])) /* JSON has no others */
            return false;
    return s->n_probabilities == labels;
}

static bool fits(const ops_score_ask *a, const Ops__V1__ScoreEnd *end)
{
    if (end->n_labels < 1 || (end->n_scores != 0 && end->n_scores != a->n) ||
        (end->n_scores > 0 && end->n_spans > 0))
        return false;
    for (size_t i = 0; i < end->n_scores; i++)
        if (!score_fits(end->scores[i], end->n_labels))
            return false;
    for (size_t i = 0; i < end->n_spans; i++)
        if (!span_fits(a, end, i))
            return false;
    return true;
}

static void put_score(const Ops__V1__ScoreEnd *end, size_t i, ops_strbuf *out)
{
    const Ops__V1__TextScore *s = end->scores[i];
    size_t best = 0;
    for (size_t k = 1; k < s->n_probabilities; k++)
        best = s->probabilities[k] > s->probabilities[best] ? k : best;
    ops_strbuf_printf(out, "{\"index\":%zu,\"label\":", i);
    ops_strbuf_json(out, ops_slice_str(end->labels[best]));
    ops_strbuf_str(out, ",\"probs\":[");
    for (size_t k = 0; k < s->n_probabilities; k++)
        ops_strbuf_printf(out, "%s%.9g", k > 0 ? "," : "", (double)s->probabilities[k]);
    ops_strbuf_printf(out, "],\"num_classes\":%zu}", end->n_labels);
}

/* Code points of [from, to). */
static size_t chars(ops_slice text, size_t from, size_t to)
{
    size_t n = 0;
    for (size_t i = from; i < to; i++)
        n += ((unsigned char)text.p[i] & 0xc0) != 0x80;
    return n;
}

/* The spans of text i, from *at on. */
static void put_spans(ops_slice text, const Ops__V1__ScoreEnd *end, size_t i, size_t *at, ops_strbuf *out)
{
    size_t bytes = 0, count = 0; /* that were counted already */
    ops_strbuf_printf(out, "{\"index\":%zu,\"spans\":[", i);
    for (const char *comma = ""; *at < end->n_spans && end->spans[*at]->text == i; (*at)++, comma = ",") {
        const Ops__V1__LabelSpan *s = end->spans[*at];
        const size_t start = count + chars(text, bytes, s->begin);
        count = start + chars(text, s->begin, s->end);
        bytes = s->end;
        ops_strbuf_printf(out, "%s{\"label\":", comma);
        ops_strbuf_json(out, ops_slice_str(s->label));
        ops_strbuf_printf(out, ",\"start\":%zu,\"end\":%zu,\"text\":", start, count);
        ops_strbuf_json(out, ops_slice_sub(text, s->begin, s->end - s->begin));
        ops_strbuf_printf(out, ",\"score\":%.9g}", (double)s->probability);
    }
    ops_strbuf_printf(out, "],\"num_classes\":%zu}", end->n_labels);
}

bool ops_score_answer_classify(const ops_score_ask *a, const Ops__V1__ScoreEnd *end, ops_slice model,
                               ops_strbuf *out)
{
    size_t at = 0;
    if (!fits(a, end))
        return false;
    begin(model, out);
    ops_strbuf_str(out, ",\"labels\":[");
    for (size_t i = 0; i < end->n_labels; i++) {
        ops_strbuf_str(out, i > 0 ? "," : "");
        ops_strbuf_json(out, ops_slice_str(end->labels[i]));
    }
    ops_strbuf_str(out, "],\"data\":[");
    for (size_t i = 0; i < a->n; i++) {
        ops_strbuf_str(out, i > 0 ? "," : "");
        if (end->n_scores > 0)
            put_score(end, i, out);
        else
            put_spans(a->texts[i], end, i, &at, out);
    }
    end_usage(end->tokens, out);
    return true;
}
