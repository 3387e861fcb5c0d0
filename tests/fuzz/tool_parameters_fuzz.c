/* A tool's parameters from a client, in a prompt and in the form of a call: refused with a reason, or texts can be begun under
 * the form and found to be calls. The first byte chooses the family, the second the choice. */
#include "tests/support/grammar_fuzz.h"
#include "tests/support/tool_kinds.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void render(const ops_chat *c, const ops_tools_plan *p)
{
    const ops_chat_message m = {.role = OPS_CHAT_USER, .text = OPS_SLICE("q")};
    const ops_chat_options options = {.answer = true, .tools = p->tools, .n_tools = p->n_tools};
    ops_chat_prompt prompt;
    ops_chat_prompt_init(&prompt);
    if (ops_chat_render(c, &m, 1, options, &prompt, NULL) != OPS_OK || prompt.text.n < p->tools[0].name.n)
        __builtin_trap(); /* the plan has looked at it */
    ops_chat_prompt_done(&prompt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ops_chat *chats[TOOL_KINDS];
    static ops_tokenizer *tokenizers[TOOL_KINDS];
    ops_grammar_cache *masks = NULL;
    const ops_grammar_vocab *v = grammar_fuzz_vocab(&masks);
    for (int k = 0; k < TOOL_KINDS && chats[k] == NULL; k++)
        if ((chats[k] = tool_chat((tool_kind)k)) == NULL ||
            (tokenizers[k] = tool_tokenizer((tool_kind)k)) == NULL)
            __builtin_trap();
    if (size < 2)
        return 0;
    const tool_kind k = (tool_kind)(data[0] % TOOL_KINDS);
    const ops_chat_tool tool = {OPS_SLICE("disk"), OPS_SLICE("how full"), ops_slice_of(data + 2, size - 2)};
    const ops_tools_request q = {.tools = &tool,
                                 .n = 1,
                                 .choice = (data[1] & 1) != 0 ? OPS_TOOLS_AUTO : OPS_TOOLS_REQUIRED,
                                 .parallel = (data[1] & 2) != 0,
                                 .strict = true};
    ops_tools_plan p;
    ops_grammar *g = NULL;
    ops_err err = {.code = OPS_OK};
    ops_status st = ops_tools_plan_make(chats[k], tokenizers[k], &q, &p, &err);
    if (st == OPS_OK) {
        render(chats[k], &p);
        st = ops_grammar_from_ebnf(v, ops_strbuf_get(&p.ebnf), &g, &err);
    }
    if (st != OPS_OK && (err.code != st || err.msg[0] == '\0' || g != NULL))
        __builtin_trap();
    if (st == OPS_OK)
        grammar_fuzz_walk(g, masks, ops_hash64(data, size, 1) | 1);
    ops_grammar_free(g);
    ops_tools_plan_done(&p);
    return 0;
}
