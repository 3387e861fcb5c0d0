/* An answer, found in one piece and in pieces of the first bytes' choosing: the same text and the same calls. The bytes 1 to 4 are
 * marks that came as control tokens. */
#include <stdlib.h>

#include "tests/support/tool_kinds.h"
#include "worker/model/json_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ops_chat_tool tools[] = {{OPS_SLICE("disk"), OPS_SLICE(""), OPS_SLICE("")},
                                      {OPS_SLICE("a"), OPS_SLICE(""), OPS_SLICE("")}};
static ops_chat *chats[TOOL_KINDS];
static ops_tokenizer *tokenizers[TOOL_KINDS];

static int32_t control(tool_kind k, char c)
{
    static const char *const names[] = {"", "<tool_call>", "</tool_call>", "[CALL_ID]", "[ARGS]"};
    const char *name = c != 1                          ? names[(int)c]
                       : k == TOOL_KIND_OBJECT         ? "<|python_tag|>"
                       : k <= TOOL_KIND_TAGGED_CONTROL ? names[1]
                                                       : "[TOOL_CALLS]";
    return ops_tokenizer_find(tokenizers[k], ops_slice_str(name));
}

static void hear(const ops_tool_found *f, ops_strbuf *text, ops_strbuf *calls)
{
    ops_strbuf_slice(text, f->text);
    for (size_t i = 0; i < f->n_calls; i++) {
        if (ops_json_text_check(f->calls[i].arguments, NULL) != OPS_OK ||
            (!ops_slice_eq(f->calls[i].name, tools[0].name) &&
             !ops_slice_eq(f->calls[i].name, tools[1].name)))
            abort();
        ops_strbuf_slice(calls, f->calls[i].name);
        ops_strbuf_slice(calls, f->calls[i].arguments);
    }
}

static void find(tool_kind k, bool call, ops_slice s, size_t step, ops_strbuf *text, ops_strbuf *calls)
{
    const ops_tools_plan p = {.tools = tools, .n_tools = 2, .call = call, .call_name = tools[0].name};
    ops_tool_finder *f = NULL;
    ops_tool_found found;
    if (ops_tool_finder_new(chats[k], tokenizers[k], &p, &f, NULL) != OPS_OK)
        abort();
    const size_t whole = s.n;
    while (s.n > 0) {
        size_t n = 0;
        while (n < s.n && n < step && (s.p[n] > 4 || s.p[n] <= 0))
            n++;
        const bool mark = n < s.n && s.p[n] > 0 && s.p[n] <= 4;
        if (ops_tool_finder_put(f, mark ? control(k, s.p[n]) : -1, ops_slice_sub(s, 0, n), &found, NULL) !=
            OPS_OK)
            abort();
        hear(&found, text, calls);
        s = ops_slice_sub(s, n + mark, s.n);
    }
    if (ops_tool_finder_end(f, &found, NULL) != OPS_OK)
        abort();
    hear(&found, text, calls);
    if (text->n > whole)
        abort();
    ops_tool_finder_free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int k = 0; k < TOOL_KINDS && chats[k] == NULL; k++)
        if ((chats[k] = tool_chat((tool_kind)k)) == NULL ||
            (tokenizers[k] = tool_tokenizer((tool_kind)k)) == NULL)
            abort();
    if (size < 2)
        return 0;
    const tool_kind k = (tool_kind)(data[0] % TOOL_KINDS);
    const ops_slice s = ops_slice_of(data + 2, size - 2);
    ops_strbuf text[2], calls[2];
    for (int i = 0; i < 2; i++) {
        ops_strbuf_init(&text[i], 1 << 24);
        ops_strbuf_init(&calls[i], 1 << 24);
        find(k, data[0] >= 128, s, i == 0 ? SIZE_MAX : 1 + (size_t)data[1] % 16, &text[i], &calls[i]);
    }
    if (!ops_slice_eq(ops_strbuf_get(&text[0]), ops_strbuf_get(&text[1])) ||
        !ops_slice_eq(ops_strbuf_get(&calls[0]), ops_strbuf_get(&calls[1])))
        abort();
    for (int i = 0; i < 2; i++) {
        ops_strbuf_done(&text[i]);
        ops_strbuf_done(&calls[i]);
    }
    return 0;
}
