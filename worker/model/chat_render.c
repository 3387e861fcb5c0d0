/* Writing a prompt, one function a family. */
#include "base/coll/vec.h"
#include "base/mem/alloc.h"
#include "worker/model/chat_internal.h"
#include "worker/model/tok_internal.h"

typedef struct out {
    const ops_chat *c;
    ops_chat_prompt *p;
    bool failed;
} out;

/* Spans of one kind grow together: what stands between two control tokens is one text for the tokenizer. */
static void put(out *o, ops_slice s, bool control)
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

static void mark(out *o, const char *name)
{
    put(o, ops_slice_str(name), true);
}

static void text(out *o, const char *s)
{
    put(o, ops_slice_str(s), false);
}

/* --- Python's str.strip and its kin --- */
static bool blank(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
           c == 0x3000;
}

static ops_slice trim(ops_slice s)
{
    while (s.n > 0 && blank(ops_tok_code(s.p)))
        s = ops_slice_sub(s, ops_tok_bytes((unsigned char)*s.p), s.n);
    while (s.n > 0) {
        size_t last = s.n - 1;
        while (last > 0 && ((unsigned char)s.p[last] & 0xc0) == 0x80)
            last--;
        if (!blank(ops_tok_code(s.p + last)))
            break;
        s.n = last;
    }
    return s;
}

static ops_slice strip_lines(ops_slice s, bool left, bool right)
{
    while (left && s.n > 0 && s.p[0] == '\n')
        s = ops_slice_sub(s, 1, s.n);
    while (right && s.n > 0 && s.p[s.n - 1] == '\n')
        s.n--;
    return s;
}

/* s.split(part)[-1], and [0] */
static ops_slice after_last(ops_slice s, ops_slice part)
{
    for (ptrdiff_t at; (at = ops_slice_find(s, part)) >= 0;)
        s = ops_slice_sub(s, (size_t)at + part.n, s.n);
    return s;
}

static ops_slice before_first(ops_slice s, ops_slice part)
{
    const ptrdiff_t at = ops_slice_find(s, part);
    return at < 0 ? s : ops_slice_sub(s, 0, (size_t)at);
}

static const char *role_name(ops_chat_role role)
{
    static const char *const names[] = {[OPS_CHAT_SYSTEM] = "system",
                                        [OPS_CHAT_USER] = "user",
                                        [OPS_CHAT_ASSISTANT] = "assistant",
                                        [OPS_CHAT_TOOL] = "tool"};
    return names[role];
}

/* --- ChatML --- */
static void open_chatml(out *o, const char *role)
{
    mark(o, "<|im_start|>");
    text(o, role);
    text(o, "\n");
}

static void close_chatml(out *o)
{
    mark(o, "<|im_end|>");
    text(o, "\n");
}

/* Answers of tools stand one after the other in one turn of the user. */
static void tool_chatml(out *o, const ops_chat_message *m, size_t n, size_t i)
{
    if (i == 0 || m[i - 1].role != OPS_CHAT_TOOL) {
        mark(o, "<|im_start|>");
        text(o, "user");
    }
    text(o, "\n<tool_response>\n");
    put(o, m[i].text, false);
    text(o, "\n</tool_response>");
    if (i + 1 == n || m[i + 1].role != OPS_CHAT_TOOL)
        close_chatml(o);
}

/* The last message of the user that is no answer of a tool; thoughts before it are left out. */
static size_t last_question(const ops_chat_message *m, size_t n)
{
    for (size_t i = n; i-- > 0;)
        if (m[i].role == OPS_CHAT_USER && !(ops_slice_starts(m[i].text, OPS_SLICE("<tool_response>")) &&
                                            ops_slice_ends(m[i].text, OPS_SLICE("</tool_response>"))))
            return i;
    return n - 1;
}

