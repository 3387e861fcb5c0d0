/* Definitions, calls and answers of tools, as the templates of Qwen 2.5 and 3, Llama 3.1 and later, and Mistral write them. */
#include "base/text/hash.h"
#include "worker/model/chat_internal.h"

/* --- Qwen --- */
void ops_chat_tools_chatml(ops_chat_out *o, const ops_chat_options *options)
{
    ops_chat_words(o, "# Tools\n\n" OPS_CHAT_QWEN_USE "\n\n" OPS_CHAT_QWEN_LIST "\n<tools>");
    for (size_t i = 0; i < options->n_tools; i++) {
        ops_chat_text(o, "\n");
        ops_chat_tool_object(o, &options->tools[i], 0);
    }
    ops_chat_words(o, "\n</tools>\n\n" OPS_CHAT_QWEN_CALL
                      "\n<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n"
                      "</tool_call>");
}

void ops_chat_calls_chatml(ops_chat_out *o, const ops_chat_message *m, bool said)
{
    for (size_t i = 0; i < m->n_calls; i++) {
        ops_chat_text(o, said || i > 0 ? "\n" : "");
        ops_chat_words(o, "<tool_call>");
        ops_chat_text(o, "\n{\"name\": \"");
        ops_chat_put(o, m->calls[i].name, false);
        ops_chat_text(o, "\", \"arguments\": ");
        ops_chat_object(o, m->calls[i].arguments);
        ops_chat_text(o, "}\n");
        ops_chat_words(o, "</tool_call>");
    }
}

/* --- Llama 3.1 --- */
void ops_chat_tools_llama3(ops_chat_out *o, const ops_chat_options *options)
{
    ops_chat_text(o, OPS_CHAT_LLAMA_LIST OPS_CHAT_LLAMA_BEST "\n\n" OPS_CHAT_LLAMA_FORM OPS_CHAT_LLAMA_VARS
                                                             "\n\n");
    for (size_t i = 0; i < options->n_tools; i++) {
        ops_chat_tool_object(o, &options->tools[i], 4);
        ops_chat_text(o, "\n\n");
    }
}

void ops_chat_call_llama3(ops_chat_out *o, const ops_chat_call *call)
{
    ops_chat_text(o, "{\"name\": \"");
    ops_chat_put(o, call->name, false);
    ops_chat_text(o, "\", \"parameters\": ");
    ops_chat_object(o, call->arguments);
    ops_chat_text(o, "}");
}

/* --- Mistral --- */

/* An id of nine letters and digits, as the templates demand: another one is mapped to such. */
static void put_id(ops_chat_out *o, ops_slice id)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    char made[9];
    bool fits = id.n == sizeof made;
    for (size_t i = 0; i < id.n && fits; i++)
        fits = id.p[i] != '\0' && strchr(digits, id.p[i]) != NULL;
    if (!fits) {
        uint64_t h = ops_hash64(id.p, id.n, 0);
        for (size_t i = 0; i < sizeof made; i++, h /= 62)
            made[i] = digits[h % 62];
        id = ops_slice_of(made, sizeof made);
    }
    ops_chat_put(o, id, false);
}

/* The template for lists writes a text between quotes as it is. */
static void quoted(ops_chat_out *o, const char *key, ops_slice s)
{
    ops_chat_text(o, key);
    ops_chat_text(o, "\"");
    ops_chat_put(o, s, false);
    ops_chat_text(o, "\"");
}

static void listed_tool(ops_chat_out *o, const ops_chat_tool *t)
{
    quoted(o, "{\"type\": \"function\", \"function\": {\"name\": ", t->name);
    if (t->description.n > 0)
        quoted(o, ", \"description\": ", t->description);
    if (t->parameters.n > 0) {
        ops_chat_text(o, ", \"parameters\": ");
        ops_chat_object(o, t->parameters);
    }
    ops_chat_text(o, "}}");
}

