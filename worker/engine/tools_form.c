/* The form of an answer that is calls: an EBNF (worker/grammar/grammar.h) in the family's own words, with each tool's schema
 * inside. What the prompt already holds of a call is no part of it. */
#include "worker/engine/tools_internal.h"
#include "worker/model/json_text.h"

enum { RULE_NAME = 40 };

typedef struct writer {
    ops_strbuf *b;
    const ops_tools_request *q;
    ops_chat_calls form;
} writer;

static void put(const writer *w, const char *s)
{
    ops_strbuf_str(w->b, s);
}

/* A text in quotes. */
static void literal(const writer *w, ops_slice s)
{
    ops_strbuf_char(w->b, '"');
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\n')
            put(w, "\\n");
        else {
            if (s.p[i] == '"' || s.p[i] == '\\')
                ops_strbuf_char(w->b, '\\');
            ops_strbuf_char(w->b, s.p[i]);
        }
    put(w, "\" ");
}

static void words(const writer *w, const char *s)
{
    literal(w, ops_slice_str(s));
}

static bool wanted(const writer *w, size_t i)
{
    return w->q->named.n == 0 || ops_slice_eq(w->q->named, w->q->tools[i].name);
}

/* What errors of its schema are told with. */
static void rule_name(const writer *w, size_t i)
{
    const ops_slice name = ops_slice_sub(w->q->tools[i].name, 0, RULE_NAME);
    ops_strbuf_printf(w->b, "tool-%zu-", i);
    for (size_t k = 0; k < name.n; k++)
        ops_strbuf_char(w->b, strchr(".:/", name.p[k]) != NULL ? '-' : name.p[k]);
    ops_strbuf_char(w->b, ' ');
}

/* --- arguments --- */

static bool lists_object(ops_slice type)
{
    ops_slice key, value;
    while (ops_json_text_next(&type, &key, &value))
        if (ops_slice_eq(value, OPS_SLICE("\"object\"")))
            return true;
    return false;
}

/* The schema, which may leave open that it is one of an object. */
static ops_status object_schema(const writer *w, const ops_chat_tool *t, ops_err *reterr)
{
    const ops_slice s = t->parameters;
    ops_slice type, key, value, members = s;
    if (!ops_json_text_member(s, "type", &type)) {
        const bool any = ops_json_text_next(&members, &key, &value);
        const size_t open = (size_t)ops_slice_find_char(s, '{') + 1;
        put(w, any ? "{\"type\":\"object\"," : "{\"type\":\"object\"");
        ops_strbuf_slice(w->b, ops_slice_sub(s, open, s.n));
        return OPS_OK;
    }
    if (!ops_slice_eq(type, OPS_SLICE("\"object\"")) && (type.p[0] != '[' || !lists_object(type)))
        return ops_fail(reterr, OPS_EINVAL,
                        "tool '" OPS_SLICE_FMT "': parameters: the schema's type is not object",
                        OPS_SLICE_ARG(t->name));
    const size_t at = (size_t)(type.p - s.p);
    ops_strbuf_slice(w->b, ops_slice_sub(s, 0, at));
    put(w, "\"object\"");
    ops_strbuf_slice(w->b, ops_slice_sub(s, at + type.n, s.n));
    return OPS_OK;
}

static ops_status arguments(const writer *w, ops_err *reterr)
{
    ops_status st = OPS_OK;
    for (size_t i = 0; i < w->q->n && st == OPS_OK; i++) {
        const ops_chat_tool *t = &w->q->tools[i];
        if (!wanted(w, i))
            continue;
        rule_name(w, i);
        put(w, "::= ");
        if (t->parameters.n == 0)
            words(w, "{}");
        else {
            put(w, "%json ");
            st = object_schema(w, t, reterr);
        }
        put(w, "\n");
    }
    return st;
}

/* --- calls --- */