static void thoughts(out *o, ops_slice said, bool after_question, bool last)
{
    const ops_slice end = OPS_SLICE("</think>");
    ops_slice thought = {0};
    if (ops_slice_find(said, end) >= 0) {
        thought = strip_lines(before_first(said, end), false, true);
        thought = strip_lines(after_last(thought, OPS_SLICE("<think>")), true, false);
        said = strip_lines(after_last(said, end), true, false);
    }
    if (after_question && (last || thought.n > 0)) {
        text(o, "<think>\n");
        put(o, strip_lines(thought, true, true), false);
        text(o, "\n</think>\n\n");
        said = strip_lines(said, true, false);
    }
    put(o, said, false);
}

static ops_status chatml(out *o, const ops_chat_message *m, size_t n, const ops_chat_options *options,
                         ops_err *reterr)
{
    const ops_chat *c = o->c;
    if (c->default_system != NULL && m[0].role != OPS_CHAT_SYSTEM) {
        open_chatml(o, "system");
        text(o, c->default_system);
        close_chatml(o);
    }
    const size_t question = last_question(m, n);
    for (size_t i = 0; i < n; i++) {
        if (m[i].role == OPS_CHAT_TOOL && !c->tools)
            return ops_fail(reterr, OPS_EUNIMPL, "message %zu: this chat template has no answers of tools",
                            i);
        if (m[i].role == OPS_CHAT_TOOL) {
            tool_chatml(o, m, n, i);
            continue;
        }
        open_chatml(o, role_name(m[i].role));
        if (c->thinking && m[i].role == OPS_CHAT_ASSISTANT)
            thoughts(o, m[i].text, i > question, i + 1 == n);
        else
            put(o, m[i].text, false);
        close_chatml(o);
    }
    if (options->answer) {
        open_chatml(o, "assistant");
        if (c->thinking_off && options->no_thinking)
            text(o, "<think>\n\n</think>\n\n");
    }
    return OPS_OK;
}

/* --- Llama 3 --- */
static void open_llama3(out *o, const char *role)
{
    mark(o, "<|start_header_id|>");
    text(o, role);
    mark(o, "<|end_header_id|>");
    text(o, "\n\n");
}

static void system_llama3(out *o, ops_slice said, const ops_chat_options *options)
{
    open_llama3(o, "system");
    text(o, "Cutting Knowledge Date: December 2023\nToday Date: ");
    put(o, options->date.p != NULL ? options->date : ops_slice_str(o->c->date), false);
    text(o, "\n\n");
    put(o, trim(said), false);
    mark(o, "<|eot_id|>");
}

static ops_status llama3(out *o, const ops_chat_message *m, size_t n, const ops_chat_options *options,
                         ops_err *reterr)
{
    size_t i = 0;
    if (o->c->dated) {
        const bool own = m[0].role == OPS_CHAT_SYSTEM;
        system_llama3(o, own ? m[0].text : OPS_SLICE(""), options);
        i = own;
    }
    for (; i < n; i++) {
        if (m[i].role == OPS_CHAT_TOOL)
            return ops_fail(reterr, OPS_EUNIMPL, "message %zu: answers of tools are not built for Llama 3",
                            i);
        open_llama3(o, role_name(m[i].role));
        put(o, trim(m[i].text), false);
        mark(o, "<|eot_id|>");
    }
    if (options->answer)
        open_llama3(o, "assistant");
    return OPS_OK;
}

/* --- Gemma and Mistral: a system message goes elsewhere, and roles alternate --- */
static ops_status check_order(const ops_chat *c, const ops_chat_message *m, size_t n, ops_err *reterr)
{
    for (size_t i = 0; i < n; i++) {
        if (m[i].role != OPS_CHAT_USER && m[i].role != OPS_CHAT_ASSISTANT && m[i].role != OPS_CHAT_SYSTEM)
            return ops_fail(reterr, OPS_EUNIMPL,
                            "message %zu: answers of tools are not built for this chat template", i);
        if (c->alternates && (m[i].role == OPS_CHAT_USER) != (i % 2 == 0))
            return ops_fail(reterr, OPS_EINVAL,
                            "message %zu: after a system message, user and assistant must alternate", i);
        if (m[i].role == OPS_CHAT_SYSTEM && c->family == OPS_CHAT_MISTRAL && c->system != OPS_CHAT_OWN_TURN)
            return ops_fail(reterr, OPS_EINVAL, "message %zu: a system message may only be the first", i);
    }
    return OPS_OK;
}

