/* Writing. https://platform.openai.com/docs/api-reference/chat/object, .../chat/streaming and .../completions/object. */
#include "coordinator/openai/written.h"

#include <inttypes.h>
#include <math.h>

#include "base/text/utf8.h"
#include "coordinator/openai/answer.h"

#define LOGPROB_LEAST (-9999.0) /* what the API writes for "next to never" */

void ops_written_init(ops_written *w, size_t bytes_max)
{
    *w = (ops_written){0};
    ops_strbuf *const all[] = {&w->text, &w->calls, &w->tokens, &w->probs, &w->top, &w->at};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ops_strbuf_init(all[i], bytes_max);
}

void ops_written_done(ops_written *w)
{
    ops_strbuf *const all[] = {&w->text, &w->calls, &w->tokens, &w->probs, &w->top, &w->at};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ops_strbuf_done(all[i]);
}

bool ops_written_failed(const ops_written *w)
{
    return w->text.failed || w->calls.failed || w->tokens.failed || w->probs.failed || w->top.failed ||
           w->at.failed;
}

static void comma(ops_strbuf *b)
{
    if (b->n > 0)
        ops_strbuf_char(b, ',');
}

/* --- tokens --- */

static void put_logprob(float p, ops_strbuf *b)
{
    ops_strbuf_printf(b, "%.9g", isfinite(p) ? (double)p : LOGPROB_LEAST);
}

static ops_slice bytes_of(const Ops__V1__TokenChoice *t)
{
    return ops_slice_of(t->text.data, t->text.len);
}

/* {"token":...,"logprob":...,"bytes":[...] without the brace that closes it. */
static void put_chat_token(const Ops__V1__TokenChoice *t, ops_strbuf *b)
{
    ops_strbuf_str(b, "{\"token\":");
    ops_strbuf_json(b, bytes_of(t));
    ops_strbuf_str(b, ",\"logprob\":");
    put_logprob(t->logprob, b);
    ops_strbuf_str(b, ",\"bytes\":[");
    for (size_t i = 0; i < t->text.len; i++)
        ops_strbuf_printf(b, i > 0 ? ",%u" : "%u", (unsigned)t->text.data[i]);
    ops_strbuf_char(b, ']');
}

static void add_chat_token(ops_written *w, const Ops__V1__GeneratedToken *t)
{
    comma(&w->tokens);
    put_chat_token(t->chosen, &w->tokens);
    ops_strbuf_str(&w->tokens, ",\"top_logprobs\":[");
    bool first = true;
    for (size_t i = 0; i < t->n_top; i++) {
        if (t->top[i]->id < 0)
            continue;
        if (!first)
            ops_strbuf_char(&w->tokens, ',');
        first = false;
        put_chat_token(t->top[i], &w->tokens);
        ops_strbuf_char(&w->tokens, '}');
    }
    ops_strbuf_str(&w->tokens, "]}");
}

/* A token's text as a name; what is no text by itself as "bytes:\x..", so that no two are the same. */
static void put_token_name(const Ops__V1__TokenChoice *t, ops_strbuf *b)
{
    if (ops_utf8_valid(bytes_of(t))) {
        ops_strbuf_json(b, bytes_of(t));
        return;
    }
    ops_strbuf_str(b, "\"bytes:");
    for (size_t i = 0; i < t->text.len; i++)
        ops_strbuf_printf(b, "\\\\x%02x", (unsigned)t->text.data[i]);
    ops_strbuf_char(b, '"');
}

static void add_text_token(ops_written *w, const Ops__V1__GeneratedToken *t)
{
    bool chosen_there = false;
    comma(&w->tokens);
    put_token_name(t->chosen, &w->tokens);
    comma(&w->probs);
    put_logprob(t->chosen->logprob, &w->probs);
    comma(&w->at);
    ops_strbuf_printf(&w->at, "%zu", w->points);
    for (size_t i = 0; i < t->chosen->text.len; i++)
        w->points += (t->chosen->text.data[i] & 0xc0) != 0x80;
    comma(&w->top);
    ops_strbuf_char(&w->top, '{');
    for (size_t i = 0; i < t->n_top; i++) {
        if (t->top[i]->id < 0)
            continue;
        chosen_there |= t->top[i]->id == t->chosen->id;
        put_token_name(t->top[i], &w->top);
        ops_strbuf_char(&w->top, ':');
        put_logprob(t->top[i]->logprob, &w->top);
        ops_strbuf_char(&w->top, ',');
    }
    if (!chosen_there) {
        put_token_name(t->chosen, &w->top);
        ops_strbuf_char(&w->top, ':');
        put_logprob(t->chosen->logprob, &w->top);
    } else if (!w->top.failed) {
        w->top.n--; /* the last comma */
    }
    ops_strbuf_char(&w->top, '}');
}