/* {"name": "N", "arguments": A}, one of them */
static void object(const writer *w)
{
    const char *key = w->form == OPS_CHAT_CALLS_OBJECT ? "\", \"parameters\": " : "\", \"arguments\": ";
    bool first = true;
    put(w, "call ::= ");
    for (size_t i = 0; i < w->q->n; i++) {
        if (!wanted(w, i))
            continue;
        put(w, first ? "" : "| ");
        words(w, "{\"name\": \"");
        literal(w, w->q->tools[i].name);
        words(w, key);
        rule_name(w, i);
        words(w, "}");
        first = false;
    }
    put(w, "\n");
}

static void more(const writer *w, const char *before, const char *after)
{
    if (!w->q->parallel)
        return;
    put(w, "(");
    words(w, before);
    put(w, "call ");
    words(w, after);
    ops_strbuf_printf(w->b, "){0,%d}", OPS_TOOLS_CALLS_MAX - 1);
}

/* Any text without the mark, whose first character is nowhere else in it. */
static void text_without(const writer *w, ops_slice mark)
{
    const char first = mark.p[0];
    ops_strbuf_printf(w->b, "text ::= [^\\x00%c]* (", first);
    literal(w, ops_slice_sub(mark, 0, 1));
    for (size_t i = 1; i < mark.n; i++) {
        ops_strbuf_printf(w->b, "([^\\x00%c%c] [^\\x00%c]*", first, mark.p[i], first);
        if (i + 1 == mark.n)
            break;
        put(w, " | ");
        literal(w, ops_slice_sub(mark, i, 1));
    }
    for (size_t i = 1; i < mark.n; i++)
        put(w, ")?");
    put(w, ")*\n");
}

static ops_status unbuilt(const char *what, ops_err *reterr)
{
    return ops_fail(reterr, OPS_EUNIMPL,
                    "%s: in this model a call begins with a control token, which no form holds", what);
}

static ops_status tagged(const writer *w, const ops_tokenizer *t, ops_err *reterr)
{
    const bool open = ops_tools_mark_id(w->form, OPS_TOOLS_OPEN, t) < 0,
               close = ops_tools_mark_id(w->form, OPS_TOOLS_CLOSE, t) < 0;
    if (w->q->choice == OPS_TOOLS_AUTO && (!open || !close))
        return unbuilt("strict tools without tool_choice required", reterr);
    if (w->q->choice == OPS_TOOLS_AUTO) {
        text_without(w, ops_tools_mark_text(w->form, OPS_TOOLS_OPEN));
        put(w, "root ::= text (");
        words(w, "<tool_call>\n");
    } else
        put(w, "root ::= (");
    put(w, "call ");
    if (close)
        words(w, "\n</tool_call>");
    if (open && close)
        more(w, "\n<tool_call>\n", "\n</tool_call>");
    put(w, w->q->choice == OPS_TOOLS_AUTO ? ")?\n" : ")\n");
    object(w);
    return OPS_OK;
}

static ops_status listed(const writer *w, ops_err *reterr)
{
    if (w->q->choice == OPS_TOOLS_AUTO)
        return unbuilt("strict tools without tool_choice required", reterr);
    put(w, "root ::= ");
    words(w, " ");
    put(w, "? ");
    words(w, "[");
    put(w, "call ");
    more(w, ", ", "");
    words(w, "]");
    put(w, "\n");
    object(w);
    return OPS_OK;
}

/* An answer that does not begin with a brace is text. */
static void whole(const writer *w)
{
    put(w, w->q->choice == OPS_TOOLS_AUTO ? "root ::= call | [ \\t\\r\\n]* ([^\\x00{ \\t\\r\\n] [^\\x00]*)?\n"
                                          : "root ::= call\n");
    object(w);
}

static ops_status apart(const writer *w, const ops_tools_plan *p, ops_err *reterr)
{
    if (w->q->choice == OPS_TOOLS_AUTO)
        return unbuilt("strict tools without tool_choice required", reterr);
    if (p->call_name.n == 0)
        return ops_fail(
            reterr, OPS_EUNIMPL,
            "tool_choice required with several tools: in this model a control token follows the tool's "
            "name, which no form holds; name the tool");
    put(w, "root ::= ");
    for (size_t i = 0; i < w->q->n; i++)
        if (wanted(w, i))
            rule_name(w, i);
    put(w, "\n");
    return OPS_OK;
}

