#include "worker/serve/answer.h"

#include <string.h>

#include "base/mem/alloc.h"
#include "base/text/utf8.h"
#include "worker/serve/request.h"

void ops_answer_init(ops_answer *a, const Ops__V1__GenerateTask *t)
{
    *a = (ops_answer){
        .logprobs = t->logprobs, .together = !t->stream, .n_top = t->logprobs ? t->top_logprobs : 0};
    ops_strbuf_init(&a->text, SIZE_MAX / 4);
    ops_strbuf_init(&a->calls, SIZE_MAX / 4);
}

void ops_answer_done(ops_answer *a)
{
    ops_strbuf_done(&a->text);
    ops_strbuf_done(&a->calls);
    ops_tool_finder_free(a->finder);
    a->finder = NULL;
    ops_free(a->choices);
    a->choices = NULL;
}

static void add_token(ops_answer *a, const ops_generator_token *t)
{
    const size_t each = 1 + (size_t)a->n_top;
    if (a->choices == NULL)
        a->choices = ops_calloc(OPS_ANSWER_TOKENS_MAX * each, sizeof *a->choices);
    if (a->choices == NULL || a->tokens == OPS_ANSWER_TOKENS_MAX) {
        a->failed = true;
        return;
    }
    ops_sample_choice *to = a->choices + a->tokens++ * each;
    to[0] = t->choice;
    for (uint32_t i = 0; i < a->n_top; i++)
        to[1 + i] = t->top[i];
}

ops_status ops_answer_find_calls(ops_answer *a, const ops_tools_plan *plan, ops_err *reterr)
{
    return plan->n_tools > 0
               ? ops_tool_finder_new(a->writer->ops->chat(a->writer), a->writer->ops->tokenizer(a->writer),
                                     plan, &a->finder, reterr)
               : OPS_OK;
}

static void take_found(ops_answer *a, const ops_tool_found *found)
{
    ops_utf8_clean(&a->text, found->text);
    for (size_t i = 0; i < found->n_calls; i++) {
        ops_strbuf_printf(&a->calls, "call_%016llx%c", (unsigned long long)ops_request_draw(), '\0');
        ops_utf8_clean(&a->calls, found->calls[i].name);
        ops_strbuf_char(&a->calls, '\0');
        ops_utf8_clean(&a->calls, found->calls[i].arguments);
        ops_strbuf_char(&a->calls, '\0');
        a->n_calls++;
    }
    a->failed |= a->text.failed || a->calls.failed;
}

static void take_text(ops_answer *a, const ops_generator_piece *piece)
{
    ops_tool_found found = {.text = piece->text};
    if (a->finder != NULL &&
        ops_tool_finder_put(a->finder, piece->token != NULL ? piece->token->choice.id : -1, piece->text,
                            &found, NULL) != OPS_OK)
        a->failed = true;
    if (!a->failed)
        take_found(a, &found);
}

bool ops_answer_end(ops_answer *a)
{
    ops_tool_found found = {.text = {0}};
    if (a->finder == NULL || a->failed)
        return false;
    if (ops_tool_finder_end(a->finder, &found, NULL) != OPS_OK)
        a->failed = true;
    else
        take_found(a, &found);
    return ops_tool_finder_calls(a->finder) > 0;
}

bool ops_answer_add(ops_answer *a, const ops_generator_piece *piece, bool behind)
{
    take_text(a, piece);
    if (a->logprobs && piece->token != NULL)
        add_token(a, piece->token);
    return !(a->together || behind) || a->n_calls > 0 || a->text.n >= OPS_ANSWER_TEXT_MAX ||
           a->tokens == OPS_ANSWER_TOKENS_MAX;
}

/* The messages of the tokens that are gathered, in one block. */
typedef struct told {
    Ops__V1__GeneratedToken *token, **tokens;
    Ops__V1__TokenChoice *choice, **choices;
} told;