static void put_logprobs(const ops_written *w, ops_strbuf *out)
{
    ops_strbuf_str(out, ",\"logprobs\":");
    if (!w->logprobs) {
        ops_strbuf_str(out, "null");
        return;
    }
    ops_strbuf_str(out, w->chat ? "{\"content\":[" : "{\"tokens\":[");
    ops_strbuf_slice(out, ops_strbuf_get(&w->tokens));
    if (w->chat) {
        ops_strbuf_str(out, "],\"refusal\":null}");
        return;
    }
    ops_strbuf_str(out, "],\"token_logprobs\":[");
    ops_strbuf_slice(out, ops_strbuf_get(&w->probs));
    ops_strbuf_str(out, "],\"top_logprobs\":[");
    ops_strbuf_slice(out, ops_strbuf_get(&w->top));
    ops_strbuf_str(out, "],\"text_offset\":[");
    ops_strbuf_slice(out, ops_strbuf_get(&w->at));
    ops_strbuf_str(out, "]}");
}

/* --- a choice --- */

static void add_call(ops_written *w, const Ops__V1__ToolCall *call)
{
    if (w->one_call && w->call_count > 0)
        return;
    comma(&w->calls);
    ops_strbuf_char(&w->calls, '{');
    if (w->stream)
        ops_strbuf_printf(&w->calls, "\"index\":%zu,", w->call_count);
    w->call_count++;
    ops_strbuf_str(&w->calls, "\"id\":");
    ops_strbuf_json(&w->calls, ops_slice_str(call->id));
    ops_strbuf_str(&w->calls, ",\"type\":\"function\",\"function\":{\"name\":");
    ops_strbuf_json(&w->calls, ops_slice_str(call->name));
    ops_strbuf_str(&w->calls, ",\"arguments\":");
    ops_strbuf_json(&w->calls, ops_slice_str(call->arguments));
    ops_strbuf_str(&w->calls, "}}");
}

void ops_written_add(ops_written *w, const Ops__V1__GenerateDelta *delta)
{
    ops_strbuf_str(&w->text, delta->text);
    for (size_t i = 0; i < delta->n_tool_calls; i++)
        add_call(w, delta->tool_calls[i]);
    for (size_t i = 0; w->logprobs && i < delta->n_tokens; i++) {
        if (delta->tokens[i]->chosen == NULL)
            continue;
        if (w->chat)
            add_chat_token(w, delta->tokens[i]);
        else
            add_text_token(w, delta->tokens[i]);
    }
}

static const char *reason(Ops__V1__FinishReason why)
{
    return why == OPS__V1__FINISH_REASON__FINISH_REASON_LENGTH       ? "length"
           : why == OPS__V1__FINISH_REASON__FINISH_REASON_TOOL_CALLS ? "tool_calls"
                                                                     : "stop";
}

static void put_head(const ops_written_head *h, const char *object, ops_strbuf *out)
{
    ops_strbuf_printf(out, "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%" PRId64 ",\"model\":", h->id,
                      object, h->created_s);
    ops_strbuf_json(out, h->model);
    ops_strbuf_str(out, ",\"choices\":[");
}

static void put_usage(const ops_written_usage *u, ops_strbuf *out)
{
    ops_strbuf_printf(out,
                      ",\"usage\":{\"prompt_tokens\":%" PRIu64 ",\"completion_tokens\":%" PRIu64
                      ",\"total_tokens\":%" PRIu64 ",\"prompt_tokens_details\":{\"cached_tokens\":%" PRIu64
                      "}}",
                      u->prompt, u->completion, u->prompt + u->completion, u->cached);
}

