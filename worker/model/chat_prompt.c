/* A prompt from messages, and ids from a prompt. */
#include "base/mem/alloc.h"
#include "worker/model/chat_internal.h"
#include "worker/model/json_text.h"
#include "worker/model/tok_internal.h"

void ops_chat_prompt_init(ops_chat_prompt *p)
{
    *p = (ops_chat_prompt){.n = 0};
    ops_strbuf_init(&p->text, OPS_CHAT_PROMPT_MAX);
}

void ops_chat_prompt_done(ops_chat_prompt *p)
{
    ops_strbuf_done(&p->text);
    ops_free(p->span);
    p->span = NULL;
    p->n = p->cap = 0;
}

/* --- what comes from outside --- */

/* A copy whose texts are UTF-8 and whose names and JSON were looked at. */
typedef struct talk {
    ops_chat_message *m; /* [n + 1] */
    ops_chat_tool *tools;
    size_t n;
    ops_chat_options options;
    ops_strbuf texts;
    ops_arena made;
} talk;

static void talk_done(talk *t)
{
    ops_free(t->m);
    ops_free(t->tools);
    ops_strbuf_done(&t->texts);
    ops_arena_done(&t->made);
}

/* Templates write names between quotes as they are. */
static bool is_name(ops_slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\0' ||
            strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/", s.p[i]) == NULL)
            return false;
    return s.n > 0 && s.n <= OPS_CHAT_TOOL_NAME_MAX;
}

static ops_status check_named(ops_slice name, ops_slice json, const char *what, ops_err *reterr)
{
    if (!is_name(name))
        return ops_fail(reterr, OPS_EINVAL, "a name is 1 to %d letters, digits and _ - . : /",
                        OPS_CHAT_TOOL_NAME_MAX);
    const ops_status st = json.n > 0 ? ops_json_text_check(json, reterr) : OPS_OK;
    if (st != OPS_OK)
        ops_err_prefix(reterr, "'" OPS_SLICE_FMT "': %s", OPS_SLICE_ARG(name), what);
    return st;
}

ops_status ops_chat_tool_check(const ops_chat_tool *t, ops_err *reterr)
{
    return check_named(t->name, t->parameters, "parameters", reterr);
}

static ops_status check_calls(const ops_chat_message *m, size_t i, ops_err *reterr)
{
    if (m->n_calls > 0 && m->role != OPS_CHAT_ASSISTANT)
        return ops_fail(reterr, OPS_EINVAL, "message %zu: only an assistant calls tools", i);
    if (m->n_calls > OPS_CHAT_TOOLS_MAX)
        return ops_fail(reterr, OPS_EINVAL, "message %zu: %zu calls, at most %d are rendered", i, m->n_calls,
                        OPS_CHAT_TOOLS_MAX);
    ops_status st = OPS_OK;
    for (size_t k = 0; k < m->n_calls && st == OPS_OK; k++) {
        st = check_named(m->calls[k].name, m->calls[k].arguments, "arguments", reterr);
        if (st != OPS_OK)
            ops_err_prefix(reterr, "message %zu: call %zu", i, k);
    }
    return st;
}

static ops_status check_tools(const ops_chat_options *options, ops_err *reterr)
{
    if (options->n_tools > OPS_CHAT_TOOLS_MAX)
        return ops_fail(reterr, OPS_EINVAL, "%zu tools, at most %d are rendered", options->n_tools,
                        OPS_CHAT_TOOLS_MAX);
    if (options->call_name.n > 0 && !is_name(options->call_name))
        return ops_fail(reterr, OPS_EINVAL, "the tool to call has no name that a tool can have");
    ops_status st = OPS_OK;
    for (size_t i = 0; i < options->n_tools && st == OPS_OK; i++) {
        st = ops_chat_tool_check(&options->tools[i], reterr);
        if (st != OPS_OK)
            ops_err_prefix(reterr, "tool %zu", i);
    }
    return st;
}

static bool add_bytes(size_t *sum, size_t n)
{
    const bool fits = n <= OPS_CHAT_PROMPT_MAX - *sum;
    *sum += fits ? n : 0;
    return fits;
}

static ops_status check_bytes(const ops_chat_message *m, size_t n, const ops_chat_options *options,
                              ops_err *reterr)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        bool fits = add_bytes(&bytes, m[i].text.n);
        for (size_t k = 0; k < m[i].n_calls; k++)
            fits = fits && add_bytes(&bytes, m[i].calls[k].arguments.n);
        if (!fits)
            return ops_fail(reterr, OPS_ETOOBIG, "message %zu: more than %d bytes in all", i,
                            OPS_CHAT_PROMPT_MAX);
    }
    for (size_t i = 0; i < options->n_tools; i++)
        if (!add_bytes(&bytes, options->tools[i].description.n) ||
            !add_bytes(&bytes, options->tools[i].parameters.n))
            return ops_fail(reterr, OPS_ETOOBIG, "tool %zu: more than %d bytes in all", i,
                            OPS_CHAT_PROMPT_MAX);
    return OPS_OK;
}

