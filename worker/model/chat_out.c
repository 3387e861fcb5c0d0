/* Text and control tokens of a prompt as they are put. */
#include "base/coll/vec.h"
#include "worker/model/chat_internal.h"
#include "worker/model/json_text.h"
#include "worker/model/tok_internal.h"

/* Spans of one kind grow together: what stands between two control tokens is one text for the tokenizer. */
void ops_chat_put(ops_chat_out *o, ops_slice s, bool control)
{
    ops_chat_prompt *p = o->p;
    if (s.n == 0)
        return;
    if (!control && p->n > 0 && !p->span[p->n - 1].control) {
        p->span[p->n - 1].n += s.n;
    } else {
        void *raw = p->span;
        if (p->n >= p->cap && !ops_vec_grow(&raw, &p->cap, p->n + 1, sizeof *p->span)) {
            o->failed = true;
            return;
        }
        p->span = raw;
        p->span[p->n++] = (ops_chat_span){p->text.n, s.n, control};
    }
    ops_strbuf_slice(&p->text, s);
}

void ops_chat_mark(ops_chat_out *o, const char *name)
{
    ops_chat_put(o, ops_slice_str(name), true);
}

void ops_chat_text(ops_chat_out *o, const char *s)
{
    ops_chat_put(o, ops_slice_str(s), false);
}

void ops_chat_words(ops_chat_out *o, const char *s)
{
    const char *from = s;
    for (; *s != '\0'; s++) {
        const size_t n = ops_tok_tool_mark(ops_slice_str(s));
        if (n == 0)
            continue;
        ops_chat_put(o, ops_slice_of(from, (size_t)(s - from)), false);
        ops_chat_put(o, ops_slice_of(s, n), true);
        from = s + n;
        s = from - 1;
    }
    ops_chat_text(o, from);
}

static void put_json(ops_chat_out *o)
{
    ops_chat_put(o, ops_strbuf_get(&o->json), false);
    o->failed = o->failed || o->json.failed;
    ops_strbuf_clear(&o->json);
}

void ops_chat_object(ops_chat_out *o, ops_slice json)
{
    ops_json_text_write(&o->json, json.n > 0 ? json : OPS_SLICE("{}"), 0);
    put_json(o);
}

void ops_chat_tool_json(ops_strbuf *out, const ops_chat_tool *t, unsigned indent)
{
    ops_strbuf raw;
    ops_strbuf_init(&raw, OPS_CHAT_PROMPT_MAX);
    ops_strbuf_str(&raw, "{\"type\":\"function\",\"function\":{\"name\":");
    ops_json_text_quote(&raw, t->name);
    if (t->description.n > 0) {
        ops_strbuf_str(&raw, ",\"description\":");
        ops_json_text_quote(&raw, t->description);
    }
    if (t->parameters.n > 0) {
        ops_strbuf_str(&raw, ",\"parameters\":");
        ops_strbuf_slice(&raw, t->parameters);
    }
    ops_strbuf_str(&raw, "}}");
    if (!raw.failed)
        ops_json_text_write(out, ops_strbuf_get(&raw), indent);
    out->failed = out->failed || raw.failed;
    ops_strbuf_done(&raw);
}

void ops_chat_tool_object(ops_chat_out *o, const ops_chat_tool *t, unsigned indent)
{
    ops_chat_tool_json(&o->json, t, indent);
    put_json(o);
}

void ops_chat_quoted(ops_chat_out *o, ops_slice s)
{
    ops_json_text_quote(&o->json, s);
    put_json(o);
}