static void *make_room(size_t tokens, size_t choices, told *ret)
{
    char *block = ops_malloc(tokens * (sizeof *ret->token + sizeof *ret->tokens) +
                             choices * (sizeof *ret->choice + sizeof *ret->choices));
    if (block == NULL)
        return NULL;
    ret->token = (Ops__V1__GeneratedToken *)(void *)block;
    ret->choice = (Ops__V1__TokenChoice *)(ret->token + tokens);
    ret->tokens = (Ops__V1__GeneratedToken **)(ret->choice + choices);
    ret->choices = (Ops__V1__TokenChoice **)(ret->tokens + tokens);
    return block;
}

static void put_choice(const ops_answer *a, const ops_sample_choice *from, Ops__V1__TokenChoice *to)
{
    const ops_slice text = a->writer->ops->token_text(a->writer, from->id);
    ops__v1__token_choice__init(to);
    to->id = from->id;
    to->logprob = from->logprob;
    to->text.len = text.n;
    to->text.data = (uint8_t *)(uintptr_t)text.p; /* only packed from */
}

static void put_token(const ops_answer *a, size_t i, told *to)
{
    const size_t each = 1 + (size_t)a->n_top;
    const ops_sample_choice *from = a->choices + i * each;
    Ops__V1__GeneratedToken *t = to->tokens[i] = &to->token[i];
    ops__v1__generated_token__init(t);
    for (size_t k = 0; k < each; k++) {
        to->choices[i * each + k] = &to->choice[i * each + k];
        if (k > 0 && from[k].id < 0)
            break; /* no more of them */
        put_choice(a, &from[k], &to->choice[i * each + k]);
        t->n_top = k;
    }
    t->chosen = to->choices[i * each];
    t->top = t->n_top > 0 ? &to->choices[i * each + 1] : NULL;
}

/* The messages of the calls that are gathered, in one block. */
static void *make_calls(const ops_answer *a, Ops__V1__ToolCall ***ret)
{
    char *block = ops_malloc(a->n_calls * (sizeof(Ops__V1__ToolCall) + sizeof(Ops__V1__ToolCall *)));
    if (block == NULL)
        return NULL;
    Ops__V1__ToolCall *call = (Ops__V1__ToolCall *)(void *)block;
    *ret = (Ops__V1__ToolCall **)(call + a->n_calls);
    char *at = a->calls.p;
    for (size_t i = 0; i < a->n_calls; i++) {
        char **fields[] = {&call[i].id, &call[i].name, &call[i].arguments};
        ops__v1__tool_call__init((*ret)[i] = &call[i]);
        for (size_t k = 0; k < sizeof fields / sizeof *fields; k++) {
            *fields[k] = at;
            at += strlen(at) + 1;
        }
    }
    return block;
}

void ops_answer_tell(ops_answer *a, void (*tell)(void *ctx, const Ops__V1__GenerateDelta *delta), void *ctx)
{
    if (a->failed || (a->text.n == 0 && a->tokens == 0 && a->n_calls == 0))
        return;
    Ops__V1__GenerateDelta delta = OPS__V1__GENERATE_DELTA__INIT;
    told to = {0};
    OPS_AUTO(ops_free)
    void *block = a->tokens > 0 ? make_room(a->tokens, a->tokens * (1 + (size_t)a->n_top), &to) : NULL;
    OPS_AUTO(ops_free) void *calls = a->n_calls > 0 ? make_calls(a, &delta.tool_calls) : NULL;
    if ((a->tokens > 0 && block == NULL) || (a->n_calls > 0 && calls == NULL)) {
        a->failed = true;
        return;
    }
    for (size_t i = 0; i < a->tokens; i++)
        put_token(a, i, &to);
    if (a->text.n > 0)
        delta.text = a->text.p;
    delta.n_tokens = a->tokens;
    delta.tokens = to.tokens;
    delta.n_tool_calls = a->n_calls;
    tell(ctx, &delta);
    ops_strbuf_clear(&a->text);
    ops_strbuf_clear(&a->calls);
    a->tokens = a->n_calls = 0;
}