static ops_status check(const ops_chat_message *m, size_t n, const ops_chat_options *options, ops_err *reterr)
{
    if (n == 0 || n > OPS_CHAT_MESSAGES_MAX)
        return ops_fail(reterr, OPS_EINVAL, "%zu messages, 1 to %d are rendered", n, OPS_CHAT_MESSAGES_MAX);
    ops_status st = check_tools(options, reterr);
    for (size_t i = 0; i < n && st == OPS_OK; i++)
        st = check_calls(&m[i], i, reterr);
    return st == OPS_OK ? check_bytes(m, n, options, reterr) : st;
}

static void clean(ops_strbuf *to, ops_slice *text)
{
    const size_t at = to->n;
    ops_tok_clean(to, *text, NULL);
    *text = ops_slice_of(NULL, to->n - at); /* where is known when all have come */
}

static void place(const ops_strbuf *texts, size_t *at, ops_slice *text)
{
    text->p = texts->p != NULL ? texts->p + *at : "";
    *at += text->n;
}

static ops_status talk_init(talk *t, const ops_chat_message *m, size_t n, const ops_chat_options *options,
                            ops_err *reterr)
{
    *t = (talk){.n = n, .options = *options};
    ops_strbuf_init(&t->texts, OPS_CHAT_PROMPT_MAX);
    ops_arena_init(&t->made, OPS_CHAT_PROMPT_MAX);
    t->m = ops_calloc(n + 1, sizeof *t->m);
    t->tools = ops_calloc(options->n_tools + 1, sizeof *t->tools);
    if (t->m == NULL || t->tools == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "%zu messages", n);
    memcpy(t->m, m, n * sizeof *m);
    if (options->n_tools > 0)
        memcpy(t->tools, options->tools, options->n_tools * sizeof *t->tools);
    for (size_t i = 0; i < n; i++)
        clean(&t->texts, &t->m[i].text);
    for (size_t i = 0; i < options->n_tools; i++)
        clean(&t->texts, &t->tools[i].description);
    if (t->texts.failed)
        return ops_fail(reterr, t->texts.n > OPS_CHAT_PROMPT_MAX / 2 ? OPS_ETOOBIG : OPS_ENOMEM,
                        "%zu messages, at most %d bytes are rendered", n, OPS_CHAT_PROMPT_MAX);
    size_t at = 0;
    for (size_t i = 0; i < n; i++)
        place(&t->texts, &at, &t->m[i].text);
    for (size_t i = 0; i < options->n_tools; i++)
        place(&t->texts, &at, &t->tools[i].description);
    t->options.tools = t->tools;
    return OPS_OK;
}

ops_status ops_chat_render(const ops_chat *c, const ops_chat_message *m, size_t n, ops_chat_options options,
                           ops_chat_prompt *p, ops_err *reterr)
{
    ops_strbuf_clear(&p->text);
    p->n = 0;
    ops_status st = check(m, n, &options, reterr);
    if (st != OPS_OK)
        return st;
    talk t;
    st = talk_init(&t, m, n, &options, reterr);
    if (st == OPS_OK)
        st = ops_chat_plain(c, t.m, &t.n, &t.options, &t.made, reterr);
    if (st == OPS_OK)
        st = ops_chat_write(c, t.m, t.n, &t.options, p, reterr);
    talk_done(&t);
    if (st != OPS_OK) {
        ops_strbuf_clear(&p->text);
        p->n = 0;
    }
    return st;
}

/* The first Mistral models have no tokens for [INST], and only some of ChatML for calls of tools: there it is text, joined
 * with what stands around it. */
static bool may_be_text(ops_slice name)
{
    return ops_slice_eq(name, OPS_SLICE("[INST]")) || ops_slice_eq(name, OPS_SLICE("[/INST]")) ||
           ops_tok_tool_mark(name) > 0;
}

static ops_status encode(const ops_chat_prompt *p, const ops_tokenizer *t, ops_tokens *ids, ops_err *reterr)
{
    size_t from = 0; /* of the text that waits */
    bool first = true;
    ops_status st = OPS_OK;
    for (size_t i = 0; i <= p->n && st == OPS_OK; i++) {
        int32_t id = -1;
        const ops_chat_span s = i < p->n ? p->span[i] : (ops_chat_span){p->text.n, 0, true};
        const ops_slice name = ops_slice_sub(ops_strbuf_get(&p->text), s.at, s.n);
        if (!s.control || (i < p->n && (id = ops_tokenizer_find(t, name)) < 0 && may_be_text(name)))
            continue;
        if (i < p->n && id < 0)
            return ops_fail(reterr, OPS_ECORRUPT,
                            "the chat template writes '" OPS_SLICE_FMT "', which is no token of the model",
                            OPS_SLICE_ARG(ops_slice_sub(name, 0, 60)));
        const ops_slice waiting = ops_slice_sub(ops_strbuf_get(&p->text), from, s.at - from);
        if (waiting.n > 0)
            st = ops_tokenizer_encode(t, waiting, OPS_TOKENIZER_PLAIN | (first ? 0 : OPS_TOKENIZER_INSIDE),
                                      ids, reterr);
        if (st == OPS_OK && i < p->n)
            st = ops_tokens_put(ids, id, reterr);
        first = false;
        from = s.at + s.n;
    }
    return st;
}

ops_status ops_chat_encode(const ops_chat_prompt *p, const ops_tokenizer *t, ops_tokens *ids, ops_err *reterr)
{
    const size_t n = ids->n;
    const ops_status st = encode(p, t, ids, reterr);
    if (st != OPS_OK)
        ids->n = n;
    return st;
}