static ops_status write_form(const writer *w, const ops_tokenizer *t, const ops_tools_plan *p,
                             ops_err *reterr)
{
    ops_status st = OPS_OK;
    switch (w->form) {
    case OPS_CHAT_CALLS_TAGGED:
        st = tagged(w, t, reterr);
        break;
    case OPS_CHAT_CALLS_OBJECT:
        whole(w);
        break;
    case OPS_CHAT_CALLS_LIST:
        st = listed(w, reterr);
        break;
    case OPS_CHAT_CALLS_ARGS:
        st = apart(w, p, reterr);
        break;
    }
    return st == OPS_OK ? arguments(w, reterr) : st;
}

/* --- the plan --- */

static ops_status check(const ops_tools_request *q, ops_err *reterr)
{
    bool known = q->named.n == 0;
    if (q->n > OPS_CHAT_TOOLS_MAX)
        return ops_fail(reterr, OPS_EINVAL, "%zu tools, at most %d", q->n, OPS_CHAT_TOOLS_MAX);
    for (size_t i = 0; i < q->n; i++) {
        const ops_status st = ops_chat_tool_check(&q->tools[i], reterr);
        if (st != OPS_OK) {
            ops_err_prefix(reterr, "tool %zu", i);
            return st;
        }
        known = known || ops_slice_eq(q->named, q->tools[i].name);
        for (size_t k = 0; k < i; k++)
            if (ops_slice_eq(q->tools[i].name, q->tools[k].name))
                return ops_fail(reterr, OPS_EINVAL, "tool %zu: '" OPS_SLICE_FMT "' is tool %zu already", i,
                                OPS_SLICE_ARG(q->tools[i].name), k);
    }
    if (!known)
        return ops_fail(reterr, OPS_EINVAL, "no tool '" OPS_SLICE_FMT "'",
                        OPS_SLICE_ARG(ops_slice_sub(q->named, 0, OPS_CHAT_TOOL_NAME_MAX)));
    if (q->choice == OPS_TOOLS_REQUIRED && q->n == 0)
        return ops_fail(reterr, OPS_EINVAL, "a call is required and there are no tools");
    return OPS_OK;
}

ops_status ops_tools_plan_make(const ops_chat *c, const ops_tokenizer *t, const ops_tools_request *q,
                               ops_tools_plan *ret, ops_err *reterr)
{
    ops_tools_plan p = {.n_tools = 0};
    ops_strbuf_init(&p.ebnf, OPS_TOOLS_EBNF_MAX);
    *ret = p;
    ops_status st = check(q, reterr);
    if (st != OPS_OK || q->choice == OPS_TOOLS_NONE || q->n == 0)
        return st;
    p.tools = q->tools;
    p.n_tools = q->n;
    p.call = q->choice == OPS_TOOLS_REQUIRED;
    if (p.call)
        p.call_name = q->n == 1 ? q->tools[0].name : q->named;
    const writer w = {&p.ebnf, q, ops_chat_calls_form(c)};
    if (p.call || q->strict)
        st = write_form(&w, t, &p, reterr);
    if (st == OPS_OK && p.ebnf.failed)
        st = ops_fail(reterr, p.ebnf.n > OPS_TOOLS_EBNF_MAX / 2 ? OPS_ETOOBIG : OPS_ENOMEM,
                      "the form of calls, at most %d bytes", OPS_TOOLS_EBNF_MAX);
    if (st != OPS_OK) {
        ops_strbuf_done(&p.ebnf);
        return st;
    }
    *ret = p;
    return OPS_OK;
}

void ops_tools_plan_done(ops_tools_plan *p)
{
    ops_strbuf_done(&p->ebnf);
    p->n_tools = 0;
}