static void put_message(const ops_written *w, ops_strbuf *out)
{
    ops_strbuf_str(out, ",\"message\":{\"role\":\"assistant\",\"content\":");
    if (w->text.n == 0 && w->call_count > 0)
        ops_strbuf_str(out, "null");
    else
        ops_strbuf_json(out, ops_strbuf_get(&w->text));
    ops_strbuf_str(out, ",\"refusal\":null");
    if (w->call_count > 0) {
        ops_strbuf_str(out, ",\"tool_calls\":[");
        ops_strbuf_slice(out, ops_strbuf_get(&w->calls));
        ops_strbuf_char(out, ']');
    }
    ops_strbuf_char(out, '}');
}

void ops_written_whole(const ops_written_head *h, const ops_written *v, size_t n,
                       const ops_written_usage *usage, ops_strbuf *out)
{
    put_head(h, h->chat ? "chat.completion" : "text_completion", out);
    for (size_t i = 0; i < n; i++) {
        ops_strbuf_printf(out, "%s{\"index\":%zu", i > 0 ? "," : "", i);
        if (h->chat) {
            put_message(&v[i], out);
        } else {
            ops_strbuf_str(out, ",\"text\":");
            ops_strbuf_json(out, ops_strbuf_get(&v[i].text));
        }
        put_logprobs(&v[i], out);
        ops_strbuf_printf(out, ",\"finish_reason\":\"%s\"}", reason(v[i].finish));
    }
    ops_strbuf_char(out, ']');
    put_usage(usage, out);
    ops_strbuf_char(out, '}');
}

/* --- events --- */

static void open_event(const ops_written_head *h, ops_strbuf *out)
{
    ops_strbuf_str(out, "data: ");
    put_head(h, h->chat ? "chat.completion.chunk" : "text_completion", out);
}

static void close_event(const ops_written_head *h, ops_strbuf *out)
{
    ops_strbuf_str(out, h->usage_comes ? "],\"usage\":null}\n\n" : "]}\n\n");
}

void ops_written_role(const ops_written_head *h, size_t index, ops_strbuf *out)
{
    open_event(h, out);
    ops_strbuf_printf(out,
                      "{\"index\":%zu,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,"
                      "\"finish_reason\":null}",
                      index);
    close_event(h, out);
}

static void put_delta(const ops_written *w, ops_strbuf *out)
{
    ops_strbuf_str(out, ",\"delta\":{");
    if (w->text.n > 0 || w->calls.n == 0) {
        ops_strbuf_str(out, "\"content\":");
        ops_strbuf_json(out, ops_strbuf_get(&w->text));
    }
    if (w->calls.n > 0) {
        ops_strbuf_str(out, w->text.n > 0 ? ",\"tool_calls\":[" : "\"tool_calls\":[");
        ops_strbuf_slice(out, ops_strbuf_get(&w->calls));
        ops_strbuf_char(out, ']');
    }
    ops_strbuf_char(out, '}');
}

void ops_written_event(const ops_written_head *h, size_t index, ops_written *w, ops_strbuf *out)
{
    ops_strbuf *const all[] = {&w->text, &w->calls, &w->tokens, &w->probs, &w->top, &w->at};
    open_event(h, out);
    ops_strbuf_printf(out, "{\"index\":%zu", index);
    if (h->chat) {
        put_delta(w, out);
    } else {
        ops_strbuf_str(out, ",\"text\":");
        ops_strbuf_json(out, ops_strbuf_get(&w->text));
    }
    put_logprobs(w, out);
    ops_strbuf_str(out, ",\"finish_reason\":null}");
    close_event(h, out);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ops_strbuf_clear(all[i]);
}

void ops_written_finish(const ops_written_head *h, size_t index, Ops__V1__FinishReason why, ops_strbuf *out)
{
    open_event(h, out);
    ops_strbuf_printf(out, "{\"index\":%zu,%s,\"logprobs\":null,\"finish_reason\":\"%s\"}", index,
                      h->chat ? "\"delta\":{}" : "\"text\":\"\"", reason(why));
    close_event(h, out);
}

void ops_written_usage_event(const ops_written_head *h, const ops_written_usage *usage, ops_strbuf *out)
{
    open_event(h, out);
    ops_strbuf_char(out, ']');
    put_usage(usage, out);
    ops_strbuf_str(out, "}\n\n");
}

void ops_written_error(ops_status st, const char *message, ops_strbuf *out)
{
    ops_strbuf_str(out, "data: ");
    ops_openai_error(st, message, NULL, NULL, out);
    ops_strbuf_str(out, "\n\n");
}

void ops_written_last(ops_strbuf *out)
{
    ops_strbuf_str(out, "data: [DONE]\n\n");
}