/* Takes a system message off the front. */
static ops_status take_system(const ops_chat *c, const ops_chat_message **m, size_t *n, const ops_slice **ret,
                              ops_err *reterr)
{
    *ret = NULL;
    if ((*m)[0].role != OPS_CHAT_SYSTEM)
        return OPS_OK;
    if (c->system == OPS_CHAT_REFUSED)
        return ops_fail(reterr, OPS_EINVAL, "message 0: this chat template has no system message");
    if (c->system != OPS_CHAT_OWN_TURN || c->alternates || c->default_needed) {
        *ret = &(*m)[0].text;
        (*m)++;
        (*n)--;
    }
    return OPS_OK;
}

static ops_status gemma(out *o, const ops_chat_message *m, size_t n, const ops_chat_options *options,
                        ops_err *reterr)
{
    const ops_slice *system;
    ops_status st = take_system(o->c, &m, &n, &system, reterr);
    if (st == OPS_OK)
        st = check_order(o->c, m, n, reterr);
    for (size_t i = 0; i < n && st == OPS_OK; i++) {
        mark(o, "<start_of_turn>");
        text(o, m[i].role == OPS_CHAT_ASSISTANT ? "model" : role_name(m[i].role));
        text(o, "\n");
        if (i == 0 && system != NULL) {
            put(o, *system, false);
            text(o, "\n\n");
        }
        put(o, trim(m[i].text), false);
        mark(o, "<end_of_turn>");
        text(o, "\n");
    }
    if (st == OPS_OK && options->answer) {
        mark(o, "<start_of_turn>");
        text(o, "model\n");
    }
    return st;
}

static void system_mistral(out *o, ops_slice said)
{
    mark(o, "[SYSTEM_PROMPT]");
    text(o, o->c->space_system ? " " : "");
    put(o, said, false);
    mark(o, "[/SYSTEM_PROMPT]");
}

static void user_mistral(out *o, const ops_slice *system, ops_slice said)
{
    text(o, o->c->space_before ? " " : "");
    mark(o, "[INST]");
    text(o, o->c->space_inside ? " " : "");
    if (system != NULL) {
        put(o, *system, false);
        text(o, "\n\n");
    }
    put(o, said, false);
    text(o, o->c->space_end ? " " : "");
    mark(o, "[/INST]");
}

static ops_status mistral(out *o, const ops_chat_message *m, size_t n, ops_err *reterr)
{
    const ops_chat *c = o->c;
    const ops_slice *system;
    ops_status st = take_system(c, &m, &n, &system, reterr);
    if (st == OPS_OK && system == NULL && c->default_needed)
        return ops_fail(
            reterr, OPS_EINVAL,
            "this chat template needs a system message: its own changes with the day and is not built");
    if (st == OPS_OK)
        st = check_order(c, m, n, reterr);
    if (st == OPS_OK && system != NULL && c->system == OPS_CHAT_OWN_TURN)
        system_mistral(o, *system);
    for (size_t i = 0; i < n && st == OPS_OK; i++) {
        if (m[i].role == OPS_CHAT_SYSTEM)
            system_mistral(o, m[i].text);
        else if (m[i].role == OPS_CHAT_USER) {
            const bool here = (c->system == OPS_CHAT_FIRST_USER && i == 0) ||
                              (c->system == OPS_CHAT_LAST_USER && i + 1 == n);
            user_mistral(o, here ? system : NULL, m[i].text);
        } else {
            text(o, c->space_answer ? " " : "");
            put(o, c->trim_answer ? trim(m[i].text) : m[i].text, false);
            mark(o, c->eos);
        }
    }
    return st;
}

