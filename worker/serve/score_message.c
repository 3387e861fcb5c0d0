#include "worker/serve/score_message.h"

#include <string.h>

#include "base/mem/alloc.h"

#define UNCONST(p) ((void *)(uintptr_t)(p)) /* messages are only packed from */

/* Everything that a message points at, in one block. */
typedef struct parts {
    char **labels;
    Ops__V1__TextScore **scores;
    Ops__V1__LabelSpan **spans;
    Ops__V1__TextScore *score;
    Ops__V1__LabelSpan *span;
} parts;

static bool make_room(size_t labels, size_t scores, size_t spans, ops_score_message *m, parts *ret)
{
    const size_t bytes = labels * sizeof(char *) + scores * (sizeof(void *) + sizeof *ret->score) +
                         spans * (sizeof(void *) + sizeof *ret->span);
    char *at = m->block = ops_calloc(1, bytes + 1);
    if (at == NULL)
        return false;
    void *p = at; /* the structs first: they are aligned as pointers are */
    ret->score = p;
    p = at += scores * sizeof *ret->score;
    ret->span = p;
    p = at += spans * sizeof *ret->span;
    ret->labels = p;
    p = at += labels * sizeof(char *);
    ret->scores = p;
    p = at + scores * sizeof(void *);
    ret->spans = p;
    return true;
}

bool ops_score_message_make(const ops_runner_result *r, ops_score_message *m)
{
    parts p;
    const size_t scores = r->vectors != NULL ? r->rows : 0;
    if (!make_room(r->label_count, scores, r->span_count, m, &p))
        return false;
    const char *label = r->labels;
    for (size_t i = 0; i < r->label_count; i++, label += strlen(label) + 1)
        p.labels[i] = UNCONST(label);
    for (size_t i = 0; i < scores; i++) {
        ops__v1__text_score__init(&p.score[i]);
        p.score[i].n_probabilities = r->dim;
        p.score[i].probabilities = UNCONST(r->vectors + i * r->dim);
        p.scores[i] = &p.score[i];
    }
    for (size_t i = 0; i < r->span_count; i++) {
        ops__v1__label_span__init(&p.span[i]);
        p.span[i].text = r->spans[i].text;
        p.span[i].begin = r->spans[i].begin;
        p.span[i].end = r->spans[i].end;
        p.span[i].label = UNCONST(r->spans[i].label);
        p.span[i].probability = r->spans[i].probability;
        p.spans[i] = &p.span[i];
    }
    ops__v1__score_end__init(&m->end);
    m->end.n_labels = r->label_count;
    m->end.labels = p.labels;
    m->end.n_scores = scores;
    m->end.scores = p.scores;
    m->end.n_spans = r->span_count;
    m->end.spans = p.spans;
    m->end.tokens = r->tokens < UINT32_MAX ? (uint32_t)r->tokens : UINT32_MAX;
    ops__v1__result__init(&m->result);
    m->result.outcome = OPS__V1__TASK_OUTCOME__TASK_OUTCOME_DONE;
    m->result.tokens_used = m->end.tokens;
    m->result.scored = &m->end;
    ops__v1__worker_message__init(&m->message);
    m->message.kind_case = OPS__V1__WORKER_MESSAGE__KIND_RESULT;
    m->message.result = &m->result;
    return true;
}

void ops_score_message_done(ops_score_message *m)
{
    ops_free(m->block);
    m->block = NULL;
}