void ops_chat_tools_mistral(ops_chat_out *o, const ops_chat_options *options)
{
    ops_chat_mark(o, "[AVAILABLE_TOOLS]");
    ops_chat_text(o, o->c->space_tools ? " [" : "[");
    for (size_t i = 0; i < options->n_tools; i++) {
        ops_chat_text(o, i > 0 ? ", " : "");
        if (o->c->calls_args)
            ops_chat_tool_object(o, &options->tools[i], 0);
        else
            listed_tool(o, &options->tools[i]);
    }
    ops_chat_text(o, "]");
    ops_chat_mark(o, "[/AVAILABLE_TOOLS]");
}

static void named_call(ops_chat_out *o, ops_slice name, ops_slice id)
{
    ops_chat_mark(o, "[TOOL_CALLS]");
    ops_chat_put(o, name, false);
    if (o->c->call_ids) {
        ops_chat_mark(o, "[CALL_ID]");
        put_id(o, id);
    }
    ops_chat_mark(o, "[ARGS]");
}

static void listed_calls(ops_chat_out *o, const ops_chat_message *m)
{
    ops_chat_mark(o, "[TOOL_CALLS]");
    ops_chat_text(o, o->c->space_calls ? " [" : "[");
    for (size_t i = 0; i < m->n_calls; i++) {
        quoted(o, i > 0 ? ", {\"name\": " : "{\"name\": ", m->calls[i].name);
        ops_chat_text(o, ", \"arguments\": ");
        ops_chat_object(o, m->calls[i].arguments);
        ops_chat_text(o, ", \"id\": \"");
        put_id(o, m->calls[i].id);
        ops_chat_text(o, "\"}");
    }
    ops_chat_text(o, "]");
}

void ops_chat_calls_mistral(ops_chat_out *o, const ops_chat_message *m)
{
    if (o->c->says_and_calls)
        ops_chat_put(o, m->text, false);
    if (!o->c->calls_args)
        listed_calls(o, m);
    for (size_t i = 0; i < m->n_calls && o->c->calls_args; i++) {
        named_call(o, m->calls[i].name, m->calls[i].id);
        ops_chat_object(o, m->calls[i].arguments);
    }
    ops_chat_mark(o, o->c->eos);
}

void ops_chat_result_mistral(ops_chat_out *o, const ops_chat_message *m)
{
    ops_chat_mark(o, "[TOOL_RESULTS]");
    if (o->c->calls_args && o->c->call_ids) {
        put_id(o, m->call_id);
        ops_chat_mark(o, "[TOOL_CONTENT]");
        ops_chat_put(o, m->text, false);
    } else if (o->c->calls_args) {
        ops_chat_put(o, m->text, false);
    } else {
        ops_chat_text(o, o->c->space_results ? " {\"content\": " : "{\"content\": ");
        ops_chat_put(o, m->text, false);
        ops_chat_text(o, ", \"call_id\": \"");
        put_id(o, m->call_id);
        ops_chat_text(o, "\"}");
    }
    ops_chat_mark(o, "[/TOOL_RESULTS]");
}

/* --- an answer that must be a call --- */
ops_status ops_chat_begin_call(ops_chat_out *o, const ops_chat_options *options, ops_err *reterr)
{
    switch (ops_chat_calls_form(o->c)) {
    case OPS_CHAT_CALLS_TAGGED:
        ops_chat_words(o, "<tool_call>");
        ops_chat_text(o, "\n");
        break;
    case OPS_CHAT_CALLS_OBJECT:
        break;
    case OPS_CHAT_CALLS_LIST:
        ops_chat_mark(o, "[TOOL_CALLS]");
        break;
    case OPS_CHAT_CALLS_ARGS:
        if (options->call_name.n == 0)
            return ops_fail(reterr, OPS_EINVAL,
                            "this chat template can begin a call only where its tool is known");
        named_call(o, options->call_name, options->call_name);
        break;
    }
    return OPS_OK;
}