static ops_status write_prompt(out *o, const ops_chat_message *m, size_t n, const ops_chat_options *options,
                               ops_err *reterr)
{
    if (o->c->writes_bos)
        mark(o, o->c->bos);
    switch (o->c->family) {
    case OPS_CHAT_CHATML:
        return chatml(o, m, n, options, reterr);
    case OPS_CHAT_LLAMA3:
        return llama3(o, m, n, options, reterr);
    case OPS_CHAT_GEMMA:
        return gemma(o, m, n, options, reterr);
    case OPS_CHAT_MISTRAL:
        break;
    }
    return mistral(o, m, n, reterr);
}

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

/* The messages with texts that are UTF-8, in one buffer. */
static ops_status clean(const ops_chat_message *m, size_t n, ops_strbuf *buffer, ops_chat_message *ret,
                        ops_err *reterr)
{
    for (size_t i = 0; i < n; i++) {
        const size_t at = buffer->n;
        ops_tok_clean(buffer, m[i].text, NULL);
        ret[i] = (ops_chat_message){m[i].role, ops_slice_of(NULL, buffer->n - at)};
    }
    if (buffer->failed)
        return ops_fail(reterr, buffer->n > OPS_CHAT_PROMPT_MAX / 2 ? OPS_ETOOBIG : OPS_ENOMEM,
                        "%zu messages, at most %d bytes are rendered", n, OPS_CHAT_PROMPT_MAX);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        ret[i].text.p = buffer->p != NULL ? buffer->p + at : "";
        at += ret[i].text.n;
    }
    return OPS_OK;
}

ops_status ops_chat_render(const ops_chat *c, const ops_chat_message *m, size_t n, ops_chat_options options,
                           ops_chat_prompt *p, ops_err *reterr)
{
    ops_strbuf_clear(&p->text);
    p->n = 0;
    if (n == 0 || n > OPS_CHAT_MESSAGES_MAX)
        return ops_fail(reterr, OPS_EINVAL, "%zu messages, 1 to %d are rendered", n, OPS_CHAT_MESSAGES_MAX);
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        if (m[i].text.n > OPS_CHAT_PROMPT_MAX - bytes)
            return ops_fail(reterr, OPS_ETOOBIG, "message %zu: more than %d bytes in all", i,
                            OPS_CHAT_PROMPT_MAX);
        bytes += m[i].text.n;
    }
    OPS_AUTO(ops_free) void *copies = ops_calloc(n, sizeof(ops_chat_message));
    if (copies == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "%zu messages", n);
    ops_strbuf buffer;
    ops_strbuf_init(&buffer, OPS_CHAT_PROMPT_MAX);
    out o = {c, p, false};
    ops_status st = clean(m, n, &buffer, copies, reterr);
    if (st == OPS_OK)
        st = write_prompt(&o, copies, n, &options, reterr);
    ops_strbuf_done(&buffer);
    if (st == OPS_OK && (o.failed || p->text.failed))
        st = ops_fail(reterr, p->text.n > OPS_CHAT_PROMPT_MAX / 2 ? OPS_ETOOBIG : OPS_ENOMEM,
                      "a prompt of %zu messages, at most %d bytes", n, OPS_CHAT_PROMPT_MAX);
    if (st != OPS_OK) {
        ops_strbuf_clear(&p->text);
        p->n = 0;
    }
    return st;
}

/* The first Mistral models have no tokens for [INST]: there it is text, joined with what stands around it. */
static bool may_be_text(ops_slice name)
{
    return ops_slice_eq(name, OPS_SLICE("[INST]")) || ops_slice_eq(name, OPS_SLICE("[/INST]"));
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
            st = ops_tokenizer_encode(t, waiting, first ? 0 : OPS_TOKENIZER_INSIDE, ids, reterr);
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
