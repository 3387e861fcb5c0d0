/* Tools for templates that know of none: described in the system message, called and answered in plain text, in the form of
 * Qwen (OPS_CHAT_CALLS_TAGGED). */
#include "worker/model/chat_internal.h"
#include "worker/model/json_text.h"

typedef struct maker {
    ops_strbuf text; /* being made */
    ops_arena *kept;
    bool failed;
} maker;

static ops_slice keep(maker *k)
{
    const ops_slice text = ops_strbuf_get(&k->text);
    const ops_slice kept = text.n > 0 ? ops_arena_dup(k->kept, text) : OPS_SLICE("");
    k->failed = k->failed || k->text.failed || kept.p == NULL;
    ops_strbuf_clear(&k->text);
    return kept.p != NULL ? kept : OPS_SLICE("");
}

static void preface(ops_strbuf *b, const ops_chat_options *options)
{
    ops_strbuf_str(b, "You can call these tools. Each line describes one as JSON:");
    for (size_t i = 0; i < options->n_tools; i++) {
        ops_strbuf_char(b, '\n');
        ops_chat_tool_json(b, &options->tools[i], 0);
    }
    ops_strbuf_str(
        b, "\n\nTo call one, write its name and arguments as a JSON object between tags:\n<tool_call>\n"
           "{\"name\": \"...\", \"arguments\": {...}}\n</tool_call>\n"
           "Its answer follows between <tool_response> and </tool_response>.");
}

static void calls(ops_strbuf *b, const ops_chat_message *m)
{
    ops_strbuf_slice(b, m->text);
    for (size_t i = 0; i < m->n_calls; i++) {
        ops_strbuf_str(b, i > 0 || m->text.n > 0 ? "\n<tool_call>\n" : "<tool_call>\n");
        ops_strbuf_printf(
            b, "{\"name\": \"" OPS_SLICE_FMT "\", \"arguments\": ", OPS_SLICE_ARG(m->calls[i].name));
        ops_json_text_write(b, m->calls[i].arguments.n > 0 ? m->calls[i].arguments : OPS_SLICE("{}"), 0);
        ops_strbuf_str(b, "}\n</tool_call>");
    }
}

/* Answers one after the other are one message of the user. Returns how many there were. */
static size_t answers(ops_strbuf *b, const ops_chat_message *m, size_t n)
{
    size_t i = 0;
    for (; i < n && m[i].role == OPS_CHAT_TOOL; i++) {
        ops_strbuf_str(b, i > 0 ? "\n<tool_response>\n" : "<tool_response>\n");
        ops_strbuf_slice(b, m[i].text);
        ops_strbuf_str(b, "\n</tool_response>");
    }
    return i;
}

static size_t rewrite(ops_chat_message *m, size_t n, maker *k)
{
    size_t to = 0;
    for (size_t i = 0; i < n; to++) {
        if (m[i].role == OPS_CHAT_TOOL) {
            i += answers(&k->text, m + i, n - i);
            m[to] = (ops_chat_message){.role = OPS_CHAT_USER, .text = keep(k)};
        } else if (m[i].n_calls > 0) {
            calls(&k->text, &m[i++]);
            m[to] = (ops_chat_message){.role = OPS_CHAT_ASSISTANT, .text = keep(k)};
        } else
            m[to] = m[i++];
    }
    return to;
}

/* The preface goes behind the system message, or before the first one of the user where there can be none. */
static void describe(const ops_chat *c, ops_chat_message *m, size_t *n, const ops_chat_options *options,
                     maker *k)
{
    if (c->system == OPS_CHAT_REFUSED && m[0].role != OPS_CHAT_SYSTEM) {
        preface(&k->text, options);
        ops_strbuf_str(&k->text, "\n\n");
        ops_strbuf_slice(&k->text, m[0].text);
        m[0].text = keep(k);
        return;
    }
    if (m[0].role != OPS_CHAT_SYSTEM) {
        memmove(m + 1, m, (*n)++ * sizeof *m);
        m[0] = (ops_chat_message){.role = OPS_CHAT_SYSTEM, .text = ops_slice_str(c->default_system)};
    }
    ops_strbuf_slice(&k->text, m[0].text);
    ops_strbuf_str(&k->text, m[0].text.n > 0 ? "\n\n" : "");
    preface(&k->text, options);
    m[0].text = keep(k);
}

ops_status ops_chat_plain(const ops_chat *c, ops_chat_message *m, size_t *n, ops_chat_options *options,
                          ops_arena *texts, ops_err *reterr)
{
    maker k = {.kept = texts};
    ops_strbuf_init(&k.text, OPS_CHAT_PROMPT_MAX);
    if (!c->tools)
        *n = rewrite(m, *n, &k);
    if (!c->describes && options->n_tools > 0) {
        describe(c, m, n, options, &k);
        options->n_tools = 0;
    }
    ops_strbuf_done(&k.text);
    return k.failed
               ? ops_fail(reterr, ops_arena_bytes(texts) > OPS_CHAT_PROMPT_MAX / 2 ? OPS_ETOOBIG : OPS_ENOMEM,
                          "tools in plain text, at most %d bytes", OPS_CHAT_PROMPT_MAX)
               : OPS_OK;
}
