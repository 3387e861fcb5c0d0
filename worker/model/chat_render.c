/* Writing a prompt, one function a family. */
#include "base/coll/vec.h"
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

ops_status ops_chat_write(const ops_chat *c, const ops_chat_message *m, size_t n,
                          const ops_chat_options *options, ops_chat_prompt *p, ops_err *reterr)
{
    out o = {c, p, false};
    ops_status st = OPS_OK;
    if (c->writes_bos)
        mark(&o, c->bos);
    switch (c->family) {
    case OPS_CHAT_CHATML:
        st = chatml(&o, m, n, options, reterr);
        break;
    case OPS_CHAT_LLAMA3:
        st = llama3(&o, m, n, options, reterr);
        break;
    case OPS_CHAT_GEMMA:
        st = gemma(&o, m, n, options, reterr);
        break;
    case OPS_CHAT_MISTRAL:
        st = mistral(&o, m, n, reterr);
        break;
    }
    if (st == OPS_OK && (o.failed || p->text.failed))
        st = ops_fail(reterr, p->text.n > OPS_CHAT_PROMPT_MAX / 2 ? OPS_ETOOBIG : OPS_ENOMEM,
                      "a prompt of %zu messages, at most %d bytes", n, OPS_CHAT_PROMPT_MAX);
    return st;
}
