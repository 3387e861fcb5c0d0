/* Writing a prompt, one function a family. */
#include "worker/model/chat_internal.h"
#include "worker/model/tok_internal.h"

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
static void open_chatml(ops_chat_out *o, const char *role)
{
    ops_chat_mark(o, "<|im_start|>");
    ops_chat_text(o, role);
    ops_chat_text(o, "\n");
}

static void close_chatml(ops_chat_out *o)
{
    ops_chat_mark(o, "<|im_end|>");
    ops_chat_text(o, "\n");
}

/* Answers of tools stand one after the other in one turn of the user. */
static void tool_chatml(ops_chat_out *o, const ops_chat_message *m, size_t n, size_t i)
{
    if (i == 0 || m[i - 1].role != OPS_CHAT_TOOL) {
        ops_chat_mark(o, "<|im_start|>");
        ops_chat_text(o, "user");
    }
    ops_chat_words(o, "\n<tool_response>\n");
    ops_chat_put(o, m[i].text, false);
    ops_chat_words(o, "\n</tool_response>");
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

/* True when the template takes it that something was said. */
static bool thoughts(ops_chat_out *o, ops_slice said, bool after_question, bool last)
{
    const ops_slice end = OPS_SLICE("</think>");
    ops_slice thought = {0};
    if (ops_slice_find(said, end) >= 0) {
        thought = strip_lines(before_first(said, end), false, true);
        thought = strip_lines(after_last(thought, OPS_SLICE("<think>")), true, false);
        said = strip_lines(after_last(said, end), true, false);
    }
    const bool any = said.n > 0;
    if (after_question && (last || thought.n > 0)) {
        ops_chat_text(o, "<think>\n");
        ops_chat_put(o, strip_lines(thought, true, true), false);
        ops_chat_text(o, "\n</think>\n\n");
        said = strip_lines(said, true, false);
    }
    ops_chat_put(o, said, false);
    return any;
}

static void system_chatml(ops_chat_out *o, const ops_slice *said, const ops_chat_options *options)
{
    open_chatml(o, "system");
    if (said != NULL)
        ops_chat_put(o, *said, false);
    else if (o->c->default_system != NULL)
        ops_chat_text(o, o->c->default_system);
    if (options->n_tools > 0) {
        ops_chat_text(o, said != NULL || o->c->default_system != NULL ? "\n\n" : "");
        ops_chat_tools_chatml(o, options);
    }
    close_chatml(o);
}

static void chatml(ops_chat_out *o, const ops_chat_message *m, size_t n, const ops_chat_options *options)
{
    const ops_chat *c = o->c;
    const bool own = m[0].role == OPS_CHAT_SYSTEM;
    if (own || c->default_system != NULL || options->n_tools > 0)
        system_chatml(o, own ? &m[0].text : NULL, options);
    const size_t question = last_question(m, n);
    for (size_t i = own; i < n; i++) {
        if (m[i].role == OPS_CHAT_TOOL) {
            tool_chatml(o, m, n, i);
            continue;
        }
        bool said = m[i].text.n > 0;
        open_chatml(o, role_name(m[i].role));
        if (c->thinking && m[i].role == OPS_CHAT_ASSISTANT)
            said = thoughts(o, m[i].text, i > question, i + 1 == n);
        else
            ops_chat_put(o, m[i].text, false);
        ops_chat_calls_chatml(o, &m[i], said);
        close_chatml(o);
    }
    if (options->answer) {
        open_chatml(o, "assistant");
        if (c->thinking_off && (options->no_thinking || options->call))
            ops_chat_text(o, "<think>\n\n</think>\n\n");
    }
}

/* --- Llama 3 --- */
static void open_llama3(ops_chat_out *o, const char *role)
{
    ops_chat_mark(o, "<|start_header_id|>");
    ops_chat_text(o, role);
    ops_chat_mark(o, "<|end_header_id|>");
    ops_chat_text(o, "\n\n");
}

static void system_llama3(ops_chat_out *o, ops_slice said, const ops_chat_options *options)
{
    open_llama3(o, "system");
    ops_chat_text(o, options->n_tools > 0 ? "Environment: ipython\n" : "");
    ops_chat_text(o, "Cutting Knowledge Date: December 2023\nToday Date: ");
    ops_chat_put(o, options->date.p != NULL ? options->date : ops_slice_str(o->c->date), false);
    ops_chat_text(o, "\n\n");
    ops_chat_put(o, trim(said), false);
    ops_chat_mark(o, "<|eot_id|>");
}

static ops_status llama3(ops_chat_out *o, const ops_chat_message *m, size_t n,
                         const ops_chat_options *options, ops_err *reterr)
{
    size_t i = 0;
    if (o->c->dated) {
        const bool own = m[0].role == OPS_CHAT_SYSTEM;
        system_llama3(o, own ? m[0].text : OPS_SLICE(""), options);
        i = own;
    }
    if (options->n_tools > 0) {
        if (i == n)
            return ops_fail(reterr, OPS_EINVAL,
                            "tools stand in the first message of the user: there is none");
        open_llama3(o, "user");
        ops_chat_tools_llama3(o, options);
        ops_chat_put(o, trim(m[i++].text), false);
        ops_chat_mark(o, "<|eot_id|>");
    }
    for (; i < n; i++) {
        if (m[i].n_calls > 1)
            return ops_fail(reterr, OPS_EINVAL, "message %zu: this chat template has one call at a time", i);
        open_llama3(o, m[i].role == OPS_CHAT_TOOL ? "ipython" : role_name(m[i].role));
        if (m[i].role == OPS_CHAT_TOOL)
            ops_chat_quoted(o, m[i].text);
        else if (m[i].n_calls == 1)
            ops_chat_call_llama3(o, &m[i].calls[0]);
        else
            ops_chat_put(o, trim(m[i].text), false);
        ops_chat_mark(o, "<|eot_id|>");
    }
    if (options->answer)
        open_llama3(o, "assistant");
    return OPS_OK;
}

/* --- Gemma and Mistral: a system message goes elsewhere, and roles alternate --- */
/* Calls and answers of tools stand between the others and are not counted. */
static ops_status check_order(const ops_chat *c, const ops_chat_message *m, size_t n, ops_err *reterr)
{
    size_t turn = 0;
    for (size_t i = 0; i < n; i++) {
        if (m[i].role == OPS_CHAT_TOOL || m[i].n_calls > 0)
            continue;
        if (c->alternates && (m[i].role == OPS_CHAT_USER) != (turn++ % 2 == 0))
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
    if (c->system != OPS_CHAT_OWN_TURN || c->alternates || c->default_needed || c->tools_first) {
        *ret = &(*m)[0].text;
        (*m)++;
        (*n)--;
    }
    return OPS_OK;
}

static ops_status gemma(ops_chat_out *o, const ops_chat_message *m, size_t n, const ops_chat_options *options,
                        ops_err *reterr)
{
    const ops_slice *system;
    ops_status st = take_system(o->c, &m, &n, &system, reterr);
    if (st == OPS_OK)
        st = check_order(o->c, m, n, reterr);
    for (size_t i = 0; i < n && st == OPS_OK; i++) {
        ops_chat_mark(o, "<start_of_turn>");
        ops_chat_text(o, m[i].role == OPS_CHAT_ASSISTANT ? "model" : role_name(m[i].role));
        ops_chat_text(o, "\n");
        if (i == 0 && system != NULL) {
            ops_chat_put(o, *system, false);
            ops_chat_text(o, "\n\n");
        }
        ops_chat_put(o, trim(m[i].text), false);
        ops_chat_mark(o, "<end_of_turn>");
        ops_chat_text(o, "\n");
    }
    if (st == OPS_OK && options->answer) {
        ops_chat_mark(o, "<start_of_turn>");
        ops_chat_text(o, "model\n");
    }
    return st;
}

static void system_mistral(ops_chat_out *o, ops_slice said)
{
    ops_chat_mark(o, "[SYSTEM_PROMPT]");
    ops_chat_text(o, o->c->space_system ? " " : "");
    ops_chat_put(o, said, false);
    ops_chat_mark(o, "[/SYSTEM_PROMPT]");
}

static void user_mistral(ops_chat_out *o, const ops_slice *system, ops_slice said)
{
    ops_chat_text(o, o->c->space_before ? " " : "");
    ops_chat_mark(o, "[INST]");
    ops_chat_text(o, o->c->space_inside ? " " : "");
    if (system != NULL) {
        ops_chat_put(o, *system, false);
        ops_chat_text(o, "\n\n");
    }
    ops_chat_put(o, said, false);
    ops_chat_text(o, o->c->space_end ? " " : "");
    ops_chat_mark(o, "[/INST]");
}

/* The definitions stand before the last message of the user, and before those that say the same. */
static bool tools_here(const ops_chat_message *m, size_t n, size_t i)
{
    size_t last = n - 1;
    while (last > i && m[last].role != OPS_CHAT_USER)
        last--;
    return m[i].role == OPS_CHAT_USER && ops_slice_eq(m[i].text, m[last].text);
}

static void said_mistral(ops_chat_out *o, ops_slice said)
{
    ops_chat_text(o, o->c->space_answer ? " " : "");
    ops_chat_put(o, o->c->trim_answer ? trim(said) : said, false);
    ops_chat_mark(o, o->c->eos);
}

static void turn_mistral(ops_chat_out *o, const ops_chat_message *m, size_t n, size_t i,
                         const ops_slice *system, const ops_chat_options *options)
{
    const ops_chat *c = o->c;
    const bool here =
        (c->system == OPS_CHAT_FIRST_USER && i == 0) || (c->system == OPS_CHAT_LAST_USER && i + 1 == n);
    if (options->n_tools > 0 && !c->tools_first && tools_here(m, n, i))
        ops_chat_tools_mistral(o, options);
    if (m[i].role == OPS_CHAT_SYSTEM)
        system_mistral(o, m[i].text);
    else if (m[i].role == OPS_CHAT_USER)
        user_mistral(o, here ? system : NULL, m[i].text);
    else if (m[i].role == OPS_CHAT_TOOL)
        ops_chat_result_mistral(o, &m[i]);
    else if (m[i].n_calls > 0)
        ops_chat_calls_mistral(o, &m[i]);
    else
        said_mistral(o, m[i].text);
}

static ops_status mistral(ops_chat_out *o, const ops_chat_message *m, size_t n,
                          const ops_chat_options *options, ops_err *reterr)
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
    if (st == OPS_OK && options->n_tools > 0 && c->tools_first)
        ops_chat_tools_mistral(o, options);
    for (size_t i = 0; i < n && st == OPS_OK; i++)
        turn_mistral(o, m, n, i, system, options);
    return st;
}

ops_status ops_chat_write(const ops_chat *c, const ops_chat_message *m, size_t n,
                          const ops_chat_options *options, ops_chat_prompt *p, ops_err *reterr)
{
    ops_chat_out o = {.c = c, .p = p};
    ops_status st = OPS_OK;
    ops_strbuf_init(&o.json, OPS_CHAT_PROMPT_MAX);
    if (c->writes_bos)
        ops_chat_mark(&o, c->bos);
    switch (c->family) {
    case OPS_CHAT_CHATML:
        chatml(&o, m, n, options);
        break;
    case OPS_CHAT_LLAMA3:
        st = llama3(&o, m, n, options, reterr);
        break;
    case OPS_CHAT_GEMMA:
        st = gemma(&o, m, n, options, reterr);
        break;
    case OPS_CHAT_MISTRAL:
        st = mistral(&o, m, n, options, reterr);
        break;
    }
    if (st == OPS_OK && options->answer && options->call)
        st = ops_chat_begin_call(&o, options, reterr);
    ops_strbuf_done(&o.json);
    if (st == OPS_OK && (o.failed || p->text.failed))
        st = ops_fail(reterr, p->text.n > OPS_CHAT_PROMPT_MAX / 2 ? OPS_ETOOBIG : OPS_ENOMEM,
                      "a prompt of %zu messages, at most %d bytes", n, OPS_CHAT_PROMPT_MAX);
    return st;
}
