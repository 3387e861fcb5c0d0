/* Recognising a template: the marks it writes give the family, its expressions the variant. Formats: the models' own
 * tokenizer_config.json (SmolLM2, Qwen2.5, Qwen3, Llama 3 to 3.3, Gemma 1 to 3, Mistral v1 to v7). */
#include "worker/model/chat.h"

#include "base/mem/alloc.h"
#include "base/text/hash.h"
#include "worker/model/chat_internal.h"

static bool has(ops_slice s, const char *part)
{
    return ops_slice_find(s, ops_slice_str(part)) >= 0;
}

static ops_status unbuilt(ops_slice jinja, const char *what, ops_err *reterr)
{
    return ops_fail(reterr, OPS_EUNIMPL, "chat template of %zu bytes (%016llx): %s is not built", jinja.n,
                    (unsigned long long)ops_hash64(jinja.p, jinja.n, 0), what);
}

/* What stands between `open` and `close`, the escapes of a Jinja string taken back. NULL when it is not there; *ret_ok false
 * when the heap is out. */
static char *between(ops_slice s, const char *open, const char *close, bool *ret_ok)
{
    const ptrdiff_t at = ops_slice_find(s, ops_slice_str(open));
    if (at < 0)
        return NULL;
    const ops_slice rest = ops_slice_sub(s, (size_t)at + strlen(open), s.n);
    const ptrdiff_t end = ops_slice_find(rest, ops_slice_str(close));
    if (end < 0)
        return NULL;
    char *copy = ops_strndup(rest.p, (size_t)end);
    *ret_ok = *ret_ok && copy != NULL;
    size_t n = 0;
    for (size_t i = 0; copy != NULL && i < (size_t)end; i++) {
        const bool escape = copy[i] == '\\' && i + 1 < (size_t)end;
        i += escape;
        copy[n++] = escape && copy[i] == 'n' ? '\n' : copy[i];
    }
    if (copy != NULL)
        copy[n] = '\0';
    return copy;
}

/* The system message that the template writes by itself: text right after the mark, not the end of a Jinja string. One that
 * can not be read to its end, or that stands elsewhere, must not be left out silently. */
static ops_status read_default(ops_slice jinja, ops_chat *c, ops_err *reterr)
{
    static const char *const opens[] = {"<|im_start|>system\\n", "<|im_start|>system\n"};
    bool ok = true;
    for (size_t i = 0; i < 2; i++) {
        ops_slice rest = jinja;
        for (ptrdiff_t at;
             c->default_system == NULL && (at = ops_slice_find(rest, ops_slice_str(opens[i]))) >= 0;) {
            rest = ops_slice_sub(rest, (size_t)at + strlen(opens[i]), rest.n);
            if (rest.n == 0 || rest.p[0] == '\'' || rest.p[0] == '"')
                continue;
            c->default_system = between(rest, "", "<|im_end|>", &ok);
            if (!ok)
                return ops_fail(reterr, OPS_ENOMEM, "chat template");
            if (c->default_system == NULL || strpbrk(c->default_system, "'\"{}") != NULL)
                return unbuilt(jinja, "this system message of its own", reterr);
        }
    }
    if (c->default_system == NULL && (has(jinja, "!= 'system'") || has(jinja, "!= \"system\"")))
        return unbuilt(jinja, "a system message of its own in this place", reterr);
    return OPS_OK;
}

static ops_status read_chatml(ops_slice jinja, ops_chat *c, ops_err *reterr)
{
    static const char *const others[] = {
        "<|im_sep|>", "macro ",   "strftime_now",   "| trim",
        "|trim",      ".strip()", "reasoning_mode", "enable_thinking is undefined"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (has(jinja, others[i]))
            return unbuilt(jinja, others[i], reterr);
    c->family = OPS_CHAT_CHATML;
    c->tools = has(jinja, "<tool_response>");
    c->describes = c->tools && has(jinja, "# Tools\\n\\n" OPS_CHAT_QWEN_USE) &&
                   has(jinja, OPS_CHAT_QWEN_LIST) && has(jinja, OPS_CHAT_QWEN_CALL);
    c->thinking = has(jinja, "</think>");
    c->thinking_off = has(jinja, "enable_thinking");
    if (c->thinking && !has(jinja, "loop.last or (not loop.last and reasoning_content)"))
        return unbuilt(jinja, "this handling of thoughts", reterr);
    if (c->thinking && has(jinja, "assistant\\n<think>\\n' }}"))
        return unbuilt(jinja, "an answer that must start with thoughts", reterr);
    if (!has(jinja, "add_generation_prompt") || has(jinja, "raise_exception"))
        return unbuilt(jinja, "ChatML without add_generation_prompt or with exceptions", reterr);
    return read_default(jinja, c, reterr);
}

static ops_status read_llama3(ops_slice jinja, ops_chat *c, ops_err *reterr)
{
    bool ok = true;
    c->family = OPS_CHAT_LLAMA3;
    c->dated = has(jinja, "Today Date: ");
    if (!has(jinja, "trim") || has(jinja, "macro ") || (!c->dated && has(jinja, "functions")) ||
        (c->dated && !has(jinja, "Cutting Knowledge Date: December 2023\\n")))
        return unbuilt(jinja, "this variant of Llama 3", reterr);
    c->tools = c->describes = c->dated && has(jinja, "Environment: ipython\\n") &&
                              has(jinja, "set tools_in_user_message = true") &&
                              has(jinja, OPS_CHAT_LLAMA_LIST) && has(jinja, OPS_CHAT_LLAMA_BEST) &&
                              has(jinja, OPS_CHAT_LLAMA_FORM) && has(jinja, OPS_CHAT_LLAMA_VARS);
    c->date = between(jinja, "set date_string = \"", "\"", &ok);
    if (!ok)
        return ops_fail(reterr, OPS_ENOMEM, "chat template");
    return c->dated && c->date == NULL ? unbuilt(jinja, "Llama 3 without a date", reterr) : OPS_OK;
}

static ops_status read_gemma(ops_slice jinja, ops_chat *c, ops_err *reterr)
{
    c->family = OPS_CHAT_GEMMA;
    c->alternates = has(jinja, "raise_exception") && has(jinja, "% 2 == 0");
    if (has(jinja, "System role not supported"))
        c->system = OPS_CHAT_REFUSED;
    else if (has(jinja, "first_user_prefix") && has(jinja, "+ '\\n\\n'"))
        c->system = OPS_CHAT_FIRST_USER;
    else
        return unbuilt(jinja, "this variant of Gemma", reterr);
    return has(jinja, "trim") && has(jinja, "model") ? OPS_OK : unbuilt(jinja, "Gemma without trim", reterr);
}

static void read_mistral_tools(ops_slice jinja, ops_chat *c)
{
    c->calls_args = has(jinja, "[ARGS]");
    c->call_ids = has(jinja, "[CALL_ID]");
    c->tools_first = !has(jinja, "user_messages[-1]");
    c->tools = c->describes = has(jinja, "[AVAILABLE_TOOLS]") && has(jinja, "[TOOL_CALLS]") &&
                              has(jinja, "[TOOL_RESULTS]") && (c->calls_args || !c->tools_first);
    c->tools_first = c->tools && c->tools_first;
    c->says_and_calls = c->calls_args && !has(jinja, "message['content'] + eos_token");
    c->space_tools = has(jinja, "[AVAILABLE_TOOLS] [");
    c->space_calls = has(jinja, "[TOOL_CALLS] [");
    c->space_results = has(jinja, "[TOOL_RESULTS] {");
}

static ops_status read_mistral(ops_slice jinja, ops_chat *c, ops_err *reterr)
{
    c->family = OPS_CHAT_MISTRAL;
    if (has(jinja, "<<SYS>>"))
        return unbuilt(jinja, "Llama 2", reterr);
    if (has(jinja, "[MODEL_SETTINGS]") || has(jinja, "[THINK]") || has(jinja, "macro "))
        return unbuilt(jinja, "this variant of Mistral", reterr);
    c->alternates = has(jinja, "% 2 == 0");
    c->space_before = has(jinja, "' [INST]") || has(jinja, "\" [INST]");
    c->space_inside = has(jinja, "[INST] ");
    c->space_end = has(jinja, " [/INST]");
    c->space_answer = has(jinja, "\" \" + message") || has(jinja, "' ' + message");
    c->trim_answer = has(jinja, "trim + eos_token") || has(jinja, "trim + eos");
    c->space_system = has(jinja, "[SYSTEM_PROMPT] ");
    c->default_needed = has(jinja, "default_system_message");
    read_mistral_tools(jinja, c);
    if (has(jinja, "[SYSTEM_PROMPT]"))
        c->system = OPS_CHAT_OWN_TURN;
    else if (has(jinja, "loop.first and system_message"))
        c->system = OPS_CHAT_FIRST_USER;
    else if (has(jinja, "loop.last and system_message"))
        c->system = OPS_CHAT_LAST_USER;
    else if (!has(jinja, "system"))
        c->system = OPS_CHAT_REFUSED;
    else if (has(jinja, "Only user and assistant roles are supported!"))
        c->system = OPS_CHAT_REFUSED;
    else
        return unbuilt(jinja, "this place of a system message", reterr);
    return has(jinja, "eos_token") ? OPS_OK : unbuilt(jinja, "Mistral without an end of turn", reterr);
}

static ops_status recognise(ops_slice jinja, ops_chat *c, ops_err *reterr)
{
    c->writes_bos = has(jinja, "bos_token");
    if (has(jinja, "<|start_header_id|>") && has(jinja, "<|eot_id|>"))
        return read_llama3(jinja, c, reterr);
    if (has(jinja, "<|im_start|>") && has(jinja, "<|im_end|>"))
        return read_chatml(jinja, c, reterr);
    if (has(jinja, "<start_of_turn>") && has(jinja, "<end_of_turn>"))
        return read_gemma(jinja, c, reterr);
    if (has(jinja, "[INST]") && has(jinja, "[/INST]"))
        return read_mistral(jinja, c, reterr);
    return unbuilt(jinja, "a family without the marks of ChatML, Llama 3, Gemma or Mistral", reterr);
}

ops_status ops_chat_new(ops_slice jinja, ops_slice bos, ops_slice eos, ops_chat **ret, ops_err *reterr)
{
    if (jinja.n > OPS_CHAT_TEMPLATE_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "chat template of %zu bytes, at most %d are read", jinja.n,
                        OPS_CHAT_TEMPLATE_MAX);
    OPS_AUTO(ops_chat_free) ops_chat *c = ops_calloc(1, sizeof *c);
    if (c == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "chat template");
    const ops_status st = recognise(jinja, c, reterr);
    if (st != OPS_OK)
        return st;
    const bool wants_eos = c->family == OPS_CHAT_MISTRAL;
    if ((c->writes_bos && bos.n == 0) || (wants_eos && eos.n == 0))
        return ops_fail(reterr, OPS_ECORRUPT, "chat template: it writes a %s token and the model names none",
                        wants_eos && eos.n == 0 ? "eos" : "bos");
    c->bos = c->writes_bos ? ops_strndup(bos.p, bos.n) : NULL;
    c->eos = wants_eos ? ops_strndup(eos.p, eos.n) : NULL;
    if ((c->writes_bos && c->bos == NULL) || (wants_eos && c->eos == NULL))
        return ops_fail(reterr, OPS_ENOMEM, "chat template");
    *ret = OPS_STEAL(c);
    return OPS_OK;
}

ops_status ops_chat_from_gguf(const ops_gguf *g, const ops_tokenizer *t, ops_chat **ret, ops_err *reterr)
{
    ops_slice jinja;
    if (!ops_gguf_text(g, "tokenizer.chat_template", &jinja))
        return ops_fail(reterr, OPS_ENOTFOUND, "the model brings no chat template");
    return ops_chat_new(jinja, ops_tokenizer_piece(t, ops_tokenizer_bos(t)),
                        ops_tokenizer_piece(t, ops_tokenizer_eos(t)), ret, reterr);
}

void ops_chat_free(ops_chat *c)
{
    if (c == NULL)
        return;
    ops_free(c->bos);
    ops_free(c->eos);
    ops_free(c->default_system);
    ops_free(c->date);
    ops_free(c);
}

const char *ops_chat_name(const ops_chat *c)
{
    static const char *const names[] = {[OPS_CHAT_CHATML] = "chatml",
                                        [OPS_CHAT_LLAMA3] = "llama3",
                                        [OPS_CHAT_GEMMA] = "gemma",
                                        [OPS_CHAT_MISTRAL] = "mistral"};
    return names[c->family];
}

ops_chat_calls ops_chat_calls_form(const ops_chat *c)
{
    if (c->tools && c->family == OPS_CHAT_LLAMA3)
        return OPS_CHAT_CALLS_OBJECT;
    if (c->tools && c->family == OPS_CHAT_MISTRAL)
        return c->calls_args ? OPS_CHAT_CALLS_ARGS : OPS_CHAT_CALLS_LIST;
    return OPS_CHAT_CALLS_TAGGED;
}

bool ops_chat_native_tools(const ops_chat *c)
{
    return c->describes;
}
